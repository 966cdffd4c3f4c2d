//! A checkpoint of a log: the actions that are in force, as one Parquet file of the protocol's classic form.
//!
//! Takes lines and gives bytes, and back. Refuses (`Damage`) bytes that are no checkpoint.

use arrow_array::{ArrayRef, RecordBatch};
use bytes::Bytes;

use crate::delta::action::{
    AddFile, AppTransaction, FileFormat, LogLine, Protocol, RemoveFile, TableMetaData, damaged_log,
};
use crate::delta::rows::{StructRow, flags, integers, lists, longs, maps, structs, texts};
use crate::failure::{Failure, Kind, Result};
use crate::write::{pack, unpack};

/// The columns of a checkpoint.
const COLUMNS: [&str; 5] = ["protocol", "metaData", "txn", "remove", "add"];

/// The bytes of a checkpoint with these lines.
pub fn checkpoint_bytes(lines: &[LogLine]) -> Result<Vec<u8>> {
    let wrong = || Failure::new(Kind::Bug, "write a checkpoint of a Delta log");
    let columns =
        COLUMNS.into_iter().zip([protocols(lines), tables(lines), transactions(lines), removes(lines), adds(lines)]);
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| wrong().caused(error))?;
    pack(&batch).map_err(|error| wrong().caused(error))
}

fn protocols(lines: &[LogLine]) -> ArrayRef {
    let all = || lines.iter().map(|line| line.protocol.as_ref());
    let columns = vec![
        ("minReaderVersion", integers(all().map(|it| Some(it?.min_reader_version)))),
        ("minWriterVersion", integers(all().map(|it| Some(it?.min_writer_version)))),
    ];
    structs(all().map(|it| it.is_some()), columns)
}

fn tables(lines: &[LogLine]) -> ArrayRef {
    let all = || lines.iter().map(|line| line.meta_data.as_ref());
    let format = vec![
        ("provider", texts(all().map(|it| Some(it?.format.provider.as_str())))),
        ("options", maps(all().map(|it| Some(&it?.format.options)))),
    ];
    let columns = vec![
        ("id", texts(all().map(|it| Some(it?.id.as_str())))),
        ("name", texts(all().map(|it| it?.name.as_deref()))),
        ("format", structs(all().map(|it| it.is_some()), format)),
        ("schemaString", texts(all().map(|it| Some(it?.schema_string.as_str())))),
        ("partitionColumns", lists(all().map(|it| Some(&it?.partition_columns)))),
        ("configuration", maps(all().map(|it| Some(&it?.configuration)))),
        ("createdTime", longs(all().map(|it| it?.created_time))),
    ];
    structs(all().map(|it| it.is_some()), columns)
}

fn transactions(lines: &[LogLine]) -> ArrayRef {
    let all = || lines.iter().map(|line| line.txn.as_ref());
    let columns = vec![
        ("appId", texts(all().map(|it| Some(it?.app_id.as_str())))),
        ("version", longs(all().map(|it| Some(it?.version)))),
        ("lastUpdated", longs(all().map(|it| it?.last_updated))),
    ];
    structs(all().map(|it| it.is_some()), columns)
}

fn removes(lines: &[LogLine]) -> ArrayRef {
    let all = || lines.iter().map(|line| line.remove.as_ref());
    let columns = vec![
        ("path", texts(all().map(|it| Some(it?.path.as_str())))),
        ("deletionTimestamp", longs(all().map(|it| it?.deletion_timestamp))),
        ("dataChange", flags(all().map(|it| Some(it?.data_change)))),
        ("extendedFileMetadata", flags(all().map(|it| it?.extended_file_metadata))),
        ("partitionValues", maps(all().map(|it| it?.partition_values.as_ref()))),
        ("size", longs(all().map(|it| it?.size))),
    ];
    structs(all().map(|it| it.is_some()), columns)
}

fn adds(lines: &[LogLine]) -> ArrayRef {
    let all = || lines.iter().map(|line| line.add.as_ref());
    let columns = vec![
        ("path", texts(all().map(|it| Some(it?.path.as_str())))),
        ("partitionValues", maps(all().map(|it| Some(&it?.partition_values)))),
        ("size", longs(all().map(|it| Some(it?.size)))),
        ("modificationTime", longs(all().map(|it| Some(it?.modification_time)))),
        ("dataChange", flags(all().map(|it| Some(it?.data_change)))),
        ("stats", texts(all().map(|it| it?.stats.as_deref()))),
    ];
    structs(all().map(|it| it.is_some()), columns)
}

/// The lines of a checkpoint.
pub fn parse_checkpoint(path: &str, bytes: &Bytes) -> Result<Vec<LogLine>> {
    let mut lines = Vec::new();
    let read = unpack(bytes, &COLUMNS, |batch| {
        let column = |name: &str, row| StructRow::of(batch.column_by_name(name)?, row);
        for row in 0..batch.num_rows() {
            lines.push(LogLine {
                commit_info: None,
                protocol: column("protocol", row).and_then(protocol),
                meta_data: column("metaData", row).and_then(table),
                txn: column("txn", row).and_then(transaction),
                remove: column("remove", row).and_then(remove),
                add: column("add", row).and_then(add),
            });
        }
    });
    read.map_err(|error| damaged_log(path).caused(error))?;
    Ok(lines)
}

fn protocol(row: StructRow<'_>) -> Option<Protocol> {
    Some(Protocol {
        min_reader_version: row.integer("minReaderVersion")?,
        min_writer_version: row.integer("minWriterVersion")?,
    })
}

fn table(row: StructRow<'_>) -> Option<TableMetaData> {
    let format = row.within("format")?;
    Some(TableMetaData {
        id: row.text("id")?,
        name: row.text("name"),
        format: FileFormat { provider: format.text("provider")?, options: format.map("options").unwrap_or_default() },
        schema_string: row.text("schemaString")?,
        partition_columns: row.list("partitionColumns").unwrap_or_default(),
        configuration: row.map("configuration").unwrap_or_default(),
        created_time: row.long("createdTime"),
    })
}

fn transaction(row: StructRow<'_>) -> Option<AppTransaction> {
    Some(AppTransaction {
        app_id: row.text("appId")?,
        version: row.long("version")?,
        last_updated: row.long("lastUpdated"),
    })
}

fn remove(row: StructRow<'_>) -> Option<RemoveFile> {
    Some(RemoveFile {
        path: row.text("path")?,
        deletion_timestamp: row.long("deletionTimestamp"),
        data_change: row.flag("dataChange").unwrap_or_default(),
        extended_file_metadata: row.flag("extendedFileMetadata"),
        partition_values: row.map("partitionValues"),
        size: row.long("size"),
    })
}

fn add(row: StructRow<'_>) -> Option<AddFile> {
    Some(AddFile {
        path: row.text("path")?,
        partition_values: row.map("partitionValues").unwrap_or_default(),
        size: row.long("size")?,
        modification_time: row.long("modificationTime")?,
        data_change: row.flag("dataChange").unwrap_or_default(),
        stats: row.text("stats"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let values = BTreeMap::from([("day".to_owned(), Some("2026-03-01".to_owned())), ("none".to_owned(), None)]);
        let path = || "day=2026-03-01/a.parquet".to_owned();
        let lines = vec![
            LogLine { protocol: Some(Protocol { min_reader_version: 1, min_writer_version: 2 }), ..LogLine::default() },
            LogLine {
                meta_data: Some(TableMetaData {
                    id: "x".to_owned(),
                    name: None,
                    format: FileFormat { provider: "parquet".to_owned(), options: BTreeMap::new() },
                    schema_string: "{}".to_owned(),
                    partition_columns: vec!["day".to_owned(), "none".to_owned()],
                    configuration: values.clone(),
                    created_time: Some(5),
                }),
                ..LogLine::default()
            },
            LogLine {
                txn: Some(AppTransaction { app_id: "pearlift:a".to_owned(), version: 9, last_updated: None }),
                ..LogLine::default()
            },
            LogLine {
                remove: Some(RemoveFile {
                    path: path(),
                    deletion_timestamp: Some(-1),
                    data_change: true,
                    extended_file_metadata: Some(true),
                    partition_values: Some(values.clone()),
                    size: Some(3),
                }),
                ..LogLine::default()
            },
            LogLine {
                add: Some(AddFile {
                    path: path(),
                    partition_values: values,
                    size: 4,
                    modification_time: 5,
                    data_change: false,
                    stats: Some("{\"numRecords\":1}".to_owned()),
                }),
                ..LogLine::default()
            },
        ];
        let bytes = Bytes::from(checkpoint_bytes(&lines).unwrap());
        assert_eq!(parse_checkpoint("t/_delta_log/1.checkpoint.parquet", &bytes).unwrap(), lines);
        assert!(crate::write::is_packed_here(&bytes));
        for length in 0..bytes.len() {
            let cut = parse_checkpoint("t/_delta_log/1.checkpoint.parquet", &bytes.slice(..length));
            assert_eq!(cut.unwrap_err().kind(), Kind::Damage, "{length}");
        }
    }
}
