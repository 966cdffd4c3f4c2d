//! Rows that are left out of their records, and older records of a key that came twice: counted, and kept beside the records
//! that do not fit. Neither makes its record pending.

use crate::decode::{REPEATED_ROW, RejectedRecord};
use crate::failure::Result;
use crate::run::session::{ResourceSession, count};

/// Texts of rejected records may take this part of the memory setting; more are written before the commit.
const MEMORY_SHARE: u64 = 256;

impl ResourceSession<'_> {
    /// Counts rejected rows and records by table and reason, and keeps them for the next commit.
    pub(super) fn keep_rejected(&mut self, rejected: Vec<RejectedRecord>) {
        for record in &rejected {
            let path = match &record.table {
                Some(table) => format!("{table}: {}", record.reason),
                None => record.reason.clone(),
            };
            self.tally.rejected_rows.count(path, &record.raw);
            let of = record.id.as_ref().map_or_else(String::new, |id| format!(" of record {id}"));
            let kind = record.table.as_deref().unwrap_or("a record");
            self.context.events.note(&self.name, format!("{kind}{of} is rejected and kept: {}", record.reason));
        }
        self.tally.twice += count(rejected.iter().filter(|record| record.reason == REPEATED_ROW).count());
        self.records.extend(rejected);
    }

    /// Writes rejected records to a file of their own where they have become many.
    pub(super) async fn spill_rejected(&mut self) -> Result<()> {
        let bytes = count(self.records.iter().map(|record| record.raw.len()).sum());
        if bytes > self.context.limits.memory / MEMORY_SHARE {
            self.bind().await?;
            let file = self.write_rejected().await?;
            self.kept.extend(file);
        }
        Ok(())
    }
}
