//! The end of a run: housekeeping, and the locks given back.

use crate::clean::{Housekeeping, Removed, keep_house};
use crate::event::{Event, Events};
use crate::quantity::plural;
use crate::run::context::RunContext;
use crate::run::outcome::ResourceOutcome;
use crate::store::Locks;

/// Removes objects that no manifest needs, of the resources that ended well. A failure is a warning.
pub async fn keep_in_order(context: &RunContext, resources: &[ResourceOutcome]) {
    let ours = resources.iter().filter(|outcome| outcome.went_well() && context.claims.locks.holds(&outcome.resource));
    let ours: Vec<&str> = ours.map(|outcome| outcome.resource.as_str()).collect();
    let (store, locks, run) = (&context.store, &context.claims.locks, context.run.as_str());
    let session = Housekeeping { store, locks, run, resources: &ours, now: context.clock.now() };
    let removed = tokio::select! {
        biased;
        () = context.stop.wait() => return,
        removed = Box::pin(keep_house(session)) => removed,
    };
    match removed {
        Ok(Removed { versions, plans, reports, joined }) => {
            let text = format!(
                "housekeeping removed {}, {}, {}; joined {} of the history",
                plural(versions, "old version"),
                plural(plans, "plan"),
                plural(reports, "report"),
                plural(joined, "file")
            );
            context.events.tell(Event::Note { resource: None, text });
        }
        Err(failure) => {
            let text = format!("housekeeping is left to the next run: {failure}");
            context.events.tell(Event::Warning { resource: None, text });
        }
    }
}

/// Gives the locks back.
pub async fn give_back(locks: Locks, events: &Events) {
    if let Err(failure) = locks.release().await {
        // The run itself is complete; the next one waits until the locks expire.
        events.tell(Event::Warning { resource: None, text: format!("locks were not released: {failure}") });
    }
}
