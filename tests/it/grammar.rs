//! Words of the schema grammar that no built-in file uses together.

use pearlift::decode::Page;
use pearlift::schema::{Catalog, EXTRA};

use crate::reference::cells;
use crate::schemas::decode;

const SCHEMA: &str = r#"
about = "things"
[read]
style = "list"
service = "thing-service"
get = "thing"
key = ["id", "thingId"]
[tables.thing]
key = ["id"]
columns = [
  { name = "id",   from = ["id", "thingId"],    type = "int64", required = true },
  { name = "wrap", from = "fields.PCF_WRAP",    type = "bool" },
  { name = "size", from = "fields.PCF_SIZE.id", type = "int64" },
]
[tables.thing_field]
rows = "fields.*"
key = ["thing_id", "code"]
columns = [
  { name = "thing_id",     from = ["$.id", "$.thingId"], type = "int64", required = true },
  { name = "code",         from = "@key",                type = "string", required = true },
  { name = "value_text",   from = ["value", "."],        type = "string" },
  { name = "value_id",     from = "id",                  type = "int64" },
  { name = "value_number", from = ["value", "."],        type = "decimal(18,6)", tried = true },
]
[tables.thing_mark]
rows = "marks.*"
split = ";"
skip = ["-"]
key = ["thing_id", "position"]
columns = [
  { name = "thing_id", from = ["$.id", "$.thingId"], type = "int64", required = true },
  { name = "position", from = "@index", type = "int32", required = true },
  { name = "mark",     from = ".", type = "string" },
]
"#;

const ANSWER: &str = r#"{"response": [
  {"id": 1, "fields": {"PCF_WRAP": true, "PCF_SIZE": {"id": 7, "value": "L"}, "PCF_LONG": "12.5"}, "marks": "a; b;;-;c"},
  {"thingId": "2", "fields": {"PCF_WRAP": "no", "PCF_SIZE": "L"}, "marks": 9},
  {"thingId": 3, "marks": ""}
]}"#;

fn page(schema: &str) -> Page {
    let catalog = Catalog::from_texts(&[("thing".to_owned(), schema.to_owned())]).unwrap();
    decode(&catalog.resources()[0], ANSWER)
}

fn rows(page: &Page, table: usize) -> Vec<String> {
    let shown = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let rows = cells(&page.tables[table].batch).into_iter();
    rows.map(|row| row.into_iter().map(shown).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_place_is_named_and_has_rows_a_type_is_tried_and_a_text_is_cut() {
    // WHEN records are read that have their ids at two places, and fields of several types
    let page = page(SCHEMA);

    // THEN a field is a column and a row, a fitting value is in its tried column, and the pieces of a text are rows
    assert!(page.rejected_records.is_empty(), "{:?}", page.rejected_records);
    assert_eq!(page.tables[0].batch.schema().fields().last().unwrap().name(), EXTRA);
    assert_eq!(rows(&page, 0), ["1 true 7 -", "2 - - {\"fields\":{\"PCF_WRAP\":\"no\"}}", "3 - - -"]);
    assert_eq!(
        rows(&page, 1),
        [
            "1 PCF_WRAP true - - -",
            "1 PCF_SIZE L 7 - -",
            "1 PCF_LONG 12.5 - 12.500000 -",
            "2 PCF_WRAP no - - -",
            "2 PCF_SIZE L - - -"
        ]
    );
    assert_eq!(rows(&page, 2), ["1 0 a -", "1 1 b -", "1 4 c -", "2 0 9 -"]);
    let rejected_values: Vec<_> =
        page.rejected_values.counts().map(|(path, count)| format!("{path} {count}")).collect();
    assert_eq!(rejected_values, ["thing.fields.PCF_WRAP 1"], "a tried column counts none");
}

#[test]
fn words_that_would_lose_a_value_are_refused() {
    for (from, to, why) in [
        ("type = \"decimal(18,6)\", tried = true", "type = \"string\", tried = true", "takes any text"),
        (
            "from = [\"value\", \".\"],        type = \"decimal(18,6)\"",
            "from = \"other\", type = \"int64\"",
            "takes the same path",
        ),
        ("split = \";\"\n", "", "`skip` goes with `split`"),
        ("rows = \"marks.*\"\n", "", "`split` is a text, and goes with `rows`"),
        ("key = [\"id\", \"thingId\"]", "key = [\"thingId\", \"id\"]", "must be the record's `key`"),
    ] {
        assert!(SCHEMA.contains(from), "{from}");
        let texts = [("thing".to_owned(), SCHEMA.replacen(from, to, 1))];
        let refused = Catalog::from_texts(&texts).unwrap_err().to_string();
        assert!(refused.contains(why), "{to}: {refused}");
    }
}
