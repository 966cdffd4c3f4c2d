//! The table of another resource with the ids by which a resource is read: `owners = { held = "…" }`.
//!
//! Gives the ids from the files of that table, as its newest version lists them, and the values that are in their
//! paths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, chunks, collapse, expand};
use crate::manifest::{DataFile, Version, head, newest_outline, staged};
use crate::run::reference_marks::mark;
use crate::schema::{Catalog, HeldIds};
use crate::store::Store;
use crate::write::{HeldColumns, HeldValues};

/// Attempts to read the files of a version: a run beside this one may replace them meanwhile.
const TRIES: u32 = 3;

/// The table that holds the ids, with its rows once read. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Holder {
    store: Store,
    /// The resource of the table.
    pub source: String,
    table: String,
    columns: HeldColumns,
    /// Values in the path by id, of ids that were looked for; none where no row holds the id.
    known: Arc<Mutex<BTreeMap<i64, Option<Vec<i64>>>>>,
}

/// All ids that are held.
#[derive(Debug)]
pub struct All {
    pub values: HeldValues,
    /// The mark of the references that they include.
    pub mark: String,
}

impl Holder {
    /// The holder of these ids.
    pub fn new(store: &Store, catalog: &Catalog, held: &HeldIds) -> Result<Self> {
        let source = catalog.holder(&held.table).ok_or_else(|| {
            Failure::new(Kind::Bug, format!("find the table {}", held.table)).because("a checked schema refers to it")
        })?;
        let columns =
            HeldColumns { id: held.column.clone(), conditions: held.conditions.clone(), values: held.in_path.clone() };
        Ok(Self {
            store: store.clone(),
            source: source.name.clone(),
            table: held.table.clone(),
            columns,
            known: Arc::default(),
        })
    }

    /// The newest version of the source, once its first load is complete.
    pub async fn version(&self) -> Result<Option<Version>> {
        Ok(head(&self.store, &self.source).await?.filter(|head| head.state.completed_at.is_some()))
    }

    /// Its files of the table; those that a crashed run committed and did not publish are still in staging.
    async fn files(&self, version: &Version) -> Result<Vec<DataFile>> {
        let mut files = version.tables.get(&self.table).map(|table| table.files.clone()).unwrap_or_default();
        let waiting = staged(&self.store).await?;
        for file in files.iter_mut().filter(|file| waiting.contains(&file.staged)) {
            file.path.clone_from(&file.staged);
        }
        Ok(files)
    }

    /// All ids that are held; none where the source has not been read.
    pub async fn all(&self) -> Result<Option<All>> {
        let mut tries = 0;
        loop {
            let Some(version) = self.version().await? else { return Ok(None) };
            tries += 1;
            match self.columns.all(&self.store, &self.files(&version).await?).await {
                Ok(values) => {
                    let mut known = self.known.lock().expect("no holder panics");
                    known.extend(values.iter().map(|(id, values)| (*id, Some(values.clone()))));
                    drop(known);
                    return Ok(Some(All { values, mark: mark(&version.state, &version.nonce) }));
                }
                Err(failure) if tries >= TRIES || !self.is_replaced(&version).await? => return Err(failure),
                Err(_) => {}
            }
        }
    }

    async fn is_replaced(&self, version: &Version) -> Result<bool> {
        let newest = newest_outline(&self.store, &self.source).await?;
        Ok(newest.is_some_and(|newest| newest.nonce != version.nonce))
    }

    /// Looks for ids that are not known yet.
    async fn look_for(&self, ids: impl Iterator<Item = i64>) -> Result<()> {
        let unknown: BTreeSet<i64> = {
            let known = self.known.lock().expect("no holder panics");
            ids.filter(|id| !known.contains_key(id)).collect()
        };
        let mut tries = 0;
        while !unknown.is_empty() {
            let Some(version) = self.version().await? else { break };
            tries += 1;
            match self.columns.among(&self.store, &self.files(&version).await?, &unknown).await {
                Ok(mut found) => {
                    let mut known = self.known.lock().expect("no holder panics");
                    known.extend(unknown.iter().map(|id| (*id, found.remove(id))));
                    break;
                }
                Err(failure) if tries >= TRIES || !self.is_replaced(&version).await? => return Err(failure),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Ids in groups that have one path, each with the path; and those that no row holds, which have none.
    pub async fn placed(&self, path: &str, ids: &IdRanges) -> Result<(Vec<(String, IdRanges)>, Vec<i64>)> {
        if self.columns.values.is_empty() {
            return Ok((vec![(path.to_owned(), ids.clone())], Vec::new()));
        }
        self.look_for(expand(ids)).await?;
        let (mut groups, mut lost) = (BTreeMap::<Vec<i64>, Vec<i64>>::new(), Vec::new());
        let known = self.known.lock().expect("no holder panics");
        for id in expand(ids) {
            match known.get(&id).cloned().flatten() {
                Some(values) => groups.entry(values).or_default().push(id),
                None => lost.push(id),
            }
        }
        let path_of = |values: Vec<i64>| {
            let named = self.columns.values.iter().zip(values);
            named.fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), &value.to_string()))
        };
        Ok((groups.into_iter().map(|(values, ids)| (path_of(values), collapse(ids))).collect(), lost))
    }

    /// The requests that these ids take, in sets of this many with one path each.
    pub async fn sets(&self, ids: &IdRanges, max_ids: usize) -> Result<u64> {
        let (groups, _) = self.placed("", ids).await?;
        let sets: usize = groups.iter().map(|(_, ids)| chunks(ids, max_ids).len()).sum();
        Ok(u64::try_from(sets).expect("a length fits"))
    }

    /// Sets of ids in sets of which each has one path.
    pub async fn regrouped(&self, sets: Vec<IdRanges>, max_ids: usize) -> Result<Vec<IdRanges>> {
        if self.columns.values.is_empty() {
            return Ok(sets);
        }
        let ids = collapse(sets.iter().flat_map(|set| expand(set)));
        let (groups, lost) = self.placed("", &ids).await?;
        let groups = groups.into_iter().map(|(_, ids)| ids).chain([collapse(lost)]);
        let mut sets: Vec<IdRanges> = groups.flat_map(|ids| chunks(&ids, max_ids)).collect();
        sets.reverse();
        Ok(sets)
    }
}
