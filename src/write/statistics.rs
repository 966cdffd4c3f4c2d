//! The statistics of a data file as a Delta log has them: rows, and nulls and bounds of columns, from the footer.
//!
//! Takes a file, gives JSON text. Only integers, decimals, dates and instants have bounds: texts may be of people, and
//! engines compare floats in different ways. A column has no bounds where a row group states none, or where one does not
//! fit the form of the log.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use jiff::Timestamp;
use jiff::civil::Date;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::failure::{Kind, Result};
use crate::store::RemoteFile;
use crate::write::file_limits::{Indexes, load_footer};

const EPOCH: Date = Date::constant(1970, 1, 1);
/// Microseconds of a millisecond: bounds of instants are in milliseconds.
const MILLI: i64 = 1_000;

/// The statistics of a column.
#[derive(Debug)]
struct Bounds {
    nulls: u64,
    /// The least and the greatest value, as JSON; none where all are null.
    range: Option<(String, String)>,
}

/// Bytes of a file's end that are fetched first: the footers of most files fit.
const TAIL: u64 = 64 << 10;

/// The end of a file, as far as a footer needs it.
struct FileEnd {
    size: u64,
    bytes: Bytes,
}

impl Length for FileEnd {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for FileEnd {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let held = usize::try_from(self.size.saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(self.get_bytes(start, held)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let first = self.size - u64::try_from(self.bytes.len()).expect("a length fits");
        let from = start.checked_sub(first).and_then(|from| usize::try_from(from).ok());
        let range = from.and_then(|from| Some(from..from.checked_add(length)?));
        let range = range.filter(|range| range.end <= self.bytes.len());
        let range = range.ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start}")))?;
        Ok(self.bytes.slice(range))
    }
}

/// The statistics of a file as JSON; none where its footer cannot be read. Fails where the store does. Holds no thread while
/// the store answers.
pub async fn statistics(file: &RemoteFile) -> Result<Option<String>> {
    let size = file.size();
    let mut wanted = TAIL.min(size);
    for _ in 0..2 {
        let bytes = match file.fetch(size - wanted, wanted).await {
            Ok(bytes) => bytes,
            Err(failure) if failure.kind() == Kind::StoreUnreachable => return Err(failure),
            Err(_) => return Ok(None),
        };
        let end = footer_bytes(&bytes).filter(|length| *length <= size);
        match end {
            Some(length) if length > wanted && length <= MOST => wanted = length,
            Some(_) | None => {
                // A reader may panic on bytes that no writer made.
                let read = tokio::task::spawn_blocking(move || {
                    load_footer(&FileEnd { size, bytes }, Indexes::None).ok().map(|footer| of_footer(&footer))
                });
                return Ok(read.await.unwrap_or(None));
            }
        }
    }
    Ok(None)
}

/// The bytes of a footer with its length and mark, as the end of a file states them.
fn footer_bytes(end: &[u8]) -> Option<u64> {
    let length = end.get(end.len().checked_sub(8)?..end.len() - 4)?;
    Some(u64::from(u32::from_le_bytes(length.try_into().ok()?)) + 8)
}

/// Bytes of the longest footer that is read.
const MOST: u64 = 16 << 20;

fn of_footer(footer: &ArrowReaderMetadata) -> String {
    let mut columns = Vec::new();
    for field in footer.schema().fields() {
        columns.extend(bounds(footer, field.name()).map(|bounds| (field.name(), bounds)));
    }
    let mut text = format!("{{\"numRecords\":{}", footer.metadata().file_metadata().num_rows());
    let nulls = columns.iter().map(|(name, bounds)| (*name, bounds.nulls.to_string()));
    put(&mut text, "nullCount", nulls);
    let ranges = || columns.iter().filter_map(|(name, bounds)| Some((*name, bounds.range.clone()?)));
    put(&mut text, "minValues", ranges().map(|(name, (least, _))| (name, least)));
    put(&mut text, "maxValues", ranges().map(|(name, (_, greatest))| (name, greatest)));
    text.push('}');
    text
}

/// Adds an object. The names of columns are words of a schema file, which need no escape.
fn put<'n>(text: &mut String, name: &str, values: impl Iterator<Item = (&'n String, String)>) {
    let values: Vec<String> = values.map(|(column, value)| format!("\"{column}\":{value}")).collect();
    let _ = write!(text, ",\"{name}\":{{{}}}", values.join(","));
}

/// The statistics of a column; none where it is of another type, or a row group lacks them.
fn bounds(footer: &ArrowReaderMetadata, column: &str) -> Option<Bounds> {
    let metadata = footer.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(column, footer.schema(), schema).ok()?;
    let place = converter.parquet_column_index()?;
    let form = Form::of(converter.arrow_field().data_type())?;
    let groups = metadata.row_groups();
    let least = converter.row_group_mins(groups).ok()?;
    let greatest = converter.row_group_maxes(groups).ok()?;
    let (mut nulls, mut range) = (0, None::<(i128, i128)>);
    for (group, metadata) in groups.iter().enumerate() {
        // A writer that leaves the count out may have nulls.
        let count = metadata.column(place).statistics()?.null_count_opt()?;
        nulls += count;
        if i128::from(count) == i128::from(metadata.num_rows()) {
            continue;
        }
        let own = (value(&least, group)?, value(&greatest, group)?);
        range = Some(range.map_or(own, |(first, last)| (first.min(own.0), last.max(own.1))));
    }
    let range = match range {
        Some((first, last)) => Some((form.text(first, Side::Least)?, form.text(last, Side::Greatest)?)),
        None => None,
    };
    Some(Bounds { nulls, range })
}

/// The value of a row group in its own unit; none where the group states none.
fn value(values: &ArrayRef, group: usize) -> Option<i128> {
    if values.is_null(group) {
        return None;
    }
    match values.data_type() {
        DataType::Int32 => Some(values.as_primitive::<Int32Type>().value(group).into()),
        DataType::Int64 => Some(values.as_primitive::<Int64Type>().value(group).into()),
        DataType::Date32 => Some(values.as_primitive::<Date32Type>().value(group).into()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(values.as_primitive::<TimestampMicrosecondType>().value(group).into())
        }
        DataType::Decimal128(..) => Some(values.as_primitive::<Decimal128Type>().value(group)),
        _ => None,
    }
}

/// The form of a column's bounds in the log.
#[derive(Clone, Debug)]
enum Form {
    Integer,
    Decimal { scale: usize },
    Day,
    Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Least,
    Greatest,
}

impl Form {
    fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Int32 | DataType::Int64 => Some(Self::Integer),
            DataType::Decimal128(_, scale) => Some(Self::Decimal { scale: usize::try_from(*scale).ok()? }),
            DataType::Date32 => Some(Self::Day),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(Self::Instant),
            _ => None,
        }
    }

    /// A bound as JSON. An instant is rounded away from the others, so that the bounds hold all values.
    fn text(&self, value: i128, side: Side) -> Option<String> {
        match self {
            Self::Integer => Some(value.to_string()),
            Self::Decimal { scale } => Some(digits(value, *scale)),
            Self::Day => {
                let day = EPOCH.checked_add(jiff::Span::new().try_days(i64::try_from(value).ok()?).ok()?).ok()?;
                (day.year() >= 0).then(|| format!("\"{day}\""))
            }
            Self::Instant => {
                let micros = i64::try_from(value).ok()?;
                let millis = match side {
                    Side::Least => micros.div_euclid(MILLI),
                    Side::Greatest => micros.checked_add(MILLI - 1)?.div_euclid(MILLI),
                };
                let instant = Timestamp::from_millisecond(millis).ok()?;
                (millis >= YEAR_0).then(|| format!("\"{instant:.3}\""))
            }
        }
    }
}

/// The beginning of the year 0, in milliseconds.
const YEAR_0: i64 = -62_167_219_200_000;

/// A decimal in its own digits.
fn digits(value: i128, scale: usize) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let sign = if value < 0 { "-" } else { "" };
    let all = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, rest) = all.split_at(all.len() - scale);
    format!("{sign}{whole}.{rest}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow_schema::{Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn of(batch: &RecordBatch, group: usize) -> serde_json::Value {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let footer = load_footer(&Bytes::from(bytes), Indexes::None).unwrap();
        serde_json::from_str(&of_footer(&footer)).unwrap()
    }

    #[test]
    fn bounds_hold_all_row_groups_in_the_form_of_the_log() {
        let instants = TimestampMicrosecondArray::from(vec![Some(1_000_500), None, Some(2_000_001), Some(-1)]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![7, 8, 1, 2]))),
            ("small", Arc::new(Int32Array::from(vec![None, None, Some(-3), Some(4)]))),
            (
                "money",
                Arc::new(
                    Decimal128Array::from(vec![Some(-5), Some(12_345_678_901_234_567), None, Some(0)])
                        .with_precision_and_scale(18, 6)
                        .unwrap(),
                ),
            ),
            ("day", Arc::new(Date32Array::from(vec![Some(0), Some(20_000), None, None]))),
            ("at", Arc::new(instants.with_timezone("UTC"))),
            ("name", Arc::new(StringArray::from(vec!["Ada", "Bob", "Cy", "Di"]))),
            ("rate", Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.0, 3.0]))),
            ("none", Arc::new(Int64Array::from(vec![None::<i64>; 4]))),
        ];
        let found = of(&RecordBatch::try_from_iter(columns).unwrap(), 2);
        assert_eq!(found["numRecords"], 4);
        assert_eq!(
            found["minValues"].to_string(),
            r#"{"id":1,"small":-3,"money":-5e-6,"day":"1970-01-01","at":"1969-12-31T23:59:59.999Z"}"#
        );
        assert_eq!(found["maxValues"]["at"], "1970-01-01T00:00:02.001Z");
        assert_eq!(found["maxValues"]["day"], "2024-10-04");
        assert_eq!(
            found["nullCount"].to_string(),
            r#"{"id":0,"small":2,"money":1,"day":2,"at":1,"none":4}"#,
            "no text and no float is described"
        );
    }

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(digits(12_345_678_901_234_567, 6), "12345678901.234567");
        assert_eq!(digits(-5, 6), "-0.000005");
        assert_eq!(digits(0, 2), "0.00");
        assert_eq!(digits(-42, 0), "-42");
    }

    #[test]
    fn an_instant_that_does_not_fit_the_form_has_no_bounds() {
        assert_eq!(Form::Instant.text(i128::from(i64::MAX), Side::Greatest), None);
        assert_eq!(Form::Instant.text(i128::from(YEAR_0) * 1_000 - 1, Side::Least), None);
        assert_eq!(
            Form::Instant.text(i128::from(YEAR_0) * 1_000, Side::Least).unwrap(),
            "\"0000-01-01T00:00:00.000Z\""
        );
    }

    #[test]
    fn a_file_without_rows_has_no_bounds() {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let found = of(&RecordBatch::new_empty(schema), 2);
        assert_eq!(found.to_string(), r#"{"numRecords":0,"nullCount":{"id":0},"minValues":{},"maxValues":{}}"#);
    }
}
