//! The files of one partition being written: rows and whole row groups in key order, a new file when one is large
//! enough, at the end of a record.

use std::path::Path;

use arrow_array::RecordBatch;

use crate::failure::Result;
use crate::manifest::{DataFile, Key};
use crate::store::{ScratchFile, Store, paths};
use crate::write::form::{Fill, Form};
use crate::write::groups::RowGroups;
use crate::write::open::OpenRows;
use crate::write::parquet::Writer;
use crate::write::sorted::record_key;
use crate::write::source::HeldRange;

/// Where and how files of a table are written.
pub struct Target<'a> {
    pub store: &'a Store,
    pub spool: &'a Path,
    pub table: &'a str,
    pub form: &'a Form,
    pub run: &'a str,
    /// The open records, in a table in which they are looked for.
    pub open: Option<OpenRows>,
    /// The number of this run's last file.
    pub number: &'a mut u64,
}

impl Target<'_> {
    /// A number that no file of this run has.
    fn next_number(&mut self) -> u64 {
        *self.number += 1;
        *self.number
    }
}

/// A file written, not yet staged.
#[derive(Debug)]
pub struct Draft {
    pub scratch: ScratchFile,
    pub file: DataFile,
}

impl Draft {
    /// The file as one of deleted rows of a table, written by this run.
    pub fn deleted(&self, table: &str, run: &str) -> DataFile {
        let number = self.file.path.rsplit('-').next().and_then(|rest| rest.strip_suffix(".parquet"));
        let number = number.and_then(|digits| digits.parse().ok()).expect("a data file's name ends in its number");
        DataFile { path: paths::deleted(table, run, number), ..self.file.clone() }
    }
}

/// The files of one partition.
pub struct Output {
    segment: Option<String>,
    open: Option<Open>,
    drafts: Vec<Draft>,
}

struct Open {
    writer: Writer,
    scratch: ScratchFile,
    number: u64,
    rows: u64,
    first: Key,
    last: Key,
    open_ids: Vec<i64>,
}

impl Output {
    /// No file yet, in this partition.
    pub fn new(segment: Option<String>) -> Self {
        Self { segment, open: None, drafts: Vec::new() }
    }

    /// Appends rows; they follow those before in key order.
    pub fn write(&mut self, batch: &RecordBatch, target: &mut Target<'_>) -> Result<()> {
        self.append(batch, Fill::WithRoom, target)
    }

    /// Appends rows of a row group that there was, with those that came.
    pub fn write_merged(&mut self, batch: &RecordBatch, target: &mut Target<'_>) -> Result<()> {
        self.append(batch, Fill::Whole, target)
    }

    /// Appends a row group as it is; `false`, and nothing is done, where its rows have to be decoded.
    pub fn copy(
        &mut self,
        groups: &RowGroups,
        held: &HeldRange,
        group: usize,
        target: &mut Target<'_>,
    ) -> Result<bool> {
        let (rows, bytes) = (groups.rows(group), groups.bytes(group));
        let Some(bounds) = groups.key_bounds(group).filter(|bounds| bounds.exact) else { return Ok(false) };
        if target.form.sizes.is_small(rows, bytes) {
            return Ok(false);
        }
        if self.is_full(target) && self.open.as_ref().is_some_and(|open| open.last != bounds.first) {
            self.close(target)?;
        }
        if self.open.as_ref().is_some_and(|open| open.writer.would_join(rows, bytes)) {
            return Ok(false);
        }
        if self.open.is_none() {
            self.begin(bounds.first, target)?;
        }
        let open = self.open.as_mut().expect("a file was just begun");
        open.writer.copy(groups.columns(group), held, &open.scratch.path)?;
        if let Some(rows) = &target.open {
            for batch in groups.named(held, group, rows.columns(), |group| rows.may_be_in(group))? {
                open.open_ids.extend(rows.ids(&batch?));
            }
        }
        open.rows += u64::try_from(rows).expect("a length fits");
        open.last = bounds.last;
        Ok(true)
    }

    /// Ends the row group being written, where it is large enough.
    pub fn end_large_group(&mut self) -> Result<()> {
        self.open.as_mut().map_or(Ok(()), |open| open.writer.end_large_group(&open.scratch.path))
    }

    /// Whether the file being written is as large as files become.
    fn is_full(&self, target: &Target<'_>) -> bool {
        let bytes = self.open.as_ref().map(|open| u64::try_from(open.writer.bytes()).unwrap_or(u64::MAX));
        bytes.is_some_and(|bytes| bytes >= target.form.sizes.file_bytes)
    }

    fn append(&mut self, batch: &RecordBatch, fill: Fill, target: &mut Target<'_>) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let key = target.form.key[0];
            let other = self.open.as_ref().is_some_and(|open| open.last != record_key(batch, key, at));
            if other && self.is_full(target) {
                self.close(target)?;
            }
            // A file ends at the end of a record: rows are appended in pieces that may be the last.
            let length = self.piece(batch, at, target);
            let piece = batch.slice(at, length);
            if self.open.is_none() {
                self.begin(record_key(&piece, key, 0), target)?;
            }
            let open = self.open.as_mut().expect("a file was just begun");
            open.writer.write(&piece, fill, &open.scratch.path)?;
            open.rows += u64::try_from(length).expect("a length fits");
            open.open_ids.extend(target.open.iter().flat_map(|rows| rows.ids(&piece)));
            open.last = record_key(&piece, key, length - 1);
            at += length;
        }
        Ok(())
    }

    /// How many rows to write before looking again whether the file is full.
    fn piece(&self, batch: &RecordBatch, at: usize, target: &Target<'_>) -> usize {
        let rest = batch.num_rows() - at;
        if !self.is_full(target) {
            return rest;
        }
        // The file is full but its last record continues: just the rows of that record.
        let key = target.form.key[0];
        let this = record_key(batch, key, at);
        (1..rest).find(|more| record_key(batch, key, at + more) != this).unwrap_or(rest)
    }

    fn begin(&mut self, first: Key, target: &mut Target<'_>) -> Result<()> {
        let number = target.next_number();
        let staged = paths::staged(target.table, target.run, number);
        let scratch = target.store.scratch(&staged, target.spool)?;
        let writer = Writer::new(scratch.create()?, target.form, &scratch.path)?;
        self.open = Some(Open { writer, scratch, number, rows: 0, last: first.clone(), first, open_ids: Vec::new() });
        Ok(())
    }

    /// Ends the current file.
    fn close(&mut self, target: &Target<'_>) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let finished = open.writer.finish(&open.scratch.path)?;
        let file = DataFile {
            path: paths::data(target.table, self.segment.as_deref(), target.run, open.number),
            staged: open.scratch.staged.clone(),
            partition: self.segment.clone(),
            bytes: finished.bytes,
            rows: open.rows,
            sha256: finished.sha256,
            first: Some(open.first),
            last: Some(open.last),
            open: target.open.as_ref().and_then(|rows| rows.records(open.open_ids)),
        };
        self.drafts.push(Draft { scratch: open.scratch, file });
        Ok(())
    }

    /// The finished files.
    pub fn finish(mut self, target: &Target<'_>) -> Result<Vec<Draft>> {
        self.close(target)?;
        Ok(self.drafts)
    }
}

/// The files of a partition, begun where something is to be written.
pub struct Begun<'o, 't> {
    output: &'o mut Option<Output>,
    segment: &'o Option<String>,
    pub target: &'o mut Target<'t>,
}

impl<'o, 't> Begun<'o, 't> {
    /// The open file, if any, and where it is written.
    pub fn new(output: &'o mut Option<Output>, segment: &'o Option<String>, target: &'o mut Target<'t>) -> Self {
        Self { output, segment, target }
    }

    /// Whether something is being written.
    pub fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// The file being written, begun where there was none.
    pub fn open(&mut self) -> (&mut Output, &mut Target<'t>) {
        let segment = self.segment;
        (self.output.get_or_insert_with(|| Output::new(segment.clone())), self.target)
    }
}

/// An empty file, so that a table without rows can be queried.
pub fn empty(segment: Option<String>, target: &mut Target<'_>) -> Result<Draft> {
    let number = target.next_number();
    let staged = paths::staged(target.table, target.run, number);
    let scratch = target.store.scratch(&staged, target.spool)?;
    let writer = Writer::new(scratch.create()?, target.form, &scratch.path)?;
    let finished = writer.finish(&scratch.path)?;
    let file = DataFile {
        path: paths::data(target.table, segment.as_deref(), target.run, number),
        staged,
        partition: segment,
        bytes: finished.bytes,
        rows: 0,
        sha256: finished.sha256,
        first: None,
        last: None,
        open: None,
    };
    Ok(Draft { scratch, file })
}
