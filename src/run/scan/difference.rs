//! Records that the source has and the tables lack, and the other way round: located within a budget of requests a
//! night.
//!
//! One OPTIONS lists all ids where there is one. Else windows of the date of creation with a different count are halved
//! until a page shows a window whole. Without such a date, and for the weekly comparison of sets, the search is walked
//! page by page. Where the budget ends the state keeps the place, and the next night continues there.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::decode::timestamp_micros;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Filter, Query, expand, holds, join, split, without};
use crate::manifest::{Locating, SourceCount};
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::scan::count_search::CountSearch;
use crate::run::scan::first_day::above;
use crate::run::scan::id_source::IdSource;
use crate::run::scan::newest_ids::{not_known, record_files};
use crate::run::scan::search_scan;
use crate::run::session::ResourceSession;
use crate::schema::{Inventory, ReadStyle};
use crate::window::Window;
use crate::write::{CountedRows, count_rows, held_between, held_ids};

/// Opposite changes cancel out in a count: the sets themselves are compared this often.
pub const COMPARED_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24 - 12);

/// Ids that a list shows and the tables lack, one by one in memory: 50 MiB. A night's difference is a few.
const MOST_MISSING: u64 = 2_000_000;

/// The records located so far.
#[derive(Debug, Default)]
pub struct Located {
    /// Shown by the source and not held: to be read by their ids.
    pub missing: BTreeSet<i64>,
    /// Held and not shown.
    pub vanished: BTreeSet<i64>,
    /// Rows of a search that were missing and are read by now.
    pub rows_read: u64,
    /// Nothing is left to be looked at.
    pub finished: bool,
    /// Whole sets of ids were compared.
    pub sets: bool,
    /// The search took several nights and does not account for the present difference: it begins anew.
    pub outdated: bool,
}

impl Located {
    /// Records missing, less those vanished.
    fn net(&self) -> i64 {
        let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let read = i64::try_from(self.rows_read).unwrap_or(i64::MAX);
        length(self.missing.len()).saturating_add(read).saturating_sub(length(self.vanished.len()))
    }
}

/// Whether the sets of ids are to be compared, regardless of the count.
pub fn is_due(state: &SourceCount) -> bool {
    let (Some(now), Some(before)) = (state.counted_at, state.compared_at) else { return false };
    state.locating.is_none() && now.duration_since(before) >= COMPARED_EVERY
}

/// Locates a difference.
pub async fn locate(session: &mut ResourceSession<'_>, search: &CountSearch, before: &SourceCount) -> Result<Located> {
    let resource = Arc::clone(&session.resource);
    if let ReadStyle::IdSets { inventory: Inventory::Options(_), .. } = &resource.read.style {
        return by_listing(session).await;
    }
    let dated = search.created.as_ref().and_then(|date| Some((date.clone(), resource.date_column(date)?.name.clone())));
    let differs = before.explained != before.difference();
    let mut locating =
        session.state.count.locating.take().unwrap_or_else(|| Locating {
            differs: differs && dated.is_some() && !is_due(before),
            ..Locating::default()
        });
    locating.nights = locating.nights.saturating_add(1);
    let budget = session.context.limits.locate_requests;
    // The number of records by which the difference has changed, where the count is one of records.
    let records = session.resource.read.count.of == crate::schema::Counted::Records;
    let target = before.difference().zip(before.explained).map(|(now, then)| now.saturating_sub(then));
    let target = target.filter(|_| records);
    let mut found = match (&dated, locating.differs) {
        (Some(dated), true) => by_windows(session, search, dated, &mut locating, (budget, target)).await?,
        (Some(_) | None, _) => by_pages(session, search, &mut locating, budget).await?,
    };
    locating.found = locating.found.saturating_add(found.net());
    found.outdated = locating.differs && locating.nights > 1 && target.is_some_and(|target| target != locating.found);
    if !found.finished {
        let text = format!(
            "the difference from the source has been searched for in {} so far",
            plural(locating.nights, "night")
        );
        session.context.events.note(&session.name, text);
        session.state.count.locating = Some(locating);
    }
    Ok(found)
}

/// Every id that the tables hold.
async fn all_held(session: &ResourceSession<'_>) -> Result<Vec<i64>> {
    match record_files(session) {
        Some((key, files)) => held_ids(&session.context.store, &files, &key).await,
        None => Ok(Vec::new()),
    }
}

/// By the list of all ids; ids that it lacks are listed a second time.
async fn by_listing(session: &ResourceSession<'_>) -> Result<Located> {
    let (resource, id_source) = (Arc::clone(&session.resource), IdSource::of(session));
    let mut listed = id_source.all(&resource).await?.ids;
    let held = all_held(session).await?;
    if held.iter().any(|id| !holds(&listed, *id)) {
        listed.extend(id_source.all(&resource).await?.ids);
        join(&mut listed);
    }
    let (there, vanished): (BTreeSet<i64>, BTreeSet<i64>) = held.into_iter().partition(|id| holds(&listed, *id));
    let wanted = match (&resource.read.style, session.state.start) {
        (ReadStyle::IdSets { changes: Some(changes), .. }, Some(start)) => {
            let (_, least) = id_source.least_from(&resource.read.service, changes, start).await?;
            above(&listed, least)
        }
        (_, _) => listed,
    };
    let missing = without(&wanted, &there);
    if crate::fetch::count(&missing) > MOST_MISSING {
        return Err(Failure::new(Kind::Answer, format!("compare the ids of {} with the tables", session.name))
            .because(format!("it lists more than {MOST_MISSING} ids that the tables lack"))
            .advise("`pearlift run --full` of the resource reads them"));
    }
    let missing = not_known(session, expand(&missing).collect()).await?;
    Ok(Located { missing, vanished, finished: true, sets: true, ..Located::default() })
}

/// By windows of the date of creation, halved while their count differs from the number held.
async fn by_windows(
    session: &mut ResourceSession<'_>,
    search: &CountSearch,
    (theirs, ours): &(String, String),
    locating: &mut Locating,
    (budget, target): (u64, Option<i64>),
) -> Result<Located> {
    let resource = Arc::clone(&session.resource);
    let mut found = Located::default();
    let now = session.state.count.counted_at.unwrap_or_else(|| session.context.clock.now());
    if locating.windows.is_empty() {
        let whole = Window { from: session.state.start, to: None };
        let parts = split(whole, now).map_or_else(|| vec![whole], |(early, late)| vec![late, early]);
        locating.windows = parts.into_iter().map(|window| (window.from, window.to)).collect();
    }
    for _ in 0..budget {
        let Some((from, to)) = locating.windows.pop() else { break };
        let window = Window { from, to };
        let filter = Some(Filter::Period { column: theirs.clone(), window });
        let id_source = IdSource::of(session);
        let query = id_source.query(&resource.read.service, &search.search, &search.stamps(), filter);
        let mut walk = id_source.walk_of(&search.search, &search.stamps(), Query { singly: true, ..query }, None);
        let page = session.context.stop.or(walk.next()).await?;
        let rows = page.map(|page| page.content).unwrap_or_default();
        let claimed = walk.available().unwrap_or(count(rows.len()));
        if count(rows.len()) >= claimed {
            let inside = |row: &&crate::decode::IdRow| {
                let micros = row.stamps.first().and_then(|text| timestamp_micros(text.as_deref()?));
                let at = micros.and_then(|micros| Timestamp::from_microsecond(micros).ok());
                at.is_some_and(|at| window.contains(at))
            };
            let missing = not_known(session, rows.iter().filter(inside).map(|row| row.id).collect()).await?;
            let shown: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
            let held = held_within(session, ours, window).await?;
            found.vanished.extend(held.into_iter().filter(|id| !shown.contains(id)));
            match &resource.read.style {
                ReadStyle::Search(search) if !missing.is_empty() => {
                    search_scan::read_window(session, search, theirs, window, None).await?;
                    found.rows_read += count(missing.len());
                }
                ReadStyle::Search(_)
                | ReadStyle::IdSets { .. }
                | ReadStyle::List { .. }
                | ReadStyle::PerOwner { .. } => {
                    found.missing.extend(missing);
                }
            }
            if target.is_some_and(|target| locating.found.saturating_add(found.net()) == target) {
                locating.windows.clear();
            }
            continue;
        }
        if rows_within(session, ours, window).await? == claimed {
            continue;
        }
        if let Some((early, late)) = split(window, now) {
            locating.windows.extend([(late.from, late.to), (early.from, early.to)]);
        }
    }
    found.finished = locating.windows.is_empty();
    Ok(found)
}

/// The ids with a date of ours in a window.
async fn held_within(session: &ResourceSession<'_>, ours: &str, window: Window) -> Result<Vec<i64>> {
    match record_files(session) {
        Some((key, files)) => held_between(&session.context.store, &files, &key, ours, window).await,
        None => Ok(Vec::new()),
    }
}

/// The counted rows of records in a window, as wide as the request to the source.
async fn rows_within(session: &ResourceSession<'_>, ours: &str, window: Window) -> Result<u64> {
    let second = SignedDuration::from_secs(1);
    let wide = Window {
        from: window.from.map(|from| from.saturating_sub(second).unwrap_or(from)),
        // Bounds of ours exclude their end.
        to: window.to.map(|to| to.saturating_add(second + SignedDuration::from_micros(1)).unwrap_or(to)),
    };
    let ids = held_within(session, ours, wide).await?;
    let Some(table) = session.resource.counted_table() else { return Ok(0) };
    let files = session.head.as_ref().and_then(|head| head.tables.get(&table.name)).map(|table| table.files.clone());
    let key = &table.columns[table.key[0]].name;
    let marked = table.mark().is_some();
    count_rows(&session.context.store, &files.unwrap_or_default(), key, marked, &CountedRows::Of(Arc::from(ids))).await
}

/// Page by page, from where the night before ended.
async fn by_pages(
    session: &mut ResourceSession<'_>,
    search: &CountSearch,
    locating: &mut Locating,
    budget: u64,
) -> Result<Located> {
    let resource = Arc::clone(&session.resource);
    let mut found = Located::default();
    let held: BTreeSet<i64> = all_held(session).await?.into_iter().collect();
    let start = session.state.start.is_some();
    let mut compare = |shown: &BTreeSet<i64>, above: &mut Option<i64>| {
        let (Some(first), Some(last)) = (shown.first().copied(), shown.last().copied()) else { return };
        // Records older than the day from which everything is read are held and not requested.
        if above.is_none() && start {
            *above = Some(first.saturating_sub(1));
        }
        let from = above.map_or(i64::MIN, |above| above.saturating_add(1));
        if from <= last {
            found.vanished.extend(held.range(from..=last).filter(|id| !shown.contains(id)));
        }
        *above = (*above).max(Some(last));
    };
    let mut above = locating.compared_to;
    let mut shown: BTreeSet<i64> = BTreeSet::new();
    let mut finished = false;
    let mut rows_read = 0;
    if let ReadStyle::Search(rows_search) = &resource.read.style {
        let mut walk = search_scan::walk_singly(session, rows_search, locating.ids);
        for _ in 0..budget.max(1) {
            let Some(page) = session.context.stop.or(walk.next()).await? else {
                finished = true;
                break;
            };
            compare(&search_scan::ids(&page.content), &mut above);
            locating.ids = page.last.map(|last| (last, page.next));
            let at = walk.started_at.expect("a page was answered");
            rows_read += search_scan::take_in_unknown(session, page, at).await?;
        }
    } else {
        let id_source = IdSource::of(session);
        let query = Query { singly: true, ..search.query(&id_source, &resource, session.state.start) };
        let mut walk = id_source.walk_of(&search.search, &search.stamps(), query, locating.ids);
        for _ in 0..budget.max(1) {
            let Some(page) = session.context.stop.or(walk.next()).await? else {
                finished = true;
                break;
            };
            let ids: BTreeSet<i64> = page.content.iter().map(|row| row.id).collect();
            compare(&ids, &mut above);
            locating.ids = page.last.map(|last| (last, page.next));
            shown.extend(ids);
        }
    }
    locating.compared_to = above;
    found.missing = not_known(session, shown).await?;
    (found.finished, found.sets, found.rows_read) = (finished, finished, rows_read);
    Ok(found)
}
