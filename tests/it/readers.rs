//! Readers that are not ours see each table's folder as one table: DuckDB, pyarrow and Polars, with no option but hive
//! partitioning; and so do Spark, DataFusion and ClickHouse, which are heavy and have a target of their own (`make readers`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::schema::Catalog;

use crate::support::{Program, account, copy_folder, lean_orders, python, start, this_morning};

/// Reads every folder of tables with each reader; their rows, columns and sums must be the same.
const AGREE: &str = r#"
import glob, pathlib, sys
import duckdb, polars, pyarrow.dataset
lake = pathlib.Path(sys.argv[1])
tables = sorted(folder.name for folder in lake.iterdir() if folder.is_dir() and not folder.name.startswith("_"))
assert len(tables) > 30, tables
total = 0
for table in tables:
    pattern = f"{lake}/{table}/**/*.parquet"
    duck = duckdb.sql(f"SELECT * FROM read_parquet('{pattern}', hive_partitioning = true)")
    rows = duckdb.sql(f"SELECT count(*) FROM read_parquet('{pattern}')").fetchall()[0][0]
    frame = polars.scan_parquet(pattern, hive_partitioning=True).collect()
    dataset = pyarrow.dataset.dataset(f"{lake}/{table}", partitioning="hive")
    assert frame.height == rows == dataset.count_rows(), (table, rows, frame.height, dataset.count_rows())
    names = set(duck.columns)
    assert set(frame.columns) == names == set(dataset.schema.names), (table, names ^ set(frame.columns))
    for name, kind in frame.schema.items():
        if isinstance(kind, polars.Decimal):
            theirs = duckdb.sql(f"SELECT sum(\"{name}\") FROM read_parquet('{pattern}')").fetchall()[0][0]
            ours = frame[name].sum() if frame[name].null_count() < frame.height else None
            assert (theirs or 0) == (ours or 0), (table, name, theirs, ours)
    partitions = [name for name in names if name in ("created_month", "snapshot_date")]
    for name in partitions:
        assert frame.schema[name] == polars.Date, (table, name, frame.schema[name])
    total += rows
assert total > 1000, total
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn duckdb_pyarrow_and_polars_read_each_folder_as_one_table_before_and_after_a_schema_changes() {
    // GIVEN an account, exported with a schema that lacks columns and digits
    let sandbox = account(120).await;
    let lake = tempfile::tempdir().unwrap();
    let schemas = lean_orders();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.clone().with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap()).run(&["run"]).expect(0);

    // THEN all of them read the same
    python(AGREE, &[lake.path().to_str().unwrap()]);

    // WHEN a day goes by and the schema gains the missing parts
    a_day_goes_by(&sandbox);
    program.run(&["run"]).expect(0);

    // THEN they still do
    python(AGREE, &[lake.path().to_str().unwrap()]);
}

fn a_day_goes_by(sandbox: &Sandbox) {
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.insert("order", 5);
    let some: Vec<i64> = sandbox.ids("order").into_iter().step_by(7).collect();
    sandbox.edit("order", &some);
    sandbox.age(Duration::from_secs(600));
}

/// An account of a few months: each reader opens each partition.
async fn months(orders: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, history: 70, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders, ..Size::default() }.with("product", 40).with("contact", 40)).await
}

/// The JSON that a script of `tests/readers` prints at its end, run with the packages that `make readers` installs.
fn heavy(script: &str, arguments: &[PathBuf]) -> serde_json::Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".venv-readers/bin/python");
    assert!(python.exists(), "{} is missing: `make readers` installs it", python.display());
    let output = Command::new(python).arg(root.join("tests/readers").join(script)).args(arguments).output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    // Spark talks there too.
    let last = said.lines().next_back().unwrap_or_else(|| panic!("it says nothing"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A schema of orders with a partition by a date that open ones lack.
fn orders_by_their_end() -> tempfile::TempDir {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/order.toml")).unwrap();
    let other = text.replace("month(created_on)", "month(closed_on)");
    assert_ne!(text, other);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.toml"), other).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Java and some 1.6 GB from PyPI: `make readers`"]
async fn spark_datafusion_and_clickhouse_see_what_duckdb_sees() {
    // GIVEN a lake after its first load, with a schema that lacks columns and digits; after a night; after the schema gained them
    let (sandbox, lakes, schemas) = (months(120).await, tempfile::tempdir().unwrap(), lean_orders());
    let at = |name: &str| lakes.path().join(name);
    let program = Program::new(&sandbox, at("lake")).by_month();
    let lean = program.clone().with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());
    lean.run(&["run"]).expect(0);
    copy_folder(&at("lake"), &at("first"));
    a_day_goes_by(&sandbox);
    lean.run(&["run"]).expect(0);
    copy_folder(&at("lake"), &at("night"));
    program.run(&["run", "order"]).expect(0);
    // AND one with a table without rows, and one in which rows lack the date of their partition
    let few = months(0).await;
    Program::new(&few, at("few")).by_month().run(&["run", "goods_out_note"]).expect(0);
    let schemas = orders_by_their_end();
    let program =
        Program::new(&sandbox, at("open")).by_month().with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());
    program.run(&["run", "order"]).expect(0);

    // WHEN they are read THEN all see the same
    let found = heavy("agree.py", &["first", "night", "lake", "few", "open"].map(at));

    // AND each expected table was compared
    let catalog = Catalog::load(None).unwrap();
    let found = found.as_array().unwrap();
    let [first, night, changed, few, open] = found.as_slice() else { panic!("{found:?}") };
    let read = catalog.resources().iter().filter(|resource| resource.is_default);
    let tables: usize = read.map(|resource| resource.tables.len()).sum();
    for lake in [first, night, changed] {
        assert_eq!(lake["tables"], tables, "{lake}");
        assert!(lake["rows"].as_u64().unwrap() > 1_000, "{lake}");
        let in_path = lake["in_path"].as_object().unwrap();
        assert!(in_path.contains_key("created_month") && in_path.contains_key("snapshot_date"), "{lake}");
        assert!(in_path.values().all(|kind| kind == "DATE"), "{lake}");
    }
    assert!(night["rows"].as_u64() > first["rows"].as_u64(), "orders came in");
    let rate = |lake: &serde_json::Value| lake["decimals"]["order.exchange_rate"].clone();
    assert_eq!([rate(first), rate(night), rate(changed)], ["14, 10", "14, 10", "18, 10"]);
    // An account without orders has notes of its stock transfers alone.
    assert_eq!(few["empty"], serde_json::json!(["goods_out_note_row"]));
    assert!(open["undated"].as_array().unwrap().contains(&"order".into()), "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Java and some 1.6 GB from PyPI: `make readers`"]
async fn spark_adds_up_the_accounts_of_a_lake_as_duckdb_does() {
    // GIVEN two accounts in folders that name them, whose files are divided differently
    let lakes = tempfile::tempdir().unwrap();
    let lake = lakes.path().join("lake");
    for (account, seed, partition) in [("acme", 1, "month"), ("globex", 7, "none")] {
        let settings = SandboxSettings {
            account: account.to_owned(),
            limit: 0,
            seed,
            history: 70,
            now: Some(this_morning()),
            ..SandboxSettings::default()
        };
        let sandbox = start(settings, Size { orders: 300, ..Size::default() }.with("product", 60)).await;
        let program = Program::new(&sandbox, lake.join(format!("account={account}")))
            .with("PEARLIFT_ACCOUNT_CODE", account)
            .with("PEARLIFT_RESOURCES_PARTITION", partition);
        program.run(&["run", "order", "channel"]).expect(0);
    }

    // WHEN the example runs on a local master THEN its tables are those that DuckDB computes
    let found = heavy("accounts.py", &[lake, lakes.path().join("out")]);
    assert_eq!(found["accounts"], serde_json::json!(["acme", "globex"]));
    assert!(found["sales"].as_u64().unwrap() > 10 && found["skus"].as_u64().unwrap() > 10, "{found}");
}
