//! The environment as settings see it: `PEARLIFT_SECTION_KEY` variables laid over the settings file.
//!
//! Takes a snapshot of variables (the process's own, or a test's), gives values by name and a TOML table of the
//! settings among them. An unknown `PEARLIFT_` variable is refused, as an unknown key is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::config::setting::{Holds, RESOURCE, variable};
use crate::config::settings::SETTINGS;
use crate::config::shown::shown;
use crate::failure::{Failure, Kind, Result};
use crate::secret::Redactor;

const PREFIX: &str = "PEARLIFT_";

/// The place of an account's secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SecretSource {
    /// The variables of the process.
    #[default]
    Variables,
    /// The variables whose names begin with this prefix, and no others.
    Prefixed(String),
    /// The files of this folder, named as the variables.
    Folder(PathBuf),
}

/// A snapshot of environment variables. Variables that are not UTF-8 are left out. Each secret that is read from it, or
/// from a file that it names, becomes known to its redactor.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, String>,
    redactor: Redactor,
    secrets: SecretSource,
}

impl Environment {
    /// The variables given, usually `std::env::vars_os()`.
    pub fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let vars = vars.into_iter().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        Self { vars, redactor: Redactor::default(), secrets: SecretSource::default() }
    }

    /// The same variables, with secrets from another place.
    pub(super) fn with_secrets(self, secrets: SecretSource) -> Self {
        Self { secrets, ..self }
    }

    /// The place of the secrets.
    pub fn secrets(&self) -> &SecretSource {
        &self.secrets
    }

    /// The redactor of the secrets that were read so far.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// All variables.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.vars.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Overrides a table of settings by the `PEARLIFT_` variables. `resources` are the valid names of
    /// `[resource.NAME]`.
    pub fn lay_over(&self, table: &mut Table, resources: &[&str]) -> Result<()> {
        for (name, value) in &self.vars {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            // Kubernetes sets these for a service that happens to be called pearlift.
            if rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_") {
                continue;
            }
            let (section, key, holds) = find(name, resources).ok_or_else(|| {
                Failure::new(Kind::Settings, format!("understand the variable {name}"))
                    .because("it names no setting")
                    .advise("settings are `PEARLIFT_SECTION_KEY`, as in PEARLIFT_DESTINATION_URL; `pearlift init` writes them all")
            })?;
            let value = read(name, value, holds)?;
            let mut inner = &mut *table;
            for part in section.split('.').filter(|part| !part.is_empty()) {
                let entry = inner.entry(part).or_insert_with(|| Value::Table(Table::new()));
                inner = entry.as_table_mut().ok_or_else(|| {
                    Failure::new(Kind::Settings, "read the settings file")
                        .because(format!("`{section}` is not a section"))
                })?;
            }
            inner.insert(key, value);
        }
        Ok(())
    }
}

fn find(name: &str, resources: &[&str]) -> Option<(String, String, Holds)> {
    SETTINGS.iter().find_map(|setting| {
        let sections = match setting.section {
            RESOURCE => resources.iter().map(|resource| format!("{RESOURCE}.{resource}")).collect(),
            section => vec![section.to_owned()],
        };
        let section = sections.into_iter().find(|section| variable(section, setting.key) == name)?;
        Some((section, setting.key.to_owned(), setting.holds))
    })
}

fn read(name: &str, text: &str, holds: Holds) -> Result<Value> {
    let wrong = |wanted: &str| {
        Failure::new(Kind::Settings, format!("read the variable {name}"))
            .because(format!("{} is no {wanted}", shown(text)))
    };
    match holds {
        Holds::Text | Holds::Path | Holds::Size | Holds::Duration => Ok(Value::String(text.to_owned())),
        Holds::OneOf(words) if words.contains(&text) => Ok(Value::String(text.to_owned())),
        Holds::OneOf(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            Err(Failure::new(Kind::Settings, format!("read the variable {name}"))
                .because(format!("its value is not one of {}", words.join(", "))))
        }
        Holds::Number => {
            text.trim().parse::<u32>().map(|number| Value::Integer(number.into())).map_err(|_| wrong("whole number"))
        }
        Holds::Bool => text.trim().parse::<bool>().map(Value::Boolean).map_err(|_| wrong("`true` or `false`")),
        Holds::List => Ok(Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect())),
    }
}
