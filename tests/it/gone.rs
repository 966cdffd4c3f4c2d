//! Ids that are listed and not returned, or returned and not listed: no single answer takes a row out of a table or leaves
//! one stale.

use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::{Value, json};

use crate::support::{Program, account, check_truth, files, head, query, start, this_morning};

const ORDERS: [&str; 2] = ["--only", "order,order_row,order_party,order_invoice,order_custom_field"];
const PRICES: [&str; 2] = ["--only", "product_price,product_price_list"];
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sets the plan of wrong answers.
pub fn answer(sandbox: &Sandbox, rules: Value) {
    sandbox.change(|settings| settings.answers = serde_json::from_value(rules).unwrap());
    sandbox.take_log();
}

pub fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// How many rows a table has.
pub fn rows(lake: &tempfile::TempDir, table: &str) -> u64 {
    query(&format!("SELECT count(*) FROM read_parquet('{}/{table}/**/*.parquet')", text(lake)))[0].parse().unwrap()
}

/// The absent ids of the state.
pub fn absence(lake: &tempfile::TempDir, resource: &str) -> Value {
    head(lake.path(), resource)["state"]["absence"].clone()
}

pub fn length(ids: &Value) -> usize {
    ids.as_object().map_or(0, serde_json::Map::len)
}

/// An account with a clock three days behind, some resources of it loaded.
pub async fn loaded(size: Size, resources: &[&str]) -> (Sandbox, tempfile::TempDir, Program) {
    loaded_before(3, size, resources).await
}

pub async fn loaded_before(days: u32, size: Size, resources: &[&str]) -> (Sandbox, tempfile::TempDir, Program) {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning() - days * DAY), ..SandboxSettings::default() };
    let sandbox = start(settings, size).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&[&["run"], resources].concat()).expect(0);
    sandbox.take_log();
    (sandbox, lake, program)
}

pub fn orders(orders: u64) -> Size {
    Size { orders, ..Size::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sets_answered_with_nothing_in_a_first_load_are_asked_for_again() {
    for then in ["empty", "none", "half"] {
        // GIVEN a source that answers two id sets of a first load with nothing, or with half
        let sandbox = account(980).await;
        let lake = tempfile::tempdir().unwrap();
        let program = Program::new(&sandbox, lake.path());
        answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1, 2], "then": then}]));

        // WHEN orders are read
        program.run(&["run", "order"]).expect(0);

        // THEN all are there, for the missing ones again with a witness in each set
        check_truth(&sandbox, text(&lake), &ORDERS);
        let log = sandbox.take_log();
        // The newest ids come first, in a set of 180.
        let missing: u64 = if then == "half" { 190 } else { 380 };
        assert_eq!(log.requests["GET order-service/order"], 5 + missing.div_ceil(199), "{log:?}");
        assert_eq!(log.of("OPTIONS order-service/order"), 1, "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_set_of_changed_orders_answered_with_nothing_at_night_is_asked_for_again() {
    for then in [json!("empty"), json!("none"), json!({"partial": {"keep": 23, "status": 200}})] {
        // GIVEN orders changed and created since, and a source that returns none of them once, or some
        let (sandbox, lake, program) = loaded(orders(300), &["order"]).await;
        sandbox.age(Duration::from_secs(5 * 3600));
        sandbox.edit("order", &sandbox.ids("order")[40..65]);
        sandbox.insert("order", 5);
        sandbox.age(Duration::from_secs(600));
        answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1], "then": then}]));

        // WHEN a night goes by THEN the tables equal the truth, after one more request
        program.run(&["run", "order"]).expect(0);
        check_truth(&sandbox, text(&lake), &ORDERS);
        assert_eq!(sandbox.take_log().requests["GET order-service/order"], 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn references_and_open_records_answered_with_nothing_are_asked_for_again() {
    // GIVEN payments that reference orders which show no date of it, and a source that returns none of them once
    let (sandbox, lake, program) = loaded(orders(300), &["order", "customer_payment"]).await;
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("customer_payment", 20);
    let paid = crate::repair::named_orders(&sandbox, "customer_payment", 20).await;
    sandbox.touch("order", &paid);
    sandbox.age(Duration::from_secs(600));
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1], "then": "empty"}]));

    // WHEN a night goes by THEN the tables equal the truth
    program.run(&["run", "order", "customer_payment"]).expect(0);
    check_truth(&sandbox, text(&lake), &ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_404_for_a_set_of_prices_removes_none_and_a_product_without_prices_has_none() {
    // GIVEN products changed since, and a source that answers once that their set has no prices
    let (sandbox, lake, program) = loaded(orders(400), &["product", "product_price"]).await;
    let products = sandbox.ids("product");
    for arguments in [&["run", "product_price"][..], &["run", "--full", "product_price"]] {
        sandbox.age(Duration::from_secs(5 * 3600));
        sandbox.edit("product", &products[..products.len() / 2]);
        sandbox.age(Duration::from_secs(600));
        answer(&sandbox, json!([{"method": "GET", "path": "product-price/", "at": [1], "then": "none"}]));

        // WHEN they are read THEN no price is gone
        program.run(arguments).expect(0);
        check_truth(&sandbox, text(&lake), &PRICES);
    }

    // WHEN a product has no prices any more, as answers with a witness show THEN its rows are removed
    let bare = products[7];
    answer(&sandbox, json!([]));
    sandbox.change(|settings| settings.never_returned = vec![bare]);
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.edit("product", &[bare]);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "product_price"]).expect(0);
    let glob = format!("{}/product_price/**/*.parquet", text(&lake));
    let left = query(&format!("SELECT count(*) FROM read_parquet('{glob}') WHERE product_id = {bare}"));
    assert_eq!(left, ["0"]);
    assert_eq!(sandbox.take_log().of("GET product-service/product-price"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_listing_of_one_contact_takes_none_out_whether_a_get_returns_the_others_or_not() {
    // GIVEN a source that lists one contact, and that nothing is returned for
    let (sandbox, lake, program) = loaded(orders(80), &["contact"]).await;
    let before = rows(&lake, "contact");
    let listing = json!({"method": "OPTIONS", "path": "contact-service/contact", "then": {"keep": 1}});
    answer(&sandbox, json!([listing, {"method": "GET", "path": "contact-service/contact/", "then": "none"}]));

    // WHEN ids are compared, by a person or by the nightly run THEN that is refused, and nothing is gone
    let done = program.run(&["reconcile", "contact"]);
    assert!(done.code != 0 && done.stderr.contains("nor is an id that the source lists"), "{}", done.said());
    let night = program.clone().with("PEARLIFT_RESOURCE_CONTACT_RECONCILE_EVERY", "1ms");
    assert!(night.run(&["run", "contact"]).code != 0);
    assert_eq!(rows(&lake, "contact"), before);

    // WHEN a GET returns them THEN they are hidden: kept, and counted in the state
    answer(&sandbox, json!([listing]));
    program.run(&["reconcile", "contact"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", "contact"]);
    let status = program.run(&["status", "--json"]).expect(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let contact = status["resources"].as_array().unwrap().iter().find(|row| row["resource"] == "contact").unwrap();
    assert_eq!(contact["hidden"], before - 1, "{contact}");

    // WHEN the listing is whole THEN none is hidden any more
    answer(&sandbox, json!([]));
    program.run(&["reconcile", "contact"]).expect(0);
    assert!(absence(&lake, "contact")["hidden"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_id_that_is_listed_and_never_returned_is_pending_for_two_days_and_withheld_from_the_third() {
    // GIVEN a source that lists two orders and does not return them
    let settings = SandboxSettings { limit: 0, now: Some(this_morning() - 7 * DAY), ..SandboxSettings::default() };
    let sandbox = start(settings, orders(300)).await;
    let all = sandbox.ids("order");
    sandbox.change(|settings| settings.never_returned = vec![all[5], all[250]]);
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let report = |code: i32| -> Value {
        let done = program.run(&["--log-format", "json", "run", "order"]).expect(code);
        let pending = head(lake.path(), "order")["state"]["pending"].as_array().unwrap().len();
        json!({"pending": pending, "withheld": length(&absence(&lake, "order")["withheld"]), "said": done.stderr})
    };

    // WHEN nights go by THEN they are pending with exit code 3, and from the third night on withheld with 0
    for (night, code, pending, withheld) in [(1, 3, 2, 0), (2, 3, 2, 0), (3, 0, 0, 2), (4, 0, 0, 2)] {
        let now = report(code);
        assert_eq!((&now["pending"], &now["withheld"]), (&json!(pending), &json!(withheld)), "night {night}: {now}");
        sandbox.age(DAY);
    }
    // AND a second run of one night does not count
    let status = program.run(&["status"]).expect(0);
    assert!(status.stdout.contains("2 withheld"), "{}", status.stdout);

    // AND they cost one set a night, also where everything is read again
    sandbox.take_log();
    report(0);
    assert_eq!(sandbox.take_log().requests["GET order-service/order"], 2, "the open ones and the withheld ones");
    program.run(&["run", "--full", "order"]).expect(0);
    program.run(&["reconcile", "order"]).expect(0);

    // WHEN another is not returned THEN that is exit code 3
    sandbox.change(|settings| settings.never_returned.push(all[100]));
    sandbox.edit("order", &[all[100]]);
    sandbox.age(DAY);
    let now = report(3);
    assert_eq!((&now["pending"], &now["withheld"]), (&json!(1), &json!(2)), "{now}");
    let glob = format!("{}/order/**/*.parquet", text(&lake));
    let kept = query(&format!("SELECT count(*) FROM read_parquet('{glob}') WHERE id = {}", all[100]));
    assert_eq!(kept, ["1"], "its rows stay");

    // WHEN they are returned THEN nothing is withheld, and the tables equal the truth
    sandbox.change(|settings| settings.never_returned = Vec::new());
    report(0);
    assert_eq!(length(&absence(&lake, "order")["withheld"]), 0);
    check_truth(&sandbox, text(&lake), &ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_of_one_day_withhold_nothing() {
    let sandbox = account(60).await;
    let first = sandbox.ids("order")[5];
    sandbox.change(|settings| settings.never_returned = vec![first]);
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    for _ in 0..4 {
        program.run(&["run", "order"]).expect(3);
    }
    assert_eq!(length(&absence(&lake, "order")["withheld"]), 0);
    assert_eq!(absence(&lake, "order")["tries"][first.to_string()]["runs"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_lists_many_ids_it_never_returns_fails_once_and_is_quiet_from_the_third_night_on() {
    // GIVEN a source that lists 120 of 600 orders and does not return them
    let settings = SandboxSettings { limit: 0, now: Some(this_morning() - 7 * DAY), ..SandboxSettings::default() };
    let sandbox = start(settings, orders(600)).await;
    let never: Vec<i64> = sandbox.ids("order").into_iter().step_by(5).collect();
    sandbox.change(|settings| settings.never_returned.clone_from(&never));
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());

    // WHEN nights go by THEN the first fails and keeps the returned records, and from the third on all is well
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(program.run(&["run", "order"]).code);
        sandbox.age(DAY);
    }
    assert!(codes[0] != 0 && codes[1] == 3 && codes[3..] == [0, 0], "{codes:?}");
    assert_eq!(rows(&lake, "order"), 480);
    assert_eq!(length(&absence(&lake, "order")["withheld"]), 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_is_gone_is_a_suspect_and_leaves_the_tables_with_the_next_run() {
    // GIVEN a deleted order that a re-read finds missing
    let (sandbox, lake, program) = loaded(orders(200), &["order"]).await;
    let victim = sandbox.ids("order")[20];
    sandbox.delete("order", &[victim]);
    let before = rows(&lake, "order");
    let rereads = program.clone().with("PEARLIFT_RESOURCE_ORDER_REREAD_REQUESTS", "5");
    sandbox.take_log();

    // WHEN it runs THEN the rows stay, and the id waits for a second proof
    rereads.run(&["run", "order"]).expect(0);
    let suspects = absence(&lake, "order")["suspects"].clone();
    assert_eq!(suspects.as_object().unwrap().keys().collect::<Vec<_>>(), [&victim.to_string()]);
    assert_eq!(rows(&lake, "order"), before);

    // WHEN the next run finds it missing too THEN it is gone from every table
    program.run(&["run", "order"]).expect(0);
    assert_eq!(length(&absence(&lake, "order")["suspects"]), 0);
    check_truth(&sandbox, text(&lake), &ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_suspect_that_reappears_or_that_a_search_shows_is_never_deleted() {
    // GIVEN two orders that were missing, in answers and in listings, for one run
    let (sandbox, lake, program) = loaded(orders(200), &["order"]).await;
    let (back, shown) = (sandbox.ids("order")[20], sandbox.ids("order")[21]);
    sandbox.change(|settings| settings.never_returned = vec![back, shown]);
    let silent = json!([{"method": "OPTIONS", "path": "order-service/order/", "then": "empty"}]);
    answer(&sandbox, silent);
    let before = rows(&lake, "order");
    program.clone().with("PEARLIFT_RESOURCE_ORDER_REREAD_REQUESTS", "5").run(&["run", "order"]).expect(0);
    assert_eq!(length(&absence(&lake, "order")["suspects"]), 2);

    // WHEN one comes back, and the search shows the other though no GET or OPTIONS does
    sandbox.change(|settings| settings.never_returned = vec![shown]);
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.edit("order", &[shown]);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "order"]);

    // THEN none is deleted
    assert_eq!(rows(&lake, "order"), before);
    let suspects = absence(&lake, "order")["suspects"].clone();
    assert!(suspects[back.to_string()].is_null(), "{suspects}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_night_deletes_twenty_records_at_once_and_the_next_one_the_rest() {
    // GIVEN 35 deleted orders of 980
    let (sandbox, lake, program) = loaded(orders(980), &["order"]).await;
    let victims: Vec<i64> = sandbox.ids("order").into_iter().step_by(28).collect();
    assert_eq!(victims.len(), 35);
    sandbox.delete("order", &victims);

    // WHEN the nightly run compares the ids THEN twenty go, and the rest wait
    let night = program.clone().with("PEARLIFT_RESOURCE_ORDER_RECONCILE_EVERY", "1ms");
    night.run(&["run", "order"]).expect(0);
    assert_eq!(rows(&lake, "order"), 960);
    assert_eq!(length(&absence(&lake, "order")["suspects"]), 15);

    // WHEN another run finds the rest missing too THEN they go
    program.run(&["run", "order"]).expect(0);
    assert_eq!(length(&absence(&lake, "order")["suspects"]), 0);
    check_truth(&sandbox, text(&lake), &ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_listing_saves_a_record_that_one_listing_lacked() {
    // GIVEN a source that omits orders from its listing once, and does not return three of them
    let (sandbox, lake, program) = loaded(orders(500), &["order"]).await;
    let never: Vec<i64> = sandbox.ids("order").into_iter().rev().take(3).collect();
    sandbox.change(|settings| settings.never_returned.clone_from(&never));
    answer(&sandbox, json!([{"method": "OPTIONS", "at": [1], "then": "half"}]));
    let before = rows(&lake, "order");

    // WHEN ids are compared THEN the second listing shows them, and none is gone
    let done = program.run(&["reconcile", "order"]).expect(0);
    assert!(done.stderr.contains("250 not listed, 0 of them gone"), "{}", done.stderr);
    assert_eq!(rows(&lake, "order"), before);
    assert_eq!(sandbox.take_log().of("OPTIONS order-service/order"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limits_count_records_and_are_a_tenth_of_few() {
    // GIVEN an account that has lost 12 of 100 orders
    let (sandbox, lake, program) = loaded(orders(100), &["order"]).await;
    sandbox.delete("order", &sandbox.ids("order")[10..22]);

    // WHEN ids are compared THEN that is more than a tenth
    let done = program.run(&["reconcile", "order"]);
    assert!(
        done.code != 0 && done.stderr.contains("12 of 100 are gone, and at most 10 may be removed"),
        "{}",
        done.said()
    );
    let range = ["backfill", "order", "--from", "2000-01-01", "--to", "2100-01-01"];
    let done = program.run(&range);
    assert!(done.code != 0 && done.stderr.contains("12 of the range are gone"), "{}", done.said());
    assert_eq!(rows(&lake, "order"), 100);

    // WHEN it is ten THEN they go
    let back: Vec<i64> = query(&format!("SELECT id FROM read_parquet('{}/order/**/*.parquet')", text(&lake)))
        .iter()
        .map(|id| id.parse().unwrap())
        .filter(|id| !sandbox.ids("order").contains(id))
        .take(2)
        .collect();
    sandbox.restore("order", &back);
    program.run(&["reconcile", "order"]).expect(0);
    check_truth(&sandbox, text(&lake), &ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_shrinks_once_is_asked_for_again_and_one_that_stays_so_is_accepted_on_a_second_day() {
    // GIVEN 40 brands, of which one answer has 30
    let (sandbox, lake, program) = loaded(orders(20), &["brand"]).await;
    let wrong = |at: Value| json!([{"method": "GET", "path": "product-service/brand", "at": at, "then": {"keep": 30}}]);
    answer(&sandbox, wrong(json!([1])));
    program.run(&["run", "brand"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", "brand"]);
    assert_eq!(sandbox.take_log().total(), 2);

    // WHEN every answer has 30 THEN that is refused, and again on the same day
    answer(&sandbox, wrong(json!([])));
    for _ in 0..2 {
        let done = program.run(&["run", "brand"]);
        assert!(done.code != 0 && done.stderr.contains("10 of 40 records would go"), "{}", done.said());
        assert_eq!(rows(&lake, "brand"), 40);
    }

    // WHEN it is another list the next day THEN that is refused too
    sandbox.age(DAY);
    answer(&sandbox, json!([{"method": "GET", "path": "product-service/brand", "then": {"keep": 25}}]));
    assert!(program.run(&["run", "brand"]).code != 0);

    // WHEN it is the same on a second day THEN it is accepted
    sandbox.age(DAY);
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(rows(&lake, "brand"), 25);

    // WHEN a person insists THEN it is accepted at once; an empty one never is
    answer(&sandbox, json!([{"method": "GET", "path": "product-service/brand", "then": {"keep": 5}}]));
    program.run(&["run", "--full", "brand"]).expect(0);
    assert_eq!(rows(&lake, "brand"), 5);
    answer(&sandbox, json!([{"method": "GET", "path": "product-service/brand", "then": "empty"}]));
    assert!(program.run(&["run", "--full", "brand"]).code != 0);
    assert_eq!(rows(&lake, "brand"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_that_goes_on_asks_again_for_what_was_absent_before_it_was_killed() {
    // GIVEN a first load with an empty answer to its first set, killed once others are committed
    let settings = SandboxSettings { limit: 0, latency: 60, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, orders(1_600)).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms");
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1], "then": "empty"}]));
    let mut load = program.start(&["run", "order"]);
    let begun = std::time::Instant::now();
    while files(&lake.path().join("order")).len() < 10 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it commits nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.kill().unwrap();
    load.wait().unwrap();
    sandbox.change(|settings| settings.latency = 0);
    let absent = absence(&lake, "order")["absent"].clone();
    assert_eq!(length(&absent), 1, "{absent}");

    // WHEN it resumes THEN the set that came empty is there too, and nothing of it is remembered
    let done = program.run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &ORDERS);
    assert!(head(lake.path(), "order")["state"].get("absence").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleted_open_notes_are_gone_after_one_night_and_a_list_without_them_takes_none_that_a_get_returns() {
    // GIVEN open notes, of which four are deleted
    let (sandbox, lake, program) = loaded(orders(900), &["goods_out_note"]).await;
    let glob = format!("{}/goods_out_note/**/*.parquet", text(&lake));
    let open: Vec<i64> = query(&format!("SELECT id FROM read_parquet('{glob}') WHERE NOT shipped ORDER BY id"))
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    let only = ["--only", "goods_out_note,goods_out_note_row"];
    sandbox.delete("goods_out_note", &open[..4]);
    sandbox.age(DAY);
    sandbox.take_log();

    // WHEN a night goes by THEN they are gone, for a GET, one with a witness and a second list of open ones
    program.run(&["run", "goods_out_note"]).expect(0);
    check_truth(&sandbox, text(&lake), &only);
    assert_eq!(sandbox.take_log().of("GET warehouse-service/order/*/goods-note/goods-out"), 2);

    // WHEN the list of open ones comes empty once THEN none is gone
    sandbox.age(DAY);
    let path = "goods-out-search?";
    answer(&sandbox, json!([{"method": "GET", "path": path, "at": [3], "then": "none"}]));
    program.run(&["run", "goods_out_note"]);
    check_truth(&sandbox, text(&lake), &only);
}
