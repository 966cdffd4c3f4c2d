//! Answers gone wrong: a fault plan by rate, reproducible from the account's seed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sandbox::seed::hash;

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// 500 with the code of an internal error.
    Internal,
    /// 500 with a page of HTML.
    Html500,
    /// 520 with a page of HTML, as of whoever stands in front of the source.
    Html520,
    /// 503 that speaks of no quota, with and without the quota's headers.
    Unavailable,
    UnavailableBare,
    /// 429 with Retry-After in seconds, or as a date.
    TooManySeconds,
    TooManyDate,
    /// The connection breaks before an answer.
    ResetBefore,
    /// The connection breaks inside the body.
    ResetInside,
    /// The body ends early, in a whole HTTP answer.
    Truncated,
    InvalidJson,
    InvalidUtf8,
    /// Said to be gzip, and is not.
    GzipGarbage,
    /// 200 with a login page.
    LoginPage,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 14] = [
        Self::Internal,
        Self::Html500,
        Self::Html520,
        Self::Unavailable,
        Self::UnavailableBare,
        Self::TooManySeconds,
        Self::TooManyDate,
        Self::ResetBefore,
        Self::ResetInside,
        Self::Truncated,
        Self::InvalidJson,
        Self::InvalidUtf8,
        Self::GzipGarbage,
        Self::LoginPage,
    ];
}

/// Which answers go wrong, and how.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// So many answers of a hundred.
    pub percent: u64,
    /// In turn by chance; none means all.
    pub kinds: Vec<Fault>,
    /// Only for paths that hold this.
    pub path: String,
}

impl Faults {
    /// What goes wrong with the answer to the request of this number.
    pub fn draw(&self, seed: u64, number: u64, path: &str) -> Option<Fault> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        if !path.contains(&self.path) || hash(seed, number, 501) % 100 >= self.percent {
            return None;
        }
        let kinds: &[Fault] = if self.kinds.is_empty() { &Fault::ALL } else { &self.kinds };
        let place = hash(seed, number, 502) % u64::try_from(kinds.len()).expect("a length fits");
        Some(kinds[usize::try_from(place).expect("an index fits")])
    }
}

/// A moment from now, as HTTP writes it.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
