//! The sections of the page in words: the verdict, the runs, the resources, the days, the findings, the plan.
//!
//! Takes the content, gives texts; they are cleaned by [`Words::text`] and escaped by the template.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::failure::Result;
use crate::history::HistoryRow;
use crate::page::attention::missing;
use crate::page::input::PageInput;
use crate::page::kept::ReportedFindings;
use crate::page::past::{changed, day, instant, number, text};
use crate::page::plots::{Plot, PlotUnit, nth, plot};
use crate::quantity::{self, plural};
use crate::report::{StatusRow, bytes, duration, line};

/// Days that plots show at least.
const LEAST_DAYS: i32 = 7;
/// Steps of a plan that the page lists.
const STEPS: usize = 300;

/// A word about a state, with the class of its colour.
#[derive(Clone, Debug)]
pub struct StateWord {
    pub word: &'static str,
    pub class: &'static str,
}

/// A line of a table of the page.
#[derive(Clone, Debug)]
pub struct PageLine {
    /// The header of the line.
    pub head: String,
    pub verdict: Option<StateWord>,
    pub cells: Vec<String>,
    /// A text below the line, over all columns.
    pub note: Option<String>,
}

/// The writer of the words of a page.
pub struct Words<'a>(pub &'a PageInput<'a>);

impl Words<'_> {
    /// A text without secrets and without characters that steer.
    pub fn text(&self, text: &str) -> String {
        line(self.0.redactor, text)
    }

    /// The last run that read the source, in a word and a sentence.
    pub fn last_run(&self) -> (StateWord, String) {
        let Some(run) = self.0.past.last_run() else {
            let text = format!("The history has no run of the last {}.", plural(self.0.days, "day"));
            return (StateWord { word: "None", class: "note" }, text);
        };
        let verdict = ended(run);
        let started = instant(run, "started_at");
        let began = started.map(|at| format!("{}, {}", minute(at), self.ago(at))).unwrap_or_default();
        let did = match number(run, "resources") {
            0 => "it processed no resource".to_owned(),
            all => {
                let failed = quantity::number(number(run, "failed"));
                format!("{} changed, {failed} of {} failed", plural(changed(run), "row"), plural(all, "resource"))
            }
        };
        let (command, took, code) = (text(run, "command"), duration(took(run)), number(run, "exit_code"));
        let mut sentence = format!("{command} began {began}, took {took} and ended with exit code {code}: {did}.");
        let good = self.0.past.runs.iter().find(|run| number(run, "exit_code") == 0 && text(run, "command") == "run");
        if number(run, "exit_code") != 0 {
            let last = good.and_then(|run| instant(run, "finished_at"));
            sentence.push_str(&last.map_or_else(
                || " No listed run succeeded.".to_owned(),
                |at| format!(" The last run that succeeded ended {}, {}.", minute(at), self.ago(at)),
            ));
        }
        (verdict, self.text(&sentence))
    }

    /// The last runs.
    pub fn runs(&self) -> Vec<PageLine> {
        let line = |run: &HistoryRow| PageLine {
            head: instant(run, "started_at").map(minute).unwrap_or_default(),
            verdict: Some(ended(run)),
            cells: vec![
                self.text(text(run, "command")),
                number(run, "exit_code").to_string(),
                duration(took(run)),
                quantity::number(changed(run)),
                quantity::number(number(run, "requests")),
                bytes(number(run, "bytes_written")),
                quantity::number(number(run, "retries")),
            ],
            note: Some(self.text(text(run, "reason"))).filter(|reason| !reason.is_empty()),
        };
        self.0.past.runs.iter().map(line).collect()
    }

    /// Freshness and completeness of each resource.
    pub fn resources(&self) -> Vec<PageLine> {
        self.0.resources.iter().map(|row| self.resource(row)).collect()
    }

    fn resource(&self, row: &StatusRow) -> PageLine {
        let past = self.0.past.resources.get(&row.resource);
        let failed = past.is_some_and(|past| text(&past.last, "ended") == "failed");
        let is_unreadable = self.0.unreadable.iter().any(|(name, _)| *name == row.resource);
        let state = row.head.as_ref().map(|head| &head.state);
        let (word, class) = match (state, row.stale.is_some()) {
            _ if is_unreadable => ("damaged", "bad"),
            _ if failed => ("failed", "bad"),
            (None, _) => ("not loaded", "warn"),
            (Some(state), _) if state.completed_at.is_none() => ("loading", "warn"),
            (Some(_), true) => ("late", "warn"),
            (Some(_), false) if missing(row).is_some() => ("incomplete", "warn"),
            (Some(_), false) => ("complete", "good"),
        };
        // The earlier of the two clocks, by which a resource is late, too.
        let scanned = |at: Timestamp, ours: Option<Timestamp>| ours.map_or(at, |ours| ours.min(at));
        let completed = state.and_then(|state| Some(scanned(state.completed_at?, state.clocks.completed_at)));
        let counted = state.map(|state| (&state.count, state.count.at_source.filter(|_| !state.count.unreliable)));
        let complete = match counted {
            Some((count, Some(at_source))) => {
                let explained = count.explained.filter(|explained| *explained != 0);
                let explained = explained.map(|rows| format!(", {rows} explained")).unwrap_or_default();
                format!("{} of {}{explained}", quantity::number(count.held), quantity::number(at_source))
            }
            _ => "not counted".to_owned(),
        };
        let head = row.head.as_ref();
        let size: u64 = head.map(|head| head.files().map(|file| file.bytes).sum()).unwrap_or_default();
        let success = past.and_then(|past| past.success);
        let pending = state.map_or(0, |state| quantity::count(state.pending.len()));
        PageLine {
            head: self.text(&row.resource),
            verdict: Some(StateWord { word, class }),
            cells: vec![
                completed.map_or_else(|| "never".to_owned(), |at| self.ago(at)),
                state.and_then(|state| state.watermark).map_or_else(|| "–".to_owned(), minute),
                success.map_or_else(|| "–".to_owned(), minute),
                complete,
                quantity::number(head.map(|head| head.rows()).unwrap_or_default()),
                bytes(size),
                quantity::number(pending),
            ],
            note: None,
        }
    }

    /// The plots by day.
    pub fn plots(&self) -> Result<Vec<Plot>> {
        let (first, count) = self.days();
        let past = &self.0.past;
        let dates = || (0..count).map(|place| nth(first, place));
        let of = |member: fn(&crate::page::past::DayTotals) -> u64| -> Vec<u64> {
            dates().map(|date| past.days.get(&date).map_or(0, member)).collect()
        };
        let stored: Vec<u64> = dates().map(|date| past.rows_until(date)).collect();
        let sum = |title, unit, values: Vec<u64>| plot(title, unit, true, first, &values);
        Ok(vec![
            plot("Rows stored", PlotUnit::Number, false, first, &stored)?,
            sum("Rows changed", PlotUnit::Number, of(|day| day.changed))?,
            sum("Bytes written", PlotUnit::Bytes, of(|day| day.bytes_written))?,
            sum("Requests, of the quota", PlotUnit::Number, of(|day| day.requests))?,
            sum("Waited for the quota", PlotUnit::Millis, of(|day| day.quota_wait_millis))?,
            sum("Retries", PlotUnit::Number, of(|day| day.retries))?,
            sum("Waited before retries", PlotUnit::Millis, of(|day| day.retry_wait_millis))?,
            sum("Runs with a failure", PlotUnit::Number, of(|day| day.failed))?,
        ])
    }

    /// The first day of the plots, and the number of days: from the first run on, at least a week.
    fn days(&self) -> (jiff::civil::Date, i32) {
        let today = day(self.0.now);
        let most = i32::from(self.0.days);
        let first = self.0.past.days.keys().next().copied().unwrap_or(today);
        let count = today
            .since(first)
            .map_or(0, |span| span.get_days())
            .saturating_add(1)
            .clamp(LEAST_DAYS, most.max(LEAST_DAYS));
        (nth(today, 1 - count), count)
    }

    /// The numbers of the plots, by day, the newest first; days without a run are left out.
    pub fn by_day(&self) -> Vec<PageLine> {
        let past = &self.0.past;
        let line = |(date, day): (&jiff::civil::Date, &crate::page::past::DayTotals)| PageLine {
            head: date.to_string(),
            verdict: None,
            cells: vec![
                quantity::number(past.rows_until(*date)),
                quantity::number(day.changed),
                bytes(day.bytes_written),
                quantity::number(day.requests),
                duration(Duration::from_millis(day.quota_wait_millis)),
                quantity::number(day.retries),
                duration(Duration::from_millis(day.retry_wait_millis)),
                format!("{} of {}", quantity::number(day.failed), quantity::number(day.runs)),
            ],
            note: None,
        };
        past.days.iter().rev().map(line).collect()
    }

    /// Findings of the reports, the newest first.
    pub fn findings(&self, findings: &ReportedFindings) -> Vec<PageLine> {
        let line = |found: &crate::page::kept::ReportedFinding| PageLine {
            head: self.text(&found.resource),
            verdict: None,
            cells: vec![
                self.text(&found.place),
                found.kind.to_owned(),
                quantity::number(found.count),
                found.example.as_deref().map(|text| self.text(text)).unwrap_or_default(),
                minute(found.at),
            ],
            note: None,
        };
        findings.listed.iter().map(line).collect()
    }

    /// Rejected records that the destination has, by resource: the number of records and files.
    pub fn kept_records(&self) -> Vec<String> {
        let line = |row: &StatusRow| {
            let files = &row.head.as_ref()?.rejected;
            let records = files.iter().map(|file| file.records).fold(0, u64::saturating_add);
            let kept = (plural(records, "record"), plural(files.len(), "file"));
            let name = self.text(&row.resource);
            (!files.is_empty()).then(|| format!("{name}: {} in {} below _pearlift/misfits/{name}", kept.0, kept.1))
        };
        self.0.resources.iter().filter_map(line).collect()
    }

    /// The steps of the plan: resource, scan, requests, minutes, reason.
    pub fn plan(&self) -> Vec<PageLine> {
        let resources = self.0.plan.as_ref().and_then(|plan| plan["resources"].as_array());
        let lines = resources.into_iter().flatten().flat_map(|resource| {
            let name = self.text(resource["resource"].as_str().unwrap_or_default());
            let scans = resource["scans"].as_array().map_or(&[][..], Vec::as_slice);
            let mut lines: Vec<PageLine> = scans.iter().map(|scan| self.step(&name, scan)).collect();
            for (word, member) in [("nothing", "idle"), ("unknown", "error")] {
                if let Some(reason) = resource[member].as_str() {
                    let cells = [word, "–", "–", reason].map(|cell| self.text(cell)).to_vec();
                    lines.push(PageLine { head: name.clone(), verdict: None, cells, note: None });
                }
            }
            lines
        });
        lines.take(STEPS).collect()
    }

    fn step(&self, resource: &str, scan: &Value) -> PageLine {
        let about = if scan["requests_exact"] == true { "" } else { "~" };
        let requests = scan["requests"].as_u64().map(|count| format!("{about}{}", quantity::number(count)));
        let minutes = scan["minutes"].as_f64().map(|minutes| format!("{about}{minutes:.1}"));
        let word = |name: &str| self.text(scan[name].as_str().unwrap_or("–"));
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "–".to_owned());
        let cells = vec![word("scan"), or_none(requests), or_none(minutes), word("reason")];
        PageLine { head: resource.to_owned(), verdict: None, cells, note: None }
    }

    /// The time of the plan, and all its requests.
    pub fn plan_total(&self) -> Option<String> {
        let plan = self.0.plan.as_ref()?;
        let at = plan["now"].as_str().and_then(|at| at.parse().ok()).map(minute)?;
        let requests = plan["total"]["requests"].as_u64().unwrap_or_default();
        Some(format!("Made {at}: {} in all.", plural(requests, "request")))
    }

    /// How long ago an instant is.
    fn ago(&self, at: Timestamp) -> String {
        let ago = self.0.now.duration_since(at);
        match Duration::try_from(ago) {
            Ok(ago) if ago.as_secs() >= 172_800 => format!("{} ago", plural(ago.as_secs() / 86_400, "day")),
            Ok(ago) => format!("{} ago", duration(ago)),
            Err(_) => "in the future".to_owned(),
        }
    }
}

/// The end of a run in a word.
fn ended(run: &HistoryRow) -> StateWord {
    let (word, class) = match (number(run, "exit_code"), text(run, "failure")) {
        (0, _) => ("succeeded", "good"),
        (130, _) => ("interrupted", "warn"),
        (6, _) => ("held", "warn"),
        (3, "") => ("incomplete", "warn"),
        _ if number(run, "resources") > number(run, "failed") => ("partly failed", "bad"),
        _ => ("failed", "bad"),
    };
    StateWord { word, class }
}

fn took(run: &HistoryRow) -> Duration {
    let ends = instant(run, "finished_at").zip(instant(run, "started_at"));
    let took = ends.map_or(SignedDuration::ZERO, |(end, start)| end.duration_since(start));
    Duration::try_from(took).unwrap_or_default()
}

/// An instant to the minute.
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
