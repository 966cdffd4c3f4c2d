//! Properties of the parts that everything rests on: id sets, decimals, instants, windows of time, months.

use std::collections::BTreeSet;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use pearlift::decode::{Shape, decimal, documents, timestamp_micros};
use pearlift::fetch::{Body, MOST_IDS, chunks, collapse, count, expand, parse_set, render};
use pearlift::schema::Catalog;
use pearlift::window::Window;
use proptest::prelude::*;

/// A day of 1970 as a civil date, by an arithmetic of its own (the Gregorian calendar repeats after 146,097 days).
fn civil(days: i64) -> (i64, i64, i64) {
    let era = days + 719_468;
    let (era, day) = (era.div_euclid(146_097), era.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}

/// Instants of the whole range that four digits of a year can express, in microseconds.
fn instants() -> impl Strategy<Value = i64> {
    let whole = -62_135_596_800_000_000_i64..253_402_207_200_000_000;
    // Near the turns of days and months, and before and after 1970, most goes wrong.
    let near = (-30_000_i64..3_000_000, -2_i64..3).prop_map(|(day, off)| day * 86_400_000_000 + off);
    prop_oneof![whole, near.prop_filter("in range", |micros| *micros < 253_402_207_200_000_000)]
}

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
        // "-0.5" is the one number without its sign in its whole part.
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

    #[test]
    fn a_set_that_claims_more_ids_than_any_account_has_is_refused(start in 1_i64..1_000_000_000, more in 0_i64..i64::MAX / 2) {
        let set = format!("{start}-{}", start + more);
        let fits = u64::try_from(more).unwrap() < MOST_IDS;
        prop_assert_eq!(parse_set(&set).is_some(), fits, "{}", set);
    }

    #[test]
    fn a_decimal_is_the_same_however_its_point_is_moved(value in any::<i128>(), precision in 1_u8..=38, scale in 0_u8..=38, by in 0_usize..6) {
        let value = value % 10_i128.pow(u32::from(precision));
        let sign = if value < 0 { "-" } else { "" };
        let digits = value.unsigned_abs().to_string();
        // The digits times ten to the less scale, in whole, moved left, and with redundant zeros.
        let exponent = -i64::from(scale);
        for text in [
            format!("{sign}{digits}e{exponent}"),
            format!("{sign}{digits}.{}E{exponent}", "0".repeat(by + 1)),
            format!("{sign}{}{digits}{}e{}", "0".repeat(by), "0".repeat(by), exponent - i64::try_from(by).unwrap()),
            format!("{sign}0.{digits}e{}", exponent + i64::try_from(digits.len()).unwrap()),
        ] {
            prop_assert_eq!(decimal(text.as_bytes(), precision, scale), Some(value), "{}", text);
        }
        // One digit more than there is room for does not fit.
        let wider = format!("{sign}1{}e{exponent}", "0".repeat(usize::from(precision)));
        prop_assert_eq!(decimal(wider.as_bytes(), precision, scale), None);
    }

    #[test]
    fn an_instant_comes_back_to_the_microsecond(micros in instants()) {
        let at = Timestamp::from_microsecond(micros).unwrap();
        prop_assert_eq!(timestamp_micros(&format!("{at:.6}")), Some(micros));
        // An instant between two microseconds is not rounded to one of them.
        prop_assert_eq!(timestamp_micros(&format!("{at:.6}").replace('Z', "5Z")), None);
    }

    #[test]
    fn a_record_lies_in_the_month_of_its_date(micros in instants()) {
        let schema = "about = 'x'\n[read]\nstyle = 'list'\nservice = 's'\nget = 'g'\nkey = 'id'\n[tables.thing]\nkey = ['id']\n\
            partition = 'month(on)'\ncolumns = [{ name = 'id', from = 'id', type = 'int64', required = true },\n\
            { name = 'on', from = 'on', type = 'timestamp' }]\n";
        let catalog = Catalog::from_texts(&[("thing".to_owned(), schema.to_owned())]).unwrap();
        let shape = Shape::compile(&catalog.resources()[0]).unwrap();
        let at = Timestamp::from_microsecond(micros).unwrap();
        let text = format!(r#"{{"response":[{{"id":1,"on":"{at:.6}"}},{{"id":2}},{{"id":3,"on":"soon"}}]}}"#);
        let page = documents(&shape, &Body { bytes: text.into(), gzip: false }).unwrap();
        let day = micros.div_euclid(86_400_000_000);
        let (_, _, of_month) = civil(day);
        prop_assert_eq!(i64::from(page.records[0].partition), day - of_month + 1);
        prop_assert_eq!(civil(i64::from(page.records[0].partition)), { let (year, month, _) = civil(day); (year, month, 1) });
        // Without a date, and with one that is none: the first month.
        prop_assert_eq!((page.records[1].partition, page.records[2].partition), (0, 0));
    }

    #[test]
    fn a_window_admits_what_it_holds_and_hardly_more(from in instants(), width in 0_i64..10_000_000_000, off in -3_000_000_i64..3_000_000, end in any::<bool>()) {
        let at = |micros: i64| Timestamp::from_microsecond(micros).unwrap();
        let (from, to) = (from.min(253_402_000_000_000_000), from.min(253_402_000_000_000_000) + width);
        let seen = at((if end { to } else { from } + off).max(-62_135_596_800_000_000));
        let window = Window::between(at(from), at(to));
        prop_assert_eq!(window.contains(seen), seen >= at(from) && seen < at(to));
        prop_assert_eq!(Window::since(at(from)).contains(seen), seen >= at(from));
        // An instant inside may be returned; a returned one is at most a second and a millisecond outside.
        let asked = window.period();
        let (first, last) = asked.split_once('/').unwrap();
        let (first, last): (Timestamp, Timestamp) = (first.parse().unwrap(), last.parse().unwrap());
        let second = SignedDuration::from_secs(1);
        prop_assert!(first <= at(from) - second && at(from) - second - first < SignedDuration::from_millis(1), "{}", asked);
        prop_assert!((last.duration_since(at(to)) - second).abs() < SignedDuration::from_millis(1), "{}", asked);
        if window.contains(seen) {
            prop_assert!(window.admits(seen) && first <= seen && seen <= last);
        }
        if first <= seen && seen <= last {
            prop_assert!(window.admits(seen), "{} in {}", seen, asked);
        }
        let outside = SignedDuration::from_millis(1_001);
        prop_assert_eq!(window.admits(seen), seen >= at(from) - outside && seen <= at(to) + outside);
        prop_assert!(Window::since(at(from)).period().ends_with("Z/"));
    }

    #[test]
    fn the_halves_of_a_window_hold_what_it_holds(from in instants(), width in 0_i64..10_000_000_000, at in 0_i64..10_000_000_000) {
        let stamp = |micros: i64| Timestamp::from_microsecond(micros.min(253_402_000_000_000_000)).unwrap();
        let window = Window::between(stamp(from), stamp(from.saturating_add(width)));
        prop_assert_eq!(window.halves().is_some(), window.to.unwrap().duration_since(window.from.unwrap()) > SignedDuration::from_secs(1));
        prop_assert_eq!(Window::since(stamp(from)).halves(), None);
        if let Some((early, late)) = window.halves() {
            let seen = stamp(from.saturating_add(at));
            prop_assert_eq!(early.to, late.from);
            prop_assert!(early.from < early.to && late.from < late.to);
            prop_assert_eq!(window.contains(seen), early.contains(seen) != late.contains(seen));
        }
    }
}

#[test]
fn an_instant_before_the_year_zero_does_not_fit() {
    assert_eq!(timestamp_micros("0000-01-01T00:00:00+00:00"), Some(-62_167_219_200_000_000));
    assert_eq!(timestamp_micros("0000-01-01T01:00:00+01:00"), Some(-62_167_219_200_000_000));
    assert_eq!(timestamp_micros("0000-01-01T00:59:59.999999+01:00"), None);
}

#[test]
fn windows_at_the_ends_of_time_can_be_asked() {
    for window in
        [Window::between(Timestamp::MIN, Timestamp::MAX), Window::since(Timestamp::MIN), Window::since(Timestamp::MAX)]
    {
        assert!(window.period().contains('/'));
        assert!(window.admits(Timestamp::MAX));
        let _ = window.halves();
    }
}
