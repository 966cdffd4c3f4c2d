//! The logs of tables as `verify` and `clean` see them. Reads only.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::config::DestinationLayout;
use crate::delta::log::{LogListing, TableLog};
use crate::delta::wanted::{WantedTable, cutoff};
use crate::failure::{Kind, Result};
use crate::manifest::Version;
use crate::store::{Store, paths};

/// A log compared with the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It lists the files of the head.
    Equal,
    /// It does not list them: a run follows the head with it.
    Behind,
    /// It cannot be read.
    Damaged(String),
}

/// The log of each table of a head, with the path of its folder; none in the layout `parquet`.
pub async fn compare_log(store: &Store, head: &Version) -> Result<Vec<(String, LogState)>> {
    match store.layout() {
        DestinationLayout::Parquet => return Ok(Vec::new()),
        DestinationLayout::Delta => {}
    }
    let mut compared = Vec::new();
    for wanted in WantedTable::all(head)?.into_iter().filter(|wanted| wanted.shape.is_some()) {
        let state = match compare(store, &wanted).await {
            Err(failure) if failure.kind() == Kind::Damage => LogState::Damaged(failure.to_string()),
            found => found?,
        };
        compared.push((paths::log(wanted.table), state));
    }
    Ok(compared)
}

async fn compare(store: &Store, wanted: &WantedTable<'_>) -> Result<LogState> {
    let listing = LogListing::of(store, wanted.table).await?;
    if listing.is_empty() {
        return Ok(LogState::Behind);
    }
    let log = TableLog::read(store, wanted.table, &listing).await?;
    let shape = wanted.shape.as_ref().zip(log.meta_data.as_ref());
    let same_shape = shape.is_some_and(|(shape, known)| {
        shape.schema == known.schema_string && shape.partition == known.partition_columns
    });
    let sizes = |(path, file): (&&str, &&crate::manifest::DataFile)| {
        log.live.get(*path).is_some_and(|known| u64::try_from(known.size).is_ok_and(|size| size == file.bytes))
    };
    let same_files = log.live.len() == wanted.files.len() && wanted.files.iter().all(sizes);
    Ok(if same_shape && same_files { LogState::Equal } else { LogState::Behind })
}

/// The superseded files of a table that its log names, by their whole paths, each with whether the retention is over; none in
/// the layout `parquet`. `now` is our clock.
pub async fn superseded(store: &Store, table: &str, now: Timestamp) -> Result<BTreeMap<String, bool>> {
    match store.layout() {
        DestinationLayout::Parquet => return Ok(BTreeMap::new()),
        DestinationLayout::Delta => {}
    }
    let listing = LogListing::of(store, table).await?;
    let log = TableLog::read(store, table, &listing).await?;
    let cutoff = cutoff(now, store.retention());
    let own = log.superseded.values().filter_map(|file| {
        Some((TableLog::own_path(table, &file.path)?, file.deletion_timestamp.unwrap_or(0) < cutoff))
    });
    Ok(own.collect())
}
