//! The changes of the settings to a resource: only some tables, without some columns, with a mark on rows of deleted
//! records.
//!
//! Takes a checked resource and the selection, gives the resource as it is written. Refuses (`Settings`) names that do
//! not exist, and to exclude columns that reading needs: keys, the partition's column, columns that are compared with
//! the source.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};
use crate::schema::{
    Changes, Column, DELETED_AT, Leaf, Meaning, Newer, Partition, PartitionChoice, ReadStyle, Resource, Table, Type,
};
use crate::secret::HashKey;

/// Columns, as table and column.
type Columns = BTreeSet<(String, String)>;

/// The selection for one resource; the default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSelection {
    /// Only these tables; none means all.
    pub tables: Option<Vec<String>>,
    /// Columns to leave out, as `table.column`.
    pub drop_columns: Vec<String>,
    /// Columns that hold hashes of their values, as `table.column`.
    pub hash_columns: Vec<String>,
    /// Every column that is marked `personal` holds hashes.
    pub hashes_personal: bool,
    /// The key of the hashes, where any column holds them.
    pub hash_key: Option<HashKey>,
    /// Rows of deleted records stay, with when they were found gone.
    pub marks: bool,
    /// The granularity of the files, where a date divides them; that of the schema file without it.
    pub partition: Option<PartitionChoice>,
}

/// Something that goes by a column, and so cannot do without it.
pub(super) struct Need {
    pub table: String,
    /// None if the table is needed with any columns.
    pub column: Option<String>,
    pub why: String,
}

impl Resource {
    /// The resource after the selection. `needed` lists the columns that other resources need.
    pub(super) fn shaped(self, selection: &ColumnSelection, needed: &[&Need]) -> Result<Self> {
        let wanted = self.wanted_tables(selection)?;
        let mut dropped = self.columns_named("drop_columns", &selection.drop_columns, &wanted)?;
        if selection.hashes_personal {
            // A column that tries a type repeats the text beside it, whose hash says as much.
            dropped.extend(self.personal(&wanted, true));
        }
        let hashed = self.hashed_columns(selection, &wanted, &dropped)?;
        for need in self.own_needs().iter().chain(needed.iter().copied()) {
            let refuse = |key: &str, what: String| {
                Err(Failure::new(Kind::Settings, format!("accept `resource.{}.{key}`", self.name))
                    .because(format!("{what} is needed: {}", need.why)))
            };
            if !wanted.contains(&need.table) {
                return refuse("tables", format!("table `{}`", need.table))
                    .map_err(|failure| failure.advise(format!("add `{}` to the list", need.table)));
            }
            let Some(column) = &need.column else { continue };
            if dropped.contains(&(need.table.clone(), column.clone())) {
                return refuse("drop_columns", format!("column `{}.{column}`", need.table))
                    .map_err(|failure| failure.advise(format!("take `{}.{column}` off the list", need.table)));
            }
            if hashed.contains(&(need.table.clone(), column.clone())) {
                return refuse("hash_columns", format!("the value of column `{}.{column}`", need.table))
                    .map_err(|failure| failure.advise(format!("take `{}.{column}` off the list", need.table)));
            }
        }
        let hash = self.hash_with(selection, &wanted, &dropped, &hashed);
        let before = self.tables.clone();
        let (mut tables, excluded_tables): (Vec<Table>, Vec<Table>) =
            self.tables.into_iter().partition(|table| wanted.contains(&table.name));
        for table in &mut tables {
            without(table, &dropped);
            put_hashes(table, &hashed, selection.hash_key.as_ref());
            if selection.marks {
                let name = DELETED_AT.to_owned();
                let description = "The time at which the record was found deleted at the source, by its clock; UTC.";
                let meaning = Meaning { description: description.to_owned(), ..Meaning::default() };
                table.columns.push(Column {
                    name,
                    from: Vec::new(),
                    kind: Type::Timestamp,
                    required: false,
                    tried: false,
                    meaning,
                });
            }
        }
        // Places of tables and columns move as others go; those that are named by place are needed, so they are there.
        let place = |table: usize, column: usize| {
            let (table, column) = (&before[table].name, &before[table].columns[column].name);
            let table = tables.iter().position(|kept| kept.name == *table).expect("a needed table is kept");
            let column = tables[table].columns.iter().position(|kept| kept.name == *column);
            (table, column.expect("a needed column is kept"))
        };
        let newer = |newer: &Newer| {
            let (table, column) = place(newer.table, newer.column);
            Newer { table, column }
        };
        let mut read = self.read;
        read.newer = read.newer.iter().map(newer).collect();
        let partition = match before[0].partition.clone() {
            Partition::By { stem, by, table, column } => {
                let (table, column) = place(table, column);
                Partition::By { stem, by, table, column }
            }
            other @ (Partition::None | Partition::Snapshot { .. }) => other,
        };
        let partition = selection.partition.map_or(partition.clone(), |wanted| partition.wished(wanted));
        for table in &mut tables {
            table.partition = partition.clone();
        }
        let hash_key = selection.hash_key.clone().filter(|_| !hashed.is_empty());
        Ok(Self { read, tables, excluded_tables, hash, hash_key, ..self })
    }

    fn wanted_tables(&self, selection: &ColumnSelection) -> Result<BTreeSet<String>> {
        let all = || self.tables.iter().map(|table| table.name.clone());
        let Some(wanted) = &selection.tables else { return Ok(all().collect()) };
        let known: Vec<String> = all().collect();
        let refuse = |why: String| {
            Err(Failure::new(Kind::Settings, format!("accept `resource.{}.tables`", self.name))
                .because(why)
                .advise(format!("its tables are: {}", known.join(", "))))
        };
        if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
            return refuse(format!("it has no table `{unknown}`"));
        }
        if wanted.is_empty() {
            return refuse("it leaves no table".to_owned());
        }
        Ok(wanted.iter().cloned().collect())
    }

    /// The columns of wanted tables that a setting names, as table and column.
    fn columns_named(&self, key: &str, names: &[String], wanted: &BTreeSet<String>) -> Result<Columns> {
        let mut found = BTreeSet::new();
        for name in names {
            let refuse = |why: String, advice: String| {
                Err(Failure::new(Kind::Settings, format!("accept `resource.{}.{key}`", self.name))
                    .because(why)
                    .advise(advice))
            };
            let Some((table, column)) = name.split_once('.') else {
                return refuse(
                    format!("`{name}` names no table"),
                    format!("write it as `{}.{name}`: the table, a dot, the column", self.main_table().name),
                );
            };
            let Some(table) = self.tables.iter().find(|known| known.name == table) else {
                let known: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
                return refuse(format!("it has no table `{table}`"), format!("its tables are: {}", known.join(", ")));
            };
            let Some(place) = table.columns.iter().position(|known| known.name == column) else {
                let known: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
                return refuse(
                    format!("table `{}` has no column `{column}`", table.name),
                    format!("its columns are: {}", known.join(", ")),
                );
            };
            if table.key.contains(&place) {
                return refuse(
                    format!("column `{name}` is part of the key"),
                    format!("take `{name}` off the list; `resource.{}.tables` leaves out whole tables", self.name),
                );
            }
            if wanted.contains(&table.name) {
                found.insert((table.name.clone(), column.to_owned()));
            }
        }
        Ok(found)
    }

    /// The columns that hold hashes: those that are named, and with the profile those that are personal and written.
    fn hashed_columns(
        &self,
        selection: &ColumnSelection,
        wanted: &BTreeSet<String>,
        dropped: &Columns,
    ) -> Result<Columns> {
        let mut hashed = self.columns_named("hash_columns", &selection.hash_columns, wanted)?;
        let tries = |(table, column): &&(String, String)| {
            let table = self.tables.iter().find(|known| known.name == *table);
            table.is_some_and(|table| table.columns.iter().any(|known| known.name == *column && known.tried))
        };
        if let Some((table, column)) = hashed.iter().find(tries) {
            return Err(Failure::new(Kind::Settings, format!("accept `resource.{}.hash_columns`", self.name))
                .because(format!("column `{table}.{column}` shows the text of another column as a different type"))
                .advise("name the column of the text, and exclude this one with `drop_columns`"));
        }
        if selection.hashes_personal {
            hashed.extend(self.personal(wanted, false));
        }
        hashed.retain(|column| !dropped.contains(column));
        if !hashed.is_empty() && selection.hash_key.is_none() {
            return Err(Failure::new(Kind::Settings, format!("hash columns of `{}`", self.name))
                .because("no key for the hashes is set")
                .advise("export BRIGHTPEARL_HASH_KEY, or name a file that contains it in BRIGHTPEARL_HASH_KEY_FILE"));
        }
        Ok(hashed)
    }

    /// The columns of wanted tables that are marked personal, those that try a type or the others.
    fn personal(&self, wanted: &BTreeSet<String>, tried: bool) -> Columns {
        let tables = self.tables.iter().filter(|table| wanted.contains(&table.name));
        let columns = tables.flat_map(|table| {
            let personal = table.columns.iter().filter(|column| column.meaning.personal && column.tried == tried);
            personal.map(|column| (table.name.clone(), column.name.clone()))
        });
        columns.collect()
    }

    /// The columns that reading the resource itself needs.
    fn own_needs(&self) -> Vec<Need> {
        let owner = self.main_table();
        let need = |column: &str, why: &str| Need {
            table: owner.name.clone(),
            column: Some(column.to_owned()),
            why: why.to_owned(),
        };
        let mut needs = vec![Need {
            table: owner.name.clone(),
            column: None,
            why: "its rows determine which records are stored".to_owned(),
        }];
        let at = |table: usize, column: usize, why: &str| Need {
            table: self.tables[table].name.clone(),
            column: Some(self.tables[table].columns[column].name.clone()),
            why: why.to_owned(),
        };
        if let Partition::By { table, column, .. } = self.partition() {
            needs.push(at(*table, *column, "the files are divided by it"));
        }
        let in_path = self.held_ids().into_iter().flat_map(|held| &held.in_path);
        needs.extend(in_path.map(|name| need(name, "a request for the record has it in its path")));
        let newer = self.read.newer.iter();
        needs.extend(newer.map(|newer| at(newer.table, newer.column, "it determines which of two copies is newer")));
        if let ReadStyle::IdSets { changes: Some(Changes { since, same, open, .. }), .. } = &self.read.style {
            needs.extend(same.iter().map(|(_, ours)| need(ours, "the source's values are compared with it")));
            needs.extend(open.iter().map(|open| need(open.column(), "it determines which records are open")));
            let dated = |column: &&Column| {
                let takes =
                    |date: &String| column.from.iter().any(|source| source.leaf == Leaf::Fields(vec![date.clone()]));
                since.iter().any(takes)
            };
            let dated = owner.columns.iter().filter(dated);
            needs.extend(dated.map(|column| need(&column.name, "`backfill` compares it with the source")));
        }
        needs
    }

    /// Another hash where anything is otherwise; names that change nothing do not count.
    fn hash_with(
        &self,
        selection: &ColumnSelection,
        wanted: &BTreeSet<String>,
        dropped: &Columns,
        hashed: &Columns,
    ) -> String {
        if wanted.len() == self.tables.len() && dropped.is_empty() && hashed.is_empty() && !selection.marks {
            return self.hash.clone();
        }
        let text = match hashed.is_empty() {
            true => serde_json::json!([self.hash, wanted, dropped, selection.marks]),
            false => {
                let key = selection.hash_key.as_ref().map(HashKey::name);
                serde_json::json!([self.hash, wanted, dropped, selection.marks, hashed, key])
            }
        };
        let text = text.to_string();
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Makes columns hold hashes.
fn put_hashes(table: &mut Table, hashed: &Columns, key: Option<&HashKey>) {
    let Some(key) = key else { return };
    for column in &mut table.columns {
        if hashed.contains(&(table.name.clone(), column.name.clone())) {
            column.kind = Type::Hash { key: key.name(), json: column.kind.takes_whole() };
            column.meaning.codes.clear();
        }
    }
}

/// Takes columns out of a table, and keeps them as known.
fn without(table: &mut Table, dropped: &Columns) {
    let key: Vec<String> = table.key.iter().map(|place| table.columns[*place].name.clone()).collect();
    let goes = |column: &Column| dropped.contains(&(table.name.clone(), column.name.clone()));
    let (excluded_columns, columns) = std::mem::take(&mut table.columns).into_iter().partition(goes);
    (table.excluded_columns, table.columns) = (excluded_columns, columns);
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    table.key = key.iter().map(|name| place(name).expect("a key column is kept")).collect();
}
