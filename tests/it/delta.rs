//! The layout `delta`: readers of a table's log see one whole version of it, whatever a crash left, and earlier ones too.
//!
//! The reader is deltalake, which shares no code with the log that is written; `make delta` asks the other engines too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pearlift::failure::{Failure, Kind};
use pearlift::run::run_in;
use pearlift::sandbox::Sandbox;
use pearlift::store::StoreStep;
use serde_json::Value;

use crate::support::{
    Faults, Program, S3_KEY, S3_SECRET, Weed, account, copy_folder, fast_folder, files, findings, head, lean_orders,
    pour, python, query, root, tool,
};

/// The resources of most tests: one of several tables by month, and a list.
const NAMES: [&str; 2] = ["order", "brand"];
/// The engines of `make delta`.
const ENGINES: &str = "deltalake,polars,duckdb,chdb";

fn program(sandbox: &Sandbox, lake: &Path) -> Program {
    Program::new(sandbox, lake)
        .by_month()
        .with("PEARLIFT_DESTINATION_LAYOUT", "delta")
        .with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms")
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
}

/// Reads the logs below these folders with an interpreter's engines; panics at the first difference.
#[track_caller]
fn read_with(python: &Path, options: &[&str], folders: &[&Path], vars: &[(&str, String)]) -> Vec<Value> {
    let mut command = Command::new(python);
    command.arg(root().join("tests/readers/delta.py")).args(options).arg(NAMES.join(",")).args(folders);
    // ClickHouse reads no file outside its working directory.
    command.envs(vars.iter().map(|(name, value)| (name, value))).current_dir("/");
    let output = command.output().expect("Python starts");
    assert!(output.status.success(), "{folders:?}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// Reads every version of the logs, of which the newest is the head's.
#[track_caller]
fn read(folder: &Path) -> Value {
    read_with(&tool("python"), &["--head"], &[folder], &[]).remove(0)
}

fn a_day_goes_by(sandbox: &Sandbox) {
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.insert("order", 4);
    sandbox.insert("brand", 1);
    let orders: Vec<i64> = sandbox.ids("order").into_iter().step_by(5).collect();
    sandbox.edit("order", &orders);
    sandbox.age(Duration::from_secs(600));
}

/// The entries of a table's log, in their order.
fn entries(lake: &Path, table: &str) -> Vec<Vec<Value>> {
    let named = files(&lake.join(table).join("_delta_log"));
    let named = named.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let lines = |text: String| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    named.map(|path| lines(std::fs::read_to_string(path).unwrap())).collect()
}

fn parquet_files(lake: &Path, table: &str) -> usize {
    let named = files(&lake.join(table)).into_iter();
    named.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_version_of_a_log_is_the_manifest_version_that_it_names_and_superseded_files_stay_for_the_retention() {
    // GIVEN a first load and two nights
    let (sandbox, folder) = (account(60).await, fast_folder());
    let lake = folder.path().join("lake");
    let program = program(&sandbox, &lake);
    program.run(&["run", "order", "brand"]).expect(0);
    let first = read(&lake);
    for _ in 0..2 {
        a_day_goes_by(&sandbox);
        program.run(&["run", "order", "brand"]).expect(0);
    }

    // THEN every version of every table can be read, and verify knows all files
    let now = read(&lake);
    assert!(now["order"]["version"].as_u64() > first["order"]["version"].as_u64(), "{now}");
    assert!(now["order"]["rows"].as_u64() > first["order"]["rows"].as_u64(), "{now}");
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    // AND a run without changes adds no entry
    let before = entries(&lake, "order").len();
    program.run(&["run", "order"]).expect(0);
    assert_eq!(entries(&lake, "order").len(), before);

    // AND SQL that would read superseded files is refused, and lists of live files are not
    let refused = program.run(&["sql", "--dialect", "duckdb", "order"]).expect(2);
    assert!(refused.stderr.contains("`--files`"), "{}", refused.said());
    let listed = program.run(&["sql", "--dialect", "duckdb", "--files", "order"]).expect(0).stdout;
    python(
        "import duckdb, sys; c = duckdb.connect(); c.execute(sys.argv[1]); \
         assert c.sql('SELECT count(*) FROM \"order\"').fetchall() == [(int(sys.argv[2]),)]",
        &[&listed, &now["order"]["rows"].to_string()],
    );

    // AND nothing that the retention keeps goes with `clean`
    let kept = parquet_files(&lake, "order");
    let live = head(&lake, "order")["tables"]["order"]["files"].as_array().map_or(0, Vec::len);
    program.run(&["clean"]).expect(0);
    assert_eq!(parquet_files(&lake, "order"), kept);
    assert_ne!(kept, live, "superseded files stay");
    // WHEN it is over THEN they go, and the newest version is as it was
    program.with("PEARLIFT_DESTINATION_RETENTION", "1ms").run(&["clean"]).expect(0);
    let left = read_with(&tool("python"), &["--head", "--newest"], &[&lake], &[]).remove(0);
    assert_eq!(left["order"]["rows"], now["order"]["rows"]);
    let query_live = query(&format!("SELECT count(*) FROM read_parquet('{}/order/*/*.parquet')", lake.display()));
    assert_eq!(query_live, [now["order"]["rows"].to_string()], "only live files are left");
}

/// A run that crashes when it has done a step so many times; gives how many times it did each.
async fn run_until(program: &Program, names: &[&str], death: Option<(StoreStep, usize)>) -> BTreeMap<StoreStep, usize> {
    let faults = Faults::default();
    let seen: Arc<Mutex<Vec<StoreStep>>> = Arc::default();
    let store = faults.before(&program.store()).watched({
        let (seen, faults) = (Arc::clone(&seen), faults.clone());
        move |step, _| {
            let mut seen = seen.lock().unwrap();
            let done = seen.iter().filter(|known| **known == step).count();
            seen.push(step);
            if death == Some((step, done)) {
                faults.die();
            }
            if faults.is_dead() { Err(Failure::new(Kind::StoreUnreachable, "go on")) } else { Ok(()) }
        }
    });
    let outcome = run_in(program.request(names), store).await;
    match death {
        Some(death) => assert!(faults.is_dead(), "{death:?} is never reached"),
        None => assert_eq!(outcome.unwrap().exit_code(false), 0),
    }
    let mut counts = BTreeMap::new();
    for step in seen.lock().unwrap().iter() {
        *counts.entry(*step).or_default() += 1;
    }
    counts
}

/// Crashes a run in copies of a lake at each of its steps, and runs again; gives the steps, and the folders that were left.
async fn die_everywhere(
    sandbox: &Sandbox,
    from: &Path,
    names: &[&str],
    retention: &str,
) -> (BTreeSet<StoreStep>, Vec<(PathBuf, PathBuf)>) {
    let below = from.parent().unwrap();
    let begin = |name: &str| {
        let lake = below.join(name);
        copy_folder(from, &lake);
        (program(sandbox, &lake).with("PEARLIFT_DESTINATION_RETENTION", retention), lake)
    };
    let (alive, _) = begin(&format!("alive-{retention}"));
    let steps = run_until(&alive, names, None).await;
    let (mut crashed_in, mut left) = (BTreeSet::new(), Vec::new());
    for (step, count) in steps {
        // In the midst of those that it does several times.
        let (program, lake) = begin(&format!("{retention}-{step:?}"));
        run_until(&program, names, Some((step, count / 2))).await;
        let crashed = below.join(format!("{retention}-{step:?}-crashed"));
        copy_folder(&lake, &crashed);
        run_until(&program, names, None).await;
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new(), "{step:?}");
        crashed_in.insert(step);
        left.push((crashed, lake));
    }
    (crashed_in, left)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_crash_at_any_step_each_version_of_a_log_is_whole_and_the_next_run_completes_it() {
    // GIVEN a lake, and a day gone by WHEN the next run crashes at any step
    let (sandbox, folder) = (account(20).await, fast_folder());
    let lake = folder.path().join("lake");
    run_until(&program(&sandbox, &lake), &NAMES, None).await;
    a_day_goes_by(&sandbox);
    let (mut crashed_in, left) = die_everywhere(&sandbox, &lake, &NAMES, "7d").await;

    // THEN every version of every log is that of a manifest, and the next run brings the log to the head
    let crashed: Vec<&Path> = left.iter().map(|(crashed, _)| crashed.as_path()).collect();
    read_with(&tool("python"), &[], &crashed, &[]);
    let repaired: Vec<&Path> = left.iter().map(|(_, repaired)| repaired.as_path()).collect();
    read_with(&tool("python"), &["--head"], &repaired, &[]);

    // GIVEN a log with two checkpoints to be, and no retention WHEN a run crashes at any step of shortening it
    let long = folder.path().join("long");
    let nights = program(&sandbox, &long).with("PEARLIFT_DESTINATION_RETENTION", "1ms");
    // A night adds an entry for its own rows, and one that states that superseded files are gone.
    while entries(&long, "brand").len() < 18 {
        sandbox.insert("brand", 1);
        run_until(&nights, &["brand"], None).await;
    }
    sandbox.insert("brand", 1);
    let (steps, left) = die_everywhere(&sandbox, &long, &["brand"], "1ms").await;
    crashed_in.extend(steps);

    // THEN the newest version can be read, and the next run completes it
    let (crashed, repaired): (Vec<&Path>, Vec<&Path>) =
        left.iter().map(|(crashed, repaired)| (crashed.as_path(), repaired.as_path())).unzip();
    read_with(&tool("python"), &["--newest"], &crashed, &[]);
    read_with(&tool("python"), &["--newest", "--head"], &repaired, &[]);
    let steps = [
        StoreStep::Logged,
        StoreStep::LogCheckpointed,
        StoreStep::LogPointed,
        StoreStep::LogShortened,
        StoreStep::Expired,
    ];
    for step in steps {
        assert!(crashed_in.contains(&step), "no run crashed at {step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_that_are_added_or_widened_and_another_partition_are_one_entry_each() {
    // GIVEN tables that lack columns and digits
    let (sandbox, folder, schemas) = (account(60).await, fast_folder(), lean_orders());
    let lake = folder.path().join("lake");
    let program = program(&sandbox, &lake);
    program.clone().with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap()).run(&["run", "order"]).expect(0);
    let before = entries(&lake, "order").len();
    // WHEN the schema gains them THEN one entry has the new schema and replaces all files
    program.run(&["run", "order"]).expect(0);
    let after = entries(&lake, "order");
    let described = |entries: &[Vec<Value>]| {
        entries.iter().filter(|lines| lines.iter().any(|line| !line["metaData"].is_null())).count()
    };
    assert_eq!(described(&after[before..]), 1, "{before} of {}", after.len());
    read(&lake);
    // WHEN the files are divided anew THEN another entry does the same
    let divided = program.clone().with("PEARLIFT_RESOURCES_PARTITION", "none");
    divided.run(&["clean", "--repartition"]).expect(0);
    assert_eq!(described(&entries(&lake, "order")[after.len()..]), 1);
    let now = read(&lake);
    assert_eq!(head(&lake, "order")["tables"]["order"]["partition"], Value::Null);
    assert!(now["order"]["rows"].as_u64().unwrap() > 0, "{now}");
    assert_eq!(findings(&divided, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_destination_changes_its_layout_from_its_own_files_and_a_setting_that_disagrees_is_refused() {
    // GIVEN tables in the default layout
    let (sandbox, folder) = (account(40).await, fast_folder());
    let lake = folder.path().join("lake");
    let delta = program(&sandbox, &lake);
    let plain = delta.clone().without("PEARLIFT_DESTINATION_LAYOUT");
    plain.run(&["run", "order", "brand"]).expect(0);
    // WHEN the settings have the other THEN every command is refused with the hint
    for command in [&["run"][..], &["verify"], &["clean"], &["status"], &["clean", "--compact"]] {
        let said = delta.run(command).expect(2).stderr;
        assert!(said.contains("its layout is `parquet`") && said.contains("clean --layout"), "{said}");
    }
    // WHEN the layout is changed THEN logs list the files, without a request to the source
    sandbox.take_log();
    delta.run(&["clean", "--layout"]).expect(0);
    assert!(sandbox.take_log().requests.is_empty());
    let first = read(&lake);
    a_day_goes_by(&sandbox);
    delta.run(&["run", "order", "brand"]).expect(0);
    assert!(read(&lake)["order"]["version"].as_u64() > first["order"]["version"].as_u64());
    let said = plain.run(&["run"]).expect(2).stderr;
    assert!(said.contains("its layout is `delta`"), "{said}");
    // WHEN it is changed back THEN a glob sees the rows of the head, and no log is left
    plain.run(&["clean", "--layout"]).expect(0);
    let listed = files(&lake.join("order"));
    assert!(listed.iter().all(|path| path.extension().is_some_and(|ending| ending == "parquet")), "{listed:?}");
    assert!(!lake.join("order/_delta_log").exists());
    let live = head(&lake, "order")["tables"]["order"]["files"].as_array().map_or(0, Vec::len);
    assert_eq!(listed.len(), live, "each file is live");
    assert_eq!(findings(&plain, &["--deep"], 0), Vec::<String>::new());
    plain.run(&["run", "order", "brand"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_forgotten_person_is_in_no_superseded_file_and_in_no_entry_of_a_log() {
    // GIVEN contacts of which one was edited, so that a superseded file has the person too
    let (sandbox, folder) = (account(40).await, fast_folder());
    let lake = folder.path().join("lake");
    let program = program(&sandbox, &lake).with("BRIGHTPEARL_HASH_KEY", "a key of hashes that nobody can guess");
    program.run(&["run", "contact"]).expect(0);
    let person = *sandbox.ids("contact").last().unwrap();
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.edit("contact", &[person]);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "contact"]).expect(0);
    let glob = format!("read_parquet('{}/contact/*.parquet')", lake.display());
    let named = || query(&format!("SELECT count(*) FROM {glob} WHERE id = {person} AND email IS NOT NULL"));
    assert_eq!(named(), ["2"], "the live and the superseded file have the person");
    // WHEN the person is forgotten THEN only emptied files are left, and the log begins with them
    program.run(&["forget", "--contact", &person.to_string()]).expect(0);
    assert_eq!(named(), ["0"]);
    let live = head(&lake, "contact")["tables"]["contact"]["files"].as_array().map_or(0, Vec::len);
    assert_eq!(
        query(&format!("SELECT count(DISTINCT filename) FROM {}", glob.replace("')", "', filename = true)"))),
        [live.to_string()]
    );
    assert_eq!(entries(&lake, "contact").len(), 1, "older entries are gone");
    let text = std::fs::read_dir(lake.join("contact/_delta_log")).unwrap().flatten();
    let text: Vec<PathBuf> = text.map(|entry| entry.path()).collect();
    assert!(text.iter().any(|path| path.to_string_lossy().ends_with(".checkpoint.parquet")), "{text:?}");
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    // AND the next run continues from it
    a_day_goes_by(&sandbox);
    program.run(&["run", "contact"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_of_another_writer_is_undone_and_a_log_with_a_hole_is_refused_until_it_is_moved_away() {
    let (sandbox, folder) = (account(20).await, fast_folder());
    let lake = folder.path().join("lake");
    let program = program(&sandbox, &lake);
    program.run(&["run", "order", "brand"]).expect(0);
    let before = read(&lake);
    // GIVEN another writer that took all rows out
    let script = "import sys; from deltalake import DeltaTable; print(DeltaTable(sys.argv[1]).delete())";
    let output = Command::new(tool("python")).args(["-c", script]).arg(lake.join("brand")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(findings(&program, &[], 0), ["brand: log-behind"]);
    // WHEN a run goes by THEN they are there again
    program.run(&["run", "brand"]).expect(0);
    let after = read_with(&tool("python"), &["--newest", "--head"], &[&lake], &[]).remove(0);
    assert_eq!(after["brand"]["rows"], before["brand"]["rows"]);
    // GIVEN a log without its first entry
    std::fs::remove_file(lake.join("brand/_delta_log/00000000000000000000.json")).unwrap();
    sandbox.insert("brand", 1);
    let said = program.run(&["run", "brand"]).expect(7).stderr;
    assert!(said.contains("brand/_delta_log` away"), "{said}");
    // The superseded files that it names are not known.
    assert_eq!(findings(&program, &[], 7), ["brand: !log", "brand: superseded"]);
    // WHEN it is moved away THEN the next run writes a new one
    std::fs::rename(lake.join("brand/_delta_log"), folder.path().join("moved")).unwrap();
    program.run(&["run", "brand"]).expect(0);
    read(&lake);
}

/// Reads the newest versions again and again while a run writes; gives how often.
fn read_during(run: impl FnOnce(), mut look: impl FnMut() + Send) -> usize {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut times = 0;
            while !done.load(Ordering::SeqCst) || times == 0 {
                look();
                times += 1;
            }
            times
        });
        run();
        done.store(true, Ordering::SeqCst);
        reader.join().expect("no reader failed")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs four engines, some 1.3 GB from PyPI: `make delta`"]
async fn four_engines_see_whole_versions_in_a_folder_and_in_a_bucket_while_a_run_writes() {
    let python = root().join(".venv-delta/bin/python");
    assert!(python.exists(), "{} is missing: `make delta` installs it", python.display());
    // GIVEN a lake and a day gone by WHEN a run writes while all engines read THEN each sees whole versions
    let (sandbox, folder) = (account(120).await, fast_folder());
    let lake = folder.path().join("lake");
    let local = program(&sandbox, &lake);
    local.run(&["run", "order", "brand"]).expect(0);
    a_day_goes_by(&sandbox);
    let often = local.clone().with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms");
    let times = read_during(
        || drop(often.run(&["run", "order", "brand"]).expect(0)),
        || drop(read_with(&python, &["--engines", ENGINES, "--newest"], &[&lake], &[])),
    );
    assert!(times > 0);
    // AND every version afterwards, another partition too
    local.clone().with("PEARLIFT_RESOURCES_PARTITION", "none").run(&["clean", "--repartition"]).expect(0);
    read_with(&python, &["--engines", ENGINES, "--head"], &[&lake], &[]);

    // AND the same in a bucket
    let weed = Weed::start();
    let remote = weed.reach(program(&sandbox, Path::new("s3://lake/shop")));
    remote.run(&["run", "order", "brand"]).expect(0);
    a_day_goes_by(&sandbox);
    remote.run(&["run", "order", "brand"]).expect(0);
    let poured = pour(&weed.store(&remote)).await;
    let vars = [
        ("AWS_ACCESS_KEY_ID", S3_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", S3_SECRET.to_owned()),
        ("AWS_ENDPOINT_URL", weed.endpoint()),
    ];
    let options = ["--engines", ENGINES, "--head", "--at", "s3://lake/shop"];
    read_with(&python, &options, &[poured.path()], &vars);
}
