//! The file of metrics that a run writes at its end, also when it failed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::cli::start::Start;
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
}

impl Start {
    /// Writes the metrics of a run's report. A failure is a warning: what the run did stays.
    pub fn write_metrics(&self, textfile: &Textfile, report: Value) {
        // A missing or unreadable file has no earlier values.
        let former = read_text(&textfile.path, MOST_BYTES).unwrap_or_default();
        let text = metrics(&self.redactor.clean_value(report), &former, &textfile.selected);
        if let Err(error) = replace(&textfile.path, text.as_bytes()) {
            let failure = Failure::new(Kind::Settings, "write the file of metrics")
                .at(textfile.path.display().to_string())
                .caused(error)
                .advise("`textfile` under [metrics] names a file in a folder in which pearlift may write");
            self.warn("monitoring does not see this run", &failure);
        }
    }
}
