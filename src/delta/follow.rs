//! The logs of a version's tables: each gets the entry after which it lists the files of the version.
//!
//! Takes a version whose files are at their final paths, under the lock of its resource. A log that lists them already costs a
//! list and a read. What a crash left is completed by the same steps.

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::config::DestinationLayout;
use crate::delta::action::EntryOrigin;
use crate::delta::commit::{entry, put_entry};
use crate::delta::log::{LogListing, TableLog};
use crate::delta::shorten::shorten;
use crate::delta::wanted::{WantedTable, cutoff};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::Version;
use crate::store::{Store, StoreStep, paths};

/// Tables followed at once: a bucket answers in tens of milliseconds.
const AT_ONCE: usize = 8;
/// Other writers may put entries of their own meanwhile.
const TRIES: u32 = 5;

/// Makes the logs of a version's tables list its files, and deletes superseded files after the retention.
pub async fn follow(store: &Store, version: &Version, now: Timestamp) -> Result<()> {
    match store.layout() {
        DestinationLayout::Parquet => return Ok(()),
        DestinationLayout::Delta => {}
    }
    let tables = WantedTable::all(version)?;
    futures_util::stream::iter(&tables)
        .map(|table| follow_table(store, table, now))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn follow_table(store: &Store, wanted: &WantedTable<'_>, now: Timestamp) -> Result<()> {
    let (table, cutoff) = (wanted.table, cutoff(now, store.retention()));
    for _ in 0..TRIES {
        let listing = LogListing::of(store, table).await?;
        let newest = listing.newest_origin(store, table).await?;
        if newest.as_ref().is_some_and(|newest| is_reached(wanted, newest, cutoff)) {
            return Ok(());
        }
        let was_ours = newest.is_some_and(|newest| newest.resource == wanted.version.resource);
        if wanted.shape.is_none() && !was_ours {
            // A table that was dropped: there is no log, or another resource has the table now.
            return Ok(());
        }
        let mut log = TableLog::read(store, table, &listing).await?;
        delete_expired(store, wanted, &log, cutoff).await?;
        let mut lines = entry(store, wanted, &log, (now.as_millisecond(), cutoff)).await?;
        if !put_entry(store, table, log.next, &mut lines).await? {
            continue;
        }
        store.reach(StoreStep::Logged, table)?;
        log.follow(lines);
        return shorten(store, table, &log, &listing, cutoff).await;
    }
    Err(Failure::new(Kind::StoreUnreachable, "write a Delta log")
        .at(paths::log(table))
        .because("other writers put entries there faster than this program")
        .advise("stop the other writers of this table, and run again"))
}

/// Whether a log with this newest entry lists the files, and keeps no superseded ones for too long.
fn is_reached(wanted: &WantedTable<'_>, newest: &EntryOrigin, cutoff: i64) -> bool {
    let kept = newest.superseded_since.is_none_or(|since| since >= cutoff);
    newest.resource == wanted.version.resource && newest.files == wanted.digest && kept
}

async fn delete_expired(store: &Store, wanted: &WantedTable<'_>, log: &TableLog, cutoff: i64) -> Result<()> {
    // Those of earlier entries were deleted then, unless another writer came between.
    let is_due = log.origin.as_ref().is_none_or(|origin| origin.superseded_since.is_some_and(|since| since < cutoff));
    let live = wanted.version.paths();
    let mut expired = log.expired(wanted.table, cutoff);
    expired.retain(|path| !live.contains(path.as_str()));
    if !is_due || expired.is_empty() {
        return Ok(());
    }
    store.delete(&expired).await?;
    store.reach(StoreStep::Expired, wanted.table)
}
