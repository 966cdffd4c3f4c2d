//! Views with the descriptions of their columns.
//!
//! Takes a table and a query that gives its columns, gives the statements that create a view of it.

use crate::sql::dialect::SqlDialect;
use crate::sql::model::{SqlColumn, SqlTable};
use crate::sql::names::SqlNames;
use crate::sql::script::SqlScript;

/// A view to be created.
#[derive(Clone, Copy, Debug)]
pub struct SqlView<'a> {
    pub dialect: SqlDialect,
    pub names: &'a SqlNames,
    pub table: &'a SqlTable,
    /// Without schema and prefix.
    pub name: &'a str,
    pub comment: &'a str,
}

impl SqlView<'_> {
    /// Adds the statements.
    pub fn write(&self, query: &str, script: &mut SqlScript) {
        let dialect = self.dialect;
        let name = match dialect {
            SqlDialect::Athena => self.names.query(dialect, self.name),
            _ => self.names.ddl(dialect, self.name),
        };
        let comment = dialect.comment(self.comment);
        let head = match dialect {
            SqlDialect::Spark | SqlDialect::Databricks => format!("{name} (\n{}\n)\nCOMMENT {comment}", self.columns()),
            SqlDialect::Snowflake => format!("{name} (\n{}\n)\nCOMMENT = {comment}", self.columns()),
            SqlDialect::BigQuery => format!("{name} (\n{}\n)\nOPTIONS (description = {comment})", self.columns()),
            SqlDialect::ClickHouse => format!("{name} (\n{}\n)\nCOMMENT {comment}", self.columns()),
            SqlDialect::Trino => format!("{name}\nCOMMENT {comment}"),
            SqlDialect::DuckDb | SqlDialect::Redshift | SqlDialect::Athena | SqlDialect::Fabric => name.clone(),
        };
        let create = if dialect == SqlDialect::Fabric { "CREATE OR ALTER VIEW" } else { "CREATE OR REPLACE VIEW" };
        script.statement(&format!("{create} {head}\nAS\n{query}"));
        match dialect {
            SqlDialect::DuckDb => {
                script.statement(&format!("COMMENT ON VIEW {name} IS {comment}"));
                self.comment_columns(&name, script);
            }
            SqlDialect::Trino => self.comment_columns(&name, script),
            SqlDialect::Redshift => script.statement(&format!("COMMENT ON VIEW {name} IS {comment}")),
            _ => {}
        }
    }

    /// The columns with their descriptions, as a view lists them.
    fn columns(&self) -> String {
        self.table.all_columns().map(|column| format!("    {}", self.column(column))).collect::<Vec<_>>().join(",\n")
    }

    fn column(&self, column: &SqlColumn) -> String {
        let dialect = self.dialect;
        let (name, comment) = (dialect.quote(&column.name), dialect.comment(&column.comment));
        match dialect {
            _ if column.comment.is_empty() && dialect != SqlDialect::ClickHouse => name,
            SqlDialect::BigQuery => format!("{name} OPTIONS (description = {comment})"),
            SqlDialect::ClickHouse => {
                format!("{name} {} COMMENT {comment}", dialect.nullable_type(column.kind, column.required))
            }
            _ => format!("{name} COMMENT {comment}"),
        }
    }

    fn comment_columns(&self, name: &str, script: &mut SqlScript) {
        comment_columns(self.dialect, name, self.table, script);
    }
}

/// Adds a statement for the description of each column.
pub fn comment_columns(dialect: SqlDialect, name: &str, table: &SqlTable, script: &mut SqlScript) {
    for column in table.all_columns().filter(|column| !column.comment.is_empty()) {
        let comment = dialect.comment(&column.comment);
        script.statement(&format!("COMMENT ON COLUMN {name}.{} IS {comment}", dialect.quote(&column.name)));
    }
}
