//! Deleted rows of a search: they have no GET. Two complete narrow searches in different runs, each agreeing with its count, are
//! the proof.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::failure::Result;
use crate::fetch::{collapse, count as ids_in};
use crate::quantity::plural;
use crate::run::gone;
use crate::run::inventory::IdSource;
use crate::run::limits::held_records;
use crate::run::narrow;
use crate::run::reconcile::{By, Reconciled, refuse_many};
use crate::run::session::{ResourceSession, count};
use crate::schema::{IdSearch, RowSearch};
use crate::write::Replace;

/// Compares the rows of a search with those that the tables hold. What is missing in it and in a narrow search of the same days
/// is a suspect; a suspect of an earlier run is deleted.
pub async fn reconcile(session: &mut ResourceSession<'_>, search: &RowSearch, by: By) -> Result<Reconciled> {
    let id_source =
        IdSource { client: &session.context.client, stop: &session.context.stop, name: Arc::clone(&session.name) };
    let (started_at, rows) =
        id_source.search(&session.resource.read.service, &ids_of(session, search), &[], None).await?;
    let listed: BTreeSet<i64> = rows.into_iter().map(|row| row.id).collect();
    let Some(head) = &session.head else { return Ok(Reconciled::default()) };
    let held = held_records(&session.context.store, &session.resource, head).await?;
    let candidates: BTreeSet<i64> = held.difference(&listed).copied().collect();
    session.state.absence.suspects.retain(|id, _| !listed.contains(id));
    let absent = absent(session, search, candidates.clone()).await?.unwrap_or_default();
    let due: BTreeSet<i64> = session.state.absence.due(&session.context.run, started_at).into_iter().collect();
    let (gone, fresh): (BTreeSet<i64>, BTreeSet<i64>) = absent.into_iter().partition(|id| due.contains(id));
    let found = Reconciled {
        listed: ids_in(&collapse(listed)),
        held: count(held.len()),
        candidates: count(candidates.len()),
        gone: count(gone.len()),
        missing: 0,
    };
    refuse_many(session, found.gone, found.held, by == By::Force)?;
    let run = session.context.run.clone();
    session.state.absence.suspect(fresh, started_at, &run);
    take_out(session, gone, started_at);
    session.state.reconciled_at = Some(started_at);
    session.commit(Replace::Records, true).await?;
    Ok(found)
}

/// Looks for suspects of earlier runs before the changes are read: what is missing in a second narrow search is deleted with the
/// scan's commit. Costs no request where there are none.
pub async fn confirm(session: &mut ResourceSession<'_>, search: &RowSearch) -> Result<()> {
    let now = session.context.clock.now();
    let due: BTreeSet<i64> = session.state.absence.due(&session.context.run, now).into_iter().collect();
    if due.is_empty() {
        return Ok(());
    }
    let gone = absent(session, search, due).await?.unwrap_or_default();
    let held = gone::records(session).await?;
    gone::bury_suspects(session, &gone, held, now);
    Ok(())
}

/// Of held rows, those that a complete narrow search does not show. Rows that it shows are no suspects any more.
/// None where no narrow search could be trusted.
pub async fn absent(
    session: &mut ResourceSession<'_>,
    search: &RowSearch,
    ids: BTreeSet<i64>,
) -> Result<Option<BTreeSet<i64>>> {
    let Some(by) = search.since.first().filter(|_| !ids.is_empty()) else { return Ok(None) };
    let Some(windows) = narrow::windows(session, by, &ids).await? else {
        let text = format!(
            "{} missing in the search, of too many days to look at each: nothing is deleted",
            plural(ids.len(), "row")
        );
        session.context.events.warn(&session.name, text);
        return Ok(None);
    };
    let id_source =
        IdSource { client: &session.context.client, stop: &session.context.stop, name: Arc::clone(&session.name) };
    let service = &session.resource.read.service;
    let listing = narrow::listing(&id_source, service, &ids_of(session, search), by, &windows).await?;
    session.state.absence.suspects.retain(|id, _| !listing.ids.contains(id));
    if !listing.agrees {
        let text = "its search does not agree with the count that it states: no row is taken for deleted";
        session.context.events.warn(&session.name, text);
        return Ok(None);
    }
    Ok(Some(ids.difference(&listing.ids).copied().collect()))
}

fn take_out(session: &mut ResourceSession<'_>, gone: BTreeSet<i64>, at: Timestamp) {
    session.state.absence.suspects.retain(|id, _| !gone.contains(id));
    session.bury(gone.into_iter().collect(), at, session.deletes == crate::config::Deletes::Move);
}

/// The search asked for its ids alone.
fn ids_of(session: &ResourceSession<'_>, search: &RowSearch) -> IdSearch {
    let (row, count_is_wrong) = (search.row.clone(), session.resource.read.count.is_wrong);
    let (search, filters) = (search.search.clone(), search.filters.clone());
    IdSearch { search, id: row.clone(), row, repeats: false, count_is_wrong, filters }
}
