//! Texts that the JSON reader refuses whole, or reads in part, because of one string in them: raw control characters,
//! and names with the escape of a lone surrogate.
//!
//! Takes the text of a body, gives the same text with these strings written in another way; every other byte stays.

use std::borrow::Cow;

/// Control characters of a text, those between its values included: each becomes six, and no honest answer has this
/// many.
const CONTROLS: usize = 2 << 20;
/// Characters of an escape `\uXXXX`.
const ESCAPE: usize = 6;

/// The text with each raw control character inside a string as its escape, so that it arrives as the character that it
/// is. `None` where there is no such character.
pub fn escape_controls(text: &str) -> Option<String> {
    if text.bytes().filter(|byte| *byte < b' ').count() > CONTROLS {
        return None;
    }
    let mut sound: Option<String> = None;
    let mut kept = 0;
    for (start, end) in Strings::of(text) {
        for (at, byte) in text.as_bytes()[start..end].iter().enumerate().filter(|(_, byte)| **byte < b' ') {
            let sound = sound.get_or_insert_default();
            sound.push_str(&text[kept..start + at]);
            sound.push_str(&format!("\\u{byte:04x}"));
            kept = start + at + 1;
        }
    }
    sound.map(|sound| sound + &text[kept..])
}

/// The text with the escapes of lone surrogates in names as plain text (`\ud800` of six characters): the reader ends
/// its walk through an object at a name that is no Unicode, and all fields behind it would be lost.
pub fn escape_names(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut sound = String::new();
    let mut kept = 0;
    for (start, end) in Strings::of(text) {
        let is_name = text[end..].get(1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'));
        if !is_name {
            continue;
        }
        for at in LoneSurrogates::of(&text[start..end]) {
            if kept == 0 {
                // A text that is doubled as it grows would take twice its size: each escape becomes longer by a
                // character.
                sound.reserve_exact(text.len() + text.len() / ESCAPE);
            }
            sound.push_str(&text[kept..start + at]);
            sound.push('\\');
            kept = start + at;
        }
    }
    if kept == 0 { Cow::Borrowed(text) } else { Cow::Owned(sound + &text[kept..]) }
}

/// The places of escapes of lone surrogates in the content of a string.
struct LoneSurrogates<'t> {
    content: &'t str,
    at: usize,
}

impl<'t> LoneSurrogates<'t> {
    fn of(content: &'t str) -> Self {
        Self { content, at: 0 }
    }

    /// The code unit of an escape.
    fn code(&self, at: usize) -> Option<u16> {
        u16::from_str_radix(self.content.get(at..at + ESCAPE)?.strip_prefix("\\u")?, 16).ok()
    }
}

impl Iterator for LoneSurrogates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let at = self.at + self.content.as_bytes().get(self.at..)?.iter().position(|byte| *byte == b'\\')?;
            match self.code(at) {
                Some(0xd800..=0xdbff) if matches!(self.code(at + ESCAPE), Some(0xdc00..=0xdfff)) => {
                    self.at = at + 2 * ESCAPE;
                }
                Some(0xd800..=0xdfff) => {
                    self.at = at + ESCAPE;
                    return Some(at);
                }
                Some(_) => self.at = at + ESCAPE,
                None => self.at = at + 2,
            }
        }
    }
}

/// The places of the contents of all strings in a text, without their quotes.
struct Strings<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Strings<'t> {
    fn of(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }
}

impl Iterator for Strings<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at + self.bytes.get(self.at..)?.iter().position(|byte| *byte == b'"')? + 1;
        let mut end = start;
        loop {
            match self.bytes.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_control_character_is_escaped_in_strings_and_nowhere_else() {
        let text = "{\n\t\"a\tb\" : \"x\\\"\ny\\\\\",\"c\":1}";
        assert_eq!(escape_controls(text).unwrap(), "{\n\t\"a\\u0009b\" : \"x\\\"\\u000ay\\\\\",\"c\":1}");
        assert_eq!(escape_controls("{\n\t\"a\\tb\":1}"), None);
    }

    #[test]
    fn a_lone_surrogate_in_a_name_becomes_plain_text_and_a_pair_stays() {
        let text = r#"{"a\ud800" : "x\ud800","b\uD83D\uDE00":1,"c\\ud800":2,"\udc00\ud83d\ude00":3}"#;
        let sound = r#"{"a\\ud800" : "x\ud800","b\uD83D\uDE00":1,"c\\ud800":2,"\\udc00\ud83d\ude00":3}"#;
        assert_eq!(escape_names(text), sound);
        assert!(matches!(escape_names(r#"{"a":"x\ud800"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn a_text_that_breaks_off_inside_a_string_is_left_as_it_is() {
        assert_eq!(escape_controls("{\"a\tb"), None);
        assert_eq!(escape_names("{\"a\\ud8"), "{\"a\\ud8");
        assert_eq!(escape_names("{\"a\\ud800\""), "{\"a\\ud800\"");
    }
}
