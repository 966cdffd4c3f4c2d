//! The actions of a Delta log as JSON: one object a line, each with one key.
//!
//! Takes bytes, gives lines and back. Actions of other writers that we do not know are ignored, as the protocol has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, Kind, Result};

/// The protocol that this program writes: every reader knows it.
pub const READER: i32 = 1;
pub const WRITER: i32 = 2;

/// One line of an entry; one of the fields is set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_info: Option<CommitInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_data: Option<TableMetaData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<AppTransaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<RemoveFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<AddFile>,
}

/// Statements about an entry; of other writers any.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitInfo {
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_info: Option<String>,
    /// Ours alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pearlift: Option<EntryOrigin>,
}

/// The origin of an entry of ours.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct EntryOrigin {
    /// Distinguishes this put from every other.
    pub nonce: String,
    pub resource: String,
    /// The version of the resource's manifest that the table is equal to after this entry.
    pub version: u64,
    /// The digest of the table's schema and files after this entry.
    pub files: String,
    /// When the oldest superseded file that is still there was superseded, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_since: Option<i64>,
}

/// The versions of the protocol that readers and writers must know.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
}

/// The schema of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableMetaData {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub format: FileFormat,
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

/// The format of a table's files.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct FileFormat {
    pub provider: String,
    #[serde(default)]
    pub options: BTreeMap<String, Option<String>>,
}

/// The last version of an application that is in the table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppTransaction {
    pub app_id: String,
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

/// A file that becomes live.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddFile {
    /// Below the table's folder.
    pub path: String,
    #[serde(default)]
    pub partition_values: BTreeMap<String, Option<String>>,
    pub size: i64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    pub data_change: bool,
    /// JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
}

/// A file that is superseded.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveFile {
    pub path: String,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

/// The lines of an entry. Refuses (`Damage`) bytes that are no such lines.
pub fn parse_entry(path: &str, bytes: &[u8]) -> Result<Vec<LogLine>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let parsed: serde_json::Result<Vec<LogLine>> = lines.map(serde_json::from_slice).collect();
    parsed.map_err(|error| damaged_log(path).caused(error))
}

/// The bytes of an entry.
pub fn entry_bytes(lines: &[LogLine]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)
            .map_err(|error| Failure::new(Kind::Bug, "write an entry of a Delta log").caused(error))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// A log that cannot be followed.
pub fn damaged_log(path: &str) -> Failure {
    let log = path.rsplit_once('/').map_or(path, |(log, _)| log);
    Failure::damaged("read a Delta log", path)
        .advise(format!("move `{log}` away: the next run, or `pearlift clean`, writes a new log of the same files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_unknown_actions_are_ignored() {
        let add = AddFile {
            path: "a=1/b.parquet".to_owned(),
            partition_values: BTreeMap::from([("a".to_owned(), Some("1".to_owned()))]),
            size: 7,
            modification_time: 8,
            data_change: true,
            stats: None,
        };
        let lines = vec![LogLine { add: Some(add), ..LogLine::default() }];
        let bytes = entry_bytes(&lines).unwrap();
        assert_eq!(parse_entry("t/_delta_log/0.json", &bytes).unwrap(), lines);
        let unknown = parse_entry("t/_delta_log/0.json", b"{\"domainMetadata\":{\"domain\":\"x\"}}\n\n").unwrap();
        assert_eq!(unknown, [LogLine::default()]);
        assert_eq!(parse_entry("t/_delta_log/0.json", b"{\"add\":{}}").unwrap_err().kind(), Kind::Damage);
    }
}
