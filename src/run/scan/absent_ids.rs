//! Ids that a scan requested and the source did not return, until the scan decides about them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::fetch::IdRanges;
use crate::manifest::Key;
use crate::run::scan::documents::FetchedSet;

/// The absent ids of a scan, and the evidence about them.
#[derive(Debug, Default)]
pub struct Absent {
    /// Ids that the resource's own listing or search showed in this scan.
    pub shown: IdRanges,
    /// Ids that did not come, each with whether something of its set came and the answer stated no errors.
    pub ids: BTreeMap<i64, bool>,
    /// An id that came.
    pub witness: Option<i64>,
    /// Earlier suspects that this scan has proven to be deleted.
    pub proven: BTreeSet<i64>,
    /// The source's clock at the last request.
    pub latest: Option<Timestamp>,
}

impl Absent {
    /// Notes the result of a set; `span` states that a set with gaps is normal. Ids that are absent without doubt stay
    /// in `fetched.gone`, the others are kept for later.
    pub fn note(&mut self, fetched: &mut FetchedSet, span: bool) {
        let came = first_of(fetched);
        self.witness = self.witness.or(came);
        self.latest = self.latest.max(fetched.pages.iter().map(|(_, asked_at)| *asked_at).max());
        let whole = came.is_some() && fetched.pages.iter().all(|(page, _)| page.partial.is_none());
        if !span || !whole {
            self.ids.extend(std::mem::take(&mut fetched.gone).into_iter().map(|id| (id, whole)));
        }
    }

    /// Whether a listing of this scan showed the id.
    pub fn is_shown(&self, id: i64) -> bool {
        let place = self.shown.partition_point(|(_, last)| *last < id);
        self.shown.get(place).is_some_and(|(first, _)| *first <= id)
    }

    /// The source's clock, as far as the scan knows it.
    pub fn now(&self, started_at: Timestamp) -> Timestamp {
        self.latest.map_or(started_at, |latest| latest.max(started_at))
    }
}

/// The first id that came.
pub fn first_of(fetched: &FetchedSet) -> Option<i64> {
    came(fetched).next()
}

/// The ids that came in a usable form.
pub fn came(fetched: &FetchedSet) -> impl Iterator<Item = i64> {
    let records = fetched.pages.iter().flat_map(|(page, _)| &page.records).filter(|record| record.fits);
    records.filter_map(|record| match record.key {
        Key::Int(id) => Some(id),
        Key::Text(_) => None,
    })
}
