//! The outcome of a run: per resource and as a whole, with the exit code that follows.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::decode::RejectedCounts;
use crate::event::{Ending, RowCounts};
use crate::failure::{Failure, Kind, Recovery, Result};
use crate::manifest::SourceCount;
use crate::plan::PartitionState;
use crate::run::noticed::Noticed;
use crate::run::request_counts::{QuotaWaits, Repeats};
use crate::store::{Store, paths};
use crate::write::RowChanges;

/// A run's end.
#[derive(Debug)]
pub struct Outcome {
    pub run: String,
    /// The command that made it.
    pub command: &'static str,
    pub account: String,
    pub destination: String,
    pub started_at: Timestamp,
    pub took: Duration,
    /// In the order in which they were begun.
    pub resources: Vec<ResourceOutcome>,
    /// Requests sent, tries included.
    pub requests: u64,
    pub repeats: Repeats,
    pub quota: QuotaWaits,
    /// Somebody asked to stop.
    pub interrupted: bool,
    /// Where the tables are, for the run's report.
    pub store: Store,
}

/// The outcome of a resource.
#[derive(Debug)]
pub struct ResourceOutcome {
    pub resource: String,
    pub end: End,
    /// The scans made, each with its reason.
    pub scans: Vec<String>,
    /// The version of the head.
    pub version: Option<u64>,
    pub watermark: Option<Timestamp>,
    pub rows: RowCounts,
    /// How a date divides its files; none where none does.
    pub partition: Option<PartitionState>,
    pub requests: u64,
    pub tally: Tally,
    pub unsettled: Unsettled,
    /// The source's count beside the number held.
    pub count: SourceCount,
    /// The result of a command other than the nightly run, a sentence.
    pub found: Option<String>,
}

/// The ids of a resource that wait for a later run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// Ids that could not be fetched or mapped.
    pub pending: u64,
    /// Ids that the source lists and has not returned in three runs over three days: outside the exit code.
    pub withheld: u64,
    /// Suspects: ids that wait for the second proof of their deletion.
    pub suspects: u64,
}

/// How a resource ended.
#[derive(Debug)]
pub enum End {
    /// Up to date.
    Complete,
    /// Nothing was due; why.
    Idle(String),
    /// Stopped before its end; complete records are committed.
    Stopped,
    /// Another run holds it.
    Held(String),
    Failed(Failure),
}

impl End {
    /// The end that a failure makes.
    pub fn of(failure: Failure) -> Self {
        if failure.kind() == Kind::Interrupted { Self::Stopped } else { Self::Failed(failure) }
    }
}

/// The counts of a resource's scans.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Records read.
    pub records: u64,
    pub commits: u64,
    pub files: u64,
    pub bytes: u64,
    pub changes: RowChanges,
    pub rejected_values: RejectedCounts,
    /// Records kept whole because they did not fit.
    pub rejected_records: u64,
    /// Rows left out because they did not fit, and older records of a key that came twice, by table and reason.
    pub rejected_rows: RejectedCounts,
    /// Rows rejected because a later row of their record has the same key.
    pub twice: u64,
    /// Records found changed by reading them again, although none of their dates moved.
    pub missed: BTreeSet<i64>,
    /// Notable things that are reported and change nothing.
    pub noticed: Noticed,
    /// Requests that were repeated, known once the resource has ended.
    pub repeats: Repeats,
}

impl Tally {
    /// Adds another scan's.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.commits += other.commits;
        self.files += other.files;
        self.bytes += other.bytes;
        self.changes.add(other.changes);
        self.rejected_values.merge(other.rejected_values.clone());
        self.rejected_records += other.rejected_records;
        self.rejected_rows.merge(other.rejected_rows.clone());
        self.twice += other.twice;
        self.missed.extend(&other.missed);
        self.noticed.add(&other.noticed);
    }
}

impl ResourceOutcome {
    /// The failure, if it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.end {
            End::Failed(failure) => Some(failure),
            End::Complete | End::Idle(_) | End::Stopped | End::Held(_) => None,
        }
    }

    /// The failure itself, if it failed.
    pub fn into_failure(self) -> Option<Failure> {
        match self.end {
            End::Failed(failure) => Some(failure),
            End::Complete | End::Idle(_) | End::Stopped | End::Held(_) => None,
        }
    }

    /// Whether it is up to date, so that steps may follow.
    pub fn went_well(&self) -> bool {
        matches!(self.end, End::Complete | End::Idle(_))
    }

    /// How it ended, for logs and reports.
    pub fn ending(&self) -> Ending {
        match &self.end {
            End::Complete => Ending::Complete,
            End::Idle(reason) => Ending::Idle { reason: reason.clone() },
            End::Stopped => Ending::Stopped,
            End::Held(by) => Ending::Held { by: by.clone() },
            End::Failed(failure) => {
                let request_id = failure.request_id().map(str::to_owned);
                Ending::Failed { failure: failure.to_string(), request_id }
            }
        }
    }
}

impl Outcome {
    /// The end of the run, by the clock of its start.
    pub fn finished_at(&self) -> Timestamp {
        let took = SignedDuration::try_from(self.took).unwrap_or(SignedDuration::ZERO);
        self.started_at.saturating_add(took).unwrap_or(self.started_at)
    }

    /// Keeps the run's report beside the tables.
    pub async fn keep(&self, report: &str) -> Result<()> {
        self.store.put_own(&paths::run(self.started_at, &self.run), report.to_owned()).await
    }

    /// The exit code (docs/troubleshooting.md): the worst failure decides, in the order 130, 1, 5, 6; when every resource
    /// failed alike, their code; else 3 when anything did not complete.
    pub fn exit_code(&self, fail_on_misfit: bool) -> u8 {
        if self.interrupted {
            return Kind::Interrupted.exit_code();
        }
        let codes: Vec<u8> = self
            .resources
            .iter()
            .filter_map(ResourceOutcome::failure)
            .map(|failure| failure.kind().exit_code())
            .collect();
        for worst in [Kind::Bug, Kind::StoreUnreachable] {
            if codes.contains(&worst.exit_code()) {
                return worst.exit_code();
            }
        }
        let held = self.resources.iter().any(|resource| matches!(resource.end, End::Held(_)));
        if held || codes.contains(&Kind::Lost.exit_code()) {
            return Kind::Lost.exit_code();
        }
        // A failure that stops the whole run decides before all others.
        let stops = self
            .resources
            .iter()
            .filter_map(ResourceOutcome::failure)
            .find(|failure| failure.kind().recovery() == Recovery::StopRun);
        if let Some(failure) = stops {
            return failure.kind().exit_code();
        }
        let worked = self.resources.iter().filter(|resource| !matches!(resource.end, End::Idle(_))).count();
        if let Some(code) =
            codes.first().filter(|code| codes.len() == worked && codes.iter().all(|other| other == *code))
        {
            return *code;
        }
        let incomplete = self.resources.iter().any(|resource| {
            let tally = &resource.tally;
            let rejected = fail_on_misfit && !(tally.rejected_values.is_empty() && tally.rejected_rows.is_empty());
            matches!(resource.end, End::Failed(_) | End::Stopped) || resource.unsettled.pending > 0 || rejected
        });
        if incomplete { 3 } else { 0 }
    }
}
