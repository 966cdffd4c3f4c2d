//! The commit against a store that fails, lags, blocks and reports wrongly.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pearlift::clean::{Cleaning, WasteKind, clean};
use pearlift::failure::Kind;
use pearlift::manifest::{FORMAT, State, Version, decide, head, versions};
use pearlift::run::{End, Outcome, ResourceOutcome, nonce, run_in};
use pearlift::sandbox::Sandbox;
use pearlift::store::{Put, Store, paths};
use std::time::Duration;

use crate::support::{Fault, Faults, Gate, Program, Sorry, Verb, account, check_truth, copy_folder, look, pour};

/// The child of a version, or the first.
pub fn child(of: Option<&Version>) -> Version {
    Version {
        format: FORMAT,
        pearlift: "test".to_owned(),
        account: "acme".to_owned(),
        resource: "brand".to_owned(),
        version: of.map_or(1, |parent| parent.version + 1),
        nonce: nonce(),
        parent: of.map(|parent| parent.nonce.clone()),
        run: nonce(),
        written_at: Timestamp::UNIX_EPOCH,
        schema_hash: "0".to_owned(),
        tables: BTreeMap::new(),
        removes: Vec::new(),
        rejected: Vec::new(),
        deleted: Vec::new(),
        state: State::default(),
        checkpoint: None,
    }
}

async fn put(store: &Store, version: &Version) {
    let bytes = serde_json::to_vec(version).unwrap();
    let put = store.put_new(&paths::manifest(&version.resource, version.version), bytes).await.unwrap();
    assert!(matches!(put, Put::Created(_)));
}

async fn nonce_of_the_head(store: &Store) -> String {
    head(store, "brand").await.unwrap().unwrap().nonce
}

#[tokio::test(start_paused = true)]
async fn a_put_that_worked_though_we_are_told_otherwise_is_won() {
    for fault in [Fault::After(Sorry::Unreachable), Fault::DoneThenExists, Fault::After(Sorry::Denied)] {
        // GIVEN a store that stores a manifest, and answers 500, or 500 and then 412
        let (store, faults) = (Store::memory(), Faults::default());
        faults.once(Verb::Put, "manifests", fault.clone());
        let version = child(None);
        // WHEN it is committed THEN it is won, once
        decide(&faults.before(&store), &version).await.unwrap_or_else(|failure| panic!("{fault:?}: {failure}"));
        assert_eq!(faults.met(), 1);
        assert_eq!(nonce_of_the_head(&store).await, version.nonce);
        assert_eq!(versions(&store, "brand").await.unwrap(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_nothing_written_is_no_loss() {
    for fault in [Fault::Exists, Fault::Before(Sorry::Unreachable)] {
        let (store, faults) = (Store::memory(), Faults::default());
        faults.times(Verb::Put, "manifests", 0, 2, fault.clone());
        let version = child(None);
        decide(&faults.before(&store), &version).await.unwrap_or_else(|failure| panic!("{fault:?}: {failure}"));
        assert_eq!(faults.met(), 2);
        assert_eq!(nonce_of_the_head(&store).await, version.nonce);
    }
}

#[tokio::test(start_paused = true)]
async fn what_bears_our_name_is_written_whatever_the_store_says() {
    for fault in [Fault::Exists, Fault::DoneThenExists] {
        let (store, faults) = (Store::memory(), Faults::default());
        let path = paths::rejected("brand", &nonce(), 1);
        faults.once(Verb::Put, "misfits", fault.clone());
        faults.before(&store).put_own(&path, "text").await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().as_deref(), Some(&b"text"[..]), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_children_of_a_version_one_is_lost_whatever_the_store_says() {
    for fault in [None, Some(Fault::Before(Sorry::Unreachable)), Some(Fault::Exists)] {
        let (store, faults) = (Store::memory(), Faults::default());
        let base = child(None);
        put(&store, &base).await;
        let (winner, loser) = (child(Some(&base)), child(Some(&base)));
        decide(&store, &winner).await.unwrap();
        if let Some(fault) = &fault {
            faults.once(Verb::Put, "manifests", fault.clone());
        }
        let lost = decide(&faults.before(&store), &loser).await.unwrap_err();
        assert_eq!(lost.kind(), Kind::Lost, "{fault:?}: {lost}");
        assert_eq!(nonce_of_the_head(&store).await, winner.nonce);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_into_the_hole_that_pruned_versions_left_is_lost() {
    // GIVEN a writer that stalled on version 1 while others went on to version 4 and versions up to 2 or 3 were pruned
    for pruned in [2, 3] {
        let store = Store::memory();
        let mut chain = vec![child(None)];
        for place in 0..3 {
            chain.push(child(chain.get(place)));
        }
        let stalled = child(chain.first());
        for version in chain.iter().skip(pruned) {
            put(&store, version).await;
        }
        // WHEN it puts its version 2 THEN the slot is free, and it is lost all the same
        let lost = decide(&store, &stalled).await.unwrap_err();
        assert_eq!(lost.kind(), Kind::Lost, "{lost}");
        assert!(versions(&store, "brand").await.unwrap().contains(&2), "the slot was free");
        // AND the head is that of the others
        assert_eq!(nonce_of_the_head(&store).await, chain[3].nonce);
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_child_above_our_version_is_no_hole() {
    // GIVEN a put that worked, an answer that was lost, and a run that went on from our version meanwhile
    let (store, faults) = (Store::memory(), Faults::default());
    let ours = child(None);
    put(&store, &ours).await;
    put(&store, &child(Some(&ours))).await;
    faults.once(Verb::Put, "manifests", Fault::Before(Sorry::Unreachable));
    // WHEN it is decided THEN it is won
    decide(&faults.before(&store), &ours).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_nothing_is_told_and_nothing_is_claimed() {
    let (store, faults) = (Store::memory(), Faults::default());
    faults.always(Verb::Put, "manifests", Fault::Before(Sorry::Unreachable));
    let failure = decide(&faults.before(&store), &child(None)).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::StoreUnreachable);
    // A store that answers "exists" without end and shows nothing is no better.
    faults.heal();
    faults.always(Verb::Put, "manifests", Fault::Exists);
    let failure = decide(&faults.before(&store), &child(None)).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::StoreUnreachable);
    assert!(versions(&store, "brand").await.unwrap().is_empty());
}

/// Lists and stock, which are read anew each run.
const LISTS: [&str; 2] = ["brand", "warehouse"];

fn program(sandbox: &Sandbox, lake: &std::path::Path) -> Program {
    let every = |program: Program, name: &str| program.with(&format!("PEARLIFT_RESOURCE_{name}_EVERY"), "1ms");
    every(every(Program::new(sandbox, lake), "BRAND"), "WAREHOUSE").with("PEARLIFT_LIMITS_CONCURRENCY", "1")
}

fn of<'a>(outcome: &'a Outcome, name: &str) -> &'a ResourceOutcome {
    outcome.resources.iter().find(|resource| resource.resource == name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_may_fail_at_any_change_of_the_store_done_or_not_and_the_next_run_mends_it() {
    // GIVEN a lake, a changed source, and the result of a run without faults
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let lake = |name: &str| folder.path().join(name);
    program(&sandbox, &lake("old")).run(&["run", LISTS[0], LISTS[1]]).expect(0);
    sandbox.insert("brand", 2);
    sandbox.edit("warehouse", &sandbox.ids("warehouse")[..2]);
    copy_folder(&lake("old"), &lake("new"));
    let healthy = Faults::default();
    let unharmed = program(&sandbox, &lake("new"));
    let outcome = run_in(unharmed.request(&LISTS), healthy.before(&unharmed.store())).await.unwrap();
    assert_eq!(outcome.exit_code(false), 0);
    assert!(healthy.changes() >= 10, "{}", healthy.changes());

    // WHEN the store fails at each change in turn, or does it and reports a failure
    let mut cases = vec![lake("old"), lake("new")];
    for number in 0..healthy.changes() {
        for (word, fault) in [
            ("before", Fault::Before(Sorry::Unreachable)),
            ("after", Fault::After(Sorry::Unreachable)),
            ("denied", Fault::Before(Sorry::Denied)),
            ("exists", Fault::Exists),
        ] {
            let name = format!("{number}-{word}");
            copy_folder(&lake("old"), &lake(&name));
            let program = program(&sandbox, &lake(&name));
            let faults = Faults::default();
            faults.at_change(number, fault);
            let code = match run_in(program.request(&LISTS), faults.before(&program.store())).await {
                Ok(outcome) => outcome.exit_code(false),
                Err(failure) => failure.kind().exit_code(),
            };
            assert!(matches!(code, 0 | 5), "{name}: {code}");
            assert_eq!(faults.met(), 1, "{name}");
            copy_folder(&lake(&name), &lake(&format!("{name}-failed")));
            // AND the next run meets none THEN all is well
            let outcome = run_in(program.request(&LISTS), program.store()).await.unwrap();
            assert_eq!(outcome.exit_code(false), 0, "{name}: {:?}", outcome.resources);
            cases.extend([lake(&format!("{name}-failed")), lake(&name)]);
        }
    }

    // THEN readers of the head saw the old or the new, a glob no key twice except during publishing; now all is new
    let folders: Vec<&std::path::Path> = cases.iter().map(std::path::PathBuf::as_path).collect();
    let looks = look(&LISTS.join(","), &folders);
    let digests = |look: &serde_json::Value, resource: &str| -> Vec<serde_json::Value> {
        let tables = look["resources"][resource]["tables"].as_object().unwrap();
        tables.values().map(|table| table["digest"].clone()).collect()
    };
    for (paths, pair) in cases[2..].chunks(2).zip(looks[2..].chunks(2)) {
        let name = paths[1].display();
        for resource in LISTS {
            let (failed, repaired) = (digests(&pair[0], resource), digests(&pair[1], resource));
            let ends = [digests(&looks[0], resource), digests(&looks[1], resource)];
            assert!(ends.contains(&failed), "{name}: of {resource} the head was neither old nor new");
            assert_eq!(repaired, ends[1], "{name}: {resource}");
            for (table, seen) in pair[0]["resources"][resource]["tables"].as_object().unwrap() {
                assert!(seen["glob_twice"] == 0 || seen["staged"] != 0, "{name}: {table} {seen}");
            }
            for (table, seen) in pair[1]["resources"][resource]["tables"].as_object().unwrap() {
                assert_eq!(seen["glob_rows"], seen["rows"], "{name}: {table}");
            }
        }
        assert_eq!((&pair[1]["staged"], &pair[1]["strays"]), (&0.into(), &serde_json::json!([])), "{name}");
    }
}

/// A bucket in memory with locks that expire quickly.
fn bucket() -> Store {
    Store::memory().with_lock_timing(Duration::from_millis(50), Duration::from_millis(300))
}

/// Brands in a bucket equal the truth, by the head and by a glob, and nothing is left in staging.
async fn is_whole(sandbox: &Sandbox, store: &Store) {
    let folder = pour(store).await;
    check_truth(sandbox, folder.path().to_str().unwrap(), &["--only", "brand"]);
    let seen = look("brand", &[folder.path()]).remove(0);
    let table = &seen["resources"]["brand"]["tables"]["brand"];
    assert_eq!((&table["glob_rows"], &table["twice"], &seen["staged"]), (&table["rows"], &0.into(), &0.into()));
}

async fn run(program: &Program, store: Store) -> Outcome {
    run_in(program.request(&["brand"]), store).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_wakes_after_its_lock_was_taken_loses_cleanly() {
    // GIVEN a run that stalls before its commit is put, or before it is published, and renews its lock no more
    for (stalls_at, place) in [(Verb::Put, "manifests/brand"), (Verb::Copy, "brand/brand-")] {
        let sandbox = account(50).await;
        let store = bucket();
        let program = program(&sandbox, std::path::Path::new("unused"));
        assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
        sandbox.insert("brand", 2);
        let (faults, gate) = (Faults::default(), Gate::new());
        faults.once(stalls_at, place, Fault::Waits(gate.clone()));
        faults.times(Verb::Put, "locks/brand", 1, usize::MAX, Fault::Before(Sorry::Unreachable));
        let sleeper = run(&program, faults.before(&store));

        // WHEN another takes over and commits something else, and the first wakes
        let another = async {
            gate.somebody_waits().await;
            sandbox.edit("brand", &sandbox.ids("brand")[..1]);
            let other = run(&program, store.clone()).await;
            assert_eq!(other.exit_code(false), 0, "{:?}", other.resources);
            let seen = (store.list("brand").await.unwrap(), of(&other, "brand").version);
            gate.open();
            seen
        };
        let (outcome, (paths, version)) = futures_util::future::join(sleeper, another).await;

        // THEN the first has lost, with 6, and nothing of it is to be seen
        let End::Failed(failure) = &of(&outcome, "brand").end else { panic!("{outcome:?}") };
        assert_eq!(failure.kind(), Kind::Lost, "{place}: {failure}");
        assert_eq!(outcome.exit_code(false), 6);
        assert_eq!(store.list("brand").await.unwrap(), paths);
        assert_eq!(head(&store, "brand").await.unwrap().map(|head| head.version), version);
        is_whole(&sandbox, &store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_swept_of_a_run_that_sleeps_can_no_longer_be_committed_by_it() {
    // GIVEN a run that has staged its files and stalls before its commit is put
    let sandbox = account(50).await;
    let store = bucket();
    let program = program(&sandbox, std::path::Path::new("unused"));
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    sandbox.edit("brand", &sandbox.ids("brand")[..1]);
    let (faults, gate) = (Faults::default(), Gate::new());
    faults.once(Verb::Put, "manifests/brand", Fault::Waits(gate.clone()));
    faults.times(Verb::Put, "locks/brand", 1, usize::MAX, Fault::Before(Sorry::Unreachable));
    let sleeper = run(&program, faults.before(&store));

    // WHEN its staging is cleaned by a run that has nothing to commit, and it wakes
    let request = program.request(&[]);
    let cleaner = async {
        gate.somebody_waits().await;
        let now = Timestamp::now();
        let work = Cleaning {
            store: &store,
            catalog: &request.catalog,
            account: "acme",
            now,
            dry_run: false,
            compact: None,
            repartition: None,
        };
        let outcome = clean(work).await.unwrap();
        assert_eq!(outcome.waste.iter().filter(|waste| waste.why == WasteKind::Staging).count(), 1, "{outcome:?}");
        gate.open();
    };
    let (outcome, ()) = futures_util::future::join(sleeper, cleaner).await;

    // THEN it has lost, and the next run makes all right
    assert_eq!(outcome.exit_code(false), 6, "{:?}", outcome.resources);
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    is_whole(&sandbox, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_lists_what_was_there_before_loses_cleanly() {
    // GIVEN a store with lists that lag a version behind
    let sandbox = account(50).await;
    let store = bucket();
    let program = program(&sandbox, std::path::Path::new("unused"));
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    sandbox.insert("brand", 1);
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    let before = store.list("brand").await.unwrap();

    // WHEN a run goes by it THEN its commit is lost
    sandbox.insert("brand", 1);
    let faults = Faults::default();
    faults.once(Verb::List, "manifests/brand", Fault::Stale);
    assert_eq!(run(&program, faults.before(&store)).await.exit_code(false), 6);
    assert_eq!(store.list("brand").await.unwrap(), before);

    // AND the next one is right
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    is_whole(&sandbox, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_a_manifest_is_no_manifest() {
    let sandbox = account(50).await;
    let store = bucket();
    let program = program(&sandbox, std::path::Path::new("unused"));
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    let before = store.list("").await.unwrap();
    let faults = Faults::default();
    faults.once(Verb::Get, "manifests/brand", Fault::Torn);
    let outcome = run(&program, faults.before(&store)).await;
    assert_eq!(outcome.exit_code(false), Kind::Damage.exit_code());
    assert_eq!(store.list("").await.unwrap(), before);
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    is_whole(&sandbox, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conflict_at_a_copy_that_copied_nothing_loses_nothing() {
    // GIVEN a bucket that answers 409 to a copy
    let sandbox = account(50).await;
    let store = bucket();
    let program = program(&sandbox, std::path::Path::new("unused"));
    let faults = Faults::default();
    faults.once(Verb::Copy, "brand/brand-", Fault::Exists);
    // WHEN it publishes THEN it does not take the file as published
    assert_eq!(run(&program, faults.before(&store)).await.exit_code(false), 5);
    assert_eq!(faults.met(), 1);
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    is_whole(&sandbox, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_that_cannot_be_given_back_are_no_failure_of_what_was_done() {
    let sandbox = account(50).await;
    let store = bucket();
    let program = program(&sandbox, std::path::Path::new("unused"));
    let faults = Faults::default();
    faults.times(Verb::Put, "locks/brand", 1, usize::MAX, Fault::Before(Sorry::Unreachable));
    let outcome = run(&program, faults.before(&store)).await;
    assert!(faults.met() > 0);
    assert_eq!((outcome.exit_code(false), of(&outcome, "brand").version), (0, Some(1)));
    // AND the next run waits until they have expired
    assert_eq!(run(&program, store.clone()).await.exit_code(false), 0);
    is_whole(&sandbox, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_overwrites_where_it_must_not_is_refused_before_anything_is_asked() {
    let sandbox = account(50).await;
    let store = bucket();
    let faults = Faults::default();
    faults.always(Verb::Put, "", Fault::Overwrites);
    let program = program(&sandbox, std::path::Path::new("unused"));
    let failure = run_in(program.request(&["brand"]), faults.before(&store)).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::StoreRefused, "{failure}");
    assert_eq!(sandbox.take_log().total(), 0);
    assert_eq!(store.list("").await.unwrap(), [], "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_a_sleeper_put_back_is_removed_again_by_the_next_run() {
    // GIVEN a file that a later version took out of its table
    let sandbox = account(50).await;
    let store = bucket();
    let program = program(&sandbox, std::path::Path::new("unused"));
    run(&program, store.clone()).await;
    let (path, _) = store.list("brand").await.unwrap().remove(0);
    let bytes = store.get(&path).await.unwrap().unwrap();
    sandbox.edit("brand", &sandbox.ids("brand")[..1]);
    run(&program, store.clone()).await;
    assert_eq!(store.get(&path).await.unwrap(), None);
    // AND the head is not that version
    sandbox.age(Duration::from_secs(60));
    run(&program, store.clone()).await;
    let newest = head(&store, "brand").await.unwrap().unwrap();
    assert!(!newest.removes.contains(&path));

    // WHEN it is back THEN the next run removes it, though it has nothing to commit
    store.put_new(&path, bytes).await.unwrap();
    run(&program, store.clone()).await;
    assert_eq!(store.get(&path).await.unwrap(), None);
    is_whole(&sandbox, &store).await;
}
