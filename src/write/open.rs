//! The open records of a file, as the manifest lists them: a run that looks for open records need not read every month.

use arrow_array::RecordBatch;
use parquet::file::metadata::RowGroupMetaData;

use crate::manifest::OpenRecords;
use crate::schema::{DELETED_AT, Resource, Table, Type};
use crate::write::lookup::KeyFilter;

/// More open records than this are not listed, for each manifest names them; their file is read instead.
const MOST: usize = 100;

/// The columns that distinguish open records in a table.
#[derive(Clone, Debug)]
pub struct OpenRows {
    key: String,
    which: KeyFilter,
}

impl OpenRows {
    /// Of a resource's table, if open records are looked for in it.
    pub fn of(resource: &Resource, table: &Table) -> Option<Self> {
        let open = resource.open().filter(|_| resource.main_table().name == table.name)?;
        let key = &table.columns[table.key[0]];
        (key.kind == Type::Int64).then(|| Self { key: key.name.clone(), which: KeyFilter::open(open) })
    }

    /// The columns that decide.
    pub fn columns(&self) -> Vec<&str> {
        [self.key.as_str(), DELETED_AT].into_iter().chain(self.which.column()).collect()
    }

    /// Whether a row group may hold one, by its statistics.
    pub fn may_be_in(&self, group: &RowGroupMetaData) -> bool {
        self.which.may_be_in(group)
    }

    /// The ids of open records of a batch.
    pub fn ids(&self, batch: &RecordBatch) -> Vec<i64> {
        self.which.ids(batch, &self.key)
    }

    /// Ids, ascending, as a manifest lists them; none where they are too many.
    pub fn records(&self, ids: Vec<i64>) -> Option<OpenRecords> {
        (ids.len() <= MOST).then(|| OpenRecords { condition: self.which.to_string(), ids })
    }
}
