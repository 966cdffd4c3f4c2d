//! The receivers of a run's report besides the destination: the file of metrics, and the webhook.
//!
//! Takes settings before the run and the report after it. A receiver that fails is a warning: what the run did stays.

use serde_json::Value;

use crate::cli::metrics::Textfile;
use crate::config::{Notify, Settings, Webhook};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::notify;
use crate::report::notice;
use crate::schema::Catalog;

/// A failure that is a warning, behind the words for it.
pub type ReceiverWarning = (&'static str, Failure);

/// The receivers of the nightly run.
#[derive(Debug)]
pub struct Receivers {
    textfile: Option<Textfile>,
    webhook: Option<Webhook>,
}

impl Receivers {
    /// Those that the settings name. Refuses (`Settings`) a file or an address that cannot be one.
    pub fn of(catalog: &Catalog, settings: &Settings) -> Result<Self> {
        Ok(Self { textfile: Textfile::of(catalog, settings)?, webhook: settings.webhook()? })
    }

    /// None: other commands than `run` have no receivers.
    pub fn none() -> Self {
        Self { textfile: None, webhook: None }
    }

    /// Writes the metrics. `report` holds no secret any more.
    pub fn write(&self, report: &Value) -> Option<ReceiverWarning> {
        let failure = self.textfile.as_ref()?.write(report).err()?;
        Some(("monitoring does not see this run", failure))
    }

    /// Posts the result, where it is due. `report` holds no secret any more.
    pub async fn post(&self, report: &Value) -> Option<ReceiverWarning> {
        let webhook = self.webhook.as_ref().filter(|webhook| is_due(webhook.on, report))?;
        let failure = notify(webhook, notice(report).to_string()).await.err()?;
        Some(("the webhook does not see this run", failure))
    }
}

/// The warning in place of a post that a signal ended.
pub fn abandoned() -> ReceiverWarning {
    let failure = Failure::new(Kind::Interrupted, "send the result of the run").because("a signal ended the request");
    ("the webhook may not see this run", failure)
}

fn is_due(on: Notify, report: &Value) -> bool {
    match on {
        Notify::Always => true,
        Notify::Success => report["exit_code"] == 0,
        Notify::Failure => report["exit_code"] != 0,
    }
}
