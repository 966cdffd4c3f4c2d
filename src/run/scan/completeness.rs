//! The count of the source against the number of rows held: after a full read, and each night.
//!
//! A full read is complete once it agrees with a count from another answer. Fewer rows than the count are suspicious:
//! the count is requested again, then the search is walked and its records are read; the remaining difference is
//! explained, for a search may count records that it hides. On other nights a difference that changed, and is confirmed
//! by a second request, is located.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::failure::Result;
use crate::fetch::{chunks, collapse, expand};
use crate::manifest::{Locating, SourceCount};
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::scan::difference;
use crate::run::scan::first_day::is_from;
use crate::run::scan::id_scan::{IdScan, Known};
use crate::run::scan::id_source::IdSource;
use crate::run::scan::newest_ids::not_known;
use crate::run::scan::purpose::Purpose;
use crate::run::scan::search_scan;
use crate::run::scan::source_count::counted;
use crate::run::scan::vanished_records;
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;
use crate::write::Replace;

/// Checks the state after the last commit: a full read that has fewer rows than the count, a difference that changed,
/// sets of ids that were not compared for a week.
pub async fn after(session: &mut ResourceSession<'_>) -> Result<()> {
    if counted(session).is_none() {
        return Ok(());
    }
    if session.state.count.open {
        return complete(session).await;
    }
    let state = session.state.count.clone();
    if difference::is_due(&state) {
        return look_for(session, &state).await;
    }
    let Some(difference) = state.difference().filter(|difference| state.explained != Some(*difference)) else {
        return if state.locating.is_some() { look_for(session, &state).await } else { Ok(()) };
    };
    if state.explained.is_none() {
        // The first night after an upgrade: later differences are measured from the present one.
        session.state.count.explain();
        session.state.count.compared_at = state.counted_at;
        return session.commit(Replace::Records, true).await;
    }
    match session.recount().await? {
        Some(again) if again == difference => look_for(session, &state).await,
        // Another answer: the account changes, or one of them was wrong. The next night compares anew.
        Some(_) | None => session.commit(Replace::Records, true).await,
    }
}

/// Marks the rest of the count's difference as explained, after all ids were compared and their differences settled.
pub async fn after_comparison(session: &mut ResourceSession<'_>) -> Result<()> {
    let state = &session.state.count;
    if counted(session).is_none() || (state.difference() == state.explained && state.vanished.is_empty()) {
        return Ok(());
    }
    if session.recount().await?.is_none() {
        return Ok(());
    }
    let state = &mut session.state.count;
    state.explain();
    (state.compared_at, state.locating) = (state.counted_at, None);
    state.vanished.clear();
    session.commit(Replace::Records, true).await
}

/// A full read with fewer rows than the count: requests the count again, walks the search, and reads its missing
/// records.
async fn complete(session: &mut ResourceSession<'_>) -> Result<()> {
    let Some((search, _)) = counted(session) else { return Ok(()) };
    match session.recount().await? {
        Some(difference) if difference > 0 => {}
        Some(_) => return session.commit(Replace::Records, true).await,
        None => {
            session.state.count.open = false;
            return session.commit(Replace::Records, true).await;
        }
    }
    let state = &session.state.count;
    let (counted_rows, lacking) = (state.at_source.unwrap_or(0), state.difference().unwrap_or(0));
    session.context.events.warn(
        &session.name,
        format!(
            "the source counts {}, {lacking} more than were read: the whole search is read to find them",
            plural(counted_rows, "row")
        ),
    );
    let resource = Arc::clone(&session.resource);
    let shown = match &resource.read.style {
        ReadStyle::Search(search) => search_scan::read_missing(session, search).await?,
        ReadStyle::IdSets { .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => {
            let id_source = IdSource::of(session);
            let start = session.state.start;
            let query = search.query(&id_source, &resource, start);
            let mut walk = id_source.walk_of(&search.search, &search.stamps(), query, None);
            let (mut ids, mut rows) = (BTreeSet::new(), 0);
            while let Some(page) = session.context.stop.or(walk.next()).await? {
                rows += count(page.content.len());
                let wanted = page.content.iter().filter(|row| start.is_none_or(|start| is_from(row, start)));
                ids.extend(wanted.map(|row| row.id));
            }
            let missing = not_known(session, ids).await?;
            read(session, &missing).await?;
            rows
        }
    };
    session.recount().await?;
    let counted_rows = session.state.count.at_source.unwrap_or(0);
    if shown < counted_rows {
        session.distrust(&format!("it counts {}, and the complete search shows {shown}", plural(counted_rows, "row")));
    }
    session.state.count.explain();
    session.state.count.compared_at = session.state.count.counted_at;
    tell(session);
    session.commit(Replace::Records, true).await
}

/// Reads records by their ids and commits them.
pub async fn read(session: &mut ResourceSession<'_>, ids: &BTreeSet<i64>) -> Result<()> {
    let resource = Arc::clone(&session.resource);
    let ReadStyle::IdSets { get, max_ids, .. } = &resource.read.style else { return Ok(()) };
    if ids.is_empty() {
        return Ok(());
    }
    let at = session.state.count.counted_at.unwrap_or_else(|| session.context.clock.now());
    let sets = chunks(&collapse(ids.iter().copied()), *max_ids);
    let mut scan = IdScan::new(session, Purpose::Reread, at, sets, Known::default());
    scan.run(session, &format!("{}/{get}", resource.read.service)).await?;
    session.commit(Replace::Records, true).await
}

/// Locates a difference and reads missing records; records that the source does not show become candidates for
/// deletion.
async fn look_for(session: &mut ResourceSession<'_>, before: &SourceCount) -> Result<()> {
    let Some((search, _)) = counted(session) else { return Ok(()) };
    let found = difference::locate(session, &search, before).await?;
    read(session, &found.missing).await?;
    if found.rows_read > 0 {
        session.commit(Replace::Records, true).await?;
    }
    let missing = count(found.missing.len()) + found.rows_read;
    let gone = vanished_records::without_hidden(session, found.vanished.clone(), found.sets);
    if missing > 0 || !gone.is_empty() {
        let text = format!(
            "{} found without a date and read; {} no longer shown",
            plural(missing, "record"),
            plural(gone.len(), "stored record")
        );
        session.context.events.warn(&session.name, text);
    }
    let known = if found.sets { Vec::new() } else { session.state.count.vanished.clone() };
    let gone: BTreeSet<i64> = expand(&known).chain(gone).collect();
    // Those that left the tables meanwhile were deleted.
    let left = not_known(session, gone.clone()).await?;
    let named = vanished_records::suspect(session, gone.difference(&left).copied().collect()).await?;
    session.state.count.vanished = collapse(named);
    if !found.finished {
        return session.commit(Replace::Records, true).await;
    }
    if missing > 0 {
        session.recount().await?;
    }
    session.state.count.locating = found.outdated.then(|| Locating { differs: true, ..Locating::default() });
    if found.outdated {
        return session.commit(Replace::Records, true).await;
    }
    if found.sets {
        session.state.count.compared_at = session.state.count.counted_at;
    }
    let moved = before.explained != session.state.count.difference();
    session.state.count.explain();
    if moved {
        tell(session);
    }
    session.commit(Replace::Records, true).await
}

/// States a new explained difference.
fn tell(session: &ResourceSession<'_>) {
    let state = &session.state.count;
    let (Some(at_source), Some(explained)) = (state.at_source, state.explained) else { return };
    if explained == 0 {
        return;
    }
    let text = format!(
        "{} held, {at_source} at the source; the difference of {explained} is explained: every id that the source shows is settled",
        plural(state.held, "row")
    );
    session.context.events.warn(&session.name, text);
}
