//! One resource from its job to its last commit: the steps of the plan, each by the resource's reading style.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::config::Deletes;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Scan, ScanKind};
use crate::plan::{Moment, Step, is_over};
use crate::run::changed::{Found, find_open, leave_out_held};
use crate::run::counting;
use crate::run::inventory::Asker;
use crate::run::slices::SliceScan;
use crate::run::vouch::find_since;
use crate::run::work::Work;
use crate::run::{rows, start, whole};
use crate::schema::{Changes, Open, Owners, Resource, Style};
use crate::write::{Replace, segment};

/// So many open records may be deleted from one night to the next, or a hundredth of all rows.
const MAY_BE_DELETED: u64 = 100;

/// Makes one scan.
pub async fn make(work: &mut Work<'_>, step: &Step, kind: ScanKind) -> Result<()> {
    let resource = std::sync::Arc::clone(&work.resource);
    match (&resource.read.style, kind) {
        (Style::List { get }, _) => whole::read_list(work, get).await,
        (Style::Search(search), ScanKind::Full) => rows::read_all(work, search, step.resume.clone()).await,
        (Style::Search(search), ScanKind::Changes) => rows::read_changes(work, search, since(work, step)?).await,
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
                    leave_out_held(store, &resource, head, &changes.same, &work.site.limits, &mut found.sightings)
                        .await?;
                    let known = found.sightings.keys().copied().collect();
                    let unknown = counting::nightly(work, &known).await?;
                    // A list that lacks them and a GET that does not return them: a GET alone is no proof of a deletion.
                    let unlisted = matches!(open, Some(Open::Listed { .. }));
                    let more: Vec<i64> = open_ids.iter().copied().chain(unknown).collect();
                    SliceScan {
                        confirms: unlisted && !open_ids.is_empty(),
                        candidates: open_ids.iter().copied().filter(|_| unlisted).collect(),
                        opens,
                        ..changed_scan(work, &found, &more, *max_ids)
                    }
                }
            };
            finish(work, scan, get).await
        }
        (Style::PerOwner { get, max_ids, owners }, ScanKind::Full) => {
            let mut scan = all_owners(work, &resource, owners, *max_ids).await?;
            scan.gradual = false;
            scan.replace = Replace::Everything;
            if resource.is_snapshot() {
                let Some(day) = work.snapshot_day(scan.started_at)? else { return Ok(()) };
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
    scan.run(work, &path).await?;
    if matches!(scan.replace, Replace::Everything | Replace::Partition(_)) {
        whole::refuse_empty(work)?;
        whole::refuse_holes(work, crate::run::work::count(scan.gone.len()))?;
    }
    if scan.confirms {
        bury_closed(work, &scan);
    }
    work.complete(scan.kind, scan.started_at, false);
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

/// What we held as open, and neither tonight's list of open ones nor a GET returned any more, is deleted. More of them than could
/// be true are left to `reconcile`.
fn bury_closed(work: &mut Work<'_>, scan: &SliceScan) {
    let gone: Vec<i64> = scan.gone.intersection(&scan.candidates).copied().collect();
    let most = MAY_BE_DELETED.max(work.head.as_ref().map_or(0, crate::manifest::Version::rows) / 100);
    if crate::run::work::count(gone.len()) > most {
        let text = format!(
            "{} records that were open are not returned any more: `pearlift reconcile` looks into it",
            gone.len()
        );
        work.site.events.warn(&work.name, text);
        return;
    }
    let kept = work.deletes == Deletes::Move;
    work.bury(gone, scan.started_at, kept);
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
fn since(work: &Work<'_>, step: &Step) -> Result<jiff::Timestamp> {
    step.since.or(work.state.watermark).ok_or_else(|| {
        Failure::new(Kind::Bug, format!("ask for changes of {}", work.name)).because("no scan has been completed")
    })
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
    let (store, limits) = (&work.site.store, &work.site.limits);
    leave_out_held(store, resource, work.head.as_ref(), &plain.same, limits, &mut found.sightings).await?;
    Ok(SliceScan { stamps: seen, ..changed_scan(work, &found, &[], max_ids) })
}
