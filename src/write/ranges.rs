//! Files of the store as the Parquet reader needs them, read by few ranges: the footer with one request, then the
//! chunks of the requested columns, neighbours joined.
//!
//! Row groups that cannot match by their statistics are not fetched. Every function blocks: call it from a blocking
//! thread.

use std::io::{Read, Result as IoResult};
use std::ops::Range;

use arrow_array::RecordBatch;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::store::RemoteFile;
use crate::write::file_limits::{Indexes, chunk_range, load_footer, rows_at_once};

/// Bytes of a file's end that are read first: the footers of most files fit.
const TAIL: u64 = 64 << 10;
/// Of a large file it is this part, for its footer grows with its row groups; and at most this many bytes.
const TAIL_PART: u64 = 32;
const LONGEST_TAIL: u64 = 1 << 20;
/// Ranges with no larger gap than this are fetched as one: a request to a bucket costs more than these bytes.
const GAP: u64 = 256 << 10;
/// Bytes of column chunks that are held at a time, unless a single row group has more.
const HELD: u64 = 16 << 20;
/// Bytes that are fetched where a reader wants some that are not held.
const STEP: u64 = 64 << 10;

/// A file with the ranges of it that were fetched.
pub struct Chunks {
    file: RemoteFile,
    held: Vec<(u64, Bytes)>,
}

impl Chunks {
    /// A file with its tail in memory.
    pub fn open(file: RemoteFile) -> parquet::errors::Result<Self> {
        let size = file.size();
        let chunks = Self { file, held: Vec::new() };
        let tail = (size / TAIL_PART).clamp(TAIL, LONGEST_TAIL);
        chunks.holding(std::iter::once(size.saturating_sub(tail)..size).collect())
    }

    /// The same file with these ranges held.
    fn holding(&self, mut ranges: Vec<Range<u64>>) -> parquet::errors::Result<Self> {
        ranges.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            match joined.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        let fetch = |range: Range<u64>| Ok((range.start, self.fetch(range)?));
        let held = joined.into_iter().map(fetch).collect::<parquet::errors::Result<_>>()?;
        Ok(Self { file: self.file.clone(), held })
    }

    /// Bytes of a range, from memory if all of them are there.
    fn fetch(&self, range: Range<u64>) -> parquet::errors::Result<Bytes> {
        if let Some(bytes) = self.find(&range) {
            return Ok(bytes);
        }
        let length = range.end - range.start;
        self.file.read(range.start, length).map_err(|failure| ParquetError::External(Box::new(failure)))
    }

    fn find(&self, range: &Range<u64>) -> Option<Bytes> {
        self.held.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            (to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }

    /// The held bytes from here on; none where the first is not held.
    fn rest(&self, start: u64) -> Option<Bytes> {
        self.held.iter().find_map(|(first, bytes)| {
            let from = usize::try_from(start.checked_sub(*first)?).ok()?;
            (from < bytes.len()).then(|| bytes.slice(from..))
        })
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file.size()
    }
}

impl ChunkReader for Chunks {
    type T = RangeReading;

    fn get_read(&self, start: u64) -> parquet::errors::Result<RangeReading> {
        let bytes = self.rest(start).unwrap_or_default();
        Ok(RangeReading { file: self.file.clone(), next: start.saturating_add(length(&bytes)), bytes })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let length = u64::try_from(length).map_err(|error| ParquetError::External(Box::new(error)))?;
        let end = start.checked_add(length).filter(|end| *end <= self.file.size());
        self.fetch(start..end.ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start}")))?)
    }
}

/// Bytes of a file from some place on, fetched as they are read.
pub struct RangeReading {
    file: RemoteFile,
    bytes: Bytes,
    /// The place behind `bytes`.
    next: u64,
}

impl Read for RangeReading {
    fn read(&mut self, out: &mut [u8]) -> IoResult<usize> {
        if self.bytes.is_empty() {
            let more = self.file.size().saturating_sub(self.next).min(STEP);
            if more == 0 {
                return Ok(0);
            }
            self.bytes = self.file.read(self.next, more).map_err(std::io::Error::other)?;
            self.next += length(&self.bytes);
        }
        let length = out.len().min(self.bytes.len());
        out[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes.advance(length);
        Ok(length)
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits")
}

/// Takes the batches of these columns, of the row groups that are wanted. Columns that the file lacks are not in them.
pub fn each_batch(
    file: RemoteFile,
    columns: &[&str],
    wanted: impl Fn(&RowGroupMetaData) -> bool,
    mut take: impl FnMut(&RecordBatch),
) -> parquet::errors::Result<()> {
    let size = file.size();
    let chunks = Chunks::open(file)?;
    let metadata = load_footer(&chunks, Indexes::None)?;
    let schema = metadata.metadata().file_metadata().schema_descr_ptr();
    let mask = ProjectionMask::columns(&schema, columns.iter().copied());
    let mut together: Vec<usize> = Vec::new();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut read = |groups: Vec<usize>, ranges: Vec<Range<u64>>| {
        let held = chunks.holding(ranges)?;
        let rows = rows_at_once(&held, metadata.metadata(), &groups, &mask)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(held, metadata.clone())
            .with_row_groups(groups)
            .with_projection(mask.clone())
            .with_batch_size(rows)
            .build()?;
        for batch in reader {
            take(&batch?);
        }
        Ok::<_, ParquetError>(())
    };
    let groups = metadata.metadata().row_groups().iter().enumerate();
    for (place, group) in groups.filter(|(_, group)| wanted(group)) {
        let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
        let own = leaves.map(|(_, column)| chunk_range(column, size)).collect::<parquet::errors::Result<Vec<_>>>()?;
        if !together.is_empty() && span(&ranges) + span(&own) > HELD {
            read(std::mem::take(&mut together), std::mem::take(&mut ranges))?;
        }
        together.push(place);
        ranges.extend(own);
    }
    if together.is_empty() { Ok(()) } else { read(together, ranges) }
}

fn span(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}
