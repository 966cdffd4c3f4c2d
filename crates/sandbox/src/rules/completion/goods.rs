//! The values of notes and movements of goods that follow from their order, and those of stock that follow from
//! movements.

use super::fact::{Fact, Facts};
use crate::record::Record;
use crate::rules::goods::SHIPPED;
use crate::rules::trade::Trade;

/// `quantity` is negative where goods leave; `value` is that of one piece, and `batch` the goods-in note that they came
/// with, or the correction.
pub const MOVEMENT: [&str; 12] = [
    "product",
    "sale_row",
    "purchase_row",
    "quantity",
    "warehouse",
    "note",
    "value",
    "currency",
    "order",
    "batch",
    "code",
    "is_correction",
];

/// The code under which lines of orders show a product.
pub const PRODUCT: [&str; 1] = ["sku"];

/// Pieces of a product: physically there, held by notes that are not shipped, and free of these.
pub const STOCK: [&str; 3] = ["there", "held", "free"];
/// The warehouses that have or had some of it, the last first.
pub const PLACES: [&str; 4] = ["warehouse", "there", "held", "free"];

/// `is_transfer` is true of a note that is for no order.
pub const GOODS_IN: [&str; 5] = ["order", "warehouse", "currency", "is_closed", "is_transfer"];
/// The lines that came in; `row` is the line of the purchase order.
pub const RECEIVED: [&str; 4] = ["row", "product", "quantity", "price"];

/// `order` is 0 and `channel` null of a transfer. `step` is the last that is done, of five from 0, and `beyond` the
/// edits after the last; each step that is done has its flag and its date.
pub const GOODS_OUT: [&str; 14] = [
    "order",
    "channel",
    "warehouse",
    "is_transfer",
    "step",
    "beyond",
    "is_printed",
    "printed",
    "is_picked",
    "picked",
    "is_packed",
    "packed",
    "is_shipped",
    "shipped",
];
/// The lines of the order that the note ships, the newest first: maps have no order.
pub const SENT: [&str; 3] = ["row", "product", "quantity"];
/// The history; in some notes the newest event comes first.
pub const HAPPENED: [&str; 3] = ["code", "step", "at"];

/// Event codes of the steps from placed to shipped.
const STEPS: [&str; 5] = ["PLA", "PRI", "PIC", "PAC", "SHW"];
/// When a step of the first version was done, in seconds after the creation.
const DELAYS: [i64; 5] = [0, 60, 120, 180, 300];
/// Events of edits that came after the last step.
const LATER: [&str; 6] = ["UPA", "PAC", "UPI", "PIC", "UPR", "PRI"];

pub fn movement(trade: &Trade, record: &Record) -> Facts {
    let movement = trade.movement(record.id);
    let values: [Fact; MOVEMENT.len()] = [
        Fact::Int(movement.product),
        movement.sale_row.into(),
        movement.purchase_row.into(),
        Fact::Int(movement.quantity),
        Fact::Int(movement.warehouse),
        Fact::Int(movement.note),
        Fact::Decimal(movement.value, 4),
        Fact::Name(movement.currency),
        movement.order.into(),
        movement.batch.into(),
        Fact::Name(movement.code),
        Fact::Flag(movement.code == "SC"),
    ];
    Facts { values: values.into(), lists: Vec::new() }
}

pub fn product(trade: &Trade, record: &Record) -> Facts {
    let values: [Fact; PRODUCT.len()] = [Some(trade.sku(record.id)).into()];
    Facts { values: values.into(), lists: Vec::new() }
}

pub fn stock(trade: &Trade, record: &Record) -> Facts {
    let places = trade.stock_of(record.id);
    let (mut there, mut held) = (0, 0);
    let mut rows = Vec::with_capacity(places.len());
    for (warehouse, pieces) in places.into_iter().rev() {
        let (here, kept) = (i64::from(pieces.there), i64::from(pieces.held));
        there += here;
        held += kept;
        let row: [Fact; PLACES.len()] = [warehouse, here, kept, here - kept].map(Fact::Int);
        rows.push(row.into());
    }
    let values: [Fact; STOCK.len()] = [there, held, there - held].map(Fact::Int);
    Facts { values: values.into(), lists: vec![rows] }
}

pub fn goods_in(trade: &Trade, record: &Record) -> Facts {
    let note = trade.goods_in(record.id);
    let values: [Fact; GOODS_IN.len()] = [
        note.order.into(),
        Fact::Int(note.warehouse),
        Fact::Name(note.currency),
        Fact::Flag(note.is_closed),
        Fact::Flag(note.order.is_none()),
    ];
    let line = |line: &crate::rules::ledger::Received| {
        let row: [Fact; RECEIVED.len()] =
            [line.row.into(), Fact::Int(line.product), Fact::Int(line.quantity), Fact::Decimal(line.price, 4)];
        row.into()
    };
    Facts { values: values.into(), lists: vec![note.lines.iter().map(line).collect()] }
}

pub fn goods_out(trade: &Trade, record: &Record) -> Facts {
    let note = trade.goods_out(record.id);
    let reached = note.step + usize::try_from(record.revision).expect("a few");
    let (step, beyond) = (reached.min(SHIPPED), reached.saturating_sub(SHIPPED));
    let done = |of: usize| done(record, step, of);
    let date = |of: usize| done(of).map_or(Fact::Null, Fact::Instant);
    let flag = |of: usize| Fact::Flag(step >= of);
    let terms = note.terms.as_ref();
    let channel = terms.map(|terms| terms.channel).filter(|channel| *channel > 0);
    let values: [Fact; GOODS_OUT.len()] = [
        Fact::Int(terms.map_or(0, |terms| terms.id)),
        channel.into(),
        Fact::Int(note.warehouse),
        Fact::Flag(terms.is_none()),
        Fact::size(step),
        Fact::size(beyond),
        flag(1),
        date(1),
        flag(2),
        date(2),
        flag(3),
        date(3),
        flag(4),
        date(4),
    ];
    let sent = |line: &crate::rules::order::Line| {
        let row: [Fact; SENT.len()] = [line.id, line.product.unwrap_or_default(), line.quantity].map(Fact::Int);
        row.into()
    };
    let sent = note.lines.iter().rev().map(sent).collect();
    let mut events = Vec::with_capacity(8);
    let mut event = |code, step, at| {
        let row: [Fact; HAPPENED.len()] = [Fact::Name(code), Fact::size(step), Fact::Instant(at)];
        events.push(row.into());
    };
    for (step, code) in STEPS.into_iter().enumerate() {
        if let Some(at) = done(step) {
            event(code, step, if step == 0 { record.created } else { at });
        }
    }
    for code in LATER.into_iter().take(beyond * 2) {
        event(code, 3, record.updated.unwrap_or(record.created));
    }
    if trade.chance(record.id, 0x69, 100) < 30 {
        events.reverse();
    }
    Facts { values: values.into(), lists: vec![sent, events] }
}

/// When a step was done, once it is: an edit's step at the edit.
fn done(record: &Record, reached: usize, step: usize) -> Option<i64> {
    if step > reached {
        return None;
    }
    let first = record.created + DELAYS[step];
    match record.updated {
        Some(updated) if step == reached => Some(updated),
        Some(updated) => Some(first.min(updated)),
        None => Some(first),
    }
}
