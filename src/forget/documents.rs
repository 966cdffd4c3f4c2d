//! Texts of the source that are a forgotten person's: rejected records, as they came.
//!
//! Takes the text of a record and the fields that hold ids of people, gives whether one of them has a forgotten person's id. A
//! text without field names (a search row) is a person's where any number in it is such an id.

use serde_json::Value;

use crate::decode::RejectedRecord;
use crate::forget::list::ForgottenList;
use crate::manifest::Key;

/// The text in place of a forgotten person's.
pub const EMPTIED_TEXT: &str = "[forgotten]";

/// Whether a text has the id of a forgotten person.
pub fn is_theirs(text: &str, fields: &[String], list: &ForgottenList) -> bool {
    if fields.is_empty() || text == EMPTIED_TEXT {
        return false;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let anywhere = !value.is_object() || fields.iter().any(String::is_empty);
            holds(&value, if anywhere { None } else { Some(fields) }, list)
        }
        Err(_) => {
            let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
            numbers.into_iter().any(|digits| list.includes_text(digits))
        }
    }
}

/// Whether a value, or one of these fields in it, is such an id.
fn holds(value: &Value, fields: Option<&[String]>, list: &ForgottenList) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, fields, list)),
        Value::Object(entries) => entries.iter().any(|(name, entry)| {
            let is_field = fields.is_some_and(|fields| fields.contains(name));
            holds(entry, fields, list) || (is_field && is_id(entry, list))
        }),
        other => fields.is_none() && is_id(other, list),
    }
}

fn is_id(value: &Value, list: &ForgottenList) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|id| list.includes(id)),
        Value::String(text) => list.includes_text(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Empties a rejected record where it is of one of these records, or has the id of a forgotten person.
pub fn empty_rejected(
    rejected: &mut RejectedRecord,
    is_affected: impl Fn(&Key) -> bool,
    fields: &[String],
    list: &ForgottenList,
) -> bool {
    let theirs = rejected.id.as_ref().is_some_and(is_affected) || is_theirs(&rejected.raw, fields, list);
    let fresh = theirs && rejected.raw != EMPTIED_TEXT;
    if fresh {
        EMPTIED_TEXT.clone_into(&mut rejected.raw);
        // Of a record without a readable key the reason quotes the key.
        if rejected.reason.contains('`') {
            "it does not fit".clone_into(&mut rejected.reason);
        }
    }
    fresh
}
