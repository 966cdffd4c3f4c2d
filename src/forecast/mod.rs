//! The cost of a run, without making it: its scans, their requests, records, rows and bytes.
//!
//! Takes a [`RunRequest`], gives a [`Forecast`]. Counts the scans that `run` would make. Spends at most two requests on
//! a resource; takes no lock and writes nothing. Numbers that the source does not state beforehand are estimates,
//! marked as such.

mod amount;
mod probe;
mod request_counter;
mod cost;
mod id_count;
mod planned_requests;
mod dependents;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Limits;
use crate::event::Event;
use crate::failure::{Failure, Kind, Recovery, Result};
use crate::fetch::{Auth, Client};
use crate::forecast::cost::cost;
use crate::forecast::dependents::{Brings, touched};
use crate::forecast::probe::Probe;
use crate::forecast::request_counter::RequestCounter;
use crate::manifest::{ScanKind, Version, nonce, staged};
use crate::plan::{PartitionState, ResourceOptions, Step, StepKind, plan};
use crate::run::selection::options;
use crate::run::{RunRequest, choose, read_heads};
use crate::schema::Resource;
use crate::store::Store;

pub use amount::Amount;
pub use cost::{Cost, ScanForecast};

/// The steps of a run and their cost.
#[derive(Debug)]
pub struct Forecast {
    pub resources: Vec<ResourceForecast>,
    /// Requests that the forecast itself has spent.
    pub spent: u64,
    /// Requests that a run may send in a period; none where there is no quota.
    pub pace: Option<(u32, Duration)>,
}

/// The steps of a run for one resource, and their cost.
#[derive(Debug)]
pub struct ResourceForecast {
    pub resource: String,
    pub scans: Vec<ScanForecast>,
    /// Why nothing is due.
    pub idle: Option<String>,
    /// The reason for a missing forecast.
    pub failure: Option<Failure>,
    /// Requests spent on it.
    pub spent: u64,
    /// How a date divides its files; none where none does.
    pub partition: Option<PartitionState>,
}

impl Forecast {
    /// How long this many requests take at the pace; none where there is no quota.
    pub fn time(&self, requests: u64) -> Option<Duration> {
        let (budget, period) = self.pace?;
        let millis = period.as_millis().saturating_mul(u128::from(requests)) / u128::from(budget.max(1));
        Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// The sum of all scans; it is an estimate where a resource has no forecast.
    pub fn total(&self) -> Cost {
        let scans = self.resources.iter().flat_map(|resource| &resource.scans);
        let mut total = scans.map(|scan| scan.cost).reduce(Cost::plus).unwrap_or(Cost::NOTHING);
        total.requests.exact &= self.resources.iter().all(|resource| resource.failure.is_none());
        total
    }

    /// 3 when a resource has no forecast.
    pub fn exit_code(&self) -> u8 {
        if self.resources.iter().any(|resource| resource.failure.is_some()) { 3 } else { 0 }
    }
}

/// Forecasts the steps of a run and their cost.
pub async fn forecast(request: &RunRequest) -> Result<Forecast> {
    let chosen = choose(&request.catalog, &request.settings, &request.names)?;
    let account = request.settings.account()?;
    let credentials = request.settings.credentials(request.now)?;
    let limits = request.settings.limits()?;
    request.events.tell(Event::Begun { run: nonce(), account: account.code.clone(), resources: chosen.len() });
    let mut heads = read_heads(&request.settings, &chosen).await?;
    let store = if heads.is_empty() { None } else { Some(Store::of(&request.settings, false)?) };
    if let Some(store) = &store {
        resolve(store, &mut heads).await?;
    }
    let auth = Auth::new(credentials, &account.code, request.redactor.clone())?;
    let client = Client::new(&account, auth, &limits, request.seed, request.events.clone())?;
    client.clocks().set(request.now);
    let mut counter = RequestCounter {
        catalog: &request.catalog,
        store: store.as_ref(),
        probe: Probe::new(&client, &request.stop),
        limits: &limits,
        now: request.now,
    };
    let mut resources = Vec::new();
    let mut brought: BTreeMap<String, Brings> = BTreeMap::new();
    for resource in chosen {
        let head = heads.get(&resource.name);
        let before = client.requests();
        let (mut found, fresh) = look_ahead(&mut counter, resource, head, options(request, resource)).await?;
        found.spent = client.requests() - before;
        brought.insert(resource.name.clone(), fresh);
        resources.push(found);
    }
    for found in &mut resources {
        let resource = request.catalog.get(&found.resource)?;
        let head = heads.get(&resource.name);
        let named = touched(store.as_ref(), request, resource, head, &brought).await?;
        let changes = found.scans.iter_mut().find(|scan| scan.kind == StepKind::Scan(ScanKind::Changes));
        match (resource.held_ids(), changes) {
            // A nightly run of these reads referenced ids, and nothing else.
            (Some(_), Some(changes)) => {
                if let Some(named) = named {
                    let requests = changes.cost.requests.plus(named.cost.requests);
                    changes.cost = Cost { requests, ..named.cost };
                }
            }
            // A full scan reads these ids anyway.
            (Some(_), None) => {}
            (None, _) => found.scans.extend(named),
        }
    }
    Ok(Forecast { resources, spent: client.requests(), pace: pace(&limits) })
}

/// The requests that a run may send in a period.
fn pace(limits: &Limits) -> Option<(u32, Duration)> {
    let budget = limits.requests_per_period.checked_sub(limits.reserve).filter(|budget| *budget > 0)?;
    Some((budget, limits.period))
}

/// Files that a crashed run committed and did not publish are read where they are.
async fn resolve(store: &Store, heads: &mut BTreeMap<String, Version>) -> Result<()> {
    let waiting = staged(store).await?;
    for file in heads.values_mut().flat_map(|head| head.tables.values_mut()).flat_map(|table| &mut table.files) {
        if waiting.contains(&file.staged) {
            file.path.clone_from(&file.staged);
        }
    }
    Ok(())
}

/// The forecast of one resource. Fails only where the run as a whole would stop.
async fn look_ahead(
    counter: &mut RequestCounter<'_>,
    resource: &Resource,
    head: Option<&Version>,
    options: Result<ResourceOptions>,
) -> Result<(ResourceForecast, Brings)> {
    let name = resource.name.clone();
    let partition = PartitionState::of(resource, head);
    let mut found =
        ResourceForecast { resource: name, scans: Vec::new(), idle: None, failure: None, spent: 0, partition };
    let options = match options {
        Ok(options) => options,
        Err(failure) if failure.kind().recovery() == Recovery::StopRun => return Err(failure),
        Err(failure) => {
            found.failure = Some(failure);
            return Ok((found, Brings::default()));
        }
    };
    let job = plan(resource, head, options);
    let source_now = counter.probe.id_source().client.clocks().theirs();
    let job = if job.idle.is_some() { plan(resource, head, ResourceOptions { source_now, ..options }) } else { job };
    found.idle = job.idle;
    let steps: Vec<&Step> = job.steps.iter().chain(&job.later).collect();
    let mut brings = Brings::default();
    counter.probe.turn_to(&resource.name);
    match counter.steps(resource, head, options.start, &steps).await {
        Ok(estimates) => {
            for (step, estimate) in steps.into_iter().zip(estimates) {
                let cost = cost(resource, head, step.kind, estimate);
                let whole = step.kind == StepKind::Scan(ScanKind::Full);
                brings.everything |= whole;
                // Most records that are read again are unchanged.
                if !whole && !matches!(step.kind, StepKind::Reread(_)) {
                    brings.fresh = brings.fresh.plus(estimate.fresh);
                }
                found.scans.push(ScanForecast { kind: step.kind, reason: step.reason.clone(), cost });
            }
        }
        Err(failure) if failure.kind().recovery() == Recovery::StopRun => return Err(failure),
        Err(failure) if failure.kind() == Kind::Unreachable && !counter.probe.was_answered() => return Err(failure),
        Err(failure) => found.failure = Some(failure),
    }
    Ok((found, brings))
}
