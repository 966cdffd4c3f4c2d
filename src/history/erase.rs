//! Texts with values of a person, replaced in the rows of the history.

use serde_json::Value;

use crate::failure::Result;
use crate::history::columns::HistoryTable;
use crate::history::files::{history_files, read, write};
use crate::history::join::hold_joins;
use crate::store::{Store, paths};

/// Columns with texts that may quote an answer of the source.
const TEXTS: [&str; 2] = ["reason", "scans"];

/// Replaces each text that contains one of the values; gives the number of files that had some. With `dry_run` nothing
/// is written.
pub async fn erase_texts(store: &Store, run: &str, values: &[&str], replacement: &str, dry_run: bool) -> Result<u64> {
    if values.is_empty() {
        return Ok(0);
    }
    let locks = if dry_run { None } else { Some(hold_joins(store, run).await?) };
    let done = erase_all(store, values, replacement, dry_run).await;
    match locks {
        Some(locks) => {
            let released = locks.release().await;
            done.and_then(|changed| released.map(|()| changed))
        }
        None => done,
    }
}

async fn erase_all(store: &Store, values: &[&str], replacement: &str, dry_run: bool) -> Result<u64> {
    let listed = store.list(paths::HISTORY).await?;
    let mut changed = 0;
    for table in HistoryTable::ALL {
        for file in history_files(table, &listed) {
            let Some(mut rows) = read(store, table, &file.path).await? else { continue };
            let mut found = false;
            for (_, cell) in rows.iter_mut().flatten().filter(|(name, _)| TEXTS.contains(&name.as_str())) {
                if cell.as_str().is_some_and(|text| values.iter().any(|value| text.contains(value))) {
                    *cell = Value::from(replacement);
                    found = true;
                }
            }
            if !found {
                continue;
            }
            changed += 1;
            if !dry_run {
                // Nothing depends on the history: rows that a crash loses here are not missed.
                store.delete(std::slice::from_ref(&file.path)).await?;
                write(store, table, &file.path, &rows).await?;
            }
        }
    }
    Ok(changed)
}
