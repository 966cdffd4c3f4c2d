//! One resource from its job to its last commit: the steps of the plan, each by the resource's reading style.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::Filter;
use crate::manifest::{Scan, ScanKind};
use crate::plan::{Moment, Step, is_over};
use crate::run::scan::change_points::Since;
use crate::run::scan::changes::{Found, find_open, find_since, leave_out_held};
use crate::run::scan::deletions;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::id_source::IdSource;
use crate::run::scan::source_count;
use crate::run::session::ResourceSession;

use crate::run::scan::{first_day, list_scan, missing_rows, search_scan, snapshot};
use crate::schema::{Changes, Open, Owners, Resource, Style};
use crate::write::{Replace, segment};

/// Makes one scan.
pub async fn make(session: &mut ResourceSession<'_>, step: &Step, kind: ScanKind) -> Result<()> {
    let resource = std::sync::Arc::clone(&session.resource);
    match (&resource.read.style, kind) {
        (Style::List { get, .. }, _) => list_scan::read_list(session, get).await,
        (Style::Search(search), ScanKind::Full) => search_scan::read_all(session, search, step.resume.clone()).await,
        (Style::Search(search), ScanKind::Changes) => {
            missing_rows::confirm(session, search).await?;
            search_scan::read_changes(session, search, since(session, step)?).await
        }
        (Style::IdSets { get, max_ids, .. }, ScanKind::Full) => {
            let scan = match resumed(session, step.resume.as_ref()).await? {
                Some(scan) => scan,
                None => {
                    source_count::before_full(session, session.options.start).await?;
                    session.state.start = session.options.start;
                    let ids = first_day::all_ids(session, &resource).await?;
                    let mut scan = IdScan::new(session, ScanKind::Full, ids.started_at, &ids.ids, ids.exact, *max_ids);
                    if session.committer.rebuild {
                        scan.replace = Replace::Everything;
                    }
                    // The numbers of a span are no listing of ids.
                    (scan.absent.span, scan.absent.shown) = (!ids.exact, if ids.exact { ids.ids } else { Vec::new() });
                    scan
                }
            };
            finish(session, scan, get).await
        }
        (Style::IdSets { get, max_ids, changes, .. }, ScanKind::Changes) => {
            let scan = match resumed(session, step.resume.as_ref()).await? {
                Some(scan) => scan,
                None => {
                    let changes = changes.as_ref().ok_or_else(|| no_changes(&resource))?;
                    let since = since(session, step)?;
                    let id_source = IdSource::of(session);
                    let mut found = find_since(session, &id_source, &resource.read.service, changes, since).await?;
                    let (store, head) = (&session.context.store, session.head.as_ref());
                    let opened = Moment { theirs: session.state.opened_at, ours: session.state.clocks.opened_at };
                    let (now, overlap) =
                        (Moment::new(found.started_at, session.observations.begun), session.context.limits.overlap);
                    let opens = step.open_every.is_some_and(|every| is_over(opened, every, now, overlap));
                    let open = changes.open.as_deref().filter(|open| opens || matches!(open, Open::Listed { .. }));
                    let open_ids = match open {
                        Some(open) => find_open(&id_source, store, &resource, head, changes, open, &mut found).await?,
                        None => Vec::new(),
                    };
                    let awaited = found.dates_of(&session.state.evidence.awaited);
                    let with = (&session.context.limits, &session.lookups);
                    leave_out_held(store, &resource, head, &changes.same, with, &mut found.sightings).await?;
                    let known = found.sightings.keys().copied().collect();
                    let unknown = source_count::nightly(session, &known).await?;
                    // A list that lacks them and a GET that does not return them: a GET alone is no proof of a deletion.
                    let unlisted = matches!(open, Some(Open::Listed { .. }));
                    let more: Vec<i64> = open_ids.iter().copied().chain(unknown.iter().copied()).collect();
                    let mut scan = IdScan {
                        confirms: unlisted && !open_ids.is_empty(),
                        candidates: open_ids.iter().copied().filter(|_| unlisted).collect(),
                        opens,
                        ..changed_scan(session, &found, &more, *max_ids)
                    };
                    scan.stale.await_dates(awaited);
                    scan.absent.shown = crate::fetch::collapse(found.sightings.keys().copied().chain(unknown));
                    scan
                }
            };
            finish(session, scan, get).await
        }
        (Style::PerOwner { get, max_ids, owners }, ScanKind::Full) => {
            let path = format!("{}/{get}", resource.read.service);
            if resource.is_snapshot() && step.since.is_some() && snapshot::fill(session, &path, *max_ids).await? {
                return Ok(());
            }
            let mut scan = all_owners(session, &resource, owners, *max_ids).await?;
            scan.gradual = false;
            scan.replace = Replace::Everything;
            if resource.is_snapshot() {
                let Some(day) = session.snapshot_day(scan.started_at)? else { return Ok(()) };
                snapshot::close(session, scan.started_at);
                let segment = segment(resource.partition(), day);
                session.committer.quarantine.give_up(|quarantined| quarantined.file.partition == segment);
                scan.partition = Some(day);
                scan.replace = Replace::Partition(day);
            }
            finish(session, scan, get).await
        }
        (Style::PerOwner { get, max_ids, owners }, ScanKind::Changes) => {
            let scan = match resumed(session, step.resume.as_ref()).await? {
                Some(scan) => scan,
                None => changed_owners(session, &resource, owners, step, *max_ids).await?,
            };
            finish(session, IdScan { absent_is_empty: true, ..scan }, get).await
        }
    }
}

/// Brings the slices home and commits the scan's end.
async fn finish(session: &mut ResourceSession<'_>, mut scan: IdScan, get: &str) -> Result<()> {
    let path = format!("{}/{get}", session.resource.read.service);
    scan.absent.nightly = true;
    scan.run(session, &path).await?;
    let now = scan.absent.now(scan.started_at);
    deletions::age_pending(session, now);
    if matches!(scan.replace, Replace::Everything | Replace::Partition(_)) {
        list_scan::refuse_empty(session)?;
    }
    if let Replace::Partition(_) = scan.replace {
        list_scan::refuse_holes(session, &scan)?;
    }
    if !scan.absent.proven.is_empty() {
        let held = deletions::records(session).await?;
        deletions::bury_suspects(session, &scan.absent.proven, held, now);
    }
    if scan.confirms {
        bury_closed(session, &scan).await?;
    }
    session.complete(scan.kind, scan.started_at, false);
    session.forget_absent();
    if scan.opens {
        session.state.opened_at = Some(scan.started_at);
        session.state.clocks.opened_at = Some(session.observations.begun);
    }
    if scan.kind == ScanKind::Changes {
        session.state.seen = std::mem::take(&mut scan.stamps);
    }
    session.commit(scan.replace, true).await?;
    session.clear_plans(scan.plan).await
}

/// Records held as open that neither tonight's lists of open ones nor a GET returned are deleted, a few at once. The others are
/// suspects: the next night deletes those that are gone then too.
async fn bury_closed(session: &mut ResourceSession<'_>, scan: &IdScan) -> Result<()> {
    let shown = |id: &i64| scan.absent.is_shown(*id);
    let mut gone: BTreeSet<i64> = scan.gone.intersection(&scan.candidates).copied().filter(|id| !shown(id)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let resource = std::sync::Arc::clone(&session.resource);
    if let (Style::IdSets { changes: Some(changes), .. }, Some(Open::Listed { filter: (column, value), .. })) =
        (&resource.read.style, resource.open())
    {
        let filter = Filter::Bool { column: column.clone(), value: *value };
        let (_, rows) =
            IdSource::of(session).search(&resource.read.service, &changes.search, &[], Some(filter)).await?;
        let listed: BTreeSet<i64> = rows.into_iter().map(|row| row.id).collect();
        gone.retain(|id| !listed.contains(id));
    }
    let held = deletions::records(session).await?;
    deletions::bury_some(session, gone, held, scan.absent.now(scan.started_at));
    Ok(())
}

async fn resumed(session: &ResourceSession<'_>, scan: Option<&Scan>) -> Result<Option<IdScan>> {
    match scan {
        Some(scan) => IdScan::resume(session, scan).await,
        None => Ok(None),
    }
}

/// From when on changes are asked.
fn since(session: &ResourceSession<'_>, step: &Step) -> Result<Since> {
    let edits = step.since.or(session.state.changes_since()).ok_or_else(|| {
        Failure::new(Kind::Bug, format!("ask for changes of {}", session.name)).because("no scan has been completed")
    })?;
    Ok(Since::of(&session.resource, &session.state, &session.context.limits, edits))
}

fn settle(session: &ResourceSession<'_>) -> SignedDuration {
    SignedDuration::try_from(session.context.limits.settle).unwrap_or_default()
}

fn changed_scan(session: &ResourceSession<'_>, found: &Found, more: &[i64], max_ids: usize) -> IdScan {
    let ids = crate::fetch::collapse(found.sightings.keys().chain(more).copied());
    let mut scan = IdScan::new(session, ScanKind::Changes, found.started_at, &ids, true, max_ids);
    scan.stale.await_all(&found.sightings);
    scan
}

fn no_changes(resource: &Resource) -> Failure {
    Failure::new(Kind::Schema, format!("ask for changes of {}", resource.name)).because("its schema says no `changes`")
}

/// The owner of a per-owner resource, and how its changes are found.
fn owner<'a>(session: &ResourceSession<'a>, owners: &Owners) -> Result<(&'a Resource, &'a Changes)> {
    let owner = session.context.catalog.get(&owners.resource)?;
    match &owner.read.style {
        Style::IdSets { changes: Some(changes), .. } => Ok((owner, changes)),
        Style::IdSets { .. } | Style::Search(_) | Style::List { .. } | Style::PerOwner { .. } => Err(no_changes(owner)),
    }
}

async fn all_owners(
    session: &mut ResourceSession<'_>,
    resource: &Resource,
    owners: &Owners,
    max_ids: usize,
) -> Result<IdScan> {
    let owner = session.context.catalog.get(&owners.resource)?;
    let ids = IdSource::of(session).owners(owner, owners).await?;
    debug_assert_eq!(resource.name, session.resource.name, "a scan is of its own resource");
    Ok(IdScan::new(session, ScanKind::Full, ids.started_at, &ids.ids, ids.exact, max_ids))
}

/// Owners that changed, less those that were read since with the same stamp.
async fn changed_owners(
    session: &mut ResourceSession<'_>,
    resource: &Resource,
    owners: &Owners,
    step: &Step,
    max_ids: usize,
) -> Result<IdScan> {
    let (owner, changes) = owner(session, owners)?;
    let plain = Changes { same: Vec::new(), ..changes.clone() };
    let mut found =
        find_since(session, &IdSource::of(session), &owner.read.service, &plain, since(session, step)?).await?;
    let settle = settle(session);
    // A stamp is worth remembering once a copy taken now is surely newer.
    let micros = i64::try_from(settle.as_micros()).unwrap_or(i64::MAX);
    let sure = session.earliest(found.started_at).as_microsecond().saturating_sub(micros);
    let seen = found.sightings.iter().filter(|(_, sighting)| sighting.latest.is_some_and(|latest| latest < sure));
    let seen: BTreeMap<i64, String> = seen.map(|(id, sighting)| (*id, sighting.text.clone())).collect();
    found.sightings.retain(|id, sighting| session.state.seen.get(id) != Some(&sighting.text));
    let (store, with) = (&session.context.store, (&session.context.limits, &session.lookups));
    leave_out_held(store, resource, session.head.as_ref(), &plain.same, with, &mut found.sightings).await?;
    Ok(IdScan { stamps: seen, ..changed_scan(session, &found, &[], max_ids) })
}
