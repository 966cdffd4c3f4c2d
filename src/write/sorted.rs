//! The rows of a table in a taken spool, in order of partition and key: a merge of its sorted runs.
//!
//! Rows of records that lost to a newer copy are left out, and so is a second row of one key (counted).

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_row::{Row, RowConverter, Rows};
use arrow_schema::DataType;
use arrow_select::interleave::interleave_record_batch;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::Key;
use crate::write::columns::Layout;
use crate::write::segment::{Batches, Segment};

/// Rows handed out at a time.
const BATCH: usize = 8192;

/// A table's new rows, in order.
pub struct Sorted {
    layout: Arc<Layout>,
    runs: Vec<Run>,
    order: RowConverter,
    winning: Arc<HashSet<u64>>,
    has_losers: bool,
    /// The key handed out last, to leave out a second one.
    last: Vec<u8>,
    current: Option<Current>,
    /// Rows left out because their key stood twice in one record.
    pub twice: u64,
}

struct Run {
    batches: Batches,
    batch: Option<(RecordBatch, Rows)>,
    at: usize,
}

/// The batch being handed out.
struct Current {
    batch: RecordBatch,
    at: usize,
}

impl Sorted {
    /// Reads these sorted runs.
    pub fn new(
        layout: Arc<Layout>,
        segments: &[Segment],
        winning: Arc<HashSet<u64>>,
        has_losers: bool,
    ) -> Result<Self> {
        let order = layout.order_converter();
        let mut runs = Vec::new();
        for segment in segments {
            let mut run = Run { batches: segment.read()?, batch: None, at: 0 };
            run.load(&layout, &order)?;
            runs.push(run);
        }
        let mut sorted = Self { layout, runs, order, winning, has_losers, last: Vec::new(), current: None, twice: 0 };
        sorted.refill()?;
        Ok(sorted)
    }

    /// Partition and owner of the next row.
    pub fn peek(&self) -> Option<(i32, Key)> {
        let current = self.current.as_ref()?;
        let partition = current.batch.column(self.layout.partition()).as_primitive::<Int32Type>().value(current.at);
        Some((partition, owner(&current.batch, self.layout.key[0], current.at)))
    }

    /// The next rows of this partition whose owner the bound admits; `None` when the next row is none of them.
    pub fn take(&mut self, partition: i32, admits: impl Fn(&Key) -> bool) -> Result<Option<RecordBatch>> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let partitions = current.batch.column(self.layout.partition()).as_primitive::<Int32Type>();
        let rows = current.batch.num_rows();
        let fits =
            |at: usize| partitions.value(at) == partition && admits(&owner(&current.batch, self.layout.key[0], at));
        if !fits(current.at) {
            return Ok(None);
        }
        // Rows are sorted, so the last that fits is found by halving.
        let (mut low, mut high) = (current.at + 1, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let slice = current.batch.slice(current.at, low - current.at);
        current.at = low;
        if low == rows {
            self.refill()?;
        }
        Ok(Some(slice))
    }

    /// Merges the next batch of rows.
    fn refill(&mut self) -> Result<()> {
        self.current = None;
        while self.current.is_none() {
            let mut batches: Vec<RecordBatch> = Vec::new();
            let mut batch_of_run: Vec<Option<usize>> = vec![None; self.runs.len()];
            let mut picked: Vec<(usize, usize)> = Vec::new();
            let mut drained = true;
            while picked.len() < BATCH {
                let Some(run) = self.least() else { break };
                drained = false;
                let place = match batch_of_run[run] {
                    Some(place) => place,
                    None => {
                        let (batch, _) = self.runs[run].batch.as_ref().expect("the least run has a batch");
                        batches.push(batch.clone());
                        *batch_of_run[run].insert(batches.len() - 1)
                    }
                };
                if self.counts(run) {
                    picked.push((place, self.runs[run].at));
                }
                self.runs[run].at += 1;
                let exhausted =
                    self.runs[run].batch.as_ref().is_none_or(|(batch, _)| self.runs[run].at >= batch.num_rows());
                if exhausted {
                    let (layout, order) = (Arc::clone(&self.layout), &self.order);
                    self.runs[run].load(&layout, order)?;
                    batch_of_run[run] = None;
                }
            }
            if drained {
                return Ok(());
            }
            if !picked.is_empty() {
                let parts: Vec<&RecordBatch> = batches.iter().collect();
                let batch = interleave_record_batch(&parts, &picked)
                    .map_err(|error| Failure::new(Kind::Bug, "merge the spool").caused(error))?;
                self.current = Some(Current { batch, at: 0 });
            }
        }
        Ok(())
    }

    /// The run whose next row is least.
    fn least(&self) -> Option<usize> {
        let mut least: Option<(usize, Row<'_>)> = None;
        for (place, run) in self.runs.iter().enumerate() {
            let Some((_, rows)) = &run.batch else { continue };
            let row = rows.row(run.at);
            if least.as_ref().is_none_or(|(_, known)| row < *known) {
                least = Some((place, row));
            }
        }
        least.map(|(place, _)| place)
    }

    /// Whether the next row of a run counts: its record won, and its key was not handed out before.
    fn counts(&mut self, run: usize) -> bool {
        let run = &self.runs[run];
        let (batch, rows) = run.batch.as_ref().expect("the run has a batch");
        if self.has_losers {
            let seq = batch.column(self.layout.seq()).as_primitive::<UInt64Type>().value(run.at);
            if !self.winning.contains(&seq) {
                return false;
            }
        }
        let row = rows.row(run.at);
        if self.last == row.data() {
            self.twice += 1;
            return false;
        }
        self.last.clear();
        self.last.extend_from_slice(row.data());
        true
    }
}

impl Run {
    fn load(&mut self, layout: &Layout, order: &RowConverter) -> Result<()> {
        self.at = 0;
        self.batch = self.batches.next()?.map(|batch| {
            let rows = layout.order(order, &batch);
            (batch, rows)
        });
        Ok(())
    }
}

/// The owner key in a column.
pub fn owner(batch: &RecordBatch, column: usize, row: usize) -> Key {
    let column = batch.column(column);
    match column.data_type() {
        DataType::Int64 => Key::Int(column.as_primitive::<Int64Type>().value(row)),
        _ => Key::Text(column.as_string::<i32>().value(row).to_owned()),
    }
}
