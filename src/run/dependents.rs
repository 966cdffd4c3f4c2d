//! Reading again the records that rows of other resources reference: a payment changes its order without moving a date
//! of the order (docs/reading.md §3).
//!
//! A commit that changes rows stores the ids that these rows reference, in the same put. After all resources have
//! ended, each resource that follows others reads its pending references, and notes this in the same commit: after a
//! crash in between the next run reads them ([`crate::run::references`]).

use std::collections::BTreeSet;

use crate::event::Event;
use crate::failure::Result;
use crate::fetch::{chunks, collapse};
use crate::manifest::{Outline, head, newest_outline};
use crate::quantity::plural;
use crate::run::context::RunContext;
use crate::run::outcome::{End, ResourceOutcome};
use crate::run::reference_marks::{mark, unread};
use crate::run::request::RunRequest;
use crate::run::scan::id_scan::{IdScan, Known};
use crate::run::scan::purpose::Purpose;
use crate::run::session::{ResourceSession, SessionOptions};
use crate::run::steps::describe;
use crate::schema::{ReadStyle, Resource};
use crate::write::Replace;

/// Reads the pending references of a resource after its own scans succeeded.
pub async fn follow(context: &RunContext, resource: &Resource, request: &RunRequest, outcome: &mut ResourceOutcome) {
    let went_well = matches!(outcome.end, End::Complete | End::Idle(_)) && context.stop.asked().is_none();
    if !went_well {
        return;
    }
    if let Err(failure) = Box::pin(read_pending_references(context, resource, request, outcome)).await {
        // Pending references are cleared in the resources that store them, under their own locks.
        let references_it = |source: &&Resource| {
            context.catalog.followers(source).iter().any(|(follower, _)| follower.name == resource.name)
        };
        let sources = context.catalog.resources().iter().filter(references_it).map(|source| source.name.as_str());
        let names: Vec<&str> = std::iter::once(resource.name.as_str()).chain(sources).collect();
        outcome.end = End::of(context.holder().meaning(&names, outcome.version, failure).await);
    }
}

async fn read_pending_references(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    outcome: &mut ResourceOutcome,
) -> Result<()> {
    let ReadStyle::IdSets { get, max_ids, .. } = &resource.read.style else { return Ok(()) };
    let own = head(&context.store, &resource.name).await?;
    let mut ids: BTreeSet<i64> = BTreeSet::new();
    let mut marks = Vec::new();
    for (source, theirs) in sources(context, resource).await? {
        let source_state = (source.name.as_str(), &theirs.state, theirs.nonce.as_str());
        if let Some(unread) = unread(source_state, &resource.name, own.as_ref().map(|own| &own.state)) {
            ids.extend(unread);
            marks.push((source.name.clone(), mark(&theirs.state, &theirs.nonce)));
        }
    }
    // Records that are read again here need no date of ours to be found, and are not missed.
    outcome.tally.missed.retain(|id| !ids.contains(id));
    if ids.is_empty() {
        return Ok(());
    }
    let Some(own) = own.filter(|head| head.state.completed_at.is_some()) else { return Ok(()) };
    let reason = format!("{} that other resources reference", plural(ids.len(), "record"));
    context.events.tell(Event::Started {
        resource: resource.name.clone(),
        scan: "touched".to_owned(),
        reason: reason.clone(),
        requests: None,
    });
    outcome.scans.push(format!("touched: {reason}"));
    let wishes = SessionOptions::new(request.settings.deletes(&resource.name));
    let mut session = ResourceSession::new(context, resource, Some(own), wishes)?;
    let sets = chunks(&collapse(ids.iter().copied()), *max_ids);
    let mut scan = IdScan::new(&session, Purpose::Reread, context.clock.now(), sets, Known::default());
    scan.run(&mut session, &format!("{}/{get}", resource.read.service)).await?;
    session.state.references_read.extend(marks);
    session.commit(Replace::Records, true).await?;
    outcome.tally.add(&session.tally);
    describe(outcome, &session.resource, session.head.as_ref());
    Ok(())
}

/// The resources that hand ids to this one, with their newest versions.
async fn sources<'a>(context: &'a RunContext, resource: &Resource) -> Result<Vec<(&'a Resource, Outline)>> {
    let mut found = Vec::new();
    for source in context.catalog.resources() {
        if context.catalog.followers(source).iter().any(|(follower, _)| follower.name == resource.name) {
            found.extend(newest_outline(&context.store, &source.name).await?.map(|newest| (source, newest)));
        }
    }
    Ok(found)
}
