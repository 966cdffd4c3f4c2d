//! The TOML of a schema file as written: shapes only, unknown keys refused.

use serde::Deserialize;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaFile {
    pub about: String,
    #[serde(default = "middle")]
    pub priority: u32,
    pub read: ReadFile,
    pub tables: toml::Table,
}

/// The place of a resource that does not say: after the lists, before what is large.
fn middle() -> u32 {
    50
}

/// `[read]`: every key of every style; `check` says which go together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    pub style: StyleName,
    pub service: String,
    pub get: Option<String>,
    pub search: Option<String>,
    pub max_ids: Option<u16>,
    pub key: String,
    pub records: Option<String>,
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
    pub open: Option<OpenFile>,
}

/// `changes.open`: records that change without a date while a flag stands so, or until a column of ours is set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFile {
    #[serde(rename = "where")]
    pub filter: Option<String>,
    pub column: Option<String>,
    pub until: Option<String>,
    pub every: Option<String>,
}

/// `also_from`: a column elsewhere whose new and changed rows name records to read again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoFromFile {
    pub table: String,
    pub column: String,
    pub with: Option<String>,
}

/// `owners`: whose ids a per-owner resource is read by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnersFile {
    pub resource: String,
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// `[tables.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    pub rows: Option<RowsFile>,
    pub key: Vec<String>,
    pub partition: Option<String>,
    pub columns: Vec<ColumnFile>,
}

/// `rows`: one path, or several with a label each.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum RowsFile {
    One(String),
    Labelled(Vec<BranchFile>),
}

/// One of several row paths.
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
