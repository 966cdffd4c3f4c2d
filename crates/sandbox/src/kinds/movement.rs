//! Goods movements, the ledger of stock, which only goods-movement-search shows.
//!
//! Guesses: `updatedOn` is set from the creation on, but for `dated_movements`; an edit changes the value of what moved, and whether it
//! is cleared.

use super::list;
use super::{Cell, Column, Record, World};
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
    let movement = world.trade.movement(id);
    (movement.code == "GI" && movement.order.is_some()).then_some(movement.note)
}

/// A row of goods-movement-search, in the order of its columns.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x91);
    let mut now = Dice::new(world.seed, id, list::salt(0x92, record));
    let movement = world.trade.movement(id);
    let number = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
    let value = movement.value + if record.revision > 0 { list::roll(&mut now, 9_000) + 1 } else { 0 };
    let mut maybe = |value: Cell| if dice.percent(94) { value } else { Cell::Null };
    vec![
        Cell::Int(id),
        Cell::Int(movement.product),
        number(movement.sale_row),
        number(movement.purchase_row),
        Cell::Int(movement.quantity),
        maybe(Cell::Int(list::nth(&[2, 7, 12, 31, 0], id))),
        Cell::Int(movement.warehouse),
        Cell::Int(movement.note),
        maybe(Cell::Text(text::decimal(value, 4))),
        maybe(Cell::Text(movement.currency.to_owned())),
        number(movement.order),
        maybe(Cell::Bool(now.percent(60))),
        maybe(Cell::Bool(id % 20 == 0)),
        number(movement.batch),
        Cell::Text(movement.code.to_owned()),
        updated(world, record),
    ]
}
