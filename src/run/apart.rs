//! Damaged files of a head: never read, and named by every version until what they held is home again.

use std::collections::BTreeMap;

use crate::manifest::{DataFile, TableFiles, Version};
use crate::run::session::ResourceSession;

/// A damaged file, and the table that it is of; none where it holds rows of deleted records.
#[derive(Clone, Debug)]
pub struct Apart {
    pub table: Option<String>,
    pub file: DataFile,
}

impl ResourceSession<'_> {
    /// Takes files out of what commits read. They stay in their tables until they are given up.
    pub fn set_apart(&mut self, files: Vec<Apart>) {
        self.apart = files;
        self.head = self.head.take().map(|head| self.without_apart(head));
    }

    /// The next commit takes the files set apart that are of this kind out of the tables.
    pub fn give_up(&mut self, which: impl Fn(&Apart) -> bool) {
        let (dropped, kept) = std::mem::take(&mut self.apart).into_iter().partition(which);
        self.apart = kept;
        self.dropped.extend::<Vec<Apart>>(dropped);
    }

    /// The next commit takes all files of a partition out of the tables, damaged or not.
    pub fn give_up_partition(&mut self, partition: &str) {
        self.give_up(|apart| apart.file.partition.as_deref() == Some(partition));
        for (name, table) in self.head.iter_mut().flat_map(|head| &mut head.tables) {
            let of_it = |file: &mut DataFile| file.partition.as_deref() == Some(partition);
            let gone = table.files.extract_if(.., of_it);
            self.dropped.extend(gone.map(|file| Apart { table: Some(name.clone()), file }));
        }
    }

    /// The rows that the tables have by the manifest, those of damaged files among them.
    pub fn had_rows(&self) -> u64 {
        self.head.as_ref().map_or(0, Version::rows) + rows(&self.apart) + rows(&self.dropped)
    }

    /// The rows of files that the next commit takes out of the tables because they are damaged.
    pub(super) fn dropped_rows(&self) -> u64 {
        rows(&self.dropped)
    }

    /// A version's tables with the files that are still set apart in their place.
    pub(super) fn with_apart(&self, mut tables: BTreeMap<String, TableFiles>) -> BTreeMap<String, TableFiles> {
        for Apart { table, file } in &self.apart {
            if let Some(table) = table.as_ref().and_then(|table| tables.get_mut(table)) {
                table.files.push(file.clone());
                table.files.sort_by(|a, b| (&a.partition, &a.first).cmp(&(&b.partition, &b.first)));
            }
        }
        tables
    }

    /// A version as commits read it.
    pub(super) fn without_apart(&self, mut version: Version) -> Version {
        let apart = |file: &DataFile| self.apart.iter().any(|apart| apart.file.path == file.path);
        version.tables.values_mut().for_each(|table| table.files.retain(|file| !apart(file)));
        version
    }
}

fn rows(files: &[Apart]) -> u64 {
    files.iter().filter(|apart| apart.table.is_some()).map(|apart| apart.file.rows).sum()
}
