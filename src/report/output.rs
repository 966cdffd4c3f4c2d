//! The one place where text becomes output: secrets are replaced, and characters that control a terminal are escaped.
//!
//! Takes lines or JSON values, gives printable ones. A line stays one line, even with texts from outside in it: a text
//! of several lines is several items of a list. JSON stays valid, for its texts are cleaned before it is written.

use serde_json::Value;

use crate::report::text::{is_steering, visible};
use crate::secret::Redactor;

/// One line: without secrets, and without signs that steer.
pub fn line(redactor: &Redactor, text: &str) -> String {
    visible(&redactor.clean(text))
}

/// Lines, each as [`line()`].
pub fn lines(redactor: &Redactor, lines: &[String]) -> String {
    lines.iter().map(|text| line(redactor, text)).collect::<Vec<_>>().join("\n")
}

/// JSON in one line, without secrets.
pub fn json_line(redactor: &Redactor, value: Value) -> String {
    escaped(&redactor.clean_value(value).to_string())
}

/// JSON for people's eyes, without secrets.
pub fn json_page(redactor: &Redactor, value: Value) -> String {
    escaped(&serde_json::to_string_pretty(&redactor.clean_value(value)).expect("values are plain JSON"))
}

/// JSON with those signs escaped that JSON allows unescaped. They occur in its texts only.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Line breaks between the values of a page; within texts they are escaped already.
        if is_steering(c) && c != '\n' {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    /// One of each kind: controls of ASCII and beyond, separators, marks of direction, invisible letters.
    const STEERING: &str = "\u{0}\n\r\u{1b}\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{ad}\u{61c}\u{180e}\u{200b}\u{200e}\u{200f}\
                            \u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{206f}\u{feff}\u{fff9}\u{e0001}\u{e007f}";

    #[test]
    fn nothing_in_a_line_steers() {
        let redactor = Redactor::default();
        for c in STEERING.chars() {
            let text = line(&redactor, &format!("a{c}b"));
            assert_eq!(text, format!("a{}b", c.escape_default()));
            assert!(text.is_ascii());
        }
        // Letters of any script, joiners that words need, and tabs stay.
        let text = "\tçà 漢字 ‘x’ می\u{200c}خواهم 👩\u{200d}💻 e\u{301} a\u{a0}b";
        assert_eq!(line(&redactor, text), text);
        assert_eq!(lines(&redactor, &["a\nb".to_owned(), "c".to_owned()]), "a\\nb\nc");
    }

    #[test]
    fn json_stays_valid_and_holds_no_sign_that_steers() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("pla\"nted\\sec\u{9b}ret"));
        let text = format!("a{STEERING}b pla\"nted\\sec\u{9b}ret");
        let value = json!({(text.clone()): [text, 1.5, null]});
        let cleaned = redactor.clean_value(value.clone());
        assert!(cleaned.to_string().contains("b [secret]"));
        for json in [json_line(&redactor, value.clone()), json_page(&redactor, value)] {
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), cleaned);
            assert!(json.chars().all(|c| !is_steering(c) || c == '\n'), "{json}");
        }
    }
}
