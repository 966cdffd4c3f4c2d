//! The counter of the requests that scans would send: its inputs, and the estimate of a scan.

use jiff::Timestamp;

use crate::config::Limits;
use crate::forecast::amount::Amount;
use crate::forecast::probe::Probe;
use crate::manifest::{State, Version};
use crate::schema::{Catalog, Resource};
use crate::store::Store;

/// The requests of a scan, and the records that they return.
#[derive(Clone, Copy, Debug)]
pub struct ScanEstimate {
    pub requests: Amount,
    /// None where only the answer itself would tell.
    pub records: Option<Amount>,
    /// Records that are new or changed, as far as known: other resources read again the ids that these reference.
    pub fresh: Amount,
}

impl ScanEstimate {
    /// Asks nothing and brings nothing.
    pub const NOTHING: Self =
        Self { requests: Amount::exact(0), records: Some(Amount::exact(0)), fresh: Amount::exact(0) };
}

/// Counts the requests that scans would send.
pub struct RequestCounter<'a> {
    pub catalog: &'a Catalog,
    /// None where nothing was ever written.
    pub store: Option<&'a Store>,
    pub probe: Probe<'a>,
    pub limits: &'a Limits,
    pub now: Timestamp,
}

/// A resource at its destination.
#[derive(Clone, Copy)]
pub struct StoredResource<'a> {
    pub resource: &'a Resource,
    pub head: Option<&'a Version>,
    pub state: &'a State,
    /// A full read takes records created from then on.
    pub start: Option<Timestamp>,
}
