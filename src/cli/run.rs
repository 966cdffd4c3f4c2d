//! `pearlift run`: brings tables up to date.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::arguments::Run;
use crate::cli::start::{RunOptions, Start};
use crate::event::Events;
use crate::failure::Result;
use crate::report::TableForm;
use crate::run::{RunMode, RunRequest, Stop, jobs};

/// Runs, or prints the steps with `--dry-run`.
pub async fn run(start: Start, run: Run) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    if !run.dry_run {
        let options = RunOptions {
            names: run.resources,
            mode: RunMode::Update { full: run.full },
            wait: run.wait,
            most: run.max_minutes.map(|minutes| Duration::from_secs(minutes * 60)),
            fail_on_misfit: run.fail_on.is_some(),
            json: run.json,
        };
        return start.run(catalog, settings, options).await;
    }
    let request = RunRequest {
        catalog: Arc::new(catalog),
        settings,
        names: run.resources,
        mode: RunMode::Update { full: run.full },
        wait: false,
        most: None,
        now: start.now,
        seed: start.seed,
        events: Events::silent(),
        redactor: start.redactor.clone(),
        stop: Stop::default(),
    };
    let rows: Vec<Vec<String>> = jobs(&request)
        .await?
        .into_iter()
        .flat_map(|job| {
            let resource = job.resource;
            let steps =
                job.steps.into_iter().chain(job.later).map(|step| vec![step.kind.name().to_owned(), step.reason]);
            let idle = job.idle.map(|reason| vec!["nothing".to_owned(), reason]);
            steps.chain(idle).map(move |mut row| {
                row.insert(0, resource.clone());
                row
            })
        })
        .collect();
    let form = TableForm { text: Some(2), ..TableForm::new(&["resource", "scan", "why"]) };
    start.terminal().print(&form.lines(&rows, start.terminal().width_of_stdout()))?;
    Ok(0)
}
