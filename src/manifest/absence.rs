//! The state of ids that the source lists and does not return, or returns and does not list (docs/guarantees.md).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A suspect is confirmed in another run, or after this long.
const APART: SignedDuration = SignedDuration::from_mins(10);
/// Snapshots with gaps that are remembered: two years of days.
const GAPS: usize = 730;

/// Absent ids of a resource: pending for how long, withheld, suspects, hidden.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Absence {
    /// Pending ids, with the runs that asked for them in vain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tries: BTreeMap<i64, Tries>,
    /// Ids that stayed pending in three runs over three days: outside exit code and limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<i64, Withheld>,
    /// Ids that wait for the second proof of their deletion.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub suspects: BTreeMap<i64, Suspect>,
    /// Ids that the last comparison did not find in the listing and a GET returned, as inclusive ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<(i64, i64)>,
    /// Ids that an unfinished scan, by its id, was not given so far, as inclusive ranges.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, Vec<(i64, i64)>>,
    /// A list that shrank beyond the limit and was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Shrunk>,
    /// Snapshots that lack records for good, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// How often a pending id was requested in vain.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Tries {
    pub runs: u32,
    /// The last of these runs.
    pub run: String,
    /// The source's clock at the first.
    pub first: Timestamp,
}

/// An id that the source lists and does not give in a usable form.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Withheld {
    pub reason: String,
    /// The source's clock when it became pending.
    pub since: Timestamp,
}

/// An id that neither a listing nor a GET in the company of a witness gave.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Suspect {
    /// The source's clock then.
    pub since: Timestamp,
    /// The run that found it.
    pub run: String,
}

/// A list as it was when it was refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Shrunk {
    /// The source's clock at the answer.
    pub at: Timestamp,
    /// The digest of its record keys.
    pub keys: String,
}

/// A snapshot that lacks records.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Gap {
    /// The day of the snapshot.
    pub day: String,
    /// The ids that were not read, as inclusive ranges.
    pub ids: Vec<(i64, i64)>,
}

impl Absence {
    /// Whether there is nothing to be remembered.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Remembers ids as suspects; one that is known keeps its first time.
    pub fn suspect(&mut self, ids: impl IntoIterator<Item = i64>, since: Timestamp, run: &str) {
        for id in ids {
            self.suspects.entry(id).or_insert_with(|| Suspect { since, run: run.to_owned() });
        }
    }

    /// Ids came: neither withheld nor suspects any more.
    pub fn reappeared(&mut self, ids: impl Iterator<Item = i64>) {
        if self.withheld.is_empty() && self.suspects.is_empty() && self.tries.is_empty() {
            return;
        }
        for id in ids {
            self.withheld.remove(&id);
            self.suspects.remove(&id);
            self.tries.remove(&id);
        }
    }

    /// The suspects that this run may confirm: those of an earlier run, or of ten minutes ago.
    pub fn due(&self, run: &str, now: Timestamp) -> Vec<i64> {
        let is_due = |suspect: &Suspect| suspect.run != run || now.duration_since(suspect.since) >= APART;
        self.suspects.iter().filter(|(_, suspect)| is_due(suspect)).map(|(id, _)| *id).collect()
    }

    /// Remembers that a snapshot lacks these ids.
    pub fn gap(&mut self, day: String, ids: Vec<(i64, i64)>) {
        self.gaps.retain(|gap| gap.day != day);
        self.gaps.push(Gap { day, ids });
        let surplus = self.gaps.len().saturating_sub(GAPS);
        self.gaps.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_is_confirmed_by_another_run_or_ten_minutes_later_and_keeps_its_first_time() {
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).expect("it is in range");
        let mut absence = Absence::default();
        absence.suspect([7], at(0), "first");
        absence.suspect([7, 8], at(5), "first");
        assert_eq!(absence.due("first", at(9)), Vec::<i64>::new());
        assert_eq!(absence.due("first", at(10)), [7]);
        assert_eq!(absence.due("second", at(5)), [7, 8]);
    }
}
