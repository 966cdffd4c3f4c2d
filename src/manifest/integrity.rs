//! What a manifest may say: a version is obeyed (files are read, published, deleted by it), so it is believed only where
//! every path in it is one that a run of ours can have made for this resource, and its numbers fit together.

use std::collections::BTreeSet;

use crate::manifest::format::{Cursor, DataFile, FORMAT, Key, ScanPlan, TableFiles, Version};
use crate::store::paths;

/// The highest number of a version: the next one must be a number too.
const LAST: u64 = u64::MAX / 2;
/// The most ids of a slice: what `max_ids` of a schema file can say.
const SLICE: u64 = 65_535;

/// Says what is wrong with a version that lies as this number of this resource.
pub fn check(version: &Version, resource: &str, number: u64) -> Result<(), String> {
    if version.resource != resource || version.version != number || number > LAST {
        return Err(format!("it says that it is version {} of `{}`", version.version, version.resource));
    }
    for (name, table) in &version.tables {
        check_table(name, table)?;
    }
    for file in &version.deleted {
        let (table, run) = paths::of_deleted(&file.path).ok_or_else(|| not_ours(&file.path))?;
        check_file(file, table, run, paths::deleted)?;
    }
    let removable = |path: &str| paths::of_data(path).is_some() || paths::of_deleted(path).is_some();
    if let Some(path) = version.removes.iter().find(|path| !removable(path)) {
        return Err(not_ours(path));
    }
    if let Some(file) = version.misfits.iter().find(|file| !paths::is_misfits(&file.path, resource)) {
        return Err(not_ours(&file.path));
    }
    let scan = version.state.scan.as_ref().map(|scan| &scan.cursor);
    let backfill = version.state.backfill.as_ref().map(|backfill| &backfill.cursor);
    for cursor in scan.into_iter().chain(backfill) {
        match cursor {
            Cursor::Slices { plan, .. } if !paths::is_scan(plan, resource) => return Err(not_ours(plan)),
            Cursor::Slices { .. } | Cursor::Rows { .. } => {}
        }
    }
    let mut named = BTreeSet::new();
    let mut totals = (0_u64, 0_u64);
    for file in version.files().chain(&version.deleted) {
        if !named.insert(&file.path) {
            return Err(format!("it names `{}` twice", file.path));
        }
        totals.0 = totals.0.checked_add(file.rows).ok_or("its rows are more than can be counted")?;
        totals.1 = totals.1.checked_add(file.bytes).ok_or("its bytes are more than can be counted")?;
    }
    Ok(())
}

fn not_ours(path: &str) -> String {
    format!("it names `{}`, which no run can have written for it", path.escape_debug())
}

fn check_table(name: &str, table: &TableFiles) -> Result<(), String> {
    if !paths::is_word(name) {
        return Err(format!("`{}` is no table's name", name.escape_debug()));
    }
    let is_column = |key: &String| table.columns.iter().any(|column| column.name == *key);
    if table.key.is_empty() || !table.key.iter().all(is_column) {
        return Err(format!("the key of `{name}` is no column of it"));
    }
    for file in &table.files {
        let of_table = paths::of_data(&file.path).filter(|(table, _)| *table == name);
        let (_, run) = of_table.ok_or_else(|| not_ours(&file.path))?;
        let segment = file.partition.as_deref();
        check_file(file, name, run, |table, run, number| paths::data(table, segment, run, number))?;
        let partition = segment.and_then(|segment| segment.split_once('=')).map(|(name, _)| name);
        if partition != table.partition.as_deref() {
            return Err(format!("`{}` lies in no partition of `{name}`", file.path));
        }
    }
    Ok(())
}

/// A file lies where its run and its number put it, and its key range is one.
fn check_file(
    file: &DataFile,
    table: &str,
    run: &str,
    place: impl Fn(&str, &str, u64) -> String,
) -> Result<(), String> {
    let number = paths::number_of(&file.path).ok_or_else(|| not_ours(&file.path))?;
    if file.path != place(table, run, number) {
        return Err(not_ours(&file.path));
    }
    if file.staged != paths::staged(table, run, number) {
        return Err(not_ours(&file.staged));
    }
    let fits = match (&file.first, &file.last) {
        (None, None) => file.rows == 0,
        (Some(Key::Int(first)), Some(Key::Int(last))) => file.rows > 0 && first <= last,
        (Some(Key::Text(first)), Some(Key::Text(last))) => file.rows > 0 && first <= last,
        (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => false,
    };
    if fits { Ok(()) } else { Err(format!("the key range of `{}` does not go with its rows", file.path)) }
}

/// Whether a scan's plan is one that we can have written: slices of ids that can be asked for.
pub fn is_plan(plan: &ScanPlan) -> bool {
    let size = |slice: &Vec<(i64, i64)>| {
        slice.iter().try_fold(0_u64, |sum, (first, last)| {
            let ids = last.checked_sub(*first).and_then(|more| u64::try_from(more).ok())?;
            sum.checked_add(ids)?.checked_add(1)
        })
    };
    plan.format == FORMAT && plan.slices.iter().all(|slice| size(slice).is_some_and(|ids| ids <= SLICE))
}
