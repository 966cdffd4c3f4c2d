//! Lists that give pages by their numbers.

use std::collections::BTreeMap;
use std::path::Path;

use pearlift::sandbox::{AnswerRule, Sandbox, SandboxSettings, Size};
use serde_json::json;

use crate::support::{Program, check_truth, files, is_history, query, this_morning};

async fn account(records: u64, most: usize) -> Sandbox {
    let mut settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    settings.pieces.list_page = most;
    let records = BTreeMap::from([("landed_cost".to_owned(), records)]);
    crate::support::start(settings, Size { orders: 60, records }).await
}

fn text(lake: &Path) -> &str {
    lake.to_str().expect("it is text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_record_of_a_list_in_numbered_pages_is_there_after_a_load_changes_deletions_and_a_quiet_run() {
    // GIVEN lists of no full page, of one exactly, and of several
    for records in [1, 12, 499, 500, 501, 1203] {
        let sandbox = account(records, 500).await;
        let lake = tempfile::tempdir().unwrap();
        let program = Program::new(&sandbox, lake.path());

        // WHEN one is read THEN all of it is there, and each record once
        program.run(&["run", "landed_cost"]).expect(0);
        check_truth(&sandbox, text(lake.path()), &["--only", "landed_cost"]);
        let count = query(&format!("select count(*) from '{}/landed_cost/**/*.parquet'", text(lake.path())));
        assert_eq!(count, [records.to_string()]);

        // WHEN records come, change and go THEN a night finds it
        sandbox.insert("landed_cost", 3);
        let ids = sandbox.ids("landed_cost");
        sandbox.edit("landed_cost", &ids.iter().copied().step_by(5).collect::<Vec<_>>());
        sandbox.delete("landed_cost", &ids[..1]);
        program.run(&["run", "landed_cost"]).expect(0);
        check_truth(&sandbox, text(lake.path()), &["--only", "landed_cost"]);

        // WHEN nothing changed THEN nothing is written, and each page is asked for once, and the one behind the last
        let before = files(lake.path()).len();
        sandbox.take_log();
        program.run(&["run", "landed_cost"]).expect(0);
        let data = |lake: &Path| files(lake).into_iter().filter(|path| !text(path).contains("_pearlift")).count();
        assert_eq!(data(lake.path()), 1, "{before}");
        let asked = sandbox.take_log().total();
        let most = records / 500 + 3;
        assert!(asked <= most, "{records}: {asked} requests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_that_are_shorter_than_asked_for_are_no_end_of_a_list() {
    // GIVEN a source that returns fifty records for any request
    let sandbox = account(120, 50).await;
    let lake = tempfile::tempdir().unwrap();

    // WHEN the list is read THEN the run fails, and nothing is written
    let done = Program::new(&sandbox, lake.path()).run(&["run", "landed_cost"]);
    assert_ne!(done.code, 0, "{}", done.said());
    assert!(done.said().contains("a page is shorter than 500 rows, as asked for"), "{}", done.said());
    assert!(files(lake.path()).into_iter().all(|path| is_history(&path) || !text(&path).ends_with(".parquet")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_wrong_answer_costs_a_list_in_numbered_pages_no_record_and_its_end_alone_is_requested_twice() {
    // GIVEN a list of four pages
    let sandbox = account(1_203, 500).await;
    let lake = tempfile::tempdir().unwrap();
    let rows = |lake: &Path| query(&format!("select count(*) from '{}/landed_cost/**/*.parquet'", text(lake)));
    sandbox.take_log();

    // WHEN it is loaded THEN only the last page is requested twice, and the one behind it once
    Program::new(&sandbox, lake.path()).run(&["run", "landed_cost"]).expect(0);
    let requests = sandbox.take_log().total();
    assert_eq!(requests, 5);
    assert_eq!(rows(lake.path()), ["1203"]);

    // WHEN one answer of a load lacks rows THEN all are loaded, or none
    for at in 1..=requests {
        for then in
            [json!({"keep": 1}), json!({"keep": 7}), json!("empty"), json!("half"), json!("twice"), json!("none")]
        {
            let rule = json!([{"path": "landed-cost", "at": [at], "then": then}]);
            let rules: Vec<AnswerRule> = serde_json::from_value(rule).unwrap();
            sandbox.change(|settings| settings.answers = rules);
            let lake = tempfile::tempdir().unwrap();
            let done = Program::new(&sandbox, lake.path()).run(&["run", "landed_cost"]);
            if done.code == 0 {
                assert_eq!(rows(lake.path()), ["1203"], "answer {at} {then}");
            } else {
                let found = files(lake.path());
                assert!(found.iter().all(|path| is_history(path) || !text(path).ends_with(".parquet")), "{at} {then}");
            }
        }
    }
}

#[test]
fn each_page_begins_before_the_one_before_it_ends() {
    let pages = pearlift::schema::Pages { number: "n".to_owned(), size: "s".to_owned(), most: 500 };
    let mut end = 0;
    for _ in 0..2_000 {
        // A page overlaps by the last row of the one before.
        let (number, size, begins) = pages.at(end.max(1));
        assert!(size <= 500 && size * (number - 1) + 1 == begins, "{number} {size} {begins}");
        assert!(begins <= end.max(1), "{begins} {end}");
        let next = begins + size - 1;
        assert!(next >= end + 300 || end == 0, "{end} {next}");
        end = next;
    }
}
