//! From the report of a run to rows of the history, and from rows to a batch and back.
//!
//! Takes and gives rows as JSON objects by the names of columns. Refuses a file with columns that the table does not have,
//! or of other types, or without the key: it is of a newer version, or not pearlift's.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Kind, Result};
use crate::history::columns::{HistoryColumn, HistoryTable};
use crate::schema::Type;

/// A row, by the names of its columns.
pub type HistoryRow = Map<String, Value>;

/// Texts are cut to this many characters: a report has them whole.
const LONGEST: usize = 1_000;

/// Columns that a row has from the report of the run.
const OF_RUN: [&str; 5] = ["run", "command", "account", "started_at", "finished_at"];
/// Counts of a run that are sums over its resources.
const SUMS: [&str; 7] =
    ["rows", "rows_added", "rows_changed", "rows_removed", "files_written", "bytes_written", "pending"];
/// Members of the source's count that are columns of a resource.
const COUNTS: [&str; 4] = ["held", "at_source", "explained", "counted_at"];

/// The rows of a table from the report of a run.
pub fn rows(table: HistoryTable, report: &Value) -> Vec<HistoryRow> {
    match table {
        HistoryTable::Run => vec![run_row(report)],
        HistoryTable::RunResource => resources(report).iter().map(|resource| resource_row(report, resource)).collect(),
    }
}

fn resources(report: &Value) -> &[Value] {
    report["resources"].as_array().map_or(&[], Vec::as_slice)
}

fn run_row(report: &Value) -> HistoryRow {
    let all = resources(report);
    let sum = |count: &dyn Fn(&Value) -> u64| all.iter().map(count).fold(0, u64::saturating_add);
    let mut row = HistoryRow::new();
    for column in HistoryTable::Run.columns() {
        row.insert(column.name.to_owned(), report[column.name].clone());
    }
    for name in SUMS {
        row.insert(name.to_owned(), json!(sum(&|resource| resource[name].as_u64().unwrap_or(0))));
    }
    let failed: Vec<&Value> = all.iter().filter(|resource| !resource["failure"].is_null()).collect();
    row.insert("resources".to_owned(), json!(all.len()));
    row.insert("failed".to_owned(), json!(failed.len()));
    row.insert("rejected_values".to_owned(), json!(sum(&|resource| counted(&resource["rejected_values"]))));
    row.insert(
        "rejected_records".to_owned(),
        json!(sum(&|resource| resource["rejected_records"].as_u64().unwrap_or(0))),
    );
    if row["failure"].is_null() {
        let first = failed.first();
        row.insert("failure".to_owned(), first.map_or(Value::Null, |resource| resource["failure"].clone()));
        row.insert("reason".to_owned(), json!(first.map(|resource| of(resource, text(&resource["reason"])))));
    }
    if row["reason"].is_null() && report["exit_code"].as_u64() != Some(0) {
        row.insert("reason".to_owned(), json!(without_failure(report)));
    }
    row
}

/// Why the exit code of a run without a failure is not 0.
fn without_failure(report: &Value) -> Option<String> {
    if report["interrupted"] == true {
        return Some("interrupted; complete parts are committed".to_owned());
    }
    let ended = |word: &str| resources(report).iter().find(|resource| resource["end"] == word);
    if let Some(held) = ended("held") {
        return Some(of(held, &format!("held by {}", text(&held["reason"]))));
    }
    if let Some(stopped) = ended("stopped") {
        return Some(of(stopped, "stopped, resumes on the next run"));
    }
    let pending = resources(report).iter().find(|resource| resource["pending"].as_u64().is_some_and(|ids| ids > 0))?;
    Some(of(pending, "has pending records"))
}

fn of(resource: &Value, text: &str) -> String {
    format!("{}: {text}", self::text(&resource["resource"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The counts of a list of paths, added up.
fn counted(list: &Value) -> u64 {
    let counts = list.as_array().into_iter().flatten().filter_map(|entry| entry["count"].as_u64());
    counts.fold(0, u64::saturating_add)
}

fn resource_row(report: &Value, resource: &Value) -> HistoryRow {
    let mut row = HistoryRow::new();
    for column in HistoryTable::RunResource.columns() {
        let from = if OF_RUN.contains(&column.name) { report } else { resource };
        row.insert(column.name.to_owned(), from[column.name].clone());
    }
    for name in COUNTS {
        row.insert(name.to_owned(), resource["count"][name].clone());
    }
    let scans: Vec<&str> = resource["scans"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    row.insert("count_reliable".to_owned(), resource["count"]["reliable"].clone());
    row.insert("scans".to_owned(), json!((!scans.is_empty()).then(|| scans.join("; "))));
    row.insert("ended".to_owned(), resource["end"].clone());
    row.insert("rejected_values".to_owned(), json!(counted(&resource["rejected_values"])));
    row
}

/// A batch of rows. A required column without a value has 0, false, an empty text or 1970.
pub fn batch(table: HistoryTable, rows: &[HistoryRow]) -> Result<RecordBatch> {
    let columns = table.columns().iter().map(|column| array(column, rows)).collect();
    RecordBatch::try_new(table.arrow(), columns)
        .map_err(|error| Failure::new(Kind::Bug, "make rows of the history").caused(error))
}

fn array(column: &HistoryColumn, rows: &[HistoryRow]) -> ArrayRef {
    let values = || rows.iter().map(|row| row.get(column.name).unwrap_or(&Value::Null));
    let needed = column.required;
    match column.kind {
        Type::Bool => {
            let value = |value: &Value| value.as_bool().or(needed.then_some(false));
            Arc::new(values().map(value).collect::<BooleanArray>())
        }
        Type::Int32 => {
            let value =
                |value: &Value| value.as_i64().and_then(|value| i32::try_from(value).ok()).or(needed.then_some(0));
            Arc::new(values().map(value).collect::<Int32Array>())
        }
        Type::Int64 => {
            let value = |value: &Value| value.as_i64().or(needed.then_some(0));
            Arc::new(values().map(value).collect::<Int64Array>())
        }
        Type::Timestamp => {
            let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let value = |value: &Value| instant(value).map(Timestamp::as_microsecond).or(needed.then_some(0));
            Arc::new(values().map(value).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Type::Float64 | Type::Decimal { .. } | Type::String | Type::Date | Type::Json | Type::Hash { .. } => {
            let cut = |text: &str| text.chars().take(LONGEST).collect::<String>();
            let value = |value: &Value| value.as_str().map(cut).or(needed.then(String::new));
            Arc::new(values().map(value).collect::<StringArray>())
        }
    }
}

/// The rows of a batch, in the columns of the table.
pub fn of_batch(table: HistoryTable, batch: &RecordBatch) -> Result<Vec<HistoryRow>> {
    let foreign = |why: String| Failure::new(Kind::Damage, "read the history").because(why);
    let known = |name: &str| table.columns().iter().find(|column| column.name == name);
    for field in batch.schema().fields() {
        if known(field.name()).is_none_or(|column| column.kind.arrow() != *field.data_type()) {
            return Err(foreign(format!("`{}` is no column of `{}`, or has another type", field.name(), table.name())));
        }
    }
    for key in table.key().iter().chain(&["started_at"]) {
        let Some(values) = batch.column_by_name(key) else { return Err(foreign(format!("there is no `{key}`"))) };
        if values.null_count() > 0 {
            return Err(foreign(format!("`{key}` is null")));
        }
    }
    let row = |row: usize| {
        let cell = |column: &HistoryColumn| {
            let values = batch.column_by_name(column.name);
            (column.name.to_owned(), values.map_or(Value::Null, |values| value(column.kind, values, row)))
        };
        table.columns().iter().map(cell).collect()
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn value(kind: Type, values: &ArrayRef, row: usize) -> Value {
    if values.is_null(row) {
        return Value::Null;
    }
    match kind {
        Type::Bool => json!(values.as_boolean().value(row)),
        Type::Int32 => json!(values.as_primitive::<Int32Type>().value(row)),
        Type::Int64 => json!(values.as_primitive::<Int64Type>().value(row)),
        Type::Timestamp => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
            json!(Timestamp::from_microsecond(micros).ok())
        }
        Type::Float64 | Type::Decimal { .. } | Type::String | Type::Date | Type::Json | Type::Hash { .. } => {
            json!(values.as_string::<i32>().value(row))
        }
    }
}

/// The key of a row, by which one that is in two files is known.
pub fn key(table: HistoryTable, row: &HistoryRow) -> Vec<String> {
    table.key().iter().map(|name| row.get(*name).map(text).unwrap_or_default().to_owned()).collect()
}

/// The start of the run of a row.
pub fn started_at(row: &HistoryRow) -> Option<Timestamp> {
    row.get("started_at")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Value {
        json!({
            "run": "ab", "command": "run", "account": "acme", "pearlift": "1", "started_at": "2026-11-29T03:00:00Z",
            "finished_at": "2026-11-29T03:01:00.5Z", "exit_code": 3, "interrupted": false, "requests": 7,
            "resources": [
                {"resource": "a", "end": "complete", "failure": null, "rows": 5, "rows_added": 2, "pending": 0,
                 "rejected_values": [{"path": "x", "count": 2}, {"path": "y", "count": 3}],
                 "scans": ["changes (since)", "reread (old)"],
                 "count": {"held": 5, "at_source": 6, "explained": 1, "counted_at": null, "reliable": true}},
                {"resource": "b", "end": "failed", "failure": "answer", "reason": "could not read b", "rows": 1,
                 "count": null},
            ],
        })
    }

    #[test]
    fn the_rows_of_a_report_come_back_from_their_batches() {
        let [run] = &rows(HistoryTable::Run, &report())[..] else { panic!("a run has one row") };
        let want =
            [("rows", json!(6)), ("rejected_values", json!(5)), ("failed", json!(1)), ("failure", json!("answer"))];
        want.iter().for_each(|(name, value)| assert_eq!(&run[*name], value, "{name}"));
        assert_eq!(run["reason"], "b: could not read b");
        for table in HistoryTable::ALL {
            let made = rows(table, &report());
            let read = of_batch(table, &batch(table, &made).expect("they fit")).expect("they are ours");
            assert_eq!(read.len(), made.len());
            for (read, made) in read.iter().zip(&made) {
                for column in table.columns() {
                    let (read, made) = (&read[column.name], &made[column.name]);
                    assert!(read == made || made.is_null() && column.required, "{}: {read} {made}", column.name);
                }
            }
        }
    }

    #[test]
    fn an_exit_code_without_a_failure_has_a_reason() {
        let mut report = report();
        report["resources"][1]["failure"] = Value::Null;
        let of = |report: &Value| rows(HistoryTable::Run, report)[0]["reason"].clone();
        assert_eq!(of(&report), Value::Null, "nothing explains it");
        report["resources"][0]["pending"] = json!(4);
        assert_eq!(of(&report), "a: has pending records");
        report["resources"][1]["end"] = json!("held");
        assert_eq!(of(&report), "b: held by could not read b");
        report["interrupted"] = json!(true);
        assert_eq!(of(&report), "interrupted; complete parts are committed");
        report["exit_code"] = json!(0);
        assert_eq!(of(&report), Value::Null);
    }

    #[test]
    fn columns_that_the_table_does_not_have_are_refused() {
        let made = batch(HistoryTable::RunResource, &rows(HistoryTable::RunResource, &report())).expect("they fit");
        assert!(of_batch(HistoryTable::Run, &made).is_err());
        let without_key = made.project(&[1, 2]).expect("it has them");
        assert!(of_batch(HistoryTable::RunResource, &without_key).is_err());
        let older = made.project(&[0, 1, 4]).expect("it has them");
        assert_eq!(of_batch(HistoryTable::RunResource, &older).expect("the key is there")[0]["ended"], Value::Null);
    }
}
