//! The rules of two clocks as functions: the watermark, the day of a snapshot, and whether one is due.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pearlift::plan::{
    Moment, ScanClocks, are_apart, held_back, is_another_day, is_over, lowered, may_replace, watermark,
};
use proptest::prelude::*;

use crate::clocks::{DAY, HOUR, OVERLAP, at};

#[test]
fn the_watermark_is_of_the_earlier_clock_less_the_overlap_and_never_falls() {
    let noon = at("2026-06-03T12:00:00Z");
    let ten = Some(at("2026-06-03T10:00:00Z"));
    for (before, theirs, ours, mark) in [
        (None, noon, noon, ten),
        (None, noon + DAY, noon, ten),
        (None, noon, noon + DAY * 400, ten),
        (ten, noon - DAY, noon, ten),
        (ten, noon, noon - DAY, ten),
        (ten, noon + HOUR, noon + DAY, Some(noon - HOUR)),
        // Later than both it falls.
        (Some(noon + DAY), noon, noon, ten),
        (Some(noon + DAY), noon - HOUR, noon, Some(noon - HOUR * 3)),
        (Some(noon + DAY), noon, noon + DAY * 2, Some(noon + DAY)),
    ] {
        let start = ScanClocks::new(theirs, ours);
        assert_eq!(Some(watermark(before, start, OVERLAP)), mark, "{before:?} {theirs} {ours}");
    }
}

/// Clocks of a run: true, off by minutes, or wrong by up to three years.
fn off() -> impl Strategy<Value = SignedDuration> {
    let wrong = (-94_608_000_i64..94_608_000).prop_map(SignedDuration::from_secs);
    prop_oneof![4 => Just(SignedDuration::ZERO), 1 => wrong]
}

proptest! {
    /// Runs with any two clocks, of which one at least is right or behind: each requests every change since the one
    /// before.
    #[test]
    fn one_right_clock_of_two_is_enough_for_the_watermark(
        runs in prop::collection::vec((60_i64..400_000, off(), any::<bool>()), 1..40),
    ) {
        let (mut now, mut mark, mut last) = (at("2026-06-03T12:00:00Z"), None, None::<Timestamp>);
        let mut last_scan = Moment::default();
        for (pause, off, is_theirs) in runs {
            now += SignedDuration::from_secs(pause);
            let (theirs, ours) = if is_theirs { (now + off, now) } else { (now, now + off) };
            let start = ScanClocks::new(theirs, ours);
            if let (Some(mark), Some(last)) = (mark, last) {
                let since = lowered(mark, start, last_scan, OVERLAP).unwrap_or(mark);
                prop_assert!(since <= last - HOUR * 2, "a change at {last} is asked for, since {since}");
            }
            let next = watermark(mark, start, OVERLAP);
            prop_assert!(mark.is_none_or(|mark| mark <= next), "it never falls");
            prop_assert!(next <= now - HOUR * 2);
            let agree = off.is_zero();
            prop_assert!(!agree || next == now - HOUR * 2, "right clocks move it up");
            (mark, last, last_scan) = (Some(next), Some(now), Moment::new(theirs, ours));
        }
    }

    /// After both clocks were wrong, the first run with right ones leaves a watermark that is not ahead of them.
    #[test]
    fn two_wrong_clocks_are_corrected_by_two_right_ones(theirs in off(), ours in off(), pause in 60_i64..4_000_000) {
        let now = at("2026-06-03T12:00:00Z");
        let mark = watermark(None, ScanClocks::new(now + theirs, now + ours), OVERLAP);
        let later = now + SignedDuration::from_secs(pause);
        let next = watermark(Some(mark), ScanClocks::new(later, later), OVERLAP);
        prop_assert!(next == later - HOUR * 2 || (mark <= later && next == mark.max(later - HOUR * 2)));
    }

    /// A cadence is not over sooner than by either clock, nor later than by both.
    #[test]
    fn a_cadence_is_over_when_either_clock_says_so(theirs in 0_i64..200_000, ours in 0_i64..200_000, every in 1_u64..200_000) {
        let (noon, every) = (at("2026-06-03T12:00:00Z"), Duration::from_secs(every));
        let (last, secs) = (Moment::new(noon, noon), SignedDuration::from_secs);
        let now = Moment::new(noon + secs(theirs), noon + secs(ours));
        let over = |age: i64| Duration::try_from(secs(age)).unwrap() >= every.mul_f64(0.9);
        prop_assert_eq!(is_over(last, every, now, OVERLAP), over(theirs) || over(ours));
    }
}

#[test]
fn a_snapshot_takes_the_place_of_another_only_by_a_clock_that_is_believed() {
    let noon = at("2026-06-03T12:00:00Z");
    for (last, theirs, ours, may) in [
        // Clocks that agree may.
        (Moment::default(), noon, noon, true),
        (Moment::new(noon, noon - DAY * 9), noon + HOUR, noon + HOUR, true),
        // A source that is behind by a day names the day of the last one.
        (Moment::new(noon - DAY, noon - DAY), noon - DAY + HOUR, noon, false),
        (Moment::new(noon - DAY, noon - DAY), noon - DAY * 2, noon, false),
        // Clocks that keep their distance may, on the day of the last one.
        (Moment::new(noon, noon - DAY * 9), noon + HOUR, noon - DAY * 9 + HOUR, true),
        (Moment::new(noon, noon - DAY * 9), noon - DAY * 3, noon - DAY * 9 + HOUR, false),
    ] {
        assert_eq!(may_replace(last, theirs, ours), may, "{last:?} {theirs} {ours}");
    }
    assert!(!are_apart(noon, noon + HOUR) && are_apart(noon, noon + HOUR + SignedDuration::from_secs(1)));
}

#[test]
fn a_watermark_is_held_back_after_two_days() {
    let noon = at("2026-06-03T12:00:00Z");
    let behind = |before: Option<Timestamp>, mark: Timestamp, theirs: Timestamp, ours: Timestamp| {
        held_back(before, mark, ScanClocks::new(theirs, ours), OVERLAP)
    };
    let mark = noon - HOUR * 2;
    assert_eq!(behind(Some(mark), mark, noon + DAY * 2, noon + DAY * 2), None);
    assert_eq!(behind(Some(mark), mark, noon + DAY * 2 + HOUR, noon), Some(HOUR * 49));
    // The source's clock is behind for days: the later one counts.
    assert_eq!(behind(Some(mark), mark, noon, noon + DAY * 3), Some(DAY * 3));
    // It moves, and our clock is ahead: nothing is held back.
    assert_eq!(behind(Some(mark - HOUR), mark, noon, noon + DAY * 300), None);
}

#[test]
fn a_snapshot_is_due_when_another_day_has_begun_at_the_source_by_its_clock_or_by_what_passed_on_ours() {
    let noon = at("2026-06-03T12:00:00Z");
    for (last, now, due) in [
        // Midnight by our clock alone is not a day.
        (Moment::new(noon, noon + HOUR * 11), Moment { theirs: None, ours: Some(noon + HOUR * 13) }, false),
        (Moment::new(noon, noon + HOUR * 11), Moment { theirs: None, ours: Some(noon + HOUR * 23) }, true),
        (Moment::new(noon, noon - DAY * 9), Moment::new(noon + HOUR * 11, noon - DAY * 9), false),
        (Moment::new(noon, noon - DAY * 9), Moment::new(noon + HOUR * 12, noon - DAY * 9), true),
        // A stamp of a day ahead.
        (Moment::new(noon + DAY, noon), Moment { theirs: None, ours: Some(noon + DAY) }, true),
        (Moment::new(noon + DAY, noon), Moment::new(noon + HOUR, noon + HOUR), true),
        (Moment { theirs: Some(noon), ours: None }, Moment { theirs: None, ours: Some(noon + HOUR * 12) }, true),
        (Moment { theirs: Some(noon), ours: None }, Moment { theirs: None, ours: Some(noon + HOUR * 11) }, false),
    ] {
        assert_eq!(is_another_day(last, now, OVERLAP), due, "{last:?} {now:?}");
    }
}
