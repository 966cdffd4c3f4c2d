//! Whether the source has been reached in this run, and the short retries until it has.
//!
//! Where nothing has succeeded yet and no connection is made, it is more likely that the address is wrong than that the
//! source is failing: the first request that finds this decides for all, and the others are abandoned without a try.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::{Failure, Kind, Result};

/// Tries of a request until the source has been reached.
const FIRST_TRIES: u32 = 3;
/// A connection that took so long to fail is not tried again: one that is not even refused takes its whole time-out.
const FIRST_FOR: Duration = Duration::from_secs(5);

/// The way on which a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// No name, no connection or no TLS.
    NoConnection,
    /// The connection broke before an answer.
    NoAnswer,
    /// No answer in time.
    Late,
    /// An answer that cannot be used now.
    Answered,
}

impl Way {
    /// The outcome of a request without an answer.
    pub fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NoConnection
        } else if error.is_timeout() {
            Self::Late
        } else {
            Self::NoAnswer
        }
    }
}

/// A try that failed and may be repeated.
#[derive(Debug)]
pub struct Setback {
    pub reason: String,
    pub way: Way,
    pub took: Duration,
    /// The source's id of the request.
    pub request_id: Option<String>,
}

/// The signs of life of the source.
#[derive(Debug, Default)]
pub struct Reach {
    answered: AtomicBool,
    succeeded: AtomicBool,
    offline: AtomicBool,
}

impl Reach {
    /// The source has answered, well or not.
    pub fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// A request has succeeded.
    pub fn succeeded(&self) {
        self.succeeded.store(true, Ordering::Relaxed);
    }

    /// Whether a request has succeeded.
    pub fn has_succeeded(&self) -> bool {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Refuses a request that has no prospect, for another has found the source out of reach.
    pub fn refuse_hopeless(&self) -> Result<()> {
        if !self.offline.load(Ordering::Relaxed) || self.has_succeeded() {
            return Ok(());
        }
        Err(Failure::new(Kind::Interrupted, "ask the source").because("it cannot be reached"))
    }

    /// Whether the source has yet to be reached, judged by a try that failed on this way.
    fn is_unreached(&self, way: Way) -> bool {
        match way {
            Way::NoConnection => !self.has_succeeded(),
            Way::NoAnswer | Way::Late => !self.answered.load(Ordering::Relaxed),
            Way::Answered => false,
        }
    }

    /// Whether no further try is worth its time after this many, of which the last took so long.
    pub fn is_spent(&self, way: Way, tries: u32, took: Duration) -> bool {
        self.is_unreached(way) && (tries >= FIRST_TRIES || (way != Way::Late && took >= FIRST_FOR))
    }

    /// The meaning of giving up after a try that failed on this way. `Offline` is noted for all other requests.
    pub fn give_up(&self, way: Way) -> Kind {
        let offline = self.is_unreached(way) && way != Way::Late;
        self.offline.fetch_or(offline, Ordering::Relaxed);
        if offline { Kind::Offline } else { Kind::Unreachable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn a_source_that_was_never_reached_is_given_up_soon_and_for_all() {
        let reach = Reach::default();
        assert!(!reach.is_spent(Way::NoConnection, 2, SOON));
        assert!(reach.is_spent(Way::NoConnection, 3, SOON));
        assert!(reach.is_spent(Way::NoConnection, 1, FIRST_FOR), "a connection that takes long is not tried again");
        assert!(!reach.is_spent(Way::Late, 1, FIRST_FOR), "a slow answer is no missing connection");
        assert!(!reach.is_spent(Way::Answered, 3, FIRST_FOR), "an answer is no missing connection");
        assert!(reach.refuse_hopeless().is_ok());
        assert_eq!(reach.give_up(Way::NoConnection), Kind::Offline);
        assert_eq!(reach.refuse_hopeless().unwrap_err().kind(), Kind::Interrupted);
    }

    #[test]
    fn after_a_success_the_usual_patience_holds() {
        let reach = Reach::default();
        reach.answered();
        assert!(reach.is_spent(Way::NoConnection, 3, SOON), "a refusal is no success");
        assert!(!reach.is_spent(Way::NoAnswer, 3, SOON));
        reach.succeeded();
        for way in [Way::NoConnection, Way::NoAnswer, Way::Late, Way::Answered] {
            assert!(!reach.is_spent(way, 7, FIRST_FOR), "{way:?}");
            assert_eq!(reach.give_up(way), Kind::Unreachable, "{way:?}");
        }
        assert!(reach.refuse_hopeless().is_ok());
    }
}
