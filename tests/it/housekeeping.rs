//! Files that a run removes at its end, and none that is needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use pearlift::event::{Event, Events};
use pearlift::run::{nonce, run_in};
use pearlift::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{
    Fault, Faults, Program, Sorry, Verb, account, copy_folder, fast_folder, files, findings, head, query, version,
};

const SOMETHING: &str = "0123456789abcdef0123456789abcdef";
const RESOURCES: [&str; 2] = ["order", "brand"];

fn days_ago(days: i64) -> String {
    (Timestamp::now() - SignedDuration::from_hours(24 * days)).to_string()
}

fn manifests(lake: &Path, resource: &str) -> PathBuf {
    lake.join("_pearlift/manifests").join(resource)
}

fn numbers(lake: &Path, resource: &str) -> Vec<u64> {
    let number = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    files(&manifests(lake, resource)).into_iter().map(number).collect()
}

/// Makes this version the newest of a resource: those before it equal the newest existing one, dated so many days ago.
/// Existing versions keep their lists.
fn grow(lake: &Path, resource: &str, to: u64, days: i64) {
    let there = files(&manifests(lake, resource));
    let read = |path: &PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let known = read(there.last().unwrap());
    for number in 1..=to {
        let path = manifests(lake, resource).join(format!("{number:020}.json"));
        let mut next = if there.contains(&path) { read(&path) } else { known.clone() };
        if !there.contains(&path) {
            next["version"] = number.into();
            next["nonce"] = json!(format!("{number:032x}"));
        }
        next["written_at"] = json!(days_ago(if number == to { 0 } else { days }));
        std::fs::write(path, next.to_string()).unwrap();
    }
}

fn plant(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Writes so many reports of so many days ago, the oldest first.
fn reports(lake: &Path, count: usize, days: i64) {
    for number in 0..count {
        let path = lake.join(format!("_pearlift/runs/{number:032x}.json"));
        plant(&path, &json!({"started_at": days_ago(days)}).to_string());
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + u64::try_from(number).unwrap());
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
    }
}

/// An account of orders and a lake with two nights of it: the second version of orders refers to the first.
async fn two_nights(lake: &Path) -> (Sandbox, Program) {
    let sandbox = account(300).await;
    let program = Program::new(&sandbox, lake).by_month().with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
    program.run(&["run", "order", "brand"]).expect(0);
    a_night(&sandbox);
    program.run(&["run", "order", "brand"]).expect(0);
    let newest = files(&manifests(lake, "order")).pop().unwrap();
    let newest: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    assert_eq!(newest["changed_since"]["version"], 1, "it refers to the first");
    (sandbox, program)
}

fn a_night(sandbox: &Sandbox) {
    sandbox.age(std::time::Duration::from_secs(86_400));
    sandbox.edit("order", &sandbox.ids("order")[290..]);
    sandbox.insert("order", 3);
    sandbox.age(std::time::Duration::from_secs(600));
}

/// The files that `clean` would remove.
fn would_go(program: &Program) -> Vec<Value> {
    let done = program.run(&["clean", "--dry-run", "--json"]).expect(0);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    said["removed"].as_array().unwrap().clone()
}

fn rows(lake: &Path) -> Vec<String> {
    query(&format!("SELECT id, total FROM read_parquet('{}/order/**/*.parquet') ORDER BY id", lake.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_removes_what_clean_would_remove_and_a_setting_leaves_it() {
    // GIVEN 130 versions of brands, most of them of last month, one of which removed a file that is still there
    let lake = fast_folder();
    let (_sandbox, program) = two_nights(lake.path()).await;
    grow(lake.path(), "brand", 130, 30);
    let superseded = format!("brand/brand-{SOMETHING}-1.parquet");
    let old = manifests(lake.path(), "brand").join(format!("{:020}.json", 9));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
    manifest["removes"] = json!([superseded]);
    std::fs::write(&old, manifest.to_string()).unwrap();
    plant(&lake.path().join(&superseded), "planted");
    // AND a plan of a finished scan, 110 reports of last year, files that are not ours
    plant(&lake.path().join(format!("_pearlift/scans/brand/{SOMETHING}.json")), "{}");
    reports(lake.path(), 110, 300);
    let foreign = ["_pearlift/runs/mine.json", "_pearlift/scans/brand/mine.json", "brand/notes.txt"];
    foreign.iter().for_each(|path| plant(&lake.path().join(path), "mine"));
    let would = would_go(&program).len();
    assert!(would > 40, "{would}");

    // WHEN it runs with the setting off THEN nothing goes
    let off = program.clone().with("PEARLIFT_DESTINATION_HOUSEKEEPING", "false");
    off.run(&["run", "brand"]).expect(0);
    assert!(would_go(&program).len() >= would && lake.path().join(&superseded).exists());

    // WHEN it runs without THEN the objects that `clean` would remove are gone, and -v reports it
    let done = program.run(&["run", "brand", "-v"]).expect(0);
    assert!(done.stderr.contains("housekeeping removed "), "{}", done.stderr);
    assert_eq!(would_go(&program), Vec::<Value>::new(), "{}", done.stderr);
    assert!(!lake.path().join(&superseded).exists());
    let left = numbers(lake.path(), "brand");
    assert!(
        (10..=100).contains(&left.len()) && left[0] == 1,
        "not many, the first among them, to which the others refer: {left:?}"
    );
    assert_eq!(
        files(&lake.path().join("_pearlift/runs")).len(),
        101,
        "a hundred, its own among them, and a foreign one"
    );
    // AND foreign files stay, and all files are as the heads list them
    assert!(foreign.iter().all(|path| lake.path().join(path).exists()));
    assert_eq!(findings(&program, &["--deep"], 0), ["brand: stray"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_version_to_which_the_head_refers_is_never_pruned() {
    for clean in [false, true] {
        // GIVEN 160 versions of orders of last month that refer to the first
        let lake = fast_folder();
        let (sandbox, program) = two_nights(lake.path()).await;
        grow(lake.path(), "order", 160, 30);
        let before = rows(lake.path());

        // WHEN a run, or `clean`, prunes them
        match clean {
            true => program.run(&["clean"]).expect(0),
            false => program.run(&["run", "brand", "order"]).expect(0),
        };

        // THEN the first is there, and the following ones are whole
        let left = numbers(lake.path(), "order");
        assert!(left[0] == 1 && left[1] > 50, "{left:?}");
        assert_eq!(rows(lake.path()), before);
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
        a_night(&sandbox);
        program.run(&["run", "order"]).expect(0);
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
        program.run(&["status"]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_take_a_quarter_of_the_data_however_young_they_are() {
    // GIVEN 300 versions of orders, all of today
    let lake = fast_folder();
    let (_sandbox, program) = two_nights(lake.path()).await;
    grow(lake.path(), "order", 300, 0);
    let bytes = |folder: &Path| files(folder).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let tables = catalog.get("order").unwrap().tables.iter().map(|table| table.name.clone());
    let data: u64 = tables.map(|table| bytes(&lake.path().join(table))).sum();
    let room = (data / 4).max(32 << 10);
    let folder = manifests(lake.path(), "order");
    assert!(bytes(&folder) > 2 * room);

    // WHEN runs end, each within its budget THEN they take no more than they may, or are the last ten
    for _ in 0..3 {
        program.run(&["run", "brand", "order"]).expect(0);
    }
    let left = numbers(lake.path(), "order");
    assert!(bytes(&folder) <= room || left.len() <= 26, "{} of {room}, {}", bytes(&folder), left.len());
    assert!(left.len() >= 10, "{left:?}");
    assert_eq!(findings(&program, &[], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_removes_no_more_than_its_budget_and_the_next_one_goes_on() {
    // GIVEN 700 versions of brands of last month
    let lake = fast_folder();
    let (_sandbox, program) = two_nights(lake.path()).await;
    grow(lake.path(), "brand", 700, 30);
    let mut left = numbers(lake.path(), "brand").len();

    // WHEN runs end THEN each reads at most two hundred of them, and in the end a hundred are left
    for _ in 0..4 {
        program.run(&["run", "brand"]).expect(0);
        let now = numbers(lake.path(), "brand").len();
        assert!(left - now < 200, "{left} became {now}");
        left = now;
    }
    assert!(left <= 106, "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_what_another_run_holds_nothing_is_removed() {
    // GIVEN many old versions of two resources, of which another run holds one
    let lake = fast_folder();
    let (_sandbox, program) = two_nights(lake.path()).await;
    grow(lake.path(), "brand", 150, 30);
    grow(lake.path(), "order", 150, 30);
    let held = program.store().lock(&["order"], &nonce(), false, std::future::pending()).await.unwrap();

    // WHEN it runs THEN of the other alone old versions go
    program.run(&["run", "order", "brand"]).expect(6);
    assert_eq!(numbers(lake.path(), "order").len(), 150);
    assert!(numbers(lake.path(), "brand").len() < 110);
    held.release().await.unwrap();
}

/// Runs in this process; gives its exit code and its warnings, except those of clocks.
async fn run_at(program: &Program, faults: &Faults) -> (u8, Vec<String>) {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut request = program.request(&RESOURCES);
    request.events = Events::new({
        let said = Arc::clone(&said);
        move |event| {
            if let Event::Warning { text, .. } = event
                && !text.contains("clock")
            {
                said.lock().unwrap().push(text.clone());
            }
        }
    });
    let code = run_in(request, faults.before(&program.store())).await.map_or(99, |outcome| outcome.exit_code(false));
    let said = said.lock().unwrap().clone();
    (code, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn housekeeping_that_fails_is_a_warning_and_the_run_is_done() {
    for (verb, place) in [(Verb::Delete, "manifests/"), (Verb::Delete, "runs/"), (Verb::List, "_pearlift/runs")] {
        // GIVEN much to be removed, and a store that refuses it
        let lake = fast_folder();
        let (_sandbox, program) = two_nights(lake.path()).await;
        grow(lake.path(), "brand", 150, 30);
        reports(lake.path(), 110, 300);
        let faults = Faults::default();
        faults.always(verb, place, Fault::Before(Sorry::Denied));

        // WHEN it runs THEN nothing else is reported of it
        let (code, said) = run_at(&program, &faults).await;
        assert_eq!((code, said.len()), (0, 1), "{place}: {said:?}");
        assert!(said[0].starts_with("housekeeping is left to the next run: "), "{said:?}");
        assert!(faults.met() > 0);

        // AND the next run makes up for it
        faults.heal();
        assert_eq!(run_at(&program, &faults).await, (0, Vec::new()));
        assert!(numbers(lake.path(), "brand").len() < 110);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_may_crash_at_any_change_of_its_housekeeping() {
    // GIVEN much to be removed of orders that refer to their first version
    let folder = fast_folder();
    let begin = folder.path().join("begin");
    std::fs::create_dir(&begin).unwrap();
    let (sandbox, first) = two_nights(&begin).await;
    grow(&begin, "order", 128, 30);
    grow(&begin, "brand", 108, 30);
    reports(&begin, 104, 300);
    let at = |name: &str| {
        let lake = folder.path().join(name);
        copy_folder(&begin, &lake);
        (first.clone().with("PEARLIFT_DESTINATION_URL", lake.to_str().unwrap()), lake)
    };
    a_night(&sandbox);
    let changes = async |program: &Program| {
        let faults = Faults::default();
        assert_eq!(run_at(program, &faults).await.0, 0);
        faults.changes()
    };
    let (off, off_lake) = at("off");
    let before = changes(&off.with("PEARLIFT_DESTINATION_HOUSEKEEPING", "false")).await;
    let (whole, whole_lake) = at("whole");
    let all = changes(&whole).await;
    assert!(all > before + 30, "{before}, {all}");
    assert_eq!(rows(&off_lake), rows(&whole_lake));

    // WHEN a run crashes at some of the changes that housekeeping makes THEN the head is the new one, and the next run resumes
    for number in [before, before + 1, before + 5, before + 15, all - 20, all - 2, all - 1] {
        let (program, lake) = at(&format!("crash-{number}"));
        let faults = Faults::default();
        faults.at_change(number, Fault::Before(Sorry::Unreachable));
        run_at(&program, &faults).await;
        assert_eq!(faults.met(), 1, "{number}");
        faults.die();
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new(), "{number}");
        assert_eq!(rows(&lake), rows(&whole_lake), "{number}");
        program.run(&["run", "order", "brand"]).expect(0);
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new(), "{number}");
        // A few versions more than a hundred are left until they are worth a look.
        assert!(would_go(&program).len() <= 10, "{number}: {:?}", would_go(&program));
        std::fs::remove_dir_all(lake).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_leaves_no_empty_folder_of_its_own() {
    let lake = fast_folder();
    let (_sandbox, program) = two_nights(lake.path()).await;
    let staging = lake.path().join("_pearlift/staging");
    let runs = || std::fs::read_dir(&staging).map_or(0, Iterator::count);
    assert_eq!(runs(), 0);
    // One that another run has just made is not touched.
    std::fs::create_dir_all(staging.join(SOMETHING)).unwrap();
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lake_of_whole_manifests_is_read_and_gone_on_with() {
    // GIVEN a lake as earlier versions of the program wrote it: each version with all its files, in lines
    let lake = fast_folder();
    let (sandbox, program) = two_nights(lake.path()).await;
    for path in files(&lake.path().join("_pearlift/manifests")) {
        let mut whole = version(&path);
        let state = whole["state"].as_object_mut().unwrap();
        state.retain(|key, _| !key.starts_with("references_"));
        std::fs::write(&path, serde_json::to_string_pretty(&whole).unwrap()).unwrap();
    }
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());

    // WHEN the next night runs THEN its version refers to the last of them
    a_night(&sandbox);
    program.run(&["run", "order"]).expect(0);
    let newest = files(&manifests(lake.path(), "order")).pop().unwrap();
    let newest: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    assert_eq!(newest["changed_since"]["version"], 2);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    assert_eq!(rows(lake.path()).len(), 306);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn references_are_read_once_and_cleared_without_a_commit_of_their_own() {
    // GIVEN an exported account, and payments that name orders
    let sandbox = account(300).await;
    let lake = fast_folder();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run", "customer_payment", "order"]).expect(0);
    sandbox.age(std::time::Duration::from_secs(86_400));
    sandbox.insert("customer_payment", 20);
    sandbox.age(std::time::Duration::from_secs(600));
    let payments = || numbers(lake.path(), "customer_payment").len();
    let (before, orders) = (payments(), numbers(lake.path(), "order").len());

    // WHEN a night runs THEN payments have one version more, which references orders; orders two, the second of them
    // with the referenced orders
    program.run(&["run", "customer_payment", "order"]).expect(0);
    let state = |resource: &str| head(lake.path(), resource)["state"].clone();
    let mark = state("customer_payment")["references_mark"].clone();
    assert!(state("customer_payment")["pending_references"]["order"].as_array().unwrap().len() > 10);
    assert_eq!(state("order")["references_read"]["customer_payment"], mark);
    assert_eq!((payments() - before, numbers(lake.path(), "order").len() - orders), (1, 2));

    // AND they are not read again, whether payments were read meanwhile or not, and are cleared with the next version
    for names in [&["order"][..], &["customer_payment", "order"]] {
        sandbox.age(std::time::Duration::from_secs(3_600));
        let done = program.run(&[&["run"], names].concat()).expect(0);
        assert!(!done.stderr.contains("touched"), "{}", done.stderr);
    }
    assert_eq!((payments() - before, &state("customer_payment")["pending_references"]), (2, &json!({})));
    assert_eq!(state("customer_payment").get("references_mark"), None);
}
