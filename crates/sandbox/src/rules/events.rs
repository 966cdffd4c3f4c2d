//! Consequences of events: a payment is for an order with an open balance, goods that arrive are booked, a shipped note
//! takes goods out.
//!
//! The account reports an event after it happened. A deletion leaves no trace in records that have a date of their own,
//! as at the source; a payment or movement that is deleted no longer counts in the sums.

use super::goods::SHIPPED;
use super::layout::{OrderType, Part, SUPPLIED};
use super::ledger::{Added, Movement, Received};
use super::order::Terms;
use super::status::Stage;
use super::trade::{DAY, Trade};

/// Orders that are tried for a record that comes.
const TRIES: i64 = 80;
/// Orders of the last days are tried first: most of those that are open.
const RECENT: i64 = 31 * DAY;

/// A record that follows from an event of another record: its part, its order, and its facts.
pub type Following = (Part, Option<i64>, Added);

/// The records that there are.
pub trait Records {
    fn is_there(&self, part: Part, id: i64) -> bool;
}

impl Trade {
    /// Decides the order of a record that is about to be added.
    pub fn settle(&self, part: Part, id: i64, records: &impl Records) -> Option<(Option<i64>, Added)> {
        match part {
            Part::CustomerPayment | Part::SupplierPayment => {
                let is_supplier = part == Part::SupplierPayment;
                let wanted = if is_supplier { OrderType::Purchase } else { OrderType::Sale };
                let owes = |terms: &Terms| is_live(terms) && self.balance(terms) > 1;
                let found = self.find(id, wanted, records, owes);
                let terms = found.clone().or_else(|| self.find(id, wanted, records, |_| true))?;
                let balance = if found.is_some() { self.balance(&terms) } else { 0 };
                let amount = if self.chance(id, 0x70, 10) < 7 { balance } else { balance / 2 };
                let kind = match (is_supplier, amount) {
                    (true, _) => "PAYMENT",
                    (false, 0) => "AUTH",
                    (false, _) => "RECEIPT",
                };
                let payment = self.settled(&terms, kind, if amount == 0 && !is_supplier { 100 } else { amount });
                Some((Some(terms.id), Added::Payment(payment)))
            }
            Part::GoodsOut => {
                let found = self.find(id, OrderType::Sale, records, |terms| terms.stage == Stage::Open)?;
                Some((Some(found.id), Added::GoodsOut))
            }
            Part::GoodsIn => {
                let found = self
                    .find(id, OrderType::Purchase, records, |terms| is_live(terms) && !self.goods(terms).is_empty())?;
                let count = 1 + usize::try_from(self.chance(id, 0x71, 3)).expect("a few");
                let lines = self.goods(&found).into_iter().take(count).map(|line| Received {
                    row: Some(line.id),
                    product: line.product.unwrap_or_default(),
                    quantity: 1 + self.chance(id * 8 + line.place, 0x72, 40),
                    price: line.price,
                });
                Some((Some(found.id), Added::GoodsIn(lines.collect())))
            }
            Part::Movement => {
                let movement = self.moved(id, records);
                Some((movement.order, Added::Movement(movement)))
            }
            Part::Order | Part::Journal => None,
        }
    }

    /// Some more of a line of a note that came in, or a correction of stock for an order.
    fn moved(&self, id: i64, records: &impl Records) -> Movement {
        let count = self.ids(Part::GoodsIn).count;
        if self.chance(id, 0x73, 2) == 0 && count > 0 {
            let notes = (0..TRIES).map(|turn| self.ids(Part::GoodsIn).id(self.chance(id * TRIES + turn, 0x74, count)));
            for note_id in notes.filter(|note| records.is_there(Part::GoodsIn, *note)) {
                let note = self.goods_in(note_id);
                if note.order.is_some_and(|order| records.is_there(Part::Order, order)) {
                    let place = usize::try_from(self.chance(id, 0x75, 5)).expect("a few") % note.lines.len();
                    let quantity = 1 + self.chance(id, 0x76, 20);
                    return Movement { quantity, ..self.arrival(note_id, &note, place) };
                }
            }
        }
        let order = self.find(id, OrderType::Sale, records, |_| true);
        let number = order.as_ref().map_or(0, |terms| terms.number);
        Movement { order: order.map(|terms| terms.id), ..self.correction(id, number) }
    }

    /// An order of a type that is there and fits: of those made from the seed, preferably a new one.
    fn find(&self, id: i64, wanted: OrderType, records: &impl Records, fits: impl Fn(&Terms) -> bool) -> Option<Terms> {
        let ids = self.ids(Part::Order);
        let count = ids.count;
        let recent = (count * RECENT / self.history.max(1)).clamp(1, count.max(1));
        let turns = (0..TRIES * 2).map(|turn| {
            let back = if turn < TRIES { recent } else { count };
            count - 1 - self.chance(id * TRIES * 2 + turn, 0x77, back)
        });
        // One of twenty is a purchase of goods.
        let numbers = turns.map(|number| match wanted {
            OrderType::Purchase => number - number.rem_euclid(SUPPLIED),
            _ => number,
        });
        numbers
            .filter(|number| OrderType::of(*number) == wanted && records.is_there(Part::Order, ids.id(*number)))
            .map(|number| self.made_terms(number))
            .find(fits)
    }

    /// Cents that are still to be paid for an order as it was made.
    fn balance(&self, terms: &Terms) -> i64 {
        self.totals(terms, &self.lines(terms, 0)).total() - self.paid(terms)
    }

    /// Books a record that was added; gives the records that follow, each with its order.
    pub fn book(&mut self, part: Part, id: i64, (order, added): (Option<i64>, Added)) -> Vec<Following> {
        self.ledger.added.insert((part.place(), id), (order, added.clone()));
        match added {
            Added::Payment(payment) => {
                *self.ledger.paid.entry(payment.order).or_default() += payment.paid;
                // Some are posted later.
                let is_posted = payment.paid != 0 && self.chance(id, 0x78, 100) < 85;
                is_posted.then_some((Part::Journal, order, Added::Posting(part, id))).into_iter().collect()
            }
            Added::Posting(part, payment) => {
                if let Some((_, Added::Payment(payment))) = self.ledger.added.get_mut(&(part.place(), payment)) {
                    payment.journal = Some(id);
                }
                Vec::new()
            }
            Added::Movement(movement) => {
                self.count_movement(&movement, 1);
                Vec::new()
            }
            Added::GoodsOut => {
                self.hold(id, 1);
                Vec::new()
            }
            Added::GoodsIn(lines) => {
                let note = self.goods_in(id);
                let arrive = |(place, line): (usize, &Received)| {
                    following(Movement { quantity: line.quantity, ..self.arrival(id, &note, place) })
                };
                lines.iter().enumerate().map(arrive).collect()
            }
        }
    }

    /// A goods-out note was edited: where that ships it, its goods leave.
    pub fn edited(&mut self, part: Part, id: i64, revision: u32, is_there: bool) -> Vec<Following> {
        if part != Part::GoodsOut {
            return Vec::new();
        }
        let note = self.goods_out(id);
        let reached = note.step + usize::try_from(revision).expect("a few");
        let Some(terms) = note.terms.as_ref().filter(|_| note.step < SHIPPED && reached == SHIPPED) else {
            return Vec::new();
        };
        let movements = note.lines.iter().map(|line| following(self.shipment(terms, id, line))).collect();
        if is_there {
            self.hold(id, -1);
        }
        movements
    }

    /// A record was deleted, or with -1 restored.
    pub fn deleted(&mut self, part: Part, id: i64, sign: i64, revision: u32) {
        match part {
            Part::CustomerPayment | Part::SupplierPayment => {
                let payment = self.payment(part, id);
                *self.ledger.paid.entry(payment.order).or_default() -= payment.paid * sign;
            }
            Part::Movement => {
                let movement = self.movement(id);
                self.count_movement(&movement, -sign);
            }
            Part::GoodsOut => {
                let reached = self.goods_out(id).step + usize::try_from(revision).expect("a few");
                if reached < SHIPPED {
                    self.hold(id, -sign);
                }
            }
            Part::Order | Part::GoodsIn | Part::Journal => {}
        }
    }
}

fn following(movement: Movement) -> Following {
    (Part::Movement, movement.order, Added::Movement(movement))
}

fn is_live(terms: &Terms) -> bool {
    matches!(terms.stage, Stage::Open | Stage::Closed)
}
