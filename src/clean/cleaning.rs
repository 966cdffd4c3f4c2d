//! The scope of a cleaning, and its result.

use std::path::Path;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::schema::{Catalog, Granularity};
use crate::store::{HeldLock, Store};
use crate::write::{Joint, Sizes};

/// How files are joined.
#[derive(Clone, Copy, Debug)]
pub struct Compact<'a> {
    pub sizes: Sizes,
    /// A local folder for scratch files.
    pub spool: &'a Path,
}

/// How files are divided anew.
#[derive(Clone, Copy, Debug)]
pub struct Repartition<'a> {
    /// The resources; all where there are none.
    pub names: &'a [String],
    pub sizes: Sizes,
    /// A local folder for scratch files.
    pub spool: &'a Path,
    /// Rows in memory above this many bytes go to disk.
    pub memory: u64,
    /// Rows of a partition in the largest table of a resource, above which a finer one is taken.
    pub partition_rows: u64,
}

/// Files that were divided anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repartitioned {
    pub resource: String,
    pub from: Granularity,
    pub to: Granularity,
    /// How many files there were.
    pub files: u64,
    /// How many they became; none where they only would.
    pub into: Option<u64>,
}

/// The scope of a cleaning.
#[derive(Clone, Copy, Debug)]
pub struct Cleaning<'a> {
    pub store: &'a Store,
    pub catalog: &'a Catalog,
    pub account: &'a str,
    /// By our clock, which gives only the age of versions and reports.
    pub now: Timestamp,
    /// List the objects only: nothing is deleted and no lock taken.
    pub dry_run: bool,
    /// Join small files too.
    pub compact: Option<Compact<'a>>,
    /// Divide the files anew that the settings want otherwise, before small ones are joined.
    pub repartition: Option<Repartition<'a>>,
}

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waste {
    pub path: String,
    /// 0 for an upload: nothing states the size of its parts.
    pub bytes: u64,
    pub why: WasteKind,
}

/// Why something is needed no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WasteKind {
    /// A version took it out of its table.
    Superseded,
    /// A run staged it and can no longer commit it.
    Staging,
    /// A run began to upload it and can no longer commit it.
    Upload,
    /// A version among neither the last hundred nor the last seven days, or beyond the room that versions may take.
    Version,
    /// The plan of a finished scan.
    Plan,
    /// Rejected records of a commit that was never decided.
    Rejected,
    /// The report of a run long ago.
    Report,
}

impl WasteKind {
    /// The words for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Staging => "staging of a crashed run",
            Self::Upload => "unfinished upload of a crashed run",
            Self::Version => "old version",
            Self::Plan => "plan of a finished scan",
            Self::Rejected => "rejected records of a commit that was never decided",
            Self::Report => "old report",
        }
    }
}

/// The result of a cleaning.
#[derive(Debug, Default)]
pub struct CleanOutcome {
    /// The name under which it wrote; none with `dry_run`.
    pub run: Option<String>,
    pub waste: Vec<Waste>,
    /// Small files that became fewer.
    pub joints: Vec<Joint>,
    /// Resources with files that were divided anew.
    pub repartitioned: Vec<Repartitioned>,
    /// Folders of partitions without files, which go too.
    pub folders: Vec<String>,
    /// Files that nobody knows: left alone.
    pub unknown: Vec<String>,
    /// Resources that another run works on: left alone.
    pub held: Vec<HeldLock>,
    /// Resources that could not be cleaned.
    pub failures: Vec<(String, Failure)>,
    /// Why unfinished uploads were not seen, or are still there.
    pub uploads_left: Option<Failure>,
}

impl CleanOutcome {
    /// Whether something changed at the destination, or should have.
    pub fn changed(&self) -> bool {
        let idle =
            self.waste.is_empty() && self.folders.is_empty() && self.joints.is_empty() && self.repartitioned.is_empty();
        !(idle && self.failures.is_empty())
    }
}
