//! The commit of one resource: what is spooled becomes files, and files and state move in one conditional put.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config::Deletes;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, FORMAT, RejectedFile, Version, decide, publish};
use crate::plan::Reshape;
use crate::quantity::{number, plural};
use crate::run::nonce;
use crate::run::once::unwritten;
use crate::run::references;
use crate::run::session::{Gone, ResourceSession, count};
use crate::schema::Naming;
use crate::store::{StoreStep, paths};
use crate::write::{
    DeletedFiles, DeletedRows, DeletedSelection, Marks, Reappeared, RecordSet, Replace, Reshaping, Sizes, WriteRequest,
    Written, cancel_deletions, marked_tables, older_copies, reshape_tables, write_deleted_rows, write_tables,
};

/// More rows of damaged files than this, and than a hundredth of all, may not be lost.
const MAY_VANISH: u64 = 100;

impl ResourceSession<'_> {
    /// Commits what is spooled together with the state, if either is new. `last` says that the scan ends with it.
    pub async fn commit(&mut self, replace: Replace, last: bool) -> Result<()> {
        let replace = if replace == Replace::Everything && self.keyless { Replace::Records } else { replace };
        let _turn = self.context.commit_turn.acquire().await.expect("the turn is never closed");
        self.refuse_lost_lock()?;
        self.refuse_vanishing(replace).await?;
        self.bind().await?;
        if last {
            self.settle_fields(replace);
        }
        let written = self.write(replace, last).await?;
        if let (Some(newest), true) = (self.newest_rows.take(), self.tally.noticed.kept.is_empty()) {
            self.state.looked.rows = Some(newest.hash(written.tables.values()));
        }
        let staged = self.newly_staged(&written);
        if let Err(refused) = self.refuse_damaged_loss(&written).and_then(|()| self.refuse_much_older()) {
            self.context.store.delete(&staged.into_iter().collect::<Vec<_>>()).await?;
            return Err(refused);
        }
        for ((follower, ..), met) in self.followers.iter().zip(&written.met) {
            // 0 stands for none at the source (docs/brightpearl-api.md §8.9).
            references::add(&mut self.state, follower, met.iter().copied().filter(|id| *id > 0).collect());
        }
        self.state.pending_references.retain(|_, ids| !ids.is_empty());
        if last {
            self.note_count(&written, &staged).await?;
        }
        let differing = self.differing(&written).await?;
        let rejected = self.write_rejected().await?;
        self.kept.extend(rejected);
        let same_files = written.files == 0 && written.removes.is_empty() && self.kept.is_empty();
        if same_files && self.head.as_ref().is_some_and(|head| head.state == self.state) {
            return Ok(());
        }
        self.put(written, staged).await?;
        self.count_missed(differing).await
    }

    /// Claims the destination before anything is written there.
    pub(super) async fn bind(&self) -> Result<()> {
        let known = self.head.as_ref().is_some_and(|head| head.account == self.context.account);
        self.context.binding.bind(&self.context.store, &self.context.client, known).await
    }

    /// Commits one rewrite of the tables that the catalogue wants otherwise; nothing is asked of the source, and the state
    /// goes on. Gives the new columns that stay null until their record is read again.
    pub async fn reshape(&mut self, reshape: Reshape) -> Result<Vec<String>> {
        let _turn = self.context.commit_turn.acquire().await.expect("the turn is never closed");
        self.refuse_lost_lock()?;
        let Some(head) = self.head.clone() else { return Ok(Vec::new()) };
        let (resource, kept) = (Arc::clone(&self.resource), self.deletes != Deletes::Drop);
        let (store, run, folder) =
            (self.context.store.clone(), self.context.run.clone(), self.context.spool.join(&*self.name));
        let sizes = self.sizes();
        let runtime = Handle::current();
        let mut number = self.context.files_numbered.load(Ordering::Relaxed);
        let session = tokio::task::spawn_blocking(move || {
            let session =
                Reshaping { store: &store, resource: &resource, head: &head, spool: &folder, run: &run, sizes, kept };
            let done = reshape_tables(&session, &reshape, &runtime, &mut number)?;
            Ok::<_, Failure>((number, done))
        });
        let (number, (written, unfilled)) = session.await.expect("writing files does not panic")?;
        self.context.files_numbered.store(number, Ordering::Relaxed);
        // An unfinished scan of another schema is not gone on with.
        self.state.scan = self.state.scan.take().filter(|scan| scan.schema_hash == self.resource.hash);
        let staged = self.newly_staged(&written);
        self.put(written, staged).await?;
        Ok(unfilled)
    }

    fn refuse_lost_lock(&self) -> Result<()> {
        if !self.context.locks.lost().iter().any(|lost| **lost == *self.name) {
            return Ok(());
        }
        Err(Failure::new(Kind::Lost, "commit")
            .at(self.resource.name.clone())
            .because("another run took over the lock while this one slept")
            .advise("nothing is lost: the other run continues from the last commit; run again"))
    }

    fn sizes(&self) -> Sizes {
        Sizes::of(&self.context.limits)
    }

    /// Texts of the source in the state, without secrets: a manifest is read by whoever reads the tables.
    fn redact_reasons(&mut self) {
        let redactor = self.context.client.redactor();
        let pending = self.state.pending.iter_mut().map(|pending| &mut pending.reason);
        let withheld = self.state.absence.withheld.values_mut().map(|known| &mut known.reason);
        pending.chain(withheld).for_each(|reason| *reason = redactor.clean(reason));
    }

    /// The put that decides, then publishing.
    async fn put(&mut self, written: Written, staged: BTreeSet<String>) -> Result<()> {
        self.redact_reasons();
        let version = self.version(&written);
        self.context.store.reach(StoreStep::Ready, &self.name)?;
        if let Err(lost) = decide(&self.context.store, &version).await {
            if lost.kind() == Kind::Lost {
                self.context.store.delete(&staged.into_iter().collect::<Vec<_>>()).await?;
            }
            return Err(lost);
        }
        self.context.store.reach(StoreStep::Decided, &self.name)?;
        publish(&self.context.store, &version, &staged).await?;
        self.context.events.tell(Event::Committed {
            resource: self.resource.name.clone(),
            version: version.version,
            files: written.files,
            bytes: written.bytes,
            changed: written.changes.total(),
        });
        if written.twice > 0 {
            let text = format!(
                "{} with a key that occurs twice in one record: the first is kept",
                plural(written.twice, "row")
            );
            self.context.events.warn(&self.name, text);
        }
        self.tally.commits += 1;
        self.tally.files += written.files;
        self.tally.bytes += written.bytes;
        self.tally.changes.add(written.changes);
        self.tally.twice += written.twice;
        self.head = Some(self.without_apart(version));
        self.dropped.clear();
        self.kept.clear();
        self.rebuild = false;
        self.committed_at = Instant::now();
        Ok(())
    }

    /// Writes and stages the files of a commit; none when nothing was spooled and nothing is to be replaced.
    async fn write(&mut self, replace: Replace, last: bool) -> Result<Written> {
        let mut spool = self.spool.take().expect("the spool is back between calls");
        let (resource, head) = (Arc::clone(&self.resource), if self.rebuild { None } else { self.head.clone() });
        let (store, run, folder) =
            (self.context.store.clone(), self.context.run.clone(), self.context.spool.join(&*self.name));
        let sizes = self.sizes();
        let mut spared = std::mem::take(&mut self.spared);
        let runtime = Handle::current();
        let mut number = self.context.files_numbered.load(Ordering::Relaxed);
        let gone = self.gone.take();
        let (keeps_marked, forgets) = (self.deletes == Deletes::Mark, self.deletes == Deletes::Drop);
        let at =
            gone.as_ref().map(|gone| gone.at).or(self.state.completed_at).unwrap_or_else(|| self.context.clock.now());
        let leaving = if self.rebuild { self.head.clone() } else { None };
        let keep_from = self.keep_from;
        let none_dropped = self.dropped.is_empty();
        let (rule, rebuild) = (self.older_rule(), self.rebuild);
        let met_from = self.met_from().await?;
        let watch = self.followers.iter().map(|(_, naming)| naming.clone());
        let watch: Vec<Naming> = watch.chain(self.owners_watched()).collect();
        let session = tokio::task::spawn_blocking(move || {
            let out = gone.iter().filter(|_| !keeps_marked);
            for (key, gone) in out.flat_map(|gone| gone.owners.keys().iter().map(move |key| (key, gone))) {
                spool.add_empty(key.clone(), gone.at);
            }
            let beside =
                |head| DeletedRows { store: &store, resource: &resource, head, spool: &folder, run: &run, sizes };
            let marked = gone.as_ref().filter(|_| keeps_marked).map(|gone| gone.owners.clone()).unwrap_or_default();
            let marks = keeps_marked.then_some(Marks { owners: &marked, at });
            let mut spooled = spool.take()?;
            let stored = head.as_ref().or(leaving.as_ref());
            let older = match stored {
                Some(stored) => older_copies(&store, &resource, stored, &spooled)?,
                None => Vec::new(),
            };
            let judged = rule.judge(older, |key| spooled.owners.contains(key));
            if !rebuild {
                // Files that are built anew have no stored rows that could stay.
                spooled.leave_out(&judged.kept_keys());
                spared.extend(judged.kept_keys());
            }
            let reappeared = match stored {
                Some(stored) => cancel_deletions(&beside(stored), &spooled, &runtime, &mut number)?,
                None => Reappeared::default(),
            };
            let left = &reappeared.removes;
            let deleted_rows = |head, which: &DeletedSelection<'_>, number: &mut u64| {
                write_deleted_rows(&beside(head), which, left, &runtime, number)
            };
            let kept = match (&gone, &head, &leaving) {
                (Some(Gone { owners, at, kept: true }), Some(head), _) => {
                    deleted_rows(head, &DeletedSelection::Of(owners, *at), &mut number)?
                }
                // Files that are built anew hold nothing of records that the source no longer has.
                (_, _, Some(head)) if !forgets => {
                    deleted_rows(head, &DeletedSelection::Marked(&marked_tables(&head.tables)), &mut number)?
                }
                (_, _, _) => DeletedFiles::default(),
            };
            spooled.forget_copies();
            let preserved = RecordSet::new(spared);
            let nobody = spooled.owners.is_empty() && marked.is_empty() && none_dropped;
            if let (Some(head), true, Replace::Records) = (&head, nobody, replace) {
                let written = Written { tables: head.tables.clone(), ..Written::default() };
                return Ok((spool, number, written, judged, reappeared));
            }
            let write_request = WriteRequest {
                store: &store,
                resource: &resource,
                head: head.as_ref(),
                spool: &folder,
                run: &run,
                replace,
                preserved: &preserved,
                marks,
                sizes,
                keep_from,
                last,
                watch: &watch,
                met_from,
            };
            let mut written = write_tables(&write_request, &spooled, &runtime, &mut number)?;
            written.deleted = kept.files;
            written.removes.extend(kept.removes);
            Ok::<_, Failure>((spool, number, written, judged, reappeared))
        });
        let (spool, number, mut written, judged, reappeared) = session.await.expect("writing files does not panic")?;
        self.settle_older(judged);
        self.spool = Some(spool);
        self.context.files_numbered.store(number, Ordering::Relaxed);
        if let (true, Some(head)) = (self.rebuild, &self.head) {
            written.removes.extend(head.paths().into_iter().map(str::to_owned));
        }
        written.removes.extend(self.dropped.iter().map(|dropped| dropped.file.path.clone()));
        self.tally.noticed.reappeared += reappeared.rows;
        written.removes.extend(reappeared.removes);
        written.deleted.extend(reappeared.files);
        Ok(written)
    }

    /// The staged paths of files that the head does not name.
    fn newly_staged(&self, written: &Written) -> BTreeSet<String> {
        let known: BTreeSet<&str> = self.head.iter().flat_map(Version::paths).collect();
        let files = written.tables.values().flat_map(|table| &table.files).chain(&written.deleted);
        files.filter(|file| !known.contains(file.path.as_str())).map(|file| file.staged.clone()).collect()
    }

    /// Rows of damaged files of which most do not come back are more likely a fault of the source than the truth. Records are
    /// not counted: what a damaged file held cannot be read.
    fn refuse_damaged_loss(&self, written: &Written) -> Result<()> {
        let lost = self.dropped_rows().saturating_sub(written.changes.added);
        if self.forced || lost <= MAY_VANISH.max(self.had_rows() / 100) {
            return Ok(());
        }
        Err(Failure::new(Kind::Doubtful, format!("accept the new {}", self.name))
            .because(format!(
                "{} of {} not returned, more than may go at once",
                number(lost),
                plural(self.had_rows(), "row")
            ))
            .advise(format!(
                "if they are truly gone at the source, `pearlift backfill --damaged --force {}` accepts it",
                self.name
            )))
    }

    /// Keeps records that did not fit in a file of their own, each once.
    pub(super) async fn write_rejected(&mut self) -> Result<Option<RejectedFile>> {
        let records = std::mem::take(&mut self.records);
        self.records = unwritten(&mut self.state.evidence.rejected, records);
        if self.records.is_empty() {
            return Ok(None);
        }
        let mut text = Vec::new();
        for record in &self.records {
            let mut line = serde_json::json!({ "id": record.id, "reason": record.reason, "record": record.raw });
            if let Some(table) = &record.table {
                line["table"] = serde_json::json!(table);
            }
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| Failure::new(Kind::Bug, "write a rejected record").caused(error))?;
            text.push(b'\n');
        }
        let number = self.context.rejected_numbered.fetch_add(1, Ordering::Relaxed);
        let path = paths::rejected(&self.resource.name, &self.context.run, number);
        self.context.store.put_own(&path, text).await?;
        self.context.store.reach(StoreStep::RejectedKept, &path)?;
        let records = count(self.records.len());
        self.records.clear();
        Ok(Some(RejectedFile { path, records }))
    }

    fn version(&self, written: &Written) -> Version {
        let head = self.head.as_ref();
        let before = head.iter().flat_map(|head| &head.rejected);
        let kept = before.chain(&self.kept).cloned().collect();
        let dropped = |path: &String| self.dropped.iter().any(|dropped| dropped.file.path == *path);
        let stays = |file: &&DataFile| !dropped(&file.path) && !written.removes.contains(&file.path);
        let deleted = head.iter().flat_map(|head| &head.deleted).filter(stays);
        Version {
            format: FORMAT,
            pearlift: env!("CARGO_PKG_VERSION").to_owned(),
            account: self.context.account.clone(),
            resource: self.resource.name.clone(),
            version: head.map_or(1, |head| head.version + 1),
            nonce: nonce(),
            parent: head.map(|head| head.nonce.clone()),
            run: self.context.run.clone(),
            written_at: self.context.clock.now(),
            schema_hash: self.resource.hash.clone(),
            tables: self.with_apart(written.tables.clone()),
            removes: written.removes.clone(),
            rejected: kept,
            deleted: deleted.chain(&written.deleted).cloned().collect(),
            state: self.state.clone(),
            checkpoint: head.and_then(|head| head.checkpoint.clone()),
        }
        .settled()
    }
}
