//! A checked resource: how it is read and which tables it fills.

use std::collections::HashMap;
use std::time::Duration;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

use crate::schema::{
    Column, ConstantFilter, DELETED_AT, DESCRIPTION, EXTRA, EXTRACTED_AT, FieldDefinitions, HeldIds, Leaf, ListGet,
    Pages, Partition, PathStep, RUN_ID, Test, Type,
};
use crate::secret::HashKey;

/// Something the source serves, and the tables it becomes.
#[derive(Clone, Debug)]
pub struct Resource {
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Lower runs earlier: small and important ones first.
    pub priority: u32,
    /// Whether it is read where the settings do not name it.
    pub is_default: bool,
    /// Its records are people: `forget` erases one of them.
    pub holds_people: bool,
    pub read: Read,
    /// In the file's order; at least one.
    pub tables: Vec<Table>,
    /// Tables that the settings exclude: their columns are known, and not written.
    pub excluded_tables: Vec<Table>,
    /// The key of the columns that hold hashes.
    pub hash_key: Option<HashKey>,
    /// Hash of everything that decides reading and mapping; another hash drops an unfinished scan's plan.
    pub hash: String,
}

/// How a resource is read.
/// More than twelve fields: the keys of `[read]`, checked.
#[derive(Clone, Debug)]
pub struct Read {
    pub service: String,
    pub style: ReadStyle,
    /// The places of the record key in a record: the first that has a value counts.
    pub key: Vec<crate::schema::Source>,
    /// `Int64` or `String`.
    pub key_type: Type,
    /// Where the records lie below `response`.
    pub records: Vec<PathStep>,
    /// Several records of an answer may have one key: together they are that record.
    pub repeats: bool,
    /// The columns (of the main table) that decide which of two copies of a record is newer: the first that differs
    /// counts.
    pub newer: Vec<Newer>,
    /// The unit of the count of the source's search.
    pub count: Count,
    /// Columns of other resources; the records that their new, changed and removed rows reference may have changed
    /// without a date.
    pub also_from: Vec<AlsoFrom>,
    /// The interval at which a resource without dates is read whole; `None` is every run.
    pub every: Option<Duration>,
    /// The interval at which a resource with dates is read whole again, for undated changes; `None` is never.
    pub reload_every: Option<Duration>,
    /// An empty answer for a list that has rows is accepted.
    pub empty_ok: bool,
    /// Texts of a 404 that mean "none of these ids"; any other 404 is a wrong URL (docs/brightpearl-api.md §5.5).
    pub none_found: Vec<String>,
    /// Error codes on which an id set is halved.
    pub split_on: Vec<String>,
    /// Error codes of single ids that mean "has no such record": not pending.
    pub not_applicable: Vec<String>,
}

/// The meaning of the count of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub of: Counted,
    /// The count is known to be wrong: it is neither compared nor believed.
    pub is_wrong: bool,
}

/// The unit that a search counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    Records,
    /// Rows of the table of this name.
    RowsOf(String),
    /// Nothing that the tables hold.
    Nothing,
}

/// A column of another resource's table that holds our ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlsoFrom {
    pub table: String,
    pub column: String,
    /// Only rows in which this column of the same table is set.
    pub with: Option<String>,
}

/// [`AlsoFrom`] or [`HeldIds`] by its places in the resource that names: table, column, and the tests of other columns
/// by which a row names at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    pub table: usize,
    pub column: usize,
    pub tests: Vec<(usize, Test)>,
}

/// The reading styles.
#[derive(Clone, Debug)]
pub enum ReadStyle {
    /// Documents by GET of id sets.
    IdSets { get: String, max_ids: usize, inventory: Inventory, changes: Option<Changes> },
    /// Rows from a search itself.
    Search(RowSearch),
    /// One GET, whole list; or several, each with a label.
    List { gets: Vec<ListGet>, pages: Option<Pages> },
    /// Documents by GET of another resource's ids.
    PerOwner { get: String, max_ids: usize, owners: Owners },
}

impl ReadStyle {
    /// The style's name in schema files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IdSets { .. } => "id-sets",
            Self::Search(_) => "search",
            Self::List { .. } => "list",
            Self::PerOwner { .. } => "per-owner",
        }
    }
}

/// How all ids of a resource are found.
#[derive(Clone, Debug)]
pub enum Inventory {
    /// OPTIONS of this path.
    Options(String),
    /// A search for ids only.
    Search(IdSearch),
    /// The least and greatest id from a search, then every number between: for ids that are nearly dense.
    Windows(IdSearch),
}

/// A search that yields ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdSearch {
    pub search: String,
    /// The column with the resource's id.
    pub id: String,
    /// The unique column that pages are sorted by; often the same.
    pub row: String,
    /// The search has no unique column: an id has several rows, and pages are sorted by it.
    pub repeats: bool,
    /// The count that the search states is known to be wrong.
    pub count_is_wrong: bool,
    /// Always sent.
    pub filters: Vec<ConstantFilter>,
}

/// How changed ids are found: one search for each date, united.
#[derive(Clone, Debug)]
pub struct Changes {
    pub search: IdSearch,
    /// Filterable dates set by the server.
    pub since: Vec<String>,
    /// Search column and our column: an id with equal values in both is not fetched again.
    pub same: Vec<(String, String)>,
    /// Records that change without a date while they are open.
    pub open: Option<Box<Open>>,
}

impl Changes {
    /// The date of creation: the one among the dates that no later change moves.
    pub fn created(&self) -> &str {
        let tells_of_changes = |date: &&String| self.same.iter().any(|(theirs, _)| theirs == *date);
        self.since.iter().find(|date| !tells_of_changes(date)).or(self.since.first()).expect("changes have a date")
    }
}

/// Which records are open, and how they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// A boolean filter of the search lists them; `column` is ours of the same meaning.
    Listed { filter: (String, bool), column: String },
    /// They are those that we hold without a value in `column`, and are read again this often.
    Until { column: String, every: Duration },
}

impl Open {
    /// Our column that distinguishes open records.
    pub fn column(&self) -> &str {
        match self {
            Self::Listed { column, .. } | Self::Until { column, .. } => column,
        }
    }
}

/// A search that yields rows.
#[derive(Clone, Debug)]
pub struct RowSearch {
    pub search: String,
    /// The unique column that pages are sorted by.
    pub row: String,
    /// Filterable dates set by the server; none means that it is read whole.
    pub since: Vec<String>,
    /// The dates may be null until a first change: rows are also read from the greatest id down to those that are held.
    pub newest: bool,
    /// Always sent.
    pub filters: Vec<ConstantFilter>,
}

/// The resource that gives the ids of a per-owner resource.
#[derive(Clone, Debug)]
pub enum Owners {
    /// The ids that another resource's source lists, by a boolean filter of its search.
    Listed { resource: String, filter: Option<(String, bool)> },
    /// Ids that another resource's table holds.
    Held(HeldIds),
}

/// A column that decides which of two copies is newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newer {
    pub table: usize,
    pub column: usize,
}

/// Where rows of a table lie in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// One row a record.
    Record,
    /// One row an entry of each path, with the branch's label.
    Each(Vec<(Vec<PathStep>, Option<String>)>),
}

impl Rows {
    /// The number of `*` between a record and these rows.
    pub fn depth(&self) -> usize {
        match self {
            Self::Record => 0,
            Self::Each(branches) => {
                branches.first().map_or(0, |(steps, _)| steps.iter().filter(|step| **step == PathStep::Each).count())
            }
        }
    }
}

/// A text that is cut at `by`; the pieces of `skip`, and empty ones, are no rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub by: String,
    pub skip: Vec<String>,
}

/// A table that we write.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    /// Plain English; empty if the file states nothing.
    pub description: String,
    pub rows: Rows,
    /// From an entry to entries further down that are rows as well, at any depth; empty where there are none.
    pub again: Vec<PathStep>,
    /// A text in the place of rows is cut into them.
    pub split: Option<Split>,
    pub columns: Vec<Column>,
    /// Columns that the settings leave out: their values are known, and written nowhere.
    pub excluded_columns: Vec<Column>,
    /// Indices of the key columns; the first is the record key.
    pub key: Vec<usize>,
    pub partition: Partition,
    /// The columns by which its records define fields of other resources.
    pub fields: Option<FieldDefinitions>,
}

impl Table {
    /// The number of `*` between a record and this table's rows.
    pub fn depth(&self) -> usize {
        self.rows.depth()
    }

    /// The place of the column that marks deleted records, if the table keeps their rows.
    pub fn mark(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.name == DELETED_AT)
    }

    /// The Arrow schema of the table's files: its columns, then `_extra`, `_extracted_at`, `_run_id`.
    pub fn arrow(&self) -> Schema {
        file_schema(&self.columns)
    }

    /// The same, where each column of the table has its description in its field's metadata: as a new file states it
    /// for its readers.
    pub fn described(&self) -> Schema {
        let plain = self.arrow();
        let fields = plain.fields().iter().enumerate().map(|(place, field)| {
            let description = self.columns.get(place).map_or("", |column| column.meaning.description.as_str());
            let known = (!description.is_empty()).then(|| (DESCRIPTION.to_owned(), description.to_owned()));
            field.as_ref().clone().with_metadata(known.into_iter().collect::<HashMap<_, _>>())
        });
        Schema::new(fields.collect::<Vec<_>>())
    }
}

/// Whether two schemas have the same columns by name and type; descriptions do not count.
pub fn same_columns(one: &Fields, other: &Fields) -> bool {
    let equal = |(a, b): (&FieldRef, &FieldRef)| {
        a.name() == b.name() && a.data_type() == b.data_type() && a.is_nullable() == b.is_nullable()
    };
    one.len() == other.len() && one.iter().zip(other).all(equal)
}

/// The Arrow schema of files with these columns: behind them `_extra`, `_extracted_at`, `_run_id`.
pub fn file_schema(columns: &[Column]) -> Schema {
    let mut fields: Vec<Field> = columns.iter().map(Column::field).collect();
    fields.push(Field::new(EXTRA, DataType::Utf8, true));
    fields.push(Field::new(EXTRACTED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false));
    fields.push(Field::new(RUN_ID, DataType::Utf8, false));
    Schema::new(fields)
}

impl Resource {
    /// The table with one row per record, or the first: it decides which records are stored.
    pub fn main_table(&self) -> &Table {
        self.tables.iter().find(|table| table.rows == Rows::Record).unwrap_or(&self.tables[0])
    }

    /// The resource's partition: that of its tables.
    pub fn partition(&self) -> &Partition {
        &self.tables[0].partition
    }

    /// The table and the column of the date that divides the files, if one does.
    pub fn dividing_date(&self) -> Option<(&Table, &str)> {
        self.partition().date()?;
        let Partition::By { table, column, .. } = self.partition() else { return None };
        let table = &self.tables[*table];
        Some((table, table.columns[*column].name.as_str()))
    }

    /// The resource whose files are divided as those that a manifest names, with this name in paths; the same where that is
    /// none of its partition's granularities.
    pub fn stored_by(&self, segment: Option<&str>) -> Self {
        let mut stored = self.clone();
        if let Some(partition) = self.partition().named(segment) {
            stored.tables.iter_mut().for_each(|table| table.partition = partition.clone());
        }
        stored
    }

    /// Whether a scan reads it whole and replaces all rows.
    pub fn is_snapshot(&self) -> bool {
        matches!(self.partition(), Partition::Snapshot { .. })
    }

    /// Whether a nightly run requests changes by date, its own or its owner's; a resource without dates is read whole.
    pub fn has_dates(&self) -> bool {
        match &self.read.style {
            ReadStyle::IdSets { changes, .. } => changes.is_some(),
            ReadStyle::Search(search) => !search.since.is_empty(),
            ReadStyle::List { .. } => false,
            ReadStyle::PerOwner { .. } => !self.is_snapshot(),
        }
    }

    /// The ids by which it is read, where they are held in another resource's table.
    pub fn held_ids(&self) -> Option<&HeldIds> {
        match &self.read.style {
            ReadStyle::PerOwner { owners: Owners::Held(held), .. } => Some(held),
            ReadStyle::PerOwner { owners: Owners::Listed { .. }, .. }
            | ReadStyle::IdSets { .. }
            | ReadStyle::Search(_)
            | ReadStyle::List { .. } => None,
        }
    }

    /// Whether its records are those of held ids until the source states otherwise: a snapshot only holds its day.
    pub fn follows_held_ids(&self) -> bool {
        self.held_ids().is_some() && !self.is_snapshot()
    }

    /// How open records are found, where there are any.
    pub fn open(&self) -> Option<&Open> {
        match &self.read.style {
            ReadStyle::IdSets { changes: Some(changes), .. } => changes.open.as_deref(),
            ReadStyle::IdSets { changes: None, .. }
            | ReadStyle::Search(_)
            | ReadStyle::List { .. }
            | ReadStyle::PerOwner { .. } => None,
        }
    }

    /// The table with the live rows that are compared with the source's count; none without such a count.
    pub fn counted_table(&self) -> Option<&Table> {
        match &self.read.count {
            Count { is_wrong: true, .. } | Count { of: Counted::Nothing, .. } => None,
            Count { of: Counted::Records, .. } => self.record_table(),
            Count { of: Counted::RowsOf(name), .. } => self.tables.iter().find(|table| table.name == *name),
        }
    }

    /// The table with one row per record, if there is one.
    pub fn record_table(&self) -> Option<&Table> {
        self.tables.iter().find(|table| table.rows == Rows::Record)
    }

    /// Our column of a date that the search shows, in the table with one row per record.
    pub fn date_column(&self, date: &str) -> Option<&Column> {
        let table = self.record_table()?;
        let same = match &self.read.style {
            ReadStyle::IdSets { changes: Some(changes), .. } => changes.same.iter().find(|(theirs, _)| theirs == date),
            ReadStyle::IdSets { .. } | ReadStyle::Search(_) | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => {
                None
            }
        };
        let takes = |leaf: &Leaf| matches!(leaf, Leaf::Fields(fields) if fields.len() == 1 && fields[0] == date);
        match same {
            Some((_, ours)) => table.columns.iter().find(|column| column.name == *ours),
            None => table.columns.iter().find(|column| column.from.iter().any(|source| takes(&source.leaf))),
        }
    }
}
