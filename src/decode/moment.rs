//! Instants and dates as the source writes them (docs/brightpearl-api.md §8.5).
//!
//! `2022-01-26T10:39:46.000-06:00`, `…Z`, `…+0000`, without milliseconds, and the malformed `T23:59:59:999Z` of the
//! accounting periods. An instant without an offset is not read: its zone is unknown.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::schema::Granularity;

/// The first instant of the year 0, in microseconds: the year of an earlier one does not fit into four digits, nor into
/// the folder of its month.
const YEAR_ZERO: i64 = -62_167_219_200_000_000;
/// The first instant of the year 10000, in microseconds: no reader has a date for it, and neither has the source.
const YEAR_TEN_THOUSAND: i64 = 253_402_300_800_000_000;
const DAY: i64 = 86_400_000_000;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// Microseconds since 1970 of an instant. `None` for a text that is none, lacks its offset, has digits below a
/// microsecond, or is outside the years 0 to 9999 of UTC.
pub fn timestamp_micros(text: &str) -> Option<i64> {
    instant(text).filter(|micros| (YEAR_ZERO..YEAR_TEN_THOUSAND).contains(micros))
}

/// An instant for comparison with bounds: the last hours of 9999 are the greatest that the clock's type can hold.
pub fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Days since 1970 of a date, or of the day that an instant represents: the UTC day of an instant that is midnight UTC,
/// since the source renders days so in every zone (docs/brightpearl-api.md §8.6); else the calendar date as written.
pub fn date_days(text: &str) -> Option<i32> {
    if text.len() > 10 {
        let micros = instant(text).filter(|micros| *micros >= YEAR_ZERO)?;
        if micros % DAY == 0 {
            return i32::try_from(micros / DAY).ok().filter(|_| micros < YEAR_TEN_THOUSAND);
        }
    }
    days_since_1970(civil_date(text.as_bytes().get(..10)?)?)
}

/// The first day of the period of an instant (UTC), in days since 1970; 0 where there is one period.
pub fn period_days(granularity: Granularity, micros: i64) -> Option<i32> {
    granularity.period(i32::try_from(micros.div_euclid(DAY)).ok()?)
}

/// Microseconds since 1970 of an instant of any year that four digits can write.
fn instant(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let date = civil_date(text.get(..10)?)?;
    if !matches!(text.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let hour = two(text.get(11..13)?)?;
    let minute = colon_two(text.get(13..16)?)?;
    let mut rest = &text[16..];
    let mut second = 0;
    let mut micros = 0;
    if let [b':', a, b, after @ ..] = rest {
        second = two(&[*a, *b])?;
        rest = after;
        if let [b'.' | b':', after @ ..] = rest {
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            micros = fraction(&after[..digits])?;
            rest = &after[digits..];
        }
    }
    let offset = offset_seconds(rest)?;
    Offset::from_seconds(offset).ok()?;
    Time::new(hour, minute, second, micros * 1_000).ok()?;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second) - i64::from(offset);
    Some(i64::from(days_since_1970(date)?) * DAY + seconds * 1_000_000 + i64::from(micros))
}

fn days_since_1970(date: Date) -> Option<i32> {
    i32::try_from(date.duration_since(EPOCH).as_hours() / 24).ok()
}

fn civil_date(text: &[u8]) -> Option<Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let century = i16::from(two(&[*y1, *y2])?);
    let year = century * 100 + i16::from(two(&[*y3, *y4])?);
    Date::new(year, two(&[*m1, *m2])?, two(&[*d1, *d2])?).ok()
}

fn two(text: &[u8]) -> Option<i8> {
    let [a @ b'0'..=b'9', b @ b'0'..=b'9'] = text else { return None };
    i8::try_from((a - b'0') * 10 + (b - b'0')).ok()
}

fn colon_two(text: &[u8]) -> Option<i8> {
    let [b':', rest @ ..] = text else { return None };
    two(rest)
}

/// Microseconds of the digits behind the point; zeros beyond the sixth are allowed.
fn fraction(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() || digits.iter().skip(6).any(|digit| *digit != b'0') {
        return None;
    }
    let kept = digits.iter().copied().chain(std::iter::repeat(b'0')).take(6);
    Some(kept.fold(0, |value, digit| value * 10 + i32::from(digit - b'0')))
}

fn offset_seconds(text: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match text {
        [b'Z' | b'z'] => return Some(0),
        [sign, a, b, b':', c, d] | [sign, a, b, c, d] => (sign, two(&[*a, *b])?, two(&[*c, *d])?),
        [sign, a, b] => (sign, two(&[*a, *b])?, 0),
        _ => return None,
    };
    let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}
