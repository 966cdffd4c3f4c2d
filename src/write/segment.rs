//! Sorted runs of rows: in memory while small, as Arrow IPC on local disk when not.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_buffer::ArrowNativeType;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_row::Rows;
use arrow_schema::Schema;
use arrow_select::interleave::interleave_record_batch;

use crate::failure::{Failure, Kind, Result};
use crate::store::{StoreStep, Watcher};
use crate::write::weight::{Most, row_bytes};

/// A batch of a segment: a merge holds one of each segment at a time.
const BATCH: Most = Most { rows: 512, bytes: 256 << 10 };

/// A sorted run.
#[derive(Debug)]
pub enum Segment {
    Memory(Vec<RecordBatch>),
    /// `level` counts the merges that it came of.
    Disk {
        path: PathBuf,
        bytes: u64,
        level: u32,
    },
}

/// The batches of a segment, in order.
pub enum Batches {
    Memory(std::vec::IntoIter<RecordBatch>),
    Disk(Box<StreamReader<BufReader<File>>>, PathBuf),
}

fn failed(verb: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::StoreUnreachable, format!("{verb} the spool"))
        .at(path.display().to_string())
        .caused(error)
        .advise("give the spool more room: set `spool` under [limits] to a folder on a larger disk")
}

impl Segment {
    /// Writes sorted batches to disk.
    pub fn write(
        batches: impl Iterator<Item = Result<RecordBatch>>,
        schema: &Schema,
        path: PathBuf,
        level: u32,
        watcher: &Watcher,
    ) -> Result<Self> {
        let file = File::create(&path).map_err(|error| failed("write", &path, error))?;
        let name = path.to_string_lossy().into_owned();
        watcher.reach(StoreStep::SegmentOpened, &name)?;
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(|error| failed("write", &path, error))?;
        let mut writer = StreamWriter::try_new_with_options(BufWriter::new(file), schema, options)
            .map_err(|error| failed("write", &path, error))?;
        for batch in batches {
            let batch = batch?;
            for piece in pieces(&batch) {
                writer.write(&piece).map_err(|error| failed("write", &path, error))?;
            }
        }
        writer.finish().map_err(|error| failed("write", &path, error))?;
        let bytes = std::fs::metadata(&path).map_err(|error| failed("write", &path, error))?.len();
        watcher.reach(StoreStep::SegmentWritten, &name)?;
        Ok(Self::Disk { path, bytes, level })
    }

    /// Its size: on disk as written, in memory as allocated.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Memory(batches) => {
                let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
            Self::Disk { bytes, .. } => *bytes,
        }
    }

    /// Deletes its file; a file that cannot be deleted is removed with the spool's folder.
    pub fn remove(&self) {
        if let Self::Disk { path, .. } = self {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Reads it from its start.
    pub fn read(&self) -> Result<Batches> {
        match self {
            Self::Memory(batches) => Ok(Batches::Memory(batches.clone().into_iter())),
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
            Self::Memory(batches) => Ok(batches.find(|batch| batch.num_rows() > 0)),
            Self::Disk(reader, path) => reader.next().transpose().map_err(|error| failed("read", path, error)),
        }
    }
}

/// A batch in pieces that a segment takes.
fn pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
    let sizes = row_bytes(batch);
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < sizes.len() {
        let length = BATCH.length(sizes[at..].iter().copied());
        pieces.push(batch.slice(at, length));
        at += length;
    }
    pieces
}

/// The rows of these batches in the order of their keys, batch by batch. Rows of equal keys stay in their order.
pub fn sorted<'a>(batches: &'a [RecordBatch], keys: &'a [Rows]) -> impl Iterator<Item = Result<RecordBatch>> + 'a {
    let mut places: Vec<(u32, u32)> = Vec::new();
    for (number, batch) in (0_u32..).zip(batches) {
        places.extend((0..batch.num_rows()).map(|row| (number, u32::usize_as(row))));
    }
    let key = |place: &(u32, u32)| keys[place.0.as_usize()].row(place.1.as_usize());
    if !places.is_sorted_by(|a, b| key(a) <= key(b)) {
        places.sort_by(|a, b| key(a).cmp(&key(b)));
    }
    let sizes: Vec<Vec<usize>> = batches.iter().map(row_bytes).collect();
    let parts: Vec<&RecordBatch> = batches.iter().collect();
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = places.get(at..).filter(|rest| !rest.is_empty())?;
        let picked = rest.iter().map(|(batch, row)| (batch.as_usize(), row.as_usize()));
        let length = BATCH.length(picked.clone().map(|(batch, row)| sizes[batch][row]));
        at += length;
        let picked: Vec<(usize, usize)> = picked.take(length).collect();
        let batch = interleave_record_batch(&parts, &picked);
        Some(batch.map_err(|error| Failure::new(Kind::Bug, "sort rows").caused(error)))
    })
}
