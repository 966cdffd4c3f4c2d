//! Progress on a terminal: a line for each active resource, one for the whole run, and the quota.
//!
//! Takes events, gives lines for the width that the terminal has when they are drawn: the lines are made anew at each tick.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use jiff::Timestamp;

use crate::event::{Event, Events};
use crate::report::lines::line;
use crate::report::output;
use crate::report::progress_lines::{QuotaLine, RequestProgress, ResourceLine, TotalLine};
use crate::report::screen::width;
use crate::report::table::hanging;
use crate::report::verbosity::Verbosity;
use crate::run::Clock;
use crate::secret::Redactor;

/// Redraws are so far apart.
const TICK: Duration = Duration::from_millis(250);

/// The progress of a run on a terminal.
#[derive(Clone)]
pub struct Bars {
    screen: MultiProgress,
    counts: Arc<Mutex<Counts>>,
    bars: Arc<Mutex<BTreeMap<String, ProgressBar>>>,
    total: ProgressBar,
    quota: ProgressBar,
    redactor: Redactor,
}

/// The numbers of a run.
struct Counts {
    clock: Clock,
    began: Instant,
    resources: usize,
    ended: BTreeSet<String>,
    active: BTreeMap<String, Active>,
    requests: u64,
    /// Requests of steps that have ended.
    settled: u64,
    records: u64,
    rows: u64,
    quota: Option<Quota>,
}

/// A resource at work.
struct Active {
    scan: String,
    requests: RequestProgress,
    records: u64,
    began: Instant,
}

/// The quota as last heard; `left` is none while requests wait.
#[derive(Clone, Copy)]
struct Quota {
    left: Option<(u32, u32)>,
    until: Timestamp,
}

impl Counts {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Begun { resources, .. } => self.resources = *resources,
            Event::Started { resource, scan, requests, .. } => {
                let requests = RequestProgress { made: 0, of: *requests };
                let active = Active { scan: scan.clone(), requests, records: 0, began: Instant::now() };
                self.ended.remove(resource);
                if let Some(before) = self.active.insert(resource.clone(), active) {
                    self.settled += before.requests.made;
                }
            }
            Event::Expecting { resource, requests } => {
                if let Some(active) = self.active.get_mut(resource) {
                    active.requests.of = Some(active.requests.made + requests);
                }
            }
            Event::Asked { resource, .. } => {
                self.requests += 1;
                match self.active.get_mut(resource) {
                    Some(active) => active.requests.made += 1,
                    None => self.settled += 1,
                }
            }
            Event::Spooled { resource, records, rows } => {
                self.records += records;
                self.rows += rows;
                if let Some(active) = self.active.get_mut(resource) {
                    active.records += records;
                }
            }
            Event::Quota { remaining, reserve, returns_at } => {
                self.quota = Some(Quota { left: Some((*remaining, *reserve)), until: *returns_at });
            }
            Event::Waiting { until, .. } => self.quota = Some(Quota { left: None, until: *until }),
            Event::Finished { resource, .. } => {
                if let Some(active) = self.active.remove(resource) {
                    self.settled += active.requests.made;
                }
                self.ended.insert(resource.clone());
            }
            Event::NewDestination { .. }
            | Event::Stopping { .. }
            | Event::Retrying { .. }
            | Event::Committed { .. }
            | Event::Rejected { .. }
            | Event::Warning { .. }
            | Event::Note { .. } => {}
        }
    }

    fn resource(&self, name: &str, width: usize) -> String {
        let Some(active) = self.active.get(name) else { return String::new() };
        let columns = self.active.iter().map(|(name, active)| ResourceLine::name_columns(name, &active.scan));
        let line = ResourceLine {
            name,
            scan: &active.scan,
            requests: active.requests,
            records: active.records,
            elapsed: active.began.elapsed(),
            names: columns.max().unwrap_or(0),
        };
        line.text(width)
    }

    fn total(&self, width: usize) -> String {
        let known: u64 =
            self.active.values().map(|active| active.requests.of.unwrap_or(0).max(active.requests.made)).sum();
        let of = self.settled + known;
        let to_come = of.saturating_sub(self.requests);
        let each = self.began.elapsed().checked_div(u32::try_from(self.requests).unwrap_or(u32::MAX));
        let left =
            each.filter(|_| to_come > 0).map(|each| each.saturating_mul(u32::try_from(to_come).unwrap_or(u32::MAX)));
        let line = TotalLine {
            ended: self.ended.len(),
            resources: self.resources.max(self.ended.len()),
            requests: RequestProgress { made: self.requests, of: Some(of) },
            left,
            records: self.records,
            rows: self.rows,
        };
        line.text(width)
    }

    fn quota(&self, width: usize) -> String {
        let Some(quota) = self.quota else { return String::new() };
        let wait = quota.until.duration_since(self.clock.now()).try_into().unwrap_or_default();
        match quota.left {
            Some((remaining, reserve)) => QuotaLine::Left { remaining, reserve, wait }.text(width),
            None => QuotaLine::Spent { wait }.text(width),
        }
    }
}

impl Bars {
    pub fn new(clock: Clock, redactor: Redactor) -> Self {
        let screen = MultiProgress::new();
        let counts = Arc::new(Mutex::new(Counts {
            clock,
            began: Instant::now(),
            resources: 0,
            ended: BTreeSet::new(),
            active: BTreeMap::new(),
            requests: 0,
            settled: 0,
            records: 0,
            rows: 0,
            quota: None,
        }));
        let total = screen.add(bar(&counts, Counts::total));
        let quota = screen.add(bar(&counts, Counts::quota));
        for shown in [&total, &quota] {
            shown.enable_steady_tick(TICK);
        }
        Self { screen, counts, bars: Arc::default(), total, quota, redactor }
    }

    /// Events that move the lines.
    pub fn events(&self) -> Events {
        let bars = self.clone();
        Events::new(move |event| bars.show(event))
    }

    /// Takes the lines off the screen.
    pub fn finish(self) {
        let left = std::mem::take(&mut *self.bars.lock().expect("no watcher panics"));
        left.values().chain([&self.total, &self.quota]).for_each(ProgressBar::finish_and_clear);
        // The terminal may be gone; the run is over anyway.
        let _ = self.screen.clear();
    }

    fn show(&self, event: &Event) {
        // Released before a line is drawn, which reads the counts.
        self.counts.lock().expect("no watcher panics").note(event);
        match event {
            Event::Started { resource, .. } => {
                let mut bars = self.bars.lock().expect("no watcher panics");
                bars.entry(resource.clone()).or_insert_with(|| {
                    let name = resource.clone();
                    let made = bar(&self.counts, move |counts, width| counts.resource(&name, width));
                    let shown = self.screen.insert_before(&self.total, made);
                    shown.enable_steady_tick(TICK);
                    shown
                });
            }
            Event::Finished { resource, .. } => {
                let shown = self.bars.lock().expect("no watcher panics").remove(resource);
                if let Some(shown) = shown {
                    shown.finish_and_clear();
                    self.screen.remove(&shown);
                }
                self.say(event);
            }
            Event::NewDestination { .. } | Event::Stopping { .. } | Event::Warning { .. } => self.say(event),
            Event::Begun { .. }
            | Event::Expecting { .. }
            | Event::Asked { .. }
            | Event::Quota { .. }
            | Event::Waiting { .. }
            | Event::Retrying { .. }
            | Event::Spooled { .. }
            | Event::Committed { .. }
            | Event::Rejected { .. }
            | Event::Note { .. } => {}
        }
    }

    /// A line above the others.
    fn say(&self, event: &Event) {
        if let Some(text) = line(event, Verbosity::Normal) {
            let columns = width(&std::io::stderr()).unwrap_or(usize::MAX).saturating_sub(1);
            for part in hanging(&output::line(&self.redactor, &text), columns) {
                // A terminal that is gone is not a failure.
                let _ = self.screen.println(part);
            }
        }
    }
}

/// A line that is made when it is drawn.
fn bar(
    counts: &Arc<Mutex<Counts>>,
    text: impl Fn(&Counts, usize) -> String + Clone + Send + Sync + 'static,
) -> ProgressBar {
    let counts = Arc::clone(counts);
    let draw = move |_: &ProgressState, out: &mut dyn Write| {
        // The last column stays empty: some terminals begin a new line after it.
        let columns = width(&std::io::stderr()).unwrap_or_default().saturating_sub(1);
        let _ = out.write_str(&text(&counts.lock().expect("no watcher panics"), columns));
    };
    let style = ProgressStyle::with_template("{line}").expect("the template is well formed");
    ProgressBar::new_spinner().with_style(style.with_key("line", draw))
}
