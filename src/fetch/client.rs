//! One request to the source, seen through to its answer: leave from the governor, identity, retries, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use url::Url;

use crate::config::{Account, Limits};
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::inflate::MAX_BODY;
use crate::fetch::reach::{Reach, Setback, Way};
use crate::fetch::{Auth, Body, ErrorBody, Governor, Http, Patience, Permit, Quota, Refused, error_body};

/// Refreshes of the token on behalf of one request: the first may find a token that another process was given and that has
/// ended too, and others may use up a short one before this request is sent again.
const REFRESHES: u32 = 3;

/// The two methods that are ever sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Options,
}

/// A request: a path below the account's base, query included, raw.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    /// On whose behalf, for events and failures.
    pub resource: Arc<str>,
    /// At most this many tries; `None` leaves it to the limits.
    pub tries: Option<u32>,
}

impl Request {
    /// A GET.
    pub fn get(resource: &Arc<str>, path: String) -> Self {
        Self { method: Method::Get, path, resource: Arc::clone(resource), tries: None }
    }

    /// An OPTIONS. Tried twice only: where it times out there is another way (design of the inventory).
    pub fn options(resource: &Arc<str>, path: String) -> Self {
        Self { method: Method::Options, path, resource: Arc::clone(resource), tries: Some(2) }
    }
}

/// A good answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub body: Body,
    /// The source's clock when it answered (whole seconds).
    pub date: Timestamp,
    /// The source's clock when the request began, not later than it was.
    pub asked_at: Timestamp,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Good(Answer),
    /// The source understood and refused; asking again would not help.
    Refused {
        status: u16,
        error: ErrorBody,
        date: Timestamp,
    },
}

/// The client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: Http,
    base: Url,
    /// The base URL is the settings' own word; no token answer moves it.
    base_is_fixed: bool,
    auth: Auth,
    governor: Governor,
    limits: Limits,
    events: Events,
    requests: AtomicU64,
    reach: Reach,
    seed: AtomicU64,
}

/// What one try gave.
enum Outcome {
    Done(Reply),
    Again(Setback),
    /// The token was refused, and there is a newer one; whether it was refreshed on behalf of this request.
    Replay {
        refreshed: bool,
    },
}

impl Client {
    /// A client of an account. `seed` makes jitter reproducible.
    pub fn new(account: &Account, auth: Auth, limits: &Limits, seed: u64, events: Events) -> Result<Self> {
        let http = Http::new(limits.timeout)?;
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                base_is_fixed: account.fixed,
                base: account.base_url.clone(),
                auth,
                governor: Governor::new(limits, seed, events.clone()),
                limits: limits.clone(),
                events,
                requests: AtomicU64::new(0),
                reach: Reach::default(),
                seed: AtomicU64::new(seed),
            }),
        })
    }

    /// Requests sent so far, retries included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Whether a request has succeeded.
    pub fn has_succeeded(&self) -> bool {
        self.shared.reach.has_succeeded()
    }

    /// The limits that the client keeps.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Where events go.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Fresh patience, for a caller that asks again because a body was broken.
    pub fn patience(&self) -> Patience {
        let seed = self.shared.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        Patience::new(&self.shared.limits, seed)
    }

    /// Sees a request through: to a good answer, to a refusal that is final, or to a failure.
    pub async fn ask(&self, request: &Request) -> Result<Reply> {
        let shared = &self.shared;
        let url = shared.url(&request.path)?;
        let mut patience = self.patience();
        if let Some(tries) = request.tries {
            patience.at_most(tries);
        }
        let mut refreshes = 0;
        loop {
            match shared.once(request, &url, patience.tries(), refreshes).await? {
                Outcome::Done(reply) => return Ok(reply),
                Outcome::Replay { refreshed } => refreshes += u32::from(refreshed),
                Outcome::Again(Setback { reason, way, took, request_id }) => {
                    let tries = patience.tries();
                    let spent = shared.reach.is_spent(way, tries, took);
                    let Some(wait) = patience.another().filter(|_| !spent) else {
                        let gave_up = shared.gave_up(request, &url, way, reason, tries);
                        return Err(gave_up.asked_as(request_id));
                    };
                    shared.events.tell(Event::Retrying {
                        resource: request.resource.to_string(),
                        url: shown(&url),
                        reason,
                        wait_millis: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                        request_id,
                    });
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

impl Shared {
    fn url(&self, path: &str) -> Result<Url> {
        let mut base = self.base.clone();
        if let (false, Some(domain)) = (self.base_is_fixed, self.auth.api_domain()) {
            base.set_host(Some(&domain)).map_err(|error| {
                Failure::new(Kind::Answer, "use the API domain that the token names").at(domain).caused(error)
            })?;
        }
        let text = format!("{}/{path}", base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|error| Failure::new(Kind::Schema, "make a URL").at(text).caused(error))
    }

    async fn once(&self, request: &Request, url: &Url, tries: u32, refreshes: u32) -> Result<Outcome> {
        let permit = self.governor.admit().await;
        // Others may have found out meanwhile.
        self.reach.refuse_hopeless()?;
        let headers = self.auth.headers(&self.http, Timestamp::now()).await;
        let (headers, generation) = headers.map_err(|failure| self.without_token(failure))?;
        let begun = permit.sent();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Options => reqwest::Method::OPTIONS,
        };
        let sent = self
            .http
            .to(url)
            .request(method, url.clone())
            .headers(headers)
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip")
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                let (reason, way) = (reason(&error), Way::of(&error));
                return Ok(Outcome::Again(Setback { reason, way, took: begun.elapsed(), request_id: None }));
            }
        };
        self.reach.answered();
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let quota = quota(&headers);
        let request_id = request_id(&headers);
        let body = whole_body(answer).await;
        let elapsed = begun.elapsed();
        let bytes = match body {
            Ok(bytes) => bytes,
            Err(reason) => {
                permit.answered(quota);
                return Ok(Outcome::Again(Setback { reason, way: Way::Answered, took: elapsed, request_id }));
            }
        };
        self.events.tell(Event::Asked {
            resource: request.resource.to_string(),
            url: shown(url),
            status,
            millis: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            tries,
            request_id: request_id.clone(),
        });
        let seen = Seen { status, headers, bytes, elapsed, generation, request_id };
        self.judge(request, url, permit, quota, seen, refreshes).await
    }

    /// From an HTTP answer to its meaning; the only place that reads statuses (API notes §8).
    async fn judge(
        &self,
        request: &Request,
        url: &Url,
        permit: Permit,
        quota: Option<Quota>,
        seen: Seen,
        refreshes: u32,
    ) -> Result<Outcome> {
        let body = Body { gzip: seen.is("gzip", CONTENT_ENCODING), bytes: seen.bytes.clone() };
        let is_json = seen.is("json", CONTENT_TYPE);
        let again = |reason: String| {
            let (way, took, request_id) = (Way::Answered, seen.elapsed, seen.request_id.clone());
            Ok(Outcome::Again(Setback { reason, way, took, request_id }))
        };
        if matches!(seen.status, 429 | 503) {
            let error = error_body(&body);
            let hasty = seen.status == 429 || error.message.contains("too many requests");
            if hasty {
                permit.throttled(retry_after(&seen.headers).or(quota.map(|quota| quota.returns_in)));
            } else {
                permit.answered(quota);
            }
            return again(format!("HTTP {} {}", seen.status, self.clean(&error.message)));
        }
        permit.answered(quota);
        match seen.status {
            200 | 207 if is_json => {
                let date = date(&seen.headers).unwrap_or_else(Timestamp::now);
                let elapsed = SignedDuration::try_from(seen.elapsed).unwrap_or(SignedDuration::ZERO);
                let asked_at = date.checked_sub(elapsed).unwrap_or(date);
                self.reach.succeeded();
                Ok(Outcome::Done(Reply::Good(Answer { body, date, asked_at })))
            }
            401 => {
                let (may_refresh, now) = (refreshes < REFRESHES, Timestamp::now());
                let refused = self.auth.refused(&self.http, seen.generation, may_refresh, now).await;
                match refused.map_err(|failure| self.without_token(failure))? {
                    Refused::Older => return Ok(Outcome::Replay { refreshed: false }),
                    Refused::Refreshed => return Ok(Outcome::Replay { refreshed: true }),
                    Refused::Final => {}
                }
                let said = self.clean(&error_body(&body).message);
                Err(Failure::new(Kind::Credentials, "log in")
                    .at(shown(url))
                    .because(format!("the source refused our credentials: {said}"))
                    .asked_as(seen.request_id.clone())
                    .advise(self.auth.advice()))
            }
            403 if is_json => Err(Failure::new(Kind::Refused, format!("read {}", request.resource))
                .at(shown(url))
                .because(format!("the source forbids it (403): {}", self.clean(&error_body(&body).message)))
                .asked_as(seen.request_id.clone())
                .advise("give the app or staff member the right to read it, or leave it out with `resources.exclude`")),
            300..=399 => Err(Failure::new(Kind::Refused, format!("read {}", request.resource))
                .at(shown(url))
                .because(format!(
                    "the source redirects elsewhere (HTTP {}), and credentials do not follow",
                    seen.status
                ))
                .asked_as(seen.request_id.clone())
                .advise("set account.api_domain to the host that the account lives on")),
            // Servers in front of the source answer a long URL with a page of their own.
            414 => {
                let date = date(&seen.headers).unwrap_or_else(Timestamp::now);
                Ok(Outcome::Done(Reply::Refused { status: 414, error: error_body(&body), date }))
            }
            _ if !is_json => again(format!("HTTP {} with a body that is no JSON", seen.status)),
            status => {
                let mut error = error_body(&body);
                error.message = self.clean(&error.message);
                error.request_id.clone_from(&seen.request_id);
                if status >= 500 && !error.is_final() {
                    return again(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message));
                }
                let date = date(&seen.headers).unwrap_or_else(Timestamp::now);
                Ok(Outcome::Done(Reply::Refused { status, error, date }))
            }
        }
    }

    fn clean(&self, text: &str) -> String {
        self.auth.redactor().clean(text)
    }

    fn gave_up(&self, request: &Request, url: &Url, way: Way, reason: String, tries: u32) -> Failure {
        let times = if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
        let reason = format!("{} after {times}", self.clean(&reason));
        match self.reach.give_up(way) {
            Kind::Offline => Failure::new(Kind::Offline, "reach the source")
                .at(shown(url))
                .because(reason)
                .advise("check account.api_domain (or account.base_url) and account.code, and the way to the network"),
            kind => Failure::new(kind, format!("read {}", request.resource))
                .at(shown(url))
                .because(reason)
                .advise("the source is in trouble or overloaded; run again later, what was committed is intact"),
        }
    }

    /// A token service out of reach before the first success is a source out of reach.
    fn without_token(&self, failure: Failure) -> Failure {
        if failure.kind() != Kind::Unreachable {
            return failure;
        }
        let kind = self.reach.give_up(Way::NoConnection);
        failure.meaning(kind)
    }
}

/// An answer as received.
struct Seen {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
    elapsed: Duration,
    generation: u64,
    request_id: Option<String>,
}

impl Seen {
    /// Whether a header's value holds this word, whatever the case of its letters.
    fn is(&self, wanted: &str, header: reqwest::header::HeaderName) -> bool {
        let value = self.headers.get(header).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
    }
}

/// The body of an answer, or why it could not be had: an endless one is given up, or it would fill the memory.
async fn whole_body(mut answer: reqwest::Response) -> Result<Bytes, String> {
    let too_long = || format!("the body is longer than {MAX_BODY} bytes");
    if answer.content_length().is_some_and(|length| usize::try_from(length).unwrap_or(usize::MAX) > MAX_BODY) {
        return Err(too_long());
    }
    // Kept as they come: a body that grows by being copied takes three times its size.
    let (mut chunks, mut length) = (Vec::new(), 0);
    while let Some(chunk) = answer.chunk().await.map_err(|error| reason(&error))? {
        length += chunk.len();
        if length > MAX_BODY {
            return Err(too_long());
        }
        chunks.push(chunk);
    }
    Ok(chunks.concat().into())
}

/// A URL for people: host and path, its query included; nothing secret is ever in it.
fn shown(url: &Url) -> String {
    url.to_string()
}

/// The source's id of a request, from the header of its answer (API notes §8).
fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("ruid")?.to_str().ok()?.trim();
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// Why a request failed on its way, without its URL.
fn reason(error: &reqwest::Error) -> String {
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

/// The quota headers (API notes §3), in milliseconds.
fn quota(headers: &HeaderMap) -> Option<Quota> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let remaining = number("brightpearl-requests-remaining")?;
    let returns_in = number("brightpearl-next-throttle-period")?;
    Some(Quota {
        remaining: u32::try_from(remaining.max(0)).ok()?,
        returns_in: Duration::from_millis(u64::try_from(returns_in.max(0)).ok()?),
    })
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        // Longer than an hour is a mistake of whoever sent it.
        return Some(Duration::from_secs(seconds.min(3600)));
    }
    let at = http_date(text)?;
    let now = date(headers).unwrap_or_else(Timestamp::now);
    Duration::try_from(at.duration_since(now)).ok().map(|wait| wait.min(Duration::from_secs(3600)))
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}
