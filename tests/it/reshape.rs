//! Tables rewritten in place when the schema changes: filled columns, refusals, and the view of readers.

use std::path::Path;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use tempfile::TempDir;

use crate::support::{
    Done, Program, Weed, account, check_truth, files, head, python, query, start, this_morning, version as version_of,
};

const ORDER_TABLES: &str = "order,order_row,order_party,order_invoice,order_custom_field";

fn text(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// A schema file without the meanings of its columns, as a user may write one.
pub fn without_meanings(schema: &str) -> String {
    let keys = [", references = ", ", codes = ", ", personal = ", ", confidence = ", ", description = \""];
    let plain = |line: &str| {
        let end = keys.iter().filter_map(|key| line.find(key)).min().filter(|_| line.starts_with("  { name = "));
        end.map_or_else(|| format!("{line}\n"), |end| format!("{} }},\n", &line[..end]))
    };
    schema.lines().map(plain).collect()
}

/// A folder with one built-in schema file, without the meanings of its columns, in which texts are replaced.
pub fn schemas(resource: &str, edits: &[(&str, &str)]) -> TempDir {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{resource}.toml"));
    let mut schema = without_meanings(&std::fs::read_to_string(built_in).unwrap());
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

fn glob(lake: &Path, table: &str) -> String {
    format!("read_parquet('{}/{table}/**/*.parquet', hive_partitioning = true)", lake.display())
}

/// Reads a table's folder with two readers, which know only that partitions are folders.
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

/// The ids of all orders, as `--ids` takes them.
fn ids(sandbox: &Sandbox) -> String {
    let ids = sandbox.ids("order");
    format!("{}-{}", ids.iter().min().unwrap(), ids.iter().max().unwrap())
}

/// The lines of a schema file, with another type for each named column, or any other replacement in its line.
fn with_lines(resource: &str, edits: &[(&str, &str, &str)]) -> TempDir {
    let folder = schemas(resource, &[]);
    let path = folder.path().join(format!("{resource}.toml"));
    let written = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = written.lines().map(str::to_owned).collect();
    for (column, old, new) in edits {
        let line = lines.iter_mut().find(|line| line.contains(&format!("name = \"{column}\","))).unwrap();
        assert!(line.contains(old), "{line}");
        *line = line.replace(old, new);
    }
    std::fs::write(&path, lines.join("\n")).unwrap();
    folder
}

fn run(program: &Program, schemas: &TempDir, arguments: &[&str]) -> Done {
    program.clone().with("PEARLIFT_SCHEMAS", text(schemas.path())).run(arguments)
}

async fn account_and_lake(orders: u64) -> (Sandbox, TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
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
    "bundle_parent",
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
    let again = program.run(&["--log-format", "json", "backfill", "order", "--ids", &ids(&sandbox)]).expect(0);

    // THEN nothing differs
    let report = reported(&again, "order");
    assert_eq!(report["records_read"], 500, "{report}");
    assert_eq!(
        (&report["rows_added"], &report["rows_changed"], &report["rows_removed"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(report["files_written"], 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn types_are_widened_and_what_did_not_fit_before_is_taken_in() {
    // GIVEN orders exported into types that are too narrow for some values
    let (sandbox, lake, program) = account_and_lake(300).await;
    let narrow = with_lines(
        "order",
        &[
            ("total", "decimal(18,6)", "decimal(9,2)"),
            ("net", "decimal(18,6)", "decimal(4,2)"),
            ("order_weighting", "int64", "int32"),
            ("quantity", "decimal(18,6)", "decimal(3,0)"),
        ],
    );
    run(&program, &narrow, &["run", "order"]).expect(0);
    let kept_raw = format!("SELECT count(*) > 0 FROM {} WHERE _extra LIKE '%net%'", glob(lake.path(), "order"));
    assert_eq!(query(&kept_raw), ["True"], "some values did not fit");
    sandbox.take_log();

    // WHEN it runs with wider types
    let done = program.run(&["run", "order"]).expect(0);

    // THEN every value is there, exactly, without asking the source
    assert!(done.stderr.contains("makes net decimal(18,6)"), "{}", done.stderr);
    assert_eq!(sandbox.take_log().documents(), 0);
    check_truth(&sandbox, text(lake.path()), &["--only", ORDER_TABLES]);
    program.run(&["verify", "--deep"]).expect(0);
    let again = program.run(&["--log-format", "json", "backfill", "order", "--ids", &ids(&sandbox)]).expect(0);
    assert_eq!(reported(&again, "order")["rows_changed"], 0, "a re-read gives the same");
}

/// The values of a table's rows in these columns, in one number.
fn digest(lake: &Path, table: &str, columns: &str) -> Vec<String> {
    query(&format!("SELECT count(*), bit_xor(hash({columns})) FROM {}", glob(lake, table)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_and_tables_go_and_columns_move_while_the_rest_stays_as_it_is() {
    // GIVEN orders exported by a schema that requires a column, some of them deleted since and kept as deleted rows
    let (sandbox, lake, program) = account_and_lake(300).await;
    let strict = with_lines("order", &[("order_type_code", "type = \"string\"", "type = \"string\", required = true")]);
    run(&program, &strict, &["run", "order"]).expect(0);
    let gone: Vec<i64> = sandbox.ids("order").into_iter().step_by(60).collect();
    sandbox.delete("order", &gone);
    run(&program, &strict, &["reconcile", "order"]).expect(0);
    let columns = "id, order_type_code, total, created_on, _extracted_at, _run_id, created_month";
    let before = digest(lake.path(), "order", columns);
    let lines_before = digest(lake.path(), "order_row", "COLUMNS(*)");
    let apart = files(&lake.path().join("_pearlift/deleted"));
    let row_files = files(&lake.path().join("order_row"));

    // WHEN it runs with a schema that no longer requires it, lacks a column and a table, and has another order
    let looser = without("order", &["reference"]);
    let path = looser.path().join("order.toml");
    let schema = std::fs::read_to_string(&path).unwrap();
    let (schema, _) = schema.split_once("[tables.order_invoice]").unwrap();
    let moved = schema.lines().find(|line| line.contains("name = \"external_ref\"")).unwrap();
    let schema = schema.replacen(&format!("{moved}\n"), "", 1);
    let last = schema.lines().find(|line| line.contains("name = \"null_custom_fields\"")).unwrap().to_owned();
    std::fs::write(&path, schema.replacen(&last, &format!("{last}\n{moved}"), 1)).unwrap();
    sandbox.take_log();
    let done = run(&program, &looser, &["run", "order"]).expect(0);

    // THEN the column and the table are removed, the other rows are unchanged
    for said in ["drops reference", "lets order_type_code be null", "order_invoice goes"] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert_eq!(sandbox.take_log().documents(), 0);
    assert_eq!(digest(lake.path(), "order", columns), before);
    let names = query(&format!("SELECT column_name FROM (DESCRIBE SELECT * FROM {})", glob(lake.path(), "order")));
    assert!(!names.contains(&"reference".to_owned()), "{names:?}");
    assert_eq!(names[names.len() - 5..][..2], ["external_ref", "_extra"], "{names:?}");
    assert!(files(&lake.path().join("order_invoice")).is_empty());
    readers_agree(lake.path(), "order");
    // AND tables that do not differ are not rewritten, nor are deleted rows
    assert_eq!(files(&lake.path().join("order_row")), row_files);
    assert_eq!(digest(lake.path(), "order_row", "COLUMNS(*)"), lines_before);
    assert_eq!(files(&lake.path().join("_pearlift/deleted")), apart);
    run(&program, &looser, &["verify", "--deep"]).expect(0);

    // WHEN the column is wanted again
    let again = schemas("order", &[]);
    let path = again.path().join("order.toml");
    let schema = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, schema.split_once("[tables.order_invoice]").unwrap().0).unwrap();
    let refused = run(&program, &again, &["run", "order"]).expect(2);

    // THEN that is refused, for only the source has its values
    assert!(refused.stderr.contains("column `reference` was excluded before"), "{}", refused.stderr);
    assert!(refused.stderr.contains("run --full order"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_needs_the_source_is_refused_until_everything_is_read_again() {
    // GIVEN exported orders
    let (sandbox, lake, program) = account_and_lake(200).await;
    program.run(&["run", "order"]).expect(0);
    let version = head(lake.path(), "order")["version"].clone();
    let other_key = schemas("order", &[("key = [\"order_id\", \"position\"]", "key = [\"order_id\"]")]);
    let new_table = schemas(
        "order",
        &[(
            "[tables.order_invoice]",
            "[tables.order_assignment]\nrows = \"assignment.*\"\nkey = [\"order_id\", \"kind\"]\ncolumns = [\n  { name = \"order_id\", from = \"$.id\", type = \"int64\", required = true },\n  { name = \"kind\", from = \"@key\", type = \"string\", required = true },\n]\n\n[tables.order_invoice]",
        )],
    );
    let other_partition = schemas("order", &[("month(created_on)", "bucket(id, 4)")]);
    let narrower = with_lines("order", &[("total", "decimal(18,6)", "decimal(16,6)")]);
    let renamed = with_lines("order", &[("reference", "name = \"reference\"", "name = \"our_reference\"")]);
    let required = with_lines("order", &[("reference", "type = \"string\"", "type = \"string\", required = true")]);
    for (schema, why) in [
        (&other_key, "its key was (order_id, position) and is (order_id)"),
        (&new_table, "order_assignment"),
        (&other_partition, "its partition was created_month and is id_bucket"),
        (&narrower, "column `total` was decimal(18,6) and is decimal(16,6)"),
        (&renamed, "column `our_reference` takes the place of `reference`"),
        (&required, "column `reference` is required now"),
    ] {
        // WHEN the schema is another in a way that only the source can serve
        sandbox.take_log();
        let done = run(&program, schema, &["run", "order"]).expect(2);

        // THEN it is refused with the remedy, nothing changed, and the dry run reported it beforehand
        assert!(done.stderr.contains(why), "{why}: {}", done.stderr);
        assert!(done.stderr.contains("`pearlift run --full order`"), "{}", done.stderr);
        assert_eq!(head(lake.path(), "order")["version"], version);
        assert_eq!(sandbox.take_log().total(), 0);
        let planned = run(&program, schema, &["run", "--dry-run", "order"]).expect(0);
        assert!(planned.stdout.contains("refused without --full"), "{}", planned.stdout);
    }

    // WHEN everything is read again
    run(&program, &other_partition, &["run", "--full", "order"]).expect(0);

    // THEN one commit has swapped all files
    assert_eq!(head(lake.path(), "order")["version"], version.as_u64().unwrap() + 1);
    assert_eq!(
        query(&format!("SELECT count(*), count(DISTINCT id_bucket) FROM {}", glob(lake.path(), "order"))),
        ["200|4"]
    );
    run(&program, &other_partition, &["verify", "--deep"]).expect(0);
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rewrite_that_dies_is_undone_before_its_commit_and_finished_after_it() {
    // GIVEN two copies of a destination, of which one has been rewritten
    let (sandbox, lake, program) = account_and_lake(200).await;
    let narrow = without("order", &["reference", "row_tax"]);
    run(&program, &narrow, &["run", "order"]).expect(0);
    let before = tempfile::tempdir().unwrap();
    copy(lake.path(), before.path());
    let planned = program.run(&["run", "--dry-run", "order"]).expect(0);
    assert!(
        planned.stdout.contains("rewrites in place: order adds reference; order_row adds row_tax"),
        "{}",
        planned.stdout
    );
    let version = head(lake.path(), "order")["version"].as_u64().unwrap();
    program.run(&["run", "order"]).expect(0);
    let rewritten = lake.path().join(format!("_pearlift/manifests/order/{:020}.json", version + 1));
    let manifest = version_of(&rewritten);
    let staged = |to: &Path| {
        let tables = ["order", "order_row"].map(|table| manifest["tables"][table]["files"].as_array().unwrap().clone());
        for file in tables.iter().flatten() {
            let target = to.join(file["staged"].as_str().unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(lake.path().join(file["path"].as_str().unwrap()), target).unwrap();
        }
    };

    for committed in [false, true] {
        // WHEN the program crashed with everything staged, before the commit or right after it
        let there = tempfile::tempdir().unwrap();
        copy(before.path(), there.path());
        staged(there.path());
        if committed {
            std::fs::copy(&rewritten, there.path().join(rewritten.strip_prefix(lake.path()).unwrap())).unwrap();
        }
        let program = Program::new(&sandbox, there.path()).by_month();
        program.run(&["run", "order"]).expect(0);

        // THEN the next run makes it whole: the tables equal the truth, nothing is left over
        check_truth(&sandbox, text(there.path()), &["--only", ORDER_TABLES]);
        let looked = program.run(&["verify", "--deep"]).expect(0);
        assert_eq!(looked.stdout.lines().count(), 1, "{}", looked.stdout);
        assert!(files(&there.path().join("_pearlift/staging")).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_in_a_bucket_are_rewritten_too() {
    // GIVEN an S3 server and orders exported to it by a schema that lacks columns
    let sandbox = account(150).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop").by_month());
    run(&program, &without("order", &ADDED), &["run", "order"]).expect(0);

    // WHEN it runs with them
    program.run(&["run", "order"]).expect(0);

    // THEN the tables equal the truth
    check_truth(&sandbox, "s3://lake/shop", &["--s3-endpoint", &weed.endpoint(), "--only", ORDER_TABLES]);
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn snapshots_of_former_days_are_rewritten_with_those_of_today() {
    // GIVEN snapshots of two days, taken without a column
    let now = this_morning() - jiff::SignedDuration::from_hours(72);
    let settings = SandboxSettings { limit: 0, now: Some(now), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 50, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    let narrow = without("product_availability", &["allocated"]);
    let often = program.clone().with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
    run(&often, &narrow, &["run", "product_availability"]).expect(0);
    sandbox.age(std::time::Duration::from_secs(24 * 3600));
    run(&often, &narrow, &["run", "product_availability"]).expect(0);

    // WHEN it runs with the column, and no snapshot is due
    sandbox.take_log();
    let program = program.with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "900d");
    program.run(&["run", "product_availability"]).expect(0);

    // THEN both days have it, filled, and nothing was asked
    assert_eq!(sandbox.take_log().total(), 0);
    let days = format!(
        "SELECT count(DISTINCT snapshot_date), count(*) = count(allocated) FROM {}",
        glob(lake.path(), "product_availability")
    );
    assert_eq!(query(&days), ["2|True"]);
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_that_another_column_took_is_not_guessed() {
    // GIVEN orders exported by a schema that lacks `reference`
    let (sandbox, lake, program) = account_and_lake(120).await;
    let narrow = without("order", &["reference"]);
    run(&program, &narrow, &["run", "order"]).expect(0);

    // WHEN a column is added that takes the first of two places, of which another column has taken one already
    let either = with_lines(
        "order",
        &[(
            "reference",
            "\"reference\",                         from = \"reference\"",
            "\"any_ref\", from = [\"externalRef\", \"reference\"]",
        )],
    );
    let done = run(&program, &either, &["run", "order"]).expect(0);

    // THEN it stays null, that is reported, and the content of `_extra` stays there
    assert!(done.stderr.contains("order.any_ref cannot be filled"), "{}", done.stderr);
    let counts = format!("SELECT count(any_ref), count(_extra) FROM {}", glob(lake.path(), "order"));
    assert_eq!(query(&counts), ["0|120"]);

    // WHEN the orders are read again THEN it is filled
    run(&program, &either, &["backfill", "order", "--ids", &ids(&sandbox)]).expect(0);
    let right = format!(
        "SELECT count(any_ref) > 0, count(*) FILTER (external_ref IS NOT NULL AND any_ref <> external_ref), count(_extra) FROM {}",
        glob(lake.path(), "order")
    );
    assert_eq!(query(&right), ["True|0|0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unfinished_scan_of_another_schema_is_dropped_with_the_rewrite_and_one_of_the_same_goes_on() {
    for same in [false, true] {
        // GIVEN a list exported without a column, with an unfinished scan in its head
        let (_sandbox, lake, program) = account_and_lake(20).await;
        run(&program, &without("brand", &["description"]), &["run", "brand"]).expect(0);
        let newest = files(&lake.path().join("_pearlift/manifests/brand")).pop().unwrap();
        let mut version = head(lake.path(), "brand");
        let catalog = pearlift::schema::Catalog::load(None).unwrap();
        let hash = if same { catalog.find("brand").unwrap().hash.clone() } else { "0123456789abcdef".to_owned() };
        version["state"]["scan"] = serde_json::json!({
            "id": "00000000000000000000000000000001", "kind": "full", "started_at": "2026-01-01T00:00:00Z",
            "schema_hash": hash, "cursor": { "rows": { "last": 1, "next": 2 } },
        });
        std::fs::write(&newest, version.to_string()).unwrap();

        // WHEN it runs with the column
        program.run(&["run", "brand"]).expect(0);

        // THEN the version of the rewrite carries on the state, and the scan only where it can be gone on with
        let next = newest.with_file_name(format!("{:020}.json", version["version"].as_u64().unwrap() + 1));
        let next = version_of(&next);
        assert_eq!(next["state"]["scan"].is_null(), !same);
        assert_eq!(next["state"]["completed_at"], version["state"]["completed_at"]);
        assert_eq!(next["tables"]["brand"]["columns"].as_array().unwrap().len(), 5);
    }
}
