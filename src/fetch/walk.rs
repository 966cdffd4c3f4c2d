//! Pages of a search, requested ahead and joined in order (docs/reading.md §9, §10, §11).
//!
//! Pages are sorted by a unique id ascending and overlap by one row. A page may arrive while others are under way; they
//! are joined in order by their first and last id: a first id at or below the last one known joins; one above it means
//! that rows left meanwhile, and pages are read again from further ahead of the gap until one joins.
//!
//! A page is full if it has as many rows as were requested, or as an earlier page of the walk, or states that more
//! follow. A single page that is not full and agrees with the count that it states ends the walk; where the count is
//! known to be wrong, two such pages in a row do. A page without new rows against a count that is believed is requested
//! again; then the walk continues by windows (see `windows`).

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::page_request::read_page;
use crate::fetch::windows::{Missing, Next, Windows};
use crate::fetch::{Client, MemoryReservation, PageReader, Query, Request, SearchPage};
use crate::quantity::plural;

/// A page is read again from further ahead at most this often in a row: rows that leave faster than we read end the
/// scan.
const REREADS: u32 = 100;
/// The same rows come from this many places of a search before it counts as one that does not advance.
const SAME_PAGES: u32 = 2;
/// A page without rows against the search's own count is requested so often before the walk continues by windows.
const ASKED: u32 = 2;

/// A page in its place: its content, and the position after it.
#[derive(Debug)]
pub struct JoinedPage<T> {
    pub content: T,
    pub asked_at: jiff::Timestamp,
    /// The greatest id joined so far, and the row at which the next page begins: from here the walk can resume later.
    pub last: Option<i64>,
    pub next: u64,
    /// The room of the content, until it is elsewhere.
    pub room: MemoryReservation,
}

type Fetched<T> = (u64, Result<(SearchPage, T, jiff::Timestamp, jiff::Timestamp)>);

/// A walk through a search.
/// More than twelve fields: the state of one walk; each page that is joined changes most of it.
pub struct Walk<T> {
    pub(super) client: Client,
    pub(super) resource: Arc<str>,
    pub(super) query: Query,
    pub(super) reader: PageReader<T>,
    /// The greatest id joined.
    pub(super) last: Option<i64>,
    /// The greatest id of which all rows are joined, where those of an id belong together.
    pub(super) whole: Option<i64>,
    /// Where the next page in order begins.
    pub(super) next: u64,
    /// Pages under way and waiting, in order of their first row; and their rooms.
    ahead: VecDeque<u64>,
    rooms: VecDeque<MemoryReservation>,
    under_way: JoinSet<Fetched<T>>,
    arrived: Vec<Fetched<T>>,
    /// The rows of a full page as the source gives them, learnt from the first.
    step: Option<u64>,
    /// The least rows of a page that was not the last.
    least_rows: Option<u64>,
    /// Pages in a row that were not full, where the search's count is not believed.
    short_pages: u32,
    /// Times in a row that a page contradicted the search's count.
    doubts: u32,
    /// Pages in a row without a new row, the ids of the last of them, and how often the same came again.
    idle: u32,
    idle_ids: Vec<i64>,
    same_pages: u32,
    /// The greatest number of rows that the source has claimed.
    claimed: u64,
    available: Option<u64>,
    rereads: u32,
    /// Windows still to be read, where pages cannot be sorted or contradict the search's count.
    pub(super) windows: Option<Windows>,
    pub(super) ended: bool,
    /// The source's clock at the first answer.
    pub started_at: Option<jiff::Timestamp>,
    /// The greatest were wanted first, and the search cannot be sorted: nothing was read.
    pub unsorted: bool,
}

impl<T: Send + 'static> Walk<T> {
    /// A walk from the first row, or from the end of an earlier one: the greatest fetched id and the next row.
    pub fn new(
        client: &Client,
        resource: &Arc<str>,
        query: Query,
        reader: PageReader<T>,
        from: Option<(i64, u64)>,
    ) -> Self {
        Self {
            client: client.clone(),
            resource: Arc::clone(resource),
            query,
            reader,
            last: from.map(|(last, _)| last),
            whole: None,
            next: from.map_or(1, |(_, next)| next.max(1)),
            ahead: VecDeque::new(),
            rooms: VecDeque::new(),
            under_way: JoinSet::new(),
            arrived: Vec::new(),
            step: None,
            least_rows: None,
            short_pages: 0,
            doubts: 0,
            idle: 0,
            idle_ids: Vec::new(),
            same_pages: 0,
            claimed: 0,
            available: None,
            rereads: 0,
            windows: None,
            ended: false,
            started_at: None,
            unsorted: false,
        }
    }

    /// The rows that the source claimed to have with its last answer.
    pub fn available(&self) -> Option<u64> {
        self.available
    }

    /// The next page in order, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<JoinedPage<T>>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if self.windows.is_some() {
                return self.next_window().await;
            }
            self.ask_ahead();
            let (room, (first, fetched)) = self.arrival().await;
            let (mut page, content, asked_at, date) = fetched?;
            self.started_at.get_or_insert(date);
            if self.query.descending {
                page.turn();
            }
            self.claimed = self.claimed.max(page.results_available.unwrap_or(0));
            self.available = page.results_available;
            if first == 1 && self.is_unsorted(&page) {
                if self.query.descending {
                    (self.unsorted, self.ended) = (true, true);
                    continue;
                }
                if self.query.by.is_some() {
                    self.read_by_windows();
                    continue;
                }
            }
            self.check(first, &page)?;
            if let Some(joined) = self.join(first, &page)? {
                let home = JoinedPage { content, asked_at, last: self.last, next: self.next, room };
                return Ok(if joined { Some(home) } else { None });
            }
        }
    }

    /// Whether there is more than one page, and their first and last rows do not distinguish them.
    fn is_unsorted(&self, page: &SearchPage) -> bool {
        let column = page.columns.iter().find(|column| column.name == self.query.row);
        !self.is_only_page(page) && (!self.ascends(page) || column.is_none_or(|column| !column.sortable))
    }

    fn ascends(&self, page: &SearchPage) -> bool {
        page.ascending && (self.query.repeats || !page.repeats)
    }

    /// From now on the search is read window by window, each small enough to fit a page.
    fn read_by_windows(&mut self) {
        self.forget_ahead();
        let text = format!("the search cannot be sorted by `{}`: it is read by windows of time", self.query.row);
        self.client.events().warn(&self.resource, text);
        self.windows = Some(Windows::new(&self.query, None));
    }

    /// Judges a page that began at row `first`: `Some(true)` it brings rows, `Some(false)` the walk is over, `None` it
    /// does not join and was given up.
    fn join(&mut self, first: u64, page: &SearchPage) -> Result<Option<bool>> {
        let (Some(page_first), Some(page_last)) = (page.first, page.last) else {
            if page.rows > 0 {
                return self.join_unreadable(first, page);
            }
            return self.join_empty(first, page);
        };
        let joint = if self.query.groups { self.whole } else { self.last };
        if joint.is_some_and(|last| page_first > last) && first > 1 {
            return self.go_back(first).map(|()| None);
        }
        let brings = self.last.is_none_or(|last| page_last > last);
        let end = first + page.rows.saturating_sub(1);
        if !brings && page.rows <= 1 && self.query.trusted && !page.states_end_at(end) {
            return self.doubt(first, page).map(|()| None);
        }
        self.refuse_idle(brings, page)?;
        self.ended = self.is_last(brings, page, end);
        self.last = self.last.max(Some(page_last));
        if !self.ended && page.last_at == 0 && page.rows > 1 {
            return self.join_unreadable(first, page);
        }
        if !self.ended {
            self.least_rows = Some(self.least_rows.map_or(page.rows, |least| least.min(page.rows)));
            // Only a page that is full, or states that more follow, shows how many rows a page has: the count that the
            // source claims may be wrong.
            let shows_size = page.more == Some(true) || page.rows >= u64::from(self.query.page_size);
            if self.step.is_none() && shows_size {
                self.step = Some(page.rows.saturating_sub(1).max(1));
            }
            if self.ahead.front().is_some_and(|ahead| *ahead > end) {
                // Pages under way leave a gap: the source gave fewer rows than before.
                self.forget_ahead();
                self.step = Some(page.rows.saturating_sub(1).max(1));
            }
            // The next page overlaps by the last readable row, and is requested anew if that is not the last.
            self.next = if self.query.groups { self.next_group(first, page)? } else { first + page.last_at };
            if self.next < end {
                self.forget_ahead();
            }
            if self.ahead.front().is_some_and(|ahead| *ahead < self.next) {
                // Pages are longer than an earlier one was.
                self.forget_ahead();
                self.step = Some(page.rows.saturating_sub(1).max(1));
            }
        }
        if brings {
            (self.rereads, self.doubts) = (0, 0);
        }
        Ok(Some(true))
    }

    /// A page without rows: the end, unless the search's own count contradicts it, or rows before it left and took the
    /// rest with them.
    fn join_empty(&mut self, first: u64, page: &SearchPage) -> Result<Option<bool>> {
        if self.query.trusted && !page.states_end_at(first.saturating_sub(1)) {
            return self.doubt(first, page).map(|()| None);
        }
        if first > 1 && self.last.is_some() {
            return self.go_back(first).map(|()| None);
        }
        self.short_pages += 1;
        if !self.query.trusted && self.query.filter.is_none() && self.short_pages < 2 {
            // One more answer, for nothing vouches for this one.
            self.forget_ahead();
            return Ok(None);
        }
        self.ended = true;
        Ok(Some(false))
    }

    /// Whether the walk ends with this page. A page that is not full ends it by its own statement, or where that is not
    /// believed with the next like it.
    fn is_last(&mut self, brings: bool, page: &SearchPage, end: u64) -> bool {
        let full = brings && (self.is_full(page) || self.least_rows.is_some_and(|least| page.rows >= least));
        if self.query.trusted {
            return !full && page.states_end_at(end);
        }
        self.short_pages = if full { 0 } else { self.short_pages + 1 };
        self.short_pages >= 2
    }

    /// Handles a page that contradicts the search's own count: it is requested again, then the walk continues by
    /// windows of dates.
    fn doubt(&mut self, first: u64, page: &SearchPage) -> Result<()> {
        self.doubts += 1;
        self.forget_ahead();
        self.next = first;
        if self.doubts < ASKED {
            return Ok(());
        }
        // Rows up to the last one joined are fetched; the page overlaps by that row.
        let missing = Missing::new(self.last, first, page);
        if self.query.by.is_none() || self.query.descending {
            return Err(missing.failure(&self.resource, &self.query.page(first)));
        }
        let text = format!(
            "the search claims {} and shows none after row {first}: the rest is read by windows of time",
            plural(missing.claimed, "row")
        );
        self.client.events().warn(&self.resource, text);
        self.windows = Some(Windows::new(&self.query, Some(missing)));
        Ok(())
    }

    /// Refuses a search that does not advance: the same rows again and again, or page after page without a new one.
    fn refuse_idle(&mut self, brings: bool, page: &SearchPage) -> Result<()> {
        if brings || page.rows <= 1 {
            (self.idle, self.same_pages) = (0, 0);
            self.idle_ids.clone_from(&page.ids);
            return Ok(());
        }
        self.idle += 1;
        self.same_pages = if self.idle_ids == page.ids { self.same_pages + 1 } else { 0 };
        self.idle_ids.clone_from(&page.ids);
        if self.idle <= REREADS && (self.same_pages < SAME_PAGES || self.query.repeats) {
            return Ok(());
        }
        Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
            .at(self.query.page(self.next))
            .because("page after page of the search contains nothing new")
            .advise("run `pearlift check`; exclude the resource with `resources.exclude` meanwhile"))
    }

    /// Joins a page without a readable row: it is taken as it is if it is the last.
    fn join_unreadable(&mut self, first: u64, page: &SearchPage) -> Result<Option<bool>> {
        self.ended = !self.is_full(page) && page.states_end_at(first + page.rows - 1);
        if self.ended {
            return Ok(Some(true));
        }
        Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
            .at(self.query.page(first))
            .because(format!("no row of a page has a readable `{}`", self.query.row))
            .advise("run `pearlift check`; exclude the resource with `resources.exclude` meanwhile"))
    }

    /// Rows left ahead of us: read again from a page earlier.
    fn go_back(&mut self, first: u64) -> Result<()> {
        self.rereads += 1;
        if self.rereads > REREADS || first <= 1 {
            return Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
                .at(self.query.path.clone())
                .because("rows disappear from the search faster than it can be read")
                .advise("run again at a quieter hour"));
        }
        let back = self
            .step
            .unwrap_or_else(|| u64::from(self.query.page_size))
            .saturating_mul(1 << (self.rereads - 1).min(16));
        self.forget_ahead();
        self.next = first.saturating_sub(back).max(1);
        Ok(())
    }

    /// Gives up pages that were asked ahead: they would not join.
    pub(super) fn forget_ahead(&mut self) {
        self.under_way.abort_all();
        self.under_way = JoinSet::new();
        self.arrived.clear();
        self.ahead.clear();
        self.rooms.clear();
    }

    /// Asks for the next page, and for those behind it as far as the source claims rows.
    fn ask_ahead(&mut self) {
        if self.ahead.is_empty() {
            self.ask(self.next);
        }
        let Some(step) = self.step else { return };
        let at_once = if self.query.descending || self.query.singly || self.query.groups {
            1
        } else {
            self.client.limits().concurrency
        };
        while self.ahead.len() < at_once {
            let following = self.ahead.back().copied().unwrap_or(self.next) + step;
            if following >= self.claimed {
                break;
            }
            self.ask(following);
        }
    }

    fn ask(&mut self, first: u64) {
        let room = self.client.budget().room_ahead();
        let (client, reader) = (self.client.within(&room), Arc::clone(&self.reader));
        self.ahead.push_back(first);
        self.rooms.push_back(room);
        let request = Request::get(&self.resource, self.query.page(first));
        self.under_way.spawn(async move { (first, read_page(&client, &request, reader).await) });
    }

    /// The page that is next in order, once it is there.
    async fn arrival(&mut self) -> (MemoryReservation, Fetched<T>) {
        let wanted = self.ahead.pop_front().expect("a page was asked");
        let room = self.rooms.pop_front().expect("each page has its room");
        room.hurry();
        loop {
            if let Some(place) = self.arrived.iter().position(|(first, _)| *first == wanted) {
                return (room, self.arrived.swap_remove(place));
            }
            let done = self.under_way.join_next().await.expect("the page is under way");
            self.arrived.push(done.expect("reading a page does not panic"));
        }
    }

    /// A page must match its request: filtered, and sorted by the unique column unless it is the whole search.
    fn check(&self, first: u64, page: &SearchPage) -> Result<()> {
        let refuse = |why: String| {
            Err(Failure::new(Kind::Answer, format!("trust the answers for {}", self.resource))
                .at(self.query.page(1))
                .because(why)
                .advise("the source has changed; run `pearlift check`, and exclude the resource with `resources.exclude` meanwhile"))
        };
        if let Some((column, found)) = &page.unfiltered {
            return refuse(format!("the source ignores the filter on `{column}`: a row has {found}"));
        }
        let column = page.columns.iter().find(|column| column.name == self.query.row);
        let Some(column) = column else { return refuse(format!("the search does not return `{}`", self.query.row)) };
        if first == 1 && self.is_only_page(page) {
            return Ok(());
        }
        if !column.sortable {
            return refuse(format!("the search cannot be sorted by `{}`", self.query.row));
        }
        if !self.ascends(page) {
            return refuse(format!("the pages are not sorted by `{}`, or it repeats", self.query.row));
        }
        Ok(())
    }

    fn is_full(&self, page: &SearchPage) -> bool {
        page.rows >= u64::from(self.query.page_size) || page.more == Some(true)
    }

    /// Whether a first page has all rows, by its own statement.
    pub(super) fn is_only_page(&self, page: &SearchPage) -> bool {
        !self.is_full(page) && page.states_end_at(page.rows)
    }
}

impl<T: Send + 'static> Walk<T> {
    /// The next answer of those that are asked window by window.
    async fn next_window(&mut self) -> Result<Option<JoinedPage<T>>> {
        loop {
            let windows = self.windows.as_mut().expect("windows are being read");
            let next = windows.next(self.query.repeats);
            let path = match (next, &self.query.by) {
                (Next::Window(window), Some(by)) => self.query.within(by, window),
                (Next::Greatest, _) => self.query.turned().page(1),
                (Next::Probe(id), _) => self.query.among(id, id),
                (Next::Ids(first, last), _) => self.query.among(first, last),
                (Next::Window(_) | Next::Over, _) => {
                    self.ended = true;
                    return match windows.lacks(self.query.repeats) {
                        Some(missing) => Err(missing.failure(&self.resource, &self.query.page(1))),
                        None => Ok(None),
                    };
                }
            };
            let request = Request::get(&self.resource, path);
            let room = self.client.budget().room();
            let answered = read_page(&self.client.within(&room), &request, Arc::clone(&self.reader)).await;
            if let (Next::Probe(_) | Next::Ids(..), Err(refused)) = (next, &answered)
                && refused.kind() == Kind::Refused
            {
                windows.give_up_ids();
                continue;
            }
            let (page, content, asked_at, date) = answered?;
            self.started_at.get_or_insert(date);
            let (whole, full) = (self.is_only_page(&page), page.rows >= u64::from(self.query.page_size));
            let windows = self.windows.as_mut().expect("windows are being read");
            let obeyed = |first: i64, last: i64| page.ids.iter().all(|id| (first..=last).contains(id));
            match next {
                Next::Probe(id) => {
                    if !obeyed(id, id) || page.ids.is_empty() {
                        windows.give_up_ids();
                    }
                    continue;
                }
                Next::Ids(first, last) if !obeyed(first, last) => {
                    windows.give_up_ids();
                    continue;
                }
                Next::Greatest | Next::Window(_) | Next::Ids(..) | Next::Over => {}
            }
            if whole || next == Next::Greatest {
                windows.take(&page);
                return Ok(Some(JoinedPage { content, asked_at, last: None, next: 1, room }));
            }
            if !full && page.more != Some(true) && !windows.again && windows.missing.is_some() {
                windows.repeat(next);
                continue;
            }
            if !windows.halve(next, date.max(self.client.clocks().ours())) {
                return Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
                    .at(request.path)
                    .because("more rows than fit one page have the same date, and they cannot be sorted")
                    .advise(
                        "exclude the resource with `resources.exclude`, or name another unique column in its schema",
                    ));
            }
        }
    }
}
