//! The envelope of an answer: its response, its pagination and its errors.

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::sound::{escape_controls, escape_names};
use crate::fetch::Broken;

/// The parts of an answer.
pub struct Envelope<'a> {
    pub response: LazyValue<'a>,
    pub pagination: Option<LazyValue<'a>>,
    pub errors: Option<LazyValue<'a>>,
}

/// Takes an answer apart; the text must be whole JSON from end to end.
pub fn envelope(text: &[u8]) -> Result<Envelope<'_>, Broken> {
    let mut response = None;
    let mut pagination = None;
    let mut errors = None;
    let text = std::str::from_utf8(text).map_err(|error| Broken::new(format!("the body is not UTF-8: {error}")))?;
    // This reads to the end: it refuses a cut off answer, and two answers in one body.
    let whole: LazyValue<'_> = sonic_rs::from_str(text)
        .map_err(|error| Broken::new(format!("the body is not complete JSON: {}", first_line(&error))))?;
    let entries = whole.into_object_iter().ok_or_else(|| Broken::new("the body is not a JSON object"))?;
    for entry in entries {
        let (key, value) = entry.map_err(|error| Broken::new(first_line(&error)))?;
        match key.as_ref() {
            "response" => response = Some(value),
            "pagination" => pagination = Some(value),
            "errors" => errors = Some(value),
            _ => {}
        }
    }
    let response = match (response, &errors) {
        (Some(response), _) => response,
        // Nothing but errors is an answer too.
        (None, Some(errors)) if !is_empty(errors) => sonic_rs::from_str("null").expect("it is JSON"),
        (None, _) => return Err(Broken::new("the body has no `response`")),
    };
    Ok(Envelope { response, pagination, errors: errors.filter(|errors| !is_empty(errors)) })
}

/// Whether a value is null, or a list or map without entries.
fn is_empty(value: &LazyValue<'_>) -> bool {
    match value.get_type() {
        JsonType::Null => true,
        JsonType::Array => value.clone().into_array_iter().is_none_or(|mut items| items.next().is_none()),
        JsonType::Object => value.clone().into_object_iter().is_none_or(|mut fields| fields.next().is_none()),
        _ => false,
    }
}

/// Reads an answer whose strings may hold what the reader does not take: a raw control character, a name that is no
/// Unicode.
pub fn with_envelope<R>(text: &[u8], read: impl FnOnce(Envelope<'_>) -> Result<R, Broken>) -> Result<R, Broken> {
    let text = std::str::from_utf8(text).map_err(|error| Broken::new(format!("the body is not UTF-8: {error}")))?;
    let text = escape_names(text);
    match envelope(text.as_bytes()) {
        Ok(envelope) => read(envelope),
        Err(broken) => {
            let text = escape_controls(&text).ok_or(broken)?;
            read(envelope(text.as_bytes())?)
        }
    }
}

/// Errors of the reader quote the text over several lines; one is enough.
pub fn first_line(error: &sonic_rs::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// A field of an object.
pub fn field<'a>(value: &LazyValue<'a>, name: &str) -> Option<LazyValue<'a>> {
    value.clone().into_object_iter()?.flatten().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A boolean field of an object.
pub fn flag(value: &LazyValue<'_>, name: &str) -> Option<bool> {
    field(value, name)?.as_bool()
}
