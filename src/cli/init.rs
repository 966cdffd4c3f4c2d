//! `pearlift init`: a commented settings file.

use std::fs::File;
use std::io::{ErrorKind, Write};

use crate::cli::arguments::Init;
use crate::cli::terminal::Terminal;
use crate::config::template;
use crate::failure::{Failure, Kind, Result};
use crate::schema::Catalog;

/// Writes the file; one that is there is left alone.
pub fn init(init: Init) -> Result<u8> {
    let wrong = |error: std::io::Error| {
        let exists = error.kind() == ErrorKind::AlreadyExists;
        let failure =
            Failure::new(Kind::Settings, "write the settings file").at(init.file.display().to_string()).caused(error);
        if exists { failure.advise("give another name: `pearlift init FILE`") } else { failure }
    };
    let mut file = File::create_new(&init.file).map_err(wrong)?;
    file.write_all(template(&Catalog::load(None)?).as_bytes()).map_err(wrong)?;
    let file = init.file.display();
    let next = "fill in [account] and [destination], set BRIGHTPEARL_STAFF_TOKEN, then `pearlift check`";
    Terminal::default().complain(&[format!("wrote {file}: {next}")]);
    Ok(0)
}
