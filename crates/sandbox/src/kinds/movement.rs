//! Goods movements, the ledger of stock, which only goods-movement-search shows.
//!
//! Guesses: what goes out is negative; goods received are `GI`; `updatedOn` is set from the creation on, but
//! for `dated_movements`.

use super::list::{self, List};
use super::{Cell, Column, Record, World, goods_in, goods_out};
use crate::seed::Dice;
use crate::text;

pub const COLUMNS: &[Column] = &[
    Column::sorts("goodsMovementId", "IDSET", true),
    Column::sorts("productId", "INTEGER", true),
    Column::sorts("salesOrderRowId", "IDSET", false),
    Column::sorts("purchaseOrderRowId", "IDSET", false),
    Column::sorts("quantity", "INTEGER", false),
    Column::sorts("destinationLocationId", "INTEGER", false),
    Column::sorts("warehouseId", "INTEGER", false),
    Column::sorts("goodsNoteId", "IDSET", true),
    Column::sorts("productValue", "STRING", false),
    Column::sorts("currencyCode", "STRING", false),
    Column::sorts("orderId", "INTEGER", false),
    Column::sorts("isCleared", "BOOLEAN", false),
    Column::sorts("isQuarantine", "BOOLEAN", false),
    Column::sorts("batchId", "INTEGER", false),
    Column::sorts("goodsNoteTypeCode", "STRING", false),
    Column::sorts("updatedOn", "PERIOD", true),
];

/// When it was last changed; before that when it was made, unless the account leaves it null as other searches do.
pub fn updated(world: &World, record: &Record) -> Cell {
    record.updated.or(world.dated_movements.then_some(record.created)).map_or(Cell::Null, Cell::Time)
}

/// The goods-in note that a movement belongs to, if goods came in by it for an order.
pub fn received_by(world: &World, id: i64) -> Option<i64> {
    let origin = origin(world, id);
    (origin.code == "GI").then_some(origin.note)
}

/// What moved the goods.
struct Origin {
    code: &'static str,
    note: i64,
    order: Option<i64>,
}

fn origin(world: &World, id: i64) -> Origin {
    let mut dice = Dice::new(world.seed, id, 0x90);
    let code = dice.pick(&["GO", "GO", "GO", "GO", "GO", "GI", "GI", "GI", "SC", "IT"]);
    // A note that was for no order, a transfer, gives way to the next that was.
    let mut note_of = |notes: i64, order: fn(&World, i64) -> Option<i64>| {
        let first = list::roll(&mut dice, notes);
        (first..first + 30).map(|note| 1 + note % notes.max(1)).find_map(|note| Some((note, order(world, note)?)))
    };
    let named = match code {
        "GO" => note_of(world.goods_out_notes, goods_out::order),
        "GI" => note_of(world.goods_in_notes, goods_in::order),
        _ => None,
    };
    match named {
        Some((note, order)) => Origin { code, note, order: Some(order) },
        None if code == "IT" => Origin { code, note: 7_000_000 + id / 3, order: None },
        // A correction of stock may be for an order, but for no row of it.
        None => {
            let order = dice.percent(30).then(|| 1 + list::roll(&mut dice, world.orders));
            Origin { code: "SC", note: 7_000_000 + id / 3, order }
        }
    }
}

/// A row of goods-movement-search, in the order of its columns.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x91);
    let mut now = Dice::new(world.seed, id, list::salt(0x92, record));
    let Origin { code, note, order } = origin(world, id);
    let order_row = |of: &str| match order {
        Some(order) if of == code => Cell::Int(order * 16 + id % 3),
        _ => Cell::Null,
    };
    let product = 1 + list::roll(&mut dice, world.products);
    let (_, currency) = list::currency(list::roll(&mut dice, 12));
    let mut maybe = |value: Cell| if dice.percent(94) { value } else { Cell::Null };
    let quantity = 1 + list::roll(&mut now, 40);
    let out = code == "GO" || (code != "GI" && now.percent(50));
    vec![
        Cell::Int(id),
        Cell::Int(product),
        order_row("GO"),
        order_row("GI"),
        Cell::Int(if out { -quantity } else { quantity }),
        maybe(Cell::Int(list::nth(&[2, 7, 12, 31, 0], id))),
        maybe(Cell::Int(1 + id % list::size(List::Warehouse))),
        Cell::Int(note),
        maybe(Cell::Text(text::decimal(list::roll(&mut now, 9_000_000), 4))),
        maybe(Cell::Text(currency.to_owned())),
        order.map_or(Cell::Null, Cell::Int),
        maybe(Cell::Bool(now.percent(60))),
        maybe(Cell::Bool(id % 20 == 0)),
        if code == "GI" { Cell::Int(note) } else { maybe(Cell::Int(1 + id % world.goods_in_notes.max(1))) },
        Cell::Text(code.to_owned()),
        updated(world, record),
    ]
}
