//! Contacts (customers, suppliers, staff): the document and the row of contact-search.

use std::fmt::Write;

use super::list;
use super::{Cell, Column, Record, With, World};
use crate::seed::Dice;

mod sections;
use sections::{put_addresses, put_assignment, put_communication, put_custom, put_money, put_status};

pub const COLUMNS: &[Column] = &[
    Column::sorts("contactId", "IDSET", true),
    Column::sorts("primaryEmail", "SEARCH_STRING", true),
    Column::sorts("secondaryEmail", "SEARCH_STRING", true),
    Column::sorts("tertiaryEmail", "SEARCH_STRING", true),
    Column::sorts("firstName", "SEARCH_STRING", true),
    Column::sorts("lastName", "SEARCH_STRING", true),
    Column::sorts("isSupplier", "BOOLEAN", false),
    Column::sorts("companyName", "SEARCH_STRING", true),
    Column::sorts("isStaff", "BOOLEAN", false),
    Column::sorts("isCustomer", "BOOLEAN", false),
    Column::sorts("createdOn", "PERIOD", true),
    Column::sorts("updatedOn", "PERIOD", true),
    Column::sorts("lastContactedOn", "PERIOD", true),
    Column::sorts("lastOrderedOn", "PERIOD", true),
    Column::sorts("nominalCode", "INTEGER", true),
    Column::sorts("isPrimary", "BOOLEAN", true),
    Column::sorts("pri", "STRING", false),
    Column::sorts("sec", "STRING", false),
    Column::sorts("mob", "STRING", false),
    Column::sorts("exactCompanyName", "STRING", true),
    Column::sorts("title", "STRING", true),
];

const FIRST: [&str; 12] =
    ["Zoë", "Łukasz", "Robin", "Ada", "さくら", "Søren", "José", "Anna-Lena", "", "Nour", "O'Neil", "Mary \"May\""];
const LAST: [&str; 10] =
    ["Weaver", "Kowalski", "Müller", "山田", "Ångström", "D'Arcy", "Smith", "García", "", "van der Berg"];
const COMPANIES: [&str; 7] = [
    "Weaver & Sons",
    "株式会社みどり",
    "Łódź \"Knit\" Sp. z o.o.",
    "Zoë's Café",
    "Field Co",
    "Müller GmbH",
    "A/S Nord",
];
const STREETS: [&str; 5] = ["7 Mill Lane", "Große Straße 12", "Unit 4, \"The Yard\"", "ul. Żelazna 3", "1-2-3 渋谷"];
const STATUSES: [&str; 5] = ["New", "Prospecting", "Trading", "Auf Eis", "VIP ⭐"];

/// What the document and the search row both show.
struct Facts {
    primary: bool,
    title: &'static str,
    first: &'static str,
    last: &'static str,
    emails: [Option<String>; 3],
    phones: [Option<String>; 4],
    supplier: bool,
    staff: bool,
    company: Option<String>,
    contacted: Option<i64>,
    ordered: Option<i64>,
    nominal: i64,
}

fn facts(world: &World, record: &Record) -> Facts {
    let id = record.id;
    let mut dice = Dice::new(world.seed, id, 0x80);
    let mut now = Dice::new(world.seed, id, 0x81 | (u64::from(record.revision) << 8));
    let staff = id <= 9 || dice.percent(1);
    let revision = record.revision;
    let supplier = dice.percent(8);
    let phone = |dice: &mut Dice, start: &str| format!("{start} {:06}", list::roll(dice, 1_000_000));
    Facts {
        primary: dice.percent(85),
        title: dice.pick(&["", "", "Mx.", "Dr", "Ms", "Mr"]),
        first: list::nth(&FIRST, list::roll(&mut dice, 12)),
        last: list::nth(&LAST, list::roll(&mut now, 10)),
        emails: [
            dice.percent(92).then(|| format!("c{id}.{revision}@example.com")),
            dice.percent(20).then(|| format!("büro+{id}@example.com")),
            dice.percent(8).then(|| format!("bills{id}@example.com")),
        ],
        phones: [
            dice.percent(70).then(|| phone(&mut now, "01434")),
            dice.percent(15).then(|| phone(&mut now, "+48 22")),
            dice.percent(40).then(|| phone(&mut now, "07700")),
            dice.percent(5).then(|| phone(&mut now, "01435")),
        ],
        supplier,
        staff,
        company: (supplier || dice.percent(30)).then(|| {
            let name = list::nth(&COMPANIES, list::roll(&mut now, 7));
            format!("{name} {}", 1 + id % 500)
        }),
        contacted: now.percent(30).then(|| record.updated.unwrap_or(record.created)),
        ordered: now.percent(50).then(|| record.created + 3_600),
        nominal: if dice.percent(30) { 4000 } else { 0 },
    }
}

/// The row of contact-search, in the order of the columns.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let facts = facts(world, record);
    let text = |value: Option<String>| value.map_or(Cell::Null, Cell::Text);
    let time = |value: Option<i64>| value.map_or(Cell::Null, Cell::Time);
    let [primary, secondary, tertiary] = facts.emails;
    let [pri, sec, mob, _] = facts.phones;
    vec![
        Cell::Int(record.id),
        text(primary),
        text(secondary),
        text(tertiary),
        Cell::Text(facts.first.to_owned()),
        Cell::Text(facts.last.to_owned()),
        Cell::Bool(facts.supplier),
        text(facts.company.clone()),
        Cell::Bool(facts.staff),
        Cell::Bool(!facts.supplier && !facts.staff),
        Cell::Time(record.created),
        time(record.updated),
        time(facts.contacted),
        time(facts.ordered),
        Cell::Int(facts.nominal),
        Cell::Bool(facts.primary),
        text(pri),
        text(sec),
        text(mob),
        text(facts.company),
        Cell::Text(facts.title.to_owned()),
    ]
}

/// The contact's document.
pub fn document(world: &World, record: &Record, with: With, out: &mut String) {
    let id = record.id;
    let facts = facts(world, record);
    let mut dice = Dice::new(world.seed, id, 0x82);
    let mut now = Dice::new(world.seed, id, list::salt(0x83, record));
    let _ = write!(out, "{{\"contactId\":{id},\"isPrimaryContact\":{}", facts.primary);
    list::put_text(out, "salutation", facts.title);
    list::put_text(out, "firstName", facts.first);
    list::put_text(out, "lastName", facts.last);
    let address = id * 4;
    let delivery = if dice.percent(40) { address + 1 } else { address };
    let _ = write!(out, ",\"postAddressIds\":{{\"DEF\":{address}");
    if dice.percent(90) {
        let _ = write!(out, ",\"BIL\":{address},\"DEL\":{delivery}");
    }
    out.push('}');
    let addresses = delivery - address + 1 + i64::from(dice.percent(5));
    if with.postal_addresses {
        put_addresses(world, record, addresses, out);
    }
    put_communication(&facts, &mut dice, out);
    put_status(world, record, &mut dice, &mut now, out);
    let _ = write!(out, ",\"relationshipToAccount\":{{\"isSupplier\":{},\"isStaff\":{}}}", facts.supplier, facts.staff);
    if dice.percent(80) {
        let _ = write!(out, ",\"marketingDetails\":{{\"isReceiveEmailNewsletter\":{}}}", now.percent(40));
    }
    put_money(&facts, id, &mut dice, &mut now, out);
    put_assignment(&mut dice, &mut now, out);
    if let Some(company) = &facts.company {
        let _ = write!(out, ",\"organisation\":{{\"organisationId\":{id}");
        list::put_text(out, "name", company);
        out.push('}');
    }
    list::put_text(out, "tradeStatus", dice.pick(&["UNKNOWN", "UNKNOWN", "GOOD", "STOP"]));
    list::put(out, "createdByid", list::roll(&mut dice, 6));
    list::put_time(out, "createdOn", world, record.created);
    if let Some(updated) = record.updated {
        list::put_time(out, "updatedOn", world, updated);
    }
    if let Some(contacted) = facts.contacted {
        list::put_time(out, "lastContactedOn", world, contacted);
    }
    list::put_text(out, "contactTags", now.pick(&["0", "0", "0,12", "0,12,15", ""]));
    list::put_raw(out, "aliases", dice.pick(&["{}", "{}", "{}", "{\"eBay\":\"zoë_\\\"w\\\"\"}"]));
    list::put(out, "companyId", if facts.company.is_some() { 1 + id % 500 } else { 0 });
    put_custom(with, &mut dice, &mut now, out);
    out.push('}');
}
