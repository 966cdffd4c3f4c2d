//! The destination: a local folder, S3-compatible storage, Azure Blob Storage, or memory (for tests), behind one set of
//! verbs.
//!
//! Takes paths made in [`paths`] (every path that we ever write), gives bytes and outcomes by meaning. Puts that decide
//! something are conditional; only lock objects, the destination marker and the pointer to a log's checkpoint are overwritten, and only the paths that a caller names are deleted.

pub mod paths;
mod error;
mod credentials;
mod network;
mod refusal;
mod local;
mod copying;
mod listing;
mod open;
mod container;
mod cloud;
mod file;
mod lock;
mod lock_file;
mod prove;
mod step;
mod tidy;
mod uploads;
mod unfinished;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion,
};

use crate::config::{DestinationLayout, Settings};
use crate::disk::Folder;
use crate::failure::Result;
use crate::store::error::failure;

pub use error::is_missing;
pub use file::{LocalCopy, RemoteFile, ScratchFile};
pub use lock::{HeldLock, LockTiming, Locks};
pub use step::{StoreStep, Watcher};
pub use uploads::{Upload, UploadPage, upload_page};

/// The number of tries of a put after which the store states that the object exists, and does not show it.
const PUT_TRIES: u32 = 5;

/// The destination of a run.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    place: StoreKind,
    lock_timing: LockTiming,
    watcher: Watcher,
    /// Of a bucket.
    uploads: Option<uploads::Uploads>,
    /// The place where an earlier version kept this destination, if it was another one.
    former: Option<Former>,
    layout: DestinationLayout,
    /// How long superseded files stay in the layout `delta`.
    retention: Duration,
}

/// The keys that an earlier version made of a prefix, with letters escaped.
#[derive(Clone, Debug)]
struct Former {
    url: String,
    inner: Arc<dyn ObjectStore>,
}

/// The kind of the store, as far as it matters beyond its verbs.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// A folder; files can be written and read in place.
    Folder(Folder),
    /// A bucket, with the URL that names it; files go through a local scratch.
    Bucket(String),
}

/// The outcome of a put that must not overwrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    Created(Tag),
    Exists,
}

/// The version of an object, for a conditional overwrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Option<String>, Option<String>);

impl Store {
    /// Text that names the destination to people.
    pub fn describe(&self) -> String {
        match &self.place {
            StoreKind::Folder(folder) => folder.path().display().to_string(),
            StoreKind::Bucket(url) => url.clone(),
        }
    }

    /// The destination of the settings, with its layout.
    pub fn of(settings: &Settings, create: bool) -> Result<Self> {
        Self::open(&settings.destination()?, create)?.laid_out(settings)
    }

    /// The same store with the layout of the settings.
    pub fn laid_out(self, settings: &Settings) -> Result<Self> {
        let (layout, retention) = settings.layout()?;
        Ok(Self { layout, retention, ..self })
    }

    /// How readers find the files of tables.
    pub fn layout(&self) -> DestinationLayout {
        self.layout
    }

    /// The same store with another layout, while a destination changes from one to the other.
    pub fn in_layout(&self, layout: DestinationLayout) -> Self {
        Self { layout, ..self.clone() }
    }

    /// How long superseded files stay in the layout `delta`.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// The kind of the store.
    pub fn place(&self) -> &StoreKind {
        &self.place
    }

    /// The same store seen through another implementation, for example a wrapper that fails on purpose.
    pub fn seen_through(&self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { inner: wrap(Arc::clone(&self.inner)), ..self.clone() }
    }

    /// The same store with other lock timing.
    pub fn with_lock_timing(mut self, renew: Duration, expire: Duration) -> Self {
        self.lock_timing = LockTiming { renew, expire };
        self
    }

    /// The bytes at a path, or `None` when nothing is there.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        Ok(self.get_tagged(path).await?.map(|(bytes, _)| bytes))
    }

    /// The bytes at a path with their tag. Refuses (`Damage`) more than [`paths::most_bytes`], by the size that the
    /// store states and by the bytes that arrive.
    pub async fn get_tagged(&self, path: &str) -> Result<Option<(Bytes, Tag)>> {
        let wrong = |error| failure("read", path, error);
        let found = match self.inner.get(&Path::from(path)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(wrong(error)),
        };
        let (size, most) = (found.meta.size, paths::most_bytes(path));
        if size > most {
            return Err(error::too_large(path, size, most));
        }
        let tag = Tag(found.meta.e_tag.clone(), found.meta.version.clone());
        if let GetResultPayload::File(..) = &found.payload {
            return Ok(Some((found.bytes().await.map_err(wrong)?, tag)));
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(wrong)? {
            bytes.extend_from_slice(&chunk);
            let came = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if came > size {
                return Err(error::overlong(path, size));
            }
        }
        // Fewer are half a JSON, which nobody takes for a whole one.
        Ok(Some((bytes.freeze(), tag)))
    }

    /// The size in bytes of the object at a path, or `None`.
    pub async fn size(&self, path: &str) -> Result<Option<u64>> {
        match self.inner.head(&Path::from(path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure("look at", path, error)),
        }
    }

    /// Puts bytes where nothing is. `Exists` may be the answer to our own put, when the store retried it: a caller that
    /// must know reads back and compares its nonce.
    pub async fn put_new(&self, path: &str, bytes: impl Into<Bytes>) -> Result<Put> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.inner.put_opts(&Path::from(path), bytes.into().into(), options).await {
            Ok(put) => Ok(Put::Created(Tag(put.e_tag, put.version))),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Put::Exists)
            }
            Err(error) => Err(failure("write", path, error)),
        }
    }

    /// Puts bytes at a path with the name of our run or scan, so that an existing object is ours. After "exists" it is
    /// read back: a conflict may be answered though nothing was written.
    pub async fn put_own(&self, path: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        for _ in 0..PUT_TRIES {
            if let Put::Created(_) = self.put_new(path, bytes.clone()).await? {
                return Ok(());
            }
            if self.size(path).await?.is_some() {
                return Ok(());
            }
        }
        Err(error::unclear(path))
    }

    /// Overwrites the object with this tag; `None` if it has changed since.
    pub async fn put_over(&self, path: &str, tag: &Tag, bytes: impl Into<Bytes>) -> Result<Option<Tag>> {
        let version = UpdateVersion { e_tag: tag.0.clone(), version: tag.1.clone() };
        let options = PutOptions { mode: PutMode::Update(version), ..PutOptions::default() };
        match self.inner.put_opts(&Path::from(path), bytes.into().into(), options).await {
            Ok(put) => Ok(Some(Tag(put.e_tag, put.version))),
            Err(
                object_store::Error::Precondition { .. }
                | object_store::Error::AlreadyExists { .. }
                | object_store::Error::NotFound { .. },
            ) => Ok(None),
            Err(error) => Err(failure("write", path, error)),
        }
    }

    /// Puts bytes at a path whatever is there, whole and durably. Only under locks that keep others from writing it.
    pub async fn replace(&self, path: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let put = self.inner.put_opts(&Path::from(path), bytes.into().into(), PutMode::Overwrite.into()).await;
        put.map(drop).map_err(|error| failure("write", path, error))
    }

    /// The paths below a prefix, with their sizes, sorted.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let found: Vec<_> = self
            .inner
            .list(Some(&Path::from(prefix)))
            .try_collect()
            .await
            .map_err(|error| failure("list", prefix, error))?;
        let mut paths: Vec<(String, u64)> =
            found.into_iter().map(|meta| (meta.location.to_string(), meta.size)).collect();
        paths.sort();
        Ok(paths)
    }

    /// The names directly below a prefix, folders included, sorted.
    pub async fn list_folder(&self, prefix: &str) -> Result<Vec<String>> {
        let path = Path::from(prefix);
        let found =
            self.inner.list_with_delimiter(Some(&path)).await.map_err(|error| failure("list", prefix, error))?;
        let files = found.objects.into_iter().map(|meta| meta.location);
        let mut names: Vec<String> = found
            .common_prefixes
            .into_iter()
            .chain(files)
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Copies within the store: a hard link in a folder, server-side in a bucket. The target is ours by its name (it
    /// carries the run's id), so one that is there is the same file. `false` when there is nothing to copy.
    pub async fn copy(&self, from: &str, to: &str) -> Result<bool> {
        let mode = match self.place {
            StoreKind::Folder(_) => CopyMode::Create,
            StoreKind::Bucket(_) => CopyMode::Overwrite,
        };
        let options = CopyOptions::new().with_mode(mode);
        match self.inner.copy_opts(&Path::from(from), &Path::from(to), options).await {
            Ok(()) => Ok(true),
            // A bucket may answer a conflict though nothing was copied, and the staged file is deleted next.
            Err(object_store::Error::AlreadyExists { .. }) => match self.size(to).await? {
                Some(_) => Ok(true),
                None => Err(error::unclear(to)),
            },
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failure("publish", to, error)),
        }
    }

    /// Deletes the objects at these paths; a missing one is not an error.
    pub async fn delete(&self, paths: &[String]) -> Result<()> {
        let located: Vec<object_store::Result<Path>> = paths.iter().map(|path| Ok(Path::from(path.as_str()))).collect();
        let mut outcomes = self.inner.delete_stream(futures_util::stream::iter(located).boxed());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failure("delete", paths.first().map_or("", String::as_str), error)),
            }
        }
        Ok(())
    }

    /// Refuses (`Settings`) a destination where this path is not, and is below the keys of an earlier version.
    pub async fn refuse_former(&self, path: &str) -> Result<()> {
        let Some(former) = &self.former else { return Ok(()) };
        match former.inner.head(&Path::from(path)).await {
            Ok(_) => Err(error::moved(&self.describe(), &former.url)),
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure("look at", path, error)),
        }
    }

    /// Proves that a put-if-absent is refused where something is; leaves nothing behind.
    pub async fn prove_conditional_put(&self, run: &str) -> Result<()> {
        let path = paths::probe(run);
        let first = self.put_new(&path, "probe").await?;
        let second = self.put_new(&path, "probe again").await;
        let renewed = match (&first, &self.place) {
            // Locks in a bucket are renewed by their tag; a folder's locks are the system's.
            (Put::Created(tag), StoreKind::Bucket(_)) => {
                let next = self.put_over(&path, tag, "probe renewed").await?;
                next.is_some() && self.put_over(&path, tag, "probe late").await?.is_none()
            }
            (Put::Created(_), StoreKind::Folder(_)) => true,
            (Put::Exists, _) => false,
        };
        let clean = self.delete(std::slice::from_ref(&path)).await;
        if renewed && second? == Put::Exists {
            return clean;
        }
        Err(error::no_conditional_put(&self.describe()))
    }
}
