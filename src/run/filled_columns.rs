//! Columns that are null throughout a scan although they were filled before: counted by table and column.
//!
//! A column is filled where some row of a scan had a value; the share of such rows is remembered, for in few rows a
//! rare value may be missing by chance.

use std::collections::BTreeMap;

use arrow_array::Array;

use crate::decode::Page;
use crate::quantity::count;
use crate::schema::Resource;

/// Scans of a table with fewer rows state nothing of a share.
pub const LEAST_ROWS: u64 = 20;
/// A column counts as emptied where this many of the rows would have a value by its share.
const EXPECTED: u64 = 20;
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
    pub fn compare(&self, resource: &Resource, shares: &mut BTreeMap<String, u16>, whole: bool) -> Emptied {
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
pub struct Emptied {
    pub emptied: BTreeMap<String, u64>,
    pub filled: Vec<String>,
}
