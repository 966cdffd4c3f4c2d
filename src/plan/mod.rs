//! The steps of a run, with reasons: from settings, catalogue, manifests and the time to jobs. Pure.
//!
//! Takes each resource's head and the clock, gives its steps in order. Only decides: it sends no request and writes
//! nothing.

mod clock;
mod division;
mod reshape;

use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::{Scan, ScanKind, State, Version};
use crate::quantity::cadence;
use crate::schema::{Open, ReadStyle, Resource};

pub use clock::{
    Moment, ScanClocks, are_apart, day, held_back, is_another_day, is_over, lowered, may_replace, watermark,
};
pub use division::{PartitionAdvice, PartitionState, advice, coarsest};
pub use reshape::{ColumnOrigin, Fit, Reshape, TableReshape};

/// The work on one resource in this run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub resource: String,
    /// In order; none when nothing is due.
    pub steps: Vec<Step>,
    /// Steps that look for undated changes, after the steps of every resource.
    pub later: Vec<Step>,
    /// Why nothing is due.
    pub idle: Option<String>,
}

/// The kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    Scan(ScanKind),
    /// Compares the ids of the source with those of the tables.
    Reconcile,
    /// Reads records that rows of other resources name: which, only the run itself finds out.
    Touched,
    /// Reads again the records least recently read, with this many requests.
    Reread(u64),
}

impl StepKind {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan(kind) => kind.name(),
            Self::Reconcile => "reconcile",
            Self::Touched => "touched",
            Self::Reread(_) => "reread",
        }
    }
}

/// One scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub kind: StepKind,
    /// One line for people.
    pub reason: String,
    /// Changes are requested from here on; of a full read of a snapshot: the one taken then lacks records, which alone
    /// are requested.
    pub since: Option<Timestamp>,
    /// The unfinished scan to resume.
    pub resume: Option<Scan>,
    /// Open records are read again too, once this time has passed by the source's clock.
    pub open_every: Option<Duration>,
}

/// The inputs of the plan, beside the resource and its head.
#[derive(Clone, Copy, Debug)]
pub struct ResourceOptions {
    /// Read everything again.
    pub full: bool,
    /// A full read takes records created from then on.
    pub start: Option<Timestamp>,
    /// The cadence of resources without dates, if the settings give one.
    pub every: Option<Duration>,
    /// The cadence of full reads of resources with dates, if the settings give one.
    pub reload_every: Option<Duration>,
    /// The cadence of looking for deletions; none is never.
    pub reconcile_every: Option<Duration>,
    /// The cadence of re-reading open records, if the settings give one.
    pub open_every: Option<Duration>,
    /// Requests that read again the records least recently read.
    pub reread_requests: u64,
    /// The time by our clock, and by the source's where this run has heard it.
    pub now: Timestamp,
    pub source_now: Option<Timestamp>,
    /// A stamp ahead by less than this was written by a right clock.
    pub overlap: Duration,
}

impl ResourceOptions {
    fn is_over(&self, theirs: Option<Timestamp>, ours: Option<Timestamp>, every: Duration) -> bool {
        is_over(Moment { theirs, ours }, every, self.moment(), self.overlap)
    }

    fn moment(&self) -> Moment {
        Moment { theirs: self.source_now, ours: Some(self.now) }
    }
}

/// The steps of a resource.
pub fn plan(resource: &Resource, head: Option<&Version>, options: ResourceOptions) -> Job {
    let blank = State::default();
    let state = head.map_or(&blank, |head| &head.state);
    let mut steps = Vec::new();
    let mut idle = None;
    // A snapshot is of its day: nothing of an earlier one is gone on with.
    let resumable = state.scan.clone().filter(|scan| scan.schema_hash == resource.hash && !resource.is_snapshot());
    if options.full {
        steps.push(full(from(options.start, "requested with --full"), None));
    } else if let Some(scan) = resumable {
        let (begun, scan_kind) = (format!("{:.0}", scan.started_at), scan.kind);
        match scan.kind {
            ScanKind::Full => steps.push(full(format!("resumes the full read begun {begun}"), Some(scan))),
            ScanKind::Changes => steps.push(Step {
                resume: Some(scan),
                ..changes(format!("resumes the changes begun {begun}"), state.changes_since(), None)
            }),
        }
        if resource.has_dates() {
            // Open records that a full read has brought are read again the next night.
            let open_every = open_every(resource, options).filter(|_| scan_kind == ScanKind::Changes);
            steps.push(changes("then the changes since".to_owned(), None, open_every));
        }
    } else if state.completed_at.is_none() || (resource.has_dates() && state.watermark.is_none()) {
        steps.push(full(from(options.start, "first load"), None));
    } else if let (true, Some(since)) = (resource.has_dates(), state.changes_since()) {
        let reason = match resource.held_ids() {
            Some(held) => format!("records that changed rows of {} reference", held.table),
            None => format!("changes since {since:.0}"),
        };
        steps.push(changes(reason, Some(since), open_every(resource, options)));
    } else {
        match not_due(resource, state, options) {
            Some(reason) => idle = Some(reason),
            None if has_holes(resource, state, options) => {
                let reason = "requests again the records that the day's snapshot lacks".to_owned();
                steps.push(Step { since: state.reloaded_at, ..full(reason, None) });
            }
            None => steps.push(full(reload_reason(resource).to_owned(), None)),
        }
    }
    if let Some(every) = options.reconcile_every
        && state.completed_at.is_some()
        && options.is_over(state.reconciled_at, state.clocks.reconciled_at, every)
    {
        let reason = format!("looks for deletions {}", cadence(every));
        steps.push(Step { kind: StepKind::Reconcile, reason, since: None, resume: None, open_every: None });
        idle = None;
    } else if compares_after(resource, state, &steps) {
        let reason = "compares the ids: its search has no dates".to_owned();
        steps.push(Step { kind: StepKind::Reconcile, reason, since: None, resume: None, open_every: None });
    }
    let later = later(resource, state, options, &steps).into_iter().collect();
    let mut job = Job { resource: resource.name.clone(), steps, later, idle };
    if let Some(head) = head {
        say_fit(&mut job, &Fit::of(head, resource), resource, options.full);
    }
    job
}

/// Whether ids are compared after a whole read: a resource read by ids without changes is counted in no night between.
fn compares_after(resource: &Resource, state: &State, steps: &[Step]) -> bool {
    let undated = matches!(resource.read.style, ReadStyle::IdSets { changes: None, .. });
    undated && state.completed_at.is_some() && steps.iter().any(|step| step.kind == StepKind::Scan(ScanKind::Full))
}

/// Adds to the reason the rewrite that the files of the head need first.
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

/// The step that looks for undated changes; none if this run reads everything anyway.
fn later(resource: &Resource, state: &State, options: ResourceOptions, steps: &[Step]) -> Option<Step> {
    let reads_all = steps.iter().any(|step| step.kind == StepKind::Scan(ScanKind::Full));
    if !resource.has_dates() || reads_all {
        return None;
    }
    let every = options.reload_every.or(resource.read.reload_every);
    if let Some(every) = every.filter(|every| options.is_over(state.reloaded_at, state.clocks.reloaded_at, *every)) {
        return Some(full(format!("read whole again {}", cadence(every)), None));
    }
    let requests = options.reread_requests;
    (requests > 0 && can_reread(resource)).then(|| Step {
        kind: StepKind::Reread(requests),
        reason: "reads again the records read least recently".to_owned(),
        since: None,
        resume: None,
        open_every: None,
    })
}

/// Whether single records can be read again: rows of a search have no GET.
pub fn can_reread(resource: &Resource) -> bool {
    match resource.read.style {
        ReadStyle::IdSets { .. } | ReadStyle::PerOwner { .. } => resource.has_dates(),
        ReadStyle::Search(_) | ReadStyle::List { .. } => false,
    }
}

fn full(reason: String, resume: Option<Scan>) -> Step {
    Step { kind: StepKind::Scan(ScanKind::Full), reason, since: None, resume, open_every: None }
}

fn changes(reason: String, since: Option<Timestamp>, open_every: Option<Duration>) -> Step {
    let reason = match open_every {
        Some(every) => format!("{reason}, and open records {}", cadence(every)),
        None => reason,
    };
    Step { kind: StepKind::Scan(ScanKind::Changes), reason, since, resume: None, open_every }
}

/// The cadence at which open records are read again.
fn open_every(resource: &Resource, options: ResourceOptions) -> Option<Duration> {
    match resource.open() {
        Some(Open::Until { every, .. }) => Some(options.open_every.unwrap_or(*every)),
        Some(Open::Listed { .. }) | None => None,
    }
}

/// A reason, with the day from which on things are read.
fn from(start: Option<Timestamp>, reason: &str) -> String {
    match start {
        Some(start) => format!("{reason}, from {}", day(start)),
        None => reason.to_owned(),
    }
}

fn reload_reason(resource: &Resource) -> &'static str {
    if resource.is_snapshot() { "the day's snapshot" } else { "has no dates: read whole" }
}

/// Whether the snapshot of the day lacks records that are to be requested again.
fn has_holes(resource: &Resource, state: &State, options: ResourceOptions) -> bool {
    let taken = Moment { theirs: state.reloaded_at, ours: state.clocks.reloaded_at };
    let lacks = resource.is_snapshot() && !state.pending.is_empty();
    lacks && !is_another_day(taken, options.moment(), options.overlap)
}

/// The reason why a resource without dates is not due yet, if it is not.
fn not_due(resource: &Resource, state: &State, options: ResourceOptions) -> Option<String> {
    let every = options.every.or(resource.read.every)?;
    let last = state.reloaded_at?;
    let per_owner = matches!(resource.read.style, ReadStyle::PerOwner { .. });
    if !state.pending.is_empty() && (!per_owner || has_holes(resource, state, options)) {
        return None;
    }
    if resource.is_snapshot() && every == Duration::from_secs(24 * 3600) {
        let taken = Moment { theirs: Some(last), ours: state.clocks.reloaded_at };
        let due = is_another_day(taken, options.moment(), options.overlap);
        return (!due).then(|| format!("has the snapshot of {}", day(last)));
    }
    (!options.is_over(Some(last), state.clocks.reloaded_at, every))
        .then(|| format!("read {last:.0}, due {}", cadence(every)))
}
