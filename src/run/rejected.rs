//! Rows that are left out of their records, and older records of a key that came twice: counted, and kept beside the
//! records that do not fit. Neither makes its record pending. A record that is rejected each night in the same words is
//! known by its hash and written once.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use crate::decode::{REPEATED_ROW, RejectedRecord};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::RejectedFile;
use crate::quantity::count;
use crate::run::session::ResourceSession;
use crate::store::{StoreStep, paths};

/// Texts of rejected records may take this part of the memory setting; more are written before the commit.
const MEMORY_SHARE: u64 = 256;
/// Hashes that the state keeps, in all 40 kB of a manifest; a record with a dropped hash is written once more.
const KEPT: usize = 2_000;

impl ResourceSession<'_> {
    /// Counts rejected rows and records by table and reason, and keeps them for the next commit.
    pub fn keep_rejected(&mut self, rejected: Vec<RejectedRecord>) {
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
        self.buffer.rejected.extend(rejected);
    }

    /// Writes rejected records to a file of their own where they have become many.
    pub async fn spill_rejected(&mut self) -> Result<()> {
        let bytes = count(self.buffer.rejected.iter().map(|record| record.raw.len()).sum());
        if bytes > self.context.limits.memory / MEMORY_SHARE {
            self.bind().await?;
            let file = self.write_rejected().await?;
            self.buffer.rejected_files.extend(file);
        }
        Ok(())
    }

    /// Keeps records that did not fit in a file of their own, each once.
    pub async fn write_rejected(&mut self) -> Result<Option<RejectedFile>> {
        let records = std::mem::take(&mut self.buffer.rejected);
        self.buffer.rejected = unwritten(&mut self.state.evidence.rejected, records);
        if self.buffer.rejected.is_empty() {
            return Ok(None);
        }
        let mut text = Vec::new();
        for record in &self.buffer.rejected {
            let mut line = serde_json::json!({ "id": record.id, "reason": record.reason, "record": record.raw });
            if let Some(table) = &record.table {
                line["table"] = serde_json::json!(table);
            }
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| Failure::new(Kind::Bug, "write a rejected record").caused(error))?;
            text.push(b'\n');
        }
        let number = self.context.commits.rejected_values.fetch_add(1, Ordering::Relaxed);
        let path = paths::rejected(&self.resource.name, &self.context.run, number);
        self.context.store.put_own(&path, text).await?;
        self.context.store.reach(StoreStep::RejectedKept, &path)?;
        let records = count(self.buffer.rejected.len());
        self.buffer.rejected.clear();
        Ok(Some(RejectedFile { path, records }))
    }
}

/// The records with a hash that is not known yet; their hashes are added to the known ones.
pub fn unwritten(known: &mut Vec<String>, records: Vec<RejectedRecord>) -> Vec<RejectedRecord> {
    let mut hashes: BTreeSet<String> = known.iter().cloned().collect();
    let mut fresh = Vec::new();
    for record in records {
        let hash = hash(&record);
        if hashes.insert(hash.clone()) {
            known.push(hash);
            fresh.push(record);
        }
    }
    known.drain(..known.len().saturating_sub(KEPT));
    fresh
}

/// The first half of a digest of the text that would be written.
fn hash(record: &RejectedRecord) -> String {
    let id = record.id.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut digest = Sha256::new();
    let table = record.table.as_deref().unwrap_or_default();
    for part in [id.as_str(), table, record.reason.as_str(), record.raw.as_str()] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{KEPT, RejectedRecord, unwritten};
    use crate::manifest::Key;

    fn record(id: i64, raw: &str) -> RejectedRecord {
        RejectedRecord { id: Some(Key::Int(id)), reason: "it has no key".to_owned(), raw: raw.to_owned(), table: None }
    }

    #[test]
    fn a_record_is_written_again_only_when_it_differs() {
        let mut known = Vec::new();
        assert_eq!(unwritten(&mut known, vec![record(1, "{}"), record(2, "{}"), record(1, "{}")]).len(), 2);
        assert_eq!(unwritten(&mut known, vec![record(1, "{}"), record(2, "[]")]), [record(2, "[]")]);
    }

    #[test]
    fn the_hashes_kept_are_bounded_and_the_latest_stay() {
        let mut known = Vec::new();
        let all: Vec<RejectedRecord> = (0..2_500).map(|id| record(id, "{}")).collect();
        assert_eq!(unwritten(&mut known, all).len(), 2_500);
        assert_eq!(known.len(), KEPT);
        assert!(unwritten(&mut known, vec![record(2_499, "{}")]).is_empty());
    }
}
