//! Removes objects that no manifest needs: superseded files, staging of crashed runs, old versions, plans, files of
//! rejected records, and reports; joins small files and divides files anew on request.
//!
//! Takes a store and the catalogue, gives the removed and the remaining objects. Relies on the manifests on disk. The
//! objects of a resource are touched under its lock only, after the commits of crashed runs have been published; an
//! object that is not known by its name and by a manifest is listed and left.

mod cleaning;
mod retention;
mod housekeeping;
mod survey;
mod compact;
mod repartition;
mod reports;
mod layout;

use std::collections::{BTreeMap, BTreeSet};

use crate::delta::recover_holding;
use crate::failure::Result;
use crate::manifest::{Claimant, Holding, Recovered, ResourceHolder, head as newest, nonce, resources};
use crate::store::{Upload, paths};

use compact::would_join;
use repartition::would_repartition;
use survey::{Survey, empty_folders, live_files, survey};

pub use cleaning::{CleanOutcome, Cleaning, Compact, Repartition, Repartitioned, Waste, WasteKind};
pub use housekeeping::{Housekeeping, Removed, keep_house};
pub use layout::{LayoutChange, LayoutChanged, change_layout};

/// Cleans, or lists the objects with `dry_run`.
pub async fn clean(work: Cleaning<'_>) -> Result<CleanOutcome> {
    let mut names: BTreeSet<String> = resources(work.store).await?.into_iter().collect();
    names.extend(work.catalog.resources().iter().map(|resource| resource.name.clone()));
    let mut outcome = CleanOutcome::default();
    let uploads;
    if work.dry_run {
        uploads = unfinished(work, &mut outcome).await;
        let live = live_files(work.store).await.ok();
        for name in &names {
            let found = look(work, name, &uploads, live.as_ref()).await;
            note(&mut outcome, name, found.map(|(_, survey)| survey));
            let Ok(Some(head)) = newest(work.store, name).await else { continue };
            outcome.joints.extend(work.compact.iter().flat_map(|compact| would_join(*compact, &head)));
            if let Some(how) = work.repartition {
                match would_repartition(work, how, &head, &nonce()).await {
                    Ok(would) => outcome.repartitioned.extend(would),
                    Err(failure) => outcome.failures.push((name.clone(), failure)),
                }
            }
        }
    } else {
        let run = nonce();
        outcome.run = Some(run.clone());
        work.store.prove_conditional_put(&run).await?;
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let locks = work.store.lock(&wanted, &run, false, std::future::pending()).await?;
        outcome.held.clone_from(&locks.held_by_others);
        uploads = unfinished(work, &mut outcome).await;
        // Read once: a file that a version removed is never live again.
        let live = live_files(work.store).await.ok();
        let mut number = 0;
        for name in names.iter().filter(|name| locks.holds(name)) {
            let done = match sweep(work, name, &uploads, live.as_ref(), &run, &mut number).await {
                Ok(survey) => Ok(survey),
                Err(failure) => {
                    let holder = ResourceHolder { store: work.store, locks: &locks, run: &run };
                    Err(holder.meaning(&[name], None, failure).await)
                }
            };
            note(&mut outcome, name, done);
        }
        locks.release().await?;
    }
    reports::sweep(work, &mut outcome).await?;
    reports::sweep_history(work, &mut outcome).await?;
    outcome.unknown.extend(survey::unknown_staging(work, &names, &uploads).await?);
    outcome.unknown.sort();
    outcome.unknown.dedup();
    Ok(outcome)
}

/// The unfinished uploads below staging; none if the store does not list them.
async fn unfinished(work: Cleaning<'_>, outcome: &mut CleanOutcome) -> Vec<Upload> {
    match work.store.uploads(paths::STAGING).await {
        Ok(found) => found,
        Err(failure) => {
            outcome.uploads_left = Some(failure);
            Vec::new()
        }
    }
}

fn note(outcome: &mut CleanOutcome, name: &str, done: Result<Survey>) {
    match done {
        Ok(survey) => {
            outcome.waste.extend(survey.waste);
            outcome.joints.extend(survey.joints);
            outcome.repartitioned.extend(survey.repartitioned);
            outcome.unknown.extend(survey.unknown);
            outcome.folders.extend(survey.folders);
            outcome.uploads_left = outcome.uploads_left.take().or(survey.uploads_left);
        }
        Err(failure) => outcome.failures.push((name.to_owned(), failure)),
    }
}

/// The unneeded objects of a resource, by its head.
async fn look(
    work: Cleaning<'_>,
    name: &str,
    uploads: &[Upload],
    live: Option<&BTreeSet<String>>,
) -> Result<(Holding, Survey)> {
    let current = newest(work.store, name).await?;
    let mut holding = survey::holding_of(work.catalog, name, current.as_ref());
    let mut survey = survey(work, &mut holding, current.as_ref(), uploads, live).await?;
    survey.folders = empty_folders(work, &holding, current.as_ref()).await?;
    Ok((holding, survey))
}

/// One resource, under its lock.
async fn sweep(
    work: Cleaning<'_>,
    name: &str,
    uploads: &[Upload],
    live: Option<&BTreeSet<String>>,
    run: &str,
    number: &mut u64,
) -> Result<Survey> {
    let (holding, mut survey) = look(work, name, uploads, live).await?;
    let claimant = Claimant { account: work.account, run, now: work.now, nonce };
    let Recovered { head, kept } = recover_holding(work.store, &holding, uploads, claimant).await?;
    // Nothing of this can be live: we hold the lock, and a former holder is fenced by now. Checked again all the same.
    let live: BTreeSet<&str> = head
        .iter()
        .flat_map(|head| head.files().chain(&head.deleted))
        .flat_map(|file| [file.path.as_str(), file.staged.as_str()])
        .collect();
    survey.waste.retain(|waste| match waste.why == WasteKind::Upload {
        true => kept.is_none(),
        false => !live.contains(waste.path.as_str()),
    });
    survey.uploads_left = kept;
    let mut by_kind: BTreeMap<WasteKind, Vec<String>> = BTreeMap::new();
    // Uploads went with the recovery.
    for waste in survey.waste.iter().filter(|waste| waste.why != WasteKind::Upload) {
        by_kind.entry(waste.why).or_default().push(waste.path.clone());
    }
    // Superseded files first, versions after: as long as a file exists there, a version identifies it as ours.
    for paths in by_kind.into_values() {
        work.store.delete(&paths).await?;
    }
    if let (Some(how), Some(before)) = (work.repartition, &head) {
        survey.repartitioned = repartition::repartition(work, how, before, run, number).await?;
    }
    let head = if survey.repartitioned.is_some() { newest(work.store, name).await? } else { head };
    if let (Some(how), Some(before)) = (work.compact, &head) {
        survey.joints = compact::compact(work, how, before, run, number).await?;
    }
    if survey.repartitioned.is_some() || !survey.joints.is_empty() {
        // Fewer bytes of data leave less room for versions: a second time there is nothing to do.
        let mut after = Survey::default();
        survey::old_versions(work, name, newest(work.store, name).await?.as_ref(), &mut after).await?;
        let paths: Vec<String> = after.waste.iter().map(|waste| waste.path.clone()).collect();
        work.store.delete(&paths).await?;
        survey.waste.extend(after.waste);
    }
    // Those that just became empty too: a former publisher may have ended before it removed them.
    survey.folders = empty_folders(work, &holding, head.as_ref()).await?;
    survey.folders.iter().for_each(|folder| work.store.remove_empty_partition(folder));
    Ok(survey)
}
