//! Exports an account from Rust: the settings of a file, all resources, a line for each as it ends.
//!
//! `cargo run --example embed -- pearlift.toml`; secrets come from the environment, as for the command.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use pearlift::config::{Environment, Settings};
use pearlift::event::{Event, Events};
use pearlift::failure::Result;
use pearlift::run::{Outcome, RunMode, RunRequest, Stop, run};
use pearlift::schema::Catalog;
use pearlift::secret::Redactor;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program for the terminal")]
async fn main() -> ExitCode {
    let config = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "pearlift.toml".into()));
    let redactor = Redactor::default();
    match export(config, &redactor).await {
        // The exit codes of the command: 0 is complete, 3 has pending records.
        Ok(outcome) => ExitCode::from(outcome.exit_code(false)),
        Err(failure) => {
            eprintln!("{}", redactor.clean(&failure.to_string()));
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

/// Brings every table of the settings' resources up to date.
async fn export(config: PathBuf, redactor: &Redactor) -> Result<Outcome> {
    let catalog = Catalog::load(None)?;
    let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
    let settings = Settings::load(Some(&config), Environment::new(std::env::vars_os()), &names)?;
    let catalog = settings.shape(catalog)?;
    run(RunRequest {
        catalog: Arc::new(catalog),
        settings,
        names: Vec::new(),
        mode: RunMode::Update { full: false },
        wait: false,
        most: None,
        now: Timestamp::now(),
        seed: 0,
        events: Events::new(show(redactor.clone())),
        redactor: redactor.clone(),
        stop: Stop::default(),
    })
    .await
}

/// A line for each resource that ends. Texts of the source may hold secrets: they pass the redactor.
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn show(redactor: Redactor) -> impl Fn(&Event) + Send + Sync + 'static {
    move |event| {
        if let Event::Finished { resource, rows, requests, ending, .. } = event {
            let text = format!("{resource}: {} rows, {requests} requests, {}", rows.main, ending.name());
            println!("{}", redactor.clean(&text));
        }
    }
}
