//! The history, folded: days, resources, and the last runs.
//!
//! Takes the rows of the history since an instant, keeps sums and the newest rows: its size depends on days, resources and
//! the number of runs (16 bytes each), not on the rows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::failure::Result;
use crate::history::{HistoryRow, HistoryTable, visit_since};
use crate::secret::Redactor;
use crate::store::Store;

/// Runs that the page lists one by one.
const LISTED: usize = 30;

/// The sums of a day in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct DayTotals {
    pub runs: u64,
    pub failed: u64,
    pub changed: u64,
    pub bytes_written: u64,
    pub requests: u64,
    pub quota_wait_millis: u64,
    pub retries: u64,
    pub retry_wait_millis: u64,
}

/// The last runs of a resource.
#[derive(Clone, Debug, Default)]
pub struct PastResource {
    /// The row of its last run; none if it has none since then.
    pub last: HistoryRow,
    /// The end of the last run in which it was brought up to date.
    pub success: Option<Timestamp>,
    /// The stored rows after the last run of each day, with the start of that run.
    rows: BTreeMap<Date, (Timestamp, u64)>,
}

/// The history since an instant.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The newest runs, the newest first.
    pub runs: Vec<HistoryRow>,
    pub days: BTreeMap<Date, DayTotals>,
    pub resources: BTreeMap<String, PastResource>,
    /// Files that cannot be read.
    pub unread: Vec<String>,
}

/// Reads the history since an instant, without secrets.
pub async fn read_past(store: &Store, since: Timestamp, redactor: &Redactor) -> Result<Past> {
    let mut past = Past::default();
    let mut known: BTreeSet<u128> = BTreeSet::new();
    let mut newest: BTreeMap<(Timestamp, String), HistoryRow> = BTreeMap::new();
    let runs = visit_since(store, HistoryTable::Run, since, |row| {
        let Some(started) = instant(row, "started_at") else { return };
        // A crash between two steps of a join leaves equal rows.
        if !u128::from_str_radix(text(row, "run"), 16).is_ok_and(|run| known.insert(run)) {
            return;
        }
        past.days.entry(day(started)).or_default().add(row);
        newest.insert((started, text(row, "run").to_owned()), row.clone());
        if newest.len() > LISTED {
            newest.pop_first();
        }
    });
    past.unread = runs.await?;
    let clean = |row: HistoryRow| match redactor.clean_value(row.into()) {
        serde_json::Value::Object(row) => row,
        _ => HistoryRow::new(),
    };
    past.runs = newest.into_values().rev().map(clean).collect();
    let resources = &mut past.resources;
    let unread = visit_since(store, HistoryTable::RunResource, since, |row| {
        resources.entry(text(row, "resource").to_owned()).or_default().take(row);
    });
    past.unread.extend(unread.await?);
    for resource in past.resources.values_mut() {
        resource.last = clean(std::mem::take(&mut resource.last));
    }
    Ok(past)
}

impl DayTotals {
    fn add(&mut self, row: &HistoryRow) {
        let failed = row.get("failure").is_some_and(|failure| !failure.is_null());
        self.runs = self.runs.saturating_add(1);
        self.failed = self.failed.saturating_add(u64::from(failed));
        self.changed = self.changed.saturating_add(changed(row));
        self.bytes_written = self.bytes_written.saturating_add(number(row, "bytes_written"));
        self.requests = self.requests.saturating_add(number(row, "requests"));
        self.quota_wait_millis = self.quota_wait_millis.saturating_add(number(row, "quota_wait_millis"));
        self.retries = self.retries.saturating_add(number(row, "retries"));
        self.retry_wait_millis = self.retry_wait_millis.saturating_add(number(row, "retry_wait_millis"));
    }
}

impl PastResource {
    fn take(&mut self, row: &HistoryRow) {
        // The rows of a cleaning and of an erasure do not state how many rows are stored.
        if !reads(row) {
            return;
        }
        let Some(started) = instant(row, "started_at") else { return };
        if instant(&self.last, "started_at").is_none_or(|last| last <= started) {
            self.last = row.clone();
        }
        if is_up_to_date(row) {
            self.success = self.success.max(instant(row, "finished_at"));
        }
        if row.get("version").is_some_and(|version| !version.is_null()) {
            let rows = self.rows.entry(day(started)).or_insert((started, 0));
            if rows.0 <= started {
                *rows = (started, number(row, "rows"));
            }
        }
    }

    /// The stored rows after the last run that was not after a day.
    fn rows_until(&self, day: Date) -> u64 {
        self.rows.range(..=day).next_back().map_or(0, |(_, (_, rows))| *rows)
    }
}

impl Past {
    /// Stored rows of all resources at the end of a day, as far as runs since the beginning state them.
    pub fn rows_until(&self, day: Date) -> u64 {
        self.resources.values().map(|resource| resource.rows_until(day)).fold(0, u64::saturating_add)
    }

    /// The newest run that read the source.
    pub fn last_run(&self) -> Option<&HistoryRow> {
        self.runs.iter().find(|row| reads(row))
    }
}

/// Whether a row is of a command that reads the source.
fn reads(row: &HistoryRow) -> bool {
    matches!(text(row, "command"), "run" | "backfill" | "reconcile")
}

/// Whether a run brought its resource up to date.
fn is_up_to_date(row: &HistoryRow) -> bool {
    text(row, "command") == "run" && matches!(text(row, "ended"), "complete" | "idle")
}

/// Rows added, changed and removed.
pub fn changed(row: &HistoryRow) -> u64 {
    ["rows_added", "rows_changed", "rows_removed"]
        .map(|name| number(row, name))
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// The day of an instant, in UTC.
pub fn day(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// A text of a row; empty where it has none.
pub fn text<'a>(row: &'a HistoryRow, name: &str) -> &'a str {
    row.get(name).and_then(|value| value.as_str()).unwrap_or_default()
}

/// A number of a row; 0 where it has none.
pub fn number(row: &HistoryRow, name: &str) -> u64 {
    row.get(name).and_then(|value| value.as_u64()).unwrap_or_default()
}

/// An instant of a row.
pub fn instant(row: &HistoryRow, name: &str) -> Option<Timestamp> {
    text(row, name).parse().ok()
}
