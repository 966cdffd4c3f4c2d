//! The numbers of records that the source counts and that the tables have: part of a resource's state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A count that stays the same for this many nights while records came is not believed any more.
const UNMOVED_NIGHTS: u32 = 3;
/// Two counts less than this apart, in seconds, are of one night.
const A_NIGHT: i64 = 12 * 3_600;

/// The source's count, and the number of those rows in the tables.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct SourceCount {
    /// Rows that the source counted when it was last asked.
    pub at_source: Option<u64>,
    /// Rows held then, without marked ones and those that came after the count.
    pub held: u64,
    /// The source's clock when it was counted: of several counts of a night that stayed the same the first.
    pub counted_at: Option<Timestamp>,
    /// The difference between the two (source less held) that was looked into; none before the first.
    pub explained: Option<i64>,
    /// A full read that has not been found complete by a count yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Nights on which the count stayed the same while records came.
    #[serde(skip_serializing_if = "is_zero")]
    pub unmoved: u32,
    /// The count contradicted a finished walk, or did not move: it is not compared any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreliable: bool,
    /// The place from which the search for a changed difference continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locating: Option<Locating>,
    /// Ids held that the source did not show when they were looked for, as inclusive ranges: candidates for deletion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vanished: Vec<(i64, i64)>,
    /// The source's clock when the sets of ids were last compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_at: Option<Timestamp>,
}

/// An unfinished search for a difference of counts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Locating {
    /// Windows of the date of creation still to be looked at, the next one last.
    pub windows: Vec<(Option<Timestamp>, Option<Timestamp>)>,
    /// Page by page: the last row's key, and the row at which the next page begins.
    pub ids: Option<(i64, u64)>,
    /// Ids up to this one were compared.
    pub compared_to: Option<i64>,
    /// Nights that it has taken so far.
    pub nights: u32,
    /// It began with a changed difference, not with the weekly comparison.
    pub differs: bool,
    /// Records found missing so far, less those found vanished.
    pub found: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl SourceCount {
    /// Whether nothing is known, so that nothing is written.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Records a count and the number of stored rows.
    pub fn note(&mut self, at_source: u64, held: u64, at: Timestamp) {
        let another_night =
            self.counted_at.is_none_or(|before| at.as_second().saturating_sub(before.as_second()) >= A_NIGHT);
        let moved = self.at_source != Some(at_source);
        if moved {
            self.unmoved = 0;
        } else if another_night && held > self.held {
            self.unmoved = self.unmoved.saturating_add(1);
        }
        (self.at_source, self.held) = (Some(at_source), held);
        if another_night || moved || self.counted_at.is_none_or(|before| before > at) {
            self.counted_at = Some(at);
        }
    }

    /// Rows that the source counts and the tables lack, minus stored rows that it does not count; none before the first
    /// count.
    pub fn difference(&self) -> Option<i64> {
        let at_source = i64::try_from(self.at_source?).unwrap_or(i64::MAX);
        Some(at_source.saturating_sub(i64::try_from(self.held).unwrap_or(i64::MAX)))
    }

    /// Whether the count has been constant for so long that it has no meaning.
    pub fn stands_still(&self) -> bool {
        self.unmoved >= UNMOVED_NIGHTS
    }

    /// Takes the difference as it is for explained: everything that the source shows is settled.
    pub fn explain(&mut self) {
        self.explained = self.difference();
        self.open = false;
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::SourceCount;

    #[test]
    fn a_count_that_does_not_move_for_three_nights_while_records_came_stands_still() {
        let mut count = SourceCount::default();
        let night = |number: i64| Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(24 * number));
        let at = |number: i64| night(number).expect("it is in range");
        count.note(500, 900, at(1));
        for (number, held, still) in [(2, 910, false), (3, 910, false), (4, 920, false), (5, 930, true)] {
            count.note(500, held, at(number));
            assert_eq!(count.stands_still(), still, "{number}");
        }
        count.note(501, 940, at(6));
        assert!(!count.stands_still());
    }

    #[test]
    fn two_counts_of_one_night_are_one() {
        let mut count = SourceCount::default();
        let at = |hour: i64| Timestamp::from_second(hour * 3_600).expect("it is in range");
        count.note(500, 900, at(24));
        for hour in 25..33 {
            count.note(500, 900 + u64::try_from(hour).expect("it is positive"), at(hour));
        }
        assert!(!count.stands_still());
    }
}
