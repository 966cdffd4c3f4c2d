//! The commit of one resource: buffered rows become files; one conditional put commits the files and the state.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::delta::publish;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, FORMAT, Version, decide, nonce};
use crate::plan::Reshape;
use crate::quantity::plural;
use crate::run::reference_marks;
use crate::run::session::ResourceSession;
use crate::store::StoreStep;
use crate::write::{Replace, Written};

impl ResourceSession<'_> {
    /// Commits the buffered rows together with the state, if either is new. `last` states that the scan ends with it.
    pub async fn commit(&mut self, replace: Replace, last: bool) -> Result<()> {
        let replace = self.buffer.admitted(replace);
        let _turn = self.context.commits.turn.acquire().await.expect("the turn is never closed");
        self.refuse_lost_lock()?;
        self.refuse_vanishing(replace).await?;
        self.bind().await?;
        let written = self.write(replace, last).await?;
        if let (Some(newest), true) = (self.observations.newest_rows.take(), self.tally.noticed.kept.is_empty()) {
            self.state.looked.rows = Some(newest.hash(written.tables.values()));
        }
        let staged = self.newly_staged(&written);
        if let Err(refused) = self.refuse_damaged_loss(&written).and_then(|()| self.refuse_much_older()) {
            self.context.store.delete(&staged.into_iter().collect::<Vec<_>>()).await?;
            return Err(refused);
        }
        self.observations.filled.lose(&written.lost);
        if last {
            self.settle_fields(replace);
        }
        for ((follower, ..), met) in self.commit_context.followers.iter().zip(&written.met) {
            // 0 stands for none at the source (docs/brightpearl-api.md §8.9).
            reference_marks::add(&mut self.state, follower, met.iter().copied().filter(|id| *id > 0).collect());
        }
        self.state.pending_references.retain(|_, ids| !ids.is_empty());
        if last {
            self.note_count(&written, &staged).await?;
        }
        let differing = self.differing(&written).await?;
        let rejected = self.write_rejected().await?;
        self.buffer.rejected_files.extend(rejected);
        let same_files = written.files == 0 && written.removes.is_empty() && self.buffer.rejected_files.is_empty();
        if same_files && self.head.as_ref().is_some_and(|head| head.state == self.state) {
            return Ok(());
        }
        self.put(written, staged).await?;
        self.count_missed(differing).await
    }

    /// Claims the destination before anything is written there.
    pub async fn bind(&self) -> Result<()> {
        let known = self.head.as_ref().is_some_and(|head| head.account == self.context.claims.binding.account());
        self.context.claims.binding.bind(&self.context.store, &self.context.client, known).await
    }

    /// Commits one rewrite of tables that differ from the catalogue; nothing is requested, and the state is kept. Gives
    /// the new columns that stay null until their record is read again.
    pub async fn reshape(&mut self, reshape: Reshape) -> Result<Vec<String>> {
        let _turn = self.context.commits.turn.acquire().await.expect("the turn is never closed");
        self.refuse_lost_lock()?;
        let Some(head) = self.head.clone() else { return Ok(Vec::new()) };
        let (written, unfilled) = self.reshape_files(head, reshape).await?;
        // An unfinished scan of another schema is not resumed.
        self.state.scan = self.state.scan.take().filter(|scan| scan.schema_hash == self.resource.hash);
        let staged = self.newly_staged(&written);
        self.put(written, staged).await?;
        Ok(unfilled)
    }

    pub(super) fn refuse_lost_lock(&self) -> Result<()> {
        if !self.context.claims.locks.lost().iter().any(|lost| **lost == *self.name) {
            return Ok(());
        }
        Err(Failure::new(Kind::Lost, "commit")
            .at(self.resource.name.clone())
            .because("another run took over the lock while this one was suspended")
            .advise("nothing is lost: the other run continues from the last commit; run again"))
    }

    /// Removes secrets from texts of the source in the state: every reader of the tables can read a manifest.
    fn redact_reasons(&mut self) {
        let redactor = self.context.client.redactor();
        let pending = self.state.pending.iter_mut().map(|pending| &mut pending.reason);
        let withheld = self.state.absence.withheld.values_mut().map(|known| &mut known.reason);
        pending.chain(withheld).for_each(|reason| *reason = redactor.clean(reason));
    }

    /// The put that decides, then publishing.
    pub(super) async fn put(&mut self, written: Written, staged: BTreeSet<String>) -> Result<()> {
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
        publish(&self.context.store, &version, &staged, self.context.clock.now()).await?;
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
        self.head = Some(self.commit_context.quarantine.without(version));
        self.commit_context.quarantine.clear_dropped();
        self.buffer.rejected_files.clear();
        self.commit_context.rebuild = false;
        self.commit_context.committed_at = Instant::now();
        Ok(())
    }

    fn version(&self, written: &Written) -> Version {
        let head = self.head.as_ref();
        let before = head.iter().flat_map(|head| &head.rejected);
        let kept = before.chain(&self.buffer.rejected_files).cloned().collect();
        let dropped =
            |path: &String| self.commit_context.quarantine.dropped().iter().any(|dropped| dropped.file.path == *path);
        let stays = |file: &&DataFile| !dropped(&file.path) && !written.removes.contains(&file.path);
        let deleted = head.iter().flat_map(|head| &head.deleted).filter(stays);
        Version {
            format: FORMAT,
            pearlift: env!("CARGO_PKG_VERSION").to_owned(),
            account: self.context.claims.binding.account().to_owned(),
            resource: self.resource.name.clone(),
            version: head.map_or(1, |head| head.version + 1),
            nonce: nonce(),
            parent: head.map(|head| head.nonce.clone()),
            run: self.context.run.clone(),
            written_at: self.context.clock.now(),
            schema_hash: self.resource.hash.clone(),
            tables: self.commit_context.quarantine.with(written.tables.clone()),
            removes: written.removes.clone(),
            rejected: kept,
            deleted: deleted.chain(&written.deleted).cloned().collect(),
            state: self.state.clone(),
            checkpoint: head.and_then(|head| head.checkpoint.clone()),
        }
        .settled()
    }
}
