//! Nothing is lost in silence: fields that come, go or turn empty are reported by path and count; rejected records are
//! written once.

use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{Done, Program, account, check_truth, files, query};

/// An account of which a resource is exported.
async fn loaded(orders: u64, resource: &str) -> (Sandbox, tempfile::TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", resource]).expect(0);
    sandbox.age(Duration::from_secs(5 * 3600));
    (sandbox, lake, program)
}

fn answer(sandbox: &Sandbox, rules: Value) {
    sandbox.change(|settings| settings.answers = serde_json::from_value(rules).unwrap());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_column_that_a_search_renames_is_a_warning_by_name_and_nothing_is_lost() {
    // GIVEN exported payments, new ones beside one of the last two hours, and another name for a column of the search
    let (sandbox, lake, program) = loaded(200, "customer_payment").await;
    sandbox.insert("customer_payment", 24);
    let rename = json!({"rename": {"from": "amountPaid", "to": "paidAmount"}});
    answer(&sandbox, json!([{"path": "customer-payment-search", "then": rename}]));

    // WHEN a night goes by
    let done = program.run(&["run", "customer_payment"]).expect(0);

    // THEN the column that is gone and the one that came are named with their rows, in words and in the report
    says(&done, "warning: customer_payment: the search no longer has the column `amountPaid`");
    says(&done, "columns that the schema maps are missing from the search, and null here: amountPaid (25 rows)");
    says(&done, "fields that the schema does not name are kept in `_extra`: customer_payment.paidAmount (25 values)");
    says(&done, "columns that had values before are now null in every row: customer_payment.amount_paid (25 rows)");
    let found = report(lake.path(), "customer_payment");
    assert_eq!(found["missing_columns"], json!([{"path": "amountPaid", "count": 25}]));
    assert_eq!(found["unknown_fields"][0]["path"], "customer_payment.paidAmount");
    assert_eq!(found["unknown_fields"][0]["count"], 25);
    assert_eq!(found["emptied_columns"], json!([{"path": "customer_payment.amount_paid", "count": 25}]));

    // AND the value is kept beside the row
    let glob = format!("{}/customer_payment/**/*.parquet", lake.path().display());
    let kept = "amount_paid IS NULL AND json_extract(_extra, '$.paidAmount') IS NOT NULL";
    assert_eq!(query(&format!("SELECT count(*) FROM read_parquet('{glob}') WHERE {kept}")), ["25"]);

    // AND `check` names them, from the results of the last scans
    answer(&sandbox, json!([]));
    let check = program.run(&["check"]).expect(0);
    says(&check, "customer_payment: fields of the last scans: they differ from the schema");
    says(&check, "it no longer has `amountPaid` in its search: 25 rows came without");
    says(&check, "it has `customer_payment.paidAmount`, which no column takes: 25 values went to `_extra`");
    says(&check, "it has nothing for `customer_payment.amount_paid`, which was filled before: null in 25 rows");

    // WHEN the search is as it was, and everything is read again THEN nothing is missing any more
    let done = program.run(&["run", "--full", "customer_payment"]).expect(0);
    assert!(!done.said().contains("amountPaid"), "{}", done.said());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "customer_payment"]);
    let check = program.run(&["check"]).expect(0);
    assert!(!check.said().contains("amountPaid") && !check.said().contains("amount_paid"), "{}", check.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_field_of_documents_that_changes_its_name_is_reported_by_path_and_count() {
    // GIVEN exported orders of which many are changed, and documents in which a field has another name
    let (sandbox, lake, program) = loaded(300, "order").await;
    let ids: Vec<i64> = sandbox.ids("order").into_iter().step_by(5).take(40).collect();
    sandbox.edit("order", &ids);
    let replace = json!({"replace": {"from": "\"orderTypeCode\":", "to": "\"orderKindCode\":"}});
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": replace}]));
    let program = program.with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "30d");

    // WHEN a night goes by
    let done = program.run(&["run", "order"]).expect(0);

    // THEN both names are reported with their counts
    says(&done, "kept in `_extra`: order.orderKindCode (40 values)");
    says(&done, "columns that had values before are now null in every row: order.order_type_code (40 rows)");

    // WHEN another night goes by with the same answers THEN the column is not reported once more, the field is
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.edit("order", &ids);
    let done = program.run(&["run", "order"]).expect(0);
    assert!(!done.said().contains("null throughout"), "{}", done.said());
    says(&done, "kept in `_extra`: order.orderKindCode (40 values)");
    assert_eq!(report(lake.path(), "order")["emptied_columns"], json!([]));
    says(&program.run(&["check"]).expect(0), "it has nothing for `order.order_type_code`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_whose_column_turns_empty_is_reported_however_short_it_is() {
    // GIVEN an exported list of four rows, of which a field gets another name
    let (sandbox, _lake, program) = loaded(100, "order_type").await;
    let replace = json!({"replace": {"from": "\"description\":", "to": "\"title\":"}});
    answer(&sandbox, json!([{"path": "order-service/order-type", "then": replace}]));

    // WHEN it is read again THEN the column is reported
    let done = program.run(&["run", "--full", "order_type"]).expect(0);
    says(&done, "columns that had values before are now null in every row: order_type.description (4 rows)");
    says(&done, "kept in `_extra`: order_type.title (4 values)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn few_rows_without_a_rare_value_are_no_alarm() {
    // GIVEN exported orders, and some changes
    let (sandbox, _lake, program) = loaded(300, "order").await;

    // WHEN nights go by with a few changed orders THEN nothing is reported of columns
    for night in 0..3 {
        let ids: Vec<i64> = sandbox.ids("order").into_iter().skip(night).step_by(29).collect();
        sandbox.edit("order", &ids);
        sandbox.insert("order", 8);
        sandbox.age(Duration::from_secs(24 * 3600));
        let done = program.run(&["run", "order"]).expect(0);
        assert!(!done.said().contains("null throughout"), "{}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_rejected_record_is_written_once_not_each_night() {
    // GIVEN exported orders, of which five are changed and returned with a row that has no number as its key
    let (sandbox, lake, program) = loaded(200, "order").await;
    let replace = json!({"replace": {"from": "\"orderRows\":{", "to": "\"orderRows\":{\"x\":{},"}});
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": replace}]));
    let program = program.with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "30d");
    let written = || -> Vec<String> {
        let texts = files(&lake.path().join("_pearlift/misfits")).into_iter();
        let texts: Vec<String> = texts.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    };

    // WHEN three nights go by, each after a change of these orders
    for night in 0..3 {
        sandbox.edit("order", &sandbox.ids("order")[..5]);
        let done = program.run(&["run", "order"]);
        assert!([0, 3].contains(&done.code), "{}", done.said());

        // THEN the row is written once for each order, however often it comes
        assert_eq!(written().len(), 5, "night {night}");
        sandbox.age(Duration::from_secs(24 * 3600));
    }
}
