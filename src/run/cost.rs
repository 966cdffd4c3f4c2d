//! What a run would cost, without making it: its scans, their requests, records, rows and bytes.
//!
//! Takes a [`RunRequest`], gives a [`Forecast`]. Spends at most two requests on a resource; takes no lock and writes nothing.
//! What the source does not tell beforehand is an estimate that says so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Limits;
use crate::event::Event;
use crate::failure::{Failure, Kind, Recovery, Result};
use crate::fetch::{Auth, Client};
use crate::manifest::{ScanKind, Version, staged};
use crate::plan::{ResourceOptions, Step, StepKind, plan};
use crate::run::amount::Amount;
use crate::run::estimate::{Estimate, Estimator};
use crate::run::foresee::{Brings, touched};
use crate::run::heads::options;
use crate::run::probe::Probe;
use crate::run::{RunRequest, choose, nonce, read_heads};
use crate::schema::{ReadStyle, Resource, Rows};
use crate::store::Store;

/// What a run would do and cost.
#[derive(Debug)]
pub struct Forecast {
    pub resources: Vec<ResourceForecast>,
    /// Requests that the forecast itself has spent.
    pub spent: u64,
    /// Requests that a run may send in a period; none where there is no quota.
    pub pace: Option<(u32, Duration)>,
}

/// What a run would do for a resource.
#[derive(Debug)]
pub struct ResourceForecast {
    pub resource: String,
    pub scans: Vec<ScanForecast>,
    /// Why nothing is due.
    pub idle: Option<String>,
    /// Why it cannot be told.
    pub failure: Option<Failure>,
    /// Requests spent on it.
    pub spent: u64,
}

/// A scan and its cost.
#[derive(Clone, Debug)]
pub struct ScanForecast {
    pub kind: StepKind,
    pub reason: String,
    pub cost: Cost,
}

/// What a scan costs and brings.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub requests: Amount,
    pub records: Option<Amount>,
    /// Rows of all tables, as many a record as the head has; none without a head.
    pub rows: Option<u64>,
    /// The size of the live files that the scan may rewrite: about all for a full scan, at most all for changes; none without
    /// a head.
    pub bytes: Option<u64>,
}

impl Cost {
    /// The sum; what only one of them knows is taken for the whole.
    pub fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.saturating_add(two)),
            (known, None) | (None, known) => known,
        };
        let records = match (self.records, other.records) {
            (Some(one), Some(two)) => Some(one.plus(two)),
            (known, None) | (None, known) => known.map(|known| Amount::about(known.value)),
        };
        Self {
            requests: self.requests.plus(other.requests),
            records,
            rows: sum(self.rows, other.rows),
            bytes: sum(self.bytes, other.bytes),
        }
    }

    /// Nothing at all.
    pub const NOTHING: Self = Self {
        requests: Amount { value: 0, exact: true },
        records: Some(Amount { value: 0, exact: true }),
        rows: Some(0),
        bytes: Some(0),
    };
}

impl Forecast {
    /// How long so many requests take at the pace; none where there is no quota.
    pub fn time(&self, requests: u64) -> Option<Duration> {
        let (budget, period) = self.pace?;
        let millis = period.as_millis().saturating_mul(u128::from(requests)) / u128::from(budget.max(1));
        Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// All scans together; what could not be told makes it an estimate.
    pub fn total(&self) -> Cost {
        let scans = self.resources.iter().flat_map(|resource| &resource.scans);
        let mut total = scans.map(|scan| scan.cost).reduce(Cost::plus).unwrap_or(Cost::NOTHING);
        total.requests.exact &= self.resources.iter().all(|resource| resource.failure.is_none());
        total
    }

    /// 3 when something could not be told.
    pub fn exit_code(&self) -> u8 {
        if self.resources.iter().any(|resource| resource.failure.is_some()) { 3 } else { 0 }
    }
}

/// Tells what a run would do and cost.
pub async fn forecast(request: &RunRequest) -> Result<Forecast> {
    let chosen = choose(&request.catalog, &request.settings, &request.names)?;
    let account = request.settings.account()?;
    let credentials = request.settings.credentials(request.now)?;
    let limits = request.settings.limits()?;
    request.events.tell(Event::Begun { run: nonce(), account: account.code.clone() });
    let mut heads = read_heads(&request.settings, &chosen).await?;
    let store = if heads.is_empty() { None } else { Some(Store::open(&request.settings.destination()?, false)?) };
    if let Some(store) = &store {
        resolve(store, &mut heads).await?;
    }
    let auth = Auth::new(credentials, &account.code, request.redactor.clone())?;
    let client = Client::new(&account, auth, &limits, request.seed, request.events.clone())?;
    client.clocks().set(request.now);
    let mut estimator = Estimator {
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
        let (mut found, fresh) = look_ahead(&mut estimator, resource, head, options(request, resource)).await?;
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
            // A night of theirs reads what is named, and nothing else.
            (Some(_), Some(changes)) => {
                if let Some(named) = named {
                    let requests = changes.cost.requests.plus(named.cost.requests);
                    changes.cost = Cost { requests, ..named.cost };
                }
            }
            // A whole read has it all.
            (Some(_), None) => {}
            (None, _) => found.scans.extend(named),
        }
    }
    Ok(Forecast { resources, spent: client.requests(), pace: pace(&limits) })
}

/// What a run may spend in a period.
fn pace(limits: &Limits) -> Option<(u32, Duration)> {
    let budget = limits.requests_per_period.checked_sub(limits.reserve).filter(|budget| *budget > 0)?;
    Some((budget, limits.period))
}

/// Files that a dead run committed and did not publish are read where they are.
async fn resolve(store: &Store, heads: &mut BTreeMap<String, Version>) -> Result<()> {
    let waiting = staged(store).await?;
    for file in heads.values_mut().flat_map(|head| head.tables.values_mut()).flat_map(|table| &mut table.files) {
        if waiting.contains(&file.staged) {
            file.path.clone_from(&file.staged);
        }
    }
    Ok(())
}

/// One resource. Fails only with what no resource could go on with.
async fn look_ahead(
    estimator: &mut Estimator<'_>,
    resource: &Resource,
    head: Option<&Version>,
    options: Result<ResourceOptions>,
) -> Result<(ResourceForecast, Brings)> {
    let name = resource.name.clone();
    let mut found = ResourceForecast { resource: name, scans: Vec::new(), idle: None, failure: None, spent: 0 };
    let options = match options {
        Ok(options) => options,
        Err(failure) if failure.kind().recovery() == Recovery::StopRun => return Err(failure),
        Err(failure) => {
            found.failure = Some(failure);
            return Ok((found, Brings::default()));
        }
    };
    let job = plan(resource, head, options);
    let source_now = estimator.probe.id_source().client.clocks().theirs();
    let job = if job.idle.is_some() { plan(resource, head, ResourceOptions { source_now, ..options }) } else { job };
    found.idle = job.idle;
    let steps: Vec<&Step> = job.steps.iter().chain(&job.later).collect();
    let mut brings = Brings::default();
    estimator.probe.turn_to(&resource.name);
    match estimator.steps(resource, head, options.start, &steps).await {
        Ok(estimates) => {
            for (step, estimate) in steps.into_iter().zip(estimates) {
                let cost = cost(resource, head, step.kind, estimate);
                let whole = step.kind == StepKind::Scan(ScanKind::Full);
                brings.everything |= whole;
                // Of what is read again most is as it was.
                if !whole && !matches!(step.kind, StepKind::Reread(_)) {
                    brings.fresh = brings.fresh.plus(estimate.fresh);
                }
                found.scans.push(ScanForecast { kind: step.kind, reason: step.reason.clone(), cost });
            }
        }
        Err(failure) if failure.kind().recovery() == Recovery::StopRun => return Err(failure),
        Err(failure) if failure.kind() == Kind::Unreachable && !estimator.probe.was_answered() => return Err(failure),
        Err(failure) => found.failure = Some(failure),
    }
    Ok((found, brings))
}

/// What an estimate means in rows and bytes, going by the head.
pub fn cost(resource: &Resource, head: Option<&Version>, kind: StepKind, estimate: Estimate) -> Cost {
    let Estimate { requests, records, .. } = estimate;
    let Some(head) = head else { return Cost { requests, records, rows: None, bytes: None } };
    if records == Some(Amount::exact(0)) {
        return Cost { requests, records, rows: Some(0), bytes: Some(0) };
    }
    let held = held_records(resource, head);
    let rows = match (records, held) {
        (Some(records), Some(held)) if held > 0 => {
            let rows = u128::from(records.value) * u128::from(head.rows()) / u128::from(held);
            Some(u64::try_from(rows).unwrap_or(u64::MAX))
        }
        // Read whole, and not counted by the source: as many as last time.
        (_, _) if kind == StepKind::Scan(ScanKind::Full) && !resource.is_snapshot() => Some(head.rows()),
        (_, _) => None,
    };
    let records = records.or_else(|| held.filter(|_| is_list(resource)).map(Amount::about));
    Cost { requests, records, rows, bytes: Some(live_bytes(resource, head)) }
}

fn is_list(resource: &Resource) -> bool {
    matches!(resource.read.style, ReadStyle::List { .. })
}

/// The rows of the table that has one for each record.
pub fn held_records(resource: &Resource, head: &Version) -> Option<u64> {
    let table = resource.tables.iter().find(|table| table.rows == Rows::Record)?;
    Some(head.tables.get(&table.name)?.files.iter().map(|file| file.rows).sum())
}

/// The size of the live files; of a snapshot, of its newest.
fn live_bytes(resource: &Resource, head: &Version) -> u64 {
    let newest = head.files().filter_map(|file| file.partition.as_ref()).max();
    let counts = |partition: &Option<String>| !resource.is_snapshot() || partition.as_ref() == newest;
    head.files().filter(|file| counts(&file.partition)).map(|file| file.bytes).sum()
}
