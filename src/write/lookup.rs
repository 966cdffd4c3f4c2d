//! Stored values of given records: a few columns of the main table, read by ranges. Rows of deleted records that stay
//! in the table do not count.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::decode::timestamp;
use crate::failure::{Failure, Result};
use crate::manifest::{DataFile, Key};
use crate::schema::{DELETED_AT, EXTRACTED_AT, Open, RowCondition, Test};
use crate::store::{RemoteFile, Store};
use crate::window::Window;
use crate::write::ranges::each_batch;

/// A value that can be compared with a search row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredValue {
    Null,
    Bool(bool),
    /// Whole numbers, days, microseconds, decimals' digits.
    Number(i128),
    Text(String),
}

/// Stored values of a record: the requested columns, and the time at which this content was first stored
/// (microseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub cells: Vec<StoredValue>,
    pub extracted_at: i64,
}

/// Files that are read at once: a bucket answers many requests in the time of one. Each read holds a blocking thread
/// while the store needs another: three resources that look up and a commit must leave one of the eight free (`cli`).
const FILES_AT_ONCE: usize = 2;

/// Looks up these ids (ascending) in the main table: `key` is its key column, `columns` are the requested ones. The map
/// lacks ids that are not stored.
pub async fn held(
    store: &Store,
    files: &[DataFile],
    key: &str,
    columns: &[String],
    ids: &[i64],
) -> Result<HashMap<i64, StoredRecord>> {
    let files: Vec<DataFile> = files.iter().filter(|file| may_hold(file, ids)).cloned().collect();
    Ok(held_by_file(store, &files, key, columns, ids).await?.into_iter().flatten().collect())
}

/// The same of each file by itself, in their order; every one is read.
pub async fn held_by_file(
    store: &Store,
    files: &[DataFile],
    key: &str,
    columns: &[String],
    ids: &[i64],
) -> Result<Vec<HashMap<i64, StoredRecord>>> {
    let ids: Arc<[i64]> = Arc::from(ids);
    let names: Arc<[String]> = std::iter::once(key.to_owned())
        .chain(columns.iter().cloned())
        .chain(std::iter::once(EXTRACTED_AT.to_owned()))
        .collect();
    let files: Vec<&DataFile> = files.iter().collect();
    let found = each_file(store, &files, move |file| look(file, &names, &ids)).await?;
    Ok(found.into_iter().map(|found| found.into_iter().collect()).collect())
}

/// Every id in the main table, ascending: only its key column `key` is read.
pub async fn held_ids(store: &Store, files: &[DataFile], key: &str) -> Result<Vec<i64>> {
    pick(store, files, key, &KeyFilter::All).await
}

/// At most this many ids that the tables hold, going round: those above `after`, ascending, then from the least on. Of
/// each table its key column and its files; files that cannot hold them are not read.
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

/// The least ids above a number, at most this many.
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
        let ids = pick(store, std::slice::from_ref(file), key, &KeyFilter::All).await?;
        found.extend(ids.into_iter().filter(|id| above.is_none_or(|above| *id > above)));
        while found.len() > most {
            found.pop_last();
        }
    }
    Ok(found)
}

/// The ids, ascending, with an instant in `column` within the window.
pub async fn held_between(
    store: &Store,
    files: &[DataFile],
    key: &str,
    column: &str,
    window: Window,
) -> Result<Vec<i64>> {
    pick(store, files, key, &KeyFilter::Between(column.to_owned(), window)).await
}

/// The ids, ascending, of records that are held as open.
pub async fn held_open(store: &Store, files: &[DataFile], key: &str, open: &Open) -> Result<Vec<i64>> {
    let which = KeyFilter::open(open);
    let condition = which.to_string();
    let listed = |file: &DataFile| file.open.as_ref().is_some_and(|open| open.condition == condition);
    // Files with open ids in the manifest are not read: the number of months grows.
    let (listing, others): (Vec<DataFile>, Vec<DataFile>) = files.iter().cloned().partition(listed);
    let mut ids = pick(store, &others, key, &which).await?;
    ids.extend(listing.into_iter().filter_map(|file| file.open).flat_map(|open| open.ids));
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The records of a file, and the records of another resource that they name.
#[derive(Debug, Default)]
pub struct ReferencedRecords {
    pub referencing: BTreeSet<i64>,
    pub ids: BTreeSet<i64>,
}

/// The ids that a file references in `column`, from rows that pass the tests.
pub async fn named(
    store: &Store,
    file: &DataFile,
    key: &str,
    column: &str,
    tests: &[RowCondition],
) -> Result<ReferencedRecords> {
    let (key, column, tests) = (key.to_owned(), column.to_owned(), tests.to_vec());
    let found = each_file(store, &[file], move |file| names(file, &key, &column, &tests)).await?;
    Ok(found.into_iter().next().unwrap_or_default())
}

fn names(
    file: RemoteFile,
    key: &str,
    column: &str,
    tests: &[RowCondition],
) -> parquet::errors::Result<ReferencedRecords> {
    let mut found = ReferencedRecords::default();
    let columns: Vec<&str> = [key, column].into_iter().chain(tests.iter().map(|test| test.column.as_str())).collect();
    each_batch(
        file,
        &columns,
        |_| true,
        |batch| {
            let (Some(keys), Some(values)) = (batch.column_by_name(key), batch.column_by_name(column)) else { return };
            let (keys, values) = (keys.as_primitive::<Int64Type>(), values.as_primitive::<Int64Type>());
            let tests = tests.iter().filter_map(|test| Some((batch.column_by_name(&test.column)?, &test.test)));
            let tests: Vec<_> = tests.collect();
            for row in 0..batch.num_rows() {
                found.referencing.insert(keys.value(row));
                // 0 is no reference (docs/brightpearl-api.md §8.9).
                let names = values.is_valid(row)
                    && values.value(row) > 0
                    && tests.iter().all(|(column, test)| admits(test, column, row));
                found.ids.extend(names.then(|| values.value(row)));
            }
        },
    )?;
    Ok(found)
}

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub enum KeyFilter {
    All,
    Between(String, Window),
    Is(String, StoredValue),
}

impl fmt::Display for KeyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Between(column, window) => write!(f, "{column} in {window:?}"),
            Self::Is(column, StoredValue::Null) => write!(f, "{column} is null"),
            Self::Is(column, StoredValue::Bool(value)) => write!(f, "{column} is {value}"),
            Self::Is(column, StoredValue::Number(value)) => write!(f, "{column} is {value}"),
            Self::Is(column, StoredValue::Text(value)) => write!(f, "{column} is {value:?}"),
        }
    }
}

impl KeyFilter {
    /// Those of open records.
    pub fn open(open: &Open) -> Self {
        match open {
            Open::Listed { filter: (_, value), column } => Self::Is(column.clone(), StoredValue::Bool(*value)),
            Open::Until { column, .. } => Self::Is(column.clone(), StoredValue::Null),
        }
    }

    /// The ids of the wanted rows of a batch; rows of deleted records are not wanted.
    pub fn ids(&self, batch: &RecordBatch, key: &str) -> Vec<i64> {
        let Some(keys) = batch.column_by_name(key).and_then(|keys| keys.as_primitive_opt::<Int64Type>()) else {
            return Vec::new();
        };
        let judged = self.column().and_then(|column| batch.column_by_name(column));
        let rows = (0..batch.num_rows()).filter(|row| is_live(batch, *row));
        let rows = rows.filter(|row| self.admits(judged.map(|judged| cell(judged, *row))));
        rows.map(|row| keys.value(row)).collect()
    }

    /// The column that decides, if one does.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Between(column, _) | Self::Is(column, _) => Some(column),
        }
    }

    /// Whether a row group may hold a wanted row, by its statistics.
    pub fn may_be_in(&self, group: &RowGroupMetaData) -> bool {
        match self {
            Self::All => true,
            Self::Between(column, window) => range(group, column).is_none_or(|(first, last)| {
                let at = |micros| jiff::Timestamp::from_microsecond(micros).ok();
                let ends_before = window.from.zip(at(last)).is_some_and(|(from, last)| last < from);
                let begins_after = window.to.zip(at(first)).is_some_and(|(to, first)| first >= to);
                !ends_before && !begins_after
            }),
            Self::Is(column, StoredValue::Null) => {
                statistics(group, column).and_then(Statistics::null_count_opt).is_none_or(|nulls| nulls > 0)
            }
            Self::Is(column, StoredValue::Bool(wanted)) => match statistics(group, column) {
                Some(Statistics::Boolean(values)) => {
                    values.min_opt().zip(values.max_opt()).is_none_or(|(min, max)| min == wanted || max == wanted)
                }
                Some(_) | None => true,
            },
            Self::Is(_, StoredValue::Number(_) | StoredValue::Text(_)) => true,
        }
    }

    /// Whether a row is wanted, by its cell of [`KeyFilter::column`].
    fn admits(&self, cell: Option<StoredValue>) -> bool {
        match (self, cell) {
            (Self::All, _) => true,
            (Self::Between(_, window), Some(StoredValue::Number(micros))) => {
                i64::try_from(micros).is_ok_and(|micros| window.contains(timestamp(micros)))
            }
            (Self::Is(_, wanted), Some(cell)) => cell == *wanted,
            (Self::Between(..) | Self::Is(..), _) => false,
        }
    }
}

async fn pick(store: &Store, files: &[DataFile], key: &str, which: &KeyFilter) -> Result<Vec<i64>> {
    let (key, which) = (key.to_owned(), which.clone());
    let files: Vec<&DataFile> = files.iter().filter(|file| file.rows > 0).collect();
    let found = each_file(store, &files, move |file| keys(file, &key, &which)).await?;
    let mut ids: Vec<i64> = found.into_iter().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Reads each file on a blocking thread, some at once; returns the results in the order of the files.
pub(super) async fn each_file<T: Send + 'static>(
    store: &Store,
    files: &[&DataFile],
    read: impl Fn(RemoteFile) -> parquet::errors::Result<T> + Send + Sync + 'static,
) -> Result<Vec<T>> {
    let read = Arc::new(read);
    let reads = files.iter().map(|file| {
        let (read, path) = (Arc::clone(&read), file.path.clone());
        let remote = store.known_file(&file.path, file.bytes);
        async move {
            let found = tokio::task::spawn_blocking(move || read(remote)).await.expect("reading a file does not panic");
            found.map_err(|error| unreadable(path, error))
        }
    });
    // Collected: a stream of a borrowing closure cannot be awaited on another thread.
    let reads: Vec<_> = reads.collect();
    stream::iter(reads).buffered(FILES_AT_ONCE).try_collect().await
}

/// A failure of the store as it is; anything else is a flaw of the file.
pub(super) fn unreadable(path: String, error: ParquetError) -> Failure {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(other) => Failure::damaged("read a data file", path).because(other.to_string()),
        },
        other => Failure::damaged("read a data file", path).caused(other),
    }
}

fn keys(file: RemoteFile, key: &str, which: &KeyFilter) -> parquet::errors::Result<Vec<i64>> {
    let mut ids = Vec::new();
    let columns: Vec<&str> = [key, DELETED_AT].into_iter().chain(which.column()).collect();
    each_batch(
        file,
        &columns,
        |group| which.may_be_in(group),
        |batch| {
            ids.extend(which.ids(batch, key));
        },
    )?;
    Ok(ids)
}

fn may_hold(file: &DataFile, ids: &[i64]) -> bool {
    let (Some(Key::Int(first)), Some(Key::Int(last))) = (&file.first, &file.last) else { return false };
    any_within(ids, *first, *last)
}

fn any_within(ids: &[i64], first: i64, last: i64) -> bool {
    ids.get(ids.partition_point(|id| *id < first)).is_some_and(|id| *id <= last)
}

fn look(file: RemoteFile, names: &[String], ids: &[i64]) -> parquet::errors::Result<Vec<(i64, StoredRecord)>> {
    let mut found = Vec::new();
    let columns: Vec<&str> = names.iter().map(String::as_str).chain([DELETED_AT]).collect();
    let wanted =
        |group: &RowGroupMetaData| range(group, &names[0]).is_none_or(|(first, last)| any_within(ids, first, last));
    each_batch(file, &columns, wanted, |batch| collect(batch, names, ids, &mut found))?;
    Ok(found)
}

/// The least and greatest value of a column of whole numbers or instants, where statistics state them.
pub(super) fn range(group: &RowGroupMetaData, column: &str) -> Option<(i64, i64)> {
    match statistics(group, column)? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}

fn statistics<'a>(group: &'a RowGroupMetaData, column: &str) -> Option<&'a Statistics> {
    group.columns().iter().find(|found| found.column_path().string() == column)?.statistics()
}

fn collect(batch: &RecordBatch, names: &[String], ids: &[i64], found: &mut Vec<(i64, StoredRecord)>) {
    let column = |name: &str| batch.column_by_name(name);
    let (Some(keys), Some(seen)) = (column(&names[0]), column(EXTRACTED_AT)) else { return };
    let keys = keys.as_primitive::<Int64Type>();
    let seen = seen.as_primitive::<TimestampMicrosecondType>();
    let wanted = |row: &usize| ids.binary_search(&keys.value(*row)).is_ok() && is_live(batch, *row);
    for row in (0..batch.num_rows()).filter(wanted) {
        let wanted = &names[1..names.len() - 1];
        let cells =
            wanted.iter().map(|name| column(name).map_or(StoredValue::Null, |column| cell(column, row))).collect();
        found.push((keys.value(row), StoredRecord { cells, extracted_at: seen.value(row) }));
    }
}

/// Whether a row has no mark of a deleted record.
fn is_live(batch: &RecordBatch, row: usize) -> bool {
    batch.column_by_name(DELETED_AT).is_none_or(|marks| marks.is_null(row))
}

pub(super) fn cell(column: &dyn Array, row: usize) -> StoredValue {
    if column.is_null(row) {
        return StoredValue::Null;
    }
    match column.data_type() {
        DataType::Boolean => StoredValue::Bool(column.as_boolean().value(row)),
        DataType::Int32 => StoredValue::Number(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => StoredValue::Number(column.as_primitive::<Int64Type>().value(row).into()),
        DataType::Timestamp(..) => {
            StoredValue::Number(column.as_primitive::<TimestampMicrosecondType>().value(row).into())
        }
        DataType::Decimal128(..) => StoredValue::Number(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Utf8 => StoredValue::Text(column.as_string::<i32>().value(row).to_owned()),
        // Nothing else is compared with a search.
        _ => StoredValue::Null,
    }
}

/// Whether a cell passes a test.
pub fn admits(test: &Test, column: &dyn Array, row: usize) -> bool {
    match (test, cell(column, row)) {
        (Test::IsNull, _) => column.is_null(row),
        (Test::IsSet, _) => column.is_valid(row),
        (Test::Is(_), StoredValue::Null) => false,
        (Test::Is(wanted), StoredValue::Bool(value)) => *wanted == value.to_string(),
        (Test::Is(wanted), StoredValue::Number(value)) => *wanted == value.to_string(),
        (Test::Is(wanted), StoredValue::Text(value)) => *wanted == value,
    }
}
