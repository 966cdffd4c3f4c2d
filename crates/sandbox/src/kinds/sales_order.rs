//! Sales orders in a second, flat shape: the records of `order` that are sales, with the same terms, lines, totals and states.

use std::fmt::Write;

use super::order::{self, ALLOCATION, Head, PAID, SHIPPING, STOCK};
use super::{Cell, Column, Record, World};
use crate::seed::Dice;
use crate::text::{cents, decimal, instant, string};

/// Columns of sales-order-search.
pub const COLUMNS: &[Column] = &[
    Column::of("salesOrderId", "IDSET"),
    Column::of("customerId", "INTEGER"),
    Column { reference: Some("orderStatusNames"), ..Column::of("orderStatusId", "INTEGER") },
    Column::of("createdOn", "PERIOD"),
    Column::of("customerRef", "STRING"),
    Column::of("updatedOn", "PERIOD"),
    Column::of("warehouseId", "IDSET"),
    Column::of("channelId", "INTEGER"),
];

/// Whether an order is a sale.
pub fn is_there(world: &World, record: &Record) -> bool {
    world.trade.terms(record.id, record.created).order_type.place() == 0
}

/// The search row of a sale.
pub fn row(world: &World, record: &Record) -> Vec<Cell> {
    let head = order::head(world, record);
    vec![
        Cell::Int(record.id),
        Cell::Int(head.terms.contact),
        Cell::Int(head.states.status),
        Cell::Time(record.created),
        Cell::Text(head.reference),
        record.updated.map_or(Cell::Null, Cell::Time),
        Cell::Int(head.terms.warehouse),
        Cell::Int(head.terms.channel),
    ]
}

/// The document of a sale.
pub fn document(world: &World, record: &Record, out: &mut String) {
    let head = order::head(world, record);
    let (terms, totals, states) = (&head.terms, &head.totals, &head.states);
    let mut dice = Dice::new(world.seed, record.id, 0x80);
    let at = |seconds: i64| instant(&world.zone, seconds);
    let _ =
        write!(out, "{{\"id\":{},\"customerId\":{1},\"customer\":{{\"id\":{1},\"address\":", record.id, terms.contact);
    address(&mut dice, out);
    let _ = write!(out, "}},\"billing\":{{\"contactId\":{},\"address\":", terms.contact);
    address(&mut dice, out);
    out.push_str("},\"ref\":");
    string(out, &head.reference);
    if let Some(external) = &head.external {
        out.push_str(",\"externalRef\":");
        string(out, external);
    }
    let _ = write!(
        out,
        ",\"placedOn\":\"{}\",\"createdOn\":\"{}\",\"createdBy\":4,\"parentId\":\"{}\",\"statusId\":{},\"warehouseId\":{},\"channelId\":{},\"staffOwnerId\":{},\"projectId\":0,\"teamId\":0,\"priceListId\":{},\"priceModeCode\":\"{}\"",
        at(record.created - 6),
        at(record.created),
        terms.parent.unwrap_or(0),
        states.status,
        terms.warehouse,
        terms.channel,
        head.staff,
        terms.price_list,
        terms.price_mode,
    );
    for (key, seconds) in [("updatedOn", record.updated), ("taxDate", head.tax_date)] {
        if let Some(seconds) = seconds {
            let _ = write!(out, ",\"{key}\":\"{}\"", at(seconds));
        }
    }
    let _ = write!(
        out,
        ",\"currency\":{{\"code\":\"{}\",\"fixedExchangeRate\":false,\"exchangeRate\":\"{}\"}},\"delivery\":{{\"shippingMethodId\":{},\"address\":",
        terms.currency,
        decimal(terms.rate, 6),
        dice.below(7),
    );
    address(&mut dice, out);
    if let Some(delivery) = head.delivery {
        let _ = write!(out, ",\"date\":\"{}\"", at(delivery));
    }
    let _ = write!(
        out,
        "}},\"total\":{{\"net\":\"{}\",\"tax\":\"{}\",\"gross\":\"{}\",\"baseNet\":\"{}\",\"baseTax\":\"{}\",\"baseGross\":\"{}\"}}",
        cents(totals.net),
        cents(totals.tax),
        cents(totals.total()),
        cents(totals.base_net),
        cents(totals.base_tax),
        cents(totals.base_total()),
    );
    let _ = write!(
        out,
        ",\"stockStatusCode\":\"SO{}\",\"orderPaymentStatus\":\"{}\",\"allocationStatusCode\":\"{}\",\"shippingStatusCode\":\"{}\",\"orderWeighting\":{}",
        STOCK[states.stock],
        PAID[states.paid],
        ALLOCATION[states.allocation],
        SHIPPING[states.shipping],
        record.touches,
    );
    if let (Some(reference), Some(tax_date)) = (terms.invoice(), head.tax_date) {
        let (tax, due) = (at(tax_date), at(tax_date + 30 * 86_400));
        let _ = write!(
            out,
            ",\"invoice\":{{\"invoiceReference\":\"{reference}\",\"taxDate\":\"{tax}\",\"dueDate\":\"{due}\"}}"
        );
    }
    if dice.percent(50) {
        let _ = write!(
            out,
            ",\"installedIntegrationInstanceId\":{},\"leadSourceId\":{},\"isCanceled\":false,\"costPriceListId\":1",
            dice.below(9) + 1,
            dice.below(5),
        );
    }
    rows(&head, out);
    out.push('}');
}

/// An address; every other one has all its lines.
fn address(dice: &mut Dice, out: &mut String) {
    out.push_str("{\"addressFullName\":");
    string(out, dice.pick(&["Zoë Brontë", "Alex \"Al\" Buyer", "株式会社サクラ"]));
    let number = dice.below(200);
    let _ = write!(
        out,
        ",\"addressLine1\":\"{number} Quay St\",\"addressLine3\":\"Kraków\",\"postalCode\":\"BS1 4AA\",\"countryIsoCode\":\"GB\",\"email\":\"buyer{number}@example.com\""
    );
    if number.is_multiple_of(2) {
        let _ = write!(
            out,
            ",\"companyName\":\"Buyer {number} Ltd\",\"addressLine2\":\"Floor {number}\",\"addressLine4\":\"County\",\"telephone\":\"0117 {number:06}\",\"mobileTelephone\":\"07700 {number:06}\",\"fax\":\"0118 {number:06}\""
        );
    }
    out.push('}');
}

/// Lines, in an array.
fn rows(head: &Head, out: &mut String) {
    out.push_str(",\"rows\":[");
    for (place, line) in head.lines.iter().rev().enumerate() {
        let _ = write!(out, "{}{{\"id\":{},\"name\":", if place == 0 { "" } else { "," }, line.id);
        string(out, line.name);
        if let Some(product) = line.product {
            let _ =
                write!(out, ",\"productId\":{product},\"sku\":\"SKU-{product}\",\"externalRef\":\"EXT-{}\"", line.id);
        }
        let _ = write!(
            out,
            ",\"quantity\":\"{}.0000\",\"taxCode\":\"{}\",\"tax\":\"{}\",\"net\":\"{}\",\"nominalCode\":\"{}\",\"productPrice\":\"{}\",\"sequence\":\"{}\",\"bundleChild\":false,\"bundleParent\":false,\"parentRowId\":0,\"discountPercentage\":\"{}\",\"taxCalculator\":\"brightpearl\",\"clonedFromId\":0,\"taxClassId\":{}}}",
            line.quantity,
            line.taxed.code,
            cents(line.tax),
            cents(line.net),
            line.nominal,
            decimal(line.price, 4),
            (line.place + 1) * 10,
            decimal(line.discount, 2),
            line.taxed.id,
        );
    }
    out.push(']');
}
