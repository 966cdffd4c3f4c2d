//! Files of rejected records: the texts of a forgotten person's records are emptied, in a new file beside the others.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::decode::RejectedRecord;
use crate::failure::{Failure, Kind, Result};
use crate::forget::documents::empty_rejected;
use crate::forget::list::ForgottenList;
use crate::manifest::{Key, RejectedFile, Version};
use crate::store::{Store, StoreStep, paths};
use crate::write::RecordSet;

/// Files of rejected records after an erasure.
#[derive(Debug, Default)]
pub struct EmptiedFiles {
    pub files: Vec<RejectedFile>,
    /// The records that were emptied.
    pub records: u64,
    /// New files, which no version names yet.
    pub new: Vec<String>,
}

/// The person's records, and the fields by which their texts are recognised.
#[derive(Clone, Copy, Debug)]
pub struct RejectedSelection<'a> {
    pub records: &'a RecordSet,
    pub fields: &'a [String],
    pub list: &'a ForgottenList,
}

/// Empties the texts of a person's rejected records in the files of a head; new files get the name of this run, if one is
/// given.
pub async fn empty_rejected_files(
    store: &Store,
    head: &Version,
    selection: RejectedSelection<'_>,
    run: Option<&str>,
    next_number: &mut u64,
) -> Result<EmptiedFiles> {
    let mut emptied = EmptiedFiles::default();
    for file in &head.rejected {
        let text = store.get(&file.path).await?;
        let found = text.map(|text| edited(&text, selection)).filter(|(_, records)| *records > 0);
        let Some((text, records)) = found else {
            emptied.files.push(file.clone());
            continue;
        };
        emptied.records += records;
        let Some(run) = run else { continue };
        let path = paths::rejected(&head.resource, run, *next_number);
        *next_number += 1;
        store.put_own(&path, text).await?;
        store.reach(StoreStep::RejectedKept, &path)?;
        emptied.new.push(path.clone());
        emptied.files.push(RejectedFile { path, records: file.records });
    }
    Ok(emptied)
}

/// Deletes the files of rejected records that a head does not name: those of erased texts, and those of commits that were
/// never decided.
pub async fn delete_unnamed(store: &Store, head: &Version) -> Result<()> {
    let listed = store.list(&paths::rejected_of(&head.resource)).await?;
    let named = |path: &str| head.rejected.iter().any(|file| file.path == path);
    let gone = listed.into_iter().map(|(path, _)| path);
    let gone: Vec<String> = gone.filter(|path| paths::is_rejected(path, &head.resource) && !named(path)).collect();
    if gone.is_empty() { Ok(()) } else { store.delete(&gone).await }
}

/// The text of a file with the person's records emptied, and their number; a line that is no record of ours stays.
fn edited(text: &Bytes, selection: RejectedSelection<'_>) -> (Vec<u8>, u64) {
    let (mut out, mut count) = (Vec::new(), 0);
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match edited_line(line, selection) {
            Ok(Some(line)) => {
                count += 1;
                out.extend_from_slice(line.as_bytes());
            }
            Ok(None) | Err(_) => out.extend_from_slice(line),
        }
        out.push(b'\n');
    }
    (out, count)
}

/// The line with its record emptied, if it is the person's.
fn edited_line(line: &[u8], selection: RejectedSelection<'_>) -> Result<Option<String>> {
    let wrong = |error| Failure::new(Kind::Damage, "read a rejected record").caused(error);
    let mut entry: Map<String, Value> = serde_json::from_slice(line).map_err(wrong)?;
    let text = |entry: &Map<String, Value>, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut record = RejectedRecord {
        table: text(&entry, "table"),
        id: entry.get("id").filter(|id| !id.is_null()).and_then(|id| serde_json::from_value::<Key>(id.clone()).ok()),
        reason: text(&entry, "reason").unwrap_or_default(),
        raw: text(&entry, "record").unwrap_or_default(),
    };
    let affected = |key: &Key| selection.records.contains(key);
    if !empty_rejected(&mut record, affected, selection.fields, selection.list) {
        return Ok(None);
    }
    entry.insert("reason".to_owned(), Value::from(record.reason));
    entry.insert("record".to_owned(), Value::from(record.raw));
    Ok(Some(Value::Object(entry).to_string()))
}
