//! Small files joined by `clean --compact`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::Value;

use crate::support::{
    Program, Weed, account, check_truth, files, findings, flip, head, is_history, query, start, this_morning,
};

const ORDERS: &str = "order,order_row,order_party,order_invoice,order_custom_field";

/// Compacts, and returns the reported result.
#[track_caller]
fn compacted(program: &Program, arguments: &[&str], code: i32) -> Vec<Value> {
    let done = program.run(&[&["clean", "--compact", "--json"], arguments].concat()).expect(code);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    said["joined"].as_array().unwrap().clone()
}

/// Every row of a table with its origin, in the order of the files.
fn rows(lake: &Path, table: &str) -> Vec<String> {
    let glob = format!("{}/{table}/**/*.parquet", lake.display());
    query(&format!("SELECT t FROM read_parquet('{glob}', hive_partitioning = true) t ORDER BY ALL"))
}

fn parquet(lake: &Path) -> Vec<PathBuf> {
    let is_data = |path: &PathBuf| !is_history(path) && path.extension().is_some_and(|ending| ending == "parquet");
    files(lake).into_iter().filter(is_data).collect()
}

async fn products(products: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders: 10, ..Size::default() }.with("product", products)).await
}

/// Loads resources in many small commits, each of which leaves small files behind.
fn crumbs(program: &Program, names: &[&str], most: u64) {
    let schemas = tempfile::tempdir().unwrap();
    let texts = [include_str!("../../schemas/order.toml"), include_str!("../../schemas/product.toml")];
    for (name, text) in ["order", "product"].into_iter().zip(texts) {
        let text = text.replace("max_ids = 200", &format!("max_ids = {most}"));
        std::fs::write(schemas.path().join(format!("{name}.toml")), text).unwrap();
    }
    let small = program
        .clone()
        .with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap())
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms")
        // Nothing is small beside this: no neighbours are joined.
        .with("PEARLIFT_LIMITS_FILE_BYTES", "1");
    small.run(&[&["run"], names].concat()).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn small_neighbours_become_one_file_with_the_same_rows() {
    // GIVEN tables of many small files
    let sandbox = account(120).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    crumbs(&program, &["order", "product"], 5);
    let before = parquet(lake.path());
    let tables = ["order", "order_row", "product", "product_category"];
    let held: Vec<Vec<String>> = tables.iter().map(|table| rows(lake.path(), table)).collect();
    let state = head(lake.path(), "order")["state"].clone();

    // WHEN the compaction is only listed THEN nothing changes
    let would = compacted(&program, &["--dry-run"], 0);
    assert!(would.len() > 5, "{would:?} of {before:?}");
    assert_eq!(parquet(lake.path()), before);

    // WHEN they are joined
    let joined = compacted(&program, &[], 0);

    // THEN each folder has one file, in one commit a resource
    let folders =
        |joints: &[Value]| -> Vec<String> { joints.iter().map(|joint| joint["folder"].to_string()).collect() };
    assert_eq!(folders(&joined), folders(&would));
    assert!(joined.iter().all(|joint| joint["into"] == 1), "{joined:?}");
    let after = parquet(lake.path());
    let parents: std::collections::BTreeSet<_> = after.iter().map(|path| path.parent().unwrap()).collect();
    assert_eq!(parents.len(), after.len());
    // AND the rows are the same, with when and by which run they were first seen; so is the state
    for (table, held) in tables.iter().zip(&held) {
        assert_eq!(&rows(lake.path(), table), held, "{table}");
    }
    assert_eq!(head(lake.path(), "order")["state"], state);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", &format!("{ORDERS},product")]);

    // WHEN they are joined again THEN nothing changes
    let versions = files(&lake.path().join("_pearlift/manifests"));
    assert_eq!(compacted(&program, &[], 0), Vec::<Value>::new());
    assert_eq!(parquet(lake.path()), after);
    assert_eq!(files(&lake.path().join("_pearlift/manifests")), versions);
    // AND the nightly run continues
    sandbox.edit("order", &sandbox.ids("order")[..5]);
    sandbox.age(Duration::from_secs(3600));
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_end_where_the_setting_says_and_joining_comes_to_rest() {
    // GIVEN many small files, and a target size that a few of them fill
    let sandbox = products(1_200).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    crumbs(&program, &["product"], 40);
    let program = program.with("PEARLIFT_LIMITS_FILE_BYTES", "36KiB");
    // WHEN they are joined THEN there are fewer, not one, and once more changes nothing
    let joined = compacted(&program, &[], 0);
    assert!(joined.iter().any(|joint| joint["into"].as_u64() > Some(1)), "{joined:?}");
    let after = parquet(lake.path());
    assert_eq!(compacted(&program, &[], 0), Vec::<Value>::new());
    assert_eq!(parquet(lake.path()), after);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_damaged_file_is_not_joined() {
    // GIVEN small files, one with a flipped byte
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    crumbs(&program, &["product", "brand"], 5);
    flip(&files(&lake.path().join("product"))[1]);
    // WHEN they are joined THEN damaged files are reported with the remedy, and stay
    let done = program.run(&["clean", "--compact"]).expect(7);
    assert!(done.stderr.contains("product") && done.stderr.contains("--damaged"), "{}", done.stderr);
    assert_eq!(findings(&program, &["--deep"], 7), ["product: !checksum"]);
    // WHEN it is repaired THEN they are joined
    program.run(&["backfill", "--damaged", "product"]).expect(0);
    assert!(!compacted(&program, &[], 0).is_empty());
    assert_eq!(files(&lake.path().join("product")).len(), 1);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_run_holds_is_not_joined() {
    // GIVEN small files of orders and of products, and a run at work on orders
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 60, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    crumbs(&program, &["order", "product"], 5);
    sandbox.change(|settings| settings.latency = 30_000);
    sandbox.take_log();
    let mut run = program.start(&["run", "order"]);
    let begun = Instant::now();
    while sandbox.peek_log().total() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(240), "it does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let orders = files(&lake.path().join("order"));
    // WHEN small files are joined meanwhile THEN those of products are, those of orders are not
    let joined = compacted(&program, &[], 6);
    assert!(joined.iter().all(|joint| joint["folder"].as_str().unwrap().starts_with("product")), "{joined:?}");
    assert!(!joined.is_empty());
    assert_eq!(files(&lake.path().join("order")), orders);
    run.kill().unwrap();
    run.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_bucket_too_small_files_are_joined() {
    let sandbox = products(30).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    crumbs(&program, &["product"], 5);
    assert!(!compacted(&program, &[], 0).is_empty());
    assert_eq!(compacted(&program, &[], 0), Vec::<Value>::new());
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    check_truth(&sandbox, "s3://lake/shop", &["--s3-endpoint", &weed.endpoint(), "--only", "product,product_category"]);
}
