//! Stale documents: a search shows a later change than the document that it led to, for a replica lags. The document may be
//! the copy that is stored already, and the change would be lost.
//!
//! Takes the dates that searches showed and the documents that came. A document older than its search row is asked for
//! again at the end of the scan and is pending until one comes that is not; the dates that it lacks are part of the state.
//! Where the source's clock was set back, none will ever come: one that is pending for a while is looked for in a search by
//! the date that the document has, and where that shows it, its row and the document agree.
//! Where many stay so after the second request the search is more likely wrong than the documents: the rule is suspended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use jiff::{SignedDuration, Timestamp};

use crate::decode::{IdRow, Page, timestamp_micros};
use crate::failure::Result;
use crate::fetch::{Filter, chunks, collapse};
use crate::manifest::{Key, PendingId};
use crate::quantity::{number, plural};
use crate::run::changed::Sighting;
use crate::run::documents::Documents;
use crate::run::inventory::IdSource;
use crate::run::session::{ResourceSession, count};
use crate::run::slices::SliceScan;
use crate::schema::{ReadStyle, Resource, Rows, Type};
use crate::window::Window;

/// Change dates of a record in microseconds, in the order of the schema's dates.
pub type Dates = Vec<Option<i64>>;

/// Search and document may round an instant differently.
const ROUNDING: i64 = 1_000_000;
/// More stale documents than this, and than a twentieth of the scan's, suspend the rule.
const MAY_BE_STALE: u64 = 10;
/// The rule is suspended this long, then tried again.
const SUSPENDED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A document that is pending so long is looked for in a search: a replica that lags has caught up by then.
const PENDING_FOR: SignedDuration = SignedDuration::from_mins(50);
/// The reason why such an id is pending.
const REASON: &str = "its document is older than its row in the search";

/// A date of the search, in the table with one row a record.
#[derive(Clone, Copy, Debug)]
struct DateColumn {
    column: usize,
    /// It ranks copies, so it never falls; of others only a missing value counts.
    ranks: bool,
}

/// The rule of one scan.
#[derive(Clone, Debug, Default)]
pub struct StaleRule {
    table: usize,
    /// For each date of the search its column, where a document of a later date tells a later change.
    columns: Vec<Option<DateColumn>>,
    /// Dates that the documents of these ids must have reached.
    pub awaited: BTreeMap<i64, Dates>,
    /// Ids whose latest document has not, with its dates.
    found: BTreeMap<i64, Dates>,
    /// Documents of the scan.
    read: u64,
}

impl StaleRule {
    /// The rule of a scan that begins at this time; it knows the dates awaited since earlier scans.
    pub fn new(session: &ResourceSession<'_>, started_at: Timestamp) -> Self {
        let suspended = session.state.evidence.stale_suspended_until.is_some_and(|until| started_at < until);
        let columns = columns(&session.resource).filter(|_| !suspended);
        let Some((table, columns)) = columns else { return Self::default() };
        Self { table, columns, awaited: session.state.evidence.awaited.clone(), ..Self::default() }
    }

    /// Awaits the dates that searches showed.
    pub fn await_all<'s>(&mut self, sightings: impl IntoIterator<Item = (&'s i64, &'s Sighting)>) {
        self.await_dates(sightings.into_iter().map(|(id, sighting)| (*id, sighting.dates.clone())));
    }

    /// Awaits dates.
    pub fn await_dates(&mut self, dates: impl IntoIterator<Item = (i64, Dates)>) {
        if !self.columns.is_empty() {
            self.awaited.extend(dates);
        }
    }

    /// Compares documents with the dates awaited; gives the stale ones, which are pending now.
    pub fn judge(
        &mut self,
        session: &mut ResourceSession<'_>,
        pages: &[(Page, Timestamp)],
        at: Timestamp,
    ) -> BTreeSet<Key> {
        let mut stale = BTreeSet::new();
        for (page, _) in pages {
            self.read += count(page.owners.len());
            if self.awaited.is_empty() {
                continue;
            }
            for (id, dates) in self.dates(page) {
                let awaited = self.awaited.get(&id).filter(|awaited| self.is_stale(&dates, awaited)).cloned();
                match awaited {
                    Some(awaited) => {
                        self.found.insert(id, dates);
                        session.state.evidence.awaited.insert(id, awaited);
                        stale.insert(Key::Int(id));
                    }
                    None => {
                        self.found.remove(&id);
                        session.state.evidence.awaited.remove(&id);
                        stale.remove(&Key::Int(id));
                    }
                }
            }
        }
        for known in session.state.pending.iter_mut().filter(|known| known.reason == REASON) {
            // The clock may have been set back since.
            known.since = known.since.min(at);
        }
        for key in &stale {
            if !session.state.pending.iter().any(|pending| pending.id == *key) {
                session.state.pending.push(PendingId { id: key.clone(), reason: REASON.to_owned(), since: at });
            }
        }
        stale
    }

    /// The dates of a page's documents.
    fn dates(&self, page: &Page) -> Vec<(i64, Dates)> {
        let Some(rows) = page.tables.get(self.table) else { return Vec::new() };
        let value = |column: &Option<DateColumn>, row: usize| {
            let values = rows.batch.column((*column)?.column).as_primitive_opt::<TimestampMicrosecondType>()?;
            values.is_valid(row).then(|| values.value(row))
        };
        let owners = rows.owners.iter().map(|owner| &page.owners[usize::try_from(*owner).expect("an index fits")]);
        let ids = owners.enumerate().filter_map(|(row, owner)| match owner.key {
            Key::Int(id) if owner.fits => Some((id, row)),
            Key::Int(_) | Key::Text(_) => None,
        });
        ids.map(|(id, row)| (id, self.columns.iter().map(|column| value(column, row)).collect())).collect()
    }

    /// Of the dates by which copies are ranked the latest, with its place among the search's.
    fn latest(&self, dates: &Dates) -> Option<(usize, i64)> {
        let ranked = self.columns.iter().zip(dates).enumerate();
        let ranked = ranked.filter(|(_, (column, _))| column.is_some_and(|column| column.ranks));
        ranked.filter_map(|(place, (_, date))| Some((place, (*date)?))).max_by_key(|(_, date)| *date)
    }

    fn is_stale(&self, document: &Dates, awaited: &Dates) -> bool {
        let sides = self.columns.iter().zip(document).zip(awaited);
        let mut judged = sides.filter_map(|((column, document), awaited)| Some(((*column)?, *document, (*awaited)?)));
        judged.any(|(column, document, awaited)| match document {
            Some(document) => column.ranks && awaited.saturating_sub(document) >= ROUNDING,
            None => true,
        })
    }
}

/// The columns of the search's dates, and the place of their table; none where there is nothing to compare.
fn columns(resource: &Resource) -> Option<(usize, Vec<Option<DateColumn>>)> {
    let ReadStyle::IdSets { changes: Some(changes), .. } = &resource.read.style else { return None };
    let table = resource.tables.iter().position(|table| table.rows == Rows::Record)?;
    let place = |date: &String| {
        // A document that exists has been created.
        let column = resource.date_column(date).filter(|_| date != changes.created())?;
        let place = resource.tables[table].columns.iter().position(|known| known.name == column.name)?;
        let ranks = resource.read.newer.iter().any(|newer| (newer.table, newer.column) == (table, place));
        (column.kind == Type::Timestamp).then_some(DateColumn { column: place, ranks })
    };
    let columns: Vec<Option<DateColumn>> = changes.since.iter().map(place).collect();
    columns.iter().any(Option::is_some).then_some((table, columns))
}

/// Asks for stale documents once more, at the end of a scan.
pub async fn ask_again(scan: &mut SliceScan, session: &mut ResourceSession<'_>, documents: &Documents) -> Result<()> {
    let ReadStyle::IdSets { max_ids, .. } = &session.resource.read.style else { return Ok(()) };
    let found: Vec<i64> = scan.stale.found.keys().copied().collect();
    for set in chunks(&collapse(found.iter().copied()), *max_ids) {
        let stop = session.context.stop.clone();
        let brought = stop.or(documents.bring(&set)).await?;
        for id in brought.gone.iter().chain(brought.refused.iter().map(|(id, _)| id)) {
            scan.stale.found.remove(id);
        }
        scan.take_in(session, brought).await?;
    }
    if !found.is_empty() {
        release(scan, session).await?;
        settle(scan, session);
    }
    Ok(())
}

/// Accepts documents that are pending for a while where the search shows them by the date that they have: the later date was
/// set before the source's clock went back.
async fn release(scan: &mut SliceScan, session: &mut ResourceSession<'_>) -> Result<()> {
    let resource = Arc::clone(&session.resource);
    let ReadStyle::IdSets { changes: Some(changes), .. } = &resource.read.style else { return Ok(()) };
    let is_old = |pending: &PendingId| scan.started_at.duration_since(pending.since) >= PENDING_FOR;
    let long: BTreeSet<i64> = session
        .state
        .pending
        .iter()
        .filter(|pending| pending.reason == REASON && is_old(pending))
        .filter_map(|pending| if let Key::Int(id) = pending.id { Some(id) } else { None })
        .collect();
    let id_source =
        IdSource { client: &session.context.client, stop: &session.context.stop, name: Arc::clone(&session.name) };
    let most = usize::try_from(MAY_BE_STALE).expect("it is small");
    let found: Vec<(i64, Dates)> = scan.stale.found.iter().map(|(id, dates)| (*id, dates.clone())).collect();
    for (id, dates) in found.into_iter().filter(|(id, _)| long.contains(id)).take(most) {
        let Some((place, micros)) = scan.stale.latest(&dates) else { continue };
        let Ok(at) = Timestamp::from_microsecond(micros) else { continue };
        let column = changes.since[place].clone();
        let filter = Filter::Period { column: column.clone(), window: Window::between(at, at) };
        let (_, rows) = id_source.search(&resource.read.service, &changes.search, &[column], Some(filter)).await?;
        let agrees = |row: &IdRow| {
            let shown = row.stamps.first().and_then(|text| timestamp_micros(text.as_deref()?));
            row.id == id && shown.is_some_and(|shown| shown.abs_diff(micros) < ROUNDING.unsigned_abs())
        };
        if rows.iter().any(agrees) {
            scan.stale.found.remove(&id);
            scan.stale.awaited.remove(&id);
            session.state.evidence.awaited.remove(&id);
            session.state.pending.retain(|pending| pending.id != Key::Int(id));
        }
    }
    Ok(())
}

/// Suspends the rule where many documents are stale still, and reports.
fn settle(scan: &mut SliceScan, session: &mut ResourceSession<'_>) {
    let found = &scan.stale.found;
    let (stale, read) = (count(found.len()), scan.stale.read.max(count(found.len())));
    if stale == 0 {
        return;
    }
    if stale <= MAY_BE_STALE.max(read / 20) {
        let text = format!("{} older than the rows in the search: pending", plural(stale, "document"));
        session.context.events.warn(&session.name, text);
        session.tally.noticed.stale += stale;
        return;
    }
    let until = scan.started_at.saturating_add(SUSPENDED_FOR).unwrap_or(scan.started_at);
    session.state.pending.retain(|pending| pending.reason != REASON);
    session.state.evidence.awaited.clear();
    session.state.evidence.stale_suspended_until = Some(until);
    session.tally.noticed.suspended = Some(until);
    let text = format!(
        "{} of {} older than the rows in the search in two answers: accepted as they are, and documents are not compared \
         with the search until {until:.0}",
        number(stale),
        plural(read, "document")
    );
    session.context.events.warn(&session.name, text);
}
