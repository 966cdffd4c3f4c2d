//! The request for a run: catalogue, settings, names and mode.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Settings;
use crate::event::Events;
use crate::fetch::IdRanges;
use crate::run::stop::Stop;
use crate::schema::Catalog;
use crate::secret::Redactor;
use crate::window::Window;

/// The part of a resource that a backfill reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    Ids {
        ids: IdRanges,
        /// Copies that are older than the stored ones are accepted.
        accept_older: bool,
    },
    /// Records with the date `by` in the window; none is the date of their creation.
    Range { window: Window, by: Option<String> },
}

/// The purpose of a run.
#[derive(Clone, Debug)]
pub enum RunMode {
    /// Brings each resource up to date; `full` reads everything again.
    Update { full: bool },
    /// Compares ids and removes deleted records; `force` however many.
    Reconcile { force: bool },
    /// Reads a part again.
    Backfill(Selection),
    /// Reads the content of damaged files again; `force` gives up the content that the source no longer has.
    Repair { force: bool },
}

impl RunMode {
    /// Whether everything is read again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Update { full: true })
    }

    /// The name of the command that makes such a run.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Update { .. } => "run",
            Self::Reconcile { .. } => "reconcile",
            Self::Backfill(_) | Self::Repair { .. } => "backfill",
        }
    }

    /// Ids of which a copy older than the stored one is accepted.
    pub fn accepts_older(&self) -> IdRanges {
        match self {
            Self::Backfill(Selection::Ids { ids, accept_older: true }) => ids.clone(),
            Self::Backfill(_) | Self::Update { .. } | Self::Reconcile { .. } | Self::Repair { .. } => IdRanges::new(),
        }
    }
}

/// The request for a run.
pub struct RunRequest {
    pub catalog: Arc<Catalog>,
    pub settings: Settings,
    /// Resources by name; none means all that the settings select.
    pub names: Vec<String>,
    pub mode: RunMode,
    /// Wait for resources that another run holds.
    pub wait: bool,
    /// Send no requests after this long, and commit the scans that are whole.
    pub most: Option<Duration>,
    pub now: Timestamp,
    /// Makes jitter reproducible.
    pub seed: u64,
    pub events: Events,
    pub redactor: Redactor,
    pub stop: Stop,
}
