//! Properties of the parts that everything rests on: id sets, decimals, instants.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::Offset;
use pearlift::decode::{decimal, timestamp_micros};
use pearlift::fetch::{chunks, collapse, count, expand, parse_set, render};
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_id_set_says_what_it_was_made_of(ids in prop::collection::vec(1_i64..2_000, 1..300)) {
        let wanted: Vec<i64> = ids.iter().copied().collect::<BTreeSet<i64>>().into_iter().collect();
        let ranges = collapse(ids);
        prop_assert_eq!(expand(&ranges).collect::<Vec<i64>>(), wanted.clone());
        prop_assert_eq!(count(&ranges), u64::try_from(wanted.len()).unwrap());
        prop_assert_eq!(parse_set(&render(&ranges)), Some(ranges));
    }

    #[test]
    fn chunks_hold_every_id_once_and_are_full_but_for_the_last(ids in prop::collection::vec(1_i64..5_000, 1..400), most in 1_usize..250) {
        let ranges = collapse(ids);
        let sets = chunks(&ranges, most);
        let together: Vec<i64> = sets.iter().flat_map(|set| expand(set).collect::<Vec<i64>>()).collect();
        prop_assert_eq!(together, expand(&ranges).collect::<Vec<i64>>());
        let (_, full) = sets.split_last().unwrap();
        prop_assert!(full.iter().all(|set| count(set) == u64::try_from(most).unwrap()));
    }

    #[test]
    fn a_set_of_anything_is_refused_or_read_and_never_panics(text in "[0-9,.\\-]{0,40}") {
        if let Some(ranges) = parse_set(&text) {
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn a_decimal_keeps_its_digits(whole in -999_999_999_999_i64..999_999_999_999, part in 0_u32..1_000_000, zeros in 0_usize..8) {
        let sign = if whole < 0 { -1 } else { 1 };
        let text = format!("{whole}.{part:06}{}", "0".repeat(zeros));
        let wanted = i128::from(whole) * 1_000_000 + i128::from(part) * sign;
        // "-0.5" is the one number whose sign its whole part does not show.
        prop_assume!(whole != 0);
        prop_assert_eq!(decimal(text.as_bytes(), 18, 6), Some(wanted));
    }

    #[test]
    fn a_decimal_is_never_rounded(digits in 1_u32..9, scale in 7_usize..30) {
        let text = format!("1.{}{digits}", "0".repeat(scale - 1));
        prop_assert_eq!(decimal(text.as_bytes(), 38, 6), None);
    }

    #[test]
    fn an_instant_is_the_same_in_every_zone(seconds in -2_000_000_000_i64..4_000_000_000, millis in 0_i64..1_000, minutes in -14_i32 * 60..14 * 60) {
        let at = Timestamp::from_millisecond(seconds * 1_000 + millis).unwrap();
        let offset = Offset::from_seconds(minutes * 60).unwrap();
        let local = offset.to_datetime(at);
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        for text in [format!("{local:.3}{sign}{hours:02}:{rest:02}"), format!("{local:.3}{sign}{hours:02}{rest:02}")] {
            prop_assert_eq!(timestamp_micros(&text), Some(at.as_microsecond()), "{}", text);
        }
        prop_assert_eq!(timestamp_micros(&format!("{at:.3}")), Some(at.as_microsecond()));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in ".{0,40}") {
        let _ = timestamp_micros(&text);
        let _ = decimal(text.as_bytes(), 38, 6);
        let _ = parse_set(&text);
    }
}
