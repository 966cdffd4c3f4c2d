//! One setting: its place in the file, the type of its value, its default, and the texts that state it.
//!
//! [`SETTINGS`](crate::config::SETTINGS) lists them all. The reader of the file, the names of the variables, the file
//! that `pearlift init` writes and docs/configuration.md follow that list.

use std::fmt::Write as _;

/// The section of the settings of single resources: `[resource.NAME]`.
pub const RESOURCE: &str = "resource";

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    /// Text that names a file or a folder; a relative one of the settings file begins at its folder.
    Path,
    /// Text that is a size in bytes.
    Size,
    /// Text that is a duration.
    Duration,
    /// One of these words.
    OneOf(&'static [&'static str]),
    Number,
    Bool,
    List,
}

impl Holds {
    /// The type in words.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Path => "path",
            Self::Size => "size",
            Self::Duration => "duration",
            Self::OneOf(_) => "word",
            Self::Number => "number",
            Self::Bool => "`true` or `false`",
            Self::List => "list",
        }
    }
}

/// The resource that represents all in the file that `init` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// One that keeps each day.
    Snapshots,
    /// One of records that change. Samples have `{record}`, `{child}` and `{column}` for its tables and a column.
    Records,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Empty above all sections; `resource` where each resource has its own.
    pub section: &'static str,
    pub key: &'static str,
    pub holds: Holds,
    /// The value that holds where none is set, as text.
    pub default: Option<&'static str>,
    /// The same in words, where it is no value of its own.
    pub default_in_words: &'static str,
    /// The value in the file that `init` writes, as TOML; the default where it is empty.
    pub sample: &'static str,
    /// Whether the line is in that file without `#`.
    pub is_set: bool,
    /// The comment of that line.
    pub note: &'static str,
    /// The resource of the section that has the line.
    pub example: Example,
    /// The meaning, in Markdown.
    pub meaning: &'static str,
}

impl Setting {
    /// A setting without a default.
    pub const fn new(section: &'static str, key: &'static str, holds: Holds, meaning: &'static str) -> Self {
        Self {
            section,
            key,
            holds,
            default: None,
            default_in_words: "none",
            sample: "",
            is_set: false,
            note: "",
            example: Example::Records,
            meaning,
        }
    }

    /// With this default.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// With these words for the behaviour without a value.
    pub const fn else_as(self, words: &'static str) -> Self {
        Self { default_in_words: words, ..self }
    }

    /// With this value in the file that `init` writes.
    pub const fn sample(self, sample: &'static str) -> Self {
        Self { sample, ..self }
    }

    /// Without `#` in that file.
    pub const fn set(self) -> Self {
        Self { is_set: true, ..self }
    }

    /// With this comment in that file.
    pub const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// In that file in the section of such a resource.
    pub const fn of(self, example: Example) -> Self {
        Self { example, ..self }
    }

    /// Whether it has this name, such as `limits.memory`.
    pub fn is_named(&self, name: &str) -> bool {
        name.rsplit_once('.').unwrap_or(("", name)) == (self.section, self.key)
    }

    /// The variable; that of a resource has `NAME` for its name.
    pub fn variable(&self) -> String {
        match self.section {
            RESOURCE => variable("resource.NAME", self.key),
            section => variable(section, self.key),
        }
    }

    /// The line of the file that `init` writes.
    pub fn line(&self) -> String {
        self.line_as(self.is_set, None)
    }

    /// The line with this value, or behind `#` where it has none.
    pub fn line_of(&self, value: Option<&str>) -> String {
        self.line_as(value.is_some(), value)
    }

    fn line_as(&self, is_set: bool, value: Option<&str>) -> String {
        let sign = if is_set { "" } else { "# " };
        let value = match (value, self.sample, self.default) {
            (Some(value), ..) => toml::Value::String(value.to_owned()).to_string(),
            (None, "", Some(default)) => self.written(default),
            (None, sample, _) => sample.to_owned(),
        };
        let line = format!("{sign}{} = {value}", self.key);
        if self.note.is_empty() { line } else { format!("{line:<32} # {}", self.note) }
    }

    /// A value as TOML.
    fn written(&self, value: &str) -> String {
        match self.holds {
            Holds::Number | Holds::Bool | Holds::List => value.to_owned(),
            Holds::Text | Holds::Path | Holds::Size | Holds::Duration | Holds::OneOf(_) => format!("\"{value}\""),
        }
    }

    /// The row of the table in docs/configuration.md.
    pub fn row(&self) -> String {
        let default = self.default.map_or_else(|| self.default_in_words.to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {} | {default} | {} | `{}` |", self.key, self.holds.name(), self.meaning, self.variable())
    }
}

/// The variable of a key: `PEARLIFT_SECTION_KEY`.
pub fn variable(section: &str, key: &str) -> String {
    let mut name = "PEARLIFT_".to_owned();
    if !section.is_empty() {
        let _ = write!(name, "{}_", section.replace('.', "_"));
    }
    (name + key).to_uppercase()
}
