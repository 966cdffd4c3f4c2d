//! A search as it is sent, and the statements of its pages.

use crate::schema::ConstantFilter;
use crate::window::Window;

/// A filter that was sent, which every row must satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    Period {
        column: String,
        window: Window,
    },
    Bool {
        column: String,
        value: bool,
    },
    /// Ids from `first` to `last`, both included.
    Ids {
        column: String,
        first: i64,
        last: i64,
    },
    /// One that a schema states.
    Is(ConstantFilter),
}

impl Filter {
    /// The column filtered by.
    pub fn column(&self) -> &str {
        match self {
            Self::Period { column, .. } | Self::Bool { column, .. } | Self::Ids { column, .. } => column,
            Self::Is(constant) => &constant.column,
        }
    }

    /// The filter as a query parameter, raw.
    pub fn parameter(&self) -> String {
        match self {
            Self::Period { column, window } => format!("{column}={}", window.period()),
            Self::Bool { column, value } => format!("{column}={value}"),
            Self::Ids { column, first, last } => format!("{column}={first}-{last}"),
            Self::Is(constant) => constant.parameter(),
        }
    }
}

/// The filters that each row of a search shows to be obeyed.
pub fn checked(constants: &[ConstantFilter], filter: Option<&Filter>) -> Vec<Filter> {
    let shown = constants.iter().filter(|constant| constant.is_shown).cloned().map(Filter::Is);
    filter.cloned().into_iter().chain(shown).collect()
}

/// A column as a search describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMeta {
    pub name: String,
    pub sortable: bool,
    pub filterable: bool,
}

/// The statements of a search answer about itself, and the ids of its rows.
/// More than twelve fields: the statements of one page.
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
    /// The place of that last row in the page; rows behind it have no readable id.
    pub last_at: u64,
    /// Whether the unique column never falls from row to row, never rises, and whether a row has the value of the one
    /// before.
    pub ascending: bool,
    pub descending: bool,
    pub repeats: bool,
    /// The unique column's values that can be read, in the order of the rows.
    pub ids: Vec<i64>,
    /// The column of a filter, and the value of a row that does not satisfy it, as text.
    pub unfiltered: Option<(String, String)>,
}

impl SearchPage {
    /// The place of the first row with the value of the last one; none if some row has no readable value.
    pub(super) fn last_group(&self) -> Option<usize> {
        let last = self.last?;
        if u64::try_from(self.ids.len()).ok()? != self.rows {
            return None;
        }
        self.ids.iter().position(|id| *id == last)
    }

    /// Whether the page, which ends at row `end`, states that no row follows it.
    pub(super) fn states_end_at(&self, end: u64) -> bool {
        let last = self.last_result.map_or(end, |last| last.min(end));
        self.more != Some(true) && last >= self.results_available.unwrap_or(0)
    }

    /// The page as one of negated values, so that one which descends ascends.
    pub(super) fn turn(&mut self) {
        (self.first, self.last) = (self.first.map(i64::saturating_neg), self.last.map(i64::saturating_neg));
        self.ids.iter_mut().for_each(|id| *id = id.saturating_neg());
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
    /// All rows of a value of `row` are wanted on one page: a page begins with the last row of the last value that is
    /// whole.
    pub groups: bool,
    /// The greatest first: ids of pages are negated, and one page is asked at a time, for the end is not where it ends.
    pub descending: bool,
    /// The columns asked for; empty asks for all.
    pub columns: Vec<String>,
    pub filter: Option<Filter>,
    /// Always sent.
    pub constants: Vec<ConstantFilter>,
    /// The date of the windows by which the search is read if it cannot be sorted by `row`, or if its pages end before
    /// its own count.
    pub by: Option<String>,
    /// The count that the search states is believed: a page without rows against it is not an end.
    pub trusted: bool,
    /// Pages are asked one after another: their number is bounded.
    pub singly: bool,
    pub page_size: u32,
}

impl Query {
    /// The filters that each row must satisfy.
    pub fn checked(&self) -> Vec<Filter> {
        checked(&self.constants, self.filter.as_ref())
    }

    /// The path up to the first parameter of its own.
    fn begin(&self) -> String {
        let constants = self.constants.iter().map(|constant| format!("{}&", constant.parameter()));
        format!("{}?{}", self.path, constants.collect::<String>())
    }

    /// The path of the page that begins at this row (1-based).
    pub fn page(&self, first: u64) -> String {
        let mut path = self.begin();
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
    /// The path of the rows in a window of the date, in any order. Another filter than one by that date stays.
    pub(super) fn within(&self, by: &str, window: Window) -> String {
        let columns =
            if self.columns.is_empty() { String::new() } else { format!("columns={}&", self.columns.join(",")) };
        let filter = self.filter.as_ref().filter(|filter| filter.column() != by);
        let filter = filter.map(|filter| format!("{}&", filter.parameter())).unwrap_or_default();
        let begin = self.begin();
        format!("{begin}{filter}{by}={}&{columns}pageSize={}&firstResult=1", window.period(), self.page_size)
    }

    /// The path of the rows with an id of the unique column between these, both included.
    pub(super) fn among(&self, first: i64, last: i64) -> String {
        let ids = Filter::Ids { column: self.row.clone(), first, last };
        let path = self.page(1);
        path.replacen('?', &format!("?{}&", ids.parameter()), 1)
    }

    /// The same search from its greatest row down.
    pub(super) fn turned(&self) -> Self {
        Self { descending: !self.descending, ..self.clone() }
    }
}
