//! The context in which files are written: commits, deleted rows, schema migration and compaction share it.

use std::path::Path;

use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::DataFile;
use crate::store::{LocalCopy, Store};
use crate::write::form::{Form, Sizes};
use crate::write::open::OpenRows;
use crate::write::output::{Draft, Target};
use crate::write::source::live_copy;

/// The store, the local disk and the run for which files are written, on a blocking thread.
#[derive(Clone, Copy, Debug)]
pub struct WriteContext<'a> {
    pub store: &'a Store,
    pub spool: &'a Path,
    pub run: &'a str,
    pub sizes: Sizes,
    pub runtime: &'a Handle,
}

impl<'a> WriteContext<'a> {
    /// The target of a table's files; `number` is that of the run's last file.
    pub fn target<'b>(&self, table: &'b str, form: &'b Form, open: Option<OpenRows>, number: &'b mut u64) -> Target<'b>
    where
        'a: 'b,
    {
        Target { store: self.store, spool: self.spool, table, form, run: self.run, open, number }
    }

    /// A local file with the content of a live one; refuses (`Damage`) content that differs from the manifest.
    pub fn live_copy(&self, file: &DataFile) -> Result<LocalCopy> {
        live_copy(self.store, file, self.spool, self.runtime)
    }

    /// A local file with the bytes of a file; none if it does not exist.
    pub fn local_copy(&self, file: &DataFile) -> Result<Option<LocalCopy>> {
        self.runtime.block_on(self.store.local_copy(&file.path, file.bytes, self.spool))
    }

    /// Stages finished files, and returns their entries in the manifest.
    pub fn stage(&self, drafts: Vec<Draft>) -> Result<Vec<DataFile>> {
        let stage = |draft: Draft| {
            self.runtime.block_on(self.store.stage(draft.scratch))?;
            Ok(draft.file)
        };
        drafts.into_iter().map(stage).collect()
    }

    /// Stages finished files of deleted rows of a table, and returns their entries in the manifest.
    pub fn stage_deleted(&self, table: &str, drafts: Vec<Draft>) -> Result<Vec<DataFile>> {
        let stage = |draft: Draft| {
            let file = draft.deleted(table, self.run);
            self.runtime.block_on(self.store.stage(draft.scratch))?;
            Ok(file)
        };
        drafts.into_iter().map(stage).collect()
    }
}
