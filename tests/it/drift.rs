//! Fields that change at the source are reported in the first night, by path and count, and nothing of them is lost: columns
//! that vanish, values of another kind, and the columns that unknown fields would have.

use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{Done, Program, account, files, query};

/// An account of which resources are exported.
async fn loaded(orders: u64, resources: &[&str]) -> (Sandbox, tempfile::TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "30d");
    program.run(&[&["run"], resources].concat()).expect(0);
    sandbox.age(Duration::from_secs(5 * 3600));
    (sandbox, lake, program)
}

/// Replaces texts in the documents of a path.
fn replace(sandbox: &Sandbox, path: &str, texts: &[(&str, &str)]) {
    let rule = |(from, to): &(&str, &str)| json!({"path": path, "then": {"replace": {"from": from, "to": to}}});
    let rules: Vec<Value> = texts.iter().map(rule).collect();
    sandbox.change(|settings| settings.answers = serde_json::from_value(json!(rules)).unwrap());
}

/// The newest report of a lake on a resource.
fn report(lake: &Path, resource: &str) -> Value {
    let reports = files(&lake.join("_pearlift/runs")).into_iter();
    let reports = reports.map(|path| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap());
    let newest = reports.max_by_key(|report| report["started_at"].as_str().unwrap().to_owned()).unwrap();
    newest["resources"].as_array().unwrap().iter().find(|found| found["resource"] == resource).unwrap().clone()
}

#[track_caller]
fn says(done: &Done, text: &str) {
    assert!(done.said().contains(text), "{text}\n{}", done.said());
}

#[track_caller]
fn one(lake: &Path, table: &str, select: &str) -> String {
    let glob = format!("{}/{table}/**/*.parquet", lake.display());
    query(&format!("SELECT {select} FROM read_parquet('{glob}')")).remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_orders_alone_are_no_alarm_of_columns_that_they_do_not_have_yet() {
    // GIVEN exported orders of which so many are invoiced that sixty orders would be expected to have twenty invoices
    let (sandbox, lake, program) = loaded(300, &["order"]).await;
    let invoiced = one(lake.path(), "order", "count(original_invoice_date_local) * 60 >= 20 * count(*)");
    assert_eq!(invoiced, "True");

    // WHEN a night brings sixty new orders, which are not invoiced yet, and nothing else
    sandbox.insert("order", 60);
    let done = program.run(&["run", "order"]).expect(0);

    // THEN nothing is said to have vanished
    let fresh = "count(*) - count(original_invoice_date_local) >= 60";
    assert_eq!(one(lake.path(), "order", fresh), "True");
    let found = report(lake.path(), "order");
    assert_eq!(found["rows_added"].as_u64().map(|rows| rows >= 60), Some(true), "{found}");
    assert_eq!(found["emptied_columns"], json!([]));
    assert!(!done.said().contains("before"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_only_some_records_have_is_missed_in_the_first_night_without_it() {
    // GIVEN exported orders, of which forty invoiced ones are changed, and documents that name their invoices otherwise
    let (sandbox, lake, program) = loaded(300, &["order"]).await;
    let glob = format!("{}/order_invoice/**/*.parquet", lake.path().display());
    let ids = query(&format!("SELECT DISTINCT order_id FROM read_parquet('{glob}') ORDER BY 1 LIMIT 40"));
    let ids: Vec<i64> = ids.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids.len(), 40);
    sandbox.edit("order", &ids);
    replace(&sandbox, "order-service/order/", &[("\"invoices\":", "\"bills\":")]);

    // WHEN a night goes by
    let done = program.run(&["run", "order"]).expect(0);

    // THEN the rows are missed, the list under its new name is reported with a column, and its values are kept
    says(&done, "`order_invoice` has no row of 40 records that came, and had rows before");
    says(&done, "order: tables that had rows before have none: order_invoice.* (40 records)");
    says(&done, "{ name = \"bills\", from = \"bills\", type = \"json\" }");
    let found = report(lake.path(), "order");
    let emptied = found["emptied_columns"].as_array().unwrap();
    assert!(emptied.contains(&json!({"path": "order_invoice.*", "count": 40})), "{found}");
    assert_eq!(one(lake.path(), "order", "count(json_extract(_extra, '$.bills'))"), "40");
    says(
        &program.run(&["check"]).expect(0),
        "it has no rows of `order_invoice`, which had rows before: none of 40 records",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_number_that_becomes_a_text_is_told_by_path_and_costs_nothing_else() {
    // GIVEN exported orders and brands, of which thirty orders are changed and have a text where there was a number
    let (sandbox, lake, program) = loaded(300, &["order", "brand"]).await;
    let ids: Vec<i64> = sandbox.ids("order").into_iter().step_by(7).take(30).collect();
    sandbox.edit("order", &ids);
    let texts = [("\"costPriceListId\":", "\"costPriceListId\":\"list\",\"costListId\":")];
    replace(&sandbox, "order-service/order/", &texts);

    // WHEN a night goes by THEN it succeeds, and names the place with both kinds; the column is not said to have vanished
    let done = program.run(&["run", "order", "brand"]).expect(0);
    says(&done, "order: values of another kind than before: order.costPriceListId (number before, text in 30 values)");
    assert!(!done.said().contains("null throughout"), "{}", done.said());
    let found = report(lake.path(), "order");
    let change = json!([{"path": "order.costPriceListId", "was": "number", "is": "text", "count": 30}]);
    assert_eq!(found["changed_kinds"], change);
    let line = "{ name = \"cost_list_id\", from = \"costListId\", type = \"int64\" }";
    assert_eq!(found["unknown_fields"][0]["column"], line, "{found}");
    assert_eq!(found["rejected_values"][0]["count"], 30, "{found}");
    assert_eq!(report(lake.path(), "brand")["end"], "complete");

    // AND the texts are kept beside the rows
    assert_eq!(one(lake.path(), "order", "count(*) FILTER (_extra ->> '$.costPriceListId' = 'list')"), "30");
    let check = program.run(&["check"]).expect(0);
    says(&check, "it has text for `order.costPriceListId`, which was number before: 30 values");

    // WHEN the same comes once more THEN it is no news
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.edit("order", &ids);
    let done = program.run(&["run", "order"]).expect(0);
    assert!(!done.said().contains("another kind"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_becomes_a_map_is_told_and_its_names_are_kept() {
    // GIVEN exported channels, and a map in the place of a list
    let (sandbox, lake, program) = loaded(100, &["channel"]).await;
    replace(
        &sandbox,
        "product-service/channel",
        &[("\"warehouseIds\":[", "\"warehouseIds\":{\"main\":3},\"wasIds\":[")],
    );

    // WHEN they are read again THEN the place is named, and the rows have the values with the names beside them
    let done = program.run(&["run", "channel"]).expect(0);
    says(&done, "channel: values of another kind than before: channel.warehouseIds (list before, map in");
    let rows = "bool_and(warehouse_id = 3 AND _extra ->> '$.\"@key\"' = 'main') AND count(*) > 2";
    assert_eq!(one(lake.path(), "channel_warehouse", rows), "True");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_column_that_is_printed_for_an_unknown_field_works_in_a_schema_file() {
    // GIVEN exported orders of which some came with a field that the schema does not name
    let (sandbox, lake, program) = loaded(200, &["order"]).await;
    sandbox.edit("order", &sandbox.ids("order")[..25]);
    replace(
        &sandbox,
        "order-service/order/",
        &[("\"costPriceListId\":", "\"loyaltyPoints\":250,\"costPriceListId\":")],
    );
    let done = program.run(&["run", "order"]).expect(0);
    let line = "{ name = \"loyalty_points\", from = \"loyaltyPoints\", type = \"int64\" }";
    says(
        &done,
        &format!(
            "help: a column for `order.loyaltyPoints`, in [tables.order] of a file order.toml for --schemas: {line}"
        ),
    );
    says(&program.run(&["check"]).expect(0), &format!("it may have this column for `order.loyaltyPoints`: {line}"));

    // WHEN the line is added to a copy of the schema file, and the next run takes it
    let own = tempfile::tempdir().unwrap();
    let built_in = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/order.toml")).unwrap();
    let (before, after) = built_in.split_once("\n]\n\n[tables.order_row]").unwrap();
    let text = format!("{before}\n  {line},\n]\n\n[tables.order_row]{after}");
    std::fs::write(own.path().join("order.toml"), text).unwrap();
    program.with("PEARLIFT_SCHEMAS", own.path().to_str().unwrap()).run(&["run", "order"]).expect(0);

    // THEN the stored rows have the values in the column, and nothing is left beside it
    let filled = "count(*) FILTER (loyalty_points = 250) || ' ' || count(json_extract(_extra, '$.loyaltyPoints'))";
    assert_eq!(one(lake.path(), "order", filled), "25 0");
}
