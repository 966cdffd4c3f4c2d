//! `pearlift man`: the manual pages, one for the program and one for each command, those within `auth` too.
//!
//! Takes the arguments and the endings of the help, gives files in roff. Refuses to write over a file that is no page of ours.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::cli::arguments::{Arguments, ManArguments};
use crate::cli::help::{codes, examples};
use crate::cli::made::{MadeFiles, write_made};
use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};

/// The beginning of every page.
const MARK: &str = ".TH pearlift";
/// The title of the manual, at the top of every page.
const MANUAL: &str = "pearlift manual";

/// Writes the pages to a folder.
pub fn man(start: &Start, arguments: &ManArguments) -> Result<u8> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::new(Kind::Settings, "make the folder").at(folder.display().to_string()).caused(error)
    })?;
    let pages = pages()?.into_iter().map(|(name, text)| (folder.join(name), text)).collect();
    let files = MadeFiles {
        files: pages,
        mark: MARK,
        action: "write the manual pages",
        advice: "move it away, or name another folder",
    };
    write_made(start, &files)
}

/// The names of the pages, and their texts.
fn pages() -> Result<Vec<(PathBuf, String)>> {
    let mut all = Arguments::command().disable_help_subcommand(true);
    all.build();
    let commands: Vec<clap::Command> = all.get_subcommands().cloned().collect();
    let mut pages = vec![page(all, "pearlift")?];
    for command in commands {
        let ending = command.get_name().to_owned();
        let within: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        for one in std::iter::once(command).chain(within) {
            pages.push(page(one, &ending)?);
        }
    }
    Ok(pages)
}

/// The page of a command, with the examples and exit codes of the given ending as sections of their own, as manual pages have
/// them.
fn page(command: clap::Command, ending: &str) -> Result<(PathBuf, String)> {
    let has_commands = command.has_subcommands();
    let man = Man::new(command).manual(MANUAL).source(format!("pearlift {}", env!("CARGO_PKG_VERSION")));
    let file = PathBuf::from(man.get_filename());
    let mut text = Vec::new();
    let written = (|| {
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if has_commands {
            man.render_subcommands_section(&mut text)?;
        }
        endings(ending).to_writer(&mut text)
    })();
    written.map_err(|error| Failure::new(Kind::Bug, "make a manual page").caused(error))?;
    let text = String::from_utf8(text).map_err(|error| Failure::new(Kind::Bug, "make a manual page").caused(error))?;
    Ok((file, text))
}

/// The sections behind the options.
fn endings(command: &str) -> Roff {
    let mut roff = Roff::new();
    let mut items = |heading: &str, items: Vec<(Inline, String)>| {
        roff.control("SH", [heading]);
        for (term, meaning) in items {
            roff.control("TP", []);
            roff.text([term]);
            roff.text([roman(meaning)]);
        }
    };
    let shown = examples(command).iter().map(|(line, effect)| (bold(*line), (*effect).to_owned()));
    items("EXAMPLES", shown.collect());
    items("EXIT STATUS", codes(command).map(|(code, meaning)| (bold(code.to_string()), meaning.to_owned())).collect());
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples_and_exit_codes() {
        let pages = pages().expect("they are made");
        let names: Vec<&str> = pages.iter().filter_map(|(name, _)| name.to_str()).collect();
        assert!(names.contains(&"pearlift.1") && names.contains(&"pearlift-run.1"), "{names:?}");
        // AND each page to which another refers is there
        assert!(names.contains(&"pearlift-auth.1") && names.contains(&"pearlift-auth-login.1"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
        let referred = |text: &str| -> Vec<String> {
            let parts = text.split("(1)").map(|part| part.replace("\\-", "-"));
            let named =
                parts.filter_map(|part| Some(part.rsplit(|c: char| c.is_whitespace() || c == '\\').next()?.to_owned()));
            named.filter(|name| name.starts_with("pearlift-")).collect()
        };
        let all: Vec<String> = pages.iter().flat_map(|(_, text)| referred(text)).collect();
        assert!(all.len() >= names.len() - 1, "{all:?}");
        assert!(all.iter().all(|name| names.contains(&format!("{name}.1").as_str())), "{all:?} {names:?}");
        for (name, text) in &pages {
            for part in [MARK, ".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES", ".SH \"EXIT STATUS\"", ".TP\n\\fB0\\fR"] {
                assert!(text.contains(part), "{}: {part} is missing:\n{text}", name.display());
            }
        }
    }
}
