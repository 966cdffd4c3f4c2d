//! The rows of one run, appended: a file for each table that gets some.

use jiff::Timestamp;
use serde_json::Value;

use crate::failure::{Failure, Kind, Result};
use crate::history::columns::HistoryTable;
use crate::history::files::write;
use crate::history::rows::{key, rows};
use crate::store::{Store, paths};

/// Appends the rows of a run's report. The row of the run comes last: a run that is found has its resources.
pub async fn append(store: &Store, report: &Value) -> Result<()> {
    let named = |name: &str| report[name].as_str().unwrap_or_default();
    let wrong = |why: &str| Failure::new(Kind::Bug, "append to the history").because(why.to_owned());
    let started_at: Timestamp = named("started_at").parse().map_err(|_| wrong("the start is no instant"))?;
    let run = Some(named("run")).filter(|run| paths::is_run(run)).ok_or_else(|| wrong("the run has no name"))?;
    for table in [HistoryTable::RunResource, HistoryTable::Run] {
        let mut rows = rows(table, report);
        rows.sort_by_key(|row| key(table, row));
        if !rows.is_empty() {
            write(store, table, &paths::history(table.name(), started_at, run), &rows).await?;
        }
    }
    Ok(())
}
