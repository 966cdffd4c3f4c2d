//! The rest of a search with pages that cannot be joined: windows of a date, then ranges of ids.
//!
//! Takes the search, returns the next requests. A search that cannot be sorted is read by windows alone. Where a page
//! contradicted the search's own count, the rows that the windows bring are counted; if they are fewer than the count,
//! rows without that date are looked for among the greatest ids, and by ranges of ids once a probe has proven such a
//! filter.

use std::collections::BTreeSet;

use crate::failure::{Failure, Kind};
use crate::fetch::{Filter, Query, SearchPage};
use crate::quantity::{number, plural};
use crate::window::Window;

/// 1990-01-01T00:00:00Z: no record of the source is older.
const LONG_AGO: i64 = 631_152_000;

/// The next piece to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Window(Window),
    /// The greatest ids.
    Greatest,
    /// One id that is known, to see whether the filter is obeyed.
    Probe(i64),
    Ids(i64, i64),
    /// Everything that could be asked was.
    Over,
}

/// Windows and ranges still to be asked.
#[derive(Debug)]
pub struct Windows {
    left: Vec<Next>,
    /// The last question was asked before, for its answer contradicted itself.
    pub again: bool,
    pub missing: Option<Missing>,
}

/// Rows that a search claims and its pages did not show.
#[derive(Debug)]
pub struct Missing {
    pub claimed: u64,
    /// Rows joined before, and the greatest of their ids.
    joined: u64,
    above: Option<i64>,
    /// Ids of rows found since, above that one.
    found: BTreeSet<i64>,
    /// Rows found since, where ids repeat.
    rows: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Windows,
    Greatest,
    Ids,
}

impl Missing {
    /// After the page that began at row `first` and showed nothing new.
    pub fn new(above: Option<i64>, first: u64, page: &SearchPage) -> Self {
        let joined = if above.is_some() { first } else { 0 };
        let claimed = page.results_available.unwrap_or(0).max(joined);
        Self { claimed, joined, above, found: BTreeSet::new(), rows: 0, stage: Stage::Windows }
    }

    fn take(&mut self, page: &SearchPage) {
        self.rows += page.rows;
        self.found.extend(page.ids.iter().copied().filter(|id| self.above.is_none_or(|above| *id > above)));
    }

    /// Rows known in all.
    fn known(&self, repeats: bool) -> u64 {
        let found = if repeats { self.rows } else { u64::try_from(self.found.len()).expect("a length fits") };
        self.joined.saturating_add(found)
    }

    /// The failure that states both numbers.
    pub fn failure(&self, resource: &str, path: &str) -> Failure {
        Failure::new(Kind::Answer, format!("read {resource} completely"))
            .at(path)
            .because(format!(
                "the search claims {} and shows {}",
                plural(self.claimed, "row"),
                number(self.known(false))
            ))
            .advise("run again; if it persists, exclude the resource with `resources.exclude` and report it")
    }
}

impl Windows {
    /// The windows that cover a search.
    pub fn new(query: &Query, missing: Option<Missing>) -> Self {
        let whole = match &query.filter {
            Some(Filter::Period { column, window }) if query.by.as_ref() == Some(column) => *window,
            Some(Filter::Period { .. } | Filter::Bool { .. } | Filter::Ids { .. } | Filter::Is(_)) | None => {
                Window { from: None, to: None }
            }
        };
        Self { left: vec![Next::Window(whole)], again: false, missing }
    }

    /// The next piece to ask for.
    pub fn next(&mut self, repeats: bool) -> Next {
        if let Some(next) = self.left.pop() {
            return next;
        }
        let Some(missing) = &mut self.missing else { return Next::Over };
        if missing.known(repeats) >= missing.claimed || repeats {
            return Next::Over;
        }
        let greatest = missing.found.last().copied().max(missing.above);
        match (missing.stage, greatest) {
            (Stage::Windows, _) => {
                missing.stage = Stage::Greatest;
                Next::Greatest
            }
            (Stage::Greatest, Some(greatest)) => {
                missing.stage = Stage::Ids;
                let first = missing.above.map_or(1, |above| above.saturating_add(1));
                if first > greatest {
                    return Next::Over;
                }
                self.left.push(Next::Ids(first, greatest));
                Next::Probe(greatest)
            }
            (Stage::Greatest, None) | (Stage::Ids, _) => Next::Over,
        }
    }

    /// Whether rows are missing still.
    pub fn lacks(&self, repeats: bool) -> Option<&Missing> {
        self.missing.as_ref().filter(|missing| missing.known(repeats) < missing.claimed)
    }

    /// Notes the rows of an answer.
    pub fn take(&mut self, page: &SearchPage) {
        self.again = false;
        if let Some(missing) = &mut self.missing {
            missing.take(page);
        }
    }

    /// Asks the same once more.
    pub fn repeat(&mut self, next: Next) {
        self.again = true;
        self.left.push(next);
    }

    /// Adds the halves of a window that did not fit a page; `false` where it cannot be cut.
    pub fn halve(&mut self, next: Next, now: jiff::Timestamp) -> bool {
        self.again = false;
        let halves = match next {
            Next::Window(window) => split(window, now).map(|(early, late)| [Next::Window(late), Next::Window(early)]),
            Next::Ids(first, last) if first < last => {
                let middle = first + (last - first) / 2;
                Some([Next::Ids(middle + 1, last), Next::Ids(first, middle)])
            }
            Next::Ids(..) | Next::Greatest | Next::Probe(_) | Next::Over => None,
        };
        let can = halves.is_some();
        self.left.extend(halves.into_iter().flatten());
        can
    }

    /// No range of ids is asked: the source does not obey such a filter.
    pub fn give_up_ids(&mut self) {
        self.left.clear();
    }
}

/// Cuts a window in two; open ends are cut where next to nothing follows: before 1990, after the source's clock.
pub fn split(window: Window, now: jiff::Timestamp) -> Option<(Window, Window)> {
    let long_ago = jiff::Timestamp::from_second(LONG_AGO).ok()?;
    let cut = |at| (Window { from: window.from, to: Some(at) }, Window { from: Some(at), to: window.to });
    match (window.from, window.to) {
        (None, to) => to.is_none_or(|to| to > long_ago).then(|| cut(long_ago)),
        (Some(from), None) => (from < now).then(|| cut(now)),
        (Some(_), Some(_)) => window.halves(),
    }
}
