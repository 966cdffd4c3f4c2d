//! The plan of one scan: the searches, id sources and sets by which its records are found, from schema, state and
//! options.
//!
//! `run` executes it, and `forecast` counts the requests that it would take: an option is written here and nowhere
//! else.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Limits;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::Filter;
use crate::manifest::{ScanKind, State};
use crate::plan::{Moment, Step, is_over};
use crate::quantity::count;
use crate::run::scan::change_points::Since;
use crate::run::scan::count_search::created_since;
use crate::schema::{Catalog, Changes, Open, Owners, Pages, ReadStyle, Resource, RowSearch};

/// The inputs of a plan beside the resource.
#[derive(Clone, Copy, Debug)]
pub struct PlanInputs<'p> {
    pub catalog: &'p Catalog,
    pub state: &'p State,
    pub limits: &'p Limits,
    /// A full read takes records created from then on.
    pub start: Option<Timestamp>,
}

/// The plan of a scan.
#[derive(Clone, Debug)]
pub enum PlannedScan<'p> {
    /// So many GETs, or one per page.
    List { gets: u64, pages: Option<&'p Pages> },
    /// Every row of a search that passes the filter.
    AllRows { search: &'p RowSearch, filter: Option<Filter> },
    /// The rows that each date of a search puts after its point.
    ChangedRows { search: &'p RowSearch, since: Since },
    /// Documents of ids, in sets of at most `max_ids`.
    Documents { get: &'p str, max_ids: usize, ids: PlannedIds<'p> },
}

/// The ids of a scan, as they are found.
#[derive(Clone, Debug)]
pub enum PlannedIds<'p> {
    /// All ids of the resource, or those of records created from then on.
    All(Option<Timestamp>),
    /// Ids that a search shows by its dates, less those with a held newest copy; and open records.
    Changed { changes: &'p Changes, since: Since, open_every: Option<Duration> },
    /// The ids of all owners.
    Owners(&'p Owners),
    /// The ids of owners that their own search shows by its dates.
    ChangedOwners { owner: &'p Resource, changes: Changes, since: Since },
    /// Ids of owners that a table of another resource holds and that changed rows reference.
    ChangedHeldOwners,
    /// Ids that the newest snapshot lacks, while its day lasts; then those of all owners.
    SnapshotHoles(&'p Owners),
}

/// Plans one scan of a resource. Refuses (`Schema`, `Bug`) changes of a resource without dates, or before a scan was
/// completed.
pub fn plan_scan<'p>(
    resource: &'p Resource,
    step: &Step,
    kind: ScanKind,
    mark: Option<Timestamp>,
    inputs: PlanInputs<'p>,
) -> Result<PlannedScan<'p>> {
    let since = || {
        let edits = step.since.or(mark).ok_or_else(|| {
            Failure::new(Kind::Bug, format!("ask for changes of {}", resource.name))
                .because("no scan has been completed")
        })?;
        Ok::<_, Failure>(Since::of(resource, inputs.state, inputs.limits, edits))
    };
    match (&resource.read.style, kind) {
        (ReadStyle::List { gets, pages }, _) => {
            Ok(PlannedScan::List { gets: count(gets.len()), pages: pages.as_ref() })
        }
        (ReadStyle::Search(search), ScanKind::Full) => {
            let filter = created_since(search.since.first(), inputs.start);
            Ok(PlannedScan::AllRows { search, filter })
        }
        (ReadStyle::Search(search), ScanKind::Changes) => Ok(PlannedScan::ChangedRows { search, since: since()? }),
        (ReadStyle::IdSets { get, max_ids, changes, .. }, kind) => {
            let ids = match kind {
                ScanKind::Full => PlannedIds::All(inputs.start.filter(|_| changes.is_some())),
                ScanKind::Changes => {
                    let changes = changes.as_ref().ok_or_else(|| no_changes(resource))?;
                    PlannedIds::Changed { changes, since: since()?, open_every: step.open_every }
                }
            };
            Ok(PlannedScan::Documents { get, max_ids: *max_ids, ids })
        }
        (ReadStyle::PerOwner { get, max_ids, owners }, kind) => {
            let ids = match kind {
                ScanKind::Full if resource.is_snapshot() && step.since.is_some() => PlannedIds::SnapshotHoles(owners),
                ScanKind::Full => PlannedIds::Owners(owners),
                ScanKind::Changes => {
                    let Owners::Listed { resource: owner, .. } = owners else {
                        let ids = PlannedIds::ChangedHeldOwners;
                        return Ok(PlannedScan::Documents { get, max_ids: *max_ids, ids });
                    };
                    let owner = inputs.catalog.get(owner)?;
                    let ReadStyle::IdSets { changes: Some(changes), .. } = &owner.read.style else {
                        return Err(no_changes(owner));
                    };
                    // The values of an owner, open or not, state nothing about the records read by its id.
                    let changes = Changes { same: Vec::new(), open: None, ..changes.clone() };
                    PlannedIds::ChangedOwners { owner, changes, since: since()? }
                }
            };
            Ok(PlannedScan::Documents { get, max_ids: *max_ids, ids })
        }
    }
}

/// The open records that a scan reads though nothing shows a change: those that the source lists in every scan, others
/// once their cadence is over.
pub fn open_due<'c>(
    changes: &'c Changes,
    open_every: Option<Duration>,
    state: &State,
    now: Moment,
    limits: &Limits,
) -> Option<&'c Open> {
    changes.open.as_deref().filter(|open| match open {
        Open::Listed { .. } => true,
        Open::Until { .. } => opens(open_every, state, now, limits),
    })
}

/// Whether the cadence of re-reading open records is over.
pub fn opens(open_every: Option<Duration>, state: &State, now: Moment, limits: &Limits) -> bool {
    let opened = Moment { theirs: state.open_reread_at, ours: state.clocks.open_reread_at };
    open_every.is_some_and(|every| is_over(opened, every, now, limits.overlap))
}

/// A failure: the schema lacks a setting that a scan for changes needs.
pub fn no_changes(resource: &Resource) -> Failure {
    Failure::new(Kind::Schema, format!("ask for changes of {}", resource.name)).because("its schema says no `changes`")
}
