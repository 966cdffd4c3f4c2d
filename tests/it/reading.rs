//! The small number of requests, and answers of the source that are not believed.

use pearlift::sandbox::{Ignored, SandboxSettings, Size};

use crate::support::{Program, account, check_truth, query, start, this_morning};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("it is text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_filter_that_the_source_ignores_stops_its_resource_by_name_and_no_other() {
    // GIVEN an exported account that then ignores a filter of the order search
    let sandbox = account(400).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    sandbox.change(|settings| {
        settings.ignored = vec![Ignored { search: "order-search".to_owned(), filter: "updatedOn".to_owned() }];
    });
    sandbox.take_log();

    // WHEN it runs again
    let done = program.run(&["run"]).expect(3);

    // THEN orders stop within three requests, named with their filter, and everything else is complete
    assert!(sandbox.take_log().of("GET order-service/order-search") <= 3);
    assert!(done.stderr.contains("order: could not trust the answers for order"), "{}", done.stderr);
    assert!(done.stderr.contains("ignores the filter on `updatedOn`"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("FAILED").count(), 1, "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn availability_asks_for_stock_tracked_products_only() {
    // GIVEN 60,000 products of which 5 % are not stock-tracked
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1, ..Size::default() }.with("product", 60_000)).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
    for scan in ["first", "second"] {
        // WHEN a day's snapshot is taken
        sandbox.take_log();
        program.run(&["run", "product_availability"]).expect(0);

        // THEN it takes at most 303 requests
        let log = sandbox.take_log();
        assert!(log.total() <= 303, "{scan}: {log:?}");
        assert!(log.total() > 285, "{scan}: {log:?}");
    }
    let glob = format!("{}/product_availability/**/*.parquet", lake.path().display());
    let rows: usize =
        query(&format!("SELECT count(DISTINCT product_id) FROM read_parquet('{glob}')"))[0].parse().expect("a count");
    assert!((56_000..58_000).contains(&rows), "{rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_with_another_code_stops_the_resource_at_once() {
    // GIVEN a source that refuses every set of availability with a code that the schema does not name
    let sandbox = account(2_000).await;
    sandbox.change(|settings| {
        settings.refuses_every_set = vec!["product_availability".to_owned()];
        settings.refusal_code = "WHSC-999".to_owned();
    });
    let lake = folder();

    // WHEN it runs
    let done = Program::new(&sandbox, lake.path()).run(&["run", "product_availability", "brand"]).expect(3);

    // THEN it stops within ten requests, gives the reason, and the others are complete
    let log = sandbox.take_log();
    assert!(log.total() <= 10, "{log:?}");
    assert!(done.stderr.contains("WHSC-999"), "{}", done.stderr);
    assert!(done.stderr.contains(" brand: 40 rows, 40 changed, ") && done.stderr.contains("FAILED"), "{}", done.stderr);
}

/// A schema folder in which availability is asked of every product, stock-tracked or not: some spoil their sets.
pub fn without_filter() -> tempfile::TempDir {
    let schemas = folder();
    let written = include_str!("../../schemas/product_availability.toml");
    let unfiltered = written.replace(", where = \"stockTracked = true\"", "");
    assert_ne!(written, unfiltered);
    std::fs::write(schemas.path().join("product_availability.toml"), unfiltered).expect("it can be written");
    schemas
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_product_that_spoils_its_set_is_found_by_halving_and_left_out_afterwards() {
    // GIVEN 100 products, a few of which spoil every set that holds them
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1, ..Size::default() }.with("product", 100)).await;
    let (lake, schemas) = (folder(), without_filter());
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_SCHEMAS", text(&schemas))
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");

    // WHEN availability is read, and read again
    program.run(&["run", "product_availability"]).expect(0);
    let first = sandbox.take_log().of("GET warehouse-service/product-availability");
    program.run(&["run", "product_availability"]).expect(0);
    let second = sandbox.take_log().of("GET warehouse-service/product-availability");

    // THEN the first time they are found by halving, the second time left out
    assert!((9..100).contains(&first), "{first}");
    assert_eq!(second, 1);
    // AND all others are there
    check_truth(
        &sandbox,
        text(&lake),
        &["--only", "product_availability,product_availability_warehouse,product_availability_location"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn too_many_products_that_spoil_their_sets_stop_the_resource() {
    // GIVEN 900 products of which one in twenty spoils every set that holds it
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1, ..Size::default() }.with("product", 900)).await;
    let (lake, schemas) = (folder(), without_filter());

    // WHEN availability is read
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_SCHEMAS", text(&schemas));
    let done = program.run(&["run", "product_availability"]).expect(4);

    // THEN it stops before it has cost too much, and gives the reason
    assert!(done.stderr.contains("WHSC-097"), "{}", done.stderr);
    assert!(sandbox.take_log().of("GET warehouse-service/product-availability") < 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ids_are_found_window_by_window_where_options_fails() {
    // GIVEN a source that fails on OPTIONS for more than 1,500 ids
    let sandbox = account(3_000).await;
    sandbox.change(|settings| settings.options_fail_above = 1_500);
    let lake = folder();

    // WHEN orders are read
    Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_FOR", "1s").run(&["run", "order"]).expect(0);

    // THEN they are all there
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let found = query(&format!("SELECT count(*), count(DISTINCT id) FROM read_parquet('{glob}')"));
    let there = sandbox.ids("order").len();
    assert_eq!(found, [format!("{there}|{there}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_cannot_be_sorted_is_read_by_windows_of_time() {
    // GIVEN payments and orders of searches that cannot be sorted, more than a page of them
    let sandbox = account(1_500).await;
    sandbox.change(|settings| {
        settings.unsorted = vec!["customer-payment-search".to_owned(), "order-search".to_owned()];
        settings.page_cap = 100;
    });
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());

    // WHEN they are read, change, and are read again
    program.run(&["run"]).expect(0);
    sandbox.age(std::time::Duration::from_secs(3 * 3600));
    sandbox.insert("customer_payment", 30);
    sandbox.edit("order", &sandbox.ids("order")[..90]);
    sandbox.age(std::time::Duration::from_secs(3600));
    sandbox.edit("order", &sandbox.ids("order")[90..180]);
    sandbox.age(std::time::Duration::from_secs(600));
    let done = program.run(&["run"]).expect(0);

    // THEN nothing is missing
    assert!(done.stderr.contains("read by windows of time"), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_real_quota_is_never_overrun() {
    // GIVEN a source that allows 1,200 requests a minute, to a program that leaves 200 of them
    let settings = SandboxSettings { limit: 1_200, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 300, ..Size::default() }).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_LIMITS_REQUESTS_PER_PERIOD", "1200")
        .with("PEARLIFT_LIMITS_RESERVE", "200");

    // WHEN it exports an account
    program.run(&["run"]).expect(0);

    // THEN no answer was a refusal
    let log = sandbox.take_log();
    assert_eq!(log.throttled, 0, "{log:?}");
    assert!(log.total() > 30, "{log:?}");
}
