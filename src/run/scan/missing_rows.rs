//! Deleted rows of a search: they have no GET. Two complete narrow searches in different runs, each agreeing with its
//! count, are the proof.

use std::collections::BTreeSet;

use crate::failure::Result;
use crate::quantity::plural;
use crate::run::held_records::held_record_count;
use crate::run::scan::deletion_decision::delete_proven;
use crate::run::scan::id_source::IdSource;
use crate::run::scan::narrow_search;
use crate::run::session::ResourceSession;
use crate::schema::{IdSearch, RowSearch};

/// Looks for suspects of earlier runs before the changes are read: a suspect missing in a second narrow search is
/// deleted with the scan's commit. Costs no request where there are none.
pub async fn confirm(session: &mut ResourceSession<'_>, search: &RowSearch) -> Result<()> {
    let now = session.context.clock.now();
    let due: BTreeSet<i64> = session.state.absence.due(&session.context.run, now).into_iter().collect();
    if due.is_empty() {
        return Ok(());
    }
    let gone = absent(session, search, due).await?.unwrap_or_default();
    let held = held_record_count(session).await?;
    delete_proven(session, &gone, held, now);
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
    let Some(windows) = narrow_search::windows(session, by, &ids).await? else {
        let text = format!(
            "{} missing in the search, on too many days to check each: nothing is deleted",
            plural(ids.len(), "row")
        );
        session.context.events.warn(&session.name, text);
        return Ok(None);
    };
    let id_source = IdSource::of(session);
    let service = &session.resource.read.service;
    let listing = narrow_search::listing(&id_source, service, &ids_of(session, search), by, &windows).await?;
    session.state.absence.suspects.retain(|id, _| !listing.ids.contains(id));
    if !listing.agrees {
        let text = "its search does not agree with the count that it states: no row counts as deleted";
        session.context.events.warn(&session.name, text);
        return Ok(None);
    }
    Ok(Some(ids.difference(&listing.ids).copied().collect()))
}

/// The search asked for its ids alone.
pub fn ids_of(session: &ResourceSession<'_>, search: &RowSearch) -> IdSearch {
    let (row, count_is_wrong) = (search.row.clone(), session.resource.read.count.is_wrong);
    let (search, filters) = (search.search.clone(), search.filters.clone());
    IdSearch { search, id: row.clone(), row, repeats: false, count_is_wrong, filters }
}
