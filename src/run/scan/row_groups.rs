//! Rows of records with keys that repeat: their number in a reading, and the groups of a page that are complete.
//!
//! A record is replaced by the rows read of it: a reading with fewer rows of a record than another one is not accepted.

use std::collections::BTreeMap;

use crate::decode::Page;
use crate::failure::Result;
use crate::manifest::{Key, PendingId};
use crate::quantity::plural;
use crate::run::session::ResourceSession;
use crate::schema::{Resource, Rows};
use crate::write::{CountedRows, count_rows};

/// The rows that a reading shows, by record.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The table with one row per record that the source shows; none where keys do not repeat.
    table: Option<usize>,
    whole: Option<i64>,
    rows: BTreeMap<Key, u64>,
}

impl Groups {
    /// Nothing yet of this resource.
    pub fn of(resource: &Resource) -> Self {
        let table = resource.tables.iter().position(|table| table.rows == Rows::Record);
        Self { table: table.filter(|_| resource.read.repeats), ..Self::default() }
    }

    /// Notes a page. Records up to the one that was whole before it are on it in part: they are left out. `whole` is
    /// the greatest id that is whole now.
    pub fn take(&mut self, page: &mut Page, whole: Option<i64>) {
        if self.table.is_none() {
            return;
        }
        let known = self.whole;
        let is_known = |key: &Key| matches!((key, known), (Key::Int(id), Some(known)) if *id <= known);
        page.records.iter_mut().filter(|record| is_known(&record.key)).for_each(|record| record.fits = false);
        page.rejected_records.retain(|record| !record.id.as_ref().is_some_and(is_known));
        page.rejected_rows.retain(|record| !record.id.as_ref().is_some_and(is_known));
        self.note(page);
        self.whole = whole.max(known);
    }

    /// Notes the rows of a page.
    pub fn note(&mut self, page: &Page) {
        let Some(table) = self.table else { return };
        let known = self.whole;
        let is_known = |key: &Key| matches!((key, known), (Key::Int(id), Some(known)) if *id <= known);
        let mut rows = vec![0; page.records.len()];
        for place in &page.tables[table].record_places {
            rows[usize::try_from(*place).expect("an index fits")] += 1;
        }
        let shown = page.records.iter().zip(rows).filter(|(record, _)| !is_known(&record.key));
        self.rows.extend(shown.map(|(record, rows)| (record.key.clone(), rows)));
    }

    /// The rows of all records.
    pub fn total(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Whether another reading shows the same records with as many rows each.
    pub fn is_same(&self, other: &Self) -> bool {
        self.rows == other.rows
    }

    /// The records of which a later reading shows fewer rows, though it shows them.
    pub fn shrunk(&self, later: &Self) -> Vec<Key> {
        let fewer = self.rows.iter().filter(|(key, rows)| later.rows.get(*key).is_some_and(|later| later < *rows));
        fewer.map(|(key, _)| key.clone()).collect()
    }
}

impl ResourceSession<'_> {
    /// The live rows of the table with one row per record that the source shows; none where keys do not repeat.
    pub async fn held_rows(&self) -> Result<Option<u64>> {
        let (Some(head), true) = (&self.head, self.resource.read.repeats) else { return Ok(None) };
        let Some(table) = self.resource.record_table() else { return Ok(None) };
        let files = head.tables.get(&table.name).map(|table| table.files.clone()).unwrap_or_default();
        let key = &table.columns[table.key[0]].name;
        let rows =
            count_rows(&self.context.store, &files, key, table.mark().is_some(), &CountedRows::UpTo(None)).await?;
        Ok(Some(rows))
    }

    /// Leaves records as they are that two readings show with different rows: they are read again by the next run.
    pub fn doubt_shrunk(&mut self, keys: Vec<Key>, at: jiff::Timestamp) {
        if keys.is_empty() {
            return;
        }
        let records = plural(keys.len(), "record");
        let text = format!("{records} with fewer rows in a second answer: the stored rows stay");
        self.context.events.warn(&self.name, text);
        for id in keys {
            let reason = "two answers show different rows of it".to_owned();
            self.preserve([id.clone()]);
            if !self.state.pending.iter().any(|pending| pending.id == id) {
                self.state.pending.push(PendingId { id, reason, since: at });
            }
        }
    }
}
