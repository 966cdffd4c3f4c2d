//! Safety limits: how many records may leave a resource's tables at once.

/// A limit: this many, or a share of all, whichever is more.
#[derive(Clone, Copy, Debug)]
pub struct SafetyLimit {
    least: u64,
    /// One of this many.
    share: u64,
}

impl SafetyLimit {
    /// Newly pending ids of a scan, and copies older than the stored ones: more are a fault of the source or of the
    /// schema.
    pub const PENDING: Self = Self { least: 50, share: 100 };
    /// Rows of damaged files that the source no longer has.
    pub const LOST_ROWS: Self = Self { least: 100, share: 100 };
    /// Documents older than their search rows: more show that the search is wrong.
    pub const STALE: Self = Self { least: 10, share: 20 };

    /// The limit where there are this many in all.
    pub fn of(self, all: u64) -> u64 {
        self.least.max(all / self.share)
    }
}

/// Below this many records a tenth may go, else a hundredth.
const FEW: u64 = 1_000;
/// The least limit of a resource with few records, and of one with many.
const LEAST: (u64, u64) = (3, 100);
/// A run deletes this many records at once, or a thousandth.
const AT_ONCE: u64 = 20;

/// The records of `held` that may be removed at once, unless a person insists.
pub fn may_go(held: u64) -> u64 {
    if held < FEW { LEAST.0.max(held / 10) } else { LEAST.1.max(held / 100) }
}

/// The records of `held` that a run deletes at once; more wait as suspects.
pub fn at_once(held: u64) -> u64 {
    AT_ONCE.max(held / 1_000)
}

/// The limit in words.
pub fn described(held: u64) -> String {
    format!("at most {} may be removed at once", may_go(held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_tenth_of_few_records_and_a_hundredth_of_many() {
        let limits = [0, 29, 89, 999, 1_000, 9_999, 50_000].map(may_go);
        assert_eq!(limits, [3, 3, 8, 99, 100, 100, 500]);
        assert_eq!([0, 20_000, 50_000].map(at_once), [20, 20, 50]);
    }
}
