//! Records that appear again after their rows were moved to the files of deleted rows: those rows leave these files,
//! for the record is not deleted.
//!
//! Takes the copies of a commit and the files of deleted rows; gives the files that go and those that take their place.
//! A file that is missing or altered stays as it is: `verify` reports it, and no scan fails for it.

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Schema};
use arrow_select::filter::filter_record_batch;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, TableFiles};
use crate::store::{LocalCopy, paths};
use crate::write::deleted_rows::DeletedRows;
use crate::write::form::Form;
use crate::write::inspect::refuse_altered;
use crate::write::output::Output;
use crate::write::reader::read;
use crate::write::sorted::record_key;
use crate::write::spool::Spooled;

/// Files of deleted rows that change.
#[derive(Debug, Default)]
pub struct Reappeared {
    /// Files that hold rows of records that are there again.
    pub removes: Vec<String>,
    /// The files that hold the other rows of these.
    pub files: Vec<DataFile>,
    /// Rows that are no longer among the deleted ones.
    pub rows: u64,
}

/// Takes rows of records that came out of the files of deleted rows. Blocks: call it from a blocking thread.
pub fn cancel_deletions(work: &DeletedRows<'_>, spooled: &Spooled, next_number: &mut u64) -> Result<Reappeared> {
    let mut found = Reappeared::default();
    for file in &work.head.deleted {
        let touched = file.first.as_ref().zip(file.last.as_ref());
        let named = paths::of_deleted(&file.path).and_then(|(table, _)| Some((table, work.head.tables.get(table)?)));
        let (true, Some((name, table))) =
            (touched.is_some_and(|(first, last)| spooled.records.touches(first, last)), named)
        else {
            continue;
        };
        let Some(copy) = work.context.local_copy(file)? else { continue };
        let rows = if refuse_altered(&copy, file).is_ok() { came_again(&copy, file, table, spooled)? } else { 0 };
        if rows > 0 {
            found.files.extend(rest(work, (name, table), (file, &copy), spooled, next_number)?);
            found.removes.push(file.path.clone());
            found.rows += rows;
        }
    }
    Ok(found)
}

/// The number of rows of a file that belong to records which were returned again.
fn came_again(copy: &LocalCopy, file: &DataFile, table: &TableFiles, spooled: &Spooled) -> Result<u64> {
    let mut rows = 0;
    for batch in read(copy)? {
        let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
        let Some(key) = key_of(&batch, table) else { return Ok(0) };
        let came = (0..batch.num_rows()).filter(|row| spooled.came(&record_key(&batch, key, *row))).count();
        rows += u64::try_from(came).expect("a length fits");
    }
    Ok(rows)
}

/// The place of the record key in rows of a table, as they were written then.
fn key_of(batch: &RecordBatch, table: &TableFiles) -> Option<usize> {
    let place = batch.schema_ref().index_of(&table.key[0]).ok()?;
    matches!(batch.column(place).data_type(), DataType::Int64 | DataType::Utf8).then_some(place)
}

/// Writes and stages the other rows of a file, those of records that were not returned.
fn rest(
    work: &DeletedRows<'_>,
    (name, table): (&str, &TableFiles),
    (file, copy): (&DataFile, &LocalCopy),
    spooled: &Spooled,
    next_number: &mut u64,
) -> Result<Vec<DataFile>> {
    let context = &work.context;
    let mut batches = read(copy)?.peekable();
    let Some(Ok(first)) = batches.peek() else { return Ok(Vec::new()) };
    let schema = first.schema();
    let form = Form {
        key: key_places(table, &schema),
        schema,
        schema_hash: work.head.schema_hash.clone(),
        sizes: context.sizes,
    };
    let mut target = context.target(name, &form, None, next_number);
    let mut output = Output::new(None);
    for batch in batches {
        let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
        let Some(key) = key_of(&batch, table) else { continue };
        let stays: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(!spooled.came(&record_key(&batch, key, row)))).collect();
        let rows = filter_record_batch(&batch, &stays)
            .map_err(|error| Failure::new(Kind::Bug, "pick deleted rows").caused(error))?;
        if rows.num_rows() > 0 {
            output.write(&rows, &mut target)?;
        }
    }
    context.stage_deleted(name, output.finish(&target)?)
}

/// The places of the key columns that the rows have.
fn key_places(table: &TableFiles, schema: &Schema) -> Vec<usize> {
    table.key.iter().filter_map(|name| schema.index_of(name).ok()).collect()
}
