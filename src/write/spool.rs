//! The spool: decoded pages gather here until a commit takes them.
//!
//! Every record that comes in gets a number; of the same record twice the newer one wins (the higher of the schema's
//! `newer` columns, else the later request), never the one that arrived later. Losers' rows stay in the spool and are
//! left out when it is read.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow_row::Rows;
use arrow_select::filter::filter_record_batch;
use jiff::Timestamp;

use crate::decode::{Page, TableRows};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::Key;
use crate::schema::Resource;
use crate::store::Watcher;
use crate::write::columns::Layout;
use crate::write::segment::{Segment, sorted};
use crate::write::sorted::Sorted;

/// So many runs of a table are merged into one.
const RUNS: usize = 32;
/// Bytes that a record takes in memory until its commit: its key and the copy that counts, in a table that has doubled.
const RECORD: u64 = 160;

/// Requests less than this apart, in microseconds, are ordered by the arrival of their answers: the source dates its
/// answers to the second.
const RESOLUTION: i64 = 2_000_000;

/// The rows of one resource between two commits.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    pub(super) layouts: Vec<Arc<Layout>>,
    tables: Vec<TableSpool>,
    winners: HashMap<Key, Winner>,
    next_seq: u64,
    segments_written: u64,
    /// Rows in memory above this many bytes go to disk.
    memory: u64,
    watcher: Watcher,
}

#[derive(Debug, Default)]
struct TableSpool {
    pending: Vec<RecordBatch>,
    pending_bytes: u64,
    segments: Vec<Segment>,
    /// Rows taken in, those of copies that do not count among them.
    rows: u64,
}

/// The copy of a record that counts.
#[derive(Clone, Debug)]
pub(super) struct Winner {
    pub newer: Box<[Option<i64>]>,
    pub asked_at: i64,
    seq: u64,
    /// It states that the record has no rows.
    pub empty: bool,
}

impl Winner {
    /// Whether this copy, which came after the other, is newer.
    fn beats(&self, other: &Self) -> bool {
        match rank(&self.newer, &other.newer) {
            Ordering::Equal => self.asked_at.saturating_add(RESOLUTION) >= other.asked_at,
            order => order == Ordering::Greater,
        }
    }
}

/// How two copies rank by the schema's `newer` columns: the first of them in which both have values and differ.
pub(super) fn rank(left: &[Option<i64>], right: &[Option<i64>]) -> Ordering {
    let pairs = left.iter().zip(right).filter_map(|(left, right)| Some((*left)?.cmp(&(*right)?)));
    pairs.into_iter().find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

/// The record keys of a commit, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSet(Vec<Key>);

impl RecordSet {
    /// A set of these.
    pub fn new(mut keys: Vec<Key>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// Whether some record is within the range, ends included.
    pub fn touches(&self, first: &Key, last: &Key) -> bool {
        let from = self.0.partition_point(|key| key < first);
        self.0.get(from).is_some_and(|key| key <= last)
    }

    /// Those that lie within, ends included.
    pub fn within(&self, first: &Key, last: &Key) -> &[Key] {
        let from = self.0.partition_point(|key| key < first);
        let to = self.0.partition_point(|key| key <= last);
        self.0.get(from..to).unwrap_or_default()
    }

    /// Whether this record is one of them.
    pub fn contains(&self, key: &Key) -> bool {
        self.0.binary_search(key).is_ok()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, ascending.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

/// A spool taken for a commit: sorted runs of each table, and which rows of them count.
#[derive(Debug)]
pub struct Spooled {
    pub records: RecordSet,
    pub(super) tables: Vec<(Arc<Layout>, Vec<Segment>)>,
    pub(super) winning: Arc<HashSet<u64>>,
    /// Some record came twice, so rows must be looked at one by one.
    pub(super) has_losers: bool,
    /// The copies that count, until they are compared with the stored ones.
    pub(super) copies: HashMap<Key, Winner>,
}

impl Spooled {
    /// Leaves out these records: their stored rows stay.
    pub fn leave_out(&mut self, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.copies.remove(key);
        }
        self.records = RecordSet::new(self.copies.keys().cloned().collect());
        self.winning = Arc::new(self.copies.values().map(|copy| copy.seq).collect());
        self.has_losers = true;
    }

    /// Whether a copy of the record with rows came.
    pub(super) fn came(&self, key: &Key) -> bool {
        self.copies.get(key).is_some_and(|copy| !copy.empty)
    }

    /// Gives up the memory of copies that have been compared.
    pub fn forget_copies(&mut self) {
        self.copies = HashMap::new();
    }
}

impl Spool {
    /// An empty spool of a resource in a folder of its own, with this many bytes of memory.
    pub fn new(resource: &Resource, folder: &Path, memory: u64) -> Result<Self> {
        Self::with(resource.tables.iter().map(|table| Arc::new(Layout::new(table))).collect(), folder, memory)
    }

    /// An empty spool for rows that files of a resource have.
    pub fn of_files(resource: &Resource, folder: &Path, memory: u64) -> Result<Self> {
        Self::with(resource.tables.iter().map(|table| Arc::new(Layout::stored(table))).collect(), folder, memory)
    }

    fn with(layouts: Vec<Arc<Layout>>, folder: &Path, memory: u64) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::new(Kind::StoreUnreachable, "make the spool")
                .at(folder.display().to_string())
                .caused(error)
                .advise("set `spool` under [limits] to a writable folder")
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            tables: layouts.iter().map(|_| TableSpool::default()).collect(),
            layouts,
            winners: HashMap::new(),
            next_seq: 0,
            segments_written: 0,
            memory,
            watcher: Watcher::default(),
        })
    }

    /// The same spool, with a watcher of its steps.
    pub fn watched(mut self, watcher: Watcher) -> Self {
        self.watcher = watcher;
        self
    }

    /// Takes in a page asked at this time; `partition` overrides that of the records (snapshots). Gives rows of all
    /// tables.
    pub fn add(&mut self, page: &Page, asked_at: Timestamp, partition: Option<i32>) -> Result<u64> {
        let first = self.next_seq;
        self.next_seq += u64::try_from(page.records.len()).expect("a page's length fits");
        for (seq, record) in (first..).zip(&page.records).filter(|(_, record)| record.fits) {
            let newer = record.newer.clone().into_boxed_slice();
            let copy = Winner { newer, asked_at: asked_at.as_microsecond(), seq, empty: false };
            let known = self.winners.get(&record.key);
            if known.is_none_or(|known| copy.beats(known)) {
                self.winners.insert(record.key.clone(), copy);
            }
        }
        let mut rows = 0;
        for (place, table) in page.tables.iter().enumerate() {
            let batch = self.widen(place, table, page, (first, asked_at), partition)?;
            let count = u64::try_from(batch.num_rows()).expect("a page's length fits");
            rows += count;
            self.tables[place].rows += count;
            self.hold(place, batch);
        }
        self.spill()?;
        Ok(rows)
    }

    /// Takes in rows of a file of a table, by its place in the resource, each with the number of its partition.
    pub(super) fn add_stored(&mut self, place: usize, rows: &RecordBatch, partitions: Int32Array) -> Result<()> {
        let columns = rows.columns().iter().cloned().chain([Arc::new(partitions) as ArrayRef]).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.layouts[place].spool), columns)
            .map_err(|error| Failure::new(Kind::Damage, "spool rows of a data file").caused(error))?;
        self.hold(place, batch);
        self.spill()
    }

    /// Keeps rows of a table in memory.
    fn hold(&mut self, place: usize, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            let spool = &mut self.tables[place];
            spool.pending_bytes += u64::try_from(batch.get_array_memory_size()).expect("a size fits");
            spool.pending.push(batch);
        }
    }

    /// Writes rows to disk until those in memory are within the bound.
    fn spill(&mut self) -> Result<()> {
        while self.tables.iter().map(|table| table.pending_bytes).sum::<u64>() > self.memory {
            let largest = (0..self.tables.len()).max_by_key(|place| self.tables[*place].pending_bytes);
            self.flush(largest.expect("a resource has a table"), true)?;
        }
        Ok(())
    }

    /// Notes a record without rows: its old rows are replaced by nothing.
    pub fn add_empty(&mut self, key: Key, asked_at: Timestamp) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let copy = Winner { newer: Box::default(), asked_at: asked_at.as_microsecond(), seq, empty: true };
        if self.winners.get(&key).is_none_or(|known| copy.beats(known)) {
            self.winners.insert(key, copy);
        }
    }

    /// Rows of a page with the spool's own columns, without those of records that do not fit.
    fn widen(
        &self,
        place: usize,
        rows: &TableRows,
        page: &Page,
        (first, asked_at): (u64, Timestamp),
        partition: Option<i32>,
    ) -> Result<RecordBatch> {
        let count = rows.record_places.len();
        let record = |index: &u32| usize::try_from(*index).expect("an index fits");
        let at: TimestampMicrosecondArray =
            TimestampMicrosecondArray::from_iter_values(std::iter::repeat_n(asked_at.as_microsecond(), count))
                .with_timezone("UTC");
        let seq = UInt64Array::from_iter_values(rows.record_places.iter().map(|index| first + u64::from(*index)));
        let partitions = Int32Array::from_iter_values(
            rows.record_places.iter().map(|index| partition.unwrap_or(page.records[record(index)].partition)),
        );
        let mut columns: Vec<ArrayRef> = rows.batch.columns().to_vec();
        columns.push(Arc::new(at));
        columns.push(Arc::new(seq));
        columns.push(Arc::new(partitions));
        let bug = |error| Failure::new(Kind::Bug, "spool a page").caused(error);
        let batch = RecordBatch::try_new(Arc::clone(&self.layouts[place].spool), columns).map_err(bug)?;
        if page.records.iter().all(|record| record.fits) {
            return Ok(batch);
        }
        let fits: BooleanArray =
            rows.record_places.iter().map(|index| Some(page.records[record(index)].fits)).collect();
        filter_record_batch(&batch, &fits).map_err(bug)
    }

    /// Sorts a table's rows in memory into a segment, on disk or not.
    fn flush(&mut self, place: usize, to_disk: bool) -> Result<()> {
        let layout = Arc::clone(&self.layouts[place]);
        let table = &mut self.tables[place];
        if table.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut table.pending);
        table.pending_bytes = 0;
        let converter = layout.order_converter();
        let keys: Vec<Rows> = pending.iter().map(|batch| layout.order(&converter, batch)).collect();
        let batches = sorted(&pending, &keys);
        let segment = if to_disk {
            let path = self.next_path(place);
            Segment::write(batches, &layout.spool, path, 0, &self.watcher)?
        } else {
            Segment::Memory(batches.collect::<Result<_>>()?)
        };
        self.tables[place].segments.push(segment);
        if to_disk { self.join_runs(place) } else { Ok(()) }
    }

    fn next_path(&mut self, place: usize) -> PathBuf {
        self.segments_written += 1;
        self.folder.join(format!("{}-{}.arrow", place, self.segments_written))
    }

    /// Merges the last runs of a table into one, where there are many of a level: a commit holds a batch of each run.
    fn join_runs(&mut self, place: usize) -> Result<()> {
        loop {
            let segments = &self.tables[place].segments;
            let level = |segment: &Segment| match segment {
                Segment::Disk { level, .. } => Some(*level),
                Segment::Memory(_) => None,
            };
            let Some(last) = segments.last().and_then(level) else { return Ok(()) };
            let alike = segments.iter().rev().take_while(|segment| level(segment) == Some(last)).count();
            if alike < RUNS {
                return Ok(());
            }
            let from = segments.len() - alike;
            let layout = &self.layouts[place];
            let mut all = Sorted::all(Arc::clone(layout), &segments[from..])?;
            let schema = Arc::clone(&layout.spool);
            let path = self.next_path(place);
            let batches = std::iter::from_fn(|| all.take_batch().transpose());
            let joined = Segment::write(batches, &schema, path, last + 1, &self.watcher)?;
            for segment in self.tables[place].segments.drain(from..) {
                segment.remove();
            }
            self.tables[place].segments.push(joined);
        }
    }

    /// Bytes gathered so far, on disk and in memory.
    pub fn bytes(&self) -> u64 {
        let of = |table: &TableSpool| table.pending_bytes + table.segments.iter().map(Segment::bytes).sum::<u64>();
        self.tables.iter().map(of).sum()
    }

    /// Records gathered so far.
    pub fn record_count(&self) -> usize {
        self.winners.len()
    }

    /// Bytes of memory that the records gathered so far take until they are committed, as an estimate; rows are not
    /// counted.
    pub fn record_bytes(&self) -> u64 {
        u64::try_from(self.winners.len()).expect("a length fits").saturating_mul(RECORD)
    }

    /// Rows of a table gathered so far, by its place in the resource.
    pub fn rows(&self, place: usize) -> u64 {
        self.tables[place].rows
    }

    /// Whether a record is among them.
    pub fn holds(&self, key: &Key) -> bool {
        self.winners.contains_key(key)
    }

    /// Takes everything for a commit; the spool is empty afterwards.
    pub fn take(&mut self) -> Result<Spooled> {
        for place in 0..self.tables.len() {
            self.flush(place, false)?;
        }
        let winners = std::mem::take(&mut self.winners);
        let has_losers = u64::try_from(winners.len()).expect("a length fits") < self.next_seq;
        let winning: HashSet<u64> =
            if has_losers { winners.values().map(|winner| winner.seq).collect() } else { HashSet::new() };
        let tables = self.tables.iter_mut().map(|table| std::mem::take(&mut table.segments));
        let spooled = Spooled {
            records: RecordSet::new(winners.keys().cloned().collect()),
            tables: self.layouts.iter().cloned().zip(tables).collect(),
            winning: Arc::new(winning),
            has_losers,
            copies: winners,
        };
        self.next_seq = 0;
        self.tables.iter_mut().for_each(|table| table.rows = 0);
        Ok(spooled)
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        for segment in self.tables.iter().flat_map(|(_, segments)| segments) {
            segment.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_copies_the_first_column_in_which_both_have_values_and_differ_decides() {
        for (left, right, order) in [
            (vec![Some(2), Some(1)], vec![Some(1), Some(9)], Ordering::Greater),
            (vec![Some(1), Some(1)], vec![Some(1), Some(9)], Ordering::Less),
            (vec![None, Some(9)], vec![Some(5), Some(1)], Ordering::Greater),
            (vec![Some(5), None], vec![None, Some(1)], Ordering::Equal),
            (vec![], vec![], Ordering::Equal),
        ] {
            assert_eq!(rank(&left, &right), order, "{left:?} {right:?}");
        }
    }

    #[test]
    fn of_two_copies_that_rank_equal_the_later_request_wins() {
        let copy = |version: Option<i64>, asked_at| Winner { newer: [version].into(), asked_at, seq: 0, empty: false };
        assert!(copy(Some(1), 20).beats(&copy(Some(1), 10)));
        assert!(copy(None, 20).beats(&copy(Some(7), 10)));
        assert!(!copy(Some(1), 20).beats(&copy(Some(2), 10)));
    }

    #[test]
    fn of_two_requests_of_one_second_the_one_that_came_later_wins() {
        // The source's clock has no fractions: a slow request seems to be asked earlier than a quick one before it.
        let copy = |asked_at| Winner { newer: [None].into(), asked_at, seq: 0, empty: false };
        assert!(copy(10_400_000).beats(&copy(10_900_000)));
        assert!(!copy(10_400_000).beats(&copy(13_000_000)));
    }
}
