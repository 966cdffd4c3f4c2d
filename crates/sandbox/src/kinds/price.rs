//! The prices of a product: by price list, by quantity.

use std::fmt::Write;

use super::list::{self, List};
use super::{Record, World, product};
use crate::seed::Dice;
use crate::text;

/// `{"productId":…,"priceLists":[…]}` of the product with the record's id.
pub fn document(world: &World, record: &Record, out: &mut String) {
    let mut base = Dice::new(world.seed, record.id, 0x40);
    let mut now = Dice::new(world.seed, record.id, list::salt(0x41, record));
    let _ = write!(out, "{{\"productId\":{},\"priceLists\":[", record.id);
    let cost = 50 + list::roll(&mut base, 20_000);
    let shift = list::roll(&mut now, 400);
    let none = base.percent(2);
    let mut first = true;
    for id in 1..=list::size(List::PriceList) {
        let absent = none || (id > 1 && base.percent(15));
        if absent {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        let (currency_id, code) = list::currency(id);
        let _ = write!(out, "{{\"priceListId\":{id}");
        list::put_text(out, "currencyCode", code);
        if id != 4 {
            list::put(out, "currencyId", currency_id);
        }
        if id == 1 || base.percent(10) {
            list::put_text(out, "sku", &format!("S{id}-{}", product::sku(world, record.id)));
        }
        out.push_str(",\"quantityPrice\":{");
        if !base.percent(3) {
            // Ten-thousandths.
            let price = (cost + shift) * (100 + 20 * id);
            quantities(price, base.percent(30), id % 3 == 0, out);
        }
        out.push_str("}}");
    }
    out.push_str("]}");
}

fn quantities(price: i64, breaks: bool, short: bool, out: &mut String) {
    put_price(1, price, short, out);
    if breaks {
        out.push(',');
        put_price(10, price * 95 / 100, false, out);
        out.push(',');
        put_price(100, price * 9 / 10 + 1, false, out);
    }
}

fn put_price(quantity: i64, price: i64, short: bool, out: &mut String) {
    let money = if short { text::cents(price / 100) } else { text::decimal(price, 4) };
    let _ = write!(out, "\"{quantity}\":\"{money}\"");
}
