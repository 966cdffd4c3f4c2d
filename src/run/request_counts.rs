//! The requests of each resource, counted from the events of the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::event::{Event, Events};

/// The requests of each resource so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RequestCounts(Arc<Mutex<BTreeMap<String, u64>>>);

impl RequestCounts {
    /// The requests of a resource.
    pub fn of(&self, resource: &str) -> u64 {
        self.0.lock().expect("no holder panics").get(resource).copied().unwrap_or(0)
    }
}

/// Events that also count the requests of each resource.
pub fn counted(events: &Events) -> (RequestCounts, Events) {
    let counts = RequestCounts::default();
    let (kept, onward) = (counts.clone(), events.clone());
    let events = Events::new(move |event| {
        if let Event::Asked { resource, .. } = event {
            *kept.0.lock().expect("no holder panics").entry(resource.clone()).or_default() += 1;
        }
        onward.tell(event.clone());
    });
    (counts, events)
}
