//! Whole files in and out of the store: staged writes, local copies, and ranged reads.
//!
//! Parquet is written and merged through local files. In a folder a staged file is written in place and made durable; in
//! a bucket it is written to a scratch file and uploaded.

use std::fs::File;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncReadExt;

use crate::failure::{Failure, Result};
use crate::store::error::{failure, given_up, is_given_up, local};
use crate::store::{Place, Step, Store};

/// Files above this go up in parts of this size; S3 takes parts from 5 MiB.
const PART: usize = 8 << 20;

/// A file being written that will be staged.
#[derive(Debug)]
pub struct Scratch {
    /// Where to write it.
    pub path: PathBuf,
    /// Its staged path in the store.
    pub staged: String,
    in_place: bool,
}

/// A local file with the content of one in the store.
#[derive(Debug)]
pub struct LocalCopy {
    path: PathBuf,
    temporary: bool,
}

impl LocalCopy {
    /// Where the content can be read.
    pub fn path(&self) -> &FsPath {
        &self.path
    }
}

impl Drop for LocalCopy {
    fn drop(&mut self) {
        if self.temporary {
            // A file of the spool: what stays behind is swept with the spool's folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// A place to write a file that will be staged at `staged`; `spool` is a local folder for scratch files.
    pub fn scratch(&self, staged: &str, spool: &FsPath) -> Result<Scratch> {
        let (path, in_place) = match &self.place {
            Place::Folder(folder) => (folder.join(staged), true),
            Place::Bucket(_) => (spool.join(staged.rsplit('/').next().unwrap_or(staged)), false),
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| local("make the folder of", &path, error))?;
        }
        Ok(Scratch { path, staged: staged.to_owned(), in_place })
    }

    /// Makes a written scratch file durable at its staged path.
    pub async fn stage(&self, scratch: Scratch) -> Result<()> {
        self.reach(Step::Written, &scratch.staged)?;
        if let (true, Place::Folder(folder)) = (scratch.in_place, &self.place) {
            let (path, top) = (scratch.path.clone(), folder.clone());
            tokio::task::spawn_blocking(move || make_durable(&path, &top))
                .await
                .expect("making a file durable does not panic")?;
        } else {
            self.upload(&scratch.path, &scratch.staged).await?;
            std::fs::remove_file(&scratch.path).map_err(|error| local("remove", &scratch.path, error))?;
        }
        self.reach(Step::Staged, &scratch.staged)
    }

    /// Gives up a scratch file.
    pub fn discard(&self, scratch: &Scratch) -> Result<()> {
        std::fs::remove_file(&scratch.path).map_err(|error| local("remove", &scratch.path, error))
    }

    async fn upload(&self, from: &FsPath, to: &str) -> Result<()> {
        let wrong = |error| failure("write", to, error);
        let read = |error| local("read", from, error);
        let mut file = tokio::fs::File::open(from).await.map_err(read)?;
        let size = file.metadata().await.map_err(read)?.len();
        let path = Path::from(to);
        if size <= u64::try_from(PART).expect("a part's size fits") {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(read)?;
            self.inner.put(&path, Bytes::from(bytes).into()).await.map_err(wrong)?;
            return Ok(());
        }
        let mut upload = self.inner.put_multipart(&path).await.map_err(wrong)?;
        let wrong = |error| if is_given_up(&error) { given_up(to) } else { wrong(error) };
        let outcome = async {
            loop {
                let mut part = Vec::with_capacity(PART);
                (&mut file).take(u64::try_from(PART).expect("fits")).read_to_end(&mut part).await.map_err(read)?;
                if part.is_empty() {
                    break;
                }
                upload.put_part(Bytes::from(part).into()).await.map_err(wrong)?;
            }
            upload.complete().await.map_err(wrong)
        }
        .await;
        if let Err(failed) = outcome {
            // Parts that are left would be paid for; that giving them back fails too is not the news.
            let _ = upload.abort().await;
            return Err(failed);
        }
        Ok(())
    }

    /// A local file with what is at `path`: the file itself in a folder, a temporary copy in `spool` otherwise. `None`
    /// when nothing is there.
    pub async fn local_copy(&self, path: &str, spool: &FsPath) -> Result<Option<LocalCopy>> {
        if let Place::Folder(folder) = &self.place {
            let path = folder.join(path);
            return Ok(path.exists().then_some(LocalCopy { path, temporary: false }));
        }
        let found = match self.inner.get(&Path::from(path)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure("read", path, error)),
        };
        let target = spool.join(format!("copy-{}", path.replace('/', "-")));
        let write = |error| local("write", &target, error);
        let mut file = tokio::fs::File::create(&target).await.map_err(write)?;
        let copy = LocalCopy { path: target.clone(), temporary: true };
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| failure("read", path, error))?;
            tokio::io::AsyncWriteExt::write_all(&mut file, &chunk).await.map_err(write)?;
        }
        tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(write)?;
        Ok(Some(copy))
    }

    /// A file in the store to read ranges of, from a blocking thread; `None` when nothing is there.
    pub async fn remote_file(&self, path: &str) -> Result<Option<RemoteFile>> {
        Ok(self.size(path).await?.map(|size| self.known_file(path, size)))
    }

    /// The same of a file that a manifest names with its size: it is not looked for before it is read.
    pub fn known_file(&self, path: &str, size: u64) -> RemoteFile {
        let runtime = tokio::runtime::Handle::current();
        RemoteFile { inner: Arc::clone(&self.inner), path: path.to_owned(), size, runtime }
    }
}

/// A file in the store that is read by ranges.
#[derive(Clone, Debug)]
pub struct RemoteFile {
    inner: Arc<dyn ObjectStore>,
    path: String,
    size: u64,
    runtime: tokio::runtime::Handle,
}

impl RemoteFile {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes `[start, start + length)`. Blocks: call it from a blocking thread. Refuses (`Damage`) a file that is not there, or
    /// has another size than was stated.
    pub fn read(&self, start: u64, length: u64) -> Result<Bytes> {
        let damaged = |why: &str| Failure::damaged("read a live file", &self.path).because(why);
        let path = Path::from(self.path.as_str());
        let range = start..start.saturating_add(length);
        let read = self.runtime.block_on(self.inner.get_range(&path, range));
        match read {
            Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|got| got == length) => Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => Err(damaged("the manifest names it and it is not there")),
            // A range beyond the end is refused in many words, or cut short.
            other => match (self.runtime.block_on(self.inner.head(&path)), other) {
                (Ok(found), _) if found.size != self.size => {
                    Err(damaged("it has another size than the manifest states"))
                }
                (_, Err(error)) => Err(failure("read", &self.path, error)),
                (_, Ok(_)) => Err(damaged("fewer bytes came than were asked for")),
            },
        }
    }
}

/// Syncs a file and every folder between it and the top, for a new folder must be durable too.
fn make_durable(path: &FsPath, top: &FsPath) -> Result<()> {
    let sync =
        |path: &FsPath| File::open(path).and_then(|file| file.sync_all()).map_err(|error| local("sync", path, error));
    sync(path)?;
    path.ancestors().skip(1).take_while(|folder| folder.starts_with(top)).try_for_each(sync)
}
