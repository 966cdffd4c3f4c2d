//! Newer wins: a copy that is older than the stored one, or than the search row that led to it, changes nothing and is
//! asked for again.

use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Program, account, check_truth, query};

const ORDERS: &[&str] = &["--only", "order,order_row,order_party,order_invoice,order_custom_field"];

fn text(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// An account with exported orders, so many of them edited and exported again.
async fn edited(orders: u64, resource: &str, count: usize) -> (Sandbox, TempDir, Program, Vec<i64>) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run", resource]).expect(0);
    sandbox.age(Duration::from_secs(5 * 3600));
    let ids: Vec<i64> = sandbox.ids(resource).into_iter().step_by(7).take(count).collect();
    sandbox.edit(resource, &ids);
    sandbox.age(Duration::from_secs(600));
    (sandbox, lake, program, ids)
}

fn answer(sandbox: &Sandbox, rules: Value) {
    sandbox.change(|settings| settings.answers = serde_json::from_value(rules).unwrap());
}

fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

/// Runs, and returns the run report's entry of a resource.
#[track_caller]
fn report(program: &Program, arguments: &[&str], resource: &str, code: i32) -> Value {
    let all: Vec<&str> = ["--log-format", "json"].iter().chain(arguments).copied().collect();
    let done = program.run(&all).expect(code);
    let report: Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
    report["resources"].as_array().unwrap().iter().find(|found| found["resource"] == resource).unwrap().clone()
}

/// The state in the newest version of a resource.
fn state(lake: &Path, resource: &str) -> Value {
    let folder = lake.join("_pearlift/manifests").join(resource);
    let versions = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let text = std::fs::read_to_string(versions.max().unwrap()).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["state"].take()
}

fn pending(lake: &Path, resource: &str) -> Vec<i64> {
    let pending = state(lake, resource)["pending"].as_array().unwrap().clone();
    pending.iter().map(|pending| pending["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_older_than_the_stored_one_changes_nothing_and_its_id_is_pending() {
    // GIVEN orders with a stored change, and a source that returns them as they were before it
    let (sandbox, lake, program, ids) = edited(300, "order", 12).await;
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, text(lake.path()), ORDERS);
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));

    // WHEN they are read again, alone and with everything
    for arguments in [vec!["backfill", "order", "--ids", &list(&ids)], vec!["run", "--full", "order"]] {
        let found = report(&program, &arguments, "order", 3);

        // THEN the stored rows stay, the ids are pending, and the report counts them
        check_truth(&sandbox, text(lake.path()), ORDERS);
        assert_eq!(pending(lake.path(), "order"), ids);
        assert_eq!(found["older_than_stored"], 12);
    }
    let reason = state(lake.path(), "order")["pending"][0]["reason"].to_string();
    assert!(reason.contains("older than the stored one (version "), "{reason}");

    // WHEN the source is sound again, and a night goes by
    answer(&sandbox, json!([]));
    program.run(&["run", "order"]).expect(0);

    // THEN nothing is pending, and nothing of it is remembered
    assert!(pending(lake.path(), "order").is_empty());
    assert_eq!(state(lake.path(), "order")["evidence"]["older"], Value::Null);
    check_truth(&sandbox, text(lake.path()), ORDERS);
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_lower_value_is_accepted_an_hour_later_and_reported_as_went_back() {
    // GIVEN stored orders of which older copies come, in two runs within an hour
    let (sandbox, lake, program, ids) = edited(300, "order", 4).await;
    program.run(&["run", "order"]).expect(0);
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));
    let chosen = list(&ids);
    let arguments = ["backfill", "order", "--ids", &chosen];
    report(&program, &arguments, "order", 3);
    sandbox.age(Duration::from_secs(1800));
    report(&program, &arguments, "order", 3);
    assert_eq!(pending(lake.path(), "order"), ids);
    check_truth(&sandbox, text(lake.path()), ORDERS);

    // WHEN they come again an hour after the first time
    sandbox.age(Duration::from_secs(1801));
    let found = report(&program, &arguments, "order", 0);

    // THEN they are taken, reported by id, and nothing is pending
    assert_eq!(found["went_back"], json!(ids));
    assert!(pending(lake.path(), "order").is_empty());
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let fresh = format!(
        "SELECT count(*) FROM read_parquet('{glob}') WHERE id IN ({chosen}) AND _run_id = (SELECT max_by(_run_id, _extracted_at) FROM read_parquet('{glob}'))"
    );
    assert_eq!(query(&fresh), ["4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accept_older_takes_older_copies_of_the_ids_named_at_once() {
    // GIVEN stored orders of which older copies come
    let (sandbox, lake, program, ids) = edited(300, "order", 6).await;
    program.run(&["run", "order"]).expect(0);
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));
    report(&program, &["backfill", "order", "--ids", &list(&ids)], "order", 3);

    // WHEN a person accepts two of them
    let found = report(&program, &["backfill", "order", "--ids", &list(&ids[..2]), "--accept-older"], "order", 3);

    // THEN these two are taken, and the others stay pending
    assert_eq!(found["went_back"], json!(&ids[..2]));
    assert_eq!(pending(lake.path(), "order"), &ids[2..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_row_of_a_search_holds_the_watermark_until_it_is_read_again() {
    // GIVEN goods movements with a stored change, and a search that shows one page as it was before
    let (sandbox, lake, program, ids) = edited(300, "goods_movement", 5).await;
    program.run(&["run", "goods_movement"]).expect(0);
    let before = state(lake.path(), "goods_movement")["watermark"].clone();
    sandbox.age(Duration::from_secs(3600));
    answer(&sandbox, json!([{"path": "goods-movement-search", "then": "stale"}]));

    // WHEN everything is read again
    report(&program, &["run", "--full", "goods_movement"], "goods_movement", 3);

    // THEN the stored rows stay, the ids are pending, and the watermark is where it was
    check_truth(&sandbox, text(lake.path()), &["--only", "goods_movement"]);
    assert_eq!(pending(lake.path(), "goods_movement"), ids);
    assert_eq!(state(lake.path(), "goods_movement")["watermark"], before);

    // WHEN the search is sound again THEN the next night clears them
    answer(&sandbox, json!([]));
    program.run(&["run", "goods_movement"]).expect(0);
    assert!(pending(lake.path(), "goods_movement").is_empty());
    check_truth(&sandbox, text(lake.path()), &["--only", "goods_movement"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_appears_again_leaves_the_files_of_deleted_rows() {
    // GIVEN orders of which some were found deleted: their rows were moved
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_DELETES", "move");
    program.run(&["run", "order"]).expect(0);
    let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(40).collect();
    sandbox.delete("order", &gone);
    sandbox.age(Duration::from_secs(3600));
    program.run(&["reconcile", "order"]).expect(0);
    let deleted = |table: &str, column: &str| -> Vec<i64> {
        let glob = format!("{}/_pearlift/deleted/{table}/*.parquet", lake.path().display());
        let rows = query(&format!("SELECT DISTINCT {column} FROM read_parquet('{glob}') ORDER BY 1"));
        rows.iter().map(|id| id.parse().unwrap()).collect()
    };
    assert_eq!(deleted("order", "id"), gone);

    // WHEN two of them appear again
    sandbox.restore("order", &gone[..2]);
    let found = report(&program, &["backfill", "order", "--ids", &list(&gone)], "order", 0);

    // THEN they are in the tables, no longer among the deleted rows, and the report counts these
    assert_eq!(deleted("order", "id"), &gone[2..]);
    assert_eq!(deleted("order_row", "order_id"), &gone[2..]);
    assert!(found["deletions_cancelled"].as_u64().unwrap() > 2, "{found}");
    check_truth(&sandbox, text(lake.path()), ORDERS);
    program.run(&["verify", "--deep"]).expect(0);

    // WHEN all others do THEN no file of deleted rows is left
    sandbox.restore("order", &gone[2..]);
    program.run(&["backfill", "order", "--ids", &list(&gone)]).expect(0);
    assert!(!crate::support::files(lake.path()).iter().any(|file| text(file).contains("_pearlift/deleted/")));
    check_truth(&sandbox, text(lake.path()), ORDERS);
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_document_older_than_its_search_row_is_asked_for_again() {
    // GIVEN changed orders, and first documents that lag behind the search
    let (sandbox, lake, program, _) = edited(300, "order", 8).await;
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1], "then": "stale"}]));
    sandbox.take_log();

    // WHEN a night goes by
    program.run(&["run", "order"]).expect(0);

    // THEN they came with a second request, and nothing is pending
    check_truth(&sandbox, text(lake.path()), ORDERS);
    assert_eq!(sandbox.take_log().documents(), 2);
    assert_eq!(state(lake.path(), "order")["evidence"]["awaited"], Value::Null);

    // AND the same holds for a part that is read again by the date of change
    sandbox.age(Duration::from_secs(24 * 3600));
    let ids: Vec<i64> = sandbox.ids("order").into_iter().step_by(11).take(5).collect();
    sandbox.edit("order", &ids);
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1], "then": "stale"}]));
    let day = sandbox.now().to_string()[..10].to_owned();
    program.run(&["backfill", "order", "--by", "updatedOn", "--from", &day, "--to", "2100-01-01"]).expect(0);
    check_truth(&sandbox, text(lake.path()), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_document_that_stays_stale_is_pending_until_the_change_arrives_whatever_the_search_shows() {
    // GIVEN changed orders, and documents that lag behind the search
    let (sandbox, lake, program, ids) = edited(300, "order", 8).await;
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));

    // WHEN two nights go by: in the last one the search shows nothing of the change any more
    for night in 0..2 {
        let found = report(&program, &["run", "order"], "order", 3);

        // THEN each of them leaves the ids pending
        assert_eq!(pending(lake.path(), "order"), ids, "night {night}");
        assert!(night > 0 || found["stale_documents"] == 8, "{found}");
        sandbox.age(Duration::from_secs(24 * 3600));
    }

    // WHEN the documents have caught up THEN the change arrives
    answer(&sandbox, json!([]));
    program.run(&["run", "order"]).expect(0);
    assert!(pending(lake.path(), "order").is_empty());
    check_truth(&sandbox, text(lake.path()), ORDERS);
}

/// Lets the source edit orders by a clock that is set back by so many seconds meanwhile.
fn edit_earlier(sandbox: &Sandbox, ids: &[i64], seconds: u64) {
    sandbox.set_back(Duration::from_secs(seconds));
    sandbox.edit("order", ids);
    sandbox.age(Duration::from_secs(seconds));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_document_whose_date_a_clock_setback_put_before_the_search_is_accepted_after_an_hour() {
    // GIVEN changed orders with documents that lag behind their search in one night
    let (sandbox, lake, program, ids) = edited(300, "order", 3).await;
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));
    report(&program, &["run", "order"], "order", 3);

    // AND that were edited once more while the source's clock was set back: no search for changes shows them again
    answer(&sandbox, json!([]));
    edit_earlier(&sandbox, &ids, 10 * 3_600);
    report(&program, &["run", "order"], "order", 3);
    assert_eq!(pending(lake.path(), "order"), ids);

    // WHEN a search by the date that the documents have shows them an hour later THEN they are accepted
    sandbox.age(Duration::from_secs(3_600));
    program.run(&["run", "order"]).expect(0);
    assert!(pending(lake.path(), "order").is_empty());
    assert_eq!(state(lake.path(), "order")["evidence"]["awaited"], Value::Null);
    check_truth(&sandbox, text(lake.path()), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_document_that_is_stored_is_accepted_once_the_search_shows_the_date_that_it_has() {
    // GIVEN changed orders, and a search that shows a later date than their documents have, as of an edit after which the
    // source's clock was set back and another edit followed
    let (sandbox, lake, program, ids) = edited(300, "order", 3).await;
    let edited = "T11:00:";
    let later = json!({"replace": {"from": edited, "to": "T11:09:"}});
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order-search", "then": later}]));
    report(&program, &["run", "order"], "order", 3);
    assert_eq!(pending(lake.path(), "order"), ids);

    // WHEN the search shows the date that the stored documents have THEN they are accepted
    answer(&sandbox, json!([]));
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "order"]).expect(0);
    assert!(pending(lake.path(), "order").is_empty());
    check_truth(&sandbox, text(lake.path()), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_documents_that_stay_stale_suspend_the_rule_and_are_reported() {
    // GIVEN many changed orders, and documents that lag behind the search
    let (sandbox, lake, program, _) = edited(300, "order", 40).await;
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));

    // WHEN a night goes by
    let done = program.run(&["run", "order"]).expect(0);

    // THEN they are taken as they are, and that is reported
    assert!(done.stderr.contains("older than the rows in the search in two answers"), "{}", done.stderr);
    assert!(pending(lake.path(), "order").is_empty());
    let until = state(lake.path(), "order")["evidence"]["stale_suspended_until"].clone();
    assert!(until.is_string(), "{until}");

    // WHEN another night goes by THEN no document is asked for twice
    sandbox.age(Duration::from_secs(24 * 3600));
    sandbox.edit("order", &sandbox.ids("order")[..3]);
    sandbox.take_log();
    program.run(&["run", "order"]).expect(0);
    assert_eq!(sandbox.take_log().documents(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resumed_scan_still_compares_documents_with_the_search_of_its_first_run() {
    // GIVEN a night that the source refused after the first of several sets of documents
    let (sandbox, lake, program, _) = edited(3_000, "order", 420).await;
    let refusal =
        json!({"status": {"status": 403, "body": "{\"errors\":[{\"code\":\"CMNC-003\",\"message\":\"no\"}]}"}});
    let rest: Vec<u64> = (2..40).collect();
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": rest, "then": refusal}]));
    let done = program.run(&["run", "order"]);
    assert_ne!(done.code, 0, "{}", done.stderr);
    assert!(state(lake.path(), "order")["scan"].is_object(), "{}", done.stderr);

    // WHEN the next run resumes it, and a document of each set lags at first
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "at": [1], "then": "stale"}]));
    program.run(&["run", "order"]).expect(0);

    // THEN the change is there
    check_truth(&sandbox, text(lake.path()), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_older_copies_fail_the_scan_and_change_nothing() {
    // GIVEN many orders with a stored change, and a source that returns them as they were before it
    let (sandbox, lake, program, _) = edited(500, "order", 60).await;
    program.run(&["run", "order"]).expect(0);
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));

    // WHEN everything is read again THEN the scan fails, reports it, and the tables are unchanged
    let done = program.run(&["run", "--full", "order"]);
    assert_ne!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("are older than the stored ones, and at most 50 may be"), "{}", done.stderr);
    assert!(done.stderr.contains("--accept-older"), "{}", done.stderr);
    check_truth(&sandbox, text(lake.path()), ORDERS);
    assert!(pending(lake.path(), "order").is_empty());

    // AND a healthy night is a healthy night
    answer(&sandbox, json!([]));
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, text(lake.path()), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn older_copies_in_files_that_are_built_anew_are_pending() {
    // GIVEN orders with a stored change, a schema of another partition, and a source that lags
    let (sandbox, lake, program, ids) = edited(300, "order", 6).await;
    program.run(&["run", "order"]).expect(0);
    answer(&sandbox, json!([{"method": "GET", "path": "order-service/order/", "then": "stale"}]));
    let copies = |glob: &str| {
        let rows = format!("read_parquet('{}/{glob}', hive_partitioning = true)", lake.path().display());
        query(&format!("SELECT id, version, updated_on FROM {rows} WHERE id IN ({}) ORDER BY id", list(&ids)))
    };
    let before = copies("order/**/*.parquet");
    let schemas = tempfile::tempdir().unwrap();
    let own = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/order.toml")).unwrap();
    let other: Vec<&str> = own.lines().filter(|line| *line != "partition = \"month(created_on)\"").collect();
    assert!(other.len() < own.lines().count());
    std::fs::write(schemas.path().join("order.toml"), other.join("\n")).unwrap();
    let folder = text(schemas.path()).to_owned();

    // WHEN all files are built anew
    program.run(&["--schemas", &folder, "run", "--full", "order"]).expect(3);

    // THEN the ids of older copies are pending, and the next night brings the newer ones
    assert_ne!(copies("order/*.parquet"), before);
    assert_eq!(pending(lake.path(), "order"), ids);
    answer(&sandbox, json!([]));
    program.run(&["--schemas", &folder, "run", "order"]).expect(0);
    assert!(pending(lake.path(), "order").is_empty());
    assert_eq!(copies("order/*.parquet"), before);
}
