//! `tables` and `drop_columns`: excluded tables and columns are written nowhere, and needed ones cannot be excluded.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pearlift::schema::{Catalog, ColumnSelection, EXTRA};

use crate::schemas::decode;
use crate::support::{Program, account, answer, files, query};

fn text(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

fn glob(lake: &Path, table: &str) -> String {
    format!("read_parquet('{}/{table}/**/*.parquet', hive_partitioning = true)", lake.display())
}

/// The built-in catalogue with wishes for one resource.
fn wished(resource: &str, wishes: &ColumnSelection) -> Result<Catalog, pearlift::failure::Failure> {
    static BUILT_IN: LazyLock<Catalog> = LazyLock::new(|| Catalog::load(None).unwrap());
    let of = |name: &str| if name == resource { wishes.clone() } else { ColumnSelection::default() };
    BUILT_IN.clone().shaped(of, |_| true)
}

fn dropping(columns: &[String]) -> ColumnSelection {
    ColumnSelection { drop_columns: columns.to_vec(), ..ColumnSelection::default() }
}

#[test]
fn every_column_and_table_that_may_be_left_out_is_left_out_everywhere() {
    let plain = Catalog::load(None).unwrap();
    let mut left_out = 0;
    for resource in plain.resources() {
        // GIVEN all columns that may be left out, found one by one
        let all = resource.tables.iter().flat_map(|table| {
            table.columns.iter().map(|column| format!("{}.{}", table.name, column.name)).collect::<Vec<_>>()
        });
        let may: Vec<String> =
            all.filter(|name| wished(&resource.name, &dropping(std::slice::from_ref(name))).is_ok()).collect();
        left_out += may.len();
        let owner = resource.main_table().name.clone();
        let fewer = ColumnSelection { tables: Some(vec![owner.clone()]), ..ColumnSelection::default() };
        let before = decode(resource, &answer(resource));

        // WHEN they are left out, or all tables but the owner's are
        for wishes in [dropping(&may), fewer] {
            // Lines of journals reference orders to read again: that table cannot be excluded.
            let Ok(catalog) = wished(&resource.name, &wishes) else {
                assert_eq!(resource.name, "journal");
                continue;
            };
            let shaped = catalog.find(&resource.name).unwrap();
            let page = decode(shaped, &answer(resource));

            // THEN the records and the remaining columns are unchanged, and nothing of the rest is in `_extra`
            assert_eq!(page.records, before.records, "{}", resource.name);
            assert!(page.rejected_values.is_empty(), "{}", resource.name);
            for (table, rows) in shaped.tables.iter().zip(&page.tables) {
                let place = resource.tables.iter().position(|old| old.name == table.name).unwrap();
                let old = &before.tables[place].batch;
                for column in &table.columns {
                    let (new, old) = (rows.batch.column_by_name(&column.name), old.column_by_name(&column.name));
                    assert_eq!(new, old, "{}.{}", table.name, column.name);
                }
                let extra = rows.batch.column_by_name(EXTRA).unwrap();
                assert_eq!(extra.null_count(), extra.len(), "{}: {extra:?}", table.name);
            }
        }
    }
    assert!(left_out > 200, "{left_out}");
}

/// A schema with columns and tables nested in each other.
const NESTED: &str = r#"
about = "things"
[read]
style = "list"
service = "s"
get = "thing"
key = "id"
[tables.thing]
key = ["id"]
columns = [
  { name = "id", from = "id", type = "int64", required = true },
  { name = "kept", from = "box.kept", type = "string" },
  { name = "secret", from = "box.secret", type = "int32" },
  { name = "whole", from = "whole", type = "json" },
  { name = "lonely", from = "lonely.deep.value", type = "string" },
]
[tables.part]
rows = "parts.*"
key = ["thing_id", "code"]
columns = [
  { name = "thing_id", from = "$.id", type = "int64", required = true },
  { name = "code", from = "@key", type = "string", required = true },
  { name = "number", from = "number", type = "int64" },
  { name = "value", from = ["value", "."], type = "string" },
]
[tables.bolt]
rows = "parts.*.bolts.*"
key = ["thing_id", "code"]
columns = [
  { name = "thing_id", from = "$.id", type = "int64", required = true },
  { name = "code", from = "@key", type = "string", required = true },
  { name = "owner", from = "^.owner", type = "string" },
]
"#;

#[test]
fn a_value_that_is_left_out_is_nowhere_even_where_it_is_of_another_kind_than_the_schema_says() {
    // GIVEN a schema with columns and tables nested in each other, and records that do not fit it
    let body = r#"{"response":[
      {"id":1,"box":{"kept":"a","secret":"HIDDEN","other":1},"whole":{"x":"HIDDEN"},"lonely":"HIDDEN"},
      {"id":2,"box":{"kept":"b","secret":{"deep":"HIDDEN"}},"lonely":{"deep":["HIDDEN"]},
       "parts":{"a":"HIDDEN","b":{"number":7,"value":{"v":"HIDDEN"},"owner":"HIDDEN","note":"OF A PART","bolts":{"z":{"owner":9}}}}}
    ]}"#;
    let load = |wishes: ColumnSelection| {
        let texts = [("thing".to_owned(), NESTED.to_owned())];
        Catalog::from_texts(&texts).unwrap().shaped(|_| wishes.clone(), |_| true).unwrap()
    };
    let columns = ["thing.secret", "thing.whole", "thing.lonely", "part.value", "bolt.owner"].map(str::to_owned);
    let extras = |catalog: &Catalog| -> Vec<String> {
        let page = decode(catalog.find("thing").unwrap(), body);
        let tables = page.tables.iter();
        tables
            .flat_map(|table| {
                table
                    .batch
                    .column_by_name(EXTRA)
                    .unwrap()
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    assert!(
        extras(&load(ColumnSelection::default())).iter().any(|extra| extra.contains("HIDDEN")),
        "the records are apt"
    );

    // WHEN columns are excluded THEN only values that no column ever named are in `_extra`
    let nowhere = |found: &[String]| {
        assert_eq!(found[0], r#"{"box":{"other":1}}"#);
        assert!(!found.iter().any(|extra| extra.contains("HIDDEN")), "{found:?}");
    };
    nowhere(&extras(&load(dropping(&columns))));

    // WHEN tables are left out, from under a table that stays and beside it
    for tables in [vec!["thing"], vec!["thing", "bolt"], vec!["thing", "part"]] {
        let with_parts = tables.contains(&"part");
        let tables = Some(tables.into_iter().map(str::to_owned).collect());
        let found = extras(&load(ColumnSelection { tables, ..dropping(&columns) }));

        // THEN the same, and unnamed values of a table's entries are with the table
        nowhere(&found);
        assert_eq!(found.iter().any(|extra| extra.contains("OF A PART")), with_parts, "{found:?}");
    }
}

#[test]
fn what_reading_goes_by_cannot_be_left_out_and_names_must_exist() {
    for (resource, table, column, because) in [
        ("order", "order", "ref", "no column `ref`"),
        ("order", "orders", "id", "no table `orders`"),
        ("order", "order", "id", "part of the key"),
        ("order", "order_row", "id", "part of the key"),
        ("order", "order", "created_on", "the files are divided by it"),
        ("order", "order", "updated_on", "it determines"),
        ("order", "order", "version", "which of two copies is newer"),
        ("contact", "contact", "updated_on", "which of two copies is newer"),
        ("goods_out_note", "goods_out_note", "shipped", "compared"),
        ("customer_payment", "customer_payment", "order_id", "`order` is read again"),
        ("journal", "journal_line", "order_id", "`order` is read again"),
    ] {
        let failure = wished(resource, &dropping(&[format!("{table}.{column}")])).unwrap_err();
        let said = format!("{failure}; {}", failure.advice().unwrap());
        assert!(said.contains(because) && said.contains(&format!("resource.{resource}.drop_columns")), "{said}");
    }
    for (resource, tables, because) in [
        ("order", &["order", "rows"][..], "no table `rows`"),
        ("order", &["order_row"], "table `order` is needed"),
        ("order", &[], "no table"),
        ("journal", &["journal"], "`order` is read again"),
    ] {
        let tables = Some(tables.iter().map(|name| (*name).to_owned()).collect());
        let failure = wished(resource, &ColumnSelection { tables, ..ColumnSelection::default() }).unwrap_err();
        assert!(failure.to_string().contains(because), "{failure}");
        assert!(failure.advice().is_some());
    }
    // A resource that causes reading again may itself be excluded.
    let lines = |name: &str| {
        let tables = (name == "journal").then(|| vec!["journal".to_owned()]);
        ColumnSelection { tables, ..ColumnSelection::default() }
    };
    assert!(Catalog::load(None).unwrap().shaped(lines, |resource| resource.name != "order").is_ok());
}

#[test]
fn wishes_that_change_nothing_change_no_hash_and_others_do() {
    let hash = |wishes: &ColumnSelection| wished("brand", wishes).unwrap().find("brand").unwrap().hash.clone();
    let plain = hash(&ColumnSelection::default());
    assert_eq!(hash(&ColumnSelection { tables: Some(vec!["brand".to_owned()]), ..ColumnSelection::default() }), plain);
    let columns: Vec<String> = ["brand.name", "brand.description"].map(str::to_owned).to_vec();
    let others = BTreeSet::from([
        hash(&dropping(&columns)),
        hash(&dropping(&columns[..1])),
        hash(&ColumnSelection { marks: true, ..ColumnSelection::default() }),
        plain,
    ]);
    assert_eq!(others.len(), 4);
    assert_eq!(hash(&dropping(&columns)), hash(&dropping(&[columns[1].clone(), columns[0].clone()])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn settings_that_leave_things_out_hold_for_every_command_and_for_what_is_there_already() {
    // GIVEN orders exported whole by a schema of which one column is too narrow and one is missing
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let folder = crate::reshape::schemas(
        "order",
        &[
            (
                "{ name = \"reference\",                         from = \"reference\",                              type = \"string\" },",
                "",
            ),
            (
                "from = \"totalValue.net\",                         type = \"decimal(18,6)\"",
                "from = \"totalValue.net\", type = \"decimal(3,2)\"",
            ),
        ],
    );
    let program = Program::new(&sandbox, lake.path());
    program.clone().with("PEARLIFT_SCHEMAS", text(folder.path())).run(&["run", "order"]).expect(0);
    let extra = |words: &str| {
        query(&format!("SELECT count(*) FROM {} WHERE _extra LIKE '%{words}%'", glob(lake.path(), "order")))
    };
    assert!(extra("net") != ["0"] && extra("reference") == ["200"]);
    sandbox.take_log();

    // WHEN the settings leave out both, more columns, and tables
    let fewer = program.clone().with("PEARLIFT_RESOURCE_ORDER_TABLES", "order, order_row").with(
        "PEARLIFT_RESOURCE_ORDER_DROP_COLUMNS",
        "order.net,order.reference,order.external_ref,order_row.product_name",
    );
    let planned = fewer.run(&["run", "--dry-run", "order"]).expect(0);
    assert!(planned.stdout.contains("leaves out reference"), "{}", planned.stdout);
    fewer.run(&["run", "order"]).expect(0);

    // THEN they are nowhere, without asking the source
    assert_eq!(sandbox.take_log().documents(), 0);
    for (table, columns) in [("order", &["net", "reference", "external_ref"][..]), ("order_row", &["product_name"])] {
        let names = query(&format!("SELECT column_name FROM (DESCRIBE SELECT * FROM {})", glob(lake.path(), table)));
        assert!(names.len() > 10 && columns.iter().all(|column| !names.contains(&(*column).to_owned())), "{names:?}");
    }
    assert_eq!((extra("net"), extra("reference")), (vec!["0".to_owned()], vec!["0".to_owned()]));
    assert!(files(&lake.path().join("order_party")).is_empty());
    // AND every command sees it so
    let shown = fewer.run(&["resources", "order"]).expect(0);
    assert!(!shown.stdout.contains("order_party") && !shown.stdout.contains("productName"), "{}", shown.stdout);
    fewer.run(&["verify", "--deep"]).expect(0);
    fewer.run(&["check"]).expect(0);
    let planned = fewer.run(&["plan", "order"]).expect(0);
    assert!(!planned.stdout.contains("in place"), "{}", planned.stdout);

    // WHEN records are read from the source again, all and one by one
    let ids = sandbox.ids("order");
    fewer.run(&["backfill", "order", "--ids", &format!("{}-{}", ids[0], ids[ids.len() - 1])]).expect(0);
    fewer.run(&["run", "--full", "order"]).expect(0);

    // THEN nothing of it comes back
    let any = query(&format!("SELECT count(*), count(_extra) FROM {}", glob(lake.path(), "order")));
    assert_eq!(any, ["200|0"]);

    // WHEN they are wanted again THEN that needs the source
    let refused = program.run(&["run", "order"]).expect(2);
    assert!(refused.stderr.contains("`pearlift run --full order`"), "{}", refused.stderr);
    program.run(&["run", "--full", "order"]).expect(0);
    crate::support::check_truth(&sandbox, text(lake.path()), &["--only", "order,order_row,order_party"]);

    // WHEN names are wrong THEN every command reports it, and lists the valid ones
    let wrong = program.with("PEARLIFT_RESOURCE_ORDER_DROP_COLUMNS", "order.customer_ref");
    for command in [&["run"][..], &["plan"], &["check"], &["resources"], &["status"], &["verify"]] {
        let done = wrong.run(command).expect(2);
        assert!(done.stderr.contains("customer_ref") && done.stderr.contains("external_ref"), "{}", done.stderr);
    }
}
