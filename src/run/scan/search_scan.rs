//! A scan of rows from a search itself: whole, or since the watermark by each of its dates.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::decode::{Page, rows};
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Answer, Filter, JoinedPage, Query, Walk};
use crate::manifest::{Backfill, Cursor, Key, PendingId, Scan, ScanKind};
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::held_records::held_record_ids;
use crate::run::lookups::NewestRows;
use crate::run::scan::change_points::Since;
use crate::run::scan::count_search::{CountSearch, created_since};
use crate::run::scan::lacking_columns::Lacking;
use crate::run::scan::newest_ids::{counted_by, not_known};
use crate::run::scan::row_groups::Groups;
use crate::run::scan::shrinkage::accept_shrunk;
use crate::run::scan::source_count;
use crate::run::session::{ResourceSession, UNIDENTIFIED};
use crate::schema::{RowSearch, Type};
use crate::window::Window;
use crate::write::Replace;

/// Reads every row. A search with dates commits before its end and resumes; one without is a list, committed only when
/// whole.
pub async fn read_all(session: &mut ResourceSession<'_>, search: &RowSearch, resume: Option<Scan>) -> Result<()> {
    // Rows read for damaged files replace these files at once.
    let gradual = !search.since.is_empty()
        && !session.commit_context.rebuild
        && session.commit_context.quarantine.dropped_rows() == 0;
    let from = match &resume {
        Some(Scan { cursor: Cursor::Rows { last, next }, .. }) => Some((*last, *next)),
        Some(_) | None => None,
    };
    let id = resume.as_ref().map_or_else(crate::manifest::nonce, |scan| scan.id.clone());
    let walk_resumes = resume.is_some();
    if !gradual {
        session.state.pending.clear();
    }
    let mut started_at = resume.map(|scan| scan.started_at);
    let start = start(session);
    if !walk_resumes {
        source_count::before_full(session, start).await?;
        session.state.start = start;
    }
    // The rows of a scan resumed with another start are on other pages: pages are joined by their ids all the same.
    let filter = created_since(search.since.first(), start);
    let mut walk = begin(session, search, filter, from);
    let stop = session.context.stop.clone();
    // Rejected rows of the time before the interruption are read again by the next run too.
    let mut held = walk_resumes && !session.state.pending.is_empty();
    let mut groups = Groups::of(&session.resource);
    let outcome = loop {
        let page = match stop.or(walk.next()).await {
            Ok(Some(mut page)) => {
                groups.take(&mut page.content, walk.whole());
                page
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        let began = *started_at.get_or_insert_with(|| walk.started_at.expect("a page was answered"));
        held |= take_in(session, &page.content, began);
        if let (true, Some(last)) = (gradual, page.last) {
            let start = session.scan_start(began);
            session.state.clocks.scan.get_or_insert(start);
            session.state.scan = Some(Scan {
                id: id.clone(),
                kind: ScanKind::Full,
                started_at: began,
                schema_hash: session.resource.hash.clone(),
                cursor: Cursor::Rows { last, next: page.next },
            });
        }
        absorb(session, page).await?;
        if gradual && session.commit_is_due() {
            session.commit(Replace::Records, false).await?;
        }
    };
    match outcome {
        Err(failure) if gradual && failure.kind() == Kind::Interrupted && session.buffer.has_rows() => {
            session.commit(Replace::Records, false).await?;
            return Err(failure);
        }
        outcome => outcome?,
    }
    let started_at = started_at.or(walk.started_at).expect("a walk that ended was answered");
    if search.since.is_empty() {
        confirm(session, search, started_at, groups).await?;
        held |= !session.state.pending.is_empty();
    }
    let replace =
        if search.since.is_empty() || session.commit_context.rebuild { Replace::Everything } else { Replace::Records };
    session.complete(ScanKind::Full, started_at, held);
    if replace == Replace::Everything {
        super::list_scan::refuse_empty(session)?;
    }
    session.commit(replace, true).await
}

/// Rows of a search that is read whole each time: a search that lacks held records is read again, and the records of
/// either answer stay. Beyond the limit it is accepted as a list is.
async fn confirm(session: &mut ResourceSession<'_>, search: &RowSearch, at: Timestamp, first: Groups) -> Result<()> {
    let Some(head) = session.head.clone().filter(|head| head.state.completed_at.is_some()) else {
        return agree(session, search, first).await;
    };
    if session.commit_context.rebuild || session.resource.read.key_type != Type::Int64 {
        return Ok(());
    }
    let held = held_record_ids(&session.context.store, &session.resource, &head).await?;
    let rows = session.held_rows().await?;
    let keeps_rows = rows.is_none_or(|rows| first.total() >= rows);
    if (held.iter().all(|id| session.buffer.brings(*id)) && keeps_rows) || !session.buffer.has_rows() {
        session.state.absence.shrunk = None;
        return Ok(());
    }
    let second = read_again(session, search).await?;
    session.doubt_shrunk(first.shrunk(&second), at);
    let (stays, lost): (BTreeSet<i64>, BTreeSet<i64>) = held.iter().partition(|id| session.buffer.brings(**id));
    let stays = stays.into_iter().map(Key::Int).collect();
    let lost = (count(lost.len()), count(held.len()));
    let lost = rows.map_or(lost, |rows| (rows.saturating_sub(second.total()), rows));
    accept_shrunk(session, &stays, lost, at).await
}

/// A search with keys that repeat is loaded once another answer counts as many rows as were read, or two readings show
/// the same rows.
async fn agree(session: &mut ResourceSession<'_>, search: &RowSearch, first: Groups) -> Result<()> {
    if !session.resource.read.repeats {
        return Ok(());
    }
    if let Some(counted) = CountSearch::of(&session.resource).filter(|_| !session.resource.read.count.is_wrong)
        && counted_by(session, &counted, None).await?.count == Some(first.total())
    {
        return Ok(());
    }
    let second = read_again(session, search).await?;
    if first.is_same(&second) {
        return Ok(());
    }
    Err(Failure::new(Kind::Doubtful, format!("accept the new {}", session.name))
        .because(format!(
            "two readings do not agree: one shows {}, the other {}",
            plural(first.total(), "row"),
            plural(second.total(), "row")
        ))
        .advise("nothing is loaded yet; run again"))
}

/// Reads a whole search once more, beside the rows that came before.
pub async fn read_again(session: &mut ResourceSession<'_>, search: &RowSearch) -> Result<Groups> {
    let mut walk = begin(session, search, None, None);
    let stop = session.context.stop.clone();
    let mut groups = Groups::of(&session.resource);
    while let Some(mut page) = stop.or(walk.next()).await? {
        groups.take(&mut page.content, walk.whole());
        take_in(session, &page.content, walk.started_at.expect("a page was answered"));
        absorb(session, page).await?;
    }
    Ok(groups)
}

/// From when on everything is read. Files that are built anew lose nothing that the former ones held.
fn start(session: &ResourceSession<'_>) -> Option<Timestamp> {
    if session.commit_context.rebuild {
        session.options.start.zip(session.state.start).map(|(wanted, held)| wanted.min(held))
    } else {
        session.options.start
    }
}

/// Reads the rows that each date puts after its point.
pub async fn read_changes(session: &mut ResourceSession<'_>, search: &RowSearch, since: Since) -> Result<()> {
    let stop = session.context.stop.clone();
    let mut started_at = None;
    let mut held = false;
    let mut read: BTreeSet<i64> = BTreeSet::new();
    for column in &search.since {
        let mut walk = begin(session, search, Some(since.filter(&session.resource, column)), None);
        while let Some(page) = stop.or(walk.next()).await? {
            let began = *started_at.get_or_insert_with(|| walk.started_at.expect("a page was answered"));
            held |= take_in(session, &page.content, began);
            read.extend(ids(&page.content));
            absorb(session, page).await?;
        }
        started_at = started_at.or(walk.started_at);
    }
    let started_at = started_at.expect("changes have a date");
    if let Some(earlier) = session.lowered(since.creations, started_at) {
        return Box::pin(read_changes(session, search, Since::all(earlier))).await;
    }
    if search.newest {
        held |= read_newest(session, search, started_at, None).await?;
    } else if let Some(least) = source_count::nightly(session, &read).await?.first() {
        held |= read_newest(session, search, started_at, Some(*least)).await?;
    }
    session.complete(ScanKind::Changes, started_at, held);
    session.commit(Replace::Records, true).await
}

/// Reads the rows from the greatest id down, regardless of their dates: to `least`, or without it to the greatest held
/// id, with those that share its page; further where a page lacks one below that (docs/reading.md §1). Gives whether a
/// row was rejected. Without `least` its first page gives the count too.
async fn read_newest(
    session: &mut ResourceSession<'_>,
    search: &RowSearch,
    started_at: Timestamp,
    least: Option<i64>,
) -> Result<bool> {
    let stop = session.context.stop.clone();
    let files = session.head.iter().flat_map(|head| head.tables.values()).flat_map(|table| &table.files);
    let greatest = files.filter_map(|file| file.last.as_ref().and_then(id_of));
    let known = least.or(greatest.max());
    let mut walk = walk(session, Query { descending: true, by: None, ..query(session, search, None) }, None);
    let mut held = false;
    let mut first = least.is_none() && session.context.limits.compare_counts;
    let mut top = least.is_none();
    while let Some(page) = stop.or(walk.next()).await? {
        if std::mem::take(&mut first) {
            let at = walk.started_at.expect("a page was answered");
            source_count::take(session, walk.available(), ids(&page.content).last().copied(), at);
        }
        let unknown = not_known(session, ids(&page.content)).await?;
        let newest = std::mem::take(&mut top).then(|| NewestRows::of(&page.content, &ids(&page.content))).flatten();
        let is_stored = unknown.is_empty() && newest.as_ref().is_some_and(|newest| are_stored(session, newest));
        session.observations.newest_rows = newest;
        let lacks = known.is_some_and(|known| unknown.first().is_some_and(|id| *id < known));
        let met = page.last.zip(known).is_some_and(|(negated, known)| negated.saturating_neg() <= known);
        if !is_stored {
            held |= take_in(session, &page.content, started_at);
            absorb(session, page).await?;
        }
        if met && !lacks {
            break;
        }
    }
    if walk.unsorted {
        if first {
            let at = walk.started_at.expect("a walk that ended was answered");
            source_count::take(session, walk.available(), None, at);
        }
        let text = format!("the search cannot be sorted by `{}`: a row whose date is null is not found", search.row);
        session.context.events.warn(&session.name, text);
    }
    Ok(held)
}

/// Whether the files of the head hold these rows as they are: an earlier run stored the same rows, and these files.
fn are_stored(session: &ResourceSession<'_>, newest: &NewestRows) -> bool {
    let tables = session.head.iter().flat_map(|head| head.tables.values());
    session.state.pending.is_empty() && session.stored.lookups.rows() == Some(newest.hash(tables).as_str())
}

/// Walks the whole search and takes in the pages that hold a row which is not held; gives how many rows it shows.
pub async fn read_missing(session: &mut ResourceSession<'_>, search: &RowSearch) -> Result<u64> {
    let filter = created_since(search.since.first(), session.state.start);
    let mut walk = begin(session, search, filter, None);
    let mut shown = BTreeSet::new();
    while let Some(page) = session.context.stop.or(walk.next()).await? {
        let began = walk.started_at.expect("a page was answered");
        shown.extend(ids(&page.content));
        take_in_unknown(session, page, began).await?;
    }
    session.commit(Replace::Records, true).await?;
    Ok(count(shown.len()))
}

/// Takes in a page that holds a row which is neither held nor pending; gives how many those are.
pub async fn take_in_unknown(session: &mut ResourceSession<'_>, page: JoinedPage<Page>, at: Timestamp) -> Result<u64> {
    let unknown = not_known(session, ids(&page.content)).await?;
    if !unknown.is_empty() {
        take_in(session, &page.content, at);
        absorb(session, page).await?;
    }
    Ok(count(unknown.len()))
}

/// The ids of a page's rows, those that did not fit too.
pub fn ids(page: &Page) -> BTreeSet<i64> {
    let kept = page.rejected_records.iter().filter_map(|record| record.id.as_ref());
    page.records.iter().map(|record| &record.key).chain(kept).filter_map(id_of).collect()
}

fn id_of(key: &Key) -> Option<i64> {
    if let Key::Int(id) = key { Some(*id) } else { None }
}

/// A walk through a whole search, page after page, from where an earlier one was left.
pub fn walk_singly(session: &ResourceSession<'_>, search: &RowSearch, from: Option<(i64, u64)>) -> Walk<Page> {
    let filter = created_since(search.since.first(), session.state.start);
    walk(session, Query { singly: true, ..query(session, search, filter) }, from)
}

/// Reads the rows with a date in a window, and leaves the last commit to the caller; watermarks stay. A backfill
/// continues from its cursor and commits before its end.
pub async fn read_window(
    session: &mut ResourceSession<'_>,
    search: &RowSearch,
    by: &str,
    window: Window,
    mut backfill: Option<Backfill>,
) -> Result<()> {
    let stop = session.context.stop.clone();
    let from = match backfill.as_ref().map(|backfill| &backfill.cursor) {
        Some(Cursor::Rows { last, next }) if *next > 1 => Some((*last, *next)),
        Some(Cursor::Rows { .. } | Cursor::Slices { .. }) | None => None,
    };
    let mut walk = begin(session, search, Some(Filter::Period { column: by.to_owned(), window }), from);
    let outcome = loop {
        let page = match stop.or(walk.next()).await {
            Ok(Some(page)) => page,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        let began = walk.started_at.expect("a page was answered");
        take_in(session, &page.content, began);
        let cursor = page.last.map(|last| Cursor::Rows { last, next: page.next });
        absorb(session, page).await?;
        if let (Some(backfill), Some(cursor)) = (&mut backfill, cursor) {
            backfill.cursor = cursor;
            session.state.backfill = Some(backfill.clone());
            if session.commit_is_due() {
                session.commit(Replace::Records, false).await?;
            }
        }
    };
    match outcome {
        Err(failure) if backfill.is_some() && failure.kind() == Kind::Interrupted && session.buffer.has_rows() => {
            session.commit(Replace::Records, false).await?;
            Err(failure)
        }
        outcome => outcome,
    }
}

fn begin(
    session: &ResourceSession<'_>,
    search: &RowSearch,
    filter: Option<Filter>,
    from: Option<(i64, u64)>,
) -> Walk<Page> {
    walk(session, query(session, search, filter), from)
}

fn query(session: &ResourceSession<'_>, search: &RowSearch, filter: Option<Filter>) -> Query {
    Query {
        path: format!("{}/{}", session.resource.read.service, search.search),
        row: search.row.clone(),
        repeats: session.resource.read.repeats,
        groups: session.resource.read.repeats,
        descending: false,
        columns: Vec::new(),
        by: match &filter {
            Some(filter) => Some(filter.column().to_owned()),
            None => search.since.first().cloned(),
        },
        filter,
        constants: search.filters.clone(),
        singly: false,
        trusted: !session.resource.read.count.is_wrong,
        page_size: session.context.limits.page_size,
    }
}

fn walk(session: &ResourceSession<'_>, query: Query, from: Option<(i64, u64)>) -> Walk<Page> {
    let (shape, row, filters) = (Arc::clone(&session.shape), query.row.clone(), query.checked());
    let lacking = Mutex::new(Lacking::default());
    let reader = Arc::new(move |answer: &Answer| {
        let mut page = rows(&shape, &answer.body, &row, &filters)?;
        let search = page.search.take().expect("rows come with what the search says of itself");
        lacking.lock().expect("no holder of this lock panics").admit(shape.missing(&search))?;
        Ok((search, page))
    });
    Walk::new(&session.context.client, &session.name, query, reader, from)
}

async fn absorb(session: &mut ResourceSession<'_>, page: JoinedPage<Page>) -> Result<()> {
    session.absorb(vec![(page.content, page.asked_at)], None).await
}

/// Settles the pending records that a page shows; gives whether a row keeps the watermark where it is, so that the next
/// run reads it again.
fn take_in(session: &mut ResourceSession<'_>, page: &Page, at: Timestamp) -> bool {
    session.state.pending.retain(|pending| !page.records.iter().any(|record| record.fits && record.key == pending.id));
    for record in &page.rejected_records {
        let id = record.id.clone().unwrap_or_else(|| Key::Text(UNIDENTIFIED.to_owned()));
        if !session.state.pending.iter().any(|pending| pending.id == id) {
            session.state.pending.push(PendingId { id, reason: record.reason.clone(), since: at });
        }
    }
    if page.rejected_records.is_empty() {
        return false;
    }
    let text = format!("{} rejected: the next run requests them again", plural(page.rejected_records.len(), "row"));
    session.context.events.tell(Event::Warning { resource: Some(session.resource.name.clone()), text });
    true
}
