//! `pearlift plan`: the scans and costs of the next `run`, without executing them.

use std::sync::Arc;

use crate::cli::arguments::Plan;
use crate::cli::start::Start;
use crate::event::Events;
use crate::failure::Result;
use crate::forecast::forecast;
use crate::report::{Verbosity, forecast_object, forecast_table};
use crate::run::{RunMode, RunRequest, Stop};

/// Shows scans, requests, minutes, rows and bytes; exits 3 if some of them are unknown.
pub async fn plan(start: Start, plan: Plan) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    // Requests are logged only with `-v`.
    let watch = (start.verbosity() == Verbosity::Verbose).then(|| start.watch());
    let request = RunRequest {
        catalog: Arc::new(catalog),
        settings,
        names: plan.resources,
        mode: RunMode::Update { full: plan.full },
        wait: false,
        most: None,
        now: start.now,
        seed: start.seed,
        events: watch.as_ref().map_or_else(Events::silent, |watch| watch.events.clone()),
        redactor: start.redactor.clone(),
        stop: Stop::default(),
    };
    let found = forecast(&request).await;
    if let Some(watch) = watch {
        watch.finish();
    }
    let found = found?;
    if plan.json {
        start.terminal().print_json(forecast_object(&found, start.now))?;
    } else {
        start.terminal().print(&forecast_table(&found, start.terminal().width_of_stdout()))?;
    }
    for (resource, failure) in
        found.resources.iter().filter_map(|found| Some((&found.resource, found.failure.as_ref()?)))
    {
        start.complain_of(Some(resource), failure);
    }
    Ok(found.exit_code())
}
