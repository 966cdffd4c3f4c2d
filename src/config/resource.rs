//! Settings of single resources: which are selected, and `[resource.NAME]`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::config::choices::{Deletes, Profile};
use crate::config::resolve::Settings;
use crate::config::setting::RESOURCE;
use crate::config::shown::shown;
use crate::failure::{Failure, Kind, Result};
use crate::schema::{Catalog, ColumnSelection, PartitionChoice, Resource};

impl Settings {
    /// Whether a resource is selected by `[resources] include` and `exclude`; patterns may hold `*`. One that is not
    /// read by default is selected by its whole name only: no pattern selects a costly resource by accident.
    pub fn selects(&self, resource: &Resource) -> bool {
        let matches = |patterns: &Option<Vec<String>>, otherwise: bool| {
            patterns.as_ref().map_or(otherwise, |patterns| patterns.iter().any(|pattern| glob(pattern, &resource.name)))
        };
        let (include, exclude) = (self.values.list("resources.include"), self.values.list("resources.exclude"));
        let is_included = match resource.is_default {
            true => matches(&include, true),
            false => include.as_ref().is_some_and(|names| names.contains(&resource.name)),
        };
        is_included && !matches(&exclude, false)
    }

    /// `[resource.NAME] deletes`: the treatment of the rows of deleted records.
    pub fn deletes(&self, resource: &str) -> Deletes {
        self.values.choice(&name(resource, "deletes")).expect("it has a default")
    }

    /// The catalogue reduced by these settings: `tables`, `drop_columns`, `hash_columns`, `deletes` and `partition` of each resource
    /// and the profile of privacy decide which tables and columns are written, and how.
    pub fn shape(&self, catalog: Catalog) -> Result<Catalog> {
        let hash_key = self.hash_key()?;
        let hashes_personal = self.values.choice("privacy.profile") == Some(Profile::Gdpr);
        self.refuse_partitions(&catalog)?;
        let selection = |resource: &str| ColumnSelection {
            tables: self.values.list(&name(resource, "tables")),
            drop_columns: self.values.list(&name(resource, "drop_columns")).unwrap_or_default(),
            hash_columns: self.values.list(&name(resource, "hash_columns")).unwrap_or_default(),
            hashes_personal,
            hash_key: hash_key.clone(),
            marks: self.deletes(resource) == Deletes::Mark,
            partition: Some(self.partition(resource)),
        };
        catalog.shaped(selection, |resource| self.selects(resource))
    }

    /// `[resource.NAME] partition`, else `[resources] partition`: the granularity of the files that a date divides.
    fn partition(&self, resource: &str) -> PartitionChoice {
        let own = self.values.choice(&name(resource, "partition"));
        own.or_else(|| self.values.choice("resources.partition")).expect("it has a default")
    }

    /// Refuses a granularity for a resource whose files no date divides.
    fn refuse_partitions(&self, catalog: &Catalog) -> Result<()> {
        let is_set =
            |resource: &&Resource| self.values.choice::<PartitionChoice>(&name(&resource.name, "partition")).is_some();
        match catalog.resources().iter().filter(is_set).find(|resource| resource.partition().date().is_none()) {
            None => Ok(()),
            Some(resource) => {
                Err(Failure::new(Kind::Settings, format!("accept `{}`", name(&resource.name, "partition")))
                    .because("its schema file divides its files by no date"))
            }
        }
    }

    /// `[resource.NAME] start`: a full read takes records created from the beginning of this day on, UTC.
    pub fn start(&self, resource: &str) -> Result<Option<Timestamp>> {
        let start = name(resource, "start");
        let Some(text) = self.values.text(&start) else { return Ok(None) };
        let day = text.parse::<Date>().ok().and_then(|day| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
        day.map(Some).ok_or_else(|| {
            Failure::new(Kind::Settings, format!("read `{start}`"))
                .because(format!("{} is no day", shown(text)))
                .advise(format!("write `start = \"2023-01-01\"` under [resource.{resource}]: a day, UTC"))
        })
    }

    /// `[resource.NAME] reload_every`, how often a resource with dates is read again completely.
    pub fn reload_every(&self, resource: &str) -> Result<Option<Duration>> {
        self.values.duration(&name(resource, "reload_every"))
    }

    /// `[resource.NAME] reread_requests`, where it is set.
    pub fn reread_requests(&self, resource: &str) -> Option<u64> {
        self.values.number(&name(resource, "reread_requests")).map(u64::from)
    }

    /// `[resource.NAME] open_every`, how often open records are read again.
    pub fn open_every(&self, resource: &str) -> Result<Option<Duration>> {
        self.values.duration(&name(resource, "open_every"))
    }

    /// `[resource.NAME] every`, how often a resource without dates is read completely.
    pub fn every(&self, resource: &str) -> Result<Option<Duration>> {
        self.values.duration(&name(resource, "every"))
    }

    /// `[resource.NAME] reconcile_every`, the cadence at which the nightly run looks for deletions.
    pub fn reconcile_every(&self, resource: &str) -> Result<Option<Duration>> {
        self.values.duration(&name(resource, "reconcile_every"))
    }

    /// `[resource.NAME] keep`, how long the snapshots of a day are kept; for ever where it is not set.
    pub fn keep(&self, resource: &str) -> Result<Option<Duration>> {
        self.values.duration(&name(resource, "keep"))
    }
}

/// The name of a resource's own setting.
fn name(resource: &str, key: &str) -> String {
    format!("{RESOURCE}.{resource}.{key}")
}

/// Whether a name matches a pattern in which `*` is any letters.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
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
