//! The columns of a table in the spool and in its files, and the order of its rows.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::schema::{EXTRACTED_AT, Table};

/// Beside a table's own columns the spool keeps these, last: the appearance of the record, and its partition.
const SEQ: &str = "#seq";
const PARTITION: &str = "#partition";

/// The layouts of one table.
#[derive(Debug)]
pub struct Layout {
    /// In files: the table's columns, `_extra`, `_extracted_at`, `_run_id`.
    pub file: SchemaRef,
    /// In the spool: the table's columns, `_extra`, `_extracted_at`, `#seq`, `#partition`; all may be null.
    pub spool: SchemaRef,
    /// Places of the key columns.
    pub key: Vec<usize>,
    /// The place of the mark of deleted records, in tables that keep their rows.
    pub mark: Option<usize>,
    /// The number of columns that are content: the table's own and `_extra`.
    pub content: usize,
}

impl Layout {
    /// The layouts of a table.
    pub fn new(table: &Table) -> Self {
        let plain = table.arrow();
        let content = table.columns.len() + 1;
        let mut fields: Vec<Field> =
            plain.fields().iter().take(content).map(|field| field.as_ref().clone().with_nullable(true)).collect();
        fields.push(Field::new(EXTRACTED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true));
        fields.push(Field::new(SEQ, DataType::UInt64, true));
        fields.push(Field::new(PARTITION, DataType::Int32, true));
        Self {
            file: Arc::new(table.described()),
            spool: Arc::new(Schema::new(fields)),
            key: table.key.clone(),
            mark: table.mark(),
            content,
        }
    }

    /// The layouts of a table for rows that files have: in the place of `#seq` the spool keeps the run that first stored the
    /// row.
    pub fn stored(table: &Table) -> Self {
        let plain = Self::new(table);
        let fields = plain.file.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let fields = fields.chain([Field::new(PARTITION, DataType::Int32, true)]);
        Self { spool: Arc::new(Schema::new(fields.collect::<Vec<_>>())), ..plain }
    }

    /// A spool batch of rows that a file had, as it goes to another file.
    pub fn moved(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::clone(&self.file), batch.columns()[..self.partition()].to_vec())
    }

    /// Whether a row, in either layout, is of a record that was found deleted.
    pub fn is_marked(&self, batch: &RecordBatch, row: usize) -> bool {
        self.mark.is_some_and(|place| batch.column(place).is_valid(row))
    }

    /// The place of `#seq` in the spool.
    pub fn seq(&self) -> usize {
        self.content + 1
    }

    /// The place of `#partition` in the spool.
    pub fn partition(&self) -> usize {
        self.content + 2
    }

    /// A converter of keys to bytes that sort as the keys do.
    pub fn key_converter(&self) -> RowConverter {
        let fields = self.key.iter().map(|place| SortField::new(self.file.field(*place).data_type().clone())).collect();
        RowConverter::new(fields).expect("key types have an order")
    }

    /// A converter of partition and key.
    pub fn order_converter(&self) -> RowConverter {
        let key = self.key.iter().map(|place| self.file.field(*place).data_type().clone());
        let fields = std::iter::once(DataType::Int32).chain(key).map(SortField::new).collect();
        RowConverter::new(fields).expect("key types have an order")
    }

    /// The keys of a batch, in either layout, as bytes.
    pub fn keys(&self, converter: &RowConverter, batch: &RecordBatch) -> Rows {
        let columns: Vec<ArrayRef> = self.key.iter().map(|place| Arc::clone(batch.column(*place))).collect();
        converter.convert_columns(&columns).expect("a batch has its layout's types")
    }

    /// Partition and key of a spool batch, as bytes.
    pub fn order(&self, converter: &RowConverter, batch: &RecordBatch) -> Rows {
        let mut columns = vec![Arc::clone(batch.column(self.partition()))];
        columns.extend(self.key.iter().map(|place| Arc::clone(batch.column(*place))));
        converter.convert_columns(&columns).expect("a batch has its layout's types")
    }

    /// A spool batch as it goes to a file.
    pub fn to_file(&self, batch: &RecordBatch, run: &str) -> RecordBatch {
        let mut columns: Vec<ArrayRef> = batch.columns()[..=self.content].to_vec();
        columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(run, batch.num_rows()))));
        RecordBatch::try_new(Arc::clone(&self.file), columns)
            .expect("records without required values never reach the spool")
    }
}
