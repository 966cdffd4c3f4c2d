//! Products: the document and the row of product-search.

use std::fmt::Write;

use super::list::{self, List};
use super::{Cell, Column, Record, With, World};
use crate::seed::Dice;

mod sections;
use sections::{put_composition, put_custom, put_sales, put_stock, put_warehouses};

const fn column(name: &'static str, kind: &'static str, sortable: bool, filterable: bool) -> Column<'static> {
    Column { name, kind, sortable, filterable, reference: None }
}

pub const COLUMNS: &[Column] = &[
    Column {
        name: "productId",
        kind: "IDSET",
        sortable: true,
        filterable: true,
        reference: Some("productCategoryMembership"),
    },
    column("productName", "SEARCH_STRING", true, true),
    column("SKU", "STRING", true, true),
    column("barcode", "STRING", true, true),
    column("EAN", "STRING", true, true),
    column("UPC", "STRING", true, true),
    column("ISBN", "STRING", true, true),
    column("MPN", "STRING", true, true),
    column("stockTracked", "BOOLEAN", true, true),
    column("salesChannelName", "STRING", true, false),
    column("createdOn", "PERIOD", true, true),
    column("updatedOn", "PERIOD", true, true),
    column("brightpearlCategoryCode", "IDSET", false, true),
    column("productGroupId", "INTEGER", true, true),
    column("brandId", "IDSET", true, true),
    column("productTypeId", "IDSET", true, true),
    column("productStatus", "STRING", true, true),
    column("primarySupplierId", "IDSET", true, true),
];

const NOUNS: [&str; 12] = [
    "T-shirt",
    "Pullover \"Łukasz\"",
    "Blouse Zoë",
    "帽子",
    "Boots",
    "Crème brûlée set",
    "Mug 250 ml",
    "Scarf",
    "Weekend bag",
    "Socks (3 pairs)",
    "Rain coat",
    "Notebook A5",
];
const COLOURS: [&str; 6] = ["Red", "Navy", "Black", "Écru", "Green", "Weiß"];
const SIZES: [&str; 5] = ["S", "M", "L", "XL", "38½"];
const TEXTS: [&str; 5] = [
    "<p>Cotton &amp; linen</p>",
    "",
    "<p class=\"lead\">Made in Łódź.</p>\n<p>Wash at 30°</p>",
    "<ul><li>Warm</li>\n\t<li>Light 🙂</li></ul>",
    "株式会社みどりの品",
];

/// Whether the stock of a product is tracked.
pub fn stock_tracked(world: &World, id: i64) -> bool {
    !Dice::new(world.seed, id, 0x20).percent(5)
}

/// The categories of a product: what a search refers to as productCategoryMembership.
pub fn categories(world: &World, id: i64) -> Vec<i64> {
    let mut dice = Dice::new(world.seed, id, 0x21);
    let start = 270 + list::roll(&mut dice, 40);
    (0..list::roll(&mut dice, 4)).map(|n| start + n * 7).collect()
}

/// A product's code in the shop; a few have none.
pub(super) fn sku(world: &World, id: i64) -> String {
    let mut dice = Dice::new(world.seed, id, 0x22);
    if dice.percent(3) {
        return String::new();
    }
    format!("{}-{id:06}", dice.pick(&["TSH", "MUG", "BAG", "ÉCRU", "SET"]))
}

/// What the document and the search row both show.
struct Facts {
    name: String,
    sku: String,
    barcode: String,
    ean: Option<String>,
    upc: Option<String>,
    isbn: Option<String>,
    mpn: Option<String>,
    brand: i64,
    group: Option<i64>,
    kind: Option<i64>,
    supplier: Option<i64>,
    status: &'static str,
    colour: i64,
    size: i64,
    created: Option<i64>,
}

fn facts(world: &World, record: &Record) -> Facts {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x23);
    let mut now = Dice::new(world.seed, id, 0x24 | (u64::from(record.revision) << 8));
    let colour = list::roll(&mut dice, 6);
    let size = list::roll(&mut dice, 5);
    let grouped = dice.percent(60);
    let mut name = list::nth(&NOUNS, list::roll(&mut dice, 12)).to_owned();
    if grouped {
        let _ = write!(name, ", {}, {}", list::nth(&COLOURS, colour), list::nth(&SIZES, size));
    }
    if record.revision > 0 {
        let _ = write!(name, " (new {})", record.revision);
    }
    let ean = dice.percent(70).then(|| format!("50{:011}", id * 7919));
    Facts {
        name,
        sku: sku(world, id),
        barcode: if dice.percent(50) { ean.clone().unwrap_or_default() } else { String::new() },
        ean,
        upc: dice.percent(30).then(|| format!("0{:011}", id * 6173)),
        isbn: dice.percent(8).then(|| format!("978{:010}", id * 4999)),
        mpn: dice.percent(40).then(|| format!("M-{}/{}", id % 997, colour)),
        brand: 1 + list::roll(&mut dice, list::size(List::Brand)),
        group: grouped.then(|| 1 + id / 6),
        kind: dice.percent(90).then(|| list::roll(&mut dice, 12)),
        supplier: now.percent(70).then(|| 1 + list::roll(&mut dice, world.contacts)),
        status: list::nth(
            &["LIVE", "LIVE", "LIVE", "LIVE", "LIVE", "ARCHIVED", "DISCONTINUED"],
            list::roll(&mut now, 7),
        ),
        colour,
        size,
        created: (id > 6).then_some(record.created),
    }
}

/// The row of product-search, in the order of the columns.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let facts = facts(world, record);
    let text = |value: Option<String>| value.map_or(Cell::Null, Cell::Text);
    let number = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
    let time = |value: Option<i64>| value.map_or(Cell::Null, Cell::Time);
    vec![
        Cell::Int(record.id),
        Cell::Text(facts.name),
        Cell::Text(facts.sku),
        Cell::Text(facts.barcode),
        text(facts.ean),
        text(facts.upc),
        text(facts.isbn),
        text(facts.mpn),
        Cell::Bool(stock_tracked(world, record.id)),
        Cell::Text("Brightpearl".to_owned()),
        time(facts.created),
        time(record.updated),
        Cell::Int(record.id),
        number(facts.group),
        Cell::Int(facts.brand),
        number(facts.kind),
        Cell::Text(facts.status.to_owned()),
        number(facts.supplier),
    ]
}

/// The product's document.
pub fn document(world: &World, record: &Record, with: With, out: &mut String) {
    let id = record.id;
    let facts = facts(world, record);
    let mut dice = Dice::new(world.seed, id, 0x25);
    let mut now = Dice::new(world.seed, id, list::salt(0x26, record));
    let _ = write!(out, "{{\"id\":{id}");
    list::put(out, "brandId", facts.brand);
    if dice.percent(40) {
        list::put(out, "collectionId", 1 + list::roll(&mut dice, 20));
    }
    for (key, value) in [("productTypeId", facts.kind), ("productGroupId", facts.group)] {
        if let Some(value) = value {
            list::put(out, key, value);
        }
    }
    list::put_raw(out, "identity", "{\"sku\":");
    crate::text::string(out, &facts.sku);
    for (key, value) in [("ean", &facts.ean), ("upc", &facts.upc), ("isbn", &facts.isbn), ("mpn", &facts.mpn)] {
        if let Some(value) = value {
            list::put_text(out, key, value);
        }
    }
    list::put_text(out, "barcode", &facts.barcode);
    out.push('}');
    list::put_flag(out, "featured", now.percent(10));
    put_stock(stock_tracked(world, id), &mut dice, &mut now, out);
    let tax = 1 + list::roll(&mut now, list::size(List::TaxCode));
    if dice.percent(97) {
        let _ = write!(out, ",\"financialDetails\":{{\"taxable\":{},\"taxCode\":{{\"id\":{tax}", tax > 1);
        list::put_text(out, "code", list::tax_code_of(tax));
        out.push_str("}}");
    } else {
        out.push_str(",\"financialDetails\":{}");
    }
    put_sales(world, id, &facts, &mut dice, &mut now, out);
    put_composition(world, id, &mut dice, out);
    if facts.group.is_some() {
        let _ = write!(
            out,
            ",\"variations\":[{{\"optionId\":1,\"optionName\":\"Colour\",\"optionValueId\":{}",
            facts.colour + 1
        );
        list::put_text(out, "optionValue", list::nth(&COLOURS, facts.colour));
        let _ = write!(out, "}},{{\"optionId\":2,\"optionName\":\"Größe\",\"optionValueId\":{}", facts.size + 10);
        list::put_text(out, "optionValue", list::nth(&SIZES, facts.size));
        out.push_str("}]");
    }
    if let Some(created) = facts.created {
        list::put_time(out, "createdOn", world, created);
    }
    if let Some(updated) = record.updated {
        list::put_time(out, "updatedOn", world, updated);
    }
    put_warehouses(&mut dice, &mut now, out);
    for (key, code) in [("nominalCodeStock", "1001"), ("nominalCodePurchases", "5000"), ("nominalCodeSales", "0040")] {
        if dice.percent(95) {
            list::put_text(out, key, code);
        }
    }
    list::put_raw(out, "seasonIds", dice.pick(&["[]", "[]", "[1,2]", "[4]", "[3,1,7]"]));
    out.push_str(",\"reporting\":{");
    if dice.percent(60) {
        let _ = write!(out, "\"categoryId\":{},\"subcategoryId\":{}", 270 + id % 40, 300 + id % 60);
        if dice.percent(50) {
            list::put(out, "seasonId", 1 + id % 7);
        }
    }
    out.push('}');
    if let Some(supplier) = facts.supplier {
        list::put(out, "primarySupplierId", supplier);
    }
    list::put_text(out, "status", facts.status);
    if dice.percent(30) {
        list::put_text(out, "salesPopupMessage", now.pick(&["Ask for the size", "", "\"Zoë\" says:\nsell 2 for 1 🎉"]));
        list::put_text(out, "warehousePopupMessage", now.pick(&["", "Fragile ⚠", "Keep\tdry"]));
    }
    list::put(out, "version", record.updated.unwrap_or(record.created) * 1000 + i64::from(record.revision));
    put_custom(world, record, with, &mut dice, &mut now, out);
    out.push('}');
}
