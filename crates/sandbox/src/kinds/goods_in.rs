//! Goods-in notes: the document, and the rows of goods-in-search, one for each product and place.
//!
//! Guesses: a transfer names no order; a note's edit corrects the day of receipt, which the search then shows too.

use std::fmt::Write;

use super::list::{self, List};
use super::{Cell, Column, Record, World, order};
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
const PLACES: [i64; 4] = [2, 7, 12, 31];
const STATUSES: [&str; 3] = ["OPEN", "CLOSED", "CANCELLED"];

/// What the document and the search rows both show.
struct Note {
    /// The order received; none for a transfer.
    order: Option<i64>,
    reference: Option<String>,
    received: Option<i64>,
    warehouse: i64,
    currency: &'static str,
    author: i64,
    lines: Vec<Line>,
}

struct Line {
    product: i64,
    place: Option<i64>,
    quantity: i64,
    /// Ten-thousandths.
    price: i64,
}

/// How many products and places a note has: 1 to 4.
pub fn lines(world: &World, record: &Record) -> usize {
    1 + usize::try_from(Dice::new(world.seed, record.id, 0x80).below(4)).expect("it is small")
}

/// The purchase order of a note; none for a transfer.
pub fn order(world: &World, id: i64) -> Option<i64> {
    let mut dice = Dice::new(world.seed, id, 0x81);
    let transfer = dice.percent(8);
    (!transfer).then(|| order::purchase(world, 1 + list::roll(&mut dice, world.orders)))
}

fn note(world: &World, record: &Record) -> Note {
    let mut dice = Dice::new(world.seed, record.id, 0x82);
    // Booked in as it comes, or up to five days later.
    let late = if dice.percent(40) { list::roll(&mut dice, 5 * DAY) } else { 0 };
    let received = record.created - late - i64::from(record.revision) * CORRECTION;
    let (_, currency) = list::currency(list::roll(&mut dice, 12));
    let note = Note {
        order: order(world, record.id),
        received: dice.percent(97).then_some(received),
        reference: dice.percent(30).then(|| format!("{}{}", dice.pick(&["ourRef:", "Größe \"L\" ", "荷-"]), record.id)),
        warehouse: 1 + list::roll(&mut dice, list::size(List::Warehouse)),
        currency,
        author: 1 + list::roll(&mut dice, 9),
        lines: Vec::new(),
    };
    let line = |place: i64| Line {
        product: 1 + list::roll(&mut dice, world.products),
        place: dice.percent(95).then(|| list::nth(&PLACES, place)),
        quantity: 1 + list::roll(&mut dice, 200),
        price: list::roll(&mut dice, 9_000_000),
    };
    let count = i64::try_from(lines(world, record)).expect("it is small");
    Note { lines: (0..count).map(line).collect(), ..note }
}

/// The rows of goods-in-search, in the order of the columns.
pub fn rows(world: &World, record: &Record) -> Vec<Vec<Cell>> {
    let note = note(world, record);
    let text = |value: &Option<String>| value.clone().map_or(Cell::Null, Cell::Text);
    let number = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
    let row = |(n, line): (i64, &Line)| {
        let mut now = Dice::new(world.seed, record.id * 4 + n, list::salt(0x83, record));
        vec![
            number(note.order),
            Cell::Int(record.id),
            text(&note.reference),
            Cell::Int(line.product),
            number(line.place),
            if record.id % 5 == 0 { Cell::Text("AW27".to_owned()) } else { Cell::Null },
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Text(text::decimal(line.price, 4)),
            Cell::Text(text::decimal(line.price / 20, 4)),
            Cell::Text(note.currency.to_owned()),
            Cell::Int(line.quantity),
            // What is left of it now.
            Cell::Int(list::roll(&mut now, line.quantity + 1)),
            Cell::Time(record.created),
            note.received.map_or(Cell::Null, Cell::Time),
            Cell::Int(note.warehouse),
        ]
    };
    (0..).zip(&note.lines).map(row).collect()
}

/// The value of `{"<noteId>": VALUE}`.
pub fn document(world: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let note = note(world, record);
    // What becomes of a note moves no date of its search.
    let changes = i64::from(record.revision) + i64::from(record.touches);
    let mut dice = Dice::new(world.seed, id, 0x84);
    let _ = write!(out, "{{\"goodsNoteId\":{id}");
    if let Some(order) = note.order {
        list::put(out, "orderId", order);
    }
    list::put_flag(out, "transfer", note.order.is_none());
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
        list::put_text(out, "goodsNoteStatus", list::nth(&STATUSES, list::roll(&mut dice, 3) + changes));
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
    let _ = write!(out, "{{\"productId\":{}", line.product);
    if let Some(order) = note.order {
        list::put(out, "purchaseOrderRowId", order * 16 + n);
    }
    list::put(out, "quantity", line.quantity);
    list::put(out, "warehouseId", note.warehouse);
    if let Some(place) = line.place {
        list::put(out, "destinationLocationId", place);
    }
    list::put(out, "goodsNoteId", id);
    if dice.percent(95) {
        list::put(out, "batchGoodsNoteId", id);
    }
    if dice.percent(95) {
        let _ = write!(out, ",\"productValue\":{{\"currency\":\"{}\"", note.currency);
        let value = text::decimal(line.price, 4);
        // A text, as documented, or a number, as the example of the POST has it.
        if dice.percent(85) {
            list::put_text(out, "value", &value)
        } else {
            list::put_raw(out, "value", &value)
        }
        out.push('}');
    }
    let cleared = list::roll(&mut dice, 4);
    if dice.percent(95) {
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
