//! The comparison of records of held ids with the source, which lists none of them: every id is requested.
//!
//! Requests the ids that the other resource's table holds and those of our own records. A record is gone when two answers lack it,
//! of which the second has a witness of the same path. Where no record of its path is left, one of another path is witness enough
//! for a person's command, within the safety limit; where none is left at all, only `--force` takes the rest out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::expand;
use crate::manifest::Key;
use crate::quantity::{count, plural};
use crate::run::held_records::held_record_ids;
use crate::run::reconcile::{By, Reconciled, loaded, refuse_beyond_limit};
use crate::run::scan::id_scan::{IdScan, Known};
use crate::run::scan::purpose::Purpose;
use crate::run::scan::withheld_ids::age_pending;
use crate::run::scan::{absent_owners, held_ids};
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;
use crate::write::Replace;

/// Requests every id, reads what differs, and takes out records that are proven gone.
pub async fn reconcile_held(session: &mut ResourceSession<'_>, by: By) -> Result<Reconciled> {
    let resource = Arc::clone(&session.resource);
    let ReadStyle::PerOwner { get, max_ids, .. } = &resource.read.style else {
        return Err(Failure::new(Kind::Bug, format!("request every id of {}", resource.name)));
    };
    let head = loaded(session)?;
    let held = held_record_ids(&session.context.store, &resource, &head).await?;
    if by != By::Night {
        // A person's command decides about ids that nights no longer ask for.
        session.state.absence.withheld.clear();
    }
    let (started_at, sets) = held_ids::all(session, *max_ids).await?;
    let asked: BTreeSet<i64> = sets.iter().flat_map(|set| expand(set)).collect();
    session.context.events.tell(Event::Started {
        resource: resource.name.clone(),
        scan: "reconcile".to_owned(),
        reason: format!("{} held here or in the table with the ids", plural(asked.len(), "id")),
        requests: Some(count(sets.len())),
    });
    let mut scan = IdScan::new(session, Purpose::Reconcile, started_at, sets, Known::default());
    scan.run(session, &format!("{}/{get}", resource.read.service)).await?;
    let came = |id: &&i64| session.buffer.spool().holds(&Key::Int(**id));
    let came: BTreeSet<i64> = asked.iter().filter(came).copied().collect();
    let candidates = scan.absent.vanished.iter().chain(scan.absent.unproven.intersection(&held)).count();
    let gone = decided(session, &mut scan, &held, by)?;
    let found = Reconciled {
        listed: count(came.len()),
        held: count(held.len()),
        candidates: count(candidates),
        gone: count(gone.len()),
        missing: count(came.difference(&held).count()),
    };
    refuse_beyond_limit(session, found.gone, found.held, by == By::Force)?;
    session.state.reconciled_at = Some(started_at);
    session.state.clocks.reconciled_at = Some(session.observations.begun);
    match by {
        By::Night => absent_owners::delete_vanished(session, &scan).await?,
        By::Command | By::Force => {
            session.state.absence.suspects.retain(|id, _| !gone.contains(id));
            session.delete_records(gone.into_iter().collect(), started_at);
        }
    }
    age_pending(session, scan.absent.now(started_at));
    session.forget_absent();
    session.commit(Replace::Records, true).await?;
    Ok(found)
}

/// The records that are gone. Ids without a witness are pending in a night; a command decides about them, or refuses
/// (`Doubtful`) where records are held and the source returned nothing at all.
fn decided(
    session: &mut ResourceSession<'_>,
    scan: &mut IdScan,
    held: &BTreeSet<i64>,
    by: By,
) -> Result<BTreeSet<i64>> {
    let unproven = std::mem::take(&mut scan.absent.unproven);
    let is_answered = !scan.absent.witnesses.is_empty() || held.is_empty();
    match by {
        _ if unproven.is_empty() => {}
        By::Night => scan.pend_without_witness(session, &unproven),
        By::Command if !is_answered => return Err(no_witness(session, count(unproven.len()))),
        By::Command | By::Force => scan.accept_without_witness(session, &unproven, held),
    }
    Ok(scan.absent.vanished.clone())
}

/// A refusal: the source returns no record at all.
fn no_witness(session: &ResourceSession<'_>, ids: u64) -> Failure {
    Failure::new(Kind::Doubtful, format!("take deleted {} out of the tables", session.name))
        .because(format!("{} not returned, but nor is any record by which that could be judged", plural(ids, "id")))
        .advise(format!(
            "nothing was changed; if they are truly gone at the source, `pearlift reconcile --force {}` takes them out",
            session.name
        ))
}
