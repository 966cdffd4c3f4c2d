//! The files of a commit: rows of the buffer merged with stored rows, rows of deleted records, tables of another shape.
//!
//! Takes the buffer and the head on a worker, gives staged files and the files that they replace. Nothing is visible
//! yet.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::config::Deletes;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Key, Version};
use crate::plan::Reshape;
use crate::quantity::{number, plural};
use crate::run::buffer::Gone;
use crate::run::older_copies::{Judged, OlderRule};
use crate::run::safety_limit::SafetyLimit;
use crate::run::session::ResourceSession;
use crate::schema::{Naming, Resource};
use crate::store::Store;
use crate::write::{
    DeletedFiles, DeletedRows, DeletedSelection, Marks, Reappeared, RecordSet, Replace, Reshaping, Sizes, Spool,
    Spooled, WriteContext, WriteRequest, Written, cancel_deletions, marked_tables, older_copies, reshape_tables,
    write_deleted_rows, write_tables,
};

/// The place at which a worker writes.
pub(super) struct Workplace {
    pub store: Store,
    pub resource: Arc<Resource>,
    pub folder: PathBuf,
    pub run: String,
    pub sizes: Sizes,
    pub runtime: Handle,
}

impl Workplace {
    pub fn context(&self) -> WriteContext<'_> {
        let Self { store, folder, run, sizes, runtime, .. } = self;
        WriteContext { store, spool: folder, run, sizes: *sizes, runtime }
    }

    /// Rows that are kept beside the tables of a version.
    fn beside<'w>(&'w self, head: &'w Version) -> DeletedRows<'w> {
        DeletedRows { resource: &self.resource, head, context: self.context() }
    }
}

/// The extent of a commit.
struct Extent {
    replace: Replace,
    last: bool,
    /// Snapshots of days before this one go.
    keep_from: Option<i32>,
    /// Columns that report their values in changed rows.
    watch: Vec<Naming>,
    met_from: i32,
    /// Damaged files leave the tables.
    drops_files: bool,
}

/// One write, complete on its own for a worker.
struct FileWriter {
    place: Workplace,
    spool: Spool,
    /// The version with which rows are merged; none where files are built anew.
    head: Option<Version>,
    /// The version with the files that rebuilt files replace.
    leaving: Option<Version>,
    gone: Option<Gone>,
    preserved_keys: Vec<Key>,
    deletes: Deletes,
    /// The time of deletion of records that are marked.
    at: Timestamp,
    rule: OlderRule,
    extent: Extent,
    /// The number of the next file.
    number: u64,
}

/// The result of a write.
struct FilesWritten {
    spool: Spool,
    number: u64,
    written: Written,
    judged: Judged,
    reappeared: Reappeared,
}

impl FileWriter {
    /// Writes and stages the files; none where nothing is buffered and nothing is to be replaced.
    fn write(mut self) -> Result<FilesWritten> {
        let marks_deleted = self.deletes == Deletes::Mark;
        let out = self.gone.iter().filter(|_| !marks_deleted);
        for (key, gone) in out.flat_map(|gone| gone.records.keys().iter().map(move |key| (key, gone))) {
            self.spool.add_empty(key.clone(), gone.at);
        }
        let marked = self.gone.as_ref().filter(|_| marks_deleted).map(|gone| gone.records.clone()).unwrap_or_default();
        let mut spooled = self.spool.take()?;
        let judged = self.judge_copies(&mut spooled)?;
        let reappeared = match self.head.as_ref().or(self.leaving.as_ref()) {
            Some(stored) => cancel_deletions(&self.place.beside(stored), &spooled, &mut self.number)?,
            None => Reappeared::default(),
        };
        let kept = self.keep_deleted_rows(&reappeared)?;
        spooled.forget_copies();
        let nothing_to_do = spooled.records.is_empty() && marked.is_empty() && !self.extent.drops_files;
        let mut written = match (&self.head, self.extent.replace) {
            (Some(head), Replace::Records) if nothing_to_do => {
                // The rows of deleted records are stored below `_pearlift/deleted/` only where some leave the tables.
                let written = Written { tables: head.tables.clone(), ..Written::default() };
                return Ok(FilesWritten { spool: self.spool, number: self.number, written, judged, reappeared });
            }
            (_, _) => self.write_tables(&spooled, &marked)?,
        };
        written.deleted = kept.files;
        written.removes.extend(kept.removes);
        Ok(FilesWritten { spool: self.spool, number: self.number, written, judged, reappeared })
    }

    /// Leaves out copies that are older than the stored ones.
    fn judge_copies(&mut self, spooled: &mut Spooled) -> Result<Judged> {
        let older = match self.head.as_ref().or(self.leaving.as_ref()) {
            Some(stored) => older_copies(&self.place.store, &self.place.resource, stored, spooled)?,
            None => Vec::new(),
        };
        let judged = self.rule.judge(older, |key| spooled.records.contains(key));
        if self.leaving.is_none() {
            // Files that are built anew have no stored rows that could stay.
            spooled.leave_out(&judged.kept_keys());
            self.preserved_keys.extend(judged.kept_keys());
        }
        Ok(judged)
    }

    /// Writes the rows of deleted records beside the tables, where they are kept.
    fn keep_deleted_rows(&mut self, reappeared: &Reappeared) -> Result<DeletedFiles> {
        let marked = self.leaving.as_ref().filter(|_| self.deletes != Deletes::Drop);
        let marked = marked.map(|leaving| (leaving, marked_tables(&leaving.tables)));
        let (head, which) = match (&self.gone, &self.head, &marked) {
            (Some(Gone { records, at, kept: true }), Some(head), _) => (head, DeletedSelection::Of(records, *at)),
            // Files that are built anew hold nothing of records that the source no longer has.
            (_, _, Some((leaving, tables))) => (*leaving, DeletedSelection::Marked(tables)),
            (_, _, None) => return Ok(DeletedFiles::default()),
        };
        let (place, left) = (&self.place, &reappeared.removes);
        write_deleted_rows(&place.beside(head), &which, left, &mut self.number)
    }

    fn write_tables(&mut self, spooled: &Spooled, marked: &RecordSet) -> Result<Written> {
        let Workplace { store, resource, folder, run, sizes, runtime } = &self.place;
        let Extent { replace, last, keep_from, watch, met_from, .. } = &self.extent;
        let preserved = RecordSet::new(std::mem::take(&mut self.preserved_keys));
        let request = WriteRequest {
            store,
            resource,
            head: self.head.as_ref(),
            spool: folder,
            run,
            replace: *replace,
            preserved: &preserved,
            marks: (self.deletes == Deletes::Mark).then_some(Marks { records: marked, at: self.at }),
            sizes: *sizes,
            keep_from: *keep_from,
            last: *last,
            watch,
            met_from: *met_from,
        };
        write_tables(&request, spooled, runtime, &mut self.number)
    }
}

impl ResourceSession<'_> {
    /// Writes and stages the files of a commit; `last` states that the scan ends with it.
    pub async fn write(&mut self, replace: Replace, last: bool) -> Result<Written> {
        let writer = self.writer(replace, last).await?;
        let written = tokio::task::spawn_blocking(move || writer.write());
        let FilesWritten { spool, number, mut written, judged, reappeared } =
            written.await.expect("writing files does not panic")?;
        self.settle_older(judged);
        self.buffer.give_back(spool);
        self.context.commits.files.store(number, Ordering::Relaxed);
        if let (true, Some(head)) = (self.commit_context.rebuild, &self.head) {
            written.removes.extend(head.paths().into_iter().map(str::to_owned));
        }
        let dropped = self.commit_context.quarantine.dropped();
        written.removes.extend(dropped.iter().map(|dropped| dropped.file.path.clone()));
        self.tally.noticed.reappeared += reappeared.rows;
        written.removes.extend(reappeared.removes);
        written.deleted.extend(reappeared.files);
        Ok(written)
    }

    async fn writer(&mut self, replace: Replace, last: bool) -> Result<FileWriter> {
        let met_from = self.met_from().await?;
        let watch = self.commit_context.followers.iter().map(|(_, naming)| naming.clone());
        let watch: Vec<Naming> = watch.chain(self.record_keys_watched()).collect();
        let gone = self.buffer.gone.take();
        let at = gone.as_ref().map(|gone| gone.at).or(self.state.completed_at);
        let (head, leaving) =
            if self.commit_context.rebuild { (None, self.head.clone()) } else { (self.head.clone(), None) };
        Ok(FileWriter {
            place: self.workplace(),
            spool: self.buffer.take_spool(),
            head,
            leaving,
            gone,
            preserved_keys: std::mem::take(&mut self.buffer.preserved_keys),
            deletes: self.options.deletes,
            at: at.unwrap_or_else(|| self.context.clock.now()),
            rule: self.older_rule(),
            extent: Extent {
                replace,
                last,
                keep_from: self.commit_context.keep_from,
                watch,
                met_from,
                drops_files: !self.commit_context.quarantine.dropped().is_empty(),
            },
            number: self.context.commits.files.load(Ordering::Relaxed),
        })
    }

    /// The place at which a worker writes files of this resource.
    pub(super) fn workplace(&self) -> Workplace {
        Workplace {
            store: self.context.store.clone(),
            resource: Arc::clone(&self.resource),
            folder: self.context.spool.join(&*self.name),
            run: self.context.run.clone(),
            sizes: Sizes::of(&self.context.limits),
            runtime: Handle::current(),
        }
    }

    /// Rewrites the tables of a head that the catalogue wants otherwise. Gives the new columns that stay null until
    /// their record is read again.
    pub async fn reshape_files(&mut self, head: Version, reshape: Reshape) -> Result<(Written, Vec<String>)> {
        let (place, kept) = (self.workplace(), self.options.deletes != Deletes::Drop);
        let mut number = self.context.commits.files.load(Ordering::Relaxed);
        let reshaped = tokio::task::spawn_blocking(move || {
            let reshaping = Reshaping { resource: &place.resource, head: &head, context: place.context(), kept };
            let done = reshape_tables(&reshaping, &reshape, &mut number)?;
            Ok::<_, Failure>((number, done))
        });
        let (number, done) = reshaped.await.expect("writing files does not panic")?;
        self.context.commits.files.store(number, Ordering::Relaxed);
        Ok(done)
    }

    /// The staged paths of files that the head does not name.
    pub fn newly_staged(&self, written: &Written) -> BTreeSet<String> {
        let known: BTreeSet<&str> = self.head.iter().flat_map(Version::paths).collect();
        let files = written.tables.values().flat_map(|table| &table.files).chain(&written.deleted);
        files.filter(|file| !known.contains(file.path.as_str())).map(|file| file.staged.clone()).collect()
    }

    /// Refuses a repair that returns few of the rows of damaged files: more likely the source is at fault. Rows are
    /// counted, since the records of a damaged file cannot be read.
    pub fn refuse_damaged_loss(&self, written: &Written) -> Result<()> {
        let lost = self.commit_context.quarantine.dropped_rows().saturating_sub(written.changes.added);
        if self.options.forced || lost <= SafetyLimit::LOST_ROWS.of(self.had_rows()) {
            return Ok(());
        }
        Err(Failure::new(Kind::Doubtful, format!("accept the new {}", self.name))
            .because(format!(
                "{} of {} not returned, more than may be removed at once",
                number(lost),
                plural(self.had_rows(), "row")
            ))
            .advise(format!(
                "if they were really deleted at the source, `pearlift backfill --damaged --force {}` accepts it",
                self.name
            )))
    }
}
