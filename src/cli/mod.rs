//! The command line: one file per command.
//!
//! Takes the process's arguments, variables, time and randomness (all read here and passed down), gives an exit code.
//! stdout is for data, stderr for people. A reader that closes the pipe is not a failure.

mod help;
mod setup_arguments;
mod arguments;
mod shell;
mod terminal;
mod panics;
mod signals;
mod metrics;
mod receivers;
mod start;
mod history;
mod version;
#[cfg(test)]
mod book;
mod made;
mod demo;
mod check;
mod questions;
mod init;
mod auth;
mod run;
mod backfill;
mod reconcile;
mod plan;
mod status;
mod report;
mod verify;
mod clean;
mod custom_fields;
mod forget;
mod resources;
mod sql;
mod sandbox;
mod completions;
mod man;
mod accounts;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use jiff::Timestamp;

use crate::cli::accounts::CommandLine;
use crate::cli::arguments::{Arguments, Command};
use crate::cli::start::Start;
use crate::cli::terminal::Terminal;
use crate::cli::version::version;
use crate::config::{Environment, learn, settings_files};
use crate::failure::{Failure, Kind, Result};
use crate::report::{LogContext, line};
use crate::secret::Redactor;

pub use panics::end_on_panic;

/// Threads for decoding and writing. Each has a heap of its own, so that idle ones cost memory: enough for one commit,
/// the lookups of three resources, and the pages of a few cores.
const BLOCKING: usize = 8;

/// Runs the command that the arguments name.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let environment = Environment::new(vars);
    learn(&environment);
    let redactor = environment.redactor().clone();
    end_on_panic(redactor.clone());
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            let printed = version().and_then(|lines| Terminal::new(redactor).print(&lines));
            return ExitCode::from(printed.map_or_else(|failure| failure.kind().exit_code(), |()| 0));
        }
        Err(error) => {
            show(&error, &arguments, &redactor);
            let asked = error.kind() == ErrorKind::DisplayHelp;
            return ExitCode::from(if asked { 0 } else { Kind::Usage.exit_code() });
        }
    };
    let start = Start {
        environment,
        now: Timestamp::now(),
        seed: fastrand::u64(..),
        options: parsed.options,
        config: None,
        redactor: redactor.clone(),
        context: LogContext::default(),
    };
    let watcher = start.clone();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .build()
        .map_err(|error| Failure::new(Kind::Bug, "start the runtime").caused(error))
        .and_then(|runtime| runtime.block_on(begin(start, parsed.command, &arguments)));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            watcher.complain_of(None, &failure);
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

/// Prints help, or the error in the arguments; in colour, unless an argument contains a secret.
fn show(error: &clap::Error, arguments: &[OsString], redactor: &Redactor) {
    let mut text = error.render().to_string();
    for argument in arguments.iter().map(|argument| argument.to_string_lossy()) {
        let value = argument.split_once('=').map_or(&*argument, |(_, value)| value);
        for shown in [&*argument, value].into_iter().filter(|shown| !shown.is_empty()) {
            text = text.replace(shown, &line(redactor, shown));
        }
    }
    if text == error.render().to_string() {
        // Printing help fails only when nobody reads it.
        let _ = error.print();
    } else {
        Terminal::new(redactor.clone()).complain(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    }
}

/// Begins the command: for one account, or for each of several.
async fn begin(mut start: Start, command: Command, arguments: &[OsString]) -> Result<u8> {
    let line = CommandLine::of(arguments);
    let files = settings_files(&line.files)?;
    if files.len() > 1 {
        return accounts::each(&start, &command, &files, &line).await;
    }
    start.config = files.into_iter().next();
    dispatch(start, command).await
}

async fn dispatch(start: Start, command: Command) -> Result<u8> {
    match command {
        Command::Demo(demo) => demo::demo(start, demo).await,
        Command::Init(init) => init::init(start, init).await,
        Command::Auth(auth) => auth::auth(start, auth).await,
        Command::Check => check::check(start).await,
        Command::Run(run) => run::run(start, run).await,
        Command::Backfill(backfill) => backfill::backfill(start, backfill).await,
        Command::Reconcile(reconcile) => reconcile::reconcile(start, reconcile).await,
        Command::Plan(plan) => plan::plan(start, plan).await,
        Command::Status(status) => status::status(start, status).await,
        Command::Report(arguments) => report::report(start, arguments).await,
        Command::Verify(verify) => verify::verify(start, verify).await,
        Command::Clean(clean) => clean::clean(start, clean).await,
        Command::Forget(forget) => forget::forget(start, forget).await,
        Command::Resources(resources) => resources::resources(start, resources).await,
        Command::Sql(sql) => sql::sql(start, sql).await,
        Command::Sandbox(sandbox) => sandbox::sandbox(sandbox).await,
        Command::Completions(completions) => completions::completions(&start, &completions),
        Command::Man(arguments) => man::man(&start, &arguments),
    }
}
