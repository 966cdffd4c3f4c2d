//! The effect of a commit on rows: the action on old rows, the number of rows that differ, and the values that differ.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};

use crate::schema::{Naming, Test};
use crate::write::lookup::admits;

/// The fate of an old row of which no new one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAction {
    Stays,
    Goes,
    /// It stays, marked as of a record found deleted at this time (microseconds); a mark that is there stays.
    Marked(i64),
}

/// The effect of a merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowChanges {
    pub added: u64,
    pub changed: u64,
    /// Taken out of the table, or marked as deleted.
    pub removed: u64,
}

impl RowChanges {
    /// Whether anything differs from before.
    pub fn any(&self) -> bool {
        self.added + self.changed + self.removed > 0
    }

    /// Rows that differ from before.
    pub fn total(&self) -> u64 {
        self.added + self.changed + self.removed
    }

    /// Adds another's.
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

/// Values of watched columns in rows that differ from before.
pub struct Met<'a> {
    columns: Vec<WatchedColumn<'a>>,
}

struct WatchedColumn<'a> {
    /// Its place in the table.
    column: usize,
    /// Tests of other columns, by their places.
    tests: &'a [(usize, Test)],
    into: &'a mut BTreeSet<i64>,
}

impl<'a> Met<'a> {
    /// Of the watched columns those of the table at this place.
    pub fn new(watch: &'a [Naming], table: usize, into: &'a mut [BTreeSet<i64>]) -> Self {
        let columns = watch.iter().zip(into).filter(|(naming, _)| naming.table == table);
        let watched =
            |(naming, into): (&'a Naming, _)| WatchedColumn { column: naming.column, tests: &naming.tests, into };
        Self { columns: columns.map(watched).collect() }
    }

    /// Takes the values of one row.
    pub fn take(&mut self, batch: &RecordBatch, row: usize) {
        for WatchedColumn { column, tests, into } in &mut self.columns {
            let values = batch.column(*column).as_primitive::<Int64Type>();
            let passes = |(place, test): &(usize, Test)| admits(test, batch.column(*place), row);
            if values.is_valid(row) && tests.iter().all(passes) {
                into.insert(values.value(row));
            }
        }
    }

    /// Takes the values of every row.
    pub fn take_all(&mut self, batch: &RecordBatch) {
        if !self.columns.is_empty() {
            (0..batch.num_rows()).for_each(|row| self.take(batch, row));
        }
    }
}
