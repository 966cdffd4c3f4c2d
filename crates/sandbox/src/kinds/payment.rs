//! Payments of customers and to suppliers, which only searches show.

use super::list;
use super::{Cell, Column, Record, World};
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

/// An order of the account.
fn order(world: &World, dice: &mut Dice) -> Cell {
    Cell::Int(1 + list::roll(dice, world.orders))
}

/// Set so many times in a hundred.
fn maybe(dice: &mut Dice, percent: u64, value: Cell) -> Cell {
    if dice.percent(percent) { value } else { Cell::Null }
}

/// A journal may come after the payment: an edit makes it.
fn journal(record: &Record, dice: &mut Dice, of: i64) -> Cell {
    let made = dice.percent(85);
    if made || record.revision > 0 { Cell::Int(of) } else { Cell::Null }
}

/// A row of customer-payment-search, in the order of its columns.
pub fn customer_row(world: &World, record: &Record) -> Vec<Cell> {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x70);
    let mut now = Dice::new(world.seed, id, list::salt(0x71, record));
    let kind = dice.pick(&["RECEIPT", "RECEIPT", "RECEIPT", "RECEIPT", "PAYMENT", "AUTH", "CAPTURE", "VOID"]);
    let (currency, code) = list::currency(list::roll(&mut dice, 12));
    let amount = 1 + list::roll(&mut dice, 90_000);
    let authorized = matches!(kind, "AUTH" | "VOID");
    let paid = match kind {
        "AUTH" | "VOID" => 0,
        "PAYMENT" => -amount,
        _ => amount,
    };
    let reference = format!("{}{:06x}", now.pick(&["ch_3N", "Zoë ", "pi \"x\" ", "支払-"]), now.below(1 << 24));
    vec![
        Cell::Int(id),
        maybe(&mut dice, 85, Cell::Text(reference)),
        maybe(&mut dice, 40, Cell::Text(format!("AUTH-{}", now.below(10_000)))),
        Cell::Text(dice.pick(&["STRIPE", "PAYPAL", "BACS", "CASH", "1200"]).to_owned()),
        Cell::Text(kind.to_owned()),
        order(world, &mut dice),
        maybe(&mut dice, 95, Cell::Int(currency)),
        Cell::Text(code.to_owned()),
        Cell::Text(text::cents(if authorized { amount } else { 0 })),
        Cell::Text(text::cents(paid)),
        if kind == "AUTH" { Cell::Time(record.created + 7 * 86_400) } else { Cell::Null },
        Cell::Time(record.created - list::roll(&mut dice, 30)),
        Cell::Time(record.created),
        journal(record, &mut dice, 1 + id),
    ]
}

/// A row of supplier-payment-search, in the order of its columns.
pub fn supplier_row(world: &World, record: &Record) -> Vec<Cell> {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x72);
    let mut now = Dice::new(world.seed, id, list::salt(0x73, record));
    let back = dice.percent(12);
    let (currency, code) = list::currency(list::roll(&mut dice, 12));
    let amount = 100 + list::roll(&mut dice, 900_000);
    let reference = format!("{}-{:04}", now.pick(&["BACS", "Überweisung", "CHQ", "振込"]), now.below(10_000));
    let day = super::journal::midnight(world, record.created - list::roll(&mut dice, 3) * 86_400);
    vec![
        Cell::Int(id),
        maybe(&mut dice, 85, Cell::Text(reference)),
        Cell::Text(dice.pick(&["BACS", "CHEQUE", "CARD", "1200"]).to_owned()),
        Cell::Text(if back { "RECEIPT" } else { "PAYMENT" }.to_owned()),
        order(world, &mut dice),
        maybe(&mut dice, 95, Cell::Int(currency)),
        Cell::Text(code.to_owned()),
        Cell::Text(text::cents(if back { -amount } else { amount })),
        Cell::Time(day),
        Cell::Time(record.created),
        journal(record, &mut dice, 1 + id * 2),
    ]
}
