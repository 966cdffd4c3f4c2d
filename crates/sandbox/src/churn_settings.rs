//! The settings of random changes of the account between requests.

use serde::{Deserialize, Serialize};

use crate::verb::Verb;

/// How the account changes while it is read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Churn {
    pub seed: u64,
    /// So many requests of a hundred find the account changed.
    pub percent: u64,
    /// The resources that change, by name; none means each whose fixture has `churn`. One that has none changes by each
    /// of its events.
    pub resources: Vec<String>,
    /// The changes, each as often as it is listed; an empty list means [`Verb::USUAL`].
    pub verbs: Vec<Verb>,
}
