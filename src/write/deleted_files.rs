//! Small files of deleted rows, joined with the rows that are deleted now: otherwise each reconciliation would leave
//! one more file of each table.
//!
//! A key may have been deleted twice: a file with a key that another file has stays as it is, and so does a file of
//! other columns, and one that is missing or altered, which `verify` reports.

use std::collections::HashSet;
use std::path::Path;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::DataFile;
use crate::schema::same_columns;
use crate::store::paths;
use crate::write::context::WriteContext;
use crate::write::form::Form;
use crate::write::inspect::refuse_altered;
use crate::write::output::{Draft, Output, Target};
use crate::write::reader::{FileReader, read, read_file};
use crate::write::segment::sorted;

/// A file of deleted rows smaller than the target size divided by this is joined: its rows are sorted in memory.
const SMALL: u64 = 128;

/// Rows that are joined, file by file.
struct Joined {
    converter: RowConverter,
    batches: Vec<RecordBatch>,
    keys: Vec<Rows>,
    known: HashSet<Vec<u8>>,
}

/// Joins a new file of deleted rows of a table with the small ones in `deleted`. Gives the new files, and the paths of
/// those that are in them.
pub fn join_deleted(
    context: &WriteContext<'_>,
    deleted: &[DataFile],
    drafts: Vec<Draft>,
    gone: &[String],
    target: &mut Target<'_>,
) -> Result<(Vec<Draft>, Vec<String>)> {
    let is_small = |bytes: u64| bytes < target.form.sizes.file_bytes / SMALL;
    let [draft] = drafts.as_slice() else { return Ok((drafts, Vec::new())) };
    let of_table = |file: &&DataFile| paths::of_deleted(&file.path).is_some_and(|(table, _)| table == target.table);
    let small = deleted.iter().filter(of_table).filter(|file| is_small(file.bytes) && !gone.contains(&file.path));
    let small: Vec<&DataFile> = small.collect();
    if small.is_empty() || !is_small(draft.file.bytes) {
        return Ok((drafts, Vec::new()));
    }
    let mut joined = Joined::new(target.form)?;
    joined.take(read_file(draft.scratch.open()?, &draft.scratch.path)?, &draft.scratch.path, target.form)?;
    let mut removes = Vec::new();
    for file in small {
        let Some(copy) = context.local_copy(file)? else { continue };
        if refuse_altered(&copy, file).is_ok() && joined.take(read(&copy)?, copy.path(), target.form)? {
            removes.push(file.path.clone());
        }
    }
    if removes.is_empty() {
        return Ok((drafts, removes));
    }
    drafts.iter().try_for_each(|draft| context.store.discard(&draft.scratch))?;
    let mut output = Output::new(None);
    for batch in sorted(&joined.batches, &joined.keys) {
        output.write(&batch?, target)?;
    }
    Ok((output.finish(target)?, removes))
}

impl Joined {
    fn new(form: &Form) -> Result<Self> {
        let fields = form.key.iter().map(|place| SortField::new(form.schema.field(*place).data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(bug)?;
        Ok(Self { converter, batches: Vec::new(), keys: Vec::new(), known: HashSet::new() })
    }

    /// Takes the rows of a file; none where its columns are others, or one of its keys is known.
    fn take(&mut self, reader: FileReader, path: &Path, form: &Form) -> Result<bool> {
        if !same_columns(reader.schema().fields(), form.schema.fields()) {
            return Ok(false);
        }
        let damaged = |error| Failure::damaged("read a data file", path.display().to_string()).caused(error);
        let batches = reader.map(|batch| batch.map_err(damaged)).collect::<Result<Vec<_>>>()?;
        let keys = batches.iter().map(|batch| {
            let columns: Vec<ArrayRef> = form.key.iter().map(|place| batch.column(*place).clone()).collect();
            self.converter.convert_columns(&columns).map_err(bug)
        });
        let keys = keys.collect::<Result<Vec<Rows>>>()?;
        let all = || keys.iter().flat_map(Rows::iter);
        if all().any(|key| self.known.contains(key.data())) {
            return Ok(false);
        }
        self.known.extend(all().map(|key| key.data().to_vec()));
        self.batches.extend(batches);
        self.keys.extend(keys);
        Ok(true)
    }
}

fn bug(error: arrow_schema::ArrowError) -> Failure {
    Failure::new(Kind::Bug, "join deleted rows").caused(error)
}
