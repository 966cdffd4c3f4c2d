//! The needs of housekeeping in a store: objects by their age, and the folder that a run left empty.

use futures_util::TryStreamExt;
use object_store::path::Path;

use crate::failure::Result;
use crate::store::error::failure;
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

    /// Removes a folder where it is empty: a bucket has no folders. One that cannot be removed stays.
    pub fn remove_empty(&self, path: &str) {
        if let StoreKind::Folder(folder) = &self.place {
            let _ = folder.remove_empty(path);
        }
    }
}
