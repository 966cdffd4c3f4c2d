//! `deletes = "mark"`: rows of deleted records stay in their tables, with when they were found gone.

use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use tempfile::TempDir;

use crate::support::{Program, account, check_truth, files, query};

const ORDER_TABLES: &str = "order,order_row,order_party,order_invoice,order_custom_field";

fn text(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

fn glob(lake: &Path, table: &str) -> String {
    format!("read_parquet('{}/{table}/**/*.parquet', hive_partitioning = true)", lake.display())
}

/// Rows of a table, and how many of them are marked.
fn rows(lake: &Path, table: &str) -> (u64, u64) {
    let found = query(&format!("SELECT count(*), count(_deleted_at) FROM {}", glob(lake, table)));
    let (all, marked) = found[0].split_once('|').unwrap();
    (all.parse().unwrap(), marked.parse().unwrap())
}

async fn marking(orders: u64, resource: &str) -> (Sandbox, TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let variable = format!("PEARLIFT_RESOURCE_{}_DELETES", resource.to_uppercase());
    let program = Program::new(&sandbox, lake.path()).with(&variable, "mark");
    program.run(&["run", resource]).expect(0);
    sandbox.take_log();
    (sandbox, lake, program)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_deleted_records_stay_marked_through_every_kind_of_read() {
    // GIVEN exported orders, of which some are deleted
    let (sandbox, lake, program) = marking(400, "order").await;
    let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(40).collect();
    let named = gone.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    sandbox.delete("order", &gone);
    sandbox.age(Duration::from_secs(3600));

    // WHEN the ids are compared
    program.run(&["reconcile", "order"]).expect(0);

    // THEN all their rows in all tables are marked and no others, the rest equals the truth, and there are no deleted rows
    let marked = rows(lake.path(), "order");
    assert_eq!(marked, (400, 10));
    let lines = format!(
        "SELECT count(*) FROM {} WHERE (_deleted_at IS NULL) = (order_id IN ({named}))",
        glob(lake.path(), "order_row")
    );
    assert_eq!(query(&lines), ["0"]);
    let truth = ["--only", ORDER_TABLES, "--marked"];
    check_truth(&sandbox, text(lake.path()), &truth);
    assert!(!lake.path().join("_pearlift/deleted").exists());
    program.run(&["verify", "--deep"]).expect(0);
    let when = format!("SELECT DISTINCT _deleted_at FROM {} WHERE _deleted_at IS NOT NULL", glob(lake.path(), "order"));
    let first_found = query(&when);
    assert_eq!(first_found.len(), 1);

    // WHEN they are compared again THEN that takes one request: a marked row is no candidate
    sandbox.take_log();
    let again = program.run(&["reconcile", "order"]).expect(0);
    assert!(again.stderr.contains("390 listed, 390 held, 0 not listed"), "{}", again.stderr);
    assert_eq!(sandbox.take_log().total(), 1);

    // WHEN everything is read again, a part is read again, and a quiet night goes by
    program.run(&["run", "--full", "order"]).expect(0);
    program.run(&["backfill", "order", "--ids", &named]).expect(0);
    let back = program.run(&["backfill", "order", "--from", "2000-01-01", "--to", "2100-01-01"]).expect(0);
    assert!(back.stderr.contains("390 ids requested, 0 not returned"), "{}", back.stderr);
    program.run(&["run", "order"]).expect(0);

    // THEN the marks are unchanged
    assert_eq!(rows(lake.path(), "order"), marked);
    assert_eq!(query(&when), first_found, "the first time counts");
    check_truth(&sandbox, text(lake.path()), &truth);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_appears_again_is_live_again() {
    // GIVEN marked orders, and the same account where they were never deleted
    let (sandbox, lake, program) = marking(200, "order").await;
    let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(20).collect();
    sandbox.delete("order", &gone);
    program.run(&["reconcile", "order"]).expect(0);
    assert_eq!(rows(lake.path(), "order"), (200, 10));
    let whole = account(200).await;
    let program = program.with("PEARLIFT_ACCOUNT_BASE_URL", &whole.url());

    // WHEN the ids are compared
    let done = program.run(&["reconcile", "order"]).expect(0);

    // THEN they are read and have no mark
    assert!(done.stderr.contains("10 read that were missing"), "{}", done.stderr);
    for table in ORDER_TABLES.split(',') {
        assert_eq!(rows(lake.path(), table).1, 0, "{table}");
    }
    check_truth(&whole, text(lake.path()), &["--only", ORDER_TABLES, "--marked"]);
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_vanishes_from_a_list_an_open_list_or_a_range_is_marked() {
    // GIVEN a list, notes and orders
    let sandbox = account(500).await;
    let lake = tempfile::tempdir().unwrap();
    let mut program = Program::new(&sandbox, lake.path());
    for resource in ["BRAND", "GOODS_OUT_NOTE", "ORDER"] {
        program = program.with(&format!("PEARLIFT_RESOURCE_{resource}_DELETES"), "mark");
    }
    let resources = ["run", "brand", "goods_out_note", "order"];
    program.run(&resources).expect(0);
    let open = query(&format!("SELECT id FROM {} WHERE NOT shipped ORDER BY id", glob(lake.path(), "goods_out_note")));
    let open: Vec<i64> = open.iter().map(|id| id.parse().unwrap()).collect();

    // WHEN some of each are deleted, a night goes by, and a range of orders is read again
    let brands = sandbox.ids("brand");
    sandbox.delete("brand", &brands[..2]);
    sandbox.delete("goods_out_note", &open[..3]);
    let orders = sandbox.ids("order");
    sandbox.delete("order", &orders[50..55]);
    sandbox.age(Duration::from_secs(24 * 3600));
    program.run(&resources).expect(0);
    program.run(&["backfill", "order", "--from", "2000-01-01", "--to", "2100-01-01"]).expect(0);

    // THEN all of them are marked, and stay so when it is done again
    for _ in 0..2 {
        let marked = ["brand", "goods_out_note", "order"].map(|table| rows(lake.path(), table).1);
        assert_eq!(marked, [2, 3, 5]);
        program.run(&resources).expect(0);
    }
    let tables = format!("brand,goods_out_note,goods_out_note_row,goods_out_note_event,{ORDER_TABLES}");
    check_truth(&sandbox, text(lake.path()), &["--only", &tables, "--marked"]);
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_setting_can_be_changed_and_nothing_marked_is_lost() {
    // GIVEN orders that leave the tables when they are deleted, and some that did
    let (sandbox, lake, marks) = marking(300, "order").await;
    let moves = marks.clone().with("PEARLIFT_RESOURCE_ORDER_DELETES", "move");
    let drops = marks.clone().with("PEARLIFT_RESOURCE_ORDER_DELETES", "drop");
    let apart = || {
        let glob = format!("{}/_pearlift/deleted/order/*.parquet", lake.path().display());
        query(&format!("SELECT count(*), count(DISTINCT id), count(_deleted_at) FROM read_parquet('{glob}')"))
    };
    let delete = |first: usize| {
        let gone: Vec<i64> = sandbox.ids("order").into_iter().skip(first).take(5).collect();
        sandbox.delete("order", &gone);
    };
    delete(0);
    marks.run(&["reconcile", "order"]).expect(0);
    assert_eq!(rows(lake.path(), "order"), (300, 5));

    // WHEN marked rows are to move THEN they become deleted rows, and the tables have no such column
    let done = moves.run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("drops _deleted_at"), "{}", done.stderr);
    assert_eq!(apart(), ["5|5|5"]);
    check_truth(&sandbox, text(lake.path()), &["--only", ORDER_TABLES]);
    delete(50);
    moves.run(&["reconcile", "order"]).expect(0);
    assert_eq!(apart(), ["10|10|10"]);

    // WHEN rows are to be marked again THEN files of deleted rows stay, and the next deleted rows are marked
    marks.run(&["run", "order"]).expect(0);
    delete(100);
    marks.run(&["reconcile", "order"]).expect(0);
    assert_eq!((rows(lake.path(), "order"), apart()), ((290, 5), vec!["10|10|10".to_owned()]));

    // WHEN all files are built anew in another shape THEN marked rows become deleted rows
    let folder = crate::reshape::schemas("order", &[("month(created_on)", "bucket(id, 4)")]);
    let anew = marks.clone().with("PEARLIFT_SCHEMAS", text(folder.path()));
    anew.run(&["run", "--full", "order"]).expect(0);
    assert_eq!((rows(lake.path(), "order"), apart()), ((285, 0), vec!["15|15|15".to_owned()]));
    anew.run(&["verify", "--deep"]).expect(0);

    // WHEN none are to be kept THEN marked rows go
    delete(150);
    anew.run(&["reconcile", "order"]).expect(0);
    let kept_apart = files(&lake.path().join("_pearlift/deleted"));
    let drops = drops.with("PEARLIFT_SCHEMAS", text(folder.path()));
    drops.run(&["run", "order"]).expect(0);
    assert_eq!(query(&format!("SELECT count(*) FROM {}", glob(lake.path(), "order"))), ["280"]);
    assert_eq!(files(&lake.path().join("_pearlift/deleted")), kept_apart);
    drops.run(&["verify", "--deep"]).expect(0);
}
