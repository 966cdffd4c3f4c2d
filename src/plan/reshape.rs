//! Whether the files of a head are as the catalogue wants them, and whether they can be rewritten from their own
//! content. Pure.
//!
//! The changes that can be made in place are a closed list: a column added that need not be filled, a column dropped, a
//! type widened, a value no longer required, another order, a table dropped, a table added to a resource without rows.
//! All else needs the source.

use crate::failure::{Failure, Kind};
use crate::manifest::{SpecColumn, TableFiles, Version};
use crate::schema::{Column, DELETED_AT, Resource, Table, Type};

/// How the files of a head fit a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They are as they should be, or there are none.
    Same,
    /// They can be rewritten in place.
    Reshape(Reshape),
    /// Only a full read gives the wanted columns.
    Anew { table: String, why: String },
}

/// Tables to rewrite, and tables to drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reshape {
    pub tables: Vec<TableReshape>,
    pub gone: Vec<String>,
}

/// One table to rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReshape {
    /// Its place in the resource.
    pub place: usize,
    /// For each column of the table, where its values come from.
    pub origins: Vec<ColumnOrigin>,
    /// Columns that the new files no longer have.
    pub dropped: Vec<SpecColumn>,
    /// Rows of deleted records leave the table.
    pub unmarks: bool,
    /// For people: `adds gate`.
    pub says: Vec<String>,
}

/// Where the values of a column come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnOrigin {
    /// The old column of the same name.
    Kept,
    /// The same, as a wider type.
    Widened,
    /// `_extra`, where it has them.
    Filled,
}

impl Fit {
    /// Compares a head with a resource.
    pub fn of(head: &Version, resource: &Resource) -> Self {
        if head.tables.is_empty() {
            return Self::Same;
        }
        let mut reshape = Reshape::default();
        for (place, table) in resource.tables.iter().enumerate() {
            let compared = match head.tables.get(&table.name) {
                Some(before) => compare(place, table, before),
                None if head.rows() == 0 => Ok(Some(added(place, table))),
                None => Err("it is new, and only the source has its rows".to_owned()),
            };
            match compared {
                Ok(change) => reshape.tables.extend(change),
                Err(why) => return Self::Anew { table: table.name.clone(), why },
            }
        }
        let wanted = |name: &&String| resource.tables.iter().any(|table| table.name == **name);
        reshape.gone = head.tables.keys().filter(|name| !wanted(name)).cloned().collect();
        if reshape.tables.is_empty() && reshape.gone.is_empty() { Self::Same } else { Self::Reshape(reshape) }
    }

    /// The refusal of a run that was not asked to read everything again.
    pub fn refusal(&self, resource: &Resource) -> Option<Failure> {
        let Self::Anew { table, why } = self else { return None };
        Some(
            Failure::new(Kind::Schema, format!("continue table `{table}`"))
                .because(format!("its files were written by another schema: {why}"))
                .advise(format!(
                    "`pearlift run --full {}` reads the resource again and replaces its files",
                    resource.name
                )),
        )
    }
}

impl Reshape {
    /// A description for people, table by table.
    pub fn describe(&self, resource: &Resource) -> String {
        let tables = self
            .tables
            .iter()
            .map(|change| format!("{} {}", resource.tables[change.place].name, change.says.join(", ")));
        let gone = self.gone.iter().map(|name| format!("{name} goes"));
        format!("rewrites in place: {}", tables.chain(gone).collect::<Vec<_>>().join("; "))
    }
}

fn added(place: usize, table: &Table) -> TableReshape {
    TableReshape {
        place,
        origins: table.columns.iter().map(|_| ColumnOrigin::Filled).collect(),
        dropped: Vec::new(),
        unmarks: false,
        says: vec!["is new".to_owned()],
    }
}

/// The rewrite of one table, if it needs one; or the reason why it cannot be made.
fn compare(place: usize, table: &Table, before: &TableFiles) -> Result<Option<TableReshape>, String> {
    let mut wanted = TableFiles::new(table);
    // Files by another period of the same date stay so: `clean --repartition` changes them.
    if table.partition.named(before.partition.as_deref()).is_some() {
        wanted.partition.clone_from(&before.partition);
    }
    if before.key != wanted.key {
        return Err(format!("its key was ({}) and is ({})", before.key.join(", "), wanted.key.join(", ")));
    }
    if before.partition != wanted.partition {
        let named = |partition: &Option<String>| partition.clone().unwrap_or_else(|| "none".to_owned());
        return Err(format!("its partition was {} and is {}", named(&before.partition), named(&wanted.partition)));
    }
    let gone = |column: &&SpecColumn| wanted.columns.iter().all(|kept| kept.name != column.name);
    let dropped: Vec<SpecColumn> = before.columns.iter().filter(gone).cloned().collect();
    let unmarks = dropped.iter().any(|column| column.name == DELETED_AT);
    let mut says = Vec::new();
    let mut origins = Vec::new();
    for column in &table.columns {
        let origin = match before.columns.iter().find(|old| old.name == column.name) {
            Some(old) => kept(column, old, &mut says)?,
            None => {
                says.push(format!("adds {}", column.name));
                filled(column, before, &dropped)?
            }
        };
        origins.push(origin);
    }
    says.extend(dropped.iter().map(|column| format!("drops {}", column.name)));
    // A column that is excluded from now on may be in `_extra`.
    let known = |column: &&SpecColumn| before.excluded_columns.iter().any(|known| known.name == column.name);
    let purged = wanted.excluded_columns.iter().filter(|column| !known(column) && gone_already(before, column));
    says.extend(purged.map(|column| format!("leaves out {}", column.name)));
    if says.is_empty() && !before.same_shape(&wanted) {
        says.push("has its columns in another order".to_owned());
    }
    if says.is_empty() {
        return Ok(None);
    }
    let dropped = dropped.into_iter().filter(|column| column.name != DELETED_AT).collect();
    Ok(Some(TableReshape { place, origins, dropped, unmarks, says }))
}

fn gone_already(before: &TableFiles, column: &SpecColumn) -> bool {
    before.columns.iter().all(|old| old.name != column.name)
}

/// A column that both have.
fn kept(column: &Column, old: &SpecColumn, says: &mut Vec<String>) -> Result<ColumnOrigin, String> {
    let name = &column.name;
    if column.required && !old.required {
        return Err(format!("column `{name}` is required now, and old rows may lack it"));
    }
    if old.required && !column.required {
        says.push(format!("lets {name} be null"));
    }
    if old.kind == column.kind.to_string() {
        return Ok(ColumnOrigin::Kept);
    }
    if !Type::parse(&old.kind).is_ok_and(|old| widens(old, column.kind)) {
        return Err(format!("column `{name}` was {} and is {}", old.kind, column.kind));
    }
    says.push(format!("makes {name} {}", column.kind));
    Ok(ColumnOrigin::Widened)
}

/// A column that only the new schema has.
fn filled(column: &Column, before: &TableFiles, dropped: &[SpecColumn]) -> Result<ColumnOrigin, String> {
    let name = &column.name;
    if column.required {
        return Err(format!("column `{name}` is new and required, and old rows lack it"));
    }
    if before.excluded_columns.iter().any(|excluded_columns| excluded_columns.name == *name) {
        return Err(format!("column `{name}` was excluded before: only the source has its values"));
    }
    let from: Vec<String> = column.from.iter().map(ToString::to_string).collect();
    let takes_over = |old: &&SpecColumn| old.from.iter().any(|source| from.contains(source));
    if let Some(old) = dropped.iter().chain(&before.excluded_columns).find(takes_over) {
        return Err(format!("column `{name}` takes the place of `{}`: columns are not renamed", old.name));
    }
    Ok(ColumnOrigin::Filled)
}

/// Whether every value of a type is one of the other, and would be read the same from the source.
fn widens(old: Type, new: Type) -> bool {
    match (old, new) {
        (Type::Int32, Type::Int64) => true,
        (
            Type::Decimal { precision: old_precision, scale: old_scale },
            Type::Decimal { precision: new_precision, scale: new_scale },
        ) => new_scale >= old_scale && new_precision - new_scale >= old_precision - old_scale,
        (_, _) => false,
    }
}
