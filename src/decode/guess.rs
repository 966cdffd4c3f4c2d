//! The type that a column of unknown values would have, guessed from the values: the narrowest that takes all of them.

use std::fmt;

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::moment::{date_days, timestamp_micros};
use crate::decode::number::decimal;

/// Places behind the point that a decimal column has at least: amounts and rates of the source have up to so many.
const LEAST_SCALE: u8 = 6;
/// Digits of a decimal column.
const PRECISION: u8 = 38;

/// A guessed type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    Bool,
    Int64,
    Decimal,
    Float64,
    Date,
    Timestamp,
    Text,
    Json,
}

impl Guess {
    /// The type of one value; none of null.
    pub fn of(value: &LazyValue<'_>) -> Option<Self> {
        Some(match value.get_type() {
            JsonType::Null => return None,
            JsonType::Boolean => Self::Bool,
            JsonType::Number => {
                let digits = value.as_raw_str().as_bytes();
                if value.as_i64().is_some() {
                    Self::Int64
                } else if decimal(digits, PRECISION, LEAST_SCALE).is_some() {
                    Self::Decimal
                } else {
                    Self::Float64
                }
            }
            JsonType::String => match value.as_str() {
                // A text of digits may be a code with zeros before it: it stays a text.
                Some(text) if timestamp_micros(text).is_some() => Self::Timestamp,
                Some(text) if text.len() == "2026-07-01".len() && date_days(text).is_some() => Self::Date,
                Some(_) | None => Self::Text,
            },
            JsonType::Array | JsonType::Object => Self::Json,
        })
    }

    /// The narrowest type that takes the values of both.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let is_number = |guess: Self| matches!(guess, Self::Int64 | Self::Decimal | Self::Float64);
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Json, _) | (_, Self::Json) => Self::Json,
            (one, other) if is_number(one) && is_number(other) => {
                if one == Self::Float64 || other == Self::Float64 {
                    Self::Float64
                } else {
                    Self::Decimal
                }
            }
            (_, _) => Self::Text,
        }
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int64 => f.write_str("int64"),
            Self::Decimal => write!(f, "decimal({PRECISION},{LEAST_SCALE})"),
            Self::Float64 => f.write_str("float64"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Text => f.write_str("string"),
            Self::Json => f.write_str("json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use sonic_rs::LazyValue;

    use super::Guess;

    fn guess(texts: &[&str]) -> String {
        let guesses = texts.iter().filter_map(|text| {
            let value: LazyValue<'_> = sonic_rs::from_str(text).unwrap();
            Guess::of(&value)
        });
        guesses.reduce(Guess::joined).map(|guess| guess.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_type_takes_every_value_that_came() {
        assert_eq!(guess(&["1", "-7"]), "int64");
        assert_eq!(guess(&["1", "2.5"]), "decimal(38,6)");
        assert_eq!(guess(&["1", "1e-9"]), "float64");
        assert_eq!(guess(&["99999999999999999999"]), "decimal(38,6)");
        assert_eq!(guess(&["true", "false"]), "bool");
        assert_eq!(guess(&["true", "1"]), "string");
        assert_eq!(guess(&["\"2026-07-01\""]), "date");
        assert_eq!(guess(&["\"2026-07-01T08:00:00.000+01:00\""]), "timestamp");
        assert_eq!(guess(&["\"2026-07-01\"", "\"2026-07-01T08:00:00Z\""]), "string");
        assert_eq!(guess(&["\"007\""]), "string");
        assert_eq!(guess(&["[1]", "7"]), "json");
        assert_eq!(guess(&["null"]), "");
    }
}
