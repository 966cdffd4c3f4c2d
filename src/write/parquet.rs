//! Parquet files written: encodings chosen from the data, the checksum taken on the way.

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
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::config::{Encodings, Limits};
use crate::failure::{Failure, Kind, Result};
use crate::write::weight::{Most, bytes};

/// Encodings are chosen once so many rows were seen, or so many bytes: the first few show nothing of what follows.
const OBSERVED: Most = Most { rows: 1024, bytes: 1 << 20 };
/// Or so many bytes are held: a slice of a batch holds all of it.
const MOST_HELD: usize = 64 << 20;
/// A column of which more than this share of values differ is written without a dictionary: it would cost nearly half of
/// the writing time and save nothing.
const MOSTLY_UNIQUE: f64 = 0.5;
/// Names the build in footers, where a packager gives one at compile time.
const BUILD: &str = match option_env!("PACKAGE_BUILD") {
    Some(build) => build,
    None => "source",
};
/// Footer keys.
const TOOL: &str = "pearlift.version";
const SCHEMA_HASH: &str = "pearlift.schema_hash";

/// A file being written; bytes are hashed as they go.
pub struct Writer {
    state: State,
    form: Form,
}

enum State {
    /// Rows wait until they show how they are to be written.
    Observing {
        target: HashingFile,
        rows: Vec<RecordBatch>,
    },
    Writing(Box<ArrowWriter<HashingFile>>),
    /// An error put an end to it.
    Failed,
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

/// Sizes and encodings of what is written.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub file_bytes: u64,
    pub row_group_rows: usize,
    /// A row group is held in memory until it ends.
    pub row_group_bytes: usize,
    pub encodings: Encodings,
}

impl Sizes {
    /// As the settings want them: a row group takes an eighth of the memory at most.
    pub fn of(limits: &Limits) -> Self {
        Self {
            file_bytes: limits.file_bytes,
            row_group_rows: limits.row_group_rows,
            row_group_bytes: usize::try_from(limits.memory / 8).unwrap_or(usize::MAX),
            encodings: limits.encodings,
        }
    }
}

/// How files of a table are written.
#[derive(Clone, Debug)]
pub struct Form {
    pub schema: SchemaRef,
    /// Places of the key columns, by which rows are sorted.
    pub key: Vec<usize>,
    pub schema_hash: String,
    pub sizes: Sizes,
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
    /// Begins a file that was just made.
    pub fn new(file: File, form: &Form) -> Result<Self> {
        let target = HashingFile { file: BufWriter::with_capacity(1 << 18, file), hash: Sha256::new(), bytes: 0 };
        Ok(Self { state: State::Observing { target, rows: Vec::new() }, form: form.clone() })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch, path: &Path) -> Result<()> {
        match &mut self.state {
            State::Observing { rows, .. } => {
                rows.push(batch.clone());
                let seen = rows.iter().map(RecordBatch::num_rows).sum::<usize>();
                let own = rows.iter().map(bytes).sum::<usize>();
                let held = rows.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
                if seen >= OBSERVED.rows || own >= OBSERVED.bytes || held >= MOST_HELD {
                    self.begin(path)
                } else {
                    Ok(())
                }
            }
            State::Writing(writer) => writer.write(batch).map_err(|error| failed("write", path, error)),
            State::Failed => Err(Failure::new(Kind::Bug, "go on with a data file that could not be written")),
        }
    }

    /// Chooses the encodings, and writes what waited.
    fn begin(&mut self, path: &Path) -> Result<()> {
        let State::Observing { target, rows } = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(Failure::new(Kind::Bug, "begin a data file twice"));
        };
        let properties = properties(&self.form, &rows);
        let mut writer = ArrowWriter::try_new(target, Arc::clone(&self.form.schema), Some(properties))
            .map_err(|error| failed("write", path, error))?;
        for batch in &rows {
            writer.write(batch).map_err(|error| failed("write", path, error))?;
        }
        self.state = State::Writing(Box::new(writer));
        Ok(())
    }

    /// Bytes so far, those of the row group in hand as an estimate.
    pub fn bytes(&self) -> usize {
        match &self.state {
            State::Observing { rows, .. } => rows.iter().map(bytes).sum(),
            State::Writing(writer) => writer.bytes_written() + writer.in_progress_size(),
            State::Failed => 0,
        }
    }

    /// Ends the file.
    pub fn finish(mut self, path: &Path) -> Result<Finished> {
        if let State::Observing { .. } = &self.state {
            self.begin(path)?;
        }
        let State::Writing(mut writer) = self.state else {
            return Err(Failure::new(Kind::Bug, "end a data file that could not be written"));
        };
        writer.finish().map_err(|error| failed("write", path, error))?;
        let target = writer.inner_mut();
        target.flush().map_err(|error| failed("write", path, error))?;
        let digest = std::mem::take(&mut target.hash).finalize();
        Ok(Finished { bytes: target.bytes, sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect() })
    }
}

/// The writer of a file in the form that readers know: parquet-java ignores the statistics of texts in files without one.
pub fn created_by() -> String {
    format!("pearlift version {} (build {BUILD})", env!("CARGO_PKG_VERSION"))
}

fn properties(form: &Form, rows: &[RecordBatch]) -> WriterProperties {
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
        .set_created_by(created_by())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a zstd level")))
        .set_max_row_group_row_count(Some(form.sizes.row_group_rows))
        .set_max_row_group_bytes(Some(form.sizes.row_group_bytes))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(TOOL.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            KeyValue::new(SCHEMA_HASH.to_owned(), form.schema_hash.clone()),
        ]));
    for (place, field) in form.schema.fields().iter().enumerate() {
        let path = ColumnPath::from(field.name().as_str());
        let columns: Vec<&dyn Array> = rows.iter().map(|batch| batch.column(place).as_ref()).collect();
        let unique = form.key == [place] || is_mostly_unique(field.data_type(), &columns);
        builder = encode(builder, path, field.data_type(), unique, form.sizes.encodings);
    }
    builder.build()
}

/// The encoding of a column: a dictionary for values that repeat; else plain, or differences where those are wanted.
fn encode(
    builder: WriterPropertiesBuilder,
    path: ColumnPath,
    kind: &DataType,
    unique: bool,
    encodings: Encodings,
) -> WriterPropertiesBuilder {
    if !unique || *kind == DataType::Boolean {
        return builder;
    }
    let builder = builder.set_column_dictionary_enabled(path.clone(), false);
    match (kind, encodings) {
        (DataType::Int64 | DataType::Int32 | DataType::Timestamp(..) | DataType::Date32, Encodings::Compact) => {
            builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
        }
        (_, Encodings::Common | Encodings::Compact) => builder,
    }
}

fn is_mostly_unique(kind: &DataType, columns: &[&dyn Array]) -> bool {
    let values: usize = columns.iter().map(|column| column.len() - column.null_count()).sum();
    if values == 0 {
        return false;
    }
    let all = columns.iter();
    let distinct = match kind {
        DataType::Int64 => distinct(all.flat_map(|column| column.as_primitive::<Int64Type>())),
        DataType::Int32 => distinct(all.flat_map(|column| column.as_primitive::<Int32Type>())),
        DataType::Timestamp(..) => distinct(all.flat_map(|column| column.as_primitive::<TimestampMicrosecondType>())),
        DataType::Decimal128(..) => distinct(all.flat_map(|column| column.as_primitive::<Decimal128Type>())),
        DataType::Utf8 => distinct(all.flat_map(|column| column.as_string::<i32>())),
        _ => return false,
    };
    // The lengths of batches are far below 2^32, so both are exact.
    let exact = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    exact(distinct) > exact(values) * MOSTLY_UNIQUE
}

fn distinct<T: std::hash::Hash + Eq>(values: impl IntoIterator<Item = Option<T>>) -> usize {
    values.into_iter().flatten().collect::<HashSet<_>>().len()
}
