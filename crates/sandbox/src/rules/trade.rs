//! The account for the rules: the number of records, their dates, and later changes.

use crate::seed::{Dice, hash};

use super::layout::{Ids, OrderType, Part, SUPPLIED, lines};
use super::ledger::Ledger;

pub const DAY: i64 = 24 * 3600;
/// Nothing happened so shortly before the start, in seconds.
const QUIET: i64 = 600;
/// A record that belongs to an order is made this many seconds after it at most.
pub const MOST_AFTER: i64 = 7_200;
/// The products of a purchase order.
const BOUGHT: i64 = 5;
/// Spreads the products over purchase orders: a prime, so that each product has its turn.
const STRIDE: usize = 7_919;

/// Sizes, dates and the overlay.
#[derive(Clone, Debug)]
pub struct Trade {
    pub seed: u64,
    /// The account's clock when it began to serve, in seconds since 1970.
    pub start: i64,
    /// Orders were created over this many seconds before.
    pub history: i64,
    /// The ids of each part, by its place.
    pub ids: [Ids; 7],
    pub contacts: i64,
    /// The products of which there is stock, by their ids.
    pub products: Vec<i64>,
    /// Quantities and values of credits are negative.
    pub negative_credits: bool,
    /// A movement of goods has a date of change from its creation on.
    pub dated_movements: bool,
    /// Pieces of each product in each warehouse at the start, and those that goods-out notes held.
    pub stock: Vec<[StockPieces; WAREHOUSES]>,
    pub ledger: Ledger,
}

/// Warehouses of the account.
pub const WAREHOUSES: usize = 6;

/// Pieces of a product in a warehouse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockPieces {
    pub there: i32,
    pub held: i32,
}

impl Trade {
    /// The business of an account, before its products are known. `of` has the salt of the ids of a resource, and the
    /// greatest.
    pub fn new(seed: u64, start: i64, days: i64, of: impl Fn(&str) -> Option<(u64, i64)>) -> Self {
        let ids = Part::ALL.map(|part| {
            let (salt, greatest) = of(part.name()).unwrap_or((0, 0));
            Ids::new(seed, salt, greatest)
        });
        Self {
            seed,
            start,
            history: days * DAY,
            ids,
            contacts: of("contact").map_or(0, |(_, greatest)| greatest),
            products: Vec::new(),
            negative_credits: false,
            dated_movements: true,
            stock: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// When a record that was never edited shows that it was changed: only a movement shows one.
    pub fn dated(&self, part: Part, created: i64) -> Option<i64> {
        (part == Part::Movement && self.dated_movements).then_some(created)
    }

    pub fn ids(&self, part: Part) -> &Ids {
        &self.ids[part.place()]
    }

    /// The latest instant before the start at which anything happened.
    pub fn quiet(&self) -> i64 {
        self.start - QUIET
    }

    /// When an order that was made from the seed was created.
    pub fn order_created(&self, id: i64) -> i64 {
        let length = self.ids(Part::Order).greatest;
        self.quiet() - (length - id) * (self.history / 60) / length.max(1) * 60
    }

    /// When a record that belongs to an order was created; none where it was made beyond what orders own.
    pub fn created(&self, part: Part, id: i64) -> Option<i64> {
        let ids = self.ids(part);
        if part == Part::Order || id > ids.greatest {
            return None;
        }
        let (order, place) = self.owner(part, id)?;
        let after = match part {
            Part::CustomerPayment if place > 0 => 5_400,
            Part::CustomerPayment => 900,
            Part::GoodsOut => 1_800,
            // As soon as the note is shipped.
            Part::Movement if OrderType::of(order) == OrderType::Sale => 2_100,
            Part::GoodsIn | Part::Movement | Part::Journal if place == 0 => 3_600,
            Part::Journal => 5_460,
            Part::GoodsIn | Part::Movement => 3_600,
            Part::SupplierPayment | Part::Order => MOST_AFTER,
        };
        let created = self.order_created(self.ids(Part::Order).id(order)) + after;
        Some(created.min(self.quiet()))
    }

    /// The number of the order that owns a made record, and the record's place there.
    pub fn owner(&self, part: Part, id: i64) -> Option<(i64, i64)> {
        let ids = self.ids(part);
        let owner = part.owner(ids.number(id));
        (id <= ids.greatest && owner.0 < self.ids(Part::Order).count).then_some(owner)
    }

    /// A stream of values of an order, or of another record by its id.
    pub fn dice(&self, id: i64, salt: u64) -> Dice {
        Dice::new(self.seed, id, 0x7ade ^ (salt << 20))
    }

    /// A value below `end` of a record.
    pub fn chance(&self, id: i64, salt: u64, end: i64) -> i64 {
        let end = end.max(1).unsigned_abs();
        (hash(self.seed, id, 0x7ade ^ (salt << 20)) % end).cast_signed()
    }

    /// The number of the purchase order that supplies an order.
    pub fn supplier_of(order: i64) -> i64 {
        order - order.rem_euclid(SUPPLIED)
    }

    /// The product of a line of the purchase order of this number: the orders that follow sell it.
    pub fn bought(&self, purchase: i64, line: i64) -> i64 {
        let count = self.products.len().max(1);
        let stride = if count.is_multiple_of(STRIDE) { 1 } else { STRIDE };
        let turn = usize::try_from(purchase / SUPPLIED * BOUGHT + line).unwrap_or_default();
        let place = turn * stride % count;
        self.products.get(place).copied().unwrap_or(1)
    }

    /// The line of its purchase order that supplies a line of a sale. No two lines of a sale have the same.
    pub fn supplied_by(&self, sale: i64, place: i64) -> i64 {
        (self.chance(sale, 0x32, BOUGHT) + place) % BOUGHT
    }

    /// Pieces of a line of a sale.
    pub fn sold(&self, line: i64) -> i64 {
        1 + self.chance(line, 0x14, 12)
    }

    /// Pieces that come in by a line of a purchase order: all that the orders that follow can take, and some more.
    pub fn bought_pieces(&self, purchase: i64, line: i64) -> i64 {
        let mut pieces = 12 + self.chance(purchase * 8 + line, 0x10, 60);
        for order in (purchase + 1..purchase + SUPPLIED).filter(|order| OrderType::of(*order) == OrderType::Sale) {
            let id = self.ids(Part::Order).id(order);
            let place = (line - self.supplied_by(id, 0)).rem_euclid(BOUGHT);
            let goods = i64::try_from(lines(order).1).expect("a few");
            pieces += if place < goods { self.sold(id * 16 + place) } else { 0 };
        }
        pieces
    }

    /// The warehouse of an order: where its supplier's goods came in.
    pub fn warehouse(&self, order: i64) -> i64 {
        1 + self.chance(Self::supplier_of(order), 0x11, 6)
    }

    /// The code of a product, which a line of an order repeats; some have none.
    pub fn sku(&self, product: i64) -> String {
        let prefix =
            ["TSH", "MUG", "BAG", "ÉCRU", "SET"][usize::try_from(self.chance(product, 0x15, 5)).expect("a few")];
        if self.chance(product, 0x16, 100) < 97 { format!("{prefix}-{product:06}") } else { String::new() }
    }

    /// The price of a product in the account's currency, and its cost: ten-thousandths.
    pub fn price(&self, product: i64) -> (i64, i64) {
        let price = 20_000 + self.chance(product, 0x12, 880_000);
        (price, price * (40 + self.chance(product, 0x13, 25)) / 100)
    }
}
