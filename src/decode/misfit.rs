//! What did not fit: values by path, records whole.

use std::collections::BTreeMap;

use crate::manifest::Key;

/// The longest sample of a misfit that is shown.
const SAMPLE: usize = 60;

/// Values that did not fit, counted by path with one sample each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfits(BTreeMap<String, (u64, String)>);

impl Misfits {
    /// Counts a value at a path (`order.totalValue.total`).
    pub fn count(&mut self, path: String, sample: &str) {
        let short = || sample.chars().take(SAMPLE).collect();
        self.0.entry(path).or_insert_with(|| (0, short())).0 += 1;
    }

    /// The paths, with count and sample.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.0.iter().map(|(path, (count, sample))| (path.as_str(), *count, sample.as_str()))
    }

    /// Whether everything fitted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: Self) {
        for (path, (count, sample)) in other.0 {
            self.0.entry(path).or_insert((0, sample)).0 += count;
        }
    }
}

/// A record that did not fit, or a row of one, kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisfitRecord {
    /// The table of a row; none of a record.
    pub table: Option<String>,
    /// Its owner key, when it could be read.
    pub id: Option<Key>,
    pub reason: String,
    /// The record as it came.
    pub raw: String,
}
