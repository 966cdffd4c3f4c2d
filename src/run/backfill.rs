//! Reading selected records again: given ids, or a range of dates. Watermarks do not change, and a second backfill
//! changes nothing.
//!
//! Commits at intervals. A backfill that stopped early is resumed by the same selection; its plan and cursor are
//! separate from those of the nightly scans, and another selection replaces them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::decode::{IdRow, timestamp, timestamp_micros};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Filter, IdRanges, chunks, collapse, count as ids_in, expand};
use crate::manifest::{Backfill, Cursor, Scan, ScanKind, Selected, nonce};
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::held_records::held_record_count;
use crate::run::request::Selection;
use crate::run::safety_limit::{described, may_go};
use crate::run::scan::deletion_proof::prove_deletions;
use crate::run::scan::id_scan::{IdScan, Known, sets_with_pending};
use crate::run::scan::id_source::IdSource;
use crate::run::scan::purpose::Purpose;
use crate::run::scan::search_scan;
use crate::run::scan::stale_documents::Dates;
use crate::run::session::ResourceSession;
use crate::schema::{Changes, ReadStyle, Resource};
use crate::window::Window;
use crate::write::{Replace, held_between};

/// The result of a backfill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// Ids found and asked for; rows of a search are not counted.
    pub asked: u64,
    /// Not returned by the source.
    pub absent: u64,
    /// Held records of a range of creation dates that were confirmed gone and taken out of the tables.
    pub gone: u64,
    /// It resumed one that had stopped.
    pub resumed: bool,
}

impl fmt::Display for Backfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.resumed {
            f.write_str("resumed where it had stopped; ")?;
        }
        let Self { asked, absent, gone, .. } = self;
        write!(f, "{} requested, {absent} not returned, {gone} removed from the tables", plural(*asked, "id"))
    }
}

/// Reads the selection again and merges it.
pub async fn backfill(session: &mut ResourceSession<'_>, selection: &Selection) -> Result<Backfilled> {
    let resource = Arc::clone(&session.resource);
    if session.head.as_ref().is_none_or(|head| head.state.completed_at.is_none()) {
        return Err(cannot(
            &resource,
            "its first load is not complete",
            &format!("`pearlift run {}` first", resource.name),
        ));
    }
    match (&resource.read.style, selection) {
        (ReadStyle::List { .. }, _) => Err(cannot(&resource, "a list is read whole", &whole(&resource))),
        (ReadStyle::PerOwner { .. }, Selection::Range { .. }) => Err(cannot(
            &resource,
            "a resource read by the ids of another has no dates of its own",
            "name its owners: `--ids`",
        )),
        (ReadStyle::PerOwner { .. }, _) if resource.is_snapshot() => Err(cannot(
            &resource,
            "a snapshot belongs to its day: earlier days cannot be read again",
            &whole(&resource),
        )),
        (ReadStyle::PerOwner { get, max_ids, .. }, Selection::Ids { ids, .. }) => {
            by_ids(session, get, ids, *max_ids).await
        }
        (ReadStyle::IdSets { get, max_ids, .. }, Selection::Ids { ids, .. }) => {
            by_ids(session, get, ids, *max_ids).await
        }
        (ReadStyle::IdSets { get, max_ids, changes, .. }, Selection::Range { window, by }) => {
            let Some(changes) = changes else {
                return Err(cannot(&resource, "it has no search by date", &whole(&resource)));
            };
            by_date(session, get, *max_ids, changes, *window, by.as_deref()).await
        }
        (ReadStyle::Search(_), Selection::Ids { .. }) => {
            Err(cannot(&resource, "its records have no GET", "select them by date: `--from` and `--to`"))
        }
        (ReadStyle::Search(search), Selection::Range { window, by }) => {
            let by = by.as_deref().or(search.since.first().map(String::as_str));
            let Some(by) = by else { return Err(cannot(&resource, "its search has no date", &whole(&resource))) };
            let selected = Selected::Range { by: by.to_owned(), from: window.from, to: window.to };
            let known = known(session, &selected);
            let resumed = known.is_some();
            let backfill = known.unwrap_or_else(|| Backfill {
                id: nonce(),
                selected,
                started_at: session.context.clock.now(),
                schema_hash: resource.hash.clone(),
                cursor: Cursor::Rows { last: 0, next: 1 },
            });
            search_scan::read_window(session, search, by, *window, Some(backfill)).await?;
            finish(session).await?;
            Ok(Backfilled { resumed, ..Backfilled::default() })
        }
    }
}

fn cannot(resource: &Resource, why: &str, instead: &str) -> Failure {
    Failure::new(Kind::Usage, format!("backfill {}", resource.name)).because(why).advise(instead.to_owned())
}

fn whole(resource: &Resource) -> String {
    format!("`pearlift run --full {}` reads it whole", resource.name)
}

/// The unfinished backfill of the same selection.
fn known(session: &ResourceSession<'_>, selected: &Selected) -> Option<Backfill> {
    session.state.backfill.clone().filter(|known| known.selected == *selected)
}

/// The scan of an unfinished backfill of the same selection.
async fn resumed(session: &ResourceSession<'_>, selected: &Selected) -> Result<Option<IdScan>> {
    let Some(known) = known(session, selected) else { return Ok(None) };
    let Backfill { id, started_at, schema_hash, cursor, .. } = known;
    let scan = Scan { id, kind: ScanKind::Changes, started_at, schema_hash, cursor };
    IdScan::resume(session, &scan, Purpose::Backfill(selected.clone())).await
}

/// Commits a backfill's end; no plan of a backfill is needed any more.
async fn finish(session: &mut ResourceSession<'_>) -> Result<()> {
    let plan = |known: Option<&Backfill>| match known.map(|known| &known.cursor) {
        Some(Cursor::Slices { plan, .. }) => Some(plan.clone()),
        Some(Cursor::Rows { .. }) | None => None,
    };
    let ours = plan(session.state.backfill.take().as_ref());
    session.forget_absent();
    let plans: Vec<String> = ours.into_iter().chain(session.commit_context.old_backfill.take()).collect();
    session.commit(Replace::Records, true).await?;
    if plans.is_empty() { Ok(()) } else { session.context.store.delete(&plans).await }
}

/// Reads these ids; owners that are not returned have no rows, other records are left alone.
async fn by_ids(session: &mut ResourceSession<'_>, get: &str, ids: &IdRanges, max_ids: usize) -> Result<Backfilled> {
    let selected = Selected::Ids(ids.clone());
    let known = resumed(session, &selected).await?;
    let resumed = known.is_some();
    let mut scan = known.unwrap_or_else(|| {
        let now = session.context.clock.now();
        let sets = [sets_with_pending(session, now, &IdRanges::new(), max_ids), chunks(ids, max_ids)].concat();
        IdScan::new(session, Purpose::Backfill(selected), now, sets, Known::default())
    });
    let path = format!("{}/{get}", session.resource.read.service);
    scan.run(session, &path).await?;
    finish(session).await?;
    Ok(Backfilled { asked: ids_in(ids), absent: count(scan.gone.len()), gone: 0, resumed })
}

/// Reads the records that a date selects. With the date of creation, held records of the range that the search does not
/// show are requested too, and deleted when a GET confirms it.
async fn by_date(
    session: &mut ResourceSession<'_>,
    get: &str,
    max_ids: usize,
    changes: &Changes,
    window: Window,
    by: Option<&str>,
) -> Result<Backfilled> {
    let resource = Arc::clone(&session.resource);
    let by = by.unwrap_or(changes.created()).to_owned();
    let selected = Selected::Range { by: by.clone(), from: window.from, to: window.to };
    let known = resumed(session, &selected).await?;
    let resumed = known.is_some();
    let mut scan = match known {
        Some(scan) => scan,
        None => selected_by_date(session, max_ids, changes, (&selected, &by), window).await?,
    };
    let path = format!("{}/{get}", resource.read.service);
    scan.run(session, &path).await?;
    let gone = prove_deletions(session, scan.candidates.intersection(&scan.gone).copied().collect()).await?;
    let asked = scan.slices.iter().map(|slice| ids_in(slice)).sum();
    let done = Backfilled { asked, absent: count(scan.gone.len()), gone: count(gone.len()), resumed };
    let held = held_record_count(session).await?;
    if done.gone > may_go(held) {
        return Err(Failure::new(Kind::Doubtful, format!("remove deleted {} from the tables", session.name))
            .because(format!("{} of the range are gone, and {}", done.gone, described(held)))
            .advise(format!("they were kept; `pearlift reconcile --force {}` removes them", session.name)));
    }
    let at = if resumed { session.context.clock.now() } else { scan.started_at };
    session.state.absence.suspects.retain(|id, _| !gone.contains(id));
    session.delete_records(gone.into_iter().collect(), at);
    finish(session).await?;
    Ok(done)
}

/// A scan of the records that a date selects. Held records of the range that the search did not show come last, in
/// slices of their own, because they are requested again after an interruption.
async fn selected_by_date(
    session: &mut ResourceSession<'_>,
    max_ids: usize,
    changes: &Changes,
    (selected, by): (&Selected, &str),
    window: Window,
) -> Result<IdScan> {
    let resource = Arc::clone(&session.resource);
    let id_source = IdSource::of(session);
    let (stamps, filter) = ([by.to_owned()], Filter::Period { column: by.to_owned(), window });
    let (started_at, rows) = id_source.search(&resource.read.service, &changes.search, &stamps, Some(filter)).await?;
    // The request is a second wider on either side: rows outside the window are dropped here.
    let inside = |text: &str| timestamp_micros(text).map(timestamp).filter(|at| window.contains(*at));
    let found = rows.into_iter().filter(|row| row.stamps[0].as_deref().is_some_and(|text| inside(text).is_some()));
    let found: Vec<IdRow> = found.collect();
    let shown = |row: &IdRow| {
        let micros = row.stamps[0].as_deref().and_then(timestamp_micros);
        changes.since.iter().map(|date| micros.filter(|_| *date == by)).collect()
    };
    let dates: Vec<(i64, Dates)> = found.iter().map(|row| (row.id, shown(row))).collect();
    let found: BTreeSet<i64> = found.iter().map(|row| row.id).collect();
    let held = if by == changes.created() { held_created(session, &resource, by, window).await? } else { Vec::new() };
    let candidates: BTreeSet<i64> = held.into_iter().filter(|id| !found.contains(id)).collect();
    let shown = collapse(found);
    let pending = sets_with_pending(session, started_at, &IdRanges::new(), max_ids);
    let listed = chunks(&shown, max_ids);
    let sets = [pending, listed, chunks(&collapse(candidates.iter().copied()), max_ids)].concat();
    let known = Known { shown, candidates, awaited: dates, ..Known::default() };
    Ok(IdScan::new(session, Purpose::Backfill(selected.clone()), started_at, sets, known))
}

/// The held ids with a date of creation in the window; none where no column has that date.
async fn held_created(
    session: &ResourceSession<'_>,
    resource: &Resource,
    by: &str,
    window: Window,
) -> Result<Vec<i64>> {
    let (Some(table), Some(column)) = (resource.record_table(), resource.date_column(by)) else {
        return Ok(Vec::new());
    };
    let head = session.head.as_ref().and_then(|head| head.tables.get(&table.name));
    let files = head.map(|table| table.files.clone()).unwrap_or_default();
    let key = &table.columns[table.key[0]].name;
    let held = held_between(&session.context.store, &files, key, &column.name, window).await?;
    debug_assert!(expand(&collapse(held.iter().copied())).count() == held.len(), "ids are distinct");
    Ok(held)
}
