//! The names of tables and views in the engine: a schema, a prefix, the table's name.
//!
//! Refuses (`Usage`) names that an engine would not take in quotes either.

use crate::failure::{Failure, Kind, Result};
use crate::sql::dialect::SqlDialect;

/// The schema and the prefix of all names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlNames {
    /// The parts of the schema's name, such as catalogue and schema; empty for the engine's current schema.
    schema: Vec<String>,
    prefix: String,
}

impl SqlNames {
    /// Checks the schema, of up to two parts, and the prefix.
    pub fn new(schema: Option<&str>, prefix: Option<&str>) -> Result<Self> {
        let is_name = |text: &str, more: &[char]| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(&c)) && text.len() <= 100
        };
        let parts: Vec<String> = schema.iter().flat_map(|schema| schema.split('.')).map(str::to_owned).collect();
        if parts.len() > 2 || parts.iter().any(|part| part.is_empty() || !is_name(part, &['-'])) {
            return Err(Failure::new(Kind::Usage, "accept --schema")
                .because("it is a name of letters, digits, `_` and `-`, or two of them with a dot between"));
        }
        let prefix = prefix.unwrap_or_default();
        if !is_name(prefix, &[]) {
            return Err(Failure::new(Kind::Usage, "accept --prefix").because("it has letters, digits and `_` only"));
        }
        Ok(Self { schema: parts, prefix: prefix.to_owned() })
    }

    /// The quoted name of a table or view, in a statement that creates it.
    pub fn ddl(&self, dialect: SqlDialect, name: &str) -> String {
        self.quoted(name, |part| dialect.quote(part))
    }

    /// The quoted name of a table or view, in a query.
    pub fn query(&self, dialect: SqlDialect, name: &str) -> String {
        self.quoted(name, |part| dialect.quote_in_query(part))
    }

    /// The quoted name of an object of the schema that has no prefix.
    pub fn own(&self, dialect: SqlDialect, name: &str) -> String {
        let parts = self.schema.iter().map(String::as_str).chain([name]);
        parts.map(|part| dialect.quote(part)).collect::<Vec<_>>().join(".")
    }

    /// The quoted name of the schema, if one was given.
    pub fn schema(&self, dialect: SqlDialect) -> Option<String> {
        let parts: Vec<String> = self.schema.iter().map(|part| dialect.quote(part)).collect();
        (!parts.is_empty()).then(|| parts.join("."))
    }

    /// The name of a temporary table, which is in no schema. Fabric copies files into ordinary tables.
    pub fn temporary(&self, dialect: SqlDialect, name: &str) -> String {
        match dialect {
            SqlDialect::Fabric => self.ddl(dialect, name),
            _ => dialect.quote(&format!("{}{name}", self.prefix)),
        }
    }

    fn quoted(&self, name: &str, quote: impl Fn(&str) -> String) -> String {
        let last = format!("{}{name}", self.prefix);
        let parts = self.schema.iter().map(String::as_str).chain([last.as_str()]);
        parts.map(quote).collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_schema_and_the_prefix_and_odd_ones_are_refused() {
        let names = SqlNames::new(Some("lake.shop"), Some("bp_")).expect("they are names");
        assert_eq!(names.ddl(SqlDialect::DuckDb, "a"), "\"lake\".\"shop\".\"bp_a\"");
        assert_eq!(names.ddl(SqlDialect::Athena, "a"), "`lake`.`shop`.`bp_a`");
        assert_eq!(names.query(SqlDialect::Athena, "a"), "\"lake\".\"shop\".\"bp_a\"");
        for (schema, prefix) in [(Some(""), None), (Some("a.b.c"), None), (Some("a\"b"), None), (None, Some("a b"))] {
            assert!(SqlNames::new(schema, prefix).is_err(), "{schema:?} {prefix:?}");
        }
    }
}
