//! Two at once, and runs that are asked to stop.

use std::path::Path;
use std::time::{Duration, Instant};

use pearlift::config::Destination;
use pearlift::run::run_in;
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::store::Store;

use crate::support::{Fault, Faults, Gate, Program, Verb, Weed, check_truth, start, this_morning};

async fn slow_account(orders: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, latency: 60, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders, ..Size::default() }).await
}

/// Waits until the source has been asked for documents of orders.
async fn until_orders_are_read(sandbox: &Sandbox) {
    until_orders_are_read_times(sandbox, 1).await;
}

async fn until_orders_are_read_times(sandbox: &Sandbox, times: u64) {
    let begun = Instant::now();
    while sandbox.peek_log().of("GET order-service/order") < times {
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

    // THEN it leaves orders alone, without a request for them, does brands, and reports it
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
    // GIVEN a bucket, locks that are renewed and expire quickly, and a run that reads orders
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
    until_orders_are_read_times(&sandbox, 5).await;

    // WHEN it is interrupted
    let asked = Instant::now();
    let interrupted = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let status = run.wait().unwrap();

    // THEN it ends soon, with 130, and all whole records are committed
    assert_eq!(status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(versions(lake.path(), "order"), 1);

    // AND the next run resumes from there
    let documents = |log: pearlift::sandbox::Log| log.requests["GET order-service/order"];
    let read = documents(sandbox.take_log());
    let done = program.with("PEARLIFT_LIMITS_CONCURRENCY", "16").run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
    let rest = documents(sandbox.take_log());
    assert!((40..=42).contains(&(read + rest - 1)), "{read} and {rest}");
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
}

/// Runs two equal programs at once; gives their codes, the lesser first.
fn both(program: &Program, arguments: &[&str]) -> [Option<i32>; 2] {
    let mut children = [program.start(arguments), program.start(arguments)];
    let mut codes = children.each_mut().map(|child| child.wait().unwrap().code());
    codes.sort_unstable();
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_equal_runs_started_together_one_does_everything_and_the_other_asks_nothing() {
    // GIVEN a folder, and a bucket
    let weed = Weed::start();
    let folder = tempfile::tempdir().unwrap();
    for lake in [folder.path().to_str().unwrap(), "s3://lake/shop"] {
        let sandbox = slow_account(1_000).await;
        let program = weed
            .reach(Program::new(&sandbox, lake))
            .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
            .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "200ms");
        let run = ["run", "order", "brand", "currency"];

        // WHEN two runs are started together THEN one does everything, and the other nothing
        assert_eq!(both(&program, &run), [Some(0), Some(6)], "{lake}");
        let log = sandbox.take_log();
        assert_eq!((log.of("OPTIONS order-service/order"), log.requests["GET order-service/order"]), (1, 5), "{lake}");
        // Beside them two counts, brands twice and currencies.
        assert_eq!(log.total(), 11, "{lake}: the second asked too: {log:?}");

        // AND with --wait both do it, one after the other
        let wait = ["run", "order", "brand", "currency", "--wait"];
        assert_eq!(both(&program, &wait), [Some(0), Some(0)], "{lake}");
        let only = ["--only", "order,order_row,brand,currency", "--s3-endpoint", &weed.endpoint()];
        check_truth(&sandbox, lake, &only);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_for_several_locks_never_waits_for_one_who_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let local = Store::open(&Destination::Local(folder.path().to_owned()), true).unwrap();
    let bucket = Store::memory().with_lock_timing(Duration::from_millis(40), Duration::from_secs(60));
    for store in [local, bucket] {
        // GIVEN two locks, each held by a run, and a third run that waits for both
        let never = std::future::pending;
        let a = store.lock(&["a"], "first", false, never()).await.unwrap();
        let b = store.lock(&["b"], "second", false, never()).await.unwrap();
        let mut third = std::pin::pin!(store.lock(&["b", "a"], "third", true, never()));
        let waits = futures_util::future::poll_immediate(&mut third).await.is_none();
        assert!(waits);

        // WHEN one comes free, and a fourth run wants both too, before the other comes free
        b.release().await.unwrap();
        let mut fourth = std::pin::pin!(store.lock(&["a", "b"], "fourth", true, never()));
        assert!(futures_util::future::poll_immediate(&mut fourth).await.is_none());
        a.release().await.unwrap();

        // THEN both get both, one after the other
        let one_after_the_other = async {
            let take = |locks: pearlift::store::Locks| async move {
                assert!(locks.holds("a") && locks.holds("b") && locks.held_by_others.is_empty());
                locks.release().await.unwrap();
            };
            let third = async { take(third.await.unwrap()).await };
            let fourth = async { take(fourth.await.unwrap()).await };
            futures_util::future::join(third, fourth).await;
        };
        tokio::time::timeout(Duration::from_secs(30), one_after_the_other).await.expect("nobody waits for ever");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_accounts_that_want_an_empty_destination_one_is_refused_and_writes_nothing() {
    // GIVEN an empty bucket, and a run that has read a list and stalls before it writes the bucket's account
    let sandbox = slow_account(50).await;
    let store = Store::memory();
    let (faults, gate) = (Faults::default(), Gate::new());
    faults.once(Verb::Put, "destination.json", Fault::Waits(gate.clone()));
    let program = Program::new(&sandbox, "unused");
    let other = program.clone().with("PEARLIFT_ACCOUNT_CODE", "other");
    let late = run_in(other.request(&["currency"]), faults.before(&store));

    // WHEN another account takes it meanwhile
    let another = async {
        gate.somebody_waits().await;
        assert_eq!(run_in(program.request(&["brand"]), store.clone()).await.unwrap().exit_code(false), 0);
        let seen = (store.list("").await.unwrap(), sandbox.peek_log().total());
        gate.open();
        seen
    };
    let (late, (paths, asked)) = futures_util::future::join(late, another).await;

    // THEN the first is refused with 2, asks nothing more and leaves nothing new
    let refused = late.unwrap_err();
    assert_eq!(refused.kind().exit_code(), 2, "{refused}");
    assert_eq!(store.list("").await.unwrap().len(), paths.len());
    assert_eq!(sandbox.peek_log().total(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_destination_that_another_account_claims_before_a_run_has_its_locks_is_refused_before_any_request() {
    // GIVEN an empty bucket, and a run that has seen no marker there and stalls before its locks
    let sandbox = slow_account(50).await;
    let store = Store::memory().with_lock_timing(Duration::from_millis(40), Duration::from_secs(60));
    let (faults, gate) = (Faults::default(), Gate::new());
    faults.once(Verb::Put, "locks/_start", Fault::Waits(gate.clone()));
    let program = Program::new(&sandbox, "unused");
    let other = program.clone().with("PEARLIFT_ACCOUNT_CODE", "other");
    let late = run_in(other.request(&["brand"]), faults.before(&store));

    // WHEN another account claims the destination meanwhile
    let another = async {
        gate.somebody_waits().await;
        assert_eq!(run_in(program.request(&["brand"]), store.clone()).await.unwrap().exit_code(false), 0);
        let asked = sandbox.peek_log().total();
        gate.open();
        asked
    };
    let (late, asked) = futures_util::future::join(late, another).await;

    // THEN the run is refused, has asked nothing and has given its locks back
    let refused = late.unwrap_err();
    assert_eq!(refused.kind().exit_code(), 2, "{refused}");
    assert_eq!(sandbox.peek_log().total(), asked);
    assert_eq!(run_in(program.request(&["brand"]), store.clone()).await.unwrap().exit_code(false), 0);
}
