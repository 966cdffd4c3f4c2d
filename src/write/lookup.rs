//! What we hold of given records: a few columns of the owner's table, read by ranges. Rows of deleted records that stay in
//! the table are not held.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use crate::failure::{Failure, Result};
use crate::manifest::{DataFile, Key};
use crate::schema::{DELETED_AT, EXTRACTED_AT, Open};
use crate::store::{RemoteFile, Store};
use crate::window::Window;
use crate::write::parquet::READ_BATCH;

/// A value that can be compared with what a search shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Null,
    Bool(bool),
    /// Whole numbers, days, microseconds, decimals' digits.
    Number(i128),
    Text(String),
}

/// What we hold of a record: the columns asked for, and when this content was first seen (microseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub cells: Vec<Cell>,
    pub extracted_at: i64,
}

/// A file of the store as the Parquet reader wants it.
pub(super) struct Chunks(pub(super) RemoteFile);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl ChunkReader for Chunks {
    type T = std::io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let rest = self.0.size().saturating_sub(start);
        Ok(std::io::Cursor::new(self.get_bytes(start, usize::try_from(rest).unwrap_or(usize::MAX))?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let length = u64::try_from(length).map_err(|error| ParquetError::External(Box::new(error)))?;
        self.0.read(start, length).map_err(|failure| ParquetError::External(Box::new(failure)))
    }
}

/// What the owner's table holds of these ids (ascending): `key` is its key column, `columns` those wanted. Ids that are not
/// held are not in the map.
pub async fn held(
    store: &Store,
    files: &[DataFile],
    key: &str,
    columns: &[String],
    ids: &[i64],
) -> Result<HashMap<i64, Holding>> {
    let ids: Arc<[i64]> = Arc::from(ids);
    let names: Arc<[String]> = std::iter::once(key.to_owned())
        .chain(columns.iter().cloned())
        .chain(std::iter::once(EXTRACTED_AT.to_owned()))
        .collect();
    let mut holdings = HashMap::new();
    for file in files.iter().filter(|file| may_hold(file, &ids)) {
        let remote = store.remote_file(&file.path).await?.ok_or_else(|| missing(file))?;
        let (ids, names, path) = (Arc::clone(&ids), Arc::clone(&names), file.path.clone());
        let found = tokio::task::spawn_blocking(move || {
            look(Chunks(remote), &names, &ids).map_err(|error| Failure::damaged("read a data file", path).caused(error))
        });
        holdings.extend(found.await.expect("reading a file does not panic")?);
    }
    Ok(holdings)
}

/// Every id that the owner's table holds, ascending: its key column `key` alone is read.
pub async fn held_ids(store: &Store, files: &[DataFile], key: &str) -> Result<Vec<i64>> {
    pick(store, files, key, &Which::All).await
}

/// At most so many ids that the tables hold, going round: those above `after`, ascending, then from the least on. Of each
/// table its key column and its files; files that cannot hold them are not read.
pub async fn held_after(
    store: &Store,
    tables: &[(String, Vec<DataFile>)],
    after: Option<i64>,
    most: usize,
) -> Result<Vec<i64>> {
    let mut ids: Vec<i64> = least_above(store, tables, after, most).await?.into_iter().collect();
    if let Some(after) = after
        && ids.len() < most
    {
        let round = least_above(store, tables, None, most - ids.len()).await?;
        ids.extend(round.into_iter().filter(|id| *id <= after));
    }
    Ok(ids)
}

/// The least ids above a number, at most so many.
async fn least_above(
    store: &Store,
    tables: &[(String, Vec<DataFile>)],
    above: Option<i64>,
    most: usize,
) -> Result<BTreeSet<i64>> {
    let mut files: Vec<(i64, &str, &DataFile)> = Vec::new();
    for (key, file) in tables.iter().flat_map(|(key, files)| files.iter().map(move |file| (key, file))) {
        let (Some(Key::Int(first)), Some(Key::Int(last))) = (&file.first, &file.last) else { continue };
        if above.is_none_or(|above| *last > above) {
            files.push((*first, key, file));
        }
    }
    files.sort_by_key(|(first, ..)| *first);
    let mut found = BTreeSet::new();
    for (first, key, file) in files {
        if found.len() >= most && found.last().is_none_or(|greatest| first > *greatest) {
            break;
        }
        let ids = pick(store, std::slice::from_ref(file), key, &Which::All).await?;
        found.extend(ids.into_iter().filter(|id| above.is_none_or(|above| *id > above)));
        while found.len() > most {
            found.pop_last();
        }
    }
    Ok(found)
}

/// The ids, ascending, whose instant in `column` lies in the window.
pub async fn held_between(
    store: &Store,
    files: &[DataFile],
    key: &str,
    column: &str,
    window: Window,
) -> Result<Vec<i64>> {
    pick(store, files, key, &Which::Between(column.to_owned(), window)).await
}

/// The ids, ascending, of records that are held as open.
pub async fn held_open(store: &Store, files: &[DataFile], key: &str, open: &Open) -> Result<Vec<i64>> {
    let which = match open {
        Open::Listed { filter: (_, value), column } => Which::Is(column.clone(), Cell::Bool(*value)),
        Open::Until { column, .. } => Which::Is(column.clone(), Cell::Null),
    };
    pick(store, files, key, &which).await
}

/// Which rows are wanted.
#[derive(Clone, Debug)]
enum Which {
    All,
    Between(String, Window),
    Is(String, Cell),
}

impl Which {
    fn column(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Between(column, _) | Self::Is(column, _) => Some(column),
        }
    }

    /// Whether a row is wanted, by its cell of [`Which::column`].
    fn admits(&self, cell: Option<Cell>) -> bool {
        match (self, cell) {
            (Self::All, _) => true,
            (Self::Between(_, window), Some(Cell::Number(micros))) => i64::try_from(micros)
                .ok()
                .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
                .is_some_and(|at| window.contains(at)),
            (Self::Is(_, wanted), Some(cell)) => cell == *wanted,
            (Self::Between(..) | Self::Is(..), _) => false,
        }
    }
}

async fn pick(store: &Store, files: &[DataFile], key: &str, which: &Which) -> Result<Vec<i64>> {
    let mut ids: Vec<i64> = Vec::new();
    for file in files.iter().filter(|file| file.rows > 0) {
        let remote = store.remote_file(&file.path).await?.ok_or_else(|| missing(file))?;
        let (key, path, which) = (key.to_owned(), file.path.clone(), which.clone());
        let read = tokio::task::spawn_blocking(move || {
            keys(Chunks(remote), &key, &which).map_err(|error| Failure::damaged("read a data file", path).caused(error))
        });
        ids.extend(read.await.expect("reading a file does not panic")?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn missing(file: &DataFile) -> Failure {
    Failure::damaged("find a live file", &file.path).because("the manifest names it and it is not there")
}

fn keys(file: Chunks, key: &str, which: &Which) -> parquet::errors::Result<Vec<i64>> {
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
    let wanted = [key, DELETED_AT].into_iter().chain(which.column());
    let mask = ProjectionMask::columns(&metadata.metadata().file_metadata().schema_descr_ptr(), wanted);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_batch_size(READ_BATCH)
        .build()?;
    let mut ids = Vec::new();
    for batch in reader {
        let batch = batch?;
        let Some(keys) = batch.column_by_name(key) else { continue };
        let keys = keys.as_primitive::<Int64Type>();
        let judged = which.column().and_then(|column| batch.column_by_name(column));
        let rows = (0..batch.num_rows()).filter(|row| is_live(&batch, *row));
        let rows = rows.filter(|row| which.admits(judged.map(|judged| cell(judged, *row))));
        ids.extend(rows.map(|row| keys.value(row)));
    }
    Ok(ids)
}

fn may_hold(file: &DataFile, ids: &[i64]) -> bool {
    let (Some(Key::Int(first)), Some(Key::Int(last))) = (&file.first, &file.last) else { return false };
    any_within(ids, *first, *last)
}

fn any_within(ids: &[i64], first: i64, last: i64) -> bool {
    ids.get(ids.partition_point(|id| *id < first)).is_some_and(|id| *id <= last)
}

fn look(file: Chunks, names: &[String], ids: &[i64]) -> parquet::errors::Result<Vec<(i64, Holding)>> {
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
    let schema = metadata.metadata().file_metadata().schema_descr_ptr();
    let key = schema.columns().iter().position(|column| column.name() == names[0]);
    let groups: Vec<usize> = metadata
        .metadata()
        .row_groups()
        .iter()
        .enumerate()
        .filter(|(_, group)| {
            key.and_then(|key| range(group, key)).is_none_or(|(first, last)| any_within(ids, first, last))
        })
        .map(|(place, _)| place)
        .collect();
    let mask = ProjectionMask::columns(&schema, names.iter().map(String::as_str).chain([DELETED_AT]));
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_row_groups(groups)
        .with_projection(mask)
        .with_batch_size(READ_BATCH)
        .build()?;
    let mut found = Vec::new();
    for batch in reader {
        collect(&batch?, names, ids, &mut found);
    }
    Ok(found)
}

fn range(group: &RowGroupMetaData, column: usize) -> Option<(i64, i64)> {
    match group.column(column).statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}

fn collect(batch: &RecordBatch, names: &[String], ids: &[i64], found: &mut Vec<(i64, Holding)>) {
    let column = |name: &str| batch.column_by_name(name);
    let (Some(keys), Some(seen)) = (column(&names[0]), column(EXTRACTED_AT)) else { return };
    let keys = keys.as_primitive::<Int64Type>();
    let seen = seen.as_primitive::<TimestampMicrosecondType>();
    let wanted = |row: &usize| ids.binary_search(&keys.value(*row)).is_ok() && is_live(batch, *row);
    for row in (0..batch.num_rows()).filter(wanted) {
        let wanted = &names[1..names.len() - 1];
        let cells = wanted.iter().map(|name| column(name).map_or(Cell::Null, |column| cell(column, row))).collect();
        found.push((keys.value(row), Holding { cells, extracted_at: seen.value(row) }));
    }
}

/// Whether a row bears no mark of a deleted record.
fn is_live(batch: &RecordBatch, row: usize) -> bool {
    batch.column_by_name(DELETED_AT).is_none_or(|marks| marks.is_null(row))
}

fn cell(column: &dyn Array, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        DataType::Int32 => Cell::Number(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Number(column.as_primitive::<Int64Type>().value(row).into()),
        DataType::Timestamp(..) => Cell::Number(column.as_primitive::<TimestampMicrosecondType>().value(row).into()),
        DataType::Decimal128(..) => Cell::Number(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        // Nothing else is compared with a search.
        _ => Cell::Null,
    }
}
