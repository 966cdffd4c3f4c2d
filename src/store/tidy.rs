//! The needs of housekeeping in a store: objects by their age, and the folders that a run left empty.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use object_store::path::Path;

use crate::failure::Result;
use crate::store::error::{failure, local};
use crate::store::{Store, StoreKind, paths};

impl Store {
    /// The paths below a prefix, with their sizes, from the oldest by the store's clock to the newest.
    pub async fn list_by_age(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let found: Vec<_> = self
            .inner
            .list(Some(&Path::from(prefix)))
            .try_collect()
            .await
            .map_err(|error| failure("list", prefix, error))?;
        let mut dated: Vec<_> =
            found.into_iter().map(|meta| (meta.last_modified, meta.location.to_string(), meta.size)).collect();
        dated.sort();
        Ok(dated.into_iter().map(|(_, path, bytes)| (path, bytes)).collect())
    }

    /// Removes the staging folder of a run where it is empty: a bucket has no folders. One that cannot be removed
    /// stays.
    pub fn remove_empty_staging(&self, run: &str) {
        if let StoreKind::Folder(folder) = &self.place {
            let _ = folder.remove_empty(&format!("{}/{run}", paths::STAGING));
        }
    }

    /// Removes the folder of a partition where it is empty: a bucket has no folders, and a folder with anything in it
    /// stays. One that cannot be removed stays too.
    pub fn remove_empty_partition(&self, path: &str) {
        if let (StoreKind::Folder(folder), Some(_)) = (&self.place, paths::of_partition(path)) {
            let _ = folder.remove_empty(path);
        }
    }

    /// The empty folders of a table that are named as its partitions by one of these names. None in a bucket.
    pub async fn empty_partitions(&self, table: &str, names: &BTreeSet<String>) -> Result<Vec<String>> {
        let StoreKind::Folder(folder) = &self.place else { return Ok(Vec::new()) };
        let place = folder.place(table);
        let (folder, table, names) = (folder.clone(), table.to_owned(), names.clone());
        let found = tokio::task::spawn_blocking(move || {
            let mut empty = Vec::new();
            for name in folder.list_names(&table)?.1 {
                let path = format!("{table}/{name}");
                if paths::of_partition(&path).is_some_and(|(_, name)| names.contains(name)) {
                    let (files, folders) = folder.list_names(&path)?;
                    empty.extend((files.is_empty() && folders.is_empty()).then_some(path));
                }
            }
            empty.sort();
            Ok::<_, std::io::Error>(empty)
        });
        found.await.expect("listing does not panic").map_err(|error| local("list", &place, error))
    }

    /// Removes a folder where it is empty: a bucket has no folders. One that cannot be removed stays.
    pub fn remove_empty(&self, path: &str) {
        if let StoreKind::Folder(folder) = &self.place {
            let _ = folder.remove_empty(path);
        }
    }
}
