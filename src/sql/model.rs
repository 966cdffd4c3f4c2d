//! The tables of a destination as the generated SQL describes them, whatever the dialect: columns with exact types, keys,
//! references, meanings, files.
//!
//! Takes the catalogue and the heads; the columns are those of the files, their meanings those of the schema files. Refuses
//! (`Damage`) a manifest with types that no schema file can declare.

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{TableFiles, Version};
use crate::report::meaning_line;
use crate::schema::{DELETED_AT, EXTRA, EXTRACTED_AT, Partition, RUN_ID, ReferenceTarget, Resource, Table, Type};

/// The meanings of the columns that every table has.
const OWN: [(&str, &str, Type, bool); 3] = [
    (EXTRA, "JSON: every field that no column names, and every value that did not fit its column.", Type::Json, false),
    (EXTRACTED_AT, "The instant at which this content was first stored.", Type::Timestamp, true),
    (RUN_ID, "The run that first stored this content.", Type::String, true),
];
/// The meaning of the column with the day of a snapshot.
const DAY: &str = "The UTC day of the snapshot. Figures of different days do not add up.";

/// The tables of a resource.
#[derive(Clone, Debug)]
pub struct SqlResource {
    pub name: String,
    pub version: u64,
    /// The first load is not finished.
    pub is_loading: bool,
    /// The name of the table with one row per record.
    pub main_table: String,
    pub tables: Vec<SqlTable>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct SqlTable {
    pub name: String,
    pub description: String,
    /// The columns of the files, without the mark of deleted records.
    pub columns: Vec<SqlColumn>,
    pub key: Vec<String>,
    /// Rows of deleted records are marked in the files.
    pub is_marked: bool,
    /// The column with the day, in a table of snapshots. Its values are in the paths.
    pub day: Option<SqlColumn>,
    pub files: Vec<SqlFile>,
}

/// A column.
#[derive(Clone, Debug)]
pub struct SqlColumn {
    pub name: String,
    pub kind: Type,
    pub required: bool,
    pub comment: String,
    pub targets: Vec<ReferenceTarget>,
}

/// A file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlFile {
    /// Below the destination: the final path, or the staged one while a run publishes.
    pub path: String,
    /// The path in the manifest.
    pub final_path: String,
    pub partition: Option<String>,
}

impl SqlTable {
    /// The columns of the files and the day of a snapshot.
    pub fn all_columns(&self) -> impl Iterator<Item = &SqlColumn> {
        self.columns.iter().chain(&self.day)
    }

    /// The text about the table and its key.
    pub fn comment(&self) -> String {
        let day = self.day.iter().map(|day| day.name.clone());
        let key: Vec<String> = day.chain(self.key.iter().cloned()).collect();
        format!("{} Key: {}.", self.description, key.join(", ")).trim_start().to_owned()
    }

    /// The record key, the first column of the key.
    pub fn record_key(&self) -> &str {
        &self.key[0]
    }
}

/// The tables of a resource, as its head has them; the files are at the paths that `place` gives.
pub fn describe(resource: &Resource, head: &Version, place: impl Fn(&str, &str) -> String) -> Result<SqlResource> {
    let mut tables = Vec::new();
    // In the order of the schema file; tables that it no longer has are left out.
    for table in &resource.tables {
        let Some(files) = head.tables.get(&table.name) else { continue };
        let mut described = describe_table(table, files)?;
        if let Partition::Snapshot { segment } = &table.partition {
            described.day = Some(SqlColumn {
                name: segment.clone(),
                kind: Type::Date,
                required: true,
                comment: DAY.to_owned(),
                targets: Vec::new(),
            });
        }
        described.files = files
            .files
            .iter()
            .map(|file| SqlFile {
                path: place(&file.path, &file.staged),
                final_path: file.path.clone(),
                partition: file.partition.clone(),
            })
            .collect();
        tables.push(described);
    }
    let is_loading = head.state.completed_at.is_none();
    let main_table = resource.main_table().name.clone();
    Ok(SqlResource { name: resource.name.clone(), version: head.version, is_loading, main_table, tables })
}

fn describe_table(table: &Table, files: &TableFiles) -> Result<SqlTable> {
    let mut columns = Vec::new();
    for column in files.columns.iter().filter(|column| column.name != DELETED_AT) {
        let kind = Type::parse(&column.kind)
            .map_err(|error| Failure::new(Kind::Damage, "read a manifest").at(&column.name).caused(error))?;
        let known = table.columns.iter().find(|known| known.name == column.name);
        let mut comment = known.map(|known| meaning_line(&known.meaning)).unwrap_or_default();
        if files.key.contains(&column.name) {
            comment = format!("{comment} Part of the key.").trim_start().to_owned();
        }
        let targets = known.map(|known| known.meaning.references.targets().to_vec()).unwrap_or_default();
        columns.push(SqlColumn { name: column.name.clone(), kind, required: column.required, comment, targets });
    }
    columns.extend(OWN.map(|(name, comment, kind, required)| SqlColumn {
        name: name.to_owned(),
        kind,
        required,
        comment: comment.to_owned(),
        targets: Vec::new(),
    }));
    Ok(SqlTable {
        name: table.name.clone(),
        description: table.description.clone(),
        columns,
        key: files.key.clone(),
        is_marked: files.columns.iter().any(|column| column.name == DELETED_AT),
        day: None,
        files: Vec::new(),
    })
}
