//! One resource at work: its spool, the state that the next commit carries, and the commit itself.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::config::Deletes;
use crate::decode::{Page, RejectedRecord, Shape};
use crate::event::Event;
use crate::failure::{Failure, Result};
use crate::fetch::IdRanges;
use crate::manifest::{Cursor, FieldDrift, Key, Looked, RejectedFile, ScanKind, State, Version, head};
use crate::plan::Fit;
use crate::run::Tally;
use crate::run::apart::Apart;
use crate::run::context::RunContext;
use crate::run::counting::CountTaken;
use crate::run::fields::Filled;
use crate::run::held::Holder;
use crate::run::lookups::{Lookups, NewestRows};
use crate::schema::{Naming, Open, Resource};
use crate::store::StoreStep;
use crate::write::{RecordSet, Spool};

/// The spool of one resource may hold this part of the memory setting; three resources are at work at once, pages and
/// one commit need the rest.
const SPOOL_SHARE: u64 = 16;
/// The keys of its records may take this part until they are committed: they stay in memory.
const RECORDS_SHARE: u64 = 6;
/// Stands for what is owed and bears no key.
pub const UNIDENTIFIED: &str = "?";

/// Owners found deleted.
#[derive(Debug)]
pub(super) struct Gone {
    pub owners: RecordSet,
    pub at: Timestamp,
    /// Their rows are kept apart.
    pub kept: bool,
}

/// One resource at work.
pub struct ResourceSession<'a> {
    pub context: &'a RunContext,
    pub resource: Arc<Resource>,
    pub name: Arc<str>,
    pub shape: Arc<Shape>,
    pub head: Option<Version>,
    /// What the next commit says of the scans.
    pub state: State,
    pub tally: Tally,
    /// The files of the head are of another shape: a full read builds all files anew and swaps them in one commit.
    pub rebuild: bool,
    /// `--full` was asked for: rows may vanish.
    pub forced: bool,
    /// What becomes of the rows of deleted records.
    pub deletes: Deletes,
    /// How long the snapshots of a day are kept.
    pub keep: Option<std::time::Duration>,
    /// A full read takes what was created from then on.
    pub start: Option<Timestamp>,
    /// The scan reads again what is held: what differs though no date told of it is counted.
    pub(super) reads_again: bool,
    /// Snapshots of days before this one go with the next commit, in days since 1970.
    pub keep_from: Option<i32>,
    pub(super) spool: Option<Spool>,
    pub(super) records: Vec<RejectedRecord>,
    /// Files of rejected records that the next commit names.
    pub(super) kept: Vec<RejectedFile>,
    /// Owners that could not be read in this scan: their old rows stay.
    pub(super) spared: Vec<Key>,
    /// A record came whose owner could not be told: no old row may go.
    pub(super) keyless: bool,
    /// The plan of an unfinished scan of an earlier run.
    old_plan: Option<String>,
    /// The plan of an unfinished backfill of an earlier run, which a new one takes the place of.
    pub(super) old_backfill: Option<String>,
    /// Resources that read again what changed rows of ours name.
    pub(super) followers: Vec<(String, Naming)>,
    /// Owners found deleted: the next commit takes their rows out of the tables.
    pub(super) gone: Option<Gone>,
    pub(super) committed_at: Instant,
    /// Our clock when the step in hand began.
    pub(super) begun: Timestamp,
    /// Damaged files of the head, which `head` does not name here.
    pub(super) apart: Vec<Apart>,
    /// Damaged files that the next commit takes out of the tables.
    pub(super) dropped: Vec<Apart>,
    /// Ids of which a copy older than the stored one is accepted: a person says so.
    pub accepts_older: IdRanges,
    /// Values of each column in the scan so far.
    pub(super) filled: Filled,
    /// A count that the next last commit is compared with.
    pub(super) counted: Option<CountTaken>,
    /// The greatest id that the search has shown in this night.
    pub(super) top_shown: Option<i64>,
    /// Answers of lookups in the head's files.
    pub(super) lookups: Lookups,
    /// The table of another resource that holds the ids by which this one is read.
    pub(super) holder: Option<Holder>,
    /// The newest rows of a search that the next commit stores.
    pub(super) newest_rows: Option<NewestRows>,
    /// From which month on rows hand on what they name, once it is known.
    met_from: Option<i32>,
}

impl<'a> ResourceSession<'a> {
    /// Prepares a resource; `forced` says that everything is read again by a person's wish.
    ///
    /// Refuses (`Schema`) when the files at the destination are of another shape than the schema's and nobody forced it.
    pub fn new(
        context: &'a RunContext,
        resource: &Resource,
        head: Option<Version>,
        forced: bool,
        deletes: Deletes,
    ) -> Result<Self> {
        let fit = head.as_ref().map_or(Fit::Same, |head| Fit::of(head, resource));
        if let (Some(refusal), false) = (fit.refusal(resource), forced) {
            return Err(refusal);
        }
        let plan = |cursor: &Cursor| match cursor {
            Cursor::Slices { plan, .. } => Some(plan.clone()),
            Cursor::Rows { .. } => None,
        };
        let unfinished = head.as_ref().map(|head| &head.state);
        let old_plan = unfinished.and_then(|state| plan(&state.scan.as_ref()?.cursor));
        let old_backfill = unfinished.and_then(|state| plan(&state.backfill.as_ref()?.cursor));
        let mut state = head.as_ref().map(|head| head.state.clone()).unwrap_or_default();
        state.backfill.take_if(|backfill| backfill.schema_hash != resource.hash);
        if head.as_ref().is_some_and(|head| head.schema_hash != resource.hash) {
            // The fields in which answers differed from another schema say nothing of this one.
            state.evidence.drift = FieldDrift::default();
        }
        let followers = context
            .catalog
            .followers(resource)
            .into_iter()
            .filter(|(follower, ..)| context.selected.contains(&follower.name));
        let followers = followers.map(|(follower, naming)| (follower.name.clone(), naming)).collect();
        let memory = (context.limits.memory / SPOOL_SHARE).max(8 << 20);
        let folder = context.spool.join(&resource.name);
        let lookups = Lookups::of(state.looked.clone());
        let holder = resource.held_ids().map(|held| Holder::new(&context.store, &context.catalog, held)).transpose()?;
        Ok(Self {
            context,
            name: Arc::from(resource.name.as_str()),
            shape: Arc::new(Shape::compile(resource)?),
            spool: Some(Spool::new(resource, &folder, memory)?.watched(context.store.watcher())),
            resource: Arc::new(resource.clone()),
            state,
            head,
            tally: Tally::default(),
            rebuild: matches!(fit, Fit::Anew { .. }),
            forced,
            deletes,
            keep: None,
            keep_from: None,
            start: None,
            reads_again: false,
            records: Vec::new(),
            kept: Vec::new(),
            spared: Vec::new(),
            keyless: false,
            old_plan,
            old_backfill,
            gone: None,
            followers,
            committed_at: Instant::now(),
            begun: context.client.clocks().ours(),
            apart: Vec::new(),
            dropped: Vec::new(),
            accepts_older: IdRanges::new(),
            filled: Filled::default(),
            counted: None,
            top_shown: None,
            lookups,
            holder,
            newest_rows: None,
            met_from: None,
        })
    }

    /// From which month on rows hand on what they name. A first load names everything: of interest are the newest rows, to
    /// resources that have been read, or are being read, before these rows came.
    pub(super) async fn met_from(&mut self) -> Result<i32> {
        if let Some(known) = self.met_from {
            return Ok(known);
        }
        let mut met_from = i32::MIN;
        if self.head.as_ref().is_none_or(|head| head.state.completed_at.is_none()) {
            let clocks = self.context.client.clocks();
            let mut from = clocks.earliest(clocks.ours());
            for (follower, naming) in std::mem::take(&mut self.followers) {
                let theirs = head(&self.context.store, &follower).await?;
                if let Some(read) = self.read_since(&follower, theirs.as_ref()) {
                    from = from.min(read);
                    self.followers.push((follower, naming));
                }
            }
            // A day for clocks that differ.
            let day = from.saturating_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(from);
            let month = jiff::tz::Offset::UTC.to_datetime(day).date().first_of_month();
            met_from = crate::write::day_number(month).unwrap_or(i32::MIN);
        }
        self.met_from = Some(met_from);
        Ok(met_from)
    }

    /// Since when a follower may hold records as they were before rows of ours came: the start of its first load or whole
    /// read, unfinished or not; this run's start where it is this run's to read. `None` where it holds nothing.
    fn read_since(&self, follower: &str, theirs: Option<&Version>) -> Option<Timestamp> {
        let this_run = self
            .context
            .locks
            .holds(follower)
            .then(|| self.context.client.clocks().earliest(self.context.clock.start()));
        // A scan of an earlier run that this one goes on with may have committed, or ended, before we ask.
        let before = theirs.and_then(|theirs| {
            let (state, clocks) = (&theirs.state, theirs.state.clocks);
            let under_way = state.scan.as_ref().map(|scan| scan.started_at);
            let by_ours = clocks.scan.map(|scan| scan.earliest).into_iter().chain(clocks.reloaded_at);
            under_way.into_iter().chain(state.reloaded_at).chain(by_ours).min()
        });
        this_run.into_iter().chain(before).min()
    }

    /// Takes in decoded pages, each with the time at which it was asked; `partition` overrides that of the records.
    pub async fn absorb(&mut self, pages: Vec<(Page, Timestamp)>, partition: Option<i32>) -> Result<()> {
        self.absorb_with_empty(pages, partition, Vec::new(), Timestamp::MIN).await
    }

    /// Takes in pages, and owners that had no rows at this time: what they had is replaced by nothing.
    pub async fn absorb_with_empty(
        &mut self,
        mut pages: Vec<(Page, Timestamp)>,
        partition: Option<i32>,
        empty: Vec<i64>,
        at: Timestamp,
    ) -> Result<()> {
        let mut owners = 0;
        for (page, _) in &mut pages {
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
            let records = std::mem::take(&mut page.records);
            self.tell_of(&records);
            self.tally.rejected_records += count(records.len());
            self.records.extend(records);
            self.keep_rejected(std::mem::take(&mut page.rejected));
            owners += count(page.owners.len());
        }
        self.spill_rejected().await?;
        let mut spool = self.spool.take().expect("the spool is back between calls");
        let added = tokio::task::spawn_blocking(move || {
            let mut rows = 0;
            for (page, asked_at) in &pages {
                rows += spool.add(page, *asked_at, partition)?;
            }
            for id in empty {
                spool.add_empty(Key::Int(id), at);
            }
            Ok::<_, Failure>((spool, rows))
        });
        let (spool, rows) = added.await.expect("spooling does not panic")?;
        self.spool = Some(spool);
        self.context.store.reach(StoreStep::Spooled, &self.name)?;
        self.tally.records += owners;
        self.context.events.tell(Event::Spooled { resource: self.resource.name.clone(), owners, rows });
        Ok(())
    }

    /// Notes records that did not fit, and tells of them.
    fn tell_of(&mut self, records: &[RejectedRecord]) {
        for record in records {
            self.keyless |= record.id.is_none();
            self.spared.extend(record.id.clone());
            let name = record.id.as_ref().map_or_else(|| "a record".to_owned(), |id| format!("record {id}"));
            self.context.events.note(&self.name, format!("{name} does not fit and is kept whole: {}", record.reason));
        }
    }

    /// Notes owners that could not be read: their old rows stay.
    pub fn spare(&mut self, ids: impl IntoIterator<Item = Key>) {
        self.spared.extend(ids);
    }

    /// Removes the plans of scans that are over: this one's, and one that it took the place of.
    pub async fn clear_plans(&mut self, plan: Option<String>) -> Result<()> {
        let plans: Vec<String> = plan.into_iter().chain(self.old_plan.take()).collect();
        if plans.is_empty() { Ok(()) } else { self.context.store.delete(&plans).await }
    }

    /// Takes the rows of owners that were found deleted at this time out of the tables with the next commit; `kept` says
    /// that they are kept apart.
    pub fn bury(&mut self, ids: Vec<i64>, at: Timestamp, kept: bool) {
        let before = self.gone.take();
        let before = before.iter().flat_map(|gone| gone.owners.keys()).cloned();
        let owners = RecordSet::new(before.chain(ids.into_iter().map(Key::Int)).collect());
        self.gone = Some(Gone { owners, at, kept });
    }

    /// Forgets absent ids of scans that are not gone on with.
    pub fn forget_absent(&mut self) {
        let scan = self.state.scan.as_ref().map(|scan| scan.id.as_str());
        let backfill = self.state.backfill.as_ref().map(|backfill| backfill.id.as_str());
        let unfinished = |id: &str| scan == Some(id) || backfill == Some(id);
        self.state.absence.absent.retain(|id, ids| unfinished(id) && !ids.is_empty());
    }

    /// Whether a long scan should commit what it has.
    pub fn commit_is_due(&self) -> bool {
        let spool = self.spool.as_ref().expect("the spool is back between calls");
        let limits = &self.context.limits;
        !self.rebuild
            && spool.owners() > 0
            && (self.committed_at.elapsed() >= limits.commit_every
                || spool.bytes() >= limits.commit_bytes
                || spool.record_bytes() >= limits.memory / RECORDS_SHARE)
    }

    /// Whether anything waits for a commit.
    pub fn has_spooled(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.owners() > 0)
    }

    /// Notes a scan's end in the state, with its start by the source's clock. The watermark stays where it is when `hold`
    /// says that something came that could not be identified.
    pub fn complete(&mut self, kind: ScanKind, started_at: Timestamp, hold: bool) {
        self.stamp(kind, started_at, hold);
        if self.state.completed_at.is_none() {
            // A first load holds what the source lists: there is nothing to be found gone yet.
            self.state.reconciled_at = Some(started_at);
        }
        self.state.completed_at = Some(started_at);
        if kind == ScanKind::Full {
            self.state.reloaded_at = Some(started_at);
            self.state.open_reread_at = matches!(self.resource.open(), Some(Open::Until { .. })).then_some(started_at);
        }
        if kind == ScanKind::Changes {
            let counts = std::mem::take(&mut self.state.looked.counts);
            self.state.looked = Looked { counts, ..self.lookups.take() };
        }
        self.state.scan = None;
        let now = self.earliest(started_at);
        self.state.skipped_ids.retain(|skipped| skipped.until > now);
        if !hold {
            // What could not be identified was read again, and all of it is identified now.
            self.state.pending.retain(|pending| pending.id != Key::Text(UNIDENTIFIED.to_owned()));
        }
    }
}

/// A length as a count.
pub fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits")
}
