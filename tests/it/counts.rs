//! The count of the source and its greatest ids, each night, against the records in the tables.

use std::time::Duration;

use pearlift::sandbox::{AnswerRule, Sandbox};
use serde_json::{Value, json};

use crate::support::{Program, account, check_truth, head, query, this_morning};

/// Bends answers by these rules.
fn answers(sandbox: &Sandbox, rules: Value) {
    let rules: Vec<AnswerRule> = serde_json::from_value(rules).expect("the rules are well formed");
    sandbox.change(|settings| settings.answers = rules);
}

/// Has the searches by date show nothing, of these searches.
fn no_dates(sandbox: &Sandbox, searches: &[&str]) {
    let columns = ["updatedOn=", "createdOn=", "shippedOn=", "shipped="];
    let rules = searches
        .iter()
        .flat_map(|search| columns.map(|column| json!({"path": format!("{search}?{column}"), "then": "none"})));
    answers(sandbox, rules.collect());
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// The rows of a table.
fn rows(lake: &tempfile::TempDir, table: &str) -> usize {
    let glob = format!("{}/{table}/**/*.parquet", lake.path().display());
    query(&format!("SELECT count(DISTINCT id) FROM read_parquet('{glob}')"))[0].parse().expect("a number")
}

/// Ids with an unproven deletion.
fn suspects(lake: &tempfile::TempDir, resource: &str) -> Vec<i64> {
    let state = head(lake.path(), resource)["state"]["absence"]["suspects"].clone();
    let mut ids: Vec<i64> =
        state.as_object().into_iter().flat_map(|ids| ids.keys()).map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// The count in the state of a resource.
fn counted(lake: &tempfile::TempDir, resource: &str) -> Value {
    head(lake.path(), resource)["state"]["count"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_listing_of_some_ids_alone_costs_no_record() {
    // GIVEN orders of which OPTIONS lists half, once, or none, once
    for then in ["half", "empty"] {
        let sandbox = account(980).await;
        answers(&sandbox, json!([{"method": "OPTIONS", "path": "order-service/order", "at": [1], "then": then}]));
        let lake = folder();

        // WHEN they are loaded THEN all are there
        let done = Program::new(&sandbox, lake.path()).run(&["run", "order"]).expect(0);
        assert_eq!(rows(&lake, "order"), sandbox.ids("order").len(), "{then}: {}", done.said());
        assert!(done.stderr.contains("more than were read"), "{then}: {}", done.stderr);
        check_truth(&sandbox, lake.path().to_str().expect("a path"), &["--only", "order,order_row"]);
        assert_eq!(counted(&lake, "order")["explained"], 0, "{then}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_style_of_reading_is_complete_by_a_count() {
    // GIVEN an account, one answer of which lists fewer records than there are
    for (resource, table, kind, rule) in [
        ("contact", "contact", "contact", json!({"method": "OPTIONS", "path": "contact", "at": [1], "then": "half"})),
        (
            "goods_out_note",
            "goods_out_note",
            "goods_out_note",
            json!({"path": "out-search?columns=goodsOutNoteId&sort=goodsOutNoteId.ASC", "at": [1], "then": "none"}),
        ),
        ("journal", "journal", "journal", json!({"path": "sort=journalId.DESC&pageSize=1", "at": [1], "then": "none"})),
        (
            "customer_payment",
            "customer_payment",
            "customer_payment",
            json!({"path": "customer-payment-search?sort=paymentId.ASC", "at": [1], "then": "none"}),
        ),
    ] {
        let sandbox = account(400).await;
        answers(&sandbox, json!([rule]));
        let lake = folder();

        // WHEN it is loaded THEN all are there
        let done = Program::new(&sandbox, lake.path()).run(&["run", resource]).expect(0);
        assert_eq!(rows(&lake, table), sandbox.ids(kind).len(), "{resource}: {}", done.said());
        assert_eq!(counted(&lake, resource)["explained"], 0, "{resource}: {}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_count_that_contradicts_a_finished_walk_is_reported_once_and_is_no_error() {
    // GIVEN a search that counts 30 rows more than it ever shows, where it is asked from its end
    let sandbox = account(300).await;
    let there = sandbox.ids("order").len();
    let rule = json!({"path": "order-search?columns=orderId,createdOn&sort=orderId.DESC", "then": {"claim": {"available": there + 30}}});
    answers(&sandbox, json!([rule]));
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());

    // WHEN it is loaded, and read for some nights THEN that is reported once, and all ends well
    let done = program.run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("the count of the source is not believed any more"), "{}", done.stderr);
    for _ in 0..3 {
        sandbox.age(Duration::from_secs(24 * 3600));
        let done = program.run(&["run", "order"]).expect(0);
        assert!(done.warnings().is_empty(), "{}", done.stderr);
    }
    assert_eq!(counted(&lake, "order")["unreliable"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_hides_records_is_explained_and_no_alarm() {
    // GIVEN a search that counts fewer orders than OPTIONS lists
    let sandbox = account(300).await;
    let there = sandbox.ids("order").len();
    let rule =
        json!({"path": "order-search?columns=orderId,createdOn&sort", "then": {"claim": {"available": there - 20}}});
    answers(&sandbox, json!([rule]));
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());

    // WHEN it is loaded, and read for some nights THEN the difference is explained, and nothing is warned of
    for _ in 0..4 {
        let done = program.run(&["run", "order"]).expect(0);
        assert!(done.warnings().is_empty(), "{}", done.stderr);
        assert_eq!(counted(&lake, "order")["explained"], -20);
        sandbox.age(Duration::from_secs(24 * 3600));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_date_leads_to_is_found_by_its_id() {
    // GIVEN an exported account, and new records that no search by date shows
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    let chosen = ["run", "order", "product", "customer_payment", "supplier_payment"];
    program.run(&chosen).expect(0);
    sandbox.age(Duration::from_secs(24 * 3600));
    for kind in ["order", "product", "customer_payment", "supplier_payment"] {
        sandbox.insert(kind, 9);
    }
    sandbox.age(Duration::from_secs(600));
    no_dates(&sandbox, &["order-search", "product-search", "customer-payment-search", "supplier-payment-search"]);

    // WHEN a night goes by THEN they are there
    program.run(&chosen).expect(0);
    let tables = "order,order_row,product,customer_payment,supplier_payment";
    check_truth(&sandbox, lake.path().to_str().expect("a path"), &["--only", tables]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quiet_night_costs_one_request_more_and_a_setting_spares_it() {
    // GIVEN an exported account
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order", "customer_payment", "goods_in_note"]).expect(0);
    let mut spent = Vec::new();
    for wanted in ["true", "false"] {
        sandbox.age(Duration::from_secs(24 * 3600));
        sandbox.insert("order", 5);
        sandbox.insert("customer_payment", 5);
        sandbox.age(Duration::from_secs(600));
        sandbox.take_log();

        // WHEN a night goes by, with the comparison and without
        let program = program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", wanted);
        program.run(&["run", "order", "customer_payment", "goods_in_note"]).expect(0);
        let log = sandbox.take_log();
        spent.push(
            [
                "order-service/order-search",
                "accounting-service/customer-payment-search",
                "warehouse-service/goods-in-search",
            ]
            .map(|search| log.of(&format!("GET {search}"))),
        );
    }

    // THEN it is one request of each
    assert_eq!(spent[0], spent[1].map(|requests| requests + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_changed_difference_is_located_and_what_is_missing_is_read() {
    // GIVEN an exported account, records of a night that two runs did not find, and so many since that they are not among the newest
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    let chosen = ["run", "order", "goods_out_note", "customer_payment"];
    program.run(&chosen).expect(0);
    let kinds = ["order", "goods_out_note", "customer_payment"];
    let old: Vec<Vec<i64>> = kinds.iter().map(|kind| sandbox.ids(*kind)).collect();
    sandbox.age(Duration::from_secs(24 * 3600));
    for kind in kinds {
        sandbox.insert(kind, 4);
    }
    sandbox.age(Duration::from_secs(5 * 3600));
    no_dates(&sandbox, &["order-search", "customer-payment-search", "goods-out-search"]);
    let blind = program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false");
    blind.run(&chosen).expect(0);
    sandbox.age(Duration::from_secs(24 * 3600));
    blind.run(&chosen).expect(0);
    answers(&sandbox, json!([]));
    sandbox.age(Duration::from_secs(24 * 3600));
    for kind in kinds {
        sandbox.insert(kind, 600);
    }
    sandbox.age(Duration::from_secs(600));

    // WHEN a night goes by THEN they are there
    let done = program.run(&chosen).expect(0);
    for (kind, table) in kinds.into_iter().zip(["order", "goods_out_note", "customer_payment"]) {
        assert_eq!(rows(&lake, table), sandbox.ids(kind).len(), "{table}: {}", done.said());
        assert_eq!(counted(&lake, table)["explained"], 0, "{table}: {}", done.said());
    }
    assert!(done.stderr.contains("4 records found without a date and read"), "{}", done.stderr);

    // WHEN old ones are deleted at the source THEN the next night makes suspects of them
    for (kind, ids) in kinds.into_iter().zip(&old) {
        sandbox.delete(kind, &[ids[10], ids[20]]);
    }
    sandbox.age(Duration::from_secs(24 * 3600));
    let done = program.run(&["-v", "run", "customer_payment", "order", "goods_out_note"]).expect(0);
    for (table, ids) in ["order", "goods_out_note", "customer_payment"].into_iter().zip(&old) {
        assert_eq!(suspects(&lake, table), [ids[10], ids[20]], "{table}: {}", done.said());
        assert_eq!(counted(&lake, table)["explained"], -2, "{table}: {}", done.said());
    }

    // AND the night after that takes them out
    sandbox.age(Duration::from_secs(24 * 3600));
    let done = program.run(&chosen).expect(0);
    for (kind, table) in kinds.into_iter().zip(["order", "goods_out_note", "customer_payment"]) {
        assert_eq!(rows(&lake, table), sandbox.ids(kind).len(), "{table}: {}", done.said());
        assert_eq!(counted(&lake, table)["explained"], 0, "{table}: {}", done.said());
        assert!(suspects(&lake, table).is_empty(), "{table}: {}", done.said());
    }
    let done = program.run(&chosen).expect(0);
    assert!(done.warnings().is_empty(), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_a_count_and_a_listing_lack_and_a_get_returns_is_hidden_and_no_alarm() {
    // GIVEN an exported account that stops to list two orders, and returns them
    let sandbox = account(300).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let ids = sandbox.ids("order");
    let (there, hidden) = (ids.len(), [ids[10], ids[20]]);
    sandbox.change(|settings| settings.never_listed = hidden.to_vec());

    // WHEN nights go by THEN the orders stay, and from the third night on nothing is reported
    let mut said = Vec::new();
    for _ in 0..10 {
        sandbox.age(Duration::from_secs(24 * 3600));
        let done = program.run(&["run", "order"]).expect(0);
        assert_eq!(rows(&lake, "order"), there, "{}", done.said());
        said.push(done.warnings().join("\n"));
    }
    assert!(said[0].contains("2 stored records no longer shown"), "{said:?}");
    assert!(said[2..].iter().all(String::is_empty), "{said:?}");
    let state = counted(&lake, "order");
    assert_eq!((&state["at_source"], &state["explained"]), (&json!(there - 2), &json!(-2)), "{state}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_records_than_may_go_that_a_listing_lacks_are_named_and_stay() {
    // GIVEN an exported account of which a tenth and more is deleted
    let sandbox = account(300).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let ids = sandbox.ids("order");
    sandbox.delete("order", &ids[..ids.len() / 8]);

    // WHEN two nights go by THEN they are named with the command that looks at each, and stay
    for night in 0..2 {
        sandbox.age(Duration::from_secs(24 * 3600));
        let done = program.run(&["run", "order"]).expect(0);
        assert_eq!(rows(&lake, "order"), ids.len(), "{}", done.said());
        assert!(suspects(&lake, "order").is_empty(), "{}", done.said());
        let named = done.stderr.contains("`pearlift reconcile order` checks each");
        assert_eq!(named, night == 0, "{}", done.stderr);
    }
    // Ids that were never used part the ranges.
    let deleted = ids[..ids.len() / 8].chunk_by(|one, next| one + 1 == *next);
    let ranges: Vec<[i64; 2]> = deleted.map(|range| [range[0], range[range.len() - 1]]).collect();
    assert_eq!(counted(&lake, "order")["vanished"], json!(ranges));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_that_cancel_out_in_a_count_are_found_within_a_week() {
    // GIVEN orders of a night that two runs did not find, as many deleted since, and more new ones than a page shows
    let sandbox = account(900).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let old = sandbox.ids("order");
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.insert("order", 2);
    let missed: Vec<i64> = sandbox.ids("order").into_iter().filter(|id| !old.contains(id)).collect();
    sandbox.age(Duration::from_secs(5 * 3600));
    no_dates(&sandbox, &["order-search"]);
    let blind = program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false");
    blind.run(&["run", "order"]).expect(0);
    sandbox.age(Duration::from_secs(24 * 3600));
    blind.run(&["run", "order"]).expect(0);
    answers(&sandbox, json!([]));
    sandbox.delete("order", &[old[10], old[20]]);
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.insert("order", 600);
    // New orders have no invoice yet, and a column that is empty throughout would be noticed.
    sandbox.edit("order", &old[100..140]);
    sandbox.age(Duration::from_secs(600));

    // WHEN a night goes by THEN the count has no meaning
    let done = program.run(&["run", "order"]).expect(0);
    assert!(done.warnings().is_empty(), "{}", done.stderr);
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let of_missed = format!("SELECT count(*) FROM read_parquet('{glob}') WHERE id IN ({}, {})", missed[0], missed[1]);
    assert_eq!(query(&of_missed), ["0"]);

    // WHEN a week has gone by THEN the sets are compared
    sandbox.age(Duration::from_secs(6 * 24 * 3600));
    let done = program.run(&["run", "order"]).expect(0);
    assert_eq!(query(&of_missed), ["2"], "{}", done.said());
    assert_eq!(suspects(&lake, "order"), [old[10], old[20]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn status_summary_and_report_state_held_at_the_source_and_explained() {
    // GIVEN a search that counts 20 orders fewer than OPTIONS lists
    let sandbox = account(300).await;
    let there = sandbox.ids("order").len();
    let rule =
        json!({"path": "order-search?columns=orderId,createdOn&sort", "then": {"claim": {"available": there - 20}}});
    answers(&sandbox, json!([rule]));
    let lake = folder();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "order");

    // WHEN they are loaded THEN all three state it
    let words = format!("{there} held · {} at the source · -20 explained", there - 20);
    let done = program.run(&["--log-format", "json", "run"]).expect(0);
    let report: Value = serde_json::from_str(done.stderr.lines().last().expect("a report")).expect("it is JSON");
    let count = &report["resources"][0]["count"];
    assert_eq!((&count["held"], &count["explained"]), (&json!(there), &json!(-20)), "{report}");
    let status = program.run(&["status"]).expect(0).stdout;
    assert!(status.contains(&words), "{status}");
    let status: Value = serde_json::from_str(&program.run(&["status", "--json"]).expect(0).stdout).expect("it is JSON");
    assert_eq!(&status["resources"][0]["count"], count);
    let again = program.run(&["run"]).expect(0);
    assert!(again.stderr.contains(&words), "{}", again.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_night_after_an_upgrade_records_the_difference_alone() {
    // GIVEN a table of half the orders, made without a comparison
    let sandbox = account(300).await;
    answers(&sandbox, json!([{"method": "OPTIONS", "path": "order-service/order", "at": [1], "then": "half"}]));
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    program.clone().with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false").run(&["run", "order"]).expect(0);
    let before = rows(&lake, "order");
    answers(&sandbox, json!([]));
    // All ids of so small an account would be on the page of the newest; the ids of the page are read.
    answers(&sandbox, json!([{"path": "sort=orderId.DESC", "then": {"keep": 1}}]));

    // WHEN a night goes by THEN the difference is recorded, and nothing is asked again
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.take_log();
    program.run(&["run", "order"]).expect(0);
    let log = sandbox.take_log();
    let state = counted(&lake, "order");
    let missing = sandbox.ids("order").len() - before;
    assert!(
        state["explained"].as_u64().expect("a number").abs_diff(u64::try_from(missing).expect("it fits")) <= 9,
        "{state}"
    );
    assert_eq!(log.of("OPTIONS order-service/order"), 0, "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_count_that_stands_still_for_three_nights_is_reported_once() {
    // GIVEN a search that always counts as many
    let sandbox = account(300).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());
    let there = sandbox.ids("customer_payment").len();
    answers(&sandbox, json!([{"path": "customer-payment-search?columns", "then": {"claim": {"available": there}}}]));
    program.run(&["run", "customer_payment"]).expect(0);

    // WHEN nights go by in which records come THEN from the third on it is not compared, which is reported once
    let mut said = Vec::new();
    for _ in 0..6 {
        sandbox.age(Duration::from_secs(24 * 3600));
        sandbox.insert("customer_payment", 3);
        sandbox.age(Duration::from_secs(600));
        let done = program.run(&["run", "customer_payment"]).expect(0);
        said.push(done.stderr.matches("it stays the same for three nights").count());
    }
    assert_eq!(said, [0, 0, 1, 0, 0, 0]);
    assert_eq!(rows(&lake, "customer_payment"), sandbox.ids("customer_payment").len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_cannot_be_sorted_gives_the_count_alone() {
    // GIVEN payments in one page, of a search that cannot be sorted
    let sandbox = account(300).await;
    sandbox.change(|settings| settings.unsorted = vec!["customer-payment-search".to_owned()]);
    let lake = folder();
    let program = Program::new(&sandbox, lake.path());

    // WHEN they are loaded, and a night goes by THEN both are compared
    program.run(&["run", "customer_payment"]).expect(0);
    sandbox.age(Duration::from_secs(24 * 3600));
    for _ in 0..3 {
        sandbox.insert("customer_payment", 200);
        sandbox.age(Duration::from_secs(60));
    }
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "customer_payment"]).expect(0);
    let (state, there) = (counted(&lake, "customer_payment"), sandbox.ids("customer_payment").len());
    assert_eq!((&state["at_source"], &state["held"]), (&json!(there), &json!(there)), "{state}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_looked_for_longer_than_a_night_goes_on_the_next() {
    // GIVEN payments of which some old ones are deleted, and three requests a night to find them
    let sandbox = account(2_000).await;
    let lake = folder();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_LOCATE_REQUESTS", "3");
    program.run(&["run", "customer_payment"]).expect(0);
    let ids = sandbox.ids("customer_payment");
    sandbox.delete("customer_payment", &[ids[100], ids[200]]);

    // WHEN nights go by THEN each sends three of them at most, and in the end they are named
    let mut nights = 0;
    while suspects(&lake, "customer_payment") != [ids[100], ids[200]] {
        sandbox.age(Duration::from_secs(24 * 3600));
        sandbox.take_log();
        program.run(&["run", "customer_payment"]).expect(0);
        // The night's search and count, the count again, and three.
        assert!(sandbox.take_log().of("GET accounting-service/customer-payment-search") <= 6);
        nights += 1;
        assert!(nights < 30, "{}", counted(&lake, "customer_payment"));
    }
    assert!(nights > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn marked_rows_and_what_is_older_than_the_first_day_do_not_count_as_held() {
    // GIVEN orders from a day on, of which deleted ones stay in the tables, marked
    let sandbox = account(600).await;
    let lake = folder();
    let day = (this_morning() - jiff::SignedDuration::from_hours(300 * 24)).to_string()[..10].to_owned();
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_RESOURCE_ORDER_START", &day)
        .with("PEARLIFT_RESOURCE_ORDER_DELETES", "mark");
    answers(&sandbox, json!([{"method": "OPTIONS", "path": "order-service/order", "at": [1], "then": "half"}]));
    program.run(&["run", "order"]).expect(0);

    // THEN both sides count from that day on, and nothing of it is missing
    let state = counted(&lake, "order");
    assert_eq!(state["explained"], 0, "{state}");
    assert!(state["held"].as_u64().expect("a number") < 500, "{state}");

    // WHEN some are deleted, and found deleted THEN their rows stay and are not held
    let ids = sandbox.ids("order");
    sandbox.delete("order", &ids[ids.len() - 9..ids.len() - 4]);
    sandbox.age(Duration::from_secs(24 * 3600));
    let before = rows(&lake, "order");
    let done = program.clone().with("PEARLIFT_RESOURCE_ORDER_RECONCILE_EVERY", "1ms").run(&["run", "order"]).expect(0);
    assert_eq!(rows(&lake, "order"), before, "{}", done.said());
    let state = counted(&lake, "order");
    assert_eq!((&state["explained"], &state["at_source"]), (&json!(0), &state["held"]), "{}", done.said());
}
