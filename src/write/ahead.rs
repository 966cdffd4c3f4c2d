//! Live files read ahead of their merge, some at once: a bucket answers many requests in the time of one.
//!
//! Takes the files that will be merged, in their order. Files that are not read whole are opened when their turn comes.

use std::collections::VecDeque;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::DataFile;
use crate::store::Store;
use crate::write::source::{FileSource, is_read_whole, read_whole};

/// Files that are read at once, at most.
const AT_ONCE: usize = 8;

/// The files of a table that will be merged.
pub struct Ahead<'a> {
    store: &'a Store,
    runtime: &'a Handle,
    memory: usize,
    paths: VecDeque<String>,
    sources: BoxStream<'a, Result<FileSource>>,
}

impl<'a> Ahead<'a> {
    /// Reads these files; `memory` bounds a row group, and the files that are read ahead take a quarter of it.
    pub fn new(store: &'a Store, runtime: &'a Handle, files: Vec<DataFile>, memory: usize) -> Self {
        let whole: Vec<DataFile> = files.into_iter().filter(|file| is_read_whole(file, memory)).collect();
        let largest = whole.iter().map(|file| usize::try_from(file.bytes).unwrap_or(usize::MAX)).max().unwrap_or(0);
        let at_once = (memory / 4 / largest.max(1)).clamp(1, AT_ONCE);
        let paths = whole.iter().map(|file| file.path.clone()).collect();
        let reads = whole.into_iter().map(move |file| async move { read_whole(store, &file).await });
        Self { store, runtime, memory, paths, sources: stream::iter(reads).buffered(at_once).boxed() }
    }

    /// The bytes of a file. Blocks: call it from a blocking thread.
    pub fn take(&mut self, file: &DataFile) -> Result<FileSource> {
        if self.paths.front() == Some(&file.path) {
            self.paths.pop_front();
            if let Some(source) = self.runtime.block_on(self.sources.next()) {
                return source;
            }
        }
        if is_read_whole(file, self.memory) {
            return self.runtime.block_on(read_whole(self.store, file));
        }
        FileSource::by_ranges(self.store, file)
    }
}
