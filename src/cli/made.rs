//! Files that a command makes: written together, and never over a file of another origin.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};

/// The files that a command makes.
pub struct MadeFiles<'a> {
    /// Their paths and texts.
    pub files: Vec<(PathBuf, String)>,
    /// A text that each of them contains.
    pub mark: &'a str,
    /// The action of the command, after "could not".
    pub action: &'a str,
    /// The remedy where another file is in the way.
    pub advice: &'a str,
}

/// Writes the files and prints their paths. Refuses (`Settings`) to write over a file without their mark, before it writes any.
pub fn write_made(start: &Start, made: &MadeFiles) -> Result<u8> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(Kind::Settings, made.action).at(path.display().to_string()).caused(error)
    };
    for (path, _) in &made.files {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.contains(made.mark) => {
                return Err(Failure::new(Kind::Settings, made.action)
                    .at(path.display().to_string())
                    .because("the file was not made by this command")
                    .advise(made.advice));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path, error)),
        }
    }
    for (path, text) in &made.files {
        std::fs::write(path, text).map_err(|error| failed(path, error))?;
    }
    let paths: Vec<String> = made.files.iter().map(|(path, _)| path.display().to_string()).collect();
    start.terminal().print(&paths)?;
    Ok(0)
}
