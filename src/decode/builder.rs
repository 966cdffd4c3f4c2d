//! Arrow builders of a table, fed with raw JSON values.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{Array, ArrayRef};
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::json::{canonical, raw};
use crate::decode::moment::{date_days, timestamp_micros};
use crate::decode::number::{decimal, float, whole};
use crate::schema::Type;
use crate::secret::HashKey;

/// A value on its way into a column.
#[derive(Clone, Debug)]
pub enum ColumnValue<'v, 'a> {
    Json(&'v LazyValue<'a>),
    /// A map's key, or a label.
    Text(&'v str),
    /// A text that is nowhere in the answer.
    Made(String),
    Index(usize),
}

impl ColumnValue<'_, '_> {
    /// Writes the value as canonical JSON; whether all its texts are Unicode.
    pub fn write(&self, out: &mut String) -> bool {
        match self {
            Self::Json(json) => return canonical(json, out),
            Self::Text(key) => out.push_str(&serde_json::to_string(key).expect("a text is JSON")),
            Self::Made(text) => out.push_str(&serde_json::to_string(text).expect("a text is JSON")),
            Self::Index(index) => out.push_str(&index.to_string()),
        }
        true
    }
}

impl ColumnValue<'_, '_> {
    /// Bytes of the value as written.
    pub fn length(&self) -> usize {
        match self {
            Self::Json(json) => json.as_raw_str().len(),
            Self::Text(text) => text.len(),
            Self::Made(text) => text.len(),
            Self::Index(_) => size_of::<usize>(),
        }
    }

    /// Whether it is the empty text, which states that there is no value in a column that is no text.
    pub fn is_empty_for(&self, kind: Type) -> bool {
        kind != Type::String && Token::of(self).is_some_and(|token| token.text.is_empty())
    }
}

/// Appends the hash of a value: of a text without its escapes, of anything else as it is written. An empty text stays
/// empty.
fn push_hash(builder: &mut StringBuilder, text: &mut String, key: &HashKey, value: &ColumnValue<'_, '_>) {
    match Token::of(value) {
        Some(token) if token.text.is_empty() => builder.append_value(""),
        Some(token) => builder.append_value(key.hash(&token.text)),
        None => {
            text.clear();
            // A text that is no Unicode is hashed as far as it could be written.
            value.write(text);
            builder.append_value(key.hash(text));
        }
    }
}

/// A value does not fit its column.
#[derive(Debug)]
pub struct NoFit;

/// The growing column.
pub enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal { builder: Decimal128Builder, precision: u8, scale: u8 },
    String(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Json { builder: StringBuilder, text: String },
    Hash { builder: StringBuilder, text: String, key: HashKey },
}

impl ColumnBuilder {
    /// An empty column of a type; a column of hashes needs the key.
    pub fn new(kind: Type, key: Option<&HashKey>) -> Self {
        match kind {
            Type::Bool => Self::Bool(BooleanBuilder::new()),
            Type::Int32 => Self::Int32(Int32Builder::new()),
            Type::Int64 => Self::Int64(Int64Builder::new()),
            Type::Float64 => Self::Float64(Float64Builder::new()),
            Type::Decimal { precision, scale } => {
                Self::Decimal { builder: Decimal128Builder::new().with_data_type(kind.arrow()), precision, scale }
            }
            Type::String => Self::String(StringBuilder::new()),
            Type::Date => Self::Date(Date32Builder::new()),
            Type::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.arrow())),
            Type::Json => Self::Json { builder: StringBuilder::new(), text: String::new() },
            Type::Hash { .. } => {
                let key = key.expect("a resource with a column of hashes has the key").clone();
                Self::Hash { builder: StringBuilder::new(), text: String::new(), key }
            }
        }
    }

    /// Appends null.
    pub fn null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal { builder, .. } => builder.append_null(),
            Self::String(builder) | Self::Json { builder, .. } | Self::Hash { builder, .. } => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
        }
    }

    /// Appends a value; `true` when something was appended that is not null. A value that does not fit appends nothing.
    ///
    /// An empty text in a column that is no text is null: so the source writes "none" (docs/brightpearl-api.md §8.10).
    pub fn push(&mut self, value: &ColumnValue<'_, '_>) -> Result<bool, NoFit> {
        if let Self::Json { builder, text } = self {
            text.clear();
            if !value.write(text) {
                return Err(NoFit);
            }
            builder.append_value(&*text);
            return Ok(true);
        }
        if let Self::Hash { builder, text, key } = self {
            push_hash(builder, text, key, value);
            return Ok(true);
        }
        let token = Token::of(value).ok_or(NoFit)?;
        if token.text.is_empty() && !matches!(self, Self::String(_)) {
            self.null();
            return Ok(false);
        }
        self.push_token(&token)?;
        Ok(true)
    }

    /// Writes the last value, so that equal values of one column have equal bytes.
    pub fn write_last(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(builder) => out.push(u8::from(last_bit(builder.values_slice(), ArrayBuilder::len(builder)))),
            Self::Int32(builder) => out.extend(builder.values_slice().last().into_iter().flat_map(|v| v.to_le_bytes())),
            Self::Int64(builder) => out.extend(builder.values_slice().last().into_iter().flat_map(|v| v.to_le_bytes())),
            Self::Float64(builder) => {
                out.extend(builder.values_slice().last().into_iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::Decimal { builder, .. } => {
                out.extend(builder.values_slice().last().into_iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::Date(builder) => out.extend(builder.values_slice().last().into_iter().flat_map(|v| v.to_le_bytes())),
            Self::Timestamp(builder) => {
                out.extend(builder.values_slice().last().into_iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::String(builder) | Self::Json { builder, .. } | Self::Hash { builder, .. } => {
                let [.., from, to] = builder.offsets_slice() else { return };
                let length = usize::try_from(to - from).expect("offsets ascend");
                out.extend_from_slice(&length.to_le_bytes());
                let texts = builder.values_slice();
                out.extend_from_slice(&texts[texts.len() - length..]);
            }
        }
    }

    fn push_token(&mut self, token: &Token<'_>) -> Result<(), NoFit> {
        let text = token.text.as_ref();
        let bytes = text.as_bytes();
        let number = |fits: bool| if fits && token.kind != TokenKind::Bool { Ok(()) } else { Err(NoFit) };
        match self {
            Self::Bool(builder) => match text {
                "true" | "1" => builder.append_value(true),
                "false" | "0" => builder.append_value(false),
                _ => return Err(NoFit),
            },
            Self::Int32(builder) => {
                number(true)?;
                let value = whole(bytes).and_then(|value| i32::try_from(value).ok()).ok_or(NoFit)?;
                builder.append_value(value);
            }
            Self::Int64(builder) => {
                number(true)?;
                builder.append_value(whole(bytes).ok_or(NoFit)?);
            }
            Self::Float64(builder) => {
                number(true)?;
                builder.append_value(float(bytes).ok_or(NoFit)?);
            }
            Self::Decimal { builder, precision, scale } => {
                number(true)?;
                builder.append_value(decimal(bytes, *precision, *scale).ok_or(NoFit)?);
            }
            Self::String(builder) => builder.append_value(text),
            Self::Date(builder) => {
                number(token.kind == TokenKind::Text)?;
                builder.append_value(date_days(text).ok_or(NoFit)?);
            }
            Self::Timestamp(builder) => {
                number(token.kind == TokenKind::Text)?;
                builder.append_value(timestamp_micros(text).ok_or(NoFit)?);
            }
            Self::Json { .. } | Self::Hash { .. } => return Err(NoFit),
        }
        Ok(())
    }

    /// The finished column.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal { builder, .. } => Arc::new(builder.finish()) as Arc<dyn Array>,
            Self::String(builder) | Self::Json { builder, .. } | Self::Hash { builder, .. } => {
                Arc::new(builder.finish())
            }
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

fn last_bit(bytes: &[u8], length: usize) -> bool {
    let at = length.saturating_sub(1);
    bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// The text of a scalar, without its quotes.
#[derive(Debug)]
pub struct Token<'t> {
    pub text: Cow<'t, str>,
    pub kind: TokenKind,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Text,
    Number,
    Bool,
}

impl<'t> Token<'t> {
    /// The scalar of a value; `None` for arrays, objects, null, and texts that are no Unicode.
    pub fn of(value: &'t ColumnValue<'_, '_>) -> Option<Self> {
        match value {
            ColumnValue::Text(text) => Some(Self { text: Cow::Borrowed(text), kind: TokenKind::Text }),
            ColumnValue::Made(text) => Some(Self { text: Cow::Borrowed(text.as_str()), kind: TokenKind::Text }),
            ColumnValue::Index(index) => Some(Self { text: Cow::Owned(index.to_string()), kind: TokenKind::Number }),
            ColumnValue::Json(json) => match json.get_type() {
                JsonType::String => Some(Self { text: Cow::Borrowed(json.as_str()?), kind: TokenKind::Text }),
                JsonType::Number => Some(Self { text: Cow::Borrowed(raw(json)), kind: TokenKind::Number }),
                JsonType::Boolean => Some(Self { text: Cow::Borrowed(raw(json)), kind: TokenKind::Bool }),
                _ => None,
            },
        }
    }
}
