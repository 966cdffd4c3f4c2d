//! The program as its users run it.

use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use pearlift::config;
use pearlift::event::Events;
use pearlift::run::{RunMode, RunRequest, Stop};
use pearlift::sandbox::Sandbox;
use pearlift::schema::Catalog;
use pearlift::secret::Redactor;
use pearlift::store::Store;

use super::Leaks;
use super::leaks::{Searched, is_secret};

/// The program, with the environment of an account and a destination.
#[derive(Clone, Debug)]
pub struct Program {
    vars: Vec<(String, String)>,
    searched: Searched,
}

/// A run of the program that has ended.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// All its messages.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The warnings on stderr, but for those of clocks that differ: accounts of the tests live in another year.
    pub fn warnings(&self) -> Vec<&str> {
        let lines = self.stderr.lines().filter(|line| line.contains("warning"));
        lines.filter(|line| !line.contains("the source's clock (")).collect()
    }

    /// Panics with its messages unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A running process of the program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: tempfile::NamedTempFile,
    leaks: Leaks,
}

impl Running {
    /// All its messages so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.said.path()).expect("it is text")
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let text = std::fs::read_to_string(self.said.path()).unwrap_or_default();
        // A second panic would end all tests.
        if !std::thread::panicking() {
            self.leaks.refuse("what it said", &text);
        }
    }
}

/// Whether a child has a variable of ours: those that a shifted clock (libfaketime) and a time zone need are kept.
fn is_kept(name: &str) -> bool {
    matches!(name, "PATH" | "HOME" | "TMPDIR" | "TZ" | "LD_PRELOAD") || name.starts_with("FAKETIME")
}

impl Program {
    /// For a sandbox's account, writing to a folder or a bucket.
    pub fn new(sandbox: &Sandbox, destination: impl AsRef<Path>) -> Self {
        Self::bare(destination)
            .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
            .with("PEARLIFT_ACCOUNT_BASE_URL", &sandbox.url())
    }

    /// For an account without an address and credentials yet.
    pub fn bare(destination: impl AsRef<Path>) -> Self {
        Self { vars: Vec::new(), searched: Searched::default() }
            .with("PEARLIFT_ACCOUNT_CODE", "acme")
            .with("PEARLIFT_AUTH_KIND", "staff-token")
            .with("PEARLIFT_AUTH_APP_REF", "acme_export")
            .with("PEARLIFT_DESTINATION_URL", destination.as_ref().to_str().expect("the path is text"))
            .with("PEARLIFT_LIMITS_REQUESTS_PER_PERIOD", "0")
    }

    /// With tables of many files each, also in a small account, whose tables have one file each otherwise.
    pub fn by_month(self) -> Self {
        self.with("PEARLIFT_RESOURCES_PARTITION", "month")
    }

    /// With this variable, instead of one of the same name.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without this variable.
    pub fn without(mut self, name: &str) -> Self {
        self.vars.retain(|(known, _)| known != name);
        // Files are searched anew for another secret.
        if is_secret(name) {
            self.searched = Searched::default();
        }
        self
    }

    /// The run request of `run`, for a run inside the test.
    pub fn request(&self, names: &[&str]) -> RunRequest {
        let vars = self.vars.iter().map(|(name, value)| (name.into(), value.into()));
        let environment = config::Environment::new(vars);
        let own = environment.get("PEARLIFT_SCHEMAS").map(Path::new);
        let catalog = Catalog::load(own).expect("the schemas are right");
        let known: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
        let settings = config::Settings::from_text(None, "", environment.clone(), &known);
        RunRequest {
            settings: settings.expect("the settings are right"),
            catalog: Arc::new(catalog),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            mode: RunMode::Update { full: false },
            wait: false,
            most: None,
            now: Timestamp::now(),
            seed: 1,
            events: Events::silent(),
            redactor: Redactor::default(),
            stop: Stop::default(),
        }
    }

    /// The program's destination, opened.
    pub fn store(&self) -> Store {
        let settings = self.request(&[]).settings;
        Store::open(&settings.destination().expect("it is set"), true).expect("it opens")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pearlift"));
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept)));
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command.args(arguments).current_dir(std::env::temp_dir());
        command
    }

    /// Runs it to its end. It prints no secret and leaves none at a local destination, for any command.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        let done =
            Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) };
        let leaks = Leaks::of(&self.vars);
        leaks.refuse("what it said", &done.said());
        let destination = self.vars.iter().find(|(name, _)| name == "PEARLIFT_DESTINATION_URL");
        if let Some((_, folder)) = destination.filter(|(_, url)| !url.contains("://")) {
            leaks.refuse_below(Path::new(folder), &self.searched);
        }
        done
    }

    /// Starts it; its messages are searched for secrets at its end.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let said = tempfile::NamedTempFile::new().expect("a file can be made");
        // Both append: neither writes over the other.
        let append = || File::options().append(true).open(said.path()).expect("the file is there");
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(append())
            .stderr(append())
            .spawn()
            .expect("the program starts");
        Running { child, said, leaks: Leaks::of(&self.vars) }
    }
}
