//! Every schema file against an answer: the documented one of `tests/fixtures/`, or one of the sandbox, which serves every
//! resource. The folders are walked, so that a resource that is not served, or a column that no answer fills, fails here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_row::{RowConverter, SortField};
use pearlift::decode::{Asked, Page, Shape, answer as documents_of, rows};
use pearlift::fetch::Body;
use pearlift::manifest::Key;
use pearlift::schema::{Catalog, EXTRA, ReadStyle, Resource, Table};

use crate::support::{answer, serve};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of a folder with this ending: name without it, and text.
fn texts(folder: &Path, ending: &str) -> BTreeMap<String, String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn catalog() -> Catalog {
    let texts: Vec<(String, String)> = texts(&folder("schemas"), "toml").into_iter().collect();
    Catalog::from_texts(&texts).unwrap()
}

/// An answer as the resource reads it.
pub fn decode(resource: &Resource, text: &str) -> Page {
    let shape = Shape::compile(resource).unwrap();
    let body = Body { bytes: text.to_owned().into(), gzip: false };
    match &resource.read.style {
        ReadStyle::Search(search) => rows(&shape, &body, &search.row, &[]).unwrap(),
        ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. } => {
            // An answer does not say of which id it is, where one is asked for at a time.
            let asked = Asked::new((*max_ids == 1).then_some(7), None);
            documents_of(&shape, &body, &asked, false).unwrap()
        }
        ReadStyle::List { gets, .. } => {
            documents_of(&shape, &body, &Asked::new(None, gets[0].label.as_deref()), true).unwrap()
        }
    }
}

/// Every resource with its answer, and with it decoded. Trial resources have a schema and a fixture alone, as one has that
/// is added.
fn answered() -> Vec<(Resource, String)> {
    let mut all: Vec<_> = catalog().resources().iter().map(|resource| (resource.clone(), answer(resource))).collect();
    let trial = folder("tests/it/trial");
    let texts: Vec<(String, String)> = texts(&trial, "toml").into_iter().collect();
    let served = |resource: &Resource| (resource.clone(), serve(resource, Some(trial.clone())).text);
    all.extend(Catalog::from_texts(&texts).unwrap().resources().iter().map(served));
    all
}

fn decoded() -> Vec<(Resource, Page)> {
    let decode_one = |(resource, text): (Resource, String)| {
        let page = decode(&resource, &text);
        (resource, page)
    };
    answered().into_iter().map(decode_one).collect()
}

/// The rows of one table of one resource's answer.
fn table_rows(resource: &str, table: &str) -> RecordBatch {
    let (resource, page) = decoded().into_iter().find(|(found, _)| found.name == resource).unwrap();
    let place = resource.tables.iter().position(|found| found.name == table).unwrap();
    page.tables[place].batch.clone()
}

fn repeated_keys(table: &Table, batch: &RecordBatch) -> usize {
    let columns: Vec<_> = table.key.iter().map(|column| batch.column(*column).clone()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let keys = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
    let distinct: HashSet<_> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
    batch.num_rows() - distinct.len()
}

#[test]
fn every_schema_has_a_fixture_and_every_fixture_a_schema() {
    let schemas: BTreeSet<String> = texts(&folder("schemas"), "toml").into_keys().collect();
    let fixtures: BTreeSet<String> = texts(&folder("crates/sandbox/fixtures"), "json").into_keys().collect();
    assert!(!schemas.is_empty());
    assert_eq!(schemas, fixtures);
}

#[test]
fn every_schema_has_a_documented_example_and_rows_that_it_must_become() {
    let schemas: BTreeSet<String> = texts(&folder("schemas"), "toml").into_keys().collect();
    let documented: BTreeSet<String> = texts(&folder("tests/fixtures"), "json").into_keys().collect();
    let expected: BTreeSet<String> = texts(&folder("tests/expected"), "json").into_keys().collect();
    assert_eq!(documented, schemas, "an answer of the source's documentation, or built from it, for each resource");
    assert_eq!(expected, schemas, "keys, types and rows for each resource");
}

#[test]
fn the_schemas_in_the_binary_are_those_in_the_folder() {
    let built_in = Catalog::load(None).unwrap();
    let on_disk = catalog();
    let hashes = |catalog: &Catalog| -> Vec<(String, String)> {
        catalog.resources().iter().map(|resource| (resource.name.clone(), resource.hash.clone())).collect()
    };
    assert_eq!(hashes(&built_in), hashes(&on_disk));
}

#[test]
fn every_schema_file_begins_with_a_comment_that_says_what_it_is() {
    for (name, text) in texts(&folder("schemas"), "toml") {
        assert!(text.starts_with("# "), "{name}.toml begins with no comment");
    }
}

#[test]
fn every_value_of_an_answer_fits_its_column() {
    for (resource, page) in decoded() {
        let rejected_values: Vec<_> = page.rejected_values.counts().collect();
        assert!(rejected_values.is_empty(), "{}: {rejected_values:?}", resource.name);
        assert!(page.rejected_records.is_empty(), "{}: {:?}", resource.name, page.rejected_records);
        assert!(page.records.iter().all(|record| record.fits), "{}", resource.name);
    }
}

#[test]
fn every_field_of_an_answer_has_a_column() {
    for (resource, page) in decoded() {
        for (table, rows) in resource.tables.iter().zip(&page.tables) {
            let extra = rows.batch.column_by_name(EXTRA).unwrap().as_string::<i32>();
            let unnamed: Vec<&str> = extra.iter().flatten().collect();
            assert!(unnamed.is_empty(), "{}: {unnamed:?}", table.name);
        }
    }
}

#[test]
fn every_column_is_filled_by_some_row_of_its_answer() {
    for (resource, page) in decoded() {
        for (table, rows) in resource.tables.iter().zip(&page.tables) {
            for column in &table.columns {
                let values = rows.batch.column_by_name(&column.name).unwrap();
                assert!(values.null_count() < values.len(), "{}.{} is never filled", table.name, column.name);
            }
        }
    }
}

/// Columns that no record of the simulated account fills: it has neither transfers by goods-out notes nor drop-shipped orders.
const NEVER_FILLED: [&str; 5] = [
    "goods_out_note.target_warehouse_id",
    "goods_out_note.stock_transfer_id",
    "goods_out_note_transfer_row.",
    "order.is_dropship",
    "order_row.external_ref",
];

#[test]
fn every_column_is_filled_and_every_field_named_by_the_simulated_account() {
    let mut lacking = Vec::new();
    for resource in catalog().resources() {
        let page = decode(resource, &serve(resource, None).text);
        for (table, rows) in resource.tables.iter().zip(&page.tables) {
            let extra = rows.batch.column_by_name(EXTRA).unwrap().as_string::<i32>();
            assert_eq!(extra.iter().flatten().next(), None, "{}", table.name);
            let is_empty = |name: &str| {
                let values = rows.batch.column_by_name(name).unwrap();
                values.null_count() == values.len()
            };
            let empty = table.columns.iter().filter(|column| is_empty(&column.name));
            lacking.extend(empty.map(|column| format!("{}.{}", table.name, column.name)));
        }
    }
    lacking.retain(|name| !NEVER_FILLED.iter().any(|known| name.starts_with(known)));
    assert_eq!(lacking, [""; 0]);
}

#[test]
fn every_answer_shows_a_record_that_lacks_what_may_be_missing() {
    for (resource, page) in decoded() {
        let optional = resource.tables.iter().zip(&page.tables).flat_map(|(table, rows)| {
            table
                .columns
                .iter()
                .filter(|column| !column.required)
                .map(|column| rows.batch.column_by_name(&column.name).unwrap())
        });
        let (count, nulls) = optional.fold((0, 0), |(count, nulls), values| (count + 1, nulls + values.null_count()));
        // Types and statuses of orders are constants of the source, and a lock is whole: nothing of them is ever missing.
        let is_constant = [
            "account_configuration",
            "accounting_period_lock",
            "trial_place",
            "order_type",
            "order_stock_status",
            "order_shipping_status",
        ]
        .contains(&resource.name.as_str());
        assert!(nulls > 0 || is_constant || count == 0, "{} shows no sparse record", resource.name);
    }
}

#[test]
fn no_key_stands_twice_in_a_table() {
    for (resource, page) in decoded() {
        for (table, rows) in resource.tables.iter().zip(&page.tables) {
            assert_eq!(repeated_keys(table, &rows.batch), 0, "{}", table.name);
        }
    }
}

#[test]
fn every_row_belongs_to_the_record_whose_key_it_has() {
    for (resource, page) in decoded() {
        for (table, rows) in resource.tables.iter().zip(&page.tables) {
            let column = rows.batch.column(table.key[0]);
            let keys: Vec<Key> = match column.as_string_opt::<i32>() {
                Some(texts) => texts.iter().flatten().map(|key| Key::Text(key.to_owned())).collect(),
                None => column.as_primitive::<Int64Type>().values().iter().map(|key| Key::Int(*key)).collect(),
            };
            assert_eq!(keys.len(), rows.record_places.len(), "{}", table.name);
            for (key, place) in keys.iter().zip(&rows.record_places) {
                assert_eq!(page.records[usize::try_from(*place).unwrap()].key, *key, "{}", table.name);
            }
        }
    }
}

/// Without the white space between values.
fn compact(text: &str) -> String {
    let mut out = String::new();
    let mut in_text = false;
    let mut escaped = false;
    for c in text.chars() {
        if in_text || !c.is_whitespace() {
            out.push(c);
        }
        in_text = in_text != (c == '"' && !escaped);
        escaped = in_text && c == '\\' && !escaped;
    }
    out
}

#[test]
fn white_space_between_values_changes_nothing() {
    for (resource, text) in answered() {
        let (spaced, dense) = (decode(&resource, &text), decode(&resource, &compact(&text)));
        assert_eq!(dense.records, spaced.records, "{}", resource.name);
        for (a, b) in dense.tables.iter().zip(&spaced.tables) {
            assert_eq!(a.batch, b.batch, "{}", resource.name);
        }
    }
}

#[test]
fn a_tax_date_keeps_the_day_as_written_beside_the_instant() {
    let journals = table_rows("journal", "journal");
    let instant = journals.column_by_name("tax_date").unwrap().as_primitive::<TimestampMicrosecondType>().value(0);
    let day = journals.column_by_name("tax_date_local").unwrap().as_primitive::<Date32Type>().value(0);
    // 2026-06-03T00:00:00.000+01:00 is the evening before in UTC.
    assert_eq!(instant, 1_780_441_200_000_000);
    assert_eq!(day, 20_607);
}

#[test]
fn money_arrives_to_the_last_digit() {
    let prices = table_rows("product_price", "product_price");
    let column = prices.column_by_name("price").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!(column.values(), &[10_000_000, 9_555_000, 12_500_000]);
}

#[test]
fn a_choice_in_a_custom_field_gives_its_text_and_its_id() {
    let fields = table_rows("order", "order_custom_field");
    let text = |column: &str, row: usize| {
        let values = fields.column_by_name(column).unwrap().as_string::<i32>();
        values.is_valid(row).then(|| values.value(row).to_owned())
    };
    let ids = fields.column_by_name("value_id").unwrap().as_primitive::<Int64Type>();
    let zone = (0..fields.num_rows()).find(|row| text("code", *row).as_deref() == Some("PCF_ZONE")).unwrap();
    assert_eq!(text("value_text", zone).as_deref(), Some("South"));
    assert_eq!(ids.value(zone), 64);
    assert_eq!(text("value_json", zone).as_deref(), Some(r#"{"id":64,"value":"South"}"#));
    let wrapped = (0..fields.num_rows()).find(|row| text("code", *row).as_deref() == Some("PCF_WRAP")).unwrap();
    assert_eq!(text("value_text", wrapped).as_deref(), Some("true"));
    assert!(ids.is_null(wrapped));
}

#[test]
fn lines_of_a_journal_carry_their_side() {
    let lines = table_rows("journal", "journal_line");
    let sides = lines.column_by_name("side").unwrap().as_string::<i32>();
    let amounts = lines.column_by_name("transaction_amount").unwrap().as_primitive::<Decimal128Type>();
    let sum = |side: &str| -> i128 {
        (0..lines.num_rows()).filter(|row| sides.value(*row) == side).map(|row| amounts.value(row)).sum()
    };
    assert_eq!(sum("debit"), 120_010_000);
    assert_eq!(sum("credit"), sum("debit"));
}

/// The refusal of the built-in files after one change of a text.
fn refusal(name: &str, from: &str, to: &str) -> String {
    let mut texts = texts(&folder("schemas"), "toml");
    let text = texts.get_mut(name).unwrap();
    assert!(text.contains(from), "{name} does not say {from}");
    *text = text.replacen(from, to, 1);
    Catalog::from_texts(&texts.into_iter().collect::<Vec<_>>()).unwrap_err().to_string()
}

#[test]
fn open_records_are_told_in_one_of_two_ways() {
    let said = "open = { until = \"closed_on\", every = \"1d\" }";
    for (to, why) in [
        ("open = { until = \"closed_on\" }", "`until` and `every`"),
        ("open = { where = \"isClosed = false\", until = \"closed_on\", every = \"1d\" }", "`until` and `every`"),
        ("open = { until = \"version\", every = \"1d\" }", "a timestamp"),
        ("open = { until = \"missing\", every = \"1d\" }", "a timestamp"),
        ("open = { until = \"closed_on\", every = \"often\" }", "changes.open.every"),
        ("open = { where = \"isClosed = false\", column = \"closed_on\" }", "a bool column"),
    ] {
        let refused = refusal("order", said, to);
        assert!(refused.contains(why), "{to}: {refused}");
    }
}

#[test]
fn an_id_repeats_only_where_no_column_is_unique() {
    let refused = refusal("journal", "row = \"journalRowId\" }", "row = \"journalRowId\", repeats = true }");
    assert!(refused.contains("`inventory.repeats`"), "{refused}");
}

#[test]
fn only_rows_of_a_search_are_read_from_the_greatest_id_down() {
    let refused =
        refusal("journal", "since = [\"journalDateEntered\"]", "since = [\"journalDateEntered\"]\nnewest = true");
    assert!(refused.contains("`changes.newest` goes with style search"), "{refused}");
}

#[test]
fn what_names_records_and_what_must_be_set_beside_it_are_columns_of_one_table() {
    let from = "{ table = \"journal_line\", column = \"order_id\" }";
    for (to, why) in [
        ("{ table = \"journal_line\", column = \"memo\" }", "no other resource has an int64 column journal_line.memo"),
        ("{ table = \"journal_line\", column = \"order_id\", with = \"tax_date\" }", "has no column `tax_date`"),
    ] {
        let refused = refusal("order", from, to);
        assert!(refused.contains(why), "{to}: {refused}");
    }
}

#[test]
fn what_a_search_counts_is_records_or_rows_of_a_table_of_the_file() {
    for to in ["rows of nothing", "lines"] {
        let refused = refusal("journal", "count = \"rows of journal_line\"", &format!("count = \"{to}\""));
        assert!(refused.contains("`count` is records, rows of TABLE or none"), "{refused}");
    }
    let refused = refusal("brand", "get = \"brand\"", "get = \"brand\"\ncount = \"records\"");
    assert!(refused.contains("`count` goes with a resource that is read by a search"), "{refused}");
}

#[test]
fn a_key_that_its_style_does_not_have_is_refused_with_its_line() {
    let key = |style: &str| format!("style = \"{style}\"\n");
    for (resource, said, to, why) in [
        ("currency", key("search"), "style = \"search\"\nrecords = \"*\"", "`records` does not go"),
        ("currency", key("search"), "style = \"search\"\nmax_ids = 3", "`max_ids` does not go"),
        ("currency", key("search"), "style = \"search\"\nsplit_on = [\"A\"]", "`split_on` does not go"),
        ("currency", key("search"), "style = \"search\"\nnot_applicable = [\"A\"]", "`not_applicable` does not go"),
        ("brand", key("list"), "style = \"list\"\nmax_ids = 3", "`max_ids` does not go"),
        ("brand", key("list"), "style = \"list\"\nsplit_on = [\"A\"]", "`split_on` does not go"),
        ("brand", key("list"), "style = \"list\"\nnot_applicable = [\"A\"]", "`not_applicable` does not go"),
        ("order", key("id-sets"), "style = \"id-sets\"\nrepeats = true", "`repeats` does not go"),
        ("goods_movement", "newest = true".into(), "newest = true, repeats = true", "`changes.repeats` does not go"),
        (
            "goods_movement",
            "newest = true".into(),
            "newest = true, open = { until = \"a\", every = \"1d\" }",
            "`changes.open`",
        ),
        ("goods_movement", "newest = true".into(), "newest = true, same = { a = \"b\" }", "`changes.same` does not go"),
        ("brand", "get = \"brand\"".into(), "get = \"brand/{ids}\"", "`get` of a list"),
        ("brand", "get = \"brand\"".into(), "get = \"brand?pageSize=500\"", "`get` has a page"),
        (
            "currency",
            "search = \"currency-search\"".into(),
            "search = \"currency-search?isDefault=true\"",
            "`search` is a path",
        ),
        ("contact_group_member", "empty_ok = true".into(), "count = \"records\"", "`count` does not go with `repeats`"),
        (
            "exchange_rate",
            "empty_ok = true".into(),
            "newer = [\"rate_active_from\"]",
            "`repeats` is for a resource that is read whole",
        ),
        (
            "exchange_rate",
            "key = [\"currency_id\", \"rate_active_from\"]".into(),
            "key = [\"currency_id\", \"rate_active_from\"]\npartition = \"month(rate_active_from)\"",
            "no partition by a column",
        ),
    ] {
        let refused = refusal(resource, said.trim_end(), to);
        assert!(refused.contains(why), "{to}: {refused}");
        assert!(refused.contains("line "), "{to}: {refused}");
    }
    // The line is that of the key.
    let refused = refusal("brand", "get = \"brand\"", "get = \"brand?pageNum=2\"");
    let text = std::fs::read_to_string(folder("schemas").join("brand.toml")).unwrap();
    let line = text.lines().position(|line| line.starts_with("get =")).unwrap() + 1;
    assert!(refused.contains(&format!("brand.toml, line {line}")), "{refused}");
}
