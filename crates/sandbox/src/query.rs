//! The rows that a search finds: which records, in which order, and those of one page.
//!
//! Ids and dates of creation grow together, so that a filter by either leaves a range of ids, which is counted and not
//! walked through. A page costs the records that it shows, and those at the edges of the range; other filters cost all
//! that it has.

use crate::account::Account;
use crate::fixture::Fixture;
use crate::record::{Cell, ColumnHead, Record};
use crate::resource::ResourceId;
use crate::settings::SandboxSettings;

/// A filter that was understood: the place of its column, and the values that it admits.
#[derive(Clone, Debug)]
pub enum ColumnFilter {
    /// Milliseconds.
    Period(usize, Option<i64>, Option<i64>),
    Ids(usize, Vec<(i64, i64)>),
    Int(usize, i64),
    Bool(usize, bool),
    Text(usize, String),
}

impl ColumnFilter {
    fn place(&self) -> usize {
        match self {
            Self::Period(place, ..)
            | Self::Ids(place, _)
            | Self::Int(place, _)
            | Self::Bool(place, _)
            | Self::Text(place, _) => *place,
        }
    }
}

/// A search that is to be answered.
#[derive(Clone, Copy)]
pub struct SearchRequest<'a> {
    pub account: &'a Account,
    pub settings: &'a SandboxSettings,
    pub resource: ResourceId,
    pub fixture: &'a Fixture,
    pub columns: &'a [ColumnHead<'a>],
    pub id_place: usize,
    pub filters: &'a [ColumnFilter],
    pub sorted: usize,
    pub descending: bool,
}

/// Ids between which all records, or some, satisfy the filters.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: i64,
    to: i64,
    is_sure: bool,
}

/// The rows of a page as they are found.
struct Page {
    first: usize,
    end: usize,
    total: usize,
    rows: Vec<Vec<Cell>>,
}

impl SearchRequest<'_> {
    /// How many rows there are, and those of one page.
    pub fn page(&self, first: usize, size: usize) -> (usize, Vec<Vec<Cell>>) {
        let natural = self.sorted == self.id_place || self.fixture.row_place() == Some(self.sorted);
        let all = usize::MAX;
        let (begin, end) = if natural { (first, (first - 1).saturating_add(size)) } else { (1, all) };
        let mut page = Page { first: begin, end, total: 0, rows: Vec::new() };
        let descending = natural && self.descending;
        let mut stretches = self.stretches();
        if descending {
            stretches.reverse();
        }
        for stretch in stretches {
            self.walk(stretch, descending, &mut page);
        }
        let Page { total, mut rows, .. } = page;
        if !natural {
            rows.sort_by(|a, b| compare(&a[self.sorted], &b[self.sorted]));
            if self.descending {
                rows.reverse();
            }
            rows = rows.into_iter().skip(first - 1).take(size).collect();
        }
        (total, rows)
    }

    /// The ranges of ids with all records that satisfy the filters, ascending and disjoint.
    fn stretches(&self) -> Vec<Stretch> {
        let mut ranges = vec![(i64::MIN, i64::MAX)];
        // The range within which all satisfy the one filter that is left.
        let mut sure = Some((i64::MIN, i64::MAX));
        for filter in self.filters {
            let ids = match filter {
                ColumnFilter::Ids(place, ids) if self.fixture.shows_id(*place) => Some(ids.clone()),
                ColumnFilter::Int(place, id) if self.fixture.shows_id(*place) => Some(vec![(*id, *id)]),
                _ => None,
            };
            if let Some(ids) = ids {
                ranges = intersection(&ranges, &joined(ids));
                continue;
            }
            let stamp = self.fixture.stamp(filter.place());
            let (near, inside) = match (filter, stamp) {
                (ColumnFilter::Period(_, from, to), Some(stamp)) => {
                    self.account.dated(self.resource, stamp, *from, *to)
                }
                _ => (vec![(i64::MIN, i64::MAX)], None),
            };
            ranges = intersection(&ranges, &joined(near));
            sure = sure.zip(inside).map(|(sure, inside)| (sure.0.max(inside.0), sure.1.min(inside.1)));
        }
        let sure = sure.filter(|(from, to)| from <= to);
        let mut stretches = Vec::new();
        for (from, to) in ranges {
            let Some((begin, end)) = sure.filter(|(begin, end)| *begin <= to && *end >= from) else {
                stretches.push(Stretch { from, to, is_sure: false });
                continue;
            };
            let (begin, end) = (begin.max(from), end.min(to));
            if from < begin {
                stretches.push(Stretch { from, to: begin - 1, is_sure: false });
            }
            stretches.push(Stretch { from: begin, to: end, is_sure: true });
            if end < to {
                stretches.push(Stretch { from: end + 1, to, is_sure: false });
            }
        }
        stretches
    }

    /// Adds the rows of a stretch to the page.
    fn walk(&self, mut stretch: Stretch, descending: bool, page: &mut Page) {
        let counts = stretch.is_sure && !self.fixture.repeats() && self.settings.never_listed.is_empty();
        let count = |stretch: &Stretch| self.account.count(self.resource, stretch.from, stretch.to);
        if let Some(all) = Some(stretch).filter(|_| counts).and_then(|stretch| count(&stretch)) {
            let total = page.total + all;
            let skipped = (page.first - 1).saturating_sub(page.total);
            if skipped >= all || page.total >= page.end {
                page.total = total;
                return;
            }
            // The stretch begins with the first record that is shown.
            self.account.skip(self.resource, (&mut stretch.from, &mut stretch.to), skipped, descending);
            page.total += skipped;
            self.each(stretch, descending, |record| {
                page.rows.extend(self.fixture.rows(&self.account.world, record));
                page.total += 1;
                page.total < total && page.end > page.total
            });
            page.total = total;
            return;
        }
        self.each(stretch, descending, |record| {
            self.take(stretch.is_sure, descending, record, page);
            true
        });
    }

    /// Calls `work` with each record of a stretch, until it returns that this is enough.
    fn each(&self, stretch: Stretch, descending: bool, mut work: impl FnMut(&Record) -> bool) {
        let ids = self.account.ids_between(self.resource, stretch.from, stretch.to);
        let mut ids = ids.filter(|id| !self.settings.never_listed.contains(id));
        let next = || if descending { ids.next_back() } else { ids.next() };
        for id in std::iter::from_fn(next) {
            if !work(&self.account.record(self.resource, id)) {
                break;
            }
        }
    }

    /// Adds the rows of a record to the page, if it satisfies the filters.
    fn take(&self, is_sure: bool, descending: bool, record: &Record, page: &mut Page) {
        let quick = if is_sure { Some(true) } else { self.quick(record) };
        if quick == Some(false) {
            return;
        }
        if quick == Some(true) {
            let repeats = self.fixture.repeats();
            let count = if repeats { self.fixture.row_count(&self.account.world, record) } else { 1 };
            if page.total + count < page.first || page.total >= page.end {
                page.total += count;
                return;
            }
        }
        let mut found = self.fixture.rows(&self.account.world, record);
        if descending {
            found.reverse();
        }
        for row in found.into_iter().filter(|row| self.filters.iter().all(|filter| self.passes(filter, row))) {
            page.total += 1;
            if page.total >= page.first && page.total <= page.end {
                page.rows.push(row);
            }
        }
    }

    /// Judges a record by its id and dates alone: none when a row must be looked at.
    fn quick(&self, record: &Record) -> Option<bool> {
        let mut all = true;
        for filter in self.filters {
            let place = filter.place();
            let id = self.fixture.shows_id(place).then_some(Cell::Int(record.id));
            let cell = id.or_else(|| self.fixture.cell(&self.account.world, place, record));
            match cell {
                Some(cell) if !self.admits(filter, &cell) => return Some(false),
                Some(_) => {}
                None => all = false,
            }
        }
        all.then_some(true)
    }

    fn passes(&self, filter: &ColumnFilter, row: &[Cell]) -> bool {
        self.admits(filter, &row[filter.place()])
    }

    fn admits(&self, filter: &ColumnFilter, cell: &Cell) -> bool {
        match (filter, cell) {
            (ColumnFilter::Period(_, from, to), Cell::Time(at)) => {
                let at = *at * 1_000;
                let slack = i64::from(!self.settings.inclusive);
                from.is_none_or(|from| at >= from + slack) && to.is_none_or(|to| at <= to - slack)
            }
            (ColumnFilter::Ids(_, ranges), Cell::Int(id)) => ranges.iter().any(|(from, to)| (from..=to).contains(&id)),
            (ColumnFilter::Int(_, wanted), Cell::Int(value)) => wanted == value,
            (ColumnFilter::Bool(_, wanted), Cell::Bool(value)) => wanted == value,
            (ColumnFilter::Text(place, wanted), Cell::Text(text)) => {
                if self.columns[*place].kind == "SEARCH_STRING" {
                    text.contains(wanted.as_str())
                } else {
                    text == wanted
                }
            }
            _ => false,
        }
    }
}

fn compare(a: &Cell, b: &Cell) -> std::cmp::Ordering {
    match (a, b) {
        (Cell::Int(a), Cell::Int(b)) | (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
        (Cell::Text(a), Cell::Text(b)) | (Cell::Json(a), Cell::Json(b)) => a.cmp(b),
        (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
        (Cell::Null, Cell::Null) => std::cmp::Ordering::Equal,
        (Cell::Null, _) => std::cmp::Ordering::Less,
        (_, Cell::Null) => std::cmp::Ordering::Greater,
        _ => std::cmp::Ordering::Equal,
    }
}

/// Ranges in their order, none of which touches another.
fn joined(mut ranges: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    ranges.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in ranges.into_iter().filter(|(from, to)| from <= to) {
        match joined.last_mut() {
            Some((_, end)) if *end >= from => *end = (*end).max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// The ids that two lists of such ranges share.
fn intersection(one: &[(i64, i64)], other: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut shared = Vec::new();
    for (from, to) in one {
        let meets = other.iter().filter(|(begin, end)| begin <= to && end >= from);
        shared.extend(meets.map(|(begin, end)| (*begin.max(from), *end.min(to))));
    }
    shared
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::fixture::Fixtures;
    use crate::settings::Size;
    use crate::verb::RecordEvent;

    const DAY: i64 = 24 * 3600;

    /// An account in which records came, changed and went.
    fn account(now: i64) -> Account {
        let fixtures = Fixtures::load(None).unwrap();
        let size = Size { orders: 150, ..Size::default() };
        let mut account =
            Account::new(&SandboxSettings::default(), &size, Timestamp::from_second(now).unwrap(), fixtures);
        let searched = account.fixtures.all().filter(|(_, fixture)| fixture.search.is_some());
        for resource in searched.map(|(resource, _)| resource).collect::<Vec<_>>() {
            let some = |account: &Account, step: usize| account.ids(resource).step_by(step).collect::<Vec<i64>>();
            if account.fixture(resource).has(RecordEvent::Insert) {
                account.insert(resource, 3, now + 60);
            }
            let (edited, deleted) = (some(&account, 7), some(&account, 11));
            account.edit(resource, &edited, now + 3 * DAY);
            account.delete(resource, &deleted);
        }
        account
    }

    /// Filters of each kind by a column, and two at once.
    fn filters(query: &SearchRequest<'_>, now: i64) -> Vec<Vec<ColumnFilter>> {
        let ids = |ids: &[(i64, i64)]| {
            query.fixture.shows_id(query.id_place).then(|| ColumnFilter::Ids(query.id_place, ids.to_vec()))
        };
        let mut all = vec![vec![], ids(&[(30, 90), (5, 40), (200, i64::MAX), (7, 7)]).into_iter().collect()];
        // The first value of each column of texts.
        let id = query.account.ids(query.resource).next().unwrap();
        let row = query.fixture.rows(&query.account.world, &query.account.record(query.resource, id)).swap_remove(0);
        all.extend(row.into_iter().enumerate().filter_map(|(place, cell)| match cell {
            Cell::Text(text) => Some(vec![ColumnFilter::Text(place, text)]),
            _ => None,
        }));
        let dates = (0..query.columns.len()).filter(|place| query.columns[*place].kind == "PERIOD");
        for place in dates {
            for (from, to) in [(-400, -350), (-30, 9), (-1_200, -1_090), (2, 5), (-500, -100)] {
                let (from, to) = ((now + from * DAY) * 1_000 + 77, (now + to * DAY) * 1_000);
                let both = ColumnFilter::Period(place, Some(from), Some(to));
                all.push(vec![both.clone()]);
                all.push(ids(&[(3, 250)]).into_iter().chain([ColumnFilter::Period(place, None, Some(to))]).collect());
                all.push(vec![ColumnFilter::Period(place, Some(from), None), both]);
            }
        }
        all
    }

    #[test]
    fn a_page_has_the_rows_that_a_look_at_every_record_finds() {
        let now = 1_763_532_000;
        let account = account(now);
        let settings = SandboxSettings::default();
        let (mut searches, mut shown) = (0, 0);
        for (resource, fixture) in account.fixtures.all().filter(|(_, fixture)| fixture.search.is_some()) {
            searches += 1;
            let (columns, id_place) = fixture.columns().unwrap();
            let (account, settings, columns) = (&account, &settings, columns.as_slice());
            let query = SearchRequest {
                account,
                settings,
                resource,
                fixture,
                columns,
                id_place,
                filters: &[],
                sorted: fixture.row_place().unwrap_or(id_place),
                descending: false,
            };
            for filters in filters(&query, now) {
                // GIVEN the rows of all records, as far as they satisfy the filters
                let ids = account.ids(resource);
                let rows = ids.flat_map(|id| fixture.rows(&account.world, &account.record(resource, id)));
                let passing = |row: &Vec<Cell>| filters.iter().all(|filter| query.passes(filter, row));
                let mut all: Vec<Vec<Cell>> = rows.filter(passing).collect();
                for descending in [false, true] {
                    // WHEN pages of them are requested, upwards and downwards
                    let query = SearchRequest { filters: &filters, descending, ..query };
                    for (first, size) in [(1, 1), (1, 50), (40, 7), (3, 1_000), (all.len(), 3), (all.len() + 5, 3)] {
                        let first = first.max(1);
                        let (total, page) = query.page(first, size);

                        // THEN each has its own
                        let wanted: Vec<_> = all.iter().skip(first - 1).take(size).cloned().collect();
                        shown += wanted.len();
                        let name = &fixture.name;
                        assert_eq!(
                            (total, page),
                            (all.len(), wanted),
                            "{name} {filters:?} {descending} {first} {size}"
                        );
                    }
                    all.reverse();
                }
            }
        }
        assert!(searches > 10 && shown > 10_000, "{searches} searches, {shown} rows");
    }
}
