//! The newest run reports at the destination: rejected values, fields that differ, advice about failures.
//!
//! Takes the files below `_pearlift/runs/`, newest first, gives at most [`MOST`] findings of each kind. A report that cannot
//! be read is named and breaks nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::failure::{Kind, Result};
use crate::secret::Redactor;
use crate::store::{Store, paths};

/// Reports that are read: a month of nights.
const REPORTS: usize = 31;
/// Findings of each kind that the page lists.
const MOST: usize = 100;

/// A place whose values did not fit, or that differs from the schema or from earlier scans.
#[derive(Clone, Debug)]
pub struct ReportedFinding {
    pub resource: String,
    /// The kind of the finding, in words.
    pub kind: &'static str,
    /// A path, or the reason of a rejection.
    pub place: String,
    pub count: u64,
    /// An example, or how it differs; none where it could be of a person.
    pub example: Option<String>,
    /// The start of the newest run that found it.
    pub at: Timestamp,
}

/// Findings of one kind, the newest first.
#[derive(Clone, Debug, Default)]
pub struct ReportedFindings {
    pub listed: Vec<ReportedFinding>,
    /// Findings beyond those listed.
    pub more: usize,
    known: BTreeSet<(String, &'static str, String)>,
}

/// The content of the newest reports.
#[derive(Clone, Debug, Default)]
pub struct KeptReports {
    pub rejected: ReportedFindings,
    pub drift: ReportedFindings,
    /// Advice about a failure, by run and resource.
    pub advice: BTreeMap<(String, String), String>,
    /// Reports that cannot be read.
    pub unread: Vec<String>,
}

/// Members of a resource in a report: name, kind in words, member of the place, member of an example.
type Member = (&'static str, &'static str, &'static str, Option<&'static str>);
const REJECTED: [Member; 2] = [
    ("rejected_values", "value that does not fit its column", "path", Some("sample")),
    ("rejected_rows", "rejected row or record", "reason", Some("sample")),
];
const DRIFT: [Member; 4] = [
    ("unknown_fields", "field that the schema does not name", "path", Some("column")),
    ("missing_columns", "column missing from the search", "path", None),
    ("emptied_columns", "column or table without values now", "path", None),
    ("changed_kinds", "values of another kind than before", "path", None),
];

/// Reads the newest reports since an instant, without secrets; samples only where they are wanted.
pub async fn read_reports(store: &Store, since: Timestamp, samples: bool, redactor: &Redactor) -> Result<KeptReports> {
    let listed = store.list(paths::RUNS).await?;
    let started = |(path, _): (String, u64)| Some((paths::report_started(&path)?, path));
    let mut reports: Vec<(Timestamp, String)> = listed.into_iter().filter_map(started).collect();
    reports.retain(|(at, _)| *at >= since);
    reports.sort_by(|a, b| b.cmp(a));
    let mut kept = KeptReports::default();
    for (at, path) in reports.into_iter().take(REPORTS) {
        let bytes = match store.get(&path).await {
            Err(failure) if failure.kind() == Kind::Damage => None,
            found => found?,
        };
        match bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) {
            Some(report) => kept.take(&redactor.clean_value(report), at, samples),
            None => kept.unread.push(path),
        }
    }
    Ok(kept)
}

impl KeptReports {
    fn take(&mut self, report: &Value, at: Timestamp, samples: bool) {
        for resource in report["resources"].as_array().into_iter().flatten() {
            let Some(name) = resource["resource"].as_str() else { continue };
            for member in REJECTED {
                let member = if samples { member } else { (member.0, member.1, member.2, None) };
                self.rejected.take(name, resource, member, at);
            }
            for member in DRIFT {
                self.drift.take(name, resource, member, at);
            }
            if let (Some(run), Some(advice)) = (report["run"].as_str(), resource["advice"].as_str()) {
                self.advice.insert((run.to_owned(), name.to_owned()), advice.to_owned());
            }
        }
    }
}

impl ReportedFindings {
    fn take(&mut self, resource: &str, of: &Value, (member, kind, place, example): Member, at: Timestamp) {
        for entry in of[member].as_array().into_iter().flatten() {
            let place = entry[place].as_str().unwrap_or_default().to_owned();
            if self.known.len() >= MOST {
                self.more = self.more.saturating_add(1);
            } else if self.known.insert((resource.to_owned(), kind, place.clone())) {
                let was = entry["was"].as_str().zip(entry["is"].as_str());
                let change = was.map(|(was, is)| format!("{was} before, {is} now"));
                let example = example.and_then(|name| entry[name].as_str()).map(str::to_owned).or(change);
                let count = entry["count"].as_u64().unwrap_or_default();
                self.listed.push(ReportedFinding { resource: resource.to_owned(), kind, place, count, example, at });
            }
        }
    }
}
