//! `pearlift completions`.

use clap::CommandFactory;

use crate::cli::arguments::{Arguments, Completions};
use crate::cli::terminal::Terminal;
use crate::failure::{Failure, Kind, Result};

/// Prints completions for a shell.
pub fn completions(completions: Completions) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "pearlift", &mut text);
    let text = String::from_utf8(text).map_err(|error| Failure::new(Kind::Bug, "make completions").caused(error))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    Terminal::default().print(&lines)?;
    Ok(0)
}
