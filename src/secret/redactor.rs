//! Replaces known secrets in texts from outside, by value and not by spelling.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, RwLock};

use serde_json::Value;

use crate::secret::forms::{Forms, SHORTEST, views};
use crate::secret::view::View;
use crate::secret::{PLACEHOLDER, Secret};

/// Base64 within base64 is decoded this often.
const NESTED: usize = 2;

/// Replaces every known secret in a text, however it is spelt there: in either case, escaped as in URLs, JSON and HTML
/// (one in the other, too), in base64 (alone or in a longer text, as in `Basic`), in hexadecimal. Cheap to clone;
/// clones know the same secrets.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    secrets: Vec<Secret>,
    forms: Forms,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Adds a secret; one of under four bytes is left out.
    pub fn learn(&self, secret: &Secret) {
        if secret.reveal().len() < SHORTEST {
            return;
        }
        let known = &mut *self.0.write().expect("no holder of this lock panics");
        if known.secrets.contains(secret) {
            return;
        }
        known.forms.add(secret.reveal());
        known.secrets.push(secret.clone());
    }

    /// The text with every known secret replaced.
    pub fn clean(&self, text: &str) -> String {
        let known = self.0.read().expect("no holder of this lock panics");
        if known.forms.is_empty() {
            return text.to_owned();
        }
        let mut found = Vec::new();
        find(&known.forms, &View::of(text), NESTED, &mut found);
        replaced(text, found)
    }

    /// The value with every known secret in its texts and names replaced.
    pub fn clean_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.clean_value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.clean(&name), self.clean_value(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

/// The ranges of the original text that hold a secret.
fn find(forms: &Forms, view: &View, nested: usize, found: &mut Vec<Range<usize>>) {
    for view in views(view) {
        forms.find_in(&view, found);
        if nested > 0 {
            view.base64_runs(forms.shortest()).iter().for_each(|decoded| find(forms, decoded, nested - 1, found));
        }
    }
}

/// The text with a placeholder in place of each range; ranges that touch are one.
fn replaced(text: &str, mut found: Vec<Range<usize>>) -> String {
    if found.is_empty() {
        return text.to_owned();
    }
    found.sort_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut end = None;
    for range in found {
        match end {
            Some(before) if range.start <= before => {}
            before => {
                out.push_str(&text[before.unwrap_or(0)..range.start]);
                out.push_str(PLACEHOLDER);
            }
        }
        end = end.max(Some(range.end));
    }
    out.push_str(&text[end.unwrap_or(0)..]);
    out
}

#[cfg(test)]
#[path = "redactor_tests.rs"]
mod tests;
