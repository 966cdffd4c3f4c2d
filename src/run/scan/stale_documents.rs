//! Stale documents: a search shows a later change than the document that it led to, for a replica lags. The document
//! may be the copy that is stored already, and the change would be lost.
//!
//! Takes the dates that searches showed and the documents that came. A document older than its search row is pending
//! until one comes that is not (`stale_requests`); the dates that it lacks are part of the state.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use jiff::Timestamp;

use crate::decode::Page;
use crate::manifest::{Key, PendingId};
use crate::quantity::count;
use crate::run::session::ResourceSession;
use crate::schema::{ReadStyle, Resource, Rows, Type};

/// Change dates of a record in microseconds, in the order of the schema's dates.
pub type Dates = Vec<Option<i64>>;

/// Search and document may round an instant differently.
pub const ROUNDING: i64 = 1_000_000;
/// The reason why such an id is pending.
pub const REASON: &str = "its document is older than its row in the search";

/// A date of the search, in the table with one row per record.
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
    /// For each date of the search its column, where a later date of a document proves a later change.
    columns: Vec<Option<DateColumn>>,
    /// Dates that the documents of these ids must have reached.
    pub awaited: BTreeMap<i64, Dates>,
    /// Ids with a latest document that has not reached them, with its dates.
    pub found: BTreeMap<i64, Dates>,
    /// Documents of the scan.
    pub read: u64,
}

impl StaleRule {
    /// The rule of a scan that begins at this time; it knows the dates awaited since earlier scans.
    pub fn new(session: &ResourceSession<'_>, started_at: Timestamp) -> Self {
        let suspended = session.state.evidence.stale_suspended_until.is_some_and(|until| started_at < until);
        let columns = columns(&session.resource).filter(|_| !suspended);
        let Some((table, columns)) = columns else { return Self::default() };
        Self { table, columns, awaited: session.state.evidence.awaited.clone(), ..Self::default() }
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
            self.read += count(page.records.len());
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
        let records =
            rows.record_places.iter().map(|place| &page.records[usize::try_from(*place).expect("an index fits")]);
        let ids = records.enumerate().filter_map(|(row, record)| match record.key {
            Key::Int(id) if record.fits => Some((id, row)),
            Key::Int(_) | Key::Text(_) => None,
        });
        ids.map(|(id, row)| (id, self.columns.iter().map(|column| value(column, row)).collect())).collect()
    }

    /// Of the dates by which copies are ranked the latest, with its place among the search's.
    pub fn latest(&self, dates: &Dates) -> Option<(usize, i64)> {
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
