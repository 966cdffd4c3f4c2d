//! The holes of a day's snapshot: requested again while the day lasts by the source's clock, then recorded as a gap.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, collapse, count as ids_in};
use crate::manifest::Key;
use crate::quantity::plural;
use crate::run::scan::id_scan::{IdScan, Known, sets_with_pending};
use crate::run::scan::purpose::Purpose;
use crate::run::scan::withheld_ids::age_pending;
use crate::run::session::ResourceSession;
use crate::write::day_number;

/// The day of a snapshot taken then.
pub fn day(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// The day as partitions number it.
pub fn number(at: Timestamp) -> Result<i32> {
    day_number(day(at))
        .ok_or_else(|| Failure::new(Kind::Answer, "use the source's clock").because("its date is out of range"))
}

/// Requests again the ids that the newest snapshot lacks; gives whether its day still lasts.
pub async fn fill(session: &mut ResourceSession<'_>, path: &str, max_ids: usize) -> Result<bool> {
    let Some(taken) = session.state.reloaded_at.filter(|_| !holes(session).is_empty()) else { return Ok(false) };
    let sets = sets_with_pending(session, taken, &IdRanges::new(), max_ids);
    let mut scan = IdScan::new(session, Purpose::SnapshotHoles(number(taken)?), taken, sets, Known::default());
    let Some(set) = scan.slices.first().cloned() else { return Ok(false) };
    let documents = scan.documents(session, path);
    let stop = session.context.stop.clone();
    let fetched = stop.or(documents.fetch(&set)).await?;
    let now = fetched.pages.first().map_or_else(|| session.context.clock.now(), |(_, asked_at)| *asked_at);
    if day(now) != day(taken) {
        return Ok(false);
    }
    scan.take_in(session, fetched).await?;
    scan.done.insert(0);
    scan.run(session, path).await?;
    age_pending(session, now);
    session.commit(scan.replace(session), true).await?;
    Ok(true)
}

/// Records the ids that the snapshot before this one lacks as a gap: its day is over.
pub fn close(session: &mut ResourceSession<'_>, started_at: Timestamp) {
    let Some(taken) = session.state.reloaded_at.filter(|taken| day(*taken) < day(started_at)) else { return };
    let holes = holes(session);
    if holes.is_empty() {
        return;
    }
    let text = format!("the snapshot of {} lacks {} for good", day(taken), plural(ids_in(&holes), "record"));
    session.context.events.warn(&session.name, text);
    session.state.absence.gap(day(taken).to_string(), holes);
    session.state.pending.retain(|pending| !matches!(pending.id, Key::Int(_)));
}

/// The ids that the newest snapshot lacks.
fn holes(session: &ResourceSession<'_>) -> IdRanges {
    collapse(session.state.pending.iter().filter_map(|pending| match pending.id {
        Key::Int(id) => Some(id),
        Key::Text(_) => None,
    }))
}
