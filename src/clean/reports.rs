//! Old reports of runs, and small files of the history. They belong to no resource, and nothing depends on them.

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::clean::cleaning::{CleanOutcome, Cleaning, Waste, WasteKind};
use crate::clean::housekeeping::started_at;
use crate::clean::retention::{NEWEST_REPORTS, Retention};
use crate::failure::{Failure, Result};
use crate::history::{HistoryJoins, HistoryTable, history_files, is_due, join_history};
use crate::store::paths;

/// Reports read at once.
const AT_ONCE: usize = 16;

/// Removes old reports, or notes with `dry_run` which would go.
pub async fn sweep(work: Cleaning<'_>, outcome: &mut CleanOutcome) -> Result<()> {
    let listed = work.store.list(paths::RUNS).await?;
    let (ours, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(path, _)| paths::is_report(path));
    outcome.unknown.extend(others.into_iter().map(|(path, _)| path));
    if ours.len() <= NEWEST_REPORTS {
        return Ok(());
    }
    let mut retention = Retention::of_reports(ours.len(), ours.iter().map(|(_, bytes)| bytes).sum(), work.now);
    let mut dated: Vec<(Option<Timestamp>, String, u64)> = futures_util::stream::iter(ours)
        .map(|(path, bytes)| async move { Ok::<_, Failure>((started_at(work.store, &path).await?, path, bytes)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    dated.sort();
    dated.truncate(dated.len() - NEWEST_REPORTS);
    let mut old = Vec::new();
    for (started_at, path, bytes) in dated {
        match started_at {
            Some(at) if retention.goes(at, bytes) => {
                old.push(path.clone());
                outcome.waste.push(Waste { path, bytes, why: WasteKind::Report });
            }
            Some(_) => {}
            None => outcome.unknown.push(path),
        }
    }
    if work.dry_run || old.is_empty() { Ok(()) } else { work.store.delete(&old).await }
}

/// Joins small files of the history where there are many, and notes files that nobody knows.
pub async fn sweep_history(work: Cleaning<'_>, outcome: &mut CleanOutcome) -> Result<()> {
    let listed = work.store.list(paths::HISTORY).await?;
    let known: Vec<String> =
        HistoryTable::ALL.into_iter().flat_map(|table| history_files(table, &listed)).map(|file| file.path).collect();
    let foreign = |path: &String| !known.contains(path) && !paths::is_history_join(path);
    outcome.unknown.extend(listed.iter().map(|(path, _)| path).filter(|path| foreign(path)).cloned());
    if let Some(run) = outcome.run.as_deref().filter(|_| is_due(&listed).is_some()) {
        join_history(HistoryJoins { store: work.store, run, now: work.now }).await?;
    }
    Ok(())
}
