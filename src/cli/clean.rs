//! `pearlift clean`: removes files that no manifest needs.

use serde_json::{Value, json};

use crate::clean::{
    CleanOutcome, Cleaning, Compact, LayoutChange, LayoutChanged, Repartition, Repartitioned, WasteKind, change_layout,
    clean as sweep,
};
use crate::cli::arguments::Clean;
use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::check_destination;
use crate::quantity::{number, plural};
use crate::report::bytes;
use crate::run::spool_folder;
use crate::store::Store;
use crate::write::{Joint, Sizes};

/// Cleans and prints the removed files; exit code 6 if another run holds a resource, that of the failure if one could
/// not be cleaned.
pub async fn clean(start: Start, clean: Clean) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let account = settings.account()?;
    let store = Store::of(&settings, false)?;
    if clean.layout {
        let change = LayoutChange {
            store: &store,
            catalog: &catalog,
            account: &account.code,
            now: start.now,
            dry_run: clean.dry_run,
        };
        return layout(&start, change, clean.json).await;
    }
    check_destination(&store, &account.code).await?;
    let limits = settings.limits()?;
    for name in &clean.names {
        if catalog.get(name)?.partition().date().is_none() {
            return Err(Failure::new(Kind::Usage, format!("divide the files of `{name}` anew"))
                .because("its schema file divides its files by no date"));
        }
    }
    let spool = spool_folder(limits.spool.as_deref())?;
    let sizes = Sizes::of(&limits);
    let work = Cleaning {
        store: &store,
        catalog: &catalog,
        account: &account.code,
        now: start.now,
        dry_run: clean.dry_run,
        compact: clean.compact.then_some(Compact { sizes, spool: spool.path() }),
        repartition: clean.repartition.then_some(Repartition {
            names: &clean.names,
            sizes,
            spool: spool.path(),
            memory: limits.memory / SPOOL_SHARE,
            partition_rows: limits.partition_rows,
        }),
    };
    let outcome = sweep(work).await?;
    if clean.json {
        start.terminal().print_json(object(&outcome, clean.dry_run))?;
    } else {
        start.terminal().print(&lines(&outcome, clean.dry_run))?;
    }
    if let Some(failure) = &outcome.uploads_left {
        start.warn("unfinished uploads of crashed runs may remain", failure);
    }
    for (resource, failure) in &outcome.failures {
        start.complain_of(Some(resource), failure);
    }
    let failed = outcome.failures.first().map(|(_, failure)| failure.kind().exit_code());
    let code = failed.unwrap_or(if outcome.held.is_empty() { 0 } else { Kind::Held.exit_code() });
    if let Some(run) = outcome.run.as_deref().filter(|_| outcome.changed()) {
        start.remember(&store, start.brief(run, "clean", &account.code, code).cleaned(&outcome)).await;
    }
    Ok(code)
}

/// Changes the layout and prints the change; exit code 3 if other writers left objects in a log.
async fn layout(start: &Start, change: LayoutChange<'_>, json: bool) -> Result<u8> {
    let LayoutChanged { from, to, tables, unknown } = change_layout(change).await?;
    if json {
        let (from, to, dry_run) = (from.word(), to.word(), change.dry_run);
        start.terminal().print_json(json!({
            "format": 1, "dry_run": dry_run, "from": from, "to": to, "tables": tables, "unknown": unknown,
        }))?;
    } else {
        let tables = plural(tables, "table");
        let mut lines: Vec<String> = unknown.iter().map(|path| format!("{path}: not known, left alone")).collect();
        lines.push(match (from == to, change.dry_run) {
            (true, _) => format!("the layout is `{}`, with {tables}", to.word()),
            (false, true) => format!("the layout of {tables} would change from `{}` to `{}`", from.word(), to.word()),
            (false, false) => format!("the layout of {tables} changed from `{}` to `{}`", from.word(), to.word()),
        });
        start.terminal().print(&lines)?;
    }
    Ok(if unknown.is_empty() { 0 } else { Kind::Doubtful.exit_code() })
}

/// A repartition keeps rows of this part of the memory setting; one commit needs the rest.
const SPOOL_SHARE: u64 = 16;

fn total(outcome: &CleanOutcome) -> u64 {
    outcome.waste.iter().map(|waste| waste.bytes).sum()
}

fn lines(outcome: &CleanOutcome, dry_run: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for waste in &outcome.waste {
        let size = if waste.why == WasteKind::Upload { String::new() } else { format!(", {}", bytes(waste.bytes)) };
        lines.push(format!("{}: {}{size}", waste.path, waste.why.name()));
    }
    for Joint { folder, files, bytes: size, into } in &outcome.joints {
        let joined = if dry_run { "would be joined".to_owned() } else { format!("joined into {}", number(*into)) };
        lines.push(format!("{folder}: {}, {}, {joined}", plural(*files, "small file"), bytes(*size)));
    }
    for Repartitioned { resource, from, to, files, into } in &outcome.repartitioned {
        let (from, to) = (from.word(), to.word());
        let became = into.map_or_else(|| "would be changed".to_owned(), |into| format!("now {}", number(into)));
        lines.push(format!("{resource}: partition {from} to {to}, {}, {became}", plural(*files, "file")));
    }
    lines.extend(outcome.folders.iter().map(|folder| format!("{folder}: empty folder")));
    lines.extend(outcome.unknown.iter().map(|path| format!("{path}: not known, left alone")));
    lines.extend(outcome.held.iter().map(|held| format!("{}: held by {}, left alone", held.name, held.by)));
    let files = plural(outcome.waste.len(), "file");
    let verb = if dry_run { "would be removed" } else { "removed" };
    lines.push(format!("{files}, {} {verb}", bytes(total(outcome))));
    lines
}

fn object(outcome: &CleanOutcome, dry_run: bool) -> Value {
    let waste: Vec<Value> = outcome
        .waste
        .iter()
        .map(|waste| json!({"path": waste.path, "why": waste.why.name(), "bytes": waste.bytes}))
        .collect();
    let into = |joint: &Joint| (!dry_run).then_some(joint.into);
    let joined = outcome
        .joints
        .iter()
        .map(|joint| json!({"folder": joint.folder, "files": joint.files, "bytes": joint.bytes, "into": into(joint)}));
    let joined: Vec<Value> = joined.collect();
    let repartitioned = outcome.repartitioned.iter().map(|done| {
        let (from, to) = (done.from.word(), done.to.word());
        json!({"resource": done.resource, "from": from, "to": to, "files": done.files, "into": done.into})
    });
    let repartitioned: Vec<Value> = repartitioned.collect();
    let held: Vec<Value> = outcome.held.iter().map(|held| json!({"resource": held.name, "by": held.by})).collect();
    let failures: Vec<Value> = outcome
        .failures
        .iter()
        .map(|(resource, failure)| json!({"resource": resource, "failure": failure.to_string()}))
        .collect();
    json!({
        "format": 1,
        "dry_run": dry_run,
        "bytes": total(outcome),
        "removed": waste,
        "joined": joined,
        "repartitioned": repartitioned,
        "empty_folders": outcome.folders,
        "unknown": outcome.unknown,
        "held": held,
        "failures": failures,
    })
}
