//! The values of a payment that follow from its order.

use super::fact::{Fact, Facts};
use crate::record::Record;
use crate::rules::layout::Part;
use crate::rules::trade::Trade;

/// `authorized` and `paid` are amounts; `journal` is the journal that posts it.
pub const NAMES: [&str; 7] = ["kind", "order", "currency_id", "currency", "authorized", "paid", "journal"];

pub fn facts(trade: &Trade, part: Part, record: &Record) -> Facts {
    let payment = trade.payment(part, record.id);
    let currency = match payment.currency {
        "EUR" => 2,
        "USD" => 3,
        _ => 1,
    };
    let values: [Fact; NAMES.len()] = [
        Fact::Name(payment.kind),
        Fact::Int(payment.order),
        Fact::Int(currency),
        Fact::Name(payment.currency),
        Fact::cents(payment.authorized),
        Fact::cents(payment.paid),
        payment.journal.into(),
    ];
    Facts { values: values.into(), lists: Vec::new() }
}
