//! A whole account, exported and exported again, compared with the truth by a second interpreter of the schema files.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::Sandbox;

use crate::support::{Program, Weed, account, check_truth, query, refuse_in_bucket};

/// Data files below the tables, relative to the destination.
fn data_files(lake: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, lake: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                walk(&path, lake, found);
            } else {
                let below = path.strip_prefix(lake).expect("it lies below");
                found.insert(below.to_str().expect("it is text").to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(lake, lake, &mut found);
    found.retain(|path| !path.starts_with("_pearlift/"));
    found
}

/// A day in the life of the shop; the clock advances so that copies taken before are surely older.
fn a_day_goes_by(sandbox: &Sandbox) {
    sandbox.age(Duration::from_secs(3 * 3600));
    for kind in ["order", "product", "contact", "goods_out_note", "journal"] {
        sandbox.insert(kind, 7);
    }
    sandbox.insert("customer_payment", 12);
    sandbox.insert("supplier_payment", 3);
    sandbox.insert("brand", 1);
    let some = |kind: &str, step: usize| sandbox.ids(kind).into_iter().step_by(step).collect::<Vec<i64>>();
    sandbox.edit("order", &some("order", 9));
    // A second edit takes a line away again.
    sandbox.edit("order", &some("order", 27));
    sandbox.edit("product", &some("product", 11));
    sandbox.edit("contact", &some("contact", 13));
    sandbox.edit("order_status", &some("order_status", 5));
    sandbox.delete("brand", &some("brand", 20));
    sandbox.age(Duration::from_secs(600));
}

/// The program a day later, as far as the snapshots of a day are concerned: the day's last run wins.
fn next_night(program: &Program) -> Program {
    program.clone().with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_equal_the_truth_after_a_first_load_a_day_and_a_quiet_run() {
    // GIVEN an account, exported
    let sandbox = account(600).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    let tables = lake.path().to_str().expect("it is text");
    check_truth(&sandbox, tables, &[]);

    // WHEN records come, change and lose lines, and it runs again
    a_day_goes_by(&sandbox);
    sandbox.take_log();
    next_night(&program).run(&["run"]).expect(0);

    // THEN the tables equal the truth again, and only changed records were requested
    check_truth(&sandbox, tables, &[]);
    let log = sandbox.take_log();
    // 67 edited, 7 new, and those that new payments, notes and postings name.
    assert!(log.ids["order-service/order"] < 130, "{log:?}");

    // WHEN nothing changed
    sandbox.age(Duration::from_secs(600));
    let before = data_files(lake.path());
    let quiet = program.run(&["run"]).expect(0);

    // THEN no data file is written, and no documents are asked for but lists, which have no dates
    assert_eq!(data_files(lake.path()), before, "{}", quiet.said());
    let log = sandbox.take_log();
    assert_eq!(log.ids, Default::default(), "{log:?}");
    assert!(before.iter().all(|path| path.ends_with(".parquet")), "{before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_in_a_bucket_equal_the_truth_after_a_first_load_and_a_day() {
    // GIVEN an S3 server and an account, exported to it
    let sandbox = account(300).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    let check = || check_truth(&sandbox, "s3://lake/shop", &["--s3-endpoint", &weed.endpoint()]);
    program.run(&["run"]).expect(0);
    check();

    // WHEN a day goes by
    a_day_goes_by(&sandbox);
    next_night(&program).run(&["run"]).expect(0);

    // THEN the tables equal the truth
    check();
    // AND no manifest, lock or report in the bucket holds a secret
    refuse_in_bucket(&weed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_load_takes_one_request_and_one_for_every_two_hundred() {
    // GIVEN an account of 1,234 orders
    let sandbox = account(1_234).await;
    let lake = tempfile::tempdir().expect("a folder can be made");

    // WHEN they are read for the first time
    Program::new(&sandbox, lake.path()).run(&["run", "order", "contact"]).expect(0);

    // THEN the ids take one request, the documents ⌈N/200⌉, and the count that they are compared with one
    let log = sandbox.take_log();
    assert_eq!(log.of("OPTIONS order-service/order"), 1);
    assert_eq!(log.of("GET order-service/order-search"), 1);
    assert_eq!(log.of("GET order-service/order"), 7 + 1);
    assert_eq!(log.of("OPTIONS contact-service/contact"), 1);
    assert_eq!(log.of("GET contact-service/contact-search"), 1);
    assert_eq!(log.of("GET contact-service/contact"), 4 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_cuts_pages_short_changes_nothing_but_the_number_of_requests() {
    // GIVEN a source that gives 200 rows where 500 are asked for
    let sandbox = account(900).await;
    sandbox.change(|settings| settings.page_cap = 200);
    let lake = tempfile::tempdir().expect("a folder can be made");

    // WHEN it is exported, and a day later again
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    a_day_goes_by(&sandbox);
    next_night(&program).run(&["run"]).expect(0);

    // THEN the tables equal the truth
    check_truth(&sandbox, lake.path().to_str().expect("it is text"), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_is_exact_and_every_table_can_be_queried_from_the_first_day() {
    // GIVEN a tiny account
    let sandbox = account(5).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    Program::new(&sandbox, lake.path()).run(&["run"]).expect(0);

    // THEN every table of the catalogue has its columns, rows or not, and sums are decimals
    let catalog = pearlift::schema::Catalog::load(None).expect("the schemas are right");
    let read = catalog.resources().iter().filter(|resource| resource.is_default);
    for table in read.flat_map(|resource| &resource.tables) {
        let glob = format!("{}/{}/**/*.parquet", lake.path().display(), table.name);
        let columns = query(&format!(
            "SELECT column_name FROM (DESCRIBE SELECT * FROM read_parquet('{glob}', hive_partitioning = true))"
        ));
        for column in &table.columns {
            assert!(columns.contains(&column.name), "{}.{} in {columns:?}", table.name, column.name);
        }
    }
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    assert_eq!(query(&format!("SELECT typeof(sum(total)) FROM read_parquet('{glob}')")), ["DECIMAL(38,6)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_demo_needs_no_settings_and_prints_a_query_that_works() {
    // GIVEN a folder that does not exist
    let folder = tempfile::tempdir().expect("a folder can be made");
    let out = folder.path().join("demo");
    let sandbox = account(1).await;
    let program = Program::new(&sandbox, folder.path()).with("PEARLIFT_ACCOUNT_CODE", "nobody");

    for time in ["first", "again"] {
        // WHEN the demo runs in an environment with settings of another account
        let done = program.run(&["demo", "--out", out.to_str().expect("it is text"), "--orders", "300"]).expect(0);

        // THEN the query that it prints answers
        let (_, sql) = done.stdout.split_once("duckdb -c \"").expect("it prints a query");
        let months = query(sql.trim_end().trim_end_matches('"'));
        assert_eq!(months.len(), 12, "{time}: {months:?}");
    }
    assert_eq!(sandbox.take_log().total(), 0, "the demo asks nobody else");
}
