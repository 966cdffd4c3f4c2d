//! Which versions and reports are kept: the same rules for `clean` and for a run's housekeeping.
//!
//! A number of the newest is kept in any case. The older ones are removed, from the oldest on, if all of the kind take
//! more room than they may, or if they are both many and old. The size of the kept ones thus depends on the size of the
//! data, however often runs are made.

use jiff::{SignedDuration, Timestamp};

use crate::manifest::Version;
use crate::store::paths;

/// Versions of a resource that are kept in any case. A writing command looks at the last five.
pub const NEWEST_VERSIONS: usize = 10;
/// So many versions, and those younger than this, are kept while there is room.
pub const MANY_VERSIONS: usize = 100;
const VERSIONS_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// All versions of a resource may take this part of its files' bytes, or this many bytes where that is more: those of a
/// list of a few records take some 1.3 KiB a night, and there are many lists beside little data.
const SHARE: u64 = 4;
pub const ROOM: u64 = 32 << 10;

/// Reports that are kept in any case.
pub const NEWEST_REPORTS: usize = 100;
/// Reports younger than this are kept while there is room.
const REPORTS_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
/// All reports may take this many bytes: a run of all resources leaves about 15 KiB.
const REPORTS_ROOM: u64 = 2 << 20;

/// Judges the older ones of a kind, from the oldest on.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    now: Timestamp,
    kept_for: SignedDuration,
    /// How many of those that are left are more than many.
    beyond: usize,
    /// The bytes of all that are left, and the bytes that they may take.
    bytes: u64,
    room: u64,
}

impl Retention {
    /// Of this many versions of a resource, which take this many bytes, beside its head.
    pub fn of_versions(head: Option<&Version>, count: usize, bytes: u64, now: Timestamp) -> Self {
        let room = head.map_or(ROOM, |head| (head.bytes() / SHARE).max(ROOM));
        Self { now, kept_for: VERSIONS_FOR, beyond: count.saturating_sub(MANY_VERSIONS), bytes, room }
    }

    /// Of this many reports, which take this many bytes.
    pub fn of_reports(count: usize, bytes: u64, now: Timestamp) -> Self {
        let beyond = count.saturating_sub(NEWEST_REPORTS);
        Self { now, kept_for: REPORTS_FOR, beyond, bytes, room: REPORTS_ROOM }
    }

    /// Whether any may go, before it is known how old they are.
    pub fn may_prune(&self) -> bool {
        self.bytes > self.room || self.beyond > 0
    }

    /// Whether the oldest that is left goes, which was written then and takes this many bytes; the first that stays is
    /// the last to be judged.
    pub fn goes(&mut self, written_at: Timestamp, bytes: u64) -> bool {
        let old = self.now.duration_since(written_at) > self.kept_for;
        let goes = self.bytes > self.room || (self.beyond > 0 && old);
        if goes {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.beyond = self.beyond.saturating_sub(1);
        }
        goes
    }
}

/// The version and the resource of a manifest's path.
pub fn version_of(path: &str) -> Option<(&str, u64)> {
    let (resource, name) = path.strip_prefix(paths::MANIFESTS)?.strip_prefix('/')?.split_once('/')?;
    Some((resource, paths::version_of(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 - hours)
    }

    #[test]
    fn of_many_those_that_are_old_go_and_the_first_young_one_stays() {
        let mut retention = Retention::of_versions(None, MANY_VERSIONS + 2, 3_000, ago(0));
        assert!(retention.may_prune() && retention.goes(ago(24 * 9), 1_000));
        assert!(!retention.goes(ago(24 * 6), 1_000));
        assert!(retention.goes(ago(24 * 8), 1_000));
        assert!(!retention.may_prune() && !retention.goes(ago(24 * 8), 1_000), "they are no longer many");
    }

    #[test]
    fn what_is_young_goes_while_all_take_more_than_they_may() {
        let mut retention = Retention::of_reports(3, REPORTS_ROOM + 20_000, ago(0));
        assert!(retention.may_prune() && retention.goes(ago(3), 15_000) && retention.goes(ago(2), 15_000));
        assert!(!retention.may_prune() && !retention.goes(ago(1), 15_000));
    }
}
