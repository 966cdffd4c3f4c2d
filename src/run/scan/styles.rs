//! One scan of a resource, as its plan has it: by ids, by the rows of a search, by a list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::failure::Result;
use crate::fetch::{IdRanges, collapse};
use crate::manifest::ScanKind;
use crate::plan::{Moment, Step};
use crate::run::held_records::held_record_count;
use crate::run::scan::absent_owners::delete_vanished;
use crate::run::scan::change_points::Since;
use crate::run::scan::changes::{SearchRow, find_open, find_since, leave_out_held, listed_as_open};
use crate::run::scan::deletion_decision::{delete_or_suspect, delete_proven};
use crate::run::scan::id_scan::{IdScan, Known, sets_with_pending};
use crate::run::scan::id_source::IdSource;
use crate::run::scan::planned_scan::{PlanInputs, PlannedIds, PlannedScan, open_due, opens, plan_scan};
use crate::run::scan::purpose::Purpose;
use crate::run::scan::withheld_ids::age_pending;
use crate::run::scan::{first_day, held_ids, list_scan, missing_rows, search_scan, snapshot, source_count};
use crate::run::session::ResourceSession;
use crate::schema::{Changes, Open, Owners, ReadStyle, Resource};
use crate::write::{Replace, segment};

/// Makes one scan.
pub async fn make(session: &mut ResourceSession<'_>, step: &Step, kind: ScanKind) -> Result<()> {
    let (resource, state, context) = (Arc::clone(&session.resource), session.state.clone(), session.context);
    let (catalog, limits) = (&context.catalog, &context.limits);
    let inputs = PlanInputs { catalog, state: &state, limits, start: session.options.start };
    match plan_scan(&resource, step, kind, state.changes_since(), inputs)? {
        PlannedScan::List { .. } => list_scan::read_list(session).await,
        PlannedScan::AllRows { search, .. } => search_scan::read_all(session, search, step.resume.clone()).await,
        PlannedScan::ChangedRows { search, since } => {
            missing_rows::confirm(session, search).await?;
            search_scan::read_changes(session, search, since).await
        }
        PlannedScan::Documents { get, max_ids, ids } => {
            let path = format!("{}/{get}", resource.read.service);
            if let PlannedIds::SnapshotHoles(_) = &ids
                && snapshot::fill(session, &path, max_ids).await?
            {
                return Ok(());
            }
            let resumed = match &step.resume {
                Some(scan) => IdScan::resume(session, scan, Purpose::of_unfinished(&resource, kind)).await?,
                None => None,
            };
            let scan = match resumed {
                Some(scan) => Some(scan),
                None => begun(session, &ids, max_ids).await?,
            };
            match scan {
                Some(scan) => finish(session, scan, &path).await,
                None => Ok(()),
            }
        }
    }
}

/// Begins a scan over the ids of a plan; none where no snapshot may be taken.
async fn begun(session: &mut ResourceSession<'_>, ids: &PlannedIds<'_>, max_ids: usize) -> Result<Option<IdScan>> {
    match ids {
        PlannedIds::All(_) => all(session, max_ids).await.map(Some),
        PlannedIds::Changed { changes, since, open_every } => {
            changed(session, changes, *since, *open_every, max_ids).await.map(Some)
        }
        PlannedIds::Owners(owners) | PlannedIds::SnapshotHoles(owners) => all_owners(session, owners, max_ids).await,
        PlannedIds::ChangedHeldOwners => held_ids::changed(session, max_ids).await.map(Some),
        PlannedIds::ChangedOwners { owner, changes, since } => {
            changed_owners(session, owner, changes, *since, max_ids).await.map(Some)
        }
    }
}

/// All records, or those created from the start on.
async fn all(session: &mut ResourceSession<'_>, max_ids: usize) -> Result<IdScan> {
    let resource = Arc::clone(&session.resource);
    source_count::before_full(session, session.options.start).await?;
    session.state.start = session.options.start;
    let ids = first_day::all_ids(session, &resource).await?;
    let sets = sets_with_pending(session, ids.started_at, &ids.ids, max_ids);
    // The numbers of a span are no listing of ids.
    let known = Known { shown: if ids.exact { ids.ids } else { Vec::new() }, ..Known::default() };
    Ok(IdScan::new(session, Purpose::Full, ids.started_at, sets, known))
}

/// Records that changed, open ones, and those that the count of the night finds.
async fn changed(
    session: &mut ResourceSession<'_>,
    changes: &Changes,
    since: Since,
    open_every: Option<Duration>,
    max_ids: usize,
) -> Result<IdScan> {
    let resource = Arc::clone(&session.resource);
    let id_source = IdSource::of(session);
    let mut found = find_since(session, &id_source, &resource.read.service, changes, since).await?;
    let (store, head) = (&session.context.store, session.head.as_ref());
    let (now, limits) = (Moment::new(found.started_at, session.observations.begun), &session.context.limits);
    let open = open_due(changes, open_every, &session.state, now, limits);
    let open_ids = match open {
        Some(open) => find_open(&id_source, store, &resource, head, (changes, open), &mut found).await?,
        None => Vec::new(),
    };
    let awaited = found.dates_of(&session.state.evidence.awaited);
    leave_out_held(store, &resource, head, &changes.same, (limits, &session.stored.lookups), &mut found.search_rows)
        .await?;
    let reads_open = opens(open_every, &session.state, now, limits);
    let known = found.search_rows.keys().copied().collect();
    let unknown = source_count::nightly(session, &known).await?;
    // A list that lacks them and a GET that does not return them: a GET alone is not a proof of a deletion.
    let unlisted = matches!(open, Some(Open::Listed { .. }));
    let ids = collapse(found.search_rows.keys().chain(&open_ids).chain(&unknown).copied());
    let known = Known {
        shown: collapse(found.search_rows.keys().copied().chain(unknown)),
        candidates: open_ids.into_iter().filter(|_| unlisted).collect(),
        awaited: found.dates().chain(awaited).collect(),
        ..Known::default()
    };
    let sets = sets_with_pending(session, found.started_at, &ids, max_ids);
    Ok(IdScan::new(session, Purpose::Changes { reads_open }, found.started_at, sets, known))
}

/// The records of all owners, of held ids record by record, and as a snapshot of the day where the resource is one; none where no snapshot may be taken.
async fn all_owners(session: &mut ResourceSession<'_>, owners: &Owners, max_ids: usize) -> Result<Option<IdScan>> {
    let (started_at, sets) = if let Owners::Held(_) = owners {
        held_ids::all(session, max_ids).await?
    } else {
        let ids = IdSource::of(session).owners(&session.context.catalog, owners).await?;
        (ids.started_at, sets_with_pending(session, ids.started_at, &ids.ids, max_ids))
    };
    if !session.resource.is_snapshot() {
        let purpose = if session.resource.follows_held_ids() { Purpose::Full } else { Purpose::Owners };
        return Ok(Some(IdScan::new(session, purpose, started_at, sets, Known::default())));
    }
    let Some(day) = session.snapshot_day(started_at)? else { return Ok(None) };
    snapshot::close(session, started_at);
    let segment = segment(session.resource.partition(), day);
    session.commit_context.quarantine.give_up(|known| known.file.partition == segment);
    Ok(Some(IdScan::new(session, Purpose::Snapshot(day), started_at, sets, Known::default())))
}

/// Owners that changed, less those that were read since with the same stamp.
async fn changed_owners(
    session: &mut ResourceSession<'_>,
    owner: &Resource,
    changes: &Changes,
    since: Since,
    max_ids: usize,
) -> Result<IdScan> {
    let resource = Arc::clone(&session.resource);
    let mut found = find_since(session, &IdSource::of(session), &owner.read.service, changes, since).await?;
    let stamps = sure_stamps(session, found.started_at, &found.search_rows);
    found.search_rows.retain(|id, search_row| session.state.record_stamps.get(id) != Some(&search_row.text));
    let (store, with) = (&session.context.store, (&session.context.limits, &session.stored.lookups));
    leave_out_held(store, &resource, session.head.as_ref(), &changes.same, with, &mut found.search_rows).await?;
    let ids: IdRanges = collapse(found.search_rows.keys().copied());
    let known = Known { stamps, awaited: found.dates().collect(), ..Known::default() };
    let sets = sets_with_pending(session, found.started_at, &ids, max_ids);
    Ok(IdScan::new(session, Purpose::ChangedOwners, found.started_at, sets, known))
}

/// The stamps that are worth remembering: a copy taken now is surely newer.
fn sure_stamps(
    session: &ResourceSession<'_>,
    started_at: Timestamp,
    search_rows: &BTreeMap<i64, SearchRow>,
) -> BTreeMap<i64, String> {
    let settle = SignedDuration::try_from(session.context.limits.settle).unwrap_or_default();
    let micros = i64::try_from(settle.as_micros()).unwrap_or(i64::MAX);
    let sure = session.earliest(started_at).as_microsecond().saturating_sub(micros);
    let known = search_rows.iter().filter(|(_, search_row)| search_row.latest.is_some_and(|latest| latest < sure));
    known.map(|(id, search_row)| (*id, search_row.text.clone())).collect()
}

/// Fetches the sets and commits the scan's end.
async fn finish(session: &mut ResourceSession<'_>, mut scan: IdScan, path: &str) -> Result<()> {
    scan.run(session, path).await?;
    let now = scan.absent.now(scan.started_at);
    age_pending(session, now);
    let replace = scan.replace(session);
    if matches!(replace, Replace::Everything | Replace::Partition(_)) {
        list_scan::refuse_empty(session)?;
    }
    if let Replace::Partition(_) = replace {
        list_scan::refuse_holes(session, &scan)?;
    }
    if !scan.absent.proven.is_empty() {
        let held = held_record_count(session).await?;
        delete_proven(session, &scan.absent.proven, held, now);
    }
    delete_vanished(session, &scan).await?;
    if scan.confirms() {
        delete_closed(session, &scan).await?;
    }
    session.complete(scan.purpose.kind(), scan.started_at, false);
    session.forget_absent();
    if scan.purpose == (Purpose::Changes { reads_open: true }) {
        session.state.open_reread_at = Some(scan.started_at);
        session.state.clocks.open_reread_at = Some(session.observations.begun);
    }
    if scan.purpose.kind() == ScanKind::Changes {
        session.state.record_stamps = std::mem::take(&mut scan.stamps);
    }
    session.commit(replace, true).await?;
    session.clear_plans(scan.plan).await
}

/// Records held as open that neither tonight's lists of open ones nor a GET returned are deleted, a few at once. The
/// others are suspects: the next night deletes those that are gone then too.
async fn delete_closed(session: &mut ResourceSession<'_>, scan: &IdScan) -> Result<()> {
    let shown = |id: &i64| scan.absent.is_shown(*id);
    let mut gone: BTreeSet<i64> = scan.gone.intersection(&scan.candidates).copied().filter(|id| !shown(id)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let resource = Arc::clone(&session.resource);
    if let (ReadStyle::IdSets { changes: Some(changes), .. }, Some(filter)) =
        (&resource.read.style, resource.open().and_then(listed_as_open))
    {
        let id_source = IdSource::of(session);
        let (_, rows) = id_source.search(&resource.read.service, &changes.search, &[], Some(filter)).await?;
        let listed: BTreeSet<i64> = rows.into_iter().map(|row| row.id).collect();
        gone.retain(|id| !listed.contains(id));
    }
    let held = held_record_count(session).await?;
    delete_or_suspect(session, gone, held, scan.absent.now(scan.started_at));
    Ok(())
}
