//! Azure Blob Storage: the promises of a bucket in a container of Azurite, which `make azure` installs.
//!
//! These tests are ignored by `cargo test`: Azurite is a program of Node.js. Those of `azure_answers` need none.

use std::time::Duration;

use futures_util::future::join_all;
use pearlift::run::run_in;
use pearlift::sandbox::Sandbox;
use pearlift::store::paths::staged;
use pearlift::store::{Put, Store};

use crate::support::{
    Answer, Azurite, Fault, Faults, Gate, Program, Proxy, Sorry, Verb, account, check_truth, pour, root,
};

const URL: &str = "az://lake/shop";
const RUN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const TABLES: [&str; 2] = ["--only", "order,order_row,order_party,brand"];

/// The program with lists that are read each time and locks that expire soon.
fn quick(program: Program) -> Program {
    program
        .with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms")
        .with("PEARLIFT_DESTINATION_AZURE_LOCK_RENEW", "300ms")
        .with("PEARLIFT_DESTINATION_AZURE_LOCK_EXPIRE", "1s")
}

fn a_day_goes_by(sandbox: &Sandbox) {
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.insert("brand", 1);
    let orders: Vec<i64> = sandbox.ids("order").into_iter().step_by(3).collect();
    sandbox.edit("order", &orders);
    sandbox.age(Duration::from_secs(600));
}

/// Panics unless the tables of a container equal the truth.
async fn is_right(sandbox: &Sandbox, program: &Program) {
    program.run(&["verify", "--deep"]).expect(0);
    let poured = pour(&program.store()).await;
    check_truth(sandbox, poured.path().to_str().unwrap(), &TABLES);
}

async fn paths(store: &Store, prefix: &str) -> Vec<String> {
    store.list(prefix).await.unwrap().into_iter().map(|(path, _)| path).collect()
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_in_a_container_equal_the_truth_and_are_cleaned_by_either_credential() {
    let (azurite, sandbox) = (Azurite::start().await, account(60).await);
    let signature = Azurite::signature("racwdl", "2099-01-01T00:00:00Z");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("signature"), format!("?{signature}\n")).unwrap();
    for (prefix, is_signed) in [("shop", false), ("signed", true), ("ünï/50%/a b", false)] {
        // GIVEN a container, by the key of its account or by a signature WHEN an account is exported, and again
        let program = Program::new(&sandbox, format!("az://lake/{prefix}"));
        let program = quick(match is_signed {
            false => azurite.reach(program),
            true => azurite
                .at(program, &azurite.root())
                .with("AZURE_STORAGE_SAS_TOKEN_FILE", folder.path().join("signature").to_str().unwrap()),
        });
        program.run(&["check"]).expect(0);
        program.run(&["run", "order", "brand"]).expect(0);
        is_right(&sandbox, &program).await;
        a_day_goes_by(&sandbox);
        program.run(&["run", "order", "brand"]).expect(0);
        program.run(&["run", "--full", "order"]).expect(0);
        // THEN its tables equal the truth, and nothing else is left
        is_right(&sandbox, &program).await;
        program.run(&["clean"]).expect(0);
        let verified = program.run(&["verify", "--deep"]).expect(0);
        assert!(!verified.stdout.contains("stray"), "{}", verified.stdout);
        let store = program.store();
        assert_eq!(paths(&store, "_pearlift/staging").await, Vec::<String>::new());
        assert_eq!(paths(&store, "_pearlift/locks").await.iter().filter(|path| path.contains("probe")).count(), 0);
    }
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_of_one_name_one_wins_and_an_overwrite_needs_the_newest_tag() {
    let azurite = Azurite::start().await;
    let store = azurite.reach(Program::bare(URL)).store();
    for round in 0..10 {
        // GIVEN many writers of one name WHEN they write at once THEN one wins, and its bytes are there
        let path = format!("_pearlift/manifests/brand/{round}.json");
        let puts = (0..16).map(|writer| store.put_new(&path, format!("{writer}")));
        let outcomes: Vec<Put> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
        let won: Vec<usize> = (0..16).filter(|writer| matches!(outcomes[*writer], Put::Created(_))).collect();
        let [winner] = won[..] else { panic!("{outcomes:?}") };
        let (bytes, tag) = store.get_tagged(&path).await.unwrap().unwrap();
        assert_eq!(bytes, format!("{winner}"));
        // WHEN they overwrite it by one tag THEN one of them does
        let overwrites = (0..16).map(|writer| store.put_over(&path, &tag, format!("over {writer}")));
        let tags: Vec<_> = join_all(overwrites).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(tags.iter().flatten().count(), 1);
        assert_eq!(store.put_over(&path, &tag, "late").await.unwrap(), None);
    }
    // AND one that does not exist is not overwritten
    let Put::Created(tag) = store.put_new("_pearlift/locks/x", "1").await.unwrap() else { panic!("it is new") };
    store.delete(&["_pearlift/locks/x".to_owned(), "_pearlift/locks/never".to_owned()]).await.unwrap();
    assert_eq!(store.put_over("_pearlift/locks/x", &tag, "2").await.unwrap(), None);
    assert_eq!(store.get("_pearlift/locks/x").await.unwrap(), None);
    store.prove_conditional_put(RUN).await.unwrap();
    store.prove_lock(RUN).await.unwrap();
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_is_whole_over_pages_and_a_file_in_parts_has_its_bytes() {
    let azurite = Azurite::start().await;
    let store = azurite.reach(Program::bare(URL)).store();
    // GIVEN more objects than a page has WHEN they are listed THEN each is there, and goes when it is deleted
    let names: Vec<String> = (0..2_300).map(|number| format!("order/order-{RUN}-{number}.parquet")).collect();
    for some in names.chunks(16) {
        join_all(some.iter().map(|path| store.put_own(path, "x"))).await.into_iter().for_each(Result::unwrap);
    }
    store.put_own("order_row/beside", "x").await.unwrap();
    let mut wanted = names.clone();
    wanted.sort();
    assert_eq!(paths(&store, "order").await, wanted);
    assert_eq!(store.list_folder("").await.unwrap(), ["order", "order_row"]);
    for some in names.chunks(200) {
        store.delete(some).await.unwrap();
    }
    assert_eq!(paths(&store, "").await, ["order_row/beside"]);

    // GIVEN a file of three parts WHEN it is staged and copied THEN it has its bytes, also in ranges
    let spool = tempfile::tempdir().unwrap();
    let path = staged("brand", RUN, 1);
    let scratch = store.scratch(&path, spool.path()).unwrap();
    let bytes: Vec<u8> = (0..20_usize << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    std::fs::write(&scratch.path, &bytes).unwrap();
    store.stage(scratch).await.unwrap();
    assert!(store.copy(&path, "brand/a.parquet").await.unwrap());
    assert!(!store.copy("brand/never", "brand/b.parquet").await.unwrap());
    let copy = store.local_copy("brand/a.parquet", 32 << 20, spool.path()).await.unwrap().unwrap();
    assert!(std::fs::read(copy.path()).unwrap() == bytes, "the copy has its bytes");
    let file = store.known_file("brand/a.parquet", 20 << 20);
    assert_eq!(file.fetch(9 << 20, 1_000).await.unwrap(), bytes[9 << 20..][..1_000]);
    assert!(file.fetch(20 << 20, 10).await.is_err(), "beyond its end");
    let dated: Vec<String> = store.list_by_age("").await.unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(dated.first().map(String::as_str), Some("order_row/beside"));
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_crashes_before_any_change_of_a_container_is_made_right_by_the_next() {
    let (azurite, sandbox) = (Azurite::start().await, account(30).await);
    let program = quick(azurite.reach(Program::new(&sandbox, URL)));
    program.run(&["run", "order", "brand"]).expect(0);
    // Every change of a run of one table, and every seventh of one of several.
    for (name, stride, least) in [("brand", 1, 8), ("order", 7, 5)] {
        let mut crashes = 0;
        for number in (0..).step_by(stride) {
            // GIVEN tables, and a day gone by WHEN a run crashes before its change of this number
            a_day_goes_by(&sandbox);
            let faults = Faults::default();
            faults.die_at_change(number);
            let outcome = run_in(program.request(&[name]), faults.before(&program.store())).await;
            if !faults.is_dead() {
                assert_eq!(outcome.unwrap().exit_code(false), 0);
                break;
            }
            crashes += 1;
            // THEN no version lists anything that is not there, and the next run makes all right
            program.run(&["verify"]).expect(0);
            program.run(&["run", name]).expect(0);
            program.run(&["verify", "--deep"]).expect(0);
        }
        assert!(crashes >= least, "{name}: {crashes}");
    }
    program.run(&["run", "order", "brand"]).expect(0);
    is_right(&sandbox, &program).await;
    program.run(&["clean"]).expect(0);
    assert_eq!(paths(&program.store(), "_pearlift/staging").await, Vec::<String>::new());
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_put_that_worked_though_a_container_denies_it_is_won() {
    let (azurite, sandbox) = (Azurite::start().await, account(30).await);
    let proxy = Proxy::start(azurite.root()).await;
    let program = quick(azurite.reach_through(Program::new(&sandbox, URL), &proxy.endpoint()));
    program.run(&["run", "order", "brand"]).expect(0);
    for (method, path, times, answer) in [
        ("PUT", "/", 2, Answer::Refuse(503, "ServerBusy")),
        ("GET", "/", 2, Answer::Refuse(503, "ServerBusy")),
        ("PUT", "/staging/", 1, Answer::DoneBut(500, "InternalError")),
        // The client tries again and gets 409 or 412 by the service.
        ("PUT", "/manifests/", 1, Answer::DoneBut(500, "InternalError")),
        ("PUT", "/manifests/", 1, Answer::DoneBut(409, "BlobAlreadyExists")),
        ("PUT", "/manifests/", 1, Answer::DoneBut(412, "ConditionNotMet")),
        ("PUT", "/manifests/", 2, Answer::Refuse(409, "BlobAlreadyExists")),
        ("PUT", "/locks/brand", 1, Answer::DoneBut(500, "InternalError")),
        ("PUT", "/brand/", 1, Answer::DoneBut(500, "InternalError")),
        ("POST", "comp=batch", 1, Answer::DoneBut(500, "InternalError")),
    ] {
        // GIVEN a service in haste, in trouble, or one that does after it denied WHEN it runs THEN it ends well
        sandbox.insert("brand", 1);
        let what = format!("{method} {path} {answer:?}");
        proxy.answer(method, path, times, answer);
        let done = program.run(&["run", "brand"]);
        assert_eq!(done.code, 0, "{what}: {}", done.said());
        assert_eq!(proxy.heal(), 0, "{what} was met");
    }
    is_right(&sandbox, &azurite.reach(Program::new(&sandbox, URL))).await;
    // AND faults of any kind at the commit leave whole tables
    for fault in [Fault::After(Sorry::Unreachable), Fault::DoneThenExists, Fault::Exists] {
        sandbox.insert("brand", 1);
        let faults = Faults::default();
        faults.once(Verb::Put, "manifests/brand", fault.clone());
        let outcome = run_in(program.request(&["brand"]), faults.before(&program.store())).await.unwrap();
        assert_eq!((outcome.exit_code(false), faults.met()), (0, 1), "{fault:?}");
    }
    // AND a container that overwrites against the condition is refused
    for command in [&["run", "brand"][..], &["check"]] {
        proxy.answer("PUT", "/locks/probe", usize::MAX, Answer::Pretend);
        let done = program.run(command).expect(5);
        proxy.heal();
        assert!(done.said().contains("put-if-absent"), "{}", done.said());
    }
    is_right(&sandbox, &azurite.reach(Program::new(&sandbox, URL))).await;
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_slept_while_another_took_its_locks_in_a_container_has_lost() {
    let (azurite, sandbox) = (Azurite::start().await, account(60).await);
    let proxy = Proxy::start(azurite.root()).await;
    let program = quick(azurite.reach(Program::new(&sandbox, URL)));
    for (method, path) in [
        ("GET", "/_pearlift/manifests/order/"),
        ("GET", "/shop/order_row/"),
        ("PUT", "/_pearlift/manifests/order/"),
        ("PUT", "/shop/order_row/"),
    ] {
        program.run(&["run", "order", "brand"]).expect(0);
        a_day_goes_by(&sandbox);
        // GIVEN a run that falls asleep at a request
        let gate = Gate::new();
        proxy.answer(method, path, 1, Answer::Waits(gate.clone()));
        let sleeper = quick(azurite.reach_through(Program::new(&sandbox, URL), &proxy.endpoint()));
        let mut sleeping = sleeper.start(&["run", "order"]);
        gate.somebody_waits().await;
        let signal = |name: &str| {
            let sent = std::process::Command::new("kill").args([name, &sleeping.id().to_string()]).status();
            assert!(sent.unwrap().success());
        };
        signal("-STOP");
        // AND another that respects its locks until they expire, and takes over
        program.run(&["run", "order", "brand"]).expect(0);
        a_day_goes_by(&sandbox);
        program.run(&["run", "order", "brand"]).expect(0);
        // WHEN it wakes THEN it has lost, and the tables are whole
        gate.open();
        signal("-CONT");
        assert_eq!(sleeping.wait().unwrap().code(), Some(6), "{method} {path}: {}", sleeping.said());
        proxy.heal();
        is_right(&sandbox, &program).await;
    }
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_runs_on_a_container_share_the_work_and_locks_are_respected() {
    let (azurite, sandbox) = (Azurite::start().await, account(60).await);
    let program = quick(azurite.reach(Program::new(&sandbox, URL)));
    for _ in 0..3 {
        a_day_goes_by(&sandbox);
        // WHEN two runs start at once THEN one of them has all, or each has some, and the tables are the truth
        let mut children = [(); 2].map(|()| program.start(&["run", "order", "brand"]));
        let codes = children.each_mut().map(|child| child.wait().unwrap().code().unwrap());
        assert!(codes.contains(&0) && codes.iter().all(|code| matches!(code, 0 | 6)), "{codes:?}");
        is_right(&sandbox, &program).await;
    }
    // GIVEN a lock that is held WHEN another run comes THEN it leaves the resource alone until the lock is released
    let store = program.store().with_lock_timing(Duration::from_millis(300), Duration::from_secs(1));
    let locks = store.lock(&["brand"], OTHER, false, std::future::pending()).await.unwrap();
    program.run(&["run", "brand"]).expect(6);
    assert!(locks.still_holds("brand").await.unwrap());
    locks.release().await.unwrap();
    program.run(&["run", "brand"]).expect(0);
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrong_credentials_of_a_container_are_refused_with_a_sentence_and_no_secret() {
    let azurite = Azurite::start().await;
    let key = "cGxhbnRlZC13cm9uZy1rZXktb2YtdGhlLWFjY291bnQhIQ==";
    let late = Azurite::signature("racwdl", "2020-01-01T00:00:00Z");
    let weak = Azurite::signature("rl", "2099-01-01T00:00:00Z");
    let forged = late.replace("2020-01-01", "2098-01-01");
    let program = Program::bare(URL)
        .with("BRIGHTPEARL_STAFF_TOKEN", "planted-staff-token")
        .with("PEARLIFT_ACCOUNT_BASE_URL", "https://source.example/public-api/acme");
    let bare = azurite.at(program.clone(), &azurite.root());
    for (variable, secret) in [
        ("AZURE_STORAGE_ACCOUNT_KEY", key),
        ("AZURE_STORAGE_SAS_TOKEN", late.as_str()),
        ("AZURE_STORAGE_SAS_TOKEN", forged.as_str()),
        ("AZURE_STORAGE_SAS_TOKEN", weak.as_str()),
    ] {
        let done = bare.clone().with(variable, secret).run(&["run", "brand"]).expect(5);
        assert!(done.said().contains("AZURE_STORAGE_"), "{}", done.said());
        let sig = secret.split_once("sig=").map_or(secret, |(_, sig)| sig);
        assert!(!done.said().contains(sig), "{}", done.said());
    }
    let nowhere = program.with("PEARLIFT_DESTINATION_URL", "az://nowhere/shop");
    let done = azurite.reach(nowhere).run(&["run", "brand"]).expect(5);
    assert!(done.said().contains("the container does not exist"), "{}", done.said());
}

#[ignore = "needs Azurite: `make azure`"]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_azure_read_the_tables_and_their_logs() {
    let (azurite, sandbox) = (Azurite::start().await, account(60).await);
    // GIVEN tables in a container in the layout of Delta, before and after a day
    let program = quick(azurite.reach(Program::new(&sandbox, URL))).with("PEARLIFT_DESTINATION_LAYOUT", "delta");
    program.run(&["run", "order", "brand"]).expect(0);
    a_day_goes_by(&sandbox);
    program.run(&["run", "order", "brand"]).expect(0);
    program.run(&["verify", "--deep"]).expect(0);
    // WHEN deltalake reads them THEN it sees the rows that the account has
    let script = r#"
import json, sys
from deltalake import DeltaTable
options = json.loads(sys.argv[1])
for table in ["order", "order_row", "brand"]:
    read = DeltaTable(f"az://lake/shop/{table}", storage_options=options)
    print(table, read.to_pyarrow_table().num_rows, read.version() >= 0)
"#;
    let python = root().join(".venv/bin/python");
    let output = std::process::Command::new(python).args(["-c", script, &azurite.delta_options().to_string()]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for table in ["order", "brand"] {
        assert!(said.contains(&format!("{table} {} True", sandbox.ids(table).len())), "{said}");
    }
}
