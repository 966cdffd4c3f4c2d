//! The JSON of a manifest version and of a scan's plan (docs/format.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow_schema::Schema;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::clocks::ClockStamps;
use crate::manifest::{Absence, Evidence, Key, Looked, Pieces, SourceCount};
use crate::quantity::plural;
use crate::schema::{Column, Meaning, Resource, Table, Type, file_schema};

/// The format that this program writes; a higher one is refused.
pub const FORMAT: u32 = 1;

/// One version of a resource: immutable once put.
/// More than twelve fields: the keys of the JSON.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Version {
    pub format: u32,
    /// The program's version that wrote it.
    pub pearlift: String,
    pub account: String,
    pub resource: String,
    pub version: u64,
    /// Distinguishes this put from every other.
    pub nonce: String,
    /// The nonce of the version before; none for the first.
    pub parent: Option<String>,
    pub run: String,
    pub written_at: Timestamp,
    pub schema_hash: String,
    pub tables: BTreeMap<String, TableFiles>,
    /// Data files of the version before that this one no longer names.
    pub removes: Vec<String>,
    pub rejected: Vec<RejectedFile>,
    /// Files of rows that were found deleted, oldest first; no part of the tables.
    #[serde(default)]
    pub deleted: Vec<DataFile>,
    pub state: State,
    /// The version that later ones may refer to for their files: this one, or an earlier one. In memory alone.
    #[serde(skip)]
    pub checkpoint: Option<Arc<Checkpoint>>,
}

/// A version that lists all its files, as far as later ones refer to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub version: u64,
    pub nonce: String,
    pub lists: Lists,
}

/// The file lists of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lists {
    pub tables: BTreeMap<String, TableFiles>,
    pub deleted: Vec<DataFile>,
    pub rejected: Vec<RejectedFile>,
}

/// A table's physical schema and its live files.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TableFiles {
    pub columns: Vec<SpecColumn>,
    pub key: Vec<String>,
    /// The name of the partition in paths, if the table has one.
    pub partition: Option<String>,
    /// Columns that the source may fill and that these files no longer have the values of: left out, or dropped since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_columns: Vec<SpecColumn>,
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
    /// Where its value comes from, as the schema file writes it; unknown where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
}

impl SpecColumn {
    /// A column of the schema.
    pub fn new(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            kind: column.kind.to_string(),
            required: column.required,
            from: column.from.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether the values of both fit one file; where they come from does not count.
    pub fn same_shape(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.required == other.required
    }
}

/// A live Parquet file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DataFile {
    /// Its final path, once published.
    pub path: String,
    /// Its path until then.
    pub staged: String,
    /// `created_month=2026-03-01`, if the table has a partition.
    pub partition: Option<String>,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: String,
    /// The least and greatest record key; none in an empty file.
    pub first: Option<Key>,
    pub last: Option<Key>,
    /// The records that are held as open; absent where they are not looked for, or are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenRecords>,
}

/// The open records of a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct OpenRecords {
    /// The condition that their rows meet and no other does: `closed_on is null`.
    pub condition: String,
    /// Ascending.
    pub ids: Vec<i64>,
}

/// A file of records that did not fit.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct RejectedFile {
    pub path: String,
    pub records: u64,
}

/// The state of the resource's scans.
/// More than twelve fields: the keys of the JSON.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct State {
    /// Every change until then is read: the earlier of the server's clock and ours at a completed scan's start, minus
    /// the overlap.
    pub watermark: Option<Timestamp>,
    /// The watermark before the last scan for changes; none after a full read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_before: Option<Timestamp>,
    /// The server's clock at the start of the last completed scan; none while the first load is unfinished.
    pub completed_at: Option<Timestamp>,
    /// The server's clock at the start of the last scan that read everything.
    pub reloaded_at: Option<Timestamp>,
    /// The server's clock when the ids were last compared with the source's.
    #[serde(default)]
    pub reconciled_at: Option<Timestamp>,
    /// The server's clock when open records were last read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_reread_at: Option<Timestamp>,
    /// The same stamps by our clock.
    #[serde(default, skip_serializing_if = "ClockStamps::is_empty")]
    pub clocks: ClockStamps,
    /// Ids of other resources, by their names, that changed rows of this one reference: to be read again there.
    #[serde(default)]
    pub pending_references: BTreeMap<String, BTreeSet<i64>>,
    /// The mark under which ids were last added to these; another one each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references_mark: Option<String>,
    /// For each resource with rows that reference our ids, the mark up to which these were read here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references_read: BTreeMap<String, String>,
    /// A scan that stopped before its end.
    pub scan: Option<Scan>,
    /// A backfill that stopped before its end: no scan of the nightly run touches it.
    #[serde(default)]
    pub backfill: Option<Backfill>,
    /// Ids that could not be fetched or mapped; retried on each run.
    pub pending: Vec<PendingId>,
    /// Ids that spoil their set, left out until then.
    #[serde(default)]
    pub skipped_ids: Vec<SkippedId>,
    /// Records read lately, with their change stamp: not read again while it is the same.
    #[serde(default)]
    pub record_stamps: BTreeMap<i64, String>,
    /// The last full read left out records created before.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// The rolling re-read has come up to this id.
    #[serde(default)]
    pub reread_to: Option<i64>,
    /// Evidence by which copies and fields of the next scans are judged.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    /// Sets that are too large, and records with rows that do not fit.
    #[serde(default, skip_serializing_if = "Pieces::is_empty")]
    pub pieces: Pieces,
    /// Ids that the source lists and does not return, or returns and does not list.
    #[serde(default, skip_serializing_if = "Absence::is_blank")]
    pub absence: Absence,
    /// The records that the source counts, and the number of them in the tables.
    #[serde(default, skip_serializing_if = "SourceCount::is_unknown")]
    pub count: SourceCount,
    /// Answers of lookups in live files.
    #[serde(default, skip_serializing_if = "Looked::is_empty")]
    pub looked: Looked,
    /// The last erasures of people in this resource, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erasures: Vec<Erasure>,
    /// The files of a first load are still to be divided as the settings want it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partition_open: bool,
}

/// An erasure of a person: nothing of it is of the person.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// The keyed hash of the person's id.
    pub person: String,
    /// The run that erased.
    pub run: String,
    /// By our clock.
    pub at: Timestamp,
    /// Rows with values that were erased, by table; rows of deleted records included.
    pub rows: BTreeMap<String, u64>,
    /// Rejected records that were erased.
    #[serde(default)]
    pub rejected: u64,
}

impl State {
    /// From where edits are asked: from the watermark of the scan before the last, so that searches of two runs show
    /// each.
    pub fn changes_since(&self) -> Option<Timestamp> {
        self.watermark_before.min(self.watermark).or(self.watermark)
    }
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

/// An unfinished backfill: resumed by a request for the same range.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Backfill {
    pub id: String,
    pub selected: Selected,
    /// The server's clock at its first answer, or ours before there was one.
    pub started_at: Timestamp,
    pub schema_hash: String,
    pub cursor: Cursor,
}

/// The selection of a backfill.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selected {
    /// Inclusive ranges of ids.
    Ids(Vec<(i64, i64)>),
    /// Records with the date `by`, a filter of the search, in `[from, to)`.
    Range { by: String, from: Option<Timestamp>, to: Option<Timestamp> },
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = |at: &Option<Timestamp>| at.map_or_else(|| "…".to_owned(), |at| format!("{at:.0}"));
        match self {
            Self::Ids(ranges) => {
                let ids = ranges.iter().map(|(first, last)| last.saturating_sub(*first).saturating_add(1));
                let ids = ids.fold(0_i64, i64::saturating_add);
                f.write_str(&plural(ids, "id"))
            }
            Self::Range { by, from, to } => write!(f, "{by} from {} to {}", edge(from), edge(to)),
        }
    }
}

/// The purpose of a scan.
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
    /// Rows up to this key are fetched; the next page begins at this row (1-based).
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
    /// Records found by their change stamp, for [`State::record_stamps`].
    pub stamps: BTreeMap<i64, String>,
    /// Ids that are taken out of the tables where the source does not return them, as inclusive ranges.
    #[serde(default)]
    pub candidates: Vec<(i64, i64)>,
    /// Change dates that searches showed, for [`Evidence::awaited`](crate::manifest::Evidence).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub awaited: BTreeMap<i64, Vec<Option<i64>>>,
    /// Ids that a listing of the scan showed, as inclusive ranges.
    #[serde(default)]
    pub shown: Vec<(i64, i64)>,
}

/// A pending id.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct PendingId {
    pub id: Key,
    pub reason: String,
    pub since: Timestamp,
}

/// An id that is left out of sets for a while.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct SkippedId {
    pub id: i64,
    pub code: String,
    pub until: Timestamp,
}

impl TableFiles {
    /// A table without files, as the schema describes it.
    pub fn new(table: &Table) -> Self {
        Self {
            columns: table.columns.iter().map(SpecColumn::new).collect(),
            key: table.key.iter().map(|index| table.columns[*index].name.clone()).collect(),
            partition: table.partition.segment(),
            excluded_columns: table.excluded_columns.iter().map(SpecColumn::new).collect(),
            files: Vec::new(),
        }
    }

    /// A table without files, as the schema describes it, that continues this one: columns that have lost their values
    /// stay so.
    pub fn going_on(table: &Table, before: Option<&Self>) -> Self {
        let mut next = Self::new(table);
        for column in before.iter().flat_map(|before| &before.excluded_columns) {
            if next.excluded_columns.iter().all(|known| known.name != column.name) {
                next.excluded_columns.push(column.clone());
            }
        }
        next
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Whether both descriptions allow their files in one table.
    pub fn same_shape(&self, other: &Self) -> bool {
        self.columns.len() == other.columns.len()
            && self.columns.iter().zip(&other.columns).all(|(ours, theirs)| ours.same_shape(theirs))
            && self.key == other.key
            && self.partition == other.partition
    }

    /// The Arrow schema of its files. Refuses (`Damage`) types that no schema file can declare.
    pub fn arrow(&self) -> Result<Schema> {
        let mut columns = Vec::new();
        for column in &self.columns {
            let kind = Type::parse(&column.kind)
                .map_err(|error| Failure::new(Kind::Damage, "read a manifest").at(&column.name).caused(error))?;
            columns.push(Column {
                name: column.name.clone(),
                from: Vec::new(),
                kind,
                required: column.required,
                tried: false,
                meaning: Meaning::default(),
            });
        }
        Ok(file_schema(&columns))
    }
}

impl Version {
    /// The resource with its files divided as the files of this version are.
    pub fn dividing(&self, resource: &Resource) -> Resource {
        let table = resource.tables.iter().find_map(|table| self.tables.get(&table.name));
        table.map_or_else(|| resource.clone(), |table| resource.stored_by(table.partition.as_deref()))
    }

    /// The version that follows, by this run: the same files and state, and nothing removed.
    pub fn next(&self, run: &str, nonce: String, written_at: Timestamp) -> Self {
        Self {
            format: FORMAT,
            pearlift: env!("CARGO_PKG_VERSION").to_owned(),
            version: self.version + 1,
            nonce,
            parent: Some(self.nonce.clone()),
            run: run.to_owned(),
            written_at,
            removes: Vec::new(),
            ..self.clone()
        }
    }

    /// The live files of all tables.
    pub fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.tables.values().flat_map(|table| &table.files)
    }

    /// The final paths of the live files.
    pub fn paths(&self) -> BTreeSet<&str> {
        self.files().map(|file| file.path.as_str()).collect()
    }

    /// The bytes of all live files, those of deleted rows included.
    pub fn bytes(&self) -> u64 {
        self.files().chain(&self.deleted).map(|file| file.bytes).sum()
    }

    /// Whether it is put with all its files.
    pub fn is_checkpoint(&self) -> bool {
        self.checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.nonce == self.nonce)
    }

    /// The paths of the plans of an unfinished scan and an unfinished backfill.
    pub fn plans(&self) -> impl Iterator<Item = &str> {
        let scan = self.state.scan.as_ref().map(|scan| &scan.cursor);
        let backfill = self.state.backfill.as_ref().map(|backfill| &backfill.cursor);
        scan.into_iter().chain(backfill).filter_map(|cursor| match cursor {
            Cursor::Slices { plan, .. } => Some(plan.as_str()),
            Cursor::Rows { .. } => None,
        })
    }

    /// The rows of all tables.
    pub fn rows(&self) -> u64 {
        self.files().map(|file| file.rows).sum()
    }
}
