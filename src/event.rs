//! What happened, as it happens: the one channel from every stage to whoever watches (bars, logs, reports).
//!
//! Stages call [`Events::tell`]; watchers are plain functions. Nothing here knows how an event is shown.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A resource begins: what is done, why, and the requests expected (`None`: not known beforehand).
    Started { resource: String, scan: String, reason: String, requests: Option<u64> },
    /// More is known of the requests that a resource will take.
    Expecting { resource: String, requests: u64 },
    /// The source answered a request.
    Asked { resource: String, url: String, status: u16, millis: u64, bytes: u64, tries: u32 },
    /// The quota as last heard.
    Quota { remaining: u32, returns_at: Timestamp },
    /// Requests wait for the quota until then.
    Waiting { until: Timestamp },
    /// A request is tried again.
    Retrying { resource: String, url: String, reason: String, wait_millis: u64 },
    /// A page was decoded and spooled: owners, rows of all tables.
    Spooled { resource: String, owners: u64, rows: u64 },
    /// A commit was decided: version, files and bytes written, rows new or changed.
    Committed { resource: String, version: u64, files: u64, bytes: u64, changed: u64 },
    /// A value or record did not fit the schema (counted by path).
    Misfit { resource: String, path: String, count: u64, sample: String },
    /// Something a person should know.
    Warning { resource: Option<String>, text: String },
    /// Something worth a line with `-v`.
    Note { resource: Option<String>, text: String },
    /// A resource is done, or failed (then with the failure's text).
    Finished { resource: String, rows: u64, requests: u64, failure: Option<String> },
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

    /// Tells what happened.
    pub fn tell(&self, event: Event) {
        (self.0)(&event);
    }

    /// Tells a warning about a resource.
    pub fn warn(&self, resource: &str, text: impl Into<String>) {
        self.tell(Event::Warning { resource: Some(resource.to_owned()), text: text.into() });
    }

    /// Tells a note about a resource.
    pub fn note(&self, resource: &str, text: impl Into<String>) {
        self.tell(Event::Note { resource: Some(resource.to_owned()), text: text.into() });
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
