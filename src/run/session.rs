//! One resource during a run: the buffer that it fills, the state that the next commit carries, and its commits.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Deletes;
use crate::decode::{Page, RejectedRecord, Shape};
use crate::event::Event;
use crate::failure::Result;
use crate::fetch::IdRanges;
use crate::manifest::{FieldDrift, Key, State, Version};
use crate::plan::Fit;
use crate::quantity::count;
use crate::run::buffer::Buffer;
use crate::run::commit_context::CommitContext;
use crate::run::context::RunContext;
use crate::run::holder::Holder;
use crate::run::lookups::Lookups;
use crate::run::observations::Observations;
use crate::run::outcome::Tally;
use crate::run::quarantine::QuarantinedFile;
use crate::schema::{Granularity, PartitionChoice, Resource};
use crate::store::StoreStep;

/// The spool of one resource may hold this part of the memory setting; three resources are at work at once, pages and
/// one commit need the rest.
pub const SPOOL_SHARE: u64 = 16;
/// The keys of its records may take this part until they are committed: they stay in memory.
const RECORDS_SHARE: u64 = 6;
/// Stands for a pending record with an unreadable key.
pub const UNIDENTIFIED: &str = "?";

/// The wishes of settings and command line for a resource.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Files of another shape are built anew.
    pub rebuilds: bool,
    /// Rows may vanish, however many.
    pub forced: bool,
    /// The treatment of the rows of deleted records.
    pub deletes: Deletes,
    /// The time for which the snapshots of a day are kept.
    pub keep: Option<Duration>,
    /// A full read takes records created from then on.
    pub start: Option<Timestamp>,
    /// Ids of which a copy older than the stored one is accepted.
    pub accepts_older: IdRanges,
}

impl SessionOptions {
    /// No wish except for the rows of deleted records.
    pub fn new(deletes: Deletes) -> Self {
        Self { rebuilds: false, forced: false, deletes, keep: None, start: None, accepts_older: IdRanges::new() }
    }
}

/// The stored rows that a scan looks into.
#[derive(Debug)]
pub struct StoredRows {
    /// Answers of lookups in the head's files.
    pub lookups: Lookups,
    /// The table of another resource that holds the ids by which this one is read.
    pub holder: Option<Holder>,
}

/// One resource at work.
pub struct ResourceSession<'a> {
    pub context: &'a RunContext,
    pub resource: Arc<Resource>,
    pub name: Arc<str>,
    pub shape: Arc<Shape>,
    pub options: SessionOptions,
    /// The newest version, without its damaged files.
    pub head: Option<Version>,
    /// The state that the next commit puts.
    pub state: State,
    /// Rows and records that the next commit writes.
    pub buffer: Buffer,
    pub observations: Observations,
    pub commit_context: CommitContext,
    pub stored: StoredRows,
    pub tally: Tally,
}

impl<'a> ResourceSession<'a> {
    /// Prepares a resource. Refuses (`Schema`) where the files at the destination are of another shape than the
    /// schema's and are not to be built anew.
    pub fn new(
        context: &'a RunContext,
        resource: &Resource,
        head: Option<Version>,
        options: SessionOptions,
    ) -> Result<Self> {
        let divided = head.as_ref().map_or_else(|| resource.clone(), |head| head.dividing(resource));
        let resource = &divided;
        let fit = head.as_ref().map_or(Fit::Same, |head| Fit::of(head, resource));
        if let (Some(refusal), false) = (fit.refusal(resource), options.rebuilds) {
            return Err(refusal);
        }
        let mut state = head.as_ref().map(|head| head.state.clone()).unwrap_or_default();
        // A first load commits by month; its end divides the files as the settings want them.
        let by_month = PartitionChoice::Fixed(Granularity::Month);
        state.partition_open |=
            head.is_none() && resource.partition().date().is_some_and(|(_, wanted)| wanted != by_month);
        state.backfill.take_if(|backfill| backfill.schema_hash != resource.hash);
        if head.as_ref().is_some_and(|head| head.schema_hash != resource.hash) {
            // The fields in which answers differed from another schema do not concern this one.
            state.evidence.drift = FieldDrift::default();
        }
        let holder = resource.held_ids();
        let holder = holder.map(|held| Holder::new(&context.store, &context.catalog, resource, held)).transpose()?;
        let stored = StoredRows { lookups: Lookups::of(state.looked.clone()), holder };
        let memory = (context.limits.memory / SPOOL_SHARE).max(8 << 20);
        Ok(Self {
            context,
            name: Arc::from(resource.name.as_str()),
            shape: Arc::new(Shape::compile(resource)?),
            buffer: Buffer::new(resource, &context.spool.join(&resource.name), memory, context.store.watcher())?,
            observations: Observations::new(context.client.clocks().ours()),
            commit_context: CommitContext::new(context, resource, head.as_ref(), &fit),
            stored,
            tally: Tally::default(),
            resource: Arc::new(divided),
            options,
            head,
            state,
        })
    }

    /// Takes in decoded pages, each with the time at which it was asked; `partition` overrides that of the records.
    pub async fn absorb(&mut self, pages: Vec<(Page, Timestamp)>, partition: Option<i32>) -> Result<()> {
        self.absorb_with_empty(pages, partition, Vec::new(), Timestamp::MIN).await
    }

    /// Takes in pages, and records that had no rows at this time: their stored rows are replaced by nothing.
    pub async fn absorb_with_empty(
        &mut self,
        mut pages: Vec<(Page, Timestamp)>,
        partition: Option<i32>,
        empty: Vec<i64>,
        at: Timestamp,
    ) -> Result<()> {
        let mut fetched = 0;
        for (page, _) in &mut pages {
            self.context.claims.forgotten.empty(&self.resource, page)?;
            page.rejected_values.redact(self.context.client.redactor());
            self.count_fields(page);
            for (path, count, sample) in page.rejected_values.shown(self.context.client.redactor()) {
                self.context.events.tell(Event::Rejected {
                    resource: self.resource.name.clone(),
                    path: path.to_owned(),
                    count,
                    sample,
                });
            }
            self.tally.rejected_values.merge(std::mem::take(&mut page.rejected_values));
            let records = std::mem::take(&mut page.rejected_records);
            self.note_rejected(&records);
            self.tally.rejected_records += count(records.len());
            self.buffer.rejected.extend(records);
            self.keep_rejected(std::mem::take(&mut page.rejected_rows));
            fetched += count(page.records.len());
        }
        self.spill_rejected().await?;
        let rows = self.buffer.add(pages, partition, empty, at).await?;
        self.context.store.reach(StoreStep::Spooled, &self.name)?;
        self.tally.records += fetched;
        self.context.events.tell(Event::Spooled { resource: self.resource.name.clone(), records: fetched, rows });
        Ok(())
    }

    /// Notes records that did not fit, and reports them.
    fn note_rejected(&mut self, records: &[RejectedRecord]) {
        for record in records {
            self.buffer.has_record_without_key |= record.id.is_none();
            self.buffer.preserved_keys.extend(record.id.clone());
            let name = record.id.as_ref().map_or_else(|| "a record".to_owned(), |id| format!("record {id}"));
            self.context.events.note(&self.name, format!("{name} does not fit and is kept whole: {}", record.reason));
        }
    }

    /// Notes records that could not be read: their stored rows stay.
    pub fn preserve(&mut self, ids: impl IntoIterator<Item = Key>) {
        self.buffer.preserved_keys.extend(ids);
    }

    /// Removes the plans of scans that are over: this one's, and one that it took the place of.
    pub async fn clear_plans(&mut self, plan: Option<String>) -> Result<()> {
        let plans: Vec<String> = plan.into_iter().chain(self.commit_context.old_plan.take()).collect();
        if plans.is_empty() { Ok(()) } else { self.context.store.delete(&plans).await }
    }

    /// Takes the rows of records that were found deleted at this time out of the tables with the next commit, as the
    /// settings have it.
    pub fn delete_records(&mut self, ids: Vec<i64>, at: Timestamp) {
        self.buffer.delete_records(ids, at, self.options.deletes == Deletes::Move);
    }

    /// Forgets absent ids of scans that are not resumed.
    pub fn forget_absent(&mut self) {
        let scan = self.state.scan.as_ref().map(|scan| scan.id.as_str());
        let backfill = self.state.backfill.as_ref().map(|backfill| backfill.id.as_str());
        let unfinished = |id: &str| scan == Some(id) || backfill == Some(id);
        self.state.absence.absent.retain(|id, ids| unfinished(id) && !ids.is_empty());
    }

    /// Whether a long scan should commit the rows that it has.
    pub fn commit_is_due(&self) -> bool {
        let spool = self.buffer.spool();
        let limits = &self.context.limits;
        !self.commit_context.rebuild
            && spool.record_count() > 0
            && (self.commit_context.committed_at.elapsed() >= limits.commit_every
                || spool.bytes() >= limits.commit_bytes
                || spool.record_bytes() >= limits.memory / RECORDS_SHARE)
    }

    /// Takes files out of the head that commits read. They stay in their tables until they are given up.
    pub fn quarantine_files(&mut self, files: Vec<QuarantinedFile>) {
        self.head = self.commit_context.quarantine.admit(files, self.head.take());
    }

    /// The rows that the tables have by the manifest, those of damaged files among them.
    pub fn had_rows(&self) -> u64 {
        let quarantine = &self.commit_context.quarantine;
        self.head.as_ref().map_or(0, Version::rows) + quarantine.rows() + quarantine.dropped_rows()
    }
}
