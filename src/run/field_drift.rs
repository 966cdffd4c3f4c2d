//! Fields of answers that differ from the schema or from earlier scans: unknown ones, columns that a search no longer
//! has, and columns that are null throughout although they were filled before. Nothing of it fails a scan; all of it is
//! reported, and the state keeps it for `check`.
//!
//! Takes decoded pages, gives counts by path.

use crate::decode::{Page, RejectedCounts};
use crate::manifest::FieldDrift;
use crate::quantity::plural;
use crate::run::filled_columns::{Emptied, LEAST_ROWS};
use crate::run::session::ResourceSession;
use crate::write::Replace;

/// Paths of one kind that the state keeps.
const KEPT: usize = 200;

impl ResourceSession<'_> {
    /// Counts the fields of pages, and warns of columns that a search no longer has.
    pub fn count_fields(&mut self, page: &Page) {
        self.observations.filled.count(page);
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

    /// Ends a scan's count of fields: writes the result into the state that the same commit puts.
    pub fn settle_fields(&mut self, replace: Replace) {
        let filled = std::mem::take(&mut self.observations.filled);
        let whole = match replace {
            Replace::Everything | Replace::Partition(_) => true,
            Replace::Within(_) | Replace::Records => false,
        };
        let evidence = &mut self.state.evidence;
        let found = filled.compare(&self.resource, &mut evidence.filled, whole);
        for (path, rows) in &found.emptied {
            let text = format!("`{path}` is null in all of {} that came, but had values before", plural(*rows, "row"));
            self.context.events.warn(&self.name, text);
        }
        let read = self.tally.records;
        lay_over(&mut evidence.drift, &self.tally.rejected_values, &found, whole, read);
        self.tally.noticed.emptied.extend(found.emptied);
    }
}

/// Lays the fields of a scan that has read this many records over those of earlier ones.
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
