//! Goods-in notes: the document, and the rows of goods-in-search, one for each product and place.
//!
//! Guesses: a note that is for no order is shown as a transfer; a note's edit corrects the day of receipt, which the search then shows too.

use std::fmt::Write;

use super::list;
use super::{Cell, Column, Record, World};
use crate::rules::{GoodsIn, Received};
use crate::seed::Dice;
use crate::text;

pub const COLUMNS: &[Column] = &[
    Column::sorts("purchaseOrderId", "IDSET", true),
    Column::sorts("batchId", "IDSET", true),
    Column::sorts("userBatchRef", "STRING", false),
    Column::sorts("productId", "IDSET", true),
    Column::sorts("locationId", "IDSET", false),
    Column::sorts("groupingA", "STRING", false),
    Column::sorts("groupingB", "STRING", false),
    Column::sorts("groupingC", "STRING", false),
    Column::sorts("groupingD", "STRING", false),
    Column::sorts("price", "STRING", false),
    Column::sorts("landedCosts", "STRING", false),
    Column::sorts("currCode", "STRING", false),
    Column::sorts("receivedQuantity", "INTEGER", false),
    Column::sorts("onHand", "INTEGER", false),
    Column::sorts("createdDate", "PERIOD", true),
    Column::sorts("receivedDate", "PERIOD", true),
    Column::sorts("warehouseId", "IDSET", false),
];

const DAY: i64 = 86_400;
/// An edit moves the day of receipt back by so much: into another month.
const CORRECTION: i64 = 40 * DAY;
/// The places of a note's lines, no two alike: a product lies at a place once.
const PLACES: [i64; 5] = [2, 7, 12, 31, 44];

/// The values that the document and the search rows share.
struct Note {
    of: GoodsIn,
    reference: Option<String>,
    received: Option<i64>,
    author: i64,
    lines: Vec<Line>,
}

struct Line {
    of: Received,
    place: Option<i64>,
}

/// How many products and places a note has: 1 to 5.
pub fn lines(world: &World, record: &Record) -> usize {
    world.trade.goods_in_lines(record.id)
}

fn note(world: &World, record: &Record) -> Note {
    let mut dice = Dice::new(world.seed, record.id, 0x82);
    let of = world.trade.goods_in(record.id);
    // Booked in as it comes, or up to fifty minutes later.
    let late = if dice.percent(40) { list::roll(&mut dice, 3_000) } else { 0 };
    let received = record.created - late - i64::from(record.revision) * CORRECTION;
    let received = dice.percent(97).then_some(received);
    let reference =
        dice.percent(30).then(|| format!("{}{}", dice.pick(&["ourRef:", "Größe \"L\" ", "荷-"]), record.id));
    let author = 1 + list::roll(&mut dice, 9);
    let line = |(place, of): (i64, &Received)| Line {
        of: of.clone(),
        place: dice.percent(95).then(|| list::nth(&PLACES, place)),
    };
    let lines = (0..).zip(&of.lines).map(line).collect();
    Note { of, reference, received, author, lines }
}

/// The rows of goods-in-search, in the order of the columns.
pub fn rows(world: &World, record: &Record) -> Vec<Vec<Cell>> {
    let note = note(world, record);
    let text = |value: &Option<String>| value.clone().map_or(Cell::Null, Cell::Text);
    let number = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
    let row = |(n, line): (i64, &Line)| {
        let mut now = Dice::new(world.seed, record.id * 4 + n, list::salt(0x83, record));
        vec![
            number(note.of.order),
            Cell::Int(record.id),
            text(&note.reference),
            Cell::Int(line.of.product),
            number(line.place),
            if record.id % 5 == 0 { Cell::Text("AW27".to_owned()) } else { Cell::Null },
            if record.id % 4 == 0 { Cell::Text("0042".to_owned()) } else { Cell::Null },
            if record.id % 2 == 0 { Cell::Text("Größe \"L\"".to_owned()) } else { Cell::Null },
            if record.id % 3 == 0 { Cell::Text("D".to_owned()) } else { Cell::Null },
            Cell::Text(text::decimal(line.of.price, 4)),
            Cell::Text(text::decimal(line.of.price / 20, 4)),
            Cell::Text(note.of.currency.to_owned()),
            Cell::Int(line.of.quantity),
            // What is left of it now.
            Cell::Int(list::roll(&mut now, line.of.quantity + 1)),
            Cell::Time(record.created),
            note.received.map_or(Cell::Null, Cell::Time),
            Cell::Int(note.of.warehouse),
        ]
    };
    (0..).zip(&note.lines).map(row).collect()
}

/// The value of `{"<noteId>": VALUE}`.
pub fn document(world: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let note = note(world, record);
    let mut dice = Dice::new(world.seed, id, 0x84);
    let _ = write!(out, "{{\"goodsNoteId\":{id}");
    if let Some(order) = note.of.order {
        list::put(out, "orderId", order);
    }
    list::put_flag(out, "transfer", note.of.order.is_none());
    list::put_raw(out, "goodsMoved", "[");
    for (n, line) in (0..).zip(&note.lines) {
        out.push_str(if n == 0 { "" } else { "," });
        put_line(world, record, &note, (n, line), out);
    }
    out.push(']');
    if let Some(reference) = &note.reference {
        list::put_text(out, "userBatchReference", reference);
    }
    if let Some(received) = note.received {
        list::put_time(out, "receivedOn", world, received);
    }
    if dice.percent(97) {
        list::put_text(out, "goodsNoteStatus", if note.of.is_closed { "CLOSED" } else { "OPEN" });
    }
    if dice.percent(90) {
        list::put(out, "createdBy", note.author);
    }
    out.push('}');
}

fn put_line(world: &World, record: &Record, note: &Note, (n, line): (i64, &Line), out: &mut String) {
    let id = record.id;
    let changes = i64::from(record.revision) + i64::from(record.touches);
    let mut dice = Dice::new(world.seed, id * 4 + n, 0x85);
    let _ = write!(out, "{{\"productId\":{}", line.of.product);
    if let Some(row) = line.of.row {
        list::put(out, "purchaseOrderRowId", row);
    }
    list::put(out, "quantity", line.of.quantity);
    list::put(out, "warehouseId", note.of.warehouse);
    if let Some(place) = line.place {
        list::put(out, "destinationLocationId", place);
    }
    list::put(out, "goodsNoteId", id);
    if dice.percent(95) {
        list::put(out, "batchGoodsNoteId", id);
    }
    if dice.percent(95) {
        let _ = write!(out, ",\"productValue\":{{\"currency\":\"{}\"", note.of.currency);
        let value = text::decimal(line.of.price, 4);
        // A text, as documented, or a number, as the example of the POST has it.
        if dice.percent(85) {
            list::put_text(out, "value", &value)
        } else {
            list::put_raw(out, "value", &value)
        }
        out.push('}');
    }
    let cleared = list::roll(&mut dice, 4);
    // A silent change shows here: it moves no date of the search.
    if dice.percent(95) || changes > 0 {
        list::put_flag(out, "cleared", (cleared + changes) % 2 == 1);
        list::put_flag(out, "valueConfirmed", (cleared + changes) % 4 >= 2);
    }
    list::put_flag(out, "allocated", dice.percent(20));
    list::put_flag(out, "quarantine", dice.percent(5));
    list::put_time(out, "createdOn", world, record.created);
    list::put(out, "createdBy", note.author);
    let updated = record.updated.or_else(|| dice.percent(60).then_some(record.created + 63));
    if let Some(updated) = updated {
        list::put_time(out, "updatedOn", world, updated);
        list::put(out, "updatedBy", 1 + id % 9);
    }
    out.push('}');
}
