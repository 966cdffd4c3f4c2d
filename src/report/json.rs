//! The machine-readable output: events as JSON lines, and the report of a run.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::decode::UnknownField;
use crate::event::{Ending, Event, Events, RowCounts};
use crate::failure::Failure;
use crate::manifest::{KindChange, SourceCount};
use crate::report::output::json_line;
use crate::report::verbosity::Verbosity;
use crate::run::{Clock, Outcome, ResourceOutcome, Tally};
use crate::schema::Granularity;
use crate::secret::Redactor;

/// The run and the account of every line, once they are known. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LogContext(Arc<OnceLock<(String, String)>>);

impl LogContext {
    /// The run, once a log knows it.
    pub fn run(&self) -> Option<&str> {
        self.0.get().map(|(run, _)| run.as_str())
    }

    /// A line: time and level, the run and the account, then these fields.
    fn line(&self, now: Timestamp, level: &str, fields: Value) -> Value {
        let mut line = Map::new();
        line.insert("time".to_owned(), json!(now));
        line.insert("level".to_owned(), json!(level));
        if let Some((run, account)) = self.0.get() {
            line.insert("run".to_owned(), json!(run));
            line.insert("account".to_owned(), json!(account));
        }
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        Value::Object(line)
    }

    /// The line of a failure that ended the command, or a resource in a command without events.
    pub fn failed(&self, now: Timestamp, resource: Option<&str>, failure: &Failure) -> Value {
        let mut fields = json!({
            "event": "failed",
            "failure": failure.to_string(),
            "kind": failure.kind().name(),
            "advice": failure.advice(),
            "exit_code": failure.kind().exit_code(),
        });
        if let Some(resource) = resource {
            fields["resource"] = json!(resource);
        }
        self.line(now, "error", with_request(fields, failure.request_id()))
    }

    /// The last line of a run: its report.
    pub fn report(&self, now: Timestamp, report: &Value) -> Value {
        let level = match report["exit_code"].as_u64() {
            Some(0) => "info",
            // Interrupted, or another run is at it.
            Some(6 | 130) => "warn",
            _ => "error",
        };
        self.line(now, level, report.clone())
    }
}

/// Events as JSON objects, one per line, on stderr, without secrets.
pub fn log(verbosity: Verbosity, clock: Clock, redactor: Redactor, context: LogContext) -> Events {
    Events::new(move |event| {
        if let Event::Begun { run, account, .. } = event {
            context.0.get_or_init(|| (run.clone(), account.clone()));
        }
        let (least, level, fields) = object(event);
        if verbosity >= least {
            let line = context.line(clock.now(), level, fields);
            // A log that nobody reads any more is no reason to fail.
            let _ = writeln!(std::io::stderr().lock(), "{}", json_line(&redactor, line));
        }
    })
}

/// The least verbosity at which an event is shown, its level and its fields.
fn object(event: &Event) -> (Verbosity, &'static str, Value) {
    use Verbosity::{Normal, Quiet, Verbose};
    match event {
        Event::Begun { .. } => (Normal, "info", json!({"event": "begun", "pearlift": env!("CARGO_PKG_VERSION")})),
        Event::NewDestination { destination } => {
            (Normal, "info", json!({"event": "new-destination", "destination": destination}))
        }
        Event::Stopping { reason } => (Quiet, "warn", json!({"event": "stopping", "reason": reason})),
        Event::Started { resource, scan, reason, requests } => (
            Normal,
            "info",
            json!({"event": "started", "resource": resource, "scan": scan, "reason": reason, "requests": requests}),
        ),
        Event::Expecting { resource, requests } => {
            (Normal, "info", json!({"event": "expecting", "resource": resource, "requests": requests}))
        }
        Event::Asked { resource, url, status, millis, bytes, tries, request_id } => {
            let fields = json!({
                "event": "asked", "resource": resource, "url": url, "status": status, "millis": millis, "bytes": bytes,
                "tries": tries,
            });
            (Verbose, "debug", with_request(fields, request_id.as_deref()))
        }
        Event::Quota { remaining, returns_at, .. } => {
            (Verbose, "debug", json!({"event": "quota", "remaining": remaining, "returns_at": returns_at}))
        }
        Event::Waiting { until, .. } => (Normal, "info", json!({"event": "waiting", "until": until})),
        Event::Retrying { resource, url, reason, wait_millis, request_id } => {
            let fields = json!({
                "event": "retrying", "resource": resource, "url": url, "reason": reason, "wait_millis": wait_millis,
            });
            (Normal, "warn", with_request(fields, request_id.as_deref()))
        }
        Event::Spooled { resource, records, rows } => {
            (Verbose, "debug", json!({"event": "spooled", "resource": resource, "records": records, "rows": rows}))
        }
        Event::Committed { resource, version, files, bytes, changed } => {
            let fields = json!({
                "event": "committed", "resource": resource, "version": version, "files": files, "bytes": bytes,
                "changed": changed,
            });
            (Normal, "info", fields)
        }
        Event::Rejected { resource, path, count, sample } => (
            Normal,
            "warn",
            json!({"event": "rejected", "resource": resource, "path": path, "count": count, "sample": sample}),
        ),
        Event::Warning { resource, text } => (Quiet, "warn", of_resource(resource, "warning", text)),
        Event::Note { resource, text } => (Verbose, "debug", of_resource(resource, "note", text)),
        Event::Finished { resource, rows, requests, ending, .. } => finished(resource, *rows, *requests, ending),
    }
}

/// The end of a resource: the word, and why; `failure` is the text of a failed one.
fn finished(resource: &str, rows: RowCounts, requests: u64, ending: &Ending) -> (Verbosity, &'static str, Value) {
    let (least, level, failure, request_id) = match ending {
        Ending::Complete | Ending::Idle { .. } => (Verbosity::Normal, "info", None, None),
        Ending::Stopped | Ending::Held { .. } => (Verbosity::Normal, "warn", None, None),
        Ending::Failed { failure, request_id } => {
            (Verbosity::Quiet, "error", Some(failure.as_str()), request_id.as_deref())
        }
    };
    let fields = json!({
        "event": "finished",
        "resource": resource,
        "end": ending.name(),
        "reason": ending.reason(),
        "rows": rows.all,
        "main_rows": rows.main,
        "requests": requests,
        "failure": failure,
    });
    (least, level, with_request(fields, request_id))
}

fn of_resource(resource: &Option<String>, event: &str, text: &str) -> Value {
    match resource {
        Some(resource) => json!({"event": event, "resource": resource, "text": text}),
        None => json!({"event": event, "text": text}),
    }
}

/// Adds the source's id of the request, where there is one.
fn with_request(mut fields: Value, request_id: Option<&str>) -> Value {
    if let Some(id) = request_id {
        fields["request_id"] = json!(id);
    }
    fields
}

/// The report of a run, as kept in `_pearlift/runs/` and printed with `--log-format json`.
pub fn report(outcome: &Outcome, exit_code: u8, redactor: &Redactor) -> Value {
    json!({
        "format": 1,
        "pearlift": env!("CARGO_PKG_VERSION"),
        "run": outcome.run,
        "command": outcome.command,
        "account": outcome.account,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at(),
        "took_seconds": outcome.took.as_secs_f64(),
        "requests": outcome.requests,
        "retries": outcome.repeats.retries,
        "retry_wait_millis": outcome.repeats.wait_millis,
        "quota_waits": outcome.quota.waits,
        "quota_wait_millis": outcome.quota.millis,
        "interrupted": outcome.interrupted,
        "exit_code": exit_code,
        "resources": outcome.resources.iter().map(|ended| resource(ended, redactor)).collect::<Vec<_>>(),
    })
}

fn counted(paths: &BTreeMap<String, u64>) -> Vec<Value> {
    paths.iter().map(|(path, count)| json!({"path": path, "count": count})).collect()
}

/// Unknown fields, each with the line of a column that would take its values.
fn unknown_fields(tally: &Tally) -> Vec<Value> {
    let object = |(path, field): (&String, &UnknownField)| {
        let kind = field.guess.map(|guess| guess.to_string());
        json!({"path": path, "count": field.count, "type": kind, "column": tally.noticed.columns.get(path)})
    };
    tally.rejected_values.unknown().iter().map(object).collect()
}

/// Places with values of another kind than before.
fn changed_kinds(tally: &Tally) -> Vec<Value> {
    let object = |(path, change): (&String, &KindChange)| json!({"path": path, "was": change.was, "is": change.is, "count": change.count});
    tally.noticed.changed.iter().map(object).collect()
}

/// The source's count and the number of stored rows; null if nothing was counted.
pub fn count(count: &SourceCount) -> Value {
    if count.at_source.is_none() {
        return Value::Null;
    }
    let ids = count.vanished.iter().map(|(first, last)| last.saturating_sub(*first).saturating_add(1));
    let vanished = ids.fold(0_i64, i64::saturating_add);
    json!({
        "held": count.held,
        "at_source": count.at_source,
        "explained": count.explained,
        "counted_at": count.counted_at,
        "compared_at": count.compared_at,
        "reliable": !count.unreliable,
        "open": count.open,
        "locating": count.locating.is_some(),
        "not_shown_any_more": vanished,
    })
}

fn resource(outcome: &ResourceOutcome, redactor: &Redactor) -> Value {
    let ending = outcome.ending();
    let tally = &outcome.tally;
    let rejected_values: Vec<Value> = tally
        .rejected_values
        .shown(redactor)
        .map(|(path, count, sample)| json!({"path": path, "count": count, "sample": sample}))
        .collect();
    let rejected: Vec<Value> = tally
        .rejected_rows
        .shown(redactor)
        .map(|(reason, count, sample)| json!({"reason": reason, "count": count, "sample": sample}))
        .collect();
    let mut object = json!({
        "resource": outcome.resource,
        "end": ending.name(),
        "reason": ending.reason(),
        "failure": outcome.failure().map(|failure| failure.kind().name()),
        "request_id": outcome.failure().and_then(|failure| failure.request_id()),
        "advice": outcome.failure().and_then(|failure| failure.advice()),
        "scans": outcome.scans,
        "version": outcome.version,
        "watermark": outcome.watermark,
        "rows": outcome.rows.all,
        "main_rows": outcome.rows.main,
        "requests": outcome.requests,
        "records_read": tally.records,
        "commits": tally.commits,
        "files_written": tally.files,
        "bytes_written": tally.bytes,
        "rows_added": tally.changes.added,
        "rows_changed": tally.changes.changed,
        "rows_removed": tally.changes.removed,
        "rows_with_repeated_key": tally.twice,
        "missed_changes": tally.missed.len(),
        "older_than_stored": tally.noticed.kept.len(),
        "went_back": tally.noticed.went_back,
        "deletions_cancelled": tally.noticed.reappeared,
        "stale_documents": tally.noticed.stale,
        "stale_rule_suspended_until": tally.noticed.suspended,
        "rejected_values": rejected_values,
        "rejected_records": tally.rejected_records,
        "unknown_fields": unknown_fields(tally),
        "missing_columns": counted(tally.rejected_values.missing()),
        "emptied_columns": counted(&tally.noticed.emptied),
        "changed_kinds": changed_kinds(tally),
        "rejected_rows": rejected,
        "pending": outcome.unsettled.pending,
        "withheld": outcome.unsettled.withheld,
        "suspects": outcome.unsettled.suspects,
        "count": count(&outcome.count),
        "found": outcome.found,
    });
    let partition = outcome.partition;
    object["partition"] = json!(partition.and_then(|partition| partition.present).map(Granularity::word));
    object["partition_setting"] = json!(partition.map(|partition| partition.wanted.word()));
    object["partition_open"] = json!(partition.is_some_and(|partition| partition.open));
    object["retries"] = json!(tally.repeats.retries);
    object["retry_wait_millis"] = json!(tally.repeats.wait_millis);
    object
}
