//! The existing records: made from the seed, with later changes on top.
//!
//! A record is a function of its id and its overlay entry, so an account of a million orders costs next to nothing.
//! About one id in a hundred was never used; created instants grow with the id.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fixture::{Fixture, FixtureShape, Fixtures, Stamp};
use crate::record::{Cell, Record};
use crate::resource::ResourceId;
use crate::rules::{CompletionRule, Following, MOST_AFTER, Part, Records};
use crate::seed::hash;
use crate::settings::{SandboxSettings, Size};
use crate::verb::RecordEvent;
use crate::world::{IN_BLOCKS, IdSpan, IdSpans, World};

/// Nothing happened so shortly before the start, in seconds: a first copy is surely later than every change.
const QUIET: i64 = 600;
/// A first edit comes at most this long after a record's creation.
const EDIT_WITHIN: u64 = 20 * 24 * 3600;

/// Ranges of ids, and one within them.
pub type DatedIds = (Vec<(i64, i64)>, Option<(i64, i64)>);

/// The account.
#[derive(Debug)]
pub struct Account {
    pub world: World,
    pub fixtures: Fixtures,
    stocks: BTreeMap<ResourceId, Stock>,
    /// Documents by the ids of another resource that were deleted: their owners stay.
    hidden: BTreeMap<ResourceId, BTreeSet<i64>>,
    start: i64,
    /// The records were created over this long before the start, in seconds.
    history: i64,
    /// Records are shown as they were before their last change.
    pub lags: bool,
}

/// The records of a resource.
#[derive(Debug)]
struct Stock {
    /// The ids made from the seed.
    made: IdSpan,
    /// The part that the records have in the business.
    part: Option<Part>,
    /// Share of records that have been edited, in a hundred.
    edited: u64,
    inserted: BTreeMap<i64, i64>,
    deleted: BTreeSet<i64>,
    changes: HashMap<i64, Change>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Change {
    revision: u32,
    touches: u32,
    updated: Option<i64>,
    /// The same before the last change.
    before: Option<(u32, u32, Option<i64>)>,
}

impl Change {
    /// Keeps the facts that a change is about to replace.
    fn begin(&mut self) -> &mut Self {
        self.before = Some((self.revision, self.touches, self.updated));
        self
    }

    fn before(self) -> Self {
        let (revision, touches, updated) = self.before.unwrap_or((self.revision, self.touches, self.updated));
        Self { revision, touches, updated, before: None }
    }
}

impl Stock {
    /// Of this many records.
    fn new(seed: u64, part: Option<Part>, mut made: IdSpan, records: u64, edited: u64) -> Self {
        let mut left = records;
        while left > 0 {
            made.greatest += 1;
            left -= u64::from(!made.is_gap(seed, made.greatest));
        }
        Self { made, part, edited, inserted: BTreeMap::new(), deleted: BTreeSet::new(), changes: HashMap::new() }
    }
}

impl Account {
    /// An account of this size at this time.
    pub fn new(settings: &SandboxSettings, size: &Size, now: Timestamp, fixtures: Fixtures) -> Self {
        let zone = TimeZone::get(&settings.zone).unwrap_or(TimeZone::UTC);
        let orders = size.orders.max(1);
        let (mut stocks, mut spans) = (BTreeMap::new(), IdSpans::new());
        for (resource, fixture) in fixtures.all().filter(|(_, fixture)| fixture.owner.is_none()) {
            let first = fixture.first_id;
            let part = fixture.rule.and_then(CompletionRule::part);
            let gaps = if part.is_some() { IN_BLOCKS } else { fixture.gaps };
            let made = IdSpan { first, greatest: first - 1, gaps, salt: fixture.salt };
            let given = size.records.get(&fixture.name);
            let given = given.or_else(|| size.records.get(fixture.counted.as_ref()?));
            let owned =
                part.filter(|part| *part != Part::Order).map(|part| Part::count(part, orders.cast_signed()).max(5));
            let owned = owned.map(|records| u64::try_from(records).unwrap_or_default());
            let records = given.copied().or(owned).unwrap_or_else(|| fixture.volume.of(orders));
            let stock = Stock::new(settings.seed, part, made, records, fixture.edited);
            spans.insert(fixture.name.clone(), stock.made);
            stocks.insert(resource, stock);
        }
        let world = World::new(settings, zone, spans, now.as_second());
        let history = i64::from(settings.history) * 24 * 3600;
        let (hidden, start) = (BTreeMap::new(), now.as_second());
        let mut account = Self { world, fixtures, stocks, hidden, start, history, lags: false };
        account.world.trade.products = account.stocked();
        account.world.trade.sum_stock();
        account
    }

    /// The products of which stock is kept, ascending.
    fn stocked(&self) -> Vec<i64> {
        let views = self.fixtures.all().filter(|(_, fixture)| fixture.rule == Some(CompletionRule::Stock));
        views.flat_map(|(resource, _)| self.ids(resource)).collect()
    }

    /// The resource of this name, if the account serves one.
    pub fn resource(&self, name: &str) -> Option<ResourceId> {
        self.fixtures.find(name)
    }

    /// The fixture of a resource.
    pub fn fixture(&self, resource: ResourceId) -> &Fixture {
        self.fixtures.get(resource)
    }

    /// The resource that has these records: a view of another resource has none of its own.
    fn holder(&self, resource: ResourceId) -> ResourceId {
        let owner = self.fixture(resource).owner.as_ref();
        owner.and_then(|owner| self.resource(&owner.resource)).unwrap_or(resource)
    }

    fn stock(&self, resource: ResourceId) -> &Stock {
        &self.stocks[&self.holder(resource)]
    }

    fn stock_mut(&mut self, resource: ResourceId) -> &mut Stock {
        let holder = self.holder(resource);
        self.stocks.get_mut(&holder).expect("every resource has a stock")
    }

    /// Whether a view has a document for a record of its owner.
    fn is_viewed(&self, resource: ResourceId, id: i64) -> bool {
        if self.hidden.get(&resource).is_some_and(|hidden| hidden.contains(&id)) {
            return false;
        }
        let owner = self.fixture(resource).owner.as_ref();
        let Some((owner, filter)) = owner.and_then(|owner| Some((owner, owner.filter.as_ref()?))) else {
            return true;
        };
        let Some(owner) = self.resource(&owner.resource) else { return true };
        let (shown, record) = (self.fixture(owner), self.record(owner, id));
        if let Some(value) = filter.strip_prefix("rule.") {
            return shown.rule.is_some_and(|rule| rule.is_set(&self.world.trade, &record, value));
        }
        let column = shown.search.iter().flat_map(|search| &search.columns).position(|column| column.name == *filter);
        let Some(column) = column else { return true };
        let cell = shown
            .cell(&self.world, column, &record)
            .or_else(|| shown.rows(&self.world, &record).into_iter().next().map(|mut row| row.swap_remove(column)));
        cell == Some(Cell::Bool(true))
    }

    /// Whether a view's owner shows this value in a column of its search.
    pub fn shows(&self, resource: ResourceId, id: i64, column: &str, value: &str) -> bool {
        let owner = self.holder(resource);
        let (shown, record) = (self.fixture(owner), self.record(owner, id));
        let column = shown.search.iter().flat_map(|search| &search.columns).position(|known| known.name == column);
        let cell = column.and_then(|column| shown.cell(&self.world, column, &record));
        matches!(cell, Some(Cell::Int(number)) if number.to_string() == value)
    }

    /// Whether a record is there.
    pub fn exists(&self, resource: ResourceId, id: i64) -> bool {
        let stock = self.stock(resource);
        let made = (stock.made.first..=stock.made.greatest).contains(&id) && !stock.made.is_gap(self.world.seed, id);
        (made || stock.inserted.contains_key(&id)) && !stock.deleted.contains(&id) && self.is_viewed(resource, id)
    }

    /// Every id that is there, ascending.
    pub fn ids(&self, resource: ResourceId) -> impl DoubleEndedIterator<Item = i64> {
        let stock = self.stock(resource);
        let seed = self.world.seed;
        let made = (stock.made.first..=stock.made.greatest).filter(move |id| !stock.made.is_gap(seed, *id));
        let all = made.chain(stock.inserted.keys().copied());
        all.filter(move |id| !stock.deleted.contains(id) && self.is_viewed(resource, *id))
    }

    /// The same between two ids, both included.
    pub fn ids_between(&self, resource: ResourceId, from: i64, to: i64) -> impl DoubleEndedIterator<Item = i64> {
        let stock = self.stock(resource);
        let seed = self.world.seed;
        let made =
            (from.max(stock.made.first)..=to.min(stock.made.greatest)).filter(move |id| !stock.made.is_gap(seed, *id));
        let inserted = Some(stock.inserted.range(from..=to.max(from)).map(|(id, _)| *id)).filter(|_| from <= to);
        let all = made.chain(inserted.into_iter().flatten());
        all.filter(move |id| !stock.deleted.contains(id) && self.is_viewed(resource, *id))
    }

    /// The number of records between two ids; none where each must be looked at.
    pub fn count(&self, resource: ResourceId, from: i64, to: i64) -> Option<usize> {
        let stock = self.stock(resource);
        if self.fixture(resource).owner.is_some() || from > to {
            return (from > to).then_some(0);
        }
        let seed = self.world.seed;
        let used = stock.made.used(seed, to) - stock.made.used(seed, from.saturating_sub(1));
        let made = usize::try_from(used).unwrap_or(0);
        let inserted = stock.inserted.range(from..=to).count();
        let deleted = stock.deleted.range(from..=to).count();
        Some((made + inserted).saturating_sub(deleted))
    }

    /// Moves the beginning of a range on, or its end back, so that this many fewer are in it.
    pub fn skip(&self, resource: ResourceId, (from, to): (&mut i64, &mut i64), many: usize, from_end: bool) {
        let (first, last) = (self.stock(resource).made.first, self.greatest(resource));
        (*from, *to) = ((*from).max(first), (*to).min(last));
        let (all_from, all_to) = (*from, *to);
        let is_behind = |id: i64| {
            let (begin, end) = if from_end { (id, all_to) } else { (all_from, id) };
            self.count(resource, begin, end).is_some_and(|count| count > many)
        };
        // The id nearest to the beginning with more than this many up to it.
        let (mut near, mut far) = (if from_end { all_to } else { all_from }, if from_end { all_from } else { all_to });
        while near != far {
            let middle = if from_end { near - (near - far) / 2 } else { near + (far - near) / 2 };
            match (is_behind(middle), from_end) {
                (true, _) => far = middle,
                (false, true) => near = middle - 1,
                (false, false) => near = middle + 1,
            }
        }
        *(if from_end { to } else { from }) = near;
    }

    /// The ranges of ids of which some have a date in a period (milliseconds), and one within them of which all have.
    pub fn dated(&self, resource: ResourceId, stamp: Stamp, from: Option<i64>, to: Option<i64>) -> DatedIds {
        let stock = self.stock(resource);
        let (first, last) = (stock.made.first, stock.made.greatest);
        let owned = stock.part.map(|part| part.count(self.world.trade.ids(Part::Order).count));
        if owned.is_some_and(|owned| stock.made.used(self.world.seed, last) > owned) {
            // Beyond those of orders ids and dates do not grow together.
            return (vec![(i64::MIN, i64::MAX)], None);
        }
        // A date is at most so far behind one that grows with the id.
        let slack = if stock.part.is_some() { MOST_AFTER } else { 0 };
        let (early, late) = (from.map(|from| from.div_euclid(1_000)), to.map(|to| to.div_euclid(1_000) + 1));
        let created = |id: i64| self.made_created(stock, id);
        let begin = |least: Option<i64>| least.map_or(first, |least| partition(first, last, |id| created(id) < least));
        let end = |most: Option<i64>| most.map_or(last, |most| partition(first, last, |id| created(id) <= most) - 1);
        let edited = if stamp == Stamp::Updated { 3_600 + EDIT_WITHIN.cast_signed() } else { 0 };
        let near = (begin(early.map(|early| early - slack - edited)), end(late.map(|late| late + slack)));
        let mut ranges = vec![(last + 1, i64::MAX)];
        ranges.extend(Some(near).filter(|(from, to)| from <= to));
        if stamp == Stamp::Updated {
            ranges.extend(stock.changes.keys().map(|id| (*id, *id)));
            return (ranges, None);
        }
        let inside = (begin(early.map(|early| early + slack + 2)), end(late.map(|late| late - slack - 2)));
        (ranges, Some(inside))
    }

    /// The greatest id ever used.
    pub fn greatest(&self, resource: ResourceId) -> i64 {
        let stock = self.stock(resource);
        stock.inserted.keys().next_back().copied().unwrap_or(stock.made.greatest)
    }

    /// The numbers from which a record is made.
    pub fn record(&self, resource: ResourceId, id: i64) -> Record {
        let stock = self.stock(resource);
        let change = stock.changes.get(&id).copied().unwrap_or_default();
        let change = if self.lags { change.before() } else { change };
        let created = stock.inserted.get(&id).copied().unwrap_or_else(|| self.made_created(stock, id));
        let made_edit = || {
            let salt = stock.made.salt;
            let edited = !stock.inserted.contains_key(&id)
                && hash(self.world.seed, id, salt.wrapping_add(1)) % 100 < stock.edited;
            let later = hash(self.world.seed, id, salt.wrapping_add(2)) % EDIT_WITHIN;
            let later = i64::try_from(later).expect("it is small");
            // Not before an order is closed.
            edited.then_some((created + 3_600 + later).min(self.start - QUIET))
        };
        Record {
            id,
            created,
            updated: change.updated.or_else(made_edit).or_else(|| self.world.trade.dated(stock.part?, created)),
            revision: change.revision,
            touches: change.touches,
        }
    }

    /// When a record that was made from the seed was created.
    fn made_created(&self, stock: &Stock, id: i64) -> i64 {
        let owned = stock.part.and_then(|part| self.world.trade.created(part, id));
        owned.unwrap_or_else(|| {
            let (from_end, length) = (stock.made.greatest - id, stock.made.greatest - stock.made.first + 1);
            let before = from_end * (self.history / 60) / length.max(1) * 60;
            self.start - before - QUIET
        })
    }

    /// Whether an event may happen to a record of a resource.
    pub fn allows(&self, event: RecordEvent, resource: ResourceId, id: i64) -> bool {
        self.fixture(resource).allows(event, &self.world, &self.record(resource, id))
    }

    /// Whether new records of a resource may come.
    pub fn grows(&self, resource: ResourceId) -> bool {
        self.fixture(resource).has(RecordEvent::Insert)
    }

    /// The part that the records of a resource have in the business.
    fn part(&self, resource: ResourceId) -> Option<Part> {
        self.stock(resource).part
    }

    /// New records, created now; gives their ids. Movements of goods and journals of payments are added with them.
    pub fn insert(&mut self, resource: ResourceId, count: u64, now: i64) -> Vec<i64> {
        let first = self.greatest(resource) + 1;
        let ids: Vec<i64> = (first..).zip(0..count).map(|(id, _)| id).collect();
        self.stock_mut(resource).inserted.extend(ids.iter().map(|id| (*id, now)));
        if let Some(part) = self.part(resource) {
            for id in &ids {
                if let Some(added) = self.world.trade.settle(part, *id, self) {
                    let following = self.world.trade.book(part, *id, added);
                    self.follow(following, now);
                }
            }
        }
        ids
    }

    /// Adds the records that follow from an event of another record.
    fn follow(&mut self, following: Vec<Following>, now: i64) {
        for (part, order, added) in following {
            let resource = self.resource(part.name()).expect("the account serves every part");
            let id = self.greatest(resource) + 1;
            self.stock_mut(resource).inserted.insert(id, now);
            self.world.trade.book(part, id, (order, added));
        }
    }

    /// Changes records, and moves their date.
    pub fn edit(&mut self, resource: ResourceId, ids: &[i64], now: i64) {
        for id in ids {
            let change = self.stock_mut(resource).changes.entry(*id).or_default().begin();
            change.revision += 1;
            change.updated = Some(now);
            let revision = change.revision;
            if let Some(part) = self.part(resource) {
                let is_there = self.exists(resource, *id);
                let following = self.world.trade.edited(part, *id, revision, is_there);
                self.follow(following, now);
            }
        }
    }

    /// Changes values of records without moving any date.
    pub fn touch(&mut self, resource: ResourceId, ids: &[i64]) {
        for id in ids {
            self.stock_mut(resource).changes.entry(*id).or_default().begin().touches += 1;
        }
    }

    /// Deletes records without a trace; of documents by the ids of another resource these alone.
    pub fn delete(&mut self, resource: ResourceId, ids: &[i64]) {
        if self.fixture(resource).shape == FixtureShape::PerOwner {
            self.hidden.entry(resource).or_default().extend(ids);
            return;
        }
        for id in ids {
            let was_there = self.exists(resource, *id);
            self.stock_mut(resource).deleted.insert(*id);
            if was_there {
                self.count_deleted(resource, *id, 1);
            }
        }
    }

    /// Brings deleted records back as they were.
    pub fn restore(&mut self, resource: ResourceId, ids: &[i64]) {
        if let Some(hidden) = self.hidden.get_mut(&resource) {
            hidden.retain(|id| !ids.contains(id));
        }
        for id in ids {
            if self.stock_mut(resource).deleted.remove(id) && self.exists(resource, *id) {
                self.count_deleted(resource, *id, -1);
            }
        }
    }

    /// Takes a deleted record out of the sums, or with -1 puts it back.
    fn count_deleted(&mut self, resource: ResourceId, id: i64, sign: i64) {
        if let Some(part) = self.part(resource) {
            let revision = self.record(resource, id).revision;
            self.world.trade.deleted(part, id, sign, revision);
        }
    }
}

/// The first id from which on a condition does not hold that holds up to it.
fn partition(first: i64, last: i64, holds: impl Fn(i64) -> bool) -> i64 {
    let (mut from, mut to) = (first, last + 1);
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

impl Records for Account {
    fn is_there(&self, part: Part, id: i64) -> bool {
        self.resource(part.name()).is_some_and(|resource| self.exists(resource, id))
    }
}
