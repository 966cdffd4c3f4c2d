//! Orders: sales, purchases and their credits, with lines that come and go from edit to edit.

use std::fmt::Write;

use crate::kinds::{Cell, Column, Record, With, World};
use crate::seed::Dice;
use crate::text::{cents, decimal, instant, string};

const DAY: i64 = 24 * 3600;
const TYPES: [(&str, u64); 4] = [("SO", 80), ("PO", 10), ("SC", 7), ("PC", 3)];
const PEOPLE: [&str; 8] = [
    "Zoë Brontë",
    "Łukasz Żak",
    "株式会社サクラ",
    "Siân O'Neill",
    "Alex \"Al\" Buyer",
    "Nguyễn Văn A",
    "Ana Peña",
    "Bob Smith",
];
const PLACES: [(&str, &str, &str, &str, &str); 4] = [
    ("Bristol", "BS1 4AA", "United Kingdom", "GB", "GBR"),
    ("Kraków", "30-001", "Poland", "PL", "POL"),
    ("Straße des 17. Juni, Berlin", "10785", "Germany", "DE", "DEU"),
    ("Austin\nTexas", "73301", "United States", "US", "USA"),
];
const STATUSES: [&str; 6] = ["Draft / Quote", "New web order", "On hold", "Invoiced", "Cancelled", "Fulfilled"];
/// The third letter of a stock status, behind the two of the order's type: none, a part, all.
const STOCK: [&str; 3] = ["N", "P", "A"];
const ALLOCATION: [&str; 4] = ["ANR", "ANA", "APA", "AAA"];
const SHIPPING: [&str; 4] = ["NST", "SNS", "SPS", "ASS"];
/// An order of this age is closed, but for one in a hundred.
const CLOSED_AFTER: i64 = 30 * DAY;
const CURRENCIES: [&str; 3] = ["GBP", "EUR", "USD"];

/// Columns of order-search.
pub const COLUMNS: &[Column] = &[
    Column::of("orderId", "IDSET"),
    Column { reference: Some("orderTypeNames"), ..Column::of("orderTypeId", "IDSET") },
    Column::of("contactId", "INTEGER"),
    Column { reference: Some("orderStatusNames"), ..Column::of("orderStatusId", "INTEGER") },
    Column::of("orderStockStatusId", "INTEGER"),
    Column::of("createdOn", "PERIOD"),
    Column::of("createdById", "INTEGER"),
    Column::of("customerRef", "STRING"),
    Column::of("orderPaymentStatusId", "INTEGER"),
    Column::of("updatedOn", "PERIOD"),
    Column::of("parentOrderId", "IDSET"),
    Column::of("orderShippingStatusId", "INTEGER"),
    Column::of("externalRef", "STRING"),
    Column::of("installedIntegrationInstanceId", "INTEGER"),
    Column::of("warehouseId", "IDSET"),
    Column::of("staffOwnerContactId", "INTEGER"),
    Column::of("taxDate", "PERIOD"),
    Column::of("departmentId", "INTEGER"),
    Column::of("deliveryDate", "PERIOD"),
];

/// What is the same in a document and in its search row.
struct Head {
    kind: usize,
    contact: i64,
    status: usize,
    reference: String,
    external: Option<String>,
    warehouse: i64,
    staff: i64,
    channel: i64,
    paid: u64,
    /// Places in `STOCK`, `ALLOCATION` and `SHIPPING`.
    stock: usize,
    allocation: usize,
    shipping: usize,
    tax_date: Option<i64>,
    delivery: Option<i64>,
    currency: &'static str,
}

/// The place in `TYPES` of what a record's first dice say.
fn kind(dice: &mut Dice) -> usize {
    let roll = dice.below(100);
    let mut sum = 0;
    let found = TYPES.iter().position(|(_, share)| {
        sum += share;
        roll < sum
    });
    found.unwrap_or(0)
}

/// A purchase order: this one or the next, where one of the next sixty is one.
pub fn purchase(world: &World, id: i64) -> i64 {
    let bought = |id: &i64| TYPES[kind(&mut Dice::new(world.seed, *id, 11))].0 == "PO";
    (id..id + 60).map(|id| 1 + (id - 1) % world.orders.max(1)).find(bought).unwrap_or(id)
}

fn head(world: &World, record: &Record) -> Head {
    let mut dice = Dice::new(world.seed, record.id, 11);
    let kind = kind(&mut dice);
    let contacts = world.contacts.unsigned_abs().max(1);
    let contact = i64::try_from(dice.below(contacts)).expect("an id fits") + 1;
    let reference = if dice.percent(10) { String::new() } else { format!("WEB-{} #{}", record.id, dice.below(1000)) };
    let external = dice.percent(40).then(|| format!("EXT\u{2013}{}", dice.below(1_000_000)));
    let small = |value: u64| i64::try_from(value).expect("it is small");
    let warehouse = small(dice.below(5)) + 1;
    let staff = small(dice.below(4));
    let channel = small(dice.below(5)) + 1;
    let mut edits = Dice::new(world.seed, record.id, 1_000 + u64::from(record.revision));
    let mut status = usize::try_from(edits.below(6)).expect("it is small");
    if record.created < world.start - CLOSED_AFTER && Dice::new(world.seed, record.id, 17).percent(99) {
        status = 3 + status % 3;
    }
    // Payments come without moving the order's date.
    let paid = (edits.below(4) + u64::from(record.touches)) % 4;
    let invoiced = status >= 3;
    // So do goods, until the order is closed.
    let moved = if invoiced { 0 } else { u64::from(record.touches) };
    let mut states = Dice::new(world.seed, record.id, 3_000 + u64::from(record.revision));
    let mut state =
        |of: &[&str], moved: u64| usize::try_from(states.below(60) + moved).expect("it is small") % of.len();
    Head {
        kind,
        stock: state(&STOCK, moved),
        allocation: state(&ALLOCATION, moved),
        shipping: state(&SHIPPING, 0),
        contact,
        status,
        reference,
        external,
        warehouse,
        staff,
        channel,
        paid,
        tax_date: invoiced.then(|| midnight(world, record.created)),
        currency: CURRENCIES[usize::try_from(Dice::new(world.seed, record.id, 16).below(3)).expect("it is small")],
        delivery: edits.percent(50).then(|| (record.created / DAY + 3) * DAY),
    }
}

/// The search row of an order.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let head = head(world, record);
    let number = |value: usize| Cell::Int(i64::try_from(value).expect("it is small"));
    vec![
        Cell::Int(record.id),
        number(head.kind + 1),
        Cell::Int(head.contact),
        number(head.status + 1),
        number(head.kind * STOCK.len() + head.stock + 1),
        Cell::Time(record.created),
        Cell::Int(4),
        Cell::Text(head.reference),
        Cell::Int(i64::try_from(head.paid).expect("it is small")),
        record.updated.map_or(Cell::Null, Cell::Time),
        Cell::Int(0),
        number(head.shipping + 1),
        head.external.map_or(Cell::Null, Cell::Text),
        Cell::Null,
        Cell::Int(head.warehouse),
        Cell::Int(head.staff),
        head.tax_date.map_or(Cell::Null, Cell::Time),
        Cell::Int(head.channel),
        head.delivery.map_or(Cell::Null, Cell::Time),
    ]
}

/// The names that order-search refers to: of types and of statuses, by id.
pub fn reference(name: &str, id: i64) -> Option<&'static str> {
    let place = usize::try_from(id - 1).ok()?;
    match name {
        "orderTypeNames" => ["SALES_ORDER", "PURCHASE_ORDER", "SALES_CREDIT", "PURCHASE_CREDIT"].get(place).copied(),
        "orderStatusNames" => STATUSES.get(place).copied(),
        _ => None,
    }
}

/// The document of an order.
pub fn document(world: &World, record: &Record, with: With, out: &mut String) {
    let head = head(world, record);
    let mut dice = Dice::new(world.seed, record.id, 12);
    let at = |seconds: i64| instant(&world.zone, seconds);
    let (code, _) = TYPES[head.kind];
    let _ = write!(
        out,
        "{{\"id\":{},\"parentOrderId\":{},\"orderTypeCode\":\"{code}\",\"reference\":",
        record.id,
        if head.kind >= 2 { record.id - 1 } else { 0 }
    );
    string(out, &head.reference);
    if let Some(external) = &head.external {
        out.push_str(",\"externalRef\":");
        string(out, external);
    }
    if dice.percent(30) {
        let _ = write!(out, ",\"installedIntegrationInstanceId\":{}", dice.below(9) + 1);
    }
    let invoiced = head.tax_date.is_some();
    let _ = write!(
        out,
        ",\"version\":{},\"state\":{{\"tax\":\"{}\"}},\"tax\":{{\"errors\":[]}},\"orderStatus\":{{\"orderStatusId\":{},\"name\":\"{}\"}}",
        record.revision + u32::from(record.updated.is_some()),
        if invoiced { "INVOICED" } else { "READY" },
        head.status + 1,
        STATUSES[head.status],
    );
    let paid = ["NOT_APPLICABLE", "UNPAID", "PARTIALLY_PAID", "PAID"][usize::try_from(head.paid).expect("it is small")];
    let _ = write!(
        out,
        ",\"orderPaymentStatus\":\"{paid}\",\"stockStatusCode\":\"{code}{}\",\"allocationStatusCode\":\"{}\",\"shippingStatusCode\":\"{}\",\"placedOn\":\"{}\",\"createdOn\":\"{}\"",
        STOCK[head.stock],
        ALLOCATION[head.allocation],
        SHIPPING[head.shipping],
        at(record.created - 6),
        at(record.created),
    );
    if let Some(updated) = record.updated {
        let _ = write!(out, ",\"updatedOn\":\"{}\"", at(updated));
    }
    if invoiced {
        let _ = write!(out, ",\"closedOn\":\"{}\"", at(record.updated.unwrap_or(record.created + 3600)));
    }
    let _ = write!(
        out,
        ",\"createdById\":4,\"priceListId\":2,\"priceModeCode\":\"{}\"",
        if head.kind == 1 { "INC" } else { "EXC" }
    );
    out.push_str(",\"delivery\":{");
    if let Some(delivery) = head.delivery {
        let _ = write!(out, "\"deliveryDate\":\"{}\",", at(delivery));
    }
    let _ = write!(out, "\"shippingMethodId\":{}}}", dice.below(7));
    out.push_str(",\"invoices\":[");
    let invoices = if invoiced { 1 + dice.below(2) } else { 0 };
    for invoice in 0..invoices {
        if invoice > 0 {
            out.push(',');
        }
        let _ = write!(out, "{{\"invoiceReference\":\"{code}-{}-{invoice}\"", record.id);
        if invoice == 0 {
            // The one is midnight in the account's zone, the other in UTC: so they are at the source.
            let (tax, due) = (midnight(world, record.created), (record.created / DAY + 30) * DAY);
            let _ = write!(out, ",\"taxDate\":\"{}\",\"dueDate\":\"{}\"", at(tax), at(due));
        }
        out.push('}');
    }
    out.push(']');
    money(world, record, &head, &mut dice, out);
    let _ = write!(
        out,
        ",\"assignment\":{{\"current\":{{\"staffOwnerContactId\":{},\"projectId\":0,\"channelId\":{},\"leadSourceId\":{},\"teamId\":0}}}}",
        head.staff,
        head.channel,
        dice.below(5),
    );
    parties(&head, &mut dice, out);
    rows(world, record, head.currency, out);
    let _ = write!(out, ",\"warehouseId\":{}", head.warehouse);
    custom_fields(world, record, with, out);
    let _ = write!(out, ",\"acknowledged\":{},\"costPriceListId\":1,\"historicalOrder\":false", dice.below(2));
    if let Some(tax_date) = head.tax_date {
        let _ = write!(out, ",\"originalInvoiceDate\":\"{}\"", at(tax_date));
    }
    let _ = write!(out, ",\"orderWeighting\":{}}}", dice.below(101));
}

fn money(world: &World, record: &Record, head: &Head, dice: &mut Dice, out: &mut String) {
    let currency = head.currency;
    let rate = if currency == "GBP" {
        1_000_000
    } else {
        i64::try_from(1_000_000 + dice.below(400_000)).expect("it is small")
    };
    let rate_text = decimal(rate, 6);
    let _ = write!(
        out,
        ",\"currency\":{{\"accountingCurrencyCode\":\"GBP\",\"orderCurrencyCode\":\"{currency}\",\"exchangeRate\":\"{rate_text}\",\"fixedExchangeRate\":{}}}",
        dice.percent(20),
    );
    let mut edits = Dice::new(world.seed, record.id, 2_000 + u64::from(record.revision));
    let mut net = i64::try_from(edits.below(500_000)).expect("it is small");
    if head.kind >= 2 {
        net = -net;
    }
    let tax = net / 5;
    let base = |amount: i64| amount * 1_000_000 / rate;
    let _ = write!(
        out,
        ",\"totalValue\":{{\"net\":\"{}\",\"taxAmount\":\"{}\",\"baseNet\":\"{}\",\"baseTaxAmount\":\"{}\",\"baseTotal\":\"{}\",\"total\":\"{}\"}}",
        cents(net),
        cents(tax),
        cents(base(net)),
        cents(base(tax)),
        cents(base(net) + base(tax)),
        cents(net + tax),
    );
}

fn parties(head: &Head, dice: &mut Dice, out: &mut String) {
    let roles: &[&str] = if head.kind == 1 || head.kind == 3 {
        &["supplier", "delivery", "billing"]
    } else {
        &["customer", "delivery", "billing"]
    };
    out.push_str(",\"parties\":{");
    for (place, role) in roles.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let (town, code, country, iso, iso3) = PLACES[usize::try_from(dice.below(4)).expect("it is small")];
        let _ = write!(out, "\"{role}\":{{");
        if *role != "delivery" {
            let _ = write!(out, "\"contactId\":{},", head.contact);
        }
        out.push_str("\"addressFullName\":");
        string(out, dice.pick(&PEOPLE));
        out.push_str(",\"companyName\":");
        string(out, if dice.percent(50) { "" } else { "Buyer & Søns Ltd" });
        let _ =
            write!(out, ",\"addressLine1\":\"{} Quay St\",\"addressLine2\":\"\",\"addressLine3\":", dice.below(200));
        string(out, town);
        out.push_str(",\"addressLine4\":\"\",\"postalCode\":");
        string(out, code);
        let _ = write!(
            out,
            ",\"country\":\"{country}\",\"telephone\":\"0117 {:06}\",\"mobileTelephone\":\"\",\"fax\":\"\",\"email\":\"buyer{}@example.com\",\"countryId\":222,\"countryIsoCode\":\"{iso}\",\"countryIsoCode3\":\"{iso3}\"}}",
            dice.below(1_000_000),
            dice.below(10_000),
        );
    }
    out.push('}');
}

/// Lines: some stay, some go, some come with every revision. Their ids are the order's times sixteen, and a number.
fn rows(world: &World, record: &Record, currency: &str, out: &mut String) {
    let mut base = Dice::new(world.seed, record.id, 13);
    let count = 1 + base.below(5);
    let revision = u64::from(record.revision);
    out.push_str(",\"orderRows\":{");
    let mut first = true;
    // Not in the order of their ids, as at the source.
    for place in (0..count + revision.min(6)).rev() {
        let gone = place < revision.min(6) && place + 1 < count + revision.min(6);
        if gone {
            continue;
        }
        let changing = if place + 1 == count { revision } else { 0 };
        let mut dice =
            Dice::new(world.seed, record.id * 16 + i64::try_from(place).expect("it is small"), 14 + changing);
        if !first {
            out.push(',');
        }
        first = false;
        row_document(
            world,
            currency,
            record.id * 16 + i64::try_from(place).expect("it is small"),
            place,
            &mut dice,
            out,
        );
    }
    out.push('}');
}

fn row_document(world: &World, currency: &str, id: i64, place: u64, dice: &mut Dice, out: &mut String) {
    let product = dice.below(world.products.unsigned_abs().max(1)) + 1;
    let (quantity, price) = (1 + dice.below(12), dice.below(900_000));
    let cost = i64::try_from(price / 2).expect("it is small");
    let net = i64::try_from(quantity * price).expect("it is small");
    let _ = write!(out, "\"{id}\":{{\"orderRowSequence\":\"{}\",", (place + 1) * 10);
    if dice.percent(95) {
        let _ = write!(out, "\"productId\":{product},");
    }
    out.push_str("\"productName\":");
    string(
        out,
        dice.pick(&["Cotton Shirt", "Crème brûlée torch", "靴下 (3 足)", "Mug \"Best Dad\" 🎁", "Line\nbreak"]),
    );
    let _ = write!(
        out,
        ",\"productSku\":\"SKU-{product}\",\"quantity\":{{\"magnitude\":\"{quantity}.0000\"}},\"itemCost\":{{\"currencyCode\":\"GBP\",\"value\":\"{}\"}},\"productPrice\":{{\"currencyCode\":\"{currency}\",\"value\":\"{}\"}}",
        decimal(cost, 4),
        decimal(i64::try_from(price).expect("it is small"), 4),
    );
    // Bare here, a string there: both are seen at the source.
    if dice.percent(50) {
        out.push_str(",\"discountPercentage\":0.00")
    } else {
        out.push_str(",\"discountPercentage\":\"12.50\"")
    }
    let _ = write!(
        out,
        ",\"rowValue\":{{\"taxRate\":\"20.0000\",\"taxCode\":\"T20\",\"taxCalculator\":\"brightpearl\",\"rowNet\":{{\"currencyCode\":\"{currency}\",\"value\":\"{}\"}},\"rowTax\":{{\"currencyCode\":\"{currency}\",\"value\":\"{}\"}},\"taxClassId\":7}},\"nominalCode\":\"4000\",\"composition\":{{\"bundleParent\":false,\"bundleChild\":false,\"parentOrderRowId\":0}}",
        decimal(net, 4),
        decimal(net / 5, 4),
    );
    if dice.percent(30) {
        let _ =
            write!(out, ",\"productOptions\":{{\"Colour\":\"Black\",\"Size\":\"{}\"}}", dice.pick(&["S", "M", "L"]));
    }
    out.push_str(",\"clonedFromId\":0}");
}

fn custom_fields(world: &World, record: &Record, with: With, out: &mut String) {
    let mut dice = Dice::new(world.seed, record.id, 15 + u64::from(record.revision));
    let mut nulls = Vec::new();
    let mut fields = String::new();
    let mut field = |present: bool, code: &'static str, value: &dyn Fn(&mut String)| {
        if !present {
            nulls.push(code);
            return;
        }
        let _ = write!(fields, "{}\"{code}\":", if fields.is_empty() { "" } else { "," });
        value(&mut fields);
    };
    let note = dice.pick(&["Happy birthday 🎉", "", "Leave with \"porter\"", "Łódź"]);
    let (number, zone) = (dice.below(10_000), dice.below(3));
    field(dice.percent(50), "PCF_GIFTNOTE", &|out| string(out, note));
    field(dice.percent(30), "PCF_ZONE", &|out| {
        let _ = write!(
            out,
            "{{\"id\":{},\"value\":\"{}\"}}",
            62 + zone,
            ["North", "South", "West"][usize::try_from(zone).expect("it is small")]
        );
    });
    field(dice.percent(30), "PCF_WRAP", &|out| out.push_str(if number % 2 == 0 { "true" } else { "false" }));
    field(dice.percent(30), "PCF_POINTS", &|out| {
        let _ = write!(out, "{number}");
    });
    field(dice.percent(20), "PCF_PROMISED", &|out| {
        let _ = write!(out, "\"{}\"", instant(&world.zone, record.created / DAY * DAY));
    });
    if with.custom_fields && !fields.is_empty() {
        let _ = write!(out, ",\"customFields\":{{{fields}}}");
    }
    if with.null_custom_fields && !nulls.is_empty() {
        let _ = write!(out, ",\"nullCustomFields\":[\"{}\"]", nulls.join("\",\""));
    }
}

/// Midnight of an instant's day in the account's zone.
fn midnight(world: &World, seconds: i64) -> i64 {
    let offset = |seconds: i64| {
        let at = jiff::Timestamp::from_second(seconds).expect("an instant of the sandbox is in range");
        i64::from(world.zone.to_offset(at).seconds())
    };
    let day = (seconds + offset(seconds)) / DAY * DAY;
    // The day may begin before a change of the clocks.
    day - offset(day - offset(seconds))
}
