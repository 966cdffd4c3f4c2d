//! `pearlift forget`: erases a person from the destination, or lifts that for later reads.

use crate::cli::arguments::Forget;
use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};
use crate::forget::{ErasedResource, ForgetOutcome, Forgetting, forget as erase, lift, no_key};
use crate::manifest::{check_destination, nonce};
use crate::quantity::{number, plural};
use crate::run::spool_folder;
use crate::store::{Store, paths};
use crate::write::Sizes;

/// The places that no command of ours reaches.
const OUT_OF_REACH: [&str; 4] = [
    "free texts and addresses in records of others that mention the person without the id",
    "copies outside the destination, backups, and former versions that a bucket keeps",
    "logs on this machine or elsewhere, and the account at the source itself",
    "columns that no schema file marks as personal",
];

/// Erases the person and prints the tables in which something was erased; exit code 3 if something at the destination is
/// unknown, that of the failure if a resource could not be emptied.
pub async fn forget(start: Start, forget: Forget) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let account = settings.account()?;
    let key = settings.hash_key()?.ok_or_else(|| no_key("forget a person"))?;
    let store = Store::of(&settings, false)?;
    if !check_destination(&store, &account.code).await? {
        return Err(Failure::new(Kind::Settings, "forget a person")
            .at(store.describe())
            .because("no run has written there")
            .advise("check `destination.url`"));
    }
    if forget.lift {
        let was_there = lift(&store, &key, forget.contact).await?;
        if was_there {
            start.remember(&store, start.brief(&nonce(), "forget", &account.code, 0).done()).await;
        }
        let said = if was_there {
            "the person is off the list: `pearlift run --full` stores the values again"
        } else {
            "the person was not on the list"
        };
        start.terminal().print(&[said.to_owned()])?;
        return Ok(0);
    }
    let limits = settings.limits()?;
    let spool = spool_folder(limits.spool.as_deref())?;
    let outcome = erase(Forgetting {
        store: &store,
        catalog: &catalog,
        account: &account.code,
        key: &key,
        person: forget.contact,
        spool: spool.path(),
        sizes: Sizes::of(&limits),
        now: start.now,
        dry_run: forget.dry_run,
        wait: forget.wait,
    })
    .await?;
    let failed = outcome.failures.first().map(|(_, failure)| failure.kind().exit_code());
    let code = failed.unwrap_or(if outcome.unknown.is_empty() { 0 } else { Kind::Doubtful.exit_code() });
    if !forget.dry_run {
        let brief = start.brief(&outcome.run, "forget", &account.code, code);
        start.remember(&store, brief.forgotten(&outcome)).await;
    }
    start.terminal().print(&lines(&outcome, forget.dry_run))?;
    for (resource, failure) in &outcome.failures {
        start.complain_of(Some(resource), failure);
    }
    if let Some((_, failure)) = outcome.failures.first() {
        start.complain_of(None, &unfinished(failure));
    }
    Ok(code)
}

fn unfinished(first: &Failure) -> Failure {
    Failure::new(first.kind(), "erase the person everywhere")
        .because("the resources above still hold values")
        .advise("when their failures are remedied, run the same command again: it completes the rest")
}

fn lines(outcome: &ForgetOutcome, dry_run: bool) -> Vec<String> {
    let verb = if dry_run { "would be emptied" } else { "emptied" };
    let mut lines = Vec::new();
    for ErasedResource { resource, rows, rejected, version, versions_removed, .. } in &outcome.resources {
        let tables = rows.iter().map(|(table, rows)| format!("{table}: {} {verb}", plural(*rows, "row")));
        lines.extend(tables);
        if *rejected > 0 {
            lines.push(format!("{resource}: {} {verb}", plural(*rejected, "rejected record")));
        }
        if let Some(version) = version {
            let older = plural(*versions_removed, "older version");
            lines.push(format!("{resource}: version {}, {older} removed", number(*version)));
        }
    }
    if outcome.reports > 0 {
        lines.push(format!("samples of values in {} {verb}", plural(outcome.reports, "report")));
    }
    if !dry_run {
        lines.push(format!("later reads keep the values out: {}", paths::forgotten(&outcome.person)));
    }
    lines.extend(
        outcome.unknown.iter().map(|unknown| format!("not reached: {unknown}, which no schema file describes")),
    );
    lines.extend(OUT_OF_REACH.iter().map(|place| format!("not reached: {place}")));
    lines
}
