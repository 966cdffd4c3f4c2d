//! Ids that tables of other resources hold: `owners = { held = "order.id", where = "is_dropship = true" }`.
//!
//! Takes the texts of a schema file, gives a table, its column with the ids, the conditions on a row, and the columns
//! whose values are in the path beside the ids (`{warehouse_id}`). The existence of the columns is checked with all
//! files at hand.

use crate::failure::{Failure, Kind, Result};
use crate::schema::file::{OwnersFile, TextsFile};
use crate::schema::held_ids::{HeldIds, RowCondition, Test};
use crate::schema::{Resource, Table, Type};

fn wrong(why: impl Into<String>) -> Failure {
    Failure::new(Kind::Schema, "accept a schema file").because(why)
}

impl RowCondition {
    /// `column = value`, `column is null`, `column is not null`.
    fn parse(text: &str) -> Result<Self> {
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let words: Vec<&str> = text.split_whitespace().collect();
        let (column, test) = match words.as_slice() {
            [column, "is", "null"] => (*column, Test::IsNull),
            [column, "is", "not", "null"] => (*column, Test::IsSet),
            _ => match text.split_once('=') {
                Some((column, value)) if !value.trim().is_empty() => (column.trim(), Test::Is(value.trim().to_owned())),
                Some(_) | None => ("", Test::IsSet),
            },
        };
        if !is_word(column) {
            return Err(wrong("`owners.where` is `column = value`, `column is null` or `column is not null`"));
        }
        Ok(Self { column: column.to_owned(), test })
    }

    /// Why a column of this type cannot be tested so.
    fn refuse(&self, kind: Type) -> Option<String> {
        let Test::Is(value) = &self.test else { return None };
        let fits = match kind {
            Type::Bool => matches!(value.as_str(), "true" | "false"),
            Type::Int32 | Type::Int64 => value.parse::<i64>().is_ok_and(|number| number.to_string() == *value),
            Type::String => true,
            Type::Float64 | Type::Decimal { .. } | Type::Date | Type::Timestamp | Type::Json | Type::Hash { .. } => {
                false
            }
        };
        (!fits).then(|| format!("`owners.where`: `{}` is {kind}, which is never `{value}`", self.column))
    }
}

/// The columns that a path names beside the ids: `{warehouse_id}`.
pub fn in_path(get: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = get;
    while let Some((_, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').ok_or_else(|| wrong("`get` has a { without a }"))?;
        if name != "ids" && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = behind;
    }
    Ok(names)
}

/// Why a value of the path cannot be taken from the resource's own rows, once the other table has no row of the id any more.
fn lacking(own: &Table, name: &str) -> Option<String> {
    let is_there = own.columns.iter().any(|column| column.name == name && column.kind == Type::Int64);
    (!is_there).then(|| format!("`get`: its own table `{}` has no int64 column `{name}`", own.name))
}

impl HeldIds {
    /// The ids that a file states, for a path.
    pub fn check(file: OwnersFile, get: &str, line: usize) -> Result<Self> {
        let held = file.held.unwrap_or_default();
        let Some((table, column)) = held.split_once('.') else {
            return Err(wrong("`owners.held` is `table.column`"));
        };
        let conditions = file.filter.iter().flat_map(TextsFile::texts).map(|text| RowCondition::parse(text));
        Ok(Self {
            table: table.to_owned(),
            column: column.to_owned(),
            conditions: conditions.collect::<Result<_>>()?,
            in_path: in_path(get)?,
            line,
        })
    }

    /// Why these ids cannot be taken from the tables of the other resources.
    pub fn refuse(&self, name: &str, resources: &[Resource]) -> Option<String> {
        let others = resources.iter().filter(|other| other.name != name);
        let Some(source) = others.into_iter().find(|other| other.tables.iter().any(|table| table.name == self.table))
        else {
            return Some(format!("`owners.held`: no other resource has a table `{}`", self.table));
        };
        if source.held_ids().is_some() {
            return Some(format!("`owners.held`: `{}` is itself read by held ids", source.name));
        }
        if source.is_snapshot() {
            return Some(format!("`owners.held`: `{}` has a row for each day", self.table));
        }
        let table = source.tables.iter().find(|table| table.name == self.table)?;
        let kind = |name: &str| table.columns.iter().find(|column| column.name == name).map(|column| column.kind);
        let own = resources.iter().find(|own| own.name == name).map(Resource::main_table);
        let number = |name: &str, key: &str| match kind(name) {
            Some(Type::Int64) => None,
            Some(_) | None => Some(format!("`{key}`: table `{}` has no int64 column `{name}`", self.table)),
        };
        number(&self.column, "owners.held")
            .or_else(|| self.in_path.iter().find_map(|name| number(name, "get")))
            .or_else(|| own.and_then(|own| self.in_path.iter().find_map(|name| lacking(own, name))))
            .or_else(|| {
                self.conditions.iter().find_map(|condition| match kind(&condition.column) {
                    Some(kind) => condition.refuse(kind),
                    None => {
                        Some(format!("`owners.where`: table `{}` has no column `{}`", self.table, condition.column))
                    }
                })
            })
    }

    /// Every column of the table that is needed.
    pub fn columns(&self) -> impl Iterator<Item = &String> {
        let conditions = self.conditions.iter().map(|condition| &condition.column);
        std::iter::once(&self.column).chain(conditions).chain(&self.in_path)
    }

    /// The conditions by the places of their columns; none where the table lacks one.
    pub fn tests(&self, table: &Table) -> Option<Vec<(usize, Test)>> {
        let place = |name: &str| table.columns.iter().position(|column| column.name == name);
        let conditions = self.conditions.iter();
        conditions.map(|condition| Some((place(&condition.column)?, condition.test.clone()))).collect()
    }
}
