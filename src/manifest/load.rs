//! Reads versions and plans from the store.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::{FORMAT, ScanPlan, Version};
use crate::manifest::integrity::{MANIFEST_ELEMENTS, PLAN_ELEMENTS, check, check_size, elements, is_plan};
use crate::manifest::share::{Outline, Stored};
use crate::store::paths::PLAN_BYTES;
use crate::store::{Store, StoreStep, paths};

/// Attempts to find a head with its checkpoint: it may have been pruned under a newer head.
const TRIES: u32 = 3;

/// The resources that have manifests, by the folders on disk: the catalogue may know others.
pub async fn resources(store: &Store) -> Result<Vec<String>> {
    let is_word = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    Ok(store.list_folder(paths::MANIFESTS).await?.into_iter().filter(is_word).collect())
}

/// The numbers of a resource's versions, ascending.
pub async fn versions(store: &Store, resource: &str) -> Result<Vec<u64>> {
    let names = store.list_folder(&paths::manifests(resource)).await?;
    Ok(names.iter().filter_map(|name| paths::version_of(name)).collect())
}

/// The newest version of a resource, or `None` when there is none. Refuses (`Damage`) one without its checkpoint.
pub async fn head(store: &Store, resource: &str) -> Result<Option<Version>> {
    let mut torn = 0;
    loop {
        let Some(newest) = versions(store, resource).await?.last().copied() else { return Ok(None) };
        // A version that was listed can only be gone if it was pruned meanwhile: then a newer one exists.
        let Some(stored) = stored(store, resource, newest).await? else { continue };
        let Some(since) = &stored.changed_since else { return resolve(stored, resource, newest, None).map(Some) };
        let number = since.version;
        match read_checkpoint(store, resource, number).await? {
            Some(checkpoint) => return resolve(stored, resource, newest, Some(&checkpoint)).map(Some),
            None if torn < TRIES => torn += 1,
            None => {
                let why = format!("version {newest} refers to it for its files, and it is not there");
                return Err(damaged(&paths::manifest(resource, number)).because(why));
            }
        }
    }
}

/// A version by its number, with its files; `None` where it is not kept, or its checkpoint is not.
pub async fn version(store: &Store, resource: &str, number: u64) -> Result<Option<Version>> {
    let Some(stored) = stored(store, resource, number).await? else { return Ok(None) };
    let Some(since) = &stored.changed_since else { return resolve(stored, resource, number, None).map(Some) };
    let checkpoint = read_checkpoint(store, resource, since.version).await?;
    checkpoint.map(|checkpoint| resolve(stored, resource, number, Some(&checkpoint))).transpose()
}

/// The newest version of a resource without its files, or `None` when there is none.
pub async fn newest_outline(store: &Store, resource: &str) -> Result<Option<Outline>> {
    loop {
        let Some(newest) = versions(store, resource).await?.last().copied() else { return Ok(None) };
        if let Some(outline) = outline(store, resource, newest).await? {
            return Ok(Some(outline));
        }
    }
}

/// A version by its number, without its files.
pub async fn outline(store: &Store, resource: &str, number: u64) -> Result<Option<Outline>> {
    Ok(stored(store, resource, number).await?.map(Stored::outline))
}

async fn stored(store: &Store, resource: &str, number: u64) -> Result<Option<Stored>> {
    let path = paths::manifest(resource, number);
    store.get(&path).await?.map(|bytes| parse_stored(resource, number, &bytes)).transpose()
}

/// A version to which a later one refers.
async fn read_checkpoint(store: &Store, resource: &str, number: u64) -> Result<Option<Version>> {
    let found = stored(store, resource, number).await?;
    found.map(|stored| resolve(stored, resource, number, None)).transpose()
}

/// Reads the JSON of a resource's version; refuses (`Settings`) a newer format and the keys of builds before the first
/// release, and (`Damage`) anything that is no manifest, lists files that no run of ours can have written, or refers to
/// another version for its files.
pub fn parse(resource: &str, number: u64, bytes: &[u8]) -> Result<Version> {
    resolve(parse_stored(resource, number, bytes)?, resource, number, None)
}

/// [`parse`] of a version that refers to this one for its files.
pub fn parse_changes(resource: &str, number: u64, bytes: &[u8], checkpoint: &Version) -> Result<Version> {
    resolve(parse_stored(resource, number, bytes)?, resource, number, Some(checkpoint))
}

/// The version with its files.
fn resolve(stored: Stored, resource: &str, number: u64, checkpoint: Option<&Version>) -> Result<Version> {
    let refused = |why| damaged(&paths::manifest(resource, number)).because(why);
    let version = stored.whole(checkpoint).map_err(refused)?;
    check(&version, resource, number).map_err(refused)?;
    Ok(version)
}

fn parse_stored(resource: &str, number: u64, bytes: &[u8]) -> Result<Stored> {
    #[derive(Deserialize)]
    struct Form {
        format: u32,
        state: Option<Keys>,
    }
    /// A key that each version has, as a sign of the others.
    #[derive(Deserialize)]
    struct Keys {
        pending: Option<IgnoredAny>,
    }
    let path = paths::manifest(resource, number);
    let found = elements(bytes);
    if found > MANIFEST_ELEMENTS {
        let why = format!("it lists {found} things, and at most {MANIFEST_ELEMENTS} are read");
        return Err(damaged(&path).because(why));
    }
    let form: Form = serde_json::from_slice(bytes).map_err(|error| damaged(&path).caused(error))?;
    if form.format > FORMAT {
        return Err(Failure::new(Kind::Settings, "read a manifest")
            .at(&path)
            .because(format!("it is of format {}, and this program knows up to {FORMAT}", form.format))
            .advise("use the newer pearlift that wrote it"));
    }
    if form.state.is_some_and(|keys| keys.pending.is_none()) {
        return Err(Failure::new(Kind::Settings, "read a manifest")
            .at(&path)
            .because("it lacks the key `state.pending`: a pearlift before the first release wrote it, with other keys")
            .advise("set `destination.url` to a new folder or prefix, and export everything again"));
    }
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| damaged(&path).caused(error))?;
    check(&stored.without_files(), resource, number).map_err(|why| damaged(&path).because(why))?;
    Ok(stored)
}

fn damaged(path: &str) -> Failure {
    Failure::new(Kind::Damage, "read a manifest").at(path).advise(
        "restore it from a backup; or move it away, and `pearlift backfill RESOURCE --damaged` repairs the previous version",
    )
}

/// Puts a scan's plan where a later run finds it. A plan of the same scan that is there is the same plan.
pub async fn write_plan(store: &Store, plan: &ScanPlan) -> Result<String> {
    let path = paths::scan(&plan.resource, &plan.scan);
    let bytes = serde_json::to_vec(plan).map_err(|error| Failure::new(Kind::Bug, "write a plan").caused(error))?;
    check_size("write a plan", &path, &bytes, (PLAN_BYTES, PLAN_ELEMENTS))?;
    store.put_own(&path, bytes).await?;
    store.reach(StoreStep::PlanKept, &path)?;
    Ok(path)
}

/// Reads a scan's plan; `None` when it is gone or not ours to read.
pub async fn read_plan(store: &Store, path: &str) -> Result<Option<ScanPlan>> {
    let bytes = match store.get(path).await {
        // Larger than any plan of ours.
        Err(failure) if failure.kind() == Kind::Damage => None,
        found => found?,
    };
    let bytes = bytes.filter(|bytes| elements(bytes) <= PLAN_ELEMENTS);
    Ok(bytes.and_then(|bytes| serde_json::from_slice::<ScanPlan>(&bytes).ok()).filter(is_plan))
}
