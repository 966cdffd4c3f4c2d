//! Checkpoints of a log, and the removal of entries that no reader needs after one.
//!
//! Every table of the last `retention` can still be read: the newest checkpoint that is older stays, with the entries from
//! it on. Only entries and checkpoints of ours are deleted.

use crate::delta::action::LogLine;
use crate::delta::action::parse_entry;
use crate::delta::checkpoint::checkpoint_bytes;
use crate::delta::log::{LogListing, TableLog, origin};
use crate::failure::Result;
use crate::store::{Store, StoreStep, paths};
use crate::write::is_packed_here;

/// A checkpoint follows so many entries: a reader fetches at most this many beside it.
const EVERY: u64 = 10;

/// Writes a checkpoint after the newest entry of a log if one is due, and deletes older entries. `cutoff` is in
/// milliseconds since 1970: no reader needs an older table.
pub async fn shorten(store: &Store, table: &str, log: &TableLog, listing: &LogListing, cutoff: i64) -> Result<()> {
    let since = log.checkpoint.map_or(log.next, |checkpoint| log.next - 1 - checkpoint);
    if since < EVERY {
        return Ok(());
    }
    write_checkpoint(store, table, log, cutoff).await?;
    let Some(keep) = oldest_needed(store, table, listing, cutoff).await? else { return Ok(()) };
    delete_before(store, table, listing, keep).await?;
    store.reach(StoreStep::LogShortened, table)
}

/// Writes the checkpoint after the newest entry of a log, and points to it. Superseded files before `cutoff` are not in it.
pub async fn write_checkpoint(store: &Store, table: &str, log: &TableLog, cutoff: i64) -> Result<u64> {
    let number = log.next.saturating_sub(1);
    let lines = in_force(log, cutoff);
    store.put_own(&paths::log_checkpoint(table, number), checkpoint_bytes(&lines)?).await?;
    store.reach(StoreStep::LogCheckpointed, table)?;
    let pointer = format!("{{\"version\":{number},\"size\":{}}}", lines.len());
    store.replace(&paths::log_pointer(table), pointer).await?;
    store.reach(StoreStep::LogPointed, table)?;
    Ok(number)
}

/// The actions of a log that are in force.
fn in_force(log: &TableLog, cutoff: i64) -> Vec<LogLine> {
    let kept = log.superseded.values().filter(|file| file.deletion_timestamp.unwrap_or(0) >= cutoff);
    let mut lines = vec![
        LogLine { protocol: log.protocol, ..LogLine::default() },
        LogLine { meta_data: log.meta_data.clone(), ..LogLine::default() },
    ];
    lines.extend(log.transactions.values().map(|txn| LogLine { txn: Some(txn.clone()), ..LogLine::default() }));
    lines.extend(kept.map(|file| LogLine { remove: Some(file.clone()), ..LogLine::default() }));
    lines.extend(log.live.values().map(|file| LogLine { add: Some(file.clone()), ..LogLine::default() }));
    lines
}

/// The newest checkpoint that is older than every table that readers may want; none where there is none.
async fn oldest_needed(store: &Store, table: &str, listing: &LogListing, cutoff: i64) -> Result<Option<u64>> {
    for number in listing.checkpoints.iter().rev() {
        let path = paths::log_commit(table, *number);
        let Some(bytes) = store.get(&path).await? else { continue };
        let info = parse_entry(&path, &bytes)?.into_iter().find_map(|line| line.commit_info);
        if info.and_then(|info| info.timestamp).is_some_and(|at| at < cutoff) {
            return Ok(Some(*number));
        }
    }
    Ok(None)
}

/// Deletes the entries and checkpoints of ours before a checkpoint; gives the paths of those that others wrote.
pub async fn delete_before(store: &Store, table: &str, listing: &LogListing, keep: u64) -> Result<Vec<String>> {
    let (mut going, mut others) = (Vec::new(), Vec::new());
    for number in listing.checkpoints.iter().filter(|number| **number < keep) {
        let path = paths::log_checkpoint(table, *number);
        let ours = store.get(&path).await?.is_none_or(|bytes| is_packed_here(&bytes));
        if ours { going.push(path) } else { others.push(path) }
    }
    for number in listing.commits.iter().filter(|number| **number < keep) {
        let path = paths::log_commit(table, *number);
        let ours = origin(store, table, *number).await?.is_some();
        if ours { going.push(path) } else { others.push(path) }
    }
    if !going.is_empty() {
        store.delete(&going).await?;
    }
    Ok(others)
}
