//! The requests and records of one resource's scans, by its reading style: what [`make`](super::resource::make) would ask,
//! counted instead of asked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::config::Limits;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Filter, IdRanges, Query, collapse, count, expand};
use crate::manifest::{Cursor, Key, Scan, ScanKind, State, Version, read_plan};
use crate::plan::Step;
use crate::run::amount::Amount;
use crate::run::changed::{Sighting, leave_out_held, sight, stamps};
use crate::run::cost::held_records;
use crate::run::probe::{Extent, Probe, pages};
use crate::schema::{Catalog, Changes, IdSearch, Inventory, Owners, Resource, RowSearch, Style};
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
struct Held<'a> {
    resource: &'a Resource,
    head: Option<&'a Version>,
    state: &'a State,
}

/// The ids that a scan would ask for, and what it takes to learn them.
struct Inventoried {
    requests: Amount,
    ids: Option<IdRanges>,
    number: Amount,
    at: Timestamp,
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

    /// All ids of a resource that is read by id sets.
    async fn inventory(&mut self, held: Held<'_>, whose: &Resource) -> Result<Inventoried> {
        let Style::IdSets { inventory, changes, .. } = &whose.read.style else { return Err(no_changes(whose)) };
        let service = &whose.read.service;
        let held = Amount::about(held.head.and_then(|head| held_records(held.resource, head)).unwrap_or(0));
        let unknown =
            |requests| Inventoried { requests: Amount::about(requests), ids: None, number: held, at: Timestamp::MIN };
        match inventory {
            Inventory::Options(path) => match self.probe.options(&format!("{service}/{path}")).await {
                Ok(Some(found)) => Ok(listed(1, found.ids, true, found.started_at)),
                Ok(None) => Ok(unknown(1)),
                Err(failure) if failure.kind() == Kind::Unreachable => {
                    // A run would try twice, then ask for the ends and for windows between them.
                    let Some(changes) = changes else { return Err(failure) };
                    let query = self.probe.asker().query(service, &changes.search, &[], None);
                    let Some(extent) = self.probe.extent(&query, &changes.search.id, &[]).await? else {
                        return Err(failure);
                    };
                    let number = Amount::about(extent.rows.value);
                    Ok(Inventoried { requests: Amount::about(5), ids: None, number, at: extent.answered })
                }
                Err(failure) => Err(failure),
            },
            Inventory::Search(search) => {
                let query = self.probe.asker().query(service, search, &[], None);
                let Some(extent) = self.probe.extent(&query, &search.id, &[]).await? else { return Ok(unknown(1)) };
                let number = Amount { exact: extent.rows.exact && search.id == search.row, ..extent.rows };
                let ids = extent.whole.then(|| collapse(extent.page.iter().map(|row| row.id)));
                Ok(Inventoried { requests: extent.pages, ids, number, at: extent.answered })
            }
            Inventory::Windows(search) => {
                let Some((at, least)) = self.probe.edge(service, search, "ASC").await? else { return Ok(unknown(2)) };
                let Some((_, greatest)) = self.probe.edge(service, search, "DESC").await? else {
                    return Ok(unknown(2));
                };
                let span = least.zip(greatest).map(|span| vec![span]).unwrap_or_default();
                Ok(listed(2, span, false, at))
            }
        }
    }

    /// The ids of the owners of a per-owner resource.
    async fn owners(&mut self, held: Held<'_>, owners: &Owners) -> Result<Inventoried> {
        let owner = self.catalog.get(&owners.resource)?;
        let mut all = self.inventory(held, owner).await?;
        let Some((column, wanted)) = &owners.filter else { return Ok(all) };
        let Style::IdSets { changes: Some(Changes { search, .. }), .. } = &owner.read.style else {
            return Err(no_changes(owner));
        };
        let filter = Filter::Bool { column: column.clone(), value: !wanted };
        let query = self.probe.asker().query(&owner.read.service, search, &[], Some(filter));
        match self.probe.extent(&query, &search.id, &[]).await? {
            None => {
                all.requests = all.requests.plus(Amount::about(1));
                all.number.exact = false;
            }
            Some(Extent { whole: true, page, pages, .. }) if all.ids.is_some() => {
                let others: BTreeSet<i64> = page.into_iter().map(|row| row.id).collect();
                let ids = all.ids.iter().flatten().copied().collect::<Vec<_>>();
                let left = collapse(expand(&ids).filter(|id| !others.contains(id)));
                let exact = all.number.exact;
                all.number = Amount { value: count(&left), exact };
                all.ids = Some(left);
                all.requests = all.requests.plus(pages);
            }
            Some(extent) => {
                let exact = all.number.exact && extent.rows.exact && search.id == search.row;
                all.number = Amount { value: all.number.value.saturating_sub(extent.rows.value), exact };
                all.ids = None;
                all.requests = all.requests.plus(extent.pages);
            }
        }
        Ok(all)
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
            let settle = SignedDuration::try_from(self.limits.settle).unwrap_or_default();
            leave_out_held(store, held.resource, held.head, &changes.same, settle, &mut sightings).await?;
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

/// Ids that are known, or all numbers between two of them.
fn listed(requests: u64, ids: IdRanges, exact: bool, at: Timestamp) -> Inventoried {
    let number = Amount { value: count(&ids), exact };
    Inventoried { requests: Amount::exact(requests), ids: Some(ids), number, at }
}

/// The documents of these ids and of what is owed, less what is left out for a while: a request for each set.
fn documents(state: &State, found: Inventoried, max_ids: usize) -> Estimate {
    let owed: Vec<i64> =
        state.owed.iter().filter_map(|owed| if let Key::Int(id) = owed.id { Some(id) } else { None }).collect();
    let left_out: BTreeSet<i64> = state.left_out.iter().filter(|out| out.until > found.at).map(|out| out.id).collect();
    let plain = owed.is_empty() && left_out.is_empty();
    let (asked, exact) = match &found.ids {
        Some(ids) if plain => (count(ids), true),
        Some(ids) => (count(&collapse(expand(ids).chain(owed).filter(|id| !left_out.contains(id)))), true),
        None => {
            let length = |length: usize| u64::try_from(length).expect("a length fits");
            let more = found.number.value.saturating_add(length(owed.len()));
            (more.saturating_sub(length(left_out.len())), plain && found.number.exact)
        }
    };
    let sets = Amount { value: asked, exact }.sets(max_ids);
    Estimate {
        requests: found.requests.plus(sets),
        records: Some(Amount { value: asked, exact: exact && found.number.exact }),
    }
}

fn after(column: &str, since: Timestamp) -> Filter {
    Filter::Period { column: column.to_owned(), window: Window::since(since) }
}

fn unknown(requests: u64) -> Estimate {
    Estimate { requests: Amount::about(requests), records: None }
}

fn no_changes(resource: &Resource) -> Failure {
    Failure::new(Kind::Schema, format!("plan {}", resource.name))
        .because("its schema says no `changes`, or no inventory of ids")
}
