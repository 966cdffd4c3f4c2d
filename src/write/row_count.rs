//! The number of live rows in files, up to a key or of given records. Rows of deleted records that stay in a table do
//! not count.
//!
//! Files with their number of rows in the manifest are not read.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use crate::failure::Result;
use crate::manifest::{DataFile, Key};
use crate::schema::DELETED_AT;
use crate::store::{RemoteFile, Store};
use crate::write::lookup::each_file;
use crate::write::ranges::each_batch;

/// Which rows count.
#[derive(Clone, Debug)]
pub enum CountedRows {
    /// Those of records up to this id; none is all.
    UpTo(Option<i64>),
    /// Those of these records, ascending.
    Of(Arc<[i64]>),
}

/// The number of live rows; `key` is the record key's column, `marked` is true for a table that keeps rows of deleted
/// records.
pub async fn count_rows(
    store: &Store,
    files: &[DataFile],
    key: &str,
    marked: bool,
    counted: &CountedRows,
) -> Result<u64> {
    let mut rows = 0;
    let mut looked_at: Vec<&DataFile> = Vec::new();
    for file in files.iter().filter(|file| file.rows > 0) {
        let whole = match (counted, &file.first, &file.last) {
            (CountedRows::UpTo(None), _, _) => true,
            (CountedRows::UpTo(Some(most)), Some(Key::Int(first)), _) if first > most => continue,
            (CountedRows::UpTo(Some(most)), _, Some(Key::Int(last))) => last <= most,
            (CountedRows::UpTo(Some(_)), _, _) => true,
            (CountedRows::Of(ids), Some(Key::Int(first)), Some(Key::Int(last))) => {
                let from = ids.partition_point(|id| id < first);
                if ids.get(from).is_none_or(|id| id > last) {
                    continue;
                }
                false
            }
            (CountedRows::Of(_), _, _) => false,
        };
        if whole && !marked {
            rows += file.rows;
        } else {
            looked_at.push(file);
        }
    }
    let (key, counted) = (key.to_owned(), counted.clone());
    let read = each_file(store, &looked_at, move |file| look(file, &key, &counted)).await?;
    Ok(rows + read.into_iter().sum::<u64>())
}

fn look(file: RemoteFile, key: &str, counted: &CountedRows) -> parquet::errors::Result<u64> {
    let mut rows = 0;
    each_batch(
        file,
        &[key, DELETED_AT],
        |_| true,
        |batch| {
            let Some(keys) = batch.column_by_name(key) else { return };
            let keys = keys.as_primitive_opt::<Int64Type>();
            let marks = batch.column_by_name(DELETED_AT);
            let counts = |row: usize| match (counted, keys) {
                (CountedRows::UpTo(Some(most)), Some(keys)) => keys.value(row) <= *most,
                (CountedRows::Of(ids), Some(keys)) => ids.binary_search(&keys.value(row)).is_ok(),
                (CountedRows::UpTo(_), _) => true,
                (CountedRows::Of(_), None) => false,
            };
            let live = |row: &usize| marks.is_none_or(|marks| marks.is_null(*row)) && counts(*row);
            rows += u64::try_from((0..batch.num_rows()).filter(live).count()).expect("a length fits");
        },
    )?;
    Ok(rows)
}
