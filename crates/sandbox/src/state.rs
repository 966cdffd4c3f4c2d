//! The account as a server holds it: records, tokens, quota, clock and log, behind one lock.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::account::Account;
use crate::answer::Wrong;
use crate::churn::ChurnState;
use crate::documents::{self, GetRequest};
use crate::fault::Fault;
use crate::fixture::Fixtures;
use crate::log::Log;
use crate::login::Tokens;
use crate::mishap::squeeze;
use crate::pieces::SetPieces;
use crate::reply::Reply;
use crate::search;
use crate::settings::{SandboxSettings, Size};
use crate::throttle::{Throttle, Verdict};

/// The size of the bomb, more than any client should take.
const BOMB: usize = 300 << 20;

/// Everything that a request can see or change.
#[derive(Debug)]
pub struct ServerState {
    pub settings: SandboxSettings,
    pub account: Account,
    pub tokens: Tokens,
    pub throttle: Throttle,
    pub log: Log,
    start: Timestamp,
    begun: Instant,
    aged: SignedDuration,
    churn_state: ChurnState,
    /// Answers of which the fault plan has been asked.
    judged: u64,
    /// Requests that each rule of the plan of wrong answers has counted.
    counted: Vec<u64>,
    bomb: Option<Bytes>,
}

/// A request as far as the account is concerned.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub options: bool,
    /// Below the account, without parameters.
    pub path: &'a str,
    pub parameters: Vec<(String, String)>,
}

impl ServerState {
    /// An account of this size; `now` is the machine's clock.
    pub fn new(settings: SandboxSettings, size: &Size, fixtures: Fixtures, now: Timestamp) -> Self {
        let start = settings.now.unwrap_or(now);
        Self {
            account: Account::new(&settings, size, start, fixtures),
            tokens: Tokens::new(&settings, start.as_second()),
            throttle: Throttle::new(settings.limit, settings.quota, now).every(settings.period),
            log: Log::default(),
            start,
            begun: Instant::now(),
            aged: SignedDuration::ZERO,
            churn_state: ChurnState::default(),
            judged: 0,
            counted: Vec::new(),
            bomb: None,
            settings,
        }
    }

    /// Takes other settings; another fault plan counts anew.
    pub fn set(&mut self, settings: SandboxSettings) {
        if self.settings.faults != settings.faults {
            self.judged = 0;
        }
        if self.settings.answers != settings.answers {
            self.counted.clear();
        }
        self.throttle.set(settings.limit, settings.quota);
        self.settings = settings;
    }

    /// The account's clock.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.begun.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.start.saturating_add(passed + self.aged).unwrap_or(self.start)
    }

    /// Moves the account's clock on.
    pub fn age(&mut self, by: SignedDuration) {
        self.aged += by;
    }

    /// Makes the random changes before the next request.
    pub fn churn(&mut self) {
        if self.settings.churn.percent == 0 {
            return;
        }
        let now = self.now().as_second();
        for (what, moved) in self.churn_state.next(&self.settings.churn, &mut self.account, now) {
            self.log.churned.push(format!("{} {what}", self.now()));
            self.age(moved);
        }
    }

    /// Counts a request against the quota, and notes it.
    pub fn admit(&mut self, ask: &Ask<'_>) -> Verdict {
        let verdict = self.throttle.ask();
        let method = if ask.options { "OPTIONS" } else { "GET" };
        let path = match self.account.fixtures.find_get(ask.path) {
            Some((_, Some(set))) => ask.path.strip_suffix(set).unwrap_or(ask.path).trim_end_matches('/'),
            Some((_, None)) | None => ask.path,
        };
        *self.log.requests.entry(format!("{method} {path}")).or_default() += 1;
        self.log.throttled += u64::from(!verdict.allowed);
        if self.log.total() == self.settings.expire_at {
            self.tokens.expire();
        }
        verdict
    }

    /// A call of the other app.
    pub fn foreign_call(&mut self) {
        let verdict = self.throttle.ask();
        self.log.foreign += 1;
        self.log.foreign_throttled += u64::from(!verdict.allowed);
    }

    /// Answers an admitted request with valid credentials; the number is the count of requested ids.
    pub fn answer(&self, ask: &Ask<'_>) -> (Reply, usize) {
        if let Some((resource, name, described)) = self.account.fixtures.find_search(ask.path).filter(|_| !ask.options)
        {
            let reply = if described {
                search::describe(self.account.fixture(resource))
            } else {
                search::search(&self.account, &self.settings, name, resource, &ask.parameters)
            };
            return (reply, 0);
        }
        let Some((resource, set)) = self.account.fixtures.find_get(ask.path) else {
            return (Reply::wrong_address(ask.path), 0);
        };
        if ask.options {
            return (documents::options(&self.account, &self.settings, resource, set), 0);
        }
        let value =
            |wanted: &str| ask.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let sections: Vec<&str> = value("includeOptional").unwrap_or_default().split(',').collect();
        let pieces = &self.settings.pieces;
        if let Some(refused) = pieces.refuse(ask.path, set) {
            return (refused, 0);
        }
        let stuck = pieces.is_stuck(ask.path);
        let first = value("firstResult").and_then(|text| text.parse().ok()).filter(|_| !stuck).unwrap_or(1).max(1);
        let (reply, ids) = documents::get(
            &self.account,
            &self.settings,
            resource,
            &GetRequest { path: ask.path, set, sections: &sections, first, parameters: &ask.parameters },
        );
        (if stuck { SetPieces::claim_more(reply) } else { reply }, ids)
    }

    /// Answers, and bends the answer as the plan of wrong answers has it; the numbers are how many ids were requested,
    /// and the seconds by which the `Date` header is off. `path` has the query.
    pub fn answer_wrongly(&mut self, ask: &Ask<'_>, path: &str) -> (Reply, usize, i64) {
        let method = if ask.options { "OPTIONS" } else { "GET" };
        let wrongs = self.wrongs(method, path);
        self.account.lags = wrongs.contains(&Wrong::Stale);
        let (reply, ids) = self.answer(ask);
        self.account.lags = false;
        let date = wrongs.iter().map(Wrong::date).sum();
        self.log.wrong.extend((!wrongs.is_empty()).then(|| format!("{method} {path}")));
        (wrongs.iter().fold(reply, |reply, wrong| wrong.bend(reply)), ids, date)
    }

    /// How the answer to a request is wrong, by the rules that concern it.
    fn wrongs(&mut self, method: &str, path: &str) -> Vec<Wrong> {
        let rules = &self.settings.answers;
        self.counted.resize(rules.len(), 0);
        let mut wrongs = Vec::new();
        for (rule, counted) in rules.iter().zip(&mut self.counted).filter(|(rule, _)| rule.matches(method, path)) {
            *counted += 1;
            if rule.concerns(*counted) {
                wrongs.push(rule.then.clone());
            }
        }
        wrongs
    }

    /// The fault of the answer for a path.
    pub fn fault(&mut self, path: &str) -> Option<Fault> {
        let faults = &self.settings.faults;
        if !path.contains(&faults.path) {
            return None;
        }
        self.judged += 1;
        faults.draw(self.settings.seed, self.judged)
    }

    /// A little gzip that becomes much; made once.
    pub fn bomb(&mut self) -> Bytes {
        self.bomb.get_or_insert_with(|| squeeze(&vec![b' '; BOMB])).clone()
    }

    /// Notes how a request was answered.
    pub fn note(&mut self, path: &str, status: u16, ids: usize) {
        *self.log.statuses.entry(status).or_default() += 1;
        if ids > 0 {
            let service = path.rsplit_once('/').map_or(path, |(service, _)| service).to_owned();
            *self.log.ids.entry(service).or_default() += u64::try_from(ids).unwrap_or(u64::MAX);
        }
    }
}

/// Parameters of a query string or a form, percent signs decoded.
pub fn parameters(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A form by name; of a name twice the last counts.
pub fn form(body: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}
