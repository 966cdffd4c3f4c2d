//! Sizes and durations as people read them; numbers are those of [`crate::quantity`].

use std::time::Duration;

use crate::quantity::number;

/// A length, as [`number`].
pub fn length(value: usize) -> String {
    number(u64::try_from(value).unwrap_or(u64::MAX))
}

/// `12.3 MiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    // Tenths of a unit, whole numbers all the way.
    let mut tenths = value.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1h 2m`, `3m 4s`, `5.6s`.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        3600.. => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        60.. => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}.{}s", seconds, value.subsec_millis() / 100),
    }
}

/// A text in which signs that steer are written out (`\u{1b}`).
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Whether a sign could steer a terminal, look like a new line, or show another text than the one that is there:
/// control characters, separators of lines and paragraphs, marks of direction, and letters that are not seen. A tab is
/// none, nor are the joiners that scripts need.
pub fn is_steering(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    invisible || (c.is_control() && c != '\t')
}
