//! SQL by which an engine reads the tables of a destination: views, external tables, or tables that are loaded.
//!
//! Takes the catalogue, the heads and the address of the destination, gives a script in a dialect; the same input gives the
//! same bytes. The script contains no secret. Refuses destinations that the engine cannot reach, and changes since a version
//! that is not kept any more.

mod dialect;
mod model;
mod address;
mod names;
mod script;
mod reader;
mod view;
mod external;
mod load;
mod difference;
mod change;
mod since;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::{Failure, Kind, Result};
use crate::quantity::plural;
use crate::sql::change::ChangedTable;
use crate::sql::external::{ExternalTable, STAGE};
use crate::sql::load::TableLoader;
use crate::sql::model::{SqlFile, SqlTable};
use crate::sql::reader::{FileQueries, FileSelection};
use crate::sql::script::SqlScript;
use crate::sql::view::SqlView;

pub use address::{BaseAddress, address};
pub use dialect::{FileAccess, SqlDialect};
pub use names::SqlNames;
pub use plan::{SqlPlan, SqlSource, SqlStart, read_plans};
pub use since::{LoadedVersions, state_text};

/// Everything that a script is made of.
#[derive(Clone, Debug)]
pub struct SqlRequest {
    pub dialect: SqlDialect,
    pub names: SqlNames,
    pub address: BaseAddress,
    pub plans: Vec<SqlPlan>,
    /// Resources without tables at the destination.
    pub not_loaded: Vec<String>,
    /// Views name the files of the heads.
    pub is_listed: bool,
    /// Tables of the engine are loaded, in place of views.
    pub is_load: bool,
}

impl SqlRequest {
    /// The lines of the script. Refuses (`Usage`) a load in an engine for which there is none.
    pub fn lines(&self) -> Result<Vec<String>> {
        if self.is_load && matches!(self.dialect, SqlDialect::Athena | SqlDialect::Trino) {
            return Err(Failure::new(Kind::Usage, format!("write a load for {}", self.dialect.title()))
                .because("its tables of files cannot be changed row by row")
                .advise("leave --since out: its views show the newest version of the tables"));
        }
        let mut script = SqlScript::default();
        self.begin(&mut script);
        let loads = self.is_load || self.dialect.access() == FileAccess::Copy;
        for plan in &self.plans {
            script.gap();
            let loading = if plan.described.is_loading { ", of which the first load is not finished" } else { "" };
            let (name, version) = (&plan.described.name, plan.described.version);
            match (&plan.start, loads || self.is_listed) {
                (SqlStart::Version(from, _), _) => {
                    script.note(&format!("Resource {name}{loading}: from version {from} to version {version}"));
                }
                (SqlStart::Nothing, true) => script.note(&format!("Resource {name}{loading}: version {version}")),
                (SqlStart::Nothing, false) => script.note(&format!("Resource {name}{loading}")),
            }
            if loads { self.load(plan, &mut script) } else { self.show(plan, &mut script) }
        }
        self.refer(loads, &mut script);
        Ok(script.into_lines())
    }

    /// The versions to which the script brings the tables.
    pub fn versions(&self) -> BTreeMap<String, u64> {
        self.plans.iter().map(|plan| (plan.described.name.clone(), plan.described.version)).collect()
    }

    fn queries(&self) -> FileQueries<'_> {
        FileQueries { dialect: self.dialect, address: &self.address }
    }

    fn begin(&self, script: &mut SqlScript) {
        let tables: usize = self.plans.iter().map(|plan| plan.described.tables.len()).sum();
        let (title, base) = (self.dialect.title(), self.address.base());
        script.note(&format!("pearlift sql, {title}: {} at {base}", plural(tables, "table")));
        self.address.notes.iter().for_each(|note| script.note(note));
        if !self.not_loaded.is_empty() {
            script.note(&format!("Not loaded yet: {}", self.not_loaded.join(", ")));
        }
        script.gap();
        if let Some(schema) = self.names.schema(self.dialect) {
            match self.dialect {
                SqlDialect::Fabric => script.note(&format!("The schema {schema} has to exist.")),
                SqlDialect::ClickHouse => script.statement(&format!("CREATE DATABASE IF NOT EXISTS {schema}")),
                _ => script.statement(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")),
            }
        }
        if self.dialect == SqlDialect::Snowflake && !self.address.base().starts_with("s3compat:") {
            let stage = self.names.own(self.dialect, STAGE);
            let url = self.dialect.literal(&self.address.of(""));
            script
                .statement(&format!("CREATE STAGE IF NOT EXISTS {stage}\nURL = {url}\nSTORAGE_INTEGRATION = PEARLIFT"));
        }
    }

    /// Views of a resource's tables.
    fn show(&self, plan: &SqlPlan, script: &mut SqlScript) {
        for table in &plan.described.tables {
            let selection = if self.is_listed { FileSelection::Listed(&table.files) } else { FileSelection::Folder };
            let query = match self.dialect.access() {
                FileAccess::External => {
                    let name = format!("{}_files", table.name);
                    let external = ExternalTable { reader: self.queries(), names: &self.names, table, name: &name };
                    external.write(selection, script)
                }
                FileAccess::Inline | FileAccess::Copy => self.queries().query(table, selection),
            };
            self.view(table, &table.name, &table.comment()).write(&query, script);
        }
        self.latest(plan, script);
    }

    fn view<'a>(&'a self, table: &'a SqlTable, name: &'a str, comment: &'a str) -> SqlView<'a> {
        SqlView { dialect: self.dialect, names: &self.names, table, name, comment }
    }

    /// Views of the newest day of snapshots.
    fn latest(&self, plan: &SqlPlan, script: &mut SqlScript) {
        let dialect = self.dialect;
        for table in &plan.described.tables {
            let Some(day) = &table.day else { continue };
            let columns: Vec<String> =
                table.all_columns().map(|column| format!("    {}", dialect.quote_in_query(&column.name))).collect();
            let day = dialect.quote_in_query(&day.name);
            let query = format!(
                "SELECT\n{}\nFROM {}\nWHERE {day} = (SELECT MAX({day}) FROM {})",
                columns.join(",\n"),
                self.names.query(dialect, &table.name),
                self.names.query(dialect, &plan.described.main_table),
            );
            let comment = format!("The newest day of {}. {}", table.name, table.comment());
            self.view(table, &format!("{}_latest", table.name), &comment).write(&query, script);
        }
    }

    /// Tables of a resource, loaded or brought to the head.
    fn load(&self, plan: &SqlPlan, script: &mut SqlScript) {
        let loader = TableLoader { reader: self.queries(), names: &self.names };
        match &plan.start {
            SqlStart::Nothing => {
                let mut sources = Vec::new();
                for table in &plan.described.tables {
                    loader.create(table, script);
                    let listed = self.is_load || self.is_listed;
                    let selection = if listed { FileSelection::Listed(&table.files) } else { FileSelection::Folder };
                    sources.push((table, loader.source(table, selection, false, script)));
                }
                self.together(script, |script| {
                    sources.iter().for_each(|(table, source)| loader.insert(table, source, script));
                });
                sources.iter().for_each(|(_, source)| loader.discard(source, script));
                self.latest(plan, script);
            }
            SqlStart::Version(_, changes) => {
                let is_dated = |table: &SqlTable| plan.date.as_ref().is_some_and(|date| date.table == table.name);
                let mut tables: Vec<&SqlTable> = plan.described.tables.iter().collect();
                // The date of a record is looked up in its table while the others change.
                tables.sort_by_key(|table| (is_dated(table), table.name == plan.described.main_table));
                let mut sources = Vec::new();
                for table in tables {
                    let Some(change) = changes.get(&table.name).filter(|change| !change.is_none()) else { continue };
                    let files = added(table, &change.added);
                    let source = loader.source(table, FileSelection::Listed(&files), true, script);
                    sources.push((table, change, source));
                }
                if sources.is_empty() {
                    script.note("Nothing has changed.");
                    return;
                }
                self.together(script, |script| {
                    for (table, change, source) in &sources {
                        let changed = ChangedTable { loader, table, change, date: plan.date.as_ref() };
                        changed.write(source, script);
                    }
                });
                sources.iter().for_each(|(_, _, source)| loader.discard(source, script));
            }
        }
    }

    /// Adds statements as one transaction, in an engine that has transactions.
    fn together(&self, script: &mut SqlScript, write: impl FnOnce(&mut SqlScript)) {
        self.dialect.transaction(true).into_iter().for_each(|begin| script.statement(begin));
        write(script);
        self.dialect.transaction(false).into_iter().for_each(|end| script.statement(end));
    }

    /// The references between the tables that were created.
    fn refer(&self, loads: bool, script: &mut SqlScript) {
        if !loads {
            return;
        }
        let new = self.plans.iter().filter(|plan| matches!(plan.start, SqlStart::Nothing));
        let tables: Vec<&SqlTable> = new.flat_map(|plan| &plan.described.tables).collect();
        script.gap();
        TableLoader { reader: self.queries(), names: &self.names }.references(&tables, script);
    }
}

/// The files of a table at these final paths.
fn added(table: &SqlTable, paths: &BTreeSet<String>) -> Vec<SqlFile> {
    table.files.iter().filter(|file| paths.contains(&file.final_path)).cloned().collect()
}
