//! Sets that are too large for the source, and records with rows that do not fit, as a resource's scans have found
//! them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// At most this many records are read again because a row of theirs was rejected for the first time.
const AGAIN: usize = 1_000;
/// At most this many are read again each night because a row of theirs was rejected before: a set of ids.
const NIGHTLY: usize = 200;
/// At most this many records with a rejected row are remembered.
const KNOWN: usize = 10_000;

/// Pieces of answers that are known to fail.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Pieces {
    /// The source refused larger sets of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<SetSize>,
    /// Records of which a row was rejected for the first time: the next scan reads them again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub again: BTreeSet<i64>,
    /// Records of which a row was rejected again, until they are read without; the first of them are read each night.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub known: BTreeSet<i64>,
}

/// The largest set that the source takes.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct SetSize {
    /// Ids in a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<u64>,
    /// Bytes of a set in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Larger ones are tried again from then on.
    pub until: Timestamp,
}

impl Pieces {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes records that were read, and those of them of which a row was rejected.
    pub fn note(&mut self, read: impl Iterator<Item = i64>, rejected: &BTreeSet<i64>) {
        if rejected.is_empty() && self.again.is_empty() && self.known.is_empty() {
            return;
        }
        for id in read {
            let before = self.again.remove(&id) || self.known.contains(&id);
            match (rejected.contains(&id), before) {
                (false, _) => {
                    self.known.remove(&id);
                }
                (true, false) if self.again.len() < AGAIN => {
                    self.again.insert(id);
                }
                (true, _) if self.known.len() < KNOWN => {
                    self.known.insert(id);
                }
                (true, _) => {}
            }
        }
    }

    /// Records that the next scan reads again.
    pub fn to_read_again(&self) -> impl Iterator<Item = i64> {
        self.again.iter().chain(self.known.iter().take(NIGHTLY)).copied()
    }

    /// Whether a row of this record was rejected when it was last read.
    pub fn lacks_a_row(&self, id: i64) -> bool {
        self.again.contains(&id) || self.known.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_a_rejected_row_is_read_again_and_settled_when_it_is_whole() {
        let mut pieces = Pieces::default();
        let bad = BTreeSet::from([7]);
        pieces.note([6, 7].into_iter(), &bad);
        assert_eq!((pieces.again.clone(), pieces.known.clone()), (bad.clone(), BTreeSet::new()));
        pieces.note([7].into_iter(), &bad);
        assert_eq!((pieces.again.clone(), pieces.known.clone()), (BTreeSet::new(), bad.clone()));
        pieces.note([7].into_iter(), &bad);
        assert!(pieces.lacks_a_row(7) && pieces.again.is_empty());
        assert_eq!(pieces.to_read_again().collect::<Vec<_>>(), [7]);
        pieces.note([7].into_iter(), &BTreeSet::new());
        assert!(pieces.is_empty());
    }
}
