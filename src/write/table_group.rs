//! Tables that are compared together, each with its live files.

use crate::schema::Partition;
use crate::write::expected_columns::Columns;
use crate::write::inspect::LocatedFile;

/// Tables that belong together: those of a resource, of one day where it is a snapshot.
#[derive(Clone, Debug)]
pub struct Group {
    pub parts: Vec<ComparedTable>,
    /// The place of the table whose key is the record key alone, if there is one.
    pub record_table: Option<usize>,
}

/// The live files of one table.
#[derive(Clone, Debug)]
pub struct ComparedTable {
    /// Names of the key columns; the first is the record key, a whole number or a text.
    pub key: Vec<String>,
    /// The columns that its files must have.
    pub columns: Columns,
    pub files: Vec<LocatedFile>,
    /// The column of its own that gives a row's partition.
    pub dated: Option<(Partition, String)>,
}
