//! Settings of single resources: which are selected, and `[resource.NAME]`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::config::file::{Deletes, ResourceFile};
use crate::config::resolve::{Settings, duration};
use crate::config::shown::shown;
use crate::failure::{Failure, Kind, Result};
use crate::schema::{Catalog, Resource, Wishes};

impl Settings {
    /// Whether a resource is selected by `[resources] include` and `exclude`; patterns may hold `*`. One that is not read by
    /// default is selected by its whole name only: no pattern selects a costly resource by accident.
    pub fn selects(&self, resource: &Resource) -> bool {
        let matches = |patterns: &Option<Vec<String>>, otherwise: bool| {
            patterns.as_ref().map_or(otherwise, |patterns| patterns.iter().any(|pattern| glob(pattern, &resource.name)))
        };
        let include = &self.file.resources.include;
        let is_included = match resource.is_default {
            true => matches(include, true),
            false => include.as_ref().is_some_and(|names| names.contains(&resource.name)),
        };
        is_included && !matches(&self.file.resources.exclude, false)
    }

    /// `[resource.NAME] deletes`: the treatment of the rows of deleted records.
    pub fn deletes(&self, resource: &str) -> Deletes {
        self.file.resource.get(resource).and_then(|file| file.deletes).unwrap_or_default()
    }

    /// The catalogue reduced by these settings: `tables`, `drop_columns` and `deletes` of each resource decide which
    /// tables and columns are written.
    pub fn shape(&self, catalog: Catalog) -> Result<Catalog> {
        let wishes = |resource: &str| Wishes {
            tables: self.file.resource.get(resource).and_then(|file| file.tables.clone()),
            drop_columns: self
                .file
                .resource
                .get(resource)
                .and_then(|file| file.drop_columns.clone())
                .unwrap_or_default(),
            marks: self.deletes(resource) == Deletes::Mark,
        };
        catalog.shaped(wishes, |resource| self.selects(resource))
    }

    /// `[resource.NAME] start`: a full read takes records created from the beginning of this day on, UTC.
    pub fn start(&self, resource: &str) -> Result<Option<Timestamp>> {
        let Some(text) = self.file.resource.get(resource).and_then(|file| file.start.as_deref()) else {
            return Ok(None);
        };
        let day = text.parse::<Date>().ok().and_then(|day| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
        day.map(Some).ok_or_else(|| {
            Failure::new(Kind::Settings, format!("read `resource.{resource}.start`"))
                .because(format!("{} is no day", shown(text)))
                .advise(format!("write `start = \"2023-01-01\"` under [resource.{resource}]: a day, UTC"))
        })
    }

    /// `[resource.NAME] reload_every`, how often a resource with dates is read again completely.
    pub fn reload_every(&self, resource: &str) -> Result<Option<Duration>> {
        self.resource_duration(resource, "reload_every", |file| file.reload_every.as_deref())
    }

    /// `[resource.NAME] reread_requests`, where it is set.
    pub fn reread_requests(&self, resource: &str) -> Option<u64> {
        self.file.resource.get(resource).and_then(|file| file.reread_requests)
    }

    /// `[resource.NAME] open_every`, how often open records are read again.
    pub fn open_every(&self, resource: &str) -> Result<Option<Duration>> {
        self.resource_duration(resource, "open_every", |file| file.open_every.as_deref())
    }

    /// `[resource.NAME] every`, how often a resource without dates is read completely.
    pub fn every(&self, resource: &str) -> Result<Option<Duration>> {
        self.resource_duration(resource, "every", |file| file.every.as_deref())
    }

    /// `[resource.NAME] reconcile_every`, the cadence at which the nightly run looks for deletions.
    pub fn reconcile_every(&self, resource: &str) -> Result<Option<Duration>> {
        self.resource_duration(resource, "reconcile_every", |file| file.reconcile_every.as_deref())
    }

    /// `[resource.NAME] keep`, how long the snapshots of a day are kept; for ever where it is not set.
    pub fn keep(&self, resource: &str) -> Result<Option<Duration>> {
        self.resource_duration(resource, "keep", |file| file.keep.as_deref())
    }

    fn resource_duration(
        &self,
        resource: &str,
        key: &str,
        text: impl Fn(&ResourceFile) -> Option<&str>,
    ) -> Result<Option<Duration>> {
        let text = self.file.resource.get(resource).and_then(text);
        text.map(|text| duration(&format!("resource.{resource}.{key}"), Some(text), text)).transpose()
    }
}

/// Whether a name fits a pattern in which `*` stands for any letters.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + str::len(part)..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}
