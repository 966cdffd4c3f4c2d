//! The rows and rejected records that a resource has read since its last commit.
//!
//! Takes decoded pages, gives the next commit its rows, its files of rejected records and the keys that keep stored
//! rows.

use std::path::Path;

use jiff::Timestamp;

use crate::decode::{Page, RejectedRecord};
use crate::failure::{Failure, Result};
use crate::manifest::{Key, RejectedFile};
use crate::schema::Resource;
use crate::store::Watcher;
use crate::write::{RecordSet, Replace, Spool};

/// Records found deleted.
#[derive(Debug)]
pub struct Gone {
    pub records: RecordSet,
    pub at: Timestamp,
    /// Their rows are kept among the deleted rows.
    pub kept: bool,
}

/// All that the next commit takes beside the state.
#[derive(Debug)]
pub struct Buffer {
    /// Elsewhere while a worker adds to it or writes it.
    spool: Option<Spool>,
    /// Rejected records that are not written yet.
    pub rejected: Vec<RejectedRecord>,
    /// Files of rejected records that the next commit names.
    pub rejected_files: Vec<RejectedFile>,
    /// Records that could not be read: their stored rows stay.
    pub preserved_keys: Vec<Key>,
    /// A record with an unreadable key was fetched: no stored row may be removed.
    pub has_record_without_key: bool,
    /// Records found deleted: the next commit takes their rows out of the tables.
    pub gone: Option<Gone>,
}

impl Buffer {
    /// An empty buffer of a resource, which keeps this many bytes in memory and the rest in this folder.
    pub fn new(resource: &Resource, folder: &Path, memory: u64, watcher: Watcher) -> Result<Self> {
        Ok(Self {
            spool: Some(Spool::new(resource, folder, memory)?.watched(watcher)),
            rejected: Vec::new(),
            rejected_files: Vec::new(),
            preserved_keys: Vec::new(),
            has_record_without_key: false,
            gone: None,
        })
    }

    /// The rows.
    pub fn spool(&self) -> &Spool {
        self.spool.as_ref().expect("the spool is back between calls")
    }

    /// Takes the rows away for a worker, which gives them back.
    pub fn take_spool(&mut self) -> Spool {
        self.spool.take().expect("the spool is back between calls")
    }

    /// Gives the rows back.
    pub fn give_back(&mut self, spool: Spool) {
        self.spool = Some(spool);
    }

    /// Adds the rows of pages, each with the time at which it was asked, and records that had no rows at this time.
    /// Gives the number of rows.
    pub async fn add(
        &mut self,
        pages: Vec<(Page, Timestamp)>,
        partition: Option<i32>,
        empty: Vec<i64>,
        at: Timestamp,
    ) -> Result<u64> {
        let mut spool = self.take_spool();
        let added = tokio::task::spawn_blocking(move || {
            let mut rows = 0;
            for (page, asked_at) in &pages {
                rows += spool.add(page, *asked_at, partition)?;
            }
            for id in empty {
                spool.add_empty(Key::Int(id), at);
            }
            Ok::<_, Failure>((spool, rows))
        });
        let (spool, rows) = added.await.expect("spooling does not panic")?;
        self.give_back(spool);
        Ok(rows)
    }

    /// Whether anything waits for a commit.
    pub fn has_rows(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.record_count() > 0)
    }

    /// Whether the commit in hand brings a record, or leaves it as it is.
    pub fn brings(&self, id: i64) -> bool {
        self.spool().holds(&Key::Int(id)) || self.preserved_keys.contains(&Key::Int(id))
    }

    /// Takes the rows of records that were found deleted at this time out of the tables with the next commit.
    pub fn delete_records(&mut self, ids: Vec<i64>, at: Timestamp, kept: bool) {
        let before = self.gone.take();
        let before = before.iter().flat_map(|gone| gone.records.keys()).cloned();
        let records = RecordSet::new(before.chain(ids.into_iter().map(Key::Int)).collect());
        self.gone = Some(Gone { records, at, kept });
    }

    /// The rows that a commit may take out of the tables: no others than of the records that came, where the key of one
    /// could not be read.
    pub fn admitted(&self, replace: Replace) -> Replace {
        if replace == Replace::Everything && self.has_record_without_key { Replace::Records } else { replace }
    }
}
