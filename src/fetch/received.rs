//! The raw parts of an answer before it is judged: its body within bounds, its headers as values, its errors as
//! reasons.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use url::Url;

use crate::fetch::clock::SourceClock;
use crate::fetch::inflate::MAX_BODY;
use crate::fetch::{MemoryReservation, Quota};

/// Characters of the source's id of a request that are kept: it has 36.
const REQUEST_ID: usize = 100;

/// Why a body was not read to its end.
pub(super) enum Spoilt {
    /// It is larger than its room, and the budget has no more.
    Crowded,
    /// It broke off.
    Broken(String),
    /// It is longer than any that is read.
    TooLong(String),
}

/// The body of an answer, or why it could not be had: an endless one is given up, or it would fill the memory; one that
/// its room has no place for is left. Nothing waits here, for the source would wait too.
pub(super) async fn whole_body(
    mut answer: reqwest::Response,
    room: &MemoryReservation,
    before: u64,
) -> Result<Bytes, Spoilt> {
    let too_long = || Spoilt::TooLong(format!("the body is longer than {MAX_BODY} bytes"));
    let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let stated = answer.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if stated.is_some_and(|stated| stated > MAX_BODY) {
        return Err(too_long());
    }
    if !room.try_grow(before + bytes(stated.unwrap_or(0))) {
        return Err(Spoilt::Crowded);
    }
    // Kept as they come: a body that grows by being copied takes three times its size.
    let (mut chunks, mut length) = (Vec::new(), 0);
    let mut whole = stated.map(Vec::with_capacity);
    while let Some(chunk) = answer.chunk().await.map_err(|error| Spoilt::Broken(reason(&error)))? {
        length += chunk.len();
        if length > MAX_BODY {
            return Err(too_long());
        }
        // Joined at the end, chunks are there twice.
        if stated.is_none() && !room.try_grow(before + 2 * bytes(length)) {
            return Err(Spoilt::Crowded);
        }
        match &mut whole {
            Some(whole) => whole.extend_from_slice(&chunk),
            None => chunks.push(chunk),
        }
    }
    Ok(whole.map_or_else(|| chunks.concat().into(), Bytes::from))
}

/// The body of an answer that is short by its meaning, an error or a token; none where it is longer than this many
/// bytes, of which no more are read.
pub(super) async fn short_body(mut answer: reqwest::Response, most: usize) -> reqwest::Result<Option<Bytes>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.into()))
}

/// A URL for people: host and path, its query included; nothing secret is ever in it.
pub(super) fn shown(url: &Url) -> String {
    url.to_string()
}

/// The source's id of a request, from the header of its answer (docs/brightpearl-api.md §8.4).
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("ruid")?.to_str().ok()?.trim();
    Some(text.chars().take(REQUEST_ID).collect::<String>()).filter(|text| !text.is_empty())
}

/// Why a request failed on its way, without its URL.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "it timed out".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the answer broke off".to_owned()
    };
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The quota headers (docs/brightpearl-api.md §3.2), in milliseconds.
pub(super) fn quota(headers: &HeaderMap) -> Option<Quota> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let remaining = number("brightpearl-requests-remaining")?;
    let returns_in = number("brightpearl-next-throttle-period")?;
    Some(Quota {
        remaining: u32::try_from(remaining.max(0)).ok()?,
        returns_in: Duration::from_millis(u64::try_from(returns_in.max(0)).ok()?),
    })
}

/// `Retry-After`, in seconds or as a date; the governor caps it.
pub(super) fn retry_after(headers: &HeaderMap, clocks: &SourceClock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = http_date(text)?;
    let now = date(headers).or_else(|| clocks.theirs()).unwrap_or_else(|| clocks.ours());
    Duration::try_from(at.duration_since(now)).ok()
}

pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}
