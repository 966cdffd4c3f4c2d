//! Payments: each is for an order, in its currency, and they decide its payment state.
//!
//! Receipts and captures are positive, payments to customers negative; payments to suppliers are positive, their
//! refunds negative. An authorisation, and one that was voided, pays nothing.

use super::layout::{OrderType, Part};
use super::ledger::{Added, Payment};
use super::order::Terms;
use super::status::Stage;
use super::trade::Trade;

impl Trade {
    /// A payment by its id.
    pub fn payment(&self, part: Part, id: i64) -> Payment {
        if let Some((_, Added::Payment(payment))) = self.ledger.added.get(&(part.place(), id)) {
            return payment.clone();
        }
        if let Some((order, place)) = self.owner(part, id) {
            return self.made_payment(part, &self.made_terms(order), place);
        }
        // More payments than orders have: they pay nothing, except for those to suppliers, which cannot.
        let orders = self.ids(Part::Order).count.max(1);
        let number = self.chance(id, 0x50, orders);
        match part {
            Part::SupplierPayment => {
                let terms = self.made_terms(Self::supplier_of(number));
                self.settled(&terms, "PAYMENT", 100 + self.chance(id, 0x51, 9_000))
            }
            _ => {
                let terms = self.made_terms(number);
                let kind = if self.chance(id, 0x52, 2) == 0 { "AUTH" } else { "VOID" };
                self.settled(&terms, kind, 1 + self.chance(id, 0x51, 90_000))
            }
        }
    }

    /// A payment of an order that was made from the seed.
    pub fn made_payment(&self, part: Part, terms: &Terms, place: i64) -> Payment {
        self.payment_of(part, terms, self.totals(terms, &self.lines(terms, 0)).total(), place)
    }

    /// The same of an order with this total, in cents.
    pub fn payment_of(&self, part: Part, terms: &Terms, total: i64, place: i64) -> Payment {
        let count = part.owned(terms.number);
        let (kind, amount) = match part {
            Part::SupplierPayment => self.to_supplier(terms, total),
            _ => self.by_customer(terms, total, place, count),
        };
        let mut payment = self.settled(terms, kind, amount);
        if payment.paid != 0 {
            let journal = Part::Journal.number(terms.number, 1 + place);
            payment.journal = self.ids(Part::Journal).made(journal);
        }
        payment
    }

    fn by_customer(&self, terms: &Terms, total: i64, place: i64, count: i64) -> (&'static str, i64) {
        let chance = self.chance(terms.id, 0x53, 100);
        if count > 1 && matches!(terms.stage, Stage::Open | Stage::Closed) {
            let first = total * 2 / 5;
            return ("RECEIPT", if place == 0 { first } else { total - first });
        }
        match (terms.order_type, terms.stage) {
            (OrderType::SaleCredit, Stage::Closed) if chance < 80 => ("PAYMENT", total),
            (OrderType::SaleCredit, _) => ("VOID", total),
            (_, Stage::Cancelled) => ("VOID", total),
            (_, Stage::Draft) => ("AUTH", total),
            (_, Stage::Closed) => match chance {
                0..72 => ("RECEIPT", total),
                72..82 => ("CAPTURE", total),
                82..90 => ("RECEIPT", total * 3 / 5),
                90..96 => ("AUTH", total),
                _ => ("VOID", total),
            },
            (_, Stage::Open) => match chance {
                0..40 => ("RECEIPT", total),
                40..55 => ("RECEIPT", total / 4),
                _ => ("AUTH", total),
            },
        }
    }

    fn to_supplier(&self, terms: &Terms, total: i64) -> (&'static str, i64) {
        match (terms.order_type, terms.stage) {
            (OrderType::PurchaseCredit, Stage::Closed) => ("RECEIPT", total),
            (OrderType::PurchaseCredit, _) => ("RECEIPT", 0),
            (_, Stage::Closed) if self.chance(terms.id, 0x54, 100) < 75 => ("PAYMENT", total),
            (_, Stage::Closed | Stage::Open) => ("PAYMENT", total / 2),
            (_, Stage::Draft | Stage::Cancelled) => ("PAYMENT", 0),
        }
    }

    /// A payment of this many cents.
    pub fn settled(&self, terms: &Terms, kind: &'static str, amount: i64) -> Payment {
        let is_supplier = terms.order_type.is_purchase();
        let (authorized, paid) = match kind {
            "AUTH" | "VOID" => (amount, 0),
            "PAYMENT" if !is_supplier => (0, -amount),
            "RECEIPT" if is_supplier => (0, -amount),
            _ => (0, amount),
        };
        Payment { kind, order: terms.id, currency: terms.currency, authorized, paid, journal: None }
    }
}
