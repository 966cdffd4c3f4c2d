//! Pages of several GETs as one, in which the records of one key are one record.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::decode::page::Page;
use crate::decode::table_rows::{DecodedRecord, TableRows};
use crate::manifest::Key;

impl Page {
    /// Adds the records of another page of the same resource: rows of a key that both have are together those of one record.
    pub fn join(&mut self, other: Self) {
        let mut places: HashMap<Key, u32> =
            (0..).zip(&self.owners).map(|(place, owner)| (owner.key.clone(), place)).collect();
        let mut moved = Vec::with_capacity(other.owners.len());
        for owner in other.owners {
            let next = u32::try_from(self.owners.len()).expect("a page has under 2^32 records");
            let place = *places.entry(owner.key.clone()).or_insert(next);
            moved.push(place);
            match self.owners.get_mut(usize::try_from(place).expect("an index fits")) {
                Some(DecodedRecord { fits, .. }) => *fits &= owner.fits,
                None => self.owners.push(owner),
            }
        }
        for (table, more) in self.tables.iter_mut().zip(other.tables) {
            table.join(more, &moved);
        }
        self.records.extend(other.records);
        self.rejected.extend(other.rejected);
        self.rejected_values.merge(other.rejected_values);
        self.kinds.add(&other.kinds);
        self.came += other.came;
        self.texts.extend(other.texts);
        self.partial = self.partial.take().or(other.partial);
    }
}

impl TableRows {
    /// Adds rows whose owners have moved.
    fn join(&mut self, other: Self, moved: &[u32]) {
        let batches: [&RecordBatch; 2] = [&self.batch, &other.batch];
        self.batch = concat_batches(&self.batch.schema(), batches).expect("rows of one table have one schema");
        let owners = other.owners.iter().map(|owner| moved[usize::try_from(*owner).expect("an index fits")]);
        self.owners.extend(owners);
    }
}
