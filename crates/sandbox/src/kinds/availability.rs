//! The stock of a product: in total, by warehouse and by location.

use std::fmt::Write;

use super::list;
use super::{Record, With, World};
use crate::rules::Pieces;
use crate::seed::Dice;

#[derive(Clone, Copy, Default)]
struct Stock {
    held: i64,
    allocated: i64,
    coming: i64,
}

/// The value of `{"<productId>": VALUE}`.
pub fn document(world: &World, record: &Record, with: With, out: &mut String) {
    // Stock moves by itself, not with an edit of the product.
    let mut base = Dice::new(world.seed, record.id, 0x50);
    let mut now = Dice::new(world.seed, record.id, 0x51 | (u64::from(record.touches) << 28));
    let place = |(warehouse, pieces): (i64, Pieces)| {
        let coming = if now.percent(30) { list::roll(&mut now, 100) } else { 0 };
        (warehouse, Stock { held: i64::from(pieces.there), allocated: i64::from(pieces.held), coming })
    };
    let mut places: Vec<(i64, Stock)> = world.trade.stock_of(record.id).into_iter().map(place).collect();
    // Not in the order of the ids, as at the source.
    places.reverse();
    let mut total = Stock::default();
    for (_, place) in &places {
        total.held += place.held;
        total.allocated += place.allocated;
        total.coming += place.coming;
    }
    out.push_str("{\"total\":{");
    put_stock(total, base.percent(95), out);
    if with.on_order {
        put_on_order(total, out);
    }
    out.push_str("},\"warehouses\":{");
    for (step, (id, place)) in places.into_iter().enumerate() {
        let _ = write!(out, "{}\"{id}\":{{", if step == 0 { "" } else { "," });
        put_stock(place, true, out);
        if with.on_order && place.coming > 0 {
            put_on_order(place, out);
        }
        if with.locations {
            put_locations(place, id, base.percent(40), out);
        }
        out.push('}');
    }
    out.push('}');
    // Their shape is not known: whatever it is lands as it is.
    if with.allocated_orders {
        out.push_str(",\"allocatedOrders\":{");
        if total.allocated > 0 {
            let _ = write!(out, "\"{}\":{{\"goodsNotes\":[],\"quantity\":\"{}\"}}", record.id + 7, total.allocated);
        }
        out.push('}');
    }
    if with.allocated_transfers && base.percent(50) {
        let _ = write!(out, ",\"allocatedTransfers\":[{{\"quantity\":{},\"to\":\"Größe \\\"L\\\"\"}}]", total.coming);
    }
    out.push('}');
}

fn put_on_order(stock: Stock, out: &mut String) {
    let _ = write!(out, ",\"onOrder\":{{\"total\":{},\"shipped\":0}}", stock.coming);
}

fn put_stock(stock: Stock, coming: bool, out: &mut String) {
    let Stock { held, allocated, .. } = stock;
    let _ = write!(out, "\"inStock\":{held},\"onHand\":{},\"allocated\":{allocated}", held - allocated);
    if coming {
        list::put(out, "inTransit", stock.coming);
    }
}

fn put_locations(stock: Stock, warehouse: i64, two: bool, out: &mut String) {
    let near = Stock { held: if two { stock.held / 2 } else { stock.held }, ..stock };
    let _ = write!(out, ",\"byLocation\":{{\"{}\":{{", warehouse * 10 + 2);
    put_stock(near, false, out);
    out.push('}');
    if two {
        let far = Stock { held: stock.held - near.held, ..Stock::default() };
        let _ = write!(out, ",\"{}\":{{", warehouse * 10 + 1);
        put_stock(far, true, out);
        out.push('}');
    }
    out.push('}');
}
