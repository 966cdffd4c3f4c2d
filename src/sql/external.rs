//! External tables: an engine reads a table's files where they are, and a view stands on them.
//!
//! Takes a table and a selection of files, gives the statements that create the external table, and the query that the view
//! has. The external table has the name of the table with `_files`.

use crate::schema::{DELETED_AT, Type};
use crate::sql::dialect::SqlDialect;
use crate::sql::model::{SqlColumn, SqlFile, SqlTable};
use crate::sql::names::SqlNames;
use crate::sql::reader::{FileQueries, FileSelection};
use crate::sql::script::SqlScript;

/// The name of the stage of Snowflake that leads to the destination.
pub const STAGE: &str = "pearlift";

/// An external table to be created.
#[derive(Clone, Copy, Debug)]
pub struct ExternalTable<'a> {
    pub reader: FileQueries<'a>,
    pub names: &'a SqlNames,
    pub table: &'a SqlTable,
    /// Without schema and prefix.
    pub name: &'a str,
}

impl ExternalTable<'_> {
    /// Adds the statements, and gives the query over the rows that exist at the source.
    pub fn write(&self, selection: FileSelection<'_>, script: &mut SqlScript) -> String {
        let dialect = self.reader.dialect;
        let name = self.names.ddl(dialect, self.name);
        let folder = self.reader.address.of(&format!("{}/", self.table.name));
        let columns = self.columns();
        match dialect {
            SqlDialect::Snowflake => {
                let stage = format!("@{}/{}/", self.names.own(dialect, STAGE), self.table.name);
                script.statement(&format!(
                    "CREATE OR REPLACE EXTERNAL TABLE {name} (\n{columns}\n)\nLOCATION = {stage}\nAUTO_REFRESH = FALSE\n\
                     FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)\nPATTERN = {}",
                    dialect.literal(&pattern(selection))
                ));
            }
            SqlDialect::BigQuery => {
                let uris = match selection {
                    FileSelection::Folder => vec![dialect.literal(&format!("{folder}*.parquet"))],
                    FileSelection::Listed(files) => self.paths(files),
                };
                script.statement(&format!(
                    "CREATE OR REPLACE EXTERNAL TABLE {name} (\n{columns}\n)\nOPTIONS (\n    format = 'PARQUET',\n    uris = [\n        {}\n    ]\n)",
                    uris.join(",\n        ")
                ));
            }
            SqlDialect::Trino => {
                script.statement(&format!("DROP TABLE IF EXISTS {name}"));
                script.statement(&format!(
                    "CREATE TABLE {name} (\n{columns}\n)\nWITH (external_location = {}, format = 'PARQUET')",
                    dialect.literal(&folder)
                ));
            }
            _ => {
                script.statement(&format!("DROP TABLE IF EXISTS {name}"));
                script.statement(&format!(
                    "CREATE EXTERNAL TABLE {name} (\n{columns}\n)\nCOMMENT {}\nSTORED AS PARQUET\nLOCATION {}",
                    dialect.comment(&self.table.comment()),
                    dialect.literal(&folder)
                ));
            }
        }
        self.query(selection)
    }

    fn paths(&self, files: &[SqlFile]) -> Vec<String> {
        let address = self.reader.address;
        files.iter().map(|file| self.reader.dialect.literal(&address.of(&file.path))).collect()
    }

    fn columns(&self) -> String {
        let dialect = self.reader.dialect;
        let mut lines: Vec<String> = self.table.columns.iter().map(|column| self.column(column)).collect();
        lines.extend(self.table.is_marked.then(|| {
            self.column(&SqlColumn {
                name: DELETED_AT.to_owned(),
                kind: Type::Timestamp,
                required: false,
                comment: String::new(),
                targets: Vec::new(),
            })
        }));
        lines.extend(
            self.table
                .day
                .iter()
                .filter(|_| dialect == SqlDialect::Snowflake)
                .map(|day| format!("    {} DATE AS ({})", dialect.quote(&day.name), self.reader.day_of_path(day))),
        );
        lines.join(",\n")
    }

    fn column(&self, column: &SqlColumn) -> String {
        let dialect = self.reader.dialect;
        let (name, kind) = (dialect.quote(&column.name), dialect.type_name(column.kind));
        match dialect {
            // The files have the names in small letters.
            SqlDialect::Snowflake => format!("    {name} {kind} AS (VALUE:\"{}\"::{kind})", column.name),
            SqlDialect::Athena if !column.comment.is_empty() => {
                format!("    {name} {kind} COMMENT {}", dialect.comment(&column.comment))
            }
            _ => format!("    {name} {kind}"),
        }
    }

    fn query(&self, selection: FileSelection<'_>) -> String {
        let dialect = self.reader.dialect;
        let mut columns: Vec<String> = self
            .table
            .columns
            .iter()
            .map(|column| {
                let name = dialect.quote_in_query(&column.name);
                match (dialect, column.kind) {
                    // The connector gives instants in UTC without their zone.
                    (SqlDialect::Trino, Type::Timestamp) => format!("    with_timezone({name}, 'UTC') AS {name}"),
                    _ => format!("    {name}"),
                }
            })
            .collect();
        columns.extend(self.table.day.iter().map(|day| {
            let name = dialect.quote_in_query(&day.name);
            match dialect {
                SqlDialect::Snowflake => format!("    {name}"),
                _ => format!("    {} AS {name}", self.reader.day_of_path(day)),
            }
        }));
        let mut conditions = Vec::new();
        if self.table.is_marked {
            conditions.push(format!("{} IS NULL", dialect.quote_in_query(DELETED_AT)));
        }
        if let (SqlDialect::Athena | SqlDialect::Trino, FileSelection::Listed(files)) = (dialect, selection) {
            conditions.push(format!("\"$path\" IN (\n    {}\n)", self.paths(files).join(",\n    ")));
        }
        let mut text = format!("SELECT\n{}\nFROM {}", columns.join(",\n"), self.names.query(dialect, self.name));
        if !conditions.is_empty() {
            text.push_str(&format!("\nWHERE {}", conditions.join("\n    AND ")));
        }
        text
    }
}

/// A regular expression for the paths of the files; their names occur once at the destination.
fn pattern(selection: FileSelection<'_>) -> String {
    match selection {
        FileSelection::Folder => ".*[.]parquet".to_owned(),
        FileSelection::Listed(files) => {
            let stem = |file: &SqlFile| {
                let name = file.path.rsplit('/').next().unwrap_or(&file.path);
                name.trim_end_matches(".parquet").to_owned()
            };
            format!(".*({})[.]parquet", files.iter().map(stem).collect::<Vec<_>>().join("|"))
        }
    }
}
