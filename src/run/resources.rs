//! The resources of a run, a few at once and each to its end; then the steps that depend on the ends of others.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::event::Event;
use crate::failure::{Kind, Recovery, Result};
use crate::plan::Step;
use crate::run::context::RunContext;
use crate::run::dependents::follow;
use crate::run::outcome::{End, ResourceOutcome};
use crate::run::request::{RunMode, RunRequest};
use crate::run::request_counts::RequestCounts;
use crate::run::steps::work_on;
use crate::run::stop::Why;
use crate::run::undated_changes::look_again;
use crate::schema::Resource;

/// Resources worked on at once: enough that one which waits leaves no quota unused, few enough to share the memory.
const AT_ONCE: usize = 3;

/// Whether a resource met a failure of the whole run: nothing was committed, and no resource can do better.
fn failed_for_all(context: &RunContext, outcome: &ResourceOutcome) -> bool {
    outcome.failure().is_some_and(|failure| match failure.kind() {
        Kind::Offline => true,
        Kind::Settings => context.claims.binding.is_refused(),
        _ => false,
    })
}

/// The ends of resources, as far as they have come.
#[derive(Default)]
struct Ends {
    done: BTreeMap<usize, ResourceOutcome>,
    /// Steps that are made once every resource has ended.
    later: BTreeMap<usize, Vec<Step>>,
    /// Resources that are reported as ended once no further step follows.
    unreported: BTreeSet<usize>,
}

/// Works on all resources; those that are read by ids which others hold have their turn when the others have ended.
/// Fails with the first failure of the whole run.
pub async fn work_through(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    counts: &RequestCounts,
) -> Result<Vec<ResourceOutcome>> {
    let mut done = BTreeMap::new();
    for by_held_ids in [false, true] {
        let turn = |(_, resource): &(usize, &Resource)| resource.held_ids().is_some() == by_held_ids;
        let chosen: Vec<(usize, &Resource)> = chosen.iter().copied().enumerate().filter(turn).collect();
        let resources: Vec<&Resource> = chosen.iter().map(|(_, resource)| *resource).collect();
        let outcomes = take_turn(context, &resources, request, counts).await?;
        done.extend(chosen.iter().map(|(place, _)| *place).zip(outcomes));
    }
    Ok(done.into_values().collect())
}

/// Works on a few resources at once, in their order, each to its end.
async fn take_turn(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    counts: &RequestCounts,
) -> Result<Vec<ResourceOutcome>> {
    let Ends { mut done, later, unreported } = own_steps(context, chosen, request, counts).await?;
    if matches!(request.mode, RunMode::Update { .. }) {
        look_twice(context, chosen, request, &mut done).await;
        follow_all(context, chosen, request, &mut done).await;
        for (place, steps) in &later {
            let outcome = done.get_mut(place).expect("every resource has ended");
            Box::pin(look_again(context, chosen[*place], request, steps, outcome)).await;
        }
        if !later.is_empty() {
            follow_all(context, chosen, request, &mut done).await;
        }
    }
    let of_all = done.iter().find(|(_, outcome)| failed_for_all(context, outcome)).map(|(place, _)| *place);
    if let Some(failure) = of_all.and_then(|place| done.remove(&place)?.into_failure()) {
        return Err(failure);
    }
    for (place, outcome) in &mut done {
        if unreported.contains(place) {
            tell_end(context, outcome, counts);
        }
        outcome.requests = counts.of(&outcome.resource);
        outcome.tally.repeats = counts.repeats(&outcome.resource);
    }
    Ok(done.into_values().collect())
}

/// The steps that each resource makes independently of the others.
async fn own_steps(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    counts: &RequestCounts,
) -> Result<Ends> {
    let mut waiting = chosen.iter().enumerate();
    let mut at_work = FuturesUnordered::new();
    let mut ends = Ends::default();
    let mut of_all = None;
    let updates = matches!(request.mode, RunMode::Update { .. });
    loop {
        while at_work.len() < AT_ONCE {
            let Some((place, resource)) = waiting.next() else { break };
            // Boxed, for a future of all steps that a resource may make is larger than a thread's stack should hold.
            at_work.push(Box::pin(async move { (place, work_on(context, resource, request, None).await) }));
        }
        let Some((place, (outcome, steps))) = at_work.next().await else { break };
        if let Some(failure) = outcome.failure()
            && failure.kind().recovery() == Recovery::StopRun
        {
            context.stop.ask(Why::Failed);
        }
        if of_all.is_none() && failed_for_all(context, &outcome) {
            of_all = outcome.into_failure();
            continue;
        }
        let idle = matches!(outcome.end, End::Idle(_));
        let more = idle || !steps.is_empty() || !chosen[place].read.also_from.is_empty();
        if updates && more && outcome.went_well() {
            ends.unreported.insert(place);
        } else if of_all.is_none() {
            tell_end(context, &outcome, counts);
        }
        ends.done.insert(place, outcome);
        if !steps.is_empty() {
            ends.later.insert(place, steps);
        }
    }
    match of_all {
        Some(failure) => Err(failure),
        None => Ok(ends),
    }
}

/// Reports how a resource ended, once nothing more can become of it.
fn tell_end(context: &RunContext, outcome: &ResourceOutcome, counts: &RequestCounts) {
    context.events.tell(Event::Finished {
        resource: outcome.resource.clone(),
        rows: outcome.rows,
        scans: outcome.scans.clone(),
        changed: outcome.tally.changes.total(),
        files: outcome.tally.files,
        requests: counts.of(&outcome.resource),
        ending: outcome.ending(),
    });
}

/// Resources that were not due by our clock are looked at again by the source's, which other resources have heard by
/// now.
async fn look_twice(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    done: &mut BTreeMap<usize, ResourceOutcome>,
) {
    let Some(source_now) = context.client.clocks().theirs() else { return };
    for (place, outcome) in done.iter_mut().filter(|(_, outcome)| matches!(outcome.end, End::Idle(_))) {
        if context.stop.asked().is_some() {
            return;
        }
        let (again, _) = Box::pin(work_on(context, chosen[*place], request, Some(source_now))).await;
        if !matches!(again.end, End::Idle(_)) {
            *outcome = again;
        }
    }
}

/// Records that changed rows of other resources reference are read again.
async fn follow_all(
    context: &RunContext,
    chosen: &[&Resource],
    request: &RunRequest,
    done: &mut BTreeMap<usize, ResourceOutcome>,
) {
    for (place, resource) in chosen.iter().enumerate().filter(|(_, resource)| !resource.read.also_from.is_empty()) {
        let outcome = done.get_mut(&place).expect("every resource has ended");
        Box::pin(follow(context, resource, request, outcome)).await;
    }
}
