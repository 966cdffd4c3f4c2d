//! The removal of a log's past: for a person who is forgotten, and where a destination leaves the layout `delta`.
//!
//! Works under the resource's lock, and each step can be repeated. Deletes files of ours only, and gives the paths of the others.

use jiff::Timestamp;

use crate::config::DestinationLayout;
use crate::delta::follow::follow;
use crate::delta::log::{LogListing, TableLog, origin};
use crate::delta::shorten::{delete_before, write_checkpoint};
use crate::failure::{Kind, Result};
use crate::manifest::Version;
use crate::store::{Store, paths};
use crate::write::is_packed_here;

/// Removes everything but the newest table from the logs of a head: superseded files, whatever the retention, and all
/// entries before a checkpoint of the head. Earlier versions cannot be read afterwards. Gives what others wrote.
pub async fn purge_log(store: &Store, head: &Version, now: Timestamp) -> Result<Vec<String>> {
    match store.layout() {
        DestinationLayout::Parquet => return Ok(Vec::new()),
        DestinationLayout::Delta => {}
    }
    follow(store, head, now).await?;
    let mut others = Vec::new();
    for table in head.tables.keys() {
        let listing = LogListing::of(store, table).await?;
        let log = TableLog::read(store, table, &listing).await?;
        delete_superseded(store, head, table, &log).await?;
        if log.next > 1 {
            let number = write_checkpoint(store, table, &log, i64::MAX).await?;
            others.extend(delete_before(store, table, &listing, number).await?);
        }
    }
    Ok(others)
}

/// Removes the logs of a head's tables, and the superseded files that they name. Gives what others wrote there.
pub async fn discard_log(store: &Store, head: &Version) -> Result<Vec<String>> {
    let mut others = Vec::new();
    for table in head.tables.keys() {
        let listing = LogListing::of(store, table).await?;
        match TableLog::read(store, table, &listing).await {
            Ok(log) => delete_superseded(store, head, table, &log).await?,
            // The remains of a discarded log: its superseded files went first.
            Err(failure) if failure.kind() == Kind::Damage => {}
            Err(failure) => return Err(failure),
        }
        let (mut going, mut kept) = (Vec::new(), listing.others.clone());
        for number in &listing.checkpoints {
            let path = paths::log_checkpoint(table, *number);
            let ours = store.get(&path).await?.is_none_or(|bytes| is_packed_here(&bytes));
            if ours { going.push(path) } else { kept.push(path) }
        }
        for number in &listing.commits {
            let path = paths::log_commit(table, *number);
            let ours = origin(store, table, *number).await?.is_some();
            if ours { going.push(path) } else { kept.push(path) }
        }
        if listing.has_pointer {
            going.push(paths::log_pointer(table));
        }
        if !going.is_empty() {
            store.delete(&going).await?;
        }
        store.remove_empty(&paths::log(table));
        others.extend(kept);
    }
    Ok(others)
}

async fn delete_superseded(store: &Store, head: &Version, table: &str, log: &TableLog) -> Result<()> {
    let live = head.paths();
    let mut superseded = log.expired(table, i64::MAX);
    superseded.retain(|path| !live.contains(path.as_str()));
    if superseded.is_empty() { Ok(()) } else { store.delete(&superseded).await }
}
