//! Keys and values of a document as JSON text, each with the comma before it.

use std::fmt::Write;

use crate::kinds::{Record, World};
use crate::seed::Dice;
use crate::text;

/// A value below `end`, which is at least 1.
pub fn roll(dice: &mut Dice, end: i64) -> i64 {
    let end = u64::try_from(end.max(1)).expect("at least 1");
    i64::try_from(dice.below(end)).expect("below an i64")
}

/// One of a list, by any number from 0 on.
pub fn nth<T: Copy>(of: &[T], number: i64) -> T {
    of[usize::try_from(number).expect("not negative") % of.len()]
}

/// The salt of what an edit or a silent change alters.
pub fn salt(kind: u64, record: &Record) -> u64 {
    kind | (u64::from(record.revision) << 8) | (u64::from(record.touches) << 28)
}

/// `,"key":"text"`.
pub fn put_text(out: &mut String, key: &str, value: &str) {
    put_key(out, key);
    text::string(out, value);
}

/// `,"key":1`.
pub fn put(out: &mut String, key: &str, value: i64) {
    put_key(out, key);
    let _ = write!(out, "{value}");
}

/// `,"key":true`.
pub fn put_flag(out: &mut String, key: &str, value: bool) {
    put_raw(out, key, if value { "true" } else { "false" });
}

/// `,"key":` and JSON text as it is.
pub fn put_raw(out: &mut String, key: &str, json: &str) {
    put_key(out, key);
    out.push_str(json);
}

/// `,"key":"2026-07-01T09:00:00.000+01:00"`.
pub fn put_time(out: &mut String, key: &str, world: &World, seconds: i64) {
    put_key(out, key);
    out.push('"');
    out.push_str(&text::instant(&world.zone, seconds));
    out.push('"');
}

fn put_key(out: &mut String, key: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
}
