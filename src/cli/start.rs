//! The start of every command: environment, time, seed, options; and a run from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::arguments::{LogFormat, Options, ProgressChoice};
use crate::cli::receivers::{Receivers, abandoned};
use crate::cli::signals::SignalHandler;
use crate::cli::terminal::Terminal;
use crate::config::{Environment, Settings};
use crate::event::Event;
use crate::failure::{Failure, Result};
use crate::report::{
    LogContext, Style, Verbosity, Watch, failure_lines, hints, json_line, log_summary, report, summary,
};
use crate::run::{Clock, Outcome, RunMode, RunRequest, Stop};
use crate::schema::Catalog;
use crate::secret::Redactor;

/// The inputs of every command.
#[derive(Clone)]
pub struct Start {
    pub environment: Environment,
    pub now: Timestamp,
    pub seed: u64,
    pub options: Options,
    /// The one settings file; none for the default.
    pub config: Option<PathBuf>,
    /// Knows every secret that the command has met.
    pub redactor: Redactor,
    /// Knows the run and the account once they are known.
    pub context: LogContext,
}

impl Start {
    /// The resources: built in, and the user's own, as the settings wish them.
    pub fn catalog(&self) -> Result<Catalog> {
        let catalog = Catalog::load(self.schemas().as_deref())?;
        self.settings(&catalog)?.shape(catalog)
    }

    /// The folder of the user's own schema files.
    pub fn schemas(&self) -> Option<PathBuf> {
        let own = self.options.schemas.clone();
        own.or_else(|| Settings::schemas(self.config.as_deref(), &self.environment))
    }

    /// The settings of the file and the environment.
    pub fn settings(&self, catalog: &Catalog) -> Result<Settings> {
        let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
        Settings::load(self.config.as_deref(), self.environment.clone(), &names)
    }

    /// The terminal, on which no secret of the command is shown.
    pub fn terminal(&self) -> Terminal {
        Terminal::new(self.redactor.clone())
    }

    /// The amount of messages.
    pub fn verbosity(&self) -> Verbosity {
        match (self.options.quiet, self.options.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }

    /// A watcher as the options want it.
    pub fn watch(&self) -> Watch {
        let style = match (self.options.log_format, self.options.progress) {
            (LogFormat::Json, _) => Style::Json,
            (LogFormat::Text, ProgressChoice::Auto) => Style::Auto,
            (LogFormat::Text, ProgressChoice::Never) => Style::Lines,
        };
        Watch::new(style, self.verbosity(), Clock::new(self.now), self.redactor.clone(), self.context.clone())
    }

    /// Shows a failure to people, or to machines where the log is JSON.
    pub fn complain_of(&self, resource: Option<&str>, failure: &Failure) {
        match self.options.log_format {
            LogFormat::Json => {
                self.terminal().complain_json(self.context.failed(Timestamp::now(), resource, failure));
            }
            LogFormat::Text => {
                let of = resource.map(|resource| format!("{resource}: ")).unwrap_or_default();
                let mut lines = failure_lines(failure);
                lines[0].insert_str(0, &of);
                self.terminal().complain(&lines);
            }
        }
    }

    /// Warns people, or machines where the log is JSON, of a failure that ends nothing.
    pub fn warn(&self, text: &str, failure: &Failure) {
        let mut lines = failure_lines(failure);
        lines[0].insert_str(0, &format!("{text}: "));
        match self.options.log_format {
            LogFormat::Json => self.watch().events.tell(Event::Warning { resource: None, text: lines.join("\n") }),
            LogFormat::Text => {
                lines[0].insert_str(0, "warning: ");
                self.terminal().complain(&lines);
            }
        }
    }

    /// Runs, prints the summary, keeps the report; returns the exit code.
    pub async fn run(&self, catalog: Catalog, settings: Settings, options: RunOptions) -> Result<u8> {
        let watch = self.watch();
        let stop = Stop::default();
        let redactor = self.redactor.clone();
        let command = options.mode.command();
        let is_night = matches!(options.mode, RunMode::Update { .. });
        let receivers = if is_night { Receivers::of(&catalog, &settings)? } else { Receivers::none() };
        let place = settings.account().and_then(|account| Ok((account.code, settings.destination()?))).ok();
        let request = RunRequest {
            catalog: Arc::new(catalog),
            settings,
            names: options.names,
            mode: options.mode,
            wait: options.wait,
            most: options.most,
            now: self.now,
            seed: self.seed,
            events: watch.events.clone(),
            redactor: redactor.clone(),
            stop: stop.clone(),
        };
        // Before anything is begun: a signal that nobody hears would end the process.
        let mut signals = SignalHandler::new()?;
        let events = watch.events.clone();
        let outcome = tokio::select! {
            outcome = crate::run::run(request) => outcome,
            never = signals.listen(&stop, &events) => never,
        };
        watch.finish();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failure) => {
                if let Some((account, destination)) = &place {
                    self.remember_failure(account, destination, command, &failure).await;
                }
                let account = place.as_ref().map_or("", |(account, _)| account);
                let brief = self.brief("", command, account, failure.kind().exit_code()).failed(&failure);
                self.inform(&receivers, &mut signals, &brief).await;
                if options.json {
                    self.terminal().print_json(brief)?;
                }
                return Err(failure);
            }
        };
        let code = outcome.exit_code(options.fail_on_misfit);
        let report = report(&outcome, code, &redactor);
        if let Err(failure) = outcome.keep(&json_line(&redactor, report.clone())).await {
            // The tables are committed; a report that could not be kept does not undo that.
            events.tell(Event::Warning { resource: None, text: failure.to_string() });
        }
        self.remember(&outcome.store, report.clone()).await;
        self.inform(&receivers, &mut signals, &report).await;
        self.tell(&outcome, &report, options.json);
        if options.json {
            self.terminal().print_json(report)?;
        }
        Ok(code)
    }

    /// Gives a report to the receivers. A failure is a warning: what the run did stays. A signal ends the waiting.
    async fn inform(&self, receivers: &Receivers, signals: &mut SignalHandler, report: &Value) {
        let report = self.redactor.clean_value(report.clone());
        // Metrics are those of an account.
        let written = if report["account"] == "" { None } else { receivers.write(&report) };
        let posted = tokio::select! {
            posted = receivers.post(&report) => posted,
            () = signals.end() => Some(abandoned()),
        };
        for (text, failure) in written.into_iter().chain(posted) {
            self.warn(text, &failure);
        }
    }

    /// Shows the result on stderr; the summary is left out where the report is printed.
    fn tell(&self, outcome: &Outcome, report: &Value, is_printed: bool) {
        let terminal = self.terminal();
        match self.options.log_format {
            LogFormat::Json => {
                terminal.complain_json(self.context.report(Timestamp::now(), report));
            }
            LogFormat::Text => {
                let width = terminal.width_of_stderr();
                match (self.verbosity(), width) {
                    _ if is_printed => {}
                    (Verbosity::Quiet, _) => {}
                    (Verbosity::Normal, None) => terminal.complain(&log_summary(outcome)),
                    (Verbosity::Normal | Verbosity::Verbose, _) => {
                        terminal.complain(&[vec![String::new()], summary(outcome, width)].concat());
                    }
                }
                let hints = hints(outcome, &self.redactor);
                if !hints.is_empty() {
                    terminal.complain(&[vec![String::new()], hints].concat());
                }
            }
        }
    }
}

/// The options of a run.
#[derive(Debug)]
pub struct RunOptions {
    pub names: Vec<String>,
    pub mode: RunMode,
    pub wait: bool,
    pub most: Option<Duration>,
    pub fail_on_misfit: bool,
    /// The report is printed to stdout.
    pub json: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            mode: RunMode::Update { full: false },
            wait: false,
            most: None,
            fail_on_misfit: false,
            json: false,
        }
    }
}
