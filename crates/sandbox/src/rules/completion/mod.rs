//! Rules that complete a record once its template is chosen: each gives the values that follow from other records, as
//! owners, totals, lines, states and dates. A fixture names the rule, and its templates show the values.

mod fact;
mod goods;
mod journal;
mod order;
mod payment;

pub use fact::{Fact, Facts};

use super::layout::Part;
use super::trade::Trade;
use crate::record::Record;

/// A rule by its name in fixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionRule {
    Order,
    CustomerPayment,
    SupplierPayment,
    Journal,
    GoodsOut,
    GoodsIn,
    Movement,
    Product,
    Stock,
}

/// A list that a rule gives: its name, and those of the values of each entry.
type List = (&'static str, &'static [&'static str]);

impl CompletionRule {
    /// All, each with its name in fixtures.
    pub const ALL: [(&str, Self); 9] = [
        ("order", Self::Order),
        ("customer-payment", Self::CustomerPayment),
        ("supplier-payment", Self::SupplierPayment),
        ("journal", Self::Journal),
        ("goods-out", Self::GoodsOut),
        ("goods-in", Self::GoodsIn),
        ("movement", Self::Movement),
        ("product", Self::Product),
        ("stock", Self::Stock),
    ];

    /// The rule of this name.
    pub fn find(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule);
        found.ok_or_else(|| format!("no `{name}`: {}", Self::ALL.map(|(known, _)| known).join(", ")))
    }

    /// Its name in fixtures.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, rule)| *rule == self).map_or("", |(word, _)| word)
    }

    /// Whether a value of a record is a flag that is set.
    pub fn is_set(self, trade: &Trade, record: &Record, name: &str) -> bool {
        let place = self.names().iter().position(|known| *known == name);
        place.is_some_and(|place| self.facts(trade, record).values.get(place) == Some(&Fact::Flag(true)))
    }

    /// The part in the business of the records that it completes; products have none, nor has their stock.
    pub fn part(self) -> Option<Part> {
        match self {
            Self::Order => Some(Part::Order),
            Self::CustomerPayment => Some(Part::CustomerPayment),
            Self::SupplierPayment => Some(Part::SupplierPayment),
            Self::Journal => Some(Part::Journal),
            Self::GoodsOut => Some(Part::GoodsOut),
            Self::GoodsIn => Some(Part::GoodsIn),
            Self::Movement => Some(Part::Movement),
            Self::Product | Self::Stock => None,
        }
    }

    /// The names of its values.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Order => &order::NAMES,
            Self::CustomerPayment | Self::SupplierPayment => &payment::NAMES,
            Self::Journal => &journal::NAMES,
            Self::GoodsOut => &goods::GOODS_OUT,
            Self::GoodsIn => &goods::GOODS_IN,
            Self::Movement => &goods::MOVEMENT,
            Self::Product => &goods::PRODUCT,
            Self::Stock => &goods::STOCK,
        }
    }

    /// Its lists.
    pub fn lists(self) -> &'static [List] {
        match self {
            Self::Order => &[("lines", &order::LINES), ("sent", &order::SENT_DIRECTLY), ("reserved", &order::RESERVED)],
            Self::CustomerPayment | Self::SupplierPayment | Self::Movement | Self::Product => &[],
            Self::Journal => &[("entries", &journal::ENTRIES)],
            Self::GoodsOut => &[("lines", &goods::SENT), ("events", &goods::HAPPENED)],
            Self::GoodsIn => &[("lines", &goods::RECEIVED)],
            Self::Stock => &[("places", &goods::PLACES)],
        }
    }

    /// The values of a record.
    pub fn facts(self, trade: &Trade, record: &Record) -> Facts {
        match self {
            Self::Order => order::facts(trade, record),
            Self::CustomerPayment => payment::facts(trade, Part::CustomerPayment, record),
            Self::SupplierPayment => payment::facts(trade, Part::SupplierPayment, record),
            Self::Journal => journal::facts(trade, record),
            Self::GoodsOut => goods::goods_out(trade, record),
            Self::GoodsIn => goods::goods_in(trade, record),
            Self::Movement => goods::movement(trade, record),
            Self::Product => goods::product(trade, record),
            Self::Stock => goods::stock(trade, record),
        }
    }

    /// The length of its first list, where that is found more easily than the list.
    pub fn length(self, trade: &Trade, id: i64) -> Option<usize> {
        match self {
            Self::Journal => Some(journal::length(trade, id)),
            Self::GoodsIn => Some(trade.goods_in_lines(id)),
            Self::Order
            | Self::CustomerPayment
            | Self::SupplierPayment
            | Self::GoodsOut
            | Self::Movement
            | Self::Product
            | Self::Stock => None,
        }
    }

    /// The records that change without a date when one comes that it completes: the order that this one names, and the
    /// note that a movement names.
    pub fn touched(self, trade: &Trade, record: &Record) -> Vec<(Part, i64)> {
        let id = record.id;
        let (order, note) = match self {
            Self::Order | Self::Product | Self::Stock => (None, None),
            Self::CustomerPayment => (Some(trade.payment(Part::CustomerPayment, id).order), None),
            Self::SupplierPayment => (Some(trade.payment(Part::SupplierPayment, id).order), None),
            Self::Journal => (journal::order(trade, record), None),
            Self::GoodsOut => (trade.goods_out(id).terms.map(|terms| terms.id), None),
            Self::GoodsIn => (trade.goods_in(id).order, None),
            Self::Movement => {
                let movement = trade.movement(id);
                let note = (movement.code == "GI" && movement.order.is_some()).then_some(movement.note);
                (movement.order, note)
            }
        };
        let order = order.map(|order| (Part::Order, order));
        order.into_iter().chain(note.map(|note| (Part::GoodsIn, note))).collect()
    }
}
