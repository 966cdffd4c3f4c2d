//! Undated changes: resources read again whole at a cadence, or in rounds within a budget, and counted; loads from a
//! day on.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use serde_json::Value;

use crate::support::{Program, account, check_truth, query, this_morning, truth};

const ORDERS: &[&str] = &["--only", "order,order_row,order_party,order_invoice,order_custom_field"];

fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("it is text")
}

/// An account, of which these resources are exported.
async fn loaded(orders: u64, resources: &[&str]) -> (Sandbox, tempfile::TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path());
    report(&program, resources, 0);
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.take_log();
    (sandbox, lake, program)
}

/// Runs, and gives the run's own report.
#[track_caller]
fn report(program: &Program, more: &[&str], code: i32) -> Value {
    let arguments: Vec<&str> = ["--log-format", "json", "run"].iter().chain(more).copied().collect();
    let done = program.run(&arguments).expect(code);
    serde_json::from_str(done.stderr.lines().last().expect("the report is there")).expect("the report is JSON")
}

/// The entry of a resource in a report.
fn of<'a>(report: &'a Value, resource: &str) -> &'a Value {
    let all = report["resources"].as_array().expect("a list");
    all.iter().find(|found| found["resource"] == resource).expect("the resource is there")
}

fn missed(report: &Value, resource: &str) -> u64 {
    of(report, resource)["missed_changes"].as_u64().expect("a number")
}

/// The state in the newest version of a resource.
fn state(lake: &Path, resource: &str) -> Value {
    let folder = lake.join("_pearlift/manifests").join(resource);
    let versions = std::fs::read_dir(folder).expect("there are versions").flatten().map(|entry| entry.path());
    let text = std::fs::read_to_string(versions.max().expect("there is one")).expect("it can be read");
    serde_json::from_str::<Value>(&text).expect("it is JSON")["state"].take()
}

/// Orders that are held as closed: the others are read again each night.
fn closed(lake: &Path) -> Vec<i64> {
    let glob = format!("{}/order/**/*.parquet", lake.display());
    let rows = query(&format!("SELECT id FROM read_parquet('{glob}') WHERE closed_on IS NOT NULL ORDER BY id"));
    rows.iter().map(|id| id.parse().expect("an id is a number")).collect()
}

fn every(sandbox: &Sandbox, kind: &str, step: usize) -> Vec<i64> {
    sandbox.ids(kind).into_iter().step_by(step).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_date_tells_is_found_when_everything_is_read_again_and_counted() {
    // GIVEN exported orders, of which 20 that are closed are changed without a date and 15 others with one
    let (sandbox, lake, program) = loaded(700, &["order"]).await;
    let ids = closed(lake.path());
    let (silent, dated) = (&ids[..20], &ids[100..115]);
    sandbox.touch("order", silent);
    sandbox.edit("order", dated);
    sandbox.age(Duration::from_secs(600));

    // WHEN a night goes by that reads nothing again
    let night = report(&program.clone().with("PEARLIFT_RESOURCE_ORDER_RELOAD_EVERY", "30d"), &["order"], 0);

    // THEN those with a date are read, and nothing is missed that is known
    assert_eq!(of(&night, "order")["records_read"], 15);
    assert_eq!(missed(&night, "order"), 0);

    // WHEN others get a date, and everything is due to be read again
    sandbox.edit("order", &ids[200..230]);
    sandbox.age(Duration::from_secs(600));
    sandbox.take_log();
    let again = report(&program.with("PEARLIFT_RESOURCE_ORDER_RELOAD_EVERY", "1ms"), &["order"], 0);

    // THEN the changes come first, everything after, and the tables equal the truth
    let scans = of(&again, "order")["scans"].to_string();
    assert!(scans.find("changes").expect("changes are asked") < scans.find("full").expect("all is read"), "{scans}");
    check_truth(&sandbox, text(&lake), ORDERS);
    // AND undated changes that were found are counted, others are not
    assert_eq!(missed(&again, "order"), 20);
    assert_eq!(sandbox.take_log().of("OPTIONS order-service/order"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_read_counts_neither_what_is_dated_nor_what_is_followed_anyway() {
    // GIVEN an exported account; then a shipped and some open notes change without a date, orders with one, and others
    // because they are paid
    let (sandbox, lake, program) = loaded(500, &[]).await;
    let glob = format!("{}/goods_out_note/**/*.parquet", lake.path().display());
    let notes = |flag: &str| -> Vec<i64> {
        let sql = format!("SELECT id FROM read_parquet('{glob}') WHERE {flag} ORDER BY id");
        query(&sql).iter().map(|id| id.parse().expect("an id")).collect()
    };
    sandbox.touch("goods_out_note", &notes("shipped")[..7]);
    sandbox.touch("goods_out_note", &notes("NOT shipped")[..5]);
    sandbox.edit("order", &every(&sandbox, "order", 50));
    sandbox.edit("product", &every(&sandbox, "product", 10));
    sandbox.insert("customer_payment", 30);
    sandbox.touch("order", &paid(&sandbox, 30).await);
    sandbox.age(Duration::from_secs(600));

    // WHEN everything is read at a person's wish
    let full = report(&program, &["--full"], 0);

    // THEN the tables equal the truth, and only the shipped notes were missed
    check_truth(&sandbox, text(&lake), &[]);
    assert_eq!(missed(&full, "product_price"), 0);
    assert_eq!(missed(&full, "goods_out_note"), 7);
    assert_eq!(missed(&full, "order"), 0);
}

/// The orders that the newest payments name.
async fn paid(sandbox: &Sandbox, newest: usize) -> Vec<i64> {
    let text = truth(sandbox, "customer_payment").await;
    let lines = text.lines().rev().take(newest).map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let orders: BTreeSet<i64> = lines.filter_map(|payment| payment["orderId"].as_i64()).filter(|id| *id > 0).collect();
    orders.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn prices_that_moved_without_their_product_are_counted_at_the_weekly_read() {
    // GIVEN exported prices; some move with their product, some without
    let (sandbox, lake, program) = loaded(400, &["product_price"]).await;
    let ids = sandbox.ids("product");
    sandbox.edit("product", &ids[..10]);
    sandbox.touch("product", &ids[30..60]);
    sandbox.age(Duration::from_secs(600));

    // WHEN they are read whole
    let week = report(&program.with("PEARLIFT_RESOURCE_PRODUCT_PRICE_RELOAD_EVERY", "1ms"), &["product_price"], 0);

    // THEN they equal the truth, and at most those that moved alone count: a few products have no price that could move
    check_truth(&sandbox, text(&lake), &["--only", "product_price,product_price_list"]);
    assert!((20..=30).contains(&missed(&week, "product_price")), "{week}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_rolling_re_read_goes_round_within_its_budget() {
    // GIVEN 1,100 exported orders, six sets of ids, and changes without a date all over them
    let (sandbox, lake, program) = loaded(1_100, &["order"]).await;
    let silent: Vec<i64> = closed(lake.path()).into_iter().step_by(17).collect();
    sandbox.touch("order", &silent);
    let program = program.with("PEARLIFT_LIMITS_REREAD_REQUESTS", "2");
    let (mut found, mut cursors) = (0, Vec::new());
    for _ in 0..3 {
        // WHEN a night goes by
        sandbox.age(Duration::from_secs(600));
        sandbox.take_log();
        let night = report(&program, &["order"], 0);

        // THEN it spends its budget on documents and no more
        let log = sandbox.take_log();
        assert_eq!(log.requests["GET order-service/order"], 2, "{log:?}");
        assert_eq!(log.ids["order-service/order"], 400, "{log:?}");
        found += missed(&night, "order");
        cursors.push(state(lake.path(), "order")["reread_to"].as_i64().expect("an id"));
    }
    // THEN after three nights all were read, each change was counted once, and the third began a new round
    check_truth(&sandbox, text(&lake), ORDERS);
    assert_eq!(found, u64::try_from(silent.len()).expect("a length fits"));
    let ids = sandbox.ids("order");
    assert_eq!(cursors, [ids[399], ids[799], ids[99]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_re_read_that_fails_is_made_again_and_deletes_nothing() {
    // GIVEN exported prices and contacts, some deleted since, which no count betrays, and a source that gives no documents of
    // contacts
    let (sandbox, lake, program) = loaded(600, &["contact", "product_price"]).await;
    let program = program.with("PEARLIFT_RESOURCE_CONTACT_REREAD_REQUESTS", "1");
    let program = program.with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false");
    sandbox.delete("contact", &every(&sandbox, "contact", 40));
    let glob = format!("SELECT count(*) FROM read_parquet('{}/contact/**/*.parquet')", lake.path().display());
    let before = query(&glob);
    sandbox.change(|settings| {
        settings.faults.percent = 100;
        settings.faults.path = "contact-service/contact/".to_owned();
    });
    report(&program.clone().with("PEARLIFT_LIMITS_RETRY_TRIES", "1"), &["contact"], 4);

    // THEN the round has not begun
    assert!(state(lake.path(), "contact")["reread_to"].is_null());

    // WHEN it gives them again
    sandbox.change(|settings| settings.faults.percent = 0);
    sandbox.take_log();
    report(&program, &["contact", "product_price"], 0);

    // THEN one set is read, of the resource with the budget, and unreturned ids once more: they stay
    let log = sandbox.take_log();
    assert_eq!(log.requests["GET contact-service/contact"], 2, "{log:?}");
    assert!(log.ids.get("product-service/product-price").is_none_or(|ids| *ids < 50), "{log:?}");
    assert!(state(lake.path(), "contact")["reread_to"].is_i64());
    assert_eq!(query(&glob), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_load_from_a_day_on_reads_what_was_created_since_and_what_is_open() {
    // GIVEN an account of three years, of which the last is wanted
    let sandbox = account(1_500).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let day = (this_morning() - jiff::SignedDuration::from_hours(365 * 24)).to_string()[..10].to_owned();
    let whole = Program::new(&sandbox, lake.path());
    let mut program = whole.clone();
    for name in ["ORDER", "GOODS_OUT_NOTE", "JOURNAL", "CUSTOMER_PAYMENT"] {
        program = program.with(&format!("PEARLIFT_RESOURCE_{name}_START"), &day);
    }
    let chosen = ["order", "goods_out_note", "journal", "customer_payment"];
    let count = |table: &str, more: &str| -> u64 {
        let glob = format!("{}/{table}/**/*.parquet", lake.path().display());
        query(&format!("SELECT count(*) FROM read_parquet('{glob}') {more}"))[0].parse().expect("a count")
    };

    // WHEN orders are loaded, and the others on another day, for their newest rows name orders of any age
    report(&program, &["order"], 0);

    // THEN a third of the orders is there, for three requests (the list of ids, the first of that day, the count) and one for each 200
    let log = sandbox.take_log();
    let older = format!("WHERE created_on < TIMESTAMPTZ '{day} 00:00:00Z'");
    let orders = count("order", "");
    assert!((450..550).contains(&orders), "{orders}");
    assert_eq!(log.of("OPTIONS order-service/order") + log.of("GET order-service/order-search"), 3, "{log:?}");
    assert_eq!(log.requests["GET order-service/order"], orders.div_ceil(200));
    // AND nothing older but open notes, all of them
    report(&program, &chosen[1..], 0);
    for table in ["order", "journal", "customer_payment"] {
        assert_eq!(count(table, &older), 0, "{table}");
    }
    assert_eq!(count("goods_out_note", &format!("{older} AND shipped")), 0);
    assert!(count("goods_out_note", &older) > 20);

    // WHEN an old order is changed, others are named by those rows, and ids are compared
    sandbox.age(Duration::from_secs(3 * 3600));
    let first = sandbox.ids("order")[0];
    sandbox.edit("order", &[first]);
    sandbox.age(Duration::from_secs(600));
    report(&program, &chosen, 0);
    let orders = count("order", "");
    sandbox.take_log();
    let done = program.run(&["reconcile", "order", "goods_out_note", "journal"]).expect(0);

    // THEN that one was stored, and older ones are not missing
    assert_eq!(count("order", &format!("WHERE id = {first}")), 1);
    assert_eq!(done.stderr.matches(" 0 read that were missing").count(), 3, "{}", done.stderr);

    // WHEN everything is read again THEN the old one is read too
    let again = report(&program, &["--full", "order"], 0);
    assert_eq!(of(&again, "order")["records_read"], orders);

    // WHEN the day is given up THEN it is the next full read that brings the rest
    report(&whole, &["order"], 0);
    assert_eq!(count("order", ""), orders);
    report(&whole, &[&["--full"][..], &chosen].concat(), 0);
    check_truth(
        &sandbox,
        text(&lake),
        &["--only", "order,order_row,goods_out_note,journal,journal_line,customer_payment"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_setting_that_makes_no_sense_for_a_resource_says_why_and_stops_no_other() {
    let sandbox = account(20).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path());
    for (key, value, why) in [
        ("BRAND_RELOAD_EVERY", "1d", "`every` says how often"),
        ("BRAND_START", "2023-01-01", "a list is read whole"),
        ("PRODUCT_PRICE_START", "2023-01-01", "read by the ids of product"),
        ("ORDER_EVERY", "1d", "`reload_every` says how often"),
        ("CUSTOMER_PAYMENT_REREAD_REQUESTS", "5", "set `reload_every`"),
        ("GOODS_OUT_NOTE_OPEN_EVERY", "1d", "null while a record is open"),
    ] {
        let name = key
            .split_once("_RE")
            .or(key.split_once("_OPEN"))
            .or(key.split_once("_START"))
            .or(key.split_once("_EVERY"))
            .expect("a key")
            .0;
        let program = program.clone().with(&format!("PEARLIFT_RESOURCE_{key}"), value);
        let done = program.run(&["run", &name.to_lowercase(), "currency"]).expect(3);
        assert!(done.stderr.contains(why), "{key}: {}", done.stderr);
        let planned = program.run(&["plan", &name.to_lowercase(), "currency"]).expect(3);
        assert!(planned.stderr.contains(why), "{key}: {}", planned.stderr);
    }
    let wrong = program.with("PEARLIFT_RESOURCE_ORDER_START", "last year").run(&["run", "order"]).expect(2);
    assert!(wrong.stderr.contains("start = \"2023-01-01\""), "{}", wrong.stderr);
}
