//! The source's clock as its answers show it (`Date`), beside ours.
//!
//! Takes the `Date` of each answer, gives instants by either clock. A clock more than an hour off is reported once a
//! run, and so is an answer without a date; neither fails.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::event::{Event, Events};

/// The difference of clocks above which it is reported.
const APART: SignedDuration = SignedDuration::from_hours(1);

/// The source's clock beside ours, for one run.
#[derive(Debug)]
pub struct SourceClock {
    begun: Mutex<Begun>,
    heard: Mutex<Heard>,
    events: Events,
}

/// Our clock: an instant, and the readings of the machine's clocks at it.
#[derive(Clone, Copy, Debug)]
struct Begun {
    start: Timestamp,
    wall: Timestamp,
    steady: Instant,
}

/// The source's clock less ours, as heard.
#[derive(Debug, Default)]
struct Heard {
    first: Option<SignedDuration>,
    last: Option<SignedDuration>,
    least: SignedDuration,
    reported_apart: bool,
    reported_missing: bool,
}

impl SourceClock {
    /// The clocks of a run that begins now, by the machine's clock.
    pub fn new(events: Events) -> Self {
        Self { begun: Mutex::new(Begun::at(Timestamp::now())), heard: Mutex::default(), events }
    }

    /// Takes this instant for now, by our clock.
    pub fn set(&self, now: Timestamp) {
        *self.begun.lock().expect("no holder panics") = Begun::at(now);
    }

    /// Our clock. A suspension of the machine and a correction of its clock are followed; it never goes back.
    pub fn ours(&self) -> Timestamp {
        let begun = *self.begun.lock().expect("no holder panics");
        let steady = SignedDuration::try_from(begun.steady.elapsed()).unwrap_or(SignedDuration::ZERO);
        let passed = steady.max(Timestamp::now().duration_since(begun.wall));
        begun.start.saturating_add(passed).unwrap_or(begun.start)
    }

    /// The source's clock, once it was heard in this run.
    pub fn theirs(&self) -> Option<Timestamp> {
        let ahead = self.heard.lock().expect("no holder panics").last?;
        self.ours().saturating_add(ahead).ok()
    }

    /// An instant of ours by the earlier of both clocks, going by every answer so far.
    pub fn earliest(&self, ours: Timestamp) -> Timestamp {
        let least = self.heard.lock().expect("no holder panics").least;
        ours.saturating_add(least.min(SignedDuration::ZERO)).unwrap_or(ours)
    }

    /// The instant now by the earlier of both clocks, based on the first answer: a single wrong `Date` does not change
    /// the order of requests. A clock that was set back by less than an hour since is followed, because later changes
    /// have its dates.
    pub fn steadily(&self, date: Timestamp) -> Timestamp {
        let ours = self.ours();
        let first = self.heard.lock().expect("no holder panics").first.unwrap_or_default();
        let steady = ours.saturating_add(first.min(SignedDuration::ZERO)).unwrap_or(ours);
        let back = steady.duration_since(date);
        if back.is_positive() && back <= APART { date } else { steady }
    }

    /// Takes the `Date` of an answer that came now; gives the source's clock, as last heard where there is no date, and
    /// ours where it never was.
    pub fn hear(&self, date: Option<Timestamp>) -> Timestamp {
        let ours = self.ours();
        let Some(date) = date else {
            let known = self.theirs();
            let mut heard = self.heard.lock().expect("no holder panics");
            if !std::mem::replace(&mut heard.reported_missing, true) {
                let instead = if known.is_some() { "it is taken as last heard" } else { "ours is used instead" };
                let text = format!("an answer without a legible `Date` does not show the source's clock: {instead}");
                self.events.tell(Event::Warning { resource: None, text });
            }
            return known.unwrap_or(ours);
        };
        let ahead = date.duration_since(ours);
        let mut heard = self.heard.lock().expect("no holder panics");
        heard.first.get_or_insert(ahead);
        heard.last = Some(ahead);
        heard.least = heard.least.min(ahead);
        if ahead.abs() > APART && !std::mem::replace(&mut heard.reported_apart, true) {
            self.events.tell(Event::Warning { resource: None, text: apart(date, ours) });
        }
        date
    }
}

impl Begun {
    fn at(start: Timestamp) -> Self {
        Self { start, wall: Timestamp::now(), steady: Instant::now() }
    }
}

/// The warning for clocks that differ.
fn apart(theirs: Timestamp, ours: Timestamp) -> String {
    let ahead = theirs.duration_since(ours);
    let way = if ahead.is_negative() { "behind" } else { "ahead of" };
    let by = humantime::format_duration(std::time::Duration::from_secs(ahead.abs().as_secs().unsigned_abs()));
    format!(
        "the source's clock ({theirs:.0}) is {by} {way} ours ({ours:.0}): one of them is wrong. The next changes are \
         requested from the earlier of both, which costs requests and loses nothing; check the clock of this machine"
    )
}
