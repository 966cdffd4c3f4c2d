//! One request to the source, seen through to its answer: leave from the governor, identity, retries, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use url::Url;

use crate::config::{Account, Limits};
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::inflate::MAX_BODY;
use crate::fetch::{Auth, Body, Budget, ErrorBody, Governor, Patience, Permit, Quota, Room, Unread, error_body};

/// A connection is made within this, or counts as failed.
const CONNECT: Duration = Duration::from_secs(10);
/// Tries of a request while nothing has ever been answered: a wrong host is told in seconds.
const FIRST_TRIES: u32 = 3;
/// Redirects that are followed, on the same host only: credentials never go elsewhere.
const REDIRECTS: usize = 3;

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
    /// The room that it takes until it is read; none where it is kept for long, and small.
    pub room: Option<Arc<Unread>>,
}

impl Answer {
    /// The same, without room: for one that is kept, so that others do not wait for it.
    pub fn kept(self) -> Self {
        Self { room: None, ..self }
    }
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
    /// Where answers are counted; none gives each a room of its own.
    room: Option<Room>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    base: Url,
    /// The base URL is the settings' own word; no token answer moves it.
    base_is_fixed: bool,
    auth: Auth,
    governor: Governor,
    budget: Budget,
    limits: Limits,
    events: Events,
    requests: AtomicU64,
    answered: AtomicU64,
    seed: AtomicU64,
}

/// What one try gave.
enum Outcome {
    Done(Reply),
    Again(String),
    /// The token was refused, and there is a newer one.
    Replay,
    /// The body is larger than its room, and the budget has no more: it was left unread.
    Crowded,
}

impl Client {
    /// A client of an account. `seed` makes jitter reproducible.
    pub fn new(account: &Account, auth: Auth, limits: &Limits, seed: u64, events: Events) -> Result<Self> {
        let same_place = Policy::custom(|attempt| {
            let first = attempt.previous().first();
            let same = first.is_some_and(|first| first.origin() == attempt.url().origin());
            if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("pearlift/", env!("CARGO_PKG_VERSION")))
            .redirect(same_place)
            .connect_timeout(CONNECT)
            .timeout(limits.timeout)
            .referer(false)
            .build()
            .map_err(|error| Failure::new(Kind::Bug, "set up the HTTP client").caused(error))?;
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                base_is_fixed: account.fixed,
                base: account.base_url.clone(),
                auth,
                governor: Governor::new(limits, seed, events.clone()),
                budget: Budget::new(limits.memory),
                limits: limits.clone(),
                events,
                requests: AtomicU64::new(0),
                answered: AtomicU64::new(0),
                seed: AtomicU64::new(seed),
            }),
            room: None,
        })
    }

    /// Requests sent so far, retries included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
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

    /// The budget of bytes of all answers.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// The client for one unit of work, whose answers are counted in this room.
    pub fn within(&self, room: &Room) -> Self {
        Self { shared: Arc::clone(&self.shared), room: Some(room.clone()) }
    }

    /// Sees a request through: to a good answer, to a refusal that is final, or to a failure.
    pub async fn ask(&self, request: &Request) -> Result<Reply> {
        let budget = &self.shared.budget;
        let room = self.room.clone().unwrap_or_else(|| budget.room());
        let before = room.bytes();
        let reply = self.ask_in(&room, before, request).await;
        let Ok(Reply::Good(answer)) = reply else {
            room.shrink(before);
            return reply;
        };
        let (unread, left) = answer.body.room();
        budget.learn(&request.resource, unread);
        room.grow(before + unread).await;
        room.shrink(before + unread);
        Ok(Reply::Good(Answer { room: Some(Arc::new(Unread::new(room, before + left))), ..answer }))
    }

    async fn ask_in(&self, room: &Room, before: u64, request: &Request) -> Result<Reply> {
        let shared = &self.shared;
        let url = shared.url(&request.path)?;
        let expected = before + shared.budget.expected(&request.resource);
        room.grow(expected).await;
        let mut patience = self.patience();
        if let Some(tries) = request.tries {
            patience.at_most(tries);
        }
        let mut replayed = false;
        loop {
            match shared.once(request, &url, patience.tries(), replayed, (room, before)).await? {
                Outcome::Done(reply) => return Ok(reply),
                Outcome::Replay => replayed = true,
                Outcome::Crowded => {
                    room.shrink(before);
                    room.exceed().await;
                }
                Outcome::Again(reason) => {
                    // Where nothing has ever answered, the address is more likely wrong than the source in trouble.
                    let first_ever = shared.answered.load(Ordering::Relaxed) == 0;
                    let spent = first_ever && patience.tries() >= FIRST_TRIES;
                    let Some(wait) = patience.another().filter(|_| !spent) else {
                        return Err(shared.gave_up(request, &url, reason, patience.tries(), first_ever));
                    };
                    shared.events.tell(Event::Retrying {
                        resource: request.resource.to_string(),
                        url: shown(&url),
                        reason,
                        wait_millis: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    });
                    room.shrink(expected);
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

    async fn once(
        &self,
        request: &Request,
        url: &Url,
        tries: u32,
        replayed: bool,
        (room, before): (&Room, u64),
    ) -> Result<Outcome> {
        let permit = self.governor.admit().await;
        let (headers, generation) = self.auth.headers(&self.http, Timestamp::now()).await?;
        let begun = permit.sent();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Options => reqwest::Method::OPTIONS,
        };
        let sent = self
            .http
            .request(method, url.clone())
            .headers(headers)
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip")
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Ok(Outcome::Again(reason(&error))),
        };
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let quota = quota(&headers);
        let body = whole_body(answer, room, before).await;
        let elapsed = begun.elapsed();
        let bytes = match body {
            Ok(bytes) => bytes,
            Err(unread) => {
                permit.answered(quota);
                return Ok(unread);
            }
        };
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.events.tell(Event::Asked {
            resource: request.resource.to_string(),
            url: shown(url),
            status,
            millis: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            tries,
        });
        let seen = Seen { status, headers, bytes, elapsed, generation };
        self.judge(request, url, permit, quota, seen, replayed).await
    }

    /// From an HTTP answer to its meaning; the only place that reads statuses (API notes §8).
    async fn judge(
        &self,
        request: &Request,
        url: &Url,
        permit: Permit,
        quota: Option<Quota>,
        seen: Seen,
        replayed: bool,
    ) -> Result<Outcome> {
        let body = Body { gzip: seen.is("gzip", CONTENT_ENCODING), bytes: seen.bytes.clone() };
        let is_json = seen.is("json", CONTENT_TYPE);
        if matches!(seen.status, 429 | 503) {
            let error = error_body(&body);
            let hasty = seen.status == 429 || error.message.contains("too many requests");
            if hasty {
                permit.throttled(retry_after(&seen.headers).or(quota.map(|quota| quota.returns_in)));
            } else {
                permit.answered(quota);
            }
            return Ok(Outcome::Again(format!("HTTP {} {}", seen.status, self.clean(&error.message))));
        }
        permit.answered(quota);
        match seen.status {
            200 | 207 if is_json => {
                let date = date(&seen.headers).unwrap_or_else(Timestamp::now);
                let elapsed = SignedDuration::try_from(seen.elapsed).unwrap_or(SignedDuration::ZERO);
                let asked_at = date.checked_sub(elapsed).unwrap_or(date);
                Ok(Outcome::Done(Reply::Good(Answer { body, date, asked_at, room: None })))
            }
            401 => {
                if !replayed && self.auth.refused(&self.http, seen.generation, Timestamp::now()).await? {
                    return Ok(Outcome::Replay);
                }
                Err(Failure::new(Kind::Credentials, "log in")
                    .at(shown(url))
                    .because(format!("the source refused our credentials: {}", self.clean(&error_body(&body).message)))
                    .advise("check auth.kind and auth.app_ref, and the token in BRIGHTPEARL_STAFF_TOKEN (or its account or OAuth twin)"))
            }
            403 if is_json => Err(Failure::new(Kind::Refused, format!("read {}", request.resource))
                .at(shown(url))
                .because(format!("the source forbids it (403): {}", self.clean(&error_body(&body).message)))
                .advise("give the app or staff member the right to read it, or leave it out with `resources.exclude`")),
            300..=399 => Err(Failure::new(Kind::Refused, format!("read {}", request.resource))
                .at(shown(url))
                .because(format!(
                    "the source redirects elsewhere (HTTP {}), and credentials do not follow",
                    seen.status
                ))
                .advise("set account.api_domain to the host that the account lives on")),
            _ if !is_json => Ok(Outcome::Again(format!("HTTP {} with a body that is no JSON", seen.status))),
            status => {
                let mut error = error_body(&body);
                error.message = self.clean(&error.message);
                if status >= 500 && !error.is_final() {
                    return Ok(Outcome::Again(format!(
                        "HTTP {status} {} {}",
                        error.code.unwrap_or_default(),
                        error.message
                    )));
                }
                let date = date(&seen.headers).unwrap_or_else(Timestamp::now);
                Ok(Outcome::Done(Reply::Refused { status, error, date }))
            }
        }
    }

    fn clean(&self, text: &str) -> String {
        self.auth.redactor().clean(text)
    }

    fn gave_up(&self, request: &Request, url: &Url, reason: String, tries: u32, first_ever: bool) -> Failure {
        let failure = Failure::new(Kind::Unreachable, format!("read {}", request.resource))
            .at(shown(url))
            .because(format!("{} after {tries} tries", self.clean(&reason)));
        if first_ever {
            failure
                .advise("check account.api_domain (or account.base_url) and account.code, and the way to the network")
        } else {
            failure.advise("the source is in trouble or overloaded; run again later, what was committed is intact")
        }
    }
}

/// An answer as received.
struct Seen {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
    elapsed: Duration,
    generation: u64,
}

impl Seen {
    fn is(&self, wanted: &str, header: reqwest::header::HeaderName) -> bool {
        self.headers.get(header).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
    }
}

/// The body of an answer, or why it could not be had: an endless one is given up, or it would fill the memory; one that its
/// room has no place for is left. Nothing waits here, for the source would wait too.
async fn whole_body(mut answer: reqwest::Response, room: &Room, before: u64) -> Result<Bytes, Outcome> {
    let too_long = || Outcome::Again(format!("the body is longer than {MAX_BODY} bytes"));
    let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let stated = answer.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if stated.is_some_and(|stated| stated > MAX_BODY) {
        return Err(too_long());
    }
    if !room.try_grow(before + bytes(stated.unwrap_or(0))) {
        return Err(Outcome::Crowded);
    }
    // Kept as they come: a body that grows by being copied takes three times its size.
    let (mut chunks, mut length) = (Vec::new(), 0);
    let mut whole = stated.map(Vec::with_capacity);
    while let Some(chunk) = answer.chunk().await.map_err(|error| Outcome::Again(reason(&error)))? {
        length += chunk.len();
        if length > MAX_BODY {
            return Err(too_long());
        }
        // Joined at the end, chunks are there twice.
        if stated.is_none() && !room.try_grow(before + 2 * bytes(length)) {
            return Err(Outcome::Crowded);
        }
        match &mut whole {
            Some(whole) => whole.extend_from_slice(&chunk),
            None => chunks.push(chunk),
        }
    }
    Ok(whole.map_or_else(|| chunks.concat().into(), Bytes::from))
}

/// A URL for people: host and path, its query included; nothing secret is ever in it.
fn shown(url: &Url) -> String {
    url.to_string()
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
