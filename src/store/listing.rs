//! A bucket as the store uses it: lists that must advance and end, and contents that are distinguished from other
//! answers.
//!
//! Takes the client of the bucket, gives the same verbs. A list is read page by page here, for the client follows any
//! continuation: one that names a page twice, that brings nothing page after page, or that fills the memory is refused.
//! Objects are deleted one at a time where the service does not delete several at once.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::{DELIMITER, Path};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use crate::store::copying::finished;
use crate::store::network::{ObjectContent, Untaken};

/// Pages in a row without an entry: a service may give some where many objects were deleted.
const EMPTY_PAGES: u32 = 100;
/// Bytes of all entries of a list: about half a million files.
const LISTED: usize = 128 << 20;
/// Objects that one request deletes at most.
const AT_ONCE: usize = 1_000;
/// Bytes of an entry beside its key and tag.
const ENTRY: usize = 160;

type Asked<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

/// The pages of a list so far.
#[derive(Debug, Default)]
pub(super) struct ListedPages {
    hasher: RandomState,
    /// The marks of pages, by their digest.
    marks: HashSet<u64>,
    empty: u32,
    bytes: usize,
}

impl ListedPages {
    /// Takes note of a page with this many entries of this many bytes, behind which the page of this mark follows.
    pub fn page(&mut self, entries: usize, bytes: usize, next: Option<&str>) -> std::result::Result<(), Untaken> {
        self.bytes = self.bytes.saturating_add(entries.saturating_mul(ENTRY)).saturating_add(bytes);
        if self.bytes > LISTED {
            return Err(Untaken::Endless(LISTED));
        }
        self.empty = if entries == 0 { self.empty + 1 } else { 0 };
        let Some(next) = next else { return Ok(()) };
        let is_new = self.marks.insert(self.hasher.hash_one(next));
        if is_new && self.empty < EMPTY_PAGES { Ok(()) } else { Err(Untaken::NoProgress) }
    }
}

/// The next page of a list.
#[derive(Debug)]
enum Next {
    First,
    Behind(String),
    Over,
}

/// The bucket. Cheap to clone; clones know the same about the service.
#[derive(Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
    /// The same bucket by a client that deletes objects one at a time, where there is one.
    singly: Option<Arc<dyn ObjectStore>>,
    /// Whether the service has refused to delete several objects at once.
    only_singly: Arc<AtomicBool>,
    /// Entries that a page of a list is asked to have at most.
    page: Option<usize>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.store)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl Bucket {
    /// The bucket of a client; `singly` is another client of it that deletes objects one at a time.
    pub fn new<C>(client: C, singly: Option<C>) -> Self
    where
        C: ObjectStore + PaginatedListStore + Clone,
    {
        Self {
            store: Arc::new(client.clone()),
            pages: Arc::new(client),
            singly: singly.map(|client| Arc::new(client) as Arc<dyn ObjectStore>),
            only_singly: Arc::default(),
            page: None,
        }
    }

    /// The same bucket with pages of at most this many entries: some services give more than an answer may have.
    pub fn with_page(self, entries: usize) -> Self {
        Self { page: Some(entries), ..self }
    }

    /// Deletes objects with one request, or one at a time from the first refusal of that on.
    async fn delete_some(&self, paths: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let paths = match paths.into_iter().collect::<Result<Vec<Path>>>() {
            Ok(paths) => futures_util::stream::iter(paths.into_iter().map(Ok)),
            Err(error) => return vec![Err(error)],
        };
        if !self.only_singly.load(Ordering::Relaxed) {
            let outcomes: Vec<Result<Path>> = self.store.delete_stream(paths.clone().boxed()).collect().await;
            let unknown = |outcome: &Result<Path>| {
                let untaken = outcome.as_ref().err().and_then(|error| Untaken::among(error));
                matches!(untaken, Some(Untaken::NoBulkDelete(_)))
            };
            if self.singly.is_none() || !outcomes.iter().any(unknown) {
                return outcomes;
            }
            self.only_singly.store(true, Ordering::Relaxed);
        }
        let client = self.singly.as_ref().unwrap_or(&self.store);
        client.delete_stream(paths.boxed()).collect().await
    }

    /// The pages of objects below a prefix, after an offset; with a delimiter those directly below it.
    fn pages(
        &self,
        prefix: Option<&Path>,
        offset: Option<&Path>,
        delimiter: bool,
    ) -> BoxStream<'static, Result<ListResult>> {
        let prefix = prefix.filter(|prefix| !prefix.as_ref().is_empty()).map(|prefix| format!("{prefix}{DELIMITER}"));
        let offset = offset.map(Path::to_string);
        let max_keys = self.page;
        let start = (Arc::clone(&self.pages), Next::First, ListedPages::default());
        let pages = futures_util::stream::try_unfold(start, move |(bucket, next, mut progress)| {
            let (prefix, offset) = (prefix.clone(), offset.clone());
            async move {
                let page_token = match next {
                    Next::First => None,
                    Next::Behind(mark) => Some(mark),
                    Next::Over => return Ok(None),
                };
                let delimiter = delimiter.then_some(DELIMITER.into());
                let options =
                    PaginatedListOptions { offset, delimiter, page_token, max_keys, ..PaginatedListOptions::default() };
                let page = bucket.list_paginated(prefix.as_deref(), options).await?;
                let PaginatedListResult { result, page_token } = page;
                let next = page_token.filter(|mark| !mark.is_empty());
                let tag = |meta: &ObjectMeta| meta.e_tag.as_ref().map_or(0, String::len);
                let keys: usize = result.objects.iter().map(|meta| meta.location.as_ref().len() + tag(meta)).sum();
                let folders: usize = result.common_prefixes.iter().map(|path| path.as_ref().len()).sum();
                let entries = result.objects.len() + result.common_prefixes.len();
                progress.page(entries, keys + folders, next.as_deref())?;
                Ok(Some((result, (bucket, next.map_or(Next::Over, Next::Behind), progress))))
            }
        });
        pages.boxed()
    }

    fn entries(&self, prefix: Option<&Path>, offset: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let pages = self.pages(prefix, offset, false);
        pages.map_ok(|page| futures_util::stream::iter(page.objects.into_iter().map(Ok))).try_flatten().boxed()
    }
}

impl ObjectStore for Bucket {
    fn put_opts<'a, 'b, 't>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Asked<'t, PutResult>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.store.put_opts(location, payload, options)
    }

    fn put_multipart_opts<'a, 'b, 't>(
        &'a self,
        location: &'b Path,
        options: PutMultipartOptions,
    ) -> Asked<'t, Box<dyn MultipartUpload>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.store.put_multipart_opts(location, options)
    }

    fn get_opts<'a, 'b, 't>(&'a self, location: &'b Path, mut options: GetOptions) -> Asked<'t, GetResult>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        options.extensions.insert(ObjectContent);
        self.store.get_opts(location, options)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        let deleted = locations.chunks(AT_ONCE).then(move |paths| {
            let bucket = bucket.clone();
            async move { futures_util::stream::iter(bucket.delete_some(paths).await) }
        });
        deleted.flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.entries(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.entries(prefix, Some(offset))
    }

    fn list_with_delimiter<'a, 'b, 't>(&'a self, prefix: Option<&'b Path>) -> Asked<'t, ListResult>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        let none = ListResult { common_prefixes: Vec::new(), objects: Vec::new(), extensions: Default::default() };
        let pages = self.pages(prefix, None, true);
        Box::pin(pages.try_fold(none, |mut all, page| async move {
            all.objects.extend(page.objects);
            all.common_prefixes.extend(page.common_prefixes);
            Ok(all)
        }))
    }

    fn copy_opts<'a, 'b, 'c, 't>(&'a self, from: &'b Path, to: &'c Path, options: CopyOptions) -> Asked<'t, ()>
    where
        'a: 't,
        'b: 't,
        'c: 't,
        Self: 't,
    {
        let copied = self.store.copy_opts(from, to, options);
        Box::pin(async move { finished(&*self.store, to, copied.await).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_while_its_marks_are_new_and_its_pages_bring_something() {
        let mut progress = ListedPages::default();
        assert!(progress.page(1_000, 60_000, Some("a")).is_ok());
        assert!(progress.page(0, 0, Some("b")).is_ok(), "a page without entries is no end");
        assert!(progress.page(1, 60, Some("a")).is_err(), "its next page was read");
        let mut empty = ListedPages::default();
        let pages = (0_u64..).take_while(|mark| empty.page(0, 0, Some(&mark.to_string())).is_ok()).count();
        assert_eq!(u32::try_from(pages).unwrap() + 1, EMPTY_PAGES);
        let mut long = ListedPages::default();
        let pages = (0_u64..).take_while(|mark| long.page(1_000, 1_000 << 10, Some(&mark.to_string())).is_ok()).count();
        assert!((100..120).contains(&pages), "{pages}");
        assert!(ListedPages::default().page(7, 70, None).is_ok());
    }
}
