//! `pearlift check`: tries everything that a run needs.

use std::sync::Arc;

use crate::cli::start::Start;
use crate::cli::terminal::print;
use crate::failure::{Failure, Result};
use crate::run::{Errand, Stop, Task};

/// Tries everything and says what was found; the exit code is that of the first thing that failed.
pub async fn check(start: Start) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let watch = start.watch();
    let redactor = start.redactor.clone();
    let errand = Errand {
        catalog: Arc::new(catalog),
        settings,
        names: Vec::new(),
        task: Task::Update { full: false },
        wait: false,
        most: None,
        now: start.now,
        seed: start.seed,
        events: watch.events.clone(),
        redactor: redactor.clone(),
        stop: Stop::default(),
    };
    let findings = crate::run::check(&errand).await;
    watch.finish();
    let mut code = 0;
    let mut text = String::new();
    for finding in findings? {
        match &finding.found {
            Ok(found) => text.push_str(&format!("ok    {}: {found}\n", finding.what)),
            Err(failure) => {
                text.push_str(&format!("FAIL  {}: {}\n", finding.what, text_of(failure)));
                code = if code == 0 { failure.kind().exit_code() } else { code };
            }
        }
        for drift in &finding.drift {
            text.push_str(&format!("      it {drift}\n"));
        }
    }
    print(&redactor.clean(&text))?;
    Ok(code)
}

/// A failure in its place in the list.
fn text_of(failure: &Failure) -> String {
    match failure.advice() {
        Some(advice) => format!("{failure}\n      help: {advice}"),
        None => failure.to_string(),
    }
}
