//! The rows of a table in a page, and the records that they belong to.

use arrow_array::RecordBatch;

use crate::manifest::Key;

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRecord {
    pub key: Key,
    /// By these, in turn, the newer of two copies is chosen.
    pub newer: Vec<Option<i64>>,
    /// Days since 1970 of the month's first, or the bucket; 0 where there is no partition, or no date.
    pub partition: i32,
    /// Some row of it lacks a required value: it is kept whole as a rejected record.
    pub fits: bool,
}

/// A table's rows in a page: its columns and `_extra`, and for each row its owner's place in
/// [`Page::owners`](crate::decode::Page).
#[derive(Clone, Debug)]
pub struct TableRows {
    pub batch: RecordBatch,
    pub owners: Vec<u32>,
}
