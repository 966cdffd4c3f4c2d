//! Stale documents: a search shows a later change than the document that it led to, for a replica lags. The document may be
//! the copy that is stored already, and the change would be lost.
//!
//! Takes the dates that searches showed and the documents that came. A document older than its search row is asked for
//! again at the end of the scan and is pending until one comes that is not; the dates that it lacks are part of the state.
//! Where many stay so after the second request the search is more likely wrong than the documents: the rule is suspended.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use jiff::{SignedDuration, Timestamp};

use crate::decode::Page;
use crate::failure::Result;
use crate::fetch::{chunks, collapse};
use crate::manifest::{Key, Owed};
use crate::run::changed::Sighting;
use crate::run::documents::Documents;
use crate::run::slices::SliceScan;
use crate::run::work::{Work, count};
use crate::schema::{Resource, Rows, Style, Type};

/// Change dates of a record in microseconds, in the order of the schema's dates.
pub type Dates = Vec<Option<i64>>;

/// Search and document may round an instant differently.
const ROUNDING: i64 = 1_000_000;
/// More stale documents than this, and than a twentieth of the scan's, suspend the rule.
const MAY_BE_STALE: u64 = 10;
/// The rule is suspended this long, then tried again.
const SUSPENDED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
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
    /// Ids whose latest document has not.
    found: BTreeSet<i64>,
    /// Documents of the scan.
    read: u64,
}

impl StaleRule {
    /// The rule of a scan that begins at this time; it knows the dates awaited since earlier scans.
    pub fn new(work: &Work<'_>, started_at: Timestamp) -> Self {
        let suspended = work.state.evidence.stale_suspended_until.is_some_and(|until| started_at < until);
        let columns = columns(&work.resource).filter(|_| !suspended);
        let Some((table, columns)) = columns else { return Self::default() };
        Self { table, columns, awaited: work.state.evidence.awaited.clone(), ..Self::default() }
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
    pub fn judge(&mut self, work: &mut Work<'_>, pages: &[(Page, Timestamp)], at: Timestamp) -> BTreeSet<Key> {
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
                        self.found.insert(id);
                        work.state.evidence.awaited.insert(id, awaited);
                        stale.insert(Key::Int(id));
                    }
                    None => {
                        self.found.remove(&id);
                        work.state.evidence.awaited.remove(&id);
                        stale.remove(&Key::Int(id));
                    }
                }
            }
        }
        for key in &stale {
            if !work.state.owed.iter().any(|owed| owed.id == *key) {
                work.state.owed.push(Owed { id: key.clone(), reason: REASON.to_owned(), since: at });
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
    let Style::IdSets { changes: Some(changes), .. } = &resource.read.style else { return None };
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
pub async fn ask_again(scan: &mut SliceScan, work: &mut Work<'_>, documents: &Documents) -> Result<()> {
    let Style::IdSets { max_ids, .. } = &work.resource.read.style else { return Ok(()) };
    let found: Vec<i64> = scan.stale.found.iter().copied().collect();
    for set in chunks(&collapse(found.iter().copied()), *max_ids) {
        let stop = work.site.stop.clone();
        let brought = stop.or(documents.bring(&set)).await?;
        for id in brought.gone.iter().chain(brought.refused.iter().map(|(id, _)| id)) {
            scan.stale.found.remove(id);
        }
        scan.take_in(work, brought).await?;
    }
    if !found.is_empty() {
        settle(scan, work);
    }
    Ok(())
}

/// Suspends the rule where many documents are stale still, and reports.
fn settle(scan: &mut SliceScan, work: &mut Work<'_>) {
    let found = &scan.stale.found;
    let (stale, read) = (count(found.len()), scan.stale.read.max(count(found.len())));
    if stale == 0 {
        return;
    }
    if stale <= MAY_BE_STALE.max(read / 20) {
        let text = format!("{stale} documents are older than their rows in the search and are pending");
        work.site.events.warn(&work.name, text);
        work.tally.noticed.stale += stale;
        return;
    }
    let until = scan.started_at.saturating_add(SUSPENDED_FOR).unwrap_or(scan.started_at);
    work.state.owed.retain(|owed| owed.reason != REASON);
    work.state.evidence.awaited.clear();
    work.state.evidence.stale_suspended_until = Some(until);
    work.tally.noticed.suspended = Some(until);
    let text = format!(
        "{stale} of {read} documents are older than their rows in the search, asked for twice: they are taken as they \
         are, and documents are not compared with the search until {until:.0}"
    );
    work.site.events.warn(&work.name, text);
}
