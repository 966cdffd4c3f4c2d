//! The beginning of a run: settings, destination, client and locks, in the order in which they can fail.
//!
//! Takes the request, gives the context that all resources share. Nothing is made at the destination before the
//! settings are known to be valid; the locks come last, for in a bucket a lock that is not given back holds others up
//! until it expires.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::event::{Event, Events};
use crate::failure::Result;
use crate::fetch::{Auth, Client};
use crate::forget::{Forgotten, ForgottenList};
use crate::manifest::{check_destination, nonce};
use crate::run::binding::Binding;
use crate::run::closing::give_back;
use crate::run::context::{Claims, Clock, CommitTurns, RunContext};
use crate::run::request::RunRequest;
use crate::run::scratch::{Scratch, spool_folder};
use crate::run::selection::choose;
use crate::schema::Resource;
use crate::store::{Store, Upload, paths};

/// Locks that are free are taken within an instant; a wait that is longer is reported.
const WAITED: Duration = Duration::from_secs(10);

/// A run that can begin.
pub struct Opened<'r> {
    pub context: RunContext,
    pub chosen: Vec<&'r Resource>,
    /// The folder of scratch files, removed when it is dropped.
    pub spool: Scratch,
}

/// Opens everything that a run needs; waits for locks until `time_up` has asked the run to stop.
pub async fn open<'r>(
    request: &'r RunRequest,
    destination: impl FnOnce(&Settings) -> Result<Store>,
    events: &Events,
    time_up: impl Future<Output = Infallible>,
) -> Result<Opened<'r>> {
    let clock = Clock::new(request.now);
    let chosen = choose(&request.catalog, &request.settings, &request.names)?;
    let account = request.settings.account()?;
    let credentials = request.settings.credentials(request.now)?;
    let limits = request.settings.limits()?;
    let auth = Auth::new(credentials, &account.code, request.redactor.clone())?;
    let run = nonce();

    request.events.tell(Event::Begun { run: run.clone(), account: account.code.clone(), resources: chosen.len() });
    let store = destination(&request.settings)?.laid_out(&request.settings)?;
    store.prove_conditional_put(&run).await?;
    let claimed = check_destination(&store, &account.code).await?;
    if !claimed {
        request.events.tell(Event::NewDestination { destination: store.describe() });
    }
    let names: Vec<&str> = chosen.iter().map(|resource| resource.name.as_str()).collect();
    let spool = spool_folder(limits.spool.as_deref())?;
    let client = Client::new(&account, auth.watched(store.watcher()), &limits, request.seed, events.clone())?;
    client.clocks().set(request.now);
    let locks = tokio::select! {
        locks = store.lock(&names, &run, request.wait, request.stop.wait()) => locks?,
        never = report_waiting(events) => match never {},
        never = time_up => match never {},
    };
    if let Err(refused) = check_destination(&store, &account.code).await {
        // Claimed, or changed to another layout, before this run had its locks.
        give_back(locks, events).await;
        return Err(refused);
    }
    let forgotten = match forgotten(request, &store).await {
        Ok(forgotten) => forgotten,
        Err(refused) => {
            give_back(locks, events).await;
            return Err(refused);
        }
    };
    let binding = Binding::new(&account.code, request.now, claimed);
    let claims = Claims { binding, locks, uploads: unfinished_uploads(&store, events).await, forgotten };
    let context = RunContext {
        client,
        store,
        claims,
        catalog: Arc::clone(&request.catalog),
        selected: selected(request),
        run,
        clock,
        spool: spool.path().to_owned(),
        limits,
        events: events.clone(),
        stop: request.stop.clone(),
        commits: CommitTurns::default(),
    };
    Ok(Opened { context, chosen, spool })
}

/// The people whose values are kept out of the tables.
async fn forgotten(request: &RunRequest, store: &Store) -> Result<Forgotten> {
    let list = ForgottenList::load(store, request.settings.hash_key()?).await?;
    Forgotten::new(list, &request.catalog)
}

/// The resources that the settings select.
fn selected(request: &RunRequest) -> std::collections::BTreeSet<String> {
    let selected = request.catalog.resources().iter().filter(|resource| request.settings.selects(resource));
    selected.map(|resource| resource.name.clone()).collect()
}

/// Unfinished uploads of crashed runs. They cost money and nothing else: `clean` reports more of them.
async fn unfinished_uploads(store: &Store, events: &Events) -> Vec<Upload> {
    store.uploads(paths::STAGING).await.unwrap_or_else(|failure| {
        let text = format!("unfinished uploads of crashed runs remain: {failure}");
        events.tell(Event::Note { resource: None, text });
        Vec::new()
    })
}

/// Reports after a while that locks are waited for. Never ends.
async fn report_waiting(events: &Events) -> Infallible {
    tokio::time::sleep(WAITED).await;
    events.tell(Event::Note { resource: None, text: "waiting for locks that another run holds".to_owned() });
    std::future::pending().await
}
