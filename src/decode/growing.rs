//! The rows of one table being built, those that are left out among them until the page is done.
//!
//! A row is left out when its key has no value, or when another row of the same key follows in its record.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::filter::{filter, filter_record_batch};
use sonic_rs::LazyValue;

use crate::decode::builder::ColumnBuilder;
use crate::decode::shape::TableShape;
use crate::decode::table_rows::TableRows;
use crate::schema::EXTRA;
use crate::secret::HashKey;

/// The reason of a row that is left out for a later one.
pub const REPEATED_ROW: &str = "another row of the same key follows in its record";

/// A table's rows being built.
pub struct Growing<'a> {
    pub columns: Vec<ColumnBuilder>,
    extra: StringBuilder,
    record_places: Vec<u32>,
    /// Places of the rows that are left out.
    rejected: Vec<usize>,
    /// The rows of the current record by their keys.
    keys: HashMap<Vec<u8>, (usize, LazyValue<'a>)>,
}

impl<'a> Growing<'a> {
    /// No rows of this table.
    pub fn new(table: &TableShape, key: Option<&HashKey>) -> Self {
        Self {
            columns: table.columns.iter().map(|column| ColumnBuilder::new(column.kind, key)).collect(),
            extra: StringBuilder::new(),
            record_places: Vec::new(),
            rejected: Vec::new(),
            keys: HashMap::new(),
        }
    }

    /// The next rows are of another record, of which no row came before.
    pub fn begin_record(&mut self) {
        self.keys.clear();
    }

    /// Rows so far, without those left out.
    pub fn len(&self) -> usize {
        self.record_places.len() - self.rejected.len()
    }

    /// Ends a row with filled columns.
    pub fn end_row(&mut self, extra: Option<String>, record_place: u32) {
        self.extra.append_option(extra);
        self.record_places.push(record_place);
    }

    /// Leaves out the last row, which was made from this entry; gives the entry's text.
    pub fn reject_last(&mut self, entry: &LazyValue<'a>) -> String {
        self.rejected.push(self.record_places.len() - 1);
        entry.as_raw_str().to_owned()
    }

    /// Leaves out an earlier row of the record with the key of the last one; returns the text of its entry, and the
    /// reason.
    ///
    /// `record_place` distinguishes records whose rows do not arrive one record after the other.
    pub fn reject_former(
        &mut self,
        table: &TableShape,
        entry: &LazyValue<'a>,
        record_place: Option<u32>,
    ) -> Option<(String, String)> {
        if !table.may_repeat {
            return None;
        }
        let mut key = record_place.map_or_else(Vec::new, |place| place.to_be_bytes().to_vec());
        for place in table.key.iter().skip(1) {
            self.columns[*place].write_last(&mut key);
        }
        let (row, former) = self.keys.insert(key, (self.record_places.len() - 1, entry.clone()))?;
        self.rejected.push(row);
        Some((former.as_raw_str().to_owned(), REPEATED_ROW.to_owned()))
    }

    /// The rows, without those left out.
    pub fn finish(mut self, table: &TableShape) -> TableRows {
        let mut fields: Vec<Field> =
            table.columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
        fields.push(Field::new(EXTRA, DataType::Utf8, true));
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        arrays.push(Arc::new(self.extra.finish()));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .expect("builders of one table have one length and the types of their columns");
        if self.rejected.is_empty() {
            return TableRows { batch, record_places: self.record_places };
        }
        let mut stays = vec![true; self.record_places.len()];
        self.rejected.iter().for_each(|row| stays[*row] = false);
        let stays = BooleanArray::from(stays);
        let places = filter(&UInt32Array::from(self.record_places), &stays).expect("there is a place a row");
        let places = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::UInt32Type>(&places);
        TableRows {
            batch: filter_record_batch(&batch, &stays).expect("there is a mark a row"),
            record_places: places.values().to_vec(),
        }
    }
}
