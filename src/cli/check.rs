//! `pearlift check`: tests everything that a run needs.

use std::sync::Arc;

use crate::cli::start::Start;
use crate::failure::Result;
use crate::run::{RunMode, RunRequest, Stop};

/// Tests everything and prints the findings; the exit code is that of the first failure.
pub async fn check(start: Start) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let watch = start.watch();
    let request = RunRequest {
        catalog: Arc::new(catalog),
        settings,
        names: Vec::new(),
        mode: RunMode::Update { full: false },
        wait: false,
        most: None,
        now: start.now,
        seed: start.seed,
        events: watch.events.clone(),
        redactor: start.redactor.clone(),
        stop: Stop::default(),
    };
    let findings = crate::run::check(&request).await;
    watch.finish();
    let mut code = 0;
    let mut lines = Vec::new();
    for finding in findings? {
        match &finding.found {
            Ok(found) => lines.push(format!("ok    {}: {found}", finding.what)),
            Err(failure) => {
                lines.push(format!("FAIL  {}: {failure}", finding.what));
                lines.extend(failure.advice().map(|advice| format!("      help: {advice}")));
                code = if code == 0 { failure.kind().exit_code() } else { code };
            }
        }
        lines.extend(finding.drift.iter().map(|drift| format!("      it {drift}")));
    }
    start.terminal().print(&lines)?;
    Ok(code)
}
