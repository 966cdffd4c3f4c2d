//! The erasure of a person in one resource: rows emptied, rejected records too, one commit, then everything older removed.
//!
//! Works under the resource's lock. Each step can be repeated: after a crash the same command completes the rest.

use std::collections::BTreeSet;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use tokio::runtime::Handle;

use crate::delta::{publish, purge_log};
use crate::failure::{Failure, Kind, Result};
use crate::forget::forgetting::{ErasedResource, Forgetting};
use crate::forget::list::ForgottenList;
use crate::forget::person::PersonColumns;
use crate::forget::rejected::{EmptiedFiles, RejectedSelection, delete_unnamed, empty_rejected_files};
use crate::manifest::{DataFile, Erasure, Key, Looked, Version, decide, nonce, outline, versions};
use crate::schema::Resource;
use crate::store::{Locks, Store, StoreStep, paths};
use crate::write::{RecordSet, Rewriting, Rewritten, Sizes, WriteContext, rewrite_files, visit_rows};

/// Erasures that the state names: some 200 bytes each, in every version.
const NAMED: usize = 20;

/// One resource's erasure, complete on its own for a worker.
#[derive(Clone, Debug)]
pub struct Eraser {
    store: Store,
    resource: Resource,
    columns: PersonColumns,
    head: Version,
    person: i64,
    hash: String,
    spool: PathBuf,
    run: String,
    sizes: Sizes,
    dry_run: bool,
}

impl Eraser {
    /// The erasure of a person in the head of a resource.
    pub fn new(work: &Forgetting<'_>, resource: &Resource, columns: PersonColumns, head: Version, run: &str) -> Self {
        Self {
            store: work.store.clone(),
            resource: resource.clone(),
            columns,
            head,
            person: work.person,
            hash: work.key.hash(&work.person.to_string()),
            spool: work.spool.to_owned(),
            run: run.to_owned(),
            sizes: work.sizes,
            dry_run: work.dry_run,
        }
    }

    /// The files of deleted rows whose table the head does not have: their keys are unknown.
    pub fn unknown_files(&self) -> impl Iterator<Item = &DataFile> {
        self.head.deleted.iter().filter(|file| self.table_of(file).is_none())
    }

    fn table_of<'f>(&self, file: &'f DataFile) -> Option<&'f str> {
        let (table, _) = paths::of_deleted(&file.path)?;
        self.head.tables.contains_key(table).then_some(table)
    }

    /// The person's records: the one of the same key among people, elsewhere those with a row that has the id.
    fn records(&self, list: &ForgottenList) -> Result<RecordSet> {
        if self.resource.holds_people {
            return Ok(RecordSet::new(vec![Key::Int(self.person), Key::Text(self.person.to_string())]));
        }
        let mut keys = BTreeSet::new();
        let live = self.head.tables.iter();
        let live = live.flat_map(|(name, table)| table.files.iter().map(move |file| (name.as_str(), file)));
        let deleted = self.head.deleted.iter().filter_map(|file| Some((self.table_of(file)?, file)));
        for (name, file) in live.chain(deleted).filter(|(_, file)| file.rows > 0) {
            let references = self.columns.references(name);
            if references.is_empty() {
                continue;
            }
            let key = self.head.tables[name].key[0].as_str();
            let wanted: Vec<&str> = std::iter::once(key).chain(references.iter().map(String::as_str)).collect();
            visit_rows(&self.store, file, &wanted, self.person, &mut |batch| {
                let found = self.columns.recognise(name, batch, list);
                keys.extend(
                    (0..batch.num_rows()).filter(|row| found[*row]).filter_map(|row| record_key(batch, key, row)),
                );
            })?;
        }
        Ok(RecordSet::new(keys.into_iter().collect()))
    }

    /// Which rows of a batch are of these records.
    fn rows_of(&self, table: &str, batch: &RecordBatch, records: &RecordSet) -> Vec<bool> {
        let key = self.head.tables.get(table).map_or("", |table| table.key[0].as_str());
        let theirs = |row| record_key(batch, key, row).is_some_and(|key| records.contains(&key));
        (0..batch.num_rows()).map(theirs).collect()
    }

    fn rewriting<'a>(&'a self, dry_run: bool, runtime: &'a Handle) -> Rewriting<'a> {
        let Self { store, resource, head, spool, run, sizes, .. } = self;
        Rewriting { resource, head, context: WriteContext { store, spool, run, sizes: *sizes, runtime }, dry_run }
    }

    /// Empties the rows of the person's records and stages the files; or counts them. Blocks.
    fn rewrite(&self, records: &RecordSet, dry_run: bool, runtime: &Handle, number: &mut u64) -> Result<Rewritten> {
        let work = self.rewriting(dry_run, runtime);
        let edit =
            |table: &str, batch: &RecordBatch| self.columns.empty(table, batch, &self.rows_of(table, batch, records));
        rewrite_files(&work, records, &edit, number)
    }

    /// The texts of the person among people, by which reports are searched. Blocks.
    fn texts(&self, list: &ForgottenList, runtime: &Handle) -> Result<BTreeSet<String>> {
        let records = self.records(list)?;
        let found = std::cell::RefCell::new(BTreeSet::new());
        let work = self.rewriting(true, runtime);
        let look = |table: &str, batch: &RecordBatch| {
            let rows = self.rows_of(table, batch, &records);
            found.borrow_mut().extend(self.columns.texts(table, batch, &rows));
            Ok(None)
        };
        rewrite_files(&work, &records, &look, &mut 0)?;
        Ok(found.into_inner())
    }

    /// [`Eraser::texts`], on a thread for blocking work.
    pub async fn find_texts(&self, work: &Forgetting<'_>) -> Result<BTreeSet<String>> {
        let (eraser, list, runtime) = (self.clone(), work.list(), Handle::current());
        let found = tokio::task::spawn_blocking(move || eraser.texts(&list, &runtime)).await;
        found.expect("reading files does not panic")
    }

    /// Erases, or counts with `dry_run`. `number` numbers the files of the run.
    pub async fn erase(
        &self,
        work: &Forgetting<'_>,
        locks: Option<&Locks>,
        number: &mut u64,
    ) -> Result<ErasedResource> {
        let (eraser, list, runtime) = (self.clone(), work.list(), Handle::current());
        let (dry_run, mut next) = (self.dry_run, *number);
        let rewritten = tokio::task::spawn_blocking(move || {
            let records = eraser.records(&list)?;
            let rewritten = eraser.rewrite(&records, dry_run, &runtime, &mut next)?;
            Ok::<_, Failure>((records, rewritten, next))
        });
        let (records, rewritten, next) = rewritten.await.expect("writing files does not panic")?;
        *number = next;
        let list = work.list();
        let selection = RejectedSelection { records: &records, fields: &self.columns.fields, list: &list };
        let run = (!self.dry_run).then_some(self.run.as_str());
        let rejected = empty_rejected_files(&self.store, &self.head, selection, run, number).await?;
        let mut erased = ErasedResource {
            resource: self.resource.name.clone(),
            rows: rewritten.rows.clone(),
            rejected: rejected.records,
            ..ErasedResource::default()
        };
        let Some(locks) = locks.filter(|_| !self.dry_run) else { return Ok(erased) };
        let head = self.commit(work, rewritten, rejected).await?;
        erased.version = (head.version != self.head.version).then_some(head.version);
        erased.versions_removed = purge(&self.store, locks, &head).await?;
        erased.unknown = purge_log(&self.store, &head, work.now).await?;
        Ok(erased)
    }

    /// Commits the erasure, where something changed or the head does not name it; gives the head. A commit without a change
    /// keeps runs out that began before the person was on the list, and have slept since.
    async fn commit(&self, work: &Forgetting<'_>, rewritten: Rewritten, rejected: EmptiedFiles) -> Result<Version> {
        let is_named = self.head.state.erasures.iter().any(|erasure| erasure.person == self.hash);
        if rewritten.removes.is_empty() && rejected.records == 0 && is_named {
            return Ok(self.head.clone());
        }
        let mut state = self.head.state.clone();
        // Answers about files that are gone.
        state.looked = Looked::default();
        state.erasures.push(Erasure {
            person: self.hash.clone(),
            run: self.run.clone(),
            at: work.now,
            rows: rewritten.rows,
            rejected: rejected.records,
        });
        state.erasures.drain(..state.erasures.len().saturating_sub(NAMED));
        let version = Version {
            tables: rewritten.tables,
            deleted: rewritten.deleted,
            removes: rewritten.removes,
            rejected: rejected.files,
            state,
            // Every older version goes, the checkpoint among them.
            checkpoint: None,
            ..self.head.next(&self.run, nonce(), work.now)
        };
        let version = version.settled();
        self.store.reach(StoreStep::Ready, &self.resource.name)?;
        if let Err(failure) = decide(&self.store, &version).await {
            if failure.kind() == Kind::Lost {
                let staged: Vec<String> = rewritten.staged.into_iter().chain(rejected.new).collect();
                self.store.delete(&staged).await?;
            }
            return Err(failure);
        }
        self.store.reach(StoreStep::Decided, &self.resource.name)?;
        publish(&self.store, &version, &rewritten.staged, work.now).await?;
        Ok(version)
    }
}

/// Removes the files that versions took out of the tables, files of rejected records that the head does not name, and then
/// all versions but the head and its checkpoint; gives the number of versions.
async fn purge(store: &Store, locks: &Locks, head: &Version) -> Result<u64> {
    let checkpoint = head.checkpoint.as_ref().map(|checkpoint| checkpoint.version);
    let numbers = versions(store, &head.resource).await?;
    let going: Vec<u64> =
        numbers.into_iter().filter(|number| *number < head.version && Some(*number) != checkpoint).collect();
    if !locks.still_holds(&head.resource).await? {
        return Err(Failure::new(Kind::Lost, "remove older versions")
            .at(head.resource.clone())
            .because("another run took over the lock while this one slept")
            .advise("run the same command again"));
    }
    let live: BTreeSet<&str> = head.files().chain(&head.deleted).map(|file| file.path.as_str()).collect();
    let is_ours = |path: &String| {
        let of = paths::of_data(path).or_else(|| paths::of_deleted(path));
        !live.contains(path.as_str()) && of.is_some_and(|(table, _)| head.tables.contains_key(table))
    };
    let mut superseded: BTreeSet<String> = head.removes.iter().filter(|path| is_ours(path)).cloned().collect();
    for number in &going {
        match outline(store, &head.resource, *number).await {
            Ok(version) => superseded.extend(version.into_iter().flat_map(|version| version.removes).filter(is_ours)),
            // One that cannot be read names nothing.
            Err(failure) if failure.kind() == Kind::Damage => {}
            Err(failure) => return Err(failure),
        }
    }
    store.delete(&superseded.into_iter().collect::<Vec<_>>()).await?;
    delete_unnamed(store, head).await?;
    // As long as a file may exist there, a version identifies it as ours.
    let paths: Vec<String> = going.iter().map(|number| paths::manifest(&head.resource, *number)).collect();
    store.delete(&paths).await?;
    Ok(u64::try_from(paths.len()).expect("a length fits"))
}

/// The record key of a row.
fn record_key(batch: &RecordBatch, key: &str, row: usize) -> Option<Key> {
    let column = batch.column_by_name(key).filter(|column| column.is_valid(row))?;
    match column.data_type() {
        DataType::Int64 => Some(Key::Int(column.as_primitive::<Int64Type>().value(row))),
        DataType::Utf8 => Some(Key::Text(column.as_string::<i32>().value(row).to_owned())),
        _ => None,
    }
}
