//! Journals: one for each invoice, one for each payment, and others that belong to no order. Debits equal credits, in
//! the journal's currency and in the account's.

use super::layout::{OrderType, Part};
use super::ledger::{Added, Payment};
use super::order::{CARRIAGE, TAXES, Terms, round};
use super::trade::Trade;

/// Nominal codes: stock, bank, debtors, tax, creditors.
const STOCK: &str = "0020";
const BANK: &str = "0030";
const DEBTORS: &str = "0040";
const TAX: &str = "0050";
const CREDITORS: &str = "0140";
const SALES: &str = super::order::SALES;

/// A posting for an order.
#[derive(Clone, Debug)]
pub struct Posting {
    /// `SI`, `PI`, `SC`, `PC`, `SR` or `PP`.
    pub kind: &'static str,
    pub terms: Terms,
    pub invoice: Option<String>,
    /// Millionths: so much of the account's currency is one of the journal's.
    pub rate: i64,
    pub entries: Vec<Entry>,
}

/// A line of a posting, in cents.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub debit: bool,
    pub nominal: &'static str,
    /// In the journal's currency and in the account's.
    pub amount: i64,
    pub change: i64,
    /// The id and code of a tax code; none where no tax is concerned.
    pub tax: Option<(i64, &'static str)>,
}

impl Trade {
    /// The posting of a journal for an order; none where it belongs to none.
    pub fn posting(&self, id: i64) -> Option<Posting> {
        if let Some((Some(order), Added::Posting(part, payment))) = self.ledger.added.get(&(Part::Journal.place(), id))
        {
            return payment_posting(self.terms(*order, 0), &self.payment(*part, *payment));
        }
        let (order, place) = self.owner(Part::Journal, id)?;
        let terms = self.made_terms(order);
        if place == 0 {
            return self.invoice_posting(terms);
        }
        let part = if terms.order_type.is_purchase() { Part::SupplierPayment } else { Part::CustomerPayment };
        let payment = self.made_payment(part, &terms, place - 1);
        payment_posting(terms, &payment)
    }

    fn invoice_posting(&self, terms: Terms) -> Option<Posting> {
        let invoice = Some(terms.invoice()?);
        let lines = self.lines(&terms, 0);
        let totals = self.totals(&terms, &lines);
        let (kind, control, value) = match terms.order_type {
            OrderType::Sale => ("SI", DEBTORS, SALES),
            OrderType::Purchase => ("PI", CREDITORS, STOCK),
            OrderType::SaleCredit => ("SC", DEBTORS, SALES),
            OrderType::PurchaseCredit => ("PC", CREDITORS, STOCK),
        };
        // A sale debits the receivable, as does a credit of a supplier.
        let debits = matches!(terms.order_type, OrderType::Sale | OrderType::PurchaseCredit);
        let mut entries = vec![entry(debits, control, (totals.total(), totals.base_total()), None)];
        let mut left = totals.base_net;
        let groups = groups(&lines, value);
        for (place, (nominal, taxed, net)) in groups.iter().enumerate() {
            // The last takes the remainder of rounding.
            let change = if place + 1 == groups.len() { left } else { terms.base(*net) };
            left -= change;
            let tax = Some((TAXES[*taxed].id, TAXES[*taxed].code));
            entries.push(entry(!debits, nominal, (*net, change), tax));
        }
        if totals.tax != 0 {
            entries.push(entry(!debits, TAX, (totals.tax, totals.base_tax), None));
        }
        Some(Posting { kind, rate: rate(&terms), terms, invoice, entries })
    }
}

fn payment_posting(terms: Terms, payment: &Payment) -> Option<Posting> {
    if payment.paid == 0 {
        return None;
    }
    let is_purchase = terms.order_type.is_purchase();
    let (kind, control) = if is_purchase { ("PP", CREDITORS) } else { ("SR", DEBTORS) };
    let amount = payment.paid.abs();
    let sums = (amount, terms.base(amount));
    // Money comes in with receipts of customers, and of suppliers where it is negative.
    let comes = (payment.paid > 0) != is_purchase;
    let entries = vec![entry(comes, BANK, sums, None), entry(!comes, control, sums, None)];
    Some(Posting { kind, rate: rate(&terms), invoice: terms.invoice(), terms, entries })
}

fn entry(debit: bool, nominal: &'static str, (amount, change): (i64, i64), tax: Option<(i64, &'static str)>) -> Entry {
    Entry { debit, nominal, amount, change, tax }
}

/// Net by nominal code and tax code; the place of the tax code in [`TAXES`].
fn groups(lines: &[super::order::Line], value: &'static str) -> Vec<(&'static str, usize, i64)> {
    let mut groups: Vec<(&'static str, usize, i64)> = Vec::new();
    for line in lines {
        let nominal = if line.nominal == CARRIAGE { CARRIAGE } else { value };
        let taxed = TAXES.iter().position(|tax| *tax == line.taxed).expect("every tax code is listed");
        match groups.iter_mut().find(|(known, code, _)| (*known, *code) == (nominal, taxed)) {
            Some((_, _, net)) => *net += line.net,
            None => groups.push((nominal, taxed, line.net)),
        }
    }
    groups
}

fn rate(terms: &Terms) -> i64 {
    round(1_000_000_000_000, terms.rate)
}
