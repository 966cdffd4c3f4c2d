//! The bytes of a live file while it is compared and merged: a small file whole in memory, a large one by ranges.
//!
//! Bytes that rows are written from have the checksum of the manifest; a large file is only compared until then, and
//! refused (`Damage`) before its rows are written anew.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::failure::{Failure, Result};
use crate::manifest::DataFile;
use crate::store::{LocalCopy, Store};
use crate::write::file_limits::{Indexes, load_footer};
use crate::write::inspect::refuse_altered;
use crate::write::lookup::unreadable;
use crate::write::ranges::Chunks;

/// Files up to this size are read whole, with one request, and held in memory while they are merged.
const WHOLE: u64 = 8 << 20;

/// Where the bytes are.
pub enum FileSource {
    /// All in memory, with the checksum of the manifest.
    Memory(Bytes),
    /// In a local file with the checksum of the manifest.
    Local { file: File, _copy: LocalCopy },
    /// In the store; the checksum is unknown.
    Remote(Chunks),
}

/// Whether a file is read whole; `memory` bounds a row group.
pub fn is_read_whole(file: &DataFile, memory: usize) -> bool {
    file.bytes <= WHOLE.min(u64::try_from(memory).unwrap_or(WHOLE))
}

/// Reads a file whole; refuses (`Damage`) one that is not there or was altered.
pub async fn read_whole(store: &Store, file: &DataFile) -> Result<FileSource> {
    let bytes = store.known_file(&file.path, file.bytes).fetch(0, file.bytes).await?;
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if digest != file.sha256 {
        let why = "its checksum differs from the manifest";
        return Err(Failure::damaged("read a live file", &file.path).because(why));
    }
    Ok(FileSource::Memory(bytes))
}

impl FileSource {
    /// Opens a large file, to be read by ranges. Blocks: call it from a blocking thread.
    pub fn by_ranges(store: &Store, file: &DataFile) -> Result<Self> {
        let opened = Chunks::open(store.known_file(&file.path, file.bytes));
        opened.map(Self::Remote).map_err(|error| unreadable(file.path.clone(), error))
    }

    /// The same file with verified bytes: their checksum is that of the manifest.
    pub fn checked(self, store: &Store, file: &DataFile, spool: &Path, runtime: &Handle) -> Result<Self> {
        match self {
            Self::Memory(_) | Self::Local { .. } => Ok(self),
            Self::Remote(_) => {
                let copy = live_copy(store, file, spool, runtime)?;
                let gone = || Failure::damaged("find a live file", &file.path).because("it is gone");
                let opened = copy.open()?.ok_or_else(gone)?;
                Ok(Self::Local { file: opened, _copy: copy })
            }
        }
    }

    /// Whether ranges of it come from the store.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// The size of the file.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => Length::len(bytes),
            Self::Local { file, .. } => Length::len(file),
            Self::Remote(chunks) => Length::len(chunks),
        }
    }

    /// The footer, with the index of pages.
    pub fn metadata(&self) -> parquet::errors::Result<ArrowReaderMetadata> {
        match self {
            Self::Memory(bytes) => load_footer(bytes, Indexes::Pages),
            Self::Local { file, .. } => load_footer(file, Indexes::Pages),
            Self::Remote(chunks) => load_footer(chunks, Indexes::Pages),
        }
    }

    /// A range of the file in memory.
    pub fn hold(&self, range: Range<u64>) -> parquet::errors::Result<HeldRange> {
        let wide = |error| ParquetError::External(Box::new(error));
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(wide)?;
        let bytes = match self {
            Self::Memory(bytes) => bytes.get_bytes(range.start, length),
            Self::Local { file, .. } => file.get_bytes(range.start, length),
            Self::Remote(chunks) => chunks.get_bytes(range.start, length),
        };
        Ok(HeldRange { size: self.size(), start: range.start, bytes: bytes? })
    }
}

/// A local file with the content of a live one; refuses (`Damage`) content that differs from the manifest.
pub fn live_copy(store: &Store, file: &DataFile, spool: &Path, runtime: &Handle) -> Result<LocalCopy> {
    let copy = runtime.block_on(store.local_copy(&file.path, file.bytes, spool))?.ok_or_else(|| {
        Failure::damaged("find a live file", &file.path).because("the manifest names it, but it does not exist")
    })?;
    refuse_altered(&copy, file)?;
    Ok(copy)
}

/// A range of a file that is in memory.
#[derive(Clone)]
pub struct HeldRange {
    size: u64,
    start: u64,
    bytes: Bytes,
}

impl HeldRange {
    /// Whether the bytes of a range are in it.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        let end = self.start.saturating_add(Length::len(&self.bytes));
        self.start <= range.start && range.end <= end
    }
}

impl Length for HeldRange {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for HeldRange {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let from = start.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let from = from.filter(|from| *from <= self.bytes.len());
        let from = from.ok_or_else(|| ParquetError::EOF(format!("byte {start} is not held")))?;
        Ok(self.bytes.slice(from..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let from = start.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let range = from.and_then(|from| Some(from..from.checked_add(length)?));
        let range = range.filter(|range| range.end <= self.bytes.len());
        Ok(self.bytes.slice(range.ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start} are not held")))?))
    }
}
