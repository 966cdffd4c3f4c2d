//! Column types: the closed set that a schema file may use, and the Arrow type of each.
//! | type | Arrow | Parquet | takes from JSON |
//! |---|---|---|---|
//! | `bool` | Boolean | BOOLEAN | true, false, 0, 1, the same in a string |
//! | `int32` `int64` | Int32, Int64 | INT32, INT64 | whole numbers, in a string or not |
//! | `float64` | Float64 | DOUBLE | numbers, in a string or not |
//! | `decimal(p,s)` | Decimal128 | DECIMAL | numbers from their own digits, in a string or not; never rounded |
//! | `string` | Utf8 | STRING | strings byte for byte; numbers and booleans as written |
//! | `date` | Date32 | DATE | `2026-07-01`, or the day that an instant represents |
//! | `timestamp` | Timestamp(µs, UTC) | TIMESTAMP(MICROS, UTC) | ISO 8601 with an offset |
//! | `json` | Utf8 | STRING | anything, as text with keys in order |
//!
//! `hash(KEY)` is the type of a column that the settings replace by keyed hashes: Utf8, 64 digits. No schema file may
//! state it.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use crate::failure::{Failure, Kind, Result};
use crate::schema::{Meaning, Source};

/// JSON text of every field that the schema does not name, and of values that did not fit; null when none.
pub const EXTRA: &str = "_extra";
/// When this content was first seen, by the source's clock.
pub const EXTRACTED_AT: &str = "_extracted_at";
/// The run that first saw this content.
pub const RUN_ID: &str = "_run_id";

/// The time at which the record was found deleted at the source, by its clock: in tables that keep such rows, and in
/// files of deleted rows.
pub const DELETED_AT: &str = "_deleted_at";

/// The most digits of a 128-bit decimal.
const MAX_PRECISION: u8 = 38;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Bool,
    Int32,
    Int64,
    Float64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Date,
    Timestamp,
    Json,
    /// A keyed hash in place of the value; `key` distinguishes keys, `json` a column that took anything.
    Hash {
        key: u32,
        json: bool,
    },
}

impl Type {
    /// Reads `int64`, `decimal(18,6)` and so on.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Failure::new(Kind::Schema, "read a column type").at(text).because(
                "it is one of bool, int32, int64, float64, decimal(p,s), string, date, timestamp, json (p at most 38, s at most p)",
            )
        };
        match text {
            "bool" => Ok(Self::Bool),
            "int32" => Ok(Self::Int32),
            "int64" => Ok(Self::Int64),
            "float64" => Ok(Self::Float64),
            "string" => Ok(Self::String),
            "date" => Ok(Self::Date),
            "timestamp" => Ok(Self::Timestamp),
            "json" => Ok(Self::Json),
            _ if text.starts_with("hash(") => Self::parse_hash(text).ok_or_else(wrong),
            _ => {
                let inner = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(wrong)?;
                let (precision, scale) = inner.split_once(',').ok_or_else(wrong)?;
                let precision: u8 = precision.trim().parse().map_err(|_| wrong())?;
                let scale: u8 = scale.trim().parse().map_err(|_| wrong())?;
                if precision == 0 || precision > MAX_PRECISION || scale > precision {
                    return Err(wrong());
                }
                Ok(Self::Decimal { precision, scale })
            }
        }
    }

    /// Reads `hash(1a2b3c4d)` or `hash(1a2b3c4d,json)`, as manifests have it.
    fn parse_hash(text: &str) -> Option<Self> {
        let inner = text.strip_prefix("hash(")?.strip_suffix(')')?;
        let (key, json) = match inner.split_once(',') {
            Some((key, "json")) => (key, true),
            Some(_) => return None,
            None => (inner, false),
        };
        Some(Self::Hash { key: u32::from_str_radix(key, 16).ok()?, json })
    }

    /// Whether a column takes arrays and objects whole.
    pub fn takes_whole(self) -> bool {
        match self {
            Self::Json => true,
            Self::Hash { json, .. } => json,
            Self::Bool | Self::Int32 | Self::Int64 | Self::Float64 => false,
            Self::Decimal { .. } | Self::String | Self::Date | Self::Timestamp => false,
        }
    }

    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(precision, i8::try_from(scale).expect("a scale is at most 38"))
            }
            Self::String | Self::Json | Self::Hash { .. } => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::String => f.write_str("string"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Json => f.write_str("json"),
            Self::Hash { key, json: false } => write!(f, "hash({key:08x})"),
            Self::Hash { key, json: true } => write!(f, "hash({key:08x},json)"),
        }
    }
}

/// A column: its name, where its value comes from (the first source present wins), its type.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub from: Vec<Source>,
    pub kind: Type,
    /// Never null: a row without it does not fit.
    pub required: bool,
    /// A value that does not fit is null, and not rejected: another column takes it.
    pub tried: bool,
    /// For people and tools: nothing is read or mapped by it.
    pub meaning: Meaning,
}

impl Column {
    /// The Arrow field.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.kind.arrow(), !self.required)
    }
}
