//! Readers that are not ours see each table's folder as one table: DuckDB, pyarrow and Polars, with no option but hive
//! partitioning.

use std::time::Duration;

use pearlift::sandbox::kinds::Kind;

use crate::support::{Program, account, lean_orders, python};

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
    let program = Program::new(&sandbox, lake.path());
    program.clone().with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap()).run(&["run"]).expect(0);

    // THEN all of them read the same
    python(AGREE, &[lake.path().to_str().unwrap()]);

    // WHEN a day goes by and the schema gains what it lacked
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.insert(Kind::Order, 5);
    let some: Vec<i64> = sandbox.ids(Kind::Order).into_iter().step_by(7).collect();
    sandbox.edit(Kind::Order, &some);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run"]).expect(0);

    // THEN they still do
    python(AGREE, &[lake.path().to_str().unwrap()]);
}
