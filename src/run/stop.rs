//! The request to stop a run: seen by all stages; the first one counts.

use std::sync::Arc;

use tokio::sync::watch;

use crate::failure::{Failure, Kind, Result};

/// Why a run stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person or the system asked (SIGINT, SIGTERM).
    Interrupted,
    /// `--max-minutes` is over.
    TimeUp,
    /// Something failed that no resource can go on without.
    Failed,
}

/// The word to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<Option<Why>>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Stop {
    /// Asks to stop.
    pub fn ask(&self, why: Why) {
        self.0.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(why);
            first
        });
    }

    /// Whether, and why, the run is to stop.
    pub fn asked(&self) -> Option<Why> {
        *self.0.borrow()
    }

    /// Waits until the run is to stop.
    pub async fn wait(&self) {
        let mut heard = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = heard.wait_for(Option::is_some).await;
    }

    /// Runs a future to its end, or gives [`Kind::Interrupted`] when the run is to stop before.
    pub async fn or<T>(&self, session: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.wait() => Err(stopped()),
            outcome = session => outcome,
        }
    }
}

/// The failure of a scan that was stopped.
pub fn stopped() -> Failure {
    Failure::new(Kind::Interrupted, "finish the scan").because("the run was asked to stop")
}
