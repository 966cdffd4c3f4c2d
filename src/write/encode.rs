//! The properties of data files: the declarations in each file, and encodings chosen from its first rows.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::config::Encodings;
use crate::write::form::Form;

/// A column of which more than this share of values differ is written without a dictionary: it would cost nearly half
/// of the writing time and save nothing.
const MOSTLY_UNIQUE: f64 = 0.5;
/// Names the build in footers, where a packager gives one at compile time.
const BUILD: &str = match option_env!("PACKAGE_BUILD") {
    Some(build) => build,
    None => "source",
};
/// Footer keys.
const TOOL: &str = "pearlift.version";
const SCHEMA_HASH: &str = "pearlift.schema_hash";

/// The writer of a file in the form that readers know: parquet-java ignores the statistics of texts in files without
/// one.
pub fn created_by() -> String {
    format!("pearlift version {} (build {BUILD})", env!("CARGO_PKG_VERSION"))
}

/// The properties of a file of this form, with encodings for columns such as these rows have.
pub fn properties(form: &Form, rows: &[RecordBatch]) -> WriterProperties {
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
