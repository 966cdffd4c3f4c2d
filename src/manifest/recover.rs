//! The first step of a writing command: publish the commits of crashed runs, and delete their uncommitted files.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::failure::{Failure, Result};
use crate::manifest::commit::decide;
use crate::manifest::format::{FORMAT, State, Version};
use crate::manifest::load::{head, outline};
use crate::manifest::publish::{publish_files, staged, stays};
use crate::schema::Resource;
use crate::store::{Store, StoreStep, Upload, paths};

/// Versions whose removes are issued again: a publisher that slept may have restored files that a later version
/// removed.
const REPEATED: u64 = 5;

/// The identity of the recovering run, for a claim version.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    pub account: &'a str,
    pub run: &'a str,
    /// Our clock, for the record.
    pub now: Timestamp,
    pub nonce: fn() -> String,
}

/// A resource as recovery knows it, from the catalogue or from the manifests on disk alone.
#[derive(Clone, Debug)]
pub struct Holding {
    pub resource: String,
    /// The tables with staged files of the resource.
    pub tables: BTreeSet<String>,
    /// For a claim where there is no version yet.
    pub schema_hash: String,
}

impl Holding {
    /// The value for a resource of the catalogue.
    pub fn new(resource: &Resource) -> Self {
        Self {
            resource: resource.name.clone(),
            tables: resource.tables.iter().map(|table| table.name.clone()).collect(),
            schema_hash: resource.hash.clone(),
        }
    }
}

/// The result of recovery.
#[derive(Debug)]
pub struct Recovered {
    /// The head; `None` where nothing was ever committed.
    pub head: Option<Version>,
    /// The reason why uploads of crashed runs remain. Nothing depends on them, so that it is not a failure of the
    /// recovery.
    pub kept: Option<Failure>,
}

/// Completes a resource under its lock, and returns its head.
///
/// Committed but unpublished files are published, the removes of the last versions are issued again (never a file that
/// the head names). Staged files of another run that no head names are swept, after a claim version has made sure that
/// their run can no longer commit them; so are those of the unfinished `uploads` that would be such files.
pub async fn recover_files(
    store: &Store,
    holding: &Holding,
    uploads: &[Upload],
    claimant: Claimant<'_>,
) -> Result<Recovered> {
    let all_staged = staged(store).await?;
    let mine = |path: &str| {
        paths::of_staged(path).is_some_and(|(table, run)| run != claimant.run && holding.tables.contains(table))
    };
    let of_dead_runs: BTreeSet<String> = all_staged.into_iter().filter(|path| mine(path)).collect();
    let unfinished: Vec<Upload> = uploads.iter().filter(|upload| mine(&upload.path)).cloned().collect();
    let mut current = head(store, &holding.resource).await?;
    if !of_dead_runs.is_empty() || !unfinished.is_empty() {
        let claim = claim(current.as_ref(), holding, claimant);
        decide(store, &claim).await?;
        store.reach(StoreStep::Claimed, &holding.resource)?;
        current = Some(claim);
    }
    let Some(head) = current else { return Ok(Recovered { head: None, kept: None }) };
    publish_files(store, &head, &of_dead_runs).await?;
    store.reach(StoreStep::Recovered, &holding.resource)?;
    let named: BTreeSet<&str> = head.files().chain(&head.deleted).map(|file| file.staged.as_str()).collect();
    let swept: Vec<String> = of_dead_runs.iter().filter(|path| !named.contains(path.as_str())).cloned().collect();
    if !swept.is_empty() {
        store.delete(&swept).await?;
        store.reach(StoreStep::Swept, &holding.resource)?;
    }
    let kept = store.give_up(&unfinished).await.err();
    remove_again(store, &head).await?;
    store.reach(StoreStep::RemovedAgain, &holding.resource)?;
    Ok(Recovered { head: Some(head), kept })
}

/// A version with the same files and state, written by us: the run that staged files can no longer commit on the old
/// one.
fn claim(head: Option<&Version>, holding: &Holding, claimant: Claimant<'_>) -> Version {
    let base = head.cloned();
    Version {
        format: FORMAT,
        pearlift: env!("CARGO_PKG_VERSION").to_owned(),
        account: claimant.account.to_owned(),
        resource: holding.resource.clone(),
        version: base.as_ref().map_or(1, |head| head.version + 1),
        nonce: (claimant.nonce)(),
        parent: base.as_ref().map(|head| head.nonce.clone()),
        run: claimant.run.to_owned(),
        written_at: claimant.now,
        schema_hash: base.as_ref().map_or_else(|| holding.schema_hash.clone(), |head| head.schema_hash.clone()),
        tables: base.as_ref().map(|head| head.tables.clone()).unwrap_or_default(),
        removes: base.as_ref().map(|head| head.removes.clone()).unwrap_or_default(),
        rejected: base.as_ref().map(|head| head.rejected.clone()).unwrap_or_default(),
        deleted: base.as_ref().map(|head| head.deleted.clone()).unwrap_or_default(),
        checkpoint: base.as_ref().and_then(|head| head.checkpoint.clone()),
        state: base.map(|head| head.state).unwrap_or_else(State::default),
    }
    .settled()
}

async fn remove_again(store: &Store, head: &Version) -> Result<()> {
    let live = head.paths();
    let mut gone: BTreeSet<String> = BTreeSet::new();
    for number in head.version.saturating_sub(REPEATED) + 1..=head.version {
        match number == head.version {
            true => gone.extend(head.removes.iter().cloned()),
            false => gone.extend(outline(store, &head.resource, number).await?.into_iter().flat_map(|it| it.removes)),
        }
    }
    let gone: Vec<String> =
        gone.into_iter().filter(|path| !live.contains(path.as_str()) && !stays(store, path)).collect();
    if gone.is_empty() { Ok(()) } else { store.delete(&gone).await }
}
