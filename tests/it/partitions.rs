//! Files divided by the month, quarter or year of a date, or not at all: by the settings, by the number of rows, and anew.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use pearlift::clean::{CleanOutcome, Cleaning, Repartition, clean};
use pearlift::config::Encodings;
use pearlift::failure::{Failure, Kind};
use pearlift::run::{Outcome, run_in};
use pearlift::sandbox::Sandbox;
use pearlift::schema::Catalog;
use pearlift::store::{Store, StoreStep};
use pearlift::write::Sizes;
use serde_json::Value;

use crate::support::{Program, Weed, account, check_truth, copy_folder, files, findings, flip, head, look, query};

const WORDS: [&str; 4] = ["month", "quarter", "year", "none"];
const NAMES: [&str; 4] = ["order", "customer_payment", "goods_out_note", "journal"];
const TABLES: &str = "order,order_row,order_party,order_invoice,order_custom_field,customer_payment,goods_out_note,\
                      goods_out_note_row,journal,journal_line";
const EMPTY: &str = "order_custom_field,order_invoice";

pub fn program(sandbox: &Sandbox, lake: &Path, partition: &str) -> Program {
    Program::new(sandbox, lake).with("PEARLIFT_RESOURCES_PARTITION", partition)
}

/// The name of the partition of a table, as the head states it.
fn partition(lake: &Path, resource: &str, table: &str) -> Option<String> {
    head(lake, resource)["tables"][table]["partition"].as_str().map(str::to_owned)
}

/// Folders below a folder of a lake, without the administration, that hold nothing.
pub fn empty_folders(lake: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(lake).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        if entry.file_name() == "_pearlift" {
            continue;
        }
        let below = empty_folders(&entry.path());
        let is_empty = std::fs::read_dir(entry.path()).unwrap().next().is_none();
        found.extend(is_empty.then(|| entry.path()).into_iter().chain(below));
    }
    found
}

/// Every row of a table with its origin, in the order of all columns; without the column of the folder.
fn rows(lake: &Path, table: &str) -> Vec<String> {
    let glob = format!("{}/{table}/**/*.parquet", lake.display());
    query(&format!("SELECT t FROM read_parquet('{glob}', hive_partitioning = false) t ORDER BY ALL"))
}

fn all_rows(lake: &Path) -> Vec<Vec<String>> {
    ["order", "order_row", "order_party", "goods_out_note_row", "journal_line"].map(|table| rows(lake, table)).to_vec()
}

#[track_caller]
fn repartition(program: &Program, arguments: &[&str], code: i32) -> Vec<Value> {
    let done = program.run(&[&["clean", "--repartition", "--json"], arguments].concat()).expect(code);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    said["repartitioned"].as_array().unwrap().clone()
}

#[track_caller]
fn is_true(sandbox: &Sandbox, program: &Program, lake: &Path, word: &str) {
    let tables = lake.to_str().unwrap();
    check_truth(sandbox, tables, &["--only", TABLES, "--partition", word, "--may-be-empty", EMPTY]);
    assert_eq!(findings(program, &["--deep"], 0), Vec::<String>::new(), "{word}");
}

/// A night later: records came, changed, and were deleted.
fn a_night(sandbox: &Sandbox) {
    sandbox.age(Duration::from_secs(6 * 3600));
    for kind in NAMES {
        sandbox.insert(kind, 3);
    }
    for kind in ["order", "goods_out_note"] {
        let some: Vec<i64> = sandbox.ids(kind).into_iter().step_by(9).collect();
        sandbox.edit(kind, &some);
    }
    sandbox.age(Duration::from_secs(600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_granularity_equals_the_truth_after_a_load_a_night_and_deletions() {
    for word in WORDS {
        // GIVEN a first load with a granularity
        let sandbox = account(120).await;
        let lake = tempfile::tempdir().unwrap();
        let program = program(&sandbox, lake.path(), word);
        let run = [&["run"][..], &NAMES].concat();
        program.run(&run).expect(0);
        // THEN the manifests state it, for all tables alike
        let segment = (word != "none").then(|| format!("created_{word}"));
        assert_eq!(partition(lake.path(), "order", "order"), segment);
        assert_eq!(partition(lake.path(), "order", "order_row"), segment);
        is_true(&sandbox, &program, lake.path(), word);

        // WHEN a night changes records
        a_night(&sandbox);
        program.run(&run).expect(0);
        is_true(&sandbox, &program, lake.path(), word);

        // WHEN records are deleted, and the ids compared
        let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(40).collect();
        sandbox.delete("order", &gone);
        program.run(&["reconcile", "--force", "order"]).expect(0);
        is_true(&sandbox, &program, lake.path(), word);

        // WHEN a file is damaged THEN its records are read again
        flip(&files(&lake.path().join("order_row"))[0]);
        program.run(&["backfill", "--damaged", "order"]).expect(0);
        is_true(&sandbox, &program, lake.path(), word);
        assert_eq!(partition(lake.path(), "order", "order_row"), segment);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn auto_takes_the_coarsest_granularity_in_which_no_partition_has_too_many_rows() {
    // GIVEN the rows of the largest table, by period
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let auto = program(&sandbox, lake.path(), "auto");
    auto.run(&["run", "order"]).expect(0);
    assert_eq!(partition(lake.path(), "order", "order_row"), None, "a small account is not divided");
    let tables = head(lake.path(), "order")["tables"].as_object().unwrap().clone();
    let size = |table: &Value| -> u64 {
        table["files"].as_array().unwrap().iter().map(|file| file["rows"].as_u64().unwrap()).sum()
    };
    let (largest, _) = tables.iter().filter(|(name, _)| *name != "order").max_by_key(|(_, table)| size(table)).unwrap();
    let most = |period: &str| -> u64 {
        let (row, order) = (lake.path().join(largest), lake.path().join("order"));
        let sql = format!(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM read_parquet('{}/*.parquet') r JOIN read_parquet('{}/*.parquet') o \
             ON o.id = r.order_id GROUP BY date_trunc('{period}', o.created_on AT TIME ZONE 'UTC'))",
            row.display(),
            order.display()
        );
        query(&sql)[0].parse().unwrap()
    };
    let (year, quarter) = (most("year"), most("quarter"));
    assert!(quarter < year, "{quarter} {year}");
    let expected =
        [(year, "created_year"), (year - 1, "created_quarter"), (quarter - 1, "created_month"), (1, "created_month")];
    for (rows, segment) in expected {
        // WHEN a first load may have so many in a partition THEN it has the coarsest
        let other = tempfile::tempdir().unwrap();
        let limited = program(&sandbox, other.path(), "auto").with("PEARLIFT_LIMITS_PARTITION_ROWS", &rows.to_string());
        limited.run(&["run", "order"]).expect(0);
        assert_eq!(
            partition(other.path(), "order", "order_row").as_deref(),
            Some(segment),
            "{rows} of {year}, {quarter}"
        );
        // AND files that are divided otherwise become so
        let before = rows_of_both(lake.path());
        let copy = tempfile::tempdir().unwrap();
        copy_folder(lake.path(), copy.path());
        let anew = program(&sandbox, copy.path(), "auto").with("PEARLIFT_LIMITS_PARTITION_ROWS", &rows.to_string());
        let done = repartition(&anew, &[], 0);
        assert_eq!((done.len(), &done[0]["from"]), (1, &Value::from("none")), "{done:?}");
        assert_eq!(partition(copy.path(), "order", "order_row").as_deref(), Some(segment));
        assert_eq!(rows_of_both(copy.path()), before);
    }
}

fn rows_of_both(lake: &Path) -> [Vec<String>; 2] {
    [rows(lake, "order"), rows(lake, "order_row")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_divided_anew_have_the_same_rows_and_the_next_night_continues() {
    // GIVEN files by month, with rows of deleted records
    let sandbox = account(150).await;
    let lake = tempfile::tempdir().unwrap();
    let month = program(&sandbox, lake.path(), "month");
    month.run(&[&["run"][..], &NAMES].concat()).expect(0);
    sandbox.delete("order", &sandbox.ids("order")[..3]);
    month.run(&["reconcile", "order"]).expect(0);
    let held = all_rows(lake.path());
    let state = head(lake.path(), "order")["state"].clone();
    let deleted = head(lake.path(), "order")["deleted"].clone();
    assert!(!deleted.as_array().unwrap().is_empty());
    for (from, word) in [("month", "none"), ("none", "quarter"), ("quarter", "year"), ("year", "month")] {
        let program = program(&sandbox, lake.path(), word);
        // WHEN it is only listed THEN nothing changes
        let before = files(lake.path());
        assert_eq!(repartition(&program, &["--dry-run"], 0).len(), NAMES.len());
        assert_eq!(files(lake.path()), before);
        // WHEN one is named THEN it alone changes
        let done = repartition(&program, &["order"], 0);
        assert_eq!(
            (done.len(), &done[0]["resource"], &done[0]["from"]),
            (1, &"order".into(), &from.into()),
            "{done:?}"
        );
        // WHEN all are THEN the others do, once
        assert_eq!(repartition(&program, &[], 0).len(), NAMES.len() - 1);
        assert_eq!(repartition(&program, &[], 0), Vec::<Value>::new());
        // AND rows, state and rows of deleted records are the same
        assert_eq!(all_rows(lake.path()), held, "{word}");
        assert_eq!(head(lake.path(), "order")["state"], state);
        assert_eq!(head(lake.path(), "order")["deleted"], deleted);
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new(), "{word}");
    }
    // AND the nightly run continues, in the granularity of the manifest
    let none = program(&sandbox, lake.path(), "none");
    repartition(&none, &[], 0);
    a_night(&sandbox);
    none.run(&[&["run"][..], &NAMES].concat()).expect(0);
    is_true(&sandbox, &none, lake.path(), "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_keeps_the_granularity_of_the_manifest_and_states_the_command_that_changes_it() {
    // GIVEN files by month, and settings that ask for years
    let sandbox = account(100).await;
    let lake = tempfile::tempdir().unwrap();
    program(&sandbox, lake.path(), "month").run(&["run", "order"]).expect(0);
    let year = program(&sandbox, lake.path(), "month").with("PEARLIFT_RESOURCE_ORDER_PARTITION", "year");
    a_night(&sandbox);
    // WHEN a run is made, of changes or of everything
    for arguments in [&["run", "order"][..], &["run", "--full", "order"]] {
        let done = year.run(arguments).expect(0);
        // THEN the files are by month, and the command is stated
        let hint = "the settings ask for `year`: `pearlift clean --repartition order`";
        assert!(done.stderr.contains(hint), "{}", done.stderr);
        assert_eq!(partition(lake.path(), "order", "order").as_deref(), Some("created_month"));
    }
    // WHEN the command is given THEN they are by year, and nothing is stated any more
    repartition(&year, &["order"], 0);
    let done = year.run(&["run", "order"]).expect(0);
    assert!(!done.stderr.contains("repartition"), "{}", done.stderr);
    is_true_of_orders(&sandbox, lake.path(), "year");

    // WHEN `auto` finds a partition that has outgrown its size
    let auto = program(&sandbox, lake.path(), "auto").with("PEARLIFT_LIMITS_PARTITION_ROWS", "20");
    let done = auto.run(&["run", "order"]).expect(0);
    // THEN a finer one is proposed, which the command takes
    assert!(done.stderr.contains("order_row has ") && done.stderr.contains(" in created_year="), "{}", done.stderr);
    assert!(done.stderr.contains("`pearlift clean --repartition order`"), "{}", done.stderr);
    assert_eq!(repartition(&auto, &[], 0)[0]["to"], "month");
    assert!(!auto.run(&["run", "order"]).expect(0).stderr.contains("repartition"));
    is_true_of_orders(&sandbox, lake.path(), "month");
}

#[track_caller]
fn is_true_of_orders(sandbox: &Sandbox, lake: &Path, word: &str) {
    check_truth(sandbox, lake.to_str().unwrap(), &["--only", "order,order_row,order_party", "--partition", word]);
}

#[test]
fn a_granularity_is_refused_where_no_date_divides_the_files() {
    let lake = tempfile::tempdir().unwrap();
    let program = Program::bare(lake.path());
    let done = program.clone().with("PEARLIFT_RESOURCE_PRODUCT_PARTITION", "year").run(&["status"]).expect(2);
    assert!(done.stderr.contains("resource.product.partition"), "{}", done.stderr);
    let done = program.with("PEARLIFT_RESOURCES_PARTITION", "week").run(&["status"]).expect(2);
    assert!(done.stderr.contains("quarter"), "{}", done.stderr);
}

/// A run inside the test with a granularity, at this store.
async fn run_at(program: &Program, store: Store) -> Outcome {
    let mut request = program.request(&["order"]);
    let catalog = request.settings.shape(Catalog::load(None).unwrap()).unwrap();
    request.catalog = Arc::new(catalog);
    run_in(request, store).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_load_that_ends_before_its_files_are_divided_is_divided_by_the_next_run() {
    // GIVEN a first load that fails between its last commit and the next
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path(), "year");
    let committed = AtomicBool::new(false);
    let store = program.store().watched(move |step, _| match step {
        StoreStep::Published => {
            committed.store(true, Ordering::SeqCst);
            Ok(())
        }
        StoreStep::TableStaged if committed.load(Ordering::SeqCst) => {
            Err(Failure::new(Kind::StoreUnreachable, "stage"))
        }
        _ => Ok(()),
    });
    assert_ne!(run_at(&program, store).await.exit_code(false), 0);
    assert_eq!(partition(lake.path(), "order", "order").as_deref(), Some("created_month"));
    assert_eq!(head(lake.path(), "order")["state"]["partition_open"], true);
    // WHEN the next run ends THEN they are divided
    program.run(&["run", "order"]).expect(0);
    assert_eq!(partition(lake.path(), "order", "order").as_deref(), Some("created_year"));
    assert_eq!(head(lake.path(), "order")["state"]["partition_open"], Value::Null);
    is_true_of_orders(&sandbox, lake.path(), "year");
}

/// Divides files anew inside the test, with so many bytes of memory for rows.
async fn divide(program: &Program, store: &Store, memory: u64) -> CleanOutcome {
    let request = program.request(&[]);
    let catalog = request.settings.shape(Catalog::load(None).unwrap()).unwrap();
    let spool = tempfile::tempdir().unwrap();
    let encodings = Encodings::Common;
    let sizes = Sizes { file_bytes: 1 << 20, row_group_rows: 1024, row_group_bytes: 1 << 20, encodings };
    let repartition = Some(Repartition { names: &[], sizes, spool: spool.path(), memory, partition_rows: 1_000_000 });
    let now = Timestamp::now();
    let work = Cleaning { store, catalog: &catalog, account: "acme", now, dry_run: false, compact: None, repartition };
    clean(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_beyond_the_memory_go_through_the_disk() {
    for (from, word) in [("month", "none"), ("none", "month")] {
        // GIVEN files, and 4 KiB of memory for their rows
        let sandbox = account(150).await;
        let lake = tempfile::tempdir().unwrap();
        program(&sandbox, lake.path(), from).run(&["run", "order"]).expect(0);
        let held = rows_of_both(lake.path());
        let program = program(&sandbox, lake.path(), word);
        let segments = Arc::new(AtomicUsize::new(0));
        let store = program.store().watched({
            let segments = Arc::clone(&segments);
            move |step, _| {
                segments.fetch_add(usize::from(step == StoreStep::SegmentWritten), Ordering::SeqCst);
                Ok(())
            }
        });
        // WHEN they are divided anew THEN the rows are spooled, and the same
        let outcome = divide(&program, &store, 4 << 10).await;
        assert!(outcome.failures.is_empty() && outcome.repartitioned.len() == 1, "{outcome:?}");
        assert!(segments.load(Ordering::SeqCst) >= 5, "{segments:?}");
        assert_eq!(rows_of_both(lake.path()), held);
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repartition_that_ends_at_any_step_leaves_the_old_files_or_the_new_ones() {
    // GIVEN files by month, and the steps of a repartition
    let sandbox = account(40).await;
    let lake = tempfile::tempdir().unwrap();
    program(&sandbox, lake.path(), "month").run(&["run", "order"]).expect(0);
    let held = rows_of_both(lake.path());
    let before = look("order", &[lake.path()]).remove(0);
    let steps: Arc<Mutex<Vec<StoreStep>>> = Arc::default();
    let trial = tempfile::tempdir().unwrap();
    copy_folder(lake.path(), trial.path());
    let year = program(&sandbox, trial.path(), "year");
    let seen = Arc::clone(&steps);
    let store = year.store().watched(move |step, _| {
        seen.lock().unwrap().push(step);
        Ok(())
    });
    assert!(divide(&year, &store, 1 << 20).await.failures.is_empty());
    let steps = steps.lock().unwrap().clone();
    // The first and the last of each kind.
    let ends = |at: &usize| {
        let same = |other: &usize| steps[*other] == steps[*at];
        (0..steps.len()).find(same) == Some(*at) || (0..steps.len()).rev().find(same) == Some(*at)
    };
    let mut outcomes = [0, 0];
    for at in (0..steps.len()).filter(ends) {
        // WHEN it ends there
        let copy = tempfile::tempdir().unwrap();
        copy_folder(lake.path(), copy.path());
        let year = program(&sandbox, copy.path(), "year");
        let count = AtomicUsize::new(0);
        let store = year.store().watched(move |_, _| match count.fetch_add(1, Ordering::SeqCst) >= at {
            true => Err(Failure::new(Kind::StoreUnreachable, "go on")),
            false => Ok(()),
        });
        let _ = divide(&year, &store, 1 << 20).await;
        // THEN the head is the old one or the new one, of the same rows
        let step = steps[at];
        let name = partition(copy.path(), "order", "order");
        outcomes[usize::from(name.as_deref() == Some("created_year"))] += 1;
        let after = look("order", &[copy.path()]).remove(0);
        let digest = |look: &Value| look["resources"]["order"]["tables"]["order_row"]["digest"].clone();
        assert_eq!(digest(&after), digest(&before), "{step:?}: {after}");
        // AND the next one completes it
        repartition(&year, &[], 0);
        assert_eq!(partition(copy.path(), "order", "order_row").as_deref(), Some("created_year"), "{step:?}");
        assert_eq!(rows_of_both(copy.path()), held, "{step:?}");
        assert_eq!(empty_folders(copy.path()), Vec::<PathBuf>::new(), "{step:?}");
        assert_eq!(findings(&year, &["--deep"], 0), Vec::<String>::new(), "{step:?}");
    }
    assert!(outcomes.iter().all(|count| *count > 1), "{outcomes:?} of {steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_in_a_bucket_are_divided_anew() {
    // GIVEN files by month in a bucket
    let sandbox = account(60).await;
    let weed = Weed::start();
    let month = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    month.run(&["run", "order"]).expect(0);
    // WHEN they are divided by year, and not at all, THEN they equal the truth
    for word in ["year", "none"] {
        let program = month.clone().with("PEARLIFT_RESOURCES_PARTITION", word);
        assert_eq!(repartition(&program, &[], 0).len(), 1);
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
        let endpoint = weed.endpoint().to_string();
        let more = ["--only", "order,order_row,order_party", "--partition", word, "--s3-endpoint", &endpoint];
        check_truth(&sandbox, "s3://lake/shop", &more);
    }
}
