//! One request to the source, from its admission by the governor to its answer: identity, retries, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use url::Url;

use crate::config::{AccountSettings, Limits, shown_address};
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::clock::SourceClock;
use crate::fetch::inflate::{MAX_BODY, too_long};
use crate::fetch::reach::{Reach, Setback, Way};
use crate::fetch::received::{Spoilt, date, quota, reason, request_id, retry_after, short_body, shown, whole_body};
use crate::fetch::refusal::REPORT;
use crate::fetch::{
    AfterRefusal, Answer, Auth, Body, ErrorBody, Governor, Http, Identified, MemoryBudget, MemoryReservation, Method,
    Permit, Quota, Request, RetryBudget, SourceReply, Unread, error_body,
};
use crate::quantity::plural;
use crate::secret::Redactor;

/// Refreshes of the token on behalf of one request: the first may find a token that another process was given and that
/// has ended too, and others may use up a short one before this request is sent again.
const REFRESHES: u32 = 3;

/// An answer that is longer than any is requested this often: its length is rarely an accident, and it is much to read.
const TOO_LONG: u32 = 2;

/// The client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    /// Where answers are counted; none gives each a room of its own.
    room: Option<MemoryReservation>,
}

#[derive(Debug)]
struct Shared {
    http: Http,
    base: Url,
    /// The base URL is the settings' own word; no token answer moves it.
    base_is_fixed: bool,
    auth: Auth,
    governor: Governor,
    budget: MemoryBudget,
    limits: Limits,
    events: Events,
    clocks: SourceClock,
    requests: AtomicU64,
    reach: Reach,
    seed: AtomicU64,
}

/// The outcome of one try.
enum Outcome {
    Done(SourceReply),
    Again(Setback),
    /// The token was refused, and there is a newer one; whether it was refreshed on behalf of this request.
    Replay {
        refreshed: bool,
    },
    /// The body is larger than its room, and the budget has no more: it was left unread.
    Crowded,
    /// The body is longer than any that is read.
    TooLong(String),
}

impl Client {
    /// A client of an account. `seed` makes jitter reproducible.
    pub fn new(account: &AccountSettings, auth: Auth, limits: &Limits, seed: u64, events: Events) -> Result<Self> {
        let http = Http::new(limits.timeout)?;
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                base_is_fixed: account.fixed,
                base: account.base_url.clone(),
                auth,
                governor: Governor::new(limits, seed, events.clone()),
                budget: MemoryBudget::new(limits.memory),
                limits: limits.clone(),
                clocks: SourceClock::new(events.clone()),
                events,
                requests: AtomicU64::new(0),
                reach: Reach::default(),
                seed: AtomicU64::new(seed),
            }),
            room: None,
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

    /// The redactor of the secrets in requests.
    pub fn redactor(&self) -> &Redactor {
        self.shared.auth.redactor()
    }

    /// The source's clock and ours.
    pub fn clocks(&self) -> &SourceClock {
        &self.shared.clocks
    }

    /// Where events go.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// A fresh retry budget, for a caller that asks again after a broken body.
    pub fn retry_budget(&self) -> RetryBudget {
        let seed = self.shared.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        RetryBudget::new(&self.shared.limits, seed)
    }

    /// The budget of bytes of all answers.
    pub fn budget(&self) -> &MemoryBudget {
        &self.shared.budget
    }

    /// The client for one unit of work; its answers are counted in this room.
    pub fn within(&self, room: &MemoryReservation) -> Self {
        Self { shared: Arc::clone(&self.shared), room: Some(room.clone()) }
    }

    /// Sees a request through: to a good answer, to a refusal that is final, or to a failure.
    pub async fn ask(&self, request: &Request) -> Result<SourceReply> {
        let budget = &self.shared.budget;
        let room = self.room.clone().unwrap_or_else(|| budget.room());
        let before = room.bytes();
        let reply = self.ask_in(&room, before, request).await;
        let Ok(SourceReply::Good(answer)) = reply else {
            room.shrink(before);
            return reply;
        };
        let (unread, left) = answer.body.room();
        budget.learn(&request.resource, unread);
        room.grow(before + unread).await;
        room.shrink(before + unread);
        Ok(SourceReply::Good(Answer { room: Some(Arc::new(Unread::new(room, before + left))), ..answer }))
    }

    async fn ask_in(&self, room: &MemoryReservation, before: u64, request: &Request) -> Result<SourceReply> {
        let shared = &self.shared;
        let mut url = shared.url(&request.path, None)?;
        let expected = before + shared.budget.expected(&request.resource);
        room.grow(expected).await;
        let mut budget = self.retry_budget();
        if let Some(tries) = request.tries {
            budget.at_most(tries);
        }
        let (mut refreshes, mut too_long) = (0, 0);
        loop {
            match shared.once(request, &mut url, budget.tries(), refreshes, (room, before)).await? {
                Outcome::Done(reply) => return Ok(reply),
                Outcome::Replay { refreshed } => refreshes += u32::from(refreshed),
                Outcome::Crowded => {
                    let text = format!(
                        "{} is larger than the memory setting allows: it is requested again alone",
                        request.path
                    );
                    shared.events.note(&request.resource, text);
                    room.shrink(before);
                    room.exceed().await;
                }
                Outcome::TooLong(reason) => {
                    too_long += 1;
                    let tries = budget.tries();
                    let Some(wait) = budget.another().filter(|_| too_long < TOO_LONG) else {
                        return Ok(SourceReply::TooLong(shared.too_long(request, &url, &reason, tries)));
                    };
                    shared.retrying(request, &url, reason, wait, None);
                    room.shrink(expected);
                    tokio::time::sleep(wait).await;
                }
                Outcome::Again(Setback { reason, way, took, request_id }) => {
                    let tries = budget.tries();
                    let spent = shared.reach.is_spent(way, tries, took);
                    let Some(wait) = budget.another().filter(|_| !spent) else {
                        let gave_up = shared.gave_up(request, &url, way, reason, tries);
                        return Err(gave_up.asked_as(request_id));
                    };
                    shared.retrying(request, &url, reason, wait, request_id);
                    room.shrink(expected);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

impl Shared {
    /// The URL of a path, at the host that the token names where the settings fix none.
    fn url(&self, path: &str, api_domain: Option<&str>) -> Result<Url> {
        let mut base = self.base.clone();
        if let Some(domain) = api_domain.filter(|_| !self.base_is_fixed) {
            self.auth.check_domain(domain)?;
            base.set_host(Some(domain)).map_err(|error| {
                Failure::new(Kind::Credentials, "use the host that the token service names")
                    .at(shown_address(domain))
                    .caused(error)
            })?;
        }
        let text = format!("{}/{path}", base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|error| Failure::new(Kind::Schema, "make a URL").at(text).caused(error))
    }

    async fn once(
        &self,
        request: &Request,
        url: &mut Url,
        tries: u32,
        refreshes: u32,
        (room, before): (&MemoryReservation, u64),
    ) -> Result<Outcome> {
        let permit = self.governor.admit().await;
        // Others may have found out meanwhile.
        self.reach.refuse_hopeless()?;
        let headers = self.auth.headers(&self.http, Timestamp::now()).await;
        let Identified { headers, generation, api_domain } = headers.map_err(|failure| self.without_token(failure))?;
        // Of this very token: the account may have moved with it.
        *url = self.url(&request.path, api_domain.as_deref())?;
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
        let body = if is_good(status, &headers) {
            whole_body(answer, room, before).await
        } else {
            // Of one that is longer the status has to do.
            let short = short_body(answer, REPORT).await;
            short.map(Option::unwrap_or_default).map_err(|error| Spoilt::Broken(reason(&error)))
        };
        let elapsed = begun.elapsed();
        let bytes = match body {
            Ok(bytes) => bytes,
            Err(spoilt) => {
                permit.answered(quota);
                return Ok(match spoilt {
                    Spoilt::Crowded => Outcome::Crowded,
                    Spoilt::Broken(reason) => {
                        Outcome::Again(Setback { reason, way: Way::Answered, took: elapsed, request_id })
                    }
                    Spoilt::TooLong(reason) => Outcome::TooLong(reason),
                });
            }
        };
        let is_long = says(&headers, "gzip", CONTENT_ENCODING) && is_good(status, &headers);
        let too_long = if is_long { too_long(&bytes, MAX_BODY) } else { None };
        let answer = HttpAnswer { status, headers, bytes, elapsed, generation, request_id, quota, refreshes };
        self.report_answer(request, url, &answer, tries);
        if let Some(reason) = too_long {
            permit.answered(quota);
            return Ok(Outcome::TooLong(reason));
        }
        self.judge(request, url, permit, answer).await
    }

    fn report_answer(&self, request: &Request, url: &Url, answer: &HttpAnswer, tries: u32) {
        self.events.tell(Event::Asked {
            resource: request.resource.to_string(),
            url: shown(url),
            status: answer.status,
            millis: u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX),
            bytes: u64::try_from(answer.bytes.len()).unwrap_or(u64::MAX),
            tries,
            request_id: answer.request_id.clone(),
        });
    }

    /// From an HTTP answer to its meaning; the only place that reads statuses (docs/brightpearl-api.md §8.3).
    async fn judge(&self, request: &Request, url: &Url, permit: Permit, seen: HttpAnswer) -> Result<Outcome> {
        let quota = seen.quota;
        let body = Body { gzip: says(&seen.headers, "gzip", CONTENT_ENCODING), bytes: seen.bytes.clone() };
        let is_json = says(&seen.headers, "json", CONTENT_TYPE);
        let again = |reason: String| {
            let (way, took, request_id) = (Way::Answered, seen.elapsed, seen.request_id.clone());
            Ok(Outcome::Again(Setback { reason, way, took, request_id }))
        };
        if matches!(seen.status, 429 | 503) {
            let error = self.error(&body);
            let hasty = seen.status == 429 || error.message.contains("too many requests");
            if hasty {
                let returns_in = quota.map(|quota| quota.returns_in.min(self.limits.period));
                permit.throttled(retry_after(&seen.headers, &self.clocks).or(returns_in));
            } else {
                permit.answered(quota);
            }
            return again(format!("HTTP {} {}", seen.status, error.message));
        }
        permit.answered(quota);
        match seen.status {
            200 | 207 if is_json => {
                let date = self.clocks.hear(date(&seen.headers));
                let elapsed = SignedDuration::try_from(seen.elapsed).unwrap_or(SignedDuration::ZERO);
                let answered = self.clocks.steadily(date);
                let asked_at = answered.checked_sub(elapsed).unwrap_or(answered);
                self.reach.succeeded();
                Ok(Outcome::Done(SourceReply::Good(Answer { body, date, asked_at, room: None })))
            }
            401 => self.refresh(url, &seen, &body).await,
            403 if is_json => Err(Failure::new(Kind::Refused, format!("read {}", request.resource))
                .at(shown(url))
                .because(format!("the source forbids it (403): {}", self.error(&body).message))
                .asked_as(seen.request_id.clone())
                .advise("give the app or staff member permission to read it, or exclude it with `resources.exclude`")),
            300..=399 => Err(Failure::new(Kind::Refused, format!("read {}", request.resource))
                .at(shown(url))
                .because(format!(
                    "the source redirects elsewhere (HTTP {}), and credentials do not follow",
                    seen.status
                ))
                .asked_as(seen.request_id.clone())
                .advise("set account.api_domain to the host of the account")),
            // Servers in front of the source answer a long URL with a page of their own.
            414 => {
                let date = date(&seen.headers).unwrap_or_else(Timestamp::now);
                Ok(Outcome::Done(SourceReply::Refused { status: 414, error: self.error(&body), date }))
            }
            _ if !is_json => again(format!("HTTP {} with a body that is not JSON", seen.status)),
            status => {
                let mut error = self.error(&body);
                error.request_id.clone_from(&seen.request_id);
                if status >= 500 && !error.is_final() {
                    return again(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message));
                }
                let date = self.clocks.hear(date(&seen.headers));
                Ok(Outcome::Done(SourceReply::Refused { status, error, date }))
            }
        }
    }

    /// Refreshes the token after a 401, so that the request can be sent again; refuses (`Credentials`) if it cannot be.
    async fn refresh(&self, url: &Url, seen: &HttpAnswer, body: &Body) -> Result<Outcome> {
        let (may_refresh, now) = (seen.refreshes < REFRESHES, Timestamp::now());
        let remedy = self.auth.refresh_after_refusal(&self.http, seen.generation, may_refresh, now).await;
        match remedy.map_err(|failure| self.without_token(failure))? {
            AfterRefusal::Older => return Ok(Outcome::Replay { refreshed: false }),
            AfterRefusal::Refreshed => return Ok(Outcome::Replay { refreshed: true }),
            AfterRefusal::Final => {}
        }
        let message = self.error(body).message;
        Err(Failure::new(Kind::Credentials, "log in")
            .at(shown(url))
            .because(format!("the source refused our credentials: {message}"))
            .asked_as(seen.request_id.clone())
            .advise(self.auth.advice()))
    }

    fn clean(&self, text: &str) -> String {
        self.auth.redactor().clean(text)
    }

    /// The texts of an error body, without secrets.
    fn error(&self, body: &Body) -> ErrorBody {
        let error = error_body(body);
        let (code, message) = (error.code.map(|code| self.clean(&code)), self.clean(&error.message));
        ErrorBody { code, message, ..error }
    }

    fn retrying(&self, request: &Request, url: &Url, reason: String, wait: Duration, request_id: Option<String>) {
        self.events.tell(Event::Retrying {
            resource: request.resource.to_string(),
            url: shown(url),
            reason,
            wait_millis: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            request_id,
        });
    }

    fn too_long(&self, request: &Request, url: &Url, reason: &str, tries: u32) -> Failure {
        Failure::new(Kind::Unreachable, format!("read {}", request.resource))
            .at(shown(url))
            .because(format!("{reason} {}", times(tries)))
            .advise("run `pearlift check`; if it persists, exclude the resource with `resources.exclude`")
    }

    fn gave_up(&self, request: &Request, url: &Url, way: Way, reason: String, tries: u32) -> Failure {
        let reason = format!("{} {}", self.clean(&reason), times(tries));
        match self.reach.give_up(way) {
            Kind::Offline => Failure::new(Kind::Offline, "reach the source")
                .at(shown(url))
                .because(reason)
                .advise("check account.api_domain (or account.base_url) and account.code, and the network connection"),
            kind => Failure::new(kind, format!("read {}", request.resource))
                .at(shown(url))
                .because(reason)
                .advise("the source is failing or overloaded; run again later, commits are intact"),
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

/// `after 3 tries`.
fn times(tries: u32) -> String {
    format!("after {}", plural(tries, "try"))
}

/// Whether an answer is one of data.
fn is_good(status: u16, headers: &HeaderMap) -> bool {
    matches!(status, 200 | 207) && says(headers, "json", CONTENT_TYPE)
}

/// Whether a header's value contains this word, in any case of its letters.
fn says(headers: &HeaderMap, wanted: &str, header: reqwest::header::HeaderName) -> bool {
    let value = headers.get(header).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
}

/// An answer as received.
struct HttpAnswer {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
    elapsed: Duration,
    generation: u64,
    request_id: Option<String>,
    quota: Option<Quota>,
    /// Refreshes of the token for this request so far.
    refreshes: u32,
}
