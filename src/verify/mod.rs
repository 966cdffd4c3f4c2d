//! Compares the destination with the heads: every live file exists as it was written, no other file is among them
//! that a glob would read, and the Delta logs, where there are any, list the live files.
//!
//! Takes a store and the catalogue, gives findings. Relies on the manifests on disk: the catalogue only decides the
//! partitions of rows. Reads only; a run may continue meanwhile, so a missing file is looked up in the newest head
//! before it is called damage.

mod finding;
mod files;
mod tables;
mod strays;

use crate::delta::{LogState, compare_log};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Version, head, resources};
use crate::store::Store;
use crate::verify::finding::finding;
use crate::write::Flaw;

pub use finding::{Inquiry, Report, VerifiedResource, VerifyFinding, What};

/// A run that commits all the time could change the head under us for ever.
const TRIES: u32 = 5;

/// Looks at the resources. Refuses (`Usage`) a name without manifests; fails where the store does.
pub async fn verify(inquiry: Inquiry<'_>) -> Result<Report> {
    let known = resources(inquiry.store).await?;
    if let Some(unknown) = inquiry.names.iter().find(|name| !known.contains(name)) {
        return Err(Failure::new(Kind::Usage, format!("verify `{unknown}`"))
            .because("no resource of that name was ever committed here")
            .advise(format!("there are: {}", known.join(", "))));
    }
    let mut report = Report::default();
    let chosen = known.iter().filter(|name| inquiry.names.is_empty() || inquiry.names.contains(name));
    let mut tables = Vec::new();
    for name in chosen {
        match look_at(inquiry, name).await {
            Ok(Some((head, findings))) => {
                report.resources.push(describe(&head));
                report.findings.extend(findings);
                tables.extend(head.tables.keys().map(|table| (name.clone(), table.clone())));
            }
            Ok(None) => {}
            Err(failure) => report.findings.push(unread(name, failure)?),
        }
    }
    report.findings.extend(strays::find(inquiry.store, &known, &tables).await?);
    Ok(report)
}

/// Files in the folders of a resource's tables that no head lists.
pub async fn strays_of(store: &Store, head: &Version) -> Result<Vec<VerifyFinding>> {
    let tables: Vec<_> = head.tables.keys().map(|table| (head.resource.clone(), table.clone())).collect();
    strays::find(store, &resources(store).await?, &tables).await
}

/// A manifest that is damaged is a finding; anything else is a failure.
fn unread(resource: &str, failure: Failure) -> Result<VerifyFinding> {
    if failure.kind() != Kind::Damage {
        return Err(failure);
    }
    let what = What::Manifest(failure.to_string());
    Ok(VerifyFinding { resource: resource.to_owned(), path: None, what, count: 1 })
}

/// One resource by its head; again by a newer one where files went away under us. None where nothing was ever
/// committed.
pub async fn look_at(inquiry: Inquiry<'_>, name: &str) -> Result<Option<(Version, Vec<VerifyFinding>)>> {
    for _ in 0..TRIES {
        let Some(current) = head(inquiry.store, name).await? else { return Ok(None) };
        let mut findings = Vec::new();
        let located = files::locate(inquiry.store, &current, &mut findings).await?;
        if any_missing(&findings) && has_moved(inquiry, &current).await? {
            continue;
        }
        let seen = if inquiry.deep {
            tables::compare_all(inquiry, &current, located).await?
        } else {
            files::look(inquiry.store, &current, located).await?
        };
        // It was there a moment ago: replaced, or published from staging.
        if any_missing(&seen) {
            continue;
        }
        findings.extend(seen);
        let logs = compare_log(inquiry.store, &current).await?;
        if logs.iter().any(|(_, state)| *state != LogState::Equal) && has_moved(inquiry, &current).await? {
            continue;
        }
        findings.extend(logs.into_iter().filter_map(|(path, state)| log_finding(name, &path, state)));
        return Ok(Some((current, findings)));
    }
    let Some(current) = head(inquiry.store, name).await? else { return Ok(None) };
    let why = "its files were replaced faster than they could be checked: verify it when no run is active";
    Ok(Some((current, vec![finding(name, None, What::Skipped(why.to_owned()))])))
}

/// The finding about a log that is not as it should be.
fn log_finding(resource: &str, path: &str, state: LogState) -> Option<VerifyFinding> {
    let what = match state {
        LogState::Equal => return None,
        LogState::Behind => What::LogBehind,
        LogState::Damaged(why) => What::Log(why),
    };
    Some(finding(resource, Some(path), what))
}

fn any_missing(findings: &[VerifyFinding]) -> bool {
    findings.iter().any(|finding| finding.what == What::Flawed(Flaw::Missing))
}

/// Whether a newer version has replaced this head.
async fn has_moved(inquiry: Inquiry<'_>, current: &Version) -> Result<bool> {
    Ok(head(inquiry.store, &current.resource).await?.is_some_and(|newest| newest.nonce != current.nonce))
}

fn describe(head: &Version) -> VerifiedResource {
    VerifiedResource {
        resource: head.resource.clone(),
        version: head.version,
        files: u64::try_from(head.files().count()).expect("a count fits"),
        rows: head.rows(),
        bytes: head.files().map(|file| file.bytes).sum(),
    }
}
