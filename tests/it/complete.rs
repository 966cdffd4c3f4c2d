//! The end of a search, and full reads against the count of the source: no single answer makes a table short.

use pearlift::sandbox::{AnswerRule, Sandbox, SandboxSettings, Size};
use serde_json::{Value, json};

use crate::support::{Echo, Program, query, start, this_morning};

/// An account of payments and little else.
async fn payments(customer: u64, supplier: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let size =
        Size { orders: 50, ..Size::default() }.with("customer_payment", customer).with("supplier_payment", supplier);
    start(settings, size).await
}

/// Bends these answers, by their numbers among the requests with the text in their path.
fn answer(sandbox: &Sandbox, path: &str, at: &[u64], then: Value) {
    answers(sandbox, json!([{"path": path, "at": at, "then": then}]));
}

fn answers(sandbox: &Sandbox, rules: Value) {
    let rules: Vec<AnswerRule> = serde_json::from_value(rules).expect("the rules are well formed");
    sandbox.change(|settings| settings.answers = rules);
}

/// The rows of a table.
fn rows(lake: &tempfile::TempDir, table: &str) -> u64 {
    let glob = format!("{}/{table}/**/*.parquet", lake.path().display());
    query(&format!("SELECT count(DISTINCT id) FROM read_parquet('{glob}')"))[0].parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_that_contradicts_the_count_once_costs_no_row() {
    // GIVEN 1,900 payments, and one page that has only its overlapping row, or none, or fewer than it states
    for (at, then) in [
        (2, json!({"keep": 1})),
        (3, json!({"keep": 1})),
        (4, json!({"keep": 7})),
        (1, json!("empty")),
        (2, json!("empty")),
        (4, json!("empty")),
        (2, json!("half")),
    ] {
        let sandbox = payments(1_900, 10).await;
        let lake = tempfile::tempdir().expect("a folder can be made");
        answer(&sandbox, "customer-payment-search", &[at], then.clone());

        // WHEN they are read THEN all are there
        Program::new(&sandbox, lake.path()).run(&["run", "customer_payment"]).expect(0);
        assert_eq!(rows(&lake, "customer_payment"), 1_900, "{at} {then}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_cut_short_under_a_wrong_count_are_read_to_the_end() {
    // GIVEN 1,300 payments to suppliers on pages of 200, each of which claims 500 rows and that none follow
    let sandbox = payments(10, 1_300).await;
    sandbox.change(|settings| settings.page_cap = 200);
    answer(&sandbox, "supplier-payment-search", &[], json!({"claim": {"available": 500, "more": false}}));
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path());

    // WHEN they are read THEN all are there
    program.run(&["run", "supplier_payment"]).expect(0);
    assert_eq!(rows(&lake, "supplier_payment"), 1_300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_count_costs_one_further_page() {
    // GIVEN payments to suppliers that fill a page, or less, and a page cut to its overlapping row
    for (supplier, requests) in [(120, 2), (600, 3)] {
        let sandbox = payments(10, supplier).await;
        let lake = tempfile::tempdir().expect("a folder can be made");
        sandbox.take_log();

        // WHEN they are read THEN one request more than the pages take is sent for them
        Program::new(&sandbox, lake.path()).run(&["run", "supplier_payment"]).expect(0);
        assert_eq!(sandbox.take_log().of("GET accounting-service/supplier-payment-search"), requests, "{supplier}");
        assert_eq!(rows(&lake, "supplier_payment"), supplier);
    }
    let sandbox = payments(10, 1_300).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    answer(&sandbox, "supplier-payment-search", &[2], json!({"keep": 1}));
    Program::new(&sandbox, lake.path()).run(&["run", "supplier_payment"]).expect(0);
    assert_eq!(rows(&lake, "supplier_payment"), 1_300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_that_stay_empty_are_read_by_windows_of_dates() {
    // GIVEN a search that shows nothing behind its first page, with a greater count
    let sandbox = payments(1_900, 10).await;
    answer(&sandbox, "customer-payment-search?sort=paymentId.ASC&pageSize=500&firstResult=500", &[], json!("empty"));
    let lake = tempfile::tempdir().expect("a folder can be made");

    // WHEN it is read THEN windows of its date bring the rest
    let done = Program::new(&sandbox, lake.path()).run(&["run", "customer_payment"]).expect(0);
    assert!(done.stderr.contains("claims 1,900 rows and shows none after row 500"), "{}", done.stderr);
    assert_eq!(rows(&lake, "customer_payment"), 1_900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_without_a_date_are_looked_for_by_id_where_windows_miss_them() {
    // GIVEN movements of which none has its date, and a search that shows nothing behind its first page
    let settings =
        SandboxSettings { limit: 0, dated_movements: false, now: Some(this_morning()), ..SandboxSettings::default() };
    let size = Size { orders: 50, ..Size::default() }.with("goods_movement", 1_800);
    let sandbox = start(settings, size).await;
    answer(&sandbox, "sort=goodsMovementId.ASC&pageSize=500&firstResult=500", &[], json!("empty"));
    let lake = tempfile::tempdir().expect("a folder can be made");

    // WHEN it is read THEN ranges of ids bring the rest
    Program::new(&sandbox, lake.path()).run(&["run", "goods_movement"]).expect(0);
    assert_eq!(rows(&lake, "goods_movement"), 1_800);

    // WHEN ranges of ids are not obeyed THEN it fails with both numbers
    sandbox.change(|settings| {
        let (search, filter) = ("goods-movement-search".to_owned(), "goodsMovementId".to_owned());
        settings.ignored = vec![pearlift::sandbox::Ignored { search, filter }];
    });
    let other = tempfile::tempdir().expect("a folder can be made");
    let done = Program::new(&sandbox, other.path()).run(&["run", "goods_movement"]).expect(4);
    assert!(done.stderr.contains("claims 1,800 rows and shows 1"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_claims_more_than_it_ever_shows_fails_with_both_numbers() {
    // GIVEN a search that claims 5,000 rows and has 700
    let sandbox = payments(700, 10).await;
    answer(&sandbox, "customer-payment-search?sort", &[], json!({"claim": {"available": 5_000}}));
    let lake = tempfile::tempdir().expect("a folder can be made");

    // WHEN it is read THEN it is not taken for complete
    let program = Program::new(&sandbox, lake.path());
    let done = program.run(&["run", "customer_payment"]).expect(4);
    assert!(done.stderr.contains("the search claims 5,000 rows and shows 700"), "{}", done.stderr);
    let status = program.run(&["status"]).expect(0).stdout;
    assert!(!status.contains("complete"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_gives_the_same_page_for_ever_ends_with_an_error() {
    // GIVEN a source that answers with the same three payments wherever a page begins
    let mut answer: Value =
        serde_json::from_str(include_str!("../fixtures/customer_payment.json")).expect("the fixture is JSON");
    let row = answer["response"]["results"][0].clone();
    let rows = (1..4).map(|id| {
        let mut row = row.clone();
        (row[0], row[5], row[12]) = (json!(id), json!(0), json!(this_morning().to_string()));
        row
    });
    answer["response"]["results"] = rows.collect();
    let meta = &mut answer["response"]["metaData"];
    (meta["morePagesAvailable"], meta["resultsAvailable"]) = (json!(true), json!(100));
    let source = Echo::saying(200, "Content-Type: application/json\r\n", &answer.to_string());
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::bare(lake.path())
        .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()));

    // WHEN it is read THEN it fails by name after a few pages
    let done = program.run(&["run", "customer_payment"]).expect(4);
    assert!(done.stderr.contains("contains nothing new"), "{}", done.stderr);
    assert!(source.asked().len() < 10, "{:?}", source.asked().len());
}
