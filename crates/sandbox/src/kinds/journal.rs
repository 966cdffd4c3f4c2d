//! Journals: the document and the rows of journal-search, one a line.

use std::fmt::Write;

use jiff::Timestamp;

use super::list::{self, List};
use super::{Cell, Column, Record, World};
use crate::rules::{Part, Posting};
use crate::seed::Dice;
use crate::text;

pub const COLUMNS: &[Column] = &[
    Column::of("journalId", "IDSET"),
    Column::of("journalType", "STRING"),
    Column::of("orderId", "IDSET"),
    Column::of("invoiceReference", "SEARCH_STRING"),
    Column::of("channelId", "INTEGER"),
    Column::of("nominalCode", "STRING"),
    Column::of("journalDate", "PERIOD"),
    Column::of("journalDebit", "STRING"),
    Column::of("journalCredit", "STRING"),
    Column::of("journalRef", "INTEGER"),
    Column::of("currencyId", "INTEGER"),
    Column::of("exchangeRate", "STRING"),
    Column::of("transactionDebit", "STRING"),
    Column::of("transactionCredit", "STRING"),
    Column::of("projectId", "INTEGER"),
    Column::of("leadSourceId", "INTEGER"),
    Column::of("contactId", "INTEGER"),
    Column::of("journalDueDate", "PERIOD"),
    Column::of("journalDateEntered", "PERIOD"),
    Column::of("createdContactId", "INTEGER"),
    Column::of("taxCodeId", "INTEGER"),
    Column::of("taxReconciliationDate", "PERIOD"),
    Column::of("taxPeriodId", "INTEGER"),
    Column::of("journalRowId", "INTEGER"),
];

/// Types of journals that post neither an invoice nor a payment.
const OTHERS: [&str; 11] = ["GO", "SG", "PG", "IA", "LC", "JJ", "BP", "BR", "BT", "EX", "OB"];
/// Search shows a day as 18:00 of the day before.
const SIX_HOURS: i64 = 21_600;
const DAY: i64 = 86_400;

/// The midnight, local, that began the day of an instant.
pub(super) fn midnight(world: &World, seconds: i64) -> i64 {
    let offset = |at: i64| {
        let at = Timestamp::from_second(at).expect("an instant of the sandbox is in range");
        i64::from(world.zone.to_offset(at).seconds())
    };
    let first = offset(seconds);
    let day = (seconds + first).div_euclid(DAY) * DAY;
    day - offset(day - first)
}

/// How many lines a journal has: 2 to 6.
pub fn lines(world: &World, record: &Record) -> usize {
    let posting = world.trade.posting(record.id);
    posting.map_or_else(|| other_lines(world, record), |posting| posting.entries.len())
}

fn other_lines(world: &World, record: &Record) -> usize {
    2 + usize::try_from(Dice::new(world.seed, record.id, 0x60).below(5)).expect("small")
}

#[derive(Clone, Default)]
struct Line {
    debit: bool,
    /// Cents in the journal's currency and in the account's.
    amount: i64,
    change: i64,
    nominal: String,
    /// The id of its tax code; 0 where no tax is concerned.
    tax: i64,
    channel: i64,
    project: i64,
    lead: i64,
}

struct Journal {
    kind: &'static str,
    contact: Option<i64>,
    author: Option<i64>,
    order: Option<i64>,
    invoice: Option<String>,
    currency: i64,
    /// Millionths.
    rate: i64,
    tax_date: i64,
    due_date: Option<i64>,
    reconciled: Option<(i64, i64)>,
    lines: Vec<Line>,
}

fn journal(world: &World, record: &Record) -> Journal {
    let mut journal = match world.trade.posting(record.id) {
        Some(posting) => posted(world, record, &posting),
        None => other(world, record),
    };
    // The lines of one side stand together.
    journal.lines.sort_by_key(|line| !line.debit);
    journal
}

/// The journal of an invoice or of a payment.
fn posted(world: &World, record: &Record, posting: &Posting) -> Journal {
    let mut dice = Dice::new(world.seed, record.id, 0x64);
    let terms = &posting.terms;
    let (project, lead) = (list::roll(&mut dice, 4), list::roll(&mut dice, 9));
    let is_invoice = world.trade.owner(Part::Journal, record.id).is_some_and(|(_, place)| place == 0);
    let day = if is_invoice { terms.created } else { record.created };
    let lines = posting.entries.iter().map(|entry| Line {
        debit: entry.debit,
        amount: entry.amount,
        change: entry.change,
        nominal: entry.nominal.to_owned(),
        tax: entry.tax.map_or(0, |(id, _)| id),
        channel: terms.channel,
        project,
        lead,
    });
    Journal {
        kind: posting.kind,
        contact: Some(terms.contact),
        author: dice.percent(90).then(|| 1 + list::roll(&mut dice, 9)),
        order: Some(terms.id),
        invoice: posting.invoice.clone(),
        currency: terms.currency_id,
        rate: posting.rate,
        tax_date: midnight(world, day),
        due_date: is_invoice.then(|| midnight(world, day + 30 * DAY)),
        reconciled: reconciled(world, record, &mut dice, day),
        lines: lines.collect(),
    }
}

fn reconciled(world: &World, record: &Record, dice: &mut Dice, day: i64) -> Option<(i64, i64)> {
    let edited = record.revision > 0 || dice.percent(30);
    edited.then(|| (midnight(world, day + 60 * DAY), 1 + record.id % 60))
}

/// A journal that posts neither: made by hand, or of one more thing that happened to an order.
fn other(world: &World, record: &Record) -> Journal {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x61);
    let mut now = Dice::new(world.seed, id, list::salt(0x62, record));
    let kind = list::nth(&OTHERS, list::roll(&mut dice, 11));
    let manual = dice.percent(25);
    let (currency, _) = list::currency(list::roll(&mut dice, 12));
    let length = other_lines(world, record);
    let mut lines = vec![Line::default(); length];
    let debits = 1 + usize::try_from(dice.below(u64::try_from(length).expect("small") - 1)).expect("small");
    let rate: i64 = list::rate(currency).replace('.', "").parse().expect("a rate is a decimal");
    let (mut amount, mut change) = (0, 0);
    for (n, line) in lines.iter_mut().enumerate() {
        line.debit = n < debits;
        line.nominal = list::nominal_of(1 + list::roll(&mut dice, list::NOMINAL_SIZE));
        line.tax = 1 + list::roll(&mut dice, list::size(List::TaxCode));
        if !manual {
            line.channel = list::roll(&mut dice, list::size(List::Channel) + 1);
            line.project = list::roll(&mut dice, 4);
            line.lead = list::roll(&mut dice, 9);
        }
        if !line.debit {
            line.amount = 100 + list::roll(&mut dice, 250_000);
            line.change = (line.amount * rate + 500_000) / 1_000_000;
            amount += line.amount;
            change += line.change;
        }
    }
    // The debits share what the credits come to.
    let mut left = i64::try_from(debits).expect("small");
    for line in &mut lines[..debits] {
        line.amount = amount / left;
        line.change = change / left;
        amount -= line.amount;
        change -= line.change;
        left -= 1;
    }
    let order = 1 + list::roll(&mut dice, world.orders);
    // One that came later is of an order that was there.
    let order = (!manual && id > world.trade.ids(Part::Journal).greatest).then_some(order);
    Journal {
        kind,
        contact: (!manual).then(|| 1 + list::roll(&mut dice, world.contacts)),
        author: dice.percent(90).then(|| 1 + list::roll(&mut dice, 9)),
        order,
        invoice: dice.percent(70).then(|| format!("{kind}-{}{}", 80_000 + id, now.pick(&["", "", "/Ä", "-\"b\""]))),
        currency,
        rate,
        tax_date: midnight(world, record.created),
        due_date: (!manual).then(|| midnight(world, record.created + 30 * DAY)),
        reconciled: reconciled(world, record, &mut dice, record.created),
        lines,
    }
}

/// The rows of journal-search, one a line, debits first, in the order of the columns.
pub fn rows(world: &World, record: &Record) -> Vec<Vec<Cell>> {
    let journal = journal(world, record);
    let mut rows = Vec::with_capacity(journal.lines.len());
    for (n, line) in (0_i64..).zip(&journal.lines) {
        let side = |value: i64, debit: bool| Cell::Text(text::cents(if line.debit == debit { value } else { 0 }));
        let number = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
        let day = |value: Option<i64>| value.map_or(Cell::Null, |at| Cell::Time(at - SIX_HOURS));
        rows.push(vec![
            Cell::Int(record.id),
            Cell::Text(journal.kind.to_owned()),
            Cell::Int(journal.order.unwrap_or(0)),
            journal.invoice.clone().map_or(Cell::Null, Cell::Text),
            Cell::Int(line.channel),
            Cell::Text(line.nominal.clone()),
            Cell::Time(journal.tax_date - SIX_HOURS),
            side(line.change, true),
            side(line.change, false),
            match journal.order {
                Some(order) => Cell::Int(order),
                None if record.id % 2 == 0 => Cell::Text(format!("Zoë's ref {}", record.id)),
                None => Cell::Null,
            },
            Cell::Int(journal.currency),
            Cell::Text(text::decimal(journal.rate, 6)),
            side(line.amount, true),
            side(line.amount, false),
            Cell::Int(line.project),
            Cell::Int(line.lead),
            number(journal.contact),
            day(journal.due_date),
            Cell::Time(record.created),
            number(journal.author),
            if line.tax == 0 { Cell::Null } else { Cell::Int(line.tax) },
            day(journal.reconciled.map(|(at, _)| at)),
            number(journal.reconciled.map(|(_, period)| period)),
            Cell::Int(record.id * 8 + n),
        ]);
    }
    rows
}

/// The journal's document.
pub fn document(world: &World, record: &Record, out: &mut String) {
    let journal = journal(world, record);
    let mut now = Dice::new(world.seed, record.id, list::salt(0x63, record));
    let _ = write!(out, "{{\"id\":{}", record.id);
    if let Some(contact) = journal.contact {
        list::put(out, "contactId", contact);
    }
    list::put_text(out, "journalTypeCode", journal.kind);
    if now.percent(90) {
        let tail = now.pick(&["order", "Zoë & Söhne", "stock\ncount", "\"credit\" 🧾", "株式会社"]);
        list::put_text(out, "description", &format!("{} for {tail} {}", journal.kind, now.below(1000)));
    }
    list::put_time(out, "taxDate", world, journal.tax_date);
    if let Some(due) = journal.due_date {
        list::put_time(out, "dueDate", world, due);
    }
    list::put_time(out, "createdOn", world, record.created);
    if let Some(author) = journal.author {
        list::put(out, "createdByContactId", author);
    }
    if let Some((at, period)) = journal.reconciled {
        let at = text::instant(&world.zone, at);
        let _ = write!(out, ",\"taxReconciliation\":{{\"date\":\"{at}\",\"taxPeriodId\":{period}}}");
    }
    for (key, debit) in [("credits", false), ("debits", true)] {
        list::put_raw(out, key, "[");
        let lines = journal.lines.iter().filter(|line| line.debit == debit);
        for (n, line) in lines.enumerate() {
            out.push_str(if n == 0 { "" } else { "," });
            put_line(&journal, line, record.id % 10 == 0, out);
        }
        out.push(']');
    }
    list::put(out, "currencyId", journal.currency);
    list::put_text(out, "exchangeRate", &text::decimal(journal.rate, 6));
    out.push('}');
}

fn put_line(journal: &Journal, line: &Line, currency: bool, out: &mut String) {
    let _ = write!(out, "{{\"nominalCode\":\"{}\"", line.nominal);
    let _ = write!(out, ",\"change\":{{\"value\":\"{}\"", text::cents(line.change));
    if currency {
        list::put_text(out, "currency", "GBP");
    }
    out.push_str("},\"assignment\":{");
    let mut first = true;
    for (key, id) in [("channelId", line.channel), ("projectId", line.project), ("leadSourceId", line.lead)] {
        if id > 0 {
            let _ = write!(out, "{}\"{key}\":{id}", if first { "" } else { "," });
            first = false;
        }
    }
    out.push('}');
    if let Some(order) = journal.order {
        list::put(out, "orderId", order);
    }
    if let Some(invoice) = &journal.invoice {
        list::put_text(out, "invoiceReference", invoice);
    }
    if line.tax != 0 && line.tax != 12 {
        list::put_text(out, "taxCode", list::tax_code_of(line.tax));
    }
    list::put_text(out, "transactionAmount", &text::cents(line.amount));
    out.push('}');
}
