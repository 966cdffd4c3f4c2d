//! Publishing: what a decided version names becomes visible, partition by partition. Idempotent.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;

use crate::failure::{Failure, Result};
use crate::manifest::format::{DataFile, Version};
use crate::store::{Store, paths};

/// Partitions published at once: a bucket answers a copy in tens of milliseconds.
const AT_ONCE: usize = 16;

/// Publishes the files of `version` that are still staged (`staged`: the paths that exist below staging), deletes what it
/// removes, and clears those staged files. Readers see a partition old and new side by side only between its last copy
/// and its delete.
pub async fn publish(store: &Store, version: &Version, staged: &BTreeSet<String>) -> Result<()> {
    let mut partitions: BTreeMap<&str, (Vec<&DataFile>, Vec<String>)> = BTreeMap::new();
    for file in version.files().chain(&version.deleted).filter(|file| staged.contains(&file.staged)) {
        partitions.entry(folder(&file.path)).or_default().0.push(file);
    }
    let live = version.paths();
    for path in version.removes.iter().filter(|path| !live.contains(path.as_str())) {
        partitions.entry(folder(path)).or_default().1.push(path.clone());
    }
    let published: Vec<String> =
        partitions.values().flat_map(|(files, _)| files.iter().map(|file| file.staged.clone())).collect();
    futures_util::stream::iter(partitions.into_values().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(files, removes)| async move {
            for file in files {
                swap_in(store, file).await?;
            }
            if removes.is_empty() { Ok(()) } else { store.delete(&removes).await }
        })
        .await?;
    if published.is_empty() { Ok(()) } else { store.delete(&published).await }
}

async fn swap_in(store: &Store, file: &DataFile) -> Result<()> {
    if store.copy(&file.staged, &file.path).await? || store.size(&file.path).await?.is_some() {
        return Ok(());
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
