//! The short lists of the account: price lists, statuses, warehouses and their like.

use std::fmt::Write;

use super::{Record, World};
use crate::seed::Dice;
use crate::text;

mod chart;
mod field;

pub use chart::{
    CURRENCY_COLUMNS, CURRENCY_SIZE, NOMINAL_COLUMNS, NOMINAL_SIZE, currency_row, nominal_document, nominal_row,
};
pub(super) use chart::{currency, nominal_of, rate, symbol};
pub(super) use field::{nth, put, put_flag, put_raw, put_text, put_time, roll, salt};

/// A list that is read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    PriceList,
    OrderStatus,
    OrderType,
    Warehouse,
    Channel,
    Brand,
    TaxCode,
}

/// Entries of a list: their ids are 1 to this.
pub fn size(kind: List) -> i64 {
    match kind {
        List::PriceList | List::Channel => 8,
        List::OrderStatus => 30,
        List::OrderType => 4,
        List::Warehouse => 6,
        List::Brand => 40,
        List::TaxCode => 12,
    }
}

/// One entry, as JSON text.
pub fn entry(kind: List, world: &World, record: &Record, out: &mut String) {
    match kind {
        List::PriceList => price_list(record, out),
        List::OrderStatus => order_status(world, record, out),
        List::OrderType => order_type(record, out),
        List::Warehouse => warehouse(world, record, out),
        List::Channel => channel(world, record, out),
        List::Brand => brand(world, record, out),
        List::TaxCode => tax_code(record, out),
    }
    out.push('}');
}

const BRANDS: [&str; 8] = ["Other", "Weaver", "Łódź Knit", "株式会社みどり", "O'Hara & Sons", "Zoë", "Field Co", "Åre"];
const CHANNELS: [&str; 8] =
    ["Shop", "eBay", "Amazon UK", "Telephone", "Café store", "Wholesale", "Shopify EU", "Marché"];

/// A tax code's code.
pub(super) fn tax_code_of(id: i64) -> &'static str {
    nth(&["T0", "T20", "T5", "T1", "T2", "T4", "T7", "T8", "T9", "T50", "T22", "-"], id - 1)
}

/// A name, another one after each edit.
fn named(name: &str, record: &Record) -> String {
    let round = (record.id - 1) / 8;
    let mut name = if round == 0 { name.to_owned() } else { format!("{name} {}", record.id) };
    if record.revision > 0 {
        let _ = write!(name, " – rev. {}", record.revision);
    }
    name
}

fn price_list(record: &Record, out: &mut String) {
    let id = record.id;
    let name = nth(&["Cost", "Retail", "Trade", "Outlet", "Großhandel", "小売", "Staff", "Special"], id - 1);
    let (currency_id, code) = currency(id);
    let _ = write!(out, "{{\"id\":{id},\"name\":{{\"languageCode\":\"en\"");
    put_text(out, "text", &named(name, record));
    out.push_str(",\"format\":\"PLAINTEXT\"}");
    put_text(out, "code", &format!("PL{id}"));
    put_text(out, "currencyCode", code);
    if let Some(symbol) = symbol(currency_id) {
        put_text(out, "currencySymbol", symbol);
    }
    if id != 4 {
        put(out, "currencyId", currency_id);
    }
    put_text(out, "priceListTypeCode", if id == 1 { "BUY" } else { "SELL" });
    put_flag(out, "gross", id % 2 == 0);
}

fn order_status(world: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x31);
    let _ = write!(out, "{{\"statusId\":{id}");
    let (of, name) = crate::rules::status(id).map_or(("SO", ""), |(of, name)| (of.code(), name));
    let edited = if record.revision > 0 { format!("{name} – rev. {}", record.revision) } else { name.to_owned() };
    put_text(out, "name", &edited);
    put_text(out, "orderTypeCode", of);
    put(out, "sortOrder", id - 1);
    put_flag(out, "disabled", dice.percent(5));
    put_flag(out, "visible", dice.percent(80));
    if dice.percent(70) {
        put_text(out, "color", dice.pick(&["#E7E6E4", "#FFF", "#00AA55", ""]));
    }
    if dice.percent(40) {
        put(out, "remindAfterDays", roll(&mut dice, 30));
        put_raw(out, "alertEmails", dice.pick(&["[]", "[\"orders@example.com\",\"zoë@example.com\"]"]));
        put_text(out, "emailContent", dice.pick(&["", "Dear customer,\n\"thank you\" 🙂"]));
        put_flag(out, "batchProcess", dice.percent(50));
        put_text(out, "state", dice.pick(&["draft", "open", "closed"]));
    }
}

fn order_type(record: &Record, out: &mut String) {
    let (code, name) = nth(
        &[("SO", "Sales Order"), ("PO", "Purchase Order"), ("SC", "Sales Credit"), ("PC", "Purchase Credit")],
        record.id - 1,
    );
    let _ = write!(out, "{{\"id\":{}", record.id);
    put_text(out, "code", code);
    put_text(out, "description", &named(name, record));
}

fn warehouse(world: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x32);
    let name = nth(&["Main warehouse", "Leeds store", "Lager Köln", "3PL North", "倉庫", "Returns"], id - 1);
    let (code, title) = nth(&[("warehouse", "Warehouse"), ("store", "Store"), ("3pl", "Third party")], id - 1);
    let collect = code == "store";
    out.push_str("{\"name\":");
    text::string(out, &named(name, record));
    put_text(out, "typeCode", code);
    put_text(out, "typeDescription", title);
    if code == "3pl" {
        put_text(out, "logisticsName", "Northern Freight");
    }
    put(out, "id", id);
    let _ = write!(out, ",\"address\":{{\"addressId\":{}", 300 + id);
    if id != 2 {
        put(out, "countryId", 222);
        put_text(out, "countryIsoCode2", "GB");
        put(out, "customerId", 1 + roll(&mut dice, world.contacts));
    }
    out.push('}');
    put_flag(out, "clickAndCollectEnabled", collect);
    if collect {
        out.push_str(",\"weeklyOperatingPeriods\":{\"timeZone\":\"Europe/London\",\"periods\":[");
        for day in 1..=7 {
            let (open, close) = if day == 7 { ("00:00:00", "00:00:00") } else { ("09:00:00", "17:30:00") };
            let _ = write!(out, "{}{{\"dayOfWeek\":{day}", if day == 1 { "" } else { "," });
            put_text(out, "openingHours", open);
            put_text(out, "closingHours", close);
            out.push('}');
        }
        let _ = write!(out, "]}},\"collectionSla\":{{\"value\":{id},\"timeUnits\":\"HOURS\"}}");
        let _ = write!(
            out,
            ",\"externalTransferSlas\":[{{\"warehouseId\":1,\"value\":3,\"timeUnits\":\"WORKING_DAYS\"}},\
             {{\"warehouseId\":3,\"value\":{id},\"timeUnits\":\"DAYS\"}}]"
        );
    }
}

fn channel(world: &World, record: &Record, out: &mut String) {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x33);
    let _ = write!(out, "{{\"id\":{id}");
    put_text(out, "name", &named(nth(&CHANNELS, id - 1), record));
    put(out, "channelTypeId", nth(&[1, 5, 5, 2], id - 1));
    if id % 4 != 0 {
        put(out, "defaultWarehouseId", 1 + roll(&mut dice, 6));
        put(out, "contactGroupId", 1 + roll(&mut dice, 9));
        put(out, "defaultPriceListId", 1 + roll(&mut dice, 8));
        put(out, "channelBrandId", 1 + roll(&mut dice, 4));
        put_raw(out, "warehouseIds", dice.pick(&["[]", "[3,2]", "[1,2,5]", "[4]"]));
        put_flag(out, "showInChannelMenu", dice.percent(80));
    }
    if nth(&[1, 5, 5, 2], id - 1) == 5 {
        let _ = write!(out, ",\"integrationDetail\":{{\"installedIntegrationId\":{id},\"configSetId\":2");
        put_text(out, "providerCode", dice.pick(&["ebay", "amazon", "shopify"]));
        put_text(out, "integrationTypeCode", "MKP");
        put_flag(out, "active", dice.percent(80));
        out.push('}');
    }
}

fn brand(world: &World, record: &Record, out: &mut String) {
    let mut dice = Dice::new(world.seed, record.id, 0x34);
    let _ = write!(out, "{{\"id\":{}", record.id);
    put_text(out, "name", &named(nth(&BRANDS, record.id - 1), record));
    if dice.percent(80) {
        put_text(out, "description", dice.pick(&["", "", "Knitwear & \"basics\"\nsince 1904", "靴"]));
        put_time(out, "createdOn", world, record.created);
        if let Some(updated) = record.updated {
            put_time(out, "updatedOn", world, updated);
        }
    }
}

fn tax_code(record: &Record, out: &mut String) {
    let id = record.id;
    let _ = write!(out, "{{\"id\":{id}");
    put_text(out, "code", tax_code_of(id));
    put_text(out, "description", &named(nth(&["Zero rated", "VAT 20%", "Reduced rate", "Außerhalb"], id - 1), record));
    if id % 4 != 1 {
        put_raw(out, "rate", nth(&["0.0000", "20.0000", "5", "10.0000", "47.4568"], id - 1));
    }
}
