//! `_extra`: nested JSON built from the paths of what no column takes.

use std::collections::BTreeMap;

use crate::decode::json::push_key;

/// Nested JSON built from paths.
#[derive(Default)]
pub struct Extra {
    text: Option<String>,
    below: BTreeMap<String, Extra>,
}

impl Extra {
    /// Puts a text at a path.
    pub fn insert(&mut self, path: &[String], text: &str) {
        match path {
            [] => {
                // The same place twice: the first stays, others are kept beside it.
                if self.text.is_none() {
                    self.text = Some(text.to_owned());
                } else if self.text.as_deref() != Some(text) {
                    let name = format!("#{}", self.below.len() + 2);
                    self.below.entry(name).or_default().text = Some(text.to_owned());
                }
            }
            [name, rest @ ..] => self.below.entry(name.clone()).or_default().insert(rest, text),
        }
    }

    /// The JSON; `None` where nothing was put.
    pub fn render(&self) -> Option<String> {
        if self.below.is_empty() {
            return self.text.clone();
        }
        let mut out = String::from("{");
        let own = self.text.as_ref().map(|text| (".".to_owned(), text.clone()));
        let below = self.below.iter().filter_map(|(name, extra)| extra.render().map(|text| (name.clone(), text)));
        for (index, (name, text)) in own.into_iter().chain(below).enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_key(&name, &mut out);
            out.push_str(&text);
        }
        out.push('}');
        Some(out)
    }
}
