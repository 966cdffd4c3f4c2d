//! Compaction: small neighbouring files of a partition joined into larger ones. Rows, their order, and the time and run
//! that first stored them stay as they are.
//!
//! Takes a head, gives staged files and the names of the files they replace. Reads the files alone: no schema file is
//! needed. Refuses (`Damage`) a file whose checksum is not that of the manifest, so that no foreign content gets a
//! checksum of ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, OpenRecords, TableFiles, Version};
use crate::store::LocalCopy;
use crate::write::context::WriteContext;
use crate::write::form::{Form, Sizes};
use crate::write::output::{Draft, Output};
use crate::write::reader::read;

/// A file smaller than the target size divided by this is joined with small neighbours.
const SMALL: u64 = 8;

/// The context of a compaction.
#[derive(Clone, Debug)]
pub struct Joining<'a> {
    pub head: &'a Version,
    pub context: WriteContext<'a>,
}

/// Neighbours that become fewer files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// The folder that they lie in.
    pub folder: String,
    pub files: u64,
    pub bytes: u64,
    /// How many they became.
    pub into: u64,
}

/// The result of a compaction.
#[derive(Debug, Default)]
pub struct Joined {
    pub tables: BTreeMap<String, TableFiles>,
    pub removes: Vec<String>,
    pub joints: Vec<Joint>,
    /// The staged paths of the new files.
    pub staged: Vec<String>,
}

/// Groups of two or more small files of a table that are neighbours in a partition: no other file is between them, and
/// their key ranges do not overlap.
pub fn small_neighbours(table: &TableFiles, sizes: Sizes) -> Vec<Vec<&DataFile>> {
    let mut files: Vec<&DataFile> = table.files.iter().filter(|file| file.rows > 0).collect();
    files.sort_by(|a, b| (&a.partition, &a.first).cmp(&(&b.partition, &b.first)));
    let small = |file: &DataFile| file.bytes < sizes.file_bytes / SMALL;
    let follows = |a: &&DataFile, b: &&DataFile| {
        small(a) && small(b) && a.partition == b.partition && a.last.as_ref() < b.first.as_ref()
    };
    files.chunk_by(follows).filter(|run| run.len() > 1).map(<[&DataFile]>::to_vec).collect()
}

/// Neighbours before they are joined.
pub fn joint(run: &[&DataFile]) -> Joint {
    let folder = run[0].path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let files = u64::try_from(run.len()).expect("a length fits");
    Joint { folder, files, bytes: run.iter().map(|file| file.bytes).sum(), into: 1 }
}

/// Joins the small neighbours of every table, and stages the new files. Blocks: call it from a blocking thread.
pub fn join(work: &Joining<'_>, next_number: &mut u64) -> Result<Joined> {
    let mut joined = Joined { tables: work.head.tables.clone(), ..Joined::default() };
    for (name, table) in &work.head.tables {
        for run in small_neighbours(table, work.context.sizes) {
            let drafts = join_run(work, name, table, &run, next_number)?;
            if drafts.len() >= run.len() {
                // Rows that take more room than they seem to: nothing is won.
                drafts.iter().try_for_each(|draft| work.context.store.discard(&draft.scratch))?;
                continue;
            }
            let into = u64::try_from(drafts.len()).expect("a length fits");
            joined.joints.push(Joint { into, ..joint(&run) });
            joined.removes.extend(run.iter().map(|file| file.path.clone()));
            let files = &mut joined.tables.get_mut(name).expect("it is a table of the head").files;
            files.retain(|file| !run.iter().any(|gone| gone.path == file.path));
            let open = if into == 1 { joined_open(&run) } else { None };
            for file in work.context.stage(drafts)? {
                joined.staged.push(file.staged.clone());
                files.push(DataFile { open: open.clone(), ..file });
            }
            files.sort_by(|a, b| (&a.partition, &a.first).cmp(&(&b.partition, &b.first)));
        }
    }
    Ok(joined)
}

fn join_run(
    work: &Joining<'_>,
    name: &str,
    table: &TableFiles,
    run: &[&DataFile],
    next_number: &mut u64,
) -> Result<Vec<Draft>> {
    let context = &work.context;
    let form = form(work, table, &context.live_copy(run[0])?)?;
    let mut target = context.target(name, &form, None, next_number);
    let mut output = Output::new(run[0].partition.clone());
    for file in run {
        let copy = context.live_copy(file)?;
        for batch in read(&copy)? {
            let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
            let batch = RecordBatch::try_new(Arc::clone(&form.schema), batch.columns().to_vec())
                .map_err(|error| Failure::damaged("join files of a table", &file.path).caused(error))?;
            output.write(&batch, &mut target)?;
        }
    }
    output.finish(&target)
}

/// The form of a table's files, as one of them shows it.
fn form(work: &Joining<'_>, table: &TableFiles, copy: &LocalCopy) -> Result<Form> {
    let schema: SchemaRef = Arc::new(Schema::new(read(copy)?.schema().fields().clone()));
    let place = |name: &String| {
        let found = schema.index_of(name);
        found.map_err(|error| Failure::new(Kind::Damage, "find the key of a table").at(name).caused(error))
    };
    let key = table.key.iter().map(place).collect::<Result<Vec<_>>>()?;
    Ok(Form { key, schema, schema_hash: work.head.schema_hash.clone(), sizes: work.context.sizes })
}

/// The open records of neighbours that became one file, where each lists its own.
fn joined_open(run: &[&DataFile]) -> Option<OpenRecords> {
    let condition = run[0].open.as_ref()?.condition.clone();
    let mut ids = Vec::new();
    for file in run {
        ids.extend(&file.open.as_ref().filter(|open| open.condition == condition)?.ids);
    }
    Some(OpenRecords { condition, ids })
}
