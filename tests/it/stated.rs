//! Rows that the fixtures of the sandbox state, against those of a schema for the served records: an exchange of two
//! columns must make a difference.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use pearlift::decode::Page;
use pearlift::schema::{Catalog, EXTRA, Resource, Type};
use serde_json::Value;

use crate::reference::cells;
use crate::schemas::decode;
use crate::support::serve;

/// Exchanges of two columns that change no row, for the reason that is given: table, one column, the other.
const SAME: [(&str, &str, &str, &str); 12] = [
    ("contact_postal_address", "contact_id", "address_contact_id", "an address repeats the id of its contact"),
    ("contact_search", "company_name", "exact_company_name", "both are the name of the company"),
    ("goods_in_note", "id", "goods_note_id", "a note repeats the id that it has in the map"),
    ("goods_in_note_movement", "goods_in_note_id", "goods_note_id", "a line repeats the id of its note"),
    ("goods_in_note_movement", "goods_in_note_id", "batch_goods_note_id", BATCH),
    ("goods_in_note_movement", "goods_note_id", "batch_goods_note_id", BATCH),
    ("order_row", "product_price_currency_code", "row_net_currency_code", CURRENCY),
    ("order_row", "product_price_currency_code", "row_tax_currency_code", CURRENCY),
    ("order_row", "row_net_currency_code", "row_tax_currency_code", CURRENCY),
    ("sales_credit", "project_id", "team_id", "the credits of the small account have equal values"),
    ("sales_credit_row", "discount_percentage", "cloned_from_id", "their lines have equal values"),
    ("stock_correction_movement", "stock_correction_id", "batch_goods_note_id", BATCH),
];
const BATCH: &str = "goods that come in are a batch of their note";
const CURRENCY: &str = "all amounts of a line are in the currency of its order";

/// The sorted rows of each table, by column.
type Tables = Vec<Vec<Vec<Option<String>>>>;

/// A value as the text of a cell.
fn cell(value: &Value, kind: Type) -> Option<String> {
    let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(match (kind, value) {
        (_, Value::Null) => return None,
        (Type::Json, _) => value.to_string(),
        (Type::Decimal { scale, .. }, _) => {
            let text = text();
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            format!("{whole}.{fraction:0<width$.width$}", width = usize::from(scale))
        }
        (Type::Date, _) => {
            let days = text().parse::<Date>().unwrap().duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
            days.to_string()
        }
        (Type::Timestamp, _) => text().parse::<Timestamp>().unwrap().as_microsecond().to_string(),
        (Type::Bool | Type::Int32 | Type::Int64 | Type::Float64 | Type::String | Type::Hash { .. }, _) => text(),
    })
}

fn stated(resource: &Resource, records: &[Value]) -> Tables {
    let tables = resource.tables.iter().map(|table| {
        let rows =
            records.iter().flat_map(|record| record["tables"][&table.name].as_array().cloned().unwrap_or_default());
        let row = |row: Value| {
            let named: BTreeSet<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            let columns: BTreeSet<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(named, columns, "{}", table.name);
            table.columns.iter().map(|column| cell(&row[&column.name], column.kind)).collect()
        };
        let mut rows: Vec<_> = rows.map(row).collect();
        rows.sort();
        rows
    });
    tables.collect()
}

fn decoded(resource: &Resource, page: &Page) -> Tables {
    (0..resource.tables.len()).map(|place| decoded_table(resource, page, place)).collect()
}

/// The sorted rows of one table.
fn decoded_table(resource: &Resource, page: &Page, place: usize) -> Vec<Vec<Option<String>>> {
    let (table, batch) = (&resource.tables[place], &page.tables[place].batch);
    let schema = batch.schema();
    let kind = |name: &str| table.columns.iter().find(|column| column.name == name).map(|column| column.kind);
    let kinds: Vec<Option<Type>> = schema.fields().iter().map(|field| kind(field.name())).collect();
    assert!(schema.fields().iter().zip(&kinds).all(|(field, kind)| kind.is_some() || field.name() == EXTRA));
    let row = |row: Vec<Option<String>>| -> Vec<Option<String>> {
        let named = row.into_iter().zip(&kinds).filter_map(|(cell, kind)| Some((cell, (*kind)?)));
        let one = |(cell, kind): (Option<String>, Type)| match kind {
            Type::Json => cell.map(|text| serde_json::from_str::<Value>(&text).unwrap().to_string()),
            _ => cell,
        };
        named.map(one).collect()
    };
    let mut rows: Vec<_> = cells(batch).into_iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn a_column_that_takes_the_path_of_a_sibling_differs_from_the_rows_that_a_fixture_states() {
    let catalog = Catalog::load(None).unwrap();
    let (mut resources, mut tried, mut alive) = (0, 0, BTreeSet::new());
    for resource in catalog.resources() {
        // GIVEN records with tables as their fixture states them
        let served = serve(resource, None);
        if served.rows.is_empty() {
            continue;
        }
        resources += 1;
        let wanted = stated(resource, &served.rows);
        assert_eq!(decoded(resource, &decode(resource, &served.text)), wanted, "{}", resource.name);
        for (place, table) in resource.tables.iter().enumerate() {
            for (a, b) in (0..table.columns.len()).flat_map(|a| (a + 1..table.columns.len()).map(move |b| (a, b))) {
                if table.columns[a].from == table.columns[b].from {
                    continue;
                }
                // WHEN two columns exchange their paths
                let mut changed = resource.clone();
                let columns = &mut changed.tables[place].columns;
                let path = columns[b].from.clone();
                columns[b].from = std::mem::replace(&mut columns[a].from, path);
                tried += 1;

                // THEN the tables differ
                let page = decode(&changed, &served.text);
                let same = page.rejected_records.is_empty() && decoded_table(&changed, &page, place) == wanted[place];
                if same && decoded(&changed, &page) == wanted {
                    alive.insert((table.name.as_str(), table.columns[a].name.as_str(), table.columns[b].name.as_str()));
                }
            }
        }
    }
    assert_eq!(alive, SAME.iter().map(|(table, one, other, _)| (*table, *one, *other)).collect(), "of {tried}");
    assert!(resources >= 42 && tried > 5_000, "{resources} resources, {tried} exchanges");
}
