//! Rejected records that are written once: a record that is rejected each night in the same words is known by its hash.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::decode::RejectedRecord;

/// Hashes that the state keeps, in all 40 kB of a manifest; a record whose hash went is written once more.
const KEPT: usize = 2_000;

/// The records whose hash is not among those known, which it joins.
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

/// The first half of a digest of what would be written.
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
