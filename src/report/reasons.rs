//! The reasons for an exit code other than 0, from the report of a run.

use serde_json::Value;

use crate::quantity::plural;

/// One for the whole run, or one for each resource that is not complete.
pub fn reasons(report: &Value) -> Vec<String> {
    if let Some(reason) = report["reason"].as_str() {
        return vec![reason.to_owned()];
    }
    report["resources"].as_array().into_iter().flatten().filter_map(reason).collect()
}

fn reason(resource: &Value) -> Option<String> {
    let name = resource["resource"].as_str()?;
    let why = resource["reason"].as_str().unwrap_or_default();
    match resource["end"].as_str()? {
        "failed" => Some(format!("{name}: {why}")),
        "held" => Some(format!("{name}: held by {why}")),
        "stopped" => Some(format!("{name}: stopped, resumes on the next run")),
        _ => {
            let pending = resource["pending"].as_u64().filter(|count| *count > 0)?;
            Some(format!("{name}: {}", plural(pending, "pending record")))
        }
    }
}

/// The sum of some counts over all resources.
pub fn sum(report: &Value, names: &[&str]) -> u64 {
    let resources = report["resources"].as_array().into_iter().flatten();
    let counts = resources.flat_map(|resource| names.iter().filter_map(|name| resource[*name].as_u64()));
    counts.fold(0, u64::saturating_add)
}

/// The counts that make up the changed rows.
pub const CHANGES: [&str; 3] = ["rows_added", "rows_changed", "rows_removed"];
