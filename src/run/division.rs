//! The end of a first load: its files are divided by the period that the settings want.
//!
//! A first load commits by month, because only its end shows the number of rows, and because the references of old months
//! are of no interest to other resources. Takes a session whose first load is complete, commits one version, in which the
//! content is the same.

use std::sync::atomic::Ordering;

use crate::event::Event;
use crate::failure::{Failure, Result};
use crate::run::outcome::ResourceOutcome;
use crate::run::session::{ResourceSession, SPOOL_SHARE};
use crate::write::{Repartitioning, Written, granularity, repartition_tables};

/// Divides the files of a first load that is complete. Nothing is requested from the source.
pub async fn divide(session: &mut ResourceSession<'_>, outcome: &mut ResourceOutcome) -> Result<()> {
    let complete = session.head.clone().filter(|head| head.state.completed_at.is_some());
    let (Some(head), Some((present, _)), true) =
        (complete, session.resource.partition().date(), session.state.partition_open)
    else {
        return Ok(());
    };
    let _turn = session.context.commits.turn.acquire().await.expect("the turn is never closed");
    session.refuse_lost_lock()?;
    let place = session.workplace();
    let (most, memory) = (session.context.limits.partition_rows, session.context.limits.memory / SPOOL_SHARE);
    let mut number = session.context.commits.files.load(Ordering::Relaxed);
    let divided = tokio::task::spawn_blocking(move || {
        let work = Repartitioning { resource: &place.resource, head: &head, context: place.context(), memory };
        let wanted = granularity(&work, most)?;
        let written = if wanted == present {
            Written { tables: head.tables.clone(), ..Written::default() }
        } else {
            repartition_tables(&work, wanted, &mut number)?
        };
        Ok::<_, Failure>((written, wanted, number))
    });
    let (written, wanted, number) = divided.await.expect("writing files does not panic")?;
    session.context.commits.files.store(number, Ordering::Relaxed);
    session.state.partition_open = false;
    if wanted != present {
        let reason = match session.resource.partition().divided(wanted).segment() {
            Some(segment) => format!("divides the files of the first load by {segment}"),
            None => "puts the files of the first load into one folder a table".to_owned(),
        };
        outcome.scans.push(format!("repartition: {reason}"));
        let (resource, scan) = (outcome.resource.clone(), "repartition".to_owned());
        session.context.events.tell(Event::Started { resource, scan, reason, requests: None });
    }
    let staged = session.newly_staged(&written);
    session.put(written, staged).await
}
