//! Reading again what rows of others name: a payment changes its order, and the order bears no date of it (design of
//! reading, rule 3).
//!
//! A commit that changes rows hands on the ids that these rows name, in the same put. After all resources have ended, each
//! that follows others reads what was handed to it, and then the handing on is struck off: a run that dies in between
//! leaves it to the next.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::failure::Result;
use crate::fetch::{chunks, collapse};
use crate::manifest::{ScanKind, Version, head};
use crate::run::site::Site;
use crate::run::slices::SliceScan;
use crate::run::steps::describe;
use crate::run::work::{Work, count};
use crate::run::{End, Errand, ResourceOutcome};
use crate::schema::{Resource, Style};
use crate::write::Replace;

/// Reads what others handed to a resource whose own scans went well.
pub async fn follow(site: &Site, resource: &Resource, errand: &Errand, outcome: &mut ResourceOutcome) {
    let went_well = matches!(outcome.end, End::Complete | End::Idle(_)) && site.stop.asked().is_none();
    if !went_well {
        return;
    }
    if let Err(failure) = Box::pin(read_handed(site, resource, errand, outcome)).await {
        // Pending references are cleared in the resources that handed them on, under their own locks.
        let handing = |source: &&Resource| {
            site.catalog.followers(source).iter().any(|(follower, _)| follower.name == resource.name)
        };
        let sources = site.catalog.resources().iter().filter(handing).map(|source| source.name.as_str());
        let names: Vec<&str> = std::iter::once(resource.name.as_str()).chain(sources).collect();
        outcome.end = End::of(site.holder().meaning(&names, outcome.version, failure).await);
    }
}

async fn read_handed(site: &Site, resource: &Resource, errand: &Errand, outcome: &mut ResourceOutcome) -> Result<()> {
    let sources = sources(site, resource).await?;
    let ids: BTreeSet<i64> =
        sources.iter().filter_map(|(_, head)| head.state.handed.get(&resource.name)).flatten().copied().collect();
    // What this reads again is found without a date of ours, and not missed.
    outcome.tally.missed.retain(|id| !ids.contains(id));
    let Style::IdSets { get, max_ids, .. } = &resource.read.style else { return Ok(()) };
    if ids.is_empty() {
        return Ok(());
    }
    let own = head(&site.store, &resource.name).await?;
    let Some(own) = own.filter(|head| head.state.completed_at.is_some()) else { return Ok(()) };
    let reason = format!("{} that other resources name", count(ids.len()));
    site.events.tell(Event::Started {
        resource: resource.name.clone(),
        scan: "touched".to_owned(),
        reason: reason.clone(),
        requests: None,
    });
    outcome.scans.push(format!("touched: {reason}"));
    let mut work = Work::new(site, resource, Some(own), false, errand.settings.deletes(&resource.name))?;
    let mut scan = SliceScan::new(&work, ScanKind::Changes, site.clock.now(), &Vec::new(), true, *max_ids);
    scan.slices = chunks(&collapse(ids.iter().copied()), *max_ids);
    scan.gradual = false;
    scan.run(&mut work, &format!("{}/{get}", resource.read.service)).await?;
    work.commit(Replace::Owners, true).await?;
    outcome.tally.add(&work.tally);
    describe(outcome, work.head.as_ref());
    for (source, _) in sources.iter().filter(|(source, _)| site.locks.holds(&source.name)) {
        strike_off(site, source, resource, errand, &ids).await?;
    }
    Ok(())
}

/// The resources that hand ids to this one, with their heads.
async fn sources<'a>(site: &'a Site, resource: &Resource) -> Result<Vec<(&'a Resource, Version)>> {
    let mut found = Vec::new();
    for source in site.catalog.resources() {
        if site.catalog.followers(source).iter().any(|(follower, _)| follower.name == resource.name) {
            found.extend(head(&site.store, &source.name).await?.map(|head| (source, head)));
        }
    }
    Ok(found)
}

/// Takes ids that were read off what a resource has handed on.
async fn strike_off(
    site: &Site,
    source: &Resource,
    follower: &Resource,
    errand: &Errand,
    read: &BTreeSet<i64>,
) -> Result<()> {
    let Some(head) = head(&site.store, &source.name).await? else { return Ok(()) };
    if !head.state.handed.contains_key(&follower.name) {
        return Ok(());
    }
    let mut work = Work::new(site, source, Some(head), false, errand.settings.deletes(&source.name))?;
    if let Some(ids) = work.state.handed.get_mut(&follower.name) {
        ids.retain(|id| !read.contains(id));
    }
    work.commit(Replace::Owners, false).await
}
