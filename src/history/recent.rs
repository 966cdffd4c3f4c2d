//! The newest runs of the history, each with its resources.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::failure::Result;
use crate::history::columns::HistoryTable;
use crate::history::files::{HistoryFile, history_files, read, visit};
use crate::history::rows::{HistoryRow, key, started_at};
use crate::store::{Store, paths};

/// Names state the start of a run to the second.
const PRECISION: SignedDuration = SignedDuration::from_secs(1);

/// At most this many runs, the newest first, as objects by the names of columns; `resources` has the rows of each run's
/// resources.
pub async fn recent_runs(store: &Store, most: usize) -> Result<Vec<Value>> {
    let listed = store.list(paths::HISTORY).await?;
    let mut runs = newest(store, history_files(HistoryTable::Run, &listed), most).await?;
    let chosen: BTreeSet<String> = runs.iter().flat_map(|run| key(HistoryTable::Run, run)).collect();
    let Some(since) = runs.iter().filter_map(started_at).min() else { return Ok(Vec::new()) };
    let mut resources: BTreeMap<String, BTreeMap<Vec<String>, Value>> = BTreeMap::new();
    let table = HistoryTable::RunResource;
    for file in history_files(table, &listed).into_iter().filter(|file| until(file) >= since) {
        for row in read(store, table, &file.path).await?.unwrap_or_default() {
            let key = key(table, &row);
            if chosen.contains(&key[0]) {
                resources.entry(key[0].clone()).or_default().insert(key, Value::Object(row));
            }
        }
    }
    for run in &mut runs {
        let own = key(HistoryTable::Run, run).first().and_then(|run| resources.remove(run)).unwrap_or_default();
        run.insert("resources".to_owned(), own.into_values().collect());
    }
    Ok(runs.into_iter().map(Value::Object).collect())
}

/// Visits the rows of a table of runs that started since an instant, file by file; gives the paths of the files that
/// cannot be read. A row may be visited twice, after a join that was not finished.
pub async fn visit_since(
    store: &Store,
    table: HistoryTable,
    since: Timestamp,
    mut each: impl FnMut(&HistoryRow),
) -> Result<Vec<String>> {
    let listed = store.list(paths::HISTORY).await?;
    let mut unread = Vec::new();
    for file in history_files(table, &listed).into_iter().filter(|file| until(file) >= since) {
        let is_read = visit(store, table, &file.path, |row| {
            if started_at(&row).is_some_and(|at| at >= since) {
                each(&row);
            }
        });
        // A file that was joined meanwhile is gone, and not damaged.
        if !is_read.await? && store.size(&file.path).await?.is_some() {
            unread.push(file.path);
        }
    }
    Ok(unread)
}

/// The end of the second in which the last run of a file started.
fn until(file: &HistoryFile) -> Timestamp {
    file.last.saturating_add(PRECISION).unwrap_or(file.last)
}

/// The newest rows, from files in the order of their last runs.
async fn newest(store: &Store, mut files: Vec<HistoryFile>, most: usize) -> Result<Vec<HistoryRow>> {
    files.sort_by_key(|file| std::cmp::Reverse(file.last));
    let mut found: BTreeMap<(Timestamp, Vec<String>), HistoryRow> = BTreeMap::new();
    for file in files {
        let enough = most.checked_sub(1).and_then(|last| found.keys().rev().nth(last));
        if enough.is_some_and(|(oldest, _)| until(&file) < *oldest) {
            break;
        }
        for row in read(store, HistoryTable::Run, &file.path).await?.unwrap_or_default() {
            if let Some(at) = started_at(&row) {
                found.insert((at, key(HistoryTable::Run, &row)), row);
            }
        }
    }
    Ok(found.into_values().rev().take(most).collect())
}
