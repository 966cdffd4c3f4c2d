//! How long and how often a request is tried again: exponential waits with jitter, bounded in tries and in time.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// The first wait; it doubles from try to try.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// The tries and the time left for one request.
#[derive(Debug)]
pub struct RetryBudget {
    tries: u32,
    most: u32,
    until: Instant,
    random: fastrand::Rng,
}

impl RetryBudget {
    /// The budget of a request that begins now.
    pub fn new(limits: &Limits, seed: u64) -> Self {
        Self {
            tries: 1,
            most: limits.retry_tries.max(1),
            until: Instant::now() + limits.retry_for,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// At most this many tries from now on.
    pub fn at_most(&mut self, tries: u32) {
        self.most = self.most.min(tries);
    }

    /// The tries made, including the current one.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The wait before the next try, or `None` when the budget is spent.
    pub fn another(&mut self) -> Option<Duration> {
        if self.tries >= self.most || Instant::now() >= self.until {
            return None;
        }
        let longest = FIRST.saturating_mul(1 << (self.tries - 1).min(10)).min(LONGEST);
        self.tries += 1;
        // Between half and all of it: never at once, never in step with others.
        Some(longest.mul_f64(0.5 + 0.5 * self.random.f64()))
    }
}
