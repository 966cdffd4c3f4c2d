//! Tables rewritten in place when the schema changes: what is filled, what is refused, what readers see.

use std::path::{Path, PathBuf};

use pearlift::sandbox::Sandbox;
use pearlift::sandbox::kinds::Kind;
use tempfile::TempDir;

use crate::support::{Done, Program, Weed, account, check_truth, files, python, query};

const ORDER_TABLES: &str = "order,order_row,order_party,order_invoice,order_custom_field";

fn text(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// A folder with one built-in schema file in which texts are replaced.
pub fn schemas(resource: &str, edits: &[(&str, &str)]) -> TempDir {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{resource}.toml"));
    let mut schema = std::fs::read_to_string(built_in).unwrap();
    for (old, new) in edits {
        assert!(schema.contains(old), "{resource}.toml has no `{old}`");
        schema = schema.replacen(old, new, 1);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(format!("{resource}.toml")), schema).unwrap();
    folder
}

/// The same without the lines of some columns, each named as `name` in the table that is the first to have it.
fn without(resource: &str, columns: &[&str]) -> TempDir {
    let folder = schemas(resource, &[]);
    let path = folder.path().join(format!("{resource}.toml"));
    let written = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = written.lines().collect();
    for column in columns {
        let place = lines.iter().position(|line| line.contains(&format!("name = \"{column}\","))).unwrap();
        lines.remove(place);
    }
    std::fs::write(&path, lines.join("\n")).unwrap();
    folder
}

/// The last line of a run with `--log-format json`: its report on one resource.
fn reported(done: &Done, resource: &str) -> serde_json::Value {
    let last = done.stderr.lines().last().unwrap();
    let report: serde_json::Value = serde_json::from_str(last).unwrap();
    report["resources"].as_array().unwrap().iter().find(|one| one["resource"] == resource).unwrap().clone()
}

/// The newest version of a resource.
fn head(lake: &Path, resource: &str) -> serde_json::Value {
    let newest = files(&lake.join("_pearlift/manifests").join(resource)).pop().unwrap();
    serde_json::from_str(&std::fs::read_to_string(newest).unwrap()).unwrap()
}

fn glob(lake: &Path, table: &str) -> String {
    format!("read_parquet('{}/{table}/**/*.parquet', hive_partitioning = true)", lake.display())
}

/// Reads a table's folder with two readers, which are told nothing but that partitions are folders.
fn readers_agree(lake: &Path, table: &str) {
    let script = "
import sys, duckdb, pyarrow.dataset
lake, table = sys.argv[1], sys.argv[2]
duck = duckdb.sql(f\"select * from read_parquet('{lake}/{table}/**/*.parquet', hive_partitioning = true)\")
arrow = pyarrow.dataset.dataset(f'{lake}/{table}', format='parquet', partitioning='hive').to_table()
assert len(duck.fetchall()) == arrow.num_rows, (table, arrow.num_rows)
assert set(duck.columns) == set(arrow.column_names), (duck.columns, arrow.column_names)
";
    python(script, &[text(lake), table]);
}

fn run(program: &Program, schemas: &TempDir, arguments: &[&str]) -> Done {
    program.clone().with("PEARLIFT_SCHEMAS", text(schemas.path())).run(arguments)
}

async fn account_and_lake(orders: u64) -> (Sandbox, TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    (sandbox, lake, program)
}

/// Columns of every kind, in the record and below, in the owner's table and in others.
const ADDED: [&str; 11] = [
    "reference",
    "order_status_name",
    "placed_on",
    "original_invoice_date",
    "original_invoice_date_local",
    "shipping_method_id",
    "fixed_exchange_rate",
    "total",
    "null_custom_fields",
    "product_options",
    "row_tax",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_added_are_filled_without_asking_the_source_and_a_reread_changes_nothing() {
    // GIVEN orders exported by a schema that lacks columns
    let (sandbox, lake, program) = account_and_lake(500).await;
    run(&program, &without("order", &ADDED), &["run", "order"]).expect(0);
    let filled = format!("SELECT count(*) FROM {} WHERE _extra IS NOT NULL", glob(lake.path(), "order"));
    assert_eq!(query(&filled), ["500"], "what no column names is in `_extra`");
    sandbox.take_log();

    // WHEN it runs with the columns
    let done = program.run(&["run", "order"]).expect(0);

    // THEN the tables equal the truth, and nothing of it was asked of the source
    assert!(done.stderr.contains("rewrites in place: order adds reference"), "{}", done.stderr);
    check_truth(&sandbox, text(lake.path()), &["--only", ORDER_TABLES]);
    assert_eq!(sandbox.take_log().documents(), 0);
    program.run(&["verify", "--deep"]).expect(0);
    for table in ["order", "order_row"] {
        readers_agree(lake.path(), table);
        let runs = format!("SELECT count(DISTINCT _run_id) FROM {}", glob(lake.path(), table));
        assert_eq!(query(&runs), ["1"], "rows keep when and by which run they were first seen");
    }

    // WHEN every order is read again
    let again = program.run(&["--log-format", "json", "backfill", "order", "--ids", "1-999999"]).expect(0);

    // THEN nothing differs
    let report = reported(&again, "order");
    assert_eq!(report["records_read"], 500, "{report}");
    assert_eq!(
        (&report["rows_added"], &report["rows_changed"], &report["rows_removed"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(report["files_written"], 0, "{report}");
}
