//! Rows of deleted records, kept apart: what the tables lose is written once more, with when it was found gone.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use arrow_select::filter::filter_record_batch;
use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, Version};
use crate::schema::Resource;
use crate::store::{Store, paths};
use crate::write::columns::Layout;
use crate::write::inspect::refuse_altered;
use crate::write::output::{Output, Target};
use crate::write::parquet::{Form, read};
use crate::write::sorted::owner;
use crate::write::spool::OwnerSet;
use crate::write::table::Sizes;

/// The column of when a record was found gone.
pub const DELETED_AT: &str = "_deleted_at";

/// What setting aside needs to know.
#[derive(Clone, Debug)]
pub struct Aside<'a> {
    pub store: &'a Store,
    pub resource: &'a Resource,
    pub head: &'a Version,
    pub spool: &'a Path,
    pub run: &'a str,
    pub sizes: Sizes,
    /// The source's clock when the record was found gone.
    pub at: Timestamp,
}

/// Writes and stages the rows of these owners, table by table. Blocks: call it from a blocking thread. Gives the files,
/// whose final place is below `_pearlift/deleted/`.
pub fn set_aside(
    work: &Aside<'_>,
    owners: &OwnerSet,
    runtime: &Handle,
    next_number: &mut u64,
) -> Result<Vec<DataFile>> {
    let mut kept = Vec::new();
    for table in &work.resource.tables {
        let Some(files) = work.head.tables.get(&table.name) else { continue };
        let layout = Layout::new(table);
        let schema = Arc::new(with_deleted_at(&layout.file));
        let form = Form {
            schema: Arc::clone(&schema),
            key: layout.key.clone(),
            schema_hash: work.resource.hash.clone(),
            row_group_rows: work.sizes.row_group_rows,
        };
        let mut number = || {
            *next_number += 1;
            *next_number
        };
        let mut target = Target {
            store: work.store,
            spool: work.spool,
            table: &table.name,
            form: &form,
            run: work.run,
            file_bytes: work.sizes.file_bytes,
            number: &mut number,
        };
        let mut output = Output::new(None);
        let touched = files.files.iter().filter(|file| {
            file.first.as_ref().zip(file.last.as_ref()).is_some_and(|(first, last)| owners.touches(first, last))
        });
        for file in touched {
            let copy = runtime.block_on(work.store.local_copy(&file.path, work.spool))?.ok_or_else(|| {
                Failure::damaged("find a live file", &file.path).because("the manifest names it and it is not there")
            })?;
            refuse_altered(&copy, file)?;
            for batch in read(copy.path())? {
                let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                let wanted: BooleanArray = (0..batch.num_rows())
                    .map(|row| Some(owners.contains(&owner(&batch, layout.key[0], row))))
                    .collect();
                let rows = filter_record_batch(&batch, &wanted)
                    .map_err(|error| Failure::new(Kind::Bug, "pick deleted rows").caused(error))?;
                if rows.num_rows() > 0 {
                    output.write(&stamped(&rows, &schema, work.at), &mut target)?;
                }
            }
        }
        for draft in output.finish(&target)? {
            let number = draft.file.path.rsplit('-').next().and_then(|rest| rest.strip_suffix(".parquet"));
            let number = number.and_then(|digits| digits.parse().ok()).expect("a data file's name ends in its number");
            let path = paths::deleted(&table.name, work.run, number);
            kept.push(DataFile { path, ..draft.file });
            runtime.block_on(work.store.stage(draft.scratch))?;
        }
    }
    Ok(kept)
}

fn with_deleted_at(schema: &Schema) -> Schema {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(DELETED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false));
    Schema::new(fields)
}

fn stamped(rows: &RecordBatch, schema: &Arc<Schema>, at: Timestamp) -> RecordBatch {
    let stamps = std::iter::repeat_n(at.as_microsecond(), rows.num_rows());
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(stamps).with_timezone("UTC")));
    RecordBatch::try_new(Arc::clone(schema), columns).expect("rows of a file have its columns")
}
