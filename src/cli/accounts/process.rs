//! The process of one account: its command line and variables, its messages line by line, its output, its exit code.
//!
//! Messages are passed on as they come, each with the account; the output is kept until the end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::accounts::children::Children;
use crate::cli::accounts::line::{CommandLine, OutputUse};
use crate::cli::accounts::member::Member;
use crate::cli::arguments::LogFormat;
use crate::cli::terminal::Terminal;
use crate::failure::Kind;
use crate::report::AccountEnd;

/// Signals by which a person or a scheduler ends a process that does not handle them yet.
const INTERRUPTING: [i32; 2] = [2, 15];
/// The most bytes of output that are kept: a status of 100 resources has some 200 KiB.
const MOST_BYTES: u64 = 64 << 20;

/// Everything that the processes share.
pub struct Processes<'a> {
    pub program: PathBuf,
    pub members: &'a [Member],
    pub line: &'a CommandLine,
    pub output: OutputUse,
    pub log_format: LogFormat,
    pub terminal: Terminal,
    pub children: &'a Children,
}

/// The end of an account's process, with its output as text.
#[derive(Debug)]
pub struct Ended {
    pub end: AccountEnd,
    pub text: String,
}

impl Processes<'_> {
    /// Runs the command for one account, to its end.
    pub fn run(&self, member: &Member) -> Ended {
        let begun = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(self.line.of_account(&member.file, self.output));
        member.withheld(self.members).iter().for_each(|name| {
            command.env_remove(name);
        });
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (code, text, was_started) = match self.children.start(&mut command) {
            Ok(Some(child)) => {
                let (code, text) = self.follow(member, child);
                (code, text, true)
            }
            Ok(None) => (Kind::Interrupted.exit_code(), String::new(), false),
            Err(error) => {
                self.complain(member, &format!("pearlift could not start the process of the account: {error}"));
                (Kind::Bug.exit_code(), String::new(), true)
            }
        };
        let is_json = matches!(self.output, OutputUse::Json | OutputUse::Report);
        let end = AccountEnd {
            account: member.label.clone(),
            settings: member.file.display().to_string(),
            exit_code: code,
            took: was_started.then(|| begun.elapsed()),
            output: serde_json::from_str(&text).ok().filter(|_| is_json),
        };
        Ended { end, text }
    }

    /// Reads both outputs of a process to their ends, and waits for it.
    fn follow(&self, member: &Member, mut child: Child) -> (u8, String) {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let text = std::thread::scope(|scope| {
            let text = scope.spawn(|| {
                let mut bytes = Vec::new();
                // A process that is killed leaves a part.
                let _ = stdout.map(|stdout| stdout.take(MOST_BYTES).read_to_end(&mut bytes));
                String::from_utf8_lossy(&bytes).into_owned()
            });
            stderr.into_iter().for_each(|stderr| self.pass_on(member, BufReader::new(stderr)));
            text.join().unwrap_or_default()
        });
        let code = match self.children.wait(child) {
            Ok(status) => self.code(member, status),
            Err(error) => {
                self.complain(member, &format!("pearlift could not wait for the process of the account: {error}"));
                Kind::Bug.exit_code()
            }
        };
        (code, text)
    }

    fn code(&self, member: &Member, status: ExitStatus) -> u8 {
        if let Some(code) = status.code() {
            return u8::try_from(code).unwrap_or(Kind::Bug.exit_code());
        }
        let signal = status.signal().unwrap_or_default();
        if INTERRUPTING.contains(&signal) {
            return Kind::Interrupted.exit_code();
        }
        self.complain(member, &format!("the process of the account was ended by signal {signal}"));
        Kind::Bug.exit_code()
    }

    /// Passes the messages of a process on, line by line.
    fn pass_on(&self, member: &Member, mut lines: impl BufRead) {
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            match (self.log_format, serde_json::from_str::<Value>(&text)) {
                (LogFormat::Json, Ok(Value::Object(mut fields))) => {
                    fields.insert("settings".to_owned(), json!(member.file.display().to_string()));
                    self.terminal.complain_json(Value::Object(fields));
                }
                _ if text.is_empty() => {}
                _ => self.terminal.complain(&[format!("{}: {text}", member.label)]),
            }
        }
    }

    /// A message about the process of an account.
    fn complain(&self, member: &Member, text: &str) {
        match self.log_format {
            LogFormat::Text => self.terminal.complain(&[format!("{}: {text}", member.label)]),
            LogFormat::Json => self.terminal.complain_json(json!({
                "time": Timestamp::now(),
                "level": "error",
                "event": "warning",
                "text": text,
                "settings": member.file.display().to_string(),
            })),
        }
    }
}
