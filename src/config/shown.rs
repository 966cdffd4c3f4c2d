//! Values of settings in messages: a short one is quoted, a long one may be a credential at the wrong place.

/// Longer values are not quoted: generated tokens, keys and passwords are longer, and values of settings are not.
const LONGEST: usize = 20;

/// A value as a message shows it.
pub(super) fn shown(text: &str) -> String {
    match text.chars().count() {
        0..=LONGEST => format!("`{text}`"),
        length => format!("the value of {length} characters"),
    }
}
