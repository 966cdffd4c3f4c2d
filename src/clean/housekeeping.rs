//! Housekeeping at the end of a run: removes manifests, superseded files, plans and reports by the rules of `clean` and
//! within a budget. The next run does the rest.
//!
//! Takes a store and the locks that the run still holds. Uses a few lists and reads only candidates, so that a night
//! costs few requests. Unlike `clean` it does not search for files: the files that a version removed are deleted once
//! more before that version is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::clean::retention::{MANY_VERSIONS, NEWEST_REPORTS, NEWEST_VERSIONS, ROOM, Retention, version_of};
use crate::config::DestinationLayout;
use crate::failure::{Kind, Result};
use crate::history::{HistoryJoins, is_due, join_history};
use crate::manifest::{Outline, Version, head, outline};
use crate::store::{Locks, Store, paths};

/// Requests to the store a run, a list of a thousand objects and a delete of a thousand counted as one.
const REQUESTS: usize = 200;
/// The time that it may take.
const FOR: Duration = Duration::from_secs(20);
/// Versions are pruned once this many more are there than are kept: a head is read for several of them.
const SLACK: usize = 5;
/// Objects of a list, and of a delete, that take one request.
const PAGE: usize = 1_000;
/// Requests beside those for each version: the newest number, the head, its checkpoint, the first version that stays,
/// the lock, two deletes.
const EACH: usize = 7;

/// The destination and the resources to be kept in order.
#[derive(Clone, Copy, Debug)]
pub struct Housekeeping<'a> {
    pub store: &'a Store,
    pub locks: &'a Locks,
    pub run: &'a str,
    /// Resources that ended well; those not locked by the run are skipped.
    pub resources: &'a [&'a str],
    /// By our clock, which is only used for the age of versions and reports.
    pub now: Timestamp,
}

/// The files removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub versions: usize,
    pub plans: usize,
    pub reports: usize,
    /// Files of the history that became fewer.
    pub joined: usize,
}

impl Removed {
    /// Whether nothing was.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The requests that are left.
#[derive(Debug)]
struct Budget(usize);

impl Budget {
    /// Whether this many may be made; then they count as made.
    fn spend(&mut self, requests: usize) -> bool {
        let enough = self.0 >= requests;
        self.0 = self.0.saturating_sub(if enough { requests } else { 0 });
        enough
    }

    /// Counts the pages of a list that was made.
    fn listed(&mut self, objects: usize) {
        self.0 = self.0.saturating_sub(objects.div_ceil(PAGE).max(1));
    }
}

/// Removes unneeded objects until the budget is spent.
pub async fn keep_house(work: Housekeeping<'_>) -> Result<Removed> {
    let (mut budget, mut removed) = (Budget(REQUESTS), Removed::default());
    work.store.remove_empty_staging(work.run);
    // Files removed when the time is up were not needed: any part of them may go.
    match tokio::time::timeout(FOR, work.all(&mut budget, &mut removed)).await {
        Ok(outcome) => outcome.map(|()| removed),
        Err(_) => Ok(removed),
    }
}

impl Housekeeping<'_> {
    async fn all(self, budget: &mut Budget, removed: &mut Removed) -> Result<()> {
        self.prune_reports(budget, removed).await?;
        self.prune_versions(budget, removed).await?;
        self.prune_plans(budget, removed).await?;
        self.join_history(budget, removed).await
    }

    /// The resources that are ours to clean, with the versions of each, most first.
    async fn prune_versions(self, budget: &mut Budget, removed: &mut Removed) -> Result<()> {
        let listed = self.store.list(paths::MANIFESTS).await?;
        budget.listed(listed.len());
        let mut versions: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for (path, bytes) in &listed {
            if let Some((resource, number)) = version_of(path) {
                versions.entry(resource).or_default().push((number, *bytes));
            }
        }
        versions.retain(|resource, of| {
            let bytes: u64 = of.iter().map(|(_, bytes)| bytes).sum();
            let many = of.len() > MANY_VERSIONS + SLACK || (bytes > ROOM && of.len() > NEWEST_VERSIONS + SLACK);
            many && self.resources.contains(resource)
        });
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
        for (resource, of) in versions {
            if !budget.spend(EACH) {
                return Ok(());
            }
            removed.versions += self.prune_resource(resource, &of, budget).await?;
        }
        Ok(())
    }

    /// Prunes versions of a resource, given with their bytes from the oldest on; gives how many.
    async fn prune_resource(self, resource: &str, listed: &[(u64, u64)], budget: &mut Budget) -> Result<usize> {
        let Some(head) = head(self.store, resource).await? else { return Ok(0) };
        let total = listed.iter().map(|(_, bytes)| bytes).sum();
        let mut retention = Retention::of_versions(Some(&head), listed.len(), total, self.now);
        if !retention.may_prune() {
            return Ok(0);
        }
        let (older, kept) = listed.split_at(listed.len() - NEWEST_VERSIONS);
        let of_head = head.checkpoint.as_ref().map(|checkpoint| checkpoint.version);
        let mut going: Vec<Outline> = Vec::new();
        let mut first_kept = kept[0].0;
        for (number, bytes) in older {
            if Some(*number) == of_head {
                continue;
            }
            let affordable = budget.spend(1);
            let found = if affordable { self.readable(resource, *number).await? } else { None };
            match found {
                Some(outline) if retention.goes(outline.written_at, *bytes) => going.push(outline),
                None if affordable => {}
                Some(_) | None => {
                    first_kept = *number;
                    break;
                }
            }
        }
        // The checkpoints of later versions are this one's or newer.
        let Some(first_kept) = self.readable(resource, first_kept).await? else { return Ok(0) };
        going.retain(|outline| outline.version != first_kept.checkpoint);
        if going.is_empty() || !self.locks.still_holds(resource).await? {
            return Ok(0);
        }
        // As long as a file may exist there, a version identifies it as ours.
        self.store.delete(&superseded(&head, &going, self.store.layout())).await?;
        let paths: Vec<String> = going.iter().map(|outline| paths::manifest(resource, outline.version)).collect();
        self.store.delete(&paths).await?;
        Ok(paths.len())
    }

    /// A version, unless it is gone or damaged: then it is nobody's to judge by.
    async fn readable(self, resource: &str, number: u64) -> Result<Option<Outline>> {
        match outline(self.store, resource, number).await {
            Err(failure) if failure.kind() == Kind::Damage => Ok(None),
            outcome => outcome,
        }
    }

    /// Plans that no head names: of scans that are over, or that never began.
    async fn prune_plans(self, budget: &mut Budget, removed: &mut Removed) -> Result<()> {
        let listed = self.store.list(paths::SCANS).await?;
        budget.listed(listed.len());
        for resource in self.resources {
            let plans: Vec<String> =
                listed.iter().map(|(path, _)| path).filter(|path| paths::is_scan(path, resource)).cloned().collect();
            if plans.is_empty() || !budget.spend(EACH) || !self.locks.still_holds(resource).await? {
                continue;
            }
            let head = head(self.store, resource).await?;
            let named = head.iter().flat_map(Version::plans).collect::<BTreeSet<_>>();
            let going: Vec<String> = plans.into_iter().filter(|path| !named.contains(path.as_str())).collect();
            self.store.delete(&going).await?;
            removed.plans += going.len();
        }
        Ok(())
    }

    async fn prune_reports(self, budget: &mut Budget, removed: &mut Removed) -> Result<()> {
        let mut listed = self.store.list_by_age(paths::RUNS).await?;
        budget.listed(listed.len());
        listed.retain(|(path, _)| paths::is_report(path));
        let bytes = listed.iter().map(|(_, bytes)| bytes).sum();
        // The report of this run is still to come.
        let count = listed.len() + 1;
        let mut retention = Retention::of_reports(count, bytes, self.now);
        listed.truncate(count.saturating_sub(NEWEST_REPORTS));
        let mut going = Vec::new();
        for (path, bytes) in listed {
            if !budget.spend(1) {
                break;
            }
            match started_at(self.store, &path).await? {
                Some(at) if retention.goes(at, bytes) => going.push(path),
                Some(_) => break,
                None => {}
            }
        }
        if !going.is_empty() && budget.spend(1) {
            self.store.delete(&going).await?;
            removed.reports = going.len();
        }
        Ok(())
    }

    async fn join_history(self, budget: &mut Budget, removed: &mut Removed) -> Result<()> {
        let listed = self.store.list(paths::HISTORY).await?;
        budget.listed(listed.len());
        if is_due(&listed).is_some_and(|requests| budget.spend(requests)) {
            removed.joined = join_history(HistoryJoins { store: self.store, run: self.run, now: self.now }).await?;
        }
        Ok(())
    }
}

/// When the run of a report began; none where it is no report that can be read.
pub async fn started_at(store: &Store, path: &str) -> Result<Option<Timestamp>> {
    #[derive(Deserialize)]
    struct Report {
        started_at: Timestamp,
    }
    let text = match store.get(path).await {
        // Larger than any report of ours.
        Err(failure) if failure.kind() == Kind::Damage => None,
        found => found?,
    };
    Ok(text.and_then(|text| serde_json::from_slice::<Report>(&text).ok()).map(|report| report.started_at))
}

/// Files that versions took out of the head's tables and files of deleted rows.
fn superseded(head: &Version, versions: &[Outline], layout: DestinationLayout) -> Vec<String> {
    let live: BTreeSet<&str> = head.files().chain(&head.deleted).map(|file| file.path.as_str()).collect();
    // A table that is not the head's may be another resource's by now.
    let is_ours = |path: &str| {
        let of = paths::of_data(path).or_else(|| paths::of_deleted(path));
        of.is_some_and(|(table, _)| head.tables.contains_key(table))
    };
    let gone: BTreeSet<&String> = versions.iter().flat_map(|version| &version.removes).collect();
    let stays = |path: &str| match layout {
        DestinationLayout::Parquet => false,
        // The log of its table names it, and states when it goes.
        DestinationLayout::Delta => paths::of_data(path).is_some(),
    };
    gone.into_iter().filter(|path| !live.contains(path.as_str()) && is_ours(path) && !stays(path)).cloned().collect()
}
