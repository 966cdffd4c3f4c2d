//! Reads versions and plans from the store.

use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::{FORMAT, ScanPlan, Version};
use crate::manifest::integrity::{MANIFEST_ELEMENTS, PLAN_ELEMENTS, check, check_size, elements, is_plan};
use crate::store::paths::PLAN_BYTES;
use crate::store::{Step, Store, paths};

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

/// The newest version of a resource, or `None` when there is none.
pub async fn head(store: &Store, resource: &str) -> Result<Option<Version>> {
    loop {
        let Some(newest) = versions(store, resource).await?.last().copied() else { return Ok(None) };
        // A version that was listed can only be gone if it was pruned meanwhile: then a newer one exists.
        if let Some(version) = read(store, resource, newest).await? {
            return Ok(Some(version));
        }
    }
}

/// A version by its number.
pub async fn read(store: &Store, resource: &str, number: u64) -> Result<Option<Version>> {
    let path = paths::manifest(resource, number);
    store.get(&path).await?.map(|bytes| parse(resource, number, &bytes)).transpose()
}

/// Reads the JSON of a resource's version; refuses (`Settings`) a newer format, and (`Damage`) what is no manifest or names
/// what no run of ours can have written.
pub fn parse(resource: &str, number: u64, bytes: &[u8]) -> Result<Version> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let path = paths::manifest(resource, number);
    let damaged = || {
        Failure::new(Kind::Damage, "read a manifest").at(&path).advise(
            "restore it from a backup; or move it away, and `pearlift backfill RESOURCE --damaged` mends the version \
             before",
        )
    };
    let found = elements(bytes);
    if found > MANIFEST_ELEMENTS {
        return Err(damaged().because(format!("it lists {found} things, and at most {MANIFEST_ELEMENTS} are read")));
    }
    let format: Format = serde_json::from_slice(bytes).map_err(|error| damaged().caused(error))?;
    if format.format > FORMAT {
        return Err(Failure::new(Kind::Settings, "read a manifest")
            .at(&path)
            .because(format!("it is of format {}, and this program knows up to {FORMAT}", format.format))
            .advise("use the newer pearlift that wrote it"));
    }
    let version: Version = serde_json::from_slice(bytes).map_err(|error| damaged().caused(error))?;
    check(&version, resource, number).map_err(|why| damaged().because(why))?;
    Ok(version)
}

/// Puts a scan's plan where a later run finds it. A plan of the same scan that is there is the same plan.
pub async fn write_plan(store: &Store, plan: &ScanPlan) -> Result<String> {
    let path = paths::scan(&plan.resource, &plan.scan);
    let bytes = serde_json::to_vec(plan).map_err(|error| Failure::new(Kind::Bug, "write a plan").caused(error))?;
    check_size("write a plan", &path, &bytes, (PLAN_BYTES, PLAN_ELEMENTS))?;
    store.put_own(&path, bytes).await?;
    store.reach(Step::PlanKept, &path)?;
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
