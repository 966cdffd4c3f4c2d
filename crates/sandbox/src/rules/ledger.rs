//! The changes since the account began to serve: a small overlay over all that follows from the numbers.

use std::collections::HashMap;

use super::layout::Part;

/// A record that was added while the account serves, and the order for which it came.
#[derive(Clone, Debug)]
pub enum Added {
    Payment(Payment),
    GoodsIn(Vec<Received>),
    Movement(Movement),
    /// A goods-out note for the first line of an order.
    GoodsOut,
    /// The journal of a payment, by its part and id.
    Posting(Part, i64),
}

/// A payment of an order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// `RECEIPT`, `PAYMENT`, `AUTH`, `CAPTURE` or `VOID`.
    pub kind: &'static str,
    pub order: i64,
    pub currency: &'static str,
    /// Cents.
    pub authorized: i64,
    /// Cents: negative where the account pays a customer, or a supplier pays the account.
    pub paid: i64,
    /// The journal that posts it.
    pub journal: Option<i64>,
}

/// Goods of a line that came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub row: Option<i64>,
    pub product: i64,
    pub quantity: i64,
    /// Ten-thousandths of the order's currency.
    pub price: i64,
}

/// Goods that moved.
#[derive(Clone, Debug)]
pub struct Movement {
    /// `GO`, `GI`, `SC` or `IT`.
    pub code: &'static str,
    pub note: i64,
    pub order: Option<i64>,
    pub sale_row: Option<i64>,
    pub purchase_row: Option<i64>,
    pub product: i64,
    /// Negative where goods leave.
    pub quantity: i64,
    pub warehouse: i64,
    /// Ten-thousandths.
    pub value: i64,
    pub currency: &'static str,
    /// The goods-in note that the goods came with.
    pub batch: Option<i64>,
}

/// The overlay. Sums are differences to those at the start.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Records that were added, by the place of their part and their id: with the order that each is for.
    pub added: HashMap<(usize, i64), (Option<i64>, Added)>,
    /// Cents paid for an order.
    pub paid: HashMap<i64, i64>,
    /// Pieces that left for an order, and that came in for one.
    pub shipped: HashMap<i64, i64>,
    pub received: HashMap<i64, i64>,
    /// Pieces that came in by a line of a goods-in note.
    pub lines: HashMap<(i64, i64), i64>,
    /// Pieces of a product in a warehouse.
    pub stock: HashMap<(i64, i64), i64>,
    /// Pieces of a product in a warehouse that goods-out notes hold.
    pub held: HashMap<(i64, i64), i64>,
}
