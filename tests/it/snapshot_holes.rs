//! Snapshots that lack records: filled the same day, a gap afterwards, and refused where too many are missing.

use pearlift::sandbox::{Sandbox, Size};
use serde_json::json;

use crate::gone::{DAY, absence, answer, loaded_before, text};
use crate::support::{Program, query};

/// An account with the stock of some 2,300 products, a snapshot of which lacks a set; with the numbers of both.
async fn snapshot_with_holes() -> (Sandbox, tempfile::TempDir, Program, u64, u64) {
    let size = Size { orders: 20, ..Size::default() }.with("product", 2_600);
    let (sandbox, lake, program) = loaded_before(1, size, &["product_availability"]).await;
    let products = query(&format!(
        "SELECT count(DISTINCT product_id) FROM read_parquet('{}/product_availability/**/*.parquet')",
        text(&lake)
    ));
    let products: u64 = products[0].parse().unwrap();
    assert!(products > 2_000, "{products}");
    sandbox.age(DAY);
    // The first set, with the remaining ids of sets of 200, and the requests that repeat it with three witnesses.
    let sets = products.div_ceil(200);
    let at = [1, sets + 1, sets + 2, sets + 3];
    answer(&sandbox, json!([{"method": "GET", "path": "product-availability/", "at": at, "then": "empty"}]));
    let done = due(&program).run(&["run", "product_availability"]).expect(3);
    let holes = products % 200;
    assert!(holes > 0 && done.stderr.contains(&format!("{holes} pending")), "{}", done.stderr);
    answer(&sandbox, json!([]));
    (sandbox, lake, program, products, holes)
}

/// The program, for which a snapshot is due though our clock shows the same day.
fn due(program: &Program) -> Program {
    program.clone().with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
}

/// The snapshots by day: records.
fn days(lake: &tempfile::TempDir) -> Vec<u64> {
    let glob = format!("{}/product_availability/**/*.parquet", text(lake));
    let counts = query(&format!(
        "SELECT count(DISTINCT product_id) FROM read_parquet('{glob}', hive_partitioning = true)
         GROUP BY snapshot_date ORDER BY snapshot_date"
    ));
    counts.iter().map(|count| count.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_with_few_holes_is_committed_and_they_are_filled_the_same_day() {
    // GIVEN a snapshot that lacks a set of products
    let (sandbox, lake, program, products, holes) = snapshot_with_holes().await;
    assert_eq!(days(&lake), [products, products - holes]);

    // WHEN it runs again on the same day THEN the holes alone are asked for, and no other day has changed
    let plan = program.run(&["plan", "product_availability"]).expect(0);
    program.run(&["run", "product_availability"]).expect(0);
    assert!(sandbox.take_log().documents() <= 2, "{}", plan.stdout);
    assert_eq!(days(&lake), [products, products]);

    // AND a third run has nothing to do
    program.run(&["run", "product_availability"]).expect(0);
    assert_eq!(sandbox.take_log().total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holes_of_a_snapshot_are_a_gap_once_its_day_is_over() {
    // GIVEN a snapshot that lacks a set of products, and that is a day old
    let (sandbox, lake, program, products, holes) = snapshot_with_holes().await;
    sandbox.age(DAY);

    // WHEN it runs THEN the new day is whole, and the gap is recorded with exit code 0
    let done = due(&program).run(&["run", "product_availability"]).expect(0);
    assert!(done.stderr.contains(&format!("lacks {holes} records for good")), "{}", done.stderr);
    assert_eq!(days(&lake), [products, products - holes, products]);
    let gaps = absence(&lake, "product_availability")["gaps"].clone();
    assert_eq!(gaps.as_array().map(Vec::len), Some(1), "{gaps}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_that_lacks_more_than_a_tenth_is_refused() {
    let size = Size { orders: 20, ..Size::default() }.with("product", 900);
    let (sandbox, lake, program) = loaded_before(1, size, &["product_availability"]).await;
    sandbox.age(DAY);
    let before = days(&lake);
    let sets = before[0].div_ceil(200);
    let at: Vec<u64> = [1, 2].into_iter().chain(sets + 1..=sets + 6).collect();
    answer(&sandbox, json!([{"method": "GET", "path": "product-availability/", "at": at, "then": "empty"}]));
    let done = due(&program).run(&["run", "product_availability"]);
    assert!(done.code != 0 && done.stderr.contains("at most a tenth may be missing"), "{}", done.said());
    assert_eq!(days(&lake), before);
}
