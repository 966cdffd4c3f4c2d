//! Small Parquet files held in memory: written from one batch, read back whole.
//!
//! Takes a batch and the places of its key, or the bytes of a file; gives bytes, or batches. Refuses bytes that are no
//! Parquet, state more than they hold, or have more rows than are read.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::failure::{Failure, Kind, Result};
use crate::write::encode::created_by;
use crate::write::file_limits::{Indexes, load_footer, rows_at_once};

/// A file of rows that are sorted by the columns at these places.
pub fn to_parquet(rows: &RecordBatch, key: &[usize]) -> Result<Bytes> {
    let column = |place: &usize| SortingColumn {
        column_idx: i32::try_from(*place).expect("a table has few columns"),
        descending: false,
        nulls_first: false,
    };
    let properties = WriterProperties::builder()
        .set_created_by(created_by())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a zstd level")))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(key.iter().map(column).collect()))
        .build();
    let write = || {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties))?;
        writer.write(rows)?;
        writer.close()?;
        Ok::<_, ParquetError>(Bytes::from(bytes))
    };
    write().map_err(|error| Failure::new(Kind::Bug, "write rows into memory").caused(error))
}

/// The rows of a file. Refuses (`Damage`) more than `most` of them.
pub fn from_parquet(bytes: &Bytes, most: usize) -> Result<Vec<RecordBatch>> {
    let damaged = |error: ParquetError| Failure::new(Kind::Damage, "read a Parquet file").caused(error);
    let metadata = load_footer(bytes, Indexes::None).map_err(damaged)?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    for group in 0..metadata.metadata().num_row_groups() {
        let at_once = rows_at_once(bytes, metadata.metadata(), &[group], &ProjectionMask::all()).map_err(damaged)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size(at_once)
            .build()
            .map_err(damaged)?;
        for batch in reader {
            let batch = batch.map_err(|error| damaged(error.into()))?;
            rows += batch.num_rows();
            if rows > most {
                return Err(Failure::new(Kind::Damage, "read a Parquet file").because("it has too many rows"));
            }
            batches.push(batch);
        }
    }
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(Arc::clone(metadata.schema())));
    }
    Ok(batches)
}
