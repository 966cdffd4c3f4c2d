//! Parquet files read whole, batch by batch: batches are cut by bytes, as far as the file's own index tells them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};

use crate::failure::{Failure, Result};
use crate::store::LocalCopy;
use crate::write::weight::BATCH;

/// A file being read.
pub struct Reader {
    file: File,
    metadata: ArrowReaderMetadata,
    /// The next row group.
    next: usize,
    batches: Option<ParquetRecordBatchReader>,
}

/// Reads a whole file, batch by batch.
pub fn read(copy: &LocalCopy) -> Result<Reader> {
    let gone = || Failure::damaged("read a data file", copy.path().display().to_string()).because("it is gone");
    read_file(copy.open()?.ok_or_else(gone)?, copy.path())
}

/// Reads a whole file that is open; its path is for messages.
pub fn read_file(file: File, path: &Path) -> Result<Reader> {
    let options = ArrowReaderOptions::default().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load(&file, options)
        .map_err(|error| Failure::damaged("read a data file", path.display().to_string()).caused(error))?;
    Ok(Reader { file, metadata, next: 0, batches: None })
}

impl Reader {
    /// The columns of the file.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.metadata.schema())
    }

    /// Goes to the next row group, whose rows may be of other sizes; `false` behind the last.
    fn advance(&mut self) -> parquet::errors::Result<bool> {
        if self.next >= self.metadata.metadata().num_row_groups() {
            return Ok(false);
        }
        let group = self.next;
        self.next += 1;
        let file = self.file.try_clone()?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size(rows_at_once(self.metadata.metadata(), &[group], &ProjectionMask::all()))
            .build()?;
        self.batches = Some(batches);
        Ok(true)
    }
}

impl Iterator for Reader {
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

/// So many rows of these row groups are a batch of the columns that are read, wherever they begin.
pub fn rows_at_once(metadata: &ParquetMetaData, groups: &[usize], mask: &ProjectionMask) -> usize {
    let row_bytes = |group: &usize| {
        let columns = metadata.row_group(*group);
        let read = (0..columns.num_columns()).filter(|column| mask.leaf_included(*column));
        read.map(|column| 16 + text_bytes_per_row(metadata, *group, columns, column)).sum::<u64>()
    };
    let largest = groups.iter().map(row_bytes).max().unwrap_or(0).max(1);
    let most = u64::try_from(BATCH.bytes).unwrap_or(u64::MAX) / largest;
    usize::try_from(most).unwrap_or(usize::MAX).clamp(1, BATCH.rows)
}

/// The bytes of a column's texts for each row, in the page where they are most: encoded, a text may take nothing.
fn text_bytes_per_row(metadata: &ParquetMetaData, group: usize, columns: &RowGroupMetaData, column: usize) -> u64 {
    let chunk = columns.column(column);
    if chunk.column_type() != Type::BYTE_ARRAY {
        return 0;
    }
    let rows = u64::try_from(columns.num_rows()).unwrap_or(0).max(1);
    let whole = chunk.unencoded_byte_array_data_bytes().unwrap_or_else(|| chunk.uncompressed_size());
    let average = u64::try_from(whole).unwrap_or(0).div_ceil(rows);
    let index = metadata.page_index().and_then(|index| index.offset_index(group, column));
    let Some((index, bytes)) = index.and_then(|index| Some((index, index.unencoded_byte_array_data_bytes()?))) else {
        return average;
    };
    let begins = index.page_locations().iter().map(|page| u64::try_from(page.first_row_index).unwrap_or(0));
    let ends = begins.clone().skip(1).chain([rows]);
    let pages = begins.zip(ends).zip(bytes);
    let densest = pages
        .map(|((begin, end), bytes)| u64::try_from(*bytes).unwrap_or(0).div_ceil(end.saturating_sub(begin).max(1)));
    densest.max().unwrap_or(average)
}
