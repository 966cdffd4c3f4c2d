//! One live file and the new rows of its key range, merged in order.
//!
//! Rows of owners that are replaced go, new ones come; a new row that is equal to the old one (but for when and by which run
//! it was first seen) leaves the old one as it is.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_row::{RowConverter, Rows};
use arrow_schema::SortOptions;
use arrow_select::interleave::interleave_record_batch;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::Key;
use crate::schema::{DELETED_AT, Naming};
use crate::store::LocalCopy;
use crate::write::columns::Layout;
use crate::write::output::{Output, Target};
use crate::write::reader::read;
use crate::write::sorted::{Sorted, owner};

/// What becomes of an old row of which no new one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stays,
    Goes,
    /// It stays, marked as of a record found deleted at this time (microseconds); a mark that is there stays.
    Marked(i64),
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: u64,
    pub changed: u64,
    /// Taken out of the table, or marked as deleted.
    pub removed: u64,
}

impl Changes {
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

/// The new rows that belong to a live file.
pub struct Incoming<'a> {
    pub sorted: &'a mut Sorted,
    pub partition: i32,
    /// The greatest owner that belongs to the file.
    pub last: Key,
    pub run: &'a str,
    pub layout: &'a Layout,
}

impl Incoming<'_> {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let rows = self.sorted.take(self.partition, |owner| *owner <= self.last)?;
        Ok(rows.map(|rows| self.layout.to_file(&rows, self.run)))
    }
}

/// A batch with its keys and a place in it.
struct Side {
    batch: RecordBatch,
    keys: Rows,
    at: usize,
}

impl Side {
    fn new(batch: RecordBatch, layout: &Layout, converter: &RowConverter) -> Self {
        let keys = layout.keys(converter, &batch);
        Self { batch, keys, at: 0 }
    }
}

/// Rows picked from the batches at hand, written when a batch is done.
#[derive(Default)]
struct Picked {
    /// (which side, row): 0 is old, 1 new, 2 old and marked.
    rows: Vec<(usize, usize)>,
    /// The mark of rows of side 2.
    mark: Option<i64>,
}

/// Values of watched columns in rows that differ from before.
pub struct Met<'a> {
    /// (place of the column in the table, place of the one that must be set, where its values go)
    columns: Vec<(usize, Option<usize>, &'a mut BTreeSet<i64>)>,
}

impl<'a> Met<'a> {
    /// Of the watched columns those of the table at this place.
    pub fn new(watch: &[Naming], table: usize, into: &'a mut [BTreeSet<i64>]) -> Self {
        let columns = watch.iter().zip(into).filter(|(naming, _)| naming.table == table);
        Self { columns: columns.map(|(naming, into)| (naming.column, naming.with, into)).collect() }
    }

    /// Takes the values of one row.
    fn take(&mut self, batch: &RecordBatch, row: usize) {
        for (column, with, into) in &mut self.columns {
            let values = batch.column(*column).as_primitive::<Int64Type>();
            if values.is_valid(row) && with.is_none_or(|with| batch.column(with).is_valid(row)) {
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

/// Merges the file at `path` with what comes in, into `output`. `fate` says what becomes of an owner's old rows.
pub fn merge(
    copy: &LocalCopy,
    mut incoming: Incoming<'_>,
    fate: &dyn Fn(&Key) -> Fate,
    output: &mut Output,
    target: &mut Target<'_>,
    met: &mut Met<'_>,
) -> Result<Changes> {
    let layout = incoming.layout;
    let converter = layout.key_converter();
    let mut old_batches = read(copy)?;
    let mut next_old = || -> Result<Option<Side>> {
        let batch = old_batches
            .next()
            .transpose()
            .map_err(|error| Failure::damaged("read a data file", copy.path().display().to_string()).caused(error))?;
        Ok(batch.map(|batch| Side::new(batch, layout, &converter)))
    };
    let mut changes = Changes::default();
    let mut old = next_old()?;
    let mut new = incoming.next()?.map(|batch| Side::new(batch, layout, &converter));
    let mut picked = Picked::default();
    let mut same: Option<Vec<DynComparator>> = None;
    loop {
        let order = match (&old, &new) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.keys.row(old.at).cmp(&new.keys.row(new.at)),
        };
        match order {
            Ordering::Less => {
                let side = old.as_mut().expect("it is the lesser");
                match fate(&owner(&side.batch, layout.key[0], side.at)) {
                    Fate::Stays => picked.rows.push((0, side.at)),
                    Fate::Marked(_) if layout.is_marked(&side.batch, side.at) => picked.rows.push((0, side.at)),
                    Fate::Marked(at) => {
                        changes.removed += 1;
                        met.take(&side.batch, side.at);
                        picked.mark = Some(at);
                        picked.rows.push((2, side.at));
                    }
                    Fate::Goes => {
                        changes.removed += 1;
                        met.take(&side.batch, side.at);
                    }
                }
                side.at += 1;
            }
            Ordering::Greater => {
                let side = new.as_mut().expect("it is the lesser");
                changes.added += 1;
                met.take(&side.batch, side.at);
                picked.rows.push((1, side.at));
                side.at += 1;
            }
            Ordering::Equal => {
                let (old, new) = (old.as_mut().expect("both are there"), new.as_mut().expect("both are there"));
                let compare = match &same {
                    Some(compare) => compare,
                    None => same.insert(comparators(layout, &old.batch, &new.batch)?),
                };
                if compare.iter().all(|compare| compare(old.at, new.at) == Ordering::Equal) {
                    picked.rows.push((0, old.at));
                } else {
                    changes.changed += 1;
                    met.take(&old.batch, old.at);
                    met.take(&new.batch, new.at);
                    picked.rows.push((1, new.at));
                }
                old.at += 1;
                new.at += 1;
            }
        }
        let old_done = old.as_ref().is_some_and(|side| side.at == side.batch.num_rows());
        let new_done = new.as_ref().is_some_and(|side| side.at == side.batch.num_rows());
        if old_done || new_done {
            picked.write(old.as_ref(), new.as_ref(), output, target)?;
            same = None;
            if old_done {
                old = next_old()?;
            }
            if new_done {
                new = incoming.next()?.map(|batch| Side::new(batch, layout, &converter));
            }
        }
    }
    picked.write(old.as_ref(), new.as_ref(), output, target)?;
    Ok(changes)
}

impl Picked {
    fn write(
        &mut self,
        old: Option<&Side>,
        new: Option<&Side>,
        output: &mut Output,
        target: &mut Target<'_>,
    ) -> Result<()> {
        let (Some((side, first)), Some((last_side, last))) = (self.rows.first(), self.rows.last()) else {
            return Ok(());
        };
        let bug = || Failure::new(Kind::Bug, "merge rows");
        let empty = RecordBatch::new_empty(std::sync::Arc::clone(&target.form.schema));
        let mut sides = [old, new].map(|side| side.map_or(&empty, |side| &side.batch)).to_vec();
        let marked = self.mark.take().map(|at| marked(sides[0], at)).transpose()?;
        sides.extend(&marked);
        let run = last.checked_sub(*first).is_some_and(|span| span + 1 == self.rows.len());
        let one_side = self.rows.iter().all(|(other, _)| other == side) && side == last_side;
        if run && one_side {
            // Nothing in between: the rows as they lie.
            let slice = sides.get(*side).ok_or_else(bug)?.slice(*first, self.rows.len());
            output.write(&slice, target)?;
        } else {
            let batch = interleave_record_batch(&sides, &self.rows).map_err(|error| bug().caused(error))?;
            output.write(&batch, target)?;
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
    columns[place] = std::sync::Arc::new(stamps.with_timezone("UTC"));
    RecordBatch::try_new(batch.schema(), columns).map_err(bug)
}

/// Comparators of the content columns of two batches.
fn comparators(layout: &Layout, old: &RecordBatch, new: &RecordBatch) -> Result<Vec<DynComparator>> {
    (0..layout.content)
        .map(|place| {
            make_comparator(old.column(place), new.column(place), SortOptions::default())
                .map_err(|error| Failure::new(Kind::Bug, "compare rows").caused(error))
        })
        .collect()
}
