//! Sorted runs of rows: in memory while small, as Arrow IPC on local disk when not.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::ArrowNativeType;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::failure::{Failure, Kind, Result};
use crate::store::{Step, Watcher};

/// Rows of a batch on disk: as many as a merge holds of each segment at a time.
const BATCH: usize = 512;

/// A sorted run.
#[derive(Debug)]
pub enum Segment {
    Memory(RecordBatch),
    Disk { path: PathBuf, bytes: u64 },
}

/// The batches of a segment, in order.
pub enum Batches {
    Memory(Option<RecordBatch>),
    Disk(Box<StreamReader<BufReader<File>>>, PathBuf),
}

fn failed(verb: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::StoreUnreachable, format!("{verb} the spool"))
        .at(path.display().to_string())
        .caused(error)
        .advise("give the spool room: set `spool` under [limits] to a folder on a larger disk")
}

impl Segment {
    /// Writes a sorted batch to disk.
    pub fn write(batch: &RecordBatch, path: PathBuf, watcher: &Watcher) -> Result<Self> {
        let file = File::create(&path).map_err(|error| failed("write", &path, error))?;
        let name = path.to_string_lossy().into_owned();
        watcher.reach(Step::SegmentOpened, &name)?;
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(|error| failed("write", &path, error))?;
        let mut writer = StreamWriter::try_new_with_options(BufWriter::new(file), &batch.schema(), options)
            .map_err(|error| failed("write", &path, error))?;
        let mut at = 0;
        while at < batch.num_rows() {
            let length = BATCH.min(batch.num_rows() - at);
            writer.write(&batch.slice(at, length)).map_err(|error| failed("write", &path, error))?;
            at += length;
        }
        writer.finish().map_err(|error| failed("write", &path, error))?;
        let bytes = std::fs::metadata(&path).map_err(|error| failed("write", &path, error))?.len();
        watcher.reach(Step::SegmentWritten, &name)?;
        Ok(Self::Disk { path, bytes })
    }

    /// Its size: on disk as written, in memory as it lies there.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Memory(batch) => u64::try_from(batch.get_array_memory_size()).unwrap_or(u64::MAX),
            Self::Disk { bytes, .. } => *bytes,
        }
    }

    /// Reads it from its start.
    pub fn read(&self) -> Result<Batches> {
        match self {
            Self::Memory(batch) => Ok(Batches::Memory(Some(batch.clone()))),
            Self::Disk { path, .. } => {
                let file = File::open(path).map_err(|error| failed("read", path, error))?;
                let reader =
                    StreamReader::try_new(BufReader::new(file), None).map_err(|error| failed("read", path, error))?;
                Ok(Batches::Disk(Box::new(reader), path.clone()))
            }
        }
    }
}

impl Batches {
    /// The next batch.
    pub fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Memory(batch) => Ok(batch.take().filter(|batch| batch.num_rows() > 0)),
            Self::Disk(reader, path) => reader.next().transpose().map_err(|error| failed("read", path, error)),
        }
    }
}

/// The rows of `batch` in the order of these keys.
pub fn sort(batch: &RecordBatch, keys: &arrow_row::Rows) -> Result<RecordBatch> {
    let mut places: Vec<u32> = (0..batch.num_rows()).map(u32::usize_as).collect();
    if places.is_sorted_by_key(|place| keys.row(place.as_usize())) {
        return Ok(batch.clone());
    }
    places.sort_unstable_by(|a, b| keys.row(a.as_usize()).cmp(&keys.row(b.as_usize())));
    let indices = arrow_array::UInt32Array::from(places);
    let columns = batch
        .columns()
        .iter()
        .map(|column| arrow_select::take::take(column, &indices, None))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| Failure::new(Kind::Bug, "sort rows").caused(error))?;
    RecordBatch::try_new(Arc::clone(&batch.schema()), columns)
        .map_err(|error| Failure::new(Kind::Bug, "sort rows").caused(error))
}
