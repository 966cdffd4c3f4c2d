//! Keeping tables true beside the nightly run: deleted records found, parts read again.

use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};

use crate::support::{Program, account, check_truth, files, query, start, this_morning, truth};

fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

pub async fn loaded(orders: u64) -> (Sandbox, tempfile::TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    sandbox.take_log();
    (sandbox, lake, program)
}

pub fn one_in(sandbox: &Sandbox, kind: &str, step: usize) -> Vec<i64> {
    sandbox.ids(kind).into_iter().step_by(step).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleted_records_leave_every_table_and_are_kept_apart() {
    // GIVEN an exported account with some records deleted without a trace
    let (sandbox, lake, program) = loaded(700).await;
    for kind in ["order", "product", "contact", "goods_out_note", "journal"] {
        let gone: Vec<i64> = one_in(&sandbox, kind, 40);
        sandbox.delete(kind, &gone);
    }
    sandbox.insert("order", 3);
    let gone = 700 / 40 + 1;

    // WHEN the ids are compared
    let done = program.run(&["reconcile"]).expect(0);

    // THEN the tables equal the truth: deleted records are removed, missing ones are there
    let owners = ["order", "product", "contact", "goods_out_note", "journal"];
    for owner in owners {
        assert!(done.stderr.contains(&format!("{owner}: ")), "{}", done.stderr);
    }
    program.run(&["run", "--full", "product_price", "product_availability", "product_supplier"]).expect(0);
    check_truth(&sandbox, text(&lake), &[]);
    // AND removed rows are kept, with the time
    let glob = format!("{}/_pearlift/deleted/order/*.parquet", lake.path().display());
    let kept = query(&format!("SELECT count(*), count(DISTINCT id), count(_deleted_at) FROM read_parquet('{glob}')"));
    assert_eq!(kept, [format!("{gone}|{gone}|{gone}")]);

    // WHEN they are compared again
    sandbox.take_log();
    program.run(&["reconcile", "order"]).expect(0);

    // THEN that takes one request
    assert_eq!(sandbox.take_log().total(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn comparing_takes_one_request_and_two_for_every_two_hundred_that_are_gone() {
    // GIVEN 20,000 orders of which 150 are deleted
    let sandbox = account(20_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_DELETES", "drop");
    program.run(&["run", "order"]).expect(0);
    let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(133).take(150).collect();
    sandbox.delete("order", &gone);
    sandbox.take_log();

    // WHEN the ids are compared
    program.run(&["reconcile", "order"]).expect(0);

    // THEN it took a listing, a GET with a witness and a listing of the absent ids: exactly those are removed, kept
    // nowhere
    assert_eq!(sandbox.take_log().total(), 3);
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let left = query(&format!("SELECT count(*) FROM read_parquet('{glob}')"));
    assert_eq!(left, [format!("{}", 20_000 - 150)]);
    assert!(!lake.path().join("_pearlift/deleted/order").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn too_many_deletions_at_once_are_refused_until_a_person_insists() {
    // GIVEN an account that has lost an eighth of its orders
    let (sandbox, lake, program) = loaded(1_200).await;
    let gone = one_in(&sandbox, "order", 8);
    sandbox.delete("order", &gone);
    let count = format!("SELECT count(*) FROM read_parquet('{}/order/**/*.parquet')", lake.path().display());
    let before = query(&count);

    // WHEN the ids are compared
    let done = program.run(&["reconcile", "order"]).expect(3);

    // THEN it is refused, the way out is named, and nothing changed
    assert!(done.stderr.contains("--force"), "{}", done.stderr);
    assert_eq!(query(&count), before);

    // WHEN a person insists
    program.run(&["reconcile", "--force", "order"]).expect(0);

    // THEN they are gone
    assert_eq!(query(&count), [(1_200 - gone.len()).to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_inventory_that_lacks_living_records_deletes_none_and_says_so() {
    // GIVEN a source that omits five of a hundred orders from its list of ids, all of them there
    let sandbox = account(4_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_COMMIT_EVERY", "10m");
    program.run(&["run", "order"]).expect(0);
    sandbox.change(|settings| settings.options_hides = 5);
    sandbox.take_log();

    // WHEN the ids are compared
    let done = program.run(&["reconcile", "order"]).expect(0);

    // THEN each that was not listed was asked for, its cost was forecast, and none is deleted
    let asked = sandbox.take_log();
    let sets = asked.of("GET order-service/order");
    // A witness in each set.
    let hidden = asked.ids["order-service/order"] - sets;
    assert!((120..=280).contains(&hidden), "{asked:?}");
    assert_eq!((sets, asked.total()), (hidden.div_ceil(199), 1 + hidden.div_ceil(199)));
    let noun = if sets == 1 { "request" } else { "requests" };
    assert!(
        done.stderr.contains(&format!("{hidden} held and not listed, 0 listed and not held; {sets} {noun} to make")),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains(&format!("{hidden} not listed, 0 of them gone")), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &["--only", "order,order_row"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_range_of_creation_dates_is_read_again_with_what_has_gone_from_it() {
    // GIVEN orders changed silently, and some deleted
    let (sandbox, lake, program) = loaded(600).await;
    let all = sandbox.ids("order");
    sandbox.delete("order", &all[100..110]);

    // WHEN all of the past is read again by the date of creation
    let done = program.run(&["backfill", "order", "--from", "2000-01-01", "--to", "2100-01-01"]).expect(0);

    // THEN the deleted records are removed, and the others stay
    assert!(done.stderr.contains("10 removed from the tables"), "{}", done.stderr);
    let notes = "drop_ship_note,drop_ship_note_row,drop_ship_note_event";
    check_truth(&sandbox, text(&lake), &["--allow-extra", notes]);

    // AND a run removes their drop-ship notes, which are requested again
    program.run(&["run", "drop_ship_note"]).expect(0);
    check_truth(&sandbox, text(&lake), &[]);

    // WHEN it is done again
    let again = program.run(&["backfill", "order", "--from", "2000-01-01", "--to", "2100-01-01"]).expect(0);

    // THEN nothing changes
    assert!(again.stderr.contains("0 removed from the tables"), "{}", again.stderr);
    assert!(
        again.stderr.contains("order: 0 ") || again.stderr.contains("0 changed, 0 files written"),
        "{}",
        again.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_ids_are_read_again_and_nothing_else() {
    // GIVEN products with prices that moved without a date
    let (sandbox, lake, program) = loaded(400).await;
    let moved = one_in(&sandbox, "product", 5);
    sandbox.touch("product", &moved);
    sandbox.age(Duration::from_secs(600));
    let ids = moved.iter().map(i64::to_string).collect::<Vec<_>>().join(",");

    // WHEN their prices are read again by id
    program.run(&["backfill", "product_price", "--ids", &ids]).expect(0);

    // THEN one request brought them, and the tables equal the truth
    assert_eq!(sandbox.take_log().total(), 1);
    check_truth(&sandbox, text(&lake), &["--only", "product_price,product_price_list"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_selected_is_refused_with_the_way_that_works() {
    let (_sandbox, _lake, program) = loaded(50).await;
    for (arguments, names) in [
        (&["backfill", "brand", "--ids", "1"][..], "run --full brand"),
        (&["backfill", "product_price", "--from", "2026-01-01", "--to", "2026-02-01"], "--ids"),
        (&["backfill", "customer_payment", "--ids", "1"], "--from"),
        (&["backfill", "order", "--ids", "x"], "--ids 123"),
        (&["backfill", "order", "--from", "2026-02-01", "--to", "2026-01-01"], "--from 2026"),
    ] {
        let done = program.run(arguments).expect(2);
        assert!(done.stderr.contains(names), "{arguments:?}: {}", done.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn open_notes_that_move_without_a_date_or_vanish_are_right_after_one_night() {
    // GIVEN goods-out notes, of which some are open: packed, shipped with a date of the past, or deleted since
    let (sandbox, lake, program) = loaded(900).await;
    let glob = format!("{}/goods_out_note/**/*.parquet", lake.path().display());
    let open: Vec<i64> = query(&format!("SELECT id FROM read_parquet('{glob}') WHERE NOT shipped ORDER BY id"))
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(open.len() > 30, "{}", open.len());
    sandbox.touch("goods_out_note", &open[..25]);
    sandbox.touch("goods_out_note", &open[..9]);
    sandbox.delete("goods_out_note", &open[26..29]);
    sandbox.age(Duration::from_secs(24 * 3600));

    // WHEN one night goes by
    let tables = "goods_out_note,goods_out_note_row,goods_out_note_transfer_row,goods_out_note_event";
    program.run(&["run", "goods_out_note"]).expect(0);

    // THEN the notes equal the truth
    check_truth(&sandbox, text(&lake), &["--only", tables]);

    // AND a quiet night asks for no documents
    sandbox.take_log();
    program.run(&["run", "goods_out_note"]).expect(0);
    let log = sandbox.take_log();
    assert_eq!(log.documents(), 0, "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_order_that_a_payment_changed_without_a_date_is_right_after_one_night() {
    // GIVEN an exported account, then payments and postings of orders with an unchanged date of their own
    let (sandbox, lake, program) = loaded(700).await;
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("customer_payment", 40);
    sandbox.insert("journal", 20);
    let paid: std::collections::BTreeSet<i64> =
        named_orders(&sandbox, "customer_payment", 40).await.into_iter().collect();
    assert!(paid.len() > 20, "{paid:?}");
    sandbox.touch("order", &paid.iter().copied().collect::<Vec<i64>>());
    sandbox.age(Duration::from_secs(600));
    sandbox.take_log();

    // WHEN one night goes by
    let done = program.run(&["run"]).expect(0);

    // THEN the orders equal the truth, and only those named were read
    check_truth(&sandbox, text(&lake), &["--only", "order,order_row,order_party,order_invoice,order_custom_field"]);
    let asked = sandbox.take_log().ids["order-service/order"];
    assert!(asked < 90, "{asked}: {}", done.stderr);

    // AND a quiet night reads none
    program.run(&["run"]).expect(0);
    assert!(!sandbox.take_log().ids.contains_key("order-service/order"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_handed_on_is_read_by_the_next_run_when_this_one_could_not() {
    // GIVEN payments that name orders, and a run that may not read orders
    let (sandbox, lake, program) = loaded(400).await;
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("customer_payment", 30);
    let paid = named_orders(&sandbox, "customer_payment", 30).await;
    sandbox.touch("order", &paid);
    sandbox.age(Duration::from_secs(600));

    // WHEN payments alone are brought up to date, and a day later orders alone
    program.run(&["run", "customer_payment"]).expect(0);
    program.run(&["run", "order"]).expect(0);

    // THEN the orders equal the truth
    check_truth(&sandbox, text(&lake), &["--only", "order,order_row,order_party,order_invoice,order_custom_field"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_that_lands_while_a_killed_load_lies_is_in_its_order() {
    pay_while_a_load_lies(&["run", "order", "customer_payment"], 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_of_an_earlier_month_that_is_first_read_when_a_killed_load_goes_on_is_in_its_order() {
    pay_while_a_load_lies(&["run", "order"], 62).await;
}

/// A first load, killed; payments arrive, and it is resumed after so many days.
async fn pay_while_a_load_lies(first: &[&str], days: u64) {
    // GIVEN a first load that commits set by set, killed when some orders are fetched
    let lies = Duration::from_secs(days * 86_400);
    let settings =
        SandboxSettings { limit: 0, latency: 60, now: Some(this_morning() - lies), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1_600, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms");
    let mut load = program.start(first);
    let begun = std::time::Instant::now();
    while files(&lake.path().join("order")).len() < 20 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it commits nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.kill().unwrap();
    load.wait().unwrap();
    let home = query(&format!("SELECT DISTINCT id FROM read_parquet('{}/order/**/*.parquet')", text(&lake)));
    assert!(home.len() < 1_600, "it was killed in the midst");

    // WHEN payments land for fetched orders, which show no date of it, and it resumes
    sandbox.insert("customer_payment", 60);
    let paid = named_orders(&sandbox, "customer_payment", 60).await;
    assert!(paid.iter().any(|id| home.contains(&id.to_string())), "{paid:?}");
    sandbox.touch("order", &paid);
    sandbox.age(lies + Duration::from_secs(600));
    sandbox.change(|settings| settings.latency = 0);
    let done = program.run(&["run", "order", "customer_payment"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);

    // THEN after a quiet run orders and payments equal the truth
    program.run(&["run", "order", "customer_payment"]).expect(0);
    let tables = "customer_payment,order,order_row,order_party,order_invoice,order_custom_field";
    check_truth(&sandbox, text(&lake), &["--only", tables]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_price_that_changed_after_the_sources_clock_was_set_back_is_read_though_our_copy_seems_younger() {
    // GIVEN prices that were read just now
    let sandbox = account(100).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "product", "product_price"]).expect(0);
    sandbox.age(Duration::from_secs(60));
    program.run(&["run", "--full", "product_price"]).expect(0);

    // WHEN the source's clock is set back by ten minutes, and products change: they are dated before our copy
    set_back(&sandbox, 600).await;
    sandbox.edit("product", &one_in(&sandbox, "product", 3));
    sandbox.age(Duration::from_secs(120));
    program.run(&["run", "product", "product_price"]).expect(0);

    // THEN they are read all the same
    check_truth(&sandbox, text(&lake), &["--only", "product,product_price,product_price_list"]);
}

/// Sets the source's clock back.
async fn set_back(sandbox: &Sandbox, seconds: u64) {
    let url = format!("{}/age?seconds=-{seconds}", sandbox.control());
    let client = crate::support::client();
    assert!(client.post(url).send().await.unwrap().status().is_success());
}

/// The orders that the newest records of a kind name.
pub async fn named_orders(sandbox: &Sandbox, kind: &str, newest: usize) -> Vec<i64> {
    let text = truth(sandbox, kind).await;
    let lines = text.lines().rev().take(newest).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let order = |record: serde_json::Value| {
        record["orderId"].as_i64().or(record["document"]["orderId"].as_i64()).filter(|id| *id > 0)
    };
    lines.filter_map(order).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_nightly_run_looks_for_deletions_when_it_is_due() {
    // GIVEN deleted orders, which no count shows, and a setting of a cadence
    let (sandbox, lake, program) = loaded(500).await;
    let program = program.with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false");
    sandbox.delete("order", &one_in(&sandbox, "order", 50));
    let tables = "order,order_row,order_party,order_invoice,order_custom_field";

    // WHEN it is not due yet THEN it does not look
    let done = program.clone().with("PEARLIFT_RESOURCE_ORDER_RECONCILE_EVERY", "7d").run(&["run", "order"]).expect(0);
    assert_eq!(sandbox.take_log().of("OPTIONS"), 0, "{}", done.stderr);

    // WHEN it is due THEN the tables equal the truth
    let done = program.with("PEARLIFT_RESOURCE_ORDER_RECONCILE_EVERY", "1ms").run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("10 of them gone"), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &["--only", tables]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn snapshots_of_old_days_go_and_those_to_be_kept_stay() {
    // GIVEN the snapshots of three days
    let (sandbox, lake, program) = loaded(100).await;
    let program = program.with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
    for _ in 0..2 {
        sandbox.age(Duration::from_secs(24 * 3600));
        program.run(&["run", "product_availability"]).expect(0);
    }
    let days = format!(
        "SELECT count(DISTINCT snapshot_date) FROM read_parquet('{}/product_availability/**/*.parquet', hive_partitioning = true)",
        lake.path().display()
    );
    assert_eq!(query(&days), ["3"]);

    // WHEN a fourth is taken, and two are to be kept
    sandbox.age(Duration::from_secs(24 * 3600));
    program.with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_KEEP", "2d").run(&["run", "product_availability"]).expect(0);

    // THEN there are two
    assert_eq!(query(&days), ["2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resource_loaded_later_hands_on_what_its_newest_rows_name() {
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    // orders are loaded first
    program.run(&["run", "order"]).expect(0);
    sandbox.age(Duration::from_secs(5 * 3600));
    // then payments change some without a date
    sandbox.insert("customer_payment", 30);
    let paid = named_orders(&sandbox, "customer_payment", 30).await;
    sandbox.touch("order", &paid);
    sandbox.age(Duration::from_secs(600));
    // the first load of payments
    program.run(&["run"]).expect(0);
    program.run(&["run"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", "order,order_row,order_party,order_invoice,order_custom_field"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_product_edited_while_it_is_searched_has_its_new_price_the_next_night() {
    let (sandbox, lake, program) = loaded(100).await;
    let new = sandbox.insert("product", 3);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "product_price"]).expect(0);
    sandbox.age(Duration::from_secs(600));
    sandbox.take_log();
    sandbox.change(|settings| settings.latency = 3000);
    let mut child = program.start(&["run", "product_price"]);
    let mut seen = 0;
    while seen < 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen += sandbox.take_log().of("GET product-service/product-search");
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    sandbox.edit("product", &new);
    assert!(child.wait().unwrap().success());
    sandbox.change(|settings| settings.latency = 0);
    for _ in 0..3 {
        sandbox.age(Duration::from_secs(3600));
        program.run(&["run", "product_price"]).expect(0);
    }
    check_truth(&sandbox, text(&lake), &["--only", "product_price,product_price_list"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whole_reads_do_not_put_off_looking_for_deletions() {
    use pearlift::sandbox::{SandboxSettings, Size};
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(10);
    let sandbox = crate::support::start(
        SandboxSettings { limit: 0, now: Some(now), ..SandboxSettings::default() },
        Size { orders: 300, ..Size::default() },
    )
    .await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let program = program.with("PEARLIFT_RESOURCE_ORDER_RECONCILE_EVERY", "4h");
    sandbox.delete("order", &one_in(&sandbox, "order", 50));
    sandbox.age(Duration::from_secs(9 * 3600));
    let program = program.with("PEARLIFT_RESOURCE_ORDER_RELOAD_EVERY", "4h");
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", "order,order_row,order_party,order_invoice,order_custom_field"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resource_not_loaded_yet_does_not_stop_the_comparison_of_others() {
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    sandbox.delete("order", &one_in(&sandbox, "order", 50));
    program.run(&["reconcile"]);
    check_truth(&sandbox, text(&lake), &["--only", "order"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cadence_that_makes_no_sense_stops_its_resource_alone() {
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_BRAND_RECONCILE_EVERY", "1d");
    program.run(&["run"]);
    check_truth(&sandbox, text(&lake), &["--only", "order"]);
}
