//! The scope of an erasure, and its result.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::forget::list::ForgottenList;
use crate::schema::Catalog;
use crate::secret::HashKey;
use crate::store::Store;
use crate::write::Sizes;

/// The scope of an erasure.
#[derive(Clone, Copy, Debug)]
pub struct Forgetting<'a> {
    pub store: &'a Store,
    pub catalog: &'a Catalog,
    pub account: &'a str,
    pub key: &'a HashKey,
    pub person: i64,
    /// A local folder for scratch files.
    pub spool: &'a Path,
    pub sizes: Sizes,
    /// By our clock, for the record.
    pub now: Timestamp,
    /// Rows are counted only: nothing is written and no lock taken.
    pub dry_run: bool,
    /// Waits for resources that another run holds.
    pub wait: bool,
}

/// The result of an erasure.
#[derive(Debug, Default)]
pub struct ForgetOutcome {
    pub run: String,
    /// The keyed hash of the person's id.
    pub person: String,
    pub resources: Vec<ErasedResource>,
    /// Reports of runs in which something was emptied.
    pub reports: u64,
    /// Resources at the destination that no schema file describes, and files of tables that none does.
    pub unknown: Vec<String>,
    /// Resources that could not be emptied.
    pub failures: Vec<(String, Failure)>,
}

impl Forgetting<'_> {
    /// The list of this person alone.
    pub fn list(&self) -> ForgottenList {
        ForgottenList::only(self.key, self.person)
    }
}

/// The result for one resource.
#[derive(Clone, Debug, Default)]
pub struct ErasedResource {
    pub resource: String,
    /// Rows with values that were erased, by table.
    pub rows: BTreeMap<String, u64>,
    /// Rejected records that were emptied.
    pub rejected: u64,
    /// The version that has the erasure; none where nothing was left to be committed.
    pub version: Option<u64>,
    /// Older versions that were removed.
    pub versions_removed: u64,
    /// Entries of Delta logs that other writers added: they may hold values of the person.
    pub unknown: Vec<String>,
}
