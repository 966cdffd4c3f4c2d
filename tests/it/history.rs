//! The history: rows about runs in Parquet, for questions in SQL, and `status --history`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pearlift::history::{HistoryTable, append};
use pearlift::run::nonce;
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::{Value, json};

use crate::support::{Leaks, Program, Weed, account, files, pour, query, root, start, this_morning};

/// The rows of a table of the history, by a glob.
fn table(lake: &Path, name: &str) -> String {
    format!("read_parquet('{}/_pearlift/history/{name}/*.parquet')", lake.display())
}

/// A run that failed because of a token, between two that did not.
fn three_nights(sandbox: &Sandbox, program: &Program) {
    program.run(&["run", "order", "brand"]).expect(0);
    sandbox.age(Duration::from_secs(86_400));
    program.clone().with("BRIGHTPEARL_STAFF_TOKEN", "planted-secret-12345=").run(&["run", "order", "brand"]).expect(4);
    sandbox.insert("order", 3);
    sandbox.age(Duration::from_secs(86_400));
    program.run(&["run", "order", "brand"]).expect(0);
}

/// Asks freshness, completeness and the failure of the second night.
fn answers(sandbox: &Sandbox, lake: &Path) {
    let (run, resource) = (table(lake, "run"), table(lake, "run_resource"));
    // No row is there twice.
    assert_eq!(query(&format!("SELECT count(*), count(DISTINCT run) FROM {run}")), ["3|3"]);
    let keys = format!("SELECT count(*) = count(DISTINCT (run, resource)) FROM {resource}");
    assert_eq!(query(&keys), ["True"]);

    // Freshness: the last good run of each resource is the newest one.
    let fresh = format!(
        "SELECT resource, max(finished_at) FILTER (ended IN ('complete', 'idle')) = (SELECT max(finished_at) FROM {run}), \
         max(finished_at) > now() - INTERVAL 1 HOUR, max(watermark) IS NOT NULL FROM {resource} GROUP BY ALL ORDER BY 1"
    );
    assert_eq!(query(&fresh), ["brand|True|True|True", "order|True|True|True"]);

    // Completeness: the rows held are those that the source counts.
    let orders = sandbox.ids("order").len();
    let complete = format!(
        "SELECT held, at_source, at_source - held = coalesce(explained, 0), count_reliable FROM {resource} \
         WHERE resource = 'order' ORDER BY started_at DESC LIMIT 1"
    );
    assert_eq!(query(&complete), [format!("{orders}|{orders}|True|True")]);

    // The failure of the second night, with its exit code and reason.
    let failure = format!("SELECT exit_code, failure, reason, failed FROM {run} WHERE exit_code <> 0");
    let [failed] = &query(&failure)[..] else { panic!("one run failed") };
    assert!(failed.starts_with("4|credentials|") && failed.contains("could not log in"), "{failed}");
    Leaks::known(["planted-secret-12345=".to_owned()]).refuse("the history", failed);

    // Counts add up, and the types are exact.
    let sums = format!(
        "SELECT r.rows = s.rows, r.rows_added = s.added, r.requests >= s.requests, r.bytes_written = s.bytes FROM {run} r \
         JOIN (SELECT run, sum(rows) AS rows, sum(rows_added) AS added, sum(requests) AS requests, sum(bytes_written) AS bytes \
         FROM {resource} GROUP BY ALL) s USING (run) WHERE r.rows > 0"
    );
    let sums = query(&sums);
    assert!(sums.len() >= 2 && sums.iter().all(|line| line == "True|True|True|True"), "{sums:?}");
    let types = format!(
        "SELECT typeof(started_at), typeof(exit_code), typeof(requests), typeof(interrupted) FROM {run} LIMIT 1"
    );
    assert_eq!(query(&types), ["TIMESTAMP WITH TIME ZONE|INTEGER|BIGINT|BOOLEAN"]);
    let version = env!("CARGO_PKG_VERSION");
    let same = format!("SELECT DISTINCT command, account, pearlift, interrupted FROM {run}");
    assert_eq!(query(&same), [format!("run|acme|{version}|False")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn freshness_completeness_and_failures_are_questions_in_sql_in_a_folder_and_in_a_bucket() {
    let sandbox = account(80).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    three_nights(&sandbox, &program);
    answers(&sandbox, lake.path());
    // AND report files are named by time
    let names = files(&lake.path().join("_pearlift/runs"));
    let started = |path: &std::path::PathBuf| {
        let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        // To the second, as names have it.
        report["started_at"].as_str().unwrap()[..19].to_owned()
    };
    let times: Vec<String> = names.iter().map(started).collect();
    assert!(times.len() == 3 && times.is_sorted(), "{names:?}");

    let weed = Weed::start();
    let sandbox = account(80).await;
    let program = weed.reach(Program::new(&sandbox, "s3://lake/history"));
    three_nights(&sandbox, &program);
    let shown = program.run(&["status", "--history", "--json"]).expect(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["runs"].as_array().unwrap().len(), 3);
    answers(&sandbox, pour(&weed.store(&program)).await.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_command_that_changes_a_destination_leaves_a_row() {
    // GIVEN a destination, and commands of each kind
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program =
        Program::new(&sandbox, lake.path()).by_month().with("BRIGHTPEARL_HASH_KEY", &"0123456789abcdef".repeat(4));
    program.run(&["run", "order", "contact"]).expect(0);
    let ids = sandbox.ids("order");
    sandbox.edit("order", &ids[..2]);
    sandbox.delete("order", &ids[2..3]);
    program.run(&["backfill", "order", "--ids", &ids[0].to_string()]).expect(0);
    program.run(&["reconcile", "order"]).expect(0);
    program.clone().with("PEARLIFT_RESOURCES_PARTITION", "none").run(&["clean", "--repartition"]).expect(0);
    let person = sandbox.ids("contact")[0].to_string();
    program.run(&["forget", "--contact", &person]).expect(0);
    // WHEN nothing is to be done, or only looked at THEN no row is left
    for idle in [&["clean"][..], &["clean", "--dry-run"], &["forget", "--contact", &person, "--dry-run"], &["status"]] {
        program.run(idle).expect(0);
    }
    let rows = query(&format!("SELECT command, exit_code FROM {} ORDER BY started_at", table(lake.path(), "run")));
    assert_eq!(rows, ["run|0", "backfill|0", "reconcile|0", "clean|0", "forget|0"]);
    let resources = format!(
        "SELECT command, resource, rows_changed + rows_removed > 0, scans FROM {} WHERE command IN ('reconcile', 'clean', 'forget') \
         ORDER BY started_at, resource",
        table(lake.path(), "run_resource")
    );
    let resources = query(&resources);
    assert!(resources.iter().any(|line| line.starts_with("reconcile|order|True")), "{resources:?}");
    assert!(resources.iter().any(|line| line.contains("repartition: month to none")), "{resources:?}");
    assert!(resources.iter().any(|line| line.starts_with("forget|contact|True")), "{resources:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_reaches_no_source_and_one_that_is_stopped_leave_a_row_with_the_reason() {
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    // GIVEN a destination that is not the account's yet THEN a failure as a whole leaves nothing there
    let offline = program.clone().with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme");
    offline.run(&["run", "brand"]).expect(4);
    assert_eq!(files(&lake.path().join("_pearlift/history")), Vec::<std::path::PathBuf>::new());
    program.run(&["run", "brand"]).expect(0);

    // WHEN the source cannot be reached, and when a run is interrupted THEN each leaves its row
    offline.run(&["run", "brand"]).expect(4);
    let slow = SandboxSettings { limit: 0, latency: 60, now: Some(this_morning()), ..SandboxSettings::default() };
    let slow = start(slow, Size { orders: 2_400, ..Size::default() }).await;
    let program = Program::new(&slow, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut run = program.start(&["run", "order"]);
    while slow.peek_log().of("GET order-service/order") < 4 {
        assert!(run.try_wait().unwrap().is_none(), "{}", run.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130), "{}", run.said());
    let rows = query(&format!(
        "SELECT exit_code, failure, reason, resources FROM {} ORDER BY started_at",
        table(lake.path(), "run")
    ));
    assert_eq!(rows[0], "0|None|None|1");
    assert!(rows[1].starts_with("4|offline|could not reach the source") && rows[1].ends_with("|0"), "{rows:?}");
    assert_eq!(rows[2], "130|None|interrupted; complete parts are committed|1");

    // AND `status --history` prints them, the newest first, each with its whole reason in one line
    let done = program.run(&["status", "--history=2"]).expect(0);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", done.stdout);
    assert!(lines[2].contains("interrupted;") && lines[4].contains("could not reach the source"), "{lines:?}");
}

/// Appends so many runs of so many hours ago.
async fn append_runs(program: &Program, count: i64) {
    for hours in (1..=count).rev() {
        let at = Timestamp::now() - SignedDuration::from_hours(hours);
        let report = json!({
            "run": nonce(), "command": "run", "account": "acme", "started_at": at, "finished_at": at, "exit_code": 0,
            "resources": [{"resource": "brand", "end": "complete", "rows": hours}],
        });
        append(&program.store(), &report).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_joins_many_small_files_and_damaged_and_foreign_ones_break_nothing() {
    // GIVEN 40 runs, a damaged file, and one that is not ours
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    append_runs(&program, 40).await;
    let history = lake.path().join("_pearlift/history");
    let damaged = history.join("run").join(format!("20200101T000000Z-{}.parquet", nonce()));
    std::fs::write(&damaged, "PAR1 damaged PAR1").unwrap();
    let foreign = history.join("run/notes.parquet");
    std::fs::write(&foreign, "mine").unwrap();

    // WHEN it runs THEN the rows are in few files, each once, and the others stay as they are
    let done = program.run(&["run", "brand", "-v"]).expect(0);
    assert!(done.stderr.contains("of the history") && done.warnings().is_empty(), "{}", done.stderr);
    assert_eq!((std::fs::read(&damaged).unwrap().len(), std::fs::read(&foreign).unwrap().len()), (17, 4));
    let shown = program.run(&["status", "--history=100", "--json"]).expect(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let runs = shown["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 42);
    assert!(runs.iter().all(|run| run["resources"][0]["resource"] == "brand"), "{runs:?}");
    assert!(runs.is_sorted_by(|a, b| a["started_at"].as_str() >= b["started_at"].as_str()));
    let unknown = program.run(&["clean", "--json"]).expect(0);
    let unknown: Value = serde_json::from_str(&unknown.stdout).unwrap();
    assert_eq!(unknown["unknown"], json!(["_pearlift/history/run/notes.parquet"]));

    // AND every other file is read by a glob
    std::fs::remove_file(&damaged).unwrap();
    std::fs::remove_file(&foreign).unwrap();
    assert_eq!(files(&history).len(), 4, "a joined file and the newest run's of each table: {:?}", files(&history));
    let rows = format!("SELECT count(*), count(DISTINCT run), sum(rows) FROM {}", table(lake.path(), "run_resource"));
    let brands = query(&format!("SELECT count(*) FROM read_parquet('{}/brand/*.parquet')", lake.path().display()));
    let brands: i64 = brands[0].parse().unwrap();
    assert_eq!(query(&rows), [format!("42|42|{}", 40 * 41 / 2 + 2 * brands)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_forgotten_person_leaves_the_texts_of_the_history() {
    // GIVEN a run whose reason quotes a person
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("BRIGHTPEARL_HASH_KEY", &"0123456789abcdef".repeat(4));
    program.run(&["run", "contact"]).expect(0);
    let named = format!(
        "SELECT id, last_name FROM read_parquet('{}/contact/*.parquet') WHERE id >= 10 AND length(last_name) >= 5 LIMIT 1",
        lake.path().display()
    );
    let named = query(&named);
    let (person, name) = named[0].split_once('|').unwrap();
    let at = Timestamp::now();
    let report = json!({
        "run": nonce(), "command": "run", "account": "acme", "started_at": at, "finished_at": at, "exit_code": 3,
        "resources": [{"resource": "contact", "end": "failed", "failure": "answer", "reason": format!("could not take {name}")}],
    });
    append(&program.store(), &report).await.unwrap();

    // WHEN the person is forgotten THEN the text is gone from both tables, and the rows are there
    program.run(&["forget", "--contact", person]).expect(0);
    for history in HistoryTable::ALL.map(HistoryTable::name) {
        let rows = format!("SELECT failure, reason FROM {} WHERE failure IS NOT NULL", table(lake.path(), history));
        assert_eq!(query(&rows), ["answer|[forgotten]"], "{history}");
    }
}

#[test]
fn the_page_describes_every_column_of_the_history() {
    let page = std::fs::read_to_string(root().join("docs/format.md")).unwrap();
    for table in HistoryTable::ALL {
        let section = page.split(&format!("### `{}`", table.name())).nth(1).expect("the table has a section");
        let section = section.split("\n#").next().unwrap();
        let stated: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let line = |column: &pearlift::history::HistoryColumn| {
            let null = if column.required { "no" } else { "yes" };
            format!("| `{}` | {} | {null} | {} |", column.name, column.kind, column.meaning)
        };
        let expected: Vec<String> = table.columns().iter().map(line).collect();
        assert_eq!(stated, expected, "{}:\n{}", table.name(), expected.join("\n"));
    }
}
