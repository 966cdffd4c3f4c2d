//! `pearlift sql`: the scripts are executed where the engine can be had, and parsed by the grammar of their dialect everywhere.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, Verb};
use serde_json::{Value, json};

use crate::examples::done;
use crate::support::{Program, S3_KEY, S3_SECRET, Weed, account, copy_folder, head, lean_orders, root, tool};

const DAY: Duration = Duration::from_secs(24 * 3600);
const DIALECTS: [&str; 10] =
    ["duckdb", "spark", "snowflake", "bigquery", "redshift", "athena", "trino", "clickhouse", "databricks", "fabric"];
/// Resources of every kind: divided by a date, with child tables, snapshots, keys that are not numbers, keys that repeat.
const NAMES: [&str; 8] =
    ["order", "goods_out_note", "contact", "brand", "product_availability", "currency", "exchange_rate", "journal"];
/// Names of the folders of a date.
const FOLDERS: [&str; 4] = ["created_month", "created_quarter", "created_year", "received_month"];

/// The script that the program prints, in a file.
#[track_caller]
fn script(program: &Program, folder: &Path, arguments: &[&str]) -> PathBuf {
    let said = program.run(&[&["sql"], arguments].concat()).expect(0);
    assert_eq!(said.warnings(), Vec::<&str>::new());
    let path = folder.join(format!("{}.sql", arguments.join("_").replace(['/', ' ', ':'], "-")));
    std::fs::write(&path, said.stdout).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Executes a script in DuckDB, and compares all tables with the files.
#[track_caller]
fn duck(database: &str, script: &Path, destination: &str, more: &[&str]) -> Value {
    let mut command = Command::new(tool("python"));
    command.arg(root().join("tests/sql/duck.py")).args([database, text(script), destination]).args(more);
    let done = done(command.env("AWS_ACCESS_KEY_ID", S3_KEY).env("AWS_SECRET_ACCESS_KEY", S3_SECRET)).expect(0);
    serde_json::from_str(&done.stdout).unwrap()
}

fn a_night_goes_by(sandbox: &Sandbox) {
    sandbox.age(DAY);
    sandbox.insert("order", 7);
    sandbox.insert("contact", 2);
    for (kind, step) in [("order", 9), ("contact", 11), ("goods_out_note", 13)] {
        let some: Vec<i64> = sandbox.ids(kind).into_iter().step_by(step).collect();
        sandbox.edit(kind, &some);
    }
    sandbox.age(Duration::from_secs(600));
}

fn lake(sandbox: &Sandbox, folder: &Path, partition: &str) -> Program {
    Program::new(sandbox, folder)
        .with("PEARLIFT_RESOURCES_PARTITION", partition)
        .with("PEARLIFT_RESOURCES_INCLUDE", &NAMES.join(","))
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn views_of_duckdb_have_the_rows_types_and_comments_of_every_table_for_any_division_of_the_files() {
    // GIVEN an account whose files are divided by month, by year and not at all, with two days of snapshots, in which deleted
    // orders are marked
    let sandbox = account(150).await;
    let folder = tempfile::tempdir().unwrap();
    let mut scripts = Vec::new();
    let words = ["month", "year", "none"];
    let programs = words
        .map(|word| lake(&sandbox, &folder.path().join(word), word).with("PEARLIFT_RESOURCE_ORDER_DELETES", "mark"));
    programs.iter().for_each(|program| drop(program.run(&["run"]).expect(0)));
    sandbox.delete("order", &sandbox.ids("order")[..3]);
    a_night_goes_by(&sandbox);
    for (word, program) in words.iter().zip(&programs) {
        program.run(&["run"]).expect(0);
        program.run(&["reconcile", "order"]).expect(0);

        // WHEN the views are made THEN they have all rows that exist, and no column of a folder
        let path = script(program, folder.path(), &["--dialect", "duckdb", "--schema", "shop", "--prefix", "bp_"]);
        let destination = folder.path().join(word).canonicalize().unwrap();
        let page = root().join("docs/engines/duckdb.md");
        let more = ["--name", "\"shop\".\"bp_{}\"", "--page", text(&page)];
        let rows = duck(":memory:", &path, text(&destination), &more);
        assert_eq!(rows["order"], 154, "{rows}");
        assert!(rows.as_object().unwrap().len() > 20, "{rows}");
        let of = |name: &str| rows[name].as_u64().unwrap();
        assert!(of("bp_product_availability_latest") < of("product_availability"), "{rows}");
        let sql = std::fs::read_to_string(&path).unwrap();
        assert!(FOLDERS.iter().all(|name| !sql.contains(name)), "{word}");
        scripts.push(sql.replace(text(&destination), "lake"));
    }
    // AND the script does not depend on the division
    assert!(scripts.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn listed_files_are_the_newest_version_while_a_run_publishes() {
    // GIVEN a folder with the old and the new files of a night, one of the new ones still staged
    let sandbox = account(120).await;
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let program = lake(&sandbox, &new, "month");
    program.run(&["run", "order"]).expect(0);
    copy_folder(&new, &old);
    a_night_goes_by(&sandbox);
    program.run(&["run", "order"]).expect(0);
    copy_folder(&new, &old);
    let version = head(&old, "order");
    let file = version["tables"]["order"]["files"].as_array().unwrap().last().unwrap().clone();
    let staged = old.join(file["staged"].as_str().unwrap());
    std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
    std::fs::rename(old.join(file["path"].as_str().unwrap()), &staged).unwrap();

    // WHEN the files are listed THEN the rows are those of the new version
    let between = lake(&sandbox, &old, "month");
    let path = script(&between, folder.path(), &["--dialect", "duckdb", "--files", "order"]);
    assert!(std::fs::read_to_string(&path).unwrap().contains("_pearlift/staging/"));
    let rows = duck(":memory:", &path, text(&new.canonicalize().unwrap()), &[]);
    assert_eq!(rows["order"], 127, "{rows}");

    // AND an engine that does not read staged files has to wait
    let done =
        between.run(&["sql", "--dialect", "athena", "--location", "s3://lake/shop", "--files", "order"]).expect(6);
    assert!(done.stderr.contains("a run is publishing them"), "{}", done.said());
}

/// Nights of an account, each loaded from the version of the one before; the tables are equal to the files after each.
async fn nights(partition: &str) {
    let sandbox = account(150).await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lake");
    let program = lake(&sandbox, &place, partition);
    program.run(&["run"]).expect(0);
    let destination = place.canonicalize().unwrap();
    let (database, state) = (folder.path().join("loaded.duckdb"), folder.path().join("state.json"));
    let load = |since: &str| {
        let path = script(&program, folder.path(), &["--dialect", "duckdb", "--since", since, "--state", text(&state)]);
        let rows = duck(text(&database), &path, text(&destination), &[]);
        (std::fs::read_to_string(&path).unwrap(), path, rows)
    };
    // GIVEN loaded tables
    let (_, _, first) = load("0");
    assert_eq!(first["order"], 150);

    // WHEN nights go by, with deletions in the second one, THEN the changes make the tables equal to the files
    a_night_goes_by(&sandbox);
    program.run(&["run"]).expect(0);
    let (sql, path, second) = load(text(&state));
    assert!(sql.contains("MERGE INTO \"order\"") && sql.contains("DELETE FROM \"order_row\""), "{sql}");
    assert_eq!(second["order"], 157);
    a_night_goes_by(&sandbox);
    sandbox.delete("order", &sandbox.ids("order")[20..24]);
    sandbox.delete("contact", &sandbox.eligible(Verb::Delete, "contact")[..1]);
    program.run(&["run"]).expect(0);
    program.run(&["reconcile", "order", "contact"]).expect(0);
    let (_, _, third) = load(text(&state));
    assert_eq!(third["order"], 160);
    assert!(third["product_availability"].as_u64() > second["product_availability"].as_u64(), "{third}");

    // AND a script of no change has no statement, and one that is executed twice changes nothing
    let (sql, ..) = load(text(&state));
    assert!(!sql.contains(';') && sql.contains("Nothing has changed."), "{sql}");
    assert!(path.exists() && FOLDERS.iter().all(|name| !sql.contains(name)));
    a_night_goes_by(&sandbox);
    program.run(&["run"]).expect(0);
    let (_, path, _) = load(text(&state));
    duck(text(&database), &path, text(&destination), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_loaded_by_changes_are_equal_to_the_files_divided_by_month() {
    nights("month").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_loaded_by_changes_are_equal_to_the_files_that_are_not_divided() {
    nights("none").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_version_that_is_not_there_or_has_other_columns_is_refused() {
    // GIVEN a table of which the first version is no longer kept
    let sandbox = account(60).await;
    let folder = tempfile::tempdir().unwrap();
    let schemas = lean_orders();
    let program = lake(&sandbox, folder.path(), "month");
    program.clone().with("PEARLIFT_SCHEMAS", text(schemas.path())).run(&["run", "order"]).expect(0);
    let before = head(folder.path(), "order")["version"].as_u64().unwrap();
    program.run(&["run", "order"]).expect(0);
    let refused = |arguments: &[&str], code: i32| program.run(&[&["sql"], arguments].concat()).expect(code).stderr;

    // WHEN the changes since a version are wanted THEN the reason is stated where there are none
    let of = |since: &str| refused(&["--dialect", "duckdb", "--since", since, "order"], 2);
    assert!(of("99").contains("the newest is version"));
    assert!(of(&before.to_string()).contains("its columns have changed since then"));
    std::fs::remove_file(folder.path().join(format!("_pearlift/manifests/order/{before:020}.json"))).unwrap();
    assert!(of(&before.to_string()).contains("it is not kept any more"));
    assert!(of("no-such-file.json").contains("no-such-file.json"));
    let several = refused(&["--dialect", "duckdb", "--since", "1"], 2);
    assert!(several.contains("each resource has versions of its own"), "{several}");
    for dialect in ["athena", "trino"] {
        let why = refused(&["--dialect", dialect, "--location", "s3://lake/shop", "--since", "0"], 2);
        assert!(why.contains("cannot be changed row by row"), "{why}");
    }
    // AND a resource without tables is left out, and named
    let all = program.run(&["sql", "--dialect", "duckdb"]).expect(0).stdout;
    assert!(all.contains("-- Not loaded yet: ") && !all.contains("\"brand\""), "{all}");
    // AND places that an engine cannot read, names that are none, and a destination without tables are refused
    for dialect in ["snowflake", "bigquery", "redshift", "athena", "trino", "databricks", "fabric"] {
        assert!(refused(&["--dialect", dialect], 2).contains("--location"), "{dialect}");
    }
    assert!(refused(&["--dialect", "duckdb", "--schema", "a b"], 2).contains("--schema"));
    let nowhere = Program::new(&sandbox, folder.path().join("nothing"));
    assert!(nowhere.run(&["sql", "--dialect", "duckdb"]).expect(2).stderr.contains("`pearlift run` loads them"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_statement_of_every_dialect_is_understood_by_its_grammar() {
    // GIVEN all tables of an account, after a night
    let sandbox = account(60).await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lake");
    let program = Program::new(&sandbox, &place);
    program.run(&["run"]).expect(0);
    let state = folder.path().join("state.json");
    script(&program, folder.path(), &["--dialect", "duckdb", "--state", text(&state)]);
    a_night_goes_by(&sandbox);
    program.run(&["run"]).expect(0);

    // WHEN scripts of every form are parsed THEN no statement is passed through
    let mut parsed = Command::new(tool("python"));
    parsed.arg(root().join("tests/sql/parse.py"));
    let mut pairs = Vec::new();
    for dialect in DIALECTS {
        let base = ["--dialect", dialect, "--location", "s3://lake/shop", "--schema", "shop", "--prefix", "bp_"];
        let some = ["order", "brand", "product_availability", "exchange_rate"];
        let mut forms = vec![vec![], [&["--files"][..], &some].concat()];
        if !["athena", "trino"].contains(&dialect) {
            forms.push([&["--since", "0"][..], &some].concat());
            forms.push([&["--since", text(&state)][..], &some].concat());
        }
        for more in forms {
            let path = script(&program, folder.path(), &[&base[..], &more].concat());
            let sql = std::fs::read_to_string(&path).unwrap();
            assert!(FOLDERS.iter().all(|name| !sql.replace(&format!("/{name}="), "").contains(name)), "{dialect}");
            pairs.push((dialect, more.join(" "), format!("{dialect}={}", path.display())));
        }
    }
    let parsed = done(parsed.args(pairs.iter().map(|(.., pair)| pair))).expect(0);
    let kinds: Value = serde_json::from_str(&parsed.stdout).unwrap();
    for (dialect, form, pair) in &pairs {
        let found: u64 = kinds[pair].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert!(found > 10, "{dialect} {form}: {found}");
        let merges = kinds[pair]["Merge"].as_u64().unwrap_or(0);
        let expected = form.contains("state.json") && *dialect != "clickhouse";
        assert_eq!(merges > 0, expected, "{dialect} {form}: {}", kinds[pair]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn views_of_duckdb_read_a_bucket() {
    // GIVEN a bucket with tables
    let (weed, sandbox) = (Weed::start(), account(60).await);
    let folder = tempfile::tempdir().unwrap();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    let program = program.with("PEARLIFT_RESOURCES_INCLUDE", "order,brand,product_availability");
    program.run(&["run"]).expect(0);

    // WHEN the views are made, by folder and by file, THEN they have all rows, and the script states where credentials come from
    for more in [&[][..], &["--files"]] {
        let path = script(&program, folder.path(), &[&["--dialect", "duckdb"], more].concat());
        let sql = std::fs::read_to_string(&path).unwrap();
        let host = weed.endpoint().replace("http://", "");
        let secret = format!(
            "-- CREATE SECRET (TYPE s3, PROVIDER credential_chain, ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false);"
        );
        assert!(sql.contains(&secret) && !sql.contains(S3_SECRET), "{sql}");
        let rows = duck(":memory:", &path, "s3://lake/shop", &["--s3", &weed.endpoint()]);
        assert_eq!((&rows["order"], &rows["brand"]), (&json!(60), &json!(40)), "{rows}");
    }
}

#[test]
fn the_page_of_each_engine_states_what_was_executed_and_the_index_leads_to_it() {
    let read = |name: &str| std::fs::read_to_string(root().join("docs/engines").join(name)).unwrap();
    let index = read("README.md");
    for dialect in DIALECTS {
        let page = read(&format!("{dialect}.md"));
        assert!(index.contains(&format!("({dialect}.md)")), "{dialect}");
        let executed = ["duckdb", "spark", "clickhouse"].contains(&dialect);
        assert_eq!(page.contains("Not executed"), !executed, "{dialect}");
        assert!(page.contains("```sql"), "{dialect}");
        assert!(executed || page.contains("https://"), "{dialect} cites its vendor");
    }
}
