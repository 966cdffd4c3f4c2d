//! A record's numbers, and the cells and columns of a search.

use jiff::tz::TimeZone;

use crate::text;

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
pub struct ColumnHead<'a> {
    pub name: &'a str,
    /// IDSET, INTEGER, STRING, SEARCH_STRING, BOOLEAN, PERIOD.
    pub kind: &'a str,
    pub sortable: bool,
    pub filterable: bool,
    /// The name of its reference data.
    pub reference: Option<&'a str>,
}

impl Cell {
    /// Writes the cell as JSON.
    pub fn write(&self, zone: &TimeZone, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Text(text) => text::string(out, text),
            Self::Json(json) => out.push_str(json),
            Self::Time(seconds) => {
                out.push('"');
                out.push_str(&text::instant(zone, *seconds));
                out.push('"');
            }
        }
    }
}
