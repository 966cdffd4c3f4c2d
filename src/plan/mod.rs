//! What a run will do, and why: from settings, catalogue, manifests and the time to jobs. Pure.
//!
//! Takes each resource's head and the clock, gives its steps in order. Decides only; asks nobody and writes nothing.

mod reshape;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::manifest::{Scan, ScanKind, State, Version};
use crate::schema::{Resource, Style};

pub use reshape::{Fit, Origin, Reshape, TableReshape};

/// A cadence counts as passed this much early: a nightly run does not start at the same second each night.
const EARLY: f64 = 0.9;

/// What is done for one resource in this run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub resource: String,
    /// In order; none when nothing is due.
    pub steps: Vec<Step>,
    /// Why nothing is due.
    pub idle: Option<String>,
}

/// One scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub kind: ScanKind,
    /// One line for people.
    pub reason: String,
    /// Changes are asked from here on.
    pub since: Option<Timestamp>,
    /// The unfinished scan to go on with.
    pub resume: Option<Scan>,
}

/// What the plan depends on, beside the resource and its head.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Read everything again.
    pub full: bool,
    /// The cadence of whole reloads, where settings give one.
    pub every: Option<Duration>,
    pub now: Timestamp,
}

/// The steps of a resource.
pub fn plan(resource: &Resource, head: Option<&Version>, wish: Wish) -> Job {
    let blank = State::default();
    let state = head.map_or(&blank, |head| &head.state);
    let mut steps = Vec::new();
    let mut idle = None;
    let resumable = state.scan.clone().filter(|scan| scan.schema_hash == resource.hash);
    if wish.full {
        steps.push(full("asked for with --full".to_owned(), None));
    } else if let Some(scan) = resumable {
        let begun = format!("{:.0}", scan.started_at);
        match scan.kind {
            ScanKind::Full => steps.push(full(format!("goes on with the full read begun {begun}"), Some(scan))),
            ScanKind::Changes => steps.push(Step {
                kind: ScanKind::Changes,
                reason: format!("goes on with the changes begun {begun}"),
                since: state.watermark,
                resume: Some(scan),
            }),
        }
        if asks_changes(&resource.read.style) {
            steps.push(Step {
                kind: ScanKind::Changes,
                reason: "then what changed since".to_owned(),
                since: None,
                resume: None,
            });
        }
    } else if state.completed_at.is_none() || (changes_now(resource) && state.watermark.is_none()) {
        steps.push(full("first load".to_owned(), None));
    } else if let (true, Some(since), false) =
        (changes_now(resource), state.watermark, reload_due(resource, state, wish))
    {
        let reason = format!("changes since {since:.0}");
        steps.push(Step { kind: ScanKind::Changes, reason, since: Some(since), resume: None });
    } else {
        match not_due(resource, state, wish) {
            Some(reason) => idle = Some(reason),
            None => steps.push(full(reload_reason(resource).to_owned(), None)),
        }
    }
    let mut job = Job { resource: resource.name.clone(), steps, idle };
    if let Some(head) = head {
        say_fit(&mut job, &Fit::of(head, resource), resource, wish.full);
    }
    job
}

/// Lets the reason say what the files of the head need first.
fn say_fit(job: &mut Job, fit: &Fit, resource: &Resource, full: bool) {
    let idle = job.idle.is_some();
    let step = job.steps.first_mut().map(|step| &mut step.reason);
    match (fit, step.or(job.idle.as_mut())) {
        (Fit::Reshape(reshape), Some(reason)) => *reason = format!("{}; then: {reason}", reshape.describe(resource)),
        (Fit::Anew { table, why }, Some(reason)) if full => {
            *reason = format!("{reason}; builds all files anew: {table}: {why}");
        }
        (Fit::Anew { table, why }, Some(reason)) if !idle => {
            *reason = format!("refused without --full: {table}: {why}");
        }
        (Fit::Same | Fit::Reshape(_) | Fit::Anew { .. }, _) => {}
    }
}

fn full(reason: String, resume: Option<Scan>) -> Step {
    Step { kind: ScanKind::Full, reason, since: None, resume }
}

fn reload_reason(resource: &Resource) -> &'static str {
    match (resource.is_snapshot(), asks_changes(&resource.read.style)) {
        (true, _) => "the day's snapshot",
        (false, true) => "its cadence of whole reads is over",
        (false, false) => "has no dates: read whole",
    }
}

/// Whether changes can be asked for.
fn asks_changes(style: &Style) -> bool {
    match style {
        Style::IdSets { changes, .. } => changes.is_some(),
        Style::Search(search) => !search.since.is_empty(),
        Style::List { .. } => false,
        Style::PerOwner { .. } => true,
    }
}

/// Whether a nightly run asks for changes; a snapshot is taken whole.
pub fn changes_now(resource: &Resource) -> bool {
    asks_changes(&resource.read.style) && !resource.is_snapshot()
}

/// Whether what asks for changes is to be read whole this time.
fn reload_due(resource: &Resource, state: &State, wish: Wish) -> bool {
    wish.every.or(resource.read.every).is_some() && not_due(resource, state, wish).is_none()
}

/// Why a whole reload is not due yet, if it is not.
fn not_due(resource: &Resource, state: &State, wish: Wish) -> Option<String> {
    let every = wish.every.or(resource.read.every)?;
    let last = state.reloaded_at?;
    if !state.owed.is_empty() && !asks_changes(&resource.read.style) {
        return None;
    }
    if resource.is_snapshot() && every == Duration::from_secs(24 * 3600) {
        let day = |at: Timestamp| Offset::UTC.to_datetime(at).date();
        return (day(last) >= day(wish.now)).then(|| format!("has the snapshot of {}", day(last)));
    }
    // Read in our future: our clock or the source's is wrong, and once too often is better than never.
    let age = Duration::try_from(wish.now.duration_since(last)).ok()?;
    (age < every.mul_f64(EARLY)).then(|| format!("read {last:.0}, due every {}", humantime::format_duration(every)))
}
