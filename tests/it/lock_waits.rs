//! Waiting for locks: it is reported with the path, and ends with the time that a run may take.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pearlift::config::Destination;
use pearlift::event::Events;
use pearlift::failure::Kind;
use pearlift::run::run_in;
use pearlift::store::Store;

use crate::laid::RUN;
use crate::oauth;
use crate::support::{Program, account};

#[tokio::test(start_paused = true)]
async fn a_start_lock_that_never_comes_free_is_told_with_its_path() {
    // GIVEN a process that holds the start lock for ever
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Destination::Local(folder.path().to_owned()), false).unwrap();
    drop(store.lock(&["brand"], RUN, false, std::future::pending()).await.unwrap());
    let holder = std::fs::File::open(folder.path().join("_pearlift/locks/_start")).unwrap();
    holder.lock().unwrap();
    for wait in [false, true] {
        // WHEN locks are taken THEN it is reported
        let failed = store.lock(&["brand"], RUN, wait, std::future::pending()).await.unwrap_err();
        assert_eq!(failed.kind(), Kind::Held);
        assert!(failed.to_string().contains("_pearlift/locks/_start") && failed.to_string().contains("60 seconds"));
    }
    // AND a run with less time left waits no longer
    let stop = tokio::time::sleep(Duration::from_secs(5));
    let locks = store.lock(&["brand"], RUN, true, stop).await.unwrap();
    assert_eq!(locks.held_by_others.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_time_that_a_run_may_take_counts_while_it_waits_for_locks() {
    // GIVEN a process that holds a lock, or the start lock, for ever
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, folder.path());
    program.run(&["run", "brand"]).expect(0);
    for lock in ["brand", "_start"] {
        let holder = std::fs::File::open(folder.path().join("_pearlift/locks").join(lock)).unwrap();
        holder.lock().unwrap();
        // WHEN a run waits that may take a moment
        let mut request = program.request(&["brand"]);
        (request.wait, request.most) = (true, Some(Duration::from_millis(300)));
        let outcome = tokio::time::timeout(Duration::from_secs(60), run_in(request, program.store())).await;
        // THEN it ends, and has the lock not
        let outcome = outcome.expect("it ends").unwrap();
        assert_eq!(outcome.exit_code(false), 6, "{lock}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_lock_that_is_held_does_not_hold_up_a_run_whose_time_is_up() {
    // GIVEN tokens that have ended, and a process that holds their lock for ever
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let lock = std::fs::File::create(folder.path().join("tokens.lock")).unwrap();
    lock.lock().unwrap();
    let program = oauth::program(&sandbox, &folder);
    std::fs::create_dir_all(folder.path().join("lake")).unwrap();
    let (done, waits) = std::sync::mpsc::channel();
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut request = program.request(&["brand"]);
        request.most = Some(Duration::from_millis(500));
        let outcome = runtime.block_on(run_in(request, program.store()));
        // As a process that ends: a waiting task holds it up.
        drop(runtime);
        let _ = done.send(outcome.map(|outcome| outcome.exit_code(false)));
    });
    // WHEN its time is up THEN it ends
    let ended = tokio::task::spawn_blocking(move || waits.recv_timeout(Duration::from_secs(60))).await.unwrap();
    assert_eq!(ended.expect("it ends").unwrap(), 3);
    run.join().unwrap();
    drop(lock);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_locks_is_told_and_ends_with_the_time_that_a_run_may_take() {
    // GIVEN a process that holds a lock for ever
    let folder = tempfile::tempdir().unwrap();
    let program = Program::bare(folder.path())
        .with("BRIGHTPEARL_STAFF_TOKEN", "a-token")
        .with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme");
    let holder = program.store().lock(&["brand"], RUN, false, std::future::pending()).await.unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let mut request = program.request(&["brand"]);
    (request.wait, request.most) = (true, Some(Duration::from_secs(3_600)));
    request.events = Events::new({
        let events = Arc::clone(&events);
        move |event| events.lock().unwrap().push(format!("{event:?}"))
    });
    // WHEN a run waits for it THEN it reports that, and ends when its time is up
    let begun = tokio::time::Instant::now();
    let outcome = run_in(request, program.store()).await.unwrap();
    assert_eq!(outcome.exit_code(false), 6);
    assert!((3_600..3_700).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let events = events.lock().unwrap();
    assert!(events.iter().any(|event| event.contains("waiting for locks that another run holds")), "{events:?}");
    assert!(events.iter().any(|event| event.contains("the time is up")), "{events:?}");
    drop(holder);
}
