//! Lookups in live files. The state keeps their answers, so that a run that finds nothing new reads no file.
//!
//! Takes ids, each with a text of the values compared, and gives those that the files hold with these values. A
//! question is the hash of a file's checksum and of the ids in its range with their texts; its answer stays true: files
//! never change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::decode::Page;
use crate::failure::Result;
use crate::manifest::{DataFile, Key, Looked, TableFiles};
use crate::store::Store;
use crate::write::{StoredRecord, digest, held_by_file};

/// Digits of a hash that are kept: two questions of a table alike are out of the question.
const DIGITS: usize = 16;

/// The answers known to one resource at work.
#[derive(Debug, Default)]
pub struct Lookups {
    /// Those of earlier runs.
    known: Looked,
    /// Those that this scan asked for, known before or not.
    asked: Mutex<Looked>,
}

/// Ids that are looked for.
#[derive(Debug)]
pub struct Question<'a> {
    /// The purpose, and settings on which the answer depends.
    pub about: &'a str,
    /// The key column and the columns that are compared.
    pub key: &'a str,
    pub columns: &'a [String],
    /// The ids, each with the text on which its answer depends.
    pub ids: BTreeMap<i64, String>,
}

impl Lookups {
    /// With the answers of earlier runs.
    pub fn of(known: Looked) -> Self {
        Self { known, asked: Mutex::default() }
    }

    /// The answers that were requested since the last call.
    pub fn take(&self) -> Looked {
        std::mem::take(&mut self.asked.lock().expect("no holder panics"))
    }

    /// The hash of the newest rows that an earlier run stored.
    pub fn rows(&self) -> Option<&str> {
        self.known.rows.as_deref()
    }

    /// The ids of which some file holds a row that `is_yes` accepts. Files with a known answer are not read.
    pub async fn among(
        &self,
        store: &Store,
        files: &[DataFile],
        question: &Question<'_>,
        is_yes: impl Fn(i64, &StoredRecord) -> bool,
    ) -> Result<BTreeSet<i64>> {
        let (mut yes, mut unknown) = (BTreeSet::new(), Vec::new());
        for file in files {
            let ids = within(file, &question.ids);
            if ids.is_empty() {
                continue;
            }
            let hash = question.hash(file, &ids);
            match self.places(&hash, ids.len()) {
                Some(places) => yes.extend(places.into_iter().map(|place| ids[place])),
                None => unknown.push((file.clone(), ids, hash)),
            }
        }
        let wanted: Vec<i64> = question.ids.keys().copied().collect();
        let read: Vec<DataFile> = unknown.iter().map(|(file, ..)| file.clone()).collect();
        let found = held_by_file(store, &read, question.key, question.columns, &wanted).await?;
        for ((_, ids, hash), found) in unknown.into_iter().zip(found) {
            let accepted = |id: &i64| found.get(id).is_some_and(|holding| is_yes(*id, holding));
            let places: BTreeSet<usize> = (0..ids.len()).filter(|place| accepted(&ids[*place])).collect();
            yes.extend(places.iter().map(|place| ids[*place]));
            self.asked.lock().expect("no holder panics").note(hash, ids.len(), &places);
        }
        Ok(yes)
    }

    /// The answer to a question that was asked before; it is kept on.
    fn places(&self, hash: &str, count: usize) -> Option<BTreeSet<usize>> {
        let mut asked = self.asked.lock().expect("no holder panics");
        let places = asked.places(hash, count).or_else(|| self.known.places(hash, count))?;
        asked.note(hash.to_owned(), count, &places);
        Some(places)
    }
}

impl Question<'_> {
    fn hash(&self, file: &DataFile, ids: &[i64]) -> String {
        let mut hash = Sha256::new();
        for part in [self.about, self.key, &file.sha256].into_iter().chain(self.columns.iter().map(String::as_str)) {
            add(&mut hash, part);
        }
        for id in ids {
            add(&mut hash, &id.to_string());
            add(&mut hash, self.ids.get(id).map_or("", String::as_str));
        }
        digits(hash)
    }
}

/// The rows of the page with the greatest ids.
#[derive(Clone, Debug)]
pub struct NewestRows {
    digest: String,
    first: Key,
    last: Key,
}

impl NewestRows {
    /// Those of a page with these ids, on which every row fits.
    pub fn of(page: &Page, ids: &BTreeSet<i64>) -> Option<Self> {
        let fits = page.rejected_records.is_empty() && page.rejected_rows.is_empty() && page.rejected_values.is_empty();
        let (first, last) = ids.first().zip(ids.last()).filter(|_| fits)?;
        let digest = digest(page.tables.iter().map(|rows| &rows.batch))?;
        Some(Self { digest, first: Key::Int(*first), last: Key::Int(*last) })
    }

    /// The hash of these rows and of the files of these tables that may hold them.
    pub fn hash<'t>(&self, tables: impl Iterator<Item = &'t TableFiles>) -> String {
        let meets = |file: &&DataFile| {
            let range = file.first.as_ref().zip(file.last.as_ref());
            range.is_some_and(|(first, last)| *first <= self.last && self.first <= *last)
        };
        let files = tables.flat_map(|table| &table.files).filter(meets);
        let met: BTreeSet<&str> = files.map(|file| file.sha256.as_str()).collect();
        let mut hash = Sha256::new();
        add(&mut hash, &self.digest);
        met.into_iter().for_each(|sha256| add(&mut hash, sha256));
        digits(hash)
    }
}

/// The hash of files, in their order, and of the question about them.
pub fn of_files<'f>(about: &str, files: impl Iterator<Item = &'f DataFile>) -> String {
    let mut hash = Sha256::new();
    add(&mut hash, about);
    files.for_each(|file| add(&mut hash, &file.sha256));
    digits(hash)
}

/// Adds a text with its length, so that no two sequences of texts are one.
fn add(hash: &mut Sha256, text: &str) {
    hash.update(text.len().to_le_bytes());
    hash.update(text);
}

fn digits(hash: Sha256) -> String {
    let mut text: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(DIGITS);
    text
}

/// The ids that lie in a file's range, ascending.
fn within(file: &DataFile, ids: &BTreeMap<i64, String>) -> Vec<i64> {
    match (&file.first, &file.last) {
        (Some(Key::Int(first)), Some(Key::Int(last))) if first <= last => {
            ids.range(*first..=*last).map(|(id, _)| *id).collect()
        }
        _ => Vec::new(),
    }
}
