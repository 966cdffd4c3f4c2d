//! Answers as the source should not give them: nothing of them is lost without a word.

use arrow_array::cast::AsArray;
use pearlift::decode::{Page, Shape, documents, rows};
use pearlift::fetch::{Body, Broken};
use pearlift::manifest::Key;
use pearlift::schema::{Catalog, EXTRA, Style};

const LEDGER: &str = r#"
about = "entries of a ledger, with amounts by day"
[read]
style = "list"
service = "test-service"
get = "ledger"
key = "id"

[tables.amount]
rows = "days.*.amounts.*"
key = ["id", "day", "position"]
columns = [
  { name = "id",       from = "$.id",    type = "int64", required = true },
  { name = "day",      from = "^.@key",  type = "string", required = true },
  { name = "position", from = "@index",  type = "int32", required = true },
  { name = "number",   from = "^.@key",  type = "int64" },
  { name = "rate",     from = "^.rate",  type = "decimal(9,2)" },
  { name = "on",       from = "on",      type = "timestamp" },
  { name = "on_local", from = "on",      type = "date" },
]
"#;

const CODES: &str = r#"
about = "codes"
[read]
style = "search"
service = "test-service"
search = "code-search"
key = "id"

[tables.code]
key = ["id"]
columns = [
  { name = "id",   from = "id",   type = "int64", required = true },
  { name = "name", from = "name", type = "string" },
]
"#;

fn read(schema: &str, text: &[u8]) -> Result<Page, Broken> {
    let catalog = Catalog::from_texts(&[("resource".to_owned(), schema.to_owned())]).unwrap();
    let resource = &catalog.resources()[0];
    let shape = Shape::compile(resource).unwrap();
    let body = Body { bytes: text.to_vec().into(), gzip: false };
    match &resource.read.style {
        Style::Search(search) => rows(&shape, &body, &search.row, None),
        Style::IdSets { .. } | Style::List { .. } | Style::PerOwner { .. } => documents(&shape, &body),
    }
}

fn extras(page: &Page) -> Vec<Option<&str>> {
    page.tables[0].batch.column_by_name(EXTRA).unwrap().as_string::<i32>().iter().collect()
}

fn misfits(page: &Page) -> Vec<(&str, u64)> {
    page.misfits.iter().map(|(path, count, _)| (path, count)).collect()
}

#[test]
fn a_body_that_is_not_one_whole_answer_is_refused() {
    let bodies: [&[u8]; 9] = [
        b"",
        b"[1]",
        br#"{"response":[{"id":1}]"#,
        br#"{"response":[{"id":1}]} {"response":[{"id":2}]}"#,
        br#"{"response":[{"id":1}]}}"#,
        br#"{"response":[{"id":1} {"id":2}]}"#,
        br#"{"response":[{"id":1},]}"#,
        br#"{"response":[{"id":01}]}"#,
        b"{\"response\":[{\"id\":1,\"name\":\"\xff\"}]}",
    ];
    for body in bodies {
        let read = read(LEDGER, body);
        assert!(read.is_err(), "{}: {read:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_search_row_with_more_or_fewer_values_than_columns_is_refused() {
    let answer = |row: &str| {
        let columns = r#"{"columns":[{"name":"id"},{"name":"name"}]}"#;
        format!(r#"{{"response":{{"results":[{row}],"metaData":{columns}}}}}"#)
    };
    assert_eq!(read(CODES, answer(r#"[1,"a"]"#).as_bytes()).unwrap().owners.len(), 1);
    assert!(read(CODES, answer("[1]").as_bytes()).is_err());
    assert!(read(CODES, answer(r#"[1,"a","b"]"#).as_bytes()).is_err());
}

#[test]
fn a_number_before_white_space_is_read() {
    let page =
        read(LEDGER, b"{\"response\":[{\"id\":7\n,\"days\":{\"1\":{\"rate\":2.50\n,\"amounts\":[{}]}}\n}]}").unwrap();
    assert!(page.misfits.is_empty(), "{:?}", page.misfits);
    assert_eq!(page.owners.len(), 1);
    assert_eq!(extras(&page), [None]);
}

#[test]
fn a_value_from_an_enclosing_entry_that_does_not_fit_is_kept_and_counted() {
    let page = read(LEDGER, br#"{"response":[{"id":1,"days":{"monday":{"rate":"high","amounts":[{}]}}}]}"#).unwrap();
    assert_eq!(misfits(&page), [("amount.^.@key", 1), ("amount.^.rate", 1)]);
    assert_eq!(extras(&page), [Some(r#"{"^":{"@key":"monday","rate":"high"}}"#)]);
}

#[test]
fn a_value_that_fits_neither_of_its_two_columns_is_kept_once() {
    let page = read(LEDGER, br#"{"response":[{"id":1,"days":{"1":{"amounts":[{"on":"soon"}]}}}]}"#).unwrap();
    assert_eq!(extras(&page), [Some(r#"{"on":"soon"}"#)]);
}

#[test]
fn an_unnamed_field_of_a_record_without_rows_is_counted() {
    for days in ["{}", r#"{"1":{"amounts":[]}}"#] {
        let text = format!(r#"{{"response":[{{"id":1,"colour":"red","days":{days}}}]}}"#);
        let page = read(LEDGER, text.as_bytes()).unwrap();
        assert_eq!(misfits(&page), [("colour (unnamed, in a record without rows)", 1)]);
    }
}

#[test]
fn an_unnamed_field_of_a_record_is_kept_with_its_rows() {
    let page =
        read(LEDGER, br#"{"response":[{"id":1,"colour":"red","days":{"1":{"amounts":[{"tip":1 }]}}}]}"#).unwrap();
    assert!(page.misfits.is_empty());
    assert_eq!(extras(&page), [Some(r#"{"^":{"^":{"colour":"red"}},"tip":1}"#)]);
}

#[test]
fn an_entry_that_is_no_object_is_kept_whole_and_takes_the_place_of_nothing() {
    let schema = CODES
        .replace("style = \"search\"", "style = \"list\"")
        .replace("search = \"code-search\"", "get = \"code\"")
        .replace("key = \"id\"\n", "key = \"@key\"\n")
        .replace("from = \"id\",   type = \"int64\"", "from = \"@key\", type = \"int64\"");
    let page = read(&schema, br#"{"response":{"7":null,"8":"gone","9":{"name":"nine"}}}"#).unwrap();
    let kept: Vec<(String, &str)> =
        page.records.iter().map(|record| (record.id.as_ref().unwrap().to_string(), record.raw.as_str())).collect();
    assert_eq!(kept, [("7".to_owned(), "null"), ("8".to_owned(), "\"gone\"")]);
    assert_eq!(page.owners.iter().map(|owner| owner.fits).collect::<Vec<bool>>(), [false, false, true]);
    assert_eq!(page.tables[0].batch.num_rows(), 1);
}

#[test]
fn a_record_read_by_its_id_whose_id_is_below_one_is_kept_whole_under_none() {
    let catalog = Catalog::load(None).unwrap();
    let shape = Shape::compile(catalog.get("order").unwrap()).unwrap();
    let mut answer: serde_json::Value = serde_json::from_str(include_str!("../fixtures/order.json")).unwrap();
    for id in [0, -7] {
        answer["response"][0]["id"] = id.into();
        let page = documents(&shape, &Body { bytes: answer.to_string().into(), gzip: false }).unwrap();
        let kept: Vec<_> = page.records.iter().map(|record| (&record.id, record.raw.contains("\"id\""))).collect();
        assert_eq!(kept, [(&None, true)], "{id}");
        assert!(page.owners.iter().all(|owner| !owner.fits || owner.key > Key::Int(0)), "{id}");
    }
}
