//! Orders: sales, purchases and their credits, with lines that come and go from edit to edit.

use std::fmt::Write;

use crate::kinds::{Cell, Column, Record, With, World};
use crate::rules::{self, Line, States, Terms, Totals};
use crate::seed::Dice;
use crate::text::{cents, decimal, instant, string};

const DAY: i64 = 24 * 3600;
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
/// The third letter of a stock status, behind the two of the order's type: none, a part, all.
pub(super) const STOCK: [&str; 3] = ["N", "P", "A"];
pub(super) const ALLOCATION: [&str; 4] = ["ANR", "ANA", "APA", "AAA"];
pub(super) const SHIPPING: [&str; 4] = ["NST", "SNS", "SPS", "ASS"];
pub(super) const PAID: [&str; 4] = ["NOT_APPLICABLE", "UNPAID", "PARTIALLY_PAID", "PAID"];

/// A message of an external tax calculation; its shape at the source is not known.
const TAX_ERROR: &str = "{\"code\":\"TAX-1\",\"message\":\"Größe \\\"L\\\": no such address\"}";

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

/// The values that a document and its search row share.
pub(super) struct Head {
    pub terms: Terms,
    pub lines: Vec<Line>,
    pub totals: Totals,
    pub states: States,
    /// -1 where the values of credits are negative.
    pub sign: i64,
    pub reference: String,
    pub external: Option<String>,
    pub staff: i64,
    pub tax_date: Option<i64>,
    pub delivery: Option<i64>,
}

pub(super) fn head(world: &World, record: &Record) -> Head {
    let mut dice = Dice::new(world.seed, record.id, 11);
    let reference = if dice.percent(10) { String::new() } else { format!("WEB-{} #{}", record.id, dice.below(1000)) };
    let external = dice.percent(40).then(|| format!("EXT\u{2013}{}", dice.below(1_000_000)));
    let staff = i64::try_from(dice.below(4)).expect("it is small");
    let mut edits = Dice::new(world.seed, record.id, 1_000 + u64::from(record.revision));
    let terms = world.trade.terms(record.id, record.created);
    let lines = world.trade.lines(&terms, record.revision);
    let totals = world.trade.totals(&terms, &lines);
    let states = world.trade.states(&terms, &totals, record.revision, record.touches);
    Head {
        sign: if world.trade.negative_credits && terms.order_type.is_credit() { -1 } else { 1 },
        reference,
        external,
        staff,
        tax_date: terms.is_invoiced().then(|| midnight(world, record.created)),
        delivery: edits.percent(50).then(|| (record.created / DAY + 3) * DAY),
        terms,
        lines,
        totals,
        states,
    }
}

/// The search row of an order.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let head = head(world, record);
    let number = |value: usize| Cell::Int(i64::try_from(value).expect("it is small"));
    vec![
        Cell::Int(record.id),
        number(head.terms.order_type.place() + 1),
        Cell::Int(head.terms.contact),
        Cell::Int(head.states.status),
        number(head.terms.order_type.place() * STOCK.len() + head.states.stock + 1),
        Cell::Time(record.created),
        Cell::Int(4),
        Cell::Text(head.reference),
        number(head.states.paid),
        record.updated.map_or(Cell::Null, Cell::Time),
        Cell::Int(head.terms.parent.unwrap_or(0)),
        number(head.states.shipping + 1),
        head.external.map_or(Cell::Null, Cell::Text),
        Cell::Null,
        Cell::Int(head.terms.warehouse),
        Cell::Int(head.staff),
        head.tax_date.map_or(Cell::Null, Cell::Time),
        Cell::Int(head.terms.channel),
        head.delivery.map_or(Cell::Null, Cell::Time),
    ]
}

/// The names that order-search refers to: of types and of statuses, by id.
pub fn reference(name: &str, id: i64) -> Option<&'static str> {
    let place = usize::try_from(id - 1).ok()?;
    match name {
        "orderTypeNames" => ["SALES_ORDER", "PURCHASE_ORDER", "SALES_CREDIT", "PURCHASE_CREDIT"].get(place).copied(),
        "orderStatusNames" => rules::status(id).map(|(_, name)| name),
        _ => None,
    }
}

/// The document of an order.
pub fn document(world: &World, record: &Record, with: With, out: &mut String) {
    let head = head(world, record);
    let (terms, states) = (&head.terms, &head.states);
    let mut dice = Dice::new(world.seed, record.id, 12);
    let at = |seconds: i64| instant(&world.zone, seconds);
    let code = terms.order_type.code();
    let _ = write!(
        out,
        "{{\"id\":{},\"parentOrderId\":{},\"orderTypeCode\":\"{code}\",\"reference\":",
        record.id,
        terms.parent.unwrap_or(0)
    );
    string(out, &head.reference);
    if let Some(external) = &head.external {
        out.push_str(",\"externalRef\":");
        string(out, external);
    }
    if dice.percent(30) {
        let _ = write!(out, ",\"installedIntegrationInstanceId\":{}", dice.below(9) + 1);
    }
    let _ = write!(
        out,
        ",\"version\":{},\"state\":{{\"tax\":\"{}\"}},\"tax\":{{\"errors\":[{}]}},\"orderStatus\":{{\"orderStatusId\":{},\"name\":",
        record.revision + u32::from(record.updated.is_some()),
        if terms.is_invoiced() { "INVOICED" } else { "READY" },
        if record.id % 16 == 5 { TAX_ERROR } else { "" },
        states.status,
    );
    string(out, rules::status(states.status).map_or("", |(_, name)| name));
    let _ = write!(
        out,
        "}},\"orderPaymentStatus\":\"{}\",\"stockStatusCode\":\"{code}{}\",\"allocationStatusCode\":\"{}\",\"shippingStatusCode\":\"{}\",\"placedOn\":\"{}\",\"createdOn\":\"{}\"",
        PAID[states.paid],
        STOCK[states.stock],
        ALLOCATION[states.allocation],
        SHIPPING[states.shipping],
        at(record.created - 6),
        at(record.created),
    );
    for (key, seconds) in [("updatedOn", record.updated), ("closedOn", terms.closed(&world.trade))] {
        if let Some(seconds) = seconds {
            let _ = write!(out, ",\"{key}\":\"{}\"", at(seconds));
        }
    }
    let (price_list, mode) = (terms.price_list, terms.price_mode);
    let _ = write!(out, ",\"createdById\":4,\"priceListId\":{price_list},\"priceModeCode\":\"{mode}\"");
    out.push_str(",\"delivery\":{");
    if let Some(delivery) = head.delivery {
        let _ = write!(out, "\"deliveryDate\":\"{}\",", at(delivery));
    }
    let _ = write!(out, "\"shippingMethodId\":{}}}", dice.below(7));
    invoices(world, record, terms, &mut dice, out);
    money(&head, &mut dice, out);
    let _ = write!(
        out,
        ",\"assignment\":{{\"current\":{{\"staffOwnerContactId\":{},\"projectId\":0,\"channelId\":{},\"leadSourceId\":{},\"teamId\":0}}}}",
        head.staff,
        terms.channel,
        dice.below(5),
    );
    parties(&head, &mut dice, out);
    rows(world, &head, out);
    let _ = write!(out, ",\"warehouseId\":{}", terms.warehouse);
    custom_fields(world, record, with, out);
    let _ = write!(out, ",\"acknowledged\":{},\"costPriceListId\":1,\"historicalOrder\":false", dice.below(2));
    if let Some(tax_date) = head.tax_date {
        let _ = write!(out, ",\"originalInvoiceDate\":\"{}\"", at(tax_date));
    }
    // A silent change shows here, whatever the order's stage.
    let weighting = (dice.below(101) + u64::from(record.touches)) % 101;
    let _ = write!(out, ",\"orderWeighting\":{weighting}}}");
}

/// The invoice, and in half of the orders one more that has no reference yet.
fn invoices(world: &World, record: &Record, terms: &Terms, dice: &mut Dice, out: &mut String) {
    out.push_str(",\"invoices\":[");
    let more = dice.below(2) == 1;
    if let Some(reference) = terms.invoice() {
        // The one is midnight in the account's zone, the other in UTC: so they are at the source.
        let (tax, due) = (midnight(world, record.created), (record.created / DAY + 30) * DAY);
        let at = |seconds: i64| instant(&world.zone, seconds);
        let _ = write!(
            out,
            "{{\"invoiceReference\":\"{reference}\",\"taxDate\":\"{}\",\"dueDate\":\"{}\"}}",
            at(tax),
            at(due)
        );
        if more {
            out.push_str(",{\"invoiceReference\":\"\"}");
        }
    }
    out.push(']');
}

fn money(head: &Head, dice: &mut Dice, out: &mut String) {
    let (terms, totals) = (&head.terms, &head.totals);
    let _ = write!(
        out,
        ",\"currency\":{{\"accountingCurrencyCode\":\"GBP\",\"orderCurrencyCode\":\"{}\",\"exchangeRate\":\"{}\",\"fixedExchangeRate\":{}}}",
        terms.currency,
        decimal(terms.rate, 6),
        dice.percent(20),
    );
    let money = |amount: i64| cents(amount * head.sign);
    let _ = write!(
        out,
        ",\"totalValue\":{{\"net\":\"{}\",\"taxAmount\":\"{}\",\"baseNet\":\"{}\",\"baseTaxAmount\":\"{}\",\"baseTotal\":\"{}\",\"total\":\"{}\"}}",
        money(totals.net),
        money(totals.tax),
        money(totals.base_net),
        money(totals.base_tax),
        money(totals.base_total()),
        money(totals.total()),
    );
}

fn parties(head: &Head, dice: &mut Dice, out: &mut String) {
    let roles: &[&str] = if head.terms.order_type.is_purchase() {
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
            let _ = write!(out, "\"contactId\":{},", head.terms.contact);
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

/// Lines, by ids that are the order's times sixteen, and a number.
fn rows(world: &World, head: &Head, out: &mut String) {
    out.push_str(",\"orderRows\":{");
    // Not in the order of their ids, as at the source.
    for (place, line) in head.lines.iter().rev().enumerate() {
        out.push_str(if place == 0 { "" } else { "," });
        row_document(world, head, line, out);
    }
    out.push('}');
}

fn row_document(world: &World, head: &Head, line: &Line, out: &mut String) {
    let currency = head.terms.currency;
    let mut dice = Dice::new(world.seed, line.id, 14);
    let _ = write!(out, "\"{}\":{{\"orderRowSequence\":\"{}\",", line.id, (line.place + 1) * 10);
    if let Some(product) = line.product {
        let _ = write!(out, "\"productId\":{product},");
    }
    out.push_str("\"productName\":");
    string(out, line.name);
    if let Some(product) = line.product {
        let _ = write!(out, ",\"productSku\":\"SKU-{product}\"");
    }
    let _ = write!(
        out,
        ",\"quantity\":{{\"magnitude\":\"{}.0000\"}},\"itemCost\":{{\"currencyCode\":\"GBP\",\"value\":\"{}\"}},\"productPrice\":{{\"currencyCode\":\"{currency}\",\"value\":\"{}\"}}",
        line.quantity * head.sign,
        decimal(line.cost, 4),
        decimal(line.price, 4),
    );
    // Bare here, a string there: both are seen at the source.
    let discount = decimal(line.discount, 2);
    let _ = if line.discount == 0 {
        write!(out, ",\"discountPercentage\":{discount}")
    } else {
        write!(out, ",\"discountPercentage\":\"{discount}\"")
    };
    let _ = write!(
        out,
        ",\"rowValue\":{{\"taxRate\":\"{}\",\"taxCode\":\"{}\",\"taxCalculator\":\"brightpearl\",\"rowNet\":{{\"currencyCode\":\"{currency}\",\"value\":\"{}00\"}},\"rowTax\":{{\"currencyCode\":\"{currency}\",\"value\":\"{}\"}},\"taxClassId\":{}}},\"nominalCode\":\"{}\",\"composition\":{{\"bundleParent\":false,\"bundleChild\":false,\"parentOrderRowId\":0}}",
        decimal(line.taxed.rate * 100, 4),
        line.taxed.code,
        cents(line.net * head.sign),
        cents(line.tax * head.sign),
        line.taxed.id,
        line.nominal,
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
