//! A command over several accounts: one process for each, some at a time, and one end for all
//! (docs/decisions/0018-one-process-per-account.md).
//!
//! Takes the settings files, gives the worst exit code. Accounts share nothing but the terminal: each process has its own
//! secrets, memory and quota, so that a failure or a panic ends one account alone. Files of one account at the source are
//! processed one after another, because they share its quota. Refuses (`Usage`) commands that are for one account.

mod line;
mod member;
mod children;
mod process;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::json;

use crate::cli::accounts::children::Children;
use crate::cli::accounts::line::{OutputUse, output_use};
use crate::cli::accounts::member::{Member, members};
use crate::cli::accounts::process::{Ended, Processes};
use crate::cli::arguments::{Command, LogFormat};
use crate::cli::signals::{Consequence, SentSignal, SignalHandler};
use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};
use crate::report::{AccountEnd, Verbosity, accounts_object, accounts_table, total, worst};

pub use line::CommandLine;

/// Runs the command for each settings file; returns the worst exit code.
pub async fn each(start: &Start, command: &Command, files: &[PathBuf], line: &CommandLine) -> Result<u8> {
    let Some((output, is_json)) = output_use(command) else {
        return Err(Failure::new(Kind::Usage, "process several accounts")
            .because("this command is for one account, and --config names several settings files")
            .advise(
                "run, reconcile, check, plan, status, verify and clean take several; call the others for each file",
            ));
    };
    let members = members(start, files)?;
    let program = std::env::current_exe().map_err(|error| Failure::new(Kind::Bug, "find the program").caused(error))?;
    // Before anything is begun: a signal that nobody hears would end this process alone.
    let signals = SignalHandler::new()?;
    let children = Arc::new(Children::default());
    let work = Work { start, members: &members, line, output, program };
    let ended = tokio::task::block_in_place(|| {
        let passing = tokio::spawn(pass_on(signals, Arc::clone(&children)));
        let ended = work.run(&children);
        passing.abort();
        ended
    });
    let code = worst(ended.iter().map(|ended| ended.end.exit_code));
    report(start, output, is_json, ended)?;
    Ok(code)
}

/// Passes signals on to the processes. Ends with the command.
async fn pass_on(mut signals: SignalHandler, children: Arc<Children>) {
    loop {
        match signals.next().await {
            (sent, Consequence::Stop) => children.signal(sent),
            // The second interrupt of a process ends it at once.
            (_, Consequence::End) => children.signal(SentSignal::Interrupt),
            (_, Consequence::Ignore) => {}
        }
    }
}

/// The work on all accounts.
struct Work<'a> {
    start: &'a Start,
    members: &'a [Member],
    line: &'a CommandLine,
    output: OutputUse,
    program: PathBuf,
}

impl Work<'_> {
    /// Processes all members, at most `--jobs` at a time; the ends are in the order of the files.
    fn run(&self, children: &Children) -> Vec<Ended> {
        let processes = Processes {
            program: self.program.clone(),
            members: self.members,
            line: self.line,
            output: self.output,
            log_format: self.start.options.log_format,
            terminal: self.start.terminal(),
            children,
        };
        let sources: Vec<Option<&str>> = self.members.iter().map(|member| member.source.as_deref()).collect();
        let queue = Mutex::new(VecDeque::from(lanes(&sources)));
        let next = || queue.lock().expect("no holder of this lock panics").pop_front();
        let work = || {
            let mut ended = Vec::new();
            while let Some(lane) = next() {
                ended.extend(lane.into_iter().map(|place| (place, processes.run(&self.members[place]))));
            }
            ended
        };
        let workers = self.start.options.jobs.get().min(self.members.len());
        let mut ended: Vec<(usize, Ended)> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a panic ends the process")).collect()
        });
        ended.sort_by_key(|(place, _)| *place);
        ended.into_iter().map(|(_, ended)| ended).collect()
    }
}

/// The places of the members that are processed one after another: those with the same address at the source.
fn lanes(sources: &[Option<&str>]) -> Vec<Vec<usize>> {
    let mut lanes: Vec<Vec<usize>> = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        let same = |lane: &&mut Vec<usize>| source.is_some() && sources[lane[0]] == *source;
        match lanes.iter_mut().find(same) {
            Some(lane) => lane.push(place),
            None => lanes.push(vec![place]),
        }
    }
    lanes
}

/// Prints the outputs, and the ends of all accounts.
fn report(start: &Start, output: OutputUse, is_json: bool, ended: Vec<Ended>) -> Result<()> {
    let terminal = start.terminal();
    if output == OutputUse::Lines {
        terminal.print(&blocks(&ended))?;
    }
    let ends: Vec<AccountEnd> = ended.into_iter().map(|ended| ended.end).collect();
    match start.options.log_format {
        LogFormat::Json => {
            let mut fields = accounts_object(&ends, false);
            let level = if fields["exit_code"] == 0 { "info" } else { "error" };
            let mut line = json!({"time": Timestamp::now(), "level": level, "event": "accounts"});
            if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object_mut()) {
                line.append(fields);
            }
            terminal.complain_json(line);
        }
        LogFormat::Text if start.verbosity() == Verbosity::Quiet => {}
        LogFormat::Text if output == OutputUse::Report && !is_json => {
            terminal.complain(&[vec![String::new()], accounts_table(&ends, terminal.width_of_stderr())].concat());
        }
        LogFormat::Text => terminal.complain(&[total(&ends)]),
    }
    if is_json { terminal.print_json(accounts_object(&ends, true)) } else { Ok(()) }
}

/// The output of each account, below its name.
fn blocks(ended: &[Ended]) -> Vec<String> {
    let mut lines = Vec::new();
    for Ended { end, text } in ended {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let settings = if end.account == end.settings { String::new() } else { format!(" ({})", end.settings) };
        lines.push(format!("{}{settings}:", end.account));
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_account_at_the_source_are_processed_one_after_another() {
        let sources = [Some("a"), None, Some("b"), Some("a"), None];
        assert_eq!(lanes(&sources), [vec![0, 3], vec![1], vec![2], vec![4]]);
    }
}
