//! Places in which answers of the source differ from its documentation, or say less than their names: each has its column, or its
//! description says so.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type};
use pearlift::decode::date_days;
use pearlift::schema::{Catalog, Column, Confidence, ReadStyle, Resource, Type};

use crate::schemas::decode;
use crate::support::answer;

fn column(catalog: &Catalog, table: &str, name: &str) -> Column {
    let tables = catalog.resources().iter().flat_map(|resource| &resource.tables);
    let table = tables.into_iter().find(|found| found.name == table).unwrap_or_else(|| panic!("no table {table}"));
    table.columns.iter().find(|column| column.name == name).unwrap_or_else(|| panic!("no column {name}")).clone()
}

fn get(resource: &Resource) -> (&str, usize) {
    match &resource.read.style {
        ReadStyle::IdSets { get, max_ids, .. } | ReadStyle::PerOwner { get, max_ids, .. } => (get, *max_ids),
        ReadStyle::Search(_) | ReadStyle::List { .. } => panic!("{} is not read by ids", resource.name),
    }
}

#[test]
fn a_date_that_is_written_as_midnight_utc_is_that_day_west_of_utc_too() {
    let day = |text: &str| date_days(text).unwrap();
    assert_eq!(day("2022-01-19T18:00:00.000-06:00"), day("2022-01-20"));
    assert_eq!(day("2022-01-20T00:00:00.000-06:00"), day("2022-01-20"));
}

#[test]
fn what_comes_without_a_date_is_read_again_and_sections_are_asked_for() {
    let catalog = Catalog::load(None).unwrap();
    let find = |name: &str| catalog.get(name).unwrap();
    for payments in ["customer_payment", "supplier_payment"] {
        assert!(find(payments).read.reload_every.is_some(), "{payments}: a journal is set later");
        assert_eq!(column(&catalog, payments, "payment_date_local").kind, Type::Date);
    }
    let (availability, _) = get(find("product_availability"));
    for section in ["breakDownByLocation", "onOrder", "allocatedOrders", "allocatedTransfers"] {
        assert!(availability.contains(section), "{section}");
    }
    for resource in ["order", "product"] {
        assert!(get(find(resource)).0.contains("nullCustomFields"), "{resource}");
    }
    // No limit of journals is documented: a set that is refused is halved.
    assert_eq!(get(find("journal")).1, 200);
}

#[test]
fn fields_that_other_readers_have_are_columns_and_guesses_are_marked() {
    let catalog = Catalog::load(None).unwrap();
    column(&catalog, "product_warehouse", "overflow_location_id");
    column(&catalog, "contact", "organisation_job_title");
    for (table, name) in [("contact_search", "last_ordered_on"), ("journal_row", "id"), ("order_tax_error", "error")] {
        column(&catalog, table, name);
    }
    assert_eq!(column(&catalog, "warehouse", "logistics_name").meaning.confidence, Confidence::Guess);
    for name in ["available_to_sell_on_channel", "sell_when_no_stock"] {
        let column = column(&catalog, "product_sales_channel", name);
        assert!(column.meaning.description.contains("only where a channel is requested"), "{name}");
    }
}

#[test]
fn lists_in_texts_options_and_nested_bundles_are_rows_and_custom_fields_have_types() {
    let catalog = Catalog::load(None).unwrap();
    let rows = |resource: &str, table: &str| {
        let resource = catalog.get(resource).unwrap();
        let place = resource.tables.iter().position(|found| found.name == table).unwrap();
        decode(resource, &answer(resource)).tables[place].batch.clone()
    };
    assert_eq!(rows("contact", "contact_tag").num_rows(), 2, "12 and 15 of `0,12,15`");
    assert_eq!(rows("order", "order_row_option").num_rows(), 2);
    let parts = rows("product", "product_bundle_component");
    let levels: Vec<i32> =
        parts.column_by_name("level").unwrap().as_primitive::<arrow_array::types::Int32Type>().values().to_vec();
    assert_eq!(levels, [0, 0, 1, 1, 2]);
    for (resource, table) in
        [("order", "order_custom_field"), ("contact", "contact_custom_field"), ("product", "product_custom_field")]
    {
        let fields = rows(resource, table);
        let typed = |name: &str| {
            let values = fields.column_by_name(name).unwrap();
            values.len() - values.null_count()
        };
        assert_eq!((typed("value_bool"), typed("value_number"), typed("value_date")), (1, 1, 1), "{table}");
        assert!(fields.column_by_name("value_date").unwrap().as_primitive_opt::<Date32Type>().is_some());
    }
}

#[test]
fn an_order_of_a_journal_line_that_is_no_number_is_kept_beside_it() {
    let catalog = Catalog::load(None).unwrap();
    let journal = catalog.get("journal").unwrap();
    let whole = answer(journal);
    let start = whole.find("\"orderId\":").unwrap() + "\"orderId\":".len();
    let end = start + whole[start..].find([',', '}', '\n']).unwrap();
    let page = decode(journal, &format!("{} \"PO-7\"{}", &whole[..start], &whole[end..]));
    let place = journal.tables.iter().position(|table| table.name == "journal_line").unwrap();
    let lines = &page.tables[place].batch;
    let extra = lines.column_by_name("_extra").unwrap().as_string::<i32>();
    let row = (0..lines.num_rows()).find(|row| extra.is_valid(*row)).expect("a line keeps it");
    assert_eq!(extra.value(row), "{\"orderId\":\"PO-7\"}");
    assert!(lines.column_by_name("order_id").unwrap().as_primitive::<Int64Type>().is_null(row));
}
