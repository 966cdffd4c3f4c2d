//! Files rewritten for the sake of some rows: the other rows, their order, and the time and run that first stored a row stay.
//!
//! Takes a head, the records concerned and an edit of rows; gives staged files and the names of the files they replace. A
//! file that the edit leaves as it is is not rewritten. Refuses (`Damage`) a file whose checksum is not that of the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, TableFiles, Version};
use crate::schema::Resource;
use crate::store::{LocalCopy, Store, StoreStep, paths};
use crate::write::context::WriteContext;
use crate::write::form::Form;
use crate::write::lookup::{range, unreadable};
use crate::write::open::OpenRows;
use crate::write::output::{Draft, Output};
use crate::write::ranges::each_batch;
use crate::write::reader::read;
use crate::write::spool::RecordSet;

/// The edited rows of a table and the number of rows that differ; none where all stay.
pub type RowEdit<'a> = dyn Fn(&str, &RecordBatch) -> Result<Option<(RecordBatch, u64)>> + 'a;

/// The context of a rewrite.
#[derive(Clone, Debug)]
pub struct Rewriting<'a> {
    pub resource: &'a Resource,
    pub head: &'a Version,
    pub context: WriteContext<'a>,
    /// Rows are counted only; nothing is written.
    pub dry_run: bool,
}

/// The result of a rewrite.
#[derive(Debug, Default)]
pub struct Rewritten {
    pub tables: BTreeMap<String, TableFiles>,
    /// The files of deleted rows.
    pub deleted: Vec<DataFile>,
    pub removes: Vec<String>,
    /// The staged paths of the new files.
    pub staged: BTreeSet<String>,
    /// Rows that differ, by table; deleted rows included.
    pub rows: BTreeMap<String, u64>,
}

/// Shows the rows of a file, with these columns, that may hold this number in one of them other than the first. Columns
/// that the file lacks are not in the batches. Blocks: call it from a blocking thread.
pub fn visit_rows(
    store: &Store,
    file: &DataFile,
    columns: &[&str],
    number: i64,
    visit: &mut dyn FnMut(&RecordBatch),
) -> Result<()> {
    let may_hold = |column: &&str, group: &_| {
        range(group, column).is_none_or(|(least, greatest)| (least..=greatest).contains(&number))
    };
    let remote = store.known_file(&file.path, file.bytes);
    let done = each_batch(
        remote,
        columns,
        |group| columns.iter().skip(1).any(|column| may_hold(column, group)),
        |batch| visit(batch),
    );
    done.map_err(|error| unreadable(file.path.clone(), error))
}

/// Rewrites and stages the files with rows of these records that the edit changes, those of deleted rows included. Blocks:
/// call it from a blocking thread.
pub fn rewrite_files(
    work: &Rewriting<'_>,
    records: &RecordSet,
    edit: &RowEdit<'_>,
    next_number: &mut u64,
) -> Result<Rewritten> {
    let rewritten = Rewritten { tables: work.head.tables.clone(), ..Rewritten::default() };
    let mut rewriter = Rewriter { work, records, edit, context: work.context, next_number, rewritten };
    for (name, table) in &work.head.tables {
        let mut files = Vec::new();
        for file in &table.files {
            match rewriter.rewrite(name, table, file)? {
                Some(drafts) => files.extend(rewriter.context.stage(drafts)?),
                None => files.push(file.clone()),
            }
        }
        rewriter.rewritten.tables.insert(name.clone(), TableFiles { files, ..table.clone() });
        work.context.store.reach(StoreStep::TableStaged, name)?;
    }
    for file in &work.head.deleted {
        let table = paths::of_deleted(&file.path).and_then(|(name, _)| work.head.tables.get_key_value(name));
        let drafts = table.map(|(name, table)| rewriter.rewrite(name, table, file)).transpose()?.flatten();
        let files = match (drafts, table) {
            (Some(drafts), Some((name, _))) => rewriter.context.stage_deleted(name, drafts)?,
            (_, _) => vec![file.clone()],
        };
        rewriter.rewritten.deleted.extend(files);
    }
    let known: BTreeSet<&str> = work.head.files().chain(&work.head.deleted).map(|file| file.path.as_str()).collect();
    let mut rewritten = rewriter.rewritten;
    let files = rewritten.tables.values().flat_map(|table| &table.files).chain(&rewritten.deleted);
    let new = files.filter(|file| !known.contains(file.path.as_str())).map(|file| file.staged.clone()).collect();
    rewritten.staged = new;
    Ok(rewritten)
}

/// A rewrite on its way through the files.
struct Rewriter<'a> {
    work: &'a Rewriting<'a>,
    records: &'a RecordSet,
    edit: &'a RowEdit<'a>,
    context: WriteContext<'a>,
    next_number: &'a mut u64,
    rewritten: Rewritten,
}

impl Rewriter<'_> {
    /// The new files in place of one; none where its rows stay as they are, or are only counted.
    fn rewrite(&mut self, name: &str, table: &TableFiles, file: &DataFile) -> Result<Option<Vec<Draft>>> {
        let range = file.first.as_ref().zip(file.last.as_ref());
        if !range.is_some_and(|(first, last)| self.records.touches(first, last)) {
            return Ok(None);
        }
        let copy = self.context.live_copy(file)?;
        let mut differ = 0;
        for batch in read(&copy)? {
            let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
            differ += (self.edit)(name, &batch)?.map_or(0, |(_, rows)| rows);
        }
        if differ == 0 {
            return Ok(None);
        }
        *self.rewritten.rows.entry(name.to_owned()).or_default() += differ;
        if self.work.dry_run { Ok(None) } else { self.write(name, table, file, &copy).map(Some) }
    }

    fn write(&mut self, name: &str, table: &TableFiles, file: &DataFile, copy: &LocalCopy) -> Result<Vec<Draft>> {
        let form = self.form(table, copy)?;
        let is_live = self.work.head.files().any(|live| live.path == file.path);
        let table = self.work.resource.tables.iter().find(|table| table.name == name).filter(|_| is_live);
        let open = table.and_then(|table| OpenRows::of(self.work.resource, table));
        let mut target = self.context.target(name, &form, open, self.next_number);
        let mut output = Output::new(file.partition.clone());
        for batch in read(copy)? {
            let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
            let batch = (self.edit)(name, &batch)?.map_or(batch, |(edited, _)| edited);
            let batch = RecordBatch::try_new(Arc::clone(&form.schema), batch.columns().to_vec())
                .map_err(|error| Failure::new(Kind::Bug, "rewrite rows").caused(error))?;
            output.write(&batch, &mut target)?;
        }
        self.rewritten.removes.push(file.path.clone());
        output.finish(&target)
    }

    /// The form of a file.
    fn form(&self, table: &TableFiles, copy: &LocalCopy) -> Result<Form> {
        let schema = Arc::new(Schema::new(read(copy)?.schema().fields().clone()));
        let place = |name: &String| {
            let found = schema.index_of(name);
            found.map_err(|error| Failure::new(Kind::Damage, "find the key of a table").at(name).caused(error))
        };
        let key = table.key.iter().map(place).collect::<Result<Vec<_>>>()?;
        Ok(Form { key, schema, schema_hash: self.work.head.schema_hash.clone(), sizes: self.work.context.sizes })
    }
}
