//! The rows that a command leaves in the history, and `pearlift status --history`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::start::Start;
use crate::config::{Destination, Settings};
use crate::failure::{Failure, Kind, Result};
use crate::history::{append, recent_runs};
use crate::manifest::{check_destination, nonce};
use crate::report::{BriefReport, history_table};
use crate::store::Store;

impl Start {
    /// Appends the rows of a report to the history, without secrets. A failure is a warning: what the command did stays.
    pub async fn remember(&self, store: &Store, report: Value) {
        if let Err(failure) = append(store, &self.redactor.clean_value(report)).await {
            self.warn("the history lacks this command", &failure);
        }
    }

    /// Appends a run that failed as a whole, where the destination is known to be the account's and can be written. The
    /// failure itself is reported by the caller.
    pub async fn remember_failure(&self, account: &str, destination: &Destination, command: &str, failure: &Failure) {
        // A wrong argument is no run, and a second signal ends the process at once.
        if matches!(failure.kind(), Kind::Usage | Kind::Interrupted | Kind::StoreRefused | Kind::StoreUnreachable) {
            return;
        }
        let Ok(store) = Store::open(destination, false) else { return };
        if !matches!(check_destination(&store, account).await, Ok(true)) {
            return;
        }
        let run = self.context.run().map_or_else(nonce, str::to_owned);
        let brief = self.brief(&run, command, account, failure.kind().exit_code());
        self.remember(&store, brief.failed(failure)).await;
    }

    /// A brief report of a command that ends now.
    pub fn brief<'a>(&self, run: &'a str, command: &'a str, account: &'a str, exit_code: u8) -> BriefReport<'a> {
        BriefReport { run, command, account, started_at: self.now, finished_at: Timestamp::now(), exit_code }
    }
}

/// Prints the last runs, the newest first.
pub async fn history(start: &Start, settings: &Settings, most: usize, as_json: bool) -> Result<()> {
    let store = Store::open(&settings.destination()?, false)?;
    check_destination(&store, &settings.account()?.code).await?;
    let runs = recent_runs(&store, most).await?;
    if as_json {
        start.terminal().print_json(json!({"format": 1, "now": start.now, "runs": runs}))
    } else {
        start.terminal().print(&history_table(&runs, start.terminal().width_of_stdout()))
    }
}
