//! Reports of commands that have no report file: a run that failed as a whole, a cleaning, an erasure. They become rows of
//! the history.
//!
//! Takes outcomes and failures, gives objects with the members of a run's report that apply.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clean::{CleanOutcome, Repartitioned};
use crate::failure::Failure;
use crate::forget::{ErasedResource, ForgetOutcome};
use crate::quantity::plural;

/// The command of a brief report.
#[derive(Clone, Copy, Debug)]
pub struct BriefReport<'a> {
    pub run: &'a str,
    pub command: &'a str,
    pub account: &'a str,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub exit_code: u8,
}

impl BriefReport<'_> {
    fn with(self, failure: Option<&Failure>, resources: Vec<Value>) -> Value {
        json!({
            "format": 1,
            "pearlift": env!("CARGO_PKG_VERSION"),
            "run": self.run,
            "command": self.command,
            "account": self.account,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "interrupted": false,
            "exit_code": self.exit_code,
            "failure": failure.map(|failure| failure.kind().name()),
            "reason": failure.map(ToString::to_string),
            "resources": resources,
        })
    }

    /// Of a command that failed as a whole.
    pub fn failed(self, failure: &Failure) -> Value {
        self.with(Some(failure), Vec::new())
    }

    /// Of a command that did all at once.
    pub fn done(self) -> Value {
        self.with(None, Vec::new())
    }

    /// Of a cleaning: a resource whose files were divided again, or that could not be cleaned.
    pub fn cleaned(self, outcome: &CleanOutcome) -> Value {
        let divided = outcome.repartitioned.iter().map(|Repartitioned { resource, from, to, files, into }| {
            let scan = format!("repartition: {} to {}, {}", from.word(), to.word(), plural(*files, "file"));
            json!({"resource": resource, "end": "complete", "scans": [scan], "files_written": into, "partition": to.word()})
        });
        self.with(None, divided.chain(outcome.failures.iter().map(failed_resource)).collect())
    }

    /// Of an erasure: the resources with rows of the person, or that could not be emptied.
    pub fn forgotten(self, outcome: &ForgetOutcome) -> Value {
        let erased = outcome.resources.iter().map(|ErasedResource { resource, rows, version, .. }| {
            let changed: u64 = rows.values().sum();
            let commits = u8::from(version.is_some());
            json!({"resource": resource, "end": "complete", "version": version, "rows_changed": changed, "commits": commits})
        });
        self.with(None, erased.chain(outcome.failures.iter().map(failed_resource)).collect())
    }
}

fn failed_resource((resource, failure): &(String, Failure)) -> Value {
    json!({
        "resource": resource,
        "end": "failed",
        "failure": failure.kind().name(),
        "reason": failure.to_string(),
        "request_id": failure.request_id(),
    })
}
