//! The stock of a product: in total, by warehouse and by location.

use std::fmt::Write;

use super::list::{self, List};
use super::{Record, With, World};
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
    let record = &Record { revision: 0, updated: None, ..*record };
    let mut base = Dice::new(world.seed, record.id, 0x50);
    let mut now = Dice::new(world.seed, record.id, list::salt(0x51, record));
    let mut places = [Stock::default(); 3];
    let known = list::nth(&[1, 2, 3, 1, 2, 1, 3, 1, 2, 0], list::roll(&mut base, 10));
    let places = &mut places[..known];
    for place in places.iter_mut() {
        place.held = list::roll(&mut base, 200) + list::roll(&mut now, 60);
        place.allocated = list::roll(&mut now, 25);
        place.coming = if now.percent(30) { list::roll(&mut now, 100) } else { 0 };
    }
    let mut total = Stock::default();
    for place in places.iter() {
        total.held += place.held;
        total.allocated += place.allocated;
        total.coming += place.coming;
    }
    out.push_str("{\"total\":{");
    put_stock(total, base.percent(95), out);
    out.push_str("},\"warehouses\":{");
    let warehouses = list::size(List::Warehouse);
    let start = list::roll(&mut base, warehouses);
    for (step, place) in (0_i64..).zip(places.iter()) {
        // Not in the order of the ids, as at the source.
        let id = 1 + (start + step * 5) % warehouses;
        let _ = write!(out, "{}\"{id}\":{{", if step == 0 { "" } else { "," });
        put_stock(*place, true, out);
        if with.locations {
            put_locations(*place, id, base.percent(40), out);
        }
        out.push('}');
    }
    out.push_str("}}");
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
