//! The records that the tables of a resource hold: their ids, their number, and the files that have all record keys.

use std::collections::BTreeSet;

use crate::failure::Result;
use crate::manifest::{DataFile, Version};
use crate::quantity::count;
use crate::run::session::ResourceSession;
use crate::schema::{Resource, Table};
use crate::store::Store;
use crate::write::held_ids;

/// The key column and the files of the tables that hold all record keys: one table has them where it has one row a record.
pub fn record_key_files(resource: &Resource, head: &Version) -> Vec<(String, Vec<DataFile>)> {
    let tables: Vec<&Table> = match resource.record_table() {
        Some(table) => vec![table],
        None => resource.tables.iter().collect(),
    };
    let files = |table: &Table| head.tables.get(&table.name).map(|table| table.files.clone()).unwrap_or_default();
    tables.into_iter().map(|table| (table.columns[table.key[0]].name.clone(), files(table))).collect()
}

/// The ids of all records that the tables hold.
pub async fn held_record_ids(store: &Store, resource: &Resource, head: &Version) -> Result<BTreeSet<i64>> {
    let mut held = BTreeSet::new();
    for (key, files) in record_key_files(resource, head) {
        held.extend(held_ids(store, &files, &key).await?);
    }
    Ok(held)
}

/// How many records the tables hold.
pub async fn held_record_count(session: &ResourceSession<'_>) -> Result<u64> {
    let Some(head) = &session.head else { return Ok(0) };
    match session.resource.record_table().and_then(|table| head.tables.get(&table.name)) {
        Some(table) => Ok(table.files.iter().map(|file| file.rows).sum()),
        None => Ok(count(held_record_ids(&session.context.store, &session.resource, head).await?.len())),
    }
}
