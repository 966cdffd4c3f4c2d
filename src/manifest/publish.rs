//! Publishing: the files of a decided version become visible, partition by partition. Idempotent.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;

use crate::config::DestinationLayout;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::{DataFile, Version};
use crate::manifest::load::versions;
use crate::store::{Store, StoreStep, paths};

/// Partitions published at once: a bucket answers a copy in tens of milliseconds.
const AT_ONCE: usize = 16;

/// Publishes the files of `version` that are still staged (`staged`: the paths that exist below staging), deletes those
/// that it removes, and clears those staged files. Readers see a partition old and new side by side only between its
/// last copy and its delete. Folders of partitions that are left without files are removed. In the layout `delta` the data
/// files that it removes stay (`delta`).
pub async fn publish_files(store: &Store, version: &Version, staged: &BTreeSet<String>) -> Result<()> {
    let mut partitions: BTreeMap<&str, (Vec<&DataFile>, Vec<String>)> = BTreeMap::new();
    for file in version.files().chain(&version.deleted).filter(|file| staged.contains(&file.staged)) {
        partitions.entry(folder(&file.path)).or_default().0.push(file);
    }
    let live = version.paths();
    for path in version.removes.iter().filter(|path| !live.contains(path.as_str()) && !stays(store, path)) {
        partitions.entry(folder(path)).or_default().1.push(path.clone());
    }
    let published: Vec<String> =
        partitions.values().flat_map(|(files, _)| files.iter().map(|file| file.staged.clone())).collect();
    futures_util::stream::iter(partitions.into_values().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(files, removes)| async move {
            for file in &files {
                swap_in(store, version, file).await?;
                store.reach(StoreStep::Copied, &file.path)?;
            }
            if let Some(file) = files.first() {
                store.reach(StoreStep::CopiedAll, &file.path)?;
            }
            let Some(removed) = removes.first() else { return Ok(()) };
            store.delete(&removes).await?;
            if files.is_empty() {
                store.remove_empty_partition(folder(removed));
            }
            store.reach(StoreStep::Replaced, removed)
        })
        .await?;
    store.reach(StoreStep::Published, &version.resource)?;
    if !published.is_empty() {
        store.delete(&published).await?;
    }
    store.reach(StoreStep::Cleared, &version.resource)
}

/// Whether a superseded file stays for readers of earlier versions.
pub(super) fn stays(store: &Store, path: &str) -> bool {
    match store.layout() {
        DestinationLayout::Parquet => false,
        DestinationLayout::Delta => paths::of_data(path).is_some(),
    }
}

async fn swap_in(store: &Store, version: &Version, file: &DataFile) -> Result<()> {
    if store.copy(&file.staged, &file.path).await? || store.size(&file.path).await?.is_some() {
        return Ok(());
    }
    // A run that slept here finds that another took over, published this version for it, and went on from there.
    if versions(store, &version.resource).await?.last().is_some_and(|newest| *newest > version.version) {
        return Err(Failure::new(Kind::Lost, format!("publish version {}", version.version))
            .at(version.resource.clone())
            .because("this run was suspended while another took over and continued")
            .advise("nothing is lost: the other run published it; run again"));
    }
    Err(Failure::damaged("publish a file", &file.path).because("it is neither staged nor in its place"))
}

/// The paths of everything staged.
pub async fn staged(store: &Store) -> Result<BTreeSet<String>> {
    Ok(store.list(paths::STAGING).await?.into_iter().map(|(path, _)| path).collect())
}

/// The folder of a path: its table and partition.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
