//! Received goods and the ledger of stock: the answers of the simulated account, and their tables.

use std::collections::BTreeSet;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::Value;

use crate::repair::{loaded, named_orders, one_in};
use crate::support::{Program, account, check_truth, query, start, this_morning, truth};

const NOTES: &str = "goods_in_note,goods_in_note_movement";

fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// The table function of a table in a query.
fn table(lake: &tempfile::TempDir, name: &str) -> String {
    format!("read_parquet('{}/{name}/**/*.parquet', hive_partitioning = true)", text(lake))
}

/// The answer of the account for a path below it.
async fn ask(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    let client = crate::support::client();
    let request = client
        .get(format!("{}/{path}", sandbox.url()))
        .header("brightpearl-app-ref", "acme_export")
        .header("brightpearl-staff-token", "sandbox-staff-token");
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// A column of a search's rows.
async fn column(sandbox: &Sandbox, search: &str, place: usize) -> Vec<Value> {
    let (status, answer) = ask(sandbox, search).await;
    assert_eq!(status, 200, "{answer}");
    answer["response"]["results"].as_array().unwrap().iter().map(|row| row[place].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_search_of_goods_in_notes_repeats_ids_in_order_and_pages_like_any_other() {
    // GIVEN an account with 30 goods-in notes
    let sandbox = account(600).await;
    let search = "warehouse-service/goods-in-search";

    // WHEN the search is read whole, with no order asked for
    let ids = column(&sandbox, search, 1).await;

    // THEN every note is there, in order, and some more than once
    let numbers: Vec<i64> = ids.iter().map(|id| id.as_i64().unwrap()).collect();
    assert!(numbers.is_sorted());
    let once: BTreeSet<i64> = numbers.iter().copied().collect();
    assert_eq!(once, sandbox.ids("goods_in_note").into_iter().collect());
    assert!(numbers.len() > 50, "{}", numbers.len());
    let orders = column(&sandbox, &format!("{search}?sort=purchaseOrderId.ASC"), 0).await;
    let bought: Vec<i64> = orders.iter().filter_map(Value::as_i64).collect();
    assert!(bought.is_sorted() && bought.len() > 40, "{bought:?}");

    // AND pages join under any filter
    for filter in ["", "&createdDate=2020-01-01T00:00:00Z/", "&receivedDate=2020-01-01T00:00:00Z/", "&batchId=4-20"] {
        let whole = column(&sandbox, &format!("{search}?pageSize=500{filter}"), 3).await;
        let mut joined = Vec::new();
        for first in (1..=whole.len()).step_by(7) {
            joined.extend(column(&sandbox, &format!("{search}?pageSize=7&firstResult={first}{filter}"), 3).await);
        }
        assert_eq!(joined, whole, "{filter}");
        let mut newest = column(&sandbox, &format!("{search}?sort=batchId.DESC{filter}"), 3).await;
        newest.reverse();
        assert_eq!(newest, whole, "{filter}");
    }

    // AND it is not at the place of the search of goods-out notes
    let (status, answer) = ask(&sandbox, "warehouse-service/goods-note/goods-in-search").await;
    assert_eq!(status, 404, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_note_whose_day_of_receipt_is_corrected_moves_to_its_month() {
    // GIVEN exported notes, of which some have another day of receipt since
    let sandbox = account(600).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run", "goods_in_note"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", NOTES]);
    let moved: Vec<i64> = sandbox.ids("goods_in_note").into_iter().step_by(4).collect();
    let listed = moved.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let months = format!(
        "SELECT id, received_month FROM {} WHERE received_on IS NOT NULL AND id IN ({listed})",
        table(&lake, "goods_in_note")
    );
    let before: BTreeSet<String> = query(&months).into_iter().collect();
    sandbox.edit("goods_in_note", &moved);
    sandbox.age(Duration::from_secs(600));

    // WHEN they are read again
    program.run(&["backfill", "goods_in_note", "--ids", &listed]).expect(0);

    // THEN each is in its new month, once, with its lines
    check_truth(&sandbox, text(&lake), &["--only", NOTES]);
    let after: BTreeSet<String> = query(&months).into_iter().collect();
    assert!(before.len() > 5 && after.is_disjoint(&before), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_follows_its_date_and_agrees_with_the_notes_that_it_names() {
    // GIVEN exported notes and movements
    let sandbox = account(600).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let resources = ["run", "goods_in_note", "goods_out_note", "goods_movement"];
    program.run(&resources).expect(0);

    // WHEN movements and notes come, movements are changed, and a night goes by
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("goods_movement", 30);
    sandbox.insert("goods_in_note", 5);
    let changed: Vec<i64> = sandbox.ids("goods_movement").into_iter().step_by(9).collect();
    sandbox.edit("goods_movement", &changed);
    sandbox.age(Duration::from_secs(600));
    program.run(&resources).expect(0);

    // THEN the tables equal the truth, and a movement has the order of its note
    check_truth(&sandbox, text(&lake), &["--only", &format!("{NOTES},goods_movement")]);
    let (movements, notes_in, notes_out) =
        (table(&lake, "goods_movement"), table(&lake, "goods_in_note"), table(&lake, "goods_out_note"));
    let agree = format!(
        "SELECT m.goods_note_type_code, count(*) > 60, bool_and(coalesce(i.order_id, o.order_id) = m.order_id),
            bool_and((m.purchase_order_row_id IS NOT NULL) = (m.goods_note_type_code = 'GI')),
            bool_and((m.sales_order_row_id IS NOT NULL) = (m.goods_note_type_code = 'GO')),
            bool_and((m.quantity > 0) = (m.goods_note_type_code = 'GI'))
         FROM {movements} m LEFT JOIN {notes_in} i ON m.purchase_order_row_id IS NOT NULL AND i.id = m.goods_note_id
         LEFT JOIN {notes_out} o ON m.sales_order_row_id IS NOT NULL AND o.id = m.goods_note_id
         WHERE (i.id IS NOT NULL OR o.id IS NOT NULL) GROUP BY 1 ORDER BY 1"
    );
    assert_eq!(query(&agree), ["GI|True|True|True|True|True", "GO|True|True|True|True|True"]);
    let kinds = format!("SELECT DISTINCT goods_note_type_code FROM {movements} ORDER BY 1");
    assert_eq!(query(&kinds), ["GI", "GO", "IT", "SC"]);

    // AND another night asks for no document of a goods-in note, though the new ones are listed again
    sandbox.take_log();
    program.run(&["run", "goods_in_note", "goods_movement"]).expect(0);
    let log = sandbox.take_log();
    // A page for each date, and one of the greatest ids.
    assert_eq!(log.of("GET warehouse-service/goods-in-search"), 3, "{log:?}");
    assert_eq!(log.documents(), 0, "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn movements_that_bear_no_date_yet_are_found_by_their_ids() {
    // GIVEN an account of movements that have a date once they are changed, exported
    let settings =
        SandboxSettings { limit: 0, now: Some(this_morning()), dated_movements: false, ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 600, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_PAGE_SIZE", "50");
    program.run(&["run", "goods_movement"]).expect(0);
    let only = ["--only", "goods_movement"];
    check_truth(&sandbox, text(&lake), &only);

    // WHEN more come than a page holds, some others are changed, and a night goes by
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("goods_movement", 130);
    sandbox.edit("goods_movement", &one_in(&sandbox, "goods_movement", 90));
    sandbox.age(Duration::from_secs(600));
    sandbox.take_log();
    program.run(&["run", "goods_movement"]).expect(0);

    // THEN all are there, with a page for the changed ones and three that end among those that were held
    check_truth(&sandbox, text(&lake), &only);
    assert_eq!(sandbox.take_log().total(), 4);

    // WHEN nothing is new THEN a page of each shows it
    program.run(&["run", "goods_movement"]).expect(0);
    assert_eq!(sandbox.take_log().total(), 2);

    // WHEN the search cannot be sorted THEN that is reported, and dated movements are found
    sandbox.change(|settings| settings.unsorted = vec!["goods-movement-search".to_owned()]);
    sandbox.edit("goods_movement", &one_in(&sandbox, "goods_movement", 80));
    sandbox.age(Duration::from_secs(600));
    let done = program.run(&["run", "goods_movement"]).expect(0);
    assert!(done.stderr.contains("a row whose date is null is not found"), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &only);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_of_the_simulated_account_close_as_they_age() {
    // GIVEN three years of orders, exported
    let sandbox = account(2_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let orders = table(&lake, "order");

    // THEN nearly all of the past are closed, and about half of the last month are not
    let open = |when: &str| -> (f64, Vec<i64>) {
        let ids = query(&format!("SELECT id FROM {orders} WHERE {when} AND closed_on IS NULL ORDER BY id"));
        let all: f64 = query(&format!("SELECT count(*) FROM {orders} WHERE {when}"))[0].parse().unwrap();
        let share = f64::from(u32::try_from(ids.len()).unwrap()) / all;
        (share, ids.iter().map(|id| id.parse().unwrap()).collect())
    };
    let month_ago = format!("TIMESTAMPTZ '{}' - INTERVAL 31 DAY", sandbox.now());
    let (old, _) = open(&format!("created_on < {month_ago}"));
    let (young, ids) = open(&format!("created_on > {month_ago} + INTERVAL 1 DAY"));
    assert!(old > 0.0 && old < 0.02, "{old}");
    assert!(young > 0.3 && young < 0.7, "{young}");
    let states = format!(
        "SELECT count(DISTINCT stock_status_code), count(DISTINCT allocation_status_code),
            count(DISTINCT shipping_status_code) FROM {orders}"
    );
    assert_eq!(query(&states), ["12|4|4"]);

    // WHEN all orders change without a date and are read again
    let state = format!("SELECT id, stock_status_code, allocation_status_code FROM {orders} ORDER BY id");
    let before = query(&state);
    sandbox.touch("order", &sandbox.ids("order"));
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "--full", "order"]).expect(0);

    // THEN the goods of the open sales alone have moved
    let (_, still_open) = open("order_type_code = 'SO'");
    let moved: BTreeSet<i64> = before
        .iter()
        .zip(query(&state))
        .filter(|(before, after)| *before != after)
        .map(|(before, _)| before.split('|').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(moved, still_open.into_iter().collect());
    let (_, young) = open(&format!("created_on > {month_ago} + INTERVAL 1 DAY AND order_type_code = 'SO'"));
    assert!(young.iter().all(|id| moved.contains(id) && ids.contains(id)) && young.len() > 10, "{young:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn goods_that_come_in_are_in_their_order_and_in_the_stock_after_one_night() {
    // GIVEN an exported account, then goods-in notes and movements of stock: their orders and the stock of products change,
    // and no date of an order or a product moves
    let (sandbox, lake, program) = loaded(700).await;
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("goods_in_note", 9);
    sandbox.insert("goods_movement", 30);
    let mut named = named_orders(&sandbox, "goods_in_note", 9).await;
    named.extend(named_orders(&sandbox, "goods_movement", 30).await);
    named.sort_unstable();
    named.dedup();
    assert!(named.len() > 20, "{named:?}");
    sandbox.touch("order", &named);
    sandbox.touch("product", &one_in(&sandbox, "product", 9));
    // AND a note that is held already is cleared, as a new movement of it shows
    let cleared: Vec<i64> =
        query(&format!("SELECT DISTINCT id FROM read_parquet('{}/goods_in_note/**/*.parquet')", lake.path().display()))
            .iter()
            .map(|id| id.parse().unwrap())
            .collect();
    let moved = moved_notes(&sandbox, 30).await;
    let cleared: Vec<i64> = cleared.into_iter().filter(|id| moved.contains(id)).collect();
    assert!(!cleared.is_empty(), "{moved:?}");
    sandbox.touch("goods_in_note", &cleared);
    sandbox.age(Duration::from_secs(600));
    sandbox.take_log();

    // WHEN one night goes by
    program.with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms").run(&["run"]).expect(0);

    // THEN orders, notes, movements and stock equal the truth, and only the named tables were read
    let orders = "order,order_row,order_party,order_invoice,order_custom_field";
    let stock = "product_availability,product_availability_warehouse,product_availability_location";
    let goods = "goods_in_note,goods_in_note_movement,goods_movement";
    check_truth(&sandbox, text(&lake), &["--only", &format!("{orders},{stock},{goods}")]);
    let log = sandbox.take_log();
    assert_eq!(log.ids["order-service/order"], u64::try_from(named.len()).unwrap(), "{log:?}");
    let notes = log.ids["warehouse-service/order/*/goods-note/goods-in"];
    let expected = 2 * 9 + u64::try_from(moved.len()).unwrap();
    assert_eq!(notes, expected, "the new ones, which their movements name again, and those that moved: {log:?}");
}

/// The goods-in notes that the newest movements name.
async fn moved_notes(sandbox: &Sandbox, newest: usize) -> BTreeSet<i64> {
    let text = truth(sandbox, "goods_movement").await;
    let lines = text.lines().rev().take(newest).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|row| row["goodsNoteTypeCode"] == "GI").filter_map(|row| row["goodsNoteId"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_order_that_an_allocation_changed_without_a_date_is_right_after_one_night() {
    // GIVEN exported orders; stock is allocated to some that are not closed, which no row of anything names
    let sandbox = account(2_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    sandbox.take_log();
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let open: Vec<i64> = query(&format!("SELECT id FROM read_parquet('{glob}') WHERE closed_on IS NULL ORDER BY id"))
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(open.len() > 10, "{}", open.len());
    sandbox.touch("order", &open[..7]);
    sandbox.age(Duration::from_secs(24 * 3600));

    // WHEN one night goes by
    let done = program.run(&["run", "order"]).expect(0);

    // THEN the orders equal the truth, and only open ones were read
    assert!(done.stderr.contains("open records every day"), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &["--only", "order,order_row,order_party,order_invoice,order_custom_field"]);
    let asked = sandbox.take_log().ids["order-service/order"];
    assert_eq!(asked, u64::try_from(open.len()).unwrap(), "{}", done.stderr);

    // AND one that a GET does not return stays, for nothing else proves its deletion
    sandbox.delete("order", &open[8..9]);
    sandbox.age(Duration::from_secs(24 * 3600));
    program.run(&["run", "order"]).expect(0);
    let gone = format!("SELECT count(*) FROM read_parquet('{glob}') WHERE id = {}", open[8]);
    assert_eq!(query(&gone), ["1"]);
    program.run(&["reconcile", "order"]).expect(0);
    assert_eq!(query(&gone), ["0"]);
    sandbox.take_log();

    // AND an open order is not read again before it is due
    sandbox.age(Duration::from_secs(3600));
    program.run(&["run", "order"]).expect(0);
    assert!(!sandbox.take_log().ids.contains_key("order-service/order"));
    program.with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "1h").run(&["run", "order"]).expect(0);
    assert!(sandbox.take_log().ids.contains_key("order-service/order"));
}
