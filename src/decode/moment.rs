//! Instants and dates as the source writes them (API notes §8).
//!
//! `2022-01-26T10:39:46.000-06:00`, `…Z`, `…+0000`, without milliseconds, and the malformed `T23:59:59:999Z` of the
//! accounting periods. An instant without an offset is not read: its zone is unknown.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// The first instant of the year 0, in microseconds: an earlier one has a year that four digits cannot say, and neither can the
/// folder of its month.
const YEAR_ZERO: i64 = -62_167_219_200_000_000;

/// Microseconds since 1970 of an instant. `None` when it is none, lacks its offset, has digits below a microsecond, or lies
/// before the year 0.
pub fn timestamp_micros(text: &str) -> Option<i64> {
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
    let time = Time::new(hour, minute, second, micros * 1_000).ok()?;
    let offset = Offset::from_seconds(offset).ok()?;
    let micros = offset.to_timestamp(DateTime::from_parts(date, time)).ok()?.as_microsecond();
    (micros >= YEAR_ZERO).then_some(micros)
}

/// Days since 1970 of a date, or of the calendar date of an instant as written.
pub fn date_days(text: &str) -> Option<i32> {
    if text.len() > 10 {
        timestamp_micros(text)?;
    }
    days_since_1970(civil_date(text.as_bytes().get(..10)?)?)
}

/// The first day of the month of an instant (UTC), in days since 1970.
pub fn month_days(micros: i64) -> Option<i32> {
    let date = Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(micros).ok()?).date();
    days_since_1970(date.first_of_month())
}

fn days_since_1970(date: Date) -> Option<i32> {
    i32::try_from(date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24).ok()
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
