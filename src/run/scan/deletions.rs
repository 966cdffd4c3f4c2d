//! The end of a scan by ids: absent ids are asked for again in the company of an id that came, and compared with a second
//! listing. Only then is an id pending, a suspect, or simply not there (docs/guarantees.md).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{chunks, collapse, expand};
use crate::manifest::{Key, PendingId, Tries, Withheld};
use crate::quantity::count;
use crate::quantity::{number, plural};
use crate::run::holder::Places;
use crate::run::safety_limit::{SafetyLimit, at_once, held_records, may_go, owners};
use crate::run::scan::absent_ids::{came, first_of};
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::id_source::IdSource;
use crate::run::scan::narrow_search;
use crate::run::scan::purpose::Purpose;
use crate::run::session::ResourceSession;
use crate::schema::{Inventory, ReadStyle};
use crate::write::held;

/// At most so many ids are asked for alone.
const ALONE: usize = 20;
/// A pending id is withheld after so many runs over so many days.
const WITHHELD_AFTER: (u32, i32) = (3, 3);

const LISTED: &str = "the source lists it and does not return it";
pub const UNPROVEN: &str = "the source does not return it, nor anything else in the same answer";

/// Ids that did not come in a second answer.
#[derive(Debug, Default)]
pub struct Again {
    pub absent: BTreeSet<i64>,
    /// Of these, the ones in an answer that lacked the witness too.
    pub unproven: BTreeSet<i64>,
    /// Ids that could not be asked for: no row states their path.
    pub lost: BTreeSet<i64>,
}

/// Absent ids, by their records in the tables and in the state.
pub struct KnownIds {
    pub held: BTreeSet<i64>,
    pub pending: BTreeSet<i64>,
    /// Suspects that this scan may prove to be deleted.
    pub due: BTreeSet<i64>,
}

/// Ids whose paths are looked for at once: most witnesses are among the newest.
const PLACED_AT_ONCE: usize = 200;
/// Witnesses that are tried at most, where none of them comes.
const WITNESSES: usize = 3;

impl IdScan {
    /// Decides about every id that was not returned; an undecided id is pending. Costs no request where all were returned.
    pub async fn settle(&mut self, session: &mut ResourceSession<'_>, documents: &Documents) -> Result<()> {
        if self.purpose.is_nightly() {
            self.ask_withheld(session, documents).await?;
        }
        let known = self.known(session).await?;
        // No search showed that the source has a record for an owner: every absent one is asked for again.
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
            let again = self.ask_again(session, documents, &asked).await?;
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

    async fn known(&self, session: &ResourceSession<'_>) -> Result<KnownIds> {
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
        Ok(KnownIds { held: held_among(session, &ids.into_iter().collect::<Vec<_>>()).await?, pending, due })
    }

    /// Asks for ids once more, in sets that each include an id which came: the witness.
    pub async fn ask_again(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        ids: &BTreeSet<i64>,
    ) -> Result<Again> {
        let mut again = Again::default();
        let ids = collapse(ids.iter().copied());
        let places = match &documents.holder {
            Some(holder) => holder.places(&ids).await?,
            None => Places { groups: BTreeMap::from([(Vec::new(), ids)]), lost: Vec::new() },
        };
        for (place, ids) in places.groups {
            self.ask_again_at(session, documents, (&place, &expand(&ids).collect()), &mut again).await?;
        }
        again.absent.extend(&places.lost);
        again.lost.extend(places.lost);
        self.fetch_deferred(session, documents).await?;
        Ok(again)
    }

    /// The same for ids that have one path, with a witness that has it too: a request with another path proves nothing.
    async fn ask_again_at(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        (place, ids): (&[i64], &BTreeSet<i64>),
        again: &mut Again,
    ) -> Result<()> {
        let stop = session.context.stop.clone();
        if self.absent.witnesses.get(place).is_none_or(|witness| ids.contains(witness)) {
            let shown = session.observations.top_shown.filter(|id| !ids.contains(id));
            let other = if shown.is_some() { shown } else { stand_in(session, place, ids).await? };
            self.absent.set_witness(place, other);
        }
        // With a witness in each set; where one id is asked for at a time, with one for several.
        let most = match max_ids(session) {
            1 => ALONE,
            most => most - 1,
        };
        for set in chunks(&collapse(ids.iter().copied()), most) {
            let mut witness = self.absent.witnesses.get(place).copied().filter(|witness| !ids.contains(witness));
            let asked = collapse(expand(&set).chain(witness));
            let mut fetched = stop.or(documents.fetch(&asked)).await?;
            // A witness that we hold may be gone too: others are tried, the newest first.
            let mut tried: BTreeSet<i64> = ids.iter().copied().chain(witness).collect();
            for _ in 1..WITNESSES {
                if witness.is_none() || first_of(&fetched).is_some() {
                    break;
                }
                let Some(other) = stand_in(session, place, &tried).await? else { break };
                tried.insert(other);
                witness = Some(other);
                self.absent.set_witness(place, witness);
                fetched = stop.or(documents.fetch(&collapse(expand(&set).chain(witness)))).await?;
            }
            let proven = match witness {
                Some(witness) => came(&fetched).any(|id| id == witness),
                None => first_of(&fetched).is_some(),
            };
            let decides = self.purpose.keeps_absent(&session.resource);
            let none = if decides { std::mem::take(&mut fetched.none) } else { Vec::new() };
            let gone = std::mem::take(&mut fetched.gone).into_iter().chain(none);
            let absent: Vec<i64> = gone.filter(|id| Some(*id) != witness).collect();
            again.unproven.extend(absent.iter().filter(|_| !proven));
            again.absent.extend(absent);
            self.take_in(session, fetched).await?;
        }
        Ok(())
    }

    /// Listed ids are pending, ids that are not listed are suspects where we hold them.
    async fn settle_records(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        mut again: Again,
        known: &KnownIds,
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
            relist(session, &asked).await?
        } else {
            // With `start` a full read also requests older held records: no listing showed these.
            let start = session.state.start.is_some();
            let shown = |id: &i64| self.absent.is_shown(*id) && !(start && known.held.contains(id));
            let doubtful = asked.iter().copied().filter(|id| shown(id) || known.pending.contains(id)).collect();
            // Deleted between the search and the GET, an id is not listed any more.
            relist(session, &doubtful).await?
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
        self.absent.proven = prove(session, due).await?;
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

    /// Requests withheld ids in one set a run. The scan continues, regardless of the result.
    async fn ask_withheld(&mut self, session: &mut ResourceSession<'_>, documents: &Documents) -> Result<()> {
        let withheld: Vec<i64> = session.state.absence.withheld.keys().copied().collect();
        if withheld.is_empty() {
            return Ok(());
        }
        // Another set each day, where one does not hold them all.
        let most = max_ids(session);
        let day = usize::try_from(self.started_at.as_second() / 86_400).unwrap_or_default();
        let from = if withheld.len() > most { day.wrapping_mul(most) % withheld.len() } else { 0 };
        let set = collapse(withheld.iter().cycle().skip(from).take(most.min(withheld.len())).copied());
        let stop = session.context.stop.clone();
        match stop.or(documents.fetch(&set)).await {
            Ok(mut fetched) => {
                (fetched.gone, fetched.unclear, fetched.refused, fetched.deferred) = Default::default();
                fetched.pages.iter_mut().for_each(|(page, _)| page.records.clear());
                self.take_in(session, fetched).await.map(|_| ())
            }
            Err(failure) if matches!(failure.kind(), Kind::Answer | Kind::Refused) => {
                session.context.events.note(&session.name, format!("withheld ids could not be asked for: {failure}"));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Many newly pending ids at once fail a scan that commits on the way: recorded, so that it fails once. So they do where files
    /// are built anew, which would lose the rows.
    async fn refuse_much_pending(&mut self, session: &mut ResourceSession<'_>, newly: u64) -> Result<()> {
        let asked: u64 = self.slices.iter().map(|slice| crate::fetch::count(slice)).sum();
        let most = SafetyLimit::PENDING.of(asked);
        if newly <= most || !(self.is_gradual(session) || session.committer.rebuild) {
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

/// Counts the run for every pending id; those that stayed pending in three runs over three days are withheld.
pub fn age_pending(session: &mut ResourceSession<'_>, now: Timestamp) {
    let day = |at: Timestamp| Offset::UTC.to_datetime(at).date();
    let mut withheld = BTreeMap::new();
    for pending in &session.state.pending {
        let Key::Int(id) = pending.id else { continue };
        let blank = || Tries { runs: 0, run: String::new(), first: pending.since };
        let tries = session.state.absence.tries.entry(id).or_insert_with(blank);
        if tries.run != session.context.run {
            (tries.runs, tries.run) = (tries.runs.saturating_add(1), session.context.run.clone());
        }
        let days = day(now).since(day(tries.first)).map_or(0, |span| span.get_days()).saturating_add(1);
        if tries.runs >= WITHHELD_AFTER.0 && days >= WITHHELD_AFTER.1 {
            withheld.insert(id, Withheld { reason: pending.reason.clone(), since: tries.first });
        }
    }
    if withheld.is_empty() {
        return;
    }
    let text = format!("{} pending in three runs over three days: withheld from now on", plural(withheld.len(), "id"));
    session.context.events.warn(&session.name, text);
    session.state.pending.retain(|pending| !matches!(pending.id, Key::Int(id) if withheld.contains_key(&id)));
    session.state.absence.tries.retain(|id, _| !withheld.contains_key(id));
    session.state.absence.withheld.extend(withheld);
}

/// Takes suspects with a proven deletion out of the tables, unless there are more of them than the safety limit allows.
pub fn delete_suspects(session: &mut ResourceSession<'_>, proven: &BTreeSet<i64>, held: u64, at: Timestamp) {
    if count(proven.len()) > may_go(held) {
        let text = format!(
            "{} gone at the source, more than may go at once: `pearlift reconcile --force {}` removes them",
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
pub fn delete_some(session: &mut ResourceSession<'_>, gone: BTreeSet<i64>, held: u64, at: Timestamp) {
    let due: BTreeSet<i64> = session.state.absence.due(&session.context.run, at).into_iter().collect();
    let (sure, fresh): (BTreeSet<i64>, BTreeSet<i64>) = gone.into_iter().partition(|id| due.contains(id));
    let fresh: Vec<i64> = fresh.into_iter().collect();
    delete_suspects(session, &sure, held, at);
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

/// How many records the tables hold.
pub async fn records(session: &ResourceSession<'_>) -> Result<u64> {
    let Some(head) = &session.head else { return Ok(0) };
    match session.resource.record_table().and_then(|table| head.tables.get(&table.name)) {
        Some(table) => Ok(table.files.iter().map(|file| file.rows).sum()),
        None => Ok(count(held_records(&session.context.store, &session.resource, head).await?.len())),
    }
}

/// Of ids that a GET in the company of a witness did not return, those that a second listing does not show either.
/// Where OPTIONS takes ids, it was asked with them already.
pub async fn prove(session: &ResourceSession<'_>, ids: BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    if ids.is_empty() || has_options(session) {
        return Ok(ids);
    }
    let listed = relist(session, &ids).await?;
    Ok(ids.difference(&listed).copied().collect())
}

/// Of these ids, those that the source lists now.
pub async fn relist(session: &ResourceSession<'_>, ids: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    let ReadStyle::IdSets { inventory, max_ids, changes, .. } = &session.resource.read.style else {
        return Ok(BTreeSet::new());
    };
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let service = &session.resource.read.service;
    let id_source = IdSource::of(session);
    match inventory {
        Inventory::Options(path) => {
            let mut listed = BTreeSet::new();
            for set in chunks(&collapse(ids.iter().copied()), *max_ids) {
                let path = format!("{service}/{path}/{}", crate::fetch::render(&set));
                listed.extend(expand(&id_source.options(&path).await?.ids).filter(|id| ids.contains(id)));
            }
            Ok(listed)
        }
        Inventory::Search(search) | Inventory::Windows(search) => {
            // A narrow listing where the dates of creation are held, else the whole.
            if let Some(changes) = changes
                && let Some(windows) = narrow_search::windows(session, changes.created(), ids).await?
            {
                let listing =
                    narrow_search::listing(&id_source, service, &changes.search, changes.created(), &windows).await?;
                return Ok(listing.ids.intersection(ids).copied().collect());
            }
            let (_, rows) = id_source.search(service, search, &[], None).await?;
            Ok(rows.into_iter().map(|row| row.id).filter(|id| ids.contains(id)).collect())
        }
    }
}

/// Whether OPTIONS of the resource takes ids.
fn has_options(session: &ResourceSession<'_>) -> bool {
    matches!(&session.resource.read.style, ReadStyle::IdSets { inventory: Inventory::Options(_), .. })
}

/// Ids of a GET at most.
fn max_ids(session: &ResourceSession<'_>) -> usize {
    match &session.resource.read.style {
        ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. } => *max_ids,
        ReadStyle::Search(_) | ReadStyle::List { .. } => 1,
    }
}

/// Of these ids, those that the tables hold.
async fn held_among(session: &ResourceSession<'_>, ids: &[i64]) -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    let head = session.head.as_ref().filter(|head| head.state.completed_at.is_some() && !ids.is_empty());
    // Files of another shape may name their columns otherwise: none of theirs is looked at.
    if let Some(head) = head.filter(|_| !session.committer.rebuild) {
        for (key, files) in owners(&session.resource, head) {
            found.extend(held(&session.context.store, &files, &key, &[], ids).await?.into_keys());
        }
    }
    Ok(found)
}

/// An id that the tables hold and that has this path, for want of one that came.
pub async fn stand_in(session: &ResourceSession<'_>, place: &[i64], but: &BTreeSet<i64>) -> Result<Option<i64>> {
    let Some(head) = session.head.as_ref().filter(|_| !session.committer.rebuild) else { return Ok(None) };
    let absence = &session.state.absence;
    let doubted = |id: &i64| {
        let pending = session.state.pending.iter().any(|pending| pending.id == Key::Int(*id));
        pending || absence.withheld.contains_key(id) || absence.suspects.contains_key(id)
    };
    for (key, files) in owners(&session.resource, head) {
        // The newest file first: a record that changed lately most likely still exists.
        for file in files.iter().rev().filter(|file| file.rows > 0) {
            let ids = crate::write::held_ids(&session.context.store, std::slice::from_ref(file), &key).await?;
            let ids: Vec<i64> = ids.into_iter().filter(|id| !but.contains(id) && !doubted(id)).collect();
            for newest in ids.rchunks(PLACED_AT_ONCE) {
                let of_place = match &session.stored.holder {
                    Some(holder) => holder.places(&collapse(newest.iter().copied())).await?.groups.remove(place),
                    None => Some(collapse(newest.iter().copied())),
                };
                if let Some(id) = of_place.iter().flat_map(|ids| expand(ids)).last() {
                    return Ok(Some(id));
                }
            }
        }
    }
    Ok(None)
}
