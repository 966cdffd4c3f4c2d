//! A text that must never be shown: tokens, client secrets.
//!
//! Takes a string, gives it back only through [`Secret::reveal`]; `Debug` and `Display` print a placeholder, so that
//! no log, report, error or panic can carry it. [`Redactor`] removes the same texts from what the source echoes back
//! (a refused token comes back in the body, API notes §2.3).

use std::fmt;
use std::sync::{Arc, RwLock};

/// What is printed in place of a secret.
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

/// Replaces every known secret in a text, in each way that it may have been written there.
#[derive(Clone, Debug, Default)]
pub struct Redactor(Arc<RwLock<Vec<Secret>>>);

impl Redactor {
    /// Adds a secret; texts of under four letters are left out, for they would black out ordinary words.
    pub fn learn(&self, secret: &Secret) {
        let mut known = self.0.write().expect("no holder of this lock panics");
        if secret.reveal().len() < 4 || known.contains(secret) {
            return;
        }
        known.extend(spellings(secret.reveal()).into_iter().map(Secret));
        // A secret may begin as another does: the longer one goes first, and nothing of it is left over.
        known.sort_by_key(|form| std::cmp::Reverse(form.reveal().len()));
    }

    /// The text with every known secret replaced.
    pub fn clean(&self, text: &str) -> String {
        let known = self.0.read().expect("no holder of this lock panics");
        let mut text = text.to_owned();
        for form in known.iter() {
            text = text.replace(form.reveal(), PLACEHOLDER);
        }
        text
    }
}

/// A secret as it is, with `=` as `\u003d` and `/` as `\/` in JSON (as the source does, API notes §2.3), these once more
/// within JSON, and as in a URL.
fn spellings(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), secret.replace('=', "\\u003d"), secret.replace('/', "\\/")];
    forms.push(forms[1].replace('/', "\\/"));
    forms.extend(forms.clone().iter().map(|form| form.replace('\\', "\\\\")));
    forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    forms.sort();
    forms.dedup();
    forms
}
