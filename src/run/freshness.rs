//! Freshness: whether the tables at the destination are as recent and complete as expected.

use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::Version;
use crate::schema::Resource;

/// Why a resource is not complete and scanned within `most`, if it is not. One that is only ever read whole, at a
/// cadence longer than that, may be older by its cadence; one whose changes are requested each night may not.
pub fn stale(
    resource: &Resource,
    head: Option<&Version>,
    every: Option<Duration>,
    most: Duration,
    now: Timestamp,
) -> Option<String> {
    let Some(head) = head else { return Some("never read".to_owned()) };
    let state = &head.state;
    let Some(completed) = state.completed_at else { return Some("its first load is not finished".to_owned()) };
    if state.scan.is_some() {
        return Some("a scan is not finished".to_owned());
    }
    if !state.pending.is_empty() {
        return Some("records are pending".to_owned());
    }
    let slack = every.filter(|every| *every > most && !resource.has_dates()).unwrap_or_default();
    let most = most.saturating_add(slack);
    // A clock that was ahead makes nothing fresher.
    let scanned = state.clocks.completed_at.map_or(completed, |ours| ours.min(completed));
    let age = Duration::try_from(now.duration_since(scanned)).unwrap_or(Duration::ZERO);
    (age > most).then(|| format!("last scanned {scanned:.0}, over {} ago", humantime::format_duration(most)))
}
