//! The keys of one file, row by row, after its bytes were verified.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::decode::period_days;
use crate::failure::Result;
use crate::manifest::Key;
use crate::schema::{Partition, PartitionBy};
use crate::store::LocalCopy;
use crate::write::file_limits::{Indexes, load_footer, rows_at_once};
use crate::write::inspect::{Flaw, Footer, LocatedFile, checksum};
use crate::write::sorted::record_key;
use crate::write::table_group::ComparedTable;

/// An open file, at a row.
pub struct Stream {
    pub file: usize,
    batches: ParquetRecordBatchReader,
    converter: RowConverter,
    pub batch: RecordBatch,
    pub keys: Rows,
    pub at: usize,
    /// Rows so far, including the current one.
    pub rows: u64,
    /// The record of the previous row.
    pub last: Key,
    _copy: LocalCopy,
}

impl Stream {
    /// Opens a file at its first row; none if it has no rows, a flaw if its bytes differ from the written ones.
    pub fn open(
        file: usize,
        copy: LocalCopy,
        located: &LocatedFile,
        part: &ComparedTable,
    ) -> Result<Result<Option<Self>, Flaw>> {
        // Opened once: a file that a run deletes meanwhile can still be read to its end.
        let Some(mut opened) = copy.open()? else { return Ok(Err(Flaw::Missing)) };
        if copy.bytes() != located.file.bytes {
            return Ok(Err(Flaw::Size(copy.bytes(), located.file.bytes)));
        }
        let (sha256, bytes) = checksum(&mut opened, copy.path())?;
        if bytes != located.file.bytes {
            return Ok(Err(Flaw::Size(bytes, located.file.bytes)));
        }
        if sha256 != located.file.sha256 {
            return Ok(Err(Flaw::Checksum));
        }
        let unreadable = |error: parquet::errors::ParquetError| Flaw::Unreadable(error.to_string());
        let metadata = match load_footer(&opened, Indexes::None) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(unreadable(error))),
        };
        let footer = Footer::new(&metadata);
        if let Some(flaw) = footer.differs(&part.columns) {
            return Ok(Err(flaw));
        }
        if footer.rows == 0 {
            let named = located.file.rows;
            return Ok(if named == 0 { Ok(None) } else { Err(Flaw::Rows(0, named)) });
        }
        let names = part.key.iter().chain(part.dated.iter().map(|(_, column)| column)).map(String::as_str);
        let mask = ProjectionMask::columns(metadata.metadata().file_metadata().schema_descr(), names);
        let groups: Vec<usize> = (0..metadata.metadata().num_row_groups()).collect();
        let rows = match rows_at_once(&opened, metadata.metadata(), &groups, &mask) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(unreadable(error))),
        };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata)
            .with_projection(mask)
            .with_batch_size(rows)
            .build();
        Ok(reader.map_err(unreadable).and_then(|batches| Self::first(file, batches, copy, part, &footer)))
    }

    fn first(
        file: usize,
        mut batches: ParquetRecordBatchReader,
        copy: LocalCopy,
        part: &ComparedTable,
        footer: &Footer,
    ) -> Result<Option<Self>, Flaw> {
        let kinds = part.key.iter().filter_map(|name| footer.columns.iter().find(|(known, _)| known == name));
        let fields: Vec<SortField> = kinds.map(|(_, kind)| SortField::new(kind.clone())).collect();
        let converter = RowConverter::new(fields).map_err(|error| Flaw::Unreadable(error.to_string()))?;
        let Some(batch) = next_batch(&mut batches)? else { return Ok(None) };
        let keys = keys(&converter, &batch, part)?;
        let last = record_of(&batch, &part.key[0], 0);
        Ok(Some(Self { file, batches, converter, batch, keys, at: 0, rows: 1, last, _copy: copy }))
    }

    /// Goes to the next row; `false` at the end.
    pub fn forward(&mut self, part: &ComparedTable) -> Result<bool, Flaw> {
        self.last = self.record_key(&part.key[0]);
        self.at += 1;
        while self.at >= self.batch.num_rows() {
            let Some(batch) = next_batch(&mut self.batches)? else { return Ok(false) };
            self.keys = keys(&self.converter, &batch, part)?;
            self.batch = batch;
            self.at = 0;
        }
        self.rows += 1;
        Ok(true)
    }

    /// The record of the current row.
    pub fn record_key(&self, column: &str) -> Key {
        record_of(&self.batch, column, self.at)
    }

    /// The key of the row in hand, for people.
    pub fn shown(&self, part: &ComparedTable) -> String {
        let cells = part.key.iter().map(|name| {
            let column = self.batch.column_by_name(name).expect("the key was read");
            match column.data_type() {
                DataType::Int64 => column.as_primitive::<Int64Type>().value(self.at).to_string(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(self.at).to_string(),
                DataType::Utf8 => column.as_string::<i32>().value(self.at).to_owned(),
                _ => "…".to_owned(),
            }
        });
        cells.collect::<Vec<_>>().join(", ")
    }
}

fn next_batch(batches: &mut ParquetRecordBatchReader) -> Result<Option<RecordBatch>, Flaw> {
    batches
        .find(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0))
        .transpose()
        .map_err(|error| Flaw::Unreadable(error.to_string()))
}

fn keys(converter: &RowConverter, batch: &RecordBatch, part: &ComparedTable) -> Result<Rows, Flaw> {
    let columns = part.key.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect::<Vec<_>>();
    converter.convert_columns(&columns).map_err(|error| Flaw::Unreadable(error.to_string()))
}

fn record_of(batch: &RecordBatch, column: &str, row: usize) -> Key {
    record_key(batch, batch.schema_ref().index_of(column).expect("the key was read"), row)
}

/// The partition that a row belongs to, by its own column; without a value it is the first.
pub fn belongs(partition: &Partition, batch: &RecordBatch, column: &str, row: usize) -> i32 {
    let column = batch.column_by_name(column).filter(|column| column.is_valid(row));
    let (Some(column), Partition::By { by, .. }) = (column, partition) else { return 0 };
    let found = match (by, column.data_type()) {
        (PartitionBy::Date { granularity, .. }, DataType::Timestamp(..)) => {
            period_days(*granularity, column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        (PartitionBy::Bucket(count), DataType::Int64) => {
            i32::try_from(column.as_primitive::<Int64Type>().value(row).rem_euclid(i64::from(*count))).ok()
        }
        _ => None,
    };
    found.unwrap_or(0)
}
