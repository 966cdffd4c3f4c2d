//! The template of the page: `templates/report.html`, compiled; it escapes every text but the plots, which have none from
//! outside.

use askama::Template;

use crate::failure::{Failure, Kind, Result};
use crate::page::attention::{AttentionItem, attention};
use crate::page::input::PageInput;
use crate::page::plots::{Plot, SIZE};
use crate::page::sections::{PageLine, StateWord, Words, minute};
use crate::quantity::plural;

/// The texts of the page.
/// More than twelve fields: the sections of the template.
#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage {
    account: String,
    destination: String,
    made: String,
    version: &'static str,
    period: String,
    verdict: StateWord,
    last_run: String,
    attention: Vec<AttentionItem>,
    runs: Vec<PageLine>,
    resources: Vec<PageLine>,
    size: (u32, u32),
    plots: Vec<Plot>,
    by_day: Vec<PageLine>,
    rejected: Vec<PageLine>,
    rejected_more: usize,
    kept_records: Vec<String>,
    hides_samples: bool,
    drift: Vec<PageLine>,
    drift_more: usize,
    plan_total: Option<String>,
    plan: Vec<PageLine>,
}

/// The text of the page.
pub fn page(input: &PageInput<'_>) -> Result<String> {
    let words = Words(input);
    let (verdict, last_run) = words.last_run();
    let items = attention(input).into_iter().map(|item| AttentionItem {
        of: words.text(&item.of),
        reason: words.text(&item.reason),
        advice: item.advice.as_deref().map(|advice| words.text(advice)),
        command: item.command.as_deref().map(|command| words.text(command)),
        ..item
    });
    let page = ReportPage {
        account: words.text(&input.account),
        destination: words.text(&input.destination),
        made: minute(input.now),
        version: env!("CARGO_PKG_VERSION"),
        period: plural(input.days, "day"),
        verdict,
        last_run,
        attention: items.collect(),
        runs: words.runs(),
        resources: words.resources(),
        size: SIZE,
        plots: words.plots()?,
        by_day: words.by_day(),
        rejected: words.findings(&input.kept.rejected),
        rejected_more: input.kept.rejected.more,
        kept_records: words.kept_records(),
        hides_samples: input.hides_samples,
        drift: words.findings(&input.kept.drift),
        drift_more: input.kept.drift.more,
        plan_total: words.plan_total(),
        plan: words.plan(),
    };
    page.render().map_err(|error| Failure::new(Kind::Bug, "write the page").because(error.to_string()))
}
