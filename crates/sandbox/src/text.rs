//! JSON text and instants as the source writes them.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Writes a JSON string, quotes included.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// An instant in the account's zone: `2026-07-01T09:00:00.000+01:00`, `Z` where the offset is none.
pub fn instant(zone: &TimeZone, seconds: i64) -> String {
    let at = Timestamp::from_second(seconds).expect("an instant of the sandbox is in range");
    let offset = zone.to_offset(at);
    let local = offset.to_datetime(at);
    let minutes = offset.seconds() / 60;
    if minutes == 0 {
        return format!("{local:.3}Z");
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{local:.3}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// A whole number of `10^-scale` as a decimal with all its digits: `decimal(90909, 4)` is `9.0909`.
pub fn decimal(value: i64, scale: u32) -> String {
    let unit = 10_i64.pow(scale);
    let sign = if value < 0 { "-" } else { "" };
    let (whole, part) = (value.abs() / unit, value.abs() % unit);
    let width = usize::try_from(scale).expect("a scale is small");
    format!("{sign}{whole}.{part:0width$}")
}
