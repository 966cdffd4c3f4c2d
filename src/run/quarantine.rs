//! Damaged files of a head: never read, and named by every version until their content is fetched again or given up.

use std::collections::BTreeMap;

use crate::manifest::{DataFile, TableFiles, Version};

/// A damaged file, and the table that it is of; none where it holds rows of deleted records.
#[derive(Clone, Debug)]
pub struct QuarantinedFile {
    pub table: Option<String>,
    pub file: DataFile,
}

/// The damaged files of a resource.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// Files that stay in their tables.
    files: Vec<QuarantinedFile>,
    /// Files that the next commit takes out of the tables.
    dropped: Vec<QuarantinedFile>,
}

impl Quarantine {
    /// Puts files into quarantine in place of those that are there; gives the version as commits read it.
    pub fn admit(&mut self, files: Vec<QuarantinedFile>, head: Option<Version>) -> Option<Version> {
        self.files = files;
        head.map(|head| self.without(head))
    }

    /// The next commit takes the files of this kind out of the tables.
    pub fn give_up(&mut self, which: impl Fn(&QuarantinedFile) -> bool) {
        let (dropped, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.files).into_iter().partition(which);
        self.files = kept;
        self.dropped.extend(dropped);
    }

    /// The next commit takes all files of a partition out of the tables, damaged or not.
    pub fn give_up_partition(&mut self, head: Option<&mut Version>, partition: &str) {
        self.give_up(|known| known.file.partition.as_deref() == Some(partition));
        for (name, table) in head.into_iter().flat_map(|head| &mut head.tables) {
            let of_it = |file: &mut DataFile| file.partition.as_deref() == Some(partition);
            let gone = table.files.extract_if(.., of_it);
            self.dropped.extend(gone.map(|file| QuarantinedFile { table: Some(name.clone()), file }));
        }
    }

    /// The next commit takes these files out of the tables too.
    pub fn drop_files(&mut self, files: impl IntoIterator<Item = QuarantinedFile>) {
        self.dropped.extend(files);
    }

    /// The files that stay in their tables.
    pub fn files(&self) -> &[QuarantinedFile] {
        &self.files
    }

    /// The files that the next commit takes out of the tables.
    pub fn dropped(&self) -> &[QuarantinedFile] {
        &self.dropped
    }

    /// The commit took the dropped files out of the tables.
    pub fn clear_dropped(&mut self) {
        self.dropped.clear();
    }

    /// The rows of files that stay, by the manifest.
    pub fn rows(&self) -> u64 {
        rows(&self.files)
    }

    /// The rows of files that the next commit takes out of the tables.
    pub fn dropped_rows(&self) -> u64 {
        rows(&self.dropped)
    }

    /// A version's tables with the files that stay in their place.
    pub fn with(&self, mut tables: BTreeMap<String, TableFiles>) -> BTreeMap<String, TableFiles> {
        for QuarantinedFile { table, file } in &self.files {
            if let Some(table) = table.as_ref().and_then(|table| tables.get_mut(table)) {
                table.files.push(file.clone());
                table.files.sort_by(|a, b| (&a.partition, &a.first).cmp(&(&b.partition, &b.first)));
            }
        }
        tables
    }

    /// A version as commits read it.
    pub fn without(&self, mut version: Version) -> Version {
        let is_known = |file: &DataFile| self.files.iter().any(|known| known.file.path == file.path);
        version.tables.values_mut().for_each(|table| table.files.retain(|file| !is_known(file)));
        version
    }
}

/// The rows of files of tables.
fn rows(files: &[QuarantinedFile]) -> u64 {
    files.iter().filter(|known| known.table.is_some()).map(|known| known.file.rows).sum()
}
