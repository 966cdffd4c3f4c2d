//! Which record belongs to which order, by the numbers alone.
//!
//! Orders come in blocks of a hundred, and each place of a block has its order type and its number of lines. An order
//! owns its goods notes, movements, journals and payments: the numbers of those of a block are counted through in the
//! order of their owners. So the owner of a record, and the records of an owner, are found without a table. One of 101
//! ids is never used.

use crate::seed::hash;

/// Orders of a block.
const BLOCK: usize = 100;
/// Ids of a block: one of them is a gap.
const SPAN: i64 = 101;
/// Orders that are supplied by one purchase order, the first of them.
pub const SUPPLIED: i64 = 20;

/// The types of orders, in the order of the source's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderType {
    Sale,
    Purchase,
    SaleCredit,
    PurchaseCredit,
}

/// Resources of which each record belongs to an order, and the orders themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Order,
    GoodsOut,
    GoodsIn,
    Movement,
    Journal,
    CustomerPayment,
    SupplierPayment,
}

impl OrderType {
    /// Of the order at this place of a block.
    const fn at(place: usize) -> Self {
        match place % 10 {
            0 => Self::Purchase,
            7 if place < 70 => Self::SaleCredit,
            7 => Self::PurchaseCredit,
            _ => Self::Sale,
        }
    }

    /// Of the order of this number.
    pub fn of(number: i64) -> Self {
        Self::at(place(number))
    }

    /// The source's code.
    pub fn code(self) -> &'static str {
        ["SO", "PO", "SC", "PC"][self.place()]
    }

    /// The source's id, less one.
    pub fn place(self) -> usize {
        match self {
            Self::Sale => 0,
            Self::Purchase => 1,
            Self::SaleCredit => 2,
            Self::PurchaseCredit => 3,
        }
    }

    /// Whether goods or money go back.
    pub fn is_credit(self) -> bool {
        matches!(self, Self::SaleCredit | Self::PurchaseCredit)
    }

    /// Whether the other party is a supplier.
    pub fn is_purchase(self) -> bool {
        matches!(self, Self::Purchase | Self::PurchaseCredit)
    }
}

/// The place of a number in its block.
fn place(number: i64) -> usize {
    usize::try_from(number.rem_euclid(100)).expect("it is below a hundred")
}

/// Whether the purchase order at this place buys goods, and not services.
const fn buys_goods(place: usize) -> bool {
    place.is_multiple_of(20)
}

/// Lines of the order at a place, before any edit.
const fn lines_at(place: usize) -> usize {
    match OrderType::at(place) {
        OrderType::Sale => 1 + (place * 3 + place / 10) % 5,
        OrderType::Purchase if buys_goods(place) => 5,
        OrderType::Purchase => 2,
        OrderType::SaleCredit if goods_at(place - 1) > 1 => 2,
        OrderType::SaleCredit | OrderType::PurchaseCredit => 1,
    }
}

/// Lines of goods among them: they come first.
const fn goods_at(place: usize) -> usize {
    match OrderType::at(place) {
        OrderType::Sale if lines_at(place) == 5 && place.is_multiple_of(3) => 4,
        OrderType::Purchase if !buys_goods(place) => 0,
        _ => lines_at(place),
    }
}

/// Lines of the order of this number, and how many of them are goods.
pub fn lines(number: i64) -> (usize, usize) {
    (lines_at(place(number)), goods_at(place(number)))
}

const fn payments_at(place: usize) -> (usize, usize) {
    match OrderType::at(place) {
        // Three of a hundred orders are paid in two parts.
        OrderType::Sale if place < 4 => (2, 0),
        OrderType::Sale | OrderType::SaleCredit => (1, 0),
        OrderType::Purchase if buys_goods(place) && place != 80 => (0, 1),
        OrderType::PurchaseCredit if place == 97 => (0, 1),
        OrderType::Purchase | OrderType::PurchaseCredit => (0, 0),
    }
}

/// Records of a part that the order at a place owns.
const fn owned_at(part: Part, place: usize) -> usize {
    let (customer, supplier) = payments_at(place);
    match (part, OrderType::at(place)) {
        (Part::Order, _) => 1,
        (Part::GoodsOut, OrderType::Sale) => 1,
        (Part::GoodsIn, OrderType::Purchase) if buys_goods(place) => 1,
        (Part::GoodsOut | Part::GoodsIn, _) => 0,
        // Goods move by themselves, too: within a warehouse in pairs, and by a correction.
        (Part::Movement, OrderType::SaleCredit) => 2,
        (Part::Movement, OrderType::PurchaseCredit) => 1,
        (Part::Movement, _) => goods_at(place),
        (Part::CustomerPayment, _) => customer,
        (Part::SupplierPayment, _) => supplier,
        // One for the invoice, one for each payment.
        (Part::Journal, _) => 1 + customer + supplier,
    }
}

/// The parts, and the resources of these records.
const PARTS: [(Part, &str); 7] = [
    (Part::Order, "order"),
    (Part::GoodsOut, "goods_out_note"),
    (Part::GoodsIn, "goods_in_note"),
    (Part::Movement, "goods_movement"),
    (Part::Journal, "journal"),
    (Part::CustomerPayment, "customer_payment"),
    (Part::SupplierPayment, "supplier_payment"),
];

/// For each part: records of the orders before each place of a block, and last those of the whole block.
static BEFORE: [[i64; BLOCK + 1]; 7] = before();

const fn before() -> [[i64; BLOCK + 1]; 7] {
    let mut all = [[0; BLOCK + 1]; 7];
    let mut part = 0;
    while part < 7 {
        let (mut sum, mut place) = (0, 0);
        while place < BLOCK {
            let mut owned = owned_at(PARTS[part].0, place);
            while owned > 0 {
                sum += 1;
                owned -= 1;
            }
            place += 1;
            all[part][place] = sum;
        }
        part += 1;
    }
    all
}

impl Part {
    pub const ALL: [Self; 7] = [
        Self::Order,
        Self::GoodsOut,
        Self::GoodsIn,
        Self::Movement,
        Self::Journal,
        Self::CustomerPayment,
        Self::SupplierPayment,
    ];

    /// Its resource.
    pub fn name(self) -> &'static str {
        PARTS[self.place()].1
    }

    /// Its place in a list of all.
    pub const fn place(self) -> usize {
        match self {
            Self::Order => 0,
            Self::GoodsOut => 1,
            Self::GoodsIn => 2,
            Self::Movement => 3,
            Self::Journal => 4,
            Self::CustomerPayment => 5,
            Self::SupplierPayment => 6,
        }
    }

    fn before(self) -> &'static [i64; BLOCK + 1] {
        &BEFORE[self.place()]
    }

    /// How many records this many orders own.
    pub fn count(self, orders: i64) -> i64 {
        orders / 100 * self.before()[BLOCK] + self.before()[place(orders)]
    }

    /// The number of the order that owns a record of this number, and the record's place among those of the order.
    pub fn owner(self, number: i64) -> (i64, i64) {
        let before = self.before();
        let (block, rest) = (number / before[BLOCK], number % before[BLOCK]);
        let place = before.partition_point(|sum| *sum <= rest) - 1;
        (block * 100 + i64::try_from(place).expect("it is below a hundred"), rest - before[place])
    }

    /// The number of a record of an order, by its place there.
    pub fn number(self, order: i64, place: i64) -> i64 {
        self.count(order) + place
    }

    /// How many records the order of this number owns.
    pub fn owned(self, order: i64) -> i64 {
        self.count(order + 1) - self.count(order)
    }
}

/// The ids of a part: numbers count through those that were used.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    seed: u64,
    salt: u64,
    /// The greatest that was made from the seed.
    pub greatest: i64,
    /// How many were made.
    pub count: i64,
}

/// The place of the gap among the ids of a block.
fn gap(seed: u64, salt: u64, block: i64) -> i64 {
    i64::try_from(hash(seed, block, salt ^ 0xb10c) % SPAN.unsigned_abs()).expect("it is small")
}

/// Whether an id was never used.
pub fn is_gap(seed: u64, salt: u64, id: i64) -> bool {
    let (block, place) = ((id - 1).div_euclid(SPAN), (id - 1).rem_euclid(SPAN));
    place == gap(seed, salt, block)
}

/// How many of the ids up to this one were used.
pub fn used(seed: u64, salt: u64, to: i64) -> i64 {
    let (block, place) = ((to - 1).div_euclid(SPAN), (to - 1).rem_euclid(SPAN));
    block * 100 + place + 1 - i64::from(place >= gap(seed, salt, block))
}

impl Ids {
    /// The ids up to the greatest that was made.
    pub fn new(seed: u64, salt: u64, greatest: i64) -> Self {
        let ids = Self { seed, salt, greatest, count: 0 };
        Self { count: if greatest == 0 { 0 } else { ids.number(greatest) + 1 }, ..ids }
    }

    /// The number of an id. One that was never made has a number, too: a record made of it later needs one.
    pub fn number(&self, id: i64) -> i64 {
        let (block, place) = ((id - 1).div_euclid(SPAN), (id - 1).rem_euclid(SPAN));
        block * 100 + place - i64::from(place > gap(self.seed, self.salt, block) || place == 100)
    }

    /// The id of a number.
    pub fn id(&self, number: i64) -> i64 {
        let (block, place) = (number / 100, number % 100);
        block * SPAN + place + i64::from(place >= gap(self.seed, self.salt, block)) + 1
    }

    /// The id of a number, if it was made.
    pub fn made(&self, number: i64) -> Option<i64> {
        Some(self.id(number)).filter(|id| *id <= self.greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_its_owner_find_each_other() {
        let ids = Ids::new(7, 3, 100_000);
        for part in Part::ALL {
            assert_eq!(Part::ALL[part.place()], part);
            let mut number = 0;
            for order in 0..1_234 {
                for place in 0..part.owned(order) {
                    assert_eq!((part.number(order, place), part.owner(number)), (number, (order, place)), "{part:?}");
                    let id = ids.id(number);
                    assert!(ids.number(id) == number && !is_gap(7, 3, id) && used(7, 3, id) == number + 1, "{id}");
                    number += 1;
                }
            }
            assert_eq!(part.count(1_234), number);
        }
        let gaps = (1..=101_000).filter(|id| is_gap(7, 3, *id)).count();
        assert_eq!(gaps, 1_000);
    }

    #[test]
    fn a_hundred_orders_have_their_shares() {
        let types = |wanted| (0..100).filter(|number| OrderType::of(*number) == wanted).count();
        let shares = [OrderType::Sale, OrderType::Purchase, OrderType::SaleCredit, OrderType::PurchaseCredit];
        assert_eq!(shares.map(types), [80, 10, 7, 3]);
        let counts = Part::ALL.map(|part| part.count(100));
        assert_eq!((counts[1], counts[2], counts[4], counts[5], counts[6]), (80, 5, 195, 90, 5));
        assert!((240..=300).contains(&counts[3]), "{counts:?}");
        assert!((0..100).all(|number| lines(number).1 <= lines(number).0));
    }
}
