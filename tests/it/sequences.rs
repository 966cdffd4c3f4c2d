//! Any order of events of an account and of commands on its tables: in the end the tables equal the truth.
//!
//! A case is a sequence of steps, drawn and shrunk by proptest; `PROPTEST_CASES` sets how many (`make soak`).

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use jiff::tz::Offset;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::schema::{Catalog, Table};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Program, check_truth, files, flip, is_history, lean_orders, start, this_morning};

/// Cases of a plain `make test`; each takes some seconds.
const CASES: u32 = 6;
/// The kinds that are read by id sets: every event happens to them.
const KINDS: [&str; 5] = ["order", "product", "contact", "goods_out_note", "journal"];

/// One event. Records are picked by a number among those that exist then.
#[derive(Clone, Debug)]
enum Step {
    Insert(&'static str, u64),
    Pay(u64),
    /// Goods come in: notes, movements, and movements that are changed.
    Receive(u64, usize),
    Edit(&'static str, usize),
    /// Changed without a date.
    Touch(&'static str, usize),
    Delete(&'static str, usize),
    /// Deleted records are there again.
    Restore(&'static str),
    Age(u64),
    Run,
    /// A run killed after so many requests.
    Kill(u64),
    /// The last so many days, by the date of creation.
    BackfillRange(&'static str, i64),
    BackfillIds(&'static str, usize),
    Reconcile,
    Clean,
    /// Small files are joined.
    Compact,
    /// A byte of some data file flips; its records are read again.
    Damage(usize),
    /// The schema of orders gains columns and digits, where it lacked them.
    Schema,
    /// Least recently read records are read again in each run from here on.
    Reread,
}

fn kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KINDS.to_vec())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (kind(), 1_u64..6).prop_map(|(kind, count)| Step::Insert(kind, count)),
        2 => (1_u64..6).prop_map(Step::Pay),
        2 => (1_u64..6, 3_usize..40).prop_map(|(count, every)| Step::Receive(count, every)),
        3 => (kind(), 2_usize..40).prop_map(|(kind, every)| Step::Edit(kind, every)),
        1 => (kind(), 5_usize..40).prop_map(|(kind, every)| Step::Touch(kind, every)),
        2 => (kind(), 15_usize..60).prop_map(|(kind, every)| Step::Delete(kind, every)),
        1 => kind().prop_map(Step::Restore),
        3 => prop::sample::select(vec![1, 30, 90, 1_800, 7_300]).prop_map(Step::Age),
        4 => Just(Step::Run),
        2 => (1_u64..45).prop_map(Step::Kill),
        1 => (kind(), 1_i64..80).prop_map(|(kind, days)| Step::BackfillRange(kind, days)),
        1 => (kind(), 3_usize..30).prop_map(|(kind, every)| Step::BackfillIds(kind, every)),
        1 => Just(Step::Reconcile),
        1 => Just(Step::Clean),
        1 => Just(Step::Compact),
        1 => (0_usize..1_000).prop_map(Step::Damage),
        1 => Just(Step::Schema),
        1 => Just(Step::Reread),
    ]
}

/// An account, its tables, and the known bound of their distance from the truth.
struct Case {
    sandbox: Sandbox,
    lake: tempfile::TempDir,
    program: Program,
    /// Whether a run went through: before that nothing can be read again.
    loaded: bool,
    /// Kinds changed without a date: only reading them again shows it.
    touched: Vec<&'static str>,
    deleted: Vec<(&'static str, Vec<i64>)>,
    /// The folder of the schema that lacks something.
    _schemas: tempfile::TempDir,
}

impl Case {
    async fn new() -> Self {
        let settings = SandboxSettings {
            limit: 0,
            now: Some(this_morning()),
            page_cap: 60,
            // Few months, for each makes a file of each table.
            history: 70,
            ..SandboxSettings::default()
        };
        let sandbox = start(settings, Size { orders: 160, ..Size::default() }).await;
        let lake = tempfile::tempdir().unwrap();
        let program = Program::new(&sandbox, lake.path())
            .by_month()
            .with("PEARLIFT_LIMITS_COMMIT_EVERY", "20ms")
            .with("PEARLIFT_LIMITS_CONCURRENCY", "3")
            // The day's last snapshot wins: it is taken again each time.
            .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
        let schemas = lean_orders();
        let program = program.with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());
        let (touched, deleted) = (Vec::new(), Vec::new());
        Self { sandbox, lake, program, loaded: false, touched, deleted, _schemas: schemas }
    }

    fn every(&self, kind: &str, every: usize) -> Vec<i64> {
        self.sandbox.ids(kind).into_iter().rev().step_by(every).collect()
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Insert(kind, count) => drop(self.sandbox.insert(kind, count)),
            Step::Pay(count) => {
                self.sandbox.insert("customer_payment", count);
                self.sandbox.insert("supplier_payment", 1);
            }
            Step::Receive(count, every) => {
                self.sandbox.insert("goods_in_note", count);
                self.sandbox.insert("goods_movement", count * 3);
                self.sandbox.edit("goods_movement", &self.every("goods_movement", every));
            }
            Step::Edit(kind, every) => {
                self.sandbox.edit(kind, &self.every(kind, every));
                // The source dates the creation of a posting, and no change.
                self.touched.extend((kind == "journal").then_some(kind));
            }
            Step::Touch(kind, every) => {
                self.sandbox.touch(kind, &self.every(kind, every));
                self.touched.push(kind);
            }
            Step::Delete(kind, every) => {
                let ids = self.every(kind, every);
                self.sandbox.delete(kind, &ids);
                self.deleted.push((kind, ids));
            }
            Step::Restore(kind) => {
                if let Some(place) = self.deleted.iter().position(|(deleted, _)| *deleted == kind) {
                    self.sandbox.restore(kind, &self.deleted.remove(place).1);
                }
            }
            Step::Age(seconds) => self.sandbox.age(Duration::from_secs(seconds)),
            Step::Run => {
                self.tell(&["run"]);
                self.loaded = true;
            }
            Step::Kill(requests) => self.kill(requests).await,
            Step::BackfillRange(kind, days) if self.loaded => {
                let today = Offset::UTC.to_datetime(this_morning()).date();
                let from = today.saturating_sub(jiff::Span::new().days(days));
                let to = today.saturating_add(jiff::Span::new().days(2));
                self.tell(&["backfill", kind, "--from", &from.to_string(), "--to", &to.to_string()]);
            }
            Step::BackfillIds(kind, every) if self.loaded => {
                let ids: Vec<String> = self.every(kind, every).into_iter().rev().map(|id| id.to_string()).collect();
                self.tell(&["backfill", kind, "--ids", &ids.join(",")]);
            }
            Step::Reconcile if self.loaded => self.tell(&["reconcile"]),
            Step::Damage(pick) if self.loaded => self.damage(pick),
            Step::BackfillRange(..) | Step::BackfillIds(..) | Step::Reconcile | Step::Damage(_) => {}
            Step::Clean => self.tell(&["clean"]),
            Step::Compact => self.tell(&["clean", "--compact"]),
            Step::Schema => self.program = self.program.clone().without("PEARLIFT_SCHEMAS"),
            Step::Reread => self.program = self.program.clone().with("PEARLIFT_LIMITS_REREAD_REQUESTS", "1"),
        }
    }

    /// Runs a command to its end; afterwards no key occurs twice for a plain glob.
    fn tell(&self, arguments: &[&str]) {
        self.program.run(arguments).expect(0);
        keys_are_unique(self.lake.path());
    }

    /// Flips a byte of a data file, and repairs it.
    fn damage(&self, pick: usize) {
        let catalog = Catalog::load(None).unwrap();
        let mut of: Vec<_> = Vec::new();
        for resource in catalog.resources() {
            let tables = resource.tables.iter().map(|table| self.lake.path().join(&table.name));
            let data = tables.flat_map(|folder| files(&folder)).filter(is_data);
            of.extend(data.map(|path| (resource.name.clone(), path)));
        }
        if of.is_empty() {
            return;
        }
        let (resource, path) = &of[pick % of.len()];
        flip(path);
        self.program.run(&["verify", "--deep"]).expect(7);
        self.tell(&["backfill", resource, "--damaged"]);
    }

    /// A run that is killed once the account has answered so many requests, unless it ends before.
    async fn kill(&self, requests: u64) {
        self.sandbox.take_log();
        let mut child = self.program.start(&["run"]);
        while self.sandbox.peek_log().total() < requests && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().unwrap();
    }

    /// A quiet night, deletions looked for, and undated changes read again.
    fn settle(&mut self) {
        self.program = self.program.clone().without("PEARLIFT_SCHEMAS").with("PEARLIFT_LIMITS_REREAD_REQUESTS", "0");
        self.sandbox.age(Duration::from_secs(600));
        self.tell(&["run"]);
        self.tell(&["reconcile"]);
        for kind in &self.touched {
            self.tell(&["run", "--full", *kind]);
        }
        // Prices and stock of deleted and restored products go and come with a whole read.
        self.tell(&["run", "--full", "product_price", "product_availability"]);
        self.tell(&["verify", "--deep"]);
        check_truth(
            &self.sandbox,
            self.lake.path().to_str().unwrap(),
            &["--may-be-empty", "product_bundle_component,drop_ship_note,drop_ship_note_row,drop_ship_note_event"],
        );
        // AND nothing is left to do: another run rewrites nothing
        let before = files(self.lake.path()).into_iter().filter(is_data).collect::<Vec<_>>();
        self.tell(&["run"]);
        let after = files(self.lake.path()).into_iter().filter(is_data).collect::<Vec<_>>();
        assert_eq!(before, after, "a quiet run rewrites nothing");
        self.tell(&["clean"]);
        let staged = files(&self.lake.path().join("_pearlift/staging"));
        assert!(staged.is_empty(), "{staged:?}");
        let strays: Vec<_> = files(self.lake.path())
            .into_iter()
            .filter(|path| !path.starts_with(self.lake.path().join("_pearlift")))
            .filter(|path| path.extension().is_none_or(|ending| ending != "parquet"))
            .collect();
        assert!(strays.is_empty(), "{strays:?}");
    }
}

#[expect(clippy::ptr_arg, reason = "a filter of paths")]
fn is_data(path: &std::path::PathBuf) -> bool {
    !is_history(path) && path.extension().is_some_and(|ending| ending == "parquet")
}

/// Reads every Parquet file of every table as a glob would, and looks for keys that occur twice.
fn keys_are_unique(lake: &Path) {
    let catalog = Catalog::load(None).unwrap();
    for table in catalog.resources().iter().flat_map(|resource| &resource.tables) {
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        for path in files(&lake.join(&table.name)).into_iter().filter(is_data) {
            let partition = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
            for batch in reader {
                for key in keys(&batch.unwrap(), table) {
                    let key = if partition.starts_with("snapshot_date=") {
                        [partition.as_bytes(), &key].concat()
                    } else {
                        key
                    };
                    assert!(seen.insert(key), "{} has a key twice, the second time in {}", table.name, path.display());
                }
            }
        }
    }
}

fn keys(batch: &RecordBatch, table: &Table) -> Vec<Vec<u8>> {
    let columns: Vec<_> = table
        .key
        .iter()
        .map(|place| batch.column_by_name(&table.columns[*place].name).expect("a file has its key").clone())
        .collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
    rows.iter().map(|row| row.as_ref().to_vec()).collect()
}

#[test]
fn after_any_sequence_of_events_a_quiet_run_and_a_reconcile_the_tables_equal_the_truth() {
    // GIVEN any sequence of events and commands
    let steps = prop::collection::vec(step(), 3..14);
    #[expect(clippy::disallowed_methods, reason = "how many cases is chosen by the person who runs the tests")]
    let wanted: Option<u32> = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let config = Config {
        cases: wanted.unwrap_or(CASES),
        max_shrink_iters: 40,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    // The same cases each time, unless more are wanted: then others each time.
    let mut runner = match wanted {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let outcome = runner.run(&steps, |steps| {
        // WHEN it takes its course THEN keys are unique after each command, and in the end all is right
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut case = Case::new().await;
                for step in &steps {
                    case.take(step).await;
                }
                case.settle();
            });
        }));
        taken.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without words".to_owned());
            TestCaseError::fail(text)
        })
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}
