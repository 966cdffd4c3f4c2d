//! The parts that all resources of a run share: the store, the client, the clock, the limits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Limits;
use crate::event::Events;
use crate::fetch::Client;
use crate::forget::Forgotten;
use crate::manifest::ResourceHolder;
use crate::run::binding::Binding;
use crate::run::stop::Stop;
use crate::schema::Catalog;
use crate::store::{Locks, Store, Upload};

/// The run's clock: read once at the start, counted on from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Timestamp,
    begun: Instant,
}

impl Clock {
    /// A clock that shows `now` now.
    pub fn new(now: Timestamp) -> Self {
        Self { start: now, begun: Instant::now() }
    }

    /// The time at which it was read.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.begun.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.start.saturating_add(passed).unwrap_or(self.start)
    }
}

/// The parts of the destination that this run holds.
pub struct Claims {
    /// The account's claim on the store.
    pub binding: Binding,
    pub locks: Locks,
    /// Unfinished uploads below staging, as they were once the locks were taken.
    pub uploads: Vec<Upload>,
    /// People whose values are kept out, as they were once the locks were taken.
    pub forgotten: Forgotten,
}

/// The order of the run's commits, and the numbers of its files.
#[derive(Debug)]
pub struct CommitTurns {
    /// One commit is written at a time: a Parquet writer holds a row group in memory.
    pub turn: Semaphore,
    /// The numbers of this run's files: a name is never used twice. Moved on under the turn.
    pub files: AtomicU64,
    pub rejected_values: AtomicU64,
}

impl Default for CommitTurns {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), files: AtomicU64::new(0), rejected_values: AtomicU64::new(0) }
    }
}

/// The parts that all resources of a run share.
pub struct RunContext {
    pub store: Store,
    pub client: Client,
    pub catalog: Arc<Catalog>,
    /// Resources that the settings select.
    pub selected: BTreeSet<String>,
    /// The destination as this run holds it.
    pub claims: Claims,
    pub run: String,
    pub clock: Clock,
    /// Local scratch space, one folder a resource below it.
    pub spool: PathBuf,
    pub limits: Limits,
    pub events: Events,
    pub stop: Stop,
    pub commits: CommitTurns,
}

impl RunContext {
    /// The run as the holder of its locks.
    pub fn holder(&self) -> ResourceHolder<'_> {
        ResourceHolder { store: &self.store, locks: &self.claims.locks, run: &self.run }
    }
}
