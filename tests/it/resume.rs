//! Backfills that stop before their end, and resume.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::Value;

use crate::support::{Program, Weed, check_truth, files, findings, head, start, this_morning};

const ORDERS: &str = "order,order_row,order_party,order_invoice,order_custom_field";
const ALL_TIME: [&str; 6] = ["backfill", "order", "--from", "2000-01-01", "--to", "2100-01-01"];

/// A folder with a schema of orders that are read so many at a time.
fn sets_of(most: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../schemas/order.toml").replace("max_ids = 200", &format!("max_ids = {most}"));
    std::fs::write(folder.path().join("order.toml"), text).unwrap();
    folder
}

/// An account with orders loaded forty at a time, which has become slow; the program commits all the time.
async fn slow(orders: u64, destination: &str, names: &[&str]) -> (Sandbox, Program, tempfile::TempDir) {
    let schemas = sets_of(40);
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders, ..Size::default() }).await;
    let program = Program::new(&sandbox, destination)
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());
    program.run(&[&["run"], names].concat()).expect(0);
    sandbox.change(|settings| settings.latency = 60);
    sandbox.take_log();
    (sandbox, program.with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms"), schemas)
}

/// The fetched sets of an unfinished backfill, and its plan's path.
fn home(lake: &Path) -> (u64, String) {
    let backfill = head(lake, "order")["state"]["backfill"].clone();
    let slices = &backfill["cursor"]["slices"];
    let done = slices["done"].as_array().cloned().unwrap_or_default();
    let done = done.iter().map(|range| range[1].as_u64().unwrap() + 1 - range[0].as_u64().unwrap()).sum();
    (done, slices["plan"].as_str().unwrap_or_default().to_owned())
}

/// Waits until so many slices of a backfill are committed, and kills it.
async fn killed_after(child: &mut Child, lake: &Path, slices: u64) -> u64 {
    let begun = Instant::now();
    while home(lake).0 < slices {
        assert!(begun.elapsed() < Duration::from_secs(240), "it does not commit");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    home(lake).0
}

fn interrupt(child: &mut Child) -> Option<i32> {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_backfill_goes_on_with_its_own_plan_though_a_night_and_a_clean_came_between() {
    // GIVEN orders of which some are gone, and a backfill of all of them that was killed
    let lake = tempfile::tempdir().unwrap();
    let (sandbox, program, _schemas) = slow(800, lake.path().to_str().unwrap(), &["order"]).await;
    let all = sandbox.ids("order");
    sandbox.delete("order", &all[300..312]);
    let watermark = head(lake.path(), "order")["state"]["watermark"].clone();
    let mut child = program.start(&ALL_TIME);
    let done = killed_after(&mut child, lake.path(), 5).await;
    let (_, plan) = home(lake.path());
    assert!(done < 17, "{done}");
    sandbox.change(|settings| settings.latency = 0);

    // WHEN it is cleaned, looked at, and a night goes by
    program.run(&["clean"]).expect(0);
    assert!(lake.path().join(&plan).exists(), "its plan is needed still");
    let status: Value = serde_json::from_str(&program.run(&["status", "--json"]).expect(0).stdout).unwrap();
    let of_order = status["resources"].as_array().unwrap().iter().find(|row| row["resource"] == "order").unwrap();
    let selected = of_order["unfinished_backfill"]["selected"].as_str().unwrap();
    assert!(selected.starts_with("createdOn from 2000-01-01T00:00:00Z"), "{selected}");
    assert!(program.run(&["status"]).expect(0).stdout.contains("backfill unfinished"));
    assert_eq!(head(lake.path(), "order")["state"]["watermark"], watermark, "a backfill moves no watermark");
    sandbox.edit("order", &all[..7]);
    sandbox.age(Duration::from_secs(3600));
    program.run(&["run", "order"]).expect(0);
    assert_eq!(home(lake.path()), (done, plan.clone()), "the night leaves it alone");
    sandbox.take_log();

    // AND the same is asked for again
    let again = program.run(&ALL_TIME).expect(0);

    // THEN it resumes: no search, the rest of the slices, and those in doubt
    assert!(again.stderr.contains("resumed where it had stopped"), "{}", again.stderr);
    assert!(again.stderr.contains("12 removed from the tables"), "{}", again.stderr);
    let log = sandbox.take_log();
    assert_eq!(log.of("GET order-service/order-search"), 0);
    // 788 orders in 20 slices, one of the twelve, and the twelve once more with a witness.
    assert_eq!(log.requests["GET order-service/order"], 22 - done);
    // AND nothing is left of it, and the tables equal the truth
    assert_eq!(head(lake.path(), "order")["state"]["backfill"], Value::Null);
    assert!(files(&lake.path().join("_pearlift/scans")).is_empty());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", ORDERS]);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());

    // WHEN it is asked for once more THEN it begins anew, and changes nothing
    let versions = files(&lake.path().join("_pearlift/manifests/order")).len();
    let calm = program.with("PEARLIFT_LIMITS_COMMIT_EVERY", "10m").run(&ALL_TIME).expect(0);
    assert!(!calm.stderr.contains("went on"), "{}", calm.stderr);
    assert!(calm.stderr.contains("0 changed, 0 files written"), "{}", calm.stderr);
    // How often columns are filled is counted anew, and may differ by the records that went.
    assert!(files(&lake.path().join("_pearlift/manifests/order")).len() <= versions + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_found_gone_before_an_interruption_is_asked_for_again() {
    // GIVEN so many deleted orders that they take three slices, and a backfill killed when it comes to these
    let lake = tempfile::tempdir().unwrap();
    let (sandbox, program, _schemas) = slow(1_000, lake.path().to_str().unwrap(), &["order"]).await;
    let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(4).take(100).collect();
    sandbox.delete("order", &gone);
    // 900 orders take 23 slices, those in doubt three more.
    sandbox.change(|settings| settings.latency = 300);
    let done = killed_after(&mut program.start(&ALL_TIME), lake.path(), 23).await;
    assert_eq!(done, 23);
    // AND, as if some of them had come back and been committed, all slices count as done
    let newest = files(&lake.path().join("_pearlift/manifests/order")).pop().unwrap();
    let mut version = head(lake.path(), "order");
    version["state"]["backfill"]["cursor"]["slices"]["done"] = serde_json::json!([[0, 25]]);
    std::fs::write(newest, version.to_string()).unwrap();
    sandbox.change(|settings| settings.latency = 0);
    sandbox.take_log();

    // WHEN it resumes THEN all three are asked for again, and all are taken out
    let again = program.run(&ALL_TIME).expect(0);
    assert!(again.stderr.contains("100 removed from the tables"), "{}", again.stderr);
    let log = sandbox.take_log();
    assert!(log.ids["order-service/order"] >= 200, "each is asked for twice, the second time with a witness: {log:?}");
    assert!(log.total() < 12, "{log:?}");
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", ORDERS]);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_interrupted_backfill_of_given_ids_goes_on_and_another_takes_its_place() {
    // GIVEN a backfill of ids that is interrupted
    let lake = tempfile::tempdir().unwrap();
    let (sandbox, program, _schemas) = slow(600, lake.path().to_str().unwrap(), &["order"]).await;
    let program = program.with("PEARLIFT_LIMITS_COMMIT_EVERY", "10m");
    let ids = sandbox.ids("order");
    let all = format!("{}-{}", ids[0], ids[ids.len() - 1]);
    let mut child = program.start(&["backfill", "order", "--ids", &all]);
    while sandbox.peek_log().of("GET order-service/order") < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // WHEN it is asked to stop THEN all whole records are committed
    assert_eq!(interrupt(&mut child), Some(130));
    let (done, plan) = home(lake.path());
    let sets = u64::try_from(ids[ids.len() - 1] - ids[0] + 1).unwrap().div_ceil(40);
    assert!((1..sets - 1).contains(&done), "{done}");

    // WHEN it resumes THEN with the rest
    sandbox.change(|settings| settings.latency = 0);
    let other = lake.path().join("_pearlift/manifests/order");
    let versions = files(&other);
    sandbox.take_log();
    let again = program.run(&["backfill", "order", "--ids", &all]).expect(0);
    assert!(again.stderr.contains("resumed where it had stopped"), "{}", again.stderr);
    // Ids that do not come are asked for once more.
    let total = sandbox.take_log().total();
    assert!((sets - done..=sets - done + 1).contains(&total), "{total}: {}", again.stderr);
    assert!(!lake.path().join(&plan).exists());

    // GIVEN that it had not gone on, but another came: the newest version is taken back
    for path in files(&other).iter().filter(|path| !versions.contains(path)) {
        std::fs::remove_file(path).unwrap();
    }
    // WHEN another selection is read THEN it begins anew, and nothing is left of the first
    let another = program.run(&["backfill", "order", "--ids", &ids[0].to_string()]).expect(0);
    assert!(!another.stderr.contains("went on"), "{}", another.stderr);
    assert_eq!(sandbox.take_log().total(), 1);
    assert_eq!(head(lake.path(), "order")["state"]["backfill"], Value::Null);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backfill_of_rows_of_a_search_goes_on_at_its_page() {
    // GIVEN a backfill of payments that is interrupted after some pages
    let lake = tempfile::tempdir().unwrap();
    let (sandbox, program, _schemas) = slow(6_000, lake.path().to_str().unwrap(), &["customer_payment"]).await;
    let payments = ["backfill", "customer_payment", "--from", "2000-01-01", "--to", "2100-01-01"];
    let program = program.with("PEARLIFT_LIMITS_PAGE_SIZE", "200");
    let mut child = program.start(&payments);
    let cursor = || head(lake.path(), "customer_payment")["state"]["backfill"]["cursor"]["rows"]["next"].as_u64();
    let begun = Instant::now();
    while cursor().unwrap_or(0) < 800 {
        assert!(begun.elapsed() < Duration::from_secs(240), "it does not commit");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(interrupt(&mut child), Some(130));
    let next = cursor().unwrap();
    let all = u64::try_from(sandbox.ids("customer_payment").len()).unwrap();
    assert!(next + 600 < all, "{next} of {all}");

    // WHEN it resumes THEN from that page
    sandbox.change(|settings| settings.latency = 0);
    sandbox.take_log();
    let again = program.run(&payments).expect(0);
    assert!(again.stderr.contains("resumed where it had stopped"), "{}", again.stderr);
    let pages = sandbox.take_log().total();
    let rest = (all - next).div_ceil(199);
    assert!((rest..rest + 3).contains(&pages), "{pages} pages from row {next} of {all}");
    assert_eq!(head(lake.path(), "customer_payment")["state"]["backfill"], Value::Null);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "customer_payment"]);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unfinished_nightly_scan_outlives_a_backfill() {
    // GIVEN a nightly read of everything that was killed
    let lake = tempfile::tempdir().unwrap();
    let (sandbox, program, _schemas) = slow(600, lake.path().to_str().unwrap(), &["order"]).await;
    let mut child = program.start(&["run", "--full", "order"]);
    let scan = || head(lake.path(), "order")["state"]["scan"].clone();
    let begun = Instant::now();
    while scan().is_null() {
        assert!(begun.elapsed() < Duration::from_secs(240), "it does not commit");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let unfinished = scan();
    sandbox.change(|settings| settings.latency = 0);

    // WHEN a month is read again, and the damaged part
    let ids = sandbox.ids("order");
    program.run(&ALL_TIME).expect(0);
    program.run(&["backfill", "order", "--ids", &format!("{}-{}", ids[5], ids[99])]).expect(0);
    std::fs::remove_file(files(&lake.path().join("order")).remove(0)).unwrap();
    program.run(&["backfill", "order", "--damaged"]).expect(0);

    // THEN the scan stays, with its plan, and the night run resumes it
    assert_eq!(scan(), unfinished);
    let done = program.run(&["-v", "run", "order"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", ORDERS]);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_schema_drops_the_plan_of_a_backfill() {
    // GIVEN a backfill that was killed
    let lake = tempfile::tempdir().unwrap();
    let (sandbox, program, _schemas) = slow(400, lake.path().to_str().unwrap(), &["order"]).await;
    killed_after(&mut program.start(&ALL_TIME), lake.path(), 3).await;
    sandbox.change(|settings| settings.latency = 0);

    // WHEN the schema declares another way of reading
    let schemas = sets_of(20);
    let mut arguments = vec!["--schemas", schemas.path().to_str().unwrap()];
    arguments.extend(ALL_TIME);
    sandbox.take_log();
    let done = program.run(&arguments).expect(0);

    // THEN it begins anew
    assert!(!done.stderr.contains("went on"), "{}", done.stderr);
    assert_eq!(sandbox.take_log().requests["GET order-service/order"], 20);
    assert!(files(&lake.path().join("_pearlift/scans")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_bucket_too_a_backfill_goes_on() {
    let weed = Weed::start();
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 2_000, ..Size::default() }).await;
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop")).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    program.run(&["run", "order"]).expect(0);
    sandbox.delete("order", &sandbox.ids("order")[10..20]);
    sandbox.change(|settings| settings.latency = 60);
    sandbox.take_log();
    let mut child = program.start(&ALL_TIME);
    while sandbox.peek_log().of("GET order-service/order") < 12 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(interrupt(&mut child), Some(130));
    sandbox.take_log();
    let again = program.run(&ALL_TIME).expect(0);
    assert!(again.stderr.contains("resumed where it had stopped"), "{}", again.stderr);
    assert!(again.stderr.contains("10 removed from the tables"), "{}", again.stderr);
    let log = sandbox.take_log();
    assert!(log.total() < 11 && log.of("GET order-service/order-search") == 0, "{log:?}");
    check_truth(&sandbox, "s3://lake/shop", &["--s3-endpoint", &weed.endpoint(), "--only", ORDERS]);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}
