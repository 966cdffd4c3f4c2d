//! The metrics of a run, in the text format of Prometheus, for the textfile collector of node exporter.
//!
//! Takes the report of a run and the former text, gives the new one. Values that this run does not have (resources that it
//! did not process, and the time of the last success of one that failed) are those of the former text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;

/// Where the samples of a metric are from.
enum Samples {
    /// One of the run.
    Run(fn(&Value) -> Option<String>),
    /// One for each resource.
    Resource(fn(&Value, &Value) -> Option<String>),
}

use Samples::{Resource, Run};

/// All metrics: name, help, samples. Each is a gauge: a run counts from 0.
const METRICS: [(&str, &str, Samples); 25] = [
    ("pearlift_last_run_timestamp_seconds", "End of the last run.", Run(|run| instant(&run["finished_at"]))),
    ("pearlift_last_run_success_timestamp_seconds", "End of the last run with exit code 0.", Run(succeeded)),
    ("pearlift_last_run_duration_seconds", "Duration of the last run.", Run(took)),
    ("pearlift_last_run_exit_code", "Exit code of the last run.", Run(|run| number(&run["exit_code"]))),
    (
        "pearlift_last_run_requests",
        "Requests sent by the last run, tries included.",
        Run(|run| count(&run["requests"])),
    ),
    ("pearlift_last_run_retries", "Requests repeated by the last run.", Run(|run| count(&run["retries"]))),
    (
        "pearlift_last_run_retry_wait_seconds",
        "Waits before repeated requests, added up.",
        Run(|run| seconds(&run["retry_wait_millis"])),
    ),
    ("pearlift_last_run_quota_wait_seconds", "Waits for the quota.", Run(|run| seconds(&run["quota_wait_millis"]))),
    (
        "pearlift_resource_success_timestamp_seconds",
        "End of the last run in which the resource was brought up to date.",
        Resource(up_to_date),
    ),
    (
        "pearlift_resource_watermark_timestamp_seconds",
        "Time before which all changes have been read.",
        Resource(|_, of| instant(&of["watermark"])),
    ),
    (
        "pearlift_resource_failed",
        "Whether the resource failed in the last run that processed it.",
        Resource(|_, of| Some(u8::from(of["end"] == "failed").to_string())),
    ),
    ("pearlift_resource_rows", "Stored rows in all tables.", Resource(|_, of| known(of, &of["rows"]))),
    (
        "pearlift_resource_rows_added",
        "Rows added by the last run that processed the resource.",
        Resource(|_, of| count(&of["rows_added"])),
    ),
    ("pearlift_resource_rows_changed", "Rows changed by that run.", Resource(|_, of| count(&of["rows_changed"]))),
    ("pearlift_resource_rows_removed", "Rows removed by that run.", Resource(|_, of| count(&of["rows_removed"]))),
    (
        "pearlift_resource_requests",
        "Answered requests of that run, tries included.",
        Resource(|_, of| count(&of["requests"])),
    ),
    ("pearlift_resource_retries", "Requests repeated by that run.", Resource(|_, of| count(&of["retries"]))),
    (
        "pearlift_resource_retry_wait_seconds",
        "Waits before repeated requests in that run, added up.",
        Resource(|_, of| seconds(&of["retry_wait_millis"])),
    ),
    (
        "pearlift_resource_written_bytes",
        "Bytes of data files written by that run.",
        Resource(|_, of| count(&of["bytes_written"])),
    ),
    (
        "pearlift_resource_rejected_values",
        "Values that did not fit their columns in that run.",
        Resource(|_, of| counted(&of["rejected_values"])),
    ),
    (
        "pearlift_resource_rejected_records",
        "Records kept whole by that run because they did not fit.",
        Resource(|_, of| count(&of["rejected_records"])),
    ),
    (
        "pearlift_resource_pending_records",
        "Records that could not be fetched or mapped and are retried.",
        Resource(|_, of| known(of, &of["pending"])),
    ),
    (
        "pearlift_resource_withheld_records",
        "Records that the source lists and does not return.",
        Resource(|_, of| known(of, &of["withheld"])),
    ),
    (
        "pearlift_resource_held_rows",
        "Stored rows of the kind that the source counts.",
        Resource(|_, of| number(&of["count"]["held"])),
    ),
    ("pearlift_resource_source_rows", "The count of the source.", Resource(|_, of| number(&of["count"]["at_source"]))),
];

fn number(value: &Value) -> Option<String> {
    value.as_u64().map(|value| value.to_string())
}

/// A count, 0 where the report has none.
fn count(value: &Value) -> Option<String> {
    Some(value.as_u64().unwrap_or(0).to_string())
}

/// A count of the head, unknown where no version was read.
fn known(of: &Value, value: &Value) -> Option<String> {
    if of["version"].is_null() { None } else { number(value) }
}

fn counted(list: &Value) -> Option<String> {
    let counts = list.as_array().into_iter().flatten().filter_map(|entry| entry["count"].as_u64());
    Some(counts.fold(0, u64::saturating_add).to_string())
}

/// Milliseconds as seconds.
fn seconds(millis: &Value) -> Option<String> {
    let millis = millis.as_u64().unwrap_or(0);
    Some(format!("{}.{:03}", millis / 1_000, millis % 1_000))
}

fn parsed(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// An instant in seconds since 1970, to the millisecond.
fn instant(value: &Value) -> Option<String> {
    let millis = u64::try_from(parsed(value)?.as_millisecond()).ok()?;
    seconds(&Value::from(millis))
}

fn took(run: &Value) -> Option<String> {
    let took = parsed(&run["finished_at"])?.duration_since(parsed(&run["started_at"])?);
    seconds(&Value::from(u64::try_from(took.as_millis()).ok()?))
}

fn succeeded(run: &Value) -> Option<String> {
    instant(&run["finished_at"]).filter(|_| run["exit_code"] == 0)
}

fn up_to_date(run: &Value, of: &Value) -> Option<String> {
    // One that has no version was never read: it waits for a resource that is not loaded.
    let well = (of["end"] == "complete" || of["end"] == "idle") && !of["version"].is_null();
    instant(&run["finished_at"]).filter(|_| well)
}

/// The text of a run's metrics. `selected` are the resources of which former values stay.
pub fn metrics(report: &Value, former: &str, selected: &BTreeSet<String>) -> String {
    let account = report["account"].as_str().unwrap_or_default();
    let former = Former::read(former, account);
    let resources: BTreeMap<&str, &Value> = report["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|of| Some((of["resource"].as_str()?, of)))
        .collect();
    let names: BTreeSet<&str> = resources.keys().copied().chain(selected.iter().map(String::as_str)).collect();
    let mut text = String::new();
    for (metric, help, samples) in METRICS {
        let lines: Vec<(String, String)> = match samples {
            Run(value) => {
                let labels = labels(account, None);
                let value = value(report).or_else(|| former.value(metric, &labels));
                value.map(|value| (labels, value)).into_iter().collect()
            }
            Resource(value) => {
                let sample = |name: &&str| {
                    let labels = labels(account, Some(*name));
                    let own = resources.get(name).and_then(|of| value(report, of));
                    own.or_else(|| former.value(metric, &labels)).map(|value| (labels, value))
                };
                names.iter().filter_map(sample).collect()
            }
        };
        if !lines.is_empty() {
            writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} gauge").expect("a text takes all");
        }
        for (labels, value) in lines {
            writeln!(text, "{metric}{labels} {value}").expect("a text takes all");
        }
    }
    text
}

/// Labels as the format wants them.
fn labels(account: &str, resource: Option<&str>) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let resource = resource.map(|name| format!(",resource=\"{}\"", escaped(name))).unwrap_or_default();
    format!("{{account=\"{}\"{resource}}}", escaped(account))
}

/// The samples of a former text, by metric and labels.
struct Former<'a>(BTreeMap<(&'a str, &'a str), &'a str>);

impl<'a> Former<'a> {
    /// Those of an account, in lines as [`metrics`] writes them; other lines are passed over.
    fn read(text: &'a str, account: &str) -> Self {
        let ours = labels(account, None);
        let ours = ours.trim_end_matches('}');
        let sample = |line: &'a str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, _) = series.split_once('{')?;
            let labels = &series[metric.len()..];
            let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
            (is_number && labels.starts_with(ours)).then_some(((metric, labels), value))
        };
        Self(text.lines().filter_map(sample).collect())
    }

    fn value(&self, metric: &str, labels: &str) -> Option<String> {
        self.0.get(&(metric, labels)).map(|value| (*value).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(at: &str, exit_code: u8, resources: Value) -> Value {
        json!({"account": "ac\"me", "started_at": "2026-11-29T02:00:00Z", "finished_at": at, "exit_code": exit_code,
            "requests": 4, "quota_wait_millis": 61_005, "resources": resources})
    }

    fn line<'a>(text: &'a str, series: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
    }

    #[test]
    fn values_of_other_runs_stay_and_those_of_resources_that_are_not_selected_go() {
        let good = json!([
            {"resource": "a", "end": "complete", "version": 1, "rows": 5, "watermark": "2026-11-29T00:00:00Z"},
            {"resource": "b", "end": "idle", "version": 2, "rows": 7},
            {"resource": "c", "end": "idle", "version": 2, "rows": 9},
        ]);
        let selected = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let first = metrics(&report("2026-11-29T02:01:00.250Z", 0, good), "", &selected);
        let of = |name: &str, resource: &str| format!("{name}{{account=\"ac\\\"me\",resource=\"{resource}\"}}");
        assert_eq!(line(&first, "pearlift_last_run_duration_seconds{account=\"ac\\\"me\"}"), Some("60.250"));
        assert_eq!(line(&first, "pearlift_last_run_quota_wait_seconds{account=\"ac\\\"me\"}"), Some("61.005"));
        assert_eq!(line(&first, &of("pearlift_resource_rows", "c")), Some("9"));

        let failed = json!([{"resource": "a", "end": "failed", "failure": "answer", "version": null, "rows": 0}]);
        let second = metrics(&report("2026-11-30T02:00:10Z", 4, failed), &first, &selected);
        let success = line(&first, &of("pearlift_resource_success_timestamp_seconds", "a"));
        assert!(success.is_some() && success == line(&second, &of("pearlift_resource_success_timestamp_seconds", "a")));
        assert_eq!(line(&second, &of("pearlift_resource_failed", "a")), Some("1"));
        assert_eq!(line(&second, &of("pearlift_resource_rows", "a")), Some("5"));
        assert_eq!(line(&second, &of("pearlift_resource_rows", "b")), Some("7"));
        assert_eq!(line(&second, &of("pearlift_resource_rows", "c")), None);
        let run = "pearlift_last_run_success_timestamp_seconds{account=\"ac\\\"me\"}";
        assert_eq!(line(&second, run), line(&first, run));
        assert_eq!(line(&second, "pearlift_last_run_exit_code{account=\"ac\\\"me\"}"), Some("4"));
    }

    #[test]
    fn lines_of_others_and_damaged_ones_are_passed_over() {
        let former = "up 1\npearlift_resource_rows{account=\"other\",resource=\"a\"} 3\n\
                      pearlift_resource_rows{account=\"ac\\\"me\",resource=\"a\"} many\n{} {} {}\n";
        let selected = BTreeSet::from(["a".to_owned()]);
        let text = metrics(&report("2026-11-29T02:01:00Z", 0, json!([])), former, &selected);
        assert!(!text.contains("resource="), "{text}");
    }
}
