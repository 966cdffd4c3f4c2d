//! Writing to stdout and stderr, where a closed pipe is no failure.

use std::io::{ErrorKind, Write};

use crate::failure::{Failure, Kind, Result};
use crate::report::visible;

/// Prints data to stdout. A reader that went away has all that it wanted.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", by_line(text.trim_end_matches('\n'))).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Kind::Bug, "write to stdout").caused(error)),
    }
}

/// Says something to people on stderr, line by line. Nobody may be there.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", by_line(text));
}

/// Lines stay lines; nothing else in them steers the terminal.
fn by_line(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}
