//! Deleted rows: rows that leave the tables are written once more, with the time at which their record was found
//! deleted.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use arrow_select::filter::filter_record_batch;
use jiff::Timestamp;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, TableFiles, Version};
use crate::schema::{DELETED_AT, Resource};
use crate::write::context::WriteContext;
use crate::write::deleted_files::join_deleted;
use crate::write::form::Form;
use crate::write::output::Output;
use crate::write::reader::read;
use crate::write::sorted::record_key;
use crate::write::spool::RecordSet;

/// The context in which deleted rows are written.
#[derive(Clone, Debug)]
pub struct DeletedRows<'a> {
    pub resource: &'a Resource,
    pub head: &'a Version,
    pub context: WriteContext<'a>,
}

/// Files of deleted rows.
#[derive(Debug, Default)]
pub struct DeletedFiles {
    pub files: Vec<DataFile>,
    /// Small files of the head that are joined into these.
    pub removes: Vec<String>,
}

/// The rows that are written as deleted.
#[derive(Clone, Copy, Debug)]
pub enum DeletedSelection<'a> {
    /// Those of these records, found deleted at this time by the source's clock.
    Of(&'a RecordSet, Timestamp),
    /// The marked rows of these tables, with the time of the mark.
    Marked(&'a [&'a str]),
}

impl DeletedSelection<'_> {
    fn concerns(&self, table: &str, file: &DataFile) -> bool {
        match self {
            Self::Of(records, _) => {
                file.first.as_ref().zip(file.last.as_ref()).is_some_and(|(first, last)| records.touches(first, last))
            }
            Self::Marked(tables) => file.rows > 0 && tables.contains(&table),
        }
    }

    fn wants(&self, batch: &RecordBatch, key: usize, row: usize) -> bool {
        match self {
            Self::Of(records, _) => records.contains(&record_key(batch, key, row)),
            Self::Marked(_) => batch.column_by_name(DELETED_AT).is_some_and(|marks| marks.is_valid(row)),
        }
    }
}

/// Writes and stages these rows of the live files, table by table, together with the rows of existing small files,
/// except for those of files in `gone`. Blocks: call it from a blocking thread. The final path of each returned file is
/// below `_pearlift/deleted/`.
pub fn write_deleted_rows(
    work: &DeletedRows<'_>,
    which: &DeletedSelection<'_>,
    gone: &[String],
    next_number: &mut u64,
) -> Result<DeletedFiles> {
    let context = &work.context;
    let mut kept = DeletedFiles::default();
    for (name, table) in &work.head.tables {
        let schema = Arc::new(with_deleted_at(&table.arrow()?));
        let form = Form {
            key: key(table, &schema)?,
            schema: Arc::clone(&schema),
            schema_hash: work.head.schema_hash.clone(),
            sizes: context.sizes,
        };
        let mut target = context.target(name, &form, None, next_number);
        let mut output = Output::new(None);
        for file in table.files.iter().filter(|file| which.concerns(name, file)) {
            let copy = context.live_copy(file)?;
            for batch in read(&copy)? {
                let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                let record_key = batch.schema_ref().index_of(&table.key[0]);
                let record_key =
                    record_key.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                let wanted: BooleanArray =
                    (0..batch.num_rows()).map(|row| Some(which.wants(&batch, record_key, row))).collect();
                let rows = filter_record_batch(&batch, &wanted)
                    .map_err(|error| Failure::new(Kind::Bug, "pick deleted rows").caused(error))?;
                if rows.num_rows() > 0 {
                    output.write(&stamped(&rows, &schema, which), &mut target)?;
                }
            }
        }
        let drafts = output.finish(&target)?;
        let (drafts, joined) = join_deleted(context, &work.head.deleted, drafts, gone, &mut target)?;
        kept.removes.extend(joined);
        kept.files.extend(context.stage_deleted(name, drafts)?);
    }
    Ok(kept)
}

/// The places of a table's key in a schema.
fn key(table: &TableFiles, schema: &Schema) -> Result<Vec<usize>> {
    let place = |name: &String| {
        schema.index_of(name).map_err(|error| Failure::new(Kind::Damage, "read a manifest").caused(error))
    };
    table.key.iter().map(place).collect()
}

/// A table's columns, and when the record was found gone; last, wherever the table itself has it.
fn with_deleted_at(schema: &Schema) -> Schema {
    let own = schema.fields().iter().filter(|field| field.name() != DELETED_AT);
    let mut fields: Vec<Field> = own.map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(DELETED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false));
    Schema::new(fields)
}

fn stamped(rows: &RecordBatch, schema: &Arc<Schema>, which: &DeletedSelection<'_>) -> RecordBatch {
    let column = |name: &str| rows.column_by_name(name).cloned();
    let own = schema.fields().iter().filter(|field| field.name() != DELETED_AT);
    let mut columns: Vec<ArrayRef> = own.filter_map(|field| column(field.name())).collect();
    match which {
        DeletedSelection::Of(_, at) => {
            let stamps = std::iter::repeat_n(at.as_microsecond(), rows.num_rows());
            columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(stamps).with_timezone("UTC")));
        }
        DeletedSelection::Marked(_) => columns.extend(column(DELETED_AT)),
    }
    RecordBatch::try_new(Arc::clone(schema), columns).expect("rows of a file have its columns")
}
