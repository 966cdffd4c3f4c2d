//! Two clocks, the source's and ours, of which one may be wrong: when a cadence has passed, the place of the watermark,
//! and whether a snapshot may take a day's place. Pure.
//!
//! Each clock is compared with itself alone: a cadence has passed if one of them shows it. Where a wrong clock could
//! lose rows, the earlier of both decides. A wrong clock thus costs requests, and no rows.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// A cadence counts as passed this much early: a nightly run does not start at the same second each night.
const EARLY: f64 = 0.9;
/// The difference of clocks above which one of them is wrong.
pub const APART: SignedDuration = SignedDuration::from_hours(1);
/// A watermark held back for longer than this is reported.
const HELD_BACK: SignedDuration = SignedDuration::from_hours(48);

/// One moment by both clocks, where they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub theirs: Option<Timestamp>,
    pub ours: Option<Timestamp>,
}

impl Moment {
    /// A moment by both clocks.
    pub fn new(theirs: Timestamp, ours: Timestamp) -> Self {
        Self { theirs: Some(theirs), ours: Some(ours) }
    }

    /// Pairs of stamps that may be compared: each clock with itself. Where neither is known of both moments, the
    /// source's stamp is compared with our clock.
    fn pairs(self, now: Self) -> Vec<(Timestamp, Timestamp)> {
        let pairs: Vec<_> = self.theirs.zip(now.theirs).into_iter().chain(self.ours.zip(now.ours)).collect();
        if pairs.is_empty() { self.theirs.zip(now.ours).into_iter().collect() } else { pairs }
    }
}

/// Whether a cadence has passed since `last`, by either clock. A stamp ahead of its clock by more than the overlap was
/// written by a wrong clock: once too often is better than never.
pub fn is_over(last: Moment, every: Duration, now: Moment, overlap: Duration) -> bool {
    let pairs = last.pairs(now);
    pairs.is_empty()
        || pairs.into_iter().any(|(last, now)| {
            let age = now.duration_since(last);
            Duration::try_from(age).map_or_else(|_| is_astray(age, overlap), |age| age >= every.mul_f64(EARLY))
        })
}

/// Whether another UTC day than that of `last` has begun at the source: by its clock where that is heard, and by as
/// much time as has passed by ours since.
pub fn is_another_day(last: Moment, now: Moment, overlap: Duration) -> bool {
    let Some(theirs) = last.theirs else { return true };
    let passed = now.ours.zip(last.ours).map(|(now, last)| now.duration_since(last));
    let by_ours = passed.and_then(|passed| theirs.checked_add(passed).ok());
    let mut nows: Vec<Timestamp> = now.theirs.into_iter().chain(by_ours).collect();
    if nows.is_empty() {
        nows.extend(now.ours);
    }
    nows.into_iter().any(|now| day(theirs) < day(now) || is_astray(now.duration_since(theirs), overlap))
}

/// Whether an age is of a stamp in the future by more than the overlap.
fn is_astray(age: SignedDuration, overlap: Duration) -> bool {
    age < -SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX)
}

/// The UTC day of an instant.
pub fn day(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// Whether two clocks differ too much for both to be right.
pub fn are_apart(theirs: Timestamp, ours: Timestamp) -> bool {
    theirs.duration_since(ours).abs() > APART
}

/// The clocks at the start of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanClocks {
    pub theirs: Timestamp,
    pub ours: Timestamp,
    /// The earlier of both; earlier still where an answer of the same run showed an earlier clock.
    pub earliest: Timestamp,
}

impl ScanClocks {
    /// A start that was shown by two clocks alone.
    pub fn new(theirs: Timestamp, ours: Timestamp) -> Self {
        Self { theirs, ours, earliest: theirs.min(ours) }
    }

    /// The watermark that this scan vouches for by itself.
    fn vouches_for(self, overlap: Duration) -> Timestamp {
        let overlap = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX);
        self.earliest.saturating_sub(overlap).unwrap_or(Timestamp::MIN)
    }

    /// Whether a watermark is later than both clocks: changes asked from it would not be found.
    pub fn is_before(self, mark: Timestamp) -> bool {
        mark > self.theirs && mark > self.ours
    }
}

/// The watermark after a completed scan: the earlier of both clocks at its start, less the overlap. It never falls,
/// unless it is later than both clocks.
pub fn watermark(before: Option<Timestamp>, start: ScanClocks, overlap: Duration) -> Timestamp {
    let mark = start.vouches_for(overlap);
    before.filter(|before| !start.is_before(*before)).map_or(mark, |before| before.max(mark))
}

/// The point from which changes are asked again when the watermark is later than both clocks; none where it is not.
/// `last` is the last completed scan by both clocks.
pub fn lowered(mark: Timestamp, start: ScanClocks, last: Moment, overlap: Duration) -> Option<Timestamp> {
    if !start.is_before(mark) {
        return None;
    }
    let earliest = [last.theirs, last.ours].into_iter().flatten().fold(start.earliest, Timestamp::min);
    Some(ScanClocks { earliest, ..start }.vouches_for(overlap))
}

/// How long the watermark has been held back after a scan, where that is worth a report: more than two days behind the
/// source's clock, or behind the later clock where the scan did not move it.
pub fn held_back(
    before: Option<Timestamp>,
    mark: Timestamp,
    start: ScanClocks,
    overlap: Duration,
) -> Option<SignedDuration> {
    let overlap = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX);
    let keeps = before.is_some_and(|before| before >= mark);
    let clock = if keeps { start.theirs.max(start.ours) } else { start.theirs };
    let behind = clock.duration_since(mark).saturating_sub(overlap);
    (behind > HELD_BACK).then_some(behind)
}

/// Whether a snapshot that the source dates now may take the place of one of the same day, the last having been taken
/// at `last`: when both clocks agree, or when by the source's clock as much time has passed since as by ours.
pub fn may_replace(last: Moment, theirs: Timestamp, ours: Timestamp) -> bool {
    let passed = |last: Option<Timestamp>, now: Timestamp| last.map(|last| now.duration_since(last));
    let keeps_pace = passed(last.theirs, theirs).zip(passed(last.ours, ours)).is_some_and(|(by_theirs, by_ours)| {
        last.theirs.is_some_and(|last| day(last) == day(theirs)) && by_theirs >= by_ours.saturating_sub(APART)
    });
    keeps_pace || !are_apart(theirs, ours)
}
