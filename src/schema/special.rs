//! Places that a request or an entry's own place states (`@id`, `@label` of a record, `@path`, `@level`), and rows
//! within rows (`again`): where a file uses them as no answer could be read, it is refused with the line of the column.

use crate::failure::{Failure, Kind, Result};
use crate::schema::tables::Lines;
use crate::schema::{Column, Leaf, Origin, PathStep, Read, ReadStyle, Rows, Source, Table};

/// Checks the places of every column, and of the record's key.
pub fn check_special(read: &Read, tables: &[Table], lines: Lines<'_>) -> Result<()> {
    let asks_one = match &read.style {
        ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. } => *max_ids == 1,
        ReadStyle::Search(_) | ReadStyle::List { .. } => false,
    };
    let is_labelled = match &read.style {
        ReadStyle::List { gets, .. } => gets.iter().any(|get| get.label.is_some()),
        ReadStyle::IdSets { .. } | ReadStyle::Search(_) | ReadStyle::PerOwner { .. } => false,
    };
    for table in tables {
        for column in &table.columns {
            let why = column.from.iter().find_map(|source| match &source.leaf {
                Leaf::Asked if !asks_one => Some("`@id` needs a GET of one id at a time, `max_ids = 1`"),
                Leaf::Label if is_of_record(source, table) && !is_labelled => {
                    Some("`@label` of a record needs a list of several GETs, each with a `label`")
                }
                Leaf::Path if table.rows == Rows::Record => Some("`@path` is the place of an entry of `rows`"),
                Leaf::Level if table.again.is_empty() => Some("`@level` goes with `again`"),
                leaf if !table.again.is_empty() && !is_near(source, leaf) => {
                    Some("where rows are within rows, a path begins at the row's own entry or with `$.`; `^.@path` is the row around")
                }
                Leaf::Asked | Leaf::Label | Leaf::Path | Leaf::Level | Leaf::Fields(_) | Leaf::Key | Leaf::Index => None,
            });
            if let Some(why) = why {
                return Err(wrong(table, column, lines, why));
            }
        }
        let key = || table.key.iter().map(|place| &table.columns[*place]);
        let has = |wanted: &dyn Fn(&Source) -> bool| key().any(|column| column.from.iter().all(wanted));
        let first = &table.columns[table.key[0]];
        if is_labelled && read.repeats && !has(&|source| source.leaf == Leaf::Label && is_of_record(source, table)) {
            let why = "where keys repeat in several GETs, the key of each table has the label of the GET, `$.@label`";
            return Err(wrong(table, first, lines, why));
        }
        let is_own = |source: &Source| source.leaf == Leaf::Path && source.above(table.depth()) == 0;
        if !table.again.is_empty() && !has(&is_own) {
            return Err(wrong(table, first, lines, "where rows are within rows, the key has a column `@path`"));
        }
        if let Some(other) = tables.iter().find(|other| other.name != table.name && meets(table, other)) {
            let why = format!("table `{}` has its rows below the rows within rows of `{}`", other.name, table.name);
            return Err(wrong(other, &other.columns[other.key[0]], lines, why));
        }
    }
    Ok(())
}

fn is_of_record(source: &Source, table: &Table) -> bool {
    source.above(table.depth()) == table.depth()
}

/// Whether a path leads to the same from a row at any level.
fn is_near(source: &Source, leaf: &Leaf) -> bool {
    match source.origin {
        Origin::Record => true,
        Origin::Above(0) => true,
        Origin::Above(1) => *leaf == Leaf::Path,
        Origin::Above(_) => false,
    }
}

/// Whether a table has rows where another one has rows within rows.
fn meets(table: &Table, other: &Table) -> bool {
    let (Rows::Each(branches), Rows::Each(others)) = (&table.rows, &other.rows) else { return false };
    !table.again.is_empty()
        && branches.iter().any(|(steps, _)| {
            let further: Vec<PathStep> = steps.iter().chain(&table.again).cloned().collect();
            others.iter().any(|(other, _)| other.starts_with(&further))
        })
}

fn wrong(table: &Table, column: &Column, lines: Lines<'_>, why: impl Into<String>) -> Failure {
    Failure::new(Kind::Schema, format!("accept column `{}`", column.name))
        .at(lines.place(&table.name, column.meaning.line))
        .because(why)
}
