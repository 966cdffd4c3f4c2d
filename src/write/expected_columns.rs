//! The columns that files must have.

use arrow_schema::DataType;

/// The columns that files must have.
#[derive(Clone, Debug)]
pub enum Columns {
    /// These, in this order, and no others.
    Just(Vec<(String, DataType)>),
    /// These among others: the files are older than the table's columns.
    Among(Vec<String>),
}
