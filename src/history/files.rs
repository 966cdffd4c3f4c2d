//! The files of the history: their names, and their rows.

use jiff::Timestamp;

use crate::failure::{Failure, Kind, Result};
use crate::history::columns::HistoryTable;
use crate::history::rows::{HistoryRow, batch, of_batch};
use crate::store::{Store, paths};
use crate::write::{from_parquet, to_parquet};

/// Rows of a file that are read; a joined file has some tens of thousands.
const MOST_ROWS: usize = 1_000_000;

/// A file of the history, as its name states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryFile {
    pub path: String,
    pub bytes: u64,
    /// The starts of the first and of the last of its runs, to the second.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Whether it has the rows of several files.
    pub joined: bool,
}

/// The files of a table among listed paths and sizes, in the order of their names.
pub fn history_files(table: HistoryTable, listed: &[(String, u64)]) -> Vec<HistoryFile> {
    let file = |(path, bytes): &(String, u64)| {
        let (first, last, joined) = paths::of_history(path, table.name())?;
        Some(HistoryFile { path: path.clone(), bytes: *bytes, first, last, joined })
    };
    listed.iter().filter_map(file).collect()
}

/// The rows of a file; none if it is gone, too large, or not a file that this version can read.
pub async fn read(store: &Store, table: HistoryTable, path: &str) -> Result<Option<Vec<HistoryRow>>> {
    let bytes = match store.get(path).await {
        Err(failure) if failure.kind() == Kind::Damage => return Ok(None),
        found => found?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let rows = tokio::task::spawn_blocking(move || {
        let mut rows = Vec::new();
        for batch in from_parquet(&bytes, MOST_ROWS)? {
            rows.extend(of_batch(table, &batch)?);
        }
        Ok::<_, Failure>(rows)
    });
    Ok(rows.await.expect("reading rows does not panic").ok())
}

/// Writes rows to a path that nothing else is named.
pub async fn write(store: &Store, table: HistoryTable, path: &str, rows: &[HistoryRow]) -> Result<()> {
    let columns = table.columns();
    let place = |name: &&str| columns.iter().position(|column| column.name == *name);
    let key: Vec<usize> = ["started_at"].iter().chain(table.key()).filter_map(place).collect();
    store.put_own(path, to_parquet(&batch(table, rows)?, &key)?).await
}
