//! File lists that versions share: a version lists only the files that changed since its checkpoint, an earlier version
//! that lists all of them.
//!
//! Takes a version in memory, which always has all its files, and gives the JSON to be put, and the way back. A version
//! is put whole where too much has changed, where a table is described otherwise, or where the changes do not give the
//! same lists again. A checkpoint never refers to another one: a head is read with two requests at most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::manifest::format::{Checkpoint, DataFile, Lists, RejectedFile, State, TableFiles, Version};

/// A version refers to its checkpoint while its changes take at most this part of the whole lists: then the lists
/// written in a row of versions take at most some times those of one.
const SHARE: usize = 2;

/// The checkpoint of a version, and the changes since then.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ChangedSince {
    /// The number of the checkpoint.
    pub version: u64,
    /// The nonce of the checkpoint.
    pub nonce: String,
    /// Changes by table; a table that is not named has the same files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, Changes<DataFile>>,
    /// Changes of the files of deleted rows.
    #[serde(default = "Changes::none", skip_serializing_if = "Changes::is_none")]
    deleted: Changes<DataFile>,
    /// Changes of the files of rejected records.
    #[serde(default = "Changes::none", skip_serializing_if = "Changes::is_none")]
    rejected: Changes<RejectedFile>,
}

/// Changes of a list of files.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Changes<File> {
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    added: Vec<File>,
    /// The places of the added files in the new list, from 0, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<usize>,
    /// The paths of files that are in the list no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<String>,
}

/// The JSON of a version.
/// More than twelve fields: the keys of the JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Stored {
    format: u32,
    pearlift: String,
    account: String,
    resource: String,
    version: u64,
    nonce: String,
    parent: Option<String>,
    run: String,
    written_at: Timestamp,
    schema_hash: String,
    /// Either this or the lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_since: Option<ChangedSince>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tables: Option<BTreeMap<String, TableFiles>>,
    removes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejected: Option<Vec<RejectedFile>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<Vec<DataFile>>,
    state: State,
}

/// A version without its file lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    pub version: u64,
    pub nonce: String,
    pub parent: Option<String>,
    pub run: String,
    pub written_at: Timestamp,
    pub removes: Vec<String>,
    pub state: State,
    /// The number of the version that lists its files: its own, or an earlier one's.
    pub checkpoint: u64,
}

/// An entry of a file list.
trait Listed: Clone + PartialEq {
    fn path(&self) -> &str;
}

impl Listed for DataFile {
    fn path(&self) -> &str {
        &self.path
    }
}

impl Listed for RejectedFile {
    fn path(&self) -> &str {
        &self.path
    }
}

impl<File> Changes<File> {
    fn none() -> Self {
        Self { added: Vec::new(), places: Vec::new(), dropped: Vec::new() }
    }

    fn is_none(&self) -> bool {
        self.added.is_empty() && self.places.is_empty() && self.dropped.is_empty()
    }
}

impl<File: Listed> Changes<File> {
    /// The changes from one list to another, if they give it again.
    fn between(old: &[File], new: &[File]) -> Option<Self> {
        let before: BTreeMap<&str, &File> = old.iter().map(|file| (file.path(), file)).collect();
        let after: BTreeMap<&str, &File> = new.iter().map(|file| (file.path(), file)).collect();
        let differs = |file: &File, lists: &BTreeMap<&str, &File>| lists.get(file.path()) != Some(&file);
        let added = new.iter().enumerate().filter(|(_, file)| differs(file, &before));
        let (places, added) = added.map(|(place, file)| (place, file.clone())).unzip();
        let dropped = old.iter().filter(|file| differs(file, &after)).map(|file| file.path().to_owned()).collect();
        let changes = Self { added, places, dropped };
        (changes.applied(old.to_vec()).as_deref() == Ok(new)).then_some(changes)
    }

    /// The list after the changes. Refuses changes of another list.
    fn applied(&self, old: Vec<File>) -> Result<Vec<File>, String> {
        let dropped: BTreeSet<&str> = self.dropped.iter().map(String::as_str).collect();
        let before = old.len();
        let list: Vec<File> = old.into_iter().filter(|file| !dropped.contains(file.path())).collect();
        if before - list.len() != dropped.len() || self.places.len() != self.added.len() {
            return Err("its changes are of other lists than its checkpoint has".to_owned());
        }
        if self.added.is_empty() {
            return Ok(list);
        }
        let mut kept = list.into_iter();
        let mut added = self.places.iter().zip(&self.added).peekable();
        let mut next = Vec::with_capacity(kept.len() + self.added.len());
        loop {
            match added.peek() {
                Some((place, _)) if **place == next.len() => next.extend(added.next().map(|(_, file)| file.clone())),
                Some((place, _)) if **place < next.len() => return Err("its places do not ascend".to_owned()),
                wanted => match (kept.next(), wanted) {
                    (Some(file), _) => next.push(file),
                    (None, None) => return Ok(next),
                    (None, Some(_)) => return Err("its places are beyond its files".to_owned()),
                },
            }
        }
    }
}

impl ChangedSince {
    /// The changes from a checkpoint to other lists, if they can be expressed.
    fn between(checkpoint: &Checkpoint, new: &Lists) -> Option<Self> {
        let old = &checkpoint.lists;
        let mut tables = BTreeMap::new();
        if old.tables.len() != new.tables.len() {
            return None;
        }
        for (name, table) in &new.tables {
            let before = old.tables.get(name)?;
            let described = TableFiles { files: table.files.clone(), ..before.clone() };
            if described != *table {
                return None;
            }
            let changes = Changes::between(&before.files, &table.files)?;
            if !changes.is_none() {
                tables.insert(name.clone(), changes);
            }
        }
        Some(Self {
            version: checkpoint.version,
            nonce: checkpoint.nonce.clone(),
            tables,
            deleted: Changes::between(&old.deleted, &new.deleted)?,
            rejected: Changes::between(&old.rejected, &new.rejected)?,
        })
    }

    /// The lists after the changes.
    fn applied(&self, old: &Lists) -> Result<Lists, String> {
        let mut tables = old.tables.clone();
        for (name, changes) in &self.tables {
            let table = tables.get_mut(name).ok_or_else(|| format!("its checkpoint has no table `{name}`"))?;
            table.files = changes.applied(std::mem::take(&mut table.files))?;
        }
        Ok(Lists {
            tables,
            deleted: self.deleted.applied(old.deleted.clone())?,
            rejected: self.rejected.applied(old.rejected.clone())?,
        })
    }
}

impl Version {
    /// The version as it is to be put: it refers to the checkpoint that it came with while little has changed since,
    /// and is a checkpoint of its own where not.
    pub fn settled(mut self) -> Self {
        let lists = self.lists();
        let changes = self.checkpoint.as_ref().and_then(|checkpoint| ChangedSince::between(checkpoint, &lists));
        if changes.is_none_or(|changes| size(&changes) > size(&lists) / SHARE) {
            self.checkpoint = Some(Arc::new(Checkpoint { version: self.version, nonce: self.nonce.clone(), lists }));
        }
        self
    }

    fn lists(&self) -> Lists {
        Lists { tables: self.tables.clone(), deleted: self.deleted.clone(), rejected: self.rejected.clone() }
    }
}

/// The bytes of a part of a manifest.
fn size(part: &impl Serialize) -> usize {
    serde_json::to_vec(part).map_or(usize::MAX, |text| text.len())
}

impl Stored {
    /// The JSON of a version: with all its files where it has no other checkpoint than itself.
    pub fn new(version: &Version) -> Self {
        let lists = version.lists();
        let checkpoint = version.checkpoint.as_ref().filter(|checkpoint| checkpoint.nonce != version.nonce);
        let changed_since = checkpoint.and_then(|checkpoint| ChangedSince::between(checkpoint, &lists));
        let whole = changed_since.is_none();
        let Lists { tables, deleted, rejected } = lists;
        Self {
            format: version.format,
            pearlift: version.pearlift.clone(),
            account: version.account.clone(),
            resource: version.resource.clone(),
            version: version.version,
            nonce: version.nonce.clone(),
            parent: version.parent.clone(),
            run: version.run.clone(),
            written_at: version.written_at,
            schema_hash: version.schema_hash.clone(),
            changed_since,
            tables: whole.then_some(tables),
            removes: version.removes.clone(),
            rejected: whole.then_some(rejected),
            deleted: whole.then_some(deleted),
            state: version.state.clone(),
        }
    }

    /// The version with all its files; `checkpoint` is the version that it refers to, if it refers to one. Refuses a
    /// version that has neither lists nor a checkpoint, or both, and one with changes to another checkpoint.
    pub fn whole(self, checkpoint: Option<&Version>) -> Result<Version, String> {
        let alone = self.tables.is_none() && self.rejected.is_none() && self.deleted.is_none();
        let lists = match (&self.changed_since, self.tables, self.rejected) {
            (None, Some(tables), Some(rejected)) => {
                Lists { tables, rejected, deleted: self.deleted.unwrap_or_default() }
            }
            (Some(since), None, None) if alone => {
                let before = checkpoint.ok_or_else(|| format!("it refers to version {}", since.version))?;
                let of_this = before.version == since.version && before.nonce == since.nonce;
                if !of_this || before.version >= self.version || !before.is_checkpoint() {
                    return Err(format!("version {} is not the checkpoint that it refers to", since.version));
                }
                since.applied(&before.lists())?
            }
            (_, _, _) => return Err("it has neither its files nor a checkpoint, or both".to_owned()),
        };
        let own = || Checkpoint { version: self.version, nonce: self.nonce.clone(), lists: lists.clone() };
        let checkpoint = match (&self.changed_since, checkpoint) {
            (Some(_), Some(before)) => before.checkpoint.clone(),
            (_, _) => Some(Arc::new(own())),
        };
        Ok(Version {
            format: self.format,
            pearlift: self.pearlift,
            account: self.account,
            resource: self.resource,
            version: self.version,
            nonce: self.nonce,
            parent: self.parent,
            run: self.run,
            written_at: self.written_at,
            schema_hash: self.schema_hash,
            tables: lists.tables,
            removes: self.removes,
            rejected: lists.rejected,
            deleted: lists.deleted,
            state: self.state,
            checkpoint,
        })
    }

    /// The version without its files.
    pub fn outline(self) -> Outline {
        Outline {
            checkpoint: self.changed_since.map_or(self.version, |since| since.version),
            version: self.version,
            nonce: self.nonce,
            parent: self.parent,
            run: self.run,
            written_at: self.written_at,
            removes: self.removes,
            state: self.state,
        }
    }

    /// The version as if it had no files, to be checked by itself.
    pub fn without_files(&self) -> Version {
        let empty = Self {
            changed_since: None,
            tables: Some(BTreeMap::new()),
            rejected: Some(Vec::new()),
            deleted: None,
            ..self.clone()
        };
        empty.whole(None).expect("it has lists, and no checkpoint")
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
