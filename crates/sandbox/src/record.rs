//! A record's numbers, the account around it, and the cells and columns of a search.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use crate::rules::{self, Trade};
use crate::seed::hash;
use crate::text;

/// Attempts at an id that was used.
const TRIES: i64 = 50;

/// The numbers from which a record is made.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub id: i64,
    /// Seconds since 1970.
    pub created: i64,
    /// None until the first edit.
    pub updated: Option<i64>,
    /// Grows with every edit: other content.
    pub revision: u32,
    /// Grows with every silent change: other content, no date moves.
    pub touches: u32,
}

/// The account around a record: the ids that others bear lie within these (1 to the number).
#[derive(Clone, Debug)]
pub struct World {
    pub seed: u64,
    pub zone: TimeZone,
    pub orders: i64,
    pub products: i64,
    pub contacts: i64,
    /// The ids of every resource, by name.
    pub spans: IdSpans,
    /// The rules that tie records to each other.
    pub trade: Trade,
    pub dated_movements: bool,
    /// Bytes that the description of each product is filled up to.
    pub text_bytes: usize,
}

/// A cell of a search row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
    /// Seconds since 1970.
    Time(i64),
    /// Another value, as JSON text.
    Json(String),
}

/// A column of a search.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub name: &'a str,
    /// IDSET, INTEGER, STRING, SEARCH_STRING, BOOLEAN, PERIOD.
    pub kind: &'a str,
    pub sortable: bool,
    pub filterable: bool,
    /// The name of its reference data.
    pub reference: Option<&'a str>,
}

impl<'a> Column<'a> {
    /// A column that can be sorted and filtered by.
    pub const fn of(name: &'a str, kind: &'a str) -> Self {
        Self { name, kind, sortable: true, filterable: true, reference: None }
    }

    /// A column that can be filtered by, and sorted by or not.
    pub const fn sorts(name: &'a str, kind: &'a str, sortable: bool) -> Self {
        Self { sortable, ..Self::of(name, kind) }
    }
}

/// The ids of a resource as they are made from the seed.
#[derive(Clone, Copy, Debug)]
pub struct IdSpan {
    pub first: i64,
    pub greatest: i64,
    /// Ids never used, in a hundred; [`IN_BLOCKS`]: one in each block, as the rules count.
    pub gaps: u64,
    pub salt: u64,
}

/// The gaps of records that belong to orders.
pub const IN_BLOCKS: u64 = u64::MAX;

/// The ids of every resource, by name.
pub type IdSpans = HashMap<String, IdSpan>;

impl IdSpan {
    /// Whether an id was never used.
    pub fn is_gap(&self, seed: u64, id: i64) -> bool {
        if self.gaps == IN_BLOCKS {
            return rules::is_gap(seed, self.salt, id);
        }
        hash(seed, id, self.salt) % 100 < self.gaps
    }

    /// An id that was used.
    pub fn choose(&self, seed: u64, roll: u64) -> Option<i64> {
        let count = u64::try_from(self.greatest - self.first + 1).ok().filter(|count| *count > 0)?;
        let start = i64::try_from(roll % count).ok()?;
        let length = self.greatest - self.first + 1;
        (0..TRIES).map(|step| self.first + (start + step) % length).find(|id| !self.is_gap(seed, *id))
    }
}

impl Cell {
    /// Writes the cell as JSON.
    pub fn write(&self, world: &World, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Text(text) => text::string(out, text),
            Self::Json(json) => out.push_str(json),
            Self::Time(seconds) => {
                out.push('"');
                out.push_str(&text::instant(&world.zone, *seconds));
                out.push('"');
            }
        }
    }
}
