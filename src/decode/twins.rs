//! Two records of one key in one answer: the newer stays, or the later where neither is newer, and the other is left
//! out.

use std::collections::{BTreeMap, HashMap};

use sonic_rs::LazyValue;

use crate::decode::rejected::RejectedRecord;
use crate::decode::table_rows::DecodedRecord;
use crate::manifest::Key;

/// The records of an answer by their keys.
#[derive(Default)]
pub struct Twins<'a> {
    first: HashMap<Key, (usize, LazyValue<'a>)>,
    /// Those of a key that came before, the first one too.
    more: BTreeMap<Key, Vec<(usize, LazyValue<'a>)>>,
}

impl<'a> Twins<'a> {
    /// Notes a record at this place among the page's.
    pub fn note(&mut self, key: &Key, place: usize, value: LazyValue<'a>) {
        match self.first.get(key) {
            None => {
                self.first.insert(key.clone(), (place, value));
            }
            Some(first) => {
                self.more.entry(key.clone()).or_insert_with(|| vec![first.clone()]).push((place, value));
            }
        }
    }

    /// The place of a key's first record among the page's.
    pub fn place(&self, key: &Key) -> Option<usize> {
        self.first.get(key).map(|(place, _)| *place)
    }

    /// The text of each key's first record.
    pub fn texts(&self) -> Vec<(Key, String)> {
        self.first.iter().map(|(key, (_, value))| (key.clone(), value.as_raw_str().to_owned())).collect()
    }

    /// Leaves out all but one of each key: they no longer fit, and are kept among the rejected.
    pub fn settle(
        self,
        records: &mut [DecodedRecord],
        rejected_records: &mut Vec<RejectedRecord>,
        rejected_rows: &mut Vec<RejectedRecord>,
    ) {
        for (key, twins) in self.more {
            let fitting = twins.iter().map(|(place, _)| *place).filter(|place| records[*place].fits);
            let best = fitting.reduce(|best, next| if is_newer(&records[best], &records[next]) { best } else { next });
            let Some(best) = best else { continue };
            // A copy that does not fit loses nothing of the record: the other one is whole.
            rejected_records.retain(|record| record.id.as_ref() != Some(&key));
            for (place, value) in twins.iter().filter(|(place, _)| *place != best) {
                records[*place].fits = false;
                rejected_rows.push(RejectedRecord {
                    table: None,
                    id: Some(key.clone()),
                    reason: "another record of the same key is in the same answer".to_owned(),
                    raw: value.as_raw_str().to_owned(),
                });
            }
        }
    }
}

/// Whether a record is newer than a later one by the columns that tell it.
fn is_newer(one: &DecodedRecord, later: &DecodedRecord) -> bool {
    let pairs = one.newer.iter().zip(&later.newer);
    let differing = pairs.filter_map(|(one, later)| Some((*one.as_ref()?, *later.as_ref()?)));
    differing.into_iter().find(|(one, later)| one != later).is_some_and(|(one, later)| one > later)
}
