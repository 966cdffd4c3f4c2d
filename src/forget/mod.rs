//! Erases a person from the destination, and keeps the person's values out of later reads.
//!
//! Takes a person's id and the key of hashes, gives the rows that were emptied by table, and the places that are out of
//! reach. The person is put on a list first, so that no later run stores the values again; then each resource with columns that
//! lead to people is emptied by one commit, and everything older is removed. Refuses (`Held`) where another run holds one of
//! these resources. Amounts, ids and dates stay.

mod list;
mod person;
mod documents;
mod pages;
mod reports;
mod rejected;
mod forgetting;
mod erase;

use std::collections::{BTreeSet, HashSet};

use crate::delta::recover;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Claimant, ResourceHolder, Version, check_destination, head, nonce, resources};
use crate::schema::Resource;
use crate::secret::HashKey;
use crate::store::{Locks, Store, paths};

use erase::Eraser;
use person::{PersonColumns, people};
use reports::empty_reports;

pub use forgetting::{ErasedResource, ForgetOutcome, Forgetting};
pub use list::{ForgottenList, no_key};
pub use pages::Forgotten;

/// Erases a person, or counts with `dry_run`.
pub async fn forget(work: Forgetting<'_>) -> Result<ForgetOutcome> {
    let people = people(work.catalog)?;
    // The key is the one of the list.
    ForgottenList::load(work.store, Some(work.key.clone())).await?;
    let on_disk: HashSet<String> = resources(work.store).await?.into_iter().collect();
    let concerned: Vec<(&Resource, PersonColumns)> = work
        .catalog
        .resources()
        .iter()
        .map(|resource| (resource, PersonColumns::of(resource, &people)))
        .filter(|(_, columns)| !columns.is_empty())
        .collect();
    let unknown = on_disk.iter().filter(|name| work.catalog.find(name).is_none());
    let mut outcome = ForgetOutcome {
        run: nonce(),
        person: work.key.hash(&work.person.to_string()),
        unknown: unknown.map(|name| format!("resource `{name}`")).collect(),
        ..ForgetOutcome::default()
    };
    outcome.unknown.sort();
    if work.dry_run {
        let mut heads = Vec::new();
        for (resource, columns) in concerned {
            match head(work.store, &resource.name).await {
                Ok(head) => heads.extend(head.map(|head| (resource, columns, head))),
                Err(failure) => outcome.failures.push((resource.name.clone(), failure)),
            }
        }
        erase_all(work, heads, None, &mut outcome).await?;
        return Ok(outcome);
    }
    work.store.prove_conditional_put(&outcome.run).await?;
    // All of them, read already or not: a run that reads one for the first time does not know the list yet.
    let names: Vec<&str> = concerned.iter().map(|(resource, _)| resource.name.as_str()).collect();
    let locks = work.store.lock(&names, &outcome.run, work.wait, std::future::pending()).await?;
    // Its layout may have changed before the locks were taken.
    let done = match refuse_held(&locks).and(check_destination(work.store, work.account).await) {
        Ok(_) => under_locks(work, concerned, &locks, &mut outcome).await,
        Err(held) => Err(held),
    };
    let released = locks.release().await;
    done.and(released).map(|()| outcome)
}

/// Takes a person off the list; whether the person was on it. The next full read stores the values again.
pub async fn lift(store: &Store, key: &HashKey, person: i64) -> Result<bool> {
    ForgottenList::load(store, Some(key.clone())).await?;
    list::take_off(store, key, person).await
}

fn refuse_held(locks: &Locks) -> Result<()> {
    let Some(held) = locks.held_by_others.first() else { return Ok(()) };
    Err(Failure::new(Kind::Held, "forget a person")
        .at(held.name.clone())
        .because(format!("it is held by {}, and nothing is erased in part", held.by))
        .advise("run the same command when the other run has ended, or with --wait"))
}

/// Everything that is done once all locks are held.
async fn under_locks(
    work: Forgetting<'_>,
    concerned: Vec<(&Resource, PersonColumns)>,
    locks: &Locks,
    outcome: &mut ForgetOutcome,
) -> Result<()> {
    list::put(work.store, work.key, work.person, &outcome.run, work.now).await?;
    let uploads = work.store.uploads(paths::STAGING).await.unwrap_or_default();
    let mut heads = Vec::new();
    for (resource, columns) in concerned {
        let claimant = Claimant { account: work.account, run: &outcome.run, now: work.now, nonce };
        match recover(work.store, resource, &uploads, claimant).await {
            Ok(recovered) => heads.extend(recovered.head.map(|head| (resource, columns, head))),
            Err(failure) => {
                let failure = meaning(work, locks, &outcome.run, &resource.name, failure).await;
                outcome.failures.push((resource.name.clone(), failure));
            }
        }
    }
    erase_all(work, heads, Some(locks), outcome).await
}

/// Empties reports, then empties each resource; a failing one does not hold up the others.
async fn erase_all(
    work: Forgetting<'_>,
    heads: Vec<(&Resource, PersonColumns, Version)>,
    locks: Option<&Locks>,
    outcome: &mut ForgetOutcome,
) -> Result<()> {
    let run = outcome.run.clone();
    let erasers: Vec<(&Resource, Eraser)> = heads
        .into_iter()
        .map(|(resource, columns, head)| (resource, Eraser::new(&work, resource, columns, head, &run)))
        .collect();
    let mut texts = BTreeSet::new();
    for (_, eraser) in erasers.iter().filter(|(resource, _)| resource.holds_people) {
        // Files that cannot be read are reported below.
        texts.extend(eraser.find_texts(&work).await.unwrap_or_default());
    }
    outcome.reports = empty_reports(work.store, &run, &texts, work.dry_run).await?;
    let mut number = 0;
    for (resource, eraser) in erasers {
        outcome.unknown.extend(eraser.unknown_files().map(|file| format!("file {}", file.path)));
        match eraser.erase(&work, locks, &mut number).await {
            Ok(erased) => {
                outcome.unknown.extend(erased.unknown.iter().map(|path| format!("file {path}")));
                outcome.resources.push(erased);
            }
            Err(failure) => {
                let failure = match locks {
                    Some(locks) => meaning(work, locks, &run, &resource.name, failure).await,
                    None => failure,
                };
                outcome.failures.push((resource.name.clone(), failure));
            }
        }
    }
    Ok(())
}

/// The meaning of a failure under a lock that may be lost.
async fn meaning(work: Forgetting<'_>, locks: &Locks, run: &str, resource: &str, failure: Failure) -> Failure {
    ResourceHolder { store: work.store, locks, run }.meaning(&[resource], None, failure).await
}
