//! Deletions of records that are read by held ids: the source lists none of them, and no table of ours is evidence.

use std::collections::BTreeSet;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::Value;

use crate::support::{Program, check_truth, head, query, this_morning};

const CORRECTIONS: [&str; 2] = ["goods_movement", "stock_correction"];
const ALL: [&str; 4] = ["order", "goods_movement", "stock_correction", "drop_ship_note"];
const TABLES: &str =
    "stock_correction,stock_correction_movement,drop_ship_note,drop_ship_note_row,drop_ship_note_event";
const OF_CORRECTIONS: [&str; 2] = ["--only", "stock_correction,stock_correction_movement"];
const DAY: Duration = Duration::from_secs(26 * 3600);

/// An account with its clock three days behind, of which these resources are loaded.
async fn loaded(orders: u64, names: &[&str]) -> (Sandbox, tempfile::TempDir, Program) {
    // Of weeks and not of years: it has more corrections.
    let settings = SandboxSettings { limit: 0, history: 40, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = crate::support::start(settings, Size { orders, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&[&["run"], names].concat()).expect(0);
    sandbox.take_log();
    (sandbox, lake, program)
}

fn text(lake: &tempfile::TempDir) -> &str {
    lake.path().to_str().expect("it is text")
}

/// The ids that a table holds, in rows that meet a condition.
fn held(lake: &tempfile::TempDir, table: &str, key: &str, condition: &str) -> Vec<i64> {
    let sql = format!("SELECT DISTINCT {key} FROM '{}/{table}/*.parquet' WHERE {condition} ORDER BY 1", text(lake));
    query(&sql).iter().map(|id| id.parse().unwrap()).collect()
}

/// The number of entries of the state below `absence`.
fn absence(lake: &tempfile::TempDir, resource: &str, key: &str) -> usize {
    let found = head(lake.path(), resource)["state"]["absence"][key].clone();
    found.as_object().map_or(0, serde_json::Map::len)
}

/// The program, which reads records again within a budget.
fn rereading(program: &Program) -> Program {
    program
        .clone()
        .with("PEARLIFT_RESOURCE_STOCK_CORRECTION_REREAD_REQUESTS", "100")
        .with("PEARLIFT_RESOURCE_DROP_SHIP_NOTE_REREAD_REQUESTS", "100")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleted_corrections_and_notes_leave_the_tables_when_all_ids_are_requested() {
    // GIVEN corrections and notes that were deleted, of which no row of another resource says anything
    let (sandbox, lake, program) = loaded(700, &ALL).await;
    let corrections: Vec<i64> = sandbox.ids("stock_correction").into_iter().step_by(31).collect();
    let notes = held(&lake, "drop_ship_note", "purchase_order_id", "true")[1..3].to_vec();
    sandbox.delete("stock_correction", &corrections);
    sandbox.delete("drop_ship_note", &notes);
    sandbox.age(DAY);
    program.run(&[&["run"][..], &ALL].concat()).expect(0);
    assert_eq!(
        held(&lake, "drop_ship_note", "purchase_order_id", "true").iter().filter(|id| notes.contains(id)).count(),
        2
    );
    sandbox.take_log();

    // WHEN ids are compared
    let done = program.run(&["reconcile", "stock_correction", "drop_ship_note"]).expect(0);

    // THEN exactly these are gone, and kept separately
    let gone = format!("{} not listed, {} of them gone", corrections.len(), corrections.len());
    assert!(done.stderr.contains(&gone), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &["--only", TABLES]);
    let apart =
        format!("SELECT count(DISTINCT id) FROM '{}/_pearlift/deleted/stock_correction/*.parquet'", text(&lake));
    assert_eq!(query(&apart), [corrections.len().to_string()]);

    // AND it took a request for each warehouse, twice where one was gone, as a plan states
    let made = sandbox.take_log().total();
    let due = program.clone().with("PEARLIFT_RESOURCE_STOCK_CORRECTION_RECONCILE_EVERY", "1ms");
    let due = due.with("PEARLIFT_RESOURCE_DROP_SHIP_NOTE_RECONCILE_EVERY", "1ms");
    let plan = due.run(&["plan", "--json", "stock_correction", "drop_ship_note"]).expect(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let scans = plan["resources"].as_array().unwrap().iter().flat_map(|resource| resource["scans"].as_array().unwrap());
    let scans: Vec<&Value> = scans.filter(|scan| scan["scan"] == "reconcile").collect();
    let planned: u64 = scans.iter().map(|scan| scan["requests"].as_u64().unwrap()).sum();
    assert_eq!(scans.len(), 2, "{plan}");
    assert!(planned >= 7 && planned <= made && made <= 2 * planned, "{planned} planned, {made} made");

    // WHEN the night compares them and nothing is gone THEN it takes what was planned
    sandbox.take_log();
    due.run(&["run", "stock_correction", "drop_ship_note"]).expect(0);
    // One more is to hear the source's clock.
    assert!(sandbox.take_log().total().abs_diff(planned) <= 2);
    check_truth(&sandbox, text(&lake), &["--only", TABLES]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleted_records_that_are_read_again_leave_the_tables_that_night_and_no_more_than_may_go_at_once() {
    // GIVEN a deleted note and a few deleted corrections
    let (sandbox, lake, program) = loaded(700, &ALL).await;
    let all = sandbox.ids("stock_correction");
    sandbox.delete("stock_correction", &all[10..13]);
    sandbox.delete("drop_ship_note", &held(&lake, "drop_ship_note", "purchase_order_id", "true")[2..3]);
    sandbox.age(DAY);

    // WHEN a night reads the records again THEN they are gone
    rereading(&program).run(&[&["run"][..], &ALL].concat()).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", TABLES]);

    // WHEN more of them are deleted than a night takes out
    let before = held(&lake, "stock_correction", "id", "true").len();
    let may_go = before / 10;
    sandbox.delete("stock_correction", &all[40..40 + may_go + 5]);
    sandbox.age(DAY);
    rereading(&program).run(&[&["run"][..], &CORRECTIONS].concat()).expect(0);

    // THEN the others are suspects, and their rows stay
    let now = held(&lake, "stock_correction", "id", "true").len();
    let out = before - now;
    assert!(out > 0 && out <= may_go.min(20), "{out} of {before}");
    assert_eq!(absence(&lake, "stock_correction", "suspects"), may_go + 5 - out);

    // WHEN one of them comes back THEN the next night takes out the others, though it reads nothing else again
    let suspect: Vec<i64> = held(&lake, "stock_correction", "id", "true");
    let listed: BTreeSet<i64> = sandbox.ids("stock_correction").into_iter().collect();
    let back = *suspect.iter().find(|id| !listed.contains(id)).unwrap();
    sandbox.restore("stock_correction", &[back]);
    sandbox.age(DAY);
    program.run(&[&["run"][..], &CORRECTIONS].concat()).expect(0);
    check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);
    assert_eq!(absence(&lake, "stock_correction", "suspects"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_stays_while_the_source_returns_it_though_the_row_with_its_id_is_gone() {
    // GIVEN movements that a search no longer shows, while the source still has their corrections
    let (sandbox, lake, program) = loaded(700, &CORRECTIONS).await;
    let ids = sandbox.ids("stock_correction");
    let kept = ids[20..23].to_vec();
    let deleted = ids[50..53].to_vec();
    sandbox.change(|settings| settings.never_listed = kept.clone());
    sandbox.delete("goods_movement", &deleted);

    // WHEN the rows of the movements leave our table
    for _ in 0..2 {
        sandbox.age(DAY);
        program.run(&["reconcile", "goods_movement"]).expect(0);
    }
    let of = format!("id IN ({})", kept.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    let left = format!("SELECT count(*) FROM '{}/goods_movement/**/*.parquet' WHERE {of}", text(&lake));
    assert_eq!(query(&left), ["0"]);
    program.run(&[&["run"][..], &CORRECTIONS].concat()).expect(0);

    // THEN their corrections were requested: those that the source returns stay, the others are gone
    check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);
    assert_eq!(held(&lake, "stock_correction", "id", &of), kept);

    // AND a whole read and a comparison keep them too
    program.run(&["run", "--full", "stock_correction"]).expect(0);
    check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);
    program.run(&["reconcile", "stock_correction"]).expect(0);
    check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);

    // WHEN one of them is deleted as well THEN the comparison finds it, by the warehouse of its own row
    sandbox.delete("stock_correction", &kept[..1]);
    program.run(&["reconcile", "stock_correction"]).expect(0);
    check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_witness_of_its_warehouse_a_correction_is_pending_until_ids_are_compared() {
    // GIVEN a warehouse of which every correction was deleted
    let (sandbox, lake, program) = loaded(700, &CORRECTIONS).await;
    let sql = format!(
        "SELECT warehouse_id FROM '{}/stock_correction/*.parquet' GROUP BY 1 ORDER BY count(*) LIMIT 1",
        text(&lake)
    );
    let all = held(&lake, "stock_correction", "id", "true").len();
    let of = held(&lake, "stock_correction", "id", &format!("warehouse_id = ({sql})"));
    // The limit allows no more than a tenth.
    let (few, rest) = of.split_at(of.len().min(all / 12));
    assert!(!few.is_empty());
    if !rest.is_empty() {
        sandbox.delete("stock_correction", rest);
        program.run(&["reconcile", "--force", "stock_correction"]).expect(0);
    }
    sandbox.delete("stock_correction", few);
    sandbox.age(DAY);

    // WHEN they are read again THEN they are pending with the reason, and their rows stay
    let done = rereading(&program).run(&[&["run"][..], &CORRECTIONS].concat()).expect(3);
    assert!(done.stderr.contains(&format!("{} pending", few.len())), "{}", done.stderr);
    let pending = head(lake.path(), "stock_correction")["state"]["pending"].clone();
    assert!(pending.to_string().contains("no other record by which"), "{pending}");
    assert_eq!(held(&lake, "stock_correction", "id", "true").iter().filter(|id| few.contains(id)).count(), few.len());

    // WHEN ids are compared THEN records of other warehouses show that the source works
    program.run(&["reconcile", "stock_correction"]).expect(0);
    check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);
    program.run(&[&["run"][..], &CORRECTIONS].concat()).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_nothing_at_all_is_left_only_a_person_takes_the_records_out() {
    // GIVEN an account of which every note was deleted
    let (sandbox, lake, program) = loaded(600, &ALL).await;
    let notes = held(&lake, "drop_ship_note", "purchase_order_id", "true");
    assert!(notes.len() > 4);
    sandbox.delete("drop_ship_note", &sandbox.ids("drop_ship_note"));
    sandbox.age(DAY);

    // WHEN they are read again, and compared THEN none is taken out, and the way out is named
    rereading(&program).run(&["run", "order", "drop_ship_note"]).expect(3);
    let done = program.run(&["reconcile", "drop_ship_note"]).expect(3);
    assert!(done.stderr.contains("pearlift reconcile --force drop_ship_note"), "{}", done.stderr);
    assert_eq!(held(&lake, "drop_ship_note", "purchase_order_id", "true"), notes);

    // WHEN a person insists THEN they are gone, and nothing is pending
    program.run(&["reconcile", "--force", "drop_ship_note"]).expect(0);
    assert_eq!(held(&lake, "drop_ship_note", "purchase_order_id", "true"), [0; 0]);
    program.run(&["run", "order", "drop_ship_note"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_wrong_answer_takes_no_record_out() {
    // GIVEN a source that answers once as if the corrections of a warehouse were not there
    let (sandbox, lake, program) = loaded(700, &CORRECTIONS).await;
    for at in [1, 2] {
        sandbox.age(DAY);
        let rule = serde_json::json!([{"method": "GET", "path": "stock-correction", "at": [at], "then": "empty"}]);
        sandbox.change(|settings| settings.answers = serde_json::from_value(rule).unwrap());
        sandbox.take_log();

        // WHEN ids are compared, or a night reads them again THEN all of them stay
        match at {
            1 => program.run(&["reconcile", "stock_correction"]).expect(0),
            _ => rereading(&program).run(&[&["run"][..], &CORRECTIONS].concat()).expect(0),
        };
        check_truth(&sandbox, text(&lake), &OF_CORRECTIONS);
    }
}
