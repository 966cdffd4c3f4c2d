//! Reports of runs: samples of values do not state whose they are, so all are emptied; so is any text with a value of the
//! person.
//!
//! Works before any table changes, while the person's values are known: after a crash it is done again.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::failure::{Kind, Result};
use crate::forget::documents::EMPTIED_TEXT;
use crate::history::erase_texts;
use crate::store::{Store, paths};

/// Shorter values are not looked for: they are parts of many words.
const SHORTEST: usize = 5;

/// Empties samples, and texts with these values, in all reports, and such texts in the history; gives the number of
/// files that had some.
pub async fn empty_reports(store: &Store, run: &str, values: &BTreeSet<String>, dry_run: bool) -> Result<u64> {
    let values: Vec<&str> =
        values.iter().map(|value| value.trim()).filter(|value| value.chars().count() >= SHORTEST).collect();
    let mut changed = erase_texts(store, run, &values, EMPTIED_TEXT, dry_run).await?;
    for (path, _) in store.list(paths::RUNS).await? {
        let is_report = paths::is_report(&path);
        let text = match store.get(&path).await {
            // Larger than any report of ours.
            Err(failure) if failure.kind() == Kind::Damage => None,
            found => found?,
        };
        let report = text.filter(|_| is_report).and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let Some(mut report) = report else { continue };
        if !empty(&mut report, &values) {
            continue;
        }
        changed += 1;
        if !dry_run {
            // Nothing depends on a report: one that a crash loses here is not missed.
            store.delete(std::slice::from_ref(&path)).await?;
            store.put_own(&path, report.to_string()).await?;
        }
    }
    Ok(changed)
}

/// Whether something was emptied.
fn empty(value: &mut Value, values: &[&str]) -> bool {
    match value {
        Value::String(text) => {
            let theirs = values.iter().any(|value| text.contains(value));
            if theirs {
                EMPTIED_TEXT.clone_into(text);
            }
            theirs
        }
        Value::Array(items) => {
            let mut found = false;
            for item in items {
                found |= empty(item, values);
            }
            found
        }
        Value::Object(entries) => {
            let mut found = false;
            for (name, entry) in entries {
                let is_sample = name == "sample" && entry.as_str().is_some_and(|sample| sample != EMPTIED_TEXT);
                if is_sample {
                    *entry = Value::from(EMPTIED_TEXT);
                }
                found |= is_sample || empty(entry, values);
            }
            found
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_sample_and_each_text_with_a_value_is_emptied() {
        let mut report = json!({
            "run": "1", "resources": [
                {"failure": "could not take Zoë Quill", "rejected_values": [{"path": "a", "sample": "07700"}]},
                {"failure": null, "rejected_values": [{"path": "b", "sample": EMPTIED_TEXT}]},
            ],
        });
        assert!(empty(&mut report, &["Zoë Quill"]));
        assert!(!report.to_string().contains("Quill") && !report.to_string().contains("07700"), "{report}");
        assert!(!empty(&mut report, &["Zoë Quill"]), "a second time there is nothing");
    }
}
