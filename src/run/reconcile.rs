//! Finding deleted records: deletes leave no trace, so the ids of the source are compared with those of the tables
//! (docs/reading.md §13, §14).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::config::Deletes;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, chunks, collapse, count as ids_in, expand, holds, without};
use crate::manifest::ScanKind;
use crate::quantity::plural;
use crate::run::gone;
use crate::run::inventory::{Asker, Ids};
use crate::run::limits::{described, may_go};
use crate::run::slices::SliceScan;
use crate::run::start::above;
use crate::run::work::{Work, count};
use crate::schema::{Inventory, Resource, Style};
use crate::write::{Replace, held_ids};

/// The origin of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The nightly run: it deletes a few records at once.
    Night,
    /// A person: within the limit.
    Command,
    /// A person who takes out however many.
    Force,
}

/// What was found.
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
        Style::IdSets { .. } => None,
        Style::PerOwner { .. } if resource.is_snapshot() => {
            Some("a snapshot is taken whole: it holds what was there that day".into())
        }
        Style::PerOwner { .. } => Some("rows of deleted owners go at the next whole read (`run --full`)".into()),
        Style::List { .. } => Some("a list is read whole each time: what is gone is gone".into()),
        Style::Search(search) if search.since.is_empty() => {
            Some("it is read whole each time: what is gone is gone".into())
        }
        Style::Search(_) => None,
    }
}

/// Compares ids, reads what is missing here, and takes out of the tables what is proven gone: not listed, not returned
/// beside a witness, and not listed again.
pub async fn reconcile(work: &mut Work<'_>, by: By) -> Result<Reconciled> {
    let force = by == By::Force;
    let resource = Arc::clone(&work.resource);
    let Style::IdSets { get, max_ids, inventory, changes } = &resource.read.style else {
        return Err(Failure::new(Kind::Usage, format!("reconcile {}", resource.name))
            .because(refuse(&resource).unwrap_or_default()));
    };
    let Some(head) = work.head.clone().filter(|head| head.state.completed_at.is_some()) else {
        return Err(Failure::new(Kind::Usage, format!("reconcile {}", resource.name))
            .because("its first load is not complete")
            .advise(format!("`pearlift run {}` first", resource.name)));
    };
    let asker = Asker { client: &work.site.client, stop: &work.site.stop, name: Arc::clone(&work.name) };
    let listed = match (inventory, changes) {
        // The span between least and greatest says nothing of single ids: the search does.
        (Inventory::Windows(search), _) => {
            let (started_at, rows) = asker
                .search_by(
                    &resource.read.service,
                    search,
                    (&[], None),
                    changes.as_ref().map(|changes| changes.created().to_owned()),
                )
                .await?;
            Ids { ids: collapse(rows.into_iter().map(|row| row.id)), started_at, exact: true }
        }
        (Inventory::Options(_) | Inventory::Search(_), _) => asker.all(&resource).await?,
    };
    let table = resource.owner_table();
    let files = head.tables.get(&table.name).map(|table| table.files.clone()).unwrap_or_default();
    let held = held_ids(&work.site.store, &files, &table.columns[table.key[0]].name).await?;
    if listed.ids.is_empty() && !held.is_empty() && !force {
        return Err(refused(work, count(held.len()), count(held.len())).because_empty());
    }
    let candidates: IdRanges = collapse(held.iter().copied().filter(|id| !holds(&listed.ids, *id)));
    let wanted = match (work.state.start, changes) {
        // What is older than the first load was not wanted, and is not missing.
        (Some(start), Some(changes)) => {
            let (_, least) = asker.least_from(&resource.read.service, changes, start).await?;
            above(&listed.ids, least)
        }
        (Some(_), None) | (None, _) => listed.ids.clone(),
    };
    let known: BTreeSet<i64> = held.iter().chain(work.state.absence.withheld.keys()).copied().collect();
    let missing = without(&wanted, &known);
    let mut scan = SliceScan::new(work, ScanKind::Changes, listed.started_at, &Vec::new(), true, *max_ids);
    scan.slices.extend(chunks(&missing, *max_ids));
    (scan.gradual, scan.confirms) = (false, true);
    scan.absent.shown = listed.ids.clone();
    scan.absent.witness = held.iter().rev().copied().find(|id| holds(&listed.ids, *id));
    let sets = chunks(&candidates, max_ids.saturating_sub(1).max(1)).len();
    work.site.events.tell(Event::Started {
        resource: work.resource.name.clone(),
        scan: "reconcile".to_owned(),
        reason: format!("{} held and not listed, {} listed and not held", ids_in(&candidates), ids_in(&missing)),
        requests: Some(count(scan.slices.len() + sets)),
    });
    let path = format!("{}/{get}", resource.read.service);
    scan.run(work, &path).await?;
    let documents = scan.documents(work, &path);
    let candidates: BTreeSet<i64> = expand(&candidates).collect();
    let again = scan.ask_again(work, &documents, &candidates).await?;
    if !again.unproven.is_empty() && !force {
        return Err(unproven(work, count(again.unproven.len())));
    }
    work.state.absence.hidden = collapse(candidates.difference(&again.absent).copied());
    let still = gone::relist(work, &again.absent).await?;
    let gone: BTreeSet<i64> = again.absent.difference(&still).copied().collect();
    let found = Reconciled {
        listed: ids_in(&listed.ids),
        held: count(held.len()),
        candidates: count(candidates.len()),
        gone: count(gone.len()),
        missing: ids_in(&missing),
    };
    refuse_many(work, found.gone, found.held, force)?;
    work.state.reconciled_at = Some(listed.started_at);
    work.state.clocks.reconciled_at = Some(work.begun);
    match by {
        By::Night => gone::bury_some(work, gone, found.held, listed.started_at),
        By::Command | By::Force => {
            work.state.absence.suspects.retain(|id, _| !gone.contains(id));
            let gone = gone.into_iter().collect();
            work.bury(gone, listed.started_at, work.deletes == Deletes::Move);
        }
    }
    work.forget_absent();
    work.commit(Replace::Owners, true).await?;
    Ok(found)
}

/// A refusal where the source returns nothing of what it lists.
fn unproven(work: &Work<'_>, ids: u64) -> Failure {
    Failure::new(Kind::Doubtful, format!("compare the ids of {}", work.name))
        .because(format!("{} neither listed nor returned, but nor is an id that the source lists", plural(ids, "id")))
        .advise("nothing was changed: run again later")
}

/// Refuses more deletions than may go at once, unless a person insists.
pub fn refuse_many(work: &Work<'_>, gone: u64, held: u64, force: bool) -> Result<()> {
    if gone > may_go(held) && !force { Err(refused(work, gone, held).0) } else { Ok(()) }
}

/// A refusal of the safety valve.
struct Refused(Failure);

impl Refused {
    fn because_empty(self) -> Failure {
        self.0.because("the source lists nothing at all")
    }
}

fn refused(work: &Work<'_>, gone: u64, held: u64) -> Refused {
    Refused(
        Failure::new(Kind::Doubtful, format!("take deleted {} out of the tables", work.name))
            .because(format!("{gone} of {held} are gone, and {}", described(held)))
            .advise(format!(
                "nothing was changed; if they are truly gone at the source, `pearlift reconcile --force {}` takes them out",
                work.name
            )),
    )
}
