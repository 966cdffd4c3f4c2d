//! The requests and waits of a run and of each of its resources, counted from the events of the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Event, Events};

/// Repeated requests, and the waits before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    pub retries: u64,
    /// Milliseconds, added up: requests wait side by side.
    pub wait_millis: u64,
}

/// Waits for the quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaWaits {
    pub waits: u64,
    /// Milliseconds as announced at the start of each wait; where waits overlap, the time counts once.
    pub millis: u64,
}

/// The counts so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RequestCounts(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    resources: BTreeMap<String, (u64, Repeats)>,
    quota: QuotaWaits,
    /// The end of the waits so far.
    waits_until: Option<Instant>,
}

impl RequestCounts {
    /// The answered requests of a resource.
    pub fn of(&self, resource: &str) -> u64 {
        self.with(|counted| counted.resources.get(resource).map_or(0, |(requests, _)| *requests))
    }

    /// The repeated requests of a resource.
    pub fn repeats(&self, resource: &str) -> Repeats {
        self.with(|counted| counted.resources.get(resource).map_or_else(Repeats::default, |(_, repeats)| *repeats))
    }

    /// The repeated requests of all resources.
    pub fn all_repeats(&self) -> Repeats {
        self.with(|counted| {
            counted.resources.values().fold(Repeats::default(), |sum, (_, repeats)| Repeats {
                retries: sum.retries + repeats.retries,
                wait_millis: sum.wait_millis.saturating_add(repeats.wait_millis),
            })
        })
    }

    /// The waits for the quota.
    pub fn quota(&self) -> QuotaWaits {
        self.with(|counted| counted.quota)
    }

    fn with<T>(&self, read: impl FnOnce(&mut Counted) -> T) -> T {
        read(&mut self.0.lock().expect("no holder panics"))
    }
}

impl Counted {
    fn count(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Asked { resource, .. } => self.resources.entry(resource.clone()).or_default().0 += 1,
            Event::Retrying { resource, wait_millis, .. } => {
                let repeats = &mut self.resources.entry(resource.clone()).or_default().1;
                repeats.retries += 1;
                repeats.wait_millis = repeats.wait_millis.saturating_add(*wait_millis);
            }
            Event::Waiting { millis, .. } => {
                let until = now + Duration::from_millis(*millis);
                let begins = self.waits_until.map_or(now, |end| end.max(now));
                let added = u64::try_from(until.saturating_duration_since(begins).as_millis()).unwrap_or(u64::MAX);
                self.quota.waits += u64::from(added > 0);
                self.quota.millis = self.quota.millis.saturating_add(added);
                self.waits_until = Some(begins.max(until));
            }
            Event::Begun { .. }
            | Event::NewDestination { .. }
            | Event::Stopping { .. }
            | Event::Started { .. }
            | Event::Expecting { .. }
            | Event::Quota { .. }
            | Event::Spooled { .. }
            | Event::Committed { .. }
            | Event::Rejected { .. }
            | Event::Warning { .. }
            | Event::Note { .. }
            | Event::Finished { .. } => {}
        }
    }
}

/// Events that also count the requests of each resource.
pub fn counted(events: &Events) -> (RequestCounts, Events) {
    let counts = RequestCounts::default();
    let (kept, onward) = (counts.clone(), events.clone());
    let events = Events::new(move |event| {
        kept.with(|counted| counted.count(event, Instant::now()));
        onward.tell(event.clone());
    });
    (counts, events)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_count_once() {
        let (counts, events) = counted(&Events::silent());
        let wait = |millis| events.tell(Event::Waiting { until: Timestamp::UNIX_EPOCH, millis });
        wait(1_000);
        wait(1_000);
        wait(1_500);
        assert_eq!(counts.quota(), QuotaWaits { waits: 2, millis: 1_500 });
        tokio::time::sleep(Duration::from_secs(10)).await;
        wait(200);
        assert_eq!(counts.quota(), QuotaWaits { waits: 3, millis: 1_700 });
    }
}
