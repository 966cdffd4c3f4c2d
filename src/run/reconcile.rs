//! Finding deleted records: deletes leave no trace, so the ids of the source are compared with those of the tables
//! (design of reading, rule 14).

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::config::Deletes;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, chunks, collapse, count as ids_in, expand};
use crate::manifest::ScanKind;
use crate::run::inventory::{Asker, Ids};
use crate::run::slices::SliceScan;
use crate::run::start::above;
use crate::run::work::{Work, count};
use crate::schema::{Inventory, Resource, Style};
use crate::write::{Replace, held_ids};

/// More deletions at once than this, and than a hundredth of all, are refused: a source that lost its mind is more likely.
const MAY_GO: u64 = 100;

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
        Style::Search(_) => Some("its records have no GET by which a deletion could be confirmed".into()),
    }
}

/// Compares ids, reads what is missing here, and takes out of the tables what is confirmed gone. `force` takes out
/// however many.
pub async fn reconcile(work: &mut Work<'_>, force: bool) -> Result<Reconciled> {
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
    let there: HashSet<i64> = expand(&listed.ids).collect();
    let here: HashSet<i64> = held.iter().copied().collect();
    let candidates: IdRanges = collapse(held.iter().copied().filter(|id| !there.contains(id)));
    let wanted = match (work.state.start, changes) {
        // What is older than the first load was not wanted, and is not missing.
        (Some(start), Some(changes)) => {
            let (_, least) = asker.least_from(&resource.read.service, changes, start).await?;
            above(&listed.ids, least)
        }
        (Some(_), None) | (None, _) => listed.ids.clone(),
    };
    let missing: IdRanges = collapse(expand(&wanted).filter(|id| !here.contains(id)));
    let mut scan = SliceScan::new(work, ScanKind::Changes, listed.started_at, &Vec::new(), true, *max_ids);
    scan.slices.extend(chunks(&candidates, *max_ids));
    scan.slices.extend(chunks(&missing, *max_ids));
    (scan.gradual, scan.confirms) = (false, true);
    work.site.events.tell(Event::Started {
        resource: work.resource.name.clone(),
        scan: "reconcile".to_owned(),
        reason: format!("{} held and not listed, {} listed and not held", ids_in(&candidates), ids_in(&missing)),
        requests: Some(count(scan.slices.len())),
    });
    let path = format!("{}/{get}", resource.read.service);
    scan.run(work, &path).await?;
    let gone: Vec<i64> = expand(&candidates).filter(|id| scan.gone.contains(id)).collect();
    let found = Reconciled {
        listed: ids_in(&listed.ids),
        held: count(held.len()),
        candidates: ids_in(&candidates),
        gone: count(gone.len()),
        missing: ids_in(&missing),
    };
    if found.gone > MAY_GO.max(found.held / 100) && !force {
        return Err(refused(work, found.gone, found.held).0);
    }
    work.state.reconciled_at = Some(listed.started_at);
    work.state.clocks.reconciled_at = Some(work.begun);
    work.bury(gone, listed.started_at, work.deletes == Deletes::Move);
    work.commit(Replace::Owners, true).await?;
    Ok(found)
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
            .because(format!("{gone} of {held} are gone, more than {MAY_GO} and more than 1 %"))
            .advise(format!(
                "nothing was changed; if they are truly gone at the source, `pearlift reconcile --force {}` takes them out",
                work.name
            )),
    )
}
