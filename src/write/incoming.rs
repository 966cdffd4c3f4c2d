//! The new rows that belong to a live file, and the batches of rows that a merge compares.

use std::cmp::Ordering;

use arrow_array::RecordBatch;
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_row::{RowConverter, Rows};
use arrow_schema::SortOptions;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::Key;
use crate::write::columns::Layout;
use crate::write::sorted::{Sorted, record_key};

/// A batch with its keys and a place in it.
pub struct Side {
    pub batch: RecordBatch,
    pub keys: Rows,
    pub at: usize,
}

impl Side {
    /// A batch at its first row.
    pub fn new(batch: RecordBatch, layout: &Layout, converter: &RowConverter) -> Self {
        let keys = layout.keys(converter, &batch);
        Self { batch, keys, at: 0 }
    }

    /// Whether no row is left.
    pub fn is_spent(&self) -> bool {
        self.at >= self.batch.num_rows()
    }

    /// The key of a row, as bytes that sort as keys do.
    pub fn key(&self, row: usize) -> &[u8] {
        self.keys.row(row).data()
    }
}

/// The new rows of one live file, in order.
pub struct Incoming<'a> {
    sorted: &'a mut Sorted,
    partition: i32,
    /// The greatest record that belongs to the file.
    last: Key,
    run: &'a str,
    layout: &'a Layout,
    side: Option<Side>,
    /// How many batches came so far.
    batches: usize,
}

impl<'a> Incoming<'a> {
    /// The rows of a partition up to a record.
    pub fn new(sorted: &'a mut Sorted, partition: i32, last: Key, run: &'a str, layout: &'a Layout) -> Self {
        Self { sorted, partition, last, run, layout, side: None, batches: 0 }
    }

    /// The batch of the next row; none behind the last. The current batch is released once all its rows are taken.
    pub fn head(&mut self, converter: &RowConverter) -> Result<Option<&mut Side>> {
        if self.side.as_ref().is_none_or(Side::is_spent) {
            let rows = self.sorted.take(self.partition, |record| *record <= self.last)?;
            let rows = rows.map(|rows| self.layout.to_file(&rows, self.run));
            self.side = rows.map(|rows| Side::new(rows, self.layout, converter));
            self.batches += 1;
        }
        Ok(self.side.as_mut())
    }

    /// The current batch, even if all its rows are taken.
    pub fn in_hand(&self) -> Option<&Side> {
        self.side.as_ref()
    }

    /// The record of the next row.
    pub fn record_key(&mut self, converter: &RowConverter) -> Result<Option<Key>> {
        let key = self.layout.key[0];
        Ok(self.head(converter)?.map(|side| record_key(&side.batch, key, side.at)))
    }

    /// The next rows of records within the bound; none when the next row is outside it.
    pub fn take(&mut self, converter: &RowConverter, admits: impl Fn(&Key) -> bool) -> Result<Option<RecordBatch>> {
        let key = self.layout.key[0];
        let Some(side) = self.head(converter)? else { return Ok(None) };
        let rows = side.at..side.batch.num_rows();
        let count = rows.take_while(|row| admits(&record_key(&side.batch, key, *row))).count();
        let slice = side.batch.slice(side.at, count);
        side.at += count;
        Ok((count > 0).then_some(slice))
    }
}

/// Compares rows of an old batch with rows of a new one by their content.
#[derive(Default)]
pub struct Compared {
    /// Which batches the comparators are of.
    of: Option<(usize, usize)>,
    columns: Vec<DynComparator>,
}

impl Compared {
    /// Whether two rows are equal, except for when and by which run they were first seen. `place` is the number of the
    /// old batch.
    pub fn are_equal(
        &mut self,
        layout: &Layout,
        (old, place): (&Side, usize),
        incoming: &Incoming<'_>,
    ) -> Result<bool> {
        let new = incoming.in_hand().expect("a row of it is compared");
        if self.of != Some((place, incoming.batches)) {
            let columns = (0..layout.content).map(|column| {
                make_comparator(old.batch.column(column), new.batch.column(column), SortOptions::default())
                    .map_err(|error| Failure::new(Kind::Bug, "compare rows").caused(error))
            });
            self.columns = columns.collect::<Result<_>>()?;
            self.of = Some((place, incoming.batches));
        }
        Ok(self.columns.iter().all(|compare| compare(old.at, new.at) == Ordering::Equal))
    }
}
