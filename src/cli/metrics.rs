//! The file of metrics that a run writes at its end, also when it failed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::config::Settings;
use crate::disk::{read_text, replace};
use crate::failure::{Failure, Kind, Result};
use crate::report::metrics;
use crate::run::choose;
use crate::schema::Catalog;

/// The most bytes of a former file that are read: one of a hundred resources has some 100 KiB.
const MOST_BYTES: u64 = 4 << 20;

/// The file, and the resources that stay in it from run to run.
#[derive(Debug)]
pub struct Textfile {
    path: PathBuf,
    selected: BTreeSet<String>,
}

impl Textfile {
    /// The file that the settings name.
    pub fn of(catalog: &Catalog, settings: &Settings) -> Result<Option<Self>> {
        let Some(path) = settings.metrics_file()? else { return Ok(None) };
        let selected = choose(catalog, settings, &[])?.into_iter().map(|resource| resource.name.clone()).collect();
        Ok(Some(Self { path, selected }))
    }

    /// Writes the metrics of a run's report, which holds no secret any more.
    pub fn write(&self, report: &Value) -> Result<()> {
        // A missing or unreadable file has no earlier values.
        let former = read_text(&self.path, MOST_BYTES).unwrap_or_default();
        let text = metrics(report, &former, &self.selected);
        replace(&self.path, text.as_bytes()).map_err(|error| {
            Failure::new(Kind::Settings, "write the file of metrics")
                .at(self.path.display().to_string())
                .caused(error)
                .advise("`textfile` under [metrics] names a file in a folder in which pearlift may write")
        })
    }
}
