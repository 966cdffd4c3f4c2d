//! The limits of a manifest: a version is acted on (files are read, published and deleted by it), so it is accepted
//! only if every path in it is one that a run of ours can have made for this resource, and its numbers are consistent.

use std::collections::BTreeSet;

use crate::failure::{Failure, Kind};
use crate::manifest::format::{Cursor, DataFile, FORMAT, ScanPlan, Selected, TableFiles, Version};
use crate::manifest::key::Key;
use crate::store::paths;

/// The highest number of a version: the next one must be a number too.
const LAST: u64 = u64::MAX / 2;
/// The most ids of a slice: the greatest `max_ids` of a schema file.
const SLICE: u64 = 65_535;

/// The most ids of all slices: more than any account holds.
const MOST_IDS: u64 = 100_000_000;
/// The most ids that a plan may have confirmed as deleted; they are held in memory.
const MOST_CANDIDATES: u64 = 1_000_000;

/// The most slices that are done: those of the largest plan.
const MOST_SLICES: u64 = PLAN_ELEMENTS / 2;
/// The last row at which a page of a search may begin: beyond the rows of any source.
const LAST_ROW: u64 = 1 << 53;

/// The most elements of a manifest's JSON, and of a plan's: both are refused before their values take memory. Of a
/// manifest's elements a data file has ten.
pub const MANIFEST_ELEMENTS: u64 = 5_000_000;
pub const PLAN_ELEMENTS: u64 = 20_000_000;

/// The elements of a JSON text, at most: one more than its commas. Each takes no more than about a hundred bytes once
/// read.
pub fn elements(text: &[u8]) -> u64 {
    let commas = text.iter().filter(|byte| **byte == b',').count();
    u64::try_from(commas).unwrap_or(u64::MAX).saturating_add(1)
}

/// Refuses (`Answer`) to write a document that would not be read again.
pub fn check_size(verb: &str, path: &str, text: &[u8], (bytes, most): (u64, u64)) -> Result<(), Failure> {
    let (has, holds) = (u64::try_from(text.len()).unwrap_or(u64::MAX), elements(text));
    if has <= bytes && holds <= most {
        return Ok(());
    }
    Err(Failure::new(Kind::Answer, verb)
        .at(path)
        .because(format!(
            "it has {has} bytes and lists {holds} things; at most {bytes} bytes and {most} things are read again"
        ))
        .advise("docs/format.md lists the limits; a later `start` under [resource.NAME] makes a first load smaller"))
}

/// Returns the fault of a version with this number, of this resource.
pub fn check(version: &Version, resource: &str, number: u64) -> Result<(), String> {
    if version.resource != resource || version.version != number || number > LAST {
        return Err(format!("it is version {} of `{}` by its own content", version.version, version.resource));
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
    if let Some(file) = version.rejected.iter().find(|file| !paths::is_rejected(&file.path, resource)) {
        return Err(not_ours(&file.path));
    }
    let scan = version.state.scan.as_ref().map(|scan| &scan.cursor);
    let backfill = version.state.backfill.as_ref().map(|backfill| &backfill.cursor);
    for cursor in scan.into_iter().chain(backfill) {
        match cursor {
            Cursor::Slices { plan, .. } if !paths::is_scan(plan, resource) => return Err(not_ours(plan)),
            Cursor::Slices { done, .. } if slices(done).is_none_or(|done| done > MOST_SLICES) => {
                return Err(
                    "more slices of a scan are done than any scan has, or ranges of them do not ascend".to_owned()
                );
            }
            Cursor::Rows { next, .. } if *next > LAST_ROW => return Err(no_row(*next)),
            Cursor::Slices { .. } | Cursor::Rows { .. } => {}
        }
    }
    if let Some(Selected::Ids(ranges)) = version.state.backfill.as_ref().map(|backfill| &backfill.selected)
        && size(ranges).is_none_or(|ids| ids > MOST_IDS)
    {
        return Err(format!("its backfill selects more than {MOST_IDS} ids, or ranges that do not ascend"));
    }
    if let Some((_, next)) = version.state.count.locating.as_ref().and_then(|locating| locating.ids)
        && next > LAST_ROW
    {
        return Err(no_row(next));
    }
    check_absent(version)?;
    let records = version.rejected.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.records));
    records.ok_or("its rejected records are more than can be counted")?;
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

/// All ids that it names as absent, of any kind, are held in memory.
fn check_absent(version: &Version) -> Result<(), String> {
    let (absence, count) = (&version.state.absence, &version.state.count);
    let gaps = absence.gaps.iter().map(|gap| &gap.ids);
    let lists = absence.absent.values().chain(gaps).chain([&absence.hidden, &count.vanished]);
    let all = lists.map(|ids| size(ids)).try_fold(0_u64, |sum, ids| sum.checked_add(ids?));
    match all {
        Some(ids) if ids <= MOST_IDS => Ok(()),
        Some(_) | None => Err("it names more absent ids than an account has, or ranges that do not ascend".to_owned()),
    }
}

fn no_row(next: u64) -> String {
    format!("its next page begins at row {next}, and no search has that many rows")
}

fn not_ours(path: &str) -> String {
    format!("it names `{}`, which no run can have written for this resource", path.escape_debug())
}

fn check_table(name: &str, table: &TableFiles) -> Result<(), String> {
    if !paths::is_word(name) {
        return Err(format!("`{}` is no table's name", name.escape_debug()));
    }
    let is_column = |key: &String| table.columns.iter().any(|column| column.name == *key);
    if table.key.is_empty() || !table.key.iter().all(is_column) {
        return Err(format!("the key of `{name}` is not one of its columns"));
    }
    for file in &table.files {
        let of_table = paths::of_data(&file.path).filter(|(table, _)| *table == name);
        let (_, run) = of_table.ok_or_else(|| not_ours(&file.path))?;
        let segment = file.partition.as_deref();
        check_file(file, name, run, |table, run, number| paths::data(table, segment, run, number))?;
        let partition = segment.and_then(|segment| segment.split_once('=')).map(|(name, _)| name);
        if partition != table.partition.as_deref() {
            return Err(format!("`{}` is in no partition of `{name}`", file.path));
        }
    }
    Ok(())
}

/// Checks that a file is at the path of its run and number, and that its key range is one.
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
    if fits { Ok(()) } else { Err(format!("the key range of `{}` does not match its rows", file.path)) }
}

/// Whether a scan's plan is one that we can have written: slices of ids that can be requested, and no more ids than an
/// account can hold.
pub fn is_plan(plan: &ScanPlan) -> bool {
    let mut sizes = plan.slices.iter().map(|slice| size(slice).filter(|ids| *ids <= SLICE));
    let all = sizes.try_fold(0_u64, |sum, ids| sum.checked_add(ids?));
    plan.format == FORMAT
        && all.is_some_and(|ids| ids <= MOST_IDS)
        && size(&plan.candidates).is_some_and(|ids| ids <= MOST_CANDIDATES)
        && size(&plan.shown).is_some_and(|ids| ids <= MOST_IDS)
}

/// The slices of ranges that ascend one after the other; none where they do not, or cannot be counted.
fn slices(ranges: &[(u64, u64)]) -> Option<u64> {
    let apart = ranges.is_sorted_by(|(_, last), (next, _)| last < next);
    let count = |(first, last): &(u64, u64)| last.checked_sub(*first)?.checked_add(1);
    ranges.iter().try_fold(0_u64, |sum, range| sum.checked_add(count(range)?)).filter(|_| apart)
}

/// The ids of ranges that each ascend; none where one does not, or they cannot be counted.
fn size(ranges: &[(i64, i64)]) -> Option<u64> {
    ranges.iter().try_fold(0_u64, |sum, (first, last)| {
        let more = last.checked_sub(*first).and_then(|more| u64::try_from(more).ok())?;
        sum.checked_add(more)?.checked_add(1)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan(slices: Vec<Vec<(i64, i64)>>, candidates: Vec<(i64, i64)>) -> ScanPlan {
        let text = String::new;
        ScanPlan {
            format: FORMAT,
            scan: text(),
            resource: text(),
            schema_hash: text(),
            slices,
            stamps: BTreeMap::new(),
            candidates,
            awaited: BTreeMap::new(),
            shown: Vec::new(),
        }
    }

    #[test]
    fn a_plan_of_ids_that_no_account_holds_is_not_ours() {
        assert!(is_plan(&plan(vec![vec![(1, 200)], vec![(300, 300)]], vec![(5, 9)])));
        for (slices, candidates) in [
            (vec![vec![(i64::MIN, i64::MAX)]], vec![]),
            (vec![vec![(2, 1)]], vec![]),
            (vec![vec![(1, 65_535)]; 2_000], vec![]),
            (vec![vec![(1, 200)]], vec![(i64::MIN, i64::MAX)]),
            (vec![vec![(1, 200)]], vec![(1, 1_000_000_000)]),
            (vec![vec![(1, 200)]], vec![(9, 5)]),
        ] {
            assert!(!is_plan(&plan(slices, candidates.clone())), "{candidates:?}");
        }
    }
}
