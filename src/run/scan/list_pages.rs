//! The pages of a list, by their first rows or by their numbers. A list of a single page, as most are, costs one
//! request; a further page overlaps the one before by a row, so that rows that go meanwhile are noticed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use crate::decode::{Page, RejectedRecord};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::Request;
use crate::manifest::Key;
use crate::quantity::{count, plural};
use crate::run::scan::documents::{DocumentReply, Documents, paged};
use crate::run::scan::refusal::Refusal;
use crate::schema::ReadStyle;

/// Times that a page is requested while its answer states errors, or that an empty list is.
const ASKED: u32 = 2;
/// A list from which rows go while it is read is read from its start at most this often.
const RESTARTS: u32 = 5;

/// A whole list.
#[derive(Debug)]
pub struct List {
    /// None when the source states that there is nothing.
    pub pages: Vec<(Page, Timestamp)>,
    /// The source's clock at the first answer.
    pub date: Timestamp,
    /// Why it may lack records all the same.
    pub partial: Option<String>,
    /// The path of its last page, where it came in several pages by number with as many records as rows.
    end: Option<String>,
}

impl Documents {
    /// A list, whole: of each GET where there are several. The paths hold no ids.
    pub async fn list(&self) -> Result<List> {
        let ReadStyle::List { gets, .. } = &self.resource.read.style else {
            return Err(Failure::new(Kind::Bug, format!("read {}", self.name)).because("it is no list"));
        };
        let mut whole: Option<List> = None;
        for get in gets {
            let path = format!("{}/{}", self.resource.read.service, get.path);
            let documents = Self { path, label: get.label.clone(), ..self.clone() };
            let mut reading = Reading::new(&documents);
            while reading.read_on().await? {}
            let Reading { pages, date, partial, end, .. } = reading;
            let end = end.filter(|_| gets.len() == 1 && pages.len() > 1);
            let list = List { pages, date: date.expect("a list that ended was answered"), partial, end };
            whole = Some(match whole {
                None => list,
                Some(whole) => whole.with(list, &documents)?,
            });
        }
        Ok(whole.expect("a list has a GET"))
    }

    /// Whether a second answer shows the same last page, where the list came in several pages by number. Each page
    /// before it was full of other records and overlaps the next one, so that only the end rests on a single answer.
    pub async fn ends_alike(&self, list: &List) -> Result<bool> {
        let (Some(path), Some((last, _))) = (&list.end, list.pages.last()) else { return Ok(false) };
        let request = Request::get(&self.name, path.clone());
        Ok(match self.part(&request, None).await? {
            DocumentReply::Page(page, ..) => {
                page.partial.is_none() && page.came == last.came && keys(&page) == keys(last)
            }
            DocumentReply::None(_)
            | DocumentReply::Refused(_)
            | DocumentReply::TooLong(_)
            | DocumentReply::Failed(_) => false,
        })
    }
}

/// The keys of a page's records, of rejected ones too.
pub fn keys(page: &Page) -> BTreeSet<Key> {
    let rejected = page.rejected_records.iter().filter_map(|record| record.id.clone());
    page.records.iter().map(|record| record.key.clone()).chain(rejected).collect()
}

impl List {
    /// The list with that of another GET. Where keys repeat, records of one key are one; else no key may be in both.
    fn with(mut self, more: Self, of: &Documents) -> Result<Self> {
        let keys = |list: &Self| -> HashSet<Key> {
            list.pages.iter().flat_map(|(page, _)| &page.records).map(|record| record.key.clone()).collect()
        };
        if !of.resource.read.repeats
            && let Some(both) = keys(&self).intersection(&keys(&more)).min()
        {
            let why =
                format!("the record {both} is in another GET too: its schema needs `repeats = true`, or another key");
            return Err(distrusted(&of.name, of.path.clone(), why));
        }
        self.partial = self.partial.or(more.partial);
        for (page, asked_at) in more.pages {
            match self.pages.last_mut().filter(|_| of.resource.read.repeats) {
                Some((whole, _)) => whole.join(page),
                None => self.pages.push((page, asked_at)),
            }
        }
        Ok(self)
    }
}

/// A list being read.
struct Reading<'d> {
    documents: &'d Documents,
    /// The row at which the next page begins (1-based); none at the end.
    next: Option<u64>,
    /// The next page begins with the last row of the one before.
    overlaps: bool,
    /// The records of this pass.
    seen: HashSet<Seen>,
    /// Their texts, where the list comes in pages.
    texts: HashMap<Key, String>,
    /// The last record of the page before.
    last: Option<Key>,
    restarts: u32,
    pages: Vec<(Page, Timestamp)>,
    date: Option<Timestamp>,
    partial: Option<String>,
    /// The path of the last page, where pages are requested by number.
    end: Option<String>,
}

/// A record, by its key or, where it has none, by its text.
#[derive(PartialEq, Eq, Hash)]
enum Seen {
    Key(Key),
    Text(u64),
}

impl<'d> Reading<'d> {
    fn new(documents: &'d Documents) -> Self {
        Self {
            documents,
            next: Some(1),
            overlaps: false,
            seen: HashSet::new(),
            texts: HashMap::new(),
            last: None,
            restarts: 0,
            pages: Vec::new(),
            date: None,
            partial: None,
            end: None,
        }
    }

    /// Reads the next page; `false` at the end.
    async fn read_on(&mut self) -> Result<bool> {
        let Some(first) = self.next.take() else { return Ok(false) };
        let by_number = self.by_number(first);
        let begins = by_number.map_or(first, |(_, _, begins)| begins);
        let path = self.path(first, by_number);
        let Some((mut page, asked_at)) = self.page(first, &path).await? else {
            // The page before promised more rows.
            self.end = None;
            return Ok(false);
        };
        let (mut new, mut known) = (0, 0);
        for record in records(&page) {
            let is_new = self.seen.insert(record);
            new += usize::from(is_new);
            known += usize::from(!is_new);
        }
        if self.overlaps && known == 0 {
            self.restart()?;
            return Ok(true);
        }
        if page.more && self.documents.resource.read.repeats {
            return Err(
                self.distrust(first, "it comes in pages, and the rows of a record may be on several".to_owned())
            );
        }
        if page.more && new == 0 {
            let why = format!("the page from row {first} on contains nothing new but states that more follow");
            return Err(self.distrust(first, why));
        }
        if let Some((number, size, _)) = by_number {
            if number > 1 && new == 0 && page.came >= size {
                let why = format!("page {number} brings nothing new, and as many records as were asked for");
                return Err(self.distrust(first, why));
            }
            page.more = new > 0 && page.came >= size;
            if new > 0 && page.came < size {
                self.refuse_more(number + 1, size).await?;
            }
        }
        self.reject_twins(&mut page);
        // A page of one row has no other to share.
        self.overlaps = page.came > 1;
        self.next = page.more.then(|| begins + page.came - u64::from(self.overlaps));
        // Rows that come twice may have taken the place of others: then the number of records is less than the last row.
        let is_each_row_new = count(self.seen.len()) + 1 == begins + page.came;
        self.end = by_number.filter(|_| is_each_row_new).map(|_| path);
        self.pages.push((page, asked_at));
        Ok(true)
    }

    /// Keeps records of earlier pages with a key that is returned again with another text, other than in the row that
    /// two pages share: the later one replaces them.
    fn reject_twins(&mut self, page: &mut Page) {
        let shared = self.last.take().filter(|_| self.overlaps);
        self.last = page.records.last().map(|record| record.key.clone());
        for (key, text) in std::mem::take(&mut page.texts) {
            let Some(before) = self.texts.insert(key.clone(), text.clone()) else { continue };
            if before != text && shared.as_ref() != Some(&key) {
                let reason = "another record of the same key is on another page".to_owned();
                page.rejected_rows.push(RejectedRecord { table: None, id: Some(key), reason, raw: before });
            }
        }
    }

    /// One page; none where there is nothing. An answer that states errors or holds no list is requested again, and so
    /// is an empty list.
    async fn page(&mut self, first: u64, path: &str) -> Result<Option<(Page, Timestamp)>> {
        let request = Request::get(&self.documents.name, path.to_owned());
        for asked in 1.. {
            let last = asked == ASKED;
            match self.documents.part(&request, None).await? {
                DocumentReply::Page(page, asked_at, date) => {
                    self.date.get_or_insert(date);
                    let is_empty = page.came == 0 && first == 1;
                    match &page.partial {
                        None if !is_empty || last => return Ok(Some((*page, asked_at))),
                        Some(why) if last && page.came == 0 => return Err(self.distrust(first, why.clone())),
                        Some(why) if last => {
                            self.partial = Some(why.clone());
                            return Ok(Some((*page, asked_at)));
                        }
                        None | Some(_) => {}
                    }
                }
                DocumentReply::None(date) => {
                    self.date.get_or_insert(date);
                    if last || first > 1 {
                        return Ok(None);
                    }
                }
                DocumentReply::Refused(Refusal::Set(failure) | Refusal::All(failure))
                | DocumentReply::TooLong(failure)
                | DocumentReply::Failed(failure) => {
                    return Err(failure);
                }
                DocumentReply::Refused(
                    Refusal::NoneExist | Refusal::Spoilt(_) | Refusal::TooMany(_) | Refusal::TooLong,
                ) => {
                    return Err(self.distrust(first, "the source refuses it as it refuses a set of ids".to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// The number, the rows and the first row of the page with a certain row, where pages are requested by number.
    /// Pages differ in their rows, so that each begins before the one before it ends.
    fn by_number(&self, first: u64) -> Option<(u64, u64, u64)> {
        match &self.documents.resource.read.style {
            ReadStyle::List { pages: Some(pages), .. } => Some(pages.at(first)),
            ReadStyle::List { pages: None, .. }
            | ReadStyle::IdSets { .. }
            | ReadStyle::Search(_)
            | ReadStyle::PerOwner { .. } => None,
        }
    }

    /// The path of a page.
    fn path(&self, first: u64, by_number: Option<(u64, u64, u64)>) -> String {
        let path = &self.documents.path;
        match (&self.documents.resource.read.style, by_number) {
            (ReadStyle::List { pages: Some(pages), .. }, Some((number, size, _))) => {
                let joint = if path.contains('?') { '&' } else { '?' };
                format!("{path}{joint}{}", pages.parameters(number, size))
            }
            _ if first == 1 => path.clone(),
            _ => paged(path, first),
        }
    }

    /// A page that is not full is the last one: the page behind it brings nothing new. Else pages have fewer rows than
    /// were asked for, and some would be left out.
    async fn refuse_more(&mut self, number: u64, size: u64) -> Result<()> {
        let path = self.path(number, Some((number, size, 0)));
        let Some((page, _)) = self.page(number, &path).await? else { return Ok(()) };
        if records(&page).all(|record| self.seen.contains(&record)) {
            return Ok(());
        }
        Err(self.distrust(
            1,
            format!("a page is shorter than {}, as asked for, and one behind it brings more", plural(size, "row")),
        ))
    }

    /// Rows went while pages were read, and took others to a page that was read already.
    fn restart(&mut self) -> Result<()> {
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(self.distrust(1, "rows leave the list faster than it can be read".to_owned()));
        }
        self.seen.clear();
        self.texts.clear();
        self.pages.clear();
        (self.next, self.overlaps) = (Some(1), false);
        Ok(())
    }

    fn distrust(&self, first: u64, why: String) -> Failure {
        let place = if first == 1 { self.documents.path.clone() } else { paged(&self.documents.path, first) };
        distrusted(&self.documents.name, place, why)
    }
}

fn distrusted(name: &str, place: String, why: String) -> Failure {
    Failure::new(Kind::Answer, format!("read {name} completely"))
        .at(place)
        .because(why)
        .advise("run again later; if it persists, exclude the resource with `resources.exclude`")
}

/// The records of a page.
fn records(page: &Page) -> impl Iterator<Item = Seen> {
    let keys = page.records.iter().map(|owner| Seen::Key(owner.key.clone()));
    let without_key = page.rejected_records.iter().filter(|record| record.id.is_none()).map(|record| {
        let mut hasher = DefaultHasher::new();
        record.raw.hash(&mut hasher);
        Seen::Text(hasher.finish())
    });
    keys.chain(without_key)
}
