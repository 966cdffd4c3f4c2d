//! The keys of a table, read from all its files at once in the order of the key: a file is opened when the order
//! reaches it, so that memory is bounded by the files that overlap. Faults are noted by file.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::Key;
use crate::store::Store;
use crate::write::inspect::{FileFault, Flaw, LocatedFile, range};
use crate::write::partition::{number, segment};
use crate::write::stream::{Stream, belongs};
use crate::write::table_group::ComparedTable;

/// Where and how files are opened.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    pub store: &'a Store,
    pub spool: &'a Path,
    pub runtime: &'a Handle,
}

/// All files of a table in the order of the key.
pub struct KeyCursor<'a> {
    reading: Access<'a>,
    part: &'a ComparedTable,
    waiting: VecDeque<usize>,
    open: Vec<Stream>,
    /// The key last passed, and the file that has it.
    passed: Option<(Vec<u8>, usize)>,
    /// Whether every file so far could be read to its end.
    pub whole: bool,
    faults: BTreeMap<(usize, &'static str), FileFault>,
}

impl<'a> KeyCursor<'a> {
    /// Nothing is opened yet.
    pub fn new(reading: Access<'a>, part: &'a ComparedTable) -> Self {
        let mut order: Vec<usize> = (0..part.files.len()).collect();
        // Files without rows have no first key and come first: they are looked at and left.
        order.sort_by(|a, b| part.files[*a].file.first.cmp(&part.files[*b].file.first));
        Self {
            reading,
            part,
            waiting: order.into(),
            open: Vec::new(),
            passed: None,
            whole: true,
            faults: BTreeMap::new(),
        }
    }

    /// The record of the next row, and the place of its stream.
    pub fn head(&mut self) -> Result<Option<(Key, usize)>> {
        loop {
            let least = (0..self.open.len()).min_by(|a, b| {
                let row = |place: &usize| self.open[*place].keys.row(self.open[*place].at);
                row(a).cmp(&row(b))
            });
            let head = least.map(|place| (self.open[place].record_key(&self.part.key[0]), place));
            let Some(next) = self.waiting.front().copied() else { return Ok(head) };
            let first = self.part.files[next].file.first.as_ref();
            if let (Some((record, _)), Some(first)) = (&head, first)
                && record < first
            {
                return Ok(head);
            }
            self.waiting.pop_front();
            self.begin(next)?;
        }
    }

    /// The file that a stream reads.
    pub fn file(&self, place: usize) -> &'a LocatedFile {
        &self.part.files[self.open[place].file]
    }

    /// Advances the stream with the least current row.
    pub fn step(&mut self, place: usize) -> Result<()> {
        let stream = &self.open[place];
        let key = stream.keys.row(stream.at).data().to_vec();
        if let Some((passed, other)) = &self.passed
            && *passed == key
        {
            let other = self.part.files[*other].file.path.clone();
            self.fault(place, Flaw::Repeated { key: self.open[place].shown(self.part), other });
        }
        let (file, previous) = (self.open[place].file, key.clone());
        self.passed = Some((key, file));
        match self.open[place].forward(self.part) {
            Ok(true) if self.open[place].keys.row(self.open[place].at).data() < previous.as_slice() => {
                self.fault(place, Flaw::Unsorted(self.open[place].shown(self.part)));
                self.whole = false;
                self.open.swap_remove(place);
            }
            Ok(true) => self.look(place)?,
            Ok(false) => self.end(place),
            Err(flaw) => {
                self.fault(place, flaw);
                self.whole = false;
                self.open.swap_remove(place);
            }
        }
        Ok(())
    }

    /// Notes a flaw of the current row of a stream.
    pub fn fault(&mut self, place: usize, flaw: Flaw) {
        self.note(self.open[place].file, flaw);
    }

    /// The key of the current row, for people.
    pub fn shown(&self, place: usize) -> String {
        self.open[place].shown(self.part)
    }

    /// Reads the remaining rows, and returns all faults.
    pub fn drain(mut self) -> Result<Vec<FileFault>> {
        while let Some((_, place)) = self.head()? {
            self.step(place)?;
        }
        Ok(self.faults.into_values().collect())
    }

    fn note(&mut self, file: usize, flaw: Flaw) {
        let path = &self.part.files[file].at;
        let fault = self.faults.entry((file, flaw.name()));
        fault.or_insert_with(|| FileFault { path: path.clone(), flaw, count: 0 }).count += 1;
    }

    /// Opens a file, if it agrees with the manifest.
    fn begin(&mut self, file: usize) -> Result<()> {
        let located = &self.part.files[file];
        let Access { store, spool, runtime } = self.reading;
        let opened = match runtime.block_on(store.local_copy(&located.at, located.file.bytes, spool))? {
            Some(copy) => Stream::open(file, copy, located, self.part)?,
            None => Err(Flaw::Missing),
        };
        match opened {
            Ok(Some(stream)) => {
                self.open.push(stream);
                let place = self.open.len() - 1;
                let first = self.open[place].record_key(&self.part.key[0]);
                if located.file.first.as_ref() != Some(&first) {
                    let named = range(located.file.first.as_ref(), located.file.last.as_ref());
                    self.fault(place, Flaw::Range { found: format!("from {first}"), named });
                }
                self.look(place)?;
            }
            Ok(None) => {}
            Err(flaw) => {
                self.whole = false;
                self.note(file, flaw);
            }
        }
        Ok(())
    }

    /// A file read to its end.
    fn end(&mut self, place: usize) {
        let stream = self.open.swap_remove(place);
        let file = &self.part.files[stream.file].file;
        if stream.rows != file.rows {
            self.note(stream.file, Flaw::Rows(stream.rows, file.rows));
        }
        if file.last.as_ref() != Some(&stream.last) {
            let named = range(file.first.as_ref(), file.last.as_ref());
            self.note(stream.file, Flaw::Range { found: format!("up to {}", stream.last), named });
        }
    }

    /// Checks that the current row belongs to its file's partition, if a column of the table itself decides it.
    fn look(&mut self, place: usize) -> Result<()> {
        let Some((partition, column)) = &self.part.dated else { return Ok(()) };
        let stream = &self.open[place];
        let file = &self.part.files[stream.file].file;
        let belongs = belongs(partition, &stream.batch, column, stream.at);
        if belongs != number(partition, file.partition.as_deref())? {
            let belongs = segment(partition, belongs).unwrap_or_default();
            self.fault(place, Flaw::Partition { key: self.shown(place), belongs });
        }
        Ok(())
    }
}
