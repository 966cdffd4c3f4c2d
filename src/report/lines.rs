//! A line for each event that matters: the log without a terminal.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::event::{Ending, Event, Events};
use crate::failure::Failure;
use crate::quantity::{agree, number, plural};
use crate::report::output;
use crate::report::progress_lines::rows_text;
use crate::report::text::bytes;
use crate::report::verbosity::Verbosity;
use crate::run::Clock;
use crate::secret::Redactor;

/// After a silence of this length, the next commit gets a line: a first load takes hours.
const SILENCE: Duration = Duration::from_secs(300);

/// Events as lines on stderr, each with the time. Texts of the source can neither show a secret nor control the
/// terminal.
pub fn log(verbosity: Verbosity, clock: Clock, redactor: Redactor) -> Events {
    let last = Mutex::new(Instant::now());
    Events::new(move |event| {
        let said = *last.lock().expect("no watcher panics");
        let is_due = said.elapsed() >= SILENCE;
        if let Some(text) = line(event, verbosity).or_else(|| sign_of_life(event).filter(|_| is_due)) {
            let text = output::line(&redactor, &text);
            *last.lock().expect("no watcher panics") = Instant::now();
            // A log that nobody reads any more is no reason to fail.
            let _ = writeln!(std::io::stderr().lock(), "{:.0} {text}", clock.now());
        }
    })
}

/// The line of a commit.
fn sign_of_life(event: &Event) -> Option<String> {
    if matches!(event, Event::Committed { .. }) { line(event, Verbosity::Verbose) } else { None }
}

/// The line of an event, if it is worth one: a resource gets one where it changed or did not come to its end.
pub fn line(event: &Event, verbosity: Verbosity) -> Option<String> {
    let normal = verbosity >= Verbosity::Normal;
    let verbose = verbosity >= Verbosity::Verbose;
    let of = |resource: &Option<String>| resource.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    match event {
        Event::NewDestination { destination } if normal => {
            Some(format!("{destination} holds no tables yet: everything is read"))
        }
        Event::Stopping { reason } => Some(format!("stopping, {reason}: committing complete parts")),
        Event::Started { resource, scan, reason, requests } if verbose || (normal && requests.is_some()) => {
            let cost =
                requests.map(|requests| format!("; {} to make", plural(requests, "request"))).unwrap_or_default();
            Some(format!("{resource}: {scan} ({reason}{cost})"))
        }
        Event::Committed { resource, version, files, bytes: size, changed } if verbose => {
            let files = if *files == 0 {
                "state only".to_owned()
            } else {
                format!("{} changed, {}, {}", plural(*changed, "row"), plural(*files, "file"), bytes(*size))
            };
            Some(format!("{resource}: committed version {version}, {files}"))
        }
        Event::Finished { resource, ending: Ending::Failed { failure, .. }, .. } => {
            Some(format!("{resource}: {failure}"))
        }
        Event::Finished { resource, scans, rows, changed, files, requests, ending } if normal => {
            let end = match ending {
                Ending::Stopped => "stopped, resumes on the next run; ".to_owned(),
                Ending::Held { by } => format!("held by {by}; "),
                Ending::Complete | Ending::Idle { .. } | Ending::Failed { .. } if *files == 0 && !verbose => {
                    return None;
                }
                Ending::Complete | Ending::Idle { .. } | Ending::Failed { .. } => String::new(),
            };
            let (rows, changed, requests) = (rows_text(*rows), number(*changed), plural(*requests, "request"));
            let scans: String = scans.iter().map(|scan| format!("; {scan}")).collect();
            Some(format!("{resource}: {end}{rows}, {changed} changed, {requests}{scans}"))
        }
        Event::Warning { resource, text } => Some(format!("warning: {}{text}", of(resource))),
        Event::Waiting { until, .. } if normal => Some(format!("the quota is used up: waiting until {until:.0}")),
        Event::Rejected { resource, path, count, sample } if verbose => {
            let values = plural(*count, "value");
            let verb = agree(*count, "does", "do");
            Some(format!("{resource}: {values} of {path} {verb} not fit, such as {sample}"))
        }
        Event::Retrying { resource, url, reason, wait_millis, .. } if verbose => {
            Some(format!("{resource}: again in {wait_millis} ms: {url}: {reason}"))
        }
        Event::Asked { resource, url, status, millis, bytes: size, tries, .. } if verbose => {
            let again = if *tries > 1 { format!(", try {tries}") } else { String::new() };
            Some(format!("{resource}: {status} {url} ({millis} ms, {}{again})", bytes(*size)))
        }
        Event::Note { resource, text } if verbose => Some(format!("{}{text}", of(resource))),
        Event::Expecting { resource, requests } if verbose => {
            Some(format!("{resource}: {} to make", plural(*requests, "request")))
        }
        Event::Begun { .. }
        | Event::NewDestination { .. }
        | Event::Started { .. }
        | Event::Finished { .. }
        | Event::Expecting { .. }
        | Event::Asked { .. }
        | Event::Quota { .. }
        | Event::Waiting { .. }
        | Event::Retrying { .. }
        | Event::Spooled { .. }
        | Event::Committed { .. }
        | Event::Rejected { .. }
        | Event::Note { .. } => None,
    }
}

/// The lines of a failure for people: action, place and cause, with the advice below.
pub fn failure_lines(failure: &Failure) -> Vec<String> {
    let advice = failure.advice().map(|advice| format!("  help: {advice}"));
    std::iter::once(format!("pearlift {failure}")).chain(advice).collect()
}
