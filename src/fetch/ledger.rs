//! Our requests in the last period, and the estimated use by others: the arithmetic of the quota.
//!
//! A period ends when the source states (`brightpearl-next-throttle-period`), and began one period's length before.
//! This is true for fixed minutes and for a rolling window alike: there the header counts down to the oldest call's
//! leaving, which was made one period before it leaves.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Sends of the last period, and the use of others.
#[derive(Debug)]
pub struct RequestLedger {
    period: Duration,
    sent: VecDeque<Instant>,
    /// Requests of others before our first answer: they show no rate.
    before_us: Option<Before>,
    /// Others' use in the current period, so far.
    now: u32,
    /// Others' use in the period before, whole.
    last: u32,
    /// The end of the current period.
    ends: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    ends: Instant,
    used: u32,
    at: Instant,
}

impl RequestLedger {
    pub fn new(period: Duration) -> Self {
        Self { period, sent: VecDeque::new(), before_us: None, now: 0, last: 0, ends: None }
    }

    /// Notes a request sent now.
    pub fn send(&mut self, now: Instant) {
        self.sent.push_back(now);
    }

    /// Forgets entries older than two periods: an answer may speak of the period before.
    pub fn forget(&mut self, now: Instant) {
        let horizon = self.period * 2;
        while self.sent.front().is_some_and(|sent| now.duration_since(*sent) > horizon) {
            self.sent.pop_front();
        }
    }

    /// Our requests in the period up to now.
    pub fn recent(&self, now: Instant) -> u32 {
        self.count(|sent| now.duration_since(sent) < self.period)
    }

    /// When the place of the oldest request of the last period comes free.
    pub fn frees_at(&self, now: Instant) -> Option<Instant> {
        self.sent.iter().find(|sent| now.duration_since(**sent) < self.period).map(|sent| *sent + self.period)
    }

    fn count(&self, counts: impl Fn(Instant) -> bool) -> u32 {
        u32::try_from(self.sent.iter().filter(|sent| counts(**sent)).count()).unwrap_or(u32::MAX)
    }

    /// Learns from an answer to a request sent at `sent`: this many remain of `limit`, and the period ends then. Gives
    /// our own use of that period.
    pub fn learn(&mut self, now: Instant, sent: Instant, limit: u32, remaining: u32, ends: Instant) -> u32 {
        let began = ends.checked_sub(self.period).unwrap_or(sent);
        let own = self.count(|at| at >= began && at <= sent).max(1);
        let others = limit.saturating_sub(remaining).saturating_sub(own);
        let tolerance = self.period / 20;
        let same = self.ends.is_some_and(|known| ends <= known + tolerance && ends + tolerance >= known);
        if !same && self.ends.is_some_and(|known| ends < known) {
            return own;
        }
        if !same {
            // A period that we saw from its first quarter on is a fair measure of the next.
            self.last = self.now;
            self.now = 0;
        }
        self.ends = Some(ends);
        let before = *self.before_us.get_or_insert(Before { ends, used: others, at: now });
        let in_first = before.ends <= ends + tolerance && ends <= before.ends + tolerance;
        if in_first {
            let seen = others.saturating_sub(before.used);
            let span = now.duration_since(before.at).as_secs_f64() / self.period.as_secs_f64();
            // The use in a part of the period is scaled to the whole, once the part is a quarter.
            self.now = if span >= 0.25 { scale(seen, span) } else { 0 };
        } else {
            // Requests are assumed to be even: most of a period represents all of it.
            let span = now.saturating_duration_since(began).as_secs_f64() / self.period.as_secs_f64();
            self.now = self.now.max(if span >= 0.5 { scale(others, span) } else { others });
        }
        own
    }

    /// Whether others have been watched for as long as a period.
    pub fn has_watched(&self, now: Instant) -> bool {
        self.before_us.is_some_and(|before| now.duration_since(before.at) >= self.period)
    }

    /// The expected use by others in a whole period.
    pub fn others(&self) -> u32 {
        self.now.max(self.last)
    }

    /// The expected use by others until the period ends.
    pub fn others_until(&self, now: Instant, ends: Instant) -> u32 {
        let left = ends.saturating_duration_since(now).as_secs_f64() / self.period.as_secs_f64();
        let share = f64::from(self.others()) * left.min(1.0);
        // Rounded up: a request too few is better than one of the shop's refused.
        (0..=self.others()).find(|whole| f64::from(*whole) >= share).unwrap_or_else(|| self.others())
    }
}

/// `seen` in a part of a period, as of the whole.
fn scale(seen: u32, part: f64) -> u32 {
    let whole = f64::from(seen) / part.min(1.0);
    (seen..=seen.saturating_mul(4)).find(|count| f64::from(*count) >= whole).unwrap_or(seen)
}
