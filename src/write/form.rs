//! The form of data files: sizes, encodings, sort order, and how full row groups become.

use arrow_schema::SchemaRef;

use crate::config::{Encodings, Limits};

/// A row group of less than this part of the largest is small: it is joined with its neighbour where both fit into one.
const SMALL_GROUP: usize = 4;

/// Sizes and encodings of what is written.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub file_bytes: u64,
    pub row_group_rows: usize,
    /// A row group is held in memory until it ends.
    pub row_group_bytes: usize,
    pub encodings: Encodings,
}

impl Sizes {
    /// As the settings want them: a row group takes an eighth of the memory at most.
    pub fn of(limits: &Limits) -> Self {
        Self {
            file_bytes: limits.file_bytes,
            row_group_rows: limits.row_group_rows,
            row_group_bytes: usize::try_from(limits.memory / 8).unwrap_or(usize::MAX),
            encodings: limits.encodings,
        }
    }

    /// Whether a row group of this many rows and bytes is small.
    pub fn is_small(&self, rows: usize, bytes: usize) -> bool {
        rows < self.row_group_rows / SMALL_GROUP && bytes < self.row_group_bytes / SMALL_GROUP
    }
}

/// How files of a table are written.
#[derive(Clone, Debug)]
pub struct Form {
    pub schema: SchemaRef,
    /// Places of the key columns, by which rows are sorted.
    pub key: Vec<usize>,
    pub schema_hash: String,
    pub sizes: Sizes,
}

/// How full the row groups become that rows are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// With room for rows that come later: new rows.
    WithRoom,
    /// To the limit: the rows of a row group that there was, with those that came.
    Whole,
}
