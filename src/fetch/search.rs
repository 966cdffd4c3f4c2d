//! Pages of a search, asked ahead and joined in order (design of reading, rules 8 to 11).
//!
//! Pages are sorted by a unique id ascending and overlap by one row. A page may come while others are under way; they are
//! joined in order by their first and last id: a first id at or below the last one known joins; one above it means that
//! rows left meanwhile, and pages are read again from further ahead of the gap until one joins. The walk ends with a page
//! that is empty, or short while the source neither says that more follow nor counted more.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Answer, Broken, Client, Reply, Request, Room};
use crate::window::Window;

/// A page is read again from further ahead at most this often in a row: rows that leave faster than we read end the scan.
const REREADS: u32 = 100;
/// 1990-01-01T00:00:00Z: no record of the source is older.
const LONG_AGO: i64 = 631_152_000;

/// A filter that was sent, which every row must satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    Period { column: String, window: Window },
    Bool { column: String, value: bool },
}

impl Filter {
    /// The column filtered by.
    pub fn column(&self) -> &str {
        match self {
            Self::Period { column, .. } | Self::Bool { column, .. } => column,
        }
    }

    /// The filter as a query parameter, raw.
    pub fn parameter(&self) -> String {
        match self {
            Self::Period { column, window } => format!("{column}={}", window.period()),
            Self::Bool { column, value } => format!("{column}={value}"),
        }
    }
}

/// A column as a search describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMeta {
    pub name: String,
    pub sortable: bool,
    pub filterable: bool,
}

/// What a search answer says of itself, and what its rows show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPage {
    pub columns: Vec<ColumnMeta>,
    pub rows: u64,
    pub results_available: Option<u64>,
    pub last_result: Option<u64>,
    pub more: Option<bool>,
    /// The unique column's values in the first and last row.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// The place of that last row among the page's: those behind it bear no id that can be read.
    pub last_at: u64,
    /// Whether the unique column never falls from row to row, never rises, and whether a row bears the value of the one
    /// before.
    pub ascending: bool,
    pub descending: bool,
    pub repeats: bool,
    /// A row that does not satisfy the filter, as text.
    pub unfiltered: Option<String>,
}

impl SearchPage {
    /// The page as one of negated values, so that one which descends ascends.
    fn turn(&mut self) {
        (self.first, self.last) = (self.first.map(i64::saturating_neg), self.last.map(i64::saturating_neg));
        std::mem::swap(&mut self.ascending, &mut self.descending);
    }
}

/// A search to walk through.
#[derive(Clone, Debug)]
pub struct Query {
    /// `{service}/{search}`.
    pub path: String,
    /// The unique column that pages are sorted by.
    pub row: String,
    /// It is not unique, and only its values are wanted: a page that begins with the last one joined leaves out none.
    pub repeats: bool,
    /// The greatest first: ids of pages are negated, and one page is asked at a time, for the end is not where it ends.
    pub descending: bool,
    /// The columns asked for; empty asks for all.
    pub columns: Vec<String>,
    pub filter: Option<Filter>,
    /// A date by whose windows the search is read where it cannot be sorted by `row`.
    pub by: Option<String>,
    pub page_size: u32,
}

impl Query {
    /// The path of the page that begins at this row (1-based).
    pub fn page(&self, first: u64) -> String {
        let mut path = format!("{}?", self.path);
        if let Some(filter) = &self.filter {
            path.push_str(&filter.parameter());
            path.push('&');
        }
        if !self.columns.is_empty() {
            path.push_str(&format!("columns={}&", self.columns.join(",")));
        }
        let direction = if self.descending { "DESC" } else { "ASC" };
        path.push_str(&format!("sort={}.{direction}&pageSize={}&firstResult={first}", self.row, self.page_size));
        path
    }
}

impl Query {
    /// The path of what lies in a window of the date, in whatever order.
    fn within(&self, by: &str, window: Window) -> String {
        let columns =
            if self.columns.is_empty() { String::new() } else { format!("columns={}&", self.columns.join(",")) };
        format!("{}?{by}={}&{columns}pageSize={}&firstResult=1", self.path, window.period(), self.page_size)
    }
}

/// A page in its place: what its reader made of it, and what is home once it is.
#[derive(Debug)]
pub struct JoinedPage<T> {
    pub content: T,
    pub asked_at: jiff::Timestamp,
    /// The greatest id joined so far, and the row at which the next page begins: from here the walk can go on later.
    pub last: Option<i64>,
    pub next: u64,
    /// What the content takes, until it is elsewhere.
    pub room: Room,
}

/// How a page's body is read on a worker thread.
pub type Reader<T> = Arc<dyn Fn(&Answer) -> Result<(SearchPage, T), Broken> + Send + Sync>;

type Fetched<T> = (u64, Result<(SearchPage, T, jiff::Timestamp, jiff::Timestamp)>);

/// A walk through a search.
pub struct Walk<T> {
    client: Client,
    resource: Arc<str>,
    query: Query,
    reader: Reader<T>,
    /// The greatest id joined.
    last: Option<i64>,
    /// Where the next page in order begins.
    next: u64,
    /// Pages under way and waiting, in order of their first row; and their rooms.
    ahead: VecDeque<u64>,
    rooms: VecDeque<Room>,
    under_way: JoinSet<Fetched<T>>,
    arrived: Vec<Fetched<T>>,
    /// The rows of a full page as the source gives them, learnt from the first.
    step: Option<u64>,
    /// The greatest number of rows that the source has claimed.
    claimed: u64,
    rereads: u32,
    /// Windows still to be read, where pages cannot be sorted.
    windows: Option<Vec<Window>>,
    ended: bool,
    /// The source's clock at the first answer.
    pub started_at: Option<jiff::Timestamp>,
    /// The greatest were wanted first, and the search cannot be sorted: nothing was read.
    pub unsorted: bool,
}

impl<T: Send + 'static> Walk<T> {
    /// A walk from the first row, or from where an earlier one was left: the greatest id home and the next row.
    pub fn new(
        client: &Client,
        resource: &Arc<str>,
        query: Query,
        reader: Reader<T>,
        from: Option<(i64, u64)>,
    ) -> Self {
        Self {
            client: client.clone(),
            resource: Arc::clone(resource),
            query,
            reader,
            last: from.map(|(last, _)| last),
            next: from.map_or(1, |(_, next)| next.max(1)),
            ahead: VecDeque::new(),
            rooms: VecDeque::new(),
            under_way: JoinSet::new(),
            arrived: Vec::new(),
            step: None,
            claimed: 0,
            rereads: 0,
            windows: None,
            ended: false,
            started_at: None,
            unsorted: false,
        }
    }

    /// The rows that the source claims to have.
    pub fn claimed(&self) -> u64 {
        self.claimed
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
            self.claimed = self.claimed.max(page.results_available.unwrap_or(0));
            if let Some(joined) = self.join(first, &page)? {
                let home = JoinedPage { content, asked_at, last: self.last, next: self.next, room };
                return Ok(if joined { Some(home) } else { None });
            }
        }
    }

    /// Whether more than one page is there, and they cannot be told apart by their first and last rows.
    fn is_unsorted(&self, page: &SearchPage) -> bool {
        let column = page.columns.iter().find(|column| column.name == self.query.row);
        !self.is_short(page, page.rows) && (!self.ascends(page) || column.is_none_or(|column| !column.sortable))
    }

    fn ascends(&self, page: &SearchPage) -> bool {
        page.ascending && (self.query.repeats || !page.repeats)
    }

    /// From now on the search is read window by window, each small enough to fit a page.
    fn read_by_windows(&mut self) {
        self.forget_ahead();
        let text = format!("the search cannot be sorted by `{}`: it is read by windows of time", self.query.row);
        self.client.events().warn(&self.resource, text);
        self.windows = Some(vec![match &self.query.filter {
            Some(Filter::Period { window, .. }) => *window,
            Some(Filter::Bool { .. }) | None => Window { from: None, to: None },
        }]);
    }

    /// The next window that fits a page.
    async fn next_window(&mut self) -> Result<Option<JoinedPage<T>>> {
        let by = self.query.by.clone().expect("windows are of a date");
        loop {
            let Some(window) = self.windows.as_mut().and_then(Vec::pop) else {
                self.ended = true;
                return Ok(None);
            };
            let request = Request::get(&self.resource, self.query.within(&by, window));
            let room = self.client.budget().room();
            let client = self.client.within(&room);
            let (page, content, asked_at, date) = read_page(&client, &request, Arc::clone(&self.reader)).await?;
            self.started_at.get_or_insert(date);
            if self.is_short(&page, page.rows) {
                return Ok(Some(JoinedPage { content, asked_at, last: None, next: 1, room }));
            }
            let (early, late) = split(window, date.max(self.client.clocks().ours())).ok_or_else(|| {
                Failure::new(Kind::Answer, format!("read {} completely", self.resource))
                    .at(request.path.clone())
                    .because("more rows than a page holds bear the same date, and they cannot be sorted")
                    .advise(
                        "leave the resource out with `resources.exclude`, or name another unique column in its schema",
                    )
            })?;
            self.windows.as_mut().expect("windows are being read").extend([late, early]);
        }
    }

    /// Judges a page that began at row `first`: `Some(true)` it brings rows, `Some(false)` the walk is over, `None` it does
    /// not join and was given up.
    fn join(&mut self, first: u64, page: &SearchPage) -> Result<Option<bool>> {
        let (Some(page_first), Some(page_last)) = (page.first, page.last) else {
            if page.rows > 0 {
                return self.join_unreadable(first, page);
            }
            // Empty: the end, unless rows before it left and took the rest with them.
            if first <= 1 || self.last.is_none() {
                self.ended = true;
                return Ok(Some(false));
            }
            return self.go_back(first).map(|()| None);
        };
        if self.last.is_some_and(|last| page_first > last) && first > 1 {
            return self.go_back(first).map(|()| None);
        }
        let brings = self.last.is_none_or(|last| page_last > last);
        let end = first + page.rows.saturating_sub(1);
        // Nothing but the row that overlaps is the end too, whatever the source claims.
        self.ended = self.is_short(page, end) || (!brings && page.rows <= 1);
        self.last = self.last.max(Some(page_last));
        if !self.ended && page.last_at == 0 && page.rows > 1 {
            return self.join_unreadable(first, page);
        }
        if !self.ended {
            // Only a page that is full, or says that more follow, tells how many rows a page has: what the source claims
            // to have may be anything.
            let tells = page.more == Some(true) || page.rows >= u64::from(self.query.page_size);
            if self.step.is_none() && tells {
                self.step = Some(page.rows.saturating_sub(1).max(1));
            }
            if self.ahead.front().is_some_and(|ahead| *ahead > end) {
                // What is under way leaves a gap: the source gave fewer rows than before.
                self.forget_ahead();
                self.step = Some(page.rows.saturating_sub(1).max(1));
            }
            // The next page overlaps by the last row that can be told, and is asked anew where that is not the last.
            self.next = first + page.last_at;
            if self.next < end {
                self.forget_ahead();
            }
        }
        if brings {
            self.rereads = 0;
        }
        Ok(Some(true))
    }

    /// A page of which no row can be told from others: it is taken as it is where it is the last.
    fn join_unreadable(&mut self, first: u64, page: &SearchPage) -> Result<Option<bool>> {
        self.ended = self.is_short(page, first + page.rows - 1);
        if self.ended {
            return Ok(Some(true));
        }
        Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
            .at(self.query.page(first))
            .because(format!("no row of a page bears a `{}` that can be read", self.query.row))
            .advise("run `pearlift check`; leave the resource out with `resources.exclude` meanwhile"))
    }

    /// Rows left ahead of us: read again from a page earlier.
    fn go_back(&mut self, first: u64) -> Result<()> {
        self.rereads += 1;
        if self.rereads > REREADS || first <= 1 {
            return Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
                .at(self.query.path.clone())
                .because("rows leave the search faster than it can be read")
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
    fn forget_ahead(&mut self) {
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
        let at_once = if self.query.descending { 1 } else { self.client.limits().concurrency };
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
    async fn arrival(&mut self) -> (Room, Fetched<T>) {
        let wanted = self.ahead.pop_front().expect("a page was asked");
        let room = self.rooms.pop_front().inspect(Room::hurry).expect("each page has its room");
        loop {
            if let Some(place) = self.arrived.iter().position(|(first, _)| *first == wanted) {
                return (room, self.arrived.swap_remove(place));
            }
            let done = self.under_way.join_next().await.expect("the page is under way");
            self.arrived.push(done.expect("reading a page does not panic"));
        }
    }

    /// A page must be what was asked for: filtered, and sorted by the unique column unless it is all there is.
    fn check(&self, first: u64, page: &SearchPage) -> Result<()> {
        let refuse = |why: String| {
            Err(Failure::new(Kind::Answer, format!("trust the answers for {}", self.resource))
                .at(self.query.page(1))
                .because(why)
                .advise("the source has changed; run `pearlift check`, and leave the resource out with `resources.exclude` meanwhile"))
        };
        if let (Some(found), Some(filter)) = (&page.unfiltered, &self.query.filter) {
            return refuse(format!("the source ignores the filter on `{}`: a row bears {found}", filter.column()));
        }
        let column = page.columns.iter().find(|column| column.name == self.query.row);
        let Some(column) = column else { return refuse(format!("the search does not return `{}`", self.query.row)) };
        if first == 1 && self.is_short(page, page.rows) {
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

    /// Whether the source has no row behind this page, which ends at row `end`, by its own word.
    fn is_short(&self, page: &SearchPage, end: u64) -> bool {
        let full = page.rows >= u64::from(self.query.page_size);
        let counted = page.last_result.unwrap_or(end) >= page.results_available.unwrap_or(0);
        !full && page.more != Some(true) && counted
    }
}

/// Cuts a window in two; open ends are cut where next to nothing lies behind: before 1990, after the source's clock.
fn split(window: Window, now: jiff::Timestamp) -> Option<(Window, Window)> {
    let long_ago = jiff::Timestamp::from_second(LONG_AGO).ok()?;
    let cut = |at| (Window { from: window.from, to: Some(at) }, Window { from: Some(at), to: window.to });
    match (window.from, window.to) {
        (None, to) => to.is_none_or(|to| to > long_ago).then(|| cut(long_ago)),
        (Some(from), None) => (from < now).then(|| cut(now)),
        (Some(_), Some(_)) => window.halves(),
    }
}

/// Asks for a page until its body is whole.
async fn read_page<T: Send + 'static>(
    client: &Client,
    request: &Request,
    reader: Reader<T>,
) -> Result<(SearchPage, T, jiff::Timestamp, jiff::Timestamp)> {
    let mut patience = client.patience();
    loop {
        let answer = match client.ask(request).await? {
            Reply::Good(answer) => answer,
            Reply::Refused { status, error, .. } => {
                return Err(Failure::new(Kind::Refused, format!("search {}", request.resource))
                    .at(request.path.clone())
                    .because(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message))
                    .asked_as(error.request_id)
                    .advise("the source has changed; run `pearlift check`"));
            }
        };
        let (asked_at, date) = (answer.asked_at, answer.date);
        let reader = Arc::clone(&reader);
        let read = tokio::task::spawn_blocking(move || reader(&answer)).await.expect("reading a page does not panic");
        match read {
            Ok((page, content)) => return Ok((page, content, asked_at, date)),
            Err(broken) => match patience.another() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    return Err(Failure::new(Kind::Answer, format!("read {}", request.resource))
                        .at(request.path.clone())
                        .because(broken.0)
                        .advise(
                            "run `pearlift check`; if it persists, leave the resource out with `resources.exclude`",
                        ));
                }
            },
        }
    }
}
