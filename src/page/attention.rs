//! The items that need attention: failures of the last runs, late and incomplete resources, damage, rejected values.
//!
//! Takes the folded history, heads and reports, gives items, the most urgent first, each with its reason and a command.

use std::collections::BTreeSet;

use crate::history::HistoryRow;
use crate::page::input::PageInput;
use crate::page::kept::ReportedFindings;
use crate::page::past::{number, text};
use crate::quantity::{self, plural};
use crate::report::StatusRow;

/// Late resources that have an item each, and resources that an item names.
const SINGLE: usize = 5;

/// The urgency of an item, the greatest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Urgency {
    Failed,
    Damaged,
    Late,
    Incomplete,
    Notice,
}

impl Urgency {
    /// The word before an item.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "Failed",
            Self::Damaged => "Damaged",
            Self::Late => "Late",
            Self::Incomplete => "Incomplete",
            Self::Notice => "Notice",
        }
    }

    /// The class of its colour; the word says the same.
    pub fn class(self) -> &'static str {
        match self {
            Self::Failed | Self::Damaged => "bad",
            Self::Late | Self::Incomplete => "warn",
            Self::Notice => "note",
        }
    }
}

/// An item of the list.
#[derive(Clone, Debug)]
pub struct AttentionItem {
    pub urgency: Urgency,
    /// The resources, or the place.
    pub of: String,
    pub reason: String,
    pub advice: Option<String>,
    /// A command that helps, if there is one.
    pub command: Option<String>,
}

impl AttentionItem {
    fn new(urgency: Urgency, of: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { urgency, of: of.into(), reason: reason.into(), advice: None, command: None }
    }

    fn advise(self, advice: Option<String>) -> Self {
        Self { advice, ..self }
    }

    fn try_command(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }
}

/// All items, the most urgent first.
pub fn attention(input: &PageInput<'_>) -> Vec<AttentionItem> {
    let mut items: Vec<AttentionItem> = input.past.last_run().and_then(whole_failure).into_iter().collect();
    let mut failed = BTreeSet::new();
    for row in &input.resources {
        let last = input.past.resources.get(&row.resource).map(|past| &past.last);
        if let Some(item) = last.and_then(|last| last_end(input, row, last)) {
            if item.urgency == Urgency::Failed {
                failed.insert(row.resource.as_str());
            }
            items.push(item);
        }
        items.extend(unsettled(row));
    }
    items.extend(late(input, &failed));
    for (resource, failure) in &input.unreadable {
        let item = AttentionItem::new(Urgency::Damaged, resource, failure.to_string());
        let item = item.advise(failure.advice().map(str::to_owned));
        items.push(item.try_command(format!("pearlift verify {resource}")));
    }
    items.extend(unread(input));
    items.extend(found(&input.kept.rejected, "values or records do not fit the schema", "#rejected"));
    items.extend(found(&input.kept.drift, "fields differ from the schema or from earlier scans", "#drift"));
    let mut items = merged(items);
    items.sort_by_key(|item| item.urgency);
    items
}

/// Items of several resources with the same reason, such as refused credentials, in one.
fn merged(items: Vec<AttentionItem>) -> Vec<AttentionItem> {
    let mut merged: Vec<(AttentionItem, Vec<String>)> = Vec::new();
    for item in items {
        let is_same = |(other, _): &&mut (AttentionItem, Vec<String>)| {
            (other.urgency, &other.reason, &other.advice) == (item.urgency, &item.reason, &item.advice)
        };
        match merged.iter_mut().find(is_same) {
            Some((_, names)) => names.push(item.of),
            None => {
                let names = vec![item.of.clone()];
                merged.push((item, names));
            }
        }
    }
    let joined = |(item, names): (AttentionItem, Vec<String>)| {
        if names.len() == 1 {
            return item;
        }
        // The command without the name of the first resource is that of all of them.
        let general =
            |command: String| command.strip_suffix(&format!(" {}", item.of)).map_or(command.clone(), str::to_owned);
        let command = item.command.clone().map(general);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        AttentionItem { of: shown_names(&names), command, ..item }
    };
    merged.into_iter().map(joined).collect()
}

/// The first few names, and the number of the others.
fn shown_names(names: &[&str]) -> String {
    let shown = names.iter().take(SINGLE).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SINGLE) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The failure of a run as a whole.
fn whole_failure(run: &HistoryRow) -> Option<AttentionItem> {
    if number(run, "exit_code") == 0 || number(run, "resources") > 0 {
        return None;
    }
    let item = AttentionItem::new(Urgency::Failed, "the last run as a whole", text(run, "reason"));
    let command = match text(run, "failure") {
        "credentials" | "offline" | "settings" => "pearlift check".to_owned(),
        _ => format!("pearlift {}", text(run, "command")),
    };
    Some(item.try_command(command))
}

/// The end of a resource's last run, where it was no good one.
fn last_end(input: &PageInput<'_>, row: &StatusRow, last: &HistoryRow) -> Option<AttentionItem> {
    let (name, reason) = (row.resource.as_str(), text(last, "reason"));
    let command = format!("pearlift {} {name}", text(last, "command"));
    let item = match text(last, "ended") {
        "failed" => {
            let key = (text(last, "run").to_owned(), name.to_owned());
            let advice = input.kept.advice.get(&key).cloned();
            AttentionItem::new(Urgency::Failed, name, reason).advise(advice)
        }
        "stopped" => AttentionItem::new(Urgency::Incomplete, name, "the last run was stopped; the next one resumes"),
        "held" => {
            let reason = format!("skipped by the last run, because it was held by {reason}");
            return Some(
                AttentionItem::new(Urgency::Incomplete, name, reason).try_command(format!("{command} --wait")),
            );
        }
        _ => return None,
    };
    // A backfill cannot be repeated without its selection.
    Some(if text(last, "command") == "backfill" { item } else { item.try_command(command) })
}

/// Records of a resource that are missing or pending, and files that wait.
fn unsettled(row: &StatusRow) -> Vec<AttentionItem> {
    let Some(head) = &row.head else { return Vec::new() };
    let (name, state) = (row.resource.as_str(), &head.state);
    let item = |reason: String| AttentionItem::new(Urgency::Incomplete, name, reason);
    let mut items = Vec::new();
    if let Some(missing) = missing(row) {
        items.push(item(missing).try_command(format!("pearlift reconcile {name}")));
    }
    if !state.pending.is_empty() {
        let reason = format!("{} could not be fetched or mapped", plural(state.pending.len(), "record"));
        let advice = "each run requests them again; `pearlift status --json` lists them with their reasons";
        items.push(item(reason).advise(Some(advice.to_owned())).try_command(format!("pearlift run {name}")));
    }
    if !state.absence.withheld.is_empty() {
        let ids = plural(state.absence.withheld.len(), "id");
        let reason = format!("{ids} listed by the source but not returned in three runs over three days");
        items.push(AttentionItem::new(Urgency::Notice, name, reason).try_command("pearlift status --json"));
    }
    if row.unpublished > 0 {
        let reason = format!("{} of a crashed run not published yet", plural(row.unpublished, "file"));
        items.push(item(reason).try_command(format!("pearlift run {name}")));
    }
    items
}

/// The difference of a resource from the source's count that is not explained, in words.
pub fn missing(row: &StatusRow) -> Option<String> {
    let count = &row.head.as_ref()?.state.count;
    let at_source = count.at_source.filter(|_| !count.unreliable)?;
    let open = count.difference()?.saturating_sub(count.explained.unwrap_or(0));
    let word = match open {
        0 => return None,
        1.. => "fewer",
        _ => "more",
    };
    let records = plural(open.unsigned_abs(), "record");
    Some(format!("{records} {word} than the {} at the source, not explained", quantity::number(at_source)))
}

/// Resources that are not as recent as expected, without those that failed.
fn late(input: &PageInput<'_>, failed: &BTreeSet<&str>) -> Vec<AttentionItem> {
    let late = input.resources.iter().filter(|row| !failed.contains(row.resource.as_str()));
    let late: Vec<(&str, &str)> = late.filter_map(|row| Some((row.resource.as_str(), row.stale.as_deref()?))).collect();
    if late.len() <= SINGLE {
        let item = |(name, why): (&str, &str)| {
            AttentionItem::new(Urgency::Late, name, why).try_command(format!("pearlift run {name}"))
        };
        return late.into_iter().map(item).collect();
    }
    let names: Vec<&str> = late.iter().map(|(name, _)| *name).collect();
    let reason = format!("not complete and scanned in the last {}", humantime::format_duration(input.max_age));
    let item = AttentionItem::new(Urgency::Late, plural(names.len(), "resource"), reason);
    vec![item.advise(Some(shown_names(&names))).try_command("pearlift run")]
}

/// Files about runs that cannot be read.
fn unread(input: &PageInput<'_>) -> Option<AttentionItem> {
    let unread: Vec<&str> = input.past.unread.iter().chain(&input.kept.unread).map(String::as_str).collect();
    let first = unread.iter().take(SINGLE).copied().collect::<Vec<_>>().join(", ");
    let reason = format!("{} about runs cannot be read, so this page lacks their runs", plural(unread.len(), "file"));
    let advice = format!("no table needs them, and they can be deleted: {first}");
    let item = AttentionItem::new(Urgency::Damaged, "the history", reason).advise(Some(advice));
    (!unread.is_empty()).then(|| item.try_command("pearlift status --history"))
}

/// Findings of reports, in one item.
fn found(findings: &ReportedFindings, reason: &str, section: &str) -> Option<AttentionItem> {
    let names: BTreeSet<&str> = findings.listed.iter().map(|finding| finding.resource.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let first = *names.first()?;
    let places = plural(findings.listed.len().saturating_add(findings.more), "place");
    let name = if section == "#rejected" { "Rejected values" } else { "Drift" };
    let item =
        AttentionItem::new(Urgency::Notice, shown_names(&names), format!("{reason}, in {places}: see “{name}” below"));
    Some(item.try_command(format!("pearlift resources {first}")))
}
