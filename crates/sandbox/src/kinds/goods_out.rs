//! Goods-out notes: the document and the row of goods-out-search.

use std::fmt::Write;

use super::list::{self, List};
use super::{Cell, Column, Record, World};
use crate::rules::{GoodsOut, SHIPPED};
use crate::seed::Dice;

pub const COLUMNS: &[Column] = &[
    Column::of("goodsOutNoteId", "INTEGER"),
    Column::of("printed", "BOOLEAN"),
    Column::of("picked", "BOOLEAN"),
    Column::of("packed", "BOOLEAN"),
    Column::of("shipped", "BOOLEAN"),
    Column::of("shippedOn", "PERIOD"),
    Column::of("orderId", "INTEGER"),
    Column::of("shippingMethodId", "IDSET"),
    Column::of("warehouseId", "INTEGER"),
    Column::of("priority", "BOOLEAN"),
    Column::of("createdOn", "PERIOD"),
    Column::of("releaseDate", "PERIOD"),
    Column::of("createdBy", "INTEGER"),
    Column::of("labelUri", "STRING"),
    Column::of("channelId", "INTEGER"),
    Column::of("transfer", "BOOLEAN"),
];

/// Event codes of the steps from placed to shipped.
const STEPS: [&str; 5] = ["PLA", "PRI", "PIC", "PAC", "SHW"];
/// When a step of the first version was done, in seconds after the creation.
const DELAYS: [i64; 5] = [0, 60, 120, 180, 300];

/// The values that the document and the search row share.
struct Facts {
    note: GoodsOut,
    /// 0 of a transfer.
    order: i64,
    target: i64,
    /// The last step that is done, and how many edits came after the last one.
    step: usize,
    beyond: usize,
    priority: bool,
    method: i64,
    release: Option<i64>,
    author: i64,
    label: Option<String>,
    channel: i64,
}

impl Facts {
    fn is_transfer(&self) -> bool {
        self.note.terms.is_none()
    }
}

fn facts(world: &World, record: &Record) -> Facts {
    let mut dice = Dice::new(world.seed, record.id, 0x10);
    let note = world.trade.goods_out(record.id);
    let edits = i64::from(record.revision) + i64::from(record.touches);
    let reached = note.step + usize::try_from(record.revision).expect("an edit count fits");
    Facts {
        order: note.terms.as_ref().map_or(0, |terms| terms.id),
        target: 1 + note.warehouse % list::size(List::Warehouse),
        step: reached.min(SHIPPED),
        beyond: reached.saturating_sub(SHIPPED),
        priority: dice.percent(12) != (record.touches % 2 == 1),
        method: 1 + (list::roll(&mut dice, 12) + edits) % 12,
        release: dice.percent(95).then(|| record.created + list::roll(&mut dice, 3) * 43_200),
        author: 1 + list::roll(&mut dice, 9),
        label: dice.percent(20).then(|| format!("https://example.com/label/{}?v={edits}", record.id)),
        channel: note.terms.as_ref().map_or(0, |terms| terms.channel),
        note,
    }
}

/// When a step was done, once it is: an edit's step at the edit.
fn done(record: &Record, facts: &Facts, step: usize) -> Option<i64> {
    if step > facts.step {
        return None;
    }
    let first = record.created + list::nth(&DELAYS, i64::try_from(step).expect("a step"));
    match record.updated {
        Some(updated) if step == facts.step => Some(updated),
        Some(updated) => Some(first.min(updated)),
        None => Some(first),
    }
}

/// The row of goods-out-search, in the order of the columns.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let facts = facts(world, record);
    vec![
        Cell::Int(record.id),
        Cell::Bool(facts.step >= 1),
        Cell::Bool(facts.step >= 2),
        Cell::Bool(facts.step >= 3),
        Cell::Bool(facts.step >= 4),
        done(record, &facts, 4).map_or(Cell::Null, Cell::Time),
        Cell::Int(facts.order),
        Cell::Int(facts.method),
        Cell::Int(facts.note.warehouse),
        Cell::Bool(facts.priority),
        Cell::Time(record.created),
        facts.release.map_or(Cell::Null, Cell::Time),
        Cell::Int(facts.author),
        facts.label.map_or(Cell::Null, Cell::Text),
        if facts.channel == 0 { Cell::Null } else { Cell::Int(facts.channel) },
        Cell::Bool(facts.note.terms.is_none()),
    ]
}

/// The value of `{"<noteId>": VALUE}`.
pub fn document(world: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let facts = facts(world, record);
    let mut dice = Dice::new(world.seed, id, 0x11);
    let mut now = Dice::new(world.seed, id, list::salt(0x12, record));
    let _ = write!(out, "{{\"orderId\":{}", facts.order);
    list::put(out, "warehouseId", facts.note.warehouse);
    if facts.is_transfer() {
        list::put(out, "targetWarehouseId", facts.target);
        list::put(out, "stockTransferId", 60 + id / 20);
    }
    if dice.percent(10) {
        list::put_text(out, "externalRef", now.pick(&["WMS-1", "", "Zoë/7 \"rush\"", "荷物-3"]));
    }
    list::put_flag(out, "transfer", facts.is_transfer());
    list::put_flag(out, "priority", facts.priority);
    put_status(world, record, &facts, out);
    put_shipping(&facts, &mut dice, &mut now, out);
    if let Some(release) = facts.release {
        list::put_time(out, "releaseDate", world, release);
    }
    list::put_time(out, "createdOn", world, record.created);
    list::put(out, "createdBy", facts.author);
    if facts.is_transfer() {
        out.push_str(",\"transferRows\":[");
        for n in 0..=list::roll(&mut dice, 3) {
            out.push_str(if n == 0 { "" } else { "," });
            let (product, pieces) = (1 + list::roll(&mut dice, world.products), 1 + list::roll(&mut dice, 5));
            put_pick((product, pieces), &mut dice, &mut now, false, out);
        }
        out.push(']');
    } else {
        put_rows(&facts, &mut dice, &mut now, out);
    }
    list::put(out, "sequence", 1 + id % 3 / 2);
    put_events(world, record, &facts, dice.percent(30), out);
    if let Some(label) = &facts.label {
        list::put_text(out, "labelUri", label);
    }
    if dice.percent(97) {
        let base = i64::try_from(facts.step + facts.beyond).expect("a step count fits");
        list::put(out, "lastEventVersion", 3_000_000 + id * 3 + base);
    }
    out.push('}');
}

fn put_status(world: &World, record: &Record, facts: &Facts, out: &mut String) {
    let flag = |step| facts.step >= step;
    let _ = write!(
        out,
        ",\"status\":{{\"shipped\":{},\"packed\":{},\"picked\":{},\"printed\":{}",
        flag(4),
        flag(3),
        flag(2),
        flag(1)
    );
    let names = [("pickedOn", 2), ("packedOn", 3), ("shippedOn", 4), ("printedOn", 1)];
    for (name, step) in names {
        if let Some(at) = done(record, facts, step) {
            list::put_time(out, name, world, at);
        }
    }
    for (name, step) in [("pickedById", 2), ("packedById", 3), ("shippedById", 4), ("printedById", 1)] {
        if flag(step) {
            list::put(out, name, owner(record.id, step));
        }
    }
    out.push('}');
}

/// The member of staff who did a step.
fn owner(id: i64, step: usize) -> i64 {
    1 + (id + i64::try_from(step).expect("a step")) % 5
}

fn put_shipping(facts: &Facts, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    let _ = write!(out, ",\"shipping\":{{\"shippingMethodId\":{}", facts.method);
    let packed = facts.step >= 3;
    if packed || dice.percent(20) {
        let reference = if packed { format!("JD{:08}", list::roll(now, 99_999_999)) } else { String::new() };
        list::put_text(out, "reference", &reference);
    }
    if dice.percent(60) {
        list::put(out, "boxes", 1 + list::roll(now, 4));
        let weight = list::roll(now, 30_000);
        list::put_text(out, "weight", &crate::text::decimal(weight, 3));
    }
    out.push('}');
}

/// The lines of the order that the note ships; some are picked at two places.
fn put_rows(facts: &Facts, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    out.push_str(",\"orderRows\":{");
    // The newest row first, as maps have no order.
    for (n, line) in facts.note.lines.iter().rev().enumerate() {
        let _ = write!(out, "{}\"{}\":[", if n == 0 { "" } else { "," }, line.id);
        let product = line.product.unwrap_or_default();
        let second = if line.quantity > 1 && dice.percent(10) { line.quantity / 2 } else { 0 };
        put_pick((product, line.quantity - second), dice, now, true, out);
        if second > 0 {
            out.push(',');
            put_pick((product, second), dice, now, true, out);
        }
        out.push(']');
    }
    out.push('}');
}

/// The pieces that are taken of a product at one place; rows of orders may name a batch.
fn put_pick((product, pieces): (i64, i64), dice: &mut Dice, now: &mut Dice, batch: bool, out: &mut String) {
    let _ = write!(out, "{{\"productId\":{product},\"quantity\":{pieces}");
    if dice.percent(95) {
        list::put(out, "locationId", list::nth(&[2, 7, 0, 12, 31], list::roll(now, 5)));
    }
    if batch && dice.percent(8) {
        list::put_text(out, "userBatchReference", now.pick(&["B-9", "Los Ä/4", ""]));
    }
    out.push('}');
}

/// The whole history; in some notes the newest event comes first.
fn put_events(world: &World, record: &Record, facts: &Facts, reverse: bool, out: &mut String) {
    let mut events: Vec<(&str, usize, i64)> = Vec::with_capacity(8);
    for (step, code) in STEPS.into_iter().enumerate() {
        if let Some(at) = done(record, facts, step) {
            events.push((code, step, if step == 0 { record.created } else { at }));
        }
    }
    let at = record.updated.unwrap_or(record.created);
    for code in ["UPA", "PAC", "UPI", "PIC", "UPR", "PRI"].into_iter().take(facts.beyond * 2) {
        events.push((code, 3, at));
    }
    if reverse {
        events.reverse();
    }
    out.push_str(",\"events\":[");
    for (n, (code, step, at)) in events.into_iter().enumerate() {
        let _ = write!(out, "{}{{\"eventOwnerId\":{}", if n == 0 { "" } else { "," }, owner(record.id, step));
        list::put_time(out, "occured", world, at);
        list::put_text(out, "eventCode", code);
        out.push('}');
    }
    out.push(']');
}
