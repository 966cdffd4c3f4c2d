//! Schema migration: live files rewritten in place for the current schema, without a request to the source.
//!
//! Takes a head and its changes, gives staged files: each old file becomes one of the same rows in the same order (or
//! several, if it has grown too large), batch by batch. The time and run that first stored a row stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, new_null_array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::zip::zip;

use crate::decode::Rest;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, SpecColumn, TableFiles, Version};
use crate::plan::{ColumnOrigin, Reshape, TableReshape};
use crate::schema::{
    Column, DELETED_AT, EXTRA, EXTRACTED_AT, Meaning, Partition, RUN_ID, Resource, Source, Table, Type,
};
use crate::write::context::WriteContext;
use crate::write::deleted_rows::{DeletedRows, DeletedSelection, write_deleted_rows};
use crate::write::entries::EntryColumns;
use crate::write::form::Form;
use crate::write::open::OpenRows;
use crate::write::output::{Draft, Output, empty};
use crate::write::partition::segment;
use crate::write::reader::read;
use crate::write::table::Written;

/// The context of a schema migration.
#[derive(Clone, Debug)]
pub struct Reshaping<'a> {
    pub resource: &'a Resource,
    pub head: &'a Version,
    pub context: WriteContext<'a>,
    /// Rows of deleted records that leave their table are kept as deleted rows.
    pub kept: bool,
}

/// Rewrites and stages the tables of a reshape; the others stay. Blocks: call it from a blocking thread. Gives the files,
/// and the new columns (`table.column`) that nothing at the destination can fill.
pub fn reshape_tables(
    work: &Reshaping<'_>,
    reshape: &Reshape,
    next_number: &mut u64,
) -> Result<(Written, Vec<String>)> {
    let mut written = Written { tables: work.head.tables.clone(), ..Written::default() };
    let mut unfilled = Vec::new();
    for name in &reshape.gone {
        let files = written.tables.remove(name).map(|table| table.files).unwrap_or_default();
        written.removes.extend(files.into_iter().map(|file| file.path));
    }
    let unmarked: Vec<&str> = reshape
        .tables
        .iter()
        .filter(|change| change.unmarks && work.kept)
        .map(|change| work.resource.tables[change.place].name.as_str())
        .collect();
    if !unmarked.is_empty() {
        let deleted_rows = DeletedRows { resource: work.resource, head: work.head, context: work.context };
        let kept = write_deleted_rows(&deleted_rows, &DeletedSelection::Marked(&unmarked), &[], next_number)?;
        written.deleted = kept.files;
        written.removes.extend(kept.removes);
    }
    let before = before(work.resource, work.head)?;
    for change in &reshape.tables {
        let table = &work.resource.tables[change.place];
        let old = work.head.tables.get(&table.name);
        let migrator = RowMigrator::new(&before, work.resource, work.head, change)?;
        if old.is_some_and(|old| old.files.iter().any(|file| file.rows > 0)) {
            let lacking = migrator.rest.unfilled().iter().filter(|column| !migrator.has_entries_of(column));
            unfilled.extend(lacking.map(|column| format!("{}.{column}", table.name)));
        }
        let drafts = rewrite(work, table, old, &migrator, next_number)?;
        let mut files = written.stage(&work.context, drafts)?;
        files.sort_by(|a, b| (&a.partition, &a.first).cmp(&(&b.partition, &b.first)));
        written.removes.extend(old.iter().flat_map(|old| &old.files).map(|file| file.path.clone()));
        let mut next = TableFiles { files, ..TableFiles::going_on(table, old) };
        let known: Vec<String> = next.excluded_columns.iter().map(|column| column.name.clone()).collect();
        next.excluded_columns.extend(change.dropped.iter().filter(|column| !known.contains(&column.name)).cloned());
        written.tables.insert(table.name.clone(), next);
    }
    Ok((written, unfilled))
}

/// The resource with the columns that its files have now.
fn before(resource: &Resource, head: &Version) -> Result<Resource> {
    let mut before = resource.clone();
    before.read.newer.clear();
    for table in &mut before.tables {
        let new = std::mem::take(&mut table.columns);
        let old = head.tables.get(&table.name);
        let column = |old: &SpecColumn| {
            let from = match (old.from.as_slice(), new.iter().find(|new| new.name == old.name)) {
                ([], Some(new)) => new.from.clone(),
                (from, _) => from.iter().map(|from| Source::parse(from)).collect::<Result<_>>()?,
            };
            Ok(Column {
                name: old.name.clone(),
                from,
                kind: Type::parse(&old.kind)?,
                required: old.required,
                tried: false,
                meaning: Meaning::default(),
            })
        };
        let columns = old.map(|old| old.columns.as_slice()).unwrap_or_default();
        table.columns = columns.iter().map(column).collect::<Result<_>>()?;
        let excluded_columns = old.map(|old| old.excluded_columns.as_slice()).unwrap_or_default();
        table.excluded_columns = excluded_columns.iter().map(column).collect::<Result<_>>()?;
        table.partition = Partition::None;
    }
    Ok(before)
}

/// How rows of old files become rows of new ones.
struct RowMigrator<'a> {
    table: &'a Table,
    change: &'a TableReshape,
    rest: Rest,
    /// Columns whose values the rows of a child table have.
    entries: Option<EntryColumns<'a>>,
    schema: SchemaRef,
}

impl<'a> RowMigrator<'a> {
    fn new(before: &Resource, resource: &'a Resource, head: &'a Version, change: &'a TableReshape) -> Result<Self> {
        let table = &resource.tables[change.place];
        let of = |wanted: ColumnOrigin| -> Vec<usize> {
            let origins = change.origins.iter().enumerate();
            origins.filter(|(_, origin)| **origin == wanted).map(|(place, _)| place).collect()
        };
        let rest = Rest::new(before, resource, change.place, &of(ColumnOrigin::Filled), &of(ColumnOrigin::Widened))?;
        let entries = EntryColumns::of(before, resource, head, change.place, rest.unfilled())?;
        Ok(Self { table, change, rest, entries, schema: Arc::new(table.described()) })
    }

    /// Whether a child table fills a column.
    fn has_entries_of(&self, column: &str) -> bool {
        self.entries.as_ref().is_some_and(|entries| entries.fills(column))
    }

    /// The rows of the new table; `of_entries` are columns that a child table has filled, by their places.
    fn recast(&self, old: &RecordBatch, of_entries: Vec<(usize, ArrayRef)>) -> Result<RecordBatch> {
        let bug = |error| Failure::new(Kind::Bug, "rewrite rows").caused(error);
        let column = |name: &str| {
            old.column_by_name(name).ok_or_else(|| {
                Failure::new(Kind::Damage, "rewrite rows").because(format!("a data file has no column `{name}`"))
            })
        };
        let extra = column(EXTRA)?;
        let (mut taken, extra) = self.rest.take(extra.as_string());
        taken.extend(of_entries);
        let taken = |place: usize| taken.iter().find(|(known, _)| *known == place).map(|(_, values)| values);
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (place, (new, origin)) in self.table.columns.iter().zip(&self.change.origins).enumerate() {
            columns.push(match origin {
                ColumnOrigin::Kept => Arc::clone(column(&new.name)?),
                ColumnOrigin::Widened => {
                    let wide = widen(column(&new.name)?, new.kind)?;
                    match taken(place) {
                        Some(more) => zip(&there(&wide), &wide, more).map_err(bug)?,
                        None => wide,
                    }
                }
                ColumnOrigin::Filled => match taken(place) {
                    Some(values) => Arc::clone(values),
                    None => new_null_array(&new.kind.arrow(), old.num_rows()),
                },
            });
        }
        columns.extend([extra, Arc::clone(column(EXTRACTED_AT)?), Arc::clone(column(RUN_ID)?)]);
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(bug)
    }
}

/// Where a column has values.
fn there(column: &dyn Array) -> BooleanArray {
    (0..column.len()).map(|row| Some(column.is_valid(row))).collect()
}

/// The same values as a wider type.
fn widen(column: &dyn Array, kind: Type) -> Result<ArrayRef> {
    match (column.data_type(), kind) {
        (DataType::Int32, Type::Int64) => {
            let values = column.as_primitive::<Int32Type>();
            Ok(Arc::new(values.iter().map(|value| value.map(i64::from)).collect::<Int64Array>()))
        }
        (DataType::Decimal128(_, old), Type::Decimal { scale, .. }) => {
            let more = i8::try_from(scale).ok().and_then(|scale| u32::try_from(scale - old).ok());
            let factor = 10i128.pow(more.expect("a wider scale is not less"));
            let values = column.as_primitive::<Decimal128Type>();
            let values: Decimal128Array = values.iter().map(|value| value.map(|value| value * factor)).collect();
            Ok(Arc::new(values.with_data_type(kind.arrow())))
        }
        (old, _) => Err(Failure::new(Kind::Bug, "widen a column").because(format!("{old} does not become {kind}"))),
    }
}

/// The new files of one table.
fn rewrite(
    work: &Reshaping<'_>,
    table: &Table,
    old: Option<&TableFiles>,
    migrator: &RowMigrator<'_>,
    next_number: &mut u64,
) -> Result<Vec<Draft>> {
    let form = Form {
        schema: Arc::clone(&migrator.schema),
        key: table.key.clone(),
        schema_hash: work.resource.hash.clone(),
        sizes: work.context.sizes,
    };
    let context = &work.context;
    let mut target = context.target(&table.name, &form, OpenRows::of(work.resource, table), next_number);
    let mut drafts = Vec::new();
    for file in old.iter().flat_map(|old| &old.files).filter(|file| file.rows > 0) {
        let mut output = Output::new(file.partition.clone());
        let copy = context.live_copy(file)?;
        let mut entries = migrator.entries.as_ref().map(|entries| entries.beside(file, context));
        for batch in read(&copy)? {
            let batch =
                batch.map_err(|error| Failure::new(Kind::Damage, "read a data file").at(&file.path).caused(error))?;
            let batch = without_marked(batch, migrator.change.unmarks)?;
            let key = &table.columns[table.key[0]].name;
            let of_entries = entries.as_mut().map(|entries| entries.fill(&batch, key)).transpose()?;
            let rows = migrator.recast(&batch, of_entries.unwrap_or_default())?;
            output.write(&rows, &mut target)?;
        }
        drafts.extend(output.finish(&target)?);
    }
    if drafts.is_empty() {
        let empty_before = old.and_then(|old| old.files.first()).and_then(|file: &DataFile| file.partition.clone());
        drafts.push(empty(empty_before.or_else(|| segment(&table.partition, 0)), &mut target)?);
    }
    Ok(drafts)
}

/// The rows of records that are not deleted, where those of others leave.
fn without_marked(batch: RecordBatch, unmarks: bool) -> Result<RecordBatch> {
    let Some(marks) = batch.column_by_name(DELETED_AT).filter(|_| unmarks) else { return Ok(batch) };
    let live: BooleanArray = (0..batch.num_rows()).map(|row| Some(marks.is_null(row))).collect();
    filter_record_batch(&batch, &live).map_err(|error| Failure::new(Kind::Bug, "pick rows").caused(error))
}

/// The tables of a version by name, those that keep rows of deleted records.
pub fn marked_tables(tables: &BTreeMap<String, TableFiles>) -> Vec<&str> {
    let marked = |table: &TableFiles| table.columns.iter().any(|column| column.name == DELETED_AT);
    tables.iter().filter(|(_, table)| marked(table)).map(|(name, _)| name.as_str()).collect()
}
