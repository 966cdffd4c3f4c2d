//! The tables at a run's end and of `status`.

use jiff::Timestamp;

use crate::manifest::{SourceCount, Version};
use crate::plan::PartitionState;
use crate::quantity::{number, plural};
use crate::report::text::{bytes, duration, length, table};
use crate::run::{End, Outcome, Progress, ResourceOutcome};

/// The table at a run's end.
pub fn summary(outcome: &Outcome) -> Vec<String> {
    let rows: Vec<Vec<String>> = outcome.resources.iter().map(row).collect();
    let heads = ["resource", "rows", "read", "changed", "files", "written", "requests", "state"];
    let mut lines = table(&heads, &[1, 2, 3, 4, 5, 6], &rows);
    let changed: u64 = outcome.resources.iter().map(|resource| resource.tally.changes.total()).sum();
    let files: u64 = outcome.resources.iter().map(|resource| resource.tally.files).sum();
    let rows: u64 = outcome.resources.iter().map(|resource| resource.rows).sum();
    lines.push(String::new());
    lines.push(format!(
        "{} in {}; {} changed, {} written, {}, {}",
        plural(rows, "row"),
        outcome.destination,
        number(changed),
        plural(files, "file"),
        plural(outcome.requests, "request"),
        duration(outcome.took),
    ));
    lines
}

fn row(outcome: &ResourceOutcome) -> Vec<String> {
    let tally = &outcome.tally;
    let mut state = match &outcome.end {
        End::Complete if outcome.unsettled.pending > 0 => {
            format!("complete, {} pending", number(outcome.unsettled.pending))
        }
        End::Complete => "complete".to_owned(),
        End::Idle(reason) => format!("nothing due: {reason}"),
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
        number(outcome.rows),
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
    /// Files of the head that wait to be published.
    pub unpublished: u64,
    /// How far an unfinished scan has come.
    pub progress: Option<Progress>,
    /// How a date divides its files; none where none does.
    pub partition: Option<PartitionState>,
    /// Why it is not as it should be, where that was asked.
    pub stale: Option<String>,
}

/// The table of `status`.
pub fn status_table(rows: &[StatusRow], now: Timestamp) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| status_cells(row, now)).collect();
    let heads = ["resource", "state", "changes since", "age", "rows", "partition", "files", "size", "pending"];
    table(&heads, &[4, 6, 7, 8], &rows)
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
        let mut cells: Vec<String> = [row.resource.clone(), word].into_iter().chain(vec![String::new(); 7]).collect();
        cells[5] = partition;
        return cells;
    };
    let state = &head.state;
    let age = completed.and_then(|at| std::time::Duration::try_from(now.duration_since(at)).ok());
    vec![
        row.resource.clone(),
        word,
        state.watermark.map(|at| format!("{at:.0}")).unwrap_or_default(),
        age.map(duration).unwrap_or_default(),
        number(head.rows()),
        partition,
        length(head.files().count()),
        bytes(head.files().map(|file| file.bytes).sum()),
        length(state.pending.len()),
    ]
}
