//! The canonical form of JSON text.

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

/// Writes a value as text with the keys of objects in order and no white space; numbers and strings stay as written.
/// The source's maps arrive in any order, and a row is compared by its text. A string with the escape of a lone
/// surrogate is no Unicode, and readers of JSON refuse it: its text as written replaces it, as a string. Returns
/// whether there is none.
pub fn canonical(value: &LazyValue<'_>, out: &mut String) -> bool {
    let mut sound = true;
    match value.get_type() {
        JsonType::Object => {
            let mut entries: Vec<(String, LazyValue<'_>)> = value
                .clone()
                .into_object_iter()
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.ok().map(|(key, value)| (key.to_string(), value)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_key(key, out);
                sound &= canonical(value, out);
            }
            out.push('}');
        }
        JsonType::Array => {
            out.push('[');
            for (index, value) in value.clone().into_array_iter().into_iter().flatten().flatten().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                sound &= canonical(&value, out);
            }
            out.push(']');
        }
        JsonType::String if raw(value).contains("\\u") && value.as_str().is_none() => {
            out.push_str(&serde_json::to_string(raw(value)).expect("a text is JSON"));
            sound = false;
        }
        _ => out.push_str(raw(value)),
    }
    sound
}

/// A value as written: the reader's text of a number runs on over the white space behind it.
pub fn raw<'v>(value: &'v LazyValue<'_>) -> &'v str {
    value.as_raw_str().trim_ascii()
}

/// A key with its quotes and colon, without a copy of its own: names of the source may be of any length.
pub fn push_key(key: &str, out: &mut String) {
    serde_json::to_writer(Appended(out), key).expect("a text is JSON");
    out.push(':');
}

/// A text that JSON is written to.
struct Appended<'o>(&'o mut String);

impl std::io::Write for Appended<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push_str(std::str::from_utf8(bytes).map_err(std::io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
