//! A log as it is stored: its entries, and the state of the table after them.
//!
//! Takes the folder of a log, gives the live and the superseded files. The newest checkpoint replaces the entries up to it.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt};

use crate::delta::action::{
    AddFile, AppTransaction, EntryOrigin, LogLine, Protocol, READER, RemoveFile, TableMetaData, WRITER, damaged_log,
    parse_entry,
};
use crate::delta::checkpoint::parse_checkpoint;
use crate::failure::{Failure, Result};
use crate::store::paths::LogPath;
use crate::store::{Store, paths};

/// Entries read at once.
const AT_ONCE: usize = 16;

/// The objects of a log that have names of the protocol's.
#[derive(Clone, Debug, Default)]
pub struct LogListing {
    /// Numbers of commits, ascending.
    pub commits: Vec<u64>,
    /// Numbers of checkpoints, ascending.
    pub checkpoints: Vec<u64>,
    pub has_pointer: bool,
    /// Paths of objects that have other names.
    pub others: Vec<String>,
}

impl LogListing {
    /// The objects of a table's log.
    pub async fn of(store: &Store, table: &str) -> Result<Self> {
        let mut listing = Self::default();
        for (path, _) in store.list(&paths::log(table)).await? {
            match paths::of_log(&path) {
                Some((_, LogPath::Commit(number))) => listing.commits.push(number),
                Some((_, LogPath::Checkpoint(number))) => listing.checkpoints.push(number),
                Some((_, LogPath::Pointer)) => listing.has_pointer = true,
                None => listing.others.push(path),
            }
        }
        Ok(listing)
    }

    /// Whether there is no log.
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.checkpoints.is_empty()
    }

    /// The origin of the newest entry, if it is one of ours.
    pub async fn newest_origin(&self, store: &Store, table: &str) -> Result<Option<EntryOrigin>> {
        match self.commits.last() {
            Some(number) => origin(store, table, *number).await,
            None => Ok(None),
        }
    }
}

/// The origin of an entry, if it is one of ours.
pub async fn origin(store: &Store, table: &str, number: u64) -> Result<Option<EntryOrigin>> {
    let path = paths::log_commit(table, number);
    let Some(bytes) = store.get(&path).await? else { return Ok(None) };
    let lines = parse_entry(&path, &bytes)?;
    Ok(lines.into_iter().find_map(|line| line.commit_info).and_then(|info| info.pearlift))
}

/// A table after the entries of its log.
#[derive(Clone, Debug, Default)]
pub struct TableLog {
    /// The number of the next entry.
    pub next: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<u64>,
    pub protocol: Option<Protocol>,
    pub meta_data: Option<TableMetaData>,
    /// Live files by their paths below the table's folder.
    pub live: BTreeMap<String, AddFile>,
    /// Superseded files by the same.
    pub superseded: BTreeMap<String, RemoveFile>,
    pub transactions: BTreeMap<String, AppTransaction>,
    /// The origin of the newest entry, if it is one of ours.
    pub origin: Option<EntryOrigin>,
}

impl TableLog {
    /// Reads a log. Refuses (`Damage`) one with holes, and one of a newer protocol.
    pub async fn read(store: &Store, table: &str, listing: &LogListing) -> Result<Self> {
        if listing.is_empty() {
            return Ok(Self::default());
        }
        let mut log = Self { checkpoint: listing.checkpoints.last().copied(), ..Self::default() };
        if let Some(number) = log.checkpoint {
            let path = paths::log_checkpoint(table, number);
            let bytes = store.get(&path).await?.ok_or_else(|| gone(&path))?;
            parse_checkpoint(&path, &bytes)?.into_iter().for_each(|line| log.apply(line));
            log.next = number + 1;
        }
        let first = log.next;
        let wanted: Vec<u64> = listing.commits.iter().copied().filter(|number| *number >= first).collect();
        if let Some((hole, _)) = (first..).zip(&wanted).find(|(expected, number)| expected != *number) {
            return Err(gone(&paths::log_commit(table, hole)));
        }
        // One that a checkpoint covers states where the newest entry came from.
        let newest = listing.commits.last().copied().filter(|number| *number < first);
        if let Some(number) = newest.filter(|number| number + 1 == first) {
            log.origin = origin(store, table, number).await?;
        }
        let mut entries = futures_util::stream::iter(wanted)
            .map(|number| async move {
                let path = paths::log_commit(table, number);
                let bytes = store.get(&path).await?.ok_or_else(|| gone(&path))?;
                parse_entry(&path, &bytes)
            })
            .buffered(AT_ONCE);
        while let Some(lines) = entries.try_next().await? {
            log.follow(lines);
        }
        log.refuse_newer(table)?;
        Ok(log)
    }

    /// The table after one more entry.
    pub fn follow(&mut self, lines: Vec<LogLine>) {
        self.origin = None;
        lines.into_iter().for_each(|line| self.apply(line));
        self.next += 1;
    }

    fn apply(&mut self, line: LogLine) {
        if let Some(info) = line.commit_info {
            self.origin = info.pearlift;
        }
        self.protocol = line.protocol.or(self.protocol);
        self.meta_data = line.meta_data.or_else(|| self.meta_data.take());
        if let Some(txn) = line.txn {
            self.transactions.insert(txn.app_id.clone(), txn);
        }
        if let Some(remove) = line.remove {
            self.live.remove(&remove.path);
            self.superseded.insert(remove.path.clone(), remove);
        }
        if let Some(add) = line.add {
            self.superseded.remove(&add.path);
            self.live.insert(add.path.clone(), add);
        }
    }

    fn refuse_newer(&self, table: &str) -> Result<()> {
        match self.protocol {
            Some(Protocol { min_reader_version, min_writer_version })
                if min_reader_version > READER || min_writer_version > WRITER =>
            {
                Err(damaged_log(&paths::log_commit(table, 0)).because(format!(
                    "another writer raised its protocol to reader {min_reader_version} and writer {min_writer_version}, \
                     and this program knows {READER} and {WRITER}"
                )))
            }
            Some(_) => Ok(()),
            None if self.next == 0 => Ok(()),
            None => Err(damaged_log(&paths::log_commit(table, 0)).because("no entry states its protocol")),
        }
    }

    /// The whole path of a superseded file of ours, by its path below the table's folder.
    pub fn own_path(table: &str, below: &str) -> Option<String> {
        let path = format!("{table}/{below}");
        paths::of_data(&path).is_some_and(|(of, _)| of == table).then_some(path)
    }

    /// Superseded files of ours that were superseded before this moment, in milliseconds since 1970.
    pub fn expired(&self, table: &str, before: i64) -> Vec<String> {
        let old = self.superseded.values().filter(|file| file.deletion_timestamp.unwrap_or(0) < before);
        old.filter_map(|file| Self::own_path(table, &file.path)).collect()
    }

    /// When the oldest file that is still kept was superseded.
    pub fn superseded_since(&self, cutoff: i64) -> Option<i64> {
        self.superseded.values().filter_map(|file| file.deletion_timestamp).filter(|at| *at >= cutoff).min()
    }
}

fn gone(path: &str) -> Failure {
    damaged_log(path).because("it is not there, and later entries need it")
}
