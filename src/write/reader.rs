//! Parquet files read from their start to their end, batch by batch: batches are cut by bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::failure::{Failure, Result};
use crate::store::LocalCopy;
use crate::write::file_limits::{Indexes, load_footer, rows_at_once};

/// A file being read.
pub struct FileReader {
    file: File,
    metadata: ArrowReaderMetadata,
    columns: ProjectionMask,
    /// The next row group.
    next: usize,
    batches: Option<ParquetRecordBatchReader>,
}

/// Reads a whole file, batch by batch.
pub fn read(copy: &LocalCopy) -> Result<FileReader> {
    let gone = || Failure::damaged("read a data file", copy.path().display().to_string()).because("it is gone");
    read_file(copy.open()?.ok_or_else(gone)?, copy.path())
}

/// Reads these columns of a file, batch by batch.
pub fn read_columns(copy: &LocalCopy, names: &[&str]) -> Result<FileReader> {
    let whole = read(copy)?;
    let columns = whole.metadata.metadata().file_metadata().schema_descr();
    let columns = ProjectionMask::columns(columns, names.iter().copied());
    Ok(FileReader { columns, ..whole })
}

/// Reads a whole file that is open; its path is for messages.
pub fn read_file(file: File, path: &Path) -> Result<FileReader> {
    let metadata = load_footer(&file, Indexes::None)
        .map_err(|error| Failure::damaged("read a data file", path.display().to_string()).caused(error))?;
    Ok(FileReader { file, metadata, columns: ProjectionMask::all(), next: 0, batches: None })
}

impl FileReader {
    /// The columns of the file.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.metadata.schema())
    }

    /// Advances to the next row group, where rows may have another size; `false` behind the last.
    fn advance(&mut self) -> parquet::errors::Result<bool> {
        if self.next >= self.metadata.metadata().num_row_groups() {
            return Ok(false);
        }
        let group = self.next;
        self.next += 1;
        let file = self.file.try_clone()?;
        let rows = rows_at_once(&file, self.metadata.metadata(), &[group], &self.columns)?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(self.columns.clone())
            .with_batch_size(rows)
            .build()?;
        self.batches = Some(batches);
        Ok(true)
    }
}

impl Iterator for FileReader {
    type Item = parquet::errors::Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(ParquetError::from));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
