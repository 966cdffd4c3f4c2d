//! Records with repeated keys, answers that are a record themselves, and records that are lists.

use std::collections::BTreeSet;
use std::path::Path;

use pearlift::sandbox::{AnswerRule, Sandbox, SandboxSettings, Size, Verb};
use serde_json::{Value, json};

use crate::support::{Program, check_truth, files, is_history, query, this_morning};

const ALL: [&str; 5] =
    ["exchange_rate", "contact_group_member", "accounting_period_lock", "product", "product_supplier"];
const TABLES: &str = "exchange_rate,contact_group_member,accounting_period_lock,product_supplier";

async fn account(page_cap: usize) -> Sandbox {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), page_cap, ..SandboxSettings::default() };
    crate::support::start(settings, Size { orders: 400, ..Size::default() }).await
}

fn text(lake: &Path) -> &str {
    lake.to_str().expect("it is text")
}

/// A program that reads each resource whole whenever it runs.
fn program(sandbox: &Sandbox, lake: &Path) -> Program {
    Program::new(sandbox, lake)
        .with("PEARLIFT_RESOURCE_CONTACT_GROUP_MEMBER_EVERY", "1ms")
        .with("PEARLIFT_RESOURCE_PRODUCT_SUPPLIER_RELOAD_EVERY", "1ms")
}

fn data(lake: &Path) -> BTreeSet<String> {
    let all = files(lake).into_iter().map(|path| path.to_str().unwrap().to_owned());
    all.filter(|path| !path.contains("_pearlift")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_rate_member_lock_and_supplier_is_there_after_a_load_changes_deletions_and_a_quiet_run() {
    // GIVEN an account with a search in pages of eleven rows, so that the groups of a contact are on two of them
    let sandbox = account(11).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());
    let run = |arguments: &[&str]| program.run(&[arguments, &ALL].concat()).expect(0);
    let check = || check_truth(&sandbox, text(lake.path()), &["--only", TABLES]);

    // WHEN it is read THEN each row is there
    run(&["run"]);
    check();
    let count =
        |table: &str| query(&format!("select count(*) from '{}/{table}/**/*.parquet'", text(lake.path()))).remove(0);
    assert!(count("contact_group_member").parse::<usize>().unwrap() > 150, "more than a page");
    assert_eq!(count("accounting_period_lock"), "1");

    // WHEN rows come, change and go
    sandbox.insert("contact_group_member", 9);
    for name in ["exchange_rate", "contact_group_member", "product", "accounting_period_lock"] {
        let ids = sandbox.eligible(Verb::Edit, name);
        sandbox.edit(name, &ids.iter().copied().step_by(3).collect::<Vec<_>>());
    }
    let ids = sandbox.eligible(Verb::Touch, "product");
    sandbox.touch("product", &ids.iter().copied().step_by(7).collect::<Vec<_>>());
    sandbox.delete("contact_group_member", &sandbox.ids("contact_group_member")[3..6]);
    // A third of all rates is removed only where a person insists.
    sandbox.delete("exchange_rate", &sandbox.ids("exchange_rate")[..1]);
    program.run(&["run", "exchange_rate"]).expect(3);
    program.run(&["run", "--full", "exchange_rate"]).expect(0);
    sandbox.delete("accounting_period_lock", &sandbox.ids("accounting_period_lock"));
    run(&["run"]);

    // THEN a run finds all of it
    check_truth(&sandbox, text(lake.path()), &["--only", TABLES, "--may-be-empty", "accounting_period_lock"]);

    // WHEN nothing changed THEN nothing is written
    let before = data(lake.path());
    run(&["run"]);
    assert_eq!(data(lake.path()), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn planned_requests_of_what_repeats_are_those_of_a_run() {
    // GIVEN an account, and nothing at the destination
    let sandbox = account(500).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());
    for _ in 0..2 {
        // WHEN a run is planned, and made
        let plan = program.run(&[&["plan", "--json"][..], &ALL].concat()).expect(0);
        let done = program.run(&[&["--log-format", "json", "run"][..], &ALL].concat()).expect(0);

        // THEN it sends the planned requests
        let report: Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        for (planned, made) in plan["resources"].as_array().unwrap().iter().zip(report["resources"].as_array().unwrap())
        {
            let scans = planned["scans"].as_array().unwrap();
            let wanted: u64 = scans.iter().map(|scan| scan["requests"].as_u64().unwrap()).sum();
            let exact = scans.iter().all(|scan| scan["requests_exact"] == true);
            assert_eq!(planned["resource"], made["resource"]);
            assert!(!exact || made["requests"] == wanted, "{planned} planned, {made} made");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_that_one_answer_of_a_list_or_a_search_lacks_stay_and_are_told() {
    // GIVEN resources with repeated keys, loaded
    let sandbox = account(500).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());
    program.run(&["run", "contact_group_member"]).expect(0);
    let rows =
        || query(&format!("select count(*) from '{}/contact_group_member/**/*.parquet'", text(lake.path()))).remove(0);
    let before = rows();

    // WHEN most members leave at once
    let ids = sandbox.ids("contact_group_member");
    sandbox.delete("contact_group_member", &ids[10..]);

    // THEN the tables stay as they are
    program.run(&["run", "contact_group_member"]).expect(3);
    assert_eq!(rows(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_wrong_answer_costs_a_search_with_repeated_keys_no_row_and_a_right_count_saves_a_second_reading() {
    // GIVEN a search in pages of fifty rows
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let rows = |lake: &Path| query(&format!("select count(*) from '{}/contact_group_member/**/*.parquet'", text(lake)));
    sandbox.take_log();

    // WHEN it is loaded THEN one request more than its pages counts its rows
    program(&sandbox, lake.path()).run(&["run", "contact_group_member"]).expect(0);
    let requests = sandbox.take_log().total();
    let wanted = rows(lake.path());
    let pages = wanted[0].parse::<u64>().unwrap().div_ceil(50);
    assert!(pages > 3 && (pages + 1..2 * pages).contains(&requests), "{pages} pages, {requests} requests");

    // WHEN one answer lacks rows, or counts others THEN all are loaded, or none
    for at in 1..=requests {
        let claim = json!({"claim": {"available": 60, "more": false}});
        for then in [
            json!({"keep": 1}),
            json!({"keep": 7}),
            json!("empty"),
            json!("half"),
            json!("twice"),
            json!("none"),
            claim,
        ] {
            let rule = json!([{"path": "contact-group-member-search", "at": [at], "then": then}]);
            let rules: Vec<AnswerRule> = serde_json::from_value(rule).unwrap();
            sandbox.change(|settings| settings.answers = rules);
            let lake = tempfile::tempdir().unwrap();
            let done = program(&sandbox, lake.path()).run(&["run", "contact_group_member"]);
            if done.code == 0 {
                assert_eq!(rows(lake.path()), wanted, "answer {at} {then}");
            } else {
                let found = files(lake.path());
                assert!(found.iter().all(|path| is_history(path) || !text(path).ends_with(".parquet")), "{at} {then}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_id_with_more_rows_than_a_page_is_told_and_nothing_is_written() {
    // GIVEN pages of two rows, and contacts with more groups
    let sandbox = account(2).await;
    let lake = tempfile::tempdir().unwrap();

    // WHEN they are read THEN the run fails
    let done = program(&sandbox, lake.path()).run(&["run", "contact_group_member"]);
    assert_ne!(done.code, 0);
    assert!(done.said().contains("a page does not contain all rows of"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn owners_without_a_record_have_no_rows_in_a_first_load_and_in_each_whole_read() {
    // GIVEN a source that knows no suppliers of most products, not even an empty list
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/sandbox/fixtures/product_supplier.json");
    let said = "\"owner\": {\"resource\": \"product\"}";
    let sparse = "\"owner\": {\"resource\": \"product\", \"where\": \"stockTracked\"}";
    let text_of = std::fs::read_to_string(fixture).unwrap();
    assert!(text_of.contains(said));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("product_supplier.json"), text_of.replace(said, sparse)).unwrap();
    let fixtures = Some(folder.path().to_owned());
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), fixtures, ..SandboxSettings::default() };
    let sandbox = crate::support::start(settings, Size { orders: 400, ..Size::default() }).await;
    assert!(sandbox.ids("product_supplier").len() < sandbox.ids("product").len());
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());

    // WHEN they are read, for the first time and whole again THEN the tables equal the truth
    for _ in 0..3 {
        program.run(&["run", "product", "product_supplier"]).expect(0);
        check_truth(&sandbox, text(lake.path()), &["--only", "product_supplier"]);
    }
}
