//! A number that a plan gives: known, or an estimate that says so.

/// A number, and whether it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    pub value: u64,
    pub exact: bool,
}

impl Amount {
    pub const fn exact(value: u64) -> Self {
        Self { value, exact: true }
    }

    pub fn about(value: u64) -> Self {
        Self { value, exact: false }
    }

    /// The sum, known where both are.
    pub fn plus(self, other: Self) -> Self {
        Self { value: self.value.saturating_add(other.value), exact: self.exact && other.exact }
    }

    /// How many sets of at most `most` it takes.
    pub fn sets(self, most: usize) -> Self {
        let most = u64::try_from(most).unwrap_or(u64::MAX).max(1);
        Self { value: self.value.div_ceil(most), exact: self.exact }
    }
}
