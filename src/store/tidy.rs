//! What housekeeping needs of a store: objects by their age, and folders that runs left empty.

use std::time::UNIX_EPOCH;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;

use crate::failure::Result;
use crate::store::error::failure;
use crate::store::{Place, Store, paths};

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

    /// Removes the staging folder of a run, and those that others have not touched since then, where they are empty: a bucket
    /// has no folders. A folder that cannot be removed stays.
    pub fn remove_empty_staging(&self, run: &str, untouched_since: Timestamp) {
        let Place::Folder(folder) = &self.place else { return };
        let staging = folder.join(paths::STAGING);
        let is_old = |entry: &std::fs::DirEntry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let seconds = modified.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
            seconds.and_then(|seconds| i64::try_from(seconds).ok()).is_some_and(|at| at < untouched_since.as_second())
        };
        for entry in std::fs::read_dir(&staging).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let of_run = name.to_str().is_some_and(paths::is_run);
            if of_run && (name.to_str() == Some(run) || is_old(&entry)) {
                // It fails where the folder holds anything.
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }
}
