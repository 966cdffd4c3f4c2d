//! The notable things of a resource's scans that neither fail it nor change a table: they are reported.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{Key, KindChange};
use crate::plan::PartitionAdvice;

/// Notable things of a resource's scans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Records of which an older copy came than is stored: the stored rows stayed.
    pub kept: BTreeSet<Key>,
    /// Records with an older copy that was accepted.
    pub went_back: BTreeSet<Key>,
    /// Documents older than the search row that led to them, after a second request.
    pub stale: u64,
    /// So many documents were stale that the rule is suspended until then, in this run.
    pub suspended: Option<jiff::Timestamp>,
    /// Rows that are no longer among the deleted ones, for their records came again.
    pub reappeared: u64,
    /// Columns (`table.column`) that were filled before and were null in every row, with the rows that came.
    pub emptied: BTreeMap<String, u64>,
    /// Places with values of another kind than before.
    pub changed: BTreeMap<String, KindChange>,
    /// Of unknown fields by their paths: the line of a column that takes the values, for a schema file.
    pub columns: BTreeMap<String, String>,
    /// Why the files would better be divided anew, after the resource's own scans.
    pub partition: Option<PartitionAdvice>,
}

impl Noticed {
    /// Adds another scan's.
    pub fn add(&mut self, other: &Self) {
        self.kept.extend(other.kept.iter().cloned());
        self.went_back.extend(other.went_back.iter().cloned());
        self.stale += other.stale;
        self.suspended = self.suspended.max(other.suspended);
        self.reappeared += other.reappeared;
        self.emptied.extend(other.emptied.clone());
        self.changed.extend(other.changed.clone());
        self.columns.extend(other.columns.clone());
        self.partition = self.partition.take().or_else(|| other.partition.clone());
    }
}
