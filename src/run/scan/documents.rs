//! Documents of an id set, fetched completely: pages of a paginated set, smaller sets where the source takes no larger
//! ones, and the outcome of every requested id (docs/reading.md §12).
//!
//! A set that the source cannot return is deferred (`FetchedSet::deferred`); `in_pieces` halves it until the records
//! that make it fail are isolated.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use crate::decode::{Asked, Page, Shape, answer};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{
    Answer, Client, IdRanges, Request, WholeReply, chunks, collapse, count, expand, read_whole, render,
};
use crate::manifest::Key;
use crate::quantity::plural;
use crate::run::holder::Holder;
use crate::run::scan::id_sets::{Sets, halves};
use crate::run::scan::refusal::{Refusal, meaning};
use crate::run::session::ResourceSession;
use crate::schema::{ReadStyle, Resource};

/// Tries of a set while the last one failed, and of an unreadable piece: a failing source is not asked for long.
const FEW_TRIES: u32 = 2;
/// Halves and quarters of a failing set: where all of them fail, and nothing else has come, no record is the reason.
pub const PROBES: u32 = 6;
/// The same while other sets are still to come: the halves.
const FEW_PROBES: u32 = 2;

/// Requests documents of a resource. Cheap to clone; clones share the sets of the scan.
#[derive(Clone)]
pub struct Documents {
    pub client: Client,
    pub resource: Arc<Resource>,
    pub name: Arc<str>,
    pub shape: Arc<Shape>,
    /// The path with `{ids}`, service included.
    pub path: String,
    /// Of the GET, where a list has several.
    pub label: Option<String>,
    /// The table that holds the ids, and the other values of the path.
    pub holder: Option<Holder>,
    /// Ids of a set at most.
    pub most: usize,
    pub sets: Sets,
}

/// The result of an id set.
#[derive(Debug, Default)]
pub struct FetchedSet {
    pub pages: Vec<(Page, Timestamp)>,
    /// Ids that the source did not return.
    pub gone: Vec<i64>,
    /// Ids requested by themselves of which the source said that it has nothing.
    pub none: Vec<i64>,
    /// Ids not returned while some record without a readable key was: one of these it may be.
    pub unclear: Vec<i64>,
    /// Ids that the source refuses by themselves, with the code.
    pub refused: Vec<(i64, String)>,
    /// Sets that failed whole: nothing is known of their ids before they are halved.
    pub deferred: Vec<Deferred>,
}

/// A set that failed.
#[derive(Debug)]
pub struct Deferred {
    pub ids: IdRanges,
    pub failure: Failure,
    /// Sets that had come by then.
    came: u64,
}

/// The result of one request.
pub enum DocumentReply {
    /// A page, when it was asked, and the source's clock at its answer.
    Page(Box<Page>, Timestamp, Timestamp),
    /// There is nothing, by the source's clock at its answer.
    None(Timestamp),
    Refused(Refusal),
    /// The answer is longer than any that is read.
    TooLong(Failure),
    /// The source failed, or its answer cannot be read, however often it is asked.
    Failed(Failure),
}

/// The work that is left for a set.
enum Rest {
    Nothing,
    /// These were on none of its pages: while pages are read, records that go shift others from one to the one before.
    Again(IdRanges),
    /// The source refuses these with a code that one id may be the reason of.
    Spoilt(IdRanges, String),
    /// These are requested in smaller sets.
    Cut(IdRanges),
    Failed(IdRanges, Failure),
}

impl FetchedSet {
    /// Adds the result of another set.
    fn join(&mut self, other: Self) {
        self.pages.extend(other.pages);
        self.gone.extend(other.gone);
        self.none.extend(other.none);
        self.unclear.extend(other.unclear);
        self.refused.extend(other.refused);
        self.deferred.extend(other.deferred);
    }
}

impl Documents {
    /// Asks for documents of the resource at work, in this many sets.
    pub fn new(session: &ResourceSession<'_>, path: String, sets: usize) -> Self {
        let most = match &session.resource.read.style {
            ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. } => *max_ids,
            ReadStyle::Search(_) | ReadStyle::List { .. } => usize::from(u16::MAX),
        };
        Self {
            client: session.context.client.clone(),
            holder: session.stored.holder.clone(),
            most,
            resource: Arc::clone(&session.resource),
            name: Arc::clone(&session.name),
            shape: Arc::clone(&session.shape),
            path,
            label: None,
            sets: Sets::new(sets, &session.state.pieces, session.context.clock.now()),
        }
    }

    /// Brings the documents of these ids.
    pub async fn fetch(&self, ids: &IdRanges) -> Result<FetchedSet> {
        let mut fetched = FetchedSet::default();
        let mut sets = self.sets_of(ids, &mut fetched).await?;
        sets.reverse();
        while let Some(set) = sets.pop() {
            let tries = self.sets.is_failing().then_some(FEW_TRIES);
            let came = self.sets.count();
            match self.whole_set(&set, &mut fetched, tries).await? {
                Rest::Nothing => self.sets.came(),
                Rest::Again(missing) => sets.push(missing),
                Rest::Cut(set) => sets.extend(self.sets.cut(&set).into_iter().rev()),
                Rest::Spoilt(set, code) => match halves(&set) {
                    Some([low, high]) => {
                        if !self.sets.spend(2) {
                            return Err(self.too_many_refused(&code));
                        }
                        sets.extend([high, low]);
                    }
                    None => fetched.refused.push((set[0].0, code)),
                },
                // Refused alone: no half of it would tell more, and the source has answered.
                Rest::Failed(set, failure) if count(&set) == 1 && failure.kind() == Kind::Refused => {
                    fetched.refused.push((set[0].0, failure.reason().to_owned()));
                }
                // The source answers: some record in the set may be the reason, or its size.
                Rest::Failed(ids, failure)
                    if failure.kind() == Kind::Refused && (came > 0 || !self.sets.is_failing()) =>
                {
                    match self.in_pieces(Deferred { ids: ids.clone(), failure, came: 0 }, FEW_PROBES).await {
                        Ok(pieces) => fetched.join(pieces),
                        Err(failure) if failure.kind() != Kind::Refused || self.sets.failed() => return Err(failure),
                        Err(failure) => fetched.deferred.push(Deferred { ids, failure, came }),
                    }
                }
                Rest::Failed(_, failure) if self.sets.failed() => return Err(failure),
                Rest::Failed(ids, failure) => fetched.deferred.push(Deferred { ids, failure, came }),
            }
        }
        Ok(fetched)
    }

    /// The ids in sets that one request takes, in order; those without a path cannot be requested.
    async fn sets_of(&self, ids: &IdRanges, fetched: &mut FetchedSet) -> Result<Vec<IdRanges>> {
        let groups = match &self.holder {
            None => vec![ids.clone()],
            Some(holder) => {
                let places = holder.places(ids).await?;
                fetched.gone.extend(places.lost);
                places.groups.into_values().collect()
            }
        };
        let sets = groups.iter().flat_map(|ids| chunks(ids, self.most));
        Ok(sets.flat_map(|set| self.sets.cut(&set)).collect())
    }

    /// The path of a set, which has one.
    async fn path_of(&self, set: &IdRanges) -> Result<String> {
        let Some(holder) = &self.holder else { return Ok(self.path.clone()) };
        let place = holder.places(set).await?.groups.into_keys().next();
        Ok(place.map_or_else(|| self.path.clone(), |place| holder.path(&self.path, &place)))
    }

    /// Halves a set that failed until the records that spoil it are alone, which count as refused; one try a piece.
    /// Gives the set's failure where nothing comes of it and nothing else has come since: the source, not a record, is
    /// in trouble.
    pub async fn in_pieces(&self, deferred: Deferred, probes: u32) -> Result<FetchedSet> {
        let Deferred { ids, failure, came } = deferred;
        let mut fetched = FetchedSet::default();
        let unreadable = failure.kind() == Kind::Answer;
        let tries = if unreadable { FEW_TRIES } else { 1 };
        let mut pieces = VecDeque::from_iter(halves(&ids).into_iter().flatten());
        let mut alone: Vec<(i64, String)> = Vec::new();
        if pieces.is_empty() {
            alone.extend(expand(&ids).map(|id| (id, failure.reason().to_owned())));
        }
        let (mut in_vain, mut halves_came, mut asked) = (0, 0, 0_u64);
        while let Some(piece) = pieces.pop_front() {
            if !self.sets.spend(1) {
                alone.extend(expand(&piece).map(|id| (id, failure.reason().to_owned())));
                continue;
            }
            asked += 1;
            match self.whole_set(&piece, &mut fetched, Some(tries)).await? {
                Rest::Nothing => {
                    halves_came += u32::from(asked <= 2);
                    self.sets.came();
                }
                Rest::Again(missing) => pieces.push_front(missing),
                Rest::Cut(piece) => self.sets.cut(&piece).into_iter().rev().for_each(|piece| pieces.push_front(piece)),
                Rest::Spoilt(piece, reason) => split(piece, reason, &mut pieces, &mut alone),
                Rest::Failed(piece, why) => {
                    split(piece, why.reason().to_owned(), &mut pieces, &mut alone);
                    in_vain += 1;
                    if in_vain >= probes && self.sets.count() == came {
                        return Err(failure);
                    }
                }
            }
        }
        if self.sets.count() == came {
            return Err(failure);
        }
        if halves_came == 2 && self.sets.halved_in_vain(count(&ids)) {
            let text = format!(
                "sets of {} fail but their halves do not: smaller sets are requested",
                plural(count(&ids), "id")
            );
            self.client.events().warn(&self.name, text);
        }
        fetched.refused.extend(alone);
        Ok(fetched)
    }

    /// Every page of a set.
    async fn whole_set(&self, set: &IdRanges, fetched: &mut FetchedSet, tries: Option<u32>) -> Result<Rest> {
        let path = self.path_of(set).await?.replace("{ids}", &render(set));
        let mut missing: HashSet<i64> = expand(set).collect();
        let (mut first, mut came, mut pages) = (1, 0, 0);
        let mut has_record_without_key = false;
        let mut partial = None;
        loop {
            let path = if first == 1 { path.clone() } else { paged(&path, first) };
            let request = Request { tries, ..Request::get(&self.name, path) };
            let alone = expand(set).next().filter(|_| count(set) == 1);
            match self.part(&request, alone).await? {
                DocumentReply::None(_) if self.most == 1 => {
                    fetched.none.extend(missing);
                    return Ok(Rest::Nothing);
                }
                DocumentReply::None(_) => break,
                DocumentReply::Refused(refusal) => return self.refused(refusal, &request, collapse(missing)),
                DocumentReply::TooLong(failure) => return Ok(self.too_long(collapse(missing), failure)),
                DocumentReply::Failed(failure) => return Ok(Rest::Failed(collapse(missing), failure)),
                DocumentReply::Page(page, asked_at, _) => {
                    let before = missing.len();
                    self.remove_fetched(&page, set, &mut missing)?;
                    let any_without_key = page.rejected_records.iter().any(|record| record.id.is_none());
                    has_record_without_key |= any_without_key;
                    came += page.came;
                    let more = page.more;
                    // Records without a key may be new; there are no more of them than ids were requested.
                    let advances = missing.len() < before || (any_without_key && came <= count(set));
                    if more && self.resource.read.repeats {
                        let why = "it comes in pages, and the rows of a record may be on several".to_owned();
                        return Err(self.distrust(set, why));
                    }
                    if more && !advances {
                        let why =
                            format!("the page from row {first} on contains nothing new but states that more follow");
                        return Err(self.distrust(set, why));
                    }
                    (first, pages) = (first + page.came, pages + 1);
                    partial = partial.or(page.partial.clone());
                    fetched.pages.push((*page, asked_at));
                    if !more {
                        break;
                    }
                }
            }
        }
        if pages > 1 && !missing.is_empty() {
            return Ok(Rest::Again(collapse(missing)));
        }
        if let Some(why) = partial.filter(|_| !missing.is_empty()) {
            let text = format!("{} of {} in a set not returned: {why}", missing.len(), plural(count(set), "id"));
            self.client.events().warn(&self.name, text);
        }
        let mut missing: Vec<i64> = missing.into_iter().collect();
        missing.sort_unstable();
        if has_record_without_key {
            fetched.unclear.extend(missing)
        } else {
            fetched.gone.extend(missing)
        }
        Ok(Rest::Nothing)
    }

    /// The consequence of a set with an answer that is longer than any that is read.
    fn too_long(&self, set: IdRanges, failure: Failure) -> Rest {
        let ids = count(&set);
        if !self.sets.lower_ids(ids / 2, ids) {
            return Rest::Failed(set, failure);
        }
        let text =
            format!("{}: sets of fewer than {} are requested, for seven days", failure.reason(), plural(ids, "id"));
        self.client.events().warn(&self.name, text);
        Rest::Cut(set)
    }

    /// The consequence of a refused set.
    fn refused(&self, refusal: Refusal, request: &Request, set: IdRanges) -> Result<Rest> {
        let ids = count(&set);
        let smaller = match &refusal {
            Refusal::TooMany(named) => self.sets.lower_ids(named.filter(|named| *named < ids).unwrap_or(ids / 2), ids),
            Refusal::TooLong => self.sets.lower_bytes(render(&set).len()),
            Refusal::NoneExist | Refusal::Spoilt(_) | Refusal::Set(_) | Refusal::All(_) => false,
        };
        if smaller {
            let text = format!(
                "the source accepts no set of {}: smaller sets are requested, for seven days",
                plural(ids, "id")
            );
            self.client.events().warn(&self.name, text);
            return Ok(Rest::Cut(set));
        }
        match refusal {
            Refusal::NoneExist => Ok(Rest::Nothing),
            Refusal::Spoilt(code) => Ok(Rest::Spoilt(set, code)),
            Refusal::Set(failure) => Ok(Rest::Failed(set, failure)),
            Refusal::All(failure) => Err(failure),
            Refusal::TooMany(_) | Refusal::TooLong => {
                let failure = Failure::new(Kind::Refused, format!("read {}", self.name))
                    .at(request.path.clone())
                    .because(format!("the source accepts no set of {}", plural(ids, "id")))
                    .advise("exclude the resource with `resources.exclude`");
                Ok(Rest::Failed(set, failure))
            }
        }
    }

    /// Removes the ids of a page from `missing`; an id that was not requested is refused.
    fn remove_fetched(&self, page: &Page, set: &IdRanges, missing: &mut HashSet<i64>) -> Result<()> {
        for record in &page.records {
            let Key::Int(id) = record.key else { continue };
            if !missing.remove(&id) && !set.iter().any(|(start, end)| (*start..=*end).contains(&id)) {
                return Err(self.distrust(set, format!("it returns {id}, which was not requested")));
            }
        }
        for id in page.rejected_records.iter().filter_map(|record| record.id.as_ref()) {
            if let Key::Int(id) = id {
                missing.remove(id);
            }
        }
        Ok(())
    }

    /// Requests until the body is whole; `id` is the only one that is requested. Fails only where no other request
    /// would fare better.
    pub async fn part(&self, request: &Request, id: Option<i64>) -> Result<DocumentReply> {
        let shape = Arc::clone(&self.shape);
        let (asked, is_list) = (Asked::new(id, self.label.as_deref()), !self.path.contains("{ids}"));
        let read = Arc::new(move |got: &Answer| answer(&shape, &got.body, &asked, is_list));
        match read_whole(&self.client, request, read).await {
            Ok(WholeReply::Good { content, asked_at, date }) => {
                Ok(DocumentReply::Page(Box::new(content), asked_at, date))
            }
            Ok(WholeReply::TooLong(failure)) => Ok(DocumentReply::TooLong(failure)),
            Ok(WholeReply::Refused { status, error, date }) => {
                Ok(match meaning(&self.resource.read, &self.name, request, status, error) {
                    Refusal::NoneExist => DocumentReply::None(date),
                    refusal => DocumentReply::Refused(refusal),
                })
            }
            Ok(WholeReply::Broken(broken)) => Ok(DocumentReply::Failed(
                Failure::new(Kind::Answer, format!("read {}", self.name))
                    .at(request.path.clone())
                    .because(broken.0)
                    .advise("run again later; if it persists, exclude the resource with `resources.exclude`"),
            )),
            Err(failure) if failure.kind() == Kind::Unreachable && self.client.has_succeeded() => {
                Ok(DocumentReply::Failed(failure))
            }
            Err(failure) => Err(failure),
        }
    }

    fn too_many_refused(&self, code: &str) -> Failure {
        Failure::new(Kind::Answer, format!("read {}", self.name))
            .because(format!("too many ids are refused with {code}: finding them would cost too many requests"))
            .advise("exclude the resource with `resources.exclude`, or choose other owners in its schema")
    }

    fn distrust(&self, set: &IdRanges, why: String) -> Failure {
        Failure::new(Kind::Answer, format!("trust the answers for {}", self.name))
            .at(self.path.replace("{ids}", &render(set)))
            .because(why)
            .advise("the source has changed; exclude the resource with `resources.exclude` meanwhile")
    }
}

/// Puts the halves of a failing piece behind the others, or its one id among those that are alone.
fn split(piece: IdRanges, reason: String, pieces: &mut VecDeque<IdRanges>, alone: &mut Vec<(i64, String)>) {
    match halves(&piece) {
        Some(halves) => pieces.extend(halves),
        None => alone.extend(expand(&piece).map(|id| (id, reason.clone()))),
    }
}

/// The path of a further page of a set or a list.
pub fn paged(path: &str, first: u64) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}firstResult={first}")
}
