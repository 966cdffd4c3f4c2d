//! Each change is asked for by two runs: a search that states once that nothing changed loses none.

use std::time::Duration;

use pearlift::sandbox::AnswerRule;
use serde_json::{Value, json};

use crate::support::{Program, account, check_truth, compare_with_truth, files, head, is_history};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CHOSEN: [&str; 6] = ["run", "order", "product", "contact", "product_price", "customer_payment"];
const TABLES: [&str; 2] = [
    "--only",
    "order,order_row,order_party,order_invoice,order_custom_field,product,contact,product_price,product_price_list,customer_payment",
];

fn watermark(lake: &tempfile::TempDir, resource: &str, key: &str) -> Value {
    head(lake.path(), resource)["state"][key].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_states_once_that_nothing_changed_loses_no_change() {
    // GIVEN an exported account, and edits five hours before a run that finds none of them by date
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let tables = lake.path().to_str().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&CHOSEN).expect(0);
    sandbox.age(DAY);
    for kind in ["order", "product", "contact"] {
        let ids: Vec<i64> = sandbox.ids(kind).into_iter().step_by(9).collect();
        sandbox.edit(kind, &ids);
    }
    sandbox.age(Duration::from_secs(5 * 3600));
    let none: Vec<AnswerRule> = ["updatedOn=", "createdOn="]
        .map(|date| serde_json::from_value(json!({"path": format!("-search?{date}"), "then": "none"})).unwrap())
        .into();
    sandbox.change(|settings| settings.answers = none);
    program.run(&CHOSEN).expect(0);
    compare_with_truth(&sandbox, tables, &TABLES).expect_err("the edits were not shown");
    sandbox.change(|settings| settings.answers.clear());

    // WHEN the next night runs THEN the tables are true, though its watermark is later than the edits
    sandbox.age(DAY);
    program.run(&CHOSEN).expect(0);
    check_truth(&sandbox, tables, &TABLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_two_runs_ask_for_is_read_and_written_once() {
    // GIVEN an exported account and a night with edits
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "365d");
    program.run(&CHOSEN).expect(0);
    sandbox.age(DAY);
    for kind in ["order", "product", "contact"] {
        let ids: Vec<i64> = sandbox.ids(kind).into_iter().step_by(9).collect();
        sandbox.edit(kind, &ids);
    }
    sandbox.insert("customer_payment", 5);
    sandbox.age(Duration::from_secs(5 * 3600));
    program.run(&CHOSEN).expect(0);
    let (before, mark) = (files(lake.path()), watermark(&lake, "order", "watermark"));

    // WHEN the next night runs, with nothing new
    sandbox.age(DAY);
    sandbox.take_log();
    program.run(&CHOSEN).expect(0);
    let asked = sandbox.take_log();

    // THEN its searches show the edits again, no document is fetched, and no table file is written
    assert_eq!(watermark(&lake, "order", "watermark_before"), mark);
    assert_eq!(asked.ids.values().sum::<u64>(), 0, "{asked:?}");
    let parquet = |files: &[std::path::PathBuf]| {
        let is_data =
            |file: &&std::path::PathBuf| !is_history(file) && file.extension().is_some_and(|kind| kind == "parquet");
        files.iter().filter(is_data).cloned().collect::<Vec<_>>()
    };
    assert_eq!(parquet(&files(lake.path())), parquet(&before));
}
