//! The token endpoint's answers (docs/brightpearl-api.md §2.2): a grant, and a refusal.
//!
//! A grant is read leniently: the source has spent the refresh token for it, so that an answer refused for its form
//! would be lost, and with rotation the account with it. Only an access token is needed.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

use crate::secret::Secret;

/// Bytes of an answer of the token endpoint, which has about 500. As a tree of values this many take less than 3 MiB.
pub const GRANT: usize = 64 << 10;
/// A token is refreshed at most this long before it expires: longer than any request takes.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// And at most this part of its life: a token that lives for two minutes is used for most of them.
const PART: i32 = 10;
/// Lives are cut here, in seconds: a hundred years.
const LONGEST: f64 = 3_155_760_000.0;

/// A grant of tokens.
#[derive(Debug)]
pub struct Grant {
    pub access: Secret,
    /// None means that the old one stays valid.
    pub refresh: Option<Secret>,
    pub token_type: Option<String>,
    /// The lifetime of the access token; none if the answer does not state it, so that a 401 shows its end.
    pub life: Option<SignedDuration>,
    pub api_domain: Option<String>,
}

impl Grant {
    /// Reads an answer; `None` where it holds no access token.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        Self::of(&serde_json::from_slice(body).ok()?)
    }

    /// The grant in a JSON value; `None` where it holds no access token.
    pub fn of(answer: &Value) -> Option<Self> {
        let text = |name: &str| answer.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty());
        Some(Self {
            access: Secret::new(text("access_token")?),
            refresh: text("refresh_token").map(Secret::new),
            token_type: text("token_type").map(str::to_owned),
            life: answer.get("expires_in").and_then(life),
            api_domain: text("api_domain").map(str::to_owned),
        })
    }
}

/// A life in seconds: a number, whole or not, or a text that holds one; zero or less states nothing.
fn life(value: &Value) -> Option<SignedDuration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    // NaN is neither.
    (seconds > 0.0).then(|| SignedDuration::try_from_secs_f64(seconds.min(LONGEST)).ok()).flatten()
}

/// How long before its end a token of this life is refreshed.
pub fn margin(life: Option<SignedDuration>) -> SignedDuration {
    life.map_or(MARGIN, |life| MARGIN.min(life / PART))
}

/// A refusal.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Denied {
    pub error: String,
    pub error_description: String,
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
