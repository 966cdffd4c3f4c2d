//! A text that must never be shown: tokens, client secrets, keys of buckets.
//!
//! Takes a string, gives it back only through [`Secret::reveal`]; `Debug` and `Display` print a placeholder, so that
//! no log, report, error or panic can carry it. [`Redactor`] removes the same texts from texts of outside (a refused
//! token comes back in the body, docs/brightpearl-api.md §2.3).

mod view;
mod hash_key;
mod forms;
mod redactor;

use std::fmt;

pub use hash_key::HashKey;
pub use redactor::Redactor;

/// The text in place of a secret.
const PLACEHOLDER: &str = "[secret]";

/// A secret text. Compared by content, printed as a placeholder, and not to be serialised:
///
/// ```compile_fail,E0277
/// serde_json::to_string(&pearlift::secret::Secret::new("a token"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text; surrounding white space is cut, for files end with a newline.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}
