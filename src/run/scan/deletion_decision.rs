//! The decision about each id that a scan requested and the source did not return: pending, a suspect, deleted, or not there;
//! and the number of records that leave the tables (docs/reading.md §13, §14).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{collapse, expand};
use crate::manifest::{Key, PendingId};
use crate::quantity::{count, number, plural};
use crate::run::held_records::record_key_files;
use crate::run::safety_limit::{SafetyLimit, at_once, may_go};
use crate::run::scan::deletion_proof::{ALONE, SecondAnswer, has_options, listed_again, prove_deletions};
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::purpose::Purpose;
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;
use crate::write::held;

const LISTED: &str = "the source lists it and does not return it";
pub const UNPROVEN: &str = "the source does not return it, nor anything else in the same answer";

/// Absent ids, by their records in the tables and in the state.
pub struct AbsentRecords {
    pub held: BTreeSet<i64>,
    pub pending: BTreeSet<i64>,
    /// Suspects that this scan may prove to be deleted.
    pub due: BTreeSet<i64>,
}

impl IdScan {
    /// Decides about every id that was not returned; an undecided id is pending. Costs no request where all were returned.
    pub async fn classify_absent(&mut self, session: &mut ResourceSession<'_>, documents: &Documents) -> Result<()> {
        if self.purpose.is_nightly() {
            self.ask_withheld(session, documents).await?;
        }
        let known = self.known(session).await?;
        // No search showed that the source has a record for an owner: every absent one is requested again.
        let by_owners = matches!(session.resource.read.style, ReadStyle::PerOwner { .. });
        let is_doubtful = |id: &i64, set_came: bool| {
            !set_came
                || by_owners
                || self.purpose == Purpose::Repair
                || self.absent.is_shown(*id)
                || known.held.contains(id)
                || known.pending.contains(id)
        };
        let absent = self.absent.ids.iter().filter(|(id, _)| !session.state.absence.withheld.contains_key(id));
        let (doubtful, plain): (Vec<(i64, bool)>, Vec<_>) =
            absent.map(|(id, came)| (*id, *came)).partition(|(id, came)| is_doubtful(id, *came));
        self.not_there(session, plain.into_iter().map(|(id, _)| id));
        let asked: BTreeSet<i64> = doubtful.into_iter().map(|(id, _)| id).chain(known.due.iter().copied()).collect();
        let before = session.state.pending.len();
        if !asked.is_empty() {
            let again = self.ask_beside_witness(session, documents, &asked).await?;
            match &session.resource.read.style {
                ReadStyle::PerOwner { .. } => self.settle_owners(session, &again, &known).await?,
                ReadStyle::IdSets { .. } | ReadStyle::Search(_) | ReadStyle::List { .. } => {
                    let returned = known.due.difference(&again.absent).copied();
                    let returned = returned.filter(|id| !self.absent.is_shown(*id));
                    let hidden: BTreeSet<i64> = expand(&session.state.absence.hidden).chain(returned).collect();
                    session.state.absence.hidden = collapse(hidden);
                    self.settle_records(session, documents, again, &known).await?;
                }
            }
        }
        self.absent.ids.clear();
        session.state.absence.absent.remove(&self.id);
        self.refuse_much_pending(session, count(session.state.pending.len().saturating_sub(before))).await
    }

    async fn known(&self, session: &ResourceSession<'_>) -> Result<AbsentRecords> {
        let now = self.absent.now(self.started_at);
        let due =
            if self.purpose.is_nightly() { session.state.absence.due(&session.context.run, now) } else { Vec::new() };
        // Candidates are judged where they were found.
        let due: BTreeSet<i64> = due.into_iter().filter(|id| !self.candidates.contains(id)).collect();
        let ids: BTreeSet<i64> = self.absent.ids.keys().chain(&due).copied().collect();
        let pending = session.state.pending.iter().filter_map(|pending| match pending.id {
            Key::Int(id) => Some(id),
            Key::Text(_) => None,
        });
        let pending = pending.collect();
        Ok(AbsentRecords { held: held_among(session, &ids.into_iter().collect::<Vec<_>>()).await?, pending, due })
    }

    /// Listed ids are pending, ids that are not listed are suspects where we hold them.
    async fn settle_records(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        mut again: SecondAnswer,
        known: &AbsentRecords,
    ) -> Result<()> {
        let matters = |id: &i64| {
            self.absent.is_shown(*id) || [&known.held, &known.pending, &known.due].iter().any(|ids| ids.contains(id))
        };
        if self.purpose.is_span(&session.resource) && again.unproven.iter().any(|id| !matters(id)) {
            return Err(Failure::new(Kind::Answer, format!("trust the answers for {}", session.name))
                .because("the source returns nothing for sets of ids, not even an id that it returned before")
                .advise("run again later"));
        }
        let asked: BTreeSet<i64> = again.absent.iter().copied().filter(matters).collect();
        let listed: BTreeSet<i64> = if has_options(session) {
            listed_again(session, &asked).await?
        } else {
            // With `start` a full read also requests older held records: no listing showed these.
            let start = session.state.start.is_some();
            let shown = |id: &i64| self.absent.is_shown(*id) && !(start && known.held.contains(id));
            let doubtful = asked.iter().copied().filter(|id| shown(id) || known.pending.contains(id)).collect();
            // Deleted between the search and the GET, an id is not listed any more.
            listed_again(session, &doubtful).await?
        };
        for id in listed.iter().take(ALONE) {
            let stop = session.context.stop.clone();
            let mut fetched = stop.or(documents.fetch(&vec![(*id, *id)])).await?;
            if std::mem::take(&mut fetched.gone).is_empty() {
                again.absent.remove(id);
            }
            self.take_in(session, fetched).await?;
        }
        let mut suspects = Vec::new();
        let mut due = BTreeSet::new();
        for id in &again.absent {
            if listed.contains(id) {
                session.state.absence.suspects.remove(id);
                self.pend(session, *id, LISTED);
            } else if again.unproven.contains(id) && asked.contains(id) {
                self.pend(session, *id, UNPROVEN);
            } else {
                self.not_there(session, [*id]);
                let deletable = known.held.contains(id) && !self.candidates.contains(id);
                match known.due.contains(id) && !self.absent.is_shown(*id) {
                    true if deletable => drop(due.insert(*id)),
                    false if deletable && has_options(session) => suspects.push(*id),
                    true | false => {}
                }
            }
        }
        session.state.absence.suspects.retain(|id, _| !known.due.contains(id) || known.held.contains(id));
        let (now, run) = (self.absent.now(self.started_at), session.context.run.clone());
        session.state.absence.suspect(suspects, now, &run);
        self.absent.proven = prove_deletions(session, due).await?;
        Ok(())
    }

    /// An id that the source should return and does not: pending, and its rows stay.
    pub fn pend(&mut self, session: &mut ResourceSession<'_>, id: i64, reason: &str) {
        let id = Key::Int(id);
        session.preserve([id.clone()]);
        if !session.state.pending.iter().any(|known| known.id == id) {
            session.state.pending.push(PendingId { id, reason: reason.to_owned(), since: self.started_at });
        }
    }

    /// Ids that are not at the source: not pending any more. Rows that we hold stay until a deletion is proven.
    pub fn not_there(&mut self, session: &mut ResourceSession<'_>, ids: impl IntoIterator<Item = i64>) {
        let ids: BTreeSet<i64> = ids.into_iter().collect();
        session.state.pending.retain(|pending| !matches!(pending.id, Key::Int(id) if ids.contains(&id)));
        session.state.absence.tries.retain(|id, _| !ids.contains(id));
        session.state.evidence.awaited.retain(|id, _| !ids.contains(id));
        self.gone.extend(ids);
    }

    /// Many newly pending ids at once fail a scan that commits before its end: recorded, so that it fails once. So they do where files
    /// are built anew, which would lose the rows.
    async fn refuse_much_pending(&mut self, session: &mut ResourceSession<'_>, newly: u64) -> Result<()> {
        let asked: u64 = self.slices.iter().map(|slice| crate::fetch::count(slice)).sum();
        let most = SafetyLimit::PENDING.of(asked);
        if newly <= most || !(self.is_gradual(session) || session.commit_context.rebuild) {
            return Ok(());
        }
        if self.is_gradual(session) {
            self.commit_so_far(session).await?;
        }
        Err(Failure::new(Kind::Answer, "accept the scan")
            .because(format!("{} of {} listed by the source and not returned", number(newly), plural(asked, "id")))
            .advise("they are pending: run again later"))
    }
}

/// Takes suspects with a proven deletion out of the tables, unless there are more of them than the safety limit allows.
pub fn delete_proven(session: &mut ResourceSession<'_>, proven: &BTreeSet<i64>, held: u64, at: Timestamp) {
    if count(proven.len()) > may_go(held) {
        let text = format!(
            "{} gone at the source, more than may be removed at once: `pearlift reconcile --force {}` removes them",
            plural(proven.len(), "record"),
            session.name
        );
        session.context.events.warn(&session.name, text);
        return;
    }
    session.state.absence.suspects.retain(|id, _| !proven.contains(id));
    session.delete_records(proven.iter().copied().collect(), at);
}

/// Takes records found gone out of the tables: suspects of an earlier run, and a few that are none yet. The rest become
/// suspects.
pub fn delete_or_suspect(session: &mut ResourceSession<'_>, gone: BTreeSet<i64>, held: u64, at: Timestamp) {
    let due: BTreeSet<i64> = session.state.absence.due(&session.context.run, at).into_iter().collect();
    let (sure, fresh): (BTreeSet<i64>, BTreeSet<i64>) = gone.into_iter().partition(|id| due.contains(id));
    let fresh: Vec<i64> = fresh.into_iter().collect();
    delete_proven(session, &sure, held, at);
    // Together no more than the safety limit allows.
    let allowed = at_once(held).min(may_go(held).saturating_sub(count(sure.len())));
    let most = usize::try_from(allowed).unwrap_or(usize::MAX).min(fresh.len());
    let (now, later) = fresh.split_at(most);
    session.state.absence.suspects.retain(|id, _| !now.contains(id));
    session.delete_records(now.to_vec(), at);
    if !later.is_empty() {
        let run = session.context.run.clone();
        session.state.absence.suspect(later.iter().copied(), at, &run);
        let text = format!(
            "{} gone at the source: the next run removes them if they still are",
            plural(later.len(), "more record")
        );
        session.context.events.warn(&session.name, text);
    }
}

/// Of these ids, those that the tables hold.
async fn held_among(session: &ResourceSession<'_>, ids: &[i64]) -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    let head = session.head.as_ref().filter(|head| head.state.completed_at.is_some() && !ids.is_empty());
    // Files of another shape may name their columns otherwise: none of theirs is looked at.
    if let Some(head) = head.filter(|_| !session.commit_context.rebuild) {
        for (key, files) in record_key_files(&session.resource, head) {
            found.extend(held(&session.context.store, &files, &key, &[], ids).await?.into_keys());
        }
    }
    Ok(found)
}
