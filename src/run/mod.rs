//! The whole run, stages in order; one failing resource never holds up the others.
//!
//! Takes a [`RunRequest`], gives an [`Outcome`]: the end of each resource. Fails as a whole only where no resource can
//! proceed: settings, credentials, the destination.

mod stop;
mod noticed;
mod request_counts;
mod outcome;
mod request;
mod binding;
mod context;
mod scratch;
pub(crate) mod safety_limit;
pub(crate) mod lookups;
mod filled_columns;
mod observations;
pub(crate) mod reference_marks;
pub(crate) mod holder;
mod quarantine;
mod buffer;
mod commit_context;
mod session;
pub(crate) mod held_records;
mod older_copies;
mod field_drift;
mod references;
mod missed_changes;
mod rejected;
mod watermark;
mod commit_files;
mod commit;
pub(crate) mod scan;
mod repair;
mod reconcile;
mod reconcile_held;
mod reconcile_rows;
mod backfill;
pub(crate) mod selection;
mod defined_fields;
mod lost_account;
mod check;
mod division;
mod freshness;
mod steps;
mod undated_changes;
mod dependents;
mod resources;
mod opening;
mod closing;

use tokio::time::Instant;

use crate::config::Settings;
use crate::event::{Event, Events};
use crate::failure::Result;
use crate::run::closing::{give_back, keep_in_order};
use crate::run::opening::{Opened, open};
use crate::run::resources::work_through;
use crate::store::{self, Store};

pub use crate::manifest::nonce;
pub use check::{Finding, check};
pub use context::Clock;
pub use defined_fields::defined_fields;
pub use freshness::stale;
pub use noticed::Noticed;
pub use outcome::{End, Outcome, ResourceOutcome, Tally, Unsettled};
pub use request::{RunMode, RunRequest, Selection};
pub use request_counts::{QuotaWaits, Repeats};
pub use scratch::{Scratch, spool_folder};
pub use selection::{Progress, choose, jobs, progress, read_heads, unpublished};
pub use steps::stored_rows;
pub use stop::{Stop, Why};

/// Brings the resources up to date.
pub async fn run(request: RunRequest) -> Result<Outcome> {
    at(request, |settings| Store::of(settings, true)).await
}

/// Brings the resources up to date at this destination, which overrides that of the settings.
pub async fn run_in(request: RunRequest, store: Store) -> Result<Outcome> {
    at(request, |_| Ok(store)).await
}

/// The stages of a run at the destination that `destination` opens once the settings are known to be valid.
async fn at(request: RunRequest, destination: impl FnOnce(&Settings) -> Result<Store>) -> Result<Outcome> {
    let begun = Instant::now();
    let (counts, events) = request_counts::counted(&request.events);
    let opened = open(&request, destination, &events, time_up(&request, begun, &events)).await?;
    let Opened { context, chosen, spool } = opened;
    context.store.reach(store::StoreStep::Locked, &context.run)?;
    let resources = tokio::select! {
        resources = work_through(&context, &chosen, &request, &counts) => resources,
        never = time_up(&request, begun, &context.events) => never,
    };
    let resources = match resources {
        Ok(resources) => resources,
        Err(failure) => {
            give_back(context.claims.locks, &context.events).await;
            return Err(failure);
        }
    };
    if request.settings.housekeeping() {
        keep_in_order(&context, &resources).await;
    }
    let outcome = Outcome {
        run: context.run.clone(),
        command: request.mode.command(),
        account: context.claims.binding.account().to_owned(),
        destination: context.store.describe(),
        started_at: request.now,
        took: begun.elapsed(),
        resources,
        requests: context.client.requests(),
        repeats: counts.all_repeats(),
        quota: counts.quota(),
        interrupted: context.stop.asked() == Some(Why::Interrupted),
        store: context.store.clone(),
    };
    context.store.reach(store::StoreStep::Done, &context.run)?;
    give_back(context.claims.locks, &context.events).await;
    drop(spool);
    Ok(outcome)
}

/// Asks the run to stop when its time is up. Never ends.
async fn time_up<T>(request: &RunRequest, begun: Instant, events: &Events) -> T {
    if let Some(most) = request.most {
        tokio::time::sleep_until(begun + most).await;
        if request.stop.asked().is_none() {
            events.tell(Event::Stopping { reason: "the time is up".to_owned() });
            request.stop.ask(Why::TimeUp);
        }
    }
    std::future::pending().await
}
