//! `pearlift backfill`: reads given ids, a range of a date, or the records of damaged files again.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::Offset;

use crate::cli::arguments::BackfillArguments;
use crate::cli::start::{RunOptions, Start};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::parse_set;
use crate::run::{RunMode, Selection};
use crate::window::Window;

/// Reads the selection again for each resource named.
pub async fn backfill(start: Start, backfill: BackfillArguments) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let mode = if backfill.damaged {
        RunMode::Repair { force: backfill.force }
    } else {
        RunMode::Backfill(selection(&backfill)?)
    };
    let options = RunOptions {
        names: backfill.resources,
        mode,
        wait: backfill.wait,
        most: backfill.max_minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        fail_on_misfit: backfill.fail_on.is_some(),
        json: backfill.json,
    };
    start.run(catalog, settings, options).await
}

/// The selection of the flags.
fn selection(backfill: &BackfillArguments) -> Result<Selection> {
    Ok(match (&backfill.ids, backfill.from, backfill.to) {
        (Some(text), _, _) => {
            let ids = parse_set(text).ok_or_else(|| {
                Failure::new(Kind::Usage, "read `--ids`")
                    .because(format!("`{text}` is not a set of ids"))
                    .advise("write it as `--ids 123,456-500`")
            })?;
            Selection::Ids { ids, accept_older: backfill.accept_older }
        }
        (None, Some(from), Some(to)) if from < to => {
            Selection::Range { window: Window::between(midnight(from)?, midnight(to)?), by: backfill.by.clone() }
        }
        (None, from, to) => {
            let shown = |date: Option<Date>| date.map_or_else(String::new, |date| date.to_string());
            return Err(Failure::new(Kind::Usage, "read the range")
                .because(format!("from `{}` to `{}` is nothing", shown(from), shown(to)))
                .advise("write it as `--from 2026-03-01 --to 2026-04-01`: days in UTC, the last one not included"));
        }
    })
}

/// The beginning of a day in UTC.
fn midnight(date: Date) -> Result<jiff::Timestamp> {
    let begins = date.at(0, 0, 0, 0);
    Offset::UTC.to_timestamp(begins).map_err(|error| Failure::new(Kind::Usage, format!("use {date}")).caused(error))
}
