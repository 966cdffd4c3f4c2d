//! The meaning of tables and columns, as schema files state it: descriptions, references, codes, personal data,
//! certainty.
//!
//! For people and tools; nothing here decides reading or mapping.

use std::fmt;

/// The key under which a field of a Parquet file has its column's description.
pub const DESCRIPTION: &str = "description";

/// The meaning of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Plain English; empty if the file states nothing.
    pub description: String,
    pub references: References,
    /// The values that are known, and their meanings.
    pub codes: Vec<Code>,
    /// It concerns a person: a name, an address, a telephone number, or a free text that may contain such.
    pub personal: bool,
    /// The person that it leads to acted on the record as a member of staff; the record is not about that person.
    pub acting: bool,
    pub confidence: Confidence,
    /// The line in the schema file; 0 for a column of no file.
    pub line: usize,
}

/// Where the value of a column leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// It is no reference, or the file does not state one.
    #[default]
    Unsaid,
    /// To one of these columns.
    To(Vec<ReferenceTarget>),
    /// To nothing that pearlift holds, for this reason.
    Nowhere(String),
}

impl References {
    /// The columns that it refers to.
    pub fn targets(&self) -> &[ReferenceTarget] {
        match self {
            Self::To(targets) => targets,
            Self::Unsaid | Self::Nowhere(_) => &[],
        }
    }
}

/// A column that others refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceTarget {
    pub table: String,
    pub column: String,
}

impl fmt::Display for ReferenceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// A value of a column with a fixed list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: String,
    pub meaning: String,
}

/// The source of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confidence {
    /// The documentation of the API.
    #[default]
    Documented,
    /// A published recording of an account's answers.
    Recorded,
    /// Published client code.
    ClientCode,
    /// A conclusion from the others.
    Inferred,
    /// Nothing but names.
    Guess,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Documented => "documented",
            Self::Recorded => "recorded",
            Self::ClientCode => "client code",
            Self::Inferred => "inferred",
            Self::Guess => "guess",
        })
    }
}
