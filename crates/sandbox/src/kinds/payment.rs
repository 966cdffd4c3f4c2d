//! Payments of customers and to suppliers, which only searches show.

use super::list;
use super::{Cell, Column, Record, World};
use crate::rules::{Part, Payment};
use crate::seed::Dice;
use crate::text;

pub const CUSTOMER_COLUMNS: &[Column] = &[
    Column::sorts("paymentId", "IDSET", true),
    Column::sorts("transactionRef", "STRING", false),
    Column::sorts("transactionCode", "STRING", false),
    Column::sorts("paymentMethodCode", "STRING", false),
    Column::sorts("paymentType", "STRING", false),
    Column::sorts("orderId", "IDSET", false),
    Column::sorts("currencyId", "IDSET", false),
    Column::sorts("currencyCode", "STRING", false),
    Column::sorts("amountAuthorized", "STRING", false),
    Column::sorts("amountPaid", "STRING", false),
    Column::sorts("expires", "PERIOD", false),
    Column::sorts("paymentDate", "PERIOD", true),
    Column::sorts("createdOn", "PERIOD", true),
    Column::sorts("journalId", "IDSET", true),
];

pub const SUPPLIER_COLUMNS: &[Column] = &[
    Column::sorts("paymentId", "IDSET", true),
    Column::sorts("transactionRef", "STRING", true),
    Column::sorts("paymentMethodCode", "STRING", true),
    Column::sorts("paymentType", "STRING", true),
    Column::sorts("orderId", "IDSET", true),
    Column::sorts("currencyId", "IDSET", true),
    Column::sorts("currencyCode", "STRING", true),
    Column::sorts("amountPaid", "STRING", true),
    Column::sorts("paymentDate", "PERIOD", true),
    Column::sorts("createdOn", "PERIOD", true),
    Column::sorts("journalId", "IDSET", true),
];

/// Set so many times in a hundred.
fn maybe(dice: &mut Dice, percent: u64, value: Cell) -> Cell {
    if dice.percent(percent) { value } else { Cell::Null }
}

/// The id of the payment's currency.
fn currency_id(payment: &Payment) -> i64 {
    match payment.currency {
        "EUR" => 2,
        "USD" => 3,
        _ => 1,
    }
}

fn journal(payment: &Payment) -> Cell {
    payment.journal.map_or(Cell::Null, Cell::Int)
}

/// The day of a payment, which lies before its record.
fn before(dice: &mut Dice, at: i64) -> i64 {
    at - list::roll(dice, 30)
}

/// A row of customer-payment-search, in the order of its columns.
pub fn customer_row(world: &World, record: &Record) -> Vec<Cell> {
    let id = record.id;
    let payment = world.trade.payment(Part::CustomerPayment, id);
    let mut dice = Dice::new(world.seed, id, 0x70);
    let mut now = Dice::new(world.seed, id, list::salt(0x71, record));
    let reference = format!("{}{:06x}", now.pick(&["ch_3N", "Zoë ", "pi \"x\" ", "支払-"]), now.below(1 << 24));
    vec![
        Cell::Int(id),
        maybe(&mut dice, 85, Cell::Text(reference)),
        maybe(&mut dice, 40, Cell::Text(format!("AUTH-{}", now.below(10_000)))),
        Cell::Text(dice.pick(&["STRIPE", "PAYPAL", "BACS", "CASH", "1200"]).to_owned()),
        Cell::Text(payment.kind.to_owned()),
        Cell::Int(payment.order),
        maybe(&mut dice, 95, Cell::Int(currency_id(&payment))),
        Cell::Text(payment.currency.to_owned()),
        Cell::Text(text::cents(payment.authorized)),
        Cell::Text(text::cents(payment.paid)),
        if payment.kind == "AUTH" { Cell::Time(record.created + 7 * 86_400) } else { Cell::Null },
        Cell::Time(before(&mut dice, record.created)),
        Cell::Time(record.created),
        journal(&payment),
    ]
}

/// A row of supplier-payment-search, in the order of its columns.
pub fn supplier_row(world: &World, record: &Record) -> Vec<Cell> {
    let id = record.id;
    let payment = world.trade.payment(Part::SupplierPayment, id);
    let mut dice = Dice::new(world.seed, id, 0x72);
    let mut now = Dice::new(world.seed, id, list::salt(0x73, record));
    let reference = format!("{}-{:04}", now.pick(&["BACS", "Überweisung", "CHQ", "振込"]), now.below(10_000));
    let day = super::journal::midnight(world, record.created);
    vec![
        Cell::Int(id),
        maybe(&mut dice, 85, Cell::Text(reference)),
        Cell::Text(dice.pick(&["BACS", "CHEQUE", "CARD", "1200"]).to_owned()),
        Cell::Text(payment.kind.to_owned()),
        Cell::Int(payment.order),
        maybe(&mut dice, 95, Cell::Int(currency_id(&payment))),
        Cell::Text(payment.currency.to_owned()),
        Cell::Text(text::cents(payment.paid)),
        Cell::Time(day),
        Cell::Time(record.created),
        journal(&payment),
    ]
}
