//! Goods notes and movements: goods that leave for a sale, that arrive for a purchase, and that move without an order.
//!
//! Guesses: leaving quantities are negative; goods received are `GI`, those of a note without an order as well.

use super::layout::{OrderType, Part, lines as line_counts};
use super::ledger::{Added, Movement, Received};
use super::order::{Line, Terms};
use super::status::Stage;
use super::trade::Trade;

/// Notes of movements within a warehouse.
const OTHER_NOTES: i64 = 7_000_000;

/// A goods-out note.
#[derive(Clone, Debug)]
pub struct GoodsOut {
    /// The order; none for a transfer.
    pub terms: Option<Terms>,
    pub lines: Vec<Line>,
    pub warehouse: i64,
    /// The step that was reached when the note was made: placed, printed, picked, packed, shipped.
    pub step: usize,
}

/// A goods-in note.
#[derive(Clone, Debug)]
pub struct GoodsIn {
    /// The order; none for a transfer.
    pub order: Option<i64>,
    pub warehouse: i64,
    pub currency: &'static str,
    pub lines: Vec<Received>,
    /// All of its order came in.
    pub is_closed: bool,
}

/// The last step of a goods-out note.
pub const SHIPPED: usize = 4;

impl Trade {
    /// A goods-out note by its id.
    pub fn goods_out(&self, id: i64) -> GoodsOut {
        let step = usize::try_from(self.chance(id, 0x60, 4)).expect("a step");
        if let Some((Some(order), Added::GoodsOut)) = self.ledger.added.get(&(Part::GoodsOut.place(), id)) {
            let terms = self.terms(*order, 0);
            let lines = self.goods(&terms).into_iter().take(1).map(|line| Line { quantity: 1, ..line }).collect();
            return GoodsOut { warehouse: terms.warehouse, terms: Some(terms), lines, step };
        }
        let terms = self.owner(Part::GoodsOut, id).map(|(order, _)| self.made_terms(order));
        let live = terms.filter(|terms| matches!(terms.stage, Stage::Open | Stage::Closed));
        let Some(terms) = live else {
            // Many transfers are prepared and wait.
            let step = if self.chance(id, 0x61, 100) < 15 { SHIPPED } else { step };
            return GoodsOut { terms: None, lines: Vec::new(), warehouse: 1 + self.chance(id, 0x62, 6), step };
        };
        let mut lines = self.goods(&terms);
        let left = self.left(&terms);
        if left > 0 {
            lines.truncate(left);
        }
        GoodsOut { warehouse: terms.warehouse, terms: Some(terms), lines, step: if left > 0 { SHIPPED } else { step } }
    }

    /// A goods-in note by its id.
    pub fn goods_in(&self, id: i64) -> GoodsIn {
        let added = self.ledger.added.get(&(Part::GoodsIn.place(), id));
        let note = match (added, self.owner(Part::GoodsIn, id)) {
            (Some((Some(order), Added::GoodsIn(lines))), _) => {
                let terms = self.terms(*order, 0);
                let lines = lines.iter().map(|line| Received { quantity: 0, ..line.clone() }).collect();
                GoodsIn {
                    order: Some(*order),
                    warehouse: terms.warehouse,
                    currency: terms.currency,
                    lines,
                    is_closed: false,
                }
            }
            (_, Some((order, _))) => self.made_goods_in(&self.made_terms(order)),
            _ => {
                let orders = self.ids(Part::Order).count.max(1);
                let terms = self.made_terms(Self::supplier_of(self.chance(id, 0x63, orders)));
                let note = self.made_goods_in(&terms);
                let lines = note.lines.into_iter().map(|line| Received { row: None, ..line }).collect();
                GoodsIn { order: None, lines, ..note }
            }
        };
        let since = |place: usize| {
            let place = i64::try_from(place).expect("a few");
            self.ledger.lines.get(&(id, place)).copied().unwrap_or_default()
        };
        let lines = note.lines.into_iter().enumerate();
        let lines = lines.map(|(place, line)| Received { quantity: line.quantity + since(place), ..line }).collect();
        GoodsIn { lines, ..note }
    }

    /// How many lines a goods-in note has.
    pub fn goods_in_lines(&self, id: i64) -> usize {
        match (self.ledger.added.get(&(Part::GoodsIn.place(), id)), self.owner(Part::GoodsIn, id)) {
            (Some((_, Added::GoodsIn(lines))), _) => lines.len(),
            (_, Some((order, _))) => line_counts(order).1,
            _ => self.goods_in(id).lines.len(),
        }
    }

    fn made_goods_in(&self, terms: &Terms) -> GoodsIn {
        let is_for_order = terms.stage != Stage::Cancelled;
        let lines = self.goods(terms).into_iter().map(|line| Received {
            row: is_for_order.then_some(line.id),
            product: line.product.unwrap_or_default(),
            quantity: self.bought_pieces(terms.number, line.place),
            price: line.price,
        });
        GoodsIn {
            order: is_for_order.then_some(terms.id),
            warehouse: terms.warehouse,
            currency: terms.currency,
            lines: lines.collect(),
            is_closed: terms.is_invoiced(),
        }
    }

    /// A movement by its id.
    pub fn movement(&self, id: i64) -> Movement {
        if let Some((_, Added::Movement(movement))) = self.ledger.added.get(&(Part::Movement.place(), id)) {
            return movement.clone();
        }
        let Some((order, place)) = self.owner(Part::Movement, id) else {
            return self.correction(id, self.chance(id, 0x64, self.ids(Part::Order).count));
        };
        let terms = self.made_terms(order);
        match terms.order_type {
            OrderType::Purchase => self.receipt(&terms, place),
            OrderType::Sale => {
                let left = i64::try_from(self.left(&terms)).expect("a few");
                let goods = i64::try_from(line_counts(order).1).expect("a few");
                if place < left {
                    self.leaving(&terms, place)
                } else {
                    self.within(id, order, place - left, goods - left)
                }
            }
            OrderType::SaleCredit => self.within(id, order, place, 2),
            OrderType::PurchaseCredit => self.correction(id, order),
        }
    }

    /// A line of a sale leaves by its goods-out note.
    fn leaving(&self, terms: &Terms, place: i64) -> Movement {
        let note = self.ids(Part::GoodsOut).id(Part::GoodsOut.number(terms.number, 0));
        let line = self.goods(terms).swap_remove(usize::try_from(place).expect("a few"));
        self.shipment(terms, note, &line)
    }

    /// The movement of a line that a goods-out note ships.
    pub fn shipment(&self, terms: &Terms, note: i64, line: &Line) -> Movement {
        let batch = Part::GoodsIn.number(Self::supplier_of(terms.number), 0);
        Movement {
            code: "GO",
            note,
            order: Some(terms.id),
            sale_row: Some(line.id),
            purchase_row: None,
            product: line.product.unwrap_or_default(),
            quantity: -line.quantity,
            warehouse: terms.warehouse,
            value: line.cost,
            currency: "GBP",
            batch: self.ids(Part::GoodsIn).made(batch),
        }
    }

    /// A line of a purchase comes in by its goods-in note.
    fn receipt(&self, terms: &Terms, place: i64) -> Movement {
        let note = self.ids(Part::GoodsIn).id(Part::GoodsIn.number(terms.number, 0));
        let made = self.made_goods_in(terms);
        self.arrival(note, &made, usize::try_from(place).expect("a few"))
    }

    /// The movement of a line of a goods-in note.
    pub fn arrival(&self, id: i64, note: &GoodsIn, place: usize) -> Movement {
        let line = &note.lines[place];
        Movement {
            code: "GI",
            note: id,
            order: note.order,
            sale_row: None,
            purchase_row: line.row,
            product: line.product,
            quantity: line.quantity,
            warehouse: note.warehouse,
            value: line.price,
            currency: note.currency,
            batch: Some(id),
        }
    }

    /// Goods go from one location of a warehouse to another, in two movements; one that is left over is a correction.
    fn within(&self, id: i64, order: i64, place: i64, of: i64) -> Movement {
        if place ^ 1 >= of {
            return self.correction(id, order);
        }
        let pair = order * 8 + place / 2;
        let quantity = 1 + self.chance(pair, 0x65, 12);
        let quantity = if place % 2 == 0 { -quantity } else { quantity };
        Movement { code: "IT", note: OTHER_NOTES + pair, quantity, order: None, ..self.stocked(order, pair) }
    }

    /// Some more pieces were counted than there should be. It may be for an order, except for no line of it. The note
    /// is the movement's own, and a batch of its own.
    pub fn correction(&self, id: i64, order: i64) -> Movement {
        let terms = self.made_terms(order);
        let order_id = (self.chance(id, 0x66, 100) < 30).then_some(terms.id);
        let quantity = 1 + self.chance(id, 0x67, 3);
        Movement { code: "SC", note: id, batch: Some(id), quantity, order: order_id, ..self.stocked(order, id) }
    }

    /// A movement of a product that the supplier of an order delivered.
    fn stocked(&self, order: i64, chance: i64) -> Movement {
        let purchase = Self::supplier_of(order);
        let product = self.bought(purchase, self.chance(chance, 0x68, 5));
        Movement {
            code: "SC",
            note: 0,
            order: None,
            sale_row: None,
            purchase_row: None,
            product,
            quantity: 0,
            warehouse: self.warehouse(purchase),
            value: self.price(product).1,
            currency: "GBP",
            batch: self.ids(Part::GoodsIn).made(Part::GoodsIn.number(purchase, 0)),
        }
    }
}
