//! Resources that are read by ids which the tables of others hold.

use std::collections::BTreeSet;
use std::path::Path;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::schema::Catalog;
use serde_json::Value;

use crate::support::{Program, check_truth, files, query, this_morning};

const ALL: [&str; 5] = ["order", "goods_movement", "stock_correction", "drop_ship_note", "reservation"];
const TABLES: &str =
    "stock_correction,stock_correction_movement,drop_ship_note,drop_ship_note_row,drop_ship_note_event";

async fn account(orders: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    crate::support::start(settings, Size { orders, ..Size::default() }).await
}

fn text(lake: &Path) -> &str {
    lake.to_str().expect("it is text")
}

fn data(lake: &Path) -> BTreeSet<String> {
    let all = files(lake).into_iter().map(|path| path.to_str().unwrap().to_owned());
    all.filter(|path| !path.contains("_pearlift")).collect()
}

fn count(lake: &Path, table: &str) -> usize {
    query(&format!("select count(*) from '{}/{table}/**/*.parquet'", text(lake)))[0].parse().unwrap()
}

/// Requests of a log whose path holds a text.
fn asked(sandbox: &Sandbox, part: &str) -> u64 {
    sandbox.take_log().requests.iter().filter(|(path, _)| path.contains(part)).map(|(_, count)| count).sum()
}

/// The movements that are corrections.
fn corrections(sandbox: &Sandbox) -> Vec<i64> {
    sandbox.ids("stock_correction")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn corrections_and_notes_are_there_after_a_load_changes_deletions_and_a_quiet_run() {
    let sandbox = account(600).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let names = &ALL[..4];
    let run = |arguments: &[&str]| program.run(&[arguments, names].concat()).expect(0);
    let check = || check_truth(&sandbox, text(lake.path()), &["--only", TABLES]);

    // WHEN they are read for the first time, in one run with those that hold their ids THEN each is there
    run(&["run"]);
    check();
    assert!(count(lake.path(), "stock_correction") > 20 && count(lake.path(), "drop_ship_note") > 10);

    // AND they agree with movements, orders and lines
    let table = |name: &str| format!("read_parquet('{}/{name}/**/*.parquet')", text(lake.path()));
    let (moved, noted) = (table("stock_correction_movement"), table("stock_correction"));
    let agree = format!(
        "SELECT coalesce(m.id, c.id) FROM (FROM {} WHERE goods_note_type_code = 'SC') m FULL JOIN
            (SELECT n.id, n.warehouse_id, n.order_id, r.product_id, r.quantity FROM {noted} n JOIN {moved} r ON r.stock_correction_id = n.id) c
            ON c.id = m.goods_note_id WHERE m.id IS NULL OR c.id IS NULL OR c.warehouse_id <> m.warehouse_id
            OR c.product_id <> m.product_id OR c.quantity <> m.quantity OR c.order_id IS DISTINCT FROM m.order_id",
        table("goods_movement")
    );
    assert_eq!(query(&agree), [""; 0]);
    let agree = format!(
        "SELECT n.id FROM {} n LEFT JOIN {orders} p ON p.id = n.purchase_order_id LEFT JOIN {orders} s ON s.id = n.order_id
         LEFT JOIN {} r ON r.drop_ship_note_id = n.id LEFT JOIN {} l ON l.id = r.order_row_id AND l.order_id = s.id
         GROUP BY n.id, p.order_type_code, p.is_dropship, s.order_type_code, l.id, l.quantity, l.product_id
         HAVING p.order_type_code IS DISTINCT FROM 'PO' OR NOT p.is_dropship OR s.order_type_code IS DISTINCT FROM 'SO'
            OR sum(r.quantity) IS DISTINCT FROM l.quantity OR min(r.product_id) IS DISTINCT FROM l.product_id",
        table("drop_ship_note"),
        table("drop_ship_note_row"),
        table("order_row"),
        orders = table("order")
    );
    assert_eq!(query(&agree), [""; 0]);

    // WHEN movements and orders come, change and go
    sandbox.insert("goods_movement", 40);
    sandbox.edit("goods_movement", &corrections(&sandbox).into_iter().step_by(9).collect::<Vec<_>>());
    let orders = sandbox.ids("drop_ship_note");
    sandbox.edit("order", &orders.iter().copied().step_by(3).collect::<Vec<_>>());
    sandbox.delete("order", &orders[..1]);
    let gone = corrections(&sandbox)[..2].to_vec();
    sandbox.delete("goods_movement", &gone);
    sandbox.age(std::time::Duration::from_secs(26 * 3600));

    // THEN a night and a comparison of ids find all of it
    run(&["run"]);
    program.run(&["reconcile", "order", "goods_movement"]).expect(0);
    run(&["run"]);
    check();

    // WHEN all of them are read again, though no row names them THEN nothing is lost
    let weekly = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_DROP_SHIP_NOTE_RELOAD_EVERY", "1ms");
    weekly.run(&["run", "drop_ship_note"]).expect(0);
    check();

    // WHEN nothing changed THEN nothing is written, and nothing is asked for
    run(&["run"]);
    let before = data(lake.path());
    sandbox.take_log();
    run(&["run"]);
    assert_eq!(data(lake.path()), before);
    let log = sandbox.take_log();
    let held = log.requests.keys().filter(|path| path.contains("stock-correction") || path.contains("drop-ship"));
    assert_eq!(held.count(), 0, "{:?}", log.requests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_has_ids_of_one_warehouse_and_a_night_asks_for_what_changed() {
    // GIVEN corrections in six warehouses
    let sandbox = account(900).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "goods_movement", "stock_correction"]).expect(0);
    let warehouses =
        query(&format!("select count(distinct warehouse_id) from '{}/stock_correction/*.parquet'", text(lake.path())));

    // THEN the first load took a request for each
    assert_eq!(asked(&sandbox, "stock-correction").to_string(), warehouses[0]);

    // WHEN corrections of one warehouse change THEN a night takes one request
    let one =
        query(&format!("select id from '{}/stock_correction/*.parquet' where warehouse_id = 2", text(lake.path())));
    let one: Vec<i64> = one.iter().map(|id| id.parse().unwrap()).collect();
    sandbox.edit("goods_movement", &one);
    program.run(&["run", "goods_movement", "stock_correction"]).expect(0);
    assert_eq!(asked(&sandbox, "stock-correction"), 1);
    check_truth(&sandbox, text(lake.path()), &["--only", "stock_correction,stock_correction_movement"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ids_that_are_not_held_yet_are_told_and_read_once_they_are() {
    // GIVEN nothing at the destination
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());

    // WHEN what is read by the ids of another resource is read alone THEN it says so, and asks for nothing
    let done = program.run(&["run", "stock_correction"]).expect(0);
    assert!(done.said().contains("its ids come from `goods_movement`, which is not loaded yet"), "{}", done.said());
    assert_eq!(asked(&sandbox, "stock-correction"), 0);

    // WHEN the other one is there THEN it is read
    program.run(&["run", "goods_movement"]).expect(0);
    program.run(&["run", "stock_correction"]).expect(0);
    check_truth(&sandbox, text(lake.path()), &["--only", "stock_correction,stock_correction_movement"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reservation_is_a_request_for_each_open_sale_and_what_has_none_is_asked_for_once() {
    // GIVEN orders of two months, of which many are open
    let settings = SandboxSettings { limit: 0, history: 60, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = crate::support::start(settings, Size { orders: 500, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let open = query(&format!(
        "select count(*) from '{}/order/**/*.parquet' where closed_on is null and order_type_code = 'SO'",
        text(lake.path())
    ));
    sandbox.take_log();

    // WHEN a snapshot is taken
    program.run(&["run", "reservation"]).expect(0);

    // THEN it has what is set aside, at a request for each open sale, and one to hear the source's clock
    assert_eq!(asked(&sandbox, "/reservation"), open[0].parse::<u64>().unwrap() + 1);
    check_truth(&sandbox, text(lake.path()), &["--only", "reservation,reservation_row"]);
    let table = |name: &str| format!("read_parquet('{}/{name}/**/*.parquet')", text(lake.path()));
    let agree = format!(
        "SELECT r.order_id FROM {} r LEFT JOIN {} l ON l.id = r.order_row_id AND l.order_id = r.order_id LEFT JOIN {} o ON o.id = r.order_id
         WHERE o.order_type_code IS DISTINCT FROM 'SO' OR o.closed_on IS NOT NULL OR l.product_id IS DISTINCT FROM r.product_id
            OR r.quantity > l.quantity OR o.allocation_status_code NOT IN ('APA', 'AAA')",
        table("reservation_row"),
        table("order_row"),
        table("order")
    );
    assert_eq!(query(&agree), [""; 0]);
    let held = count(lake.path(), "reservation");
    assert!(held > 3 && held < open[0].parse().unwrap(), "{held} of {open:?}");

    // WHEN it is the same day THEN none is taken
    let done = program.run(&["run", "reservation"]).expect(0);
    assert_eq!(asked(&sandbox, "/reservation"), 0, "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn planned_requests_of_what_is_read_by_held_ids_are_those_of_a_run() {
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order", "goods_movement"]).expect(0);
    for _ in 0..2 {
        // WHEN a run is planned, and made
        let plan = program.run(&[&["plan", "--json"][..], &ALL].concat()).expect(0);
        let done = program.run(&[&["--log-format", "json", "run"][..], &ALL].concat()).expect(0);

        // THEN it asks for what was planned
        let report: Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        for (planned, made) in plan["resources"].as_array().unwrap().iter().zip(report["resources"].as_array().unwrap())
        {
            let none = Vec::new();
            let scans = planned["scans"].as_array().unwrap_or(&none);
            let wanted: u64 = scans.iter().map(|scan| scan["requests"].as_u64().unwrap()).sum();
            assert_eq!(planned["resource"], made["resource"]);
            if ALL[2..].contains(&made["resource"].as_str().unwrap()) {
                let made = made["requests"].as_u64().unwrap();
                assert!(made.abs_diff(wanted) <= 1 + made / 5, "{planned} planned, {made} made");
            }
        }
    }
}

#[test]
fn held_ids_and_their_conditions_are_columns_of_a_table_of_another_resource() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let texts: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    let held = "held = \"goods_movement.goods_note_id\"";
    let path = "get = \"warehouse/{warehouse_id}/";
    for (resource, from, to, why) in [
        ("stock_correction", held, "held = \"goods_movement\"", "`owners.held` is `table.column`"),
        ("stock_correction", held, "held = \"nothing.id\"", "no other resource has a table `nothing`"),
        (
            "stock_correction",
            held,
            "held = \"stock_correction.id\"",
            "no other resource has a table `stock_correction`",
        ),
        ("stock_correction", held, "held = \"drop_ship_note.id\"", "`drop_ship_note` is itself read by held ids"),
        ("stock_correction", held, "held = \"product_availability.product_id\"", "has a row for each day"),
        ("stock_correction", held, "held = \"goods_movement.nothing\"", "has no int64 column `nothing`"),
        ("stock_correction", held, "held = \"goods_movement.currency_code\"", "has no int64 column `currency_code`"),
        ("stock_correction", held, "resource = \"product\", held = \"order.id\"", "`owners` has `resource` or `held`"),
        ("stock_correction", path, "get = \"warehouse/{nothing}/", "has no int64 column `nothing`"),
        ("stock_correction", path, "get = \"warehouse/{currency_code}/", "has no int64 column `currency_code`"),
        ("stock_correction", path, "get = \"warehouse/{warehouse_id/", "`get`"),
        ("stock_correction", "= SC\"", "> SC\"", "`owners.where` is `column = value`"),
        ("stock_correction", "= SC\"", "is void\"", "`owners.where` is `column = value`"),
        ("stock_correction", "goods_note_type_code = SC", "nothing is null", "has no column `nothing`"),
        ("drop_ship_note", "is_dropship = true", "is_dropship = 1", "`is_dropship` is bool, which is never `1`"),
        ("drop_ship_note", "is_dropship = true", "net = 1.5", "`net` is decimal(18,6), which is never `1.5`"),
        ("product_price", "get = \"product-price/", "get = \"{id}/", "`get` holds {id}, which goes with `owners.held`"),
        ("order", "get = \"order/", "get = \"{id}/", "`get` holds a column in braces"),
    ] {
        // WHEN a file says something else THEN it is refused with its line
        let other = |(name, text): &(String, String)| {
            assert!(name != resource || text.contains(from), "{from}");
            (name.clone(), if name == resource { text.replacen(from, to, 1) } else { text.clone() })
        };
        let changed: Vec<(String, String)> = texts.iter().map(other).collect();
        let refused = Catalog::from_texts(&changed).unwrap_err().to_string();
        assert!(refused.contains(why), "{to}: {refused}");
        assert!(refused.contains(&format!("{resource}.toml, line ")), "{to}: {refused}");
    }
}
