//! The quota (docs/brightpearl-api.md §3.1): this many requests a minute for all apps of the account together.
//!
//! Time is tokio's, so that tests on a paused clock can drive it; the wall clock is an anchor that moves along.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// How the quota's window moves (docs/brightpearl-api.md §3.3).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaWindow {
    /// Wall-clock minutes, as in every recording.
    #[default]
    Fixed,
    /// The last sixty seconds, as the documentation says.
    Rolling,
}

/// Counts the requests of all apps.
#[derive(Debug)]
pub struct Throttle {
    limit: u32,
    quota: QuotaWindow,
    period: Duration,
    /// Since the last full minute at the anchor.
    into_minute: Duration,
    anchor: Instant,
    minute: u64,
    used: u32,
    recent: VecDeque<Instant>,
}

/// The verdict on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub remaining: u32,
    /// Until requests come back.
    pub returns_in: Duration,
}

impl Throttle {
    /// A quota of `limit` requests a minute (0 is none); `now` is the wall clock's time.
    pub fn new(limit: u32, quota: QuotaWindow, now: Timestamp) -> Self {
        let into_minute = now.as_millisecond().rem_euclid(60_000);
        Self {
            limit,
            quota,
            period: MINUTE,
            into_minute: Duration::from_millis(into_minute.unsigned_abs()),
            anchor: Instant::now(),
            minute: 0,
            used: 0,
            recent: VecDeque::new(),
        }
    }

    /// With a period of this many milliseconds instead of a minute.
    pub fn every(mut self, millis: u64) -> Self {
        self.period = Duration::from_millis(millis.max(1));
        self
    }

    /// Another limit from now on.
    pub fn set(&mut self, limit: u32, quota: QuotaWindow) {
        (self.limit, self.quota) = (limit, quota);
    }

    /// Counts a request with any verdict.
    pub fn ask(&mut self) -> Verdict {
        let now = Instant::now();
        if self.limit == 0 {
            return Verdict { allowed: true, remaining: 199, returns_in: self.period };
        }
        match self.quota {
            QuotaWindow::Fixed => self.ask_fixed(now),
            QuotaWindow::Rolling => self.ask_rolling(now),
        }
    }

    fn ask_fixed(&mut self, now: Instant) -> Verdict {
        let since = now.duration_since(self.anchor) + self.into_minute;
        let minute = u64::try_from(since.as_millis() / self.period.as_millis()).unwrap_or(u64::MAX);
        if minute != self.minute {
            (self.minute, self.used) = (minute, 0);
        }
        let returns_in = self.period * u32::try_from(minute + 1).unwrap_or(u32::MAX) - since;
        let allowed = self.used < self.limit;
        self.used += u32::from(allowed);
        Verdict { allowed, remaining: self.limit - self.used, returns_in }
    }

    fn ask_rolling(&mut self, now: Instant) -> Verdict {
        while self.recent.front().is_some_and(|sent| now.duration_since(*sent) >= self.period) {
            self.recent.pop_front();
        }
        let used = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let allowed = used < self.limit;
        if allowed {
            self.recent.push_back(now);
        }
        let used = used + u32::from(allowed);
        let oldest = self.recent.front().copied().unwrap_or(now);
        Verdict { allowed, remaining: self.limit.saturating_sub(used), returns_in: oldest + self.period - now }
    }
}
