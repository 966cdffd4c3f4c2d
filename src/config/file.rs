//! The settings file as written: shapes and names only, unknown keys refused.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The type of a key, so that an environment variable is read as the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    /// Text that names a file or a folder; a relative one of the settings file begins at its folder.
    Path,
    Number,
    Bool,
    List,
}

/// Every key: its section, its name, its type. The environment names, the template and the docs follow this list.
pub const KEYS: &[(&str, &str, Holds)] = &[
    ("", "schemas", Holds::Path),
    ("account", "code", Holds::Text),
    ("account", "api_domain", Holds::Text),
    ("account", "base_url", Holds::Text),
    ("auth", "kind", Holds::Text),
    ("auth", "app_ref", Holds::Text),
    ("auth", "dev_ref", Holds::Text),
    ("auth", "client_id", Holds::Text),
    ("auth", "token_url", Holds::Text),
    ("auth", "token_file", Holds::Path),
    ("auth", "api_domains", Holds::List),
    ("destination", "url", Holds::Path),
    ("destination", "housekeeping", Holds::Bool),
    ("destination.s3", "endpoint", Holds::Text),
    ("destination.s3", "region", Holds::Text),
    ("destination.s3", "allow_http", Holds::Bool),
    ("destination.s3", "path_style", Holds::Bool),
    ("destination.s3", "lock_renew", Holds::Text),
    ("destination.s3", "lock_expire", Holds::Text),
    ("limits", "requests_per_period", Holds::Number),
    ("limits", "period", Holds::Text),
    ("limits", "reserve", Holds::Number),
    ("limits", "concurrency", Holds::Number),
    ("limits", "memory", Holds::Text),
    ("limits", "pace", Holds::Text),
    ("limits", "page_size", Holds::Number),
    ("limits", "timeout", Holds::Text),
    ("limits", "retry_tries", Holds::Number),
    ("limits", "retry_for", Holds::Text),
    ("limits", "overlap", Holds::Text),
    ("limits", "settle", Holds::Text),
    ("limits", "commit_every", Holds::Text),
    ("limits", "commit_bytes", Holds::Text),
    ("limits", "file_bytes", Holds::Text),
    ("limits", "row_group_rows", Holds::Number),
    ("limits", "encodings", Holds::Text),
    ("limits", "spool", Holds::Path),
    ("limits", "reread_requests", Holds::Number),
    ("limits", "compare_counts", Holds::Bool),
    ("limits", "locate_requests", Holds::Number),
    ("resources", "include", Holds::List),
    ("resources", "exclude", Holds::List),
];

/// The keys of each `[resource.NAME]`.
pub const RESOURCE_KEYS: &[(&str, Holds)] = &[
    ("start", Holds::Text),
    ("every", Holds::Text),
    ("reload_every", Holds::Text),
    ("reread_requests", Holds::Number),
    ("open_every", Holds::Text),
    ("reconcile_every", Holds::Text),
    ("deletes", Holds::Text),
    ("keep", Holds::Text),
    ("tables", Holds::List),
    ("drop_columns", Holds::List),
];

/// The treatment of the rows of deleted records.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Deletes {
    /// They leave the tables and are kept apart, with when they were found gone.
    #[default]
    Move,
    /// They stay in the tables, with when they were found gone.
    Mark,
    /// They leave the tables and are not kept.
    Drop,
}

/// How the values of data files are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Encodings {
    /// Plain and dictionary: every engine reads them.
    #[default]
    Common,
    /// Also differences (DELTA_BINARY_PACKED): smaller, and not for every engine.
    Compact,
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsFile {
    pub schemas: Option<String>,
    pub account: AccountFile,
    pub auth: AuthFile,
    pub destination: DestinationFile,
    pub limits: LimitsFile,
    pub resources: ResourcesFile,
    pub resource: BTreeMap<String, ResourceFile>,
}

/// `[account]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountFile {
    pub code: Option<String>,
    pub api_domain: Option<String>,
    pub base_url: Option<String>,
}

/// `[auth]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthFile {
    pub kind: Option<AuthKind>,
    pub app_ref: Option<String>,
    pub dev_ref: Option<String>,
    pub client_id: Option<String>,
    pub token_url: Option<String>,
    pub token_file: Option<String>,
    pub api_domains: Option<Vec<String>>,
}

/// How we are known to the source (docs/brightpearl-api.md §2.1).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum AuthKind {
    StaffToken,
    AccountToken,
    Oauth,
}

/// `[destination]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DestinationFile {
    pub url: Option<String>,
    pub housekeeping: Option<bool>,
    pub s3: S3File,
}

/// `[destination.s3]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3File {
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub allow_http: Option<bool>,
    pub path_style: Option<bool>,
    pub lock_renew: Option<String>,
    pub lock_expire: Option<String>,
}

/// `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    pub requests_per_period: Option<u32>,
    pub period: Option<String>,
    pub reserve: Option<u32>,
    pub concurrency: Option<usize>,
    pub memory: Option<String>,
    pub pace: Option<Pace>,
    pub page_size: Option<u32>,
    pub timeout: Option<String>,
    pub retry_tries: Option<u32>,
    pub retry_for: Option<String>,
    pub overlap: Option<String>,
    pub settle: Option<String>,
    pub commit_every: Option<String>,
    pub commit_bytes: Option<String>,
    pub file_bytes: Option<String>,
    pub row_group_rows: Option<usize>,
    pub encodings: Option<Encodings>,
    pub spool: Option<String>,
    pub reread_requests: Option<u64>,
    pub compare_counts: Option<bool>,
    pub locate_requests: Option<u64>,
}

/// How the quota of a period is spent.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Evenly over the period, so that the shop's own apps always find room.
    #[default]
    Even,
    /// At once, then wait for the next.
    Burst,
}

/// `[resources]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourcesFile {
    pub include: Option<Vec<String>>,
    pub exclude: Option<Vec<String>>,
}

/// `[resource.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceFile {
    pub start: Option<String>,
    pub every: Option<String>,
    pub reload_every: Option<String>,
    pub reread_requests: Option<u64>,
    pub open_every: Option<String>,
    pub deletes: Option<Deletes>,
    pub reconcile_every: Option<String>,
    pub keep: Option<String>,
    pub tables: Option<Vec<String>>,
    pub drop_columns: Option<Vec<String>>,
}
