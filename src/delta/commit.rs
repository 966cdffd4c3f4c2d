//! One entry of a log: the difference between a log and the version that it has to follow.

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::delta::action::{
    AddFile, AppTransaction, CommitInfo, EntryOrigin, FileFormat, LogLine, Protocol, READER, RemoveFile, TableMetaData,
    WRITER, entry_bytes,
};
use crate::delta::log::{TableLog, origin};
use crate::delta::wanted::{WantedTable, partition_values};
use crate::failure::{Failure, Result};
use crate::manifest::{DataFile, nonce};
use crate::store::{Put, Store, paths};
use crate::write::statistics;

/// Footers read at once: a bucket answers in tens of milliseconds.
const FOOTERS: usize = 4;

/// The lines of the entry after which a log lists the files of a version; `now` and `cutoff` are milliseconds since 1970.
/// Where it lists them already, the entry states which superseded files are still there.
pub async fn entry(
    store: &Store,
    wanted: &WantedTable<'_>,
    log: &TableLog,
    (now, cutoff): (i64, i64),
) -> Result<Vec<LogLine>> {
    let meta_data = changed_meta_data(wanted, log, now);
    let removed: Vec<&AddFile> =
        log.live.values().filter(|file| !wanted.files.contains_key(file.path.as_str())).collect();
    let added: Vec<(&str, &DataFile)> = wanted
        .files
        .iter()
        .map(|(path, file)| (*path, *file))
        .filter(|(path, _)| !log.live.contains_key(*path))
        .collect();
    let oldest = log.superseded_since(cutoff).or((!removed.is_empty()).then_some(now));
    let mut lines = vec![
        LogLine { commit_info: Some(commit_info(wanted, now, oldest)), ..LogLine::default() },
        LogLine { txn: Some(transaction(wanted, now)), ..LogLine::default() },
    ];
    if log.protocol.is_none() {
        let protocol = Protocol { min_reader_version: READER, min_writer_version: WRITER };
        lines.push(LogLine { protocol: Some(protocol), ..LogLine::default() });
    }
    let partition = match (&meta_data, &log.meta_data) {
        (Some(meta_data), _) | (None, Some(meta_data)) => meta_data.partition_columns.clone(),
        (None, None) => Vec::new(),
    };
    lines.extend(meta_data.map(|meta_data| LogLine { meta_data: Some(meta_data), ..LogLine::default() }));
    lines.extend(removed.into_iter().map(|file| LogLine { remove: Some(remove(file, now)), ..LogLine::default() }));
    let mut adds = futures_util::stream::iter(added)
        .map(|(path, file)| add(store, wanted, &partition, path, file))
        .buffered(FOOTERS);
    while let Some(add) = adds.try_next().await? {
        lines.push(LogLine { add: Some(add), ..LogLine::default() });
    }
    Ok(lines)
}

fn commit_info(wanted: &WantedTable<'_>, now: i64, oldest: Option<i64>) -> CommitInfo {
    CommitInfo {
        timestamp: Some(now),
        operation: Some("WRITE".to_owned()),
        operation_parameters: Some(json!({})),
        engine_info: Some(format!("pearlift/{}", env!("CARGO_PKG_VERSION"))),
        pearlift: Some(EntryOrigin {
            nonce: nonce(),
            resource: wanted.version.resource.clone(),
            version: wanted.version.version,
            files: wanted.digest.clone(),
            superseded_since: oldest,
        }),
    }
}

fn transaction(wanted: &WantedTable<'_>, now: i64) -> AppTransaction {
    AppTransaction {
        app_id: format!("pearlift:{}", wanted.version.resource),
        version: i64::try_from(wanted.version.version).unwrap_or(i64::MAX),
        last_updated: Some(now),
    }
}

/// The description of the table, where the log has none or another one. Its id and time stay.
fn changed_meta_data(wanted: &WantedTable<'_>, log: &TableLog, now: i64) -> Option<TableMetaData> {
    let shape = wanted.shape.as_ref()?;
    match &log.meta_data {
        Some(known) if known.schema_string == shape.schema && known.partition_columns == shape.partition => None,
        Some(known) => Some(TableMetaData {
            schema_string: shape.schema.clone(),
            partition_columns: shape.partition.clone(),
            ..known.clone()
        }),
        None => Some(TableMetaData {
            id: uuid(&nonce()),
            name: Some(wanted.table.to_owned()),
            format: FileFormat { provider: "parquet".to_owned(), options: Default::default() },
            schema_string: shape.schema.clone(),
            partition_columns: shape.partition.clone(),
            configuration: Default::default(),
            created_time: Some(now),
        }),
    }
}

/// 128 random bits in the form of a UUID of version 4.
fn uuid(bits: &str) -> String {
    format!("{}-{}-4{}-8{}-{}", &bits[..8], &bits[8..12], &bits[13..16], &bits[17..20], &bits[20..])
}

fn remove(file: &AddFile, now: i64) -> RemoveFile {
    RemoveFile {
        path: file.path.clone(),
        deletion_timestamp: Some(now),
        data_change: true,
        extended_file_metadata: Some(true),
        partition_values: Some(file.partition_values.clone()),
        size: Some(file.size),
    }
}

/// A file of a version, with the statistics of its footer. One that is damaged has only the rows that the manifest
/// states.
async fn add(
    store: &Store,
    wanted: &WantedTable<'_>,
    partition: &[String],
    path: &str,
    file: &DataFile,
) -> Result<AddFile> {
    let stats = statistics(&store.known_file(&file.path, file.bytes)).await?;
    Ok(AddFile {
        path: path.to_owned(),
        partition_values: partition_values(file, partition),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: wanted.written_at(),
        data_change: true,
        stats: Some(stats.unwrap_or_else(|| rows_alone(file.rows))),
    })
}

fn rows_alone(rows: u64) -> String {
    format!("{{\"numRecords\":{rows}}}")
}

/// Puts an entry where none is. `false` where another writer has put one there first.
pub async fn put_entry(store: &Store, table: &str, number: u64, lines: &mut [LogLine]) -> Result<bool> {
    let path = paths::log_commit(table, number);
    let mut bytes = entry_bytes(lines)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > paths::LOG_BYTES {
        // Statistics help engines to skip files; the log must stay readable.
        for add in lines.iter_mut().filter_map(|line| line.add.as_mut()) {
            add.stats = None;
        }
        bytes = entry_bytes(lines)?;
    }
    let ours = lines.iter().find_map(|line| Some(line.commit_info.as_ref()?.pearlift.as_ref()?.nonce.as_str()));
    let unclear: Option<Failure> = match store.put_new(&path, bytes).await {
        Ok(Put::Created(_)) => return Ok(true),
        Ok(Put::Exists) => None,
        Err(unclear) => Some(unclear),
    };
    // "Exists" may be the answer to our own put.
    let found = match origin(store, table, number).await {
        Ok(found) => found,
        Err(failure) => return Err(unclear.unwrap_or(failure)),
    };
    match (found, unclear) {
        (Some(found), _) if Some(found.nonce.as_str()) == ours => Ok(true),
        (None, Some(unclear)) => Err(unclear),
        (Some(_), _) | (None, None) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_form_of_a_uuid() {
        assert_eq!(uuid("0123456789abcdef0123456789abcdef"), "01234567-89ab-4def-8123-456789abcdef");
    }
}
