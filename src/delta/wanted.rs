//! The state of a table that its log has to reach: schema, partition and files of a version.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::delta::table_schema::schema_string;
use crate::failure::Result;
use crate::manifest::{DataFile, TableFiles, Version};
use crate::store::paths;

/// A table of a version.
#[derive(Debug)]
pub struct WantedTable<'v> {
    pub version: &'v Version,
    pub table: &'v str,
    /// None of a table that the version no longer has: its log has no files then, and its schema stays.
    pub shape: Option<LoggedShape>,
    /// The live files, by their paths below the table's folder.
    pub files: BTreeMap<&'v str, &'v DataFile>,
    /// The digest of all this.
    pub digest: String,
}

/// The schema of a table, and the columns of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedShape {
    pub schema: String,
    pub partition: Vec<String>,
}

impl<'v> WantedTable<'v> {
    /// Every table of a version, and those that it took away.
    pub fn all(version: &'v Version) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (name, table) in &version.tables {
            all.push(Self::new(version, name, Some(table))?);
        }
        let removed = version.removes.iter().filter_map(|path| paths::of_data(path));
        let mut dropped: Vec<&str> = removed.map(|(table, _)| table).collect();
        dropped.sort_unstable();
        dropped.dedup();
        for name in dropped.into_iter().filter(|name| !version.tables.contains_key(*name)) {
            all.push(Self::new(version, name, None)?);
        }
        Ok(all)
    }

    fn new(version: &'v Version, table: &'v str, stored: Option<&'v TableFiles>) -> Result<Self> {
        let shape = match stored {
            Some(stored) => Some(LoggedShape {
                schema: schema_string(stored)?,
                partition: stored.partition.iter().cloned().collect(),
            }),
            None => None,
        };
        let files: BTreeMap<&str, &DataFile> = stored
            .iter()
            .flat_map(|stored| &stored.files)
            .filter_map(|file| Some((file.path.strip_prefix(table)?.strip_prefix('/')?, file)))
            .collect();
        let digest = digest(shape.as_ref(), &files);
        Ok(Self { version, table, shape, files, digest })
    }

    /// Milliseconds since 1970 of the version.
    pub fn written_at(&self) -> i64 {
        self.version.written_at.as_millisecond()
    }
}

/// The values of a file's partition.
pub fn partition_values(file: &DataFile, partition: &[String]) -> BTreeMap<String, Option<String>> {
    let value = |name: &String| {
        let (of, value) = file.partition.as_deref()?.split_once('=')?;
        (of == name).then(|| value.to_owned())
    };
    partition.iter().map(|name| (name.clone(), value(name))).collect()
}

fn digest(shape: Option<&LoggedShape>, files: &BTreeMap<&str, &DataFile>) -> String {
    let mut hash = Sha256::new();
    let shape = shape.into_iter().flat_map(|shape| std::iter::once(&shape.schema).chain(&shape.partition));
    for text in shape.map(String::as_str).chain(files.keys().copied()) {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since 1970 before which a superseded file is needed no more.
pub fn cutoff(now: Timestamp, retention: std::time::Duration) -> i64 {
    let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_sub(kept)
}
