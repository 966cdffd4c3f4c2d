//! The governor: decides when a request may be sent (docs/brightpearl-api.md §3.3).
//!
//! One for the process. A request waits in line until all of these hold: fewer are in flight than allowed; the shared
//! "not before" is past; the last known remaining quota is above the reserve plus the requests in flight; we sent fewer
//! in the last period than the limit minus the reserve; and, at an even pace, its turn in the period has come. The
//! reserve is left to the shop's other apps; if they use more than that, their use takes its place.
//!
//! Holding to our own count of the last period makes it right in fixed minutes and in rolling windows alike.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{Limits, Pace};
use crate::event::{Event, Events};
use crate::fetch::RequestLedger;

/// A throttle wait longer than this is reported.
const WORTH_REPORTING: Duration = Duration::from_secs(2);
/// An even pace may catch up this part of a period at once after it was held up.
const CATCH_UP: f64 = 0.1;
/// A burst keeps one request in this many for the rest of the period.
const SPREAD: u32 = 10;
/// So much of a request is a request.
const ALMOST: f64 = 1e-6;
/// A wait that the source asks for by `Retry-After` and that is longer than this is a mistake; it counts as unsaid.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Timers are no finer than this.
const TICK: Duration = Duration::from_millis(1);

/// The quota as an answer states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub remaining: u32,
    /// Until the period ends; longer than a period is a mistake, and counts as one.
    pub returns_in: Duration,
}

/// The governor. Cheap to share.
#[derive(Clone, Debug)]
pub struct Governor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The head of the queue: its holder is next.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
    state: Mutex<State>,
    reserve: u32,
    period: Duration,
    concurrency: usize,
    pace: Pace,
    events: Events,
}

#[derive(Debug)]
struct State {
    ledger: RequestLedger,
    limit: u32,
    in_flight: usize,
    answered: bool,
    known: Option<Known>,
    not_before: Option<Instant>,
    /// Requests that an even pace has earned, and when it last counted.
    earned: f64,
    counted_at: Option<Instant>,
    /// After a lapse the quota is probed; a probe that finds nothing waits longer each time.
    probe_wait: Duration,
    random: fastrand::Rng,
}

/// The quota as last heard.
#[derive(Clone, Copy, Debug)]
struct Known {
    remaining: u32,
    lapses: Instant,
}

/// The decision on a waiting request.
enum Verdict {
    Go,
    /// Look again then, or when something changes.
    Wait(Option<Instant>),
}

impl Governor {
    /// A governor of these limits; `seed` makes its jitter reproducible.
    pub fn new(limits: &Limits, seed: u64, events: Events) -> Self {
        let state = State {
            ledger: RequestLedger::new(limits.period),
            limit: limits.requests_per_period,
            in_flight: 0,
            answered: false,
            known: None,
            not_before: None,
            earned: 1.0,
            counted_at: None,
            probe_wait: Duration::ZERO,
            random: fastrand::Rng::with_seed(seed),
        };
        Self {
            shared: Arc::new(Shared {
                turn: tokio::sync::Mutex::new(()),
                changed: Notify::new(),
                state: Mutex::new(state),
                reserve: limits.reserve,
                period: limits.period,
                concurrency: limits.concurrency,
                pace: limits.pace,
                events,
            }),
        }
    }

    /// Waits in line until a request may be sent.
    pub async fn admit(&self) -> Permit {
        let shared = &self.shared;
        let _turn = shared.turn.lock().await;
        let mut reported = false;
        loop {
            let changed = shared.changed.notified();
            let now = Instant::now();
            let verdict = shared.state.lock().expect("no holder panics").verdict(now, shared);
            match verdict {
                Verdict::Go => return Permit { shared: Arc::clone(shared), sent: now, settled: false },
                Verdict::Wait(None) => changed.await,
                Verdict::Wait(Some(until)) => {
                    let wait = until.saturating_duration_since(now);
                    if wait > WORTH_REPORTING && !reported {
                        reported = true;
                        let until = jiff::Timestamp::now().saturating_add(wait).unwrap_or(jiff::Timestamp::MAX);
                        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                        shared.events.tell(Event::Waiting { until, millis });
                    }
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = changed => {}
                    }
                }
            }
        }
    }
}

impl State {
    fn verdict(&mut self, now: Instant, shared: &Shared) -> Verdict {
        self.ledger.forget(now);
        if self.in_flight >= shared.concurrency {
            return Verdict::Wait(None);
        }
        if !self.answered && self.in_flight > 0 {
            // Nothing is known yet: the first answer states the remaining quota.
            return Verdict::Wait(None);
        }
        if let Some(until) = self.not_before.filter(|until| *until > now) {
            return Verdict::Wait(Some(until));
        }
        let in_flight = u32::try_from(self.in_flight).unwrap_or(u32::MAX);
        let known = self.known.filter(|known| known.lapses > now);
        if let Some(known) = known {
            let floor = shared.reserve.max(self.ledger.others_until(now, known.lapses));
            if known.remaining <= floor.saturating_add(in_flight) {
                return Verdict::Wait(Some(known.lapses + self.jitter(shared.period)));
            }
        }
        if self.limit == 0 {
            return self.go(now);
        }
        let budget = self.limit.saturating_sub(shared.reserve.max(self.ledger.others()));
        if self.ledger.recent(now) >= budget {
            let frees = self.ledger.frees_at(now);
            // Others seem to use all: ask once in a while whether that still holds.
            let probe = self.known.map(|known| known.lapses + self.probe_wait).filter(|_| budget == 0);
            return match (frees, probe) {
                (_, Some(at)) if at <= now && self.in_flight == 0 => self.go(now),
                (Some(at), None) | (None, Some(at)) => Verdict::Wait(Some(at)),
                (Some(a), Some(b)) => Verdict::Wait(Some(a.min(b).max(now + shared.period / 600))),
                (None, None) => self.go(now),
            };
        }
        match shared.pace {
            // Some requests are kept to be spread over the period: their answers show the use by others.
            Pace::Burst if self.ledger.has_watched(now) && self.ledger.recent(now) < budget - budget / SPREAD => {
                self.go(now)
            }
            Pace::Burst => self.go_evenly(now, budget, known, in_flight, shared),
            Pace::Even => self.go_evenly(now, budget, known, in_flight, shared),
        }
    }

    fn go(&mut self, now: Instant) -> Verdict {
        self.in_flight += 1;
        self.ledger.send(now);
        Verdict::Go
    }

    /// Requests are earned at the rate that spreads the budget over the rest of the period.
    fn go_evenly(
        &mut self,
        now: Instant,
        budget: u32,
        known: Option<Known>,
        in_flight: u32,
        shared: &Shared,
    ) -> Verdict {
        let full = f64::from(budget) / shared.period.as_secs_f64();
        let rate = known.map_or(full, |known| {
            let floor = shared.reserve.max(self.ledger.others_until(now, known.lapses));
            let left = known.lapses.saturating_duration_since(now).as_secs_f64().max(0.001);
            full.min(f64::from(known.remaining.saturating_sub(floor).saturating_sub(in_flight)) / left)
        });
        let since = self.counted_at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.counted_at = Some(now);
        self.earned = (self.earned + since * rate).min((f64::from(budget) * CATCH_UP).max(1.0));
        // A request that is whole except for rounding counts as one: the wait for it would be zero, again and again.
        if self.earned >= 1.0 - ALMOST {
            self.earned = (self.earned - 1.0).max(0.0);
            return self.go(now);
        }
        let wait = Duration::try_from_secs_f64((1.0 - self.earned) / rate.max(0.001)).unwrap_or(shared.period);
        Verdict::Wait(Some(now + wait.clamp(TICK, shared.period)))
    }

    /// A little after a period's end: clocks differ, and not all should wake at once.
    fn jitter(&mut self, period: Duration) -> Duration {
        period.mul_f64(0.002 + 0.008 * self.random.f64())
    }
}

/// Permission to send one request; returned with the quota of the answer.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    sent: Instant,
    settled: bool,
}

impl Permit {
    /// When the request was let go.
    pub fn sent(&self) -> Instant {
        self.sent
    }

    /// The answer came, with or without word of the quota.
    pub fn answered(self, quota: Option<Quota>) {
        let sent = self.sent;
        self.settle(|state, now, shared| {
            let Some(mut quota) = quota else { return };
            quota.returns_in = quota.returns_in.min(shared.period);
            state.learn(now, sent, quota, shared);
            let returns_at = jiff::Timestamp::now().saturating_add(quota.returns_in).unwrap_or(jiff::Timestamp::MAX);
            shared.events.tell(Event::Quota { remaining: quota.remaining, reserve: shared.reserve, returns_at });
        });
    }

    /// The source refused for haste (503, 429): all requests wait until the period ends, or for the stated time, an
    /// hour at most.
    pub fn throttled(self, wait: Option<Duration>) {
        self.settle(|state, now, shared| {
            let wait = wait.filter(|wait| *wait <= LONGEST_WAIT).unwrap_or(shared.period);
            let until = now + wait + state.jitter(shared.period);
            state.not_before = Some(state.not_before.map_or(until, |known| known.max(until)));
        });
    }

    /// Returns the place in flight, records the quota of the answer, and wakes the next in line.
    fn settle(mut self, note: impl FnOnce(&mut State, Instant, &Shared)) {
        self.settled = true;
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock().expect("no holder panics");
        state.in_flight -= 1;
        state.answered = true;
        note(&mut state, Instant::now(), &shared);
        drop(state);
        shared.changed.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.state.lock().expect("no holder panics").in_flight -= 1;
            self.shared.changed.notify_one();
        }
    }
}

impl State {
    fn learn(&mut self, now: Instant, sent: Instant, quota: Quota, shared: &Shared) {
        // The header was written when the answer was: the period ends at the latest so long after its arrival.
        let lapses = now + quota.returns_in;
        if self.limit > 0 {
            let own = self.ledger.learn(now, sent, self.limit, quota.remaining, lapses);
            // An account with a higher limit shows it.
            self.limit = self.limit.max(quota.remaining.saturating_add(own));
        }
        let tolerance = shared.period / 20;
        self.known = match self.known {
            Some(known) if known.lapses > now && lapses + tolerance < known.lapses => Some(known),
            Some(known) if known.lapses > now && lapses <= known.lapses + tolerance => {
                Some(Known { remaining: known.remaining.min(quota.remaining), lapses: known.lapses.min(lapses) })
            }
            _ => Some(Known { remaining: quota.remaining, lapses }),
        };
        self.probe_wait = if quota.remaining > shared.reserve {
            Duration::ZERO
        } else {
            (self.probe_wait * 2).clamp(shared.period / 60, shared.period / 4)
        };
    }
}
