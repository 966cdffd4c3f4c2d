//! Faulty answers: a fault plan by rate, by number and by path, reproducible from the account's seed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::seed::hash;

/// A fault of an answer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// 500 with the code of an internal error.
    Internal,
    /// 500 with a page of HTML.
    Html500,
    /// 520 with a page of HTML, as of a proxy in front of the source.
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
    /// Content-Length states more bytes than follow, or fewer.
    TooLong,
    TooShort,
    InvalidJson,
    InvalidUtf8,
    /// Declared as gzip, and is not.
    GzipGarbage,
    /// Gzip that unpacks to 300 MiB, and gzip with too small a length stated in its end.
    GzipBomb,
    GzipLie,
    /// 200 with a login page.
    LoginPage,
    /// More headers than anybody reads.
    HeaderFlood,
    /// To the same address once more.
    RedirectHere,
    /// The body trickles and never ends.
    Trickle,
    /// No answer at all.
    Hang,
    /// A body without an end.
    Endless,
    /// To the host that `elsewhere` names.
    RedirectElsewhere,
    /// One record of a good answer is wrong: a key twice, 400 digits, 10,000 levels, an id beyond 64 bits, an id below
    /// 0, a date that no calendar has, and the malformed `T23:59:59:999Z` of accounting periods.
    NamedTwice,
    HugeNumber,
    Deep,
    HugeId,
    NegativeId,
    ImpossibleDate,
    OddTime,
}

impl Fault {
    /// Every fault on the way that asking again overcomes, and that takes no time.
    pub const ALL: [Self; 20] = [
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
        Self::TooLong,
        Self::TooShort,
        Self::InvalidJson,
        Self::InvalidUtf8,
        Self::GzipGarbage,
        Self::GzipBomb,
        Self::GzipLie,
        Self::LoginPage,
        Self::HeaderFlood,
        Self::RedirectHere,
    ];

    /// The fault inside the answer, for a fault of content.
    pub fn content(self) -> Option<Content> {
        match self {
            Self::NamedTwice => Some(Content::NamedTwice),
            Self::HugeNumber => Some(Content::HugeNumber),
            Self::Deep => Some(Content::Deep),
            Self::HugeId => Some(Content::HugeId),
            Self::NegativeId => Some(Content::NegativeId),
            Self::ImpossibleDate => Some(Content::ImpossibleDate),
            Self::OddTime => Some(Content::OddTime),
            _ => None,
        }
    }
}

/// Which answers go wrong, and how.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// So many answers of a hundred.
    pub percent: u64,
    /// These answers, counted from 1 among those with `path` in their path.
    pub at: Vec<u64>,
    /// In turn by chance; none means all of [`Fault::ALL`].
    pub kinds: Vec<Fault>,
    /// Only for paths that hold this.
    pub path: String,
    /// Where redirects lead: `http://127.0.0.1:9999`.
    pub elsewhere: String,
}

impl Faults {
    /// The fault of the answer with this number.
    pub fn draw(&self, seed: u64, number: u64) -> Option<Fault> {
        let by_turn = self.at.contains(&number);
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        if !by_turn && hash(seed, number, 501) % 100 >= self.percent {
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
