//! The comparison of the rows of a search with those of the tables: they have no GET. Two complete narrow searches in
//! different runs, each agreeing with its count, prove a deletion.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::failure::Result;
use crate::fetch::{collapse, count as ids_in};
use crate::quantity::count;
use crate::run::held_records::held_record_ids;
use crate::run::reconcile::{By, Reconciled, refuse_beyond_limit};
use crate::run::scan::id_source::IdSource;
use crate::run::scan::missing_rows::{absent, ids_of};
use crate::run::session::ResourceSession;
use crate::schema::RowSearch;
use crate::write::Replace;

/// Compares the rows of a search with those that the tables hold. A row missing in it and in a narrow search of the
/// same days is a suspect; a suspect of an earlier run is deleted.
pub async fn reconcile_rows(session: &mut ResourceSession<'_>, search: &RowSearch, by: By) -> Result<Reconciled> {
    let id_source = IdSource::of(session);
    let (started_at, rows) =
        id_source.search(&session.resource.read.service, &ids_of(session, search), &[], None).await?;
    let listed: BTreeSet<i64> = rows.into_iter().map(|row| row.id).collect();
    let Some(head) = &session.head else { return Ok(Reconciled::default()) };
    let held = held_record_ids(&session.context.store, &session.resource, head).await?;
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
    refuse_beyond_limit(session, found.gone, found.held, by == By::Force)?;
    let run = session.context.run.clone();
    session.state.absence.suspect(fresh, started_at, &run);
    take_out(session, gone, started_at);
    session.state.reconciled_at = Some(started_at);
    session.commit(Replace::Records, true).await?;
    Ok(found)
}

fn take_out(session: &mut ResourceSession<'_>, gone: BTreeSet<i64>, at: Timestamp) {
    session.state.absence.suspects.retain(|id, _| !gone.contains(id));
    session.delete_records(gone.into_iter().collect(), at);
}
