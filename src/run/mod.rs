//! The whole run, stages in order; one failing resource never holds up the others.
//!
//! Takes an [`Errand`], gives an [`Outcome`]: what became of each resource. Fails as a whole only where no resource can
//! go on: settings, credentials, the destination.

mod stop;
mod outcome;
mod site;
mod work;
mod documents;
mod inventory;
mod changed;
mod slices;
mod rows;
mod whole;
mod resource;
mod reconcile;
mod backfill;
mod follow;
mod check;
mod amount;
mod probe;
mod estimate;
mod inventoried;
mod cost;
mod freshness;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Settings;
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind, Recovery, Result};
use crate::fetch::{Auth, Client};
use crate::manifest::{Claimant, Version, claim_destination, head, recover, staged};
use crate::plan::{Job, Wish, plan};
use crate::run::site::Site;
use crate::run::work::Work;
use crate::schema::{Catalog, Resource};
use crate::secret::Redactor;
use crate::store::Store;

pub use amount::Amount;
pub use backfill::Selection;
pub use check::{Finding, check};
pub use cost::{Cost, Forecast, ResourceForecast, ScanForecast, forecast};
pub use freshness::stale;
pub use outcome::{End, Outcome, ResourceOutcome, Tally};
pub use site::Clock;
pub use stop::{Stop, Why};

/// Resources worked on at once: enough that one which waits leaves no quota unused, few enough to share the memory.
const AT_ONCE: usize = 3;

/// What is done for each resource.
#[derive(Clone, Debug)]
pub enum Task {
    /// Brings it up to date; `full` reads everything again.
    Update { full: bool },
    /// Compares ids and takes out what was deleted; `force` however much.
    Reconcile { force: bool },
    /// Reads a part again.
    Backfill(Selection),
}

impl Task {
    /// Whether everything is read again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Update { full: true })
    }
}

/// What a run is to do.
pub struct Errand {
    pub catalog: Arc<Catalog>,
    pub settings: Settings,
    /// Resources by name; none means all that the settings select.
    pub names: Vec<String>,
    pub task: Task,
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

/// 128 random bits, hexadecimal: the name of a run, a commit, a scan.
pub fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Brings the resources up to date.
pub async fn run(errand: Errand) -> Result<Outcome> {
    let clock = Clock::new(errand.now);
    let begun = Instant::now();
    let chosen = choose(&errand.catalog, &errand.settings, &errand.names)?;
    let account = errand.settings.account()?;
    let credentials = errand.settings.credentials(errand.now)?;
    let limits = errand.settings.limits()?;
    let destination = errand.settings.destination()?;
    let run = nonce();

    let store = Store::open(&destination, true)?;
    store.prove_conditional_put(&run).await?;
    claim_destination(&store, &account.code, errand.now, true).await?;
    let names: Vec<&str> = chosen.iter().map(|resource| resource.name.as_str()).collect();
    let locks = store.lock(&names, &run, errand.wait).await?;

    let (counts, events) = counted(&errand.events);
    let spool = spool_folder(limits.spool.as_deref())?;
    let auth = Auth::new(credentials, &account.code, errand.redactor.clone())?;
    let site = Site {
        client: Client::new(&account, auth, &limits, errand.seed, events.clone())?,
        store,
        catalog: Arc::clone(&errand.catalog),
        selected: errand
            .catalog
            .resources()
            .iter()
            .map(|resource| resource.name.clone())
            .filter(|name| errand.settings.selects(name))
            .collect(),
        locks,
        account: account.code.clone(),
        run: run.clone(),
        clock,
        spool: spool.path().to_owned(),
        pages: Arc::new(Semaphore::new(limits.concurrency)),
        limits,
        events,
        stop: errand.stop.clone(),
        commit_turn: Semaphore::new(1),
        files_numbered: AtomicU64::new(0),
        misfits_numbered: AtomicU64::new(0),
    };
    let deadline = async {
        match errand.most {
            Some(most) => {
                tokio::time::sleep_until(begun + most).await;
                site.stop.ask(Why::TimeUp);
                std::future::pending().await
            }
            None => std::future::pending().await,
        }
    };
    let resources = tokio::select! {
        resources = work_through(&site, &chosen, &errand, &counts) => resources,
        never = deadline => never,
    };
    let outcome = Outcome {
        run,
        account: account.code,
        destination: site.store.describe(),
        started_at: errand.now,
        took: begun.elapsed(),
        resources,
        requests: site.client.requests(),
        interrupted: site.stop.asked() == Some(Why::Interrupted),
        store: site.store.clone(),
    };
    site.locks.release().await?;
    Ok(outcome)
}

/// What a run would do, from the heads alone: nothing is asked of the source and nothing is written.
pub async fn jobs(errand: &Errand) -> Result<Vec<Job>> {
    let chosen = choose(&errand.catalog, &errand.settings, &errand.names)?;
    let heads = read_heads(&errand.settings, &chosen).await?;
    chosen
        .iter()
        .map(|resource| {
            let wish =
                Wish { full: errand.task.is_full(), every: errand.settings.every(&resource.name)?, now: errand.now };
            Ok(plan(resource, heads.get(&resource.name), wish))
        })
        .collect()
}

/// The heads of these resources; none where the destination does not exist yet.
pub async fn read_heads(settings: &Settings, chosen: &[&Resource]) -> Result<BTreeMap<String, Version>> {
    let destination = settings.destination()?;
    if let crate::config::Destination::Local(folder) = &destination
        && !folder.exists()
    {
        return Ok(BTreeMap::new());
    }
    let store = Store::open(&destination, false)?;
    if let Ok(account) = settings.account() {
        claim_destination(&store, &account.code, Timestamp::UNIX_EPOCH, false).await?;
    }
    let mut heads = BTreeMap::new();
    for resource in chosen {
        if let Some(version) = head(&store, &resource.name).await? {
            heads.insert(resource.name.clone(), version);
        }
    }
    Ok(heads)
}

/// The resources named, or all that the settings select, in the order in which they are read.
pub fn choose<'a>(catalog: &'a Catalog, settings: &Settings, names: &[String]) -> Result<Vec<&'a Resource>> {
    for name in names {
        catalog.get(name)?;
    }
    let chosen: Vec<&Resource> = catalog
        .resources()
        .iter()
        .filter(
            |resource| if names.is_empty() { settings.selects(&resource.name) } else { names.contains(&resource.name) },
        )
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(Kind::Settings, "find anything to do")
            .because("`resources.include` and `resources.exclude` leave no resource")
            .advise("`pearlift resources` lists them all"));
    }
    Ok(chosen)
}

/// Works on a few resources at once, in their order, each to its end.
async fn work_through(site: &Site, chosen: &[&Resource], errand: &Errand, counts: &Counts) -> Vec<ResourceOutcome> {
    let mut waiting = chosen.iter().enumerate();
    let mut at_work = FuturesUnordered::new();
    let mut done: BTreeMap<usize, ResourceOutcome> = BTreeMap::new();
    loop {
        while at_work.len() < AT_ONCE {
            let Some((place, resource)) = waiting.next() else { break };
            at_work.push(async move { (place, work_on(site, resource, errand).await) });
        }
        let Some((place, mut outcome)) = at_work.next().await else { break };
        if let Some(failure) = outcome.failure()
            && failure.kind().recovery() == Recovery::StopRun
        {
            site.stop.ask(Why::Failed);
        }
        outcome.requests = asked(counts, &outcome.resource);
        site.events.tell(Event::Finished {
            resource: outcome.resource.clone(),
            rows: outcome.rows,
            requests: outcome.requests,
            failure: outcome.failure().map(ToString::to_string),
        });
        done.insert(place, outcome);
    }
    if matches!(errand.task, Task::Update { .. }) {
        for (place, resource) in chosen.iter().enumerate().filter(|(_, resource)| !resource.read.also_from.is_empty()) {
            let outcome = done.get_mut(&place).expect("every resource has ended");
            follow::follow(site, resource, errand, outcome).await;
            outcome.requests = asked(counts, &outcome.resource);
        }
    }
    done.into_values().collect()
}

/// Requests that were asked for a resource.
fn asked(counts: &Counts, resource: &str) -> u64 {
    counts.lock().expect("no holder panics").get(resource).copied().unwrap_or(0)
}

/// One resource to its end.
async fn work_on(site: &Site, resource: &Resource, errand: &Errand) -> ResourceOutcome {
    let mut outcome = ResourceOutcome {
        resource: resource.name.clone(),
        end: End::Stopped,
        scans: Vec::new(),
        version: None,
        watermark: None,
        rows: 0,
        requests: 0,
        tally: Tally::default(),
        owed: 0,
        found: None,
    };
    if !site.locks.holds(&resource.name) {
        let by = site.locks.held_by_others.iter().find(|held| held.name == resource.name);
        outcome.end = End::Held(by.map_or_else(|| "another run".to_owned(), |held| held.by.clone()));
        return outcome;
    }
    if site.stop.asked().is_some() {
        return outcome;
    }
    outcome.end = match all_steps(site, resource, errand, &mut outcome).await {
        Ok(end) => end,
        Err(failure) if failure.kind() == Kind::Interrupted => End::Stopped,
        Err(failure) => End::Failed(failure),
    };
    outcome
}

async fn all_steps(site: &Site, resource: &Resource, errand: &Errand, outcome: &mut ResourceOutcome) -> Result<End> {
    let claimant = Claimant { account: &site.account, run: &site.run, now: site.clock.now(), nonce };
    let head = recover(&site.store, resource, claimant).await?;
    describe(outcome, head.as_ref());
    if !matches!(errand.task, Task::Update { .. }) {
        return beside(site, resource, errand, head, outcome).await;
    }
    let wish = Wish { full: errand.task.is_full(), every: errand.settings.every(&resource.name)?, now: errand.now };
    let job = plan(resource, head.as_ref(), wish);
    if let Some(reason) = job.idle {
        return Ok(End::Idle(reason));
    }
    let mut work = Work::new(site, resource, head, errand.task.is_full(), errand.settings.deletes(&resource.name))?;
    work.keep = errand.settings.keep(&resource.name)?;
    let mut end = Ok(End::Complete);
    for step in &job.steps {
        outcome.scans.push(format!("{}: {}", step.kind.name(), step.reason));
        site.events.tell(Event::Started {
            resource: resource.name.clone(),
            scan: step.kind.name().to_owned(),
            reason: step.reason.clone(),
            requests: None,
        });
        if let Err(failure) = resource::make(&mut work, step).await {
            end = Err(failure);
            break;
        }
    }
    if end.is_ok() {
        end = reconcile_if_due(&mut work, resource, errand, outcome).await.map(|()| End::Complete);
    }
    outcome.tally = work.tally.clone();
    describe(outcome, work.head.as_ref());
    end
}

/// Looks for deletions where the settings say how often, and that time is over.
async fn reconcile_if_due(
    work: &mut Work<'_>,
    resource: &Resource,
    errand: &Errand,
    outcome: &mut ResourceOutcome,
) -> Result<()> {
    let Some(every) = errand.settings.reconcile_every(&resource.name)? else { return Ok(()) };
    if let Some(why) = reconcile::refuse(resource) {
        return Err(
            Failure::new(Kind::Settings, format!("keep `resource.{}.reconcile_every`", resource.name)).because(why)
        );
    }
    let last = work.state.reconciled_at.or(work.state.reloaded_at);
    let age = last.and_then(|last| Duration::try_from(errand.now.duration_since(last)).ok());
    // As for whole reloads: a nightly run does not begin at the same second each night.
    if age.is_some_and(|age| age < every.mul_f64(0.9)) {
        return Ok(());
    }
    outcome.scans.push("reconcile: due".to_owned());
    let found = reconcile::reconcile(work, false).await?;
    outcome.found = Some(found.to_string());
    Ok(())
}

/// What is done beside the nightly run.
async fn beside(
    site: &Site,
    resource: &Resource,
    errand: &Errand,
    head: Option<Version>,
    outcome: &mut ResourceOutcome,
) -> Result<End> {
    let mut work = Work::new(site, resource, head, false, errand.settings.deletes(&resource.name))?;
    let begun = |scan: &str, reason: &str| Event::Started {
        resource: resource.name.clone(),
        scan: scan.to_owned(),
        reason: reason.to_owned(),
        requests: None,
    };
    let end = match &errand.task {
        Task::Update { .. } => Ok(End::Complete),
        Task::Reconcile { force } => {
            if let (Some(why), true) = (reconcile::refuse(resource), errand.names.is_empty()) {
                return Ok(End::Idle(why));
            }
            site.events.tell(begun("reconcile", "compares the ids"));
            reconcile::reconcile(&mut work, *force).await.map(|found| {
                outcome.found = Some(found.to_string());
                End::Complete
            })
        }
        Task::Backfill(selection) => {
            site.events.tell(begun("backfill", "reads a part again"));
            backfill::backfill(&mut work, selection).await.map(|done| {
                outcome.found = Some(format!(
                    "{} ids asked for, {} not returned, {} taken out of the tables",
                    done.asked, done.absent, done.gone
                ));
                End::Complete
            })
        }
    };
    outcome.tally = work.tally.clone();
    describe(outcome, work.head.as_ref());
    end
}

fn describe(outcome: &mut ResourceOutcome, head: Option<&Version>) {
    if let Some(head) = head {
        outcome.version = Some(head.version);
        outcome.watermark = head.state.watermark;
        outcome.rows = head.rows();
        outcome.owed = u64::try_from(head.state.owed.len()).expect("a length fits");
    }
}

/// A folder for the run's scratch files, removed at its end.
fn spool_folder(below: Option<&std::path::Path>) -> Result<tempfile::TempDir> {
    let below = below.map_or_else(std::env::temp_dir, std::path::Path::to_owned);
    std::fs::create_dir_all(&below)
        .and_then(|()| tempfile::Builder::new().prefix("pearlift-").tempdir_in(&below))
        .map_err(|error| {
            Failure::new(Kind::Settings, "make a folder for the spool")
                .at(below.display().to_string())
                .caused(error)
                .advise("set `limits.spool` to a folder that we may write")
        })
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

/// How many files of these heads still wait in staging, by resource.
pub async fn unpublished(settings: &Settings, heads: &BTreeMap<String, Version>) -> Result<BTreeMap<String, u64>> {
    if heads.is_empty() {
        return Ok(BTreeMap::new());
    }
    let store = Store::open(&settings.destination()?, false)?;
    let waiting = staged(&store).await?;
    let of = |head: &Version| head.files().filter(|file| waiting.contains(&file.staged)).count();
    Ok(heads.iter().map(|(name, head)| (name.clone(), u64::try_from(of(head)).expect("a count fits"))).collect())
}
