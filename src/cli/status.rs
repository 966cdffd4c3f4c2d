//! `pearlift status`: the state of each resource, from the heads.

use serde_json::{Value, json};

use crate::cli::arguments::StatusArguments;
use crate::cli::history::history;
use crate::cli::start::Start;
use crate::failure::Result;
use crate::fetch::count as ids_in;
use crate::manifest::Scan;
use crate::plan::PartitionState;
use crate::report::{StatusRow, count, status_table};
use crate::run::{Progress, choose, progress, read_heads, stale, stored_rows, unpublished};
use crate::schema::Granularity;

/// The exit code when something is stale: some resources are not complete.
const STALE: u8 = 3;

/// Shows the state of every selected resource.
pub async fn status(start: Start, status: StatusArguments) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    if let Some(most) = status.history {
        return history(&start, &settings, most.get(), status.json).await.map(|()| 0);
    }
    let chosen = choose(&catalog, &settings, &[])?;
    let mut heads = read_heads(&settings, &chosen).await?;
    let waiting = unpublished(&settings, &heads).await?;
    let mut scans = progress(&settings, &heads).await?;
    let mut rows = Vec::new();
    for resource in chosen {
        let name = resource.name.clone();
        let head = heads.remove(&name);
        let every = settings.every(&name)?.or(resource.read.every);
        let stale = status.max_age.and_then(|most| stale(resource, head.as_ref(), every, most, start.now));
        let unpublished = waiting.get(&name).copied().unwrap_or(0);
        let progress = scans.remove(&name);
        let partition = PartitionState::of(resource, head.as_ref());
        let stored = head.as_ref().map(|head| stored_rows(resource, head)).unwrap_or_default();
        rows.push(StatusRow { resource: name, head, rows: stored, unpublished, progress, partition, stale });
    }
    let any_stale = rows.iter().any(|row| row.stale.is_some());
    if status.json {
        let asked = status.max_age.is_some();
        let resources: Vec<Value> = rows.iter().map(|row| judged(object(row), row, asked)).collect();
        let mut all = json!({"format": 1, "now": start.now, "resources": resources});
        if asked {
            all["stale"] = json!(any_stale);
        }
        start.terminal().print_json(all)?;
    } else {
        start.terminal().print(&status_table(&rows, start.now, start.terminal().width_of_stdout()))?;
    }
    Ok(if any_stale { STALE } else { 0 })
}

/// The object with the judgement of `--max-age`, if it was given.
fn judged(mut object: Value, row: &StatusRow, asked: bool) -> Value {
    if asked {
        object["stale"] = json!(row.stale.is_some());
        object["stale_because"] = json!(row.stale);
    }
    object
}

/// An unfinished scan, and how far it has come: sets of ids of all, or rows of an unknown number.
fn unfinished(scan: &Scan, progress: Option<Progress>) -> Value {
    let (unit, done, of) = match progress {
        Some(Progress::Sets { done, of }) => (Some("sets"), Some(done), Some(of)),
        Some(Progress::Rows { done }) => (Some("rows"), Some(done), None),
        None => (None, None, None),
    };
    json!({"kind": scan.kind.name(), "started_at": scan.started_at, "unit": unit, "done": done, "of": of})
}

fn object(row: &StatusRow) -> Value {
    let (wanted, open) =
        (row.partition.map(|partition| partition.wanted.word()), row.partition.is_some_and(|it| it.open));
    let Some(head) = &row.head else {
        let state = "not-loaded";
        return json!({"resource": row.resource, "state": state, "partition_setting": wanted, "partition_open": open});
    };
    let state = &head.state;
    let tables: serde_json::Map<String, Value> = head
        .tables
        .iter()
        .map(|(name, table)| {
            let rows: u64 = table.files.iter().map(|file| file.rows).sum();
            let bytes: u64 = table.files.iter().map(|file| file.bytes).sum();
            (name.clone(), json!({"rows": rows, "files": table.files.len(), "bytes": bytes}))
        })
        .collect();
    json!({
        "resource": row.resource,
        "state": if state.completed_at.is_some() { "complete" } else { "loading" },
        "version": head.version,
        "written_at": head.written_at,
        "watermark": state.watermark,
        "completed_at": state.completed_at,
        "reloaded_at": state.reloaded_at,
        "start": state.start,
        "unfinished_scan": state.scan.as_ref().map(|scan| unfinished(scan, row.progress)),
        "unfinished_backfill": state.backfill.as_ref().map(|backfill| json!({"selected": backfill.selected.to_string(), "started_at": backfill.started_at})),
        "partition": row.partition.and_then(|partition| partition.present).map(Granularity::word),
        "partition_setting": wanted,
        "partition_open": open,
        "rows": head.rows(),
        "main_rows": row.rows.main,
        "files": head.files().count(),
        "bytes": head.files().map(|file| file.bytes).sum::<u64>(),
        "tables": tables,
        "pending": state.pending.iter().map(|pending| json!({"id": pending.id, "reason": pending.reason, "since": pending.since})).collect::<Vec<_>>(),
        "withheld": state.absence.withheld.iter().map(|(id, known)| json!({"id": id, "reason": known.reason, "since": known.since})).collect::<Vec<_>>(),
        "suspects": state.absence.suspects.iter().map(|(id, known)| json!({"id": id, "since": known.since})).collect::<Vec<_>>(),
        "hidden": ids_in(&state.absence.hidden),
        "gaps": state.absence.gaps.iter().map(|gap| json!({"day": gap.day, "ids": gap.ids})).collect::<Vec<_>>(),
        "count": count(&state.count),
        "skipped_ids": state.skipped_ids.len(),
        "rejected_files": head.rejected.iter().map(|file| &file.path).collect::<Vec<_>>(),
        "unpublished_files": row.unpublished,
    })
}
