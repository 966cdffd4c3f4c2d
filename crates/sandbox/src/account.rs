//! The records that there are: made from the seed, with what was changed since on top.
//!
//! A record is a function of its id and its overlay entry, so an account of a million orders costs next to nothing.
//! About one id in a hundred was never used; created instants grow with the id.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::kinds::{Kind, Record, World};
use crate::seed::hash;
use crate::settings::{Settings, Size};

/// Nothing happened so shortly before the start, in seconds: a first copy is surely later than every change.
const QUIET: i64 = 600;
/// A first edit comes at most this long after a record's creation.
const EDIT_WITHIN: u64 = 20 * 24 * 3600;

/// The account.
#[derive(Debug)]
pub struct Account {
    pub world: World,
    stocks: BTreeMap<Kind, Stock>,
    start: i64,
    /// The records were created over this long before the start, in seconds.
    history: i64,
    /// Records are shown as they were before their last change.
    pub lags: bool,
}

/// The records of a kind.
#[derive(Debug, Default)]
struct Stock {
    /// The greatest id made from the seed.
    greatest: i64,
    has_gaps: bool,
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
    /// Keeps what a change is about to replace.
    fn begin(&mut self) -> &mut Self {
        self.before = Some((self.revision, self.touches, self.updated));
        self
    }

    fn before(self) -> Self {
        let (revision, touches, updated) = self.before.unwrap_or((self.revision, self.touches, self.updated));
        Self { revision, touches, updated, before: None }
    }
}

impl Account {
    /// An account of this size at this time.
    pub fn new(settings: &Settings, size: &Size, now: Timestamp) -> Self {
        let zone = TimeZone::get(&settings.zone).unwrap_or(TimeZone::UTC);
        let orders = size.orders.max(1);
        let share = |given: Option<u64>, numerator: u64, denominator: u64, least: u64| {
            given.unwrap_or((orders * numerator / denominator).max(least))
        };
        let mut stocks = BTreeMap::new();
        let mut stock = |kind: Kind, wanted: u64, edited: u64| {
            let has_gaps = kind.has_gaps();
            let mut stock = Stock { has_gaps, edited, ..Stock::default() };
            let mut left = wanted;
            while left > 0 {
                stock.greatest += 1;
                left -= u64::from(!is_gap(settings.seed, kind, has_gaps, stock.greatest));
            }
            let greatest = stock.greatest;
            stocks.insert(kind, stock);
            greatest
        };
        let world = World {
            seed: settings.seed,
            zone,
            orders: stock(Kind::Order, orders, 60),
            products: stock(Kind::Product, share(size.products, 1, 4, 20), 50),
            contacts: stock(Kind::Contact, share(size.contacts, 1, 2, 20), 70),
            goods_out_notes: stock(Kind::GoodsOutNote, share(size.goods_out_notes, 4, 5, 5), 0),
            goods_in_notes: stock(Kind::GoodsInNote, share(size.goods_in_notes, 1, 20, 5), 0),
            start: now.as_second(),
            dated_movements: settings.dated_movements,
            text_bytes: settings.text_bytes,
        };
        stock(Kind::GoodsMovement, share(size.goods_movements, 1, 1, 5), 30);
        stock(Kind::Journal, share(size.journals, 7, 5, 5), 0);
        stock(Kind::CustomerPayment, share(size.customer_payments, 9, 10, 5), 0);
        stock(Kind::SupplierPayment, share(size.supplier_payments, 1, 20, 5), 0);
        for kind in Kind::LISTS {
            stock(kind, kind.list_size().unsigned_abs(), 0);
        }
        Self { world, stocks, start: now.as_second(), history: i64::from(settings.history) * 24 * 3600, lags: false }
    }

    fn stock(&self, kind: Kind) -> &Stock {
        &self.stocks[&kind]
    }

    fn stock_mut(&mut self, kind: Kind) -> &mut Stock {
        self.stocks.get_mut(&kind).expect("every kind has a stock")
    }

    /// Whether a record is there.
    pub fn exists(&self, kind: Kind, id: i64) -> bool {
        let stock = self.stock(kind);
        let made = (1..=stock.greatest).contains(&id) && !is_gap(self.world.seed, kind, stock.has_gaps, id);
        (made || stock.inserted.contains_key(&id)) && !stock.deleted.contains(&id)
    }

    /// Every id that is there, ascending.
    pub fn ids(&self, kind: Kind) -> impl DoubleEndedIterator<Item = i64> {
        let stock = self.stock(kind);
        let seed = self.world.seed;
        let made = (1..=stock.greatest).filter(move |id| !is_gap(seed, kind, stock.has_gaps, *id));
        made.chain(stock.inserted.keys().copied()).filter(|id| !stock.deleted.contains(id))
    }

    /// The greatest id ever used.
    pub fn greatest(&self, kind: Kind) -> i64 {
        let stock = self.stock(kind);
        stock.inserted.keys().next_back().copied().unwrap_or(stock.greatest)
    }

    /// What a record is made from.
    pub fn record(&self, kind: Kind, id: i64) -> Record {
        let stock = self.stock(kind);
        let change = stock.changes.get(&id).copied().unwrap_or_default();
        let change = if self.lags { change.before() } else { change };
        let created = stock.inserted.get(&id).copied().unwrap_or_else(|| {
            let from_end = (stock.greatest - id) * (self.history / 60) / stock.greatest.max(1) * 60;
            self.start - from_end - QUIET
        });
        let made_edit = || {
            let edited =
                !stock.inserted.contains_key(&id) && hash(self.world.seed, id, kind.salt() + 1) % 100 < stock.edited;
            let later = i64::try_from(hash(self.world.seed, id, kind.salt() + 2) % EDIT_WITHIN).expect("it is small");
            edited.then_some((created + 30 + later).min(self.start - QUIET))
        };
        Record {
            id,
            created,
            updated: change.updated.or_else(made_edit),
            revision: change.revision,
            touches: change.touches,
        }
    }

    /// New records, created now; gives their ids.
    pub fn insert(&mut self, kind: Kind, count: u64, now: i64) -> Vec<i64> {
        let first = self.greatest(kind) + 1;
        let ids: Vec<i64> = (first..).zip(0..count).map(|(id, _)| id).collect();
        self.stock_mut(kind).inserted.extend(ids.iter().map(|id| (*id, now)));
        ids
    }

    /// Changes records, and says so by their date.
    pub fn edit(&mut self, kind: Kind, ids: &[i64], now: i64) {
        for id in ids {
            let change = self.stock_mut(kind).changes.entry(*id).or_default().begin();
            change.revision += 1;
            change.updated = Some(now);
        }
    }

    /// Changes what hangs on records without moving any date.
    pub fn touch(&mut self, kind: Kind, ids: &[i64]) {
        for id in ids {
            self.stock_mut(kind).changes.entry(*id).or_default().begin().touches += 1;
        }
    }

    /// Deletes records without a trace.
    pub fn delete(&mut self, kind: Kind, ids: &[i64]) {
        self.stock_mut(kind).deleted.extend(ids);
    }

    /// Brings deleted records back as they were.
    pub fn restore(&mut self, kind: Kind, ids: &[i64]) {
        self.stock_mut(kind).deleted.retain(|id| !ids.contains(id));
    }
}

fn is_gap(seed: u64, kind: Kind, has_gaps: bool, id: i64) -> bool {
    has_gaps && hash(seed, id, kind.salt()).is_multiple_of(100)
}
