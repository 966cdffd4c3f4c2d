//! Goods that suppliers send to customers, and goods that are set aside for sales.
//!
//! Guesses: the notes of a purchase order that is drop-shipped are for lines of sales that follow it, one each; what
//! the supplier delivers besides comes in as of any other.

use super::layout::{OrderType, Part, SUPPLIED, lines};
use super::order::{Line, States, Terms};
use super::status::Stage;
use super::trade::Trade;

/// Notes of a purchase order at most.
const NOTES: i64 = 3;
/// The latest that a supplier sends goods, in seconds after the order.
const SENT_WITHIN: i64 = 5_000;

/// A note by which a supplier sends goods to a customer.
#[derive(Clone, Debug)]
pub struct Sent {
    pub note: i64,
    /// The sale, its line, and the goods.
    pub order: i64,
    pub row: i64,
    pub product: i64,
    pub quantity: i64,
    /// When it is sent, if it is.
    pub at: i64,
}

impl Trade {
    /// Whether the supplier of an order sends goods to customers: of purchases of goods, half.
    pub fn is_dropship(&self, terms: &Terms) -> bool {
        let buys_goods = terms.order_type == OrderType::Purchase && lines(terms.number).1 > 0;
        buys_goods && self.chance(terms.id, 0x80, 2) == 0
    }

    /// The notes of an order that is drop-shipped; one that was just placed may have none yet.
    pub fn sent_directly(&self, terms: &Terms) -> Vec<Sent> {
        if !self.is_dropship(terms) || terms.stage == Stage::Cancelled {
            return Vec::new();
        }
        let ids = self.ids(Part::Order);
        let most = self.chance(terms.id, 0x81, NOTES + 1);
        let sales = (terms.number + 1..terms.number + SUPPLIED)
            .filter(|number| OrderType::of(*number) == OrderType::Sale && ids.made(*number).is_some());
        let mut sent = Vec::new();
        for (place, number) in (0..most).zip(sales) {
            let sale = self.made_terms(number);
            let Some(line) = self.goods(&sale).into_iter().next() else { continue };
            let note = terms.id * NOTES + place;
            sent.push(Sent {
                note,
                order: sale.id,
                row: line.id,
                product: line.product.unwrap_or_default(),
                quantity: line.quantity,
                at: terms.created + self.chance(note, 0x83, SENT_WITHIN),
            });
        }
        sent
    }

    /// Lines of a sale for which goods are set aside, as its state of allocation says: the first, or all.
    pub fn reserved(&self, terms: &Terms, states: &States) -> Vec<Line> {
        if terms.order_type != OrderType::Sale || terms.stage != Stage::Open {
            return Vec::new();
        }
        let mut goods = self.goods(terms);
        goods.truncate(match states.allocation {
            0 | 1 => 0,
            2 => 1,
            _ => goods.len(),
        });
        goods
    }
}
