//! The second reading of the schema files (`tests/reference/`, in Python, from their grammar): it makes the rows that the program
//! makes, of any answer, and a comparison by it finds each kind of damage.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::DataType;
use arrow_select::take::take_record_batch;
use fastrand::Rng;
use pearlift::decode::Page;
use pearlift::schema::{Catalog, Resource};
use serde_json::{Map, Value};

use crate::schemas::decode;
use crate::support::{Program, account, answer, python_file, today, tool};

/// Seeds of the answers that are bent; each resource has its own answer of each.
const BENT: u64 = 200;

/// The rows of a table as text, sorted: null or text a cell, `_extra` last.
type Rows = Vec<Vec<Option<String>>>;

fn cell(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:016x}", column.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Date32 => column.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        other => panic!("no column is {other}"),
    })
}

/// The rows of a batch, in its order.
pub fn cells(batch: &RecordBatch) -> Rows {
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(column, row)).collect()).collect()
}

/// The rows and partitions that an answer becomes.
#[derive(Debug, PartialEq)]
struct Made {
    /// In the order of the resource's tables.
    tables: Vec<Rows>,
    /// The number of each record's partition, by its key.
    partitions: BTreeMap<String, i32>,
}

/// The rows and partitions of the records of a page that fit.
fn program_rows(page: &Page) -> Made {
    let fits = |place: u32| page.records[usize::try_from(place).unwrap()].fits;
    let tables = page.tables.iter().map(|table| {
        let places = (0u32..).zip(&table.record_places).filter(|(_, record)| fits(**record)).map(|(place, _)| place);
        let mut rows = cells(&take_record_batch(&table.batch, &UInt32Array::from_iter_values(places)).unwrap());
        rows.sort();
        rows
    });
    let records = page.records.iter().filter(|record| record.fits);
    let partitions = records.map(|record| (record.key.to_string(), record.partition)).collect();
    Made { tables: tables.collect(), partitions }
}

/// The rows that `tests/reference/rows.py` makes of answers, each a resource and the text of a body.
fn reference_rows(answers: &[(&Resource, String)], schemas: Option<&Path>) -> Vec<Made> {
    let lines = answers.iter().map(|(resource, text)| {
        format!("{{\"resource\":\"{}\",\"answer\":{}}}\n", resource.name, text.replace('\n', " "))
    });
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(lines.collect::<String>().as_bytes()).unwrap();
    input.rewind().unwrap();
    let mut command = Command::new(tool("python"));
    command.arg(python_file("rows.py")).stdin(input);
    if let Some(folder) = schemas {
        command.arg("--schemas").arg(folder);
    }
    let output = command.output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), answers.len());
    let made = |(line, (resource, _)): (&str, &(&Resource, String))| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let tables = resource.tables.iter().map(|table| {
            let mut rows: Rows = serde_json::from_value(line["tables"][&table.name].take()).unwrap();
            rows.sort();
            rows
        });
        Made { tables: tables.collect(), partitions: serde_json::from_value(line["partitions"].take()).unwrap() }
    };
    printed.lines().zip(answers).map(made).collect()
}

/// Demands that both readings make the same of every answer. Gives the number of cells that are not null.
fn agree(answers: &[(&Resource, String)], schemas: Option<&Path>) -> usize {
    let mut filled = 0;
    let mut differences = Vec::new();
    for ((resource, text), expected) in answers.iter().zip(reference_rows(answers, schemas)) {
        let found = program_rows(&decode(resource, text));
        filled += found.tables.iter().flatten().flatten().flatten().count();
        let tables = resource.tables.iter().zip(found.tables.iter().zip(&expected.tables));
        for (table, (found, expected)) in tables.filter(|(_, (found, expected))| found != expected) {
            let only = |these: &Rows, those: &Rows| these.iter().filter(|row| !those.contains(row)).cloned().collect();
            let (ours, theirs): (Rows, Rows) = (only(found, expected), only(expected, found));
            differences.push(format!("{}: the program has {ours:?}\nexpected {theirs:?}\n{text}", table.name));
        }
        let (ours, theirs) = (&found.partitions, &expected.partitions);
        if ours != theirs {
            differences.push(format!("{}: partitions {ours:?}, expected {theirs:?}\n{text}", resource.name));
        }
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences[..1].join("\n"));
    filled
}

/// Values that replace others.
const ODD: [&str; 40] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-7",
    "12.5",
    "0.0000001",
    "4.0000",
    "1e3",
    "-2.50e1",
    "2147483648",
    "9223372036854775808",
    "123456789012.123456",
    "1234567890123.5",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"12.50\"",
    "\"4.0000\"",
    "\"-0.00\"",
    "\"true\"",
    "\"1\"",
    "\"0\"",
    "\"9223372036854775808\"",
    "\"12,50\"",
    "\"2026-06-03\"",
    "\"2026-02-30\"",
    "\"2026-06-03T00:00:00.000+01:00\"",
    "\"2026-06-03T01:00:00+0100\"",
    "\"2026-06-03T10:02:44\"",
    "\"2026-06-03T10:02:44.1234567Z\"",
    "\"9999-12-31T23:59:59.999-01:00\"",
    "\"0000-01-01T00:00:00Z\"",
    "{}",
    "[]",
    "{\"a\":1,\"b\":[null,{\"z\":1,\"y\":\"ü\\n\\\"\"}]}",
    "[1,\"2\",null]",
    "{\"value\":\"x\",\"id\":\"7\"}",
    "[{}]",
];

/// A value somewhere below this one.
fn somewhere<'v>(value: &'v mut Value, dice: &mut Rng) -> &'v mut Value {
    let below = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    if below == 0 || dice.u32(..4) == 0 {
        return value;
    }
    let place = dice.usize(..below);
    let below = match value {
        Value::Object(fields) => fields.values_mut().nth(place),
        Value::Array(items) => items.get_mut(place),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    somewhere(below.expect("the place is one of them"), dice)
}

/// Bends one value: another in its place, a field or an entry more, less or twice, a list as a map and the other way.
fn bend(value: &mut Value, dice: &mut Rng) {
    let odd = |dice: &mut Rng| serde_json::from_str::<Value>(ODD[dice.usize(..ODD.len())]).unwrap();
    let here = somewhere(value, dice);
    match (here, dice.u32(..5)) {
        (Value::Object(fields), 0) if !fields.is_empty() => {
            let name = fields.keys().nth(dice.usize(..fields.len())).unwrap().clone();
            fields.shift_remove(&name);
        }
        (Value::Object(fields), 1) => {
            let names = ["surplus", "value", "id", "code", "7", "x", "", "-1", "007"];
            fields.insert(names[dice.usize(..names.len())].to_owned(), odd(dice));
        }
        (here @ Value::Object(_), 2) => {
            let fields = here.as_object().unwrap().values().cloned().collect();
            *here = Value::Array(fields);
        }
        (Value::Array(items), 0) if !items.is_empty() => {
            items.remove(dice.usize(..items.len()));
        }
        (Value::Array(items), 1) => {
            let more = odd(dice);
            items.insert(dice.usize(..=items.len()), more);
        }
        (Value::Array(items), 2) if !items.is_empty() => {
            let twin = items[dice.usize(..items.len())].clone();
            items.push(twin);
        }
        (here @ Value::Array(_), 3) => {
            let items = here.as_array().unwrap().iter().enumerate();
            *here = Value::Object(items.map(|(place, item)| (place.to_string(), item.clone())).collect::<Map<_, _>>());
        }
        (here, _) => *here = odd(dice),
    }
}

/// An answer of which a few values are bent: of a search cells of its rows, else anything below `response`.
fn bent(answer: &str, seed: u64) -> String {
    let mut dice = Rng::with_seed(seed);
    let mut answer: Value = serde_json::from_str(answer).unwrap();
    for _ in 0..dice.u32(1..4) {
        let response = &mut answer["response"];
        match response.get_mut("results").and_then(Value::as_array_mut) {
            Some(rows) => {
                let row = dice.usize(..rows.len());
                let place = dice.usize(..rows[row].as_array().unwrap().len());
                bend(&mut rows[row][place], &mut dice);
            }
            None => {
                // The response itself stays a list or a map.
                let mut records: Vec<&mut Value> = match response {
                    Value::Array(items) => items.iter_mut().collect(),
                    Value::Object(fields) => fields.values_mut().collect(),
                    _ => panic!("a response of documents is a list or a map"),
                };
                if records.is_empty() {
                    continue;
                }
                let place = dice.usize(..records.len());
                bend(records[place], &mut dice);
            }
        }
    }
    answer.to_string()
}

#[test]
fn both_readings_make_the_same_rows_of_every_answer() {
    let catalog = Catalog::load(None).unwrap();
    let answers: Vec<_> = catalog.resources().iter().map(|resource| (resource, answer(resource))).collect();
    assert!(agree(&answers, None) > 700);
}

#[test]
fn both_readings_make_the_same_rows_of_answers_that_are_bent() {
    let catalog = Catalog::load(None).unwrap();
    let answers: Vec<_> = catalog
        .resources()
        .iter()
        .flat_map(|resource| {
            let whole = answer(resource);
            (0..BENT).map(move |seed| (resource, bent(&whole, seed)))
        })
        .collect();
    agree(&answers, None);
}

/// A schema of words that no built-in file uses: floats, buckets, labels further down, entries of entries, two tables of one place, keys of texts.
const GARDEN: &str = r#"
about = "gardens with beds and plants"
default = false
confidence = "recorded"

[codes.kind]
bed = "in a bed"
"7" = "in a pot"

[read]
style = "list"
service = "test-service"
get = "garden"
key = "@key"
records = "gardens.*.parts.*"
newer = ["seen", "changed_on"]

[tables.garden]
description = "Gardens."
confidence = "client-code"
key = ["id"]
partition = "bucket(seen, 7)"
columns = [
  { name = "id",         from = "@key",              type = "string", required = true },
  { name = "place",      from = "@index",            type = "int32" },
  { name = "seen",       from = ["seen", "visits"],  type = "int64" },
  { name = "changed_on", from = "changedOn",         type = "timestamp" },
  { name = "area",       from = "size.area",         type = "float64" },
  { name = "size",       from = "size",              type = "json" },
  { name = "price",      from = "price",             type = "decimal(38,0)" },
  { name = "rent",       from = "rent",              type = "decimal(5,5)" },
]

[tables.plant]
rows = [{ path = "beds.*.plants.*", label = "bed" }, { path = "pots.shelf.*.*", label = "pot" }]
key = ["garden_id", "kind", "outer", "place"]
columns = [
  { name = "garden_id", from = "$.@key",                 type = "string", required = true, references = "garden.id" },
  { name = "kind",      from = "@label",                 type = "string", required = true, codes = "kind", description = "Where." },
  { name = "outer",     from = ["^.@key", "^.@index"],   type = "string", required = true },
  { name = "place",     from = "@index",                 type = "int64", required = true },
  { name = "name",      from = ["name.latin", "name.plain", "."], type = "string", references = ["garden.id", "plant.kind"] },
  { name = "soil",      from = "^.soil.kind",            type = "string" },
  { name = "owner",     from = "^.^.owner",              type = "int64", references = { none = "people are not read" }, personal = true, confidence = "guess" },
  { name = "seen",      from = "$.seen",                 type = "int32" },
  { name = "open",      from = "^.sun.open",             type = "bool" },
  { name = "day",       from = "^.sun.day",              type = "date" },
]

[tables.bed]
rows = "beds.*"
key = ["garden_id", "bed"]
columns = [
  { name = "garden_id", from = "$.@key", type = "string", required = true },
  { name = "bed",       from = "@key",   type = "int64", required = true },
  { name = "soil",      from = "soil",   type = "json" },
]

[tables.bough]
rows = "boughs.*"
again = "sub.boughs.*"
key = ["garden_id", "path"]
columns = [
  { name = "garden_id", from = "$.@key",  type = "string", required = true },
  { name = "path",      from = "@path",   type = "string", required = true },
  { name = "around",    from = "^.@path", type = "string" },
  { name = "level",     from = "@level",   type = "int32" },
  { name = "place",     from = "@index",   type = "int64" },
  { name = "key",       from = "@key",     type = "string" },
  { name = "name",      from = "name",     type = "string" },
  { name = "seen",      from = "$.seen",   type = "int32" },
]

[tables.bed_sun]
rows = "beds.*"
key = ["garden_id", "bed"]
columns = [
  { name = "garden_id", from = "$.@key",    type = "string", required = true },
  { name = "bed",       from = "@key",      type = "int64", required = true },
  { name = "open",      from = "sun.open",  type = "json" },
  { name = "day",       from = "day",       type = "date" },
]
"#;

const GARDENS: &str = r#"{"response":{"gardens":{"north":{"parts":{
  "a":{"seen":12,"visits":13,"changedOn":"2026-06-03T10:02:44+0100","size":{"area":1.25e1,"unit":"m2"},"price":12345678901234567890123456789012345678,"rent":0.12345,
    "owner":7,"gate":"wide",
    "beds":{"1":{"day":" ","soil":{"kind":"clay","ph":6.5},"sun":{"open":"1","day":"2026-07-01"},"plants":[{"name":{"latin":"Rosa","plain":"rose"}},"weed",{"name":{"plain":"mint"},"height":3}]},
            "2":{"soil":"sand","plants":{"x":{"name":"plain text"}},"sun":{"open":false,"hours":5}}},
    "boughs":{"x":{"name":"one","sub":{"boughs":[{"name":"two","leaf":1,"sub":{"n":2,"boughs":{"q":{"name":3},"r":null}}},"bare"]}},"y":{"sub":{"boughs":7}},"z":{"name":{"a":1},"sub":{"boughs":{}}}},
    "pots":{"shelf":[["fern",{"name":{"latin":""}}],{"k":{"name":{}}},[]],"colour":"red"}},
  "b":{"visits":"21","changedOn":"2026-06-03","size":{"area":"x"},"price":1.5,"rent":1.5,"beds":[{"id":3,"plants":[7]},{"soil":[1]}],"pots":3}
}},"south":{"parts":{"a":{"seen":12,"changedOn":"2026-06-02T00:00:00Z"},"c":null,"d":7,"":{"seen":1}}}}}}"#;

#[test]
fn both_readings_take_every_word_of_the_grammar() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("garden.toml"), GARDEN).unwrap();
    let catalog = Catalog::load(Some(folder.path())).unwrap();
    let garden = catalog.get("garden").unwrap();
    let mut answers = vec![(garden, GARDENS.to_owned())];
    for seed in 0..2 * BENT {
        let mut dice = Rng::with_seed(seed);
        let mut answer: Value = serde_json::from_str(GARDENS).unwrap();
        for _ in 0..dice.u32(1..5) {
            let parts = answer["response"]["gardens"]["north"]["parts"].as_object_mut().unwrap();
            let place = dice.usize(..parts.len());
            bend(parts.values_mut().nth(place).unwrap(), &mut dice);
        }
        answers.push((garden, answer.to_string()));
    }
    assert!(agree(&answers[..1], Some(folder.path())) > 50);
    agree(&answers, Some(folder.path()));
}

#[test]
fn a_schema_file_that_one_reading_refuses_is_refused_by_the_other() {
    let wrong = [
        ("style = \"list\"", "style = \"lists\""),
        ("key = [\"id\"]", "key = [\"place\"]"),
        ("key = [\"id\"]", "key = [\"ids\"]"),
        (
            "from = \"$.@key\",                 type = \"string\"",
            "from = \"$.seen\",                 type = \"string\"",
        ),
        ("type = \"float64\"", "type = \"float\""),
        ("from = \"$.@key\",                 type = \"string\"", "from = \"$.@key\",                 type = \"int64\""),
        ("partition = \"bucket(seen, 7)\"", "partition = \"month(seen)\""),
        ("partition = \"bucket(seen, 7)\"", "partition = \"bucket(place, 7)\""),
        ("type = \"decimal(38,0)\"", "type = \"decimal(39,0)\""),
        ("type = \"decimal(5,5)\"", "type = \"decimal(5,6)\""),
        ("from = \"^.^.owner\"", "from = \"^.^.^.owner\""),
        ("from = \"size.area\"", "from = \"size..area\""),
        ("from = \"size.area\"", "from = \"@id\""),
        ("from = \"size.area\"", "from = \"@label\""),
        ("from = \"size.area\"", "from = \"@path\""),
        ("from = \"^.sun.open\"", "from = \"@level\""),
        ("from = \"^.@path\"", "from = \"^.name\""),
        ("key = [\"garden_id\", \"path\"]", "key = [\"garden_id\"]"),
        ("again = \"sub.boughs.*\"", "again = \"sub.boughs\""),
        ("again = \"sub.boughs.*\"", "again = \"*\""),
        ("again = \"sub.boughs.*\"", "again = \"sub.*.boughs.*\""),
        ("get = \"garden\"", "get = [{ path = \"garden\", label = \"\" }]"),
        ("rows = \"beds.*\"", "rows = \"beds\""),
        ("path = \"pots.shelf.*.*\"", "path = \"pots.shelf.*\""),
        ("partition = \"bucket(seen, 7)\"", "partition = \"year(seen)\""),
        ("name = \"rent\"", "name = \"Rent\""),
        ("name = \"rent\"", "name = \"price\""),
        ("about = ", "title = 1\nabout = "),
        ("get = ", "getting = 1\nget = "),
        ("records = \"gardens.*.parts.*\"", "records = \"gardens.*.parts\""),
        ("description = \"Gardens.\"", "description = \" \""),
        ("description = \"Where.\"", "description = \"\""),
        ("description = \"Where.\"", "descriptions = \"Where.\""),
        ("confidence = \"client-code\"", "confidence = \"certain\""),
        ("references = \"garden.id\"", "references = \"garden\""),
        ("references = \"garden.id\"", "references = \"gardens.id\""),
        ("references = \"garden.id\"", "references = \"garden.seen\""),
        ("references = [\"garden.id\", \"plant.kind\"]", "references = []"),
        ("none = \"people are not read\"", "none = \"\""),
        ("none = \"people are not read\"", "no = \"people are not read\""),
        ("codes = \"kind\"", "codes = \"kinds\""),
        ("bed = \"in a bed\"", "bed = \"\""),
    ];
    for (from, to) in wrong {
        assert!(GARDEN.contains(from), "{from}");
        let folder = tempfile::tempdir().unwrap();
        let text = GARDEN.replacen(from, to, 1);
        std::fs::write(folder.path().join("garden.toml"), &text).unwrap();
        assert!(Catalog::load(Some(folder.path())).is_err(), "the program takes {to}");
        let output = Command::new(tool("python"))
            .arg(python_file("rows.py"))
            .arg("--schemas")
            .arg(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success(), "rows.py takes {to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_comparison_with_the_truth_finds_each_kind_of_damage() {
    // GIVEN a lake that equals the truth
    let sandbox = account(100).await;
    let lake = tempfile::tempdir().unwrap();
    Program::new(&sandbox, lake.path()).by_month().run(&["run"]).expect(0);

    // WHEN copies of it are damaged in more than forty ways, one at a time
    let output = Command::new(tool("python"))
        .arg(python_file("damage.py"))
        .args(["--truth", &sandbox.control(), "--tables", lake.path().to_str().unwrap(), "--day", &today()])
        .output()
        .unwrap();

    // THEN the comparison finds each, and nothing where a table is only rewritten
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let kinds: u32 = printed.split(' ').next().unwrap().parse().unwrap();
    assert!(kinds > 40, "{printed}");
}
