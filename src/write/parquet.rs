//! Parquet files written: row groups of rows, encoded as the data wants it, or copied as bytes from another file; the
//! checksum is taken on the way.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use parquet::file::writer::SerializedFileWriter;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};
use crate::write::encode::properties;
use crate::write::form::{Fill, Form};
use crate::write::weight::{Most, bytes};

/// Encodings are chosen once this many rows or bytes were buffered: fewer rows do not represent the rest.
const OBSERVED: Most = Most { rows: 1024, bytes: 1 << 20 };
/// Or this many bytes are held: a slice of a batch holds all of it.
const MOST_HELD: usize = 64 << 20;
/// New rows fill a row group except for this part of it, so that rows that come later have room in it.
const ROOM: usize = 8;

/// A file being written; bytes are hashed as they go.
pub struct Writer {
    file: SerializedFileWriter<HashingFile>,
    form: Form,
    /// Rows that wait until they show how they are to be encoded.
    waiting: Vec<RecordBatch>,
    /// Makes writers of columns, once the encodings are chosen.
    columns: Option<ArrowRowGroupWriterFactory>,
    group: Option<OpenGroup>,
}

/// The row group being written.
struct OpenGroup {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

struct HashingFile {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for HashingFile {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(data)?;
        self.hash.update(&data[..written]);
        self.bytes += u64::try_from(written).expect("a length fits");
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The size and content of a finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub bytes: u64,
    pub sha256: String,
}

pub fn failed(verb: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::StoreUnreachable, format!("{verb} a data file"))
        .at(path.display().to_string())
        .caused(error)
        .advise("check free space and permissions; commits are intact, run again")
}

impl Writer {
    /// Begins a file that was just made.
    pub fn new(file: File, form: &Form, path: &Path) -> Result<Self> {
        let target = HashingFile { file: BufWriter::with_capacity(1 << 18, file), hash: Sha256::new(), bytes: 0 };
        let (file, _) = ArrowWriter::try_new(target, Arc::clone(&form.schema), Some(properties(form, &[])))
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|error| failed("write", path, error))?;
        Ok(Self { file, form: form.clone(), waiting: Vec::new(), columns: None, group: None })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch, fill: Fill, path: &Path) -> Result<()> {
        if self.columns.is_some() {
            return self.append(batch, fill).map_err(|error| failed("write", path, error));
        }
        self.waiting.push(batch.clone());
        let seen = self.waiting.iter().map(RecordBatch::num_rows).sum::<usize>();
        let own = self.waiting.iter().map(bytes).sum::<usize>();
        let held = self.waiting.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        if seen >= OBSERVED.rows || own >= OBSERVED.bytes || held >= MOST_HELD {
            self.settle(fill).map_err(|error| failed("write", path, error))?;
        }
        Ok(())
    }

    /// Chooses the encodings, and writes the buffered rows.
    fn settle(&mut self, fill: Fill) -> Result<(), ParquetError> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let properties = properties(&self.form, &waiting);
        // Row groups of a file may have other encodings than those that its writer was made with.
        let (_, columns) = ArrowWriter::try_new(std::io::sink(), Arc::clone(&self.form.schema), Some(properties))?
            .into_serialized_writer()?;
        self.columns = Some(columns);
        waiting.iter().try_for_each(|batch| self.append(batch, fill))
    }

    /// Encodes rows, and ends row groups that are full.
    fn append(&mut self, batch: &RecordBatch, fill: Fill) -> Result<(), ParquetError> {
        let limit = self.form.sizes.row_group_rows;
        let most = match fill {
            Fill::WithRoom => limit - limit / ROOM,
            Fill::Whole => limit,
        };
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let (rows, bytes) = (self.group_rows(), self.group_bytes());
            let average = bytes.checked_div(rows).unwrap_or(0).max(1);
            // The first rows of a group show how many more fit.
            let by_bytes =
                if rows == 0 { limit } else { self.form.sizes.row_group_bytes.saturating_sub(bytes) / average };
            let fit = most.saturating_sub(rows).min(by_bytes).min(rest.num_rows());
            if fit == 0 {
                self.end_group()?;
                continue;
            }
            self.encode(&rest.slice(0, fit))?;
            rest = rest.slice(fit, rest.num_rows() - fit);
            if self.group_rows() >= most || self.group_bytes() >= self.form.sizes.row_group_bytes {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn encode(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let group = match &mut self.group {
            Some(group) => group,
            none => {
                let factory = self.columns.as_ref().expect("the encodings were chosen");
                let columns = factory.create_column_writers(self.file.flushed_row_groups().len())?;
                none.insert(OpenGroup { columns, rows: 0 })
            }
        };
        let mut columns = group.columns.iter_mut();
        for (field, values) in self.form.schema.fields().iter().zip(rows.columns()) {
            for leaf in compute_leaves(field, values)? {
                columns.next().expect("each column has a writer").write(&leaf)?;
            }
        }
        group.rows += rows.num_rows();
        Ok(())
    }

    /// Ends the row group being written.
    fn end_group(&mut self) -> Result<(), ParquetError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let mut into = self.file.next_row_group()?;
        for column in group.columns {
            column.close()?.append_to_row_group(&mut into)?;
        }
        into.close().map(|_| ())
    }

    fn group_rows(&self) -> usize {
        self.group.as_ref().map_or(0, |group| group.rows)
    }

    /// The bytes of the row group being written, as an estimate.
    fn group_bytes(&self) -> usize {
        let columns = self.group.iter().flat_map(|group| &group.columns);
        columns.map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    /// Whether a row group of this many rows and bytes is better decoded and written together with the buffered rows:
    /// these are few, and all fit into one row group.
    pub fn would_join(&self, rows: usize, bytes: usize) -> bool {
        let own = self.group_rows() + self.waiting.iter().map(RecordBatch::num_rows).sum::<usize>();
        let own_bytes = self.group_bytes() + self.waiting.iter().map(self::bytes).sum::<usize>();
        let sizes = &self.form.sizes;
        let fits = own + rows <= sizes.row_group_rows && own_bytes + bytes <= sizes.row_group_bytes;
        own > 0 && fits && sizes.is_small(own, own_bytes)
    }

    /// Appends a row group of another file as it is; the bytes of its columns are in memory.
    pub fn copy(
        &mut self,
        columns: impl Iterator<Item = ColumnCloseResult>,
        held: &impl ChunkReader,
        path: &Path,
    ) -> Result<()> {
        let append = || {
            self.settle(Fill::Whole)?;
            self.end_group()?;
            // Rows behind it are others: they show anew how they are to be encoded.
            self.columns = None;
            let mut into = self.file.next_row_group()?;
            for column in columns {
                into.append_column(held, column)?;
            }
            into.close().map(|_| ())
        };
        append().map_err(|error: ParquetError| failed("write", path, error))
    }

    /// Ends the current row group if it is large enough, so that the following one can be copied without decoding.
    pub fn end_large_group(&mut self, path: &Path) -> Result<()> {
        if self.form.sizes.is_small(self.group_rows(), self.group_bytes()) {
            return Ok(());
        }
        self.end_group().map_err(|error| failed("write", path, error))
    }

    /// Bytes so far, those of the current row group as an estimate.
    pub fn bytes(&self) -> usize {
        self.waiting.iter().map(bytes).sum::<usize>() + self.file.bytes_written() + self.group_bytes()
    }

    /// Ends the file.
    pub fn finish(mut self, path: &Path) -> Result<Finished> {
        let mut end = || {
            self.settle(Fill::WithRoom)?;
            self.end_group()?;
            self.file.finish().map(|_| ())
        };
        end().map_err(|error: ParquetError| failed("write", path, error))?;
        let target = self.file.inner_mut();
        target.flush().map_err(|error| failed("write", path, error))?;
        let digest = std::mem::take(&mut target.hash).finalize();
        Ok(Finished { bytes: target.bytes, sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect() })
    }
}
