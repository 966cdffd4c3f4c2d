//! Tables of a log as Parquet in memory: the checkpoints of a Delta log.
//!
//! Takes batches with nested columns, gives bytes, and reads them back. Reading refuses a footer, a page or a schema larger than
//! those of any checkpoint that is written: other writers may have put one there.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::write::file_limits::{load_nested_footer, rows_at_once};

/// The key in the footer that states who wrote a table of a log.
const WRITER: &str = "pearlift";

/// A table as Parquet.
pub fn pack(batch: &RecordBatch) -> Result<Vec<u8>> {
    let version = KeyValue::new(WRITER.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![version]))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(bytes)
}

/// Whether [`pack`] wrote these bytes.
pub fn is_packed_here(bytes: &Bytes) -> bool {
    let footer = load_nested_footer(bytes);
    let values = footer.as_ref().ok().and_then(|footer| footer.metadata().file_metadata().key_value_metadata());
    values.is_some_and(|values| values.iter().any(|value| value.key == WRITER))
}

/// The rows of a table, in batches of these columns; columns that it lacks are not in them.
pub fn unpack(bytes: &Bytes, columns: &[&str], mut take: impl FnMut(&RecordBatch)) -> Result<()> {
    let footer = load_nested_footer(bytes)?;
    let metadata = footer.metadata();
    let roots = metadata.file_metadata().schema_descr();
    let wanted = (0..roots.root_schema().get_fields().len())
        .filter(|place| columns.contains(&roots.root_schema().get_fields()[*place].name()));
    let mask = ProjectionMask::roots(roots, wanted);
    for group in 0..metadata.num_row_groups() {
        let rows = rows_at_once(bytes, metadata, &[group], &mask)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), footer.clone())
            .with_row_groups(vec![group])
            .with_projection(mask.clone())
            .with_batch_size(rows)
            .build()?;
        for batch in reader {
            take(&batch.map_err(ParquetError::from)?);
        }
    }
    Ok(())
}
