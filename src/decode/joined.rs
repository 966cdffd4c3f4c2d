//! Pages of several GETs as one, in which the records of one key are one record.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::decode::page::Page;
use crate::decode::table_rows::{DecodedRecord, TableRows};
use crate::manifest::Key;

impl Page {
    /// Adds the records of another page of the same resource: rows of a key that both have are together those of one
    /// record.
    pub fn join(&mut self, other: Self) {
        let mut places: HashMap<Key, u32> =
            (0..).zip(&self.records).map(|(place, record)| (record.key.clone(), place)).collect();
        let mut moved = Vec::with_capacity(other.records.len());
        for record in other.records {
            let next = u32::try_from(self.records.len()).expect("a page has under 2^32 records");
            let place = *places.entry(record.key.clone()).or_insert(next);
            moved.push(place);
            match self.records.get_mut(usize::try_from(place).expect("an index fits")) {
                Some(DecodedRecord { fits, .. }) => *fits &= record.fits,
                None => self.records.push(record),
            }
        }
        for (table, more) in self.tables.iter_mut().zip(other.tables) {
            table.join(more, &moved);
        }
        self.rejected_records.extend(other.rejected_records);
        self.rejected_rows.extend(other.rejected_rows);
        self.rejected_values.merge(other.rejected_values);
        self.kinds.add(&other.kinds);
        self.came += other.came;
        self.texts.extend(other.texts);
        self.partial = self.partial.take().or(other.partial);
    }
}

impl TableRows {
    /// Adds rows whose records have moved.
    fn join(&mut self, other: Self, moved: &[u32]) {
        let batches: [&RecordBatch; 2] = [&self.batch, &other.batch];
        self.batch = concat_batches(&self.batch.schema(), batches).expect("rows of one table have one schema");
        let places = other.record_places.iter().map(|place| moved[usize::try_from(*place).expect("an index fits")]);
        self.record_places.extend(places);
    }
}
