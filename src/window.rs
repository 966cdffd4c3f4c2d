//! A span of time requested from the source: `[from, to)`, either end open.
//!
//! Gives the text of a PERIOD filter (docs/brightpearl-api.md §4.3) and judges whether an instant is inside. Bounds may
//! be inclusive or not at the source, so a window is requested one second wider and cut on our side.

use jiff::{SignedDuration, Timestamp};

/// Wider by this on either side when asked: the source's values are whole seconds (docs/brightpearl-api.md §4.3).
const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// `[from, to)` in UTC; `None` is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

impl Window {
    /// Everything at or after `from`.
    pub fn since(from: Timestamp) -> Self {
        Self { from: Some(from), to: None }
    }

    /// `[from, to)`.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self { from: Some(from), to: Some(to) }
    }

    /// The filter value, one second wider: `2026-07-01T00:00:00.000Z/…`, UTC, `/` and `:` raw.
    pub fn period(&self) -> String {
        let edge = |at: Option<Timestamp>, slack: SignedDuration| {
            at.map(|at| millis(at.saturating_add(slack).unwrap_or(at))).unwrap_or_default()
        };
        format!("{}/{}", edge(self.from, -SLACK), edge(self.to, SLACK))
    }

    /// Whether an instant may come back for [`Window::period`]: the window one second wider, bounds included.
    pub fn admits(&self, at: Timestamp) -> bool {
        // Bounds are cut to the millisecond when sent, so another millisecond is allowed.
        let slack = SLACK + SignedDuration::from_millis(1);
        self.from.is_none_or(|from| at.duration_since(from) >= -slack)
            && self.to.is_none_or(|to| at.duration_since(to) <= slack)
    }

    /// Whether an instant is in `[from, to)`.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    /// The two halves of a closed window, or `None` when it is open or no wider than a second.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let (from, to) = (self.from?, self.to?);
        let width = to.duration_since(from);
        if width <= SignedDuration::from_secs(1) {
            return None;
        }
        let middle = from.checked_add(width / 2).ok()?;
        Some((Self::between(from, middle), Self::between(middle, to)))
    }
}

/// An instant as the source takes it: `2026-07-01T00:00:00.000Z`.
pub fn millis(at: Timestamp) -> String {
    format!("{at:.3}")
}
