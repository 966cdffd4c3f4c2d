//! JSON that is changed and written again keeps the digits of its fractions, which a binary fraction would lose.
//!
//! Between [`hide`] and [`show`] each number with a point or an exponent is a text with a mark before it.

/// The mark, and how it is written in JSON: a character that no text of the account begins with.
const MARK: &str = "\"\\u0001";

/// The same JSON, with fractions as marked texts.
pub fn hide(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => text_length(rest),
            '-' | '0'..='9' => rest.bytes().take_while(|byte| b"+-.eE0123456789".contains(byte)).count(),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if c != '"' && token.contains(['.', 'e', 'E']) && token.len() > 1 {
            out.push_str(MARK);
            out.push_str(token);
            out.push('"');
        } else {
            out.push_str(token);
        }
        rest = after;
    }
    out
}

/// The JSON with its fractions again.
pub fn show(json: &str) -> String {
    let mut parts = json.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, after) = part.split_once('"').unwrap_or((part, ""));
        out.push_str(number);
        out.push_str(after);
    }
    out
}

/// Bytes of the text at the beginning, quotes included.
fn text_length(json: &str) -> usize {
    let bytes = json.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_keep_their_digits_and_texts_stay_as_they_are() {
        let json = r#"{"a":98765432109.123456,"b":[-0.0000,1e5,7],"c":"1.5 \"2.5\" é","d":"","e":true}"#;
        let value: serde_json::Value = serde_json::from_str(&hide(json)).unwrap();
        assert_eq!(value["b"][2], 7);
        assert_eq!(show(&value.to_string()), json);
    }
}
