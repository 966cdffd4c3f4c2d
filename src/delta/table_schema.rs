//! The schema of a table in its log: the columns of its files, and the column of its partition.

use arrow_schema::{DataType, TimeUnit};
use serde_json::{Value, json};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::TableFiles;

/// The schema as the text that a log has. Every column may be null there: a column that stops being required changes
/// nothing then.
pub fn schema_string(table: &TableFiles) -> Result<String> {
    let mut fields = Vec::new();
    for field in table.arrow()?.fields() {
        fields.push(column(field.name(), &kind(field.name(), field.data_type())?));
    }
    fields.extend(table.partition.iter().map(|name| column(name, partition_kind(table))));
    Ok(json!({"type": "struct", "fields": fields}).to_string())
}

fn column(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "nullable": true, "metadata": {}})
}

fn kind(name: &str, kind: &DataType) -> Result<String> {
    Ok(match kind {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 => "string".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp".to_owned(),
        other => {
            let why = format!("`{name}` is {other}, which no schema file can declare");
            return Err(Failure::new(Kind::Bug, "describe a table in its Delta log").because(why));
        }
    })
}

/// The type of the values in the names of partitions: days, or the numbers of buckets.
fn partition_kind(table: &TableFiles) -> &'static str {
    let value = table.files.iter().find_map(|file| file.partition.as_deref()?.split_once('='));
    let is_number = match (value, table.partition.as_deref()) {
        (Some((_, value)), _) => value.bytes().all(|byte| byte.is_ascii_digit()),
        (None, name) => name.is_some_and(|name| name.ends_with("_bucket")),
    };
    if is_number { "integer" } else { "date" }
}
