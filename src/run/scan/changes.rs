//! The changed records: one search for each date, united, less the copies that we hold already (docs/reading.md §1,
//! §2).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::config::Limits;
use crate::decode::{IdRow, timestamp_micros};
use crate::failure::Result;
use crate::fetch::Filter;
use crate::manifest::Version;
use crate::run::lookups::{Lookups, Question};
use crate::run::scan::change_points::Since;
use crate::run::scan::id_source::IdSource;
use crate::run::session::ResourceSession;
use crate::schema::{Changes, Open, Resource, Type};
use crate::store::Store;
use crate::window::Window;
use crate::write::{StoredRecord, StoredValue, held_open};

/// The search rows of a record, united.
#[derive(Clone, Debug, Default)]
pub struct SearchRow {
    /// The latest of its dates, in microseconds.
    pub stamp: Option<i64>,
    /// The latest of all its dates, those after the scan's start too.
    pub latest: Option<i64>,
    /// Each of its dates, in microseconds; the latest that any row showed.
    pub dates: Vec<Option<i64>>,
    /// Its dates as the source writes them.
    pub text: String,
    /// The values of the schema's `same` columns.
    pub same: Vec<Option<String>>,
}

impl SearchRow {
    /// All values that are compared with the held copy, as a text.
    fn shown(&self) -> String {
        format!("{:?} {:?} {:?}", self.stamp, self.latest, self.same)
    }
}

/// Records with a date in the window.
#[derive(Debug)]
pub struct ChangedRecords {
    pub started_at: Timestamp,
    pub search_rows: BTreeMap<i64, SearchRow>,
}

impl ChangedRecords {
    /// The dates that searches showed.
    pub fn dates(&self) -> impl Iterator<Item = (i64, Vec<Option<i64>>)> {
        self.search_rows.iter().map(|(id, search_row)| (*id, search_row.dates.clone()))
    }

    /// The dates that are shown now of records with documents that lacked a date. Records with a held copy are among
    /// them: the awaited date may be one that the source set before its clock went back.
    pub fn dates_of(&self, awaited: &BTreeMap<i64, Vec<Option<i64>>>) -> Vec<(i64, Vec<Option<i64>>)> {
        awaited.keys().filter_map(|id| Some((*id, self.search_rows.get(id)?.dates.clone()))).collect()
    }
}

/// Requests the changed records, by each date from its point on.
pub async fn find(
    id_source: &IdSource<'_>,
    service: &str,
    changes: &Changes,
    since: impl Fn(&str) -> Timestamp,
) -> Result<ChangedRecords> {
    let stamps = stamps(changes);
    let mut found: Option<ChangedRecords> = None;
    for column in &changes.since {
        let filter = Filter::Period { column: column.clone(), window: Window::since(since(column)) };
        let (started_at, rows) = id_source.search(service, &changes.search, &stamps, Some(filter)).await?;
        let found = found.get_or_insert_with(|| ChangedRecords { started_at, search_rows: BTreeMap::new() });
        add_search_rows(&mut found.search_rows, changes, started_at, rows);
    }
    Ok(found.expect("changes have a date"))
}

/// Requests the records changed since; once more from an earlier point where the watermark is later than both clocks.
pub async fn find_since(
    session: &ResourceSession<'_>,
    id_source: &IdSource<'_>,
    service: &str,
    changes: &Changes,
    since: Since,
) -> Result<ChangedRecords> {
    let found = find(id_source, service, changes, |column| since.at(&session.resource, column)).await?;
    match session.lowered(since.creations, found.started_at) {
        Some(earlier) => find(id_source, service, changes, |_| earlier).await,
        None => Ok(found),
    }
}

/// Finds open records, regardless of their dates (docs/reading.md §4): gives ids to be read. Where the source lists
/// open records, their search rows join the others, and held open records that are not listed are given: they were
/// closed with a date of the past, or deleted. Else all held open records are given.
pub async fn find_open(
    id_source: &IdSource<'_>,
    store: &Store,
    resource: &Resource,
    head: Option<&Version>,
    (changes, open): (&Changes, &Open),
    found: &mut ChangedRecords,
) -> Result<Vec<i64>> {
    let table = resource.main_table();
    let files = head.and_then(|head| head.tables.get(&table.name)).map(|table| table.files.clone()).unwrap_or_default();
    let mut held = held_open(store, &files, &table.columns[table.key[0]].name, open).await?;
    if let Some(filter) = listed_as_open(open) {
        let (service, stamps) = (&resource.read.service, stamps(changes));
        let (_, rows) = id_source
            .search_by(service, &changes.search, (&stamps, Some(filter)), Some(changes.created().to_owned()))
            .await?;
        let listed: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
        add_search_rows(&mut found.search_rows, changes, found.started_at, rows);
        held.retain(|id| !listed.contains(id));
    }
    Ok(held)
}

/// The filter by which the source lists open records, where it does.
pub fn listed_as_open(open: &Open) -> Option<Filter> {
    match open {
        Open::Listed { filter: (column, value), .. } => Some(Filter::Bool { column: column.clone(), value: *value }),
        Open::Until { .. } => None,
    }
}

/// The columns that are requested beside the ids: the dates, then the columns that are compared.
pub fn stamps(changes: &Changes) -> Vec<String> {
    changes.since.iter().cloned().chain(changes.same.iter().map(|(column, _)| column.clone())).collect()
}

/// Adds rows of a search, answered at that time, to the search rows of the records.
pub fn add_search_rows(
    search_rows: &mut BTreeMap<i64, SearchRow>,
    changes: &Changes,
    answered: Timestamp,
    rows: Vec<IdRow>,
) {
    for row in rows {
        let (dates, same) = row.stamps.split_at(changes.since.len());
        // A date still to come was set by a person and does not tell when the record was changed, unless the source
        // sets it with each change: then its clock was set back since.
        let counts = |column: &String, micros: i64| {
            micros <= answered.as_microsecond() || changes.same.iter().any(|(theirs, _)| theirs == column)
        };
        let all = || {
            let pairs = changes.since.iter().zip(dates);
            pairs.filter_map(|(column, text)| Some((column, timestamp_micros(text.as_deref()?)?)))
        };
        let stamp = all().filter(|(column, micros)| counts(column, *micros)).map(|(_, micros)| micros).max();
        let latest = all().map(|(_, micros)| micros).max();
        let text = dates.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        let seen = search_rows.entry(row.id).or_default();
        let shown = dates.iter().map(|text| text.as_deref().and_then(timestamp_micros));
        let known = seen.dates.iter().copied().chain(std::iter::repeat(None));
        let dates = shown.zip(known).map(|(shown, known)| shown.max(known)).collect();
        let (stamp, latest, same) = (seen.stamp.max(stamp), seen.latest.max(latest), same.to_vec());
        *seen = SearchRow { stamp, latest, dates, text, same };
    }
}

/// Takes out held records: the same values, in a copy taken more than `limits.settle` after the record's stamp. Where
/// there are no values to compare, only the copy's time counts, and the source's clock may have been set back
/// meanwhile: then at least half the overlap is required between the two.
pub async fn leave_out_held(
    store: &Store,
    resource: &Resource,
    head: Option<&Version>,
    same: &[(String, String)],
    (limits, lookups): (&Limits, &Lookups),
    search_rows: &mut BTreeMap<i64, SearchRow>,
) -> Result<()> {
    let table = resource.main_table();
    let Some(files) = head.and_then(|head| head.tables.get(&table.name)) else { return Ok(()) };
    let ours: Vec<String> = same.iter().map(|(_, ours)| ours.clone()).collect();
    let kinds: Vec<Type> = ours
        .iter()
        .filter_map(|name| table.columns.iter().find(|column| column.name == *name))
        .map(|column| column.kind)
        .collect();
    let key = &table.columns[table.key[0]].name;
    let distance = if same.is_empty() { limits.settle.max(limits.overlap / 2) } else { limits.settle };
    let settle = i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
    let about = format!("as shown, {settle}, {kinds:?}");
    let texts = search_rows.iter().map(|(id, search_row)| (*id, search_row.shown())).collect();
    let question = Question { about: &about, key, columns: &ours, ids: texts };
    let as_shown = |id: i64, holding: &StoredRecord| {
        search_rows.get(&id).is_some_and(|search_row| is_held(holding, &kinds, search_row, settle))
    };
    let held = lookups.among(store, &files.files, &question, as_shown).await?;
    search_rows.retain(|id, _| !held.contains(id));
    Ok(())
}

fn is_held(holding: &StoredRecord, kinds: &[Type], search_row: &SearchRow, settle: i64) -> bool {
    // Without values, a date still to come counts too: it was set before the clock was set back.
    let stamp = if kinds.is_empty() { search_row.latest } else { search_row.stamp };
    let taken_after = stamp.is_some_and(|stamp| holding.extracted_at > stamp.saturating_add(settle));
    let mut values = holding.cells.iter().zip(kinds).zip(&search_row.same);
    taken_after && values.all(|((cell, kind), text)| equals(cell, *kind, text.as_deref()))
}

/// Whether a value of ours equals the one that the search shows.
fn equals(cell: &StoredValue, kind: Type, text: Option<&str>) -> bool {
    match (cell, text) {
        (StoredValue::Null, None) => true,
        (StoredValue::Bool(value), Some(text)) => text == if *value { "true" } else { "false" },
        (StoredValue::Number(value), Some(text)) if kind == Type::Timestamp => {
            timestamp_micros(text).is_some_and(|micros| i128::from(micros) == *value)
        }
        (StoredValue::Number(value), Some(text)) => text.parse() == Ok(*value),
        (StoredValue::Text(value), Some(text)) => value == text,
        (StoredValue::Null, Some(_)) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_in_the_second_of_our_copy_is_read_though_the_clock_was_set_back_since() {
        let at = |text: &str| text.parse::<Timestamp>().expect("it is an instant");
        let edited = "2026-10-25T04:56:26.000Z";
        let catalog = crate::schema::Catalog::load(None).expect("the built-in files are right");
        let (resource, changes) = catalog
            .resources()
            .iter()
            .find_map(|resource| match &resource.read.style {
                crate::schema::ReadStyle::IdSets { changes: Some(changes), .. }
                    if changes.since.len() == 2 && !changes.same.is_empty() =>
                {
                    Some((resource, changes))
                }
                _ => None,
            })
            .expect("some resource has a date of edits that is compared");
        let place = changes.since.iter().position(|date| changes.same[0].0 == *date).expect("it is one of the dates");
        let mut stamps = vec![Some("2026-10-01T00:00:00.000Z".to_owned()); 2];
        stamps[place] = Some(edited.to_owned());
        stamps.push(Some(edited.to_owned()));
        let row = IdRow { id: 56, row: 56, stamps };
        // GIVEN a search five minutes before the edit by the source's clock, and a copy of the edit's second
        let mut seen = BTreeMap::new();
        add_search_rows(&mut seen, changes, at("2026-10-25T04:51:09Z"), vec![row]);
        let cell = StoredValue::Number(i128::from(timestamp_micros(edited).expect("it is an instant")));
        let holding =
            |extracted: &str| StoredRecord { extracted_at: at(extracted).as_microsecond(), cells: vec![cell.clone()] };
        // THEN it is not taken for the newest; one that is a minute younger is
        assert!(
            !is_held(&holding("2026-10-25T04:56:26Z"), &[Type::Timestamp], &seen[&56], 60_000_000),
            "{}",
            resource.name
        );
        assert!(is_held(&holding("2026-10-25T04:57:27Z"), &[Type::Timestamp], &seen[&56], 60_000_000));
    }
}
