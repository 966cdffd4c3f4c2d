//! Finding deleted records: deletes leave no trace, so the ids of the source are compared with those of the tables
//! (docs/reading.md §13, §14).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, chunks, collapse, count as ids_in, expand, holds, without};
use crate::manifest::Version;
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::safety_limit::{described, may_go};
use crate::run::scan::deletion_decision::delete_or_suspect;
use crate::run::scan::deletion_proof::listed_again;
use crate::run::scan::first_day::above;
use crate::run::scan::id_scan::{IdScan, Known, sets_with_pending};
use crate::run::scan::id_source::{IdSource, ListedIds};
use crate::run::scan::purpose::Purpose;
use crate::run::session::ResourceSession;
use crate::schema::{Changes, Inventory, ReadStyle, Resource};
use crate::write::{Replace, held_ids};

/// The origin of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The nightly run: it deletes a few records at once.
    Night,
    /// A person: within the limit.
    Command,
    /// A person allows any number of deletions.
    Force,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Ids that the source lists, and that the tables hold.
    pub listed: u64,
    pub held: u64,
    /// Held and not listed.
    pub candidates: u64,
    /// Of these, confirmed gone by a GET that did not return them.
    pub gone: u64,
    /// Listed and not held: read.
    pub missing: u64,
}

impl fmt::Display for Reconciled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} listed, {} held, {} not listed, {} of them gone, {} read that were missing",
            self.listed, self.held, self.candidates, self.gone, self.missing
        )
    }
}

/// Why a resource cannot be reconciled, if it cannot.
pub fn refuse(resource: &Resource) -> Option<String> {
    match &resource.read.style {
        ReadStyle::IdSets { .. } => None,
        ReadStyle::PerOwner { .. } if resource.is_snapshot() => {
            Some("a snapshot is taken whole: it holds what was there that day".into())
        }
        ReadStyle::PerOwner { .. } if resource.follows_held_ids() => None,
        ReadStyle::PerOwner { .. } => Some("rows of deleted owners go at the next whole read (`run --full`)".into()),
        ReadStyle::List { .. } => Some("a list is read whole each time: what is gone is gone".into()),
        ReadStyle::Search(search) if search.since.is_empty() => {
            Some("it is read whole each time: what is gone is gone".into())
        }
        ReadStyle::Search(_) => None,
    }
}

/// Compares ids, reads records that the tables lack, and takes out records that are proven gone: not listed, not
/// returned beside a witness, and not listed again.
pub async fn reconcile(session: &mut ResourceSession<'_>, by: By) -> Result<Reconciled> {
    let force = by == By::Force;
    let resource = Arc::clone(&session.resource);
    let ReadStyle::IdSets { get, max_ids, inventory, changes } = &resource.read.style else {
        return Err(Failure::new(Kind::Usage, format!("reconcile {}", resource.name))
            .because(refuse(&resource).unwrap_or_default()));
    };
    let head = loaded(session)?;
    let listed = listed_ids(session, inventory, changes.as_ref()).await?;
    let table = resource.main_table();
    let files = head.tables.get(&table.name).map(|table| table.files.clone()).unwrap_or_default();
    let held = held_ids(&session.context.store, &files, &table.columns[table.key[0]].name).await?;
    if listed.ids.is_empty() && !held.is_empty() && !force {
        return Err(refused(session, count(held.len()), count(held.len())).because_empty());
    }
    let candidates: IdRanges = collapse(held.iter().copied().filter(|id| !holds(&listed.ids, *id)));
    let missing = missing_ids(session, changes.as_ref(), &listed, &held).await?;
    let pending = sets_with_pending(session, listed.started_at, &IdRanges::new(), *max_ids);
    let sets = [pending, chunks(&missing, *max_ids)].concat();
    let witness = held.iter().rev().copied().find(|id| holds(&listed.ids, *id));
    let known = Known { shown: listed.ids.clone(), witness, ..Known::default() };
    let mut scan = IdScan::new(session, Purpose::Reconcile, listed.started_at, sets, known);
    let confirming = chunks(&candidates, max_ids.saturating_sub(1).max(1)).len();
    session.context.events.tell(Event::Started {
        resource: session.resource.name.clone(),
        scan: "reconcile".to_owned(),
        reason: format!("{} held and not listed, {} listed and not held", ids_in(&candidates), ids_in(&missing)),
        requests: Some(count(scan.slices.len() + confirming)),
    });
    let path = format!("{}/{get}", resource.read.service);
    scan.run(session, &path).await?;
    let documents = scan.documents(session, &path);
    let candidates: BTreeSet<i64> = expand(&candidates).collect();
    let again = scan.ask_beside_witness(session, &documents, &candidates).await?;
    if !again.unproven.is_empty() && !force {
        return Err(unproven(session, count(again.unproven.len())));
    }
    session.state.absence.hidden = collapse(candidates.difference(&again.absent).copied());
    let still = listed_again(session, &again.absent).await?;
    let gone: BTreeSet<i64> = again.absent.difference(&still).copied().collect();
    let found = Reconciled {
        listed: ids_in(&listed.ids),
        held: count(held.len()),
        candidates: count(candidates.len()),
        gone: count(gone.len()),
        missing: ids_in(&missing),
    };
    refuse_beyond_limit(session, found.gone, found.held, force)?;
    session.state.reconciled_at = Some(listed.started_at);
    session.state.clocks.reconciled_at = Some(session.observations.begun);
    match by {
        By::Night => delete_or_suspect(session, gone, found.held, listed.started_at),
        By::Command | By::Force => {
            session.state.absence.suspects.retain(|id, _| !gone.contains(id));
            let gone = gone.into_iter().collect();
            session.delete_records(gone, listed.started_at);
        }
    }
    session.forget_absent();
    session.commit(Replace::Records, true).await?;
    Ok(found)
}

/// The head of a resource that was loaded; refuses (`Usage`) an unfinished first load.
pub fn loaded(session: &ResourceSession<'_>) -> Result<Version> {
    session.head.clone().filter(|head| head.state.completed_at.is_some()).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("reconcile {}", session.name))
            .because("its first load is not complete")
            .advise(format!("`pearlift run {}` first", session.name))
    })
}

/// The ids that the source has.
async fn listed_ids(
    session: &ResourceSession<'_>,
    inventory: &Inventory,
    changes: Option<&Changes>,
) -> Result<ListedIds> {
    let (id_source, resource) = (IdSource::of(session), &session.resource);
    match inventory {
        // The span between least and greatest states nothing of single ids: the search does.
        Inventory::Windows(search) => {
            let by = changes.map(|changes| changes.created().to_owned());
            let (started_at, rows) = id_source.search_by(&resource.read.service, search, (&[], None), by).await?;
            Ok(ListedIds { ids: collapse(rows.into_iter().map(|row| row.id)), started_at, exact: true })
        }
        Inventory::Options(_) | Inventory::Search(_) => id_source.all(resource).await,
    }
}

/// The listed ids that are neither held nor withheld. Records older than the first load were not wanted, and are not
/// missing.
async fn missing_ids(
    session: &ResourceSession<'_>,
    changes: Option<&Changes>,
    listed: &ListedIds,
    held: &[i64],
) -> Result<IdRanges> {
    let wanted = match (session.state.start, changes) {
        (Some(start), Some(changes)) => {
            let service = &session.resource.read.service;
            let (_, least) = IdSource::of(session).least_from(service, changes, start).await?;
            above(&listed.ids, least)
        }
        (Some(_), None) | (None, _) => listed.ids.clone(),
    };
    let known: BTreeSet<i64> = held.iter().chain(session.state.absence.withheld.keys()).copied().collect();
    Ok(without(&wanted, &known))
}

/// A refusal: the source returns none of the ids that it lists.
fn unproven(session: &ResourceSession<'_>, ids: u64) -> Failure {
    Failure::new(Kind::Doubtful, format!("compare the ids of {}", session.name))
        .because(format!("{} neither listed nor returned, but nor is an id that the source lists", plural(ids, "id")))
        .advise("nothing was changed: run again later")
}

/// Refuses more deletions than may be made at once, unless a person insists.
pub fn refuse_beyond_limit(session: &ResourceSession<'_>, gone: u64, held: u64, force: bool) -> Result<()> {
    if gone > may_go(held) && !force { Err(refused(session, gone, held).0) } else { Ok(()) }
}

/// A refusal of the safety valve.
struct Refused(Failure);

impl Refused {
    fn because_empty(self) -> Failure {
        self.0.because("the source lists nothing at all")
    }
}

fn refused(session: &ResourceSession<'_>, gone: u64, held: u64) -> Refused {
    Refused(
        Failure::new(Kind::Doubtful, format!("remove deleted {} from the tables", session.name))
            .because(format!("{gone} of {held} are gone, and {}", described(held)))
            .advise(format!(
                "nothing was changed; if they were really deleted at the source, `pearlift reconcile --force {}` takes them out",
                session.name
            )),
    )
}
