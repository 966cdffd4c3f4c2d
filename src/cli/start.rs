//! What every command starts from: environment, time, seed, options; and a run from them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::arguments::{LogFormat, Options, Progress};
use crate::cli::terminal::complain;
use crate::config::{Environment, Settings};
use crate::failure::{Failure, Kind, Result};
use crate::report::{Style, Verbosity, Watch, hints, report, summary};
use crate::run::{Clock, Errand, Outcome, Stop, Task, Why};
use crate::schema::Catalog;
use crate::secret::Redactor;

/// What every command starts from.
pub struct Start {
    pub environment: Environment,
    pub now: Timestamp,
    pub seed: u64,
    pub options: Options,
    /// Knows every secret that the command has met.
    pub redactor: Redactor,
}

impl Start {
    /// The resources: built in, and the user's own, as the settings wish them.
    pub fn catalog(&self) -> Result<Catalog> {
        let own = self.options.schemas.clone();
        let own = own.or_else(|| Settings::schemas(self.options.config.as_deref(), &self.environment));
        let catalog = Catalog::load(own.as_deref())?;
        self.settings(&catalog)?.shape(catalog)
    }

    /// The settings of the file and the environment.
    pub fn settings(&self, catalog: &Catalog) -> Result<Settings> {
        let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
        Settings::load(self.options.config.as_deref(), self.environment.clone(), &names)
    }

    /// How much is said.
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
            (LogFormat::Text, Progress::Auto) => Style::Auto,
            (LogFormat::Text, Progress::Never) => Style::Lines,
        };
        Watch::new(style, self.verbosity(), Clock::new(self.now), self.redactor.clone())
    }

    /// Runs, shows what happened, keeps the report; gives the exit code.
    pub async fn run(&self, catalog: Catalog, settings: Settings, wish: Wish) -> Result<u8> {
        let watch = self.watch();
        let stop = Stop::default();
        let redactor = self.redactor.clone();
        let errand = Errand {
            catalog: Arc::new(catalog),
            settings,
            names: wish.names,
            task: wish.task,
            wait: wish.wait,
            most: wish.most,
            now: self.now,
            seed: self.seed,
            events: watch.events.clone(),
            redactor: redactor.clone(),
            stop: stop.clone(),
        };
        let outcome = tokio::select! {
            outcome = crate::run::run(errand) => outcome,
            never = listen(&stop) => never?,
        };
        watch.finish();
        let outcome = outcome?;
        let code = outcome.exit_code(wish.fail_on_misfit);
        let report = redactor.clean(&report(&outcome, code).to_string());
        if let Err(failure) = outcome.keep(&report).await {
            // The tables are committed; a report that could not be kept does not undo that.
            complain(&format!("warning: {}", redactor.clean(&failure.to_string())));
        }
        self.tell(&outcome, &report, &redactor);
        Ok(code)
    }

    fn tell(&self, outcome: &Outcome, report: &str, redactor: &Redactor) {
        match self.options.log_format {
            LogFormat::Json => complain(report),
            LogFormat::Text => {
                if self.verbosity() > Verbosity::Quiet {
                    complain(&format!("\n{}", redactor.clean(&summary(outcome))));
                }
                let hints = hints(outcome);
                if !hints.is_empty() {
                    complain(&format!("\n{}", redactor.clean(&hints.join("\n"))));
                }
            }
        }
    }
}

/// What a run is wanted for.
#[derive(Debug)]
pub struct Wish {
    pub names: Vec<String>,
    pub task: Task,
    pub wait: bool,
    pub most: Option<Duration>,
    pub fail_on_misfit: bool,
}

/// Passes signals on to the run: the first asks it to stop, the second ends the process at once.
async fn listen(stop: &Stop) -> Result<Result<Outcome>> {
    use tokio::signal::unix::{SignalKind, signal};
    let wrong = |error| Failure::new(Kind::Bug, "listen for signals").caused(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    for asked_before in [false, true] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if asked_before {
            #[expect(clippy::disallowed_methods, reason = "asked twice: nothing more is to be waited for")]
            std::process::exit(i32::from(Kind::Interrupted.exit_code()));
        }
        complain("stopping: committing what is whole (once more to stop at once)");
        stop.ask(Why::Interrupted);
    }
    Ok(std::future::pending().await)
}

impl Default for Wish {
    fn default() -> Self {
        Self { names: Vec::new(), task: Task::Update { full: false }, wait: false, most: None, fail_on_misfit: false }
    }
}
