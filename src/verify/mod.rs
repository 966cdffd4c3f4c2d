//! Compares the destination with the heads: every live file exists as it was written, and no other file is among them
//! that a glob would read.
//!
//! Takes a store and the catalogue, gives findings. Relies on the manifests on disk: the catalogue only decides the
//! partitions of rows. Reads only; a run may continue meanwhile, so a missing file is looked up in the newest head
//! before it is called damage.

mod files;
mod tables;
mod strays;

use std::fmt;
use std::path::Path;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Version, head, resources};
use crate::schema::Catalog;
use crate::store::Store;
use crate::write::Flaw;

/// A run that commits all the time could change the head under us for ever.
const TRIES: u32 = 5;

/// The scope of a verification.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    pub store: &'a Store,
    pub catalog: &'a Catalog,
    /// Resources by name; none means all that have manifests.
    pub names: &'a [String],
    /// Read every byte, not only sizes and footers.
    pub deep: bool,
    /// A local folder for copies of files in a bucket.
    pub spool: &'a Path,
}

/// The findings.
#[derive(Debug, Default)]
pub struct Report {
    pub resources: Vec<VerifiedResource>,
    pub findings: Vec<VerifyFinding>,
}

/// A resource that was looked at, by its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedResource {
    pub resource: String,
    pub version: u64,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyFinding {
    pub resource: String,
    pub path: Option<String>,
    pub what: What,
    /// How often in this file.
    pub count: u64,
}

/// The kind of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A live file differs from the manifest.
    Flawed(Flaw),
    /// A manifest cannot be read, or is not of its place.
    Manifest(String),
    /// A Parquet file that no head names, where a glob reads it.
    Foreign,
    /// A live file waits in staging to be published.
    Unpublished,
    /// A file of ours that a version took out of the table.
    Superseded,
    /// Some other file in a table's folder.
    Stray,
    /// Something could not be looked at.
    Skipped(String),
}

impl What {
    /// Whether readers get something wrong.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Flawed(_) | Self::Manifest(_) | Self::Foreign => true,
            Self::Unpublished | Self::Superseded | Self::Stray | Self::Skipped(_) => false,
        }
    }

    /// The finding in one word, for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flawed(flaw) => flaw.name(),
            Self::Manifest(_) => "manifest",
            Self::Foreign => "foreign",
            Self::Unpublished => "unpublished",
            Self::Superseded => "superseded",
            Self::Stray => "stray",
            Self::Skipped(_) => "skipped",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flawed(flaw) => flaw.fmt(f),
            Self::Manifest(why) | Self::Skipped(why) => f.write_str(why),
            Self::Foreign => f.write_str("a foreign file in a table folder: a glob reads its rows"),
            Self::Unpublished => f.write_str("committed, and not yet in its place"),
            Self::Superseded => f.write_str("superseded: a version took it out of the table"),
            Self::Stray => f.write_str("no manifest names it"),
        }
    }
}

impl VerifyFinding {
    /// The remedy, if there is one.
    pub fn remedy(&self) -> Option<String> {
        let name = &self.resource;
        match &self.what {
            What::Flawed(_) => Some(format!(
                "`pearlift backfill {name} --damaged` reads its records again; or restore it from a backup"
            )),
            What::Manifest(_) => Some(format!(
                "restore it from a backup; without one move it away, and `pearlift backfill {name} --damaged` repairs the version before"
            )),
            What::Foreign => Some("move it out of the table's folder".to_owned()),
            What::Unpublished => Some(format!("`pearlift run {name}` or `pearlift clean` publishes it")),
            What::Superseded => Some("`pearlift clean` removes it".to_owned()),
            What::Stray | What::Skipped(_) => None,
        }
    }
}

impl Report {
    /// How many findings are damage.
    pub fn damaged(&self) -> usize {
        self.findings.iter().filter(|finding| finding.what.is_damage()).count()
    }
}

/// Looks at the resources. Refuses (`Usage`) a name without manifests; fails where the store does.
pub async fn verify(inquiry: Inquiry<'_>) -> Result<Report> {
    let known = resources(inquiry.store).await?;
    if let Some(unknown) = inquiry.names.iter().find(|name| !known.contains(name)) {
        return Err(Failure::new(Kind::Usage, format!("verify `{unknown}`"))
            .because("nothing of that name was ever committed here")
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

/// One resource by its head; again by a newer one where files went away under us. None where nothing was ever committed.
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
        return Ok(Some((current, findings)));
    }
    let Some(current) = head(inquiry.store, name).await? else { return Ok(None) };
    let why = "its files went away faster than they could be looked at: verify it when no run is going on";
    Ok(Some((current, vec![finding(name, None, What::Skipped(why.to_owned()))])))
}

fn any_missing(findings: &[VerifyFinding]) -> bool {
    findings.iter().any(|finding| finding.what == What::Flawed(Flaw::Missing))
}

/// Whether a newer version has replaced this head.
async fn has_moved(inquiry: Inquiry<'_>, current: &Version) -> Result<bool> {
    Ok(head(inquiry.store, &current.resource).await?.is_some_and(|newest| newest.nonce != current.nonce))
}

fn finding(resource: &str, path: Option<&str>, what: What) -> VerifyFinding {
    VerifyFinding { resource: resource.to_owned(), path: path.map(str::to_owned), what, count: 1 }
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
