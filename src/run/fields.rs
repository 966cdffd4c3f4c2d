//! Fields of answers that differ from the schema or from earlier scans: unknown ones, columns that a search no longer has,
//! and columns that are null throughout although they were filled before. Nothing of it fails a scan; all of it is
//! reported, and the state keeps it for `check`.
//!
//! Takes decoded pages, gives counts by path. A column is filled where some row of a scan had a value; the share of such
//! rows is remembered, for in few rows a rare value may be missing by chance.

use std::collections::BTreeMap;

use arrow_array::Array;

use crate::decode::{Page, RejectedCounts};
use crate::manifest::FieldDrift;
use crate::quantity::plural;
use crate::run::session::{ResourceSession, count};
use crate::schema::Resource;
use crate::write::Replace;

/// Scans of a table with fewer rows tell nothing of a share.
const LEAST_ROWS: u64 = 20;
/// A column counts as emptied where so many of the rows would have a value by its share.
const EXPECTED: u64 = 20;
/// Paths of one kind that the state keeps.
const KEPT: usize = 200;

/// Rows and values of the tables of a resource in one scan.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    tables: Vec<TableFilled>,
}

#[derive(Clone, Debug, Default)]
struct TableFilled {
    rows: u64,
    /// Values of each column.
    values: Vec<u64>,
}

impl Filled {
    /// Counts the values of a page.
    pub fn count(&mut self, page: &Page) {
        self.tables.resize_with(page.tables.len(), TableFilled::default);
        for (filled, table) in self.tables.iter_mut().zip(&page.tables) {
            let rows = table.batch.num_rows();
            filled.rows += count(rows);
            filled.values.resize(table.batch.num_columns(), 0);
            for (values, column) in filled.values.iter_mut().zip(table.batch.columns()) {
                *values += count(rows - column.null_count());
            }
        }
    }

    /// Compares with the shares of earlier scans and adjusts them; gives the rows of columns that are null throughout
    /// although they were filled before. `whole` states that the scan has read every record.
    fn compare(&self, resource: &Resource, shares: &mut BTreeMap<String, u16>, whole: bool) -> Emptied {
        let mut found = Emptied::default();
        for (table, filled) in resource.tables.iter().zip(&self.tables).filter(|(_, filled)| filled.rows > 0) {
            for (column, values) in table.columns.iter().zip(&filled.values) {
                let path = format!("{}.{}", table.name, column.name);
                let share = shares.get(&path).copied();
                if *values > 0 {
                    if filled.rows >= LEAST_ROWS || whole {
                        let now = u16::try_from((values * 1_000 / filled.rows).clamp(1, 1_000)).unwrap_or(1_000);
                        shares.insert(path.clone(), share.map_or(now, |share| share.min(now)));
                    }
                    found.filled.push(path);
                } else if let Some(share) = share
                    && (whole || filled.rows.saturating_mul(u64::from(share)) >= EXPECTED * 1_000)
                {
                    // Reported once: from now on it is one that has no values.
                    shares.remove(&path);
                    found.emptied.insert(path, filled.rows);
                }
            }
        }
        found
    }
}

/// The columns of a scan, compared with earlier ones.
#[derive(Debug, Default)]
struct Emptied {
    emptied: BTreeMap<String, u64>,
    filled: Vec<String>,
}

impl ResourceSession<'_> {
    /// Counts the fields of pages, and warns of columns that a search no longer has.
    pub(super) fn count_fields(&mut self, page: &Page) {
        self.filled.count(page);
        for column in page
            .rejected_values
            .missing()
            .keys()
            .filter(|column| !self.tally.rejected_values.missing().contains_key(*column))
        {
            let text = format!(
                "the search no longer has the column `{column}`, which the schema maps: it is null in the rows that \
                 come, and a column that takes its place is kept in `_extra`"
            );
            self.context.events.warn(&self.name, text);
        }
    }

    /// Ends a scan's count of fields: lays what it found over the state that the same commit puts.
    pub(super) fn settle_fields(&mut self, replace: Replace) {
        let filled = std::mem::take(&mut self.filled);
        let whole = match replace {
            Replace::Everything | Replace::Partition(_) => true,
            Replace::Within(_) | Replace::Records => false,
        };
        let evidence = &mut self.state.evidence;
        let found = filled.compare(&self.resource, &mut evidence.filled, whole);
        for (path, rows) in &found.emptied {
            let text = format!("`{path}` is null in all of {} that came, and was filled before", plural(*rows, "row"));
            self.context.events.warn(&self.name, text);
        }
        let read = self.tally.records;
        lay_over(&mut evidence.drift, &self.tally.rejected_values, &found, whole, read);
        self.tally.noticed.emptied.extend(found.emptied);
    }
}

/// Lays the fields of a scan that has read so many records over those of earlier ones.
fn lay_over(drift: &mut FieldDrift, rejected_values: &RejectedCounts, found: &Emptied, whole: bool, read: u64) {
    if whole || read >= LEAST_ROWS {
        drift.unknown.clear();
    }
    drift.unknown.extend(rejected_values.unknown().clone());
    if read > 0 {
        drift.missing.clone_from(rejected_values.missing());
    }
    drift.emptied.retain(|path, _| !found.filled.contains(path));
    drift.emptied.extend(found.emptied.clone());
    for paths in [&mut drift.unknown, &mut drift.missing, &mut drift.emptied] {
        while paths.len() > KEPT {
            paths.pop_last();
        }
    }
}
