//! The scope of a verification, and its findings with their remedies.

use std::fmt;
use std::path::Path;

use crate::schema::Catalog;
use crate::store::Store;
use crate::write::Flaw;

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
    /// A Parquet file that no head names lies where a glob reads it.
    Foreign,
    /// A live file waits in staging to be published.
    Unpublished,
    /// A file of ours that a version took out of the table.
    Superseded,
    /// A Delta log that cannot be followed.
    Log(String),
    /// A Delta log that does not list the files of the head.
    LogBehind,
    /// Some other file in a table's folder.
    Stray,
    /// Something could not be looked at.
    Skipped(String),
}

impl What {
    /// Whether readers get something wrong.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Flawed(_) | Self::Manifest(_) | Self::Foreign | Self::Log(_) => true,
            Self::Unpublished | Self::Superseded | Self::LogBehind | Self::Stray | Self::Skipped(_) => false,
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
            Self::Log(_) => "log",
            Self::LogBehind => "log-behind",
            Self::Stray => "stray",
            Self::Skipped(_) => "skipped",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flawed(flaw) => flaw.fmt(f),
            Self::Manifest(why) | Self::Log(why) | Self::Skipped(why) => f.write_str(why),
            Self::Foreign => f.write_str("a foreign file in a table folder: a glob reads its rows"),
            Self::Unpublished => f.write_str("committed, but not yet in its place"),
            Self::Superseded => f.write_str("superseded: a version removed it from the table"),
            Self::LogBehind => f.write_str("the Delta log does not list the files of the newest version"),
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
                "restore it from a backup; without a backup move it away, and `pearlift backfill {name} --damaged` repairs the previous version"
            )),
            What::Foreign => Some("move it out of the table's folder".to_owned()),
            What::Unpublished => Some(format!("`pearlift run {name}` or `pearlift clean` publishes it")),
            What::Superseded => Some("`pearlift clean` removes it".to_owned()),
            What::Log(_) => Some(format!(
                "move the log away: `pearlift run {name}` or `pearlift clean` writes a new one of the same files"
            )),
            What::LogBehind => Some(format!("`pearlift run {name}` or `pearlift clean` completes it")),
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

pub fn finding(resource: &str, path: Option<&str>, what: What) -> VerifyFinding {
    VerifyFinding { resource: resource.to_owned(), path: path.map(str::to_owned), what, count: 1 }
}
