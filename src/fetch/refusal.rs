//! Error bodies: `{"errors":[{"code","message"}]}`, or a text in `response` (docs/brightpearl-api.md §2.3, §3.4, §8.1).
//!
//! Takes a body of at most [`REPORT`] bytes, gives the first error of it: nothing else of it is kept.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::fetch::Body;

/// Bytes of an error body that are read, inflated or not: an error for each of 200 ids takes about 30 KiB.
pub const REPORT: usize = 256 << 10;
/// Characters of a message that are kept.
const MESSAGE: usize = 2_000;

/// The content of an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// `CMNC-404` and the like; none when the body is not an error list.
    pub code: Option<String>,
    pub message: String,
    /// The source's id of the request.
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    errors: First,
    #[serde(default)]
    response: Text,
}

#[derive(Deserialize)]
struct WrittenError {
    code: Option<String>,
    message: Option<String>,
}

/// The first entry of a list; none of an empty one.
#[derive(Default)]
struct First(Option<WrittenError>);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstVisitor)
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of errors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First, A::Error> {
        let first = list.next_element()?;
        while let Some(IgnoredAny) = list.next_element()? {}
        Ok(First(first))
    }
}

/// A text; none of a value of another kind, which is passed over.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        while let Some(IgnoredAny) = list.next_element()? {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while let Some((IgnoredAny, IgnoredAny)) = map.next_entry()? {}
        Ok(Text(None))
    }
}

/// Reads an error body; one that is no JSON, or longer than any, has neither code nor message.
pub fn error_body(body: &Body) -> ErrorBody {
    let text = body.short_text(REPORT);
    let Some(written) = text.and_then(|text| serde_json::from_slice::<Written>(&text).ok()) else {
        return ErrorBody::default();
    };
    let (code, message) = match written.errors.0 {
        Some(error) => (error.code, error.message),
        None => (None, written.response.0),
    };
    let message = message.unwrap_or_default().chars().take(MESSAGE).collect();
    ErrorBody { code: code.map(|code| code.chars().take(MESSAGE).collect()), message, request_id: None }
}

impl ErrorBody {
    /// Whether the path is wrong, not the record: both have the same code (docs/brightpearl-api.md §5.5).
    pub fn is_wrong_address(&self) -> bool {
        self.message.starts_with("Cannot find the resource")
    }

    /// Whether the code is of a client's mistake (`…C-…`): asking again would not help (docs/brightpearl-api.md §8.3).
    pub fn is_final(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.split('-').next().is_some_and(|prefix| prefix.ends_with('C')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String) {
        let error = error_body(&Body { bytes: text.to_owned().into(), gzip: false });
        (error.code, error.message)
    }

    #[test]
    fn the_first_error_is_read_and_all_else_is_passed_over() {
        let said = |code: Option<&str>, message: &str| (code.map(str::to_owned), message.to_owned());
        for (text, error) in [
            (r#"{"errors":[{"code":"A-1","message":"no","x":[1]},{"code":7},[[]]]}"#, said(Some("A-1"), "no")),
            (r#"{"errors":[{"message":"no"}],"response":{"a":[1,2.5,null,true]}}"#, said(None, "no")),
            (r#"{"errors":[],"response":"late"}"#, said(None, "late")),
            (r#"{"response":"late","more":[{}]}"#, said(None, "late")),
            (r#"{"response":[0,0,{"a":0}]}"#, said(None, "")),
            (r#"{"response":7}"#, said(None, "")),
            (r#"{"response":-7.5}"#, said(None, "")),
            (r#"{"response":null}"#, said(None, "")),
            (r#"{"errors":"none"}"#, said(None, "")),
            ("[]", said(None, "")),
            ("<html>", said(None, "")),
        ] {
            assert_eq!(read(text), error, "{text}");
        }
    }

    #[test]
    fn a_long_message_is_cut_and_a_body_that_is_longer_than_any_is_not_read() {
        let of =
            |length: usize| read(&format!(r#"{{"errors":[{{"code":"A-1","message":"{}"}}]}}"#, "m".repeat(length)));
        assert_eq!(of(REPORT / 2), (Some("A-1".to_owned()), "m".repeat(MESSAGE)));
        assert_eq!(of(REPORT), (None, String::new()));
    }
}
