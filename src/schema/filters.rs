//! Filters that are sent with every request of a search: `filters = [{ column = "orderTypeId", is = 3 }]`.
//!
//! Takes them as a file states them; refuses a column or a value that a query cannot hold, and a column that occurs
//! twice.

use crate::failure::{Failure, Kind, Result};
use crate::schema::file::FilterFile;

/// A column of a search, and its value in every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantFilter {
    pub column: String,
    /// As in a query, and in the rows.
    pub value: String,
    /// The search has it as a column, so that each row is checked.
    pub is_shown: bool,
}

impl ConstantFilter {
    /// It as a query parameter.
    pub fn parameter(&self) -> String {
        format!("{}={}", self.column, self.value)
    }
}

/// Checks the filters below `key`; `others` are columns by which the search is filtered besides.
pub fn check_filters(key: &str, files: Vec<FilterFile>, others: &[&str]) -> Result<Vec<ConstantFilter>> {
    let mut found: Vec<ConstantFilter> = Vec::new();
    for FilterFile { column, is, shown } in files {
        let wrong = |why: &str| {
            Failure::new(Kind::Schema, "accept a schema file").because(format!("`{key}` of column `{column}`: {why}"))
        };
        let value = match &is {
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::String(text) if is_plain(text) => text.clone(),
            _ => {
                return Err(wrong(
                    "`is` is a whole number, true or false, or a text of letters, digits, `-`, `_` and `.`",
                ));
            }
        };
        if !is_plain(&column) {
            return Err(wrong("a column has letters, digits, `-`, `_` and `.`"));
        }
        if found.iter().any(|other| other.column == column) || others.contains(&column.as_str()) {
            return Err(wrong("the search is filtered by it twice"));
        }
        found.push(ConstantFilter { column, value, is_shown: shown });
    }
    Ok(found)
}

/// Whether a query holds the text as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
