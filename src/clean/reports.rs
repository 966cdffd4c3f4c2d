//! Reports of runs long ago. They belong to no resource, and nothing depends on them.

use futures_util::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::clean::{Cleaning, Outcome, Waste, Why};
use crate::failure::{Failure, Kind, Result};
use crate::store::paths;

/// Reports that are kept in any case, and for how long all are.
const KEPT: usize = 100;
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Reports read at once.
const AT_ONCE: usize = 16;

/// What is read of a report.
#[derive(Deserialize)]
struct Report {
    started_at: Timestamp,
}

/// Removes old reports, or notes with `dry_run` which would go.
pub async fn sweep(work: Cleaning<'_>, outcome: &mut Outcome) -> Result<()> {
    let listed = work.store.list(paths::RUNS).await?;
    let (ours, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(path, _)| is_report(path));
    outcome.unknown.extend(others.into_iter().map(|(path, _)| path));
    if ours.len() <= KEPT {
        return Ok(());
    }
    let mut dated: Vec<(Option<Timestamp>, String, u64)> = futures_util::stream::iter(ours)
        .map(|(path, bytes)| async move {
            let text = match work.store.get(&path).await {
                // Larger than any report of ours.
                Err(failure) if failure.kind() == Kind::Damage => None,
                found => found?,
            };
            let report = text.and_then(|text| serde_json::from_slice::<Report>(&text).ok());
            Ok::<_, Failure>((report.map(|report| report.started_at), path, bytes))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    dated.sort();
    dated.truncate(dated.len() - KEPT);
    let mut old = Vec::new();
    for (started_at, path, bytes) in dated {
        match started_at {
            Some(at) if work.now.duration_since(at) > KEPT_FOR => {
                old.push(path.clone());
                outcome.waste.push(Waste { path, bytes, why: Why::Report });
            }
            Some(_) => {}
            None => outcome.unknown.push(path),
        }
    }
    if work.dry_run || old.is_empty() { Ok(()) } else { work.store.delete(&old).await }
}

fn is_report(path: &str) -> bool {
    let name = path.strip_prefix(paths::RUNS).and_then(|rest| rest.strip_prefix('/'));
    name.and_then(|name| name.strip_suffix(".json")).is_some_and(paths::is_run)
}
