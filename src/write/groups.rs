//! The row groups of a live file: which records they hold, their rows, and their bytes as another file takes them.
//!
//! Uses the statistics of the record key's column: rows are sorted, so a row group holds the records from its least to
//! its greatest key. Where statistics are missing, a row group may hold any record.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use arrow_select::concat::concat;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::config::Encodings;
use crate::failure::Result;
use crate::manifest::{DataFile, Key};
use crate::schema::same_columns;
use crate::write::encode::created_by;
use crate::write::file_limits::{chunk_range, rows_at_once};
use crate::write::form::Form;
use crate::write::lookup::unreadable;
use crate::write::source::{FileSource, HeldRange};

/// The row groups of one file.
pub struct RowGroups {
    path: String,
    source: FileSource,
    metadata: ArrowReaderMetadata,
    /// The place of the record key's column.
    key: usize,
    /// Bytes that came with a row group, of those behind it.
    ahead: Option<HeldRange>,
}

/// The records that a row group may hold: the least and the greatest, and whether both are in it.
#[derive(Clone, Debug)]
pub struct KeyBounds {
    pub first: Key,
    pub last: Key,
    pub exact: bool,
}

impl RowGroups {
    /// The row groups of a file, as its footer states them; `key` is the place of the record key's column.
    pub fn open(source: FileSource, file: &DataFile, key: usize) -> Result<Self> {
        let metadata = source.metadata().map_err(|error| unreadable(file.path.clone(), error))?;
        Ok(Self { path: file.path.clone(), source, metadata, key, ahead: None })
    }

    /// Replaces the source by one with verified bytes: their checksum is that of the manifest.
    pub fn check(&mut self, check: impl FnOnce(FileSource) -> Result<FileSource>) -> Result<()> {
        self.ahead = None;
        self.source = check(std::mem::replace(&mut self.source, FileSource::Memory(Bytes::new())))?;
        self.metadata = self.source.metadata().map_err(|error| unreadable(self.path.clone(), error))?;
        Ok(())
    }

    /// How many row groups there are.
    pub fn count(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    fn meta(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.metadata().row_group(group)
    }

    /// The rows of a row group.
    pub fn rows(&self, group: usize) -> usize {
        usize::try_from(self.meta(group).num_rows()).unwrap_or(0)
    }

    /// The bytes of a row group in the file.
    pub fn bytes(&self, group: usize) -> usize {
        usize::try_from(self.meta(group).compressed_size()).unwrap_or(usize::MAX)
    }

    /// The records of a row group, where its statistics state them.
    pub fn key_bounds(&self, group: usize) -> Option<KeyBounds> {
        let statistics = self.meta(group).column(self.key).statistics()?;
        match statistics {
            Statistics::Int64(values) => {
                let (first, last) = (Key::Int(*values.min_opt()?), Key::Int(*values.max_opt()?));
                Some(KeyBounds { first, last, exact: true })
            }
            Statistics::ByteArray(values) => {
                let text = |value: &parquet::data_type::ByteArray| Some(Key::Text(value.as_utf8().ok()?.to_owned()));
                let (first, last) = (text(values.min_opt()?)?, text(values.max_opt()?)?);
                Some(KeyBounds { first, last, exact: values.min_is_exact() && values.max_is_exact() })
            }
            _ => None,
        }
    }

    /// The bytes of a row group in memory.
    pub fn hold(&self, group: usize) -> Result<HeldRange> {
        let held = || {
            let range = self.byte_range(group)?;
            match self.ahead.as_ref().filter(|held| held.covers(&range)) {
                Some(held) => Ok(held.clone()),
                None => self.source.hold(range),
            }
        };
        held().map_err(|error| unreadable(self.path.clone(), error))
    }

    /// The bytes of a row group in memory; from the store those of the next ones that are `wanted` come with the same
    /// request, up to this many bytes.
    pub fn hold_ahead(&mut self, group: usize, wanted: impl Fn(usize) -> bool, most: usize) -> Result<HeldRange> {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let mut ahead = || {
            let mut range = self.byte_range(group)?;
            if !self.source.is_remote() || self.ahead.as_ref().is_some_and(|held| held.covers(&range)) {
                return Ok(());
            }
            for next in (group + 1..self.count()).take_while(|next| wanted(*next)) {
                let next = self.byte_range(next)?;
                if next.start < range.end || next.end - range.start > most {
                    break;
                }
                range.end = next.end;
            }
            self.ahead = None;
            self.ahead = Some(self.source.hold(range)?);
            Ok(())
        };
        ahead().map_err(|error| unreadable(self.path.clone(), error))?;
        self.hold(group)
    }

    /// Where the columns of a row group are.
    fn byte_range(&self, group: usize) -> parquet::errors::Result<Range<u64>> {
        let size = self.source.size();
        let columns = self.meta(group).columns().iter();
        let ranges = columns.map(|column| chunk_range(column, size)).collect::<parquet::errors::Result<Vec<_>>>()?;
        let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
        Ok(Range { start, end: ranges.iter().map(|range| range.end).max().unwrap_or(start) })
    }

    /// All rows of a row group, batch by batch.
    pub fn all(&self, held: &HeldRange, group: usize) -> Result<GroupRows<'_>> {
        self.read(held, group, ProjectionMask::all(), None)
    }

    /// The first `columns` columns of the rows of these records, ascending, or of all: batch by batch.
    pub fn some(
        &self,
        held: &HeldRange,
        group: usize,
        columns: usize,
        records: Option<&[&Key]>,
    ) -> Result<GroupRows<'_>> {
        let rows = self.rows(group);
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::roots(schema, 0..columns);
        let Some(records) = records else { return self.read(held, group, mask, None) };
        let own = ProjectionMask::roots(schema, [self.key]);
        let keys = self.read(held, group, own, None)?.map(|batch| Ok(Arc::clone(batch?.column(0))));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let keys: Vec<&dyn Array> = keys.iter().map(AsRef::as_ref).collect();
        let damaged = |error| unreadable(self.path.clone(), ParquetError::from(error));
        let ranges = if keys.is_empty() { Vec::new() } else { places(&concat(&keys).map_err(damaged)?, records) };
        let picked: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        // Skipping costs more than reading where most are wanted.
        let selection = (picked < rows / 2).then(|| RowSelection::from_consecutive_ranges(ranges.into_iter(), rows));
        self.read(held, group, mask, selection)
    }

    /// The rows of a row group that may hold wanted ones, of the columns of these names; no rows where it holds none.
    pub fn named(
        &self,
        held: &HeldRange,
        group: usize,
        columns: Vec<&str>,
        may_hold: impl Fn(&RowGroupMetaData) -> bool,
    ) -> Result<Vec<Result<RecordBatch>>> {
        if !may_hold(self.meta(group)) {
            return Ok(Vec::new());
        }
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::columns(schema, columns);
        Ok(self.read(held, group, mask, None)?.collect())
    }

    fn read(
        &self,
        held: &HeldRange,
        group: usize,
        mask: ProjectionMask,
        selection: Option<RowSelection>,
    ) -> Result<GroupRows<'_>> {
        let at_once = rows_at_once(held, self.metadata.metadata(), &[group], &mask)
            .map_err(|error| unreadable(self.path.clone(), error))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(held.clone(), self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(at_once);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let batches = builder.build().map_err(|error| unreadable(self.path.clone(), error))?;
        Ok(GroupRows { path: &self.path, batches })
    }

    /// Whether row groups can go into a file of this form as they are: the same columns, written by the same version of
    /// this program, in encodings that the setting allows.
    pub fn are_copyable(&self, form: &Form) -> bool {
        let metadata = self.metadata.metadata();
        let file = metadata.file_metadata();
        let columns = ArrowSchemaConverter::new().convert(&form.schema);
        let same = file.created_by().is_some_and(|by| by == created_by())
            && same_columns(self.metadata.schema().fields(), form.schema.fields())
            && columns.is_ok_and(|columns| file.schema_descr().columns() == columns.columns());
        let copyable = |group: usize| {
            let index = metadata.page_index_for_row_group(group);
            metadata.row_group(group).columns().iter().enumerate().all(|(column, chunk)| {
                let common = chunk.encodings().all(|encoding| encoding != Encoding::DELTA_BINARY_PACKED);
                matches!(chunk.compression(), Compression::ZSTD(_))
                    && (common || form.sizes.encodings == Encodings::Compact)
                    && index.offset_index(column).is_some()
                    && chunk.column_index_offset().is_some() == index.column_index(column).is_some()
            })
        };
        same && (0..metadata.num_row_groups()).all(copyable)
    }

    /// The columns of a row group, as a writer of another file takes them with its bytes.
    pub fn columns(&self, group: usize) -> impl Iterator<Item = ColumnCloseResult> {
        let index = self.metadata.metadata().page_index_for_row_group(group);
        let group = self.meta(group);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        group.columns().iter().enumerate().map(move |(place, column)| ColumnCloseResult {
            bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
            rows_written: rows,
            metadata: column.clone(),
            bloom_filter: None,
            column_index: index.column_index(place).cloned(),
            offset_index: index.offset_index(place).cloned(),
        })
    }
}

/// Rows of a row group, batch by batch.
pub struct GroupRows<'a> {
    path: &'a str,
    batches: ParquetRecordBatchReader,
}

impl Iterator for GroupRows<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.find(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0))?;
        Some(batch.map_err(|error| unreadable(self.path.to_owned(), error.into())))
    }
}

/// The places of these records, ascending, in a sorted column of record keys.
fn places(keys: &dyn Array, records: &[&Key]) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    for record in records {
        let is_before = |row: usize, or_it: bool| match (keys.data_type(), record) {
            (DataType::Int64, Key::Int(id)) => {
                let value = keys.as_primitive::<Int64Type>().value(row);
                value < *id || (or_it && value == *id)
            }
            (DataType::Utf8, Key::Text(text)) => {
                let value = keys.as_string::<i32>().value(row);
                value < text.as_str() || (or_it && value == text)
            }
            // No other type is one of a record key.
            _ => false,
        };
        let begin = point(from..keys.len(), |row| is_before(row, false));
        let end = point(begin..keys.len(), |row| is_before(row, true));
        match places.last_mut() {
            _ if begin == end => {}
            Some(last) if last.end == begin => last.end = end,
            _ => places.push(begin..end),
        }
        from = end;
    }
    places
}

/// The first place that the predicate, true of the first ones, is not true of.
fn point(within: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (within.start, within.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::places;
    use crate::manifest::Key;

    #[test]
    fn records_are_found_where_their_rows_are_and_neighbours_as_one_range() {
        let keys = Int64Array::from(vec![1, 1, 3, 4, 4, 4, 9]);
        let ids = [0, 1, 2, 4, 9, 12].map(Key::Int);
        assert_eq!(places(&keys, &ids.iter().collect::<Vec<_>>()), [0..2, 3..7]);
        let keys = StringArray::from(vec!["a", "b", "b", "c"]);
        let texts = ["b", "bb", "c"].map(|text| Key::Text(text.to_owned()));
        assert_eq!(places(&keys, &texts.iter().collect::<Vec<_>>()), vec![1..4]);
        assert_eq!(places(&keys, &[]), Vec::<std::ops::Range<usize>>::new());
    }
}
