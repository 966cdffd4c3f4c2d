//! Goods that come in and the ledger of stock: what the simulated account serves, and what becomes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use pearlift::sandbox::kinds::Kind;
use serde_json::Value;

use crate::support::{Program, account, check_truth, query};

const NOTES: &str = "goods_in_note,goods_in_note_movement";

fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// What a table is read by in a query.
fn table(lake: &tempfile::TempDir, name: &str) -> String {
    format!("read_parquet('{}/{name}/**/*.parquet', hive_partitioning = true)", text(lake))
}

/// The answer of the account for a path below it.
async fn ask(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
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
    assert_eq!(once, sandbox.ids(Kind::GoodsInNote).into_iter().collect());
    assert!(numbers.len() > 50, "{}", numbers.len());
    let orders = column(&sandbox, &format!("{search}?sort=purchaseOrderId.ASC"), 0).await;
    let bought: Vec<i64> = orders.iter().filter_map(Value::as_i64).collect();
    assert!(bought.is_sorted() && bought.len() > 40, "{bought:?}");

    // AND pages join, whatever is filtered
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

    // AND it does not lie where the search of goods-out notes lies
    let (status, answer) = ask(&sandbox, "warehouse-service/goods-note/goods-in-search").await;
    assert_eq!(status, 404, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_note_whose_day_of_receipt_is_corrected_moves_to_its_month() {
    // GIVEN exported notes, of which some have another day of receipt since
    let sandbox = account(600).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "goods_in_note"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", NOTES]);
    let moved: Vec<i64> = sandbox.ids(Kind::GoodsInNote).into_iter().step_by(4).collect();
    let listed = moved.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let months = format!(
        "SELECT id, received_month FROM {} WHERE received_on IS NOT NULL AND id IN ({listed})",
        table(&lake, "goods_in_note")
    );
    let before: BTreeSet<String> = query(&months).into_iter().collect();
    sandbox.edit(Kind::GoodsInNote, &moved);
    sandbox.age(Duration::from_secs(600));

    // WHEN they are read again
    program.run(&["backfill", "goods_in_note", "--ids", &listed]).expect(0);

    // THEN each lies in its new month, once, with its lines
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
    sandbox.insert(Kind::GoodsMovement, 30);
    sandbox.insert(Kind::GoodsInNote, 5);
    let changed: Vec<i64> = sandbox.ids(Kind::GoodsMovement).into_iter().step_by(9).collect();
    sandbox.edit(Kind::GoodsMovement, &changed);
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
    assert_eq!(log.of("GET warehouse-service/goods-in-search"), 2, "{log:?}");
    assert_eq!(log.documents(), 0, "{log:?}");
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
    sandbox.touch(Kind::Order, &sandbox.ids(Kind::Order));
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "--full", "order"]).expect(0);

    // THEN the goods of the open ones alone have moved
    let (_, still_open) = open("true");
    let moved: BTreeSet<i64> = before
        .iter()
        .zip(query(&state))
        .filter(|(before, after)| *before != after)
        .map(|(before, _)| before.split('|').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(moved, still_open.into_iter().collect());
    assert!(ids.iter().all(|id| moved.contains(id)));
}
