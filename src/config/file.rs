//! The settings file as read: values by section and key, each of the type that its setting states.
//!
//! Refuses keys that are no settings and values of another type; the parser adds the line.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use toml::{Table, Value};

use crate::config::setting::{Holds, RESOURCE, Setting};
use crate::config::settings::{SETTINGS, find};

/// Reads the text of a settings file.
pub fn read(text: &str) -> Result<Table, toml::de::Error> {
    Section(String::new()).deserialize(toml::Deserializer::parse(text)?)
}

/// A section by its name, such as `destination.s3`; empty for the whole file.
struct Section(String);

/// The part of the file that a key names.
enum Named {
    Setting(&'static Setting),
    Section(String),
}

/// The key of a section.
struct Key<'s>(&'s str);

/// The value of a setting.
struct Worth(&'static Setting);

impl<'de> DeserializeSeed<'de> for Section {
    type Value = Table;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Table, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Section {
    type Value = Table;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a section")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut table = Table::new();
        while let Some(named) = map.next_key_seed(Key(&self.0))? {
            match named {
                Named::Setting(setting) => {
                    table.insert(setting.key.to_owned(), map.next_value_seed(Worth(setting))?);
                }
                Named::Section(name) => {
                    let inner = if self.0.is_empty() { name.clone() } else { format!("{}.{name}", self.0) };
                    table.insert(name, Value::Table(map.next_value_seed(Section(inner))?));
                }
            }
        }
        Ok(table)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Named;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Named, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Named;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Named, E> {
        if let Some(setting) = find(self.0, key) {
            return Ok(Named::Setting(setting));
        }
        // Which resources there are is known later.
        let known = sections(self.0);
        if self.0 == RESOURCE || known.contains(&key) {
            return Ok(Named::Section(key.to_owned()));
        }
        let section = if self.0.starts_with("resource.") { RESOURCE } else { self.0 };
        let keys = SETTINGS.iter().filter(|setting| setting.section == section).map(|setting| setting.key);
        let expected: Vec<String> = keys.chain(known).map(|name| format!("`{name}`")).collect();
        Err(E::custom(format_args!("unknown field `{key}`, expected one of {}", expected.join(", "))))
    }
}

/// The sections within one.
fn sections(of: &str) -> Vec<&'static str> {
    let below = |section: &'static str| {
        let rest = if of.is_empty() { section } else { section.strip_prefix(of)?.strip_prefix('.')? };
        rest.split('.').next().filter(|name| !name.is_empty())
    };
    let mut names: Vec<&str> = SETTINGS.iter().filter_map(|setting| below(setting.section)).collect();
    names.dedup();
    names
}

impl<'de> DeserializeSeed<'de> for Worth {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        use serde::Deserialize;
        Ok(match self.0.holds {
            Holds::Text | Holds::Path | Holds::Size | Holds::Duration => {
                Value::String(String::deserialize(deserializer)?)
            }
            Holds::OneOf(words) => {
                let word = String::deserialize(deserializer)?;
                if !words.contains(&word.as_str()) {
                    return Err(D::Error::custom(unknown_word(&word, words)));
                }
                Value::String(word)
            }
            Holds::Number => Value::Integer(u32::deserialize(deserializer)?.into()),
            Holds::Bool => Value::Boolean(bool::deserialize(deserializer)?),
            Holds::List => {
                let items = Vec::<String>::deserialize(deserializer)?;
                Value::Array(items.into_iter().map(Value::String).collect())
            }
        })
    }
}

/// The message about a word that is none of those that a setting takes.
fn unknown_word(word: &str, words: &[&str]) -> String {
    let expected: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    format!("unknown variant `{word}`, expected one of {}", expected.join(", "))
}
