//! The values of settings: those that are set, else their defaults.

use std::time::Duration;

use toml::{Table, Value};

use crate::config::choices::Choice;
use crate::config::setting::Setting;
use crate::config::settings::find;
use crate::config::shown::shown;
use crate::config::size;
use crate::failure::{Failure, Kind, Result};

/// Values by the names of their settings, such as `limits.memory` and `resource.order.start`. A name that is no setting
/// is a bug.
#[derive(Debug, Default)]
pub struct Values(Table);

impl Values {
    /// The values of a table with checked keys and types.
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    /// The resources that have a section.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        let sections = self.0.get("resource").and_then(Value::as_table);
        sections.into_iter().flat_map(|sections| sections.keys().map(String::as_str))
    }

    /// The text of a setting, or its default.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (setting, value) = self.find(name);
        value.and_then(Value::as_str).or(setting.default)
    }

    /// The choice of a setting, or its default.
    pub fn choice<C: Choice>(&self, name: &str) -> Option<C> {
        self.text(name).map(|word| C::named(word).expect("the word was checked"))
    }

    /// The number of a setting, or its default.
    pub fn number(&self, name: &str) -> Option<u32> {
        let (setting, value) = self.find(name);
        match value.and_then(Value::as_integer) {
            Some(number) => Some(u32::try_from(number).expect("the number was checked")),
            None => setting.default.map(|text| text.parse().expect("a default is a number")),
        }
    }

    /// The truth of a setting, or its default.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let (setting, value) = self.find(name);
        value.and_then(Value::as_bool).or(setting.default.map(|text| text == "true"))
    }

    /// The texts of a setting.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        let items = self.find(name).1?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The bytes of a setting, or its default.
    pub fn size(&self, name: &str) -> Result<u64> {
        size::parse(name, self.text(name).expect("a size has a default"))
    }

    /// The duration of a setting, or its default.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let sample = self.find(name).0.default.unwrap_or("7d");
        humantime::parse_duration(text).map(Some).map_err(|_| {
            Failure::new(Kind::Settings, format!("read `{name}`"))
                .because(format!("{} is no duration", shown(text)))
                .advise(format!("write `{name} = \"{sample}\"`"))
        })
    }

    fn find(&self, name: &str) -> (&'static Setting, Option<&Value>) {
        let (section, key) = name.rsplit_once('.').unwrap_or(("", name));
        let setting = find(section, key).unwrap_or_else(|| panic!("`{name}` is a setting"));
        let mut parts = section.split('.').filter(|part| !part.is_empty());
        let inner = parts.try_fold(&self.0, |inner, part| inner.get(part)?.as_table());
        (setting, inner.and_then(|inner| inner.get(key)))
    }
}
