//! The values of a journal that follow from the invoice or payment that it posts; its lines balance.

use super::fact::{Fact, Facts};
use crate::record::Record;
use crate::rules::journal::Posting;
use crate::rules::layout::Part;
use crate::rules::order::round;
use crate::rules::trade::{DAY, Trade};

/// `is_posted` is true of the journal of an invoice or a payment, and `is_manual` of one that was made by hand. `day`
/// is in the tax date, and `due` in the date on which payment is due.
pub const NAMES: [&str; 11] =
    ["is_posted", "is_manual", "kind", "order", "invoice", "contact", "channel", "currency", "rate", "day", "due"];
/// Lines, debits first; `position` is the place on its side. `amount` is in the journal's currency, `change` in the
/// account's. A journal that posts neither leaves `nominal`, and `tax`, to others.
pub const ENTRIES: [&str; 6] = ["is_debit", "position", "amount", "change", "nominal", "tax"];

/// The account's rate of each currency in millionths, by id from 1.
const RATES: [i64; 5] = [1_000_000, 857_143, 784_313, 5_217, 912_400];
/// The currency of a journal by chance: mostly the account's own.
const CURRENCIES: [i64; 12] = [1, 1, 1, 2, 1, 3, 1, 1, 2, 4, 1, 5];

/// The number of lines, which is found more easily than they are.
pub fn length(trade: &Trade, id: i64) -> usize {
    trade.posting(id).map_or_else(|| other_length(trade, id), |posting| posting.entries.len())
}

pub fn facts(trade: &Trade, record: &Record) -> Facts {
    match trade.posting(record.id) {
        Some(posting) => posted(trade, record, &posting),
        None => other(trade, record),
    }
}

/// The journal of an invoice or of a payment.
fn posted(trade: &Trade, record: &Record, posting: &Posting) -> Facts {
    let terms = &posting.terms;
    let is_invoice = trade.owner(Part::Journal, record.id).is_some_and(|(_, place)| place == 0);
    let day = if is_invoice { terms.created } else { record.created };
    let values: [Fact; NAMES.len()] = [
        Fact::Flag(true),
        Fact::Flag(false),
        Fact::Name(posting.kind),
        Fact::Int(terms.id),
        posting.invoice.clone().into(),
        Fact::Int(terms.contact),
        Fact::Int(terms.channel),
        Fact::Int(terms.currency_id),
        Fact::Decimal(posting.rate, 6),
        Fact::Instant(day),
        if is_invoice { Fact::Instant(day + 30 * DAY) } else { Fact::Null },
    ];
    let entries = posting.entries.iter().map(|entry| {
        (entry.debit, entry.amount, entry.change, Fact::Name(entry.nominal), entry.tax.map(|(id, _)| id).into())
    });
    Facts { values: values.into(), lists: vec![sides(entries.collect())] }
}

/// Lines with those of one side together.
fn sides(mut entries: Vec<(bool, i64, i64, Fact, Fact)>) -> Vec<Vec<Fact>> {
    entries.sort_by_key(|(debit, ..)| !debit);
    let debits = entries.iter().filter(|(debit, ..)| *debit).count();
    let row = |(at, (debit, amount, change, nominal, tax)): (usize, (bool, i64, i64, Fact, Fact))| {
        let place = if debit { at } else { at - debits };
        let row: [Fact; ENTRIES.len()] =
            [Fact::Flag(debit), Fact::size(place), Fact::cents(amount), Fact::cents(change), nominal, tax];
        row.into()
    };
    entries.into_iter().enumerate().map(row).collect()
}

fn other_length(trade: &Trade, id: i64) -> usize {
    2 + usize::try_from(trade.chance(id, 0x80, 5)).expect("a few")
}

/// The order that a journal names.
pub fn order(trade: &Trade, record: &Record) -> Option<i64> {
    let place = NAMES.iter().position(|name| *name == "order").expect("it is one of the names");
    match facts(trade, record).values[place] {
        Fact::Int(order) => Some(order),
        _ => None,
    }
}

/// A journal that posts neither: made by hand, or of another event of an order.
fn other(trade: &Trade, record: &Record) -> Facts {
    let mut dice = trade.dice(record.id, 0x81);
    let mut roll = |end: usize| usize::try_from(dice.below(u64::try_from(end).expect("it fits"))).expect("it fits");
    let is_manual = roll(100) < 25;
    let currency = CURRENCIES[roll(CURRENCIES.len())];
    let rate = RATES[usize::try_from(currency - 1).expect("an id")];
    let length = other_length(trade, record.id);
    let debits = 1 + roll(length - 1);
    let credits: Vec<i64> =
        (debits..length).map(|_| 100 + i64::try_from(roll(250_000)).expect("it is small")).collect();
    let changes: Vec<i64> = credits.iter().map(|amount| round(amount * rate, 1_000_000)).collect();
    let (mut amount, mut change): (i64, i64) = (credits.iter().sum(), changes.iter().sum());
    let mut entries = Vec::with_capacity(length);
    // The debits share the sum of the credits.
    for left in (1..=i64::try_from(debits).expect("a few")).rev() {
        entries.push((true, amount / left, change / left, Fact::Null, Fact::Null));
        amount -= amount / left;
        change -= change / left;
    }
    entries.extend(
        credits.into_iter().zip(changes).map(|(amount, change)| (false, amount, change, Fact::Null, Fact::Null)),
    );
    // One that came later is of an order that was there.
    let orders = trade.ids(Part::Order).greatest;
    let is_later = record.id > trade.ids(Part::Journal).greatest;
    let order = (!is_manual && is_later).then(|| 1 + trade.chance(record.id, 0x82, orders));
    let values: [Fact; NAMES.len()] = [
        Fact::Flag(false),
        Fact::Flag(is_manual),
        Fact::Null,
        order.into(),
        Fact::Null,
        Fact::Null,
        Fact::Null,
        Fact::Int(currency),
        Fact::Decimal(rate, 6),
        Fact::Instant(record.created),
        if is_manual { Fact::Null } else { Fact::Instant(record.created + 30 * DAY) },
    ];
    Facts { values: values.into(), lists: vec![sides(entries)] }
}
