//! One resource through its run: the steps of its job, or those of a command other than the nightly run.

use jiff::Timestamp;

use crate::delta::recover;
use crate::event::{Event, RowCounts};
use crate::failure::Result;
use crate::manifest::{Claimant, Recovered, ScanKind, SourceCount, TableFiles, Version, head as newest, nonce};
use crate::plan::{Fit, PartitionState, ResourceOptions, Step, StepKind, advice, plan};
use crate::quantity::count;
use crate::run::context::RunContext;
use crate::run::division::divide;
use crate::run::outcome::{End, ResourceOutcome, Tally, Unsettled};
use crate::run::reconcile::{By, Reconciled};
use crate::run::reconcile_held::reconcile_held;
use crate::run::reconcile_rows::reconcile_rows;
use crate::run::repair::Repaired;
use crate::run::request::{RunMode, RunRequest};
use crate::run::scan::{completeness, held_ids, reread, styles};
use crate::run::selection::options;
use crate::run::session::{ResourceSession, SessionOptions};
use crate::run::{backfill, reconcile, repair};
use crate::schema::{ReadStyle, Resource};

/// One resource to the end of its steps; gives also those that are made once every resource has come so far.
///
/// `source_now` is the source's clock for cadences. Without it our clock decides, even if the source's has been heard:
/// the plan of a resource does not depend on how fast another was answered.
pub async fn work_on(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    source_now: Option<Timestamp>,
) -> (ResourceOutcome, Vec<Step>) {
    let mut later = Vec::new();
    let mut outcome = ResourceOutcome {
        resource: resource.name.clone(),
        end: End::Stopped,
        scans: Vec::new(),
        version: None,
        watermark: None,
        rows: RowCounts::default(),
        partition: None,
        requests: 0,
        tally: Tally::default(),
        unsettled: Unsettled::default(),
        count: SourceCount::default(),
        found: None,
    };
    if !context.claims.locks.holds(&resource.name) {
        let by = context.claims.locks.held_by_others.iter().find(|held| held.name == resource.name);
        outcome.end = End::Held(by.map_or_else(|| "another run".to_owned(), |held| held.by.clone()));
        return (outcome, later);
    }
    if context.stop.asked().is_some() {
        return (outcome, later);
    }
    match Box::pin(all_steps(context, resource, request, source_now, &mut outcome)).await {
        Ok((end, steps)) => (outcome.end, later) = (end, steps),
        Err(failure) => {
            outcome.end = End::of(context.holder().meaning(&[&resource.name], outcome.version, failure).await);
        }
    }
    (outcome, later)
}

async fn all_steps(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    source_now: Option<Timestamp>,
    outcome: &mut ResourceOutcome,
) -> Result<(End, Vec<Step>)> {
    let claimant =
        Claimant { account: context.claims.binding.account(), run: &context.run, now: context.clock.now(), nonce };
    let Recovered { head, kept } = recover(&context.store, resource, &context.claims.uploads, claimant).await?;
    if let Some(kept) = kept {
        context.events.note(&resource.name, format!("unfinished uploads of crashed runs remain: {kept}"));
    }
    describe(outcome, resource, head.as_ref());
    let head = reshape(context, resource, request, head, outcome).await?;
    if !matches!(request.mode, RunMode::Update { .. }) {
        return Box::pin(beside(context, resource, request, head, outcome)).await.map(|end| (end, Vec::new()));
    }
    let options = ResourceOptions { source_now, ..options(request, resource)? };
    if let Some(why) = held_ids::unready(context, resource).await? {
        return Ok((End::Idle(why), Vec::new()));
    }
    let job = plan(resource, head.as_ref(), options);
    if let Some(reason) = job.idle {
        return Ok((End::Idle(reason), job.later));
    }
    let full = request.mode.is_full();
    let plain = SessionOptions::new(request.settings.deletes(&resource.name));
    let keep = request.settings.keep(&resource.name)?;
    let wishes = SessionOptions { rebuilds: full, forced: full, keep, start: options.start, ..plain };
    let mut session = ResourceSession::new(context, resource, head, wishes)?;
    session.clear_read_references().await?;
    let mut later = job.later;
    let done = match make_all(&mut session, &job.steps, outcome).await {
        Ok(()) => {
            // The source's clock has been heard: a cadence may have passed by it alone.
            let heard = ResourceOptions { source_now: context.client.clocks().theirs(), ..options };
            let (steps, then) = newly_due(&session, &job.steps, heard);
            if !then.is_empty() {
                later = then;
            }
            make_all(&mut session, &steps, outcome).await
        }
        Err(failure) => Err(failure),
    };
    let done = match done {
        Ok(()) => divide(&mut session, outcome).await,
        Err(failure) => Err(failure),
    };
    outcome.tally.add(&session.tally);
    describe(outcome, &session.resource, session.head.as_ref());
    let most = context.limits.partition_rows;
    outcome.tally.noticed.partition = session.head.as_ref().and_then(|head| advice(resource, head, most));
    done.map(|()| (End::Complete, later))
}

/// Steps beside the scans that have become due by the source's clock: those made at once, and those made later.
fn newly_due(session: &ResourceSession<'_>, made: &[Step], options: ResourceOptions) -> (Vec<Step>, Vec<Step>) {
    let is_reconcile = |step: &Step| step.kind == StepKind::Reconcile;
    let is_full = |step: &Step| step.kind == StepKind::Scan(ScanKind::Full);
    if options.source_now.is_none() {
        return (Vec::new(), Vec::new());
    }
    let job = plan(&session.resource, session.head.as_ref(), options);
    let again = job.steps.into_iter().filter(|step| is_reconcile(step) && !made.iter().any(is_reconcile)).collect();
    let read_all = made.iter().any(is_full);
    (again, job.later.into_iter().filter(|step| is_full(step) && !read_all).collect())
}

/// Makes steps in their order.
pub async fn make_all(session: &mut ResourceSession<'_>, steps: &[Step], outcome: &mut ResourceOutcome) -> Result<()> {
    for step in steps {
        session.begin(step);
        let changes = step.kind == StepKind::Scan(ScanKind::Changes);
        // A first load that could not vouch for its rows is read again, and no changes are requested.
        if changes && step.since.or(session.state.changes_since()).is_none() && step.resume.is_none() {
            continue;
        }
        outcome.scans.push(format!("{}: {}", step.kind.name(), step.reason));
        session.context.events.tell(Event::Started {
            resource: outcome.resource.clone(),
            scan: step.kind.name().to_owned(),
            reason: step.reason.clone(),
            requests: None,
        });
        // The changes of a night are unknown for ids of other resources: they must have been read before.
        let unknown = session.options.forced && matches!(session.resource.read.style, ReadStyle::PerOwner { .. });
        let whole = step.kind == StepKind::Scan(ScanKind::Full) && session.resource.has_dates() && !unknown;
        session.observations.reads_again = whole || matches!(step.kind, StepKind::Reread(_));
        match step.kind {
            StepKind::Scan(kind) => {
                Box::pin(styles::make(session, step, kind)).await?;
                // A later comparison of all ids finds the difference.
                if session.state.count.open || !steps.iter().any(|step| step.kind == StepKind::Reconcile) {
                    completeness::after(session).await?;
                }
            }
            StepKind::Reread(requests) => reread::reread(session, requests).await?,
            StepKind::Reconcile => {
                outcome.found = Some(compare(session, By::Night).await?.to_string());
                completeness::after_comparison(session).await?;
            }
            // Found out and made when all have ended: see `follow`.
            StepKind::Touched => {}
        }
    }
    Ok(())
}

/// Rewrites tables that differ from the catalogue, before anything is requested from the source; gives the new head.
async fn reshape(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    head: Option<Version>,
    outcome: &mut ResourceOutcome,
) -> Result<Option<Version>> {
    let Some(Fit::Reshape(reshape)) = head.as_ref().map(|head| Fit::of(head, resource)) else { return Ok(head) };
    let reason = reshape.describe(resource);
    outcome.scans.push(format!("reshape: {reason}"));
    let scan = "reshape".to_owned();
    context.events.tell(Event::Started { resource: resource.name.clone(), scan, reason, requests: None });
    let wishes = SessionOptions::new(request.settings.deletes(&resource.name));
    let mut session = ResourceSession::new(context, resource, head, wishes)?;
    let repairs = matches!(request.mode, RunMode::Repair { .. });
    if repairs {
        repair::quarantine_damaged(&mut session).await?;
    }
    let unfilled = session.reshape(reshape).await?;
    if !unfilled.is_empty() {
        let text = format!(
            "{} cannot be filled from `_extra`: null until the record is read again, by `backfill` or `run --full`",
            unfilled.join(", ")
        );
        context.events.warn(&session.name, text);
    }
    outcome.tally.add(&session.tally);
    describe(outcome, &session.resource, session.head.as_ref());
    // The newest head still lists the damaged files, which are repaired next.
    if repairs { newest(&context.store, &resource.name).await } else { Ok(session.head.clone()) }
}

/// The steps of a command other than the nightly run.
async fn beside(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    head: Option<Version>,
    outcome: &mut ResourceOutcome,
) -> Result<End> {
    let wishes = SessionOptions {
        forced: matches!(request.mode, RunMode::Repair { force: true }),
        accepts_older: request.mode.accepts_older(),
        ..SessionOptions::new(request.settings.deletes(&resource.name))
    };
    let mut session = ResourceSession::new(context, resource, head, wishes)?;
    let begun = |scan: &str, reason: &str| Event::Started {
        resource: resource.name.clone(),
        scan: scan.to_owned(),
        reason: reason.to_owned(),
        requests: None,
    };
    let end = match &request.mode {
        RunMode::Update { .. } => Ok(End::Complete),
        RunMode::Reconcile { force } => {
            let unready = session.head.as_ref().is_none_or(|head| head.state.completed_at.is_none());
            let unready = unready.then(|| "its first load is not complete".to_owned());
            let why = reconcile::refuse(resource).or(unready).or(held_ids::unready(context, resource).await?);
            if let (Some(why), true) = (why, request.names.is_empty()) {
                return Ok(End::Idle(why));
            }
            context.events.tell(begun("reconcile", "compares the ids"));
            match compare(&mut session, if *force { By::Force } else { By::Command }).await {
                Ok(found) => {
                    outcome.found = Some(found.to_string());
                    completeness::after_comparison(&mut session).await.map(|()| End::Complete)
                }
                Err(failure) => Err(failure),
            }
        }
        RunMode::Repair { .. } => {
            context.events.tell(begun("backfill", "checks every file and reads damaged content again"));
            let mut repaired = Repaired::default();
            let done = repair::repair(&mut session, &mut repaired).await;
            outcome.found = Some(repaired.to_string());
            done.map(|()| End::Complete)
        }
        RunMode::Backfill(selection) => {
            context.events.tell(begun("backfill", "reads a part again"));
            backfill::backfill(&mut session, selection).await.map(|done| {
                outcome.found = Some(done.to_string());
                End::Complete
            })
        }
    };
    outcome.tally.add(&session.tally);
    describe(outcome, &session.resource, session.head.as_ref());
    end
}

/// Compares the ids of the source with those of the tables.
async fn compare(session: &mut ResourceSession<'_>, by: By) -> Result<Reconciled> {
    let resource = std::sync::Arc::clone(&session.resource);
    match &resource.read.style {
        ReadStyle::Search(search) if !search.since.is_empty() => reconcile_rows(session, search, by).await,
        ReadStyle::PerOwner { .. } if resource.follows_held_ids() => reconcile_held(session, by).await,
        ReadStyle::Search(_) | ReadStyle::IdSets { .. } | ReadStyle::PerOwner { .. } | ReadStyle::List { .. } => {
            reconcile::reconcile(session, by).await
        }
    }
}

/// The stored rows by a head.
pub fn stored_rows(resource: &Resource, head: &Version) -> RowCounts {
    let main = head.tables.get(&resource.main_table().name);
    RowCounts { main: main.map_or(0, TableFiles::rows), all: head.rows() }
}

/// Fills an outcome from a head.
pub fn describe(outcome: &mut ResourceOutcome, resource: &Resource, head: Option<&Version>) {
    outcome.partition = PartitionState::of(resource, head);
    if let Some(head) = head {
        outcome.version = Some(head.version);
        outcome.watermark = head.state.watermark;
        outcome.rows = stored_rows(resource, head);
        outcome.count = head.state.count.clone();
        outcome.unsettled = Unsettled {
            pending: count(head.state.pending.len()),
            withheld: count(head.state.absence.withheld.len()),
            suspects: count(head.state.absence.suspects.len()),
        };
    }
}
