//! `_extra`: nested JSON built from the paths of values that no column takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::decode::json::push_key;

/// Nested JSON built from paths; names and texts are borrowed, for those of the source may be of any length.
#[derive(Default)]
pub struct Extra<'a> {
    text: Option<&'a str>,
    below: BTreeMap<Cow<'a, str>, Extra<'a>>,
}

impl<'a> Extra<'a> {
    /// Puts a text at a path.
    pub fn insert(&mut self, path: impl IntoIterator<Item = &'a str>, text: &'a str) {
        let mut place = self;
        for name in path {
            place = place.below.entry(Cow::Borrowed(name)).or_default();
        }
        // The same place twice: the first stays, others are kept beside it.
        if place.text.is_none() {
            place.text = Some(text);
        } else if place.text != Some(text) {
            let name = format!("#{}", place.below.len() + 2);
            place.below.entry(Cow::Owned(name)).or_default().text = Some(text);
        }
    }

    /// The JSON; `None` where nothing was put.
    pub fn render(&self) -> Option<String> {
        if self.text.is_none() && self.below.is_empty() {
            return None;
        }
        // Escapes may take more; a text that is doubled as it grows would take twice its size.
        let mut out = String::with_capacity(self.length());
        self.write(&mut out);
        Some(out)
    }

    /// Bytes of the JSON without escapes, at least.
    fn length(&self) -> usize {
        let below = self.below.iter().map(|(name, extra)| name.len() + "\"\":,".len() + extra.length());
        self.text.map_or(0, str::len) + "{}".len() + below.sum::<usize>()
    }

    fn write(&self, out: &mut String) {
        if self.below.is_empty() {
            out.push_str(self.text.unwrap_or_default());
            return;
        }
        let mut is_first = true;
        let mut separate = |out: &mut String| out.push(if std::mem::take(&mut is_first) { '{' } else { ',' });
        if let Some(text) = self.text {
            separate(out);
            push_key(".", out);
            out.push_str(text);
        }
        for (name, extra) in &self.below {
            separate(out);
            push_key(name, out);
            extra.write(out);
        }
        out.push('}');
    }
}
