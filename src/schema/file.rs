//! The TOML of a schema file as written: shapes only, unknown keys refused.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaFile {
    pub about: String,
    #[serde(default = "middle")]
    pub priority: u32,
    /// Whether it is read where the settings do not name it.
    #[serde(rename = "default", default = "yes")]
    pub is_default: bool,
    pub confidence: Option<ConfidenceName>,
    /// Whether its records are people.
    #[serde(default)]
    pub people: bool,
    /// Lists of codes by name: a code and its meaning.
    #[serde(default)]
    pub codes: CodesFile,
    pub read: ReadFile,
    pub tables: InOrder<TableFile>,
}

/// Lists of codes by name, each with meanings by code, in the order of the file.
pub type CodesFile = InOrder<InOrder<String>>;

fn yes() -> bool {
    true
}

/// Entries by name in the order of the file, each name with its place.
#[derive(Debug)]
pub struct InOrder<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = InOrder<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(InOrder(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The sources of a statement, the most certain first.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ConfidenceName {
    Documented,
    Recorded,
    ClientCode,
    Inferred,
    Guess,
}

/// The default place of a resource: after the lists, before the large resources.
fn middle() -> u32 {
    50
}

/// `[read]`: every key of every style; `check` decides which go together.
/// More than twelve fields: the keys of `[read]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    pub style: StyleName,
    pub service: String,
    pub get: Option<GetFile>,
    pub search: Option<String>,
    /// Filters of `search` that are always sent.
    #[serde(default)]
    pub filters: Vec<FilterFile>,
    pub max_ids: Option<u16>,
    pub key: FromFile,
    pub records: Option<String>,
    /// Several records with one key are the rows of one record.
    #[serde(default)]
    pub repeats: bool,
    /// A list that is requested by numbers of pages.
    pub pages: Option<PagesFile>,
    #[serde(default)]
    pub newer: Vec<String>,
    pub count: Option<String>,
    #[serde(default)]
    pub count_is_wrong: bool,
    pub inventory: Option<InventoryFile>,
    pub changes: Option<ChangesFile>,
    pub owners: Option<OwnersFile>,
    #[serde(default)]
    pub also_from: Vec<AlsoFromFile>,
    pub every: Option<String>,
    pub reload_every: Option<String>,
    #[serde(default)]
    pub empty_ok: bool,
    #[serde(default)]
    pub none_found: Vec<String>,
    #[serde(default)]
    pub split_on: Vec<String>,
    #[serde(default)]
    pub not_applicable: Vec<String>,
}

/// `get`: one path, or several of a list with a label each.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum GetFile {
    One(String),
    Labelled(Vec<BranchFile>),
}

impl GetFile {
    /// The paths in their order.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::One(path) => vec![path],
            Self::Labelled(gets) => gets.iter().map(|get| get.path.as_str()).collect(),
        }
    }
}

/// `pages`: the parameters of a page's number and of its rows, and the most rows of a page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagesFile {
    pub number: String,
    pub size: String,
    pub most: u32,
}

/// The reading styles.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum StyleName {
    IdSets,
    Search,
    List,
    PerOwner,
}

/// `inventory`: how all ids are found; exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryFile {
    pub options: Option<String>,
    pub search: Option<String>,
    pub windows: Option<String>,
    pub id: Option<String>,
    pub row: Option<String>,
    #[serde(default)]
    pub repeats: bool,
    #[serde(default)]
    pub filters: Vec<FilterFile>,
}

/// One of `filters`: a column of a search, and the value that it is always filtered by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterFile {
    pub column: String,
    pub is: toml::Value,
    /// The search has the column, so that each row is checked.
    #[serde(default = "yes")]
    pub shown: bool,
}

/// `changes`: how changed ids are found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesFile {
    pub search: Option<String>,
    pub id: Option<String>,
    pub row: Option<String>,
    #[serde(default)]
    pub repeats: bool,
    #[serde(default)]
    pub newest: bool,
    pub since: Vec<String>,
    #[serde(default)]
    pub same: toml::Table,
    #[serde(default)]
    pub filters: Vec<FilterFile>,
    pub open: Option<OpenFile>,
}

/// `changes.open`: records that change without a date while a flag has this value, or until a column of ours is set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFile {
    #[serde(rename = "where")]
    pub filter: Option<String>,
    pub column: Option<String>,
    pub until: Option<String>,
    pub every: Option<String>,
}

/// `also_from`: a column of another resource; records that its new and changed rows reference are read again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoFromFile {
    pub table: String,
    pub column: String,
    pub with: Option<String>,
}

/// `owners`: the resource that gives the ids of a per-owner resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnersFile {
    pub resource: Option<String>,
    /// `table.column`: the ids that are held there.
    pub held: Option<String>,
    #[serde(rename = "where")]
    pub filter: Option<TextsFile>,
}

/// One text, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum TextsFile {
    One(String),
    Several(Vec<String>),
}

impl TextsFile {
    /// The texts in their order.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

/// `[tables.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    pub description: Option<String>,
    pub confidence: Option<ConfidenceName>,
    pub rows: Option<RowsFile>,
    /// From an entry of `rows` to entries of the same kind further down.
    pub again: Option<String>,
    /// A text at the end of `rows` is cut at this.
    pub split: Option<String>,
    /// Pieces that are no rows.
    #[serde(default)]
    pub skip: Vec<String>,
    pub key: Vec<String>,
    pub partition: Option<String>,
    /// The records of the table define fields of other resources.
    pub fields: Option<FieldsFile>,
    pub columns: Vec<Spanned<ColumnFile>>,
}

/// `fields` of a table, as a schema file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldsFile {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub types: BTreeMap<String, FieldTypeFile>,
}

/// The type of a column: by itself, or with the place of the value in a map.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum FieldTypeFile {
    Whole(String),
    Part(FieldPartFile),
}

/// The type of a column, and the name of the value in a map.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPartFile {
    pub from: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// `rows`: one path, or several with a label each.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum RowsFile {
    One(String),
    Labelled(Vec<BranchFile>),
}

/// One of several paths of rows, or of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchFile {
    pub path: String,
    pub label: String,
}

/// One column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFile {
    pub name: String,
    pub from: FromFile,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub required: bool,
    /// A value of another type is none: another column takes it.
    #[serde(default)]
    pub tried: bool,
    pub description: Option<String>,
    pub references: Option<ReferencesFile>,
    /// The name of a list of codes.
    pub codes: Option<String>,
    #[serde(default)]
    pub personal: bool,
    #[serde(default)]
    pub acting: bool,
    pub confidence: Option<ConfidenceName>,
}

/// `references`: the column that a value leads to, one of several, or none for a reason.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum ReferencesFile {
    One(String),
    Several(Vec<String>),
    Nowhere { none: String },
}

/// `from`: one path, or several of which the first present wins.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum FromFile {
    One(String),
    Several(Vec<String>),
}

impl FromFile {
    /// The paths in their order.
    pub fn paths(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}
