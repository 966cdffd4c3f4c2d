//! Parquet files in and out: encodings chosen from the data, the checksum taken on the way.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};

/// Rows read at a time.
pub const READ_BATCH: usize = 8192;
/// A column of which more than this share of values differ is written without a dictionary: it would cost nearly half of
/// the writing time and save nothing.
const MOSTLY_UNIQUE: f64 = 0.5;
/// Footer keys.
const TOOL: &str = "pearlift.version";
const SCHEMA_HASH: &str = "pearlift.schema_hash";

/// A file being written; bytes are hashed as they go.
pub struct Writer {
    inner: ArrowWriter<HashingFile>,
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

/// How files of a table are written.
#[derive(Clone, Debug)]
pub struct Form {
    pub schema: SchemaRef,
    /// Places of the key columns, by which rows are sorted.
    pub key: Vec<usize>,
    pub schema_hash: String,
    pub row_group_rows: usize,
}

/// What a finished file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub bytes: u64,
    pub sha256: String,
}

pub fn failed(verb: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::StoreUnreachable, format!("{verb} a data file"))
        .at(path.display().to_string())
        .caused(error)
        .advise("check free space and permissions; what was committed is intact, run again")
}

impl Writer {
    /// Begins a file where none is; encodings follow the first batch, which is not yet written.
    pub fn create(path: &Path, form: &Form, first: Option<&RecordBatch>) -> Result<Self> {
        // Never what lies there, nor what a link there leads to: the name is ours alone.
        let file = File::create_new(path).map_err(|error| failed("write", path, error))?;
        let target = HashingFile { file: BufWriter::with_capacity(1 << 18, file), hash: Sha256::new(), bytes: 0 };
        let inner = ArrowWriter::try_new(target, Arc::clone(&form.schema), Some(properties(form, first)))
            .map_err(|error| failed("write", path, error))?;
        Ok(Self { inner })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch, path: &Path) -> Result<()> {
        self.inner.write(batch).map_err(|error| failed("write", path, error))
    }

    /// Bytes so far, those of the row group in hand as an estimate.
    pub fn bytes(&self) -> usize {
        self.inner.bytes_written() + self.inner.in_progress_size()
    }

    /// Ends the file.
    pub fn finish(mut self, path: &Path) -> Result<Finished> {
        self.inner.finish().map_err(|error| failed("write", path, error))?;
        let target = self.inner.inner_mut();
        target.flush().map_err(|error| failed("write", path, error))?;
        let digest = std::mem::take(&mut target.hash).finalize();
        Ok(Finished { bytes: target.bytes, sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect() })
    }
}

fn properties(form: &Form, first: Option<&RecordBatch>) -> WriterProperties {
    let sorting = form
        .key
        .iter()
        .map(|place| SortingColumn {
            column_idx: i32::try_from(*place).expect("a table has few columns"),
            descending: false,
            nulls_first: false,
        })
        .collect();
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("pearlift ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a zstd level")))
        .set_max_row_group_row_count(Some(form.row_group_rows))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(TOOL.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            KeyValue::new(SCHEMA_HASH.to_owned(), form.schema_hash.clone()),
        ]));
    for (place, field) in form.schema.fields().iter().enumerate() {
        let path = ColumnPath::from(field.name().as_str());
        let unique =
            first.filter(|batch| batch.num_rows() > 0).is_none_or(|batch| is_mostly_unique(batch.column(place)));
        builder = encode(builder, path, field.data_type(), unique);
    }
    builder.build()
}

/// The encoding of a column: a dictionary for values that repeat, differences for whole numbers and instants.
fn encode(
    builder: WriterPropertiesBuilder,
    path: ColumnPath,
    kind: &DataType,
    unique: bool,
) -> WriterPropertiesBuilder {
    if !unique || *kind == DataType::Boolean {
        return builder;
    }
    let builder = builder.set_column_dictionary_enabled(path.clone(), false);
    match kind {
        DataType::Int64 | DataType::Int32 | DataType::Timestamp(..) | DataType::Date32 => {
            builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
        }
        _ => builder,
    }
}

fn is_mostly_unique(column: &dyn Array) -> bool {
    let values = column.len() - column.null_count();
    if values == 0 {
        return false;
    }
    let distinct = match column.data_type() {
        DataType::Int64 => distinct(column.as_primitive::<Int64Type>()),
        DataType::Int32 => distinct(column.as_primitive::<Int32Type>()),
        DataType::Timestamp(..) => distinct(column.as_primitive::<TimestampMicrosecondType>()),
        DataType::Decimal128(..) => distinct(column.as_primitive::<Decimal128Type>()),
        DataType::Utf8 => distinct(column.as_string::<i32>()),
        _ => return false,
    };
    // The lengths of a batch are far below 2^32, so both are exact.
    let exact = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    exact(distinct) > exact(values) * MOSTLY_UNIQUE
}

fn distinct<T: std::hash::Hash + Eq>(values: impl IntoIterator<Item = Option<T>>) -> usize {
    values.into_iter().flatten().collect::<HashSet<_>>().len()
}

/// Reads a whole file, batch by batch.
pub fn read(path: &Path) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path).map_err(|error| failed("read", path, error))?;
    let damaged = |error: parquet::errors::ParquetError| {
        Failure::damaged("read a data file", path.display().to_string()).caused(error)
    };
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(damaged)?
        .with_batch_size(READ_BATCH)
        .build()
        .map_err(damaged)
}
