//! The sources of a dbt project: the tables of a catalogue as dbt-duckdb reads them, with descriptions and tests.
//!
//! Takes the catalogue, gives a file of YAML with the resources that are read by default. The same catalogue gives the
//! same bytes. Texts are quoted as JSON, which is YAML, and none of them opens a template.

use serde_json::json;

use crate::report::reference::meaning_line;
use crate::schema::{Catalog, Column, Confidence, Partition, ReferenceTarget, Resource, Table, Type};

/// The first line of the file, by which it is known as made and not written.
pub const MADE_YAML: &str = "# Made by `pearlift resources`; do not edit.";

/// The name of the source in models and tests.
const SOURCE: &str = "brightpearl";

/// The beginning of the file: dbt gives `lake` and `marked` the values of the project or of `--vars`.
const HEAD: &str = "version: 2

sources:
  - name: brightpearl
    description: The tables of a lake; each also has the columns _extra, _extracted_at and _run_id.
    tables:
";

/// The sources of every table that is read by default, one column a line: dbt refuses tests of tables without files.
pub fn dbt_sources(catalog: &Catalog) -> String {
    let mut text = format!("{MADE_YAML}\n{HEAD}");
    for resource in catalog.resources().iter().filter(|resource| resource.is_default) {
        for table in &resource.tables {
            text.push_str(&table_lines(catalog, resource, table));
        }
    }
    text
}

fn table_lines(catalog: &Catalog, resource: &Resource, table: &Table) -> String {
    let mut text = format!("      - name: {}\n        description: {}\n", table.name, quoted(&table.description));
    text.push_str(&format!("        config: {{meta: {{external_location: {}}}}}\n", location(resource, table)));
    let key = key(table);
    if key.len() > 1 {
        let columns = key.join(", ");
        text.push_str(&format!("        data_tests: [{{unique_key: {{arguments: {{columns: [{columns}]}}}}}}]\n"));
    }
    text.push_str("        columns:\n");
    for (place, column) in table.columns.iter().enumerate() {
        let tests = column_tests(catalog, resource, table, place);
        let tests = if tests.is_empty() { tests } else { format!(", data_tests: [{tests}]") };
        text.push_str(&format!(
            "          - {{name: {}, data_type: \"{}\", description: {}{tests}}}\n",
            column.name,
            data_type(column.kind),
            quoted(&meaning_line(&column.meaning)),
        ));
    }
    text
}

/// The place of a table's files, as DuckDB reads them. Rows that are marked as deleted are left out of the resources that
/// the variable `marked` lists.
fn location(resource: &Resource, table: &Table) -> String {
    let marked = format!("{{% if '{}' in var('marked', []) %}} where _deleted_at is null{{% endif %}}", resource.name);
    json!(format!(
        "(from read_parquet('{{{{ var('lake') }}}}/{}/**/*.parquet', hive_partitioning = true){marked})",
        table.name
    ))
    .to_string()
}

/// The columns by which a row is unique: the key, and in a table of snapshots the day.
fn key(table: &Table) -> Vec<String> {
    let key = table.key.iter().map(|place| table.columns[*place].name.clone());
    match &table.partition {
        Partition::Snapshot { segment } => key.chain([segment.clone()]).collect(),
        Partition::None | Partition::By { .. } => key.collect(),
    }
}

/// The tests of a column: of the key, and of its reference.
fn column_tests(catalog: &Catalog, resource: &Resource, table: &Table, place: usize) -> String {
    let mut tests = Vec::new();
    if table.key.contains(&place) {
        if key(table).len() == 1 {
            tests.push("unique".to_owned());
        }
        tests.push("not_null".to_owned());
    }
    tests.extend(severity(catalog, resource, table, place).map(|severity| reference(&table.columns[place], severity)));
    tests.join(", ")
}

/// The severity of a reference that does not lead to a row; none where the reference is not tested.
///
/// A record is replaced with all its rows, so a row without its own record is damage. Any other record may have been
/// deleted, or be read later. A reference that is only concluded or guessed states nothing about the rows.
fn severity(catalog: &Catalog, resource: &Resource, table: &Table, place: usize) -> Option<&'static str> {
    let meaning = &table.columns[place].meaning;
    let targets = meaning.references.targets();
    if targets.is_empty() || !targets.iter().all(|target| is_default(catalog, target)) {
        return None;
    }
    if resource.tables[0].name == targets[0].table && table.key.first() == Some(&place) {
        return Some("error");
    }
    match meaning.confidence {
        Confidence::Documented | Confidence::Recorded => Some("warn"),
        Confidence::ClientCode | Confidence::Inferred | Confidence::Guess => None,
    }
}

/// The test of a reference to one column, or to one of several.
fn reference(column: &Column, severity: &str) -> String {
    let targets = column.meaning.references.targets();
    let to: Vec<String> = targets.iter().map(|target| format!("\"source('{SOURCE}', '{}')\"", target.table)).collect();
    let fields: Vec<&str> = targets.iter().map(|target| target.column.as_str()).collect();
    let (to, fields) = (to.join(", "), fields.join(", "));
    let config = format!("config: {{severity: {severity}, where: \"{}\"}}", is_set(column));
    if targets.len() == 1 {
        format!("{{relationships: {{arguments: {{to: {to}, field: {fields}}}, {config}}}}}")
    } else {
        format!("{{refers_to_one_of: {{arguments: {{to: [{to}], fields: [{fields}]}}, {config}}}}}")
    }
}

fn is_default(catalog: &Catalog, target: &ReferenceTarget) -> bool {
    let of_table = |resource: &&Resource| resource.tables.iter().any(|table| table.name == target.table);
    catalog.resources().iter().find(of_table).is_some_and(|resource| resource.is_default)
}

/// The condition under which a column references anything: the source writes 0, or an empty text, for none.
fn is_set(column: &Column) -> String {
    match column.kind {
        Type::String | Type::Json | Type::Hash { .. } => format!("{} not in ('', '0')", column.name),
        Type::Bool
        | Type::Int32
        | Type::Int64
        | Type::Float64
        | Type::Decimal { .. }
        | Type::Date
        | Type::Timestamp => {
            format!("{} <> 0", column.name)
        }
    }
}

/// The type of a column by its name in DuckDB.
fn data_type(kind: Type) -> String {
    match kind {
        Type::Bool => "boolean".to_owned(),
        Type::Int32 => "integer".to_owned(),
        Type::Int64 => "bigint".to_owned(),
        Type::Float64 => "double".to_owned(),
        Type::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        Type::String | Type::Json | Type::Hash { .. } => "varchar".to_owned(),
        Type::Date => "date".to_owned(),
        Type::Timestamp => "timestamptz".to_owned(),
    }
}

/// A text in quotes; `{{`, `{%` and `{#` would open a template.
fn quoted(text: &str) -> String {
    let mut apart = String::with_capacity(text.len());
    for next in text.chars() {
        if matches!(next, '{' | '%' | '#') && apart.ends_with('{') {
            apart.push(' ');
        }
        apart.push(next);
    }
    json!(apart).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_and_opens_no_template() {
        assert_eq!(quoted("a \"b\": {{ c }} {% d"), r#""a \"b\": { { c }} { % d""#);
        assert_eq!(quoted("{{{{#"), r#""{ { { { #""#);
        assert_eq!(quoted("{\"shipped\": 0}"), r#""{\"shipped\": 0}""#);
    }
}
