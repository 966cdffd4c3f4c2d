//! The content of the page, read and not yet in words.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::failure::Failure;
use crate::page::kept::KeptReports;
use crate::page::past::Past;
use crate::report::StatusRow;
use crate::secret::Redactor;

/// The content of the page.
pub struct PageInput<'a> {
    pub account: String,
    pub destination: String,
    pub now: Timestamp,
    /// Days of the history.
    pub days: u16,
    /// The age from which a resource is late.
    pub max_age: Duration,
    pub resources: Vec<StatusRow>,
    /// Resources whose manifests cannot be read.
    pub unreadable: Vec<(String, Failure)>,
    pub past: Past,
    pub kept: KeptReports,
    /// Whether samples of rejected values are left out, because columns are replaced by hashes.
    pub hides_samples: bool,
    /// The object of `plan --json`.
    pub plan: Option<Value>,
    pub redactor: &'a Redactor,
}
