//! The hash of a schema file's statements on reading and mapping: with another hash an unfinished scan begins anew.

use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};

/// Keys of a file, a table and a column that only people and tools read.
const OF_FILE: [&str; 6] = ["about", "priority", "default", "confidence", "people", "codes"];
const OF_TABLE: [&str; 3] = ["description", "confidence", "fields"];
const OF_COLUMN: [&str; 6] = ["description", "references", "codes", "personal", "acting", "confidence"];

/// The hash of a file's text; comments, `about`, `priority` and the meanings of tables and columns do not count.
pub fn hash(text: &str) -> Result<String> {
    let mut whole: toml::Table =
        toml::from_str(text).map_err(|error| Failure::new(Kind::Schema, "read a schema file").caused(error))?;
    without(&mut whole, &OF_FILE);
    let tables = whole.get_mut("tables").and_then(toml::Value::as_table_mut);
    for table in tables.into_iter().flat_map(|tables| tables.iter_mut()).filter_map(|(_, table)| table.as_table_mut()) {
        without(table, &OF_TABLE);
        let columns = table.get_mut("columns").and_then(toml::Value::as_array_mut);
        for column in columns.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
            without(column, &OF_COLUMN);
        }
    }
    let canonical =
        serde_json::to_vec(&whole).map_err(|error| Failure::new(Kind::Bug, "write a schema as JSON").caused(error))?;
    let digest = Sha256::digest(&canonical);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn without(table: &mut toml::Table, keys: &[&str]) {
    for key in keys {
        table.remove(*key);
    }
}
