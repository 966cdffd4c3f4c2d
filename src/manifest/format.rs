//! The JSON of a manifest version and of a scan's plan (docs/format.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schema::Table;

/// The format that this program writes; a higher one is refused.
pub const FORMAT: u32 = 1;

/// An owner key. Numbers sort as numbers, texts by their bytes.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(untagged)]
pub enum Key {
    Int(i64),
    Text(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => write!(f, "{id}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// One version of a resource: immutable once put.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Version {
    pub format: u32,
    /// The program's version that wrote it.
    pub pearlift: String,
    pub account: String,
    pub resource: String,
    pub version: u64,
    /// Tells this put from every other.
    pub nonce: String,
    /// The nonce of the version before; none for the first.
    pub parent: Option<String>,
    pub run: String,
    pub written_at: Timestamp,
    pub schema_hash: String,
    pub tables: BTreeMap<String, TableFiles>,
    /// Data files of the version before that this one no longer names.
    pub removes: Vec<String>,
    pub misfits: Vec<MisfitFile>,
    /// Files of rows that were found deleted, oldest first; no part of the tables.
    #[serde(default)]
    pub deleted: Vec<DataFile>,
    pub state: State,
}

/// A table's physical schema and its live files.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TableFiles {
    pub columns: Vec<SpecColumn>,
    pub key: Vec<String>,
    /// The name of the partition in paths, if the table has one.
    pub partition: Option<String>,
    /// Sorted by partition, then key; key ranges within a partition do not overlap.
    pub files: Vec<DataFile>,
}

/// A physical column.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct SpecColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub required: bool,
}

/// A live Parquet file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DataFile {
    /// Where it lies once published.
    pub path: String,
    /// Where it lies until then.
    pub staged: String,
    /// `created_month=2026-03-01`, if the table has a partition.
    pub partition: Option<String>,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: String,
    /// The least and greatest owner key; none in an empty file.
    pub first: Option<Key>,
    pub last: Option<Key>,
}

/// A file of records that did not fit.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct MisfitFile {
    pub path: String,
    pub records: u64,
}

/// What is known of the resource's scans.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct State {
    /// Changes are asked from here on: the server's clock at a completed scan's start, minus the overlap.
    pub watermark: Option<Timestamp>,
    /// The server's clock at the start of the last completed scan; none while the first load is unfinished.
    pub completed_at: Option<Timestamp>,
    /// The server's clock at the start of the last scan that read everything.
    pub reloaded_at: Option<Timestamp>,
    /// The server's clock when the ids were last compared with the source's.
    #[serde(default)]
    pub reconciled_at: Option<Timestamp>,
    /// Ids of other resources, by their names, that changed rows of ours name: to be read again there.
    #[serde(default)]
    pub handed: BTreeMap<String, BTreeSet<i64>>,
    /// A scan that stopped before its end.
    pub scan: Option<Scan>,
    /// Ids that could not be brought home; asked for again each run.
    #[serde(default)]
    pub owed: Vec<Owed>,
    /// Ids that spoil their set, left out until then.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Owners read lately, with the change stamp that they bore: not read again while it is the same.
    #[serde(default)]
    pub seen: BTreeMap<i64, String>,
    /// The last read of everything left out what was created before.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// The rolling re-read has come up to this id.
    #[serde(default)]
    pub reread_to: Option<i64>,
}

/// An unfinished scan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Scan {
    pub id: String,
    pub kind: ScanKind,
    /// The server's clock at the scan's first answer.
    pub started_at: Timestamp,
    pub schema_hash: String,
    pub cursor: Cursor,
}

/// What a scan is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanKind {
    Full,
    Changes,
}

impl ScanKind {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Changes => "changes",
        }
    }
}

/// How far an unfinished scan has come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cursor {
    /// Slices done, as ranges of their numbers, of the plan at this path.
    Slices { plan: String, done: Vec<(u64, u64)> },
    /// Rows up to this key are home; the next page begins at this row (1-based).
    Rows { last: i64, next: u64 },
}

/// The plan of a scan by ids: immutable, put beside the manifests.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ScanPlan {
    pub format: u32,
    pub scan: String,
    pub resource: String,
    pub schema_hash: String,
    /// Ids or windows of ids, each slice a list of inclusive ranges.
    pub slices: Vec<Vec<(i64, i64)>>,
    /// Owners found by their change stamp, for [`State::seen`].
    pub stamps: BTreeMap<i64, String>,
}

/// An id that is owed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Owed {
    pub id: Key,
    pub reason: String,
    pub since: Timestamp,
}

/// An id that is left out of sets for a while.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub id: i64,
    pub code: String,
    pub until: Timestamp,
}

impl TableFiles {
    /// A table without files, as the schema describes it.
    pub fn new(table: &Table) -> Self {
        Self {
            columns: table
                .columns
                .iter()
                .map(|column| SpecColumn {
                    name: column.name.clone(),
                    kind: column.kind.to_string(),
                    required: column.required,
                })
                .collect(),
            key: table.key.iter().map(|index| table.columns[*index].name.clone()).collect(),
            partition: table.partition.segment().map(str::to_owned),
            files: Vec::new(),
        }
    }

    /// Whether files of the other description can stand beside ours.
    pub fn same_shape(&self, other: &Self) -> bool {
        self.columns == other.columns && self.key == other.key && self.partition == other.partition
    }
}

impl Version {
    /// The live files of all tables.
    pub fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.tables.values().flat_map(|table| &table.files)
    }

    /// The final paths of the live files.
    pub fn paths(&self) -> BTreeSet<&str> {
        self.files().map(|file| file.path.as_str()).collect()
    }

    /// The rows of all tables.
    pub fn rows(&self) -> u64 {
        self.files().map(|file| file.rows).sum()
    }
}
