//! For machines: events as JSON lines, and the report of a run.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use crate::event::{Event, Events};
use crate::report::Verbosity;
use crate::run::{Clock, End, Outcome, ResourceOutcome};
use crate::secret::Redactor;

/// Events as JSON objects, one a line, on stderr, without secrets.
pub fn log(verbosity: Verbosity, clock: Clock, redactor: Redactor) -> Events {
    Events::new(move |event| {
        if let Some(mut value) = object(event, verbosity) {
            value["time"] = json!(clock.now());
            // A log that nobody reads any more is no reason to fail.
            let _ = writeln!(std::io::stderr().lock(), "{}", redactor.clean(&value.to_string()));
        }
    })
}

fn object(event: &Event, verbosity: Verbosity) -> Option<Value> {
    let (least, value) = match event {
        Event::Started { resource, scan, reason, requests } => (
            Verbosity::Normal,
            json!({"event": "started", "resource": resource, "scan": scan, "reason": reason, "requests": requests}),
        ),
        Event::Expecting { resource, requests } => {
            (Verbosity::Normal, json!({"event": "expecting", "resource": resource, "requests": requests}))
        }
        Event::Asked { resource, url, status, millis, bytes, tries } => (
            Verbosity::Verbose,
            json!({"event": "asked", "resource": resource, "url": url, "status": status, "millis": millis, "bytes": bytes, "tries": tries}),
        ),
        Event::Quota { remaining, returns_at } => {
            (Verbosity::Verbose, json!({"event": "quota", "remaining": remaining, "returns_at": returns_at}))
        }
        Event::Waiting { until } => (Verbosity::Normal, json!({"event": "waiting", "until": until})),
        Event::Retrying { resource, url, reason, wait_millis } => (
            Verbosity::Normal,
            json!({"event": "retrying", "resource": resource, "url": url, "reason": reason, "wait_millis": wait_millis}),
        ),
        Event::Spooled { resource, owners, rows } => {
            (Verbosity::Verbose, json!({"event": "spooled", "resource": resource, "records": owners, "rows": rows}))
        }
        Event::Committed { resource, version, files, bytes, changed } => (
            Verbosity::Normal,
            json!({"event": "committed", "resource": resource, "version": version, "files": files, "bytes": bytes, "changed": changed}),
        ),
        Event::Misfit { resource, path, count, sample } => (
            Verbosity::Normal,
            json!({"event": "misfit", "resource": resource, "path": path, "count": count, "sample": sample}),
        ),
        Event::Warning { resource, text } => {
            (Verbosity::Quiet, json!({"event": "warning", "resource": resource, "text": text}))
        }
        Event::Note { resource, text } => {
            (Verbosity::Verbose, json!({"event": "note", "resource": resource, "text": text}))
        }
        Event::Finished { resource, rows, requests, failure } => {
            let least = if failure.is_some() { Verbosity::Quiet } else { Verbosity::Normal };
            (
                least,
                json!({"event": "finished", "resource": resource, "rows": rows, "requests": requests, "failure": failure}),
            )
        }
    };
    (verbosity >= least).then_some(value)
}

/// The report of a run, as kept in `_pearlift/runs/` and printed with `--log-format json`.
pub fn report(outcome: &Outcome, exit_code: u8) -> Value {
    json!({
        "format": 1,
        "pearlift": env!("CARGO_PKG_VERSION"),
        "run": outcome.run,
        "account": outcome.account,
        "started_at": outcome.started_at,
        "took_seconds": outcome.took.as_secs_f64(),
        "requests": outcome.requests,
        "interrupted": outcome.interrupted,
        "exit_code": exit_code,
        "resources": outcome.resources.iter().map(resource).collect::<Vec<_>>(),
    })
}

fn counted(paths: &BTreeMap<String, u64>) -> Vec<Value> {
    paths.iter().map(|(path, count)| json!({"path": path, "count": count})).collect()
}

fn resource(outcome: &ResourceOutcome) -> Value {
    let (end, reason) = match &outcome.end {
        End::Complete => ("complete", None),
        End::Idle(reason) => ("idle", Some(reason.clone())),
        End::Stopped => ("stopped", None),
        End::Held(by) => ("held", Some(by.clone())),
        End::Failed(failure) => ("failed", Some(failure.to_string())),
    };
    let tally = &outcome.tally;
    let misfits: Vec<Value> = tally
        .misfits
        .iter()
        .map(|(path, count, sample)| json!({"path": path, "count": count, "sample": sample}))
        .collect();
    json!({
        "resource": outcome.resource,
        "end": end,
        "reason": reason,
        "failure": outcome.failure().map(|failure| failure.kind().name()),
        "advice": outcome.failure().and_then(|failure| failure.advice()),
        "scans": outcome.scans,
        "version": outcome.version,
        "watermark": outcome.watermark,
        "rows": outcome.rows,
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
        "misfits": misfits,
        "misfit_records": tally.misfit_records,
        "unknown_fields": counted(tally.misfits.unknown()),
        "missing_columns": counted(tally.misfits.missing()),
        "emptied_columns": counted(&tally.noticed.emptied),
        "owed": outcome.owed,
        "found": outcome.found,
    })
}
