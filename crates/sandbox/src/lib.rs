//! A Brightpearl account that runs on your machine: for `demo`, for `sandbox`, for the tests.
//!
//! Faithful to docs/brightpearl-api.md, traps included; each guess of that page is a setting. Data are made from a
//! seed, any size, and can be changed while they are served.

mod seed;
mod text;
mod content;
mod fault;
mod idset;
mod body;
mod swell;
mod reply;
mod digits;
mod answer;
mod pieces;
mod throttle;
mod resource;
mod verb;
mod churn_settings;
mod settings;
mod record;
mod rules;
mod world;
mod fixture;
mod account;
mod churn;
mod documents;
mod query;
mod search;
mod log;
mod authorise;
mod login;
mod state;
mod control;
mod mishap;
mod server;

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use fixture::Fixtures;
use resource::ResourceId;
use state::ServerState;
use verb::RecordEvent;

pub use answer::{AnswerRule, Claim, Partial, Replacement, Status, Wrong};
pub use churn_settings::Churn;
pub use fault::{Fault, Faults};
pub use log::Log;
pub use pieces::{SetPieces, Spoiler};
pub use resource::ResourceName;
pub use settings::{Ignored, SandboxSettings, Size};
pub use swell::Swell;
pub use throttle::QuotaWindow;
pub use throttle::{Throttle, Verdict};
pub use verb::Verb;

/// A running account; it ends when dropped.
#[derive(Debug)]
pub struct Sandbox {
    state: Arc<Mutex<ServerState>>,
    address: SocketAddr,
    in_hand: server::InHand,
    server: JoinHandle<()>,
    other_app: JoinHandle<()>,
}

impl Sandbox {
    /// Serves an account on a port of 127.0.0.1; 0 takes any that is free.
    ///
    /// Fixtures that break their format, and sizes of fixtures that do not exist, are `InvalidData`.
    pub async fn start(mut settings: SandboxSettings, size: &Size, port: u16) -> std::io::Result<Self> {
        if settings.control_token.is_empty() {
            settings.control_token = token()?;
        }
        let fixtures = fixtures(&settings, size).map_err(|why| Error::new(ErrorKind::InvalidData, why))?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(ServerState::new(settings, size, fixtures, Timestamp::now())));
        let in_hand = server::InHand::default();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&state), server::InHand::clone(&in_hand)));
        let other_app = tokio::spawn(server::call_as_another(Arc::clone(&state)));
        Ok(Self { state, address, in_hand, server, other_app })
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().expect("no holder panics")
    }

    /// `http://127.0.0.1:PORT/public-api/acme`, for `account.base_url`.
    pub fn url(&self) -> String {
        format!("http://{}/public-api/{}", self.address, self.state().settings.account)
    }

    /// `http://127.0.0.1:PORT`, for the token endpoint.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:PORT/sandbox/TOKEN`, below which requests change the account.
    pub fn control(&self) -> String {
        format!("{}/sandbox/{}", self.root(), self.state().settings.control_token)
    }

    /// Runs until the server ends, which it does only with the process.
    pub async fn forever(mut self) {
        // Its end can only be a cancellation.
        let _ = (&mut self.server).await;
    }

    /// New records, created now; gives their ids. Panics where the account serves no such resource, or it does not
    /// grow.
    pub fn insert(&self, resource: impl Into<ResourceName>, count: u64) -> Vec<i64> {
        let mut state = self.state();
        let (resource, now) = (find(&state, resource.into()), state.now().as_second());
        assert!(state.account.grows(resource), "no record is added to it");
        state.account.insert(resource, count, now)
    }

    /// Changes records; their `updatedOn` is now. Panics where one may not be changed, as do those below.
    pub fn edit(&self, resource: impl Into<ResourceName>, ids: &[i64]) {
        let mut state = self.state();
        let (resource, now) = (find_for(&state, RecordEvent::Edit, resource.into(), ids), state.now().as_second());
        state.account.edit(resource, ids, now);
    }

    /// Changes values of records; no date moves.
    pub fn touch(&self, resource: impl Into<ResourceName>, ids: &[i64]) {
        let mut state = self.state();
        let resource = find_for(&state, RecordEvent::Touch, resource.into(), ids);
        state.account.touch(resource, ids);
    }

    /// Deletes records without a trace.
    pub fn delete(&self, resource: impl Into<ResourceName>, ids: &[i64]) {
        let mut state = self.state();
        let resource = find_for(&state, RecordEvent::Delete, resource.into(), ids);
        state.account.delete(resource, ids);
    }

    /// Brings deleted records back as they were, their dates too.
    pub fn restore(&self, resource: impl Into<ResourceName>, ids: &[i64]) {
        let mut state = self.state();
        let resource = find(&state, resource.into());
        state.account.restore(resource, ids);
    }

    /// Every id that may be edited, touched or deleted, ascending. Panics where the verb is none of these.
    pub fn eligible(&self, verb: Verb, resource: impl Into<ResourceName>) -> Vec<i64> {
        let state = self.state();
        let resource = find(&state, resource.into());
        let event = verb.event().expect("it happens to records of every resource");
        state.account.ids(resource).filter(|id| state.account.allows(event, resource, *id)).collect()
    }

    /// The account's clock.
    pub fn now(&self) -> Timestamp {
        self.state().now()
    }

    /// Moves the account's clock on.
    pub fn age(&self, by: Duration) {
        self.state().age(SignedDuration::try_from(by).unwrap_or(SignedDuration::ZERO));
    }

    /// Sets the account's clock back.
    pub fn set_back(&self, by: Duration) {
        self.state().age(-SignedDuration::try_from(by).unwrap_or(SignedDuration::ZERO));
    }

    /// Every id, ascending.
    pub fn ids(&self, resource: impl Into<ResourceName>) -> Vec<i64> {
        let state = self.state();
        let resource = find(&state, resource.into());
        state.account.ids(resource).collect()
    }

    /// The requests so far; the counts continue.
    pub fn peek_log(&self) -> Log {
        self.state().log.clone()
    }

    /// The requests since the start, or since they were last taken.
    pub fn take_log(&self) -> Log {
        std::mem::take(&mut self.state().log)
    }

    /// Waits until every caller has disconnected and its requests are in the log: after a kill requests may be under
    /// way.
    pub async fn rest(&self) {
        // The account and its server hold one each.
        while Arc::strong_count(&self.in_hand) > 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Changes settings while it serves.
    pub fn change(&self, change: impl FnOnce(&mut SandboxSettings)) {
        let mut state = self.state();
        let mut settings = state.settings.clone();
        change(&mut settings);
        state.set(settings);
    }

    /// Ends every access token.
    pub fn expire_tokens(&self) {
        self.state().tokens.expire();
    }

    /// The access tokens that are good now.
    pub fn access_tokens(&self) -> Vec<String> {
        let state = self.state();
        let now = state.now().as_second();
        state.tokens.good(now)
    }
}

/// The fixtures that the settings name.
fn fixtures(settings: &SandboxSettings, size: &Size) -> Result<Fixtures, String> {
    let found = Fixtures::load(settings.fixtures.as_deref())?;
    match size.records.keys().find(|name| found.counted(name).is_none()) {
        Some(name) => Err(format!("there is no fixture `{name}`")),
        None => Ok(found),
    }
}

/// The resource of a name that the caller knows to be served.
fn find(state: &ServerState, name: ResourceName) -> ResourceId {
    let found = state.account.resource(name.as_str());
    found.unwrap_or_else(|| panic!("the account serves no resource `{}`", name.as_str()))
}

/// The same, where an event may happen to these records.
fn find_for(state: &ServerState, event: RecordEvent, name: ResourceName, ids: &[i64]) -> ResourceId {
    let resource = find(state, name);
    let wrong = ids.iter().find(|id| !state.account.allows(event, resource, **id));
    assert!(wrong.is_none(), "{event:?} does not happen to {wrong:?}");
    resource
}

/// 128 random bits, hexadecimal.
fn token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
        self.other_app.abort();
    }
}
