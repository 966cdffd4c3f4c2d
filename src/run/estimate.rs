//! The requests and records of one resource's scans, by its reading style: what [`make`](super::resource::make) would ask,
//! counted instead of asked.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::config::Limits;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Filter, Query, collapse, count};
use crate::manifest::{Cursor, Scan, ScanKind, State, Version, read_plan};
use crate::plan::Step;
use crate::run::amount::Amount;
use crate::run::changed::{Sighting, leave_out_held, sight, stamps};
use crate::run::cost::held_records;
use crate::run::inventoried::{Inventoried, documents, listed};
use crate::run::probe::{Probe, pages};
use crate::schema::{Catalog, Changes, IdSearch, Resource, RowSearch, Style};
use crate::store::Store;
use crate::window::Window;

/// What a scan would ask and bring.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    pub requests: Amount,
    /// None where only the answer itself would tell.
    pub records: Option<Amount>,
}

/// Counts what scans would ask.
pub struct Estimator<'a> {
    pub catalog: &'a Catalog,
    /// None where nothing was ever written.
    pub store: Option<&'a Store>,
    pub probe: Probe<'a>,
    pub limits: &'a Limits,
}

/// A resource at its destination.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    pub resource: &'a Resource,
    pub head: Option<&'a Version>,
    pub state: &'a State,
}

impl Estimator<'_> {
    /// One estimate for each step.
    pub async fn steps(
        &mut self,
        resource: &Resource,
        head: Option<&Version>,
        steps: &[Step],
    ) -> Result<Vec<Estimate>> {
        let blank = State::default();
        let held = Held { resource, head, state: head.map_or(&blank, |head| &head.state) };
        let mut mark = held.state.watermark;
        let mut estimates = Vec::new();
        for step in steps {
            let mut estimate = self.step(held, step, step.since.or(mark)).await?;
            // What the scan before brings is held by then.
            estimate.requests.exact &= estimates.is_empty();
            if let Some(scan) = &step.resume {
                let overlap = SignedDuration::try_from(self.limits.overlap).unwrap_or_default();
                mark = mark.max(scan.started_at.saturating_sub(overlap).ok());
            }
            estimates.push(estimate);
        }
        Ok(estimates)
    }

    async fn step(&mut self, held: Held<'_>, step: &Step, since: Option<Timestamp>) -> Result<Estimate> {
        let resource = held.resource;
        if let Some(estimate) = self.resumed(step.resume.as_ref()).await? {
            return Ok(estimate);
        }
        let since = || {
            since.ok_or_else(|| {
                Failure::new(Kind::Bug, format!("plan the changes of {}", resource.name))
                    .because("no scan was completed")
            })
        };
        match (&resource.read.style, step.kind) {
            (Style::List { .. }, _) => Ok(Estimate { requests: Amount::exact(1), records: None }),
            (Style::Search(search), ScanKind::Full) => self.all_rows(held, search, step.resume.as_ref()).await,
            (Style::Search(search), ScanKind::Changes) => self.changed_rows(resource, search, since()?).await,
            (Style::IdSets { max_ids, .. }, ScanKind::Full) => {
                let found = self.inventory(held, resource).await?;
                Ok(documents(held.state, found, *max_ids))
            }
            (Style::IdSets { max_ids, changes, .. }, ScanKind::Changes) => {
                let changes = changes.as_ref().ok_or_else(|| no_changes(resource))?;
                self.changed(held, resource, changes, since()?, *max_ids).await
            }
            (Style::PerOwner { max_ids, owners, .. }, ScanKind::Full) => {
                let found = self.owners(held, owners).await?;
                Ok(documents(held.state, found, *max_ids))
            }
            (Style::PerOwner { max_ids, owners, .. }, ScanKind::Changes) => {
                let owner = self.catalog.get(&owners.resource)?;
                let Style::IdSets { changes: Some(changes), .. } = &owner.read.style else {
                    return Err(no_changes(owner));
                };
                let plain = Changes { same: Vec::new(), ..changes.clone() };
                self.changed(held, owner, &plain, since()?, *max_ids).await
            }
        }
    }

    /// What is left of an unfinished scan by ids; none where its plan is gone, or there is no such scan.
    async fn resumed(&self, scan: Option<&Scan>) -> Result<Option<Estimate>> {
        let (Some(Scan { cursor: Cursor::Slices { plan, done }, .. }), Some(store)) = (scan, self.store) else {
            return Ok(None);
        };
        let Some(plan) = read_plan(store, plan).await? else { return Ok(None) };
        let is_done = |slice: u64| done.iter().any(|(first, last)| (*first..=*last).contains(&slice));
        let left: Vec<u64> =
            (0..).zip(&plan.slices).filter(|(slice, _)| !is_done(*slice)).map(|(_, ids)| count(ids)).collect();
        let slices = u64::try_from(left.len()).expect("a length fits");
        Ok(Some(Estimate { requests: Amount::exact(slices), records: Some(Amount::about(left.iter().sum())) }))
    }

    async fn all_rows(&mut self, held: Held<'_>, search: &RowSearch, resume: Option<&Scan>) -> Result<Estimate> {
        let query = self.rows_query(held.resource, search, None);
        let Some(mut extent) = self.probe.extent(&query, &search.row, &[]).await? else { return Ok(unknown(1)) };
        let size = u64::from(query.page_size);
        if let (false, Some(known)) = (extent.rows.exact, held.head.and_then(|head| held_records(held.resource, head)))
        {
            extent.rows.value = extent.rows.value.max(known);
            extent.pages.value = pages(extent.rows.value, 1, size);
        }
        match resume {
            Some(Scan { cursor: Cursor::Rows { next, .. }, .. }) => Ok(Estimate {
                requests: Amount { value: pages(extent.rows.value, *next, size), exact: extent.pages.exact },
                records: Some(Amount { value: extent.rows.value.saturating_sub(*next), exact: extent.rows.exact }),
            }),
            Some(_) | None => Ok(Estimate { requests: extent.pages, records: Some(extent.rows) }),
        }
    }

    async fn changed_rows(&mut self, resource: &Resource, search: &RowSearch, since: Timestamp) -> Result<Estimate> {
        let mut requests = Amount::exact(0);
        // A row that bears both dates comes twice.
        let mut records = Amount { value: 0, exact: search.since.len() == 1 };
        for column in &search.since {
            let query = self.rows_query(resource, search, Some(after(column, since)));
            match self.probe.extent(&query, &search.row, &[]).await? {
                Some(extent) => {
                    requests = requests.plus(extent.pages);
                    records = records.plus(extent.rows);
                }
                None => requests = requests.plus(Amount::about(1)),
            }
        }
        Ok(Estimate { requests, records: Some(records) })
    }

    /// The query of a search for rows, with no column but those that the count depends on.
    fn rows_query(&self, resource: &Resource, search: &RowSearch, filter: Option<Filter>) -> Query {
        let row = search.row.clone();
        let search = IdSearch { search: search.search.clone(), id: row.clone(), row };
        self.probe.asker().query(&resource.read.service, &search, &[], filter)
    }

    /// What changed of `whose` records since then, less what is held.
    async fn changed(
        &mut self,
        held: Held<'_>,
        whose: &Resource,
        changes: &Changes,
        since: Timestamp,
        max_ids: usize,
    ) -> Result<Estimate> {
        let stamps = stamps(changes);
        let mut requests = Amount::exact(0);
        let mut sightings: BTreeMap<i64, Sighting> = BTreeMap::new();
        let (mut rows, mut shown, mut whole, mut at) = (0, 0, true, Timestamp::MIN);
        for column in &changes.since {
            let query =
                self.probe.asker().query(&whose.read.service, &changes.search, &stamps, Some(after(column, since)));
            let Some(extent) = self.probe.extent(&query, &changes.search.id, &stamps).await? else {
                requests = requests.plus(Amount::about(1));
                whole = false;
                continue;
            };
            requests = requests.plus(extent.pages);
            rows += extent.rows.value;
            shown += u64::try_from(extent.page.len()).expect("a length fits");
            whole &= extent.whole;
            at = at.max(extent.answered);
            sight(&mut sightings, changes, extent.answered, extent.page);
        }
        if whose.name != held.resource.name {
            sightings.retain(|id, sighting| held.state.seen.get(id) != Some(&sighting.text));
        }
        if let Some(store) = self.store {
            leave_out_held(store, held.resource, held.head, &changes.same, self.limits, &mut sightings).await?;
        }
        if whose.name == held.resource.name {
            if changes.open.is_some() {
                // The list of open ones; what it brings beside what changed is not foreseen.
                requests = requests.plus(Amount::about(1));
            }
            // Nor is what rows of others will name.
            requests.exact &= held.resource.read.also_from.is_empty();
        }
        let ids = collapse(sightings.into_keys());
        if whole {
            return Ok(documents(held.state, Inventoried { requests, ..listed(0, ids, true, at) }, max_ids));
        }
        // What was not shown is taken to be like what was.
        let number = u128::from(count(&ids)) * u128::from(rows) / u128::from(shown.max(1));
        let number = Amount::about(u64::try_from(number).unwrap_or(u64::MAX));
        Ok(documents(held.state, Inventoried { requests, ids: None, number, at }, max_ids))
    }
}

fn after(column: &str, since: Timestamp) -> Filter {
    Filter::Period { column: column.to_owned(), window: Window::since(since) }
}

fn unknown(requests: u64) -> Estimate {
    Estimate { requests: Amount::about(requests), records: None }
}

/// A schema that lacks what a scan of this kind needs.
pub fn no_changes(resource: &Resource) -> Failure {
    Failure::new(Kind::Schema, format!("plan {}", resource.name))
        .because("its schema says no `changes`, or no inventory of ids")
}
