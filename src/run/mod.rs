//! The whole run, stages in order; one failing resource never holds up the others.
//!
//! Takes a [`RunRequest`], gives an [`Outcome`]: what became of each resource. Fails as a whole only where no resource can
//! go on: settings, credentials, the destination.

mod stop;
mod noticed;
mod outcome;
mod binding;
mod context;
mod limits;
mod scratch;
mod session;
mod apart;
mod groups;
mod older;
mod fields;
mod once;
mod commit;
mod rejected;
mod held;
mod sets;
mod refused;
mod documents;
mod list;
mod inventory;
mod lookups;
mod partition_counts;
mod start;
mod changed;
mod absent;
mod slices;
mod stale;
mod deferred;
mod narrow;
mod gone;
mod vanishing;
mod lacking;
mod rows;
mod whole;
mod snapshot;
mod resource;
mod reconcile;
mod rows_gone;
mod backfill;
mod affected;
mod mend;
mod steps;
mod references;
mod follow;
mod check;
mod amount;
mod probe;
mod estimate;
mod inventoried;
mod foresee;
mod cost;
mod freshness;
mod heads;
mod missed;
mod reread;
mod vouch;
mod newest;
mod since;
mod counting;
mod vanished;
mod locate;
mod completeness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clean::{Housekeeping, Removed, keep_house};
use crate::config::Settings;
use crate::event::{Event, Events};
use crate::failure::{Kind, Recovery, Result};
use crate::fetch::{Auth, Client};
use crate::manifest::check_destination;
use crate::plan::Step;
use crate::quantity::plural;
use crate::run::binding::Binding;
use crate::run::context::RunContext;
use crate::run::steps::work_on;
use crate::schema::{Catalog, Resource};
use crate::secret::Redactor;
use crate::store::{self, Locks, Store};

pub use crate::manifest::nonce;
pub use amount::Amount;
pub use backfill::Selection;
pub use check::{Finding, check};
pub use context::Clock;
pub use cost::{Cost, Forecast, ResourceForecast, ScanForecast, forecast};
pub use freshness::stale;
pub use heads::{Progress, choose, jobs, progress, read_heads, unpublished};
pub use noticed::Noticed;
pub use outcome::{End, Outcome, ResourceOutcome, Tally};
pub use scratch::{Scratch, spool_folder};
pub use stop::{Stop, Why};

/// Resources worked on at once: enough that one which waits leaves no quota unused, few enough to share the memory.
const AT_ONCE: usize = 3;

/// Locks that are free are taken within an instant; a wait that is longer is told.
const WAITED: Duration = Duration::from_secs(10);

/// What is done for each resource.
#[derive(Clone, Debug)]
pub enum RunMode {
    /// Brings it up to date; `full` reads everything again.
    Update { full: bool },
    /// Compares ids and takes out what was deleted; `force` however much.
    Reconcile { force: bool },
    /// Reads a part again.
    Backfill(Selection),
    /// Reads again what damaged files held; `force` gives up what cannot be.
    Mend { force: bool },
}

impl RunMode {
    /// Whether everything is read again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Update { full: true })
    }
}

/// What a run is to do.
pub struct RunRequest {
    pub catalog: Arc<Catalog>,
    pub settings: Settings,
    /// Resources by name; none means all that the settings select.
    pub names: Vec<String>,
    pub mode: RunMode,
    /// Wait for resources that another run holds.
    pub wait: bool,
    /// Stop asking after this long, and commit what is whole.
    pub most: Option<Duration>,
    pub now: Timestamp,
    /// Makes jitter reproducible.
    pub seed: u64,
    pub events: Events,
    pub redactor: Redactor,
    pub stop: Stop,
}

/// Brings the resources up to date.
pub async fn run(request: RunRequest) -> Result<Outcome> {
    at(request, |settings| Store::open(&settings.destination()?, true)).await
}

/// Brings the resources up to date at this destination, whatever the settings say of it.
pub async fn run_in(request: RunRequest, store: Store) -> Result<Outcome> {
    at(request, |_| Ok(store)).await
}

/// Nothing is made at the destination before the settings are known to make sense.
async fn at(request: RunRequest, open: impl FnOnce(&Settings) -> Result<Store>) -> Result<Outcome> {
    let clock = Clock::new(request.now);
    let begun = Instant::now();
    let chosen = choose(&request.catalog, &request.settings, &request.names)?;
    let account = request.settings.account()?;
    let credentials = request.settings.credentials(request.now)?;
    let limits = request.settings.limits()?;
    let run = nonce();

    request.events.tell(Event::Begun { run: run.clone(), account: account.code.clone() });
    let store = open(&request.settings)?;
    store.prove_conditional_put(&run).await?;
    let claimed = check_destination(&store, &account.code).await?;
    if !claimed {
        request.events.tell(Event::NewDestination { destination: store.describe() });
    }
    let names: Vec<&str> = chosen.iter().map(|resource| resource.name.as_str()).collect();
    let (counts, events) = counted(&request.events);
    let spool = spool_folder(limits.spool.as_deref())?;
    let auth = Auth::new(credentials, &account.code, request.redactor.clone())?.watched(store.watcher());
    let client = Client::new(&account, auth, &limits, request.seed, events.clone())?;
    client.clocks().set(request.now);
    // Last of all that can fail: in a bucket a lock that is not given back holds others up until it expires.
    let locks = tokio::select! {
        locks = store.lock(&names, &run, request.wait, request.stop.wait()) => locks?,
        never = told_of_waiting(&events) => never,
        never = time_up(&request, begun, &events) => never,
    };
    if !claimed && let Err(refused) = check_destination(&store, &account.code).await {
        // Claimed while this run waited for its locks.
        give_back(locks, &events).await;
        return Err(refused);
    }
    let uploads = store.uploads(store::paths::STAGING).await.unwrap_or_else(|failure| {
        // They cost money and nothing else: `clean` says more of it.
        let text = format!("unfinished uploads of dead runs are left: {failure}");
        events.tell(Event::Note { resource: None, text });
        Vec::new()
    });
    let context = RunContext {
        client,
        store,
        binding: Binding::new(&account.code, request.now, claimed),
        catalog: Arc::clone(&request.catalog),
        selected: request
            .catalog
            .resources()
            .iter()
            .filter(|resource| request.settings.selects(resource))
            .map(|resource| resource.name.clone())
            .collect(),
        locks,
        uploads,
        account: account.code.clone(),
        run: run.clone(),
        clock,
        spool: spool.path().to_owned(),
        limits,
        events,
        stop: request.stop.clone(),
        commit_turn: Semaphore::new(1),
        files_numbered: AtomicU64::new(0),
        rejected_numbered: AtomicU64::new(0),
    };
    context.store.reach(store::StoreStep::Locked, &context.run)?;
    let resources = tokio::select! {
        resources = work_through(&context, &chosen, &request, &counts) => resources,
        never = time_up(&request, begun, &context.events) => never,
    };
    let resources = match resources {
        Ok(resources) => resources,
        Err(failure) => {
            give_back(context.locks, &context.events).await;
            return Err(failure);
        }
    };
    if request.settings.housekeeping() {
        keep_in_order(&context, &resources).await;
    }
    let outcome = Outcome {
        run,
        account: account.code,
        destination: context.store.describe(),
        started_at: request.now,
        took: begun.elapsed(),
        resources,
        requests: context.client.requests(),
        interrupted: context.stop.asked() == Some(Why::Interrupted),
        store: context.store.clone(),
    };
    context.store.reach(store::StoreStep::Done, &context.run)?;
    give_back(context.locks, &context.events).await;
    Ok(outcome)
}

/// Asks the run to stop when its time is up. Never ends.
async fn time_up<T>(request: &RunRequest, begun: Instant, events: &Events) -> T {
    if let Some(most) = request.most {
        tokio::time::sleep_until(begun + most).await;
        if request.stop.asked().is_none() {
            events.tell(Event::Stopping { reason: "the time is up".to_owned() });
            request.stop.ask(Why::TimeUp);
        }
    }
    std::future::pending().await
}

/// Says after a while that locks are waited for. Never ends.
async fn told_of_waiting<T>(events: &Events) -> T {
    tokio::time::sleep(WAITED).await;
    events.tell(Event::Note { resource: None, text: "waiting for locks that another run holds".to_owned() });
    std::future::pending().await
}

/// Removes what nothing needs any more of the resources with which all went well. The run is none the worse where it fails.
async fn keep_in_order(context: &RunContext, resources: &[ResourceOutcome]) {
    let ours = resources.iter().filter(|outcome| outcome.went_well() && context.locks.holds(&outcome.resource));
    let ours: Vec<&str> = ours.map(|outcome| outcome.resource.as_str()).collect();
    let (store, locks, run) = (&context.store, &context.locks, context.run.as_str());
    let session = Housekeeping { store, locks, run, resources: &ours, now: context.clock.now() };
    let removed = tokio::select! {
        biased;
        () = context.stop.wait() => return,
        removed = Box::pin(keep_house(session)) => removed,
    };
    match removed {
        Ok(Removed { versions, plans, reports }) => {
            let text = format!(
                "housekeeping removed {}, {}, {}",
                plural(versions, "old version"),
                plural(plans, "plan"),
                plural(reports, "report")
            );
            context.events.tell(Event::Note { resource: None, text });
        }
        Err(failure) => {
            let text = format!("housekeeping is left to the next run: {failure}");
            context.events.tell(Event::Warning { resource: None, text });
        }
    }
}

async fn give_back(locks: Locks, events: &Events) {
    if let Err(failure) = locks.release().await {
        // What was done is done; the next run waits until they expire.
        events.tell(Event::Warning { resource: None, text: format!("locks were not given back: {failure}") });
    }
}

/// Whether a resource met a failure of the whole run: nothing was committed, and no resource can do better.
fn failed_for_all(context: &RunContext, outcome: &ResourceOutcome) -> bool {
    outcome.failure().is_some_and(|failure| match failure.kind() {
        Kind::Offline => true,
        Kind::Settings => context.binding.is_refused(),
        _ => false,
    })
}

/// Works on all resources; those that are read by ids which others hold have their turn when the others have ended. Fails with the
/// first failure of the whole run.
async fn work_through(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    counts: &Counts,
) -> Result<Vec<ResourceOutcome>> {
    let mut done = BTreeMap::new();
    for by_held_ids in [false, true] {
        let turn = |(_, resource): &(usize, &Resource)| resource.held_ids().is_some() == by_held_ids;
        let chosen: Vec<(usize, &Resource)> = chosen.iter().copied().enumerate().filter(turn).collect();
        let resources: Vec<&Resource> = chosen.iter().map(|(_, resource)| *resource).collect();
        let outcomes = take_turn(context, &resources, request, counts).await?;
        done.extend(chosen.iter().map(|(place, _)| *place).zip(outcomes));
    }
    Ok(done.into_values().collect())
}

/// Works on a few resources at once, in their order, each to its end.
async fn take_turn(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    counts: &Counts,
) -> Result<Vec<ResourceOutcome>> {
    let mut waiting = chosen.iter().enumerate();
    let mut at_work = FuturesUnordered::new();
    let mut done: BTreeMap<usize, ResourceOutcome> = BTreeMap::new();
    let mut later: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    let mut goes_on: BTreeSet<usize> = BTreeSet::new();
    let mut of_all = None;
    let updates = matches!(request.mode, RunMode::Update { .. });
    loop {
        while at_work.len() < AT_ONCE {
            let Some((place, resource)) = waiting.next() else { break };
            // Boxed, for a future of everything that a resource may do is larger than a thread's stack should hold.
            at_work.push(Box::pin(async move { (place, work_on(context, resource, request, None).await) }));
        }
        let Some((place, (outcome, steps))) = at_work.next().await else { break };
        if let Some(failure) = outcome.failure()
            && failure.kind().recovery() == Recovery::StopRun
        {
            context.stop.ask(Why::Failed);
        }
        if of_all.is_none() && failed_for_all(context, &outcome) {
            of_all = outcome.into_failure();
            continue;
        }
        let idle = matches!(outcome.end, End::Idle(_));
        let more = idle || !steps.is_empty() || !chosen[place].read.also_from.is_empty();
        if updates && more && outcome.went_well() {
            goes_on.insert(place);
        } else if of_all.is_none() {
            tell_end(context, &outcome, counts);
        }
        done.insert(place, outcome);
        if !steps.is_empty() {
            later.insert(place, steps);
        }
    }
    if let Some(failure) = of_all {
        return Err(failure);
    }
    if updates {
        look_twice(context, chosen, request, &mut done).await;
        follow_all(context, chosen, request, &mut done).await;
        for (place, steps) in &later {
            let outcome = done.get_mut(place).expect("every resource has ended");
            Box::pin(reread::look_again(context, chosen[*place], request, steps, outcome)).await;
        }
        if !later.is_empty() {
            follow_all(context, chosen, request, &mut done).await;
        }
    }
    let of_all = done.iter().find(|(_, outcome)| failed_for_all(context, outcome)).map(|(place, _)| *place);
    if let Some(failure) = of_all.and_then(|place| done.remove(&place)?.into_failure()) {
        return Err(failure);
    }
    for (place, outcome) in &mut done {
        if goes_on.contains(place) {
            tell_end(context, outcome, counts);
        }
        outcome.requests = asked(counts, &outcome.resource);
    }
    Ok(done.into_values().collect())
}

/// Reports how a resource ended, once nothing more can become of it.
fn tell_end(context: &RunContext, outcome: &ResourceOutcome, counts: &Counts) {
    context.events.tell(Event::Finished {
        resource: outcome.resource.clone(),
        rows: outcome.rows,
        requests: asked(counts, &outcome.resource),
        ending: outcome.ending(),
    });
}

/// Resources that were not due by our clock are looked at again by the source's, which other resources have heard by now.
async fn look_twice(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    done: &mut BTreeMap<usize, ResourceOutcome>,
) {
    let Some(source_now) = context.client.clocks().theirs() else { return };
    for (place, outcome) in done.iter_mut().filter(|(_, outcome)| matches!(outcome.end, End::Idle(_))) {
        if context.stop.asked().is_some() {
            return;
        }
        let (again, _) = Box::pin(work_on(context, chosen[*place], request, Some(source_now))).await;
        if !matches!(again.end, End::Idle(_)) {
            *outcome = again;
        }
    }
}

/// What rows of some name is read again by others.
async fn follow_all(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    done: &mut BTreeMap<usize, ResourceOutcome>,
) {
    for (place, resource) in chosen.iter().enumerate().filter(|(_, resource)| !resource.read.also_from.is_empty()) {
        let outcome = done.get_mut(&place).expect("every resource has ended");
        Box::pin(follow::follow(context, resource, request, outcome)).await;
    }
}

/// Requests that were asked for a resource.
fn asked(counts: &Counts, resource: &str) -> u64 {
    counts.lock().expect("no holder panics").get(resource).copied().unwrap_or(0)
}

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// Events that also count the requests of each resource.
fn counted(events: &Events) -> (Counts, Events) {
    let counts = Counts::default();
    let (kept, onward) = (Arc::clone(&counts), events.clone());
    let events = Events::new(move |event| {
        if let Event::Asked { resource, .. } = event {
            *kept.lock().expect("no holder panics").entry(resource.clone()).or_default() += 1;
        }
        onward.tell(event.clone());
    });
    (counts, events)
}
