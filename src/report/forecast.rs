//! The output of `plan`: the table for people, the object for machines. `~` marks an estimate, `≤` a bound, `–` an
//! unknown number.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::forecast::{Amount, Cost, Forecast, ResourceForecast};
use crate::manifest::ScanKind;
use crate::plan::StepKind;
use crate::quantity::{number, plural};
use crate::report::table::{TableForm, hanging};
use crate::report::text::bytes;
use crate::schema::{Granularity, PartitionChoice};

/// An unknown number.
const NONE: &str = "–";

/// The table, with a line for each scan and one for all, as wide as a terminal.
pub fn forecast_table(forecast: &Forecast, width: Option<usize>) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = forecast.resources.iter().flat_map(|resource| lines(forecast, resource)).collect();
    let total = forecast.total();
    rows.push(line(forecast, ["total", ""], &total, "≤ ", ""));
    let form = TableForm {
        heads: &["resource", "scan", "requests", "minutes", "records", "rows", "rewrites", "why"],
        right: &[2, 3, 4, 5, 6],
        text: Some(7),
        spare: &[6, 5, 4, 3],
    };
    let spent = plural(forecast.spent, "request");
    let mut lines = form.lines(&rows, width);
    lines.extend([String::new(), format!("{spent} spent on this plan")]);
    let most = width.unwrap_or(usize::MAX);
    lines.extend(first_partitions(forecast).iter().flat_map(|line| hanging(line, most)));
    lines
}

/// How the files of first loads are divided, a line for each setting.
fn first_partitions(forecast: &Forecast) -> Vec<String> {
    let mut loads: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in &forecast.resources {
        let loads_all = resource.scans.iter().any(|scan| scan.kind == StepKind::Scan(ScanKind::Full));
        if let Some(partition) = resource.partition.filter(|partition| partition.open && loads_all) {
            loads.entry(partition.wanted.word()).or_default().push(&resource.resource);
        }
    }
    let line = |(word, names): (&str, Vec<&str>)| {
        let known = if word == PartitionChoice::Auto.word() {
            ", decided by the number of rows when the load has ended"
        } else {
            ""
        };
        format!("partition {word}{known}: {}", names.join(", "))
    };
    loads.into_iter().map(line).collect()
}

fn lines(forecast: &Forecast, resource: &ResourceForecast) -> Vec<Vec<String>> {
    let name = resource.resource.as_str();
    let mut lines: Vec<Vec<String>> = resource
        .scans
        .iter()
        .map(|scan| {
            let bound = match scan.kind {
                StepKind::Scan(ScanKind::Full) => "~",
                StepKind::Scan(ScanKind::Changes) | StepKind::Reconcile | StepKind::Touched | StepKind::Reread(_) => {
                    "≤ "
                }
            };
            line(forecast, [name, scan.kind.name()], &scan.cost, bound, &scan.reason)
        })
        .collect();
    if let Some(reason) = &resource.idle {
        lines.push(line(forecast, [name, "nothing"], &Cost::NOTHING, "", reason));
    }
    if let Some(failure) = &resource.failure {
        let blank = std::iter::repeat_n(NONE.to_owned(), 5);
        let ends = (std::iter::once(failure.to_string()), [name.to_owned(), "unknown".to_owned()]);
        lines.push(ends.1.into_iter().chain(blank).chain(ends.0).collect());
    }
    lines
}

/// The cells of a line; `bound` is the kind of bound that the bytes are.
fn line(forecast: &Forecast, [name, scan]: [&str; 2], cost: &Cost, bound: &str, reason: &str) -> Vec<String> {
    let time = forecast.time(cost.requests.value);
    vec![
        name.to_owned(),
        scan.to_owned(),
        amount(cost.requests),
        time.map_or_else(|| NONE.to_owned(), |time| minutes(time, cost.requests.exact)),
        cost.records.map_or_else(|| NONE.to_owned(), amount),
        cost.rows.map_or_else(
            || NONE.to_owned(),
            |rows| if rows == 0 { "0".to_owned() } else { format!("~{}", number(rows)) },
        ),
        cost.bytes.map_or_else(
            || NONE.to_owned(),
            |size| {
                if size == 0 { bytes(0) } else { format!("{bound}{}", bytes(size)) }
            },
        ),
        reason.to_owned(),
    ]
}

fn amount(amount: Amount) -> String {
    let mark = if amount.exact { "" } else { "~" };
    format!("{mark}{}", number(amount.value))
}

/// Minutes to a tenth, rounded up: a request takes its time.
fn minutes(time: Duration, exact: bool) -> String {
    let tenths = time.as_millis().div_ceil(6_000);
    format!("{}{}.{}", if exact { "" } else { "~" }, tenths / 10, tenths % 10)
}

/// The object of `plan --json` (docs/tasks/plan.md).
pub fn forecast_object(forecast: &Forecast, now: Timestamp) -> Value {
    let resources: Vec<Value> = forecast
        .resources
        .iter()
        .map(|resource| {
            let scans: Vec<Value> = resource
                .scans
                .iter()
                .map(|scan| {
                    let mut object = cost(forecast, &scan.cost);
                    object["scan"] = json!(scan.kind.name());
                    object["reason"] = json!(scan.reason);
                    object
                })
                .collect();
            json!({
                "resource": resource.resource,
                "scans": scans,
                "idle": resource.idle,
                "error": resource.failure.as_ref().map(ToString::to_string),
                "spent": resource.spent,
                "partition": resource.partition.and_then(|partition| partition.present).map(Granularity::word),
                "partition_setting": resource.partition.map(|partition| partition.wanted.word()),
                "partition_open": resource.partition.is_some_and(|partition| partition.open),
            })
        })
        .collect();
    json!({
        "format": 1,
        "now": now,
        "resources": resources,
        "total": cost(forecast, &forecast.total()),
        "spent": forecast.spent,
    })
}

fn cost(forecast: &Forecast, cost: &Cost) -> Value {
    let time = forecast.time(cost.requests.value);
    json!({
        "requests": cost.requests.value,
        "requests_exact": cost.requests.exact,
        "minutes": time.map(|time| time.as_secs_f64() / 60.0),
        "records": cost.records.map(|records| records.value),
        "records_exact": cost.records.is_some_and(|records| records.exact),
        "rows": cost.rows,
        "bytes_at_most": cost.bytes,
    })
}
