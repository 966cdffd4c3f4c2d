//! Ids that a table of another resource holds, and the conditions on its rows.

use std::fmt;

/// Ids held in a column of another resource's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldIds {
    pub table: String,
    pub column: String,
    /// A row has an id of interest where all of them hold.
    pub conditions: Vec<RowCondition>,
    /// Columns of the same rows, in the order in which the path names them.
    pub in_path: Vec<String>,
    /// The line of the schema file.
    pub line: usize,
}

/// A condition on a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCondition {
    pub column: String,
    pub test: Test,
}

/// A test of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    IsNull,
    IsSet,
    /// The cell is this value, as a text.
    Is(String),
}

impl fmt::Display for RowCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.test {
            Test::IsNull => write!(f, "{} is null", self.column),
            Test::IsSet => write!(f, "{} is not null", self.column),
            Test::Is(value) => write!(f, "{} = {value}", self.column),
        }
    }
}
