//! A scan by id sets: slices asked at once and taken in as they come, committed at intervals, resumed where a run
//! stopped.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::decode::Page;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, MemoryReservation, chunks, collapse, count as ids_in, expand};
use crate::manifest::{Backfill, Cursor, FORMAT, Key, PendingId, Scan, ScanPlan, SkippedId, read_plan, write_plan};
use crate::quantity::count;
use crate::quantity::{number, plural};
use crate::run::safety_limit::SafetyLimit;
use crate::run::scan::absent_ids::{Absent, came};
use crate::run::scan::documents::{Deferred, Documents, FetchedSet};
use crate::run::scan::purpose::Purpose;
use crate::run::scan::requested_ids::RequestedIds;
use crate::run::scan::stale_documents::{Dates, StaleRule};
use crate::run::session::ResourceSession;
use crate::run::stop::stopped;
use crate::write::Replace;

/// Ids that spoil their set are requested again after this long (docs/reading.md §12).
const LEFT_OUT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The knowledge with which a scan begins, beside its ids.
#[derive(Debug, Default)]
pub struct Known {
    /// Ids that the resource's own listing or search has shown.
    pub shown: IdRanges,
    /// Ids that a confirmation may remove: held, and not listed.
    pub candidates: BTreeSet<i64>,
    /// Owners found by their change stamp: remembered once the scan is complete.
    pub stamps: BTreeMap<i64, String>,
    /// Dates that documents must have reached, by id.
    pub awaited: Vec<(i64, Dates)>,
    /// An id that the source has listed and that is held.
    pub witness: Option<i64>,
}

/// A scan by id sets.
pub struct IdScan {
    pub id: String,
    pub purpose: Purpose,
    pub started_at: Timestamp,
    pub slices: Vec<IdRanges>,
    pub done: BTreeSet<u64>,
    /// The path of the plan, once it is written.
    pub plan: Option<String>,
    /// Ids that a confirmation may remove: held, and not listed.
    pub candidates: BTreeSet<i64>,
    /// Owners found by their change stamp: remembered once the scan is complete.
    pub stamps: BTreeMap<i64, String>,
    /// Requested ids that the source does not have, as far as it was decided.
    pub gone: BTreeSet<i64>,
    /// Documents are compared with the search rows that led to them.
    pub stale: StaleRule,
    /// Sets that failed, with the ids that are pending for no other reason.
    pub deferred: Vec<(Deferred, Vec<Key>)>,
    /// Requested ids that did not come.
    pub absent: Absent,
}

/// The sets of these ids and of those that are pending, without ids that are skipped for a time; the greatest ids
/// first.
pub fn sets_with_pending(
    session: &ResourceSession<'_>,
    started_at: Timestamp,
    ids: &IdRanges,
    max_ids: usize,
) -> Vec<IdRanges> {
    let wanted = RequestedIds::of(&session.state, session.earliest(started_at)).among(ids);
    let mut sets = chunks(&wanted, max_ids);
    sets.reverse();
    sets
}

impl IdScan {
    /// A new scan over these sets.
    pub fn new(
        session: &ResourceSession<'_>,
        purpose: Purpose,
        started_at: Timestamp,
        sets: Vec<IdRanges>,
        known: Known,
    ) -> Self {
        let mut stale = StaleRule::new(session, started_at);
        stale.await_dates(known.awaited);
        Self {
            id: crate::manifest::nonce(),
            purpose,
            started_at,
            slices: sets,
            done: BTreeSet::new(),
            plan: None,
            candidates: known.candidates,
            stamps: known.stamps,
            gone: BTreeSet::new(),
            stale,
            deferred: Vec::new(),
            absent: Absent {
                shown: known.shown,
                witnesses: known.witness.into_iter().map(|id| (Vec::new(), id)).collect(),
                ..Absent::default()
            },
        }
    }

    /// The unfinished scan of an earlier run, or `None` when its plan is gone. Ids that it found gone are requested
    /// again: they may have come back since.
    pub async fn resume(session: &ResourceSession<'_>, scan: &Scan, purpose: Purpose) -> Result<Option<Self>> {
        let Cursor::Slices { plan, done } = &scan.cursor else { return Ok(None) };
        let Some(written) = read_plan(&session.context.store, plan).await? else { return Ok(None) };
        let end = count(written.slices.len());
        let candidates: BTreeSet<i64> = expand(&written.candidates).collect();
        let mut done: BTreeSet<u64> =
            done.iter().flat_map(|(first, last)| *first..end.min(last.saturating_add(1))).collect();
        let confirmed = |slice: &IdRanges| expand(slice).any(|id| candidates.contains(&id));
        for (place, _) in written.slices.iter().enumerate().filter(|(_, slice)| confirmed(slice)) {
            done.remove(&count(place));
        }
        let absent = session.state.absence.absent.get(&scan.id).cloned().unwrap_or_default();
        let known = Known {
            shown: written.shown,
            candidates,
            stamps: written.stamps,
            awaited: written.awaited.into_iter().collect(),
            witness: None,
        };
        let mut resumed = Self::new(session, purpose, scan.started_at, written.slices, known);
        resumed.absent.ids = expand(&absent).map(|id| (id, false)).collect();
        (resumed.id, resumed.done, resumed.plan) = (scan.id.clone(), done, Some(plan.clone()));
        Ok(Some(resumed))
    }

    /// Whether the scan commits before its end.
    pub fn is_gradual(&self, session: &ResourceSession<'_>) -> bool {
        self.purpose.is_resumable() && !session.commit_context.rebuild
    }

    /// Whether ids that are gone are remembered.
    pub fn confirms(&self) -> bool {
        self.purpose.confirms() || !self.candidates.is_empty()
    }

    /// The rows that the last commit replaces.
    pub fn replace(&self, session: &ResourceSession<'_>) -> Replace {
        self.purpose.replace(session.commit_context.rebuild)
    }

    /// Fetches every slice, commits before its end where it is due, and leaves the last commit to the caller. Stopped,
    /// it commits the complete slices and gives [`Kind::Interrupted`].
    pub async fn run(&mut self, session: &mut ResourceSession<'_>, path: &str) -> Result<()> {
        let documents = self.documents(session, path);
        let mut left: Vec<u64> = (0..count(self.slices.len())).filter(|slice| !self.done.contains(slice)).collect();
        left.reverse();
        session
            .context
            .events
            .tell(Event::Expecting { resource: session.resource.name.clone(), requests: count(left.len()) });
        let outcome = match self.all(session, &documents, left).await {
            Ok(()) => match self.ask_stale_again(session, &documents).await {
                Ok(()) => self.classify_absent(session, &documents).await,
                Err(failure) => Err(failure),
            },
            stopped => stopped,
        };
        documents.sets.remember(&mut session.state.pieces, session.context.clock.now());
        match outcome {
            Err(failure) if self.is_gradual(session) && worth_keeping(failure.kind()) && session.buffer.has_rows() => {
                // Fetched slices are complete: they stay, and the rest is read another time.
                self.commit_so_far(session).await?;
                Err(failure)
            }
            outcome => outcome,
        }
    }

    /// Asks for documents below this path.
    pub fn documents(&self, session: &ResourceSession<'_>, path: &str) -> Documents {
        Documents::new(session, path.to_owned(), self.slices.len())
    }

    async fn all(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        mut left: Vec<u64>,
    ) -> Result<()> {
        let mut under_way: JoinSet<(u64, Result<FetchedSet>, MemoryReservation)> = JoinSet::new();
        let stop = session.context.stop.clone();
        let mut newly_pending = 0;
        // Begins with one request and doubles: a source that refuses the resource is not asked sixteen times at once.
        let mut at_once = 1;
        loop {
            // Slices under way are awaited before a commit: a slice behind a missing one would make files with a range
            // in which the next commit has rows, and all of them would be written again.
            let is_due = self.is_gradual(session) && !left.is_empty() && session.commit_is_due();
            if is_due && under_way.is_empty() {
                self.commit_so_far(session).await?;
            }
            while (!is_due || under_way.is_empty()) && under_way.len() < at_once {
                let Some(slice) = left.pop() else { break };
                let ids = self.slices[usize::try_from(slice).expect("a slice's number fits")].clone();
                let room = session.context.client.budget().room();
                let documents = Documents { client: session.context.client.within(&room), ..documents.clone() };
                under_way.spawn(async move { (slice, documents.fetch(&ids).await, room) });
            }
            let arrived = tokio::select! {
                biased;
                () = stop.wait() => return Err(stopped()),
                arrived = under_way.join_next() => arrived,
            };
            let Some(arrived) = arrived else {
                let failed = self.fetch_deferred(session, documents).await?;
                return self
                    .refuse_much_unmapped(newly_pending + failed)
                    .map_err(|refused| if failed == 0 { refused } else { self.in_trouble(&session.name, failed) });
            };
            let (slice, fetched, _room) = arrived.expect("bringing a slice does not panic");
            newly_pending += self.take_in(session, fetched?).await?;
            self.done.insert(slice);
            at_once = (at_once * 2).min(session.context.limits.concurrency);
            self.refuse_much_unmapped(newly_pending)?;
        }
    }

    /// Takes in the result of a slice; gives the number of ids that are newly pending.
    pub async fn take_in(&mut self, session: &mut ResourceSession<'_>, mut fetched: FetchedSet) -> Result<u64> {
        let at = self.started_at;
        self.put_off(session, std::mem::take(&mut fetched.deferred));
        if self.purpose.keeps_absent(&session.resource) {
            fetched.gone.append(&mut fetched.none);
        }
        note_rejected(session, &fetched.pages);
        let holder = session.stored.holder.as_ref();
        self.absent.note(&mut fetched, self.purpose.is_span(&session.resource), holder);
        let came: Vec<i64> = came(&fetched).collect();
        if self.replace(session) != Replace::Records || self.confirms() {
            self.gone.extend(&fetched.gone);
        }
        let nothing = std::mem::take(&mut fetched.none);
        let mut settled: BTreeSet<Key> = fetched.gone.iter().chain(&nothing).copied().map(Key::Int).collect();
        let mut pending: Vec<(Key, String)> = Vec::new();
        let unclear = "a record came whose id could not be read, and this one was missing";
        pending.extend(fetched.unclear.iter().map(|id| (Key::Int(*id), unclear.to_owned())));
        for (page, _) in &fetched.pages {
            settled.extend(page.records.iter().filter(|record| record.fits).map(|record| record.key.clone()));
            pending.extend(
                page.rejected_records.iter().filter_map(|record| Some((record.id.clone()?, record.reason.clone()))),
            );
        }
        for (id, code) in fetched.refused {
            settled.insert(Key::Int(id));
            if session.resource.read.not_applicable.contains(&code) {
                let until = session.earliest(at).saturating_add(LEFT_OUT_FOR).unwrap_or(at);
                session.state.skipped_ids.retain(|known| known.id != id);
                session.state.skipped_ids.push(SkippedId { id, code, until });
            } else {
                pending.push((Key::Int(id), format!("the source refuses it with {code}")));
            }
        }
        let stale = self.stale.judge(session, &fetched.pages, at);
        settled.retain(|id| !stale.contains(id));
        session.state.absence.reappeared(came.into_iter().filter(|id| !stale.contains(&Key::Int(*id))));
        session.preserve(pending.iter().map(|(id, _)| id.clone()));
        let withheld = &session.state.absence.withheld;
        let is_withheld = |id: &Key| matches!(id, Key::Int(id) if withheld.contains_key(id));
        pending.retain(|(id, _)| !is_withheld(id));
        session.state.pending.retain(|known| !settled.contains(&known.id) && !is_withheld(&known.id));
        let mut newly = 0;
        for (id, reason) in pending {
            if !session.state.pending.iter().any(|known| known.id == id) {
                newly += 1;
                session.state.pending.push(PendingId { id, reason, since: at });
            }
        }
        let empty = if self.purpose.empties_absent(&session.resource) { nothing } else { Vec::new() };
        session.absorb_with_empty(fetched.pages, self.purpose.partition(), empty, at).await?;
        Ok(newly)
    }

    fn refuse_much_unmapped(&self, newly_pending: u64) -> Result<()> {
        let asked: u64 = self.slices.iter().map(|slice| ids_in(slice)).sum();
        let most = SafetyLimit::PENDING.of(asked);
        if newly_pending <= most {
            return Ok(());
        }
        Err(Failure::new(Kind::Answer, "accept the scan")
            .because(format!(
                "more than {} of {} could not be fetched or mapped",
                number(most),
                plural(asked, "record")
            ))
            .advise("the schema may no longer describe the source: `-v` shows the values that did not fit"))
    }

    /// So many records fail alone that the source, and no record, is the reason: the other records of the scan stay.
    fn in_trouble(&self, name: &str, failed: u64) -> Failure {
        Failure::new(Kind::Unreachable, format!("read {name}"))
            .because(format!("{} failed one by one, more than may be pending", plural(failed, "record")))
            .advise("the fetched records are committed; run again later")
    }

    /// Commits the buffered rows, with the cursor from which the scan continues.
    pub async fn commit_so_far(&mut self, session: &mut ResourceSession<'_>) -> Result<()> {
        let plan = match &self.plan {
            Some(plan) => plan.clone(),
            None => {
                let plan = ScanPlan {
                    format: FORMAT,
                    scan: self.id.clone(),
                    resource: session.resource.name.clone(),
                    schema_hash: session.resource.hash.clone(),
                    slices: self.slices.clone(),
                    stamps: self.stamps.clone(),
                    candidates: collapse(self.candidates.iter().copied()),
                    awaited: self.stale.awaited.clone(),
                    shown: self.absent.shown.clone(),
                };
                session.bind().await?;
                let path = write_plan(&session.context.store, &plan).await?;
                self.plan = Some(path.clone());
                path
            }
        };
        // Resumed, the scan asks for them again.
        let absent = collapse(self.absent.ids.keys().copied());
        session.state.absence.absent.insert(self.id.clone(), absent);
        let (id, started_at, schema_hash) = (self.id.clone(), self.started_at, session.resource.hash.clone());
        let cursor = Cursor::Slices { plan, done: ranges(&self.done) };
        match self.purpose.clone() {
            Purpose::Backfill(selected) => {
                session.state.backfill = Some(Backfill { id, selected, started_at, schema_hash, cursor });
            }
            purpose => {
                let start = session.scan_start(started_at);
                session.state.clocks.scan.get_or_insert(start);
                session.state.scan = Some(Scan { id, kind: purpose.kind(), started_at, schema_hash, cursor });
            }
        }
        session.forget_absent();
        session.commit(Replace::Records, false).await
    }
}

/// Whether records fetched before such a failure are committed: not when the destination is at fault, or pearlift is.
fn worth_keeping(kind: Kind) -> bool {
    match kind {
        Kind::Interrupted | Kind::Unreachable | Kind::Refused | Kind::Credentials => true,
        Kind::Bug
        | Kind::Usage
        | Kind::Settings
        | Kind::Schema
        | Kind::Offline
        | Kind::Answer
        | Kind::Doubtful
        | Kind::StoreRefused
        | Kind::StoreUnreachable
        | Kind::Held
        | Kind::Lost
        | Kind::Damage => false,
    }
}

/// Numbers as inclusive ranges.
fn ranges(numbers: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

/// Notes in the state which records of these pages lack a row that was rejected.
fn note_rejected(session: &mut ResourceSession<'_>, pages: &[(Page, Timestamp)]) {
    let id = |key: &Key| match key {
        Key::Int(id) => Some(*id),
        Key::Text(_) => None,
    };
    for (page, _) in pages {
        let rejected = page.rejected_rows.iter().filter_map(|row| id(row.id.as_ref()?)).collect();
        let read = page.records.iter().filter(|record| record.fits).filter_map(|record| id(&record.key));
        session.state.pieces.note(read, &rejected);
    }
}
