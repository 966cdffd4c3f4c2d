//! Two at once, and runs that are asked to stop.

use std::path::Path;
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, Settings, Size};

use crate::support::{Program, Weed, check_truth, start, this_morning};

async fn slow_account(orders: u64) -> Sandbox {
    let settings = Settings { limit: 0, latency: 60, now: Some(this_morning()), ..Settings::default() };
    start(settings, Size { orders, ..Size::default() }).await
}

/// Waits until the source has been asked for documents of orders.
async fn until_orders_are_read(sandbox: &Sandbox) {
    let begun = Instant::now();
    while sandbox.peek_log().of("GET order-service/order") == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no order was asked for");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn versions(lake: &Path, resource: &str) -> usize {
    std::fs::read_dir(lake.join("_pearlift/manifests").join(resource)).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_run_leaves_alone_what_the_first_works_on() {
    // GIVEN a run that reads orders
    let sandbox = slow_account(8_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut first = program.start(&["run", "order"]);
    until_orders_are_read(&sandbox).await;

    // WHEN a second one wants orders and brands
    let second = program.run(&["run", "order", "brand"]);

    // THEN it leaves orders alone, without a request for them, does brands, and says so
    assert_eq!(second.code, 6, "{}", second.said());
    assert!(second.stderr.contains("held by"), "{}", second.stderr);
    assert_eq!(sandbox.peek_log().of("OPTIONS order-service/order"), 1);
    assert_eq!(versions(lake.path(), "brand"), 1);
    assert!(first.try_wait().unwrap().is_none(), "the first still runs");

    // AND with --wait it waits for its turn
    program.run(&["run", "order", "--wait"]).expect(0);
    assert!(first.wait().unwrap().success());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row,brand"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_bucket_a_lock_is_respected_while_its_run_lives_and_taken_over_when_it_is_dead() {
    // GIVEN a bucket, locks that are renewed and die quickly, and a run that reads orders
    let sandbox = slow_account(6_000).await;
    let weed = Weed::start();
    let program = weed
        .reach(Program::new(&sandbox, "s3://lake/shop"))
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "400ms")
        .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "300ms")
        .with("PEARLIFT_DESTINATION_S3_LOCK_EXPIRE", "2s");
    let mut first = program.start(&["run", "order"]);
    until_orders_are_read(&sandbox).await;

    // WHEN a second one comes THEN it leaves orders alone
    let second = program.run(&["run", "order"]);
    assert_eq!(second.code, 6, "{}", second.said());
    assert!(first.try_wait().unwrap().is_none(), "the first still runs");

    // WHEN the first is killed THEN the next takes over, and the tables equal the truth
    first.kill().unwrap();
    first.wait().unwrap();
    program.run(&["run", "order"]).expect(0);
    let only = ["--s3-endpoint", &weed.endpoint(), "--only", "order,order_row,order_party"];
    check_truth(&sandbox, "s3://lake/shop", &only);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_interrupted_run_commits_what_is_whole_and_the_next_goes_on() {
    // GIVEN a run that reads orders and has not committed yet
    let sandbox = slow_account(8_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut run = program.start(&["run", "order"]);
    // One at a time: when the third is asked for, the first is home.
    while sandbox.peek_log().of("GET order-service/order") < 3 {
        assert!(run.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // WHEN it is interrupted
    let asked = Instant::now();
    let interrupted = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let status = run.wait().unwrap();

    // THEN it ends soon, with 130, and what was whole is committed
    assert_eq!(status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(versions(lake.path(), "order"), 1);

    // AND the next run goes on from there
    let read = sandbox.take_log().of("GET order-service/order");
    let done = program.with("PEARLIFT_LIMITS_CONCURRENCY", "16").run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("goes on with the full read"), "{}", done.stderr);
    let rest = sandbox.take_log().of("GET order-service/order");
    assert!((40..=42).contains(&(read + rest - 1)), "{read} and {rest}");
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
}
