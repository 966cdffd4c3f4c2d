//! An incremental load: the statements that bring loaded tables from an earlier version to the head.
//!
//! Takes the tables with their changes, the table of the dividing date last, gives the statements. A table with one row per
//! record is merged by the record key; in the others, the rows of each changed record are replaced. Records that the dropped
//! files had and the added ones do not have are deleted.

use crate::manifest::Key;
use crate::schema::{EXTRACTED_AT, RUN_ID};
use crate::sql::dialect::SqlDialect;
use crate::sql::difference::{KeyRange, RangePlace, TableChange};
use crate::sql::load::{RowSource, TableLoader};
use crate::sql::model::SqlTable;
use crate::sql::script::SqlScript;

/// The column that divides the files of a resource, by its table.
#[derive(Clone, Debug)]
pub struct DividingDate {
    pub table: String,
    pub record_key: String,
    pub column: String,
}

/// A table to be brought to the head.
#[derive(Clone, Copy, Debug)]
pub struct ChangedTable<'a> {
    pub loader: TableLoader<'a>,
    pub table: &'a SqlTable,
    pub change: &'a TableChange,
    pub date: Option<&'a DividingDate>,
}

impl ChangedTable<'_> {
    /// Whether a record has one row, by whose key it is merged.
    fn is_merged(&self) -> bool {
        self.table.key.len() == 1 && self.table.day.is_none() && self.dialect() != SqlDialect::ClickHouse
    }

    fn dialect(&self) -> SqlDialect {
        self.loader.reader.dialect
    }

    /// Adds the statements; `source` has the rows of the added files.
    pub fn write(&self, source: &RowSource, script: &mut SqlScript) {
        let dialect = self.dialect();
        let target = self.loader.names.ddl(dialect, &self.table.name);
        let key = dialect.quote(self.table.record_key());
        let held = format!("(SELECT {key} FROM {} AS s)", source.relation);
        let dropped = self.condition(&self.change.dropped);
        if self.is_merged() {
            if let Some(dropped) = dropped {
                self.delete(&target, &format!("({dropped})\n    AND {key} NOT IN {held}"), script);
            }
            if !self.change.added.is_empty() {
                self.merge(&target, source, script);
            }
            return;
        }
        let replaced = if self.table.day.is_some() {
            let mut both = self.change.dropped.clone();
            both.extend(
                self.change.added_ranges.iter().filter(|range| !both.contains(range)).cloned().collect::<Vec<_>>(),
            );
            self.condition(&both)
        } else {
            let of_records = (!self.change.added.is_empty()).then(|| format!("{key} IN {held}"));
            let parts: Vec<String> = dropped.into_iter().chain(of_records).collect();
            (!parts.is_empty()).then(|| parts.join("\n    OR "))
        };
        if let Some(replaced) = replaced {
            self.delete(&target, &replaced, script);
        }
        if !self.change.added.is_empty() {
            self.loader.insert(self.table, source, script);
        }
    }

    /// Deletes the rows that meet a condition, which all rows of a record meet or none. Delta Lake takes no subquery in
    /// the condition of a DELETE.
    fn delete(&self, target: &str, condition: &str, script: &mut SqlScript) {
        let is_delta = matches!(self.dialect(), SqlDialect::Spark | SqlDialect::Databricks);
        if !is_delta || self.table.day.is_some() {
            script.statement(&format!("DELETE FROM {target}\nWHERE {condition}"));
            return;
        }
        let key = self.dialect().quote(self.table.record_key());
        script.statement(&format!(
            "MERGE INTO {target} AS t\nUSING (\nSELECT DISTINCT {key} FROM {target}\nWHERE {condition}\n) AS gone\n\
             ON t.{key} = gone.{key}\nWHEN MATCHED THEN DELETE"
        ));
    }

    fn merge(&self, target: &str, source: &RowSource, script: &mut SqlScript) {
        let dialect = self.dialect();
        let quote = |name: &str| dialect.quote(name);
        let key = quote(self.table.record_key());
        // Redshift knows no other name for the target, and no condition beside the match.
        let plain = dialect == SqlDialect::Redshift;
        let own = if plain { self.loader.names.temporary(dialect, &self.table.name) } else { "t".to_owned() };
        let into = if plain { target.to_owned() } else { format!("{target} AS t") };
        let differs: Vec<String> =
            [RUN_ID, EXTRACTED_AT].iter().map(|name| format!("{own}.{0} <> s.{0}", quote(name))).collect();
        let when = if plain { String::new() } else { format!(" AND ({})", differs.join(" OR ")) };
        let set: Vec<String> = self
            .table
            .columns
            .iter()
            .filter(|column| column.name != self.table.record_key())
            .map(|column| format!("    {0} = s.{0}", quote(&column.name)))
            .collect();
        script.statement(&format!(
            "MERGE INTO {into}\nUSING {} AS s\nON {own}.{key} = s.{key}\nWHEN MATCHED{when} THEN UPDATE SET\n{}\n\
             WHEN NOT MATCHED THEN INSERT ({})\nVALUES ({})",
            source.relation,
            set.join(",\n"),
            self.loader.column_names(self.table, ""),
            self.loader.column_names(self.table, "s."),
        ));
    }

    /// The rows of these ranges; all rows where no earlier file is left, none for no range.
    fn condition(&self, ranges: &[KeyRange]) -> Option<String> {
        if self.change.drops_all {
            return Some("1 = 1".to_owned());
        }
        let parts: Vec<String> = ranges.iter().map(|range| self.rows(range)).collect();
        (!parts.is_empty()).then(|| parts.join("\n    OR "))
    }

    /// The rows of a range.
    fn rows(&self, range: &KeyRange) -> String {
        let dialect = self.dialect();
        let between = |key: &str| {
            let literal = |key: &Key| match key {
                Key::Int(id) => id.to_string(),
                Key::Text(text) => dialect.literal(text),
            };
            format!("{} BETWEEN {} AND {}", dialect.quote(key), literal(&range.first), literal(&range.last))
        };
        let own = between(self.table.record_key());
        match &range.place {
            RangePlace::Whole => own,
            RangePlace::Day(day) => {
                let column = self.table.day.as_ref().map_or("", |day| day.name.as_str());
                format!("({} = {} AND {own})", dialect.quote(column), dialect.day(*day))
            }
            RangePlace::Bucket { column, count, remainder } => self.of_date(&own, column, &between, |column| {
                format!("(({column} % {count}) + {count}) % {count} = {remainder}")
            }),
            RangePlace::Period { from, to, undated } => {
                let column = self.date.map_or("", |date| date.column.as_str());
                self.of_date(&own, column, &between, |column| {
                    let within =
                        format!("{column} >= {} AND {column} < {}", dialect.midnight(*from), dialect.midnight(*to));
                    if *undated { format!("({column} IS NULL OR ({within}))") } else { within }
                })
            }
        }
    }

    /// The rows of a range whose record meets a condition on a column of the table that divides the files.
    fn of_date(
        &self,
        own: &str,
        column: &str,
        between: &dyn Fn(&str) -> String,
        condition: impl Fn(&str) -> String,
    ) -> String {
        let dialect = self.dialect();
        let condition = condition(&dialect.quote(column));
        match self.date {
            Some(date) if date.table != self.table.name => {
                let table = self.loader.names.ddl(dialect, &date.table);
                let key = dialect.quote(&date.record_key);
                let of = between(&date.record_key);
                let own_key = dialect.quote(self.table.record_key());
                format!("({own} AND {own_key} IN (SELECT {key} FROM {table} WHERE {of} AND {condition}))")
            }
            _ => format!("({own} AND {condition})"),
        }
    }
}
