//! Custom fields as typed columns: proposed from the account's own definitions, filled from the rows that are there.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{Program, account, query};

/// The definitions of the custom fields that the orders of the simulated account have.
fn define(sandbox: &Sandbox, sale: &Value, purchase: &Value) {
    let rule = |path: &str, fields: &Value| {
        let body = json!({"response": fields}).to_string();
        json!({"path": path, "then": {"status": {"status": 200, "body": body}}})
    };
    let rules = json!([
        rule("order-service/sale/custom-field-meta-data", sale),
        rule("order-service/purchase/custom-field-meta-data", purchase),
    ]);
    sandbox.change(|settings| settings.answers = serde_json::from_value(rules).unwrap());
}

/// Definitions with a name each that is no name of a column, two of them alike, and one that no order has.
fn definitions() -> Value {
    let field = |id: u32, code: &str, name: &str, kind: &str| json!({"id": id, "code": code, "name": name, "customFieldType": kind});
    json!([
        field(1, "PCF_GIFTNOTE", "Gift note", "TEXT"),
        field(2, "PCF_ZONE", "Zustell-Größe \"EU\"", "SELECT"),
        field(3, "PCF_WRAP", "Gift note", "YES_NO"),
        field(4, "PCF_POINTS", "備考", "INTEGER"),
        field(5, "PCF_PROMISED", "version", "DATE"),
        field(6, "PCF_NEVER", "Never set", "TEXT_AREA"),
    ])
}

async fn exported() -> (Sandbox, tempfile::TempDir, Program) {
    let sandbox = account(200).await;
    define(&sandbox, &definitions(), &json!([]));
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "30d");
    let definers = ["sale_custom_field_definition", "purchase_custom_field_definition"];
    program.run(&["run", "order", definers[0], definers[1]]).expect(0);
    (sandbox, lake, program)
}

/// The rows of orders in which a column differs from the value of the long table, and those that have a value.
fn compared(lake: &Path, column: &str, code: &str, value: &str) -> String {
    let of = |table: &str| format!("read_parquet('{}/{table}/**/*.parquet')", lake.display());
    query(&format!(
        "SELECT count(*) FILTER (o.{column} IS DISTINCT FROM f.{value}) || ' ' || (count(f.{value}) > 10) FROM {} o \
         LEFT JOIN {} f ON f.order_id = o.id AND f.code = '{code}'",
        of("order"),
        of("order_custom_field")
    ))
    .remove(0)
}

const COLUMNS: [(&str, &str, &str); 5] = [
    ("gift_note", "PCF_GIFTNOTE", "value_text"),
    ("zustell_grosse_eu", "PCF_ZONE", "value_text"),
    ("gift_note_2", "PCF_WRAP", "value_bool"),
    ("pcf_points", "PCF_POINTS", "value_number"),
    ("version_2", "PCF_PROMISED", "value_date"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_custom_field_that_the_account_defines_becomes_a_typed_column_of_stored_and_new_rows() {
    // GIVEN exported orders and the definitions of their custom fields
    let (sandbox, lake, program) = exported().await;

    // WHEN the proposed schema file is taken as it is printed
    let own = tempfile::tempdir().unwrap();
    let printed = program.run(&["resources", "--custom-fields", "order"]).expect(0).stdout;
    std::fs::write(own.path().join("order.toml"), &printed).unwrap();
    let program = program.with("PEARLIFT_SCHEMAS", own.path().to_str().unwrap());
    let done = program.run(&["run", "order"]).expect(0);

    // THEN the stored rows have the values of the long table in columns of their types, without a read of the source
    assert!(!done.said().contains("cannot be filled"), "{}", done.said());
    for (column, code, value) in COLUMNS {
        assert_eq!(compared(lake.path(), column, code, value), "0 true", "{code}");
    }
    let types = "typeof(any_value(gift_note_2)) || ' ' || typeof(any_value(pcf_points)) || ' ' || typeof(any_value(version_2)) \
                 || ' ' || count(never_set)";
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    assert_eq!(query(&format!("SELECT {types} FROM read_parquet('{glob}')")), ["BOOLEAN BIGINT DATE 0"]);

    // WHEN orders come and change THEN so have theirs
    sandbox.age(Duration::from_secs(5 * 3600));
    sandbox.insert("order", 30);
    sandbox.edit("order", &sandbox.ids("order")[..40]);
    program.run(&["run", "order"]).expect(0);
    for (column, code, value) in COLUMNS {
        assert_eq!(compared(lake.path(), column, code, value), "0 true", "{code}");
    }

    // AND a full read gives the same
    program.run(&["run", "--full", "order"]).expect(0);
    for (column, code, value) in COLUMNS {
        assert_eq!(compared(lake.path(), column, code, value), "0 true", "{code}");
    }

    // WHEN it is asked once more THEN the user's own file is printed, to which nothing is added
    let again = program.run(&["resources", "--custom-fields", "order"]).expect(0).stdout;
    assert_eq!(again.trim_end(), printed.trim_end());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_of_custom_fields_are_personal_and_two_types_of_one_code_are_json() {
    // GIVEN a code that sales define as a number and purchases as a text
    let (sandbox, _lake, program) = exported().await;
    let other = json!([{"id": 9, "code": "PCF_POINTS", "name": "Points", "customFieldType": "TEXT"}]);
    define(&sandbox, &definitions(), &other);
    program.run(&["run", "purchase_custom_field_definition"]).expect(0);

    // WHEN columns are proposed THEN that one takes any value, and the others have their types
    let printed = program.run(&["resources", "order", "--custom-fields"]).expect(0).stdout;
    for line in [
        "{ name = \"pcf_points\", from = \"customFields.PCF_POINTS\", type = \"json\", personal = true, description = \"The custom field PCF_POINTS: 備考, Points.\" },",
        "{ name = \"gift_note_2\", from = \"customFields.PCF_WRAP\", type = \"bool\", description = \"The custom field PCF_WRAP: Gift note.\" },",
        "{ name = \"zustell_grosse_eu\", from = [\"customFields.PCF_ZONE.value\", \"customFields.PCF_ZONE\"], type = \"string\", personal = true, description = \"The custom field PCF_ZONE: Zustell-Größe EU.\" },",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_definitions_or_custom_fields_the_command_states_the_remedy() {
    let (_sandbox, _lake, program) = exported().await;
    let done = program.run(&["resources", "--custom-fields", "brand"]).expect(2);
    assert!(done.stderr.contains("resources that have them: ") && done.stderr.contains("order"), "{}", done.stderr);
    let done = program.run(&["resources", "--custom-fields", "product"]).expect(2);
    assert!(done.stderr.contains("`pearlift run product_custom_field_definition` exports them"), "{}", done.stderr);
    program.run(&["resources", "--custom-fields"]).expect(2);
}

/// The block of docs/tasks/own-resources.md in this language between two marks.
fn block(mark: &str, language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tasks/own-resources.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, from) = page.split_once(&format!("<!-- {mark} -->")).unwrap();
    let (section, _) = from.split_once(&format!("<!-- /{mark} -->")).unwrap();
    let (_, from) = section.split_once(&format!("```{language}\n")).unwrap();
    from.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_resource_and_the_columns_of_the_page_work_as_they_are_printed() {
    // GIVEN an account that defines two custom fields, and an empty folder
    let sandbox = account(100).await;
    let field = |id: u32, code: &str, name: &str, kind: &str| json!({"id": id, "code": code, "name": name, "customFieldType": kind});
    let fields = json!([field(1, "PCF_GIFTNOTE", "Gift note", "TEXT"), field(2, "PCF_WRAP", "Gift wrap", "YES_NO")]);
    define(&sandbox, &fields, &json!([]));
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let program = Program::new(&sandbox, &lake);

    // WHEN the lines of the page are run in a shell, one example after the other
    let bin = Path::new(env!("CARGO_BIN_EXE_pearlift")).parent().unwrap();
    let environment = program.command(&[]);
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).current_dir(folder.path());
    shell.arg("-ec").arg(format!("{}{}", block("own resource", "sh"), block("own columns", "sh")));
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    // THEN the added resource has every product, the printed columns are those of the page, and they have the values
    let glob = format!("{}/product_search/**/*.parquet", lake.display());
    let products = format!("SELECT count(DISTINCT product_id) FROM read_parquet('{glob}')");
    assert_eq!(query(&products), [sandbox.ids("product").len().to_string()]);
    let own = std::fs::read_to_string(folder.path().join("my-schemas/order.toml")).unwrap();
    assert!(own.contains(&block("own columns", "toml")), "{own}");
    assert_eq!(compared(&lake, "gift_note", "PCF_GIFTNOTE", "value_text"), "0 true");
    assert_eq!(compared(&lake, "gift_wrap", "PCF_WRAP", "value_bool"), "0 true");
}
