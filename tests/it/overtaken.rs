//! Locks that are proven, and runs that slept while another took over.

use std::process::Command;
use std::time::Duration;

use pearlift::failure::Kind;
use pearlift::store::Store;

use crate::support::{Answer, Fault, Faults, Gate, Program, Proxy, Verb, Weed, account, check_truth, files};

/// Requests at which a run is suspended: before it reads the head, a file in which it looks up rows, a file that it
/// merges, and before it publishes a file that it has committed.
const PLACES: [(&str, &str); 4] = [
    ("GET", "/_pearlift/manifests/order/"),
    ("GET", "/lake/shop/order/"),
    ("GET", "/lake/shop/order_row/"),
    ("PUT", "/lake/shop/order_row/"),
];

/// Sends a signal to a process.
fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_slept_while_another_took_over_says_so_and_nothing_of_damage() {
    let only =
        |weed: &Weed| ["--s3-endpoint".to_owned(), weed.endpoint(), "--only".to_owned(), "order,order_row".to_owned()];
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    for (method, path) in PLACES {
        // GIVEN tables in a bucket, locks that expire quickly, and changes at the source
        let sandbox = account(60).await;
        let url = "s3://lake/shop";
        let program = weed
            .reach(Program::new(&sandbox, url))
            .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "300ms")
            .with("PEARLIFT_DESTINATION_S3_LOCK_EXPIRE", "1s");
        program.run(&["run", "order"]).expect(0);
        let change = || {
            sandbox.age(Duration::from_secs(3 * 3600));
            sandbox.edit("order", &sandbox.ids("order"));
            sandbox.age(Duration::from_secs(600));
        };
        change();
        // AND a run that falls asleep as it is about to read a live file
        let gate = Gate::new();
        proxy.answer(method, path, 1, Answer::Waits(gate.clone()));
        let sleeper = program.clone().with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
        let mut sleeping = sleeper.start(&["run", "order"]);
        gate.somebody_waits().await;
        signal("-STOP", sleeping.id());

        // WHEN another one takes over and replaces the files, and the first wakes up
        program.run(&["run", "order"]).expect(0);
        change();
        program.run(&["run", "order"]).expect(0);
        gate.open();
        signal("-CONT", sleeping.id());

        // THEN it ends with 6 and reports that nothing is lost
        assert_eq!(sleeping.wait().unwrap().code(), Some(6), "{method} {path}: {}", sleeping.said());
        let said = sleeping.said();
        assert!(said.contains("took over") && said.contains("nothing is lost"), "{said}");
        assert!(!said.contains("--damaged"), "{said}");
        proxy.heal();
        // AND the tables are whole
        program.run(&["verify", "--deep"]).expect(0);
        let only = only(&weed);
        check_truth(&sandbox, url, &only.each_ref().map(String::as_str));
        weed.clear().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_missing_file_under_a_lock_that_is_ours_is_still_damage() {
    // GIVEN tables in a bucket of which a file went
    let sandbox = account(60).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    program.run(&["run", "order"]).expect(0);
    let store = weed.store(&program);
    let lost: Vec<String> = store.list("order_row").await.unwrap().into_iter().map(|(path, _)| path).collect();
    store.delete(&lost).await.unwrap();
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.edit("order", &sandbox.ids("order"));
    sandbox.age(Duration::from_secs(600));
    // WHEN it runs THEN it is reported as damage, with the remedy
    let done = program.run(&["run", "order"]).expect(7);
    assert!(done.said().contains("--damaged"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_that_goes_in_the_middle_of_a_run_is_refused_and_not_taken_over() {
    // GIVEN a bucket that is there until the first file is to be staged
    let sandbox = account(60).await;
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let program = weed
        .reach(Program::new(&sandbox, "s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
    let gone = || Answer::Refuse(404, "NoSuchBucket");
    proxy.answer("PUT", "/staging/", usize::MAX, gone());
    proxy.answer("GET", "/locks/brand", usize::MAX, gone());
    // WHEN it runs THEN that is reported, with 5
    let done = program.run(&["run", "brand"]).expect(5);
    assert!(done.said().contains("NoSuchBucket") && !done.said().contains("took over"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_proves_that_a_lock_is_taken_held_renewed_and_given_back() {
    let sandbox = account(50).await;
    let weed = Weed::start();
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(weed.endpoint()).await;
    let bucket = weed
        .reach(Program::new(&sandbox, "s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
    // GIVEN a folder and a bucket WHEN they are checked THEN locks are proven, and nothing is left of it
    for program in [&Program::new(&sandbox, folder.path()), &bucket] {
        let done = program.run(&["check"]).expect(0);
        assert!(done.stdout.contains("ok    locks: one was taken"), "{}", done.stdout);
    }
    assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new());
    assert_eq!(weed.objects("lake/shop/"), Vec::<String>::new());

    // GIVEN a service that shows an old lock, as a cache before it would WHEN it is checked THEN it is refused
    proxy.answer("GET", "/locks/probe", usize::MAX, Answer::Say(r#"{"run":"another","beat":0,"released":false}"#));
    let done = bucket.run(&["check"]).expect(5);
    assert!(done.stdout.contains("FAIL  locks: ") && done.stdout.contains("cannot be taken"), "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_destination_whose_locks_hold_nobody_off_is_refused() {
    // GIVEN a bucket that overwrites an object against the condition
    let faults = Faults::default();
    faults.always(Verb::Put, "locks/probe", Fault::Overwrites);
    let store = faults.before(&Store::memory());
    // WHEN locks are proven THEN that is found out, and nothing is left of the proof
    let refused = store.prove_lock("run").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::StoreRefused);
    assert!(refused.to_string().contains("can still be renewed"), "{refused}");
    assert_eq!(store.list("").await.unwrap(), []);
    Store::memory().prove_lock("run").await.unwrap();
}
