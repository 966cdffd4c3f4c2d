//! The account around a record: the ids of every resource, and the business.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use crate::rules::{self, Trade};
use crate::seed::hash;
use crate::settings::SandboxSettings;

/// Attempts at an id that was used.
const TRIES: i64 = 50;

/// The account around a record.
#[derive(Clone, Debug)]
pub struct World {
    pub seed: u64,
    pub zone: TimeZone,
    /// The ids of every resource, by name.
    pub spans: IdSpans,
    /// The rules that tie records to each other.
    pub trade: Trade,
    /// Bytes that the description of each product is filled up to.
    pub text_bytes: usize,
}

/// The ids of a resource as they are made from the seed.
#[derive(Clone, Copy, Debug)]
pub struct IdSpan {
    pub first: i64,
    pub greatest: i64,
    /// Ids never used, in a hundred; [`IN_BLOCKS`]: one in each block, as the rules count.
    pub gaps: u64,
    pub salt: u64,
}

/// The gaps of records that belong to orders.
pub const IN_BLOCKS: u64 = u64::MAX;

/// The ids of every resource, by name.
pub type IdSpans = HashMap<String, IdSpan>;

impl IdSpan {
    /// Whether an id was never used.
    pub fn is_gap(&self, seed: u64, id: i64) -> bool {
        if self.gaps == IN_BLOCKS {
            return rules::is_gap(seed, self.salt, id);
        }
        hash(seed, id, self.salt) % 100 < self.gaps
    }

    /// How many of the ids up to this one were used.
    pub fn used(&self, seed: u64, to: i64) -> i64 {
        let to = to.min(self.greatest);
        match self.gaps {
            _ if to < self.first => 0,
            0 => to - self.first + 1,
            IN_BLOCKS => rules::used(seed, self.salt, to),
            _ => i64::try_from((self.first..=to).filter(|id| !self.is_gap(seed, *id)).count()).expect("it is a count"),
        }
    }

    /// An id that was used.
    pub fn choose(&self, seed: u64, roll: u64) -> Option<i64> {
        let count = u64::try_from(self.greatest - self.first + 1).ok().filter(|count| *count > 0)?;
        let start = i64::try_from(roll % count).ok()?;
        let length = self.greatest - self.first + 1;
        (0..TRIES).map(|step| self.first + (start + step) % length).find(|id| !self.is_gap(seed, *id))
    }
}

impl World {
    /// The account of these settings, with these ids, that begins to serve at this instant.
    pub fn new(settings: &SandboxSettings, zone: TimeZone, spans: IdSpans, start: i64) -> Self {
        let greatest = |name: &str| spans.get(name).map(|span| (span.salt, span.greatest));
        let trade = Trade::new(settings.seed, start, i64::from(settings.history), greatest);
        let trade =
            Trade { negative_credits: settings.negative_credits, dated_movements: settings.dated_movements, ..trade };
        Self { seed: settings.seed, zone, trade, spans, text_bytes: settings.text_bytes }
    }
}
