//! The command line without its settings files, to be given to the process of each account.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::arguments::Command;

const CONFIG: &str = "--config";
const JSON: &str = "--json";
/// Behind this there are no options.
const END: &str = "--";

/// The arguments, which the parser has accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The values of `--config`, wherever they are.
    pub files: Vec<PathBuf>,
    /// Everything else but the program's name.
    rest: Vec<OsString>,
}

/// How the output of an account's command is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputUse {
    /// Its lines are printed below the account's name.
    Lines,
    /// It is JSON, and a part of the printed object.
    Json,
    /// It is the report of a run, which gives the line of the account in the summary.
    Report,
}

impl CommandLine {
    /// Takes the arguments apart.
    pub fn of(arguments: &[OsString]) -> Self {
        let mut found = Self { files: Vec::new(), rest: Vec::new() };
        let mut arguments = arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            if argument == END {
                found.rest.push(argument.clone());
                found.rest.extend(arguments.by_ref().cloned());
            } else if argument == CONFIG {
                found.files.extend(arguments.next().map(PathBuf::from));
            } else if let Some(file) = argument.to_str().and_then(|text| text.strip_prefix(CONFIG)?.strip_prefix('=')) {
                found.files.push(PathBuf::from(file));
            } else {
                found.rest.push(argument.clone());
            }
        }
        found
    }

    /// The arguments for the process of one account.
    pub fn of_account(&self, file: &Path, output: OutputUse) -> Vec<OsString> {
        let mut arguments = vec![OsString::from(CONFIG), file.as_os_str().to_owned()];
        arguments.extend_from_slice(&self.rest);
        let options = self.rest.iter().take_while(|argument| *argument != END);
        let count = options.clone().count();
        if output == OutputUse::Report && !options.clone().any(|argument| argument == JSON) {
            arguments.insert(count + 2, OsString::from(JSON));
        }
        arguments
    }
}

/// How the output of a command is used; none for a command that is for one account only. And whether the user asked for
/// JSON.
pub fn output_use(command: &Command) -> Option<(OutputUse, bool)> {
    let lines_or = |json: bool| Some((if json { OutputUse::Json } else { OutputUse::Lines }, json));
    match command {
        Command::Run(run) if run.dry_run => lines_or(false),
        Command::Run(run) => Some((OutputUse::Report, run.json)),
        Command::Reconcile(reconcile) => Some((OutputUse::Report, reconcile.json)),
        Command::Check => lines_or(false),
        Command::Plan(plan) => lines_or(plan.json),
        Command::Status(status) => lines_or(status.json),
        Command::Verify(verify) => lines_or(verify.json),
        Command::Clean(clean) => lines_or(clean.json),
        Command::Demo(_)
        | Command::Init(_)
        | Command::Auth(_)
        | Command::Backfill(_)
        | Command::Report(_)
        | Command::Forget(_)
        | Command::Resources(_)
        | Command::Sql(_)
        | Command::Sandbox(_)
        | Command::Completions(_)
        | Command::Man(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> CommandLine {
        CommandLine::of(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn files_are_taken_out_wherever_they_are_and_nothing_else_is() {
        let found = line("pearlift --config a.toml -q run --config=b.toml --full thing -- --config");
        assert_eq!(found.files, [Path::new("a.toml"), Path::new("b.toml")]);
        assert_eq!(found.rest, ["-q", "run", "--full", "thing", "--", "--config"]);
        let words = found.of_account(Path::new("c.toml"), OutputUse::Lines);
        assert_eq!(words, ["--config", "c.toml", "-q", "run", "--full", "thing", "--", "--config"]);
    }

    #[test]
    fn a_report_is_asked_for_once_and_among_the_options() {
        let words = |text: &str| line(text).of_account(Path::new("c"), OutputUse::Report);
        assert_eq!(words("pearlift run thing"), ["--config", "c", "run", "thing", "--json"]);
        assert_eq!(words("pearlift run --json thing"), ["--config", "c", "run", "--json", "thing"]);
        assert_eq!(words("pearlift run -- --json"), ["--config", "c", "run", "--json", "--", "--json"]);
    }
}
