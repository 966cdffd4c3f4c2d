//! The tables of the history: their columns, types and meanings.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};

use crate::schema::Type;

/// A table of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryTable {
    /// One row for each run.
    Run,
    /// One row for each resource of a run.
    RunResource,
}

/// A column of the history.
#[derive(Clone, Copy, Debug)]
pub struct HistoryColumn {
    pub name: &'static str,
    pub kind: Type,
    pub required: bool,
    pub meaning: &'static str,
}

const fn always(name: &'static str, kind: Type, meaning: &'static str) -> HistoryColumn {
    HistoryColumn { name, kind, required: true, meaning }
}

const fn maybe(name: &'static str, kind: Type, meaning: &'static str) -> HistoryColumn {
    HistoryColumn { name, kind, required: false, meaning }
}

const RUN: [HistoryColumn; 26] = [
    always("run", Type::String, "the run, 32 hexadecimal digits; the key"),
    always("command", Type::String, "`run`, `backfill`, `reconcile`, `clean` or `forget`"),
    always("account", Type::String, "the account"),
    always("pearlift", Type::String, "the version of the program"),
    always("started_at", Type::Timestamp, "the start, by this machine's clock"),
    always("finished_at", Type::Timestamp, "the end, by the same clock"),
    always("exit_code", Type::Int32, "the exit code of the command"),
    always("interrupted", Type::Bool, "whether the run was asked to stop by a signal"),
    maybe("failure", Type::String, "the kind of the first failure in one word; null if nothing failed"),
    maybe(
        "reason",
        Type::String,
        "the text of that failure, or why the exit code is not 0 without one; at most 1,000 characters",
    ),
    always("resources", Type::Int32, "the number of resources with a row in `run_resource`"),
    always("failed", Type::Int32, "the number of resources that failed"),
    always("rows", Type::Int64, "stored rows of these resources after the run, in all tables"),
    always("rows_added", Type::Int64, "rows added in all tables"),
    always("rows_changed", Type::Int64, "rows changed in all tables"),
    always("rows_removed", Type::Int64, "rows removed from all tables"),
    always("files_written", Type::Int64, "data files written"),
    always("bytes_written", Type::Int64, "bytes of these files"),
    always("requests", Type::Int64, "requests sent to the source, each try counted"),
    always("retries", Type::Int64, "repeated requests"),
    always(
        "retry_wait_millis",
        Type::Int64,
        "milliseconds of the waits before them, added up; requests wait side by side",
    ),
    always("quota_waits", Type::Int64, "times at which the quota was used up"),
    always("quota_wait_millis", Type::Int64, "milliseconds of these waits, as announced at their start"),
    always("pending", Type::Int64, "pending records after the run"),
    always("rejected_values", Type::Int64, "values that did not fit their columns"),
    always("rejected_records", Type::Int64, "records that were kept whole because they did not fit"),
];

const RUN_RESOURCE: [HistoryColumn; 34] = [
    always("run", Type::String, "the run; the key together with `resource`"),
    always("resource", Type::String, "the resource"),
    always("command", Type::String, "as in `run`"),
    always("account", Type::String, "the account"),
    always("started_at", Type::Timestamp, "the start of the run, by this machine's clock"),
    always("finished_at", Type::Timestamp, "the end of the run, by the same clock"),
    always(
        "ended",
        Type::String,
        "`complete`, `idle` (nothing was due), `stopped`, `held` (by another run) or `failed`",
    ),
    maybe("failure", Type::String, "the kind of the failure in one word; null if the resource did not fail"),
    maybe(
        "reason",
        Type::String,
        "the text of the failure, why nothing was due, or the holder; at most 1,000 characters",
    ),
    maybe("request_id", Type::String, "the source's id of the request that failed"),
    maybe("scans", Type::String, "the scans made, each with its reason, separated by `; `; at most 1,000 characters"),
    maybe("version", Type::Int64, "the version of the manifest after the run"),
    maybe("watermark", Type::Timestamp, "the watermark after the run: every change before it has been read"),
    maybe(
        "partition",
        Type::String,
        "the granularity of the files: `month`, `quarter`, `year`, `none`; null without a date",
    ),
    always("rows", Type::Int64, "stored rows after the run, in all tables"),
    always("rows_added", Type::Int64, "rows added in all tables"),
    always("rows_changed", Type::Int64, "rows changed in all tables"),
    always("rows_removed", Type::Int64, "rows removed from all tables"),
    always("records_read", Type::Int64, "records read from the source"),
    always("commits", Type::Int64, "commits of the run"),
    always("files_written", Type::Int64, "data files written"),
    always("bytes_written", Type::Int64, "bytes of these files"),
    always("requests", Type::Int64, "answered requests, each try counted"),
    always("retries", Type::Int64, "repeated requests"),
    always("retry_wait_millis", Type::Int64, "milliseconds of the waits before them, added up"),
    maybe("held", Type::Int64, "stored rows of the kind that the source counts; null if nothing is counted"),
    maybe("at_source", Type::Int64, "the source's count"),
    maybe("explained", Type::Int64, "the difference, source less held, that was looked into"),
    maybe("counted_at", Type::Timestamp, "the time of the count"),
    maybe("count_reliable", Type::Bool, "whether the source's count can be relied on"),
    always("pending", Type::Int64, "pending records after the run"),
    always("withheld", Type::Int64, "withheld records after the run"),
    always("rejected_values", Type::Int64, "values that did not fit their columns"),
    always("rejected_records", Type::Int64, "records that were kept whole because they did not fit"),
];

impl HistoryTable {
    /// Every table of the history.
    pub const ALL: [Self; 2] = [Self::Run, Self::RunResource];

    /// The name of the table, and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::RunResource => "run_resource",
        }
    }

    /// The columns, in the order of the files.
    pub fn columns(self) -> &'static [HistoryColumn] {
        match self {
            Self::Run => &RUN,
            Self::RunResource => &RUN_RESOURCE,
        }
    }

    /// The names of the key columns.
    pub fn key(self) -> &'static [&'static str] {
        match self {
            Self::Run => &["run"],
            Self::RunResource => &["run", "resource"],
        }
    }

    /// The columns as Arrow has them, with their meanings as descriptions.
    pub fn arrow(self) -> SchemaRef {
        let field = |column: &HistoryColumn| {
            let description = HashMap::from([("description".to_owned(), column.meaning.to_owned())]);
            Field::new(column.name, column.kind.arrow(), !column.required).with_metadata(description)
        };
        Arc::new(Schema::new(self.columns().iter().map(field).collect::<Vec<_>>()))
    }
}
