//! The difference of two versions of a resource, by their files: files that were added, and the ranges of records that the
//! files had which are gone.
//!
//! Takes an earlier version and the head. The rows of a table are those of the earlier version without the rows of the
//! dropped files, and with those of the added ones. A dropped file's rows are known without it: in its partition, no other
//! file had a record key between its least and its greatest. Refuses (`Schema`) versions of different columns.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, Key, TableFiles, Version};
use crate::schema::{Partition, PartitionBy, Resource};

/// Rows by their record keys, within a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub first: Key,
    pub last: Key,
    pub place: RangePlace,
}

/// The rows of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangePlace {
    /// All rows.
    Whole,
    /// Those with the dividing date from the first day on and before the second one; with `undated` also those without
    /// the date.
    Period { from: Date, to: Date, undated: bool },
    /// Those of a day's snapshot.
    Day(Date),
    /// Those with this remainder of the column's value.
    Bucket { column: String, count: u32, remainder: u32 },
}

/// The changes of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableChange {
    /// The paths of added files.
    pub added: BTreeSet<String>,
    pub added_ranges: Vec<KeyRange>,
    pub dropped: Vec<KeyRange>,
    /// None of the earlier files is left.
    pub drops_all: bool,
}

impl TableChange {
    /// Whether the table has the same rows.
    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty() && !self.drops_all
    }
}

/// The changes of a table between two versions of its resource.
pub fn difference(resource: &Resource, table: &str, before: &Version, head: &Version) -> Result<TableChange> {
    let (Some(old), Some(new)) = (before.tables.get(table), head.tables.get(table)) else {
        return Err(reshaped(resource, table, before));
    };
    if !same_columns(old, new) {
        return Err(reshaped(resource, table, before));
    }
    let (before, after) = (paths(&old.files), paths(&new.files));
    let dropped: Vec<&DataFile> = old.files.iter().filter(|file| !after.contains(file.path.as_str())).collect();
    let added: Vec<&DataFile> = new.files.iter().filter(|file| !before.contains(file.path.as_str())).collect();
    let drops_all = dropped.len() == old.files.len() && !dropped.is_empty();
    let ranges = |files: &[&DataFile]| {
        files.iter().filter_map(|file| range(resource, file).transpose()).collect::<Result<Vec<_>>>()
    };
    Ok(TableChange {
        added_ranges: ranges(&added)?,
        added: added.iter().map(|file| file.path.clone()).collect(),
        dropped: ranges(&dropped)?,
        drops_all,
    })
}

fn paths(files: &[DataFile]) -> BTreeSet<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

/// Whether the rows of both have the same columns; the period that divides their files does not count.
fn same_columns(old: &TableFiles, new: &TableFiles) -> bool {
    old.key == new.key
        && old.columns.len() == new.columns.len()
        && old.columns.iter().zip(&new.columns).all(|(old, new)| old.same_shape(new))
}

fn reshaped(resource: &Resource, table: &str, before: &Version) -> Failure {
    Failure::new(Kind::Schema, format!("compare version {} of `{}` with the newest", before.version, resource.name))
        .at(table)
        .because("its columns have changed since then")
        .advise("load everything again: `--since 0`")
}

/// The rows of a file; none of a file without rows.
fn range(resource: &Resource, file: &DataFile) -> Result<Option<KeyRange>> {
    let Some((first, last)) = file.first.clone().zip(file.last.clone()) else { return Ok(None) };
    let place = match &file.partition {
        None => RangePlace::Whole,
        Some(folder) => place(resource, folder).ok_or_else(|| {
            Failure::new(Kind::Damage, "read a manifest")
                .at(&file.path)
                .because(format!("`{folder}` is no partition of `{}`", resource.name))
        })?,
    };
    Ok(Some(KeyRange { first, last, place }))
}

/// The rows of a folder `name=value`.
fn place(resource: &Resource, folder: &str) -> Option<RangePlace> {
    let (name, value) = folder.split_once('=')?;
    let partition = resource.partition().named(Some(name))?;
    match &partition {
        Partition::Snapshot { .. } => Some(RangePlace::Day(value.parse().ok()?)),
        Partition::By { by: PartitionBy::Date { granularity, .. }, .. } => {
            let (from, to) = granularity.span(value.parse().ok()?)?;
            // Records without the date are in the folder of the first day of the epoch.
            Some(RangePlace::Period { from, to, undated: from == jiff::civil::date(1970, 1, 1) })
        }
        Partition::By { by: PartitionBy::Bucket(count), table, column, .. } => {
            let column = resource.tables.get(*table)?.columns.get(*column)?.name.clone();
            Some(RangePlace::Bucket { column, count: *count, remainder: value.parse().ok()? })
        }
        Partition::None => None,
    }
}
