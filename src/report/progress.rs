//! Bars on a terminal: one per resource at work, and the quota below them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, Events};
use crate::quantity::plural;
use crate::report::lines::line;
use crate::report::output;
use crate::report::verbosity::Verbosity;
use crate::run::Clock;
use crate::secret::Redactor;

/// Redraws are at most this far apart, so that elapsed times advance while a request waits.
const TICK: Duration = Duration::from_millis(250);

/// The bars of a run.
#[derive(Clone)]
pub struct Bars {
    screen: MultiProgress,
    state: Arc<Mutex<State>>,
    clock: Clock,
    redactor: Redactor,
}

struct State {
    resources: HashMap<String, Resource>,
    quota: ProgressBar,
}

struct Resource {
    bar: ProgressBar,
    rows: u64,
    requests: u64,
}

impl Bars {
    pub fn new(clock: Clock, redactor: Redactor) -> Self {
        let screen = MultiProgress::new();
        let quota = screen.add(ProgressBar::new_spinner());
        quota.set_style(style("{msg}"));
        let state = State { resources: HashMap::new(), quota };
        Self { screen, state: Arc::new(Mutex::new(state)), clock, redactor }
    }

    /// Events that move the bars.
    pub fn events(&self) -> Events {
        let bars = self.clone();
        Events::new(move |event| bars.show(event))
    }

    /// Takes the bars off the screen.
    pub fn finish(self) {
        // The terminal may be gone; the run is over anyway.
        let _ = self.screen.clear();
    }

    fn show(&self, event: &Event) {
        let mut state = self.state.lock().expect("no watcher panics");
        match event {
            Event::Started { resource, scan, .. } => {
                let bar = self.screen.insert_before(&state.quota, ProgressBar::new(0));
                bar.set_style(style("{prefix:24} {bar:24}  requests {pos}/{len}  {msg}  {elapsed}"));
                bar.set_prefix(format!("{resource} ({scan})"));
                bar.enable_steady_tick(TICK);
                if let Some(before) = state.resources.insert(resource.clone(), Resource { bar, rows: 0, requests: 0 }) {
                    before.bar.finish_and_clear();
                }
            }
            Event::Expecting { resource, requests } => {
                if let Some(shown) = state.resources.get(resource) {
                    shown.bar.set_length(shown.requests + requests);
                }
            }
            Event::Asked { resource, .. } => {
                if let Some(shown) = state.resources.get_mut(resource) {
                    shown.requests += 1;
                    let expected = shown.bar.length().unwrap_or(0).max(shown.requests);
                    shown.bar.set_length(expected);
                    shown.bar.set_position(shown.requests);
                }
            }
            Event::Spooled { resource, rows, .. } => {
                if let Some(shown) = state.resources.get_mut(resource) {
                    shown.rows += rows;
                    shown.bar.set_message(plural(shown.rows, "row"));
                }
            }
            Event::Quota { remaining, returns_at } => {
                let wait = returns_at.duration_since(self.clock.now()).as_secs().max(0);
                state.quota.set_message(format!("quota: {remaining} left, returns in {wait} s"));
            }
            Event::Waiting { until, .. } => {
                let wait = until.duration_since(self.clock.now()).as_secs().max(0);
                state.quota.set_message(format!("quota: spent, returns in {wait} s"));
            }
            Event::Finished { resource, .. } => {
                if let Some(shown) = state.resources.remove(resource) {
                    shown.bar.finish_and_clear();
                }
                self.say(event);
            }
            Event::NewDestination { .. } | Event::Stopping { .. } | Event::Warning { .. } => self.say(event),
            Event::Begun { .. }
            | Event::Committed { .. }
            | Event::Rejected { .. }
            | Event::Note { .. }
            | Event::Retrying { .. } => {}
        }
    }

    /// A line above the bars.
    fn say(&self, event: &Event) {
        if let Some(text) = line(event, Verbosity::Normal) {
            // As for bars: a terminal that is gone is not a failure.
            let _ = self.screen.println(output::line(&self.redactor, &text));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed").progress_chars("━╸ ")
}
