//! The files of the history: their names, and their rows.

use jiff::Timestamp;

use crate::failure::{Kind, Result};
use crate::history::columns::HistoryTable;
use crate::history::rows::{HistoryRow, batch, of_batch};
use crate::store::{Store, paths};
use crate::write::{from_parquet, to_parquet};

/// Rows of a file that are read; a joined file has some tens of thousands.
const MOST_ROWS: usize = 1_000_000;
/// Rows that are objects at once: some 3 KiB each.
const AT_ONCE: usize = 1_000;

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
    let mut rows = Vec::new();
    Ok(visit(store, table, path, |row| rows.push(row)).await?.then_some(rows))
}

/// Visits the rows of a file, of which few are in memory at once; false if it is gone, too large, or not a file that this
/// version can read. Rows before a damaged part are visited too.
pub async fn visit(store: &Store, table: HistoryTable, path: &str, mut each: impl FnMut(HistoryRow)) -> Result<bool> {
    let bytes = match store.get(path).await {
        Err(failure) if failure.kind() == Kind::Damage => return Ok(false),
        found => found?,
    };
    let Some(bytes) = bytes else { return Ok(false) };
    let batches = tokio::task::spawn_blocking(move || from_parquet(&bytes, MOST_ROWS));
    let Ok(batches) = batches.await.expect("reading rows does not panic") else { return Ok(false) };
    for batch in batches {
        for start in (0..batch.num_rows()).step_by(AT_ONCE) {
            let part = batch.slice(start, AT_ONCE.min(batch.num_rows() - start));
            match of_batch(table, &part) {
                Ok(rows) => rows.into_iter().for_each(&mut each),
                Err(_) => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// Writes rows to a path that nothing else is named.
pub async fn write(store: &Store, table: HistoryTable, path: &str, rows: &[HistoryRow]) -> Result<()> {
    let columns = table.columns();
    let place = |name: &&str| columns.iter().position(|column| column.name == *name);
    let key: Vec<usize> = ["started_at"].iter().chain(table.key()).filter_map(place).collect();
    store.put_own(path, to_parquet(&batch(table, rows)?, &key)?).await
}
