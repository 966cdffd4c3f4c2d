//! Rows of deleted records, kept apart: what the tables lose is written once more, with when it was found gone.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use arrow_select::filter::filter_record_batch;
use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, TableFiles, Version};
use crate::schema::{DELETED_AT, Resource};
use crate::store::Store;
use crate::write::deleted::join_deleted;
use crate::write::form::{Form, Sizes};
use crate::write::output::{Output, Target};
use crate::write::reader::read;
use crate::write::sorted::owner;
use crate::write::source::live_copy;
use crate::write::spool::OwnerSet;

/// What setting aside needs to know.
#[derive(Clone, Debug)]
pub struct Aside<'a> {
    pub store: &'a Store,
    pub resource: &'a Resource,
    pub head: &'a Version,
    pub spool: &'a Path,
    pub run: &'a str,
    pub sizes: Sizes,
}

/// Files of rows that were set aside.
#[derive(Debug, Default)]
pub struct SetAside {
    pub files: Vec<DataFile>,
    /// Small files of the head whose rows are in these.
    pub removes: Vec<String>,
}

/// Which rows are set aside.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those of these owners, found gone at this time by the source's clock.
    Of(&'a OwnerSet, Timestamp),
    /// Those of these tables that bear a mark, with the time that it tells.
    Marked(&'a [&'a str]),
}

impl Which<'_> {
    fn concerns(&self, table: &str, file: &DataFile) -> bool {
        match self {
            Self::Of(owners, _) => {
                file.first.as_ref().zip(file.last.as_ref()).is_some_and(|(first, last)| owners.touches(first, last))
            }
            Self::Marked(tables) => file.rows > 0 && tables.contains(&table),
        }
    }

    fn wants(&self, batch: &RecordBatch, key: usize, row: usize) -> bool {
        match self {
            Self::Of(owners, _) => owners.contains(&owner(batch, key, row)),
            Self::Marked(_) => batch.column_by_name(DELETED_AT).is_some_and(|marks| marks.is_valid(row)),
        }
    }
}

/// Writes and stages these rows of the live files, table by table, with the rows of small files that there are, but for
/// those that are `gone`. Blocks: call it from a blocking thread. Gives the files, whose final place is below
/// `_pearlift/deleted/`.
pub fn set_aside(
    work: &Aside<'_>,
    which: &Which<'_>,
    gone: &[String],
    runtime: &Handle,
    next_number: &mut u64,
) -> Result<SetAside> {
    let mut kept = SetAside::default();
    for (name, table) in &work.head.tables {
        let schema = Arc::new(with_deleted_at(&table.arrow()?));
        let form = Form {
            key: key(table, &schema)?,
            schema: Arc::clone(&schema),
            schema_hash: work.head.schema_hash.clone(),
            sizes: work.sizes,
        };
        let mut target = Target {
            store: work.store,
            spool: work.spool,
            table: name,
            form: &form,
            run: work.run,
            open: None,
            number: next_number,
        };
        let mut output = Output::new(None);
        for file in table.files.iter().filter(|file| which.concerns(name, file)) {
            let copy = live_copy(work.store, file, work.spool, runtime)?;
            for batch in read(&copy)? {
                let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                let owner_key = batch.schema_ref().index_of(&table.key[0]);
                let owner_key =
                    owner_key.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                let wanted: BooleanArray =
                    (0..batch.num_rows()).map(|row| Some(which.wants(&batch, owner_key, row))).collect();
                let rows = filter_record_batch(&batch, &wanted)
                    .map_err(|error| Failure::new(Kind::Bug, "pick deleted rows").caused(error))?;
                if rows.num_rows() > 0 {
                    output.write(&stamped(&rows, &schema, which), &mut target)?;
                }
            }
        }
        let drafts = output.finish(&target)?;
        let (drafts, joined) = join_deleted((work.store, work.head, work.spool), drafts, gone, runtime, &mut target)?;
        kept.removes.extend(joined);
        for draft in drafts {
            kept.files.push(draft.deleted(name, work.run));
            runtime.block_on(work.store.stage(draft.scratch))?;
        }
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

fn stamped(rows: &RecordBatch, schema: &Arc<Schema>, which: &Which<'_>) -> RecordBatch {
    let column = |name: &str| rows.column_by_name(name).cloned();
    let own = schema.fields().iter().filter(|field| field.name() != DELETED_AT);
    let mut columns: Vec<ArrayRef> = own.filter_map(|field| column(field.name())).collect();
    match which {
        Which::Of(_, at) => {
            let stamps = std::iter::repeat_n(at.as_microsecond(), rows.num_rows());
            columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(stamps).with_timezone("UTC")));
        }
        Which::Marked(_) => columns.extend(column(DELETED_AT)),
    }
    RecordBatch::try_new(Arc::clone(schema), columns).expect("rows of a file have its columns")
}
