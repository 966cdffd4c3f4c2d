//! Forgotten people in what a run reads: their values are emptied before a row is buffered.

use std::collections::{BTreeSet, HashMap};

use crate::decode::Page;
use crate::failure::Result;
use crate::forget::documents::{EMPTIED_TEXT, empty_rejected};
use crate::forget::list::ForgottenList;
use crate::forget::person::{PersonColumns, people};
use crate::manifest::Key;
use crate::schema::{Catalog, Resource};

/// The forgotten people of a destination, as the resources of a run need them.
#[derive(Debug)]
pub struct Forgotten {
    list: ForgottenList,
    columns: HashMap<String, PersonColumns>,
}

impl Forgotten {
    /// Those of a list, in the resources of a catalogue.
    pub fn new(list: ForgottenList, catalog: &Catalog) -> Result<Self> {
        if list.is_empty() {
            return Ok(Self { list, columns: HashMap::new() });
        }
        let people = people(catalog)?;
        let columns = catalog.resources().iter().map(|resource| {
            let columns = PersonColumns::of(resource, &people);
            (resource.name.clone(), columns)
        });
        Ok(Self { list, columns: columns.filter(|(_, columns)| !columns.is_empty()).collect() })
    }

    /// Empties their values in a page of a resource, and the texts of their rejected records. Samples do not state whose
    /// they are: where one of these people is in the page, all are emptied.
    pub fn empty(&self, resource: &Resource, page: &mut Page) -> Result<()> {
        let Some(columns) = self.columns.get(&resource.name) else { return Ok(()) };
        let index = |place: u32| usize::try_from(place).expect("a place fits");
        let mut theirs = vec![false; page.records.len()];
        for (table, rows) in resource.tables.iter().zip(&page.tables) {
            let found = columns.recognise(&table.name, &rows.batch, &self.list);
            for (place, _) in rows.record_places.iter().zip(found).filter(|(_, found)| *found) {
                theirs[index(*place)] = true;
            }
        }
        for (table, rows) in resource.tables.iter().zip(&mut page.tables) {
            let mask: Vec<bool> = rows.record_places.iter().map(|place| theirs[index(*place)]).collect();
            if let Some((emptied, _)) = columns.empty(&table.name, &rows.batch, &mask)? {
                rows.batch = emptied;
            }
        }
        let records = page.records.iter().zip(&theirs).filter(|(_, theirs)| **theirs);
        let keys: BTreeSet<Key> = records.map(|(record, _)| record.key.clone()).collect();
        let affected = |key: &Key| {
            let itself = || resource.holds_people && matches!(key, Key::Int(id) if self.list.includes(*id));
            keys.contains(key) || itself()
        };
        let mut has_theirs = !keys.is_empty();
        for rejected in page.rejected_records.iter_mut().chain(&mut page.rejected_rows) {
            has_theirs |= empty_rejected(rejected, affected, &columns.fields, &self.list);
        }
        if has_theirs {
            page.rejected_values.replace_samples(EMPTIED_TEXT);
        }
        Ok(())
    }
}
