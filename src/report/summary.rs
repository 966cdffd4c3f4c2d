//! The tables at a run's end and of `status`.

use jiff::Timestamp;

use crate::event::RowCounts;
use crate::manifest::{SourceCount, Version};
use crate::plan::PartitionState;
use crate::quantity::{number, plural};
use crate::report::table::{TableForm, hanging};
use crate::report::text::{bytes, duration, length};
use crate::run::{End, Outcome, Progress, ResourceOutcome};

/// The state of a resource without more to say.
const COMPLETE: &str = "complete";
/// The beginning of the state of a resource that was not due.
const NOTHING_DUE: &str = "nothing due: ";

/// The table of a run's resources; `rows` are those of the main table.
const SUMMARY: TableForm<'_> = TableForm {
    heads: &["resource", "rows", "all rows", "read", "changed", "files", "written", "requests", "state"],
    right: &[1, 2, 3, 4, 5, 6, 7],
    text: Some(8),
    spare: &[5, 3, 2, 6, 7],
};

/// The table at a run's end, as wide as a terminal, and the run in one line.
pub fn summary(outcome: &Outcome, width: Option<usize>) -> Vec<String> {
    let rows: Vec<Vec<String>> = outcome.resources.iter().map(row).collect();
    let total = hanging(&totals(outcome), width.unwrap_or(usize::MAX));
    [SUMMARY.lines(&rows, width), vec![String::new()], total].concat()
}

/// The run in one line, below the table of those resources that did not come to their end or have more to say: for a log,
/// which has a line for each resource that changed.
pub fn log_summary(outcome: &Outcome) -> Vec<String> {
    let rows = outcome.resources.iter().map(|resource| (resource, row(resource)));
    let plain = |resource: &ResourceOutcome, state: &str| {
        // One that was not due has tables; one that could not be read yet has none.
        state == COMPLETE || (state.starts_with(NOTHING_DUE) && resource.version.is_some())
    };
    let telling = rows.filter(|(resource, row)| row.last().is_some_and(|state| !plain(resource, state)));
    let rows: Vec<Vec<String>> = telling.map(|(_, row)| row).collect();
    let table = if rows.is_empty() { Vec::new() } else { [SUMMARY.lines(&rows, None), vec![String::new()]].concat() };
    [table, vec![totals(outcome)]].concat()
}

/// A run in one line.
fn totals(outcome: &Outcome) -> String {
    let changed: u64 = outcome.resources.iter().map(|resource| resource.tally.changes.total()).sum();
    let files: u64 = outcome.resources.iter().map(|resource| resource.tally.files).sum();
    let rows: u64 = outcome.resources.iter().map(|resource| resource.rows.all).sum();
    // The rows of a resource that was not begun were not looked at.
    let is_known =
        |resource: &ResourceOutcome| resource.version.is_some() || !matches!(resource.end, End::Stopped | End::Held(_));
    let begun = if outcome.resources.iter().all(is_known) { "" } else { " of the resources that were begun," };
    format!(
        "{}{begun} in {}; {} changed, {} written, {}, {}",
        plural(rows, "row"),
        outcome.destination,
        number(changed),
        plural(files, "file"),
        plural(outcome.requests, "request"),
        duration(outcome.took),
    )
}

fn row(outcome: &ResourceOutcome) -> Vec<String> {
    let tally = &outcome.tally;
    let mut state = match &outcome.end {
        End::Complete if outcome.unsettled.pending > 0 => {
            format!("complete, {} pending", number(outcome.unsettled.pending))
        }
        End::Complete => COMPLETE.to_owned(),
        End::Idle(reason) => format!("{NOTHING_DUE}{reason}"),
        End::Stopped => "stopped, resumes on the next run".to_owned(),
        End::Held(by) => format!("held by {by}"),
        End::Failed(_) => "FAILED".to_owned(),
    };
    for (ids, word) in [(outcome.unsettled.withheld, "withheld"), (outcome.unsettled.suspects, "suspected of deletion")]
    {
        if ids > 0 {
            state.push_str(&format!(", {} {word}", number(ids)));
        }
    }
    state.push_str(&counted(&outcome.count));
    if !tally.missed.is_empty() {
        state.push_str(&format!(", {}", plural(tally.missed.len(), "missed change")));
    }
    vec![
        outcome.resource.clone(),
        number(outcome.rows.main),
        number(outcome.rows.all),
        number(tally.records),
        number(tally.changes.total()),
        number(tally.files),
        bytes(tally.bytes),
        number(outcome.requests),
        state,
    ]
}

/// `, 980 held · 985 at the source · 5 explained`, where the two differ.
fn counted(count: &SourceCount) -> String {
    let Some(at_source) = count.at_source.filter(|_| !count.unreliable) else { return String::new() };
    let mut text = match (count.explained, count.difference()) {
        (_, Some(0)) | (_, None) => String::new(),
        (explained, Some(_)) => format!(
            ", {} held · {} at the source · {} explained",
            number(count.held),
            number(at_source),
            explained.unwrap_or(0)
        ),
    };
    if count.open {
        text.push_str(", not found complete yet");
    }
    if count.locating.is_some() {
        text.push_str(", the difference is being located");
    }
    text
}

/// A resource in `status`.
pub struct StatusRow {
    pub resource: String,
    /// None before its first commit.
    pub head: Option<Version>,
    pub rows: RowCounts,
    /// Files of the head that wait to be published.
    pub unpublished: u64,
    /// How far an unfinished scan has come.
    pub progress: Option<Progress>,
    /// How a date divides its files; none where none does.
    pub partition: Option<PartitionState>,
    /// Why it is not as it should be, where that was asked.
    pub stale: Option<String>,
}

/// The table of `status`; `rows` are those of the main table.
const STATUS: TableForm<'_> = TableForm {
    heads: &["resource", "state", "changes since", "age", "rows", "all rows", "partition", "files", "size", "pending"],
    right: &[4, 5, 7, 8, 9],
    text: Some(1),
    spare: &[6, 7, 2, 5, 8, 3, 9],
};

/// The table of `status`, as wide as a terminal.
pub fn status_table(rows: &[StatusRow], now: Timestamp, width: Option<usize>) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| status_cells(row, now)).collect();
    STATUS.lines(&rows, width)
}

fn status_cells(row: &StatusRow, now: Timestamp) -> Vec<String> {
    let completed = row.head.as_ref().and_then(|head| head.state.completed_at);
    let mut word = match (&row.head, completed, row.progress) {
        (None, _, _) => "not loaded",
        (Some(_), None, _) => "loading",
        (Some(_), Some(_), None) => "complete",
        (Some(_), Some(_), Some(_)) => "complete; reading",
    }
    .to_owned();
    match row.progress {
        Some(Progress::Sets { done, of }) => word.push_str(&format!(", {} of {}", number(done), plural(of, "set"))),
        Some(Progress::Rows { done }) => word.push_str(&format!(", {} so far", plural(done, "row"))),
        None => {}
    }
    if let Some(head) = &row.head {
        word.push_str(&counted(&head.state.count));
    }
    if row.unpublished > 0 {
        word.push_str(&format!(", {} unpublished", plural(row.unpublished, "file")));
    }
    if let Some(backfill) = row.head.as_ref().and_then(|head| head.state.backfill.as_ref()) {
        word.push_str(&format!(", backfill unfinished ({})", backfill.selected));
    }
    let absence = row.head.as_ref().map(|head| &head.state.absence);
    let counts =
        absence.map(|known| [(known.withheld.len(), "withheld"), (known.suspects.len(), "suspected of deletion")]);
    for (ids, name) in counts.into_iter().flatten().filter(|(ids, _)| *ids > 0) {
        word.push_str(&format!(", {} {name}", length(ids)));
    }
    if let Some(why) = &row.stale {
        word.push_str(&format!("; STALE: {why}"));
    }
    let partition = row.partition.map(|partition| partition.to_string()).unwrap_or_default();
    let Some(head) = &row.head else {
        let mut cells: Vec<String> = [row.resource.clone(), word].into_iter().chain(vec![String::new(); 8]).collect();
        cells[6] = partition;
        return cells;
    };
    let state = &head.state;
    let age = completed.and_then(|at| std::time::Duration::try_from(now.duration_since(at)).ok());
    vec![
        row.resource.clone(),
        word,
        state.watermark.map(|at| format!("{at:.0}")).unwrap_or_default(),
        age.map(duration).unwrap_or_default(),
        number(row.rows.main),
        number(row.rows.all),
        partition,
        length(head.files().count()),
        bytes(head.files().map(|file| file.bytes).sum()),
        length(state.pending.len()),
    ]
}
