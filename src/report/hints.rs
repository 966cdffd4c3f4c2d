//! Advice after a run, from its counts.

use std::collections::BTreeMap;

use crate::manifest::KindChange;
use crate::plan::PartitionAdvice;
use crate::quantity::{number, plural};
use crate::run::{End, Outcome, Tally};
use crate::secret::Redactor;

/// The most rejected paths in a hint; the report has them all.
const NAMED: usize = 5;

/// Paths with counts, the first few of them.
fn named(paths: &BTreeMap<String, u64>, unit: &str) -> String {
    let shown = paths.iter().take(NAMED).map(|(path, count)| format!("{path} ({})", plural(*count, unit)));
    let more = paths.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{more} more in the run's report"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// Fields in which answers differ from the schema or from earlier scans, a line each kind, with the columns that unknown
/// fields would have.
fn drifted(name: &str, tally: &Tally) -> Vec<String> {
    let (rejected_values, noticed) = (&tally.rejected_values, &tally.noticed);
    let mut lines = Vec::new();
    if !rejected_values.unknown().is_empty() {
        let unknown = rejected_values.unknown().iter().map(|(path, field)| (path.clone(), field.count)).collect();
        let paths = named(&unknown, "value");
        lines.push(format!("{name}: fields that the schema does not name are kept in `_extra`: {paths}"));
        let columns = noticed.columns.iter().take(NAMED);
        lines.extend(columns.map(|(path, line)| {
            let table = path.split('.').next().unwrap_or(path);
            format!("  help: a column for `{path}`, in [tables.{table}] of a file {name}.toml for --schemas: {line}")
        }));
    }
    if !rejected_values.missing().is_empty() {
        let paths = named(rejected_values.missing(), "row");
        lines.push(format!("{name}: columns that the schema maps are missing from the search, and null here: {paths}"));
    }
    let (tables, columns): (BTreeMap<_, _>, BTreeMap<_, _>) =
        noticed.emptied.clone().into_iter().partition(|(path, _)| path.ends_with(".*"));
    if !columns.is_empty() {
        let paths = named(&columns, "row");
        lines.push(format!("{name}: columns that had values before are now null in every row: {paths}"));
    }
    if !tables.is_empty() {
        let paths = named(&tables, "record");
        lines.push(format!("{name}: tables that had rows before have none: {paths}"));
    }
    if !noticed.changed.is_empty() {
        let shown = noticed.changed.iter().take(NAMED).map(|(path, KindChange { was, is, count })| {
            format!("{path} ({was} before, {is} in {})", plural(*count, "value"))
        });
        let shown: Vec<String> = shown.collect();
        lines.push(format!("{name}: values of another kind than before: {}", shown.join(", ")));
    }
    lines
}

/// Copies that scans noticed, a line each kind.
fn noticed(name: &str, tally: &Tally) -> Vec<String> {
    let noticed = &tally.noticed;
    let mut lines = Vec::new();
    if !noticed.kept.is_empty() {
        let records = plural(noticed.kept.len(), "record");
        lines.push(format!("{name}: {records} came in copies older than the stored ones, which stay"));
    }
    if !noticed.went_back.is_empty() {
        let records = plural(noticed.went_back.len(), "record");
        lines.push(format!("{name}: {records} went back to older copies, which are accepted"));
    }
    lines.extend(noticed.partition.as_ref().map(|advice| partition_line(name, advice)));
    if noticed.reappeared > 0 {
        let rows = plural(noticed.reappeared, "row");
        lines.push(format!("{name}: {rows} left the files of deleted rows, because the source has the records again"));
    }
    lines
}

/// The line about files that would better be divided anew.
fn partition_line(name: &str, advice: &PartitionAdvice) -> String {
    let command = format!("`pearlift clean --repartition {name}`");
    match advice {
        PartitionAdvice::Changed { present, wanted } => {
            let (present, wanted) = (present.word(), wanted.word());
            format!("{name}: the partition of its files is `{present}`, and the settings ask for `{wanted}`: {command}")
        }
        PartitionAdvice::Outgrown { partition, table, rows } => {
            let place = partition.as_ref().map_or_else(String::new, |partition| format!(" in {partition}"));
            let rows = plural(*rows, "row");
            format!(
                "{name}: {table} has {rows}{place}, more than twice `limits.partition_rows`: {command} chooses a \
                 shorter period"
            )
        }
    }
}

/// The advice, one line each.
pub fn hints(outcome: &Outcome, redactor: &Redactor) -> Vec<String> {
    let mut hints = Vec::new();
    for resource in &outcome.resources {
        let name = &resource.resource;
        hints.extend(resource.found.iter().map(|found| format!("{name}: {found}")));
        if let Some(failure) = resource.failure() {
            hints.push(format!("{name}: {failure}"));
            hints.extend(failure.advice().map(|advice| format!("  help: {advice}")));
        }
        let rejected_values: Vec<String> = resource
            .tally
            .rejected_values
            .shown(redactor)
            .take(NAMED)
            .map(|(path, count, sample)| format!("{path} ({}×, such as {sample})", number(count)))
            .collect();
        if !rejected_values.is_empty() {
            hints.push(format!(
                "{name}: values that do not fit are null here, and kept in `_extra`: {}",
                rejected_values.join(", ")
            ));
        }
        hints.extend(drifted(name, &resource.tally));
        hints.extend(noticed(name, &resource.tally));
        let rejected: Vec<String> = resource
            .tally
            .rejected_rows
            .shown(redactor)
            .take(NAMED)
            .map(|(reason, count, sample)| format!("{reason} ({}×, such as {sample})", number(count)))
            .collect();
        if !rejected.is_empty() {
            hints.push(format!("{name}: rejected, and kept in _pearlift/misfits/{name}: {}", rejected.join(", ")));
        }
        if resource.unsettled.pending > 0 {
            let text = "could not be fetched or mapped; retried on every run (`pearlift status --json` lists them)";
            hints.push(format!("{name}: {} {text}", plural(resource.unsettled.pending, "record")));
        }
        if resource.unsettled.withheld > 0 {
            let ids = plural(resource.unsettled.withheld, "id");
            hints.push(format!(
                "{name}: {ids} listed by the source but not returned in three runs over three days; requested once in \
                 each run (`pearlift status --json` lists them)"
            ));
        }
        if !resource.tally.missed.is_empty() {
            let records = plural(resource.tally.missed.len(), "record");
            hints.push(format!(
                "{name}: {records} changed without a change of date; `reload_every` and `reread_requests` under \
                 [resource.{name}] set how often such changes are looked for"
            ));
        }
        if let End::Held(by) = &resource.end {
            hints.push(format!("{name}: skipped, because {by} is working on it; `--wait` waits for it"));
        }
    }
    if outcome.resources.iter().any(|resource| matches!(resource.end, End::Stopped)) {
        hints.push("complete parts are committed; the same command resumes from there".to_owned());
    }
    hints
}
