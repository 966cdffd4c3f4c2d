//! Ids that a scan requested and the source did not return, until the scan decides about them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::fetch::IdRanges;
use crate::manifest::Key;
use crate::run::holder::Holder;
use crate::run::scan::documents::FetchedSet;

/// The absent ids of a scan, and the evidence about them.
#[derive(Debug, Default)]
pub struct Absent {
    /// Ids that the resource's own listing or search showed in this scan.
    pub shown: IdRanges,
    /// Ids that did not come, each with whether something of its set came and the answer stated no errors.
    pub ids: BTreeMap<i64, bool>,
    /// An id that came, of each path by its values.
    pub witnesses: BTreeMap<Vec<i64>, i64>,
    /// Records held whose id did not come, and that another answer shows to be gone: the end of the scan decides about them.
    pub vanished: BTreeSet<i64>,
    /// Ids of a comparison that did not come, and nothing else in the same answers.
    pub unproven: BTreeSet<i64>,
    /// Earlier suspects that this scan has proven to be deleted.
    pub proven: BTreeSet<i64>,
    /// The source's clock at the last request.
    pub latest: Option<Timestamp>,
}

impl Absent {
    /// Notes the result of a set; `holder` has the paths of ids, and `span` states that a set with gaps is normal. Ids that are
    /// absent without doubt stay in `fetched.gone`, the others are kept for later.
    pub fn note(&mut self, fetched: &mut FetchedSet, span: bool, holder: Option<&Holder>) {
        let came = first_of(fetched);
        match holder {
            None => self.witnesses.extend(came.filter(|_| self.witnesses.is_empty()).map(|id| (Vec::new(), id))),
            Some(holder) => {
                let placed = self::came(fetched).filter_map(|id| Some((holder.place(id)?, id)));
                for (place, id) in placed {
                    self.witnesses.entry(place).or_insert(id);
                }
            }
        }
        self.latest = self.latest.max(fetched.pages.iter().map(|(_, asked_at)| *asked_at).max());
        let whole = came.is_some() && fetched.pages.iter().all(|(page, _)| page.partial.is_none());
        if !span || !whole {
            self.ids.extend(std::mem::take(&mut fetched.gone).into_iter().map(|id| (id, whole)));
        }
    }

    /// Replaces the witness of a path, or removes it.
    pub fn set_witness(&mut self, place: &[i64], witness: Option<i64>) {
        match witness {
            Some(id) => drop(self.witnesses.insert(place.to_vec(), id)),
            None => drop(self.witnesses.remove(place)),
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
