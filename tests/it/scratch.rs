//! Files beside the destination, on the local disk: the spool and the token file; and crashes while they are written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pearlift::failure::{Failure, Kind};
use pearlift::run::run_in;
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::store::StoreStep;

use crate::oauth::{drafts, program as oauth, refreshed};
use crate::support::{Faults, Program, account, check_truth, files, start, this_morning};

const ORDERS: [&str; 2] = ["--only", "order,order_row,order_party,order_invoice,order_custom_field"];

/// A run that crashes when it has done a step so many times before: from then on nothing of it reaches the destination.
async fn dies_at(program: &Program, names: &[&str], step: StoreStep, before: usize) {
    let (faults, count) = (Faults::default(), Arc::new(AtomicUsize::new(0)));
    let store = faults.before(&program.store()).watched({
        let faults = faults.clone();
        move |seen, _| {
            if seen == step && count.fetch_add(1, Ordering::SeqCst) == before {
                faults.die();
            }
            if faults.is_dead() { Err(Failure::new(Kind::StoreUnreachable, "go on")) } else { Ok(()) }
        }
    });
    // The messages of a crashed run are not checked.
    let _ = run_in(program.request(names), store).await;
    assert!(faults.is_dead(), "{step:?} is not reached {before} times");
}

/// Folders and files directly in a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The program with so little memory that orders go to the disk: 8 MiB of them, in this folder.
fn spooling(sandbox: &Sandbox, lake: &Path, spool: &Path) -> Program {
    Program::new(sandbox, lake)
        .with("PEARLIFT_LIMITS_MEMORY", "128MiB")
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1h")
        .with("PEARLIFT_LIMITS_SPOOL", spool.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_dies_while_it_spools_to_disk_leaves_nothing_and_the_next_reads_it_again() {
    let sandbox = account(2_400).await;
    for (step, before) in [(StoreStep::SegmentOpened, 0), (StoreStep::SegmentWritten, 0)] {
        // GIVEN a run that crashes when a segment of its spool is begun, or is whole
        let (lake, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let program = spooling(&sandbox, lake.path(), spool.path());
        dies_at(&program, &["order"], step, before).await;
        assert!(files(&lake.path().join("order")).is_empty(), "nothing was committed");

        // WHEN the next one runs THEN the tables equal the truth
        program.run(&["run", "order"]).expect(0);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &ORDERS);
        assert_eq!(below(spool.path()), Vec::<PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_spool_that_cannot_be_written_is_told_and_no_row_is_left_out() {
    // GIVEN a run that cannot write its second segment, but can write to the destination
    let sandbox = account(2_400).await;
    let (lake, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = spooling(&sandbox, lake.path(), spool.path());
    let count = AtomicUsize::new(0);
    let store = program.store().watched(move |step, _| {
        let fails = step == StoreStep::SegmentOpened && count.fetch_add(1, Ordering::SeqCst) == 1;
        if fails { Err(Failure::new(Kind::StoreUnreachable, "write the spool")) } else { Ok(()) }
    });

    // WHEN it runs THEN it reports that, with 5
    let outcome = run_in(program.request(&["order"]), store).await.unwrap();
    assert_eq!(outcome.exit_code(false), 5, "{:?}", outcome.resources);

    // AND the next one makes the tables equal the truth
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &ORDERS);
    assert_eq!(below(spool.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_spool_of_a_dead_process_goes_with_the_next_command_and_that_of_a_living_one_stays() {
    // GIVEN a run that is killed when rows of it are in the spool on disk, and foreign files
    let settings = SandboxSettings { limit: 0, latency: 40, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 6_000, ..Size::default() }).await;
    let (lake, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let foreign = spool.path().join("pearlift-notes");
    std::fs::create_dir(&foreign).unwrap();
    let program = spooling(&sandbox, lake.path(), spool.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut crashed = program.start(&["run", "order"]);
    let segments = || files(spool.path()).into_iter().any(|path| path.extension().is_some_and(|end| end == "arrow"));
    until("rows go to the disk", segments).await;
    crashed.kill().unwrap();
    crashed.wait().unwrap();
    let left: Vec<PathBuf> = below(spool.path()).into_iter().filter(|path| *path != foreign).collect();
    assert_eq!(left.len(), 1, "{left:?}");

    // WHEN another runs THEN that is gone
    let mut living = program.start(&["run", "order"]);
    until("the next takes its place", || !left[0].exists() && below(spool.path()).len() == 2).await;
    let kept = below(spool.path());

    // WHEN a third comes and goes while the second lives THEN the second's stays, and it ends well
    program.run(&["run", "brand"]).expect(0);
    program.run(&["verify", "--deep"]).expect(0);
    assert_eq!(below(spool.path()), kept);
    assert!(living.try_wait().unwrap().is_none(), "it lives");
    sandbox.change(|settings| settings.latency = 0);
    assert!(living.wait().unwrap().success());
    assert_eq!(below(spool.path()), [foreign]);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_may_die_between_any_two_writes_of_its_tokens_and_the_old_or_the_new_can_be_read() {
    let steps = [StoreStep::TokensOpened, StoreStep::TokensWritten, StoreStep::TokensSynced, StoreStep::TokensPlaced];
    for (rotates, step) in [false, true].into_iter().flat_map(|rotates| steps.map(|step| (rotates, step))) {
        // GIVEN a token file, and a run that refreshes its tokens and crashes at this step
        let sandbox = account(50).await;
        sandbox.change(|settings| settings.rotates = rotates);
        let lake = tempfile::tempdir().unwrap();
        let program = oauth(&sandbox, &lake).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
        let former = refreshed(&sandbox, &program, &lake);
        sandbox.expire_tokens();
        dies_at(&program, &["brand"], step, 0).await;

        // THEN the file is the former one, or the new one, whole
        let file = std::fs::read_to_string(lake.path().join("tokens.json")).unwrap();
        let granted = sandbox.access_tokens();
        assert_eq!(granted.len(), 1, "{step:?}");
        assert_eq!(file == former, step != StoreStep::TokensPlaced, "{step:?}: {file}");
        assert!(file == former || file.contains(&granted[0]), "{step:?}: {file}");

        // AND the next run resumes with the whole file, and leaves no draft. Only if the former refresh token ended
        // before a byte of the new one was written, a person must authorise again
        let lost = rotates && step == StoreStep::TokensOpened;
        program.run(&["run", "brand"]).expect(if lost { 4 } else { 0 });
        assert_eq!(drafts(&lake), Vec::<std::ffi::OsString>::new(), "{step:?}");
        if step != StoreStep::TokensOpened {
            assert_eq!(sandbox.access_tokens(), granted, "{step:?}: what was granted is used");
        }
    }
}
