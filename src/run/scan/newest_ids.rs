//! The count of a search and its greatest ids, with one request: the search from its greatest id down.
//!
//! Ids ascend with creation and are never used again, so that records created since are at the top, independently of
//! any date filter. Pages follow until one holds nothing that is unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::decode::search_page;
use crate::failure::Result;
use crate::fetch::{Answer, Query, Request};
use crate::manifest::{DataFile, Key};
use crate::run::lookups::Question;
use crate::run::scan::count_search::CountSearch;
use crate::run::scan::first_day::is_from;
use crate::run::scan::id_source::IdSource;
use crate::run::session::ResourceSession;

/// The top of a search.
#[derive(Debug)]
pub struct Newest {
    /// Rows that the search counts; none where it does not say.
    pub count: Option<u64>,
    /// The greatest id; none where nothing is shown, or the search cannot be sorted.
    pub top: Option<i64>,
    pub at: Timestamp,
    /// Ids that are neither held nor known otherwise.
    pub unknown: BTreeSet<i64>,
    /// The search cannot be sorted: its ids were not compared.
    pub unsorted: bool,
}

/// Requests the count of a search, and its greatest id where it is sorted by id. Rows without a readable id are no
/// reason to fail here: the walk that reads them reports them.
pub async fn counted_by(
    session: &ResourceSession<'_>,
    search: &CountSearch,
    start: Option<Timestamp>,
) -> Result<Newest> {
    let id_source = IdSource::of(session);
    let query = Query { descending: true, ..search.query(&id_source, &session.resource, start) };
    let (row, filters) = (query.row.clone(), query.checked());
    let read = move |answer: &Answer| search_page(&answer.body, &row, &filters);
    let (at, page) = id_source.whole(&Request::get(&id_source.name, query.page(1)), Arc::new(read)).await?;
    let sorted = page.descending && search.search.id == search.search.row;
    Ok(Newest {
        count: page.results_available.filter(|_| page.unfiltered.is_none()),
        top: page.ids.iter().copied().max().filter(|_| sorted),
        at,
        unknown: BTreeSet::new(),
        unsorted: !page.descending,
    })
}

/// Asks for the top of a search; further pages until one has nothing unknown. `known` are ids that this run
/// reads anyway.
pub async fn newest(
    session: &ResourceSession<'_>,
    search: &CountSearch,
    start: Option<Timestamp>,
    known: &BTreeSet<i64>,
) -> Result<Newest> {
    let id_source = IdSource::of(session);
    let query = search.query(&id_source, &session.resource, start);
    let trusted = query.trusted && !session.state.count.unreliable;
    let query = Query { descending: true, trusted, ..query };
    let mut walk = id_source.walk_of(&search.search, &search.stamps(), query, None);
    let (mut count, mut top, mut unknown) = (None, None, BTreeSet::new());
    let mut first = true;
    while let Some(page) = session.context.stop.or(walk.next()).await? {
        if first {
            count = walk.available();
            top = page.content.iter().map(|row| row.id).max();
            first = false;
        }
        let wanted = page.content.iter().filter(|row| start.is_none_or(|start| is_wanted(row, start)));
        let ids: BTreeSet<i64> = wanted.map(|row| row.id).filter(|id| !known.contains(id)).collect();
        let new = not_known(session, ids).await?;
        let over = new.is_empty();
        unknown.extend(new);
        if over {
            break;
        }
    }
    let at = walk.started_at.expect("a walk that gave a page or ended was answered");
    Ok(Newest { count: count.or(walk.available()), top, at, unknown, unsorted: walk.unsorted })
}

/// A row without a date of creation may be of any time.
fn is_wanted(row: &crate::decode::IdRow, start: Timestamp) -> bool {
    row.stamps.first().is_none_or(Option::is_none) || is_from(row, start)
}

/// The ids that are neither held, nor pending, nor left out for a while.
pub async fn not_known(session: &ResourceSession<'_>, mut ids: BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    for pending in &session.state.pending {
        if let Key::Int(id) = pending.id {
            ids.remove(&id);
        }
    }
    for skipped in &session.state.skipped_ids {
        ids.remove(&skipped.id);
    }
    if let Some((key, files)) = record_files(session)
        && !ids.is_empty()
    {
        let wanted = ids.iter().map(|id| (*id, String::new())).collect();
        let question = Question { about: "held", key: &key, columns: &[], ids: wanted };
        let here = session.stored.lookups.among(&session.context.store, &files, &question, |_, _| true).await?;
        ids.retain(|id| !here.contains(id));
    }
    Ok(ids)
}

/// The key and the files of the table with one row per record.
pub fn record_files(session: &ResourceSession<'_>) -> Option<(String, Vec<DataFile>)> {
    let table = session.resource.main_table();
    let files = &session.head.as_ref()?.tables.get(&table.name)?.files;
    Some((table.columns[table.key[0]].name.clone(), files.clone()))
}
