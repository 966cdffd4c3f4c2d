//! Queries that read the files of a table.
//!
//! Takes a table, its address and a selection of files, gives SELECT statements with the table's own columns, of rows that
//! exist at the source. The columns are named one by one: the folders of a date, whose period may change, add none.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::schema::DELETED_AT;
use crate::sql::address::BaseAddress;
use crate::sql::dialect::SqlDialect;
use crate::sql::model::{SqlColumn, SqlFile, SqlTable};

/// Paths in one pattern: engines limit the alternatives of a pattern.
const PATHS: usize = 500;

/// The end of a query of ClickHouse that takes no column from the names of folders.
const WITHOUT_FOLDERS: &str = "\nSETTINGS use_hive_partitioning = 0";

/// The files that are read.
#[derive(Clone, Copy, Debug)]
pub enum FileSelection<'a> {
    /// Those in the table's folder when the query runs.
    Folder,
    /// These.
    Listed(&'a [SqlFile]),
}

/// A dialect with the address of the destination.
#[derive(Clone, Copy, Debug)]
pub struct FileQueries<'a> {
    pub dialect: SqlDialect,
    pub address: &'a BaseAddress,
}

impl FileQueries<'_> {
    /// The queries whose rows together are those of the files, in an engine whose queries read files.
    pub fn queries(&self, table: &SqlTable, selection: FileSelection<'_>) -> Vec<String> {
        match (selection, &table.day) {
            (FileSelection::Folder, None) => vec![self.select(table, None, &self.folder(table))],
            (FileSelection::Folder, Some(day)) => {
                vec![self.select(table, Some(&self.day_of_path(day)), &self.folder(table))]
            }
            (FileSelection::Listed(files), None) => {
                let files: Vec<&SqlFile> = files.iter().collect();
                self.listed(table, &files).iter().map(|from| self.select(table, None, from)).collect()
            }
            (FileSelection::Listed(files), Some(_)) => by_day(files)
                .iter()
                .flat_map(|(day, files)| {
                    let day = self.dialect.day(*day);
                    self.listed(table, files).into_iter().map(move |from| (day.clone(), from))
                })
                .map(|(day, from)| self.select(table, Some(&day), &from))
                .collect(),
        }
    }

    /// One query over these; a table without files has no row.
    pub fn query(&self, table: &SqlTable, selection: FileSelection<'_>) -> String {
        let queries = self.queries(table, selection);
        match queries.as_slice() {
            [] => self.nothing(table),
            // ClickHouse drops the setting of a part of a union when a view of it is filtered by the day, and fails.
            [_, _, ..] if self.dialect == SqlDialect::ClickHouse => {
                format!("SELECT *\nFROM (\n{}\n){WITHOUT_FOLDERS}", queries.join("\nUNION ALL\n"))
            }
            _ => queries.join("\nUNION ALL\n"),
        }
    }

    /// A query without rows.
    fn nothing(&self, table: &SqlTable) -> String {
        let dialect = self.dialect;
        let columns = table.all_columns().map(|column| {
            format!(
                "    CAST(NULL AS {}) AS {}",
                dialect.nullable_type(column.kind, false),
                dialect.quote(&column.name)
            )
        });
        format!("SELECT\n{}\nWHERE 1 = 0", columns.collect::<Vec<_>>().join(",\n"))
    }

    fn select(&self, table: &SqlTable, day: Option<&str>, from: &str) -> String {
        let dialect = self.dialect;
        let mut columns: Vec<String> =
            table.columns.iter().map(|column| format!("    {}", dialect.quote(&column.name))).collect();
        columns.extend(table.day.iter().zip(day).map(|(column, value)| {
            let name = dialect.quote(&column.name);
            if value == name { format!("    {name}") } else { format!("    {value} AS {name}") }
        }));
        let mut text = format!("SELECT\n{}\nFROM {from}", columns.join(",\n"));
        if table.is_marked {
            text.push_str(&format!("\nWHERE {} IS NULL", dialect.quote(DELETED_AT)));
        }
        if dialect == SqlDialect::ClickHouse {
            text.push_str(WITHOUT_FOLDERS);
        }
        text
    }

    /// The rows of all files in the folder of a table.
    fn folder(&self, table: &SqlTable) -> String {
        let literal = |text: &str| self.dialect.literal(text);
        let folder = self.address.of(&table.name);
        match self.dialect {
            SqlDialect::DuckDb => {
                let pattern = literal(&format!("{folder}/**/*.parquet"));
                let days = table.day.as_ref().map_or("hive_partitioning = false".to_owned(), |day| {
                    format!("hive_partitioning = true, hive_types = {{{}: DATE}}", literal(&day.name))
                });
                format!("read_parquet({pattern}, {days})")
            }
            SqlDialect::ClickHouse => {
                let pattern = if self.address.is_local() { "/**/*.parquet" } else { "/**.parquet" };
                self.clickhouse(table, &format!("{folder}{pattern}"))
            }
            SqlDialect::Databricks => self.databricks(table, &folder),
            _ => format!("parquet.{}", self.dialect.quote(&folder)),
        }
    }

    /// The rows of these files: one relation, or several where a pattern has too many alternatives.
    fn listed(&self, table: &SqlTable, files: &[&SqlFile]) -> Vec<String> {
        if self.dialect == SqlDialect::DuckDb {
            let paths: Vec<String> = files
                .iter()
                .map(|file| format!("    {}", self.dialect.literal(&self.address.of(&file.path))))
                .collect();
            let list = format!("read_parquet([\n{}\n], hive_partitioning = false)", paths.join(",\n"));
            return if files.is_empty() { Vec::new() } else { vec![list] };
        }
        files
            .chunks(PATHS)
            .map(|files| {
                let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                let path = match paths.as_slice() {
                    [one] => self.address.of(one),
                    several => self.address.of(&format!("{{{}}}", several.join(","))),
                };
                match self.dialect {
                    SqlDialect::ClickHouse => self.clickhouse(table, &path),
                    SqlDialect::Databricks => self.databricks(table, &path),
                    _ => format!("parquet.{}", self.dialect.quote(&path)),
                }
            })
            .collect()
    }

    fn clickhouse(&self, table: &SqlTable, path: &str) -> String {
        let literal = |text: &str| self.dialect.literal(text);
        let mut columns: Vec<String> = table.columns.iter().map(|column| self.typed(column)).collect();
        columns.extend(
            table.is_marked.then(|| format!("{} Nullable(DateTime64(6, 'UTC'))", self.dialect.quote(DELETED_AT))),
        );
        let function = if self.address.is_local() { "file" } else { "s3" };
        format!("{function}({}, 'Parquet', {})", literal(path), literal(&columns.join(", ")))
    }

    fn databricks(&self, table: &SqlTable, path: &str) -> String {
        let mut columns: Vec<String> = table.columns.iter().map(|column| self.typed(column)).collect();
        columns.extend(table.is_marked.then(|| format!("{} TIMESTAMP", self.dialect.quote(DELETED_AT))));
        let (path, columns) = (self.dialect.literal(path), self.dialect.literal(&columns.join(", ")));
        format!("read_files({path}, format => 'parquet', schema => {columns})")
    }

    fn typed(&self, column: &SqlColumn) -> String {
        format!("{} {}", self.dialect.quote(&column.name), self.dialect.nullable_type(column.kind, column.required))
    }

    /// The day of a snapshot, from the path of a file.
    pub fn day_of_path(&self, day: &SqlColumn) -> String {
        let pattern = self.dialect.literal(&format!("{}=([0-9-]+)", day.name));
        match self.dialect {
            SqlDialect::ClickHouse => format!("toDate32(extract(_path, {pattern}))"),
            SqlDialect::Databricks => format!("CAST(regexp_extract(_metadata.file_path, {pattern}, 1) AS DATE)"),
            SqlDialect::Athena | SqlDialect::Trino => format!("CAST(regexp_extract(\"$path\", {pattern}, 1) AS DATE)"),
            SqlDialect::BigQuery => format!("CAST(REGEXP_EXTRACT(_FILE_NAME, {pattern}) AS DATE)"),
            SqlDialect::Snowflake => {
                format!("CAST(REGEXP_SUBSTR(METADATA$FILENAME, {pattern}, 1, 1, 'e', 1) AS DATE)")
            }
            // The engine knows it by its folders.
            SqlDialect::DuckDb | SqlDialect::Spark => self.dialect.quote(&day.name),
            // These copy each day by itself.
            SqlDialect::Redshift | SqlDialect::Fabric => self.dialect.quote(&day.name),
        }
    }
}

/// The files of each day.
pub fn by_day(files: &[SqlFile]) -> BTreeMap<Date, Vec<&SqlFile>> {
    let mut days: BTreeMap<Date, Vec<&SqlFile>> = BTreeMap::new();
    for file in files {
        let day = file.partition.as_deref().and_then(|part| part.split_once('=')?.1.parse().ok());
        days.entry(day.unwrap_or(jiff::civil::date(1970, 1, 1))).or_default().push(file);
    }
    days
}
