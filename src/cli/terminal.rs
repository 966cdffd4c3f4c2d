//! Writing to stdout and stderr, where a closed pipe is not a failure.
//!
//! Takes lines and JSON values, which `report` turns into output: without secrets, each line in a line of its own.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::failure::{Failure, Kind, Result};
use crate::report;
use crate::secret::Redactor;

/// The terminal of a command, or the pipes in its place.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    redactor: Redactor,
}

impl Terminal {
    /// A terminal that shows nothing that the redactor knows.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor }
    }

    /// The columns of the terminal that stdout is; none where it is a file or a pipe.
    pub fn width_of_stdout(&self) -> Option<usize> {
        report::width(&std::io::stdout())
    }

    /// The columns of the terminal that stderr is; none where it is a file or a pipe.
    pub fn width_of_stderr(&self) -> Option<usize> {
        report::width(&std::io::stderr())
    }

    /// Prints lines of data to stdout. A reader that went away has all that it wanted.
    pub fn print(&self, lines: &[String]) -> Result<()> {
        print(&report::lines(&self.redactor, lines))
    }

    /// Prints a JSON value to stdout, on several lines.
    pub fn print_json(&self, value: Value) -> Result<()> {
        print(&report::json_page(&self.redactor, value))
    }

    /// Writes lines for people to stderr, if there are any. Nobody may be reading.
    pub fn complain(&self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        complain(&report::lines(&self.redactor, lines));
    }

    /// Writes a question to stderr; the answer follows on the same line.
    pub fn prompt(&self, question: &str) {
        let mut err = std::io::stderr().lock();
        let text = report::lines(&self.redactor, &[question.to_owned()]);
        let _ = write!(err, "{text} ").and_then(|()| err.flush());
    }

    /// Writes a JSON value for machines to stderr, in one line.
    pub fn complain_json(&self, value: Value) {
        complain(&report::json_line(&self.redactor, value));
    }
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Kind::Bug, "write to stdout").caused(error)),
    }
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
