//! Facts of the short lists that other records name, and keys and values of a document as JSON text.

mod field;

pub(super) use field::{nth, put, put_flag, put_raw, put_text, put_time, roll, salt};

/// A list whose entries other records name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    Warehouse,
    Channel,
    TaxCode,
}

/// Entries of a list: their ids are 1 to this.
pub fn size(list: List) -> i64 {
    match list {
        List::Warehouse => 6,
        List::Channel => 8,
        List::TaxCode => 12,
    }
}

/// Entries of the chart of accounts.
pub const NOMINAL_SIZE: i64 = 120;

/// Code and rate to the base currency, by id from 1.
const CURRENCIES: [(&str, &str); 5] =
    [("GBP", "1.000000"), ("EUR", "0.857143"), ("USD", "0.784313"), ("JPY", "0.005217"), ("CHF", "0.912400")];

/// Id and code of the currency of a document: mostly the base currency.
pub fn currency(number: i64) -> (i64, &'static str) {
    let id = nth(&[1, 1, 1, 2, 1, 3, 1, 1, 2, 4, 1, 5], number);
    (id, nth(&CURRENCIES, id - 1).0)
}

/// The rate of a currency to the base currency.
pub fn rate(currency: i64) -> &'static str {
    nth(&CURRENCIES, currency - 1).1
}

/// The code of a nominal code's id: four digits, leading zeros and all.
pub fn nominal_of(id: i64) -> String {
    format!("{:04}", id * 10)
}

/// A tax code's code.
pub fn tax_code_of(id: i64) -> &'static str {
    nth(&["T0", "T20", "T5", "T1", "T2", "T4", "T7", "T8", "T9", "T50", "T22", "-"], id - 1)
}
