//! Columns that vanish: null throughout a scan although records had values before; and tables of which no row came any more.
//!
//! A column without a value in a scan proves little by itself: new orders have no invoice yet. It has vanished where stored rows
//! had values and the new copies of the same rows have none, where every row of every earlier scan had one, or where
//! everything was read. The share of rows with a value is remembered for that.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;

use crate::decode::Page;
use crate::quantity::count;
use crate::schema::{Resource, Rows};
use crate::write::LostValues;

/// Scans of a table with fewer rows state nothing of a share.
pub const LEAST_ROWS: u64 = 20;
/// A scan that reads everything would have this many values by the share, where some rows had none before.
const EXPECTED: u64 = 20;
/// This many rows that lose their values at once, while no other row of the scan has one, did not lose them one by one.
const LOST: u64 = 10;
/// The same of a scan that reads everything.
const LOST_OF_ALL: u64 = 3;
/// The share of a column that every row has, in thousandths.
const ALWAYS: u16 = 1_000;
/// Stands for the rows of a table in the place of a column.
const ROWS: &str = "*";

/// Rows and values of the tables of a resource in one scan.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    records: u64,
    tables: Vec<TableFilled>,
}

#[derive(Clone, Debug, Default)]
struct TableFilled {
    rows: u64,
    /// Records with a row.
    records: u64,
    /// Values of each column.
    values: Vec<u64>,
    /// Stored values that the scan's commits replaced by none.
    lost: LostValues,
}

/// A column of a scan, or the rows of a table.
struct Observed {
    path: String,
    /// Rows, or records, that could have it.
    rows: u64,
    values: u64,
    lost: u64,
}

impl Filled {
    /// Counts the values of a page.
    pub fn count(&mut self, page: &Page) {
        self.records += count(page.records.len());
        self.tables.resize_with(page.tables.len(), TableFilled::default);
        for (filled, table) in self.tables.iter_mut().zip(&page.tables) {
            let rows = table.batch.num_rows();
            filled.rows += count(rows);
            // The rows of a record follow each other.
            let others = table.record_places.windows(2).filter(|pair| pair[0] != pair[1]).count();
            filled.records += count(others + usize::from(rows > 0));
            filled.values.resize(table.batch.num_columns(), 0);
            for (values, column) in filled.values.iter_mut().zip(table.batch.columns()) {
                *values += count(rows - column.null_count());
            }
        }
    }

    /// Adds the stored values that a commit replaced by none, for each table.
    pub fn lose(&mut self, lost: &[LostValues]) {
        self.tables.resize_with(self.tables.len().max(lost.len()), TableFilled::default);
        self.tables.iter_mut().zip(lost).for_each(|(filled, lost)| filled.lost.add(lost));
    }

    /// The columns of all tables, and the rows of child tables.
    fn observed(&self, resource: &Resource) -> Vec<Observed> {
        let mut observed = Vec::new();
        for (table, filled) in resource.tables.iter().zip(&self.tables) {
            if matches!(table.rows, Rows::Each(_)) && self.records > 0 {
                let path = format!("{}.{ROWS}", table.name);
                observed.push(Observed { path, rows: self.records, values: filled.records, lost: filled.lost.rows });
            }
            for (place, (column, values)) in table.columns.iter().zip(&filled.values).enumerate() {
                let path = format!("{}.{}", table.name, column.name);
                let lost = filled.lost.values.get(place).copied().unwrap_or_default();
                observed.push(Observed { path, rows: filled.rows, values: *values, lost });
            }
        }
        observed.retain(|observed| observed.rows > 0);
        observed
    }

    /// Compares with the shares of earlier scans and adjusts them; gives the rows of columns that have vanished. `whole` states
    /// that the scan has read every record; columns of `rejected` had values, which did not fit.
    pub fn compare(
        &self,
        resource: &Resource,
        shares: &mut BTreeMap<String, u16>,
        whole: bool,
        rejected: &BTreeSet<String>,
    ) -> Emptied {
        let mut found = Emptied::default();
        let observed = self.observed(resource).into_iter().filter(|observed| !rejected.contains(&observed.path));
        for Observed { path, rows, values, lost } in observed {
            let share = shares.get(&path).copied();
            if values > 0 {
                if rows >= LEAST_ROWS || whole {
                    let now = (values.saturating_mul(1_000) / rows).clamp(1, u64::from(ALWAYS));
                    let now = u16::try_from(now).unwrap_or(ALWAYS);
                    shares.insert(path.clone(), share.map_or(now, |share| share.min(now)));
                }
                found.filled.push(path);
            } else if let Some(share) = share {
                let of_all = share == ALWAYS
                    || lost >= LOST_OF_ALL
                    || rows.saturating_mul(u64::from(share)) >= EXPECTED * u64::from(ALWAYS);
                if lost >= LOST || (whole && of_all) || (share == ALWAYS && rows >= LEAST_ROWS) {
                    // Reported once: from now on it is one that has no values.
                    shares.remove(&path);
                    found.emptied.insert(path, rows);
                }
            }
        }
        found
    }
}

/// The columns of a scan, compared with earlier ones.
#[derive(Debug, Default)]
pub struct Emptied {
    pub emptied: BTreeMap<String, u64>,
    pub filled: Vec<String>,
}
