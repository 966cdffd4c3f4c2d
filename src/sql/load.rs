//! Tables of the engine: created and filled with all rows.
//!
//! Takes tables and selections of files, gives the statements. A source of rows has the columns of the loaded table, whichever way the engine
//! gets at the files.

use crate::schema::{DELETED_AT, Type};
use crate::sql::dialect::{FileAccess, SqlDialect};
use crate::sql::external::{ExternalTable, STAGE};
use crate::sql::model::{SqlColumn, SqlFile, SqlTable};
use crate::sql::names::SqlNames;
use crate::sql::reader::{FileQueries, FileSelection, by_day};
use crate::sql::script::SqlScript;
use crate::sql::view::comment_columns;

/// The most files that one COPY of Snowflake names.
const COPIED: usize = 1_000;

/// A loader of tables.
#[derive(Clone, Copy, Debug)]
pub struct TableLoader<'a> {
    pub reader: FileQueries<'a>,
    pub names: &'a SqlNames,
}

/// The rows of some files, as a query may name them, and the temporary tables that hold them.
#[derive(Clone, Debug)]
pub struct RowSource {
    pub relation: String,
    pub temporary: Vec<String>,
}

impl TableLoader<'_> {
    /// Adds the statements that create the table anew, without rows.
    pub fn create(&self, table: &SqlTable, script: &mut SqlScript) {
        let dialect = self.reader.dialect;
        let name = self.names.ddl(dialect, &table.name);
        let mut lines: Vec<String> = table.all_columns().map(|column| self.column(column, true)).collect();
        let key: Vec<String> = table
            .day
            .iter()
            .map(|day| day.name.as_str())
            .chain(table.key.iter().map(String::as_str))
            .map(|c| dialect.quote(c))
            .collect();
        let key = key.join(", ");
        match dialect {
            SqlDialect::Redshift | SqlDialect::Snowflake => lines.push(format!("    PRIMARY KEY ({key})")),
            SqlDialect::BigQuery => lines.push(format!("    PRIMARY KEY ({key}) NOT ENFORCED")),
            _ => {}
        }
        let comment = dialect.comment(&table.comment());
        let after = match dialect {
            SqlDialect::Spark | SqlDialect::Databricks => format!("\nUSING DELTA\nCOMMENT {comment}"),
            SqlDialect::ClickHouse => format!("\nENGINE = MergeTree\nORDER BY ({key})\nCOMMENT {comment}"),
            SqlDialect::Snowflake => format!("\nCOMMENT = {comment}"),
            SqlDialect::BigQuery => format!("\nOPTIONS (description = {comment})"),
            _ => String::new(),
        };
        let create = match dialect {
            SqlDialect::Redshift => {
                script.statement(&format!("DROP TABLE IF EXISTS {name} CASCADE"));
                "CREATE TABLE"
            }
            SqlDialect::Fabric => {
                script.statement(&format!("DROP TABLE IF EXISTS {name}"));
                "CREATE TABLE"
            }
            _ => "CREATE OR REPLACE TABLE",
        };
        script.statement(&format!("{create} {name} (\n{}\n){after}", lines.join(",\n")));
        match dialect {
            SqlDialect::DuckDb | SqlDialect::Redshift => {
                script.statement(&format!("COMMENT ON TABLE {name} IS {comment}"));
                comment_columns(dialect, &name, table, script);
            }
            // It has no comments on columns.
            SqlDialect::Fabric => {
                script.note(&table.comment());
                for column in table.all_columns().filter(|column| !column.comment.is_empty()) {
                    script.note(&format!("{}: {}", column.name, column.comment));
                }
            }
            _ => {}
        }
    }

    fn column(&self, column: &SqlColumn, with_comment: bool) -> String {
        let dialect = self.reader.dialect;
        let (name, kind) = (dialect.quote(&column.name), dialect.nullable_type(column.kind, column.required));
        let required = if column.required && dialect != SqlDialect::ClickHouse { " NOT NULL" } else { "" };
        let has_comment = with_comment && !column.comment.is_empty();
        let comment = match dialect {
            _ if !has_comment => String::new(),
            SqlDialect::BigQuery => format!(" OPTIONS (description = {})", dialect.comment(&column.comment)),
            SqlDialect::DuckDb | SqlDialect::Redshift | SqlDialect::Fabric => String::new(),
            _ => format!(" COMMENT {}", dialect.comment(&column.comment)),
        };
        format!("    {name} {kind}{required}{comment}")
    }

    /// Adds the references between these tables, in engines that keep them without checking them.
    pub fn references(&self, tables: &[&SqlTable], script: &mut SqlScript) {
        let dialect = self.reader.dialect;
        let suffix = match dialect {
            SqlDialect::Redshift | SqlDialect::Snowflake => "",
            SqlDialect::BigQuery => " NOT ENFORCED",
            _ => return,
        };
        for table in tables {
            for column in &table.columns {
                let [target] = column.targets.as_slice() else { continue };
                let is_key = |other: &&&SqlTable| {
                    other.name == target.table && other.day.is_none() && other.key == [target.column.clone()]
                };
                let Some(other) = tables.iter().find(is_key) else { continue };
                script.statement(&format!(
                    "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}){suffix}",
                    self.names.ddl(dialect, &table.name),
                    dialect.quote(&column.name),
                    self.names.ddl(dialect, &other.name),
                    dialect.quote(&target.column),
                ));
            }
        }
    }

    /// The names of the columns of the loaded table, of an alias if one is given.
    pub fn column_names(&self, table: &SqlTable, alias: &str) -> String {
        let names = table.all_columns().map(|column| format!("{alias}{}", self.reader.dialect.quote(&column.name)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Adds the statements that insert all rows of a source.
    pub fn insert(&self, table: &SqlTable, source: &RowSource, script: &mut SqlScript) {
        let names = self.column_names(table, "");
        let into = self.names.ddl(self.reader.dialect, &table.name);
        script.statement(&format!("INSERT INTO {into} ({names})\nSELECT {names}\nFROM {} AS s", source.relation));
    }

    /// Adds the statements that prepare the rows of files, and gives their source. `is_read_often` keeps them.
    pub fn source(
        &self,
        table: &SqlTable,
        selection: FileSelection<'_>,
        is_read_often: bool,
        script: &mut SqlScript,
    ) -> RowSource {
        let dialect = self.reader.dialect;
        let inline = |query: String| RowSource { relation: format!("(\n{query}\n)"), temporary: Vec::new() };
        match (dialect.access(), dialect) {
            (FileAccess::Inline, SqlDialect::ClickHouse) => inline(self.reader.query(table, selection)),
            (FileAccess::Inline, _) if !is_read_often => inline(self.reader.query(table, selection)),
            (FileAccess::Inline, _) => {
                let name = self.names.temporary(dialect, &format!("{}_changed", table.name));
                let kind = if dialect == SqlDialect::DuckDb { "TABLE" } else { "VIEW" };
                let query = self.reader.query(table, selection);
                script.statement(&format!("CREATE OR REPLACE TEMPORARY {kind} {name} AS\n{query}"));
                let temporary = if dialect == SqlDialect::DuckDb { vec![name.clone()] } else { Vec::new() };
                RowSource { relation: name, temporary }
            }
            (FileAccess::External, SqlDialect::BigQuery) => {
                let name = format!("{}_files", table.name);
                let external = ExternalTable { reader: self.reader, names: self.names, table, name: &name };
                inline(external.write(selection, script))
            }
            (FileAccess::External | FileAccess::Copy, _) => self.copied(table, selection, script),
        }
    }

    /// Rows that the engine copies to a temporary table, each day's by itself, because a file does not have its day.
    fn copied(&self, table: &SqlTable, selection: FileSelection<'_>, script: &mut SqlScript) -> RowSource {
        let dialect = self.reader.dialect;
        let rows = self.names.temporary(dialect, &format!("{}_changed", table.name));
        let raw = self.names.temporary(dialect, &format!("{}_copied", table.name));
        self.create_temporary(
            &rows,
            &table.all_columns().map(|column| self.column(column, false)).collect::<Vec<_>>(),
            script,
        );
        let groups: Vec<(Option<String>, Vec<&SqlFile>)> = match (&table.day, selection) {
            (None, FileSelection::Folder) => vec![(None, table.files.iter().collect())],
            (None, FileSelection::Listed(files)) => vec![(None, files.iter().collect())],
            (Some(_), FileSelection::Folder) => days(dialect, &table.files),
            (Some(_), FileSelection::Listed(files)) => days(dialect, files),
        };
        let mut in_file: Vec<String> = table.columns.iter().map(|column| self.column(column, false)).collect();
        if table.is_marked {
            // As the files have it: before the columns that every table has.
            let kind = dialect.type_name(Type::Timestamp);
            in_file.insert(in_file.len() - 3, format!("    {} {kind}", dialect.quote(DELETED_AT)));
        }
        for (day, files) in groups {
            self.create_temporary(&raw, &in_file, script);
            let places = match (selection, &day) {
                (FileSelection::Folder, None) => vec![format!("{}/", table.name)],
                _ => files.iter().map(|file| file.path.clone()).collect(),
            };
            self.copy(&raw, &places, script);
            let names: Vec<String> = table.columns.iter().map(|column| dialect.quote(&column.name)).collect();
            let values = names.iter().cloned().chain(day).collect::<Vec<_>>().join(", ");
            let condition =
                if table.is_marked { format!("\nWHERE {} IS NULL", dialect.quote(DELETED_AT)) } else { String::new() };
            let into = self.column_names(table, "");
            script.statement(&format!("INSERT INTO {rows} ({into})\nSELECT {values}\nFROM {raw}{condition}"));
        }
        RowSource { relation: rows.clone(), temporary: vec![raw, rows] }
    }

    fn create_temporary(&self, name: &str, columns: &[String], script: &mut SqlScript) {
        let create = match self.reader.dialect {
            SqlDialect::Snowflake => "CREATE OR REPLACE TEMPORARY TABLE",
            SqlDialect::Redshift => {
                script.statement(&format!("DROP TABLE IF EXISTS {name}"));
                "CREATE TEMPORARY TABLE"
            }
            _ => {
                script.statement(&format!("DROP TABLE IF EXISTS {name}"));
                "CREATE TABLE"
            }
        };
        script.statement(&format!("{create} {name} (\n{}\n)", columns.join(",\n")));
    }

    /// Copies files, or a folder whose path ends with a slash.
    fn copy(&self, into: &str, places: &[String], script: &mut SqlScript) {
        let dialect = self.reader.dialect;
        match dialect {
            SqlDialect::Snowflake => {
                let stage = self.names.own(dialect, STAGE);
                let format =
                    "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)\nMATCH_BY_COLUMN_NAME = CASE_INSENSITIVE";
                for places in places.chunks(COPIED) {
                    let files: Vec<String> = places.iter().map(|place| dialect.literal(place)).collect();
                    let files = files.join(",\n    ");
                    script.statement(&format!("COPY INTO {into}\nFROM @{stage}/\nFILES = (\n    {files}\n)\n{format}"));
                }
            }
            SqlDialect::Fabric => {
                let whole = |place: &String| {
                    let address = self.reader.address.of(place);
                    let address = if place.ends_with('/') { format!("{address}**") } else { address };
                    format!("    {}", dialect.literal(&address))
                };
                let list: Vec<String> = places.iter().map(whole).collect();
                script
                    .statement(&format!("COPY INTO {into}\nFROM\n{}\nWITH (FILE_TYPE = 'PARQUET')", list.join(",\n")));
            }
            _ => {
                for place in places {
                    let address = dialect.literal(&self.reader.address.of(place));
                    script.statement(&format!("COPY {into}\nFROM {address}\nIAM_ROLE DEFAULT\nFORMAT AS PARQUET"));
                }
            }
        }
    }

    /// Adds the statements that drop the temporary tables of a source.
    pub fn discard(&self, source: &RowSource, script: &mut SqlScript) {
        for name in &source.temporary {
            script.statement(&format!("DROP TABLE {name}"));
        }
    }
}

fn days(dialect: SqlDialect, files: &[SqlFile]) -> Vec<(Option<String>, Vec<&SqlFile>)> {
    by_day(files).into_iter().map(|(day, files)| (Some(dialect.day(day)), files)).collect()
}
