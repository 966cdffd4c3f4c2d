//! Ids that a table holds in one of its columns, in the rows that meet conditions, each with the values of other
//! columns of its row.
//!
//! Takes files and the names of columns. Rows of deleted records that stay in the table hold none, and 0 stands for
//! none, as at the source (docs/brightpearl-api.md §8.9).

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use parquet::file::metadata::RowGroupMetaData;

use crate::failure::Result;
use crate::manifest::DataFile;
use crate::schema::{DELETED_AT, RowCondition};
use crate::store::Store;
use crate::write::lookup::{admits, each_file, range};
use crate::write::ranges::each_batch;

/// Ids, each with the values of the other columns.
pub type HeldValues = BTreeMap<i64, Vec<i64>>;

/// The columns that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldColumns {
    /// The column with the ids.
    pub id: String,
    pub conditions: Vec<RowCondition>,
    /// Columns whose values go with an id; a row that lacks one of them holds none.
    pub values: Vec<String>,
}

impl HeldColumns {
    /// All ids that these files hold.
    pub async fn all(&self, store: &Store, files: &[DataFile]) -> Result<HeldValues> {
        let files: Vec<&DataFile> = files.iter().collect();
        self.read(store, &files, None).await
    }

    /// Of these ids those that the files hold. The newest partition is read first, and no more than is needed to find
    /// all.
    pub async fn among(&self, store: &Store, files: &[DataFile], ids: &BTreeSet<i64>) -> Result<HeldValues> {
        let mut partitions: BTreeMap<Option<&str>, Vec<&DataFile>> = BTreeMap::new();
        for file in files {
            partitions.entry(file.partition.as_deref()).or_default().push(file);
        }
        let (mut found, mut left) = (HeldValues::new(), ids.clone());
        for files in partitions.into_values().rev() {
            if left.is_empty() {
                break;
            }
            found.extend(self.read(store, &files, Some(left.clone())).await?);
            left.retain(|id| !found.contains_key(id));
        }
        Ok(found)
    }

    async fn read(&self, store: &Store, files: &[&DataFile], ids: Option<BTreeSet<i64>>) -> Result<HeldValues> {
        let files: Vec<&DataFile> = files.iter().copied().filter(|file| file.rows > 0).collect();
        let columns = self.clone();
        let found = each_file(store, &files, move |file| {
            let mut found = HeldValues::new();
            let conditions = columns.conditions.iter().map(|condition| &condition.column);
            let names = std::iter::once(&columns.id).chain(conditions).chain(&columns.values);
            let names: Vec<&str> = names.map(String::as_str).chain([DELETED_AT]).collect();
            let wanted = |group: &RowGroupMetaData| match (&ids, range(group, &columns.id)) {
                (Some(ids), Some((first, last))) => ids.range(first..=last.max(first)).next().is_some(),
                (Some(_) | None, _) => true,
            };
            each_batch(file, &names, wanted, |batch| columns.collect(batch, ids.as_ref(), &mut found))?;
            Ok(found)
        });
        Ok(found.await?.into_iter().flatten().collect())
    }

    /// The ids of a batch; nothing where it lacks a column.
    fn collect(&self, batch: &RecordBatch, ids: Option<&BTreeSet<i64>>, found: &mut HeldValues) {
        let numbers = |name: &String| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let tested =
            |condition: &RowCondition| Some((batch.column_by_name(&condition.column)?.clone(), condition.test.clone()));
        let conditions: Option<Vec<_>> = self.conditions.iter().map(tested).collect();
        let values: Option<Vec<_>> = self.values.iter().map(numbers).collect();
        let (Some(keys), Some(conditions), Some(values)) = (numbers(&self.id), conditions, values) else { return };
        let marks = batch.column_by_name(DELETED_AT);
        for row in 0..batch.num_rows() {
            let id = keys.value(row);
            let of_interest = keys.is_valid(row)
                && id > 0
                && ids.is_none_or(|ids| ids.contains(&id))
                && marks.is_none_or(|marks| marks.is_null(row))
                && values.iter().all(|values| values.is_valid(row))
                && conditions.iter().all(|(column, test)| admits(test, column, row));
            if of_interest {
                found.insert(id, values.iter().map(|values| values.value(row)).collect());
            }
        }
    }
}
