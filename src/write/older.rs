//! Copies that are older than the stored copy of their record, by the schema's `newer` columns.
//!
//! Takes the copies of a commit and the live files of the table with one row per record; reads the key and the `newer`
//! columns of files and row groups that may hold them, by ranges. Rows marked as deleted are compared too.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use jiff::Timestamp;
use parquet::file::metadata::RowGroupMetaData;

use crate::failure::Result;
use crate::manifest::{Key, Version};
use crate::schema::Resource;
use crate::store::Store;
use crate::write::lookup::{range, unreadable};
use crate::write::ranges::each_batch;
use crate::write::sorted::record_key;
use crate::write::spool::{Spooled, rank};

/// A copy that is older than the stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    pub key: Key,
    /// The values of the schema's `newer` columns in the copy that came.
    pub came: Vec<Option<i64>>,
    /// The same of the stored copy.
    pub stored: Vec<Option<i64>>,
    /// The source's clock when the copy was requested.
    pub asked_at: Timestamp,
}

/// Finds the copies of a commit that are older than those of this version. Blocks: call it from a blocking thread.
pub fn older_copies(store: &Store, resource: &Resource, stored: &Version, spooled: &Spooled) -> Result<Vec<Older>> {
    let newer = &resource.read.newer;
    let Some(place) = newer.first().map(|newer| newer.table) else { return Ok(Vec::new()) };
    let table = &resource.tables[place];
    let key = table.columns[table.key[0]].name.as_str();
    let ranked = newer.iter().map(|newer| table.columns[newer.column].name.as_str());
    let columns: Vec<&str> = std::iter::once(key).chain(ranked).collect();
    let mut found = Vec::new();
    for file in stored.tables.get(&table.name).into_iter().flat_map(|table| &table.files) {
        let (Some(first), Some(last)) = (&file.first, &file.last) else { continue };
        if !spooled.records.touches(first, last) {
            continue;
        }
        let remote = store.known_file(&file.path, file.bytes);
        let within = |group: &RowGroupMetaData| {
            range(group, key).is_none_or(|(first, last)| spooled.records.touches(&Key::Int(first), &Key::Int(last)))
        };
        let compared = |batch: &RecordBatch| compare(batch, key, &columns[1..], spooled, &mut found);
        each_batch(remote, &columns, within, compared).map_err(|error| unreadable(file.path.clone(), error))?;
    }
    Ok(found)
}

fn compare(batch: &RecordBatch, key: &str, columns: &[&str], spooled: &Spooled, found: &mut Vec<Older>) {
    let Ok(place) = batch.schema_ref().index_of(key) else { return };
    if !matches!(batch.column(place).data_type(), DataType::Int64 | DataType::Utf8) {
        return;
    }
    let columns: Vec<Option<&dyn Array>> =
        columns.iter().map(|name| batch.column_by_name(name).map(|column| column.as_ref())).collect();
    for row in 0..batch.num_rows() {
        let key = record_key(batch, place, row);
        let Some(copy) = spooled.copies.get(&key) else { continue };
        let stored: Vec<Option<i64>> =
            columns.iter().map(|column| column.and_then(|column| value(column, row))).collect();
        if rank(&copy.newer, &stored).is_lt() {
            let asked_at = Timestamp::from_microsecond(copy.asked_at).unwrap_or_default();
            found.push(Older { key, came: copy.newer.to_vec(), stored, asked_at });
        }
    }
}

fn value(column: &dyn Array, row: usize) -> Option<i64> {
    match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(..) => Some(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        // No other type is one of a `newer` column.
        _ => None,
    }
}
