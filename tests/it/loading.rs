//! Loads that take longer than a night, and snapshots, which are whole or not there.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pearlift::config::{Environment, Settings as Config};
use pearlift::event::Events;
use pearlift::run::{End, RunMode, RunRequest, Stop};
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::schema::{Catalog, ReadStyle, Resource};
use pearlift::secret::Redactor;
use serde_json::Value;

use crate::support::{Program, Running, account, check_truth, query, start, this_morning};

async fn slow_account(orders: u64, latency: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, latency, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders, ..Size::default() }).await
}

/// Waits until the source has been asked so often for this.
async fn until(sandbox: &Sandbox, asked: &str, times: u64) {
    let begun = Instant::now();
    while sandbox.peek_log().of(asked) < times {
        assert!(begun.elapsed() < Duration::from_secs(120), "{asked} was not asked {times} times");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks a run to stop, and waits for its end.
fn interrupt(mut run: Running) {
    let asked = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("it runs");
    assert!(asked.success());
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_load_brings_the_newest_first_and_status_tells_how_far_it_has_come() {
    // GIVEN a first load of 6,000 orders, interrupted after ten sets
    let sandbox = slow_account(6_000, 50).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "order,customer_payment");
    let slow = program.clone().with("PEARLIFT_LIMITS_CONCURRENCY", "1").with("PEARLIFT_LIMITS_PAGE_SIZE", "50");
    let run = slow.start(&["run"]);
    until(&sandbox, "GET order-service/order", 10).await;
    interrupt(run);

    // THEN the newest are there
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let found = query(&format!("SELECT count(*), min(id), max(id) FROM read_parquet('{glob}')")).remove(0);
    let [count, least, greatest] =
        found.split('|').map(|text| text.parse::<i64>().expect("a number")).collect::<Vec<_>>()[..]
    else {
        panic!("{found}")
    };
    let ids = sandbox.ids("order");
    assert_eq!(Some(&greatest), ids.last());
    assert_eq!(ids[ids.len() - usize::try_from(count).expect("a count")], least);

    // AND the number of fetched sets is shown, of how many, and how many rows of a search
    let shown = program.run(&["status"]).expect(0).stdout;
    let sets = u64::try_from(count).expect("a count") / 200;
    assert!(shown.contains(&format!("loading, {sets} of 30 sets")), "{shown}");
    let status: Value = serde_json::from_str(&program.run(&["status", "--json"]).expect(0).stdout).expect("JSON");
    let order = status["resources"].as_array().expect("a list").iter().find(|found| found["resource"] == "order");
    let scan = &order.expect("orders are there")["unfinished_scan"];
    assert_eq!((&scan["unit"], &scan["done"], &scan["of"]), (&"sets".into(), &sets.into(), &30.into()), "{scan}");

    // WHEN the rest is loaded THEN it is complete
    program.run(&["run"]).expect(0);
    let shown = program.run(&["status"]).expect(0).stdout;
    assert_eq!(shown.matches(" complete ").count(), 2, "{shown}");
    check_truth(&sandbox, lake.path().to_str().expect("it is text"), &["--only", "order,order_row,customer_payment"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_are_loaded_before_what_is_large() {
    // GIVEN a slow source, read for the first time
    let sandbox = slow_account(3_000, 30).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let run = program.start(&["run"]);

    // WHEN it is interrupted as soon as orders are begun
    until(&sandbox, "OPTIONS order-service/order", 1).await;
    interrupt(run);

    // THEN every list is complete
    let shown = program.run(&["status"]).expect(0).stdout;
    let catalog = Catalog::load(None).expect("the schemas are right");
    let is_small = |resource: &&Resource| matches!(resource.read.style, ReadStyle::List { pages: None, .. });
    let lists = catalog.resources().iter().filter(|resource| resource.is_default).filter(is_small);
    for list in lists {
        let line = shown.lines().find(|line| line.starts_with(&list.name)).expect("it is listed");
        assert!(line.contains(" complete "), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_whose_time_is_over_commits_what_is_whole_and_the_next_goes_on() {
    // GIVEN a load of 41 requests, 100 ms each, one after the other, and three seconds
    let sandbox = slow_account(8_000, 100).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let catalog = Catalog::load(None).expect("the schemas are right");
    let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
    let vars = [
        ("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token".to_owned()),
        ("PEARLIFT_ACCOUNT_CODE", "acme".to_owned()),
        ("PEARLIFT_ACCOUNT_BASE_URL", sandbox.url()),
        ("PEARLIFT_AUTH_APP_REF", "acme_export".to_owned()),
        ("PEARLIFT_DESTINATION_URL", lake.path().to_str().expect("it is text").to_owned()),
        ("PEARLIFT_LIMITS_REQUESTS_PER_PERIOD", "0".to_owned()),
        ("PEARLIFT_LIMITS_CONCURRENCY", "1".to_owned()),
    ];
    let environment = Environment::new(vars.map(|(name, value)| (name.into(), value.into())));
    let settings = Config::from_text(None, "", environment, &names).expect("the settings are right");
    let request = RunRequest {
        catalog: Arc::new(catalog),
        settings,
        names: vec!["order".to_owned()],
        mode: RunMode::Update { full: false },
        wait: false,
        most: Some(Duration::from_secs(3)),
        now: jiff::Timestamp::now(),
        seed: 1,
        events: Events::silent(),
        redactor: Redactor::default(),
        stop: Stop::default(),
    };

    // WHEN it runs
    let outcome = pearlift::run::run(request).await.expect("it runs");

    // THEN it stopped, reports it with 3, and the next run requests the rest
    assert!(matches!(outcome.resources[0].end, End::Stopped), "{outcome:?}");
    assert_eq!(outcome.exit_code(false), 3);
    // The count with which the load is compared is a search.
    let log = sandbox.take_log();
    let before = log.of("GET order-service/order") - log.of("GET order-service/order-search");
    let done = Program::new(&sandbox, lake.path()).run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
    let log = sandbox.take_log();
    let after = log.of("GET order-service/order") - log.of("GET order-service/order-search");
    // The request that was under way when time was over is made again.
    assert!(before >= 2 && (40..=41).contains(&(before + after)), "{before} and {after}");
    check_truth(&sandbox, lake.path().to_str().expect("it is text"), &["--only", "order,order_row"]);
}

fn days(lake: &Path) -> Vec<String> {
    let glob = format!("{}/product_availability/**/*.parquet", lake.display());
    query(&format!(
        "SELECT snapshot_date, count(*) FROM read_parquet('{glob}', hive_partitioning = true) GROUP BY ALL ORDER BY ALL"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unfinished_snapshot_is_dropped_and_the_next_one_is_whole() {
    // GIVEN the snapshot of a day, and one of the next that is interrupted
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1, ..Size::default() }.with("product", 3_000)).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms");
    program.run(&["run", "product_availability"]).expect(0);
    let first = days(lake.path());
    assert_eq!(first.len(), 1);
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.take_log();
    sandbox.change(|settings| settings.latency = 100);
    let run = program.clone().with("PEARLIFT_LIMITS_CONCURRENCY", "1").start(&["run", "product_availability"]);
    until(&sandbox, "GET warehouse-service/product-availability", 4).await;
    interrupt(run);
    sandbox.change(|settings| settings.latency = 0);

    // THEN nothing of it is there
    assert_eq!(days(lake.path()), first);

    // WHEN another day comes, some products are gone, and a snapshot is taken
    sandbox.delete("product", &sandbox.ids("product")[..100]);
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.take_log();
    let done = program.run(&["run", "product_availability"]).expect(0);

    // THEN it begins anew, all of it is read that day, and the day before has none
    assert!(done.stderr.contains("the day's snapshot"), "{}", done.stderr);
    assert_eq!(sandbox.take_log().of("GET warehouse-service/product-availability"), 14);
    let three = days(lake.path());
    assert_eq!((three.len(), &three[0]), (2, &first[0]));
    let gap = format!("SELECT DATE '{}' - DATE '{}'", &three[1][..10], &three[0][..10]);
    assert_eq!(query(&gap), ["2"]);

    // WHEN it is taken again that day, with more deleted THEN the day's last one stays
    sandbox.delete("product", &sandbox.ids("product")[..100]);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "product_availability"]).expect(0);
    let again = days(lake.path());
    assert_eq!((again.len(), &again[0]), (2, &first[0]));
    assert_ne!(again[1], three[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resource_that_fails_holds_up_no_other_first_load() {
    // GIVEN a source that gives no documents of orders
    let sandbox = account(300).await;
    sandbox.change(|settings| {
        settings.faults.percent = 100;
        settings.faults.path = "order-service/order/".to_owned();
    });
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_TRIES", "2");

    // WHEN it is read
    let done = program.run(&["run"]).expect(3);

    // THEN orders failed, and everything else is complete and true
    assert_eq!(done.stderr.matches("FAILED").count(), 1, "{}", done.stderr);
    let tables = "product,contact,goods_out_note,journal,customer_payment,supplier_payment,product_price,brand";
    check_truth(&sandbox, lake.path().to_str().expect("it is text"), &["--only", tables]);
}
