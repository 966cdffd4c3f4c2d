//! A folder as an object store, opened by [`Folder`], below which no link is followed.
//!
//! The store's own files are put whole: written beside their place under a name of their own (`name#1`), synced, and
//! linked to it where nothing is. Names that end so are in no list.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::disk::Folder;

/// The most drafts of one file that crashed processes may have left beside it.
const DRAFTS: u32 = 1_000;
/// The end of the year 9999, in seconds since 1970.
const LATEST: u64 = 253_402_300_799;
/// Files deleted at once.
const DELETES: usize = 10;

/// A folder as an object store.
#[derive(Clone, Debug)]
pub(super) struct LocalFolder(pub(super) Folder);

impl fmt::Display for LocalFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "folder {}", self.0.path().display())
    }
}

impl LocalFolder {
    /// Does blocking work with the folder; an error of it is one of this path.
    async fn blocking<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Folder, &str) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (folder, path) = (self.0.clone(), path.to_string());
        let done = tokio::task::spawn_blocking(move || work(&folder, &path).map_err(|error| wrong(path, error)));
        done.await.map_err(|source| Error::JoinError { source })?
    }
}

/// The error of a path.
fn wrong(path: String, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path, source: error.into() },
        ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: error.into() },
        _ => Error::Generic { store: "folder", source: error.into() },
    }
}

fn not_done(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "folder".to_owned() }
}

#[async_trait]
impl ObjectStore for LocalFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.blocking(location, move |folder, path| put(folder, path, &payload)).await?,
            PutMode::Overwrite => self.blocking(location, move |folder, path| replace(folder, path, &payload)).await?,
            PutMode::Update(_) => return Err(not_done("a put over a tag")),
        }
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_done("a put in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let opened = self.blocking(location, |folder, path| {
            let file = folder.open_file(path)?;
            let size = file.metadata()?.len();
            Ok((file, size, folder.place(path)))
        });
        let (file, size, path) = opened.await?;
        let meta = meta(location.clone(), size, 0);
        options.check_preconditions(&meta)?;
        let range = match options.range {
            Some(range) => {
                range.as_range(size).map_err(|error| Error::Generic { store: "folder", source: error.into() })?
            }
            None => 0..size,
        };
        Ok(GetResult {
            payload: GetResultPayload::File(file, path),
            attributes: Attributes::default(),
            range,
            meta,
            extensions: Default::default(),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store.blocking(&location, Folder::remove).await?;
                Ok(location)
            }
        };
        locations.map(delete).buffered(DELETES).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move {
            let found = store.blocking(&prefix, Folder::list).await?;
            let found = found.into_iter().filter(|file| !is_draft(&file.path));
            let found: Vec<Result<ObjectMeta>> =
                found.map(|file| Ok(meta(Path::parse(file.path)?, file.bytes, file.modified))).collect();
            Ok::<_, Error>(stream::iter(found))
        };
        stream::once(listed).flat_map(|listed| listed.map_or_else(failed, StreamExt::boxed)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let (files, folders) = self.blocking(&prefix, Folder::list_names).await?;
        let place =
            |name: String| Path::parse(if prefix.as_ref().is_empty() { name } else { format!("{prefix}/{name}") });
        let files = files.into_iter().filter(|name| !is_draft(name));
        Ok(ListResult {
            common_prefixes: folders.into_iter().map(place).collect::<std::result::Result<_, _>>()?,
            // Names are all that is requested.
            objects: files.map(|name| Ok(meta(place(name)?, 0, 0))).collect::<Result<_>>()?,
            extensions: Default::default(),
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if !matches!(options.mode, CopyMode::Create) {
            return Err(not_done("a copy that may overwrite"));
        }
        let to = to.to_string();
        self.blocking(from, move |folder, from| folder.link(from, &to)).await
    }
}

fn failed(error: Error) -> BoxStream<'static, Result<ObjectMeta>> {
    stream::once(async { Err(error) }).boxed()
}

/// A file system may hold any number for the time; it only orders reports.
fn meta(location: Path, size: u64, modified: u64) -> ObjectMeta {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(modified.min(LATEST));
    ObjectMeta { location, last_modified: modified.into(), size, e_tag: None, version: None }
}

/// Puts a file where nothing is, whole and durably.
fn put(folder: &Folder, path: &str, payload: &PutPayload) -> std::io::Result<()> {
    let (draft, mut file) = draft(folder, path)?;
    let written = payload.iter().try_for_each(|bytes| file.write_all(bytes)).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| folder.link(&draft, path));
    // One that stays is in nobody's way.
    let _ = folder.remove(&draft);
    placed
}

/// Puts a file in the place of another, or where nothing is, whole and durably.
fn replace(folder: &Folder, path: &str, payload: &PutPayload) -> std::io::Result<()> {
    match folder.open_file(path) {
        // Refused if it is no file.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(_) => {}
    }
    let (draft, mut file) = draft(folder, path)?;
    payload.iter().try_for_each(|bytes| file.write_all(bytes)).and_then(|()| file.sync_all())?;
    folder.rename(&draft, path)
}

/// A new file beside the place of another, and its path.
fn draft(folder: &Folder, path: &str) -> std::io::Result<(String, std::fs::File)> {
    for number in 1..DRAFTS {
        let draft = format!("{path}#{number}");
        match folder.create(&draft) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return Ok((draft, created?)),
        }
    }
    Err(crate::disk::unfit(&folder.place(path), format!("has {DRAFTS} drafts beside it")))
}

/// Whether a name is that of a draft: `#` and digits at its end.
fn is_draft(path: &str) -> bool {
    let number = path.rsplit('/').next().and_then(|name| name.split_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
