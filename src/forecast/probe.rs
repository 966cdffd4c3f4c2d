//! Measuring searches and lists of ids with the very few requests that `plan` may send.
//!
//! Takes the searches and id sources as a run requests them, gives their extent: exact where the first answer shows it,
//! else an estimate marked as one. Each request is sent once; its answer serves later questions. Gives `None` where the
//! allowance of the resource is spent.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::decode::{IdRow, ids};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Answer, Client, Method, Query, Request, SearchPage, SourceReply};
use crate::forecast::amount::Amount;
use crate::run::Stop;
use crate::run::scan::id_source::{IdSource, ListedIds, listed};
use crate::schema::IdSearch;

/// Requests that may be spent on one resource, tries included.
const ALLOWANCE: u32 = 2;
/// The count that some searches state regardless of their rows (docs/brightpearl-api.md §4.2): exactly this number is
/// accepted only where the page shows all rows.
const CLAIMED_BLINDLY: u64 = 500;

/// Bytes of the largest answer that is kept for a repeated request: a page of a search has about 50 KiB.
const KEPT: usize = 2 << 20;

/// The extent of a search.
#[derive(Debug)]
pub struct Extent {
    /// Rows in all.
    pub rows: Amount,
    /// Requests that walk through them.
    pub pages: Amount,
    /// The rows of the first page.
    pub page: Vec<IdRow>,
    /// The first page holds every row.
    pub whole: bool,
    /// The source's clock at the answer.
    pub answered: Timestamp,
}

/// Asks on behalf of one resource after another.
pub struct Probe<'a> {
    client: &'a Client,
    stop: &'a Stop,
    name: Arc<str>,
    left: u32,
    known: HashMap<(bool, String), Answer>,
}

impl<'a> Probe<'a> {
    pub fn new(client: &'a Client, stop: &'a Stop) -> Self {
        Self { client, stop, name: Arc::from(""), left: 0, known: HashMap::new() }
    }

    /// Turns to a resource, which has its allowance whole.
    pub fn turn_to(&mut self, name: &str) {
        self.name = Arc::from(name);
        self.left = ALLOWANCE;
    }

    /// Whether the source has answered anything.
    pub fn was_answered(&self) -> bool {
        !self.known.is_empty()
    }

    /// The searches of the resource.
    pub fn id_source(&self) -> IdSource<'a> {
        IdSource { client: self.client, stop: self.stop, name: Arc::clone(&self.name) }
    }

    /// The ids that OPTIONS of a path lists, with one try only: another request can replace one that fails.
    pub async fn options(&mut self, path: &str) -> Result<Option<ListedIds>> {
        let request = Request { tries: Some(1), ..Request::options(&self.name, path.to_owned()) };
        let Some(answer) = self.ask(request).await? else { return Ok(None) };
        let date = answer.date;
        let read = tokio::task::spawn_blocking(move || listed(&answer)).await.expect("reading does not panic");
        let ids = read.map_err(|why| self.unreadable(path, why.0))?;
        Ok(Some(ListedIds { ids, started_at: date, exact: true }))
    }

    /// The least (`ASC`) or greatest (`DESC`) id of a search; none where it has no row.
    pub async fn edge(
        &mut self,
        service: &str,
        search: &IdSearch,
        direction: &str,
    ) -> Result<Option<(Timestamp, Option<i64>)>> {
        let path = self.id_source().edge_path(service, search, direction);
        let Some(answer) = self.ask(Request::get(&self.name, path.clone())).await? else { return Ok(None) };
        let page = ids(&answer.body, &search.id, &search.row, &[], &[]);
        let page = page.map_err(|broken| self.unreadable(&path, broken.0))?;
        Ok(Some((answer.date, page.rows.first().map(|row| row.id))))
    }

    /// The extent of a search, from its first page as a run asks it; `stamps` are the columns wanted beside the ids.
    pub async fn extent(&mut self, query: &Query, id: &str, stamps: &[String]) -> Result<Option<Extent>> {
        let path = query.page(1);
        let Some(answer) = self.ask(Request::get(&self.name, path.clone())).await? else { return Ok(None) };
        let found = ids(&answer.body, id, &query.row, stamps, &query.checked());
        let found = found.map_err(|broken| self.unreadable(&path, broken.0))?;
        if let Some((column, seen)) = &found.search.unfiltered {
            let why = format!("the source ignores the filter on `{column}`: a row has {seen}");
            return Err(self.unreadable(&path, why));
        }
        let size = u64::from(query.page_size);
        let first_page = match judge(&found.search, size) {
            FirstPage::More(least) => FirstPage::More(self.count(query).await?.unwrap_or(0).max(least)),
            first_page @ (FirstPage::Whole { .. } | FirstPage::Pages { .. }) => first_page,
        };
        let (rows, pages, whole) = match first_page {
            FirstPage::Whole { requests } => (Amount::exact(found.search.rows), Amount::exact(requests), true),
            // Where the source cuts pages short, a last page may be full by its measure and short by ours.
            FirstPage::Pages { rows, size: cut } => {
                let pages = Amount { value: pages(rows, 1, cut), exact: cut == size };
                (Amount::exact(rows), pages, false)
            }
            FirstPage::More(rows) => (Amount::about(rows), Amount::about(pages(rows, 1, size)), false),
        };
        Ok(Some(Extent { rows, pages, page: found.rows, whole, answered: answer.date }))
    }

    /// The rows that a search counts when nothing else is requested; none where it does not say.
    async fn count(&mut self, query: &Query) -> Result<Option<u64>> {
        let path = format!("{}&countOnly=true", query.page(1));
        let Some(answer) = self.ask(Request::get(&self.name, path)).await? else { return Ok(None) };
        // The form of such an answer is not documented (docs/brightpearl-api.md §4.1): an unreadable one is ignored.
        let page = ids(&answer.body, &query.row, &query.row, &[], &[]).ok();
        Ok(page.and_then(|page| page.search.results_available))
    }

    /// An answer, known or asked for; none where the allowance is spent.
    async fn ask(&mut self, mut request: Request) -> Result<Option<Answer>> {
        let question = (request.method == Method::Options, request.path.clone());
        if let Some(answer) = self.known.get(&question) {
            return Ok(Some(answer.clone()));
        }
        if self.left == 0 {
            return Ok(None);
        }
        request.tries = Some(request.tries.unwrap_or(self.left).min(self.left));
        let before = self.client.requests();
        let reply = self.stop.or(self.client.ask(&request)).await;
        let spent = u32::try_from(self.client.requests() - before).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(spent);
        match reply? {
            SourceReply::Good(answer) => {
                if answer.body.bytes.len() <= KEPT {
                    self.known.insert(question, answer.clone().kept());
                }
                Ok(Some(answer))
            }
            SourceReply::TooLong(failure) => Err(failure),
            SourceReply::Refused { status, error, .. } => Err(Failure::new(
                Kind::Refused,
                format!("plan {}", self.name),
            )
            .at(request.path)
            .because(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message))
            .asked_as(error.request_id)
            .advise(
                "run `pearlift check`; exclude the resource with `resources.exclude` if the account does not have it",
            )),
        }
    }

    fn unreadable(&self, path: &str, why: String) -> Failure {
        Failure::new(Kind::Answer, format!("plan {}", self.name)).at(path).because(why).advise("run `pearlift check`")
    }
}

/// The extent of a search by its first page.
#[derive(Debug, PartialEq, Eq)]
enum FirstPage {
    /// The page holds every row, and a walk takes this many requests.
    Whole { requests: u64 },
    /// So many rows, on pages of this many.
    Pages { rows: u64, size: u64 },
    /// At least this many.
    More(u64),
}

/// Judges a first page as a walk does, which wanted `size` rows.
fn judge(page: &SearchPage, size: u64) -> FirstPage {
    let claimed = page.results_available.unwrap_or(0);
    let shown = page.last_result.unwrap_or(page.rows).max(page.rows);
    if page.rows == 0 {
        return FirstPage::Whole { requests: 1 };
    }
    if page.rows < size && page.more != Some(true) {
        // A claim beyond the rows makes the walk look once more for them.
        return if shown >= claimed { FirstPage::Whole { requests: 1 } } else { FirstPage::Whole { requests: 2 } };
    }
    if page.more != Some(true) && page.more.is_some() && claimed <= shown {
        return FirstPage::Whole { requests: pages(page.rows, 1, size) };
    }
    if claimed <= shown || claimed == CLAIMED_BLINDLY {
        return FirstPage::More(shown + 1);
    }
    FirstPage::Pages { rows: claimed, size: page.rows.min(size) }
}

/// Requests of a walk over this many rows from this row (1-based) on: consecutive pages overlap by a row, and a full
/// page is followed by one more.
pub fn pages(rows: u64, from: u64, size: u64) -> u64 {
    rows.saturating_sub(from) / (size - 1).max(1) + 1
}

#[cfg(test)]
mod tests {
    use super::{FirstPage, SearchPage, judge, pages};

    fn page(rows: u64, claimed: u64, more: Option<bool>) -> SearchPage {
        SearchPage {
            columns: Vec::new(),
            rows,
            results_available: Some(claimed),
            last_result: (rows > 0).then_some(rows),
            more,
            first: Some(1),
            last_at: 0,
            last: Some(1),
            ascending: true,
            descending: rows < 2,
            repeats: false,
            ids: Vec::new(),
            unfiltered: None,
        }
    }

    #[test]
    fn pages_overlap_by_a_row_and_a_full_one_is_followed_by_one_more() {
        for (rows, requests) in [(0, 1), (1, 1), (499, 1), (500, 2), (501, 2), (998, 2), (999, 3), (1_000, 3)] {
            assert_eq!(pages(rows, 1, 500), requests, "{rows}");
        }
        assert_eq!(pages(1_200, 999, 500), 1);
        assert_eq!(pages(1_498, 999, 500), 2);
    }

    #[test]
    fn a_claim_is_believed_only_where_the_page_does_not_gainsay_it() {
        assert_eq!(judge(&page(0, 0, Some(false)), 500), FirstPage::Whole { requests: 1 });
        assert_eq!(judge(&page(30, 30, Some(false)), 500), FirstPage::Whole { requests: 1 });
        assert_eq!(judge(&page(30, 500, Some(false)), 500), FirstPage::Whole { requests: 2 });
        assert_eq!(judge(&page(500, 500, Some(false)), 500), FirstPage::Whole { requests: 2 });
        assert_eq!(judge(&page(500, 500, Some(true)), 500), FirstPage::More(501));
        assert_eq!(judge(&page(500, 500, None), 500), FirstPage::More(501));
        assert_eq!(judge(&page(100, 500, Some(true)), 100), FirstPage::More(101));
        assert_eq!(judge(&page(500, 7_000, Some(true)), 500), FirstPage::Pages { rows: 7_000, size: 500 });
        assert_eq!(judge(&page(200, 7_000, Some(true)), 500), FirstPage::Pages { rows: 7_000, size: 200 });
    }
}
