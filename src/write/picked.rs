//! Rows picked from an old and a new batch, written in their order.

use std::sync::Arc;

use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use arrow_select::interleave::interleave_record_batch;

use crate::failure::{Failure, Kind, Result};
use crate::schema::DELETED_AT;
use crate::write::output::{Output, Target};

/// Places of batches among those that rows are picked from.
const OLD: usize = 0;
const NEW: usize = 1;
const MARKED: usize = 2;

/// Rows picked from the current batches, written when all rows of one batch are taken.
#[derive(Default)]
pub struct Picked {
    /// (batch, row)
    rows: Vec<(usize, usize)>,
    /// The mark of old rows that are to be marked as of a record found deleted, microseconds.
    mark: Option<i64>,
}

impl Picked {
    pub fn take_old(&mut self, row: usize) {
        self.rows.push((OLD, row));
    }

    pub fn take_new(&mut self, row: usize) {
        self.rows.push((NEW, row));
    }

    pub fn take_marked(&mut self, row: usize, mark: i64) {
        self.mark = Some(mark);
        self.rows.push((MARKED, row));
    }

    /// Writes the picked rows of these batches.
    pub fn write(
        &mut self,
        old: &RecordBatch,
        new: Option<&RecordBatch>,
        output: &mut Output,
        target: &mut Target<'_>,
    ) -> Result<()> {
        let (Some((batch, first)), Some((_, last))) = (self.rows.first().copied(), self.rows.last()) else {
            return Ok(());
        };
        let bug = || Failure::new(Kind::Bug, "merge rows");
        let empty = RecordBatch::new_empty(Arc::clone(&target.form.schema));
        let mut batches = vec![old, new.unwrap_or(&empty)];
        let marked = self.mark.take().map(|at| marked(old, at)).transpose()?;
        batches.extend(&marked);
        let is_run = last.checked_sub(first).is_some_and(|span| span + 1 == self.rows.len());
        if is_run && self.rows.iter().all(|(other, _)| *other == batch) {
            // Nothing in between: the rows as they lie.
            let slice = batches.get(batch).ok_or_else(bug)?.slice(first, self.rows.len());
            output.write_merged(&slice, target)?;
        } else {
            let rows = interleave_record_batch(&batches, &self.rows).map_err(|error| bug().caused(error))?;
            output.write_merged(&rows, target)?;
        }
        self.rows.clear();
        Ok(())
    }
}

/// The same rows, marked as of records found deleted.
fn marked(batch: &RecordBatch, at: i64) -> Result<RecordBatch> {
    let bug = |error| Failure::new(Kind::Bug, "mark rows").caused(error);
    let place = batch.schema_ref().index_of(DELETED_AT).map_err(bug)?;
    let stamps = TimestampMicrosecondArray::from_iter_values(std::iter::repeat_n(at, batch.num_rows()));
    let mut columns = batch.columns().to_vec();
    columns[place] = Arc::new(stamps.with_timezone("UTC"));
    RecordBatch::try_new(batch.schema(), columns).map_err(bug)
}
