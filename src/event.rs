//! Events as they happen: the one channel from every stage to the watchers (bars, logs, reports).
//!
//! Stages call [`Events::tell`]; watchers are plain functions. This module does not know how an event is shown.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run begins: its id and its account, which every line of a log has from now on, and the number of its resources.
    Begun { run: String, account: String, resources: usize },
    /// The run writes to a destination that holds nothing yet, so that everything is read.
    NewDestination { destination: String },
    /// The run was asked to stop: by a signal, or because its time is up.
    Stopping { reason: String },
    /// A resource begins: its scan, the reason, and the expected requests (`None`: not known beforehand).
    Started { resource: String, scan: String, reason: String, requests: Option<u64> },
    /// More is known of the requests that a resource will take.
    Expecting { resource: String, requests: u64 },
    /// The source answered a request.
    Asked {
        resource: String,
        url: String,
        status: u16,
        millis: u64,
        bytes: u64,
        tries: u32,
        request_id: Option<String>,
    },
    /// The quota as last heard, and the requests of it that are kept for other apps.
    Quota { remaining: u32, reserve: u32, returns_at: Timestamp },
    /// Requests wait for the quota until then.
    Waiting { until: Timestamp, millis: u64 },
    /// A request is tried again.
    Retrying { resource: String, url: String, reason: String, wait_millis: u64, request_id: Option<String> },
    /// A page was decoded and spooled: the number of records, and of rows in all tables.
    Spooled { resource: String, records: u64, rows: u64 },
    /// A commit was decided: version, files and bytes written, rows new or changed.
    Committed { resource: String, version: u64, files: u64, bytes: u64, changed: u64 },
    /// A value or record did not fit the schema (counted by path).
    Rejected { resource: String, path: String, count: u64, sample: String },
    /// Something a person should know.
    Warning { resource: Option<String>, text: String },
    /// Something worth a line with `-v`.
    Note { resource: Option<String>, text: String },
    /// A resource has ended: its scans with their reasons, its stored rows, the rows that changed, the files written, and
    /// the requests made for it.
    Finished {
        resource: String,
        scans: Vec<String>,
        rows: RowCounts,
        changed: u64,
        files: u64,
        requests: u64,
        ending: Ending,
    },
}

/// The stored rows of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Those of its main table.
    pub main: u64,
    /// Those of all its tables.
    pub all: u64,
}

/// How a resource ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Up to date.
    Complete,
    /// Nothing was due, and why.
    Idle { reason: String },
    /// Stopped before its end; the next run resumes it.
    Stopped,
    /// Another run, by its name, holds it.
    Held { by: String },
    /// The failure's text, and the source's id of the request where the failure is of one.
    Failed { failure: String, request_id: Option<String> },
}

impl Ending {
    /// The ending in one word, for logs and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Idle { .. } => "idle",
            Self::Stopped => "stopped",
            Self::Held { .. } => "held",
            Self::Failed { .. } => "failed",
        }
    }

    /// The reason of an idle resource, the holder of a held one, the failure of a failed one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Complete | Self::Stopped => None,
            Self::Idle { reason } => Some(reason),
            Self::Held { by } => Some(by),
            Self::Failed { failure, .. } => Some(failure),
        }
    }
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(&Event) + Send + Sync>);

impl Events {
    /// Sends every event to one watcher.
    pub fn new(watcher: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(watcher))
    }

    /// Events that nobody watches.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Sends an event.
    pub fn tell(&self, event: Event) {
        (self.0)(&event);
    }

    /// Reports a warning about a resource.
    pub fn warn(&self, resource: &str, text: impl Into<String>) {
        self.tell(Event::Warning { resource: Some(resource.to_owned()), text: text.into() });
    }

    /// Reports a note about a resource.
    pub fn note(&self, resource: &str, text: impl Into<String>) {
        self.tell(Event::Note { resource: Some(resource.to_owned()), text: text.into() });
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
