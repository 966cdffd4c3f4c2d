//! Newer wins, also against stored rows: a copy with a version, or else a date of change, lower than that of the stored
//! copy leaves the stored rows as they are, and its id is pending. A source may take a change back, though: the same
//! lower value in two runs with at least an hour between them is accepted, and so is any that a person accepts.
//!
//! Takes the copies of a commit and the evidence of earlier ones; gives the copies that are left out, and the state
//! that the same commit puts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::IdRanges;
use crate::manifest::{Key, OlderCopy, PendingId};
use crate::quantity::count;
use crate::run::safety_limit::SafetyLimit;
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;
use crate::write::Older;

/// The time between two runs after which the same lower value does not come from a lagging replica in both.
const DISTANCE: SignedDuration = SignedDuration::from_hours(1);

/// The rule of one commit.
#[derive(Clone, Debug)]
pub struct OlderRule {
    known: BTreeMap<Key, OlderCopy>,
    accept: IdRanges,
    run: String,
}

/// The older copies of a commit, judged.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    pub kept: Vec<Older>,
    pub accepted: Vec<Older>,
    /// Ids known for an older copy of which another came now.
    pub came: BTreeSet<Key>,
}

impl Judged {
    /// The records that keep their stored rows.
    pub fn kept_keys(&self) -> Vec<Key> {
        self.kept.iter().map(|older| older.key.clone()).collect()
    }
}

impl OlderRule {
    /// Judges the older copies of a commit; `came` states whether a copy of a record was fetched.
    pub fn judge(&self, older: Vec<Older>, came: impl Fn(&Key) -> bool) -> Judged {
        let (accepted, kept) = older.into_iter().partition(|older| self.accepts(older));
        let came = self.known.keys().filter(|key| came(key)).cloned().collect();
        Judged { kept, accepted, came }
    }

    fn accepts(&self, older: &Older) -> bool {
        let again = |known: &OlderCopy| {
            known.values == older.came
                && known.run != self.run
                && older.asked_at.duration_since(known.since) >= DISTANCE
        };
        let asked_for = match &older.key {
            Key::Int(id) => self.accept.iter().any(|(first, last)| (*first..=*last).contains(id)),
            Key::Text(_) => false,
        };
        asked_for || self.known.get(&older.key).is_some_and(again)
    }
}

impl ResourceSession<'_> {
    /// The rule of the next commit.
    pub fn older_rule(&self) -> OlderRule {
        let known = self.state.evidence.older.iter().map(|copy| (copy.id.clone(), copy.clone()));
        OlderRule { known: known.collect(), accept: self.options.accepts_older.clone(), run: self.context.run.clone() }
    }

    /// Lays judged copies over the state that the same commit puts.
    pub fn settle_older(&mut self, judged: Judged) {
        let mut known: BTreeMap<Key, OlderCopy> = self.older_rule().known;
        let before = known.clone();
        known.retain(|key, _| !judged.came.contains(key));
        for older in judged.kept {
            let fresh = OlderCopy {
                id: older.key.clone(),
                values: older.came.clone(),
                since: older.asked_at,
                run: self.context.run.clone(),
            };
            let copy = before.get(&older.key).filter(|copy| copy.values == older.came).cloned().unwrap_or(fresh);
            if !self.state.pending.iter().any(|pending| pending.id == older.key) {
                let reason = format!("a copy came that is older than the stored one ({})", self.shown(&older));
                self.state.pending.push(PendingId { id: older.key.clone(), reason, since: copy.since });
            }
            known.insert(older.key.clone(), copy);
            self.tally.noticed.kept.insert(older.key);
        }
        for older in judged.accepted {
            let text = format!("record {} went back and is accepted ({})", older.key, self.shown(&older));
            self.context.events.warn(&self.name, text);
            self.tally.noticed.went_back.insert(older.key);
        }
        self.state.evidence.older = known.into_values().collect();
        if let (ReadStyle::Search(_), false) = (&self.resource.read.style, self.tally.noticed.kept.is_empty()) {
            // Its rows have no GET: the next run's search is to find them again.
            let before = self.head.as_ref().map(|head| &head.state);
            self.state.watermark = before.and_then(|state| state.watermark);
            self.state.watermark_before = before.and_then(|state| state.watermark_before);
        }
    }

    /// The column in which two copies differ, with both values.
    fn shown(&self, older: &Older) -> String {
        let pairs = older.came.iter().zip(&older.stored).zip(&self.resource.read.newer);
        let mut differing = pairs.filter_map(|((came, stored), newer)| Some(((*came)?, (*stored)?, newer)));
        let Some((came, stored, newer)) = differing.find(|(came, stored, _)| came != stored) else {
            return "no column differs".to_owned();
        };
        let column = &self.resource.tables[newer.table].columns[newer.column];
        if column.kind != crate::schema::Type::Timestamp {
            return format!("{} {came}, stored {stored}", column.name);
        }
        let instant = |micros| jiff::Timestamp::from_microsecond(micros).map(|at| at.to_string()).unwrap_or_default();
        format!("{} {}, stored {}", column.name, instant(came), instant(stored))
    }

    /// So many older copies are more likely a replica that lags as a whole than changes taken back.
    pub fn refuse_much_older(&self) -> Result<()> {
        let (older, read) = (count(self.tally.noticed.kept.len()), self.tally.records);
        let most = SafetyLimit::PENDING.of(read);
        if older <= most {
            return Ok(());
        }
        Err(Failure::new(Kind::Doubtful, format!("accept the copies of {}", self.name))
            .because(format!("{older} of {read} are older than the stored ones, and at most {most} may be"))
            .advise(format!(
                "the tables stay as they are; run again later, or accept them with `pearlift backfill {} --ids IDS --accept-older`",
                self.name
            )))
    }
}
