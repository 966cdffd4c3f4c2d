//! The observations of the step in hand that its commits compare with the tables.

use jiff::Timestamp;

use crate::decode::KindCounts;
use crate::run::filled_columns::Filled;
use crate::run::lookups::NewestRows;

/// A count of the source that the next last commit is compared with.
#[derive(Clone, Copy, Debug)]
pub struct CountTaken {
    pub rows: u64,
    pub top: Option<i64>,
    pub at: Timestamp,
}

/// The observations of a step.
#[derive(Debug)]
pub struct Observations {
    /// Our clock when the step began.
    pub begun: Timestamp,
    /// The scan reads again records that are held: differences that no date shows are counted.
    pub reads_again: bool,
    /// Values of each column in the scan so far.
    pub filled: Filled,
    /// The kinds of the values at each place in the scan so far.
    pub kinds: KindCounts,
    /// The count of the source.
    pub counted: Option<CountTaken>,
    /// The greatest id that the search has shown.
    pub top_shown: Option<i64>,
    /// The newest rows of a search that the next commit stores.
    pub newest_rows: Option<NewestRows>,
}

impl Observations {
    /// None yet, of a step that begins now.
    pub fn new(begun: Timestamp) -> Self {
        Self {
            begun,
            reads_again: false,
            filled: Filled::default(),
            kinds: KindCounts::default(),
            counted: None,
            top_shown: None,
            newest_rows: None,
        }
    }
}
