//! Steps that look for changes without a date, once every resource has had its nightly scans: a read of everything
//! where its cadence is over, else the records least recently read (docs/reading.md §7).

use crate::failure::Result;
use crate::manifest::head;
use crate::plan::Step;
use crate::run::context::RunContext;
use crate::run::outcome::{End, ResourceOutcome};
use crate::run::request::RunRequest;
use crate::run::selection::options;
use crate::run::session::{ResourceSession, SessionOptions};
use crate::run::steps::{describe, make_all};
use crate::schema::Resource;

/// Makes these steps of a resource after its own scans succeeded.
pub async fn look_again(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    steps: &[Step],
    outcome: &mut ResourceOutcome,
) {
    let went_well = matches!(outcome.end, End::Complete | End::Idle(_)) && context.stop.asked().is_none();
    if !went_well {
        return;
    }
    if let Err(failure) = Box::pin(make_later(context, resource, request, steps, outcome)).await {
        outcome.end = End::of(context.holder().meaning(&[&resource.name], outcome.version, failure).await);
    }
}

async fn make_later(
    context: &RunContext,
    resource: &Resource,
    request: &RunRequest,
    steps: &[Step],
    outcome: &mut ResourceOutcome,
) -> Result<()> {
    let head = head(&context.store, &resource.name).await?;
    let plain = SessionOptions::new(request.settings.deletes(&resource.name));
    let wishes = SessionOptions { start: options(request, resource)?.start, ..plain };
    let mut session = ResourceSession::new(context, resource, head, wishes)?;
    session.clear_read_references().await?;
    let made = make_all(&mut session, steps, outcome).await;
    outcome.tally.add(&session.tally);
    describe(outcome, &session.resource, session.head.as_ref());
    made
}
