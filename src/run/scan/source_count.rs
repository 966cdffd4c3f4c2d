//! The count of the source, taken before a scan and compared with the files of its last commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Limits;
use crate::failure::Result;
use crate::manifest::{DataFile, SourceCount};
use crate::quantity::plural;
use crate::run::observations::CountTaken;
use crate::run::scan::count_search::CountSearch;
use crate::run::scan::newest_ids::{Newest, counted_by, newest};
use crate::run::scan::partition_counts::{PartitionFiles, kept, parts};
use crate::run::session::ResourceSession;
use crate::schema::{Resource, Table};
use crate::window::Window;
use crate::write::{CountedRows, Written, count_rows, held_between};

/// The count that the top of a search states.
fn taken(newest: &Newest) -> Option<CountTaken> {
    Some(CountTaken { rows: newest.count?, top: newest.top, at: newest.at })
}

/// The search that is counted and the table that it is compared with, where records are read from `start` on; none
/// where the settings or the schema have it so.
pub fn compared(
    resource: &Resource,
    count: &SourceCount,
    start: Option<Timestamp>,
    limits: &Limits,
) -> Option<(CountSearch, Table)> {
    if !limits.compare_counts || count.unreliable {
        return None;
    }
    let table = resource.counted_table()?.clone();
    let search = CountSearch::of(resource)?;
    // From a day on only records with a date of ours can be counted on both sides.
    let dated = || search.created.as_ref().is_some_and(|date| resource.date_column(date).is_some());
    (start.is_none() || dated()).then_some((search, table))
}

/// The search and the table of the resource at work.
pub fn counted(session: &ResourceSession<'_>) -> Option<(CountSearch, Table)> {
    let state = &session.state;
    compared(&session.resource, &state.count, state.start, &session.context.limits)
}

/// Asks for the count before a full read.
pub async fn before_full(session: &mut ResourceSession<'_>, start: Option<Timestamp>) -> Result<()> {
    let compared = compared(&session.resource, &session.state.count, start, &session.context.limits);
    let Some((search, _)) = compared else { return Ok(()) };
    let found = counted_by(session, &search, start).await?;
    session.state.count.open = true;
    session.observations.counted = taken(&found);
    Ok(())
}

/// Asks for the count and for ids that are unknown, in a night; `known` are ids that the night reads anyway.
pub async fn nightly(session: &mut ResourceSession<'_>, known: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    let Some(search) = CountSearch::of(&session.resource).filter(|_| session.context.limits.compare_counts) else {
        return Ok(BTreeSet::new());
    };
    let found = newest(session, &search, session.state.start, known).await?;
    if found.unsorted {
        let text = format!(
            "the search cannot be sorted by `{}`: new records are found by their dates alone",
            search.search.row
        );
        session.context.events.note(&session.name, text);
    }
    session.observations.counted = counted(session).and_then(|_| taken(&found));
    session.observations.top_shown = found.top;
    if !found.unknown.is_empty() {
        let text = format!("{} found by id and by no date", plural(found.unknown.len(), "record"));
        session.context.events.note(&session.name, text);
    }
    Ok(found.unknown)
}

/// Takes a count that an unfiltered search stated beside its rows; with a `start` such a count is of no use.
pub fn take(session: &mut ResourceSession<'_>, rows: Option<u64>, top: Option<i64>, at: Timestamp) {
    if session.state.start.is_none() && counted(session).is_some() {
        session.observations.counted = rows.map(|rows| CountTaken { rows, top, at });
    }
}

impl ResourceSession<'_> {
    /// Compares the files about to be committed with the count that was taken before.
    pub async fn note_count(&mut self, written: &Written, staged: &BTreeSet<String>) -> Result<()> {
        let Some(taken) = self.observations.counted.take() else { return Ok(()) };
        let Some((_, table)) = counted(self) else { return Ok(()) };
        let here = |files: Option<&Vec<DataFile>>| {
            let files = files.cloned().unwrap_or_default().into_iter();
            let readable = |mut file: DataFile| {
                if staged.contains(&file.staged) {
                    file.path.clone_from(&file.staged);
                }
                file
            };
            files.map(readable).collect::<Vec<DataFile>>()
        };
        let files = |name: &str| here(written.tables.get(name).map(|table| &table.files));
        let held = self.held_of(&table, &files, taken.top).await?;
        self.judge(taken, held);
        Ok(())
    }

    /// The live rows of the counted table, up to an id; from the day on from which everything is read.
    ///
    /// Where files must be read for it, the count of each partition is kept with the state: months that rest are not
    /// read again.
    async fn held_of(
        &mut self,
        table: &Table,
        files: &impl Fn(&str) -> Vec<DataFile>,
        top: Option<i64>,
    ) -> Result<u64> {
        let store = &self.context.store;
        let (key, marked) = (&table.columns[table.key[0]].name, table.mark().is_some());
        if self.state.start.is_none() && !marked {
            return count_rows(store, &files(&table.name), key, marked, &CountedRows::UpTo(top)).await;
        }
        let Some(records) = self.resource.record_table().filter(|_| self.state.start.is_some()) else {
            let counted = async |part: &PartitionFiles, top| {
                count_rows(store, &part.counted, key, marked, &CountedRows::UpTo(top)).await
            };
            return kept(&mut self.state.looked, "all", parts(&[], &files(&table.name)), top, counted).await;
        };
        let date = CountSearch::of(&self.resource).and_then(|search| search.created);
        let date = date.and_then(|date| self.resource.date_column(&date).cloned());
        let (Some(date), Some(start)) = (date, self.state.start) else { return Ok(0) };
        // As wide as the search is asked.
        let start = start.saturating_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(start);
        let record_key = &records.columns[records.key[0]].name;
        let counted = async |part: &PartitionFiles, top: Option<i64>| {
            let window = Window::since(start);
            let mut ids = held_between(store, &part.records, record_key, &date.name, window).await?;
            ids.retain(|id| top.is_none_or(|top| *id <= top));
            count_rows(store, &part.counted, key, marked, &CountedRows::Of(Arc::from(ids))).await
        };
        let parts = parts(&files(&records.name), &files(&table.name));
        kept(&mut self.state.looked, &format!("from {start} by {}", date.name), parts, top, counted).await
    }

    /// Notes a count; of a full read that has all rows, nothing is left to be looked into.
    fn judge(&mut self, taken: CountTaken, held: u64) {
        let state = &mut self.state.count;
        state.note(taken.rows, held, taken.at);
        let agrees = state.difference().is_some_and(|difference| difference <= 0);
        if state.open && agrees {
            state.explain();
            state.compared_at = Some(taken.at);
        }
        if state.stands_still() {
            self.distrust("it stays the same for three nights while records come");
        }
    }

    /// Does not believe the count any more, and says so once.
    pub fn distrust(&mut self, why: &str) {
        if !std::mem::replace(&mut self.state.count.unreliable, true) {
            self.state.count.open = false;
            self.state.count.locating = None;
            self.context.events.warn(&self.name, format!("the count of the source is not believed any more: {why}"));
        }
    }

    /// Requests the count once more and compares it with the number held now; `None` where there is no count.
    pub async fn recount(&mut self) -> Result<Option<i64>> {
        let Some((search, table)) = counted(self) else { return Ok(None) };
        let found = counted_by(self, &search, self.state.start).await?;
        let Some(taken) = taken(&found) else { return Ok(None) };
        let tables = self.head.as_ref().map(|head| head.tables.clone()).unwrap_or_default();
        let files = |name: &str| tables.get(name).map(|table| table.files.clone()).unwrap_or_default();
        let held = self.held_of(&table, &files, taken.top).await?;
        self.judge(taken, held);
        Ok(self.state.count.difference())
    }
}
