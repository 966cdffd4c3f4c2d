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
    /// It goes, because its record came again without it.
    Replaced,
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

/// Stored values of one table that the new copies of their records no longer have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostValues {
    /// Rows that their records came without.
    pub rows: u64,
    /// Of each column, rows with a stored value of which the new copy has null.
    pub values: Vec<u64>,
}

impl LostValues {
    /// Adds those of another commit.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.values.resize(self.values.len().max(other.values.len()), 0);
        for (lost, more) in self.values.iter_mut().zip(&other.values) {
            *lost += more;
        }
    }

    /// Compares the content (so many columns) of a stored row with that of its new copy.
    fn compare(
        &mut self,
        columns: usize,
        (old, old_row): (&RecordBatch, usize),
        (new, new_row): (&RecordBatch, usize),
    ) {
        self.values.resize(columns, 0);
        for ((lost, old), new) in self.values.iter_mut().zip(old.columns()).zip(new.columns()) {
            *lost += u64::from(new.is_null(new_row) && old.is_valid(old_row));
        }
    }
}

/// Values of watched columns in rows that differ from before, and stored values that are lost.
pub struct Met<'a> {
    columns: Vec<WatchedColumn<'a>>,
    pub lost: &'a mut LostValues,
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
    pub fn new(watch: &'a [Naming], table: usize, into: &'a mut [BTreeSet<i64>], lost: &'a mut LostValues) -> Self {
        let columns = watch.iter().zip(into).filter(|(naming, _)| naming.table == table);
        let watched =
            |(naming, into): (&'a Naming, _)| WatchedColumn { column: naming.column, tests: &naming.tests, into };
        Self { columns: columns.map(watched).collect(), lost }
    }

    /// Takes the values of a stored row and of its new copy, which differ in some of so many columns.
    pub fn take_changed(&mut self, columns: usize, old: (&RecordBatch, usize), new: (&RecordBatch, usize)) {
        self.take(old.0, old.1);
        self.take(new.0, new.1);
        self.lost.compare(columns, old, new);
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
