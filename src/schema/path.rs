//! The place of a value in a record: `totalValue.total`, `^.id`, `$.@key`, `.`.
//!
//! A record is walked in *contexts*: the record itself, and one more for each `*` of a table's `rows`. A path begins at
//! the row's own context, at an enclosing one (`^.`, repeatable) or at the record (`$.`).

use std::fmt;

use crate::failure::{Failure, Kind, Result};

/// One step down: a named field, or every entry of an array or map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathStep {
    Field(String),
    Each,
}

/// The context that a path begins in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This many contexts above the row's own; 0 is its own.
    Above(usize),
    /// The record.
    Record,
}

/// The part that is taken at the path's end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// The value of nested fields; no fields means the entry itself (`.`).
    Fields(Vec<String>),
    /// The key of the entry in its map (`@key`).
    Key,
    /// The place of the entry in its array or map, from 0 (`@index`).
    Index,
    /// The label of the `rows` branch that the entry came from, of a record that of its GET (`@label`).
    Label,
    /// The id that was requested (`@id`).
    Asked,
    /// The places of the entry and of those around it, from the record down: `0.2` (`@path`).
    Path,
    /// How many rows of the same table are around the entry (`@level`).
    Level,
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub origin: Origin,
    pub leaf: Leaf,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Record => f.write_str("$.")?,
            Origin::Above(above) => f.write_str(&"^.".repeat(above))?,
        }
        match &self.leaf {
            Leaf::Fields(fields) if fields.is_empty() => f.write_str("."),
            Leaf::Fields(fields) => f.write_str(&fields.join(".")),
            Leaf::Key => f.write_str("@key"),
            Leaf::Index => f.write_str("@index"),
            Leaf::Label => f.write_str("@label"),
            Leaf::Asked => f.write_str("@id"),
            Leaf::Path => f.write_str("@path"),
            Leaf::Level => f.write_str("@level"),
        }
    }
}

impl Source {
    /// How many contexts above that of a row, `depth` contexts below the record, the path begins.
    pub fn above(&self, depth: usize) -> usize {
        match self.origin {
            Origin::Record => depth,
            Origin::Above(above) => above,
        }
    }

    /// Reads `totalValue.total`, `^.id`, `^.^.@key`, `$.id`, `@index`, `.`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Failure::new(Kind::Schema, "read a column's `from`").at(text).because(why);
        let (origin, rest) = if let Some(rest) = text.strip_prefix("$.") {
            (Origin::Record, rest)
        } else {
            let mut rest = text;
            let mut above = 0;
            while let Some(shorter) = rest.strip_prefix("^.") {
                rest = shorter;
                above += 1;
            }
            (Origin::Above(above), rest)
        };
        let leaf = match rest {
            "." => Leaf::Fields(Vec::new()),
            "@key" => Leaf::Key,
            "@index" => Leaf::Index,
            "@label" => Leaf::Label,
            "@id" => Leaf::Asked,
            "@path" => Leaf::Path,
            "@level" => Leaf::Level,
            _ => {
                let fields: Vec<String> = rest.split('.').map(str::to_owned).collect();
                if fields.iter().any(|field| field.is_empty() || field.starts_with(['@', '^', '$', '*'])) {
                    return Err(wrong(
                        "a path is names joined by dots, or ends in @key, @index, @label, @id, @path, @level",
                    ));
                }
                Leaf::Fields(fields)
            }
        };
        Ok(Self { origin, leaf })
    }
}

/// Reads the path of rows or records: `orderRows.*`, `priceLists.*.quantityPrice.*`. It must end in `*`.
pub fn parse_rows(text: &str) -> Result<Vec<PathStep>> {
    let steps: Vec<PathStep> = text
        .split('.')
        .map(|step| if step == "*" { PathStep::Each } else { PathStep::Field(step.to_owned()) })
        .collect();
    let named =
        |step: &PathStep| matches!(step, PathStep::Field(name) if name.is_empty() || name.starts_with(['@', '^', '$']));
    if steps.iter().any(named) || steps.last() != Some(&PathStep::Each) {
        return Err(Failure::new(Kind::Schema, "read a path of rows")
            .at(text)
            .because("it is names and `*` joined by dots, and ends in `*`"));
    }
    Ok(steps)
}
