//! Whole files in and out of the store: staged writes, local copies, and ranged reads.
//!
//! Parquet is written and merged through local files. In a folder a staged file is written in place and made durable;
//! in a bucket it is written to a scratch file and uploaded.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncReadExt;

use crate::disk::Folder;
use crate::failure::{Failure, Result};
use crate::store::error::{failure, given_up, is_given_up, local};
use crate::store::{Store, StoreKind, StoreStep};

/// Files above this go up in parts of this size; S3 takes parts from 5 MiB.
const PART: usize = 8 << 20;

/// A file being written that will be staged.
#[derive(Debug)]
pub struct ScratchFile {
    /// Its local path, for messages.
    pub path: PathBuf,
    /// Its staged path in the store.
    pub staged: String,
    /// Where it is written in place.
    folder: Option<Folder>,
}

impl ScratchFile {
    /// Creates a file that does not exist: an existing file is not written into, and no link is followed.
    pub fn create(&self) -> Result<File> {
        let made = match &self.folder {
            Some(folder) => folder.create(&self.staged),
            None => File::create_new(&self.path),
        };
        made.map_err(|error| local("write", &self.path, error))
    }

    /// Opens the written file for reading.
    pub fn open(&self) -> Result<File> {
        let opened = match &self.folder {
            Some(folder) => folder.open_file(&self.staged),
            None => File::open(&self.path),
        };
        opened.map_err(|error| local("read", &self.path, error))
    }
}

/// A local file with the content of one in the store.
#[derive(Debug)]
pub struct LocalCopy {
    path: PathBuf,
    bytes: u64,
    at: At,
}

/// The place of a local copy.
#[derive(Debug)]
enum At {
    /// In the destination's folder: the file itself.
    Folder(Folder, String),
    /// In the spool.
    Spool,
}

impl LocalCopy {
    /// Its local path, for messages.
    pub fn path(&self) -> &FsPath {
        &self.path
    }

    /// The size in bytes that the store states; a copy from a bucket holds no more than was requested.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it to be read; `None` when it is gone.
    pub fn open(&self) -> Result<Option<File>> {
        let opened = match &self.at {
            At::Folder(folder, path) => folder.open_file(path),
            At::Spool => File::open(&self.path),
        };
        match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(|error| local("read", &self.path, error)),
        }
    }
}

impl Drop for LocalCopy {
    fn drop(&mut self) {
        if matches!(self.at, At::Spool) {
            // A copy that stays behind is swept with the spool's folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// A place to write a file that will be staged at `staged`; `spool` is a local folder for scratch files.
    pub fn scratch(&self, staged: &str, spool: &FsPath) -> Result<ScratchFile> {
        let (path, folder) = match &self.place {
            StoreKind::Folder(folder) => (folder.place(staged), Some(folder.clone())),
            StoreKind::Bucket(_) => (spool.join(staged.rsplit('/').next().unwrap_or(staged)), None),
        };
        if folder.is_none() {
            std::fs::create_dir_all(spool).map_err(|error| local("make the folder of", &path, error))?;
        }
        Ok(ScratchFile { path, staged: staged.to_owned(), folder })
    }

    /// Makes a written scratch file durable at its staged path.
    pub async fn stage(&self, scratch: ScratchFile) -> Result<()> {
        self.reach(StoreStep::Written, &scratch.staged)?;
        if let Some(folder) = &scratch.folder {
            let (folder, staged) = (folder.clone(), scratch.staged.clone());
            let synced = tokio::task::spawn_blocking(move || folder.sync(&staged)).await;
            let synced = synced.expect("making a file durable does not panic");
            synced.map_err(|error| local("sync", &scratch.path, error))?;
        } else {
            self.upload(&scratch.path, &scratch.staged).await?;
            std::fs::remove_file(&scratch.path).map_err(|error| local("remove", &scratch.path, error))?;
        }
        self.reach(StoreStep::Staged, &scratch.staged)
    }

    /// Gives up a scratch file.
    pub fn discard(&self, scratch: &ScratchFile) -> Result<()> {
        let removed = match &scratch.folder {
            Some(folder) => folder.remove(&scratch.staged),
            None => std::fs::remove_file(&scratch.path),
        };
        removed.map_err(|error| local("remove", &scratch.path, error))
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

    /// A local file with the content of `path`: the file itself in a folder, a temporary copy in `spool` otherwise, of
    /// one byte more than `most` at most. `None` if the path does not exist.
    pub async fn local_copy(&self, path: &str, most: u64, spool: &FsPath) -> Result<Option<LocalCopy>> {
        if let StoreKind::Folder(folder) = &self.place {
            // Here and now: the caller holds a thread for blocking work, of which there are few.
            return match folder.open_file(path).and_then(|file| file.metadata()) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(local("read", &folder.place(path), error)),
                Ok(found) => {
                    let at = At::Folder(folder.clone(), path.to_owned());
                    Ok(Some(LocalCopy { path: folder.place(path), bytes: found.len(), at }))
                }
            };
        }
        let found = match self.inner.get(&Path::from(path)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure("read", path, error)),
        };
        let target = spool.join(format!("copy-{}", path.replace('/', "-")));
        let write = |error| local("write", &target, error);
        let mut file = tokio::fs::File::create(&target).await.map_err(write)?;
        let copy = LocalCopy { path: target.clone(), bytes: found.meta.size, at: At::Spool };
        let mut left = most.saturating_add(1);
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| failure("read", path, error))?;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            tokio::io::AsyncWriteExt::write_all(&mut file, &chunk[..length]).await.map_err(write)?;
            left -= u64::try_from(length).expect("a length fits");
            if left == 0 {
                break;
            }
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

    /// Bytes `[start, start + length)`. Blocks: call it from a blocking thread. Refuses (`Damage`) a file that is not
    /// there, or has another size than was stated.
    pub fn read(&self, start: u64, length: u64) -> Result<Bytes> {
        self.runtime.block_on(self.fetch(start, length))
    }

    /// The same, for those that do not block.
    pub async fn fetch(&self, start: u64, length: u64) -> Result<Bytes> {
        let damaged = |why: &str| Failure::damaged("read a live file", &self.path).because(why);
        let path = Path::from(self.path.as_str());
        let range = start..start.saturating_add(length);
        let read = self.inner.get_range(&path, range).await;
        match read {
            Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|got| got == length) => Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => Err(damaged("the manifest names it, but it does not exist")),
            // A range beyond the end is refused in many words, or cut short.
            other => match (self.inner.head(&path).await, other) {
                (Ok(found), _) if found.size != self.size => Err(damaged("its size differs from the manifest")),
                (_, Err(error)) => Err(failure("read", &self.path, error)),
                (_, Ok(_)) => Err(damaged("fewer bytes arrived than were requested")),
            },
        }
    }
}
