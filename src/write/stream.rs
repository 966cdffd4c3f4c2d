//! The keys of a table, read from all its files at once in the order of the key: files are opened when the order comes to
//! them, so that memory is bounded by the files that overlap. What is wrong on the way is noted by file.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use jiff::Timestamp;
use jiff::tz::Offset;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::Key;
use crate::schema::{Partition, PartitionBy};
use crate::store::{LocalCopy, Store};
use crate::write::compare::Part;
use crate::write::inspect::{Fault, Flaw, Footer, Located, checksum, range};
use crate::write::parquet::{READ_BATCH, failed};
use crate::write::partition::{day_number, number, segment};
use crate::write::sorted::owner;

/// Where and how files are opened.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub store: &'a Store,
    pub spool: &'a Path,
    pub runtime: &'a Handle,
}

/// All files of a table in the order of the key.
pub struct Cursor<'a> {
    reading: Reading<'a>,
    part: &'a Part,
    waiting: VecDeque<usize>,
    open: Vec<Stream>,
    /// The key last passed, and the file that it stood in.
    passed: Option<(Vec<u8>, usize)>,
    /// Whether every file so far could be read to its end.
    pub whole: bool,
    faults: BTreeMap<(usize, &'static str), Fault>,
}

/// An open file, at a row.
struct Stream {
    file: usize,
    batches: ParquetRecordBatchReader,
    converter: RowConverter,
    batch: RecordBatch,
    keys: Rows,
    at: usize,
    rows: u64,
    last: Key,
    _copy: LocalCopy,
}

impl<'a> Cursor<'a> {
    /// Nothing is opened yet.
    pub fn new(reading: Reading<'a>, part: &'a Part) -> Self {
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

    /// The owner of the next row, and the place of its stream.
    pub fn head(&mut self) -> Result<Option<(Key, usize)>> {
        loop {
            let least = (0..self.open.len()).min_by(|a, b| {
                let row = |place: &usize| self.open[*place].keys.row(self.open[*place].at);
                row(a).cmp(&row(b))
            });
            let head = least.map(|place| (self.open[place].owner(&self.part.key[0]), place));
            let Some(next) = self.waiting.front().copied() else { return Ok(head) };
            let first = self.part.files[next].file.first.as_ref();
            if let (Some((owner, _)), Some(first)) = (&head, first)
                && owner < first
            {
                return Ok(head);
            }
            self.waiting.pop_front();
            self.begin(next)?;
        }
    }

    /// The file that a stream reads.
    pub fn file(&self, place: usize) -> &'a Located {
        &self.part.files[self.open[place].file]
    }

    /// Goes to the next row of a stream, whose row in hand is the least.
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

    /// Notes a flaw of the row in hand of a stream.
    pub fn fault(&mut self, place: usize, flaw: Flaw) {
        self.note(self.open[place].file, flaw);
    }

    /// The key of the row in hand, for people.
    pub fn shown(&self, place: usize) -> String {
        self.open[place].shown(self.part)
    }

    /// Reads what is left, and gives what was wrong.
    pub fn drain(mut self) -> Result<Vec<Fault>> {
        while let Some((_, place)) = self.head()? {
            self.step(place)?;
        }
        Ok(self.faults.into_values().collect())
    }

    fn note(&mut self, file: usize, flaw: Flaw) {
        let path = &self.part.files[file].at;
        let fault = self.faults.entry((file, flaw.name()));
        fault.or_insert_with(|| Fault { path: path.clone(), flaw, count: 0 }).count += 1;
    }

    /// Opens a file, if it is what the manifest says.
    fn begin(&mut self, file: usize) -> Result<()> {
        let located = &self.part.files[file];
        let Reading { store, spool, runtime } = self.reading;
        let opened = match runtime.block_on(store.local_copy(&located.at, spool))? {
            Some(copy) => Stream::open(file, copy, located, self.part)?,
            None => Err(Flaw::Missing),
        };
        match opened {
            Ok(Some(stream)) => {
                self.open.push(stream);
                let place = self.open.len() - 1;
                let first = self.open[place].owner(&self.part.key[0]);
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

    /// Looks whether the row in hand belongs to its file's partition, where its own columns tell.
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

impl Stream {
    /// Opens a file at its first row; none where it has no rows, a flaw where it is not what was written.
    fn open(file: usize, copy: LocalCopy, located: &Located, part: &Part) -> Result<Result<Option<Self>, Flaw>> {
        // Opened once: what a run deletes meanwhile can still be read to its end.
        let mut opened = match File::open(copy.path()) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err(Flaw::Missing)),
            Err(error) => return Err(failed("read", copy.path(), error)),
        };
        let (sha256, bytes) = checksum(&mut opened, copy.path())?;
        if bytes != located.file.bytes {
            return Ok(Err(Flaw::Size(bytes, located.file.bytes)));
        }
        if sha256 != located.file.sha256 {
            return Ok(Err(Flaw::Checksum));
        }
        let unreadable = |error: parquet::errors::ParquetError| Flaw::Unreadable(error.to_string());
        let metadata = match ArrowReaderMetadata::load(&opened, ArrowReaderOptions::default()) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(unreadable(error))),
        };
        let footer = Footer::new(&metadata);
        if let Some(flaw) = footer.differs(&part.columns) {
            return Ok(Err(flaw));
        }
        if footer.rows == 0 {
            let named = located.file.rows;
            return Ok(if named == 0 { Ok(None) } else { Err(Flaw::Rows(0, named)) });
        }
        let names = part.key.iter().chain(part.dated.iter().map(|(_, column)| column)).map(String::as_str);
        let mask = ProjectionMask::columns(metadata.metadata().file_metadata().schema_descr(), names);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata)
            .with_projection(mask)
            .with_batch_size(READ_BATCH)
            .build();
        Ok(reader.map_err(unreadable).and_then(|batches| Self::first(file, batches, copy, part)))
    }

    fn first(
        file: usize,
        mut batches: ParquetRecordBatchReader,
        copy: LocalCopy,
        part: &Part,
    ) -> Result<Option<Self>, Flaw> {
        let kinds = part.key.iter().filter_map(|name| part.columns.iter().find(|(known, _)| known == name));
        let fields: Vec<SortField> = kinds.map(|(_, kind)| SortField::new(kind.clone())).collect();
        let converter = RowConverter::new(fields).map_err(|error| Flaw::Unreadable(error.to_string()))?;
        let Some(batch) = next_batch(&mut batches)? else { return Ok(None) };
        let keys = keys(&converter, &batch, part)?;
        let last = owner_of(&batch, &part.key[0], 0);
        Ok(Some(Self { file, batches, converter, batch, keys, at: 0, rows: 1, last, _copy: copy }))
    }

    /// Goes to the next row; `false` at the end.
    fn forward(&mut self, part: &Part) -> Result<bool, Flaw> {
        self.last = self.owner(&part.key[0]);
        self.at += 1;
        while self.at >= self.batch.num_rows() {
            let Some(batch) = next_batch(&mut self.batches)? else { return Ok(false) };
            self.keys = keys(&self.converter, &batch, part)?;
            self.batch = batch;
            self.at = 0;
        }
        self.rows += 1;
        Ok(true)
    }

    fn owner(&self, column: &str) -> Key {
        owner_of(&self.batch, column, self.at)
    }

    fn shown(&self, part: &Part) -> String {
        let cells = part.key.iter().map(|name| {
            let column = self.batch.column_by_name(name).expect("the key was read");
            match column.data_type() {
                DataType::Int64 => column.as_primitive::<Int64Type>().value(self.at).to_string(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(self.at).to_string(),
                DataType::Utf8 => column.as_string::<i32>().value(self.at).to_owned(),
                _ => "…".to_owned(),
            }
        });
        cells.collect::<Vec<_>>().join(", ")
    }
}

fn next_batch(batches: &mut ParquetRecordBatchReader) -> Result<Option<RecordBatch>, Flaw> {
    batches
        .find(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0))
        .transpose()
        .map_err(|error| Flaw::Unreadable(error.to_string()))
}

fn keys(converter: &RowConverter, batch: &RecordBatch, part: &Part) -> Result<Rows, Flaw> {
    let columns = part.key.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect::<Vec<_>>();
    converter.convert_columns(&columns).map_err(|error| Flaw::Unreadable(error.to_string()))
}

fn owner_of(batch: &RecordBatch, column: &str, row: usize) -> Key {
    owner(batch, batch.schema_ref().index_of(column).expect("the key was read"), row)
}

/// The partition that a row belongs to, by its own column; without a value it is the first.
fn belongs(partition: &Partition, batch: &RecordBatch, column: &str, row: usize) -> i32 {
    let column = batch.column_by_name(column).filter(|column| column.is_valid(row));
    let (Some(column), Partition::By { by, .. }) = (column, partition) else { return 0 };
    let found = match (by, column.data_type()) {
        (PartitionBy::Month, DataType::Timestamp(..)) => {
            let at = Timestamp::from_microsecond(column.as_primitive::<TimestampMicrosecondType>().value(row)).ok();
            at.and_then(|at| day_number(Offset::UTC.to_datetime(at).date().first_of_month()))
        }
        (PartitionBy::Bucket(count), DataType::Int64) => {
            i32::try_from(column.as_primitive::<Int64Type>().value(row).rem_euclid(i64::from(*count))).ok()
        }
        _ => None,
    };
    found.unwrap_or(0)
}
