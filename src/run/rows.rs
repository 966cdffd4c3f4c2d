//! A scan of rows from a search itself: whole, or since the watermark by each of its dates.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::decode::{Page, rows};
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Answer, Filter, JoinedPage, Query, Walk};
use crate::manifest::{Backfill, Cursor, Key, Owed, Scan, ScanKind};
use crate::quantity::plural;
use crate::run::counting;
use crate::run::groups::Groups;
use crate::run::lacking::Lacking;
use crate::run::limits::held_records;
use crate::run::lookups::NewestRows;
use crate::run::newest::not_known;
use crate::run::since::Since;
use crate::run::vanishing::accept_shrunk;
use crate::run::work::{UNIDENTIFIED, Work, count};
use crate::schema::{RowSearch, Type};
use crate::window::Window;
use crate::write::Replace;

/// Reads every row. A search with dates commits on the way and resumes; one without is a list, committed only when whole.
pub async fn read_all(work: &mut Work<'_>, search: &RowSearch, resume: Option<Scan>) -> Result<()> {
    // What is read in place of damaged files takes their place whole.
    let gradual = !search.since.is_empty() && !work.rebuild && work.dropped_rows() == 0;
    let from = match &resume {
        Some(Scan { cursor: Cursor::Rows { last, next }, .. }) => Some((*last, *next)),
        Some(_) | None => None,
    };
    let id = resume.as_ref().map_or_else(crate::run::nonce, |scan| scan.id.clone());
    let walk_resumes = resume.is_some();
    if !gradual {
        work.state.owed.clear();
    }
    let mut started_at = resume.map(|scan| scan.started_at);
    let start = start(work);
    if !walk_resumes {
        counting::before_full(work, start).await?;
        work.state.start = start;
    }
    // Gone on with from another day, the rows lie elsewhere: pages are joined by their ids all the same.
    let created = search.since.first().zip(start);
    let filter = created.map(|(column, start)| Filter::Period { column: column.clone(), window: Window::since(start) });
    let mut walk = begin(work, search, filter, from);
    let stop = work.site.stop.clone();
    // What did not fit before the interruption is read again by the next run too.
    let mut held = walk_resumes && !work.state.owed.is_empty();
    let mut groups = Groups::of(&work.resource);
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
        held |= take_in(work, &page.content, began);
        if let (true, Some(last)) = (gradual, page.last) {
            let start = work.scan_start(began);
            work.state.clocks.scan.get_or_insert(start);
            work.state.scan = Some(Scan {
                id: id.clone(),
                kind: ScanKind::Full,
                started_at: began,
                schema_hash: work.resource.hash.clone(),
                cursor: Cursor::Rows { last, next: page.next },
            });
        }
        absorb(work, page).await?;
        if gradual && work.commit_is_due() {
            work.commit(Replace::Owners, false).await?;
        }
    };
    match outcome {
        Err(failure) if gradual && failure.kind() == Kind::Interrupted && work.has_spooled() => {
            work.commit(Replace::Owners, false).await?;
            return Err(failure);
        }
        outcome => outcome?,
    }
    let started_at = started_at.or(walk.started_at).expect("a walk that ended was answered");
    if search.since.is_empty() {
        confirm(work, search, started_at, groups).await?;
        held |= !work.state.owed.is_empty();
    }
    let replace = if search.since.is_empty() || work.rebuild { Replace::Everything } else { Replace::Owners };
    work.complete(ScanKind::Full, started_at, held);
    if replace == Replace::Everything {
        super::whole::refuse_empty(work)?;
    }
    work.commit(replace, true).await
}

/// Rows of a search that is read whole each time: one in which held records are missing is read again, and what either
/// answer shows stays. Beyond the limit it is accepted as a list is.
async fn confirm(work: &mut Work<'_>, search: &RowSearch, at: Timestamp, first: Groups) -> Result<()> {
    let Some(head) = work.head.clone().filter(|head| head.state.completed_at.is_some()) else {
        return agree(work, search, first).await;
    };
    if work.rebuild || work.resource.read.key_type != Type::Int64 {
        return Ok(());
    }
    let held = held_records(&work.site.store, &work.resource, &head).await?;
    let rows = work.held_rows().await?;
    let keeps_rows = rows.is_none_or(|rows| first.total() >= rows);
    if (held.iter().all(|id| work.brings(*id)) && keeps_rows) || !work.has_spooled() {
        work.state.absence.shrunk = None;
        return Ok(());
    }
    let second = read_again(work, search).await?;
    work.doubt_shrunk(first.shrunk(&second), at);
    let (stays, lost): (BTreeSet<i64>, BTreeSet<i64>) = held.iter().partition(|id| work.brings(**id));
    let stays = stays.into_iter().map(Key::Int).collect();
    let lost = (count(lost.len()), count(held.len()));
    let lost = rows.map_or(lost, |rows| (rows.saturating_sub(second.total()), rows));
    accept_shrunk(work, &stays, lost, at).await
}

/// A search whose keys repeat has no count that is compared: nothing is loaded before two readings show the same rows.
async fn agree(work: &mut Work<'_>, search: &RowSearch, first: Groups) -> Result<()> {
    if !work.resource.read.repeats {
        return Ok(());
    }
    let second = read_again(work, search).await?;
    if first.is_same(&second) {
        return Ok(());
    }
    Err(Failure::new(Kind::Doubtful, format!("accept the new {}", work.name))
        .because(format!(
            "two readings do not agree: one shows {}, the other {}",
            plural(first.total(), "row"),
            plural(second.total(), "row")
        ))
        .advise("nothing is loaded yet; run again"))
}

/// Reads a whole search once more, beside the rows that came before.
pub async fn read_again(work: &mut Work<'_>, search: &RowSearch) -> Result<Groups> {
    let mut walk = begin(work, search, None, None);
    let stop = work.site.stop.clone();
    let mut groups = Groups::of(&work.resource);
    while let Some(mut page) = stop.or(walk.next()).await? {
        groups.take(&mut page.content, walk.whole());
        take_in(work, &page.content, walk.started_at.expect("a page was answered"));
        absorb(work, page).await?;
    }
    Ok(groups)
}

/// From when on everything is read. Files that are built anew lose nothing that the former ones held.
fn start(work: &Work<'_>) -> Option<Timestamp> {
    if work.rebuild { work.start.zip(work.state.start).map(|(wanted, held)| wanted.min(held)) } else { work.start }
}

/// Reads the rows that each date puts after its point.
pub async fn read_changes(work: &mut Work<'_>, search: &RowSearch, since: Since) -> Result<()> {
    let stop = work.site.stop.clone();
    let mut started_at = None;
    let mut held = false;
    let mut read: BTreeSet<i64> = BTreeSet::new();
    for column in &search.since {
        let window = Window::since(since.at(&work.resource, column));
        let filter = Filter::Period { column: column.clone(), window };
        let mut walk = begin(work, search, Some(filter), None);
        while let Some(page) = stop.or(walk.next()).await? {
            let began = *started_at.get_or_insert_with(|| walk.started_at.expect("a page was answered"));
            held |= take_in(work, &page.content, began);
            read.extend(ids(&page.content));
            absorb(work, page).await?;
        }
        started_at = started_at.or(walk.started_at);
    }
    let started_at = started_at.expect("changes have a date");
    if let Some(earlier) = work.lowered(since.creations, started_at) {
        return Box::pin(read_changes(work, search, Since::all(earlier))).await;
    }
    if search.newest {
        held |= read_newest(work, search, started_at, None).await?;
    } else if let Some(least) = counting::nightly(work, &read).await?.first() {
        held |= read_newest(work, search, started_at, Some(*least)).await?;
    }
    work.complete(ScanKind::Changes, started_at, held);
    work.commit(Replace::Owners, true).await
}

/// Reads the rows from the greatest id down: to `least`, or where none is given to the greatest held, whatever their dates,
/// with those that share its page; further where a page lacks one below that (docs/reading.md §1). Whether one did not
/// fit. Without `least` its first page gives the count too.
async fn read_newest(
    work: &mut Work<'_>,
    search: &RowSearch,
    started_at: Timestamp,
    least: Option<i64>,
) -> Result<bool> {
    let stop = work.site.stop.clone();
    let files = work.head.iter().flat_map(|head| head.tables.values()).flat_map(|table| &table.files);
    let greatest = files.filter_map(|file| file.last.as_ref().and_then(id_of));
    let known = least.or(greatest.max());
    let mut walk = walk(work, Query { descending: true, by: None, ..query(work, search, None) }, None);
    let mut held = false;
    let mut first = least.is_none() && work.site.limits.compare_counts;
    let mut top = least.is_none();
    while let Some(page) = stop.or(walk.next()).await? {
        if std::mem::take(&mut first) {
            let at = walk.started_at.expect("a page was answered");
            counting::take(work, walk.available(), ids(&page.content).last().copied(), at);
        }
        let unknown = not_known(work, ids(&page.content)).await?;
        let newest = std::mem::take(&mut top).then(|| NewestRows::of(&page.content, &ids(&page.content))).flatten();
        let is_stored = unknown.is_empty() && newest.as_ref().is_some_and(|newest| are_stored(work, newest));
        work.newest_rows = newest;
        let lacks = known.is_some_and(|known| unknown.first().is_some_and(|id| *id < known));
        let met = page.last.zip(known).is_some_and(|(negated, known)| negated.saturating_neg() <= known);
        if !is_stored {
            held |= take_in(work, &page.content, started_at);
            absorb(work, page).await?;
        }
        if met && !lacks {
            break;
        }
    }
    if walk.unsorted {
        if first {
            let at = walk.started_at.expect("a walk that ended was answered");
            counting::take(work, walk.available(), None, at);
        }
        let text = format!("the search cannot be sorted by `{}`: a row whose date is null is not found", search.row);
        work.site.events.warn(&work.name, text);
    }
    Ok(held)
}

/// Whether the files of the head hold these rows as they are: an earlier run stored the same rows, and these files.
fn are_stored(work: &Work<'_>, newest: &NewestRows) -> bool {
    let tables = work.head.iter().flat_map(|head| head.tables.values());
    work.state.owed.is_empty() && work.lookups.rows() == Some(newest.hash(tables).as_str())
}

/// Walks the whole search and takes in the pages that hold a row which is not held; gives how many rows it shows.
pub async fn read_missing(work: &mut Work<'_>, search: &RowSearch) -> Result<u64> {
    let created = search.since.first().zip(work.state.start);
    let filter = created.map(|(column, start)| Filter::Period { column: column.clone(), window: Window::since(start) });
    let mut walk = begin(work, search, filter, None);
    let mut shown = BTreeSet::new();
    while let Some(page) = work.site.stop.clone().or(walk.next()).await? {
        let began = walk.started_at.expect("a page was answered");
        shown.extend(ids(&page.content));
        take_in_unknown(work, page, began).await?;
    }
    work.commit(Replace::Owners, true).await?;
    Ok(count(shown.len()))
}

/// Takes in a page that holds a row which is neither held nor pending; gives how many those are.
pub async fn take_in_unknown(work: &mut Work<'_>, page: JoinedPage<Page>, at: Timestamp) -> Result<u64> {
    let unknown = not_known(work, ids(&page.content)).await?;
    if !unknown.is_empty() {
        take_in(work, &page.content, at);
        absorb(work, page).await?;
    }
    Ok(count(unknown.len()))
}

/// The ids of a page's rows, those that did not fit too.
pub fn ids(page: &Page) -> BTreeSet<i64> {
    let kept = page.records.iter().filter_map(|record| record.id.as_ref());
    page.owners.iter().map(|owner| &owner.key).chain(kept).filter_map(id_of).collect()
}

fn id_of(key: &Key) -> Option<i64> {
    if let Key::Int(id) = key { Some(*id) } else { None }
}

/// A walk through a whole search, page after page, from where an earlier one was left.
pub fn walk_singly(work: &Work<'_>, search: &RowSearch, from: Option<(i64, u64)>) -> Walk<Page> {
    let created = search.since.first().zip(work.state.start);
    let filter = created.map(|(column, start)| Filter::Period { column: column.clone(), window: Window::since(start) });
    walk(work, Query { singly: true, ..query(work, search, filter) }, from)
}

/// Reads the rows whose date lies in a window, and leaves the last commit to the caller; watermarks stay. A backfill goes
/// on from its cursor and commits on the way.
pub async fn read_window(
    work: &mut Work<'_>,
    search: &RowSearch,
    by: &str,
    window: Window,
    mut backfill: Option<Backfill>,
) -> Result<()> {
    let stop = work.site.stop.clone();
    let from = match backfill.as_ref().map(|backfill| &backfill.cursor) {
        Some(Cursor::Rows { last, next }) if *next > 1 => Some((*last, *next)),
        Some(Cursor::Rows { .. } | Cursor::Slices { .. }) | None => None,
    };
    let mut walk = begin(work, search, Some(Filter::Period { column: by.to_owned(), window }), from);
    let outcome = loop {
        let page = match stop.or(walk.next()).await {
            Ok(Some(page)) => page,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        let began = walk.started_at.expect("a page was answered");
        take_in(work, &page.content, began);
        let home = page.last.map(|last| Cursor::Rows { last, next: page.next });
        absorb(work, page).await?;
        if let (Some(backfill), Some(home)) = (&mut backfill, home) {
            backfill.cursor = home;
            work.state.backfill = Some(backfill.clone());
            if work.commit_is_due() {
                work.commit(Replace::Owners, false).await?;
            }
        }
    };
    match outcome {
        Err(failure) if backfill.is_some() && failure.kind() == Kind::Interrupted && work.has_spooled() => {
            work.commit(Replace::Owners, false).await?;
            Err(failure)
        }
        outcome => outcome,
    }
}

fn begin(work: &Work<'_>, search: &RowSearch, filter: Option<Filter>, from: Option<(i64, u64)>) -> Walk<Page> {
    walk(work, query(work, search, filter), from)
}

fn query(work: &Work<'_>, search: &RowSearch, filter: Option<Filter>) -> Query {
    Query {
        path: format!("{}/{}", work.resource.read.service, search.search),
        row: search.row.clone(),
        repeats: work.resource.read.repeats,
        groups: work.resource.read.repeats,
        descending: false,
        columns: Vec::new(),
        by: match &filter {
            Some(filter) => Some(filter.column().to_owned()),
            None => search.since.first().cloned(),
        },
        filter,
        singly: false,
        trusted: !work.resource.read.count.is_wrong,
        page_size: work.site.limits.page_size,
    }
}

fn walk(work: &Work<'_>, query: Query, from: Option<(i64, u64)>) -> Walk<Page> {
    let (shape, row, filter) = (Arc::clone(&work.shape), query.row.clone(), query.filter.clone());
    let lacking = Mutex::new(Lacking::default());
    let reader = Arc::new(move |answer: &Answer| {
        let mut page = rows(&shape, &answer.body, &row, filter.as_ref())?;
        let search = page.search.take().expect("rows come with what the search says of itself");
        lacking.lock().expect("no holder of this lock panics").admit(shape.missing(&search))?;
        Ok((search, page))
    });
    Walk::new(&work.site.client, &work.name, query, reader, from)
}

async fn absorb(work: &mut Work<'_>, page: JoinedPage<Page>) -> Result<()> {
    work.absorb(vec![(page.content, page.asked_at)], None).await
}

/// Settles what a page brings of owed records; whether something came that keeps the watermark where it is, so that the
/// next run reads it again.
fn take_in(work: &mut Work<'_>, page: &Page, at: Timestamp) -> bool {
    work.state.owed.retain(|owed| !page.owners.iter().any(|owner| owner.fits && owner.key == owed.id));
    for record in &page.records {
        let id = record.id.clone().unwrap_or_else(|| Key::Text(UNIDENTIFIED.to_owned()));
        if !work.state.owed.iter().any(|owed| owed.id == id) {
            work.state.owed.push(Owed { id, reason: record.reason.clone(), since: at });
        }
    }
    if page.records.is_empty() {
        return false;
    }
    let text = format!("{} rejected: the next run requests them again", plural(page.records.len(), "row"));
    work.site.events.tell(Event::Warning { resource: Some(work.resource.name.clone()), text });
    true
}
