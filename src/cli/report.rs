//! `pearlift report`: the state of the destination as one HTML page.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cli::arguments::ReportArguments;
use crate::cli::start::Start;
use crate::config::{Destination, Settings};
use crate::disk::{read_text, replace};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Version, check_destination, head};
use crate::page::{PageInput, page, read_past, read_reports};
use crate::plan::PartitionState;
use crate::report::StatusRow;
use crate::run::{choose, progress, stale, stored_rows, unpublished};
use crate::schema::{Resource, Type};
use crate::store::Store;

/// The most bytes of a plan that are read: a hundred resources have some 50 KiB.
const PLAN_BYTES: u64 = 4 << 20;
/// The command that opens a file in the browser of the desktop.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Writes the page, and opens it if that is wanted.
pub async fn report(start: Start, arguments: ReportArguments) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let chosen = choose(&catalog, &settings, &[])?;
    let plan = arguments.plan.as_deref().map(read_plan).transpose()?;
    let hides_samples = hides_samples(&chosen);
    let days = SignedDuration::from_hours(24 * i64::from(arguments.days));
    let since = start.now.saturating_sub(days).unwrap_or(Timestamp::MIN);
    let destination = settings.destination()?;
    let account = settings.account().map(|account| account.code);
    let (mut heads, mut unreadable) = (BTreeMap::new(), Vec::new());
    let (mut past, mut kept, mut place) = Default::default();
    // A folder that does not exist yet is not made.
    if !matches!(&destination, Destination::Local(folder) if !folder.exists()) {
        let store = Store::open(&destination, false)?;
        if let Ok(account) = &account {
            check_destination(&store, account).await?;
        }
        (heads, unreadable) = read_heads(&store, &chosen).await?;
        past = read_past(&store, since, &start.redactor).await?;
        kept = read_reports(&store, since, !hides_samples, &start.redactor).await?;
        place = store.describe();
    }
    let resources = status_rows(&settings, &chosen, heads, arguments.max_age, start.now).await?;
    let input = PageInput {
        account: account.unwrap_or_else(|_| "no account in the settings".to_owned()),
        destination: if place.is_empty() { "a folder that does not exist yet".to_owned() } else { place },
        now: start.now,
        days: arguments.days,
        max_age: arguments.max_age,
        resources,
        unreadable,
        past,
        kept,
        hides_samples,
        plan,
        redactor: &start.redactor,
    };
    let text = page(&input)?;
    write(&arguments.out, &text)?;
    start.terminal().complain(&[format!("written: {}", arguments.out.display())]);
    if arguments.open {
        open(&arguments.out)?;
    }
    Ok(0)
}

/// Whether samples could show values that the settings replace by hashes.
fn hides_samples(chosen: &[&Resource]) -> bool {
    let columns = chosen.iter().flat_map(|resource| &resource.tables).flat_map(|table| &table.columns);
    columns.into_iter().any(|column| matches!(column.kind, Type::Hash { .. }))
}

/// Heads by resource, and the failures of those that cannot be read.
type Heads = (BTreeMap<String, Version>, Vec<(String, Failure)>);

/// The heads of these resources.
async fn read_heads(store: &Store, chosen: &[&Resource]) -> Result<Heads> {
    let (mut heads, mut unreadable) = (BTreeMap::new(), Vec::new());
    for resource in chosen {
        match head(store, &resource.name).await {
            Ok(found) => heads.extend(found.map(|version| (resource.name.clone(), version))),
            Err(failure) if failure.kind() == Kind::Damage => unreadable.push((resource.name.clone(), failure)),
            Err(failure) => return Err(failure),
        }
    }
    Ok((heads, unreadable))
}

/// The state of each resource, as `status --max-age` judges it.
async fn status_rows(
    settings: &Settings,
    chosen: &[&Resource],
    mut heads: BTreeMap<String, Version>,
    max_age: Duration,
    now: Timestamp,
) -> Result<Vec<StatusRow>> {
    let waiting = unpublished(settings, &heads).await?;
    let mut scans = progress(settings, &heads).await?;
    let mut rows = Vec::with_capacity(chosen.len());
    for resource in chosen {
        let name = resource.name.clone();
        let head = heads.remove(&name);
        let every = settings.every(&name)?.or(resource.read.every);
        let stale = stale(resource, head.as_ref(), every, max_age, now);
        let unpublished = waiting.get(&name).copied().unwrap_or(0);
        let progress = scans.remove(&name);
        let partition = PartitionState::of(resource, head.as_ref());
        let stored = head.as_ref().map(|head| stored_rows(resource, head)).unwrap_or_default();
        rows.push(StatusRow { resource: name, head, rows: stored, unpublished, progress, partition, stale });
    }
    Ok(rows)
}

/// The plan of a file that `plan --json` printed.
fn read_plan(path: &Path) -> Result<Value> {
    let failure = || Failure::new(Kind::Usage, "read the plan").at(path.display().to_string());
    let text = read_text(path, PLAN_BYTES).map_err(|error| failure().caused(error))?;
    let plan = serde_json::from_str::<Value>(&text).ok().filter(|plan| plan["resources"].is_array());
    plan.ok_or_else(|| {
        failure().because("it is no output of `plan --json`").advise("`pearlift plan --json > plan.json` writes one")
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    replace(path, text.as_bytes()).map_err(|error| {
        let failure = Failure::new(Kind::Usage, "write the page").at(path.display().to_string()).caused(error);
        failure.advise("`--out` names a file in a folder that exists and can be written")
    })
}

/// Opens the page in the browser; waits until the opener has ended.
fn open(path: &Path) -> Result<()> {
    let failure = || {
        let failure = Failure::new(Kind::Usage, "open the page").at(path.display().to_string());
        failure.advise(format!("`--open` needs a desktop with `{OPENER}`; without it, open the file in a browser"))
    };
    // An absolute path is never an option of the opener.
    let whole = std::path::absolute(path).map_err(|error| failure().caused(error))?;
    let mut opener = Command::new(OPENER);
    opener.arg(whole).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = opener.status().map_err(|error| failure().caused(error))?;
    if status.success() { Ok(()) } else { Err(failure().because(format!("`{OPENER}` ended with {status}"))) }
}
