//! The ids that a scan requests where it finds some: pending ones too, and none that are skipped or withheld.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::fetch::{IdRanges, with, without};
use crate::manifest::{Key, State};

/// Ids that a scan requests beside those that it finds, and ids that it does not request.
#[derive(Clone, Debug)]
pub struct RequestedIds {
    /// Pending ids, and ids of records that lack a row.
    pub pending: Vec<i64>,
    /// Ids that are skipped for a time, or withheld.
    pub skipped: BTreeSet<i64>,
}

impl RequestedIds {
    /// By the state, at this time.
    pub fn of(state: &State, now: Timestamp) -> Self {
        let pending = state.pending.iter().filter_map(|pending| match pending.id {
            Key::Int(id) => Some(id),
            Key::Text(_) => None,
        });
        let skipped = state.skipped_ids.iter().filter(|out| out.until > now).map(|out| out.id);
        Self {
            pending: pending.chain(state.pieces.to_read_again()).collect(),
            skipped: skipped.chain(state.absence.withheld.keys().copied()).collect(),
        }
    }

    /// Whether exactly the ids that are found are requested.
    pub fn is_plain(&self) -> bool {
        self.pending.is_empty() && self.skipped.is_empty()
    }

    /// The ids that are requested where these are found.
    pub fn among(&self, found: &IdRanges) -> IdRanges {
        if self.is_plain() { found.clone() } else { without(&with(found, self.pending.clone()), &self.skipped) }
    }
}
