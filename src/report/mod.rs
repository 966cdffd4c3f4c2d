//! Shows a run to people and machines: bars on a terminal, lines without one, JSON lines, the summary, the report file.
//!
//! Takes events and outcomes, gives text. Writes only to stderr, and does not affect a run.

mod verbosity;
mod text;
mod screen;
mod table;
mod output;
mod progress_lines;
mod lines;
mod progress;
mod json;
mod summary;
mod forecast;
mod hints;
mod brief;
mod reasons;
mod notice;
mod accounts;
mod history;
mod metrics;
mod picture;
mod reference;
mod dbt;

use std::io::IsTerminal;

use crate::event::Events;
use crate::run::Clock;
use crate::secret::Redactor;

pub use accounts::{AccountEnd, accounts_object, accounts_table, total, worst};
pub use brief::BriefReport;
pub use dbt::{MADE_YAML, dbt_sources};
pub use forecast::{forecast_object, forecast_table};
pub use hints::hints;
pub use history::history_table;
pub use json::{LogContext, count, report};
pub use lines::failure_lines;
pub use metrics::metrics;
pub use notice::notice;
pub use output::{json_line, json_page, line, lines};
pub use picture::MADE;
pub use reference::{ReferencePage, meaning_line, reference};
pub use screen::width;
pub use summary::{StatusRow, log_summary, status_table, summary};
pub use table::{TableForm, hanging};
pub use text::{bytes, duration};
pub use verbosity::{Style, Verbosity};

/// A watcher of a run.
pub struct Watch {
    pub events: Events,
    bars: Option<progress::Bars>,
}

impl Watch {
    /// Begins to watch. Secrets that the redactor knows are never shown; JSON lines take the run and the account from
    /// the context.
    pub fn new(style: Style, verbosity: Verbosity, clock: Clock, redactor: Redactor, context: LogContext) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        match style {
            Style::Json => Self { events: json::log(verbosity, clock, redactor, context), bars: None },
            Style::Auto if on_terminal && verbosity == Verbosity::Normal => {
                let bars = progress::Bars::new(clock, redactor);
                Self { events: bars.events(), bars: Some(bars) }
            }
            Style::Auto | Style::Lines => Self { events: lines::log(verbosity, clock, redactor), bars: None },
        }
    }

    /// Ends watching: bars are removed, lines stay.
    pub fn finish(self) {
        if let Some(bars) = self.bars {
            bars.finish();
        }
    }
}
