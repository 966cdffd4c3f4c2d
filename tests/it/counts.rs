//! The count of the source and its greatest ids, each night, against what the tables hold.

use std::time::Duration;

use pearlift::sandbox::kinds::Kind;
use pearlift::sandbox::{Rule, Sandbox};
use serde_json::{Value, json};

use crate::support::{Program, account, check_truth, head, query};

/// Has requests answered wrongly, as these rules say.
fn answers(sandbox: &Sandbox, rules: Value) {
    let rules: Vec<Rule> = serde_json::from_value(rules).expect("the rules are well formed");
    sandbox.change(|settings| settings.answers = rules);
}

/// Has the searches by date show nothing, of these searches.
fn no_dates(sandbox: &Sandbox, searches: &[&str]) {
    let columns = ["updatedOn=", "createdOn=", "shippedOn=", "shipped="];
    let rules = searches
        .iter()
        .flat_map(|search| columns.map(|column| json!({"path": format!("{search}?{column}"), "then": "none"})));
    answers(sandbox, rules.collect());
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// The rows of a table.
fn rows(lake: &tempfile::TempDir, table: &str) -> usize {
    let glob = format!("{}/{table}/**/*.parquet", lake.path().display());
    query(&format!("SELECT count(DISTINCT id) FROM read_parquet('{glob}')"))[0].parse().expect("a number")
}

/// The count in the state of a resource.
fn counted(lake: &tempfile::TempDir, resource: &str) -> Value {
    head(lake.path(), resource)["state"]["count"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_listing_of_some_ids_alone_costs_no_record() {
    // GIVEN orders of which OPTIONS lists half, once, or none, once
    for then in ["half", "empty"] {
        let sandbox = account(980).await;
        answers(&sandbox, json!([{"method": "OPTIONS", "path": "order-service/order", "at": [1], "then": then}]));
        let lake = folder();

        // WHEN they are loaded THEN all are there
        let done = Program::new(&sandbox, lake.path()).run(&["run", "order"]).expect(0);
        assert_eq!(rows(&lake, "order"), sandbox.ids(Kind::Order).len(), "{then}: {}", done.said());
        assert!(done.stderr.contains("more than were read"), "{then}: {}", done.stderr);
        check_truth(&sandbox, lake.path().to_str().expect("a path"), &["--only", "order,order_row"]);
        assert_eq!(counted(&lake, "order")["explained"], 0, "{then}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_style_of_reading_is_complete_by_a_count() {
    // GIVEN an account, one answer of which lists fewer records than there are
    for (resource, table, kind, rule) in [
        (
            "contact",
            "contact",
            Kind::Contact,
            json!({"method": "OPTIONS", "path": "contact", "at": [1], "then": "half"}),
        ),
        (
            "goods_out_note",
            "goods_out_note",
            Kind::GoodsOutNote,
            json!({"path": "out-search?columns=goodsOutNoteId&sort=goodsOutNoteId.ASC", "at": [1], "then": "none"}),
        ),
        (
            "journal",
            "journal",
            Kind::Journal,
            json!({"path": "sort=journalId.DESC&pageSize=1", "at": [1], "then": "none"}),
        ),
        (
            "customer_payment",
            "customer_payment",
            Kind::CustomerPayment,
            json!({"path": "customer-payment-search?sort=paymentId.ASC", "at": [1], "then": "none"}),
        ),
    ] {
        let sandbox = account(400).await;
        answers(&sandbox, json!([rule]));
        let lake = folder();

        // WHEN it is loaded THEN all are there
        let done = Program::new(&sandbox, lake.path()).run(&["run", resource]).expect(0);
        assert_eq!(rows(&lake, table), sandbox.ids(kind).len(), "{resource}: {}", done.said());
        assert_eq!(counted(&lake, resource)["explained"], 0, "{resource}: {}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_count_that_contradicts_a_finished_walk_is_reported_once_and_is_no_error() {
    // GIVEN a search that counts 30 rows more than it ever shows, where it is asked from its end
    let sandbox = account(300).await;
    let there = sandbox.ids(Kind::Order).len();
    let rule = json!({"path": "order-search?columns=orderId,createdOn&sort=orderId.DESC", "then": {"claim": {"available": there + 30}}});
    answers(&sandbox, json!([rule]));
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());

    // WHEN it is loaded, and read for some nights THEN that is said once, and all ends well
    let done = program.run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("the count of the source is not believed any more"), "{}", done.stderr);
    for _ in 0..3 {
        sandbox.age(Duration::from_secs(24 * 3600));
        let done = program.run(&["run", "order"]).expect(0);
        assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    }
    assert_eq!(counted(&lake, "order")["unreliable"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_hides_records_is_explained_and_no_alarm() {
    // GIVEN a search that counts fewer orders than OPTIONS lists
    let sandbox = account(300).await;
    let there = sandbox.ids(Kind::Order).len();
    let rule =
        json!({"path": "order-search?columns=orderId,createdOn&sort", "then": {"claim": {"available": there - 20}}});
    answers(&sandbox, json!([rule]));
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());

    // WHEN it is loaded, and read for some nights THEN the difference is explained, and nothing is warned of
    for _ in 0..4 {
        let done = program.run(&["run", "order"]).expect(0);
        assert!(!done.stderr.contains("warning"), "{}", done.stderr);
        assert_eq!(counted(&lake, "order")["explained"], -20);
        sandbox.age(Duration::from_secs(24 * 3600));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_date_leads_to_is_found_by_its_id() {
    // GIVEN an exported account, and new records that no search by date shows
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    let chosen = ["run", "order", "product", "customer_payment", "supplier_payment"];
    program.run(&chosen).expect(0);
    sandbox.age(Duration::from_secs(24 * 3600));
    for kind in [Kind::Order, Kind::Product, Kind::CustomerPayment, Kind::SupplierPayment] {
        sandbox.insert(kind, 9);
    }
    sandbox.age(Duration::from_secs(600));
    no_dates(&sandbox, &["order-search", "product-search", "customer-payment-search", "supplier-payment-search"]);

    // WHEN a night goes by THEN they are there
    program.run(&chosen).expect(0);
    let tables = "order,order_row,product,customer_payment,supplier_payment";
    check_truth(&sandbox, lake.path().to_str().expect("a path"), &["--only", tables]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quiet_night_costs_one_request_more_and_a_setting_spares_it() {
    // GIVEN an exported account
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order", "customer_payment", "goods_in_note"]).expect(0);
    let mut spent = Vec::new();
    for wanted in ["true", "false"] {
        sandbox.age(Duration::from_secs(24 * 3600));
        sandbox.insert(Kind::Order, 5);
        sandbox.insert(Kind::CustomerPayment, 5);
        sandbox.age(Duration::from_secs(600));
        sandbox.take_log();

        // WHEN a night goes by, with the comparison and without
        let program = program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", wanted);
        program.run(&["run", "order", "customer_payment", "goods_in_note"]).expect(0);
        let log = sandbox.take_log();
        spent.push(
            [
                "order-service/order-search",
                "accounting-service/customer-payment-search",
                "warehouse-service/goods-in-search",
            ]
            .map(|search| log.of(&format!("GET {search}"))),
        );
    }

    // THEN it is one request of each
    assert_eq!(spent[0], spent[1].map(|requests| requests + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_changed_difference_is_located_and_what_is_missing_is_read() {
    // GIVEN an exported account, records of a night that nothing found, and so many since that they are not among the newest
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    let chosen = ["run", "order", "goods_out_note", "customer_payment"];
    program.run(&chosen).expect(0);
    let kinds = [Kind::Order, Kind::GoodsOutNote, Kind::CustomerPayment];
    let old: Vec<Vec<i64>> = kinds.iter().map(|kind| sandbox.ids(*kind)).collect();
    sandbox.age(Duration::from_secs(24 * 3600));
    for kind in kinds {
        sandbox.insert(kind, 4);
    }
    sandbox.age(Duration::from_secs(5 * 3600));
    no_dates(&sandbox, &["order-search", "customer-payment-search", "goods-out-search"]);
    program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false").run(&chosen).expect(0);
    answers(&sandbox, json!([]));
    sandbox.age(Duration::from_secs(24 * 3600));
    for kind in kinds {
        sandbox.insert(kind, 600);
    }
    sandbox.age(Duration::from_secs(600));

    // WHEN a night goes by THEN they are there
    let done = program.run(&chosen).expect(0);
    for (kind, table) in kinds.into_iter().zip(["order", "goods_out_note", "customer_payment"]) {
        assert_eq!(rows(&lake, table), sandbox.ids(kind).len(), "{table}: {}", done.said());
        assert_eq!(counted(&lake, table)["explained"], 0, "{table}: {}", done.said());
    }
    assert!(done.stderr.contains("4 records that the source has and no date led to were read"), "{}", done.stderr);

    // WHEN old ones are deleted at the source THEN the next night names them as candidates, once
    for (kind, ids) in kinds.into_iter().zip(&old) {
        sandbox.delete(kind, &[ids[10], ids[20]]);
    }
    sandbox.age(Duration::from_secs(24 * 3600));
    let done = program.run(&["-v", "run", "customer_payment", "order", "goods_out_note"]).expect(0);
    for (table, ids) in ["order", "goods_out_note", "customer_payment"].into_iter().zip(&old) {
        let wanted = json!([[ids[10], ids[10]], [ids[20], ids[20]]]);
        assert_eq!(counted(&lake, table)["vanished"], wanted, "{table}: {}", done.said());
    }
    sandbox.age(Duration::from_secs(24 * 3600));
    let done = program.run(&chosen).expect(0);
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_that_cancel_out_in_a_count_are_found_within_a_week() {
    // GIVEN orders of a night that nothing found, as many deleted since, and more new ones than a page shows
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let old = sandbox.ids(Kind::Order);
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.insert(Kind::Order, 2);
    let missed: Vec<i64> = sandbox.ids(Kind::Order).into_iter().filter(|id| !old.contains(id)).collect();
    sandbox.age(Duration::from_secs(5 * 3600));
    no_dates(&sandbox, &["order-search"]);
    program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false").run(&["run", "order"]).expect(0);
    answers(&sandbox, json!([]));
    sandbox.delete(Kind::Order, &[old[10], old[20]]);
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.insert(Kind::Order, 600);
    sandbox.age(Duration::from_secs(600));

    // WHEN a night goes by THEN the count tells nothing
    let done = program.run(&["run", "order"]).expect(0);
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let of_missed = format!("SELECT count(*) FROM read_parquet('{glob}') WHERE id IN ({}, {})", missed[0], missed[1]);
    assert_eq!(query(&of_missed), ["0"]);

    // WHEN a week has gone by THEN the sets are compared
    sandbox.age(Duration::from_secs(6 * 24 * 3600));
    let done = program.run(&["run", "order"]).expect(0);
    assert_eq!(query(&of_missed), ["2"], "{}", done.said());
    assert_eq!(counted(&lake, "order")["vanished"], json!([[old[10], old[10]], [old[20], old[20]]]));
}
