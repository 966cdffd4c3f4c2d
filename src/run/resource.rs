//! One resource from its job to its last commit: the steps of the plan, each by the resource's reading style.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::Filter;
use crate::manifest::{Scan, ScanKind};
use crate::plan::{Moment, Step, is_over};
use crate::run::changed::{Found, find_open, leave_out_held};
use crate::run::counting;
use crate::run::gone;
use crate::run::inventory::Asker;
use crate::run::since::Since;
use crate::run::slices::SliceScan;
use crate::run::vouch::find_since;
use crate::run::work::Work;
use crate::run::{rows, rows_gone, snapshot, start, whole};
use crate::schema::{Changes, Open, Owners, Resource, Style};
use crate::write::{Replace, segment};

/// Makes one scan.
pub async fn make(work: &mut Work<'_>, step: &Step, kind: ScanKind) -> Result<()> {
    let resource = std::sync::Arc::clone(&work.resource);
    match (&resource.read.style, kind) {
        (Style::List { get, .. }, _) => whole::read_list(work, get).await,
        (Style::Search(search), ScanKind::Full) => rows::read_all(work, search, step.resume.clone()).await,
        (Style::Search(search), ScanKind::Changes) => {
            rows_gone::confirm(work, search).await?;
            rows::read_changes(work, search, since(work, step)?).await
        }
        (Style::IdSets { get, max_ids, .. }, ScanKind::Full) => {
            let scan = match resumed(work, step.resume.as_ref()).await? {
                Some(scan) => scan,
                None => {
                    counting::before_full(work, work.start).await?;
                    work.state.start = work.start;
                    let ids = start::all_ids(work, &resource).await?;
                    let mut scan = SliceScan::new(work, ScanKind::Full, ids.started_at, &ids.ids, ids.exact, *max_ids);
                    if work.rebuild {
                        scan.replace = Replace::Everything;
                    }
                    // The numbers of a span are no listing of ids.
                    (scan.absent.span, scan.absent.shown) = (!ids.exact, if ids.exact { ids.ids } else { Vec::new() });
                    scan
                }
            };
            finish(work, scan, get).await
        }
        (Style::IdSets { get, max_ids, changes, .. }, ScanKind::Changes) => {
            let scan = match resumed(work, step.resume.as_ref()).await? {
                Some(scan) => scan,
                None => {
                    let changes = changes.as_ref().ok_or_else(|| no_changes(&resource))?;
                    let since = since(work, step)?;
                    let asker = asker(work);
                    let mut found = find_since(work, &asker, &resource.read.service, changes, since).await?;
                    let (store, head) = (&work.site.store, work.head.as_ref());
                    let opened = Moment { theirs: work.state.opened_at, ours: work.state.clocks.opened_at };
                    let (now, overlap) = (Moment::new(found.started_at, work.begun), work.site.limits.overlap);
                    let opens = step.open_every.is_some_and(|every| is_over(opened, every, now, overlap));
                    let open = changes.open.as_deref().filter(|open| opens || matches!(open, Open::Listed { .. }));
                    let open_ids = match open {
                        Some(open) => find_open(&asker, store, &resource, head, changes, open, &mut found).await?,
                        None => Vec::new(),
                    };
                    let awaited = found.dates_of(&work.state.evidence.awaited);
                    let with = (&work.site.limits, &work.lookups);
                    leave_out_held(store, &resource, head, &changes.same, with, &mut found.sightings).await?;
                    let known = found.sightings.keys().copied().collect();
                    let unknown = counting::nightly(work, &known).await?;
                    // A list that lacks them and a GET that does not return them: a GET alone is no proof of a deletion.
                    let unlisted = matches!(open, Some(Open::Listed { .. }));
                    let more: Vec<i64> = open_ids.iter().copied().chain(unknown.iter().copied()).collect();
                    let mut scan = SliceScan {
                        confirms: unlisted && !open_ids.is_empty(),
                        candidates: open_ids.iter().copied().filter(|_| unlisted).collect(),
                        opens,
                        ..changed_scan(work, &found, &more, *max_ids)
                    };
                    scan.stale.await_dates(awaited);
                    scan.absent.shown = crate::fetch::collapse(found.sightings.keys().copied().chain(unknown));
                    scan
                }
            };
            finish(work, scan, get).await
        }
        (Style::PerOwner { get, max_ids, owners }, ScanKind::Full) => {
            let path = format!("{}/{get}", resource.read.service);
            if resource.is_snapshot() && step.since.is_some() && snapshot::fill(work, &path, *max_ids).await? {
                return Ok(());
            }
            let mut scan = all_owners(work, &resource, owners, *max_ids).await?;
            scan.gradual = false;
            scan.replace = Replace::Everything;
            if resource.is_snapshot() {
                let Some(day) = work.snapshot_day(scan.started_at)? else { return Ok(()) };
                snapshot::close(work, scan.started_at);
                let segment = segment(resource.partition(), day);
                work.give_up(|apart| apart.file.partition == segment);
                scan.partition = Some(day);
                scan.replace = Replace::Partition(day);
            }
            finish(work, scan, get).await
        }
        (Style::PerOwner { get, max_ids, owners }, ScanKind::Changes) => {
            let scan = match resumed(work, step.resume.as_ref()).await? {
                Some(scan) => scan,
                None => changed_owners(work, &resource, owners, step, *max_ids).await?,
            };
            finish(work, SliceScan { absent_is_empty: true, ..scan }, get).await
        }
    }
}

/// Brings the slices home and commits the scan's end.
async fn finish(work: &mut Work<'_>, mut scan: SliceScan, get: &str) -> Result<()> {
    let path = format!("{}/{get}", work.resource.read.service);
    scan.absent.nightly = true;
    scan.run(work, &path).await?;
    let now = scan.absent.now(scan.started_at);
    gone::age_pending(work, now);
    if matches!(scan.replace, Replace::Everything | Replace::Partition(_)) {
        whole::refuse_empty(work)?;
    }
    if let Replace::Partition(_) = scan.replace {
        whole::refuse_holes(work, &scan)?;
    }
    if !scan.absent.proven.is_empty() {
        let held = gone::records(work).await?;
        gone::bury_suspects(work, &scan.absent.proven, held, now);
    }
    if scan.confirms {
        bury_closed(work, &scan).await?;
    }
    work.complete(scan.kind, scan.started_at, false);
    work.forget_absent();
    if scan.opens {
        work.state.opened_at = Some(scan.started_at);
        work.state.clocks.opened_at = Some(work.begun);
    }
    if scan.kind == ScanKind::Changes {
        work.state.seen = std::mem::take(&mut scan.stamps);
    }
    work.commit(scan.replace, true).await?;
    work.clear_plans(scan.plan).await
}

/// Records held as open that neither tonight's lists of open ones nor a GET returned are deleted, a few at once. The others are
/// suspects: the next night deletes those that are gone then too.
async fn bury_closed(work: &mut Work<'_>, scan: &SliceScan) -> Result<()> {
    let shown = |id: &i64| scan.absent.is_shown(*id);
    let mut gone: BTreeSet<i64> = scan.gone.intersection(&scan.candidates).copied().filter(|id| !shown(id)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let resource = std::sync::Arc::clone(&work.resource);
    if let (Style::IdSets { changes: Some(changes), .. }, Some(Open::Listed { filter: (column, value), .. })) =
        (&resource.read.style, resource.open())
    {
        let filter = Filter::Bool { column: column.clone(), value: *value };
        let (_, rows) = asker(work).search(&resource.read.service, &changes.search, &[], Some(filter)).await?;
        let listed: BTreeSet<i64> = rows.into_iter().map(|row| row.id).collect();
        gone.retain(|id| !listed.contains(id));
    }
    let held = gone::records(work).await?;
    gone::bury_some(work, gone, held, scan.absent.now(scan.started_at));
    Ok(())
}

fn asker<'a>(work: &Work<'a>) -> Asker<'a> {
    Asker { client: &work.site.client, stop: &work.site.stop, name: std::sync::Arc::clone(&work.name) }
}

async fn resumed(work: &Work<'_>, scan: Option<&Scan>) -> Result<Option<SliceScan>> {
    match scan {
        Some(scan) => SliceScan::resume(work, scan).await,
        None => Ok(None),
    }
}

/// From when on changes are asked.
fn since(work: &Work<'_>, step: &Step) -> Result<Since> {
    let edits = step.since.or(work.state.changes_since()).ok_or_else(|| {
        Failure::new(Kind::Bug, format!("ask for changes of {}", work.name)).because("no scan has been completed")
    })?;
    Ok(Since::of(&work.resource, &work.state, &work.site.limits, edits))
}

fn settle(work: &Work<'_>) -> SignedDuration {
    SignedDuration::try_from(work.site.limits.settle).unwrap_or_default()
}

fn changed_scan(work: &Work<'_>, found: &Found, more: &[i64], max_ids: usize) -> SliceScan {
    let ids = crate::fetch::collapse(found.sightings.keys().chain(more).copied());
    let mut scan = SliceScan::new(work, ScanKind::Changes, found.started_at, &ids, true, max_ids);
    scan.stale.await_all(&found.sightings);
    scan
}

fn no_changes(resource: &Resource) -> Failure {
    Failure::new(Kind::Schema, format!("ask for changes of {}", resource.name)).because("its schema says no `changes`")
}

/// The owner of a per-owner resource, and how its changes are found.
fn owner<'a>(work: &Work<'a>, owners: &Owners) -> Result<(&'a Resource, &'a Changes)> {
    let owner = work.site.catalog.get(&owners.resource)?;
    match &owner.read.style {
        Style::IdSets { changes: Some(changes), .. } => Ok((owner, changes)),
        Style::IdSets { .. } | Style::Search(_) | Style::List { .. } | Style::PerOwner { .. } => Err(no_changes(owner)),
    }
}

async fn all_owners(work: &mut Work<'_>, resource: &Resource, owners: &Owners, max_ids: usize) -> Result<SliceScan> {
    let owner = work.site.catalog.get(&owners.resource)?;
    let ids = asker(work).owners(owner, owners).await?;
    debug_assert_eq!(resource.name, work.resource.name, "a scan is of its own resource");
    Ok(SliceScan::new(work, ScanKind::Full, ids.started_at, &ids.ids, ids.exact, max_ids))
}

/// Owners that changed, less those that were read since with the same stamp.
async fn changed_owners(
    work: &mut Work<'_>,
    resource: &Resource,
    owners: &Owners,
    step: &Step,
    max_ids: usize,
) -> Result<SliceScan> {
    let (owner, changes) = owner(work, owners)?;
    let plain = Changes { same: Vec::new(), ..changes.clone() };
    let mut found = find_since(work, &asker(work), &owner.read.service, &plain, since(work, step)?).await?;
    let settle = settle(work);
    // A stamp is worth remembering once a copy taken now is surely newer.
    let micros = i64::try_from(settle.as_micros()).unwrap_or(i64::MAX);
    let sure = work.earliest(found.started_at).as_microsecond().saturating_sub(micros);
    let seen = found.sightings.iter().filter(|(_, sighting)| sighting.latest.is_some_and(|latest| latest < sure));
    let seen: BTreeMap<i64, String> = seen.map(|(id, sighting)| (*id, sighting.text.clone())).collect();
    found.sightings.retain(|id, sighting| work.state.seen.get(id) != Some(&sighting.text));
    let (store, with) = (&work.site.store, (&work.site.limits, &work.lookups));
    leave_out_held(store, resource, work.head.as_ref(), &plain.same, with, &mut found.sightings).await?;
    Ok(SliceScan { stamps: seen, ..changed_scan(work, &found, &[], max_ids) })
}
