//! The chart of accounts and the currencies.

use std::fmt::Write;

use super::{named, nth, put, put_flag, put_text};
use crate::kinds::{Cell, Column, Record, World};

/// Title, code, symbol and rate to the base currency, by id from 1.
const CURRENCIES: [(&str, &str, Option<&str>, &str); 5] = [
    ("Pound Sterling", "GBP", Some("£"), "1.000000"),
    ("Euro", "EUR", Some("€"), "0.857143"),
    ("US Dollar", "USD", Some("$"), "0.784313"),
    ("Japanese Yen", "JPY", Some("¥"), "0.005217"),
    ("Swiss Franc", "CHF", None, "0.912400"),
];
const LEDGER: [&str; 10] = [
    "Freehold property",
    "Stock",
    "Business current account",
    "Debtors control",
    "VAT on sales",
    "Sales – online",
    "Carriage & packing",
    "Cost of sales",
    "Bank charges",
    "Écart de change",
];

/// Id and code of the currency of a price list, a contact or a document: mostly the base currency.
pub fn currency(number: i64) -> (i64, &'static str) {
    let id = nth(&[1, 1, 1, 2, 1, 3, 1, 1, 2, 4, 1, 5], number);
    (id, nth(&CURRENCIES, id - 1).1)
}

/// The rate of a currency to the base currency.
pub fn rate(currency: i64) -> &'static str {
    nth(&CURRENCIES, currency - 1).3
}

pub const NOMINAL_SIZE: i64 = 120;
pub const NOMINAL_COLUMNS: &[Column] = &[
    Column::of("code", "SEARCH_STRING"),
    Column::of("name", "SEARCH_STRING"),
    Column::of("type", "IDSET"),
    Column::of("bank", "BOOLEAN"),
    Column::of("currencyId", "IDSET"),
    Column::of("active", "BOOLEAN"),
];

/// The code of a nominal code's id: four digits, leading zeros and all.
pub fn nominal_of(id: i64) -> String {
    format!("{:04}", id * 10)
}

/// A search row of nominal-code.
pub fn nominal_row(_: &World, record: &Record) -> Vec<Cell> {
    let bank = record.id % 10 == 3;
    vec![
        Cell::Text(nominal_of(record.id)),
        Cell::Text(named(nth(&LEDGER, record.id - 1), record)),
        Cell::Int(1 + record.id / 10),
        Cell::Bool(bank),
        if bank { Cell::Int(currency(record.id / 10).0) } else { Cell::Null },
        Cell::Bool(record.id % 17 != 0),
    ]
}

/// A nominal code as the list gives it.
pub fn nominal_document(_: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let bank = id % 10 == 3;
    let _ = write!(out, "{{\"id\":{id}");
    put_text(out, "code", &nominal_of(id));
    put_text(out, "name", &named(nth(&LEDGER, id - 1), record));
    let _ = write!(out, ",\"type\":{{\"id\":{}}}", 1 + id / 10);
    put_flag(out, "bank", bank);
    put_flag(out, "expense", id % 10 > 6);
    put_flag(out, "discount", id % 40 == 6);
    put_flag(out, "editable", id % 3 != 0);
    put_flag(out, "active", id % 17 != 0);
    put(out, "taxCode", id % 5);
    put_text(out, "chartMapCode", nth(&["", "", "090"], id));
    put_flag(out, "reconcile", bank);
    if bank {
        put(out, "currencyId", currency(id / 10).0);
    }
    out.push('}');
}

pub const CURRENCY_COLUMNS: &[Column] = &[
    Column::of("id", "IDSET"),
    Column::of("title", "STRING"),
    Column::of("code", "STRING"),
    Column::of("symbol", "STRING"),
    Column::of("exchangeRate", "STRING"),
    Column::of("isDefault", "BOOLEAN"),
    Column::of("exchangeRateVarianceNominalCode", "STRING"),
];

/// A search row of currency.
pub fn currency_row(_: &World, record: &Record) -> Vec<Cell> {
    let (title, code, symbol, rate) = nth(&CURRENCIES, record.id - 1);
    vec![
        Cell::Int(record.id),
        Cell::Text(named(title, record)),
        Cell::Text(code.to_owned()),
        symbol.map_or(Cell::Null, |symbol| Cell::Text(symbol.to_owned())),
        Cell::Text(rate.to_owned()),
        Cell::Bool(record.id == 1),
        if record.id == 3 { Cell::Text("7700".to_owned()) } else { Cell::Null },
    ]
}

/// The symbol of a currency, if it has one.
pub fn symbol(currency: i64) -> Option<&'static str> {
    nth(&CURRENCIES, currency - 1).2
}
