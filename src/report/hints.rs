//! Advice after a run, from what it counted.

use std::collections::BTreeMap;

use crate::report::text::{length, number};
use crate::run::{End, Outcome, Tally};
use crate::secret::Redactor;

/// Misfit paths named in a hint; the report has them all.
const NAMED: usize = 5;

/// Fields and copies that scans noticed, a line each kind.
fn noticed(name: &str, tally: &Tally) -> Vec<String> {
    let named = |paths: &BTreeMap<String, u64>, unit: &str| {
        let shown = paths.iter().take(NAMED).map(|(path, count)| format!("{path} ({} {unit})", number(*count)));
        let more = paths.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("{more} more in the run's report"));
        shown.chain(more).collect::<Vec<_>>().join(", ")
    };
    let (misfits, noticed) = (&tally.misfits, &tally.noticed);
    let mut lines = Vec::new();
    if !misfits.unknown().is_empty() {
        let paths = named(misfits.unknown(), "values");
        lines.push(format!("{name}: fields that the schema does not name are kept in `_extra`: {paths}"));
    }
    if !misfits.missing().is_empty() {
        let paths = named(misfits.missing(), "rows");
        lines.push(format!("{name}: columns that the schema maps are missing in the search, and null here: {paths}"));
    }
    if !noticed.emptied.is_empty() {
        let paths = named(&noticed.emptied, "rows");
        lines.push(format!("{name}: columns that were filled before are null throughout: {paths}"));
    }
    if !noticed.kept.is_empty() {
        let count = length(noticed.kept.len());
        lines.push(format!("{name}: {count} records came in a copy older than the stored one, which stays"));
    }
    if !noticed.went_back.is_empty() {
        let count = length(noticed.went_back.len());
        lines.push(format!("{name}: {count} records went back to an older copy, which is accepted"));
    }
    if noticed.reappeared > 0 {
        let count = number(noticed.reappeared);
        lines.push(format!("{name}: {count} rows left the files of deleted rows, for their records appeared again"));
    }
    lines
}

/// What to do about what happened, a line each.
pub fn hints(outcome: &Outcome, redactor: &Redactor) -> Vec<String> {
    let mut hints = Vec::new();
    for resource in &outcome.resources {
        let name = &resource.resource;
        hints.extend(resource.found.iter().map(|found| format!("{name}: {found}")));
        if let Some(failure) = resource.failure() {
            hints.push(format!("{name}: {failure}"));
            hints.extend(failure.advice().map(|advice| format!("  help: {advice}")));
        }
        let misfits: Vec<String> = resource
            .tally
            .misfits
            .shown(redactor)
            .take(NAMED)
            .map(|(path, count, sample)| format!("{path} ({}×, such as {sample})", number(count)))
            .collect();
        if !misfits.is_empty() {
            hints.push(format!(
                "{name}: values that do not fit are null here and whole in `_extra`: {}",
                misfits.join(", ")
            ));
        }
        hints.extend(noticed(name, &resource.tally));
        let rejected: Vec<String> = resource
            .tally
            .rejected
            .shown(redactor)
            .take(NAMED)
            .map(|(reason, count, sample)| format!("{reason} ({}×, such as {sample})", number(count)))
            .collect();
        if !rejected.is_empty() {
            hints.push(format!("{name}: rejected, and kept in _pearlift/misfits/{name}: {}", rejected.join(", ")));
        }
        if resource.owed > 0 {
            let text = "could not be brought home; every run asks for them again (`pearlift status --json` names them)";
            hints.push(format!("{name}: {} records {text}", number(resource.owed)));
        }
        if resource.withheld > 0 {
            let text =
                "are listed by the source and were not returned in three runs over three days; asked for once a run";
            hints.push(format!(
                "{name}: {} ids {text} (`pearlift status --json` names them)",
                number(resource.withheld)
            ));
        }
        if !resource.tally.missed.is_empty() {
            let text = "had changed though no date told of it; `reload_every` and `reread_requests`";
            hints.push(format!(
                "{name}: {} records {text} under [resource.{name}] say how often that is looked for",
                length(resource.tally.missed.len())
            ));
        }
        if let End::Held(by) = &resource.end {
            hints.push(format!("{name}: left alone, for {by} works on it; `--wait` waits for it"));
        }
    }
    if outcome.resources.iter().any(|resource| matches!(resource.end, End::Stopped)) {
        hints.push("what was whole is committed; the same command goes on from there".to_owned());
    }
    hints
}
