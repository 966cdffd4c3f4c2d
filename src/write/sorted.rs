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
use crate::write::weight::{BATCH, row_bytes};

/// A table's new rows, in order.
pub struct Sorted {
    layout: Arc<Layout>,
    runs: Vec<Run>,
    order: RowConverter,
    counts: Counts,
    /// The key returned last, to leave out a second one.
    last: Vec<u8>,
    current: Option<Current>,
    /// Rows left out because their key occurred twice in one record.
    pub twice: u64,
}

/// The rows that count.
enum Counts {
    /// Every row, also a second one of a key.
    All,
    /// One of each key.
    Keys,
    /// Of these appearances of records, one of each key.
    Winning(Arc<HashSet<u64>>),
}

struct Run {
    batches: Batches,
    batch: Option<Loaded>,
    at: usize,
}

/// The batch of a run that has its next row.
struct Loaded {
    rows: RecordBatch,
    keys: Rows,
    sizes: Vec<usize>,
}

/// The batch being returned.
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
        let counts = if has_losers { Counts::Winning(winning) } else { Counts::Keys };
        Self::reading(layout, segments, counts)
    }

    /// Reads every row of these sorted runs, whether or not a later copy replaces it.
    pub fn all(layout: Arc<Layout>, segments: &[Segment]) -> Result<Self> {
        Self::reading(layout, segments, Counts::All)
    }

    fn reading(layout: Arc<Layout>, segments: &[Segment], counts: Counts) -> Result<Self> {
        let order = layout.order_converter();
        let mut runs = Vec::new();
        for segment in segments {
            let mut run = Run { batches: segment.read()?, batch: None, at: 0 };
            run.load(&layout, &order)?;
            runs.push(run);
        }
        let mut sorted = Self { layout, runs, order, counts, last: Vec::new(), current: None, twice: 0 };
        sorted.refill()?;
        Ok(sorted)
    }

    /// Partition and record of the next row.
    pub fn peek(&self) -> Option<(i32, Key)> {
        let current = self.current.as_ref()?;
        let partition = current.batch.column(self.layout.partition()).as_primitive::<Int32Type>().value(current.at);
        Some((partition, record_key(&current.batch, self.layout.key[0], current.at)))
    }

    /// The number of buffered rows of the next row's partition; the rows after them are unknown.
    pub fn in_hand(&self) -> usize {
        let Some(current) = &self.current else { return 0 };
        let partitions =
            &current.batch.column(self.layout.partition()).as_primitive::<Int32Type>().values()[current.at..];
        partitions.partition_point(|partition| *partition == partitions[0])
    }

    /// The next rows of this partition with a record within the bound; `None` when the next row is outside it.
    pub fn take(&mut self, partition: i32, admits: impl Fn(&Key) -> bool) -> Result<Option<RecordBatch>> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let partitions = current.batch.column(self.layout.partition()).as_primitive::<Int32Type>();
        let rows = current.batch.num_rows();
        let fits = |at: usize| {
            partitions.value(at) == partition && admits(&record_key(&current.batch, self.layout.key[0], at))
        };
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

    /// The next batch of rows of any partition and record.
    pub fn take_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(Current { batch, at }) = self.current.take() else { return Ok(None) };
        self.refill()?;
        Ok(Some(batch.slice(at, batch.num_rows() - at)))
    }

    /// Merges the next batch of rows.
    fn refill(&mut self) -> Result<()> {
        self.current = None;
        while self.current.is_none() {
            let mut batches: Vec<RecordBatch> = Vec::new();
            let mut batch_of_run: Vec<Option<usize>> = vec![None; self.runs.len()];
            let mut picked: Vec<(usize, usize)> = Vec::new();
            let mut drained = true;
            let mut bytes = 0_usize;
            while picked.len() < BATCH.rows && bytes < BATCH.bytes {
                let Some(run) = self.least() else { break };
                drained = false;
                let place = match batch_of_run[run] {
                    Some(place) => place,
                    None => {
                        batches.push(self.runs[run].loaded().rows.clone());
                        *batch_of_run[run].insert(batches.len() - 1)
                    }
                };
                // Batches of rows that do not count are held until the end too.
                bytes = bytes.saturating_add(self.runs[run].loaded().sizes[self.runs[run].at]);
                if self.counts(run) {
                    picked.push((place, self.runs[run].at));
                }
                self.runs[run].at += 1;
                if self.runs[run].at >= self.runs[run].loaded().rows.num_rows() {
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

    /// The run with the least next row.
    fn least(&self) -> Option<usize> {
        let mut least: Option<(usize, Row<'_>)> = None;
        for (place, run) in self.runs.iter().enumerate() {
            let Some(loaded) = &run.batch else { continue };
            let row = loaded.keys.row(run.at);
            if least.as_ref().is_none_or(|(_, known)| row < *known) {
                least = Some((place, row));
            }
        }
        least.map(|(place, _)| place)
    }

    /// Whether the next row of a run counts: its record won, and its key was not returned before.
    fn counts(&mut self, run: usize) -> bool {
        let run = &self.runs[run];
        let loaded = run.loaded();
        match &self.counts {
            Counts::All => return true,
            Counts::Keys => {}
            Counts::Winning(winning) => {
                let seq = loaded.rows.column(self.layout.seq()).as_primitive::<UInt64Type>().value(run.at);
                if !winning.contains(&seq) {
                    return false;
                }
            }
        }
        let row = loaded.keys.row(run.at);
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
        self.batch = self.batches.next()?.map(|rows| {
            let (keys, sizes) = (layout.order(order, &rows), row_bytes(&rows));
            Loaded { rows, keys, sizes }
        });
        Ok(())
    }

    fn loaded(&self) -> &Loaded {
        self.batch.as_ref().expect("a run that has a next row has its batch")
    }
}

/// The record key in a column.
pub fn record_key(batch: &RecordBatch, column: usize, row: usize) -> Key {
    let column = batch.column(column);
    match column.data_type() {
        DataType::Int64 => Key::Int(column.as_primitive::<Int64Type>().value(row)),
        _ => Key::Text(column.as_string::<i32>().value(row).to_owned()),
    }
}
