//! The files of a commit: for each table, partition by partition, live files merged with new rows.
//!
//! Live files of a partition have key ranges that do not overlap. New rows within a file's range are merged into it;
//! rows outside every range are appended as files of their own, or, where they are few, written into a small neighbour
//! at a scan's last commit. A file in which nothing changed stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::{DataFile, Key, TableFiles, Version};
use crate::schema::{Naming, Partition, Resource, Table};
use crate::store::{Store, StoreStep};
use crate::write::ahead::Ahead;
use crate::write::changes::{LostValues, Met, RowAction, RowChanges};
use crate::write::columns::Layout;
use crate::write::context::WriteContext;
use crate::write::form::{Form, Sizes};
use crate::write::incoming::Incoming;
use crate::write::merge::{Merge, MergePlace, Rules};
use crate::write::open::OpenRows;
use crate::write::output::{Begun, Draft, Output, Target, empty};
use crate::write::partition::{number, segment};
use crate::write::sorted::Sorted;
use crate::write::spool::{RecordSet, Spooled};

/// A file smaller than the target size divided by this is joined with rows that come beside it, or with a small
/// neighbour that is written: each night may write this many bytes once more.
const SMALL: u64 = 32;
/// One that is smaller than the target size divided by this is joined with any number of rows.
const TINY: u64 = 128;
/// So many rows that come have a file of their own.
const MANY: usize = 4096;

/// The old rows that the new ones replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Those of the records that were returned.
    Records,
    /// All of the table: a record that was not returned is deleted.
    Everything,
    /// All of one partition: a day's snapshot.
    Partition(i32),
    /// Those of the records that were returned, in one partition alone.
    Within(i32),
}

/// The records that are marked as deleted instead of removed.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    pub records: &'a RecordSet,
    /// By the source's clock.
    pub at: Timestamp,
}

/// The result of a commit's writing.
#[derive(Debug, Default)]
pub struct Written {
    pub tables: BTreeMap<String, TableFiles>,
    pub removes: Vec<String>,
    pub files: u64,
    pub bytes: u64,
    pub changes: RowChanges,
    /// Rows left out because their key occurred twice in one record.
    pub twice: u64,
    /// Files of deleted rows.
    pub deleted: Vec<DataFile>,
    /// For each watched column, its values in rows that differ from before.
    pub met: Vec<BTreeSet<i64>>,
    /// For each table, stored values that the new copies of their records no longer have.
    pub lost: Vec<LostValues>,
}

/// The context of writing, apart from the rows.
/// More than twelve fields: all that a commit decides about its tables.
#[derive(Clone, Debug)]
pub struct WriteRequest<'a> {
    pub store: &'a Store,
    pub resource: &'a Resource,
    pub head: Option<&'a Version>,
    pub spool: &'a Path,
    pub run: &'a str,
    pub replace: Replace,
    /// Records with old rows that are preserved when everything is replaced: they could not be read.
    pub preserved: &'a RecordSet,
    /// In tables that keep rows of deleted records: the records found deleted, and the time at which missing ones were.
    pub marks: Option<Marks<'a>>,
    pub sizes: Sizes,
    /// Snapshots of days before this one go, in days since 1970.
    pub keep_from: Option<i32>,
    /// The scan's last commit: small neighbours are joined.
    pub last: bool,
    /// Int64 columns with references: their values in new, changed and removed rows are collected.
    pub watch: &'a [Naming],
    /// Of tables by a date, rows of periods that end before this month are not watched, in days since 1970.
    pub met_from: i32,
}

impl Written {
    /// Stages finished files of a table, counts them, and returns their entries in the manifest.
    pub(super) fn stage(&mut self, context: &WriteContext<'_>, drafts: Vec<Draft>) -> Result<Vec<DataFile>> {
        let files = context.stage(drafts)?;
        self.files += u64::try_from(files.len()).expect("a length fits");
        self.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        Ok(files)
    }
}

impl<'a> WriteRequest<'a> {
    fn context(&self, runtime: &'a Handle) -> WriteContext<'a> {
        WriteContext { store: self.store, spool: self.spool, run: self.run, sizes: self.sizes, runtime }
    }
}

/// Writes and stages the files of a commit. Blocks: call it from a blocking thread. `next_number` numbers the run's
/// files.
pub fn write_tables(
    work: &WriteRequest<'_>,
    spooled: &Spooled,
    runtime: &Handle,
    next_number: &mut u64,
) -> Result<Written> {
    let _entered = runtime.enter();
    let context = work.context(runtime);
    let mut written = Written { met: vec![BTreeSet::new(); work.watch.len()], ..Written::default() };
    for (place, (table, (layout, segments))) in work.resource.tables.iter().zip(&spooled.tables).enumerate() {
        let mut sorted = Sorted::new(Arc::clone(layout), segments, Arc::clone(&spooled.winning), spooled.has_losers)?;
        let form = Form {
            schema: Arc::clone(&layout.file),
            key: layout.key.clone(),
            schema_hash: work.resource.hash.clone(),
            sizes: context.sizes,
        };
        let mut target = context.target(&table.name, &form, OpenRows::of(work.resource, table), next_number);
        let mut outcome = TableOutcome::default();
        let writing = TableWriting { work, table, layout, fetched_records: &spooled.records, runtime };
        let mut lost = LostValues::default();
        let mut met = Met::new(work.watch, place, &mut written.met, &mut lost);
        writing.write(&mut sorted, &mut target, &mut outcome, &mut met)?;
        written.lost.push(lost);
        written.twice += sorted.twice;
        written.changes.add(outcome.changes);
        written.removes.extend(outcome.removes);
        let mut files = outcome.kept;
        files.extend(written.stage(&context, outcome.drafts)?);
        work.store.reach(StoreStep::TableStaged, &table.name)?;
        files.sort_by(|a, b| (&a.partition, &a.first).cmp(&(&b.partition, &b.first)));
        let before = work.head.and_then(|head| head.tables.get(&table.name));
        written.tables.insert(table.name.clone(), TableFiles { files, ..TableFiles::going_on(table, before) });
    }
    Ok(written)
}

#[derive(Default)]
struct TableOutcome {
    kept: Vec<DataFile>,
    drafts: Vec<Draft>,
    removes: Vec<String>,
    changes: RowChanges,
}

/// One table of a commit.
#[derive(Clone, Copy)]
struct TableWriting<'a> {
    work: &'a WriteRequest<'a>,
    table: &'a Table,
    layout: &'a Layout,
    fetched_records: &'a RecordSet,
    runtime: &'a Handle,
}

impl<'a> TableWriting<'a> {
    fn write(
        &self,
        sorted: &mut Sorted,
        target: &mut Target<'_>,
        outcome: &mut TableOutcome,
        met: &mut Met<'_>,
    ) -> Result<()> {
        let (work, table) = (self.work, self.table);
        let mut live: BTreeMap<i32, Vec<DataFile>> = BTreeMap::new();
        let mut empties = Vec::new();
        for file in work.head.and_then(|head| head.tables.get(&table.name)).into_iter().flat_map(|table| &table.files) {
            if file.rows == 0 {
                empties.push(file.clone());
            } else {
                live.entry(number(&table.partition, file.partition.as_deref())?).or_default().push(file.clone());
            }
        }
        live.values_mut().for_each(|files| files.sort_by(|a, b| a.first.cmp(&b.first)));
        let merged = live.iter().flat_map(|(partition, files)| {
            let side = self.side(*partition);
            files.iter().filter(move |file| !side.is_expired() && side.touches(file)).cloned()
        });
        let mut ahead = Ahead::new(work.store, self.runtime, merged.collect(), work.sizes.row_group_bytes);
        let mut partitions: BTreeSet<i32> = live.keys().copied().collect();
        loop {
            partitions.extend(sorted.peek().map(|(partition, _)| partition));
            let Some(partition) = partitions.pop_first() else { break };
            let files = live.remove(&partition).unwrap_or_default();
            let side = self.side(partition);
            if side.is_expired() {
                outcome.removes.extend(files.into_iter().map(|file| file.path));
                continue;
            }
            let granularity = table.partition.date().map(|(granularity, _)| granularity);
            if granularity.is_some_and(|granularity| granularity.last_month(partition) < work.met_from) {
                let mut unwatched = Met::new(&[], 0, &mut [], met.lost);
                side.write(files, sorted, &mut ahead, Sink { target, outcome, met: &mut unwatched })?;
            } else {
                side.write(files, sorted, &mut ahead, Sink { target, outcome, met })?;
            }
        }
        if outcome.kept.is_empty() && outcome.drafts.is_empty() {
            // A table without rows has one file all the same, so that queries work from the first day.
            match empties.pop() {
                Some(file) => outcome.kept.push(file),
                None => outcome.drafts.push(empty(segment(&table.partition, 0), target)?),
            }
        }
        outcome.removes.extend(empties.into_iter().map(|file| file.path));
        Ok(())
    }

    fn side(&self, partition: i32) -> Side<'a> {
        let Self { work, table, layout, fetched_records, runtime } = *self;
        Side { work, table, layout, fetched_records, runtime, partition }
    }
}

/// The places to which a partition is written.
struct Sink<'a, 'b, 'c> {
    target: &'a mut Target<'b>,
    outcome: &'a mut TableOutcome,
    met: &'a mut Met<'c>,
}

/// One partition of a table.
#[derive(Clone, Copy)]
struct Side<'a> {
    work: &'a WriteRequest<'a>,
    table: &'a Table,
    layout: &'a Layout,
    fetched_records: &'a RecordSet,
    runtime: &'a Handle,
    partition: i32,
}

impl Side<'_> {
    /// Whether it is a snapshot of a day that is no longer kept.
    fn is_expired(&self) -> bool {
        let is_snapshot = matches!(self.table.partition, Partition::Snapshot { .. });
        is_snapshot && self.work.keep_from.is_some_and(|from| self.partition < from)
    }

    /// The action on a record's old rows that have no new ones.
    fn action(&self, record: &Key) -> RowAction {
        let came = self.fetched_records.contains(record);
        let is_kept = self.work.preserved.contains(record);
        let missing = match self.work.replace {
            Replace::Everything => !came && !is_kept,
            Replace::Partition(_) | Replace::Within(_) | Replace::Records => false,
        };
        match self.work.marks {
            Some(marks) if missing || (!came && marks.records.contains(record)) => {
                RowAction::Marked(marks.at.as_microsecond())
            }
            Some(_) | None => {
                let goes = match self.work.replace {
                    Replace::Everything => came || !is_kept,
                    Replace::Partition(partition) => partition == self.partition && (came || !is_kept),
                    Replace::Within(partition) => partition == self.partition && came,
                    Replace::Records => came,
                };
                match (goes, came) {
                    (true, true) => RowAction::Replaced,
                    (true, false) => RowAction::Goes,
                    (false, _) => RowAction::Stays,
                }
            }
        }
    }

    fn touches(&self, file: &DataFile) -> bool {
        match self.work.replace {
            Replace::Everything => true,
            Replace::Partition(partition) => partition == self.partition,
            Replace::Within(partition) if partition != self.partition => false,
            Replace::Within(_) | Replace::Records => {
                file.first.as_ref().zip(file.last.as_ref()).is_some_and(|(first, last)| {
                    let marked = self.work.marks.is_some_and(|marks| marks.records.touches(first, last));
                    marked || self.fetched_records.touches(first, last)
                })
            }
        }
    }

    /// The records with rows that may change; none means any.
    fn records(&self) -> Option<Vec<&RecordSet>> {
        match self.work.replace {
            Replace::Everything | Replace::Partition(_) => None,
            Replace::Within(_) | Replace::Records => {
                Some(std::iter::once(self.fetched_records).chain(self.work.marks.map(|marks| marks.records)).collect())
            }
        }
    }

    fn write(
        &self,
        files: Vec<DataFile>,
        sorted: &mut Sorted,
        ahead: &mut Ahead<'_>,
        sink: Sink<'_, '_, '_>,
    ) -> Result<()> {
        let Sink { target, outcome, met } = sink;
        let segment = segment(&self.table.partition, self.partition);
        let mut output: Option<Output> = None;
        let mut files = files.into_iter().peekable();
        loop {
            let next_first = files.peek().and_then(|file| file.first.clone());
            // Rows before the next live file, or behind all of them.
            let gap = |record: &Key| next_first.as_ref().is_none_or(|first| record < first);
            while let Some(rows) = sorted.take(self.partition, gap)? {
                let rows = self.layout.to_file(&rows, self.work.run);
                outcome.changes.added += u64::try_from(rows.num_rows()).expect("a length fits");
                met.take_all(&rows);
                output.get_or_insert_with(|| Output::new(segment.clone())).write(&rows, target)?;
            }
            let Some(file) = files.next() else { break };
            let touched = self.touches(&file);
            let is_joined = self.is_small(&file) && output.is_some() && (touched || self.work.last);
            if !is_joined {
                // Closed separately, so that the file can stay as it is when nothing in it changed.
                self.close(output.take(), target, outcome)?;
            }
            if !touched && !is_joined && !self.is_continued(&file, files.peek(), sorted) {
                outcome.kept.push(file);
                continue;
            }
            let mut merge = Merge::open(self.place(), &file, ahead.take(&file)?, self.layout)?;
            let mut begun = Begun::new(&mut output, &segment, target);
            if touched {
                let last = file.last.clone().expect("a live file with rows has a last key");
                let mut incoming = Incoming::new(sorted, self.partition, last, self.work.run, self.layout);
                let rules = Rules { action: &|record| self.action(record), records: self.records() };
                outcome.changes.add(merge.merge(&mut incoming, &rules, &mut begun, met)?);
            }
            if (!touched && is_joined) || (!begun.is_open() && self.is_continued(&file, files.peek(), sorted)) {
                merge.append(&mut begun)?;
            }
            if begun.is_open() {
                outcome.removes.push(file.path);
            } else {
                outcome.kept.push(file);
            }
        }
        self.close(output, target, outcome)
    }

    /// Whether a file is small enough to be written once more with rows that come beside it.
    fn is_small(&self, file: &DataFile) -> bool {
        file.bytes < self.work.sizes.file_bytes / SMALL
    }

    /// Whether new rows come right behind a file, before the next one, that are better written into it: it is small,
    /// and so are they. Many rows have a file of their own, for the file before would be written a second time with
    /// them.
    fn is_continued(&self, file: &DataFile, next: Option<&DataFile>, sorted: &Sorted) -> bool {
        let is_tiny = file.bytes < self.work.sizes.file_bytes / TINY;
        let Some((partition, record)) = sorted.peek().filter(|_| self.work.last && self.is_small(file)) else {
            return false;
        };
        let before_next = next.and_then(|next| next.first.as_ref()).is_none_or(|first| record < *first);
        let follow = partition == self.partition && file.last.as_ref().is_none_or(|last| record > *last) && before_next;
        follow && (is_tiny || sorted.in_hand() < MANY)
    }

    fn place(&self) -> MergePlace<'_> {
        MergePlace { store: self.work.store, spool: self.work.spool, runtime: self.runtime }
    }

    fn close(&self, output: Option<Output>, target: &Target<'_>, outcome: &mut TableOutcome) -> Result<()> {
        if let Some(output) = output {
            outcome.drafts.extend(output.finish(target)?);
        }
        Ok(())
    }
}
