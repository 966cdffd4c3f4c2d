//! The values of an order that follow from its lines, and from notes, movements and payments.

use super::fact::{Fact, Facts};
use crate::record::Record;
use crate::rules::direct::Sent;
use crate::rules::order::Line;
use crate::rules::status::status;
use crate::rules::trade::Trade;

/// `parent` is 0 where there is none. `paid`, `stock`, `allocation` and `shipping` are codes of states, and those with
/// `_id` the numbers that the search shows in their place.
pub const NAMES: [&str; 33] = [
    "parent",
    "type",
    "type_id",
    "is_sale",
    "is_sales_credit",
    "is_purchase",
    "is_invoiced",
    "is_dropship",
    "is_reserved",
    "status",
    "status_name",
    "paid",
    "paid_id",
    "stock",
    "stock_id",
    "allocation",
    "shipping",
    "shipping_id",
    "closed",
    "invoice",
    "contact",
    "channel",
    "warehouse",
    "price_list",
    "price_mode",
    "currency",
    "rate",
    "net",
    "tax",
    "total",
    "base_net",
    "base_tax",
    "base_total",
];
/// Lines, the newest first, as maps have no order.
pub const LINES: [&str; 15] = [
    "id", "sequence", "product", "sku", "name", "quantity", "cost", "price", "discount", "net", "tax", "tax_rate",
    "tax_code", "tax_id", "nominal",
];
/// Notes by which the supplier of an order sends goods to customers: the sale that they are for, and its line.
pub const SENT_DIRECTLY: [&str; 7] = ["note", "order", "row", "product", "quantity", "is_shipped", "shipped"];
/// Lines of which pieces are reserved.
pub const RESERVED: [&str; 3] = ["row", "product", "quantity"];
/// The third letter of a stock status, behind the two of the order's type: none, a part, all.
const STOCK: [[&str; 3]; 4] =
    [["SON", "SOP", "SOA"], ["PON", "POP", "POA"], ["SCN", "SCP", "SCA"], ["PCN", "PCP", "PCA"]];
const ALLOCATION: [&str; 4] = ["ANR", "ANA", "APA", "AAA"];
const SHIPPING: [&str; 4] = ["NST", "SNS", "SPS", "ASS"];
const PAID: [&str; 4] = ["NOT_APPLICABLE", "UNPAID", "PARTIALLY_PAID", "PAID"];

pub fn facts(trade: &Trade, record: &Record) -> Facts {
    let terms = trade.terms(record.id, record.created);
    let lines = trade.lines(&terms, record.revision);
    let totals = trade.totals(&terms, &lines);
    let states = trade.states(&terms, &totals, record.revision, record.touches);
    let sign = if trade.negative_credits && terms.order_type.is_credit() { -1 } else { 1 };
    let money = |amount: i64| Fact::cents(amount * sign);
    let kind = terms.order_type.place();
    let values: [Fact; NAMES.len()] = [
        Fact::Int(terms.parent.unwrap_or(0)),
        Fact::Name(terms.order_type.code()),
        Fact::size(kind + 1),
        Fact::Flag(kind == 0),
        Fact::Flag(kind == 2),
        Fact::Flag(terms.order_type.is_purchase()),
        Fact::Flag(terms.is_invoiced()),
        Fact::Flag(trade.is_dropship(&terms)),
        Fact::Flag(!trade.reserved(&terms, &states).is_empty()),
        Fact::Int(states.status),
        Fact::Name(status(states.status).map_or("", |(_, name)| name)),
        Fact::Name(PAID[states.paid]),
        Fact::size(states.paid),
        Fact::Name(STOCK[kind][states.stock]),
        Fact::size(kind * 3 + states.stock + 1),
        Fact::Name(ALLOCATION[states.allocation]),
        Fact::Name(SHIPPING[states.shipping]),
        Fact::size(states.shipping + 1),
        terms.closed(trade).map_or(Fact::Null, Fact::Instant),
        terms.invoice().into(),
        Fact::Int(terms.contact),
        Fact::Int(terms.channel),
        Fact::Int(terms.warehouse),
        Fact::Int(terms.price_list),
        Fact::Name(terms.price_mode),
        Fact::Name(terms.currency),
        Fact::Decimal(terms.rate, 6),
        money(totals.net),
        money(totals.tax),
        money(totals.total()),
        money(totals.base_net),
        money(totals.base_tax),
        money(totals.base_total()),
    ];
    let shown = lines.iter().rev().map(|line| line_facts(trade, line, sign)).collect();
    let sent = trade.sent_directly(&terms).iter().map(|sent| sent_facts(trade, record, sent)).collect();
    let reserved = trade.reserved(&terms, &states).into_iter().map(|line| {
        let row: [Fact; RESERVED.len()] = [Fact::Int(line.id), line.product.into(), Fact::Int(line.quantity)];
        row.into()
    });
    Facts { values: values.into(), lists: vec![shown, sent, reserved.collect()] }
}

/// The values of a note by which a supplier sends goods to a customer. Each edit of the order sends another one.
fn sent_facts(trade: &Trade, record: &Record, sent: &Sent) -> Vec<Fact> {
    let is_sent = trade.chance(sent.note, 0x82, 3) < 1 + i64::from(record.revision);
    let row: [Fact; SENT_DIRECTLY.len()] = [
        Fact::Int(sent.note),
        Fact::Int(sent.order),
        Fact::Int(sent.row),
        Fact::Int(sent.product),
        Fact::Int(sent.quantity),
        Fact::Flag(is_sent),
        if is_sent { Fact::Instant(sent.at) } else { Fact::Null },
    ];
    row.into()
}

fn line_facts(trade: &Trade, line: &Line, sign: i64) -> Vec<Fact> {
    let row: [Fact; LINES.len()] = [
        Fact::Int(line.id),
        Fact::Int((line.place + 1) * 10),
        line.product.into(),
        line.product.map(|product| trade.sku(product)).into(),
        Fact::Name(line.name),
        Fact::Decimal(line.quantity * sign * 10_000, 4),
        Fact::Decimal(line.cost, 4),
        Fact::Decimal(line.price, 4),
        Fact::Decimal(line.discount, 2),
        Fact::Decimal(line.net * sign * 100, 4),
        Fact::cents(line.tax * sign),
        Fact::Decimal(line.taxed.rate * 100, 4),
        Fact::Name(line.taxed.code),
        Fact::Int(line.taxed.id),
        Fact::Name(line.nominal),
    ];
    row.into()
}
