//! Values that a rule gives to a record, in the order of their names.

use std::sync::Arc;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Null,
    Flag(bool),
    Int(i64),
    /// A whole number of `10^-scale`.
    Decimal(i64, u32),
    Name(&'static str),
    Text(Arc<str>),
    /// Seconds since 1970.
    Instant(i64),
}

/// The values of a record, and those of each entry of its lists.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub values: Vec<Fact>,
    pub lists: Vec<Vec<Vec<Fact>>>,
}

impl Fact {
    /// An amount of money.
    pub fn cents(amount: i64) -> Self {
        Self::Decimal(amount, 2)
    }

    /// A small number.
    pub fn size(number: usize) -> Self {
        Self::Int(i64::try_from(number).expect("it is small"))
    }
}

impl From<Option<i64>> for Fact {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Int)
    }
}

impl From<Option<String>> for Fact {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }
}
