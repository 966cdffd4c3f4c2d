//! The table of another resource with the ids by which a resource is read: `owners = { held = "…" }`.
//!
//! Gives the ids from the files of that table, as its newest version lists them, and the values that are in their paths. Where that
//! table has no row of an id any more, the values are those of the record's own row: its owner left our table, not the source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, chunks, collapse, expand};
use crate::manifest::{DataFile, Version, head, newest_outline, staged};
use crate::run::reference_marks::mark;
use crate::schema::{Catalog, HeldIds, Resource, RowCondition};
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
    theirs: PlacedRows,
    /// The rows of the resource that is read by the ids.
    own: PlacedRows,
    /// Values in the path by id, of ids that were looked for; none where no row holds the id.
    known: Arc<Mutex<BTreeMap<i64, Option<Vec<i64>>>>>,
}

/// The rows of a table that hold ids, each with the values in its path.
#[derive(Clone, Debug)]
struct PlacedRows {
    resource: String,
    table: String,
    columns: HeldColumns,
}

/// Ids by their paths.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The ids of each path, by its values: one group without values where all have one path.
    pub groups: BTreeMap<Vec<i64>, IdRanges>,
    /// Ids that no row holds: nothing states their path.
    pub lost: Vec<i64>,
}

/// All ids that are held.
#[derive(Debug)]
pub struct All {
    pub values: HeldValues,
    /// The mark of the references that they include.
    pub mark: String,
}

impl Holder {
    /// The holder of the ids of a resource.
    pub fn new(store: &Store, catalog: &Catalog, resource: &Resource, held: &HeldIds) -> Result<Self> {
        let source = catalog.holder(&held.table).ok_or_else(|| {
            Failure::new(Kind::Bug, format!("find the table {}", held.table)).because("a checked schema refers to it")
        })?;
        let own = resource.main_table();
        let rows = |resource: &Resource, table: &str, id: &str, conditions: &[RowCondition]| PlacedRows {
            resource: resource.name.clone(),
            table: table.to_owned(),
            columns: HeldColumns { id: id.to_owned(), conditions: conditions.to_vec(), values: held.in_path.clone() },
        };
        Ok(Self {
            store: store.clone(),
            source: source.name.clone(),
            theirs: rows(source, &held.table, &held.column, &held.conditions),
            own: rows(resource, &own.name, &own.columns[own.key[0]].name, &[]),
            known: Arc::default(),
        })
    }

    /// The newest version of the source, once its first load is complete.
    pub async fn version(&self) -> Result<Option<Version>> {
        Ok(head(&self.store, &self.source).await?.filter(|head| head.state.completed_at.is_some()))
    }

    /// The files of a table in a version; those that a crashed run committed and did not publish are still in staging.
    async fn files(&self, version: &Version, table: &str) -> Result<Vec<DataFile>> {
        let mut files = version.tables.get(table).map(|table| table.files.clone()).unwrap_or_default();
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
            match self.theirs.columns.all(&self.store, &self.files(&version, &self.theirs.table).await?).await {
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
        let newest = newest_outline(&self.store, &version.resource).await?;
        Ok(newest.is_some_and(|newest| newest.nonce != version.nonce))
    }

    /// Looks for ids that are not known yet, in the table that holds them and then among our own rows.
    async fn look_for(&self, ids: impl Iterator<Item = i64>) -> Result<()> {
        let mut unknown: BTreeSet<i64> = {
            let known = self.known.lock().expect("no holder panics");
            ids.filter(|id| !known.contains_key(id)).collect()
        };
        for rows in [&self.theirs, &self.own] {
            let found = match self.among(rows, &unknown).await {
                // The rows of damaged files of ours are read again elsewhere: nothing states the path meanwhile.
                Err(failure) if failure.kind() == Kind::Damage && rows.resource == self.own.resource => {
                    HeldValues::new()
                }
                found => found?,
            };
            unknown.retain(|id| !found.contains_key(id));
            let found = found.into_iter().map(|(id, values)| (id, Some(values)));
            self.known.lock().expect("no holder panics").extend(found);
        }
        let mut known = self.known.lock().expect("no holder panics");
        known.extend(unknown.into_iter().map(|id| (id, None)));
        Ok(())
    }

    /// Of these ids those that the newest version holds in these rows.
    async fn among(&self, rows: &PlacedRows, ids: &BTreeSet<i64>) -> Result<HeldValues> {
        let mut tries = 0;
        loop {
            let version = head(&self.store, &rows.resource).await?.filter(|head| head.state.completed_at.is_some());
            let Some(version) = version.filter(|_| !ids.is_empty()) else { return Ok(HeldValues::new()) };
            tries += 1;
            match rows.columns.among(&self.store, &self.files(&version, &rows.table).await?, ids).await {
                Ok(found) => return Ok(found),
                Err(failure) if tries >= TRIES || !self.is_replaced(&version).await? => return Err(failure),
                Err(_) => {}
            }
        }
    }

    /// Ids by the values of their paths.
    pub async fn places(&self, ids: &IdRanges) -> Result<Places> {
        if self.theirs.columns.values.is_empty() {
            return Ok(Places { groups: BTreeMap::from([(Vec::new(), ids.clone())]), lost: Vec::new() });
        }
        self.look_for(expand(ids)).await?;
        let mut groups = BTreeMap::<Vec<i64>, Vec<i64>>::new();
        let mut places = Places::default();
        for id in expand(ids) {
            match self.place(id) {
                Some(values) => groups.entry(values).or_default().push(id),
                None => places.lost.push(id),
            }
        }
        places.groups = groups.into_iter().map(|(values, ids)| (values, collapse(ids))).collect();
        Ok(places)
    }

    /// The values in the path of an id that was looked for.
    pub fn place(&self, id: i64) -> Option<Vec<i64>> {
        if self.theirs.columns.values.is_empty() {
            return Some(Vec::new());
        }
        self.known.lock().expect("no holder panics").get(&id).cloned().flatten()
    }

    /// A path with its values.
    pub fn path(&self, path: &str, place: &[i64]) -> String {
        let named = self.theirs.columns.values.iter().zip(place);
        named.fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), &value.to_string()))
    }

    /// The requests that these ids take, in sets of this many with one path each.
    pub async fn sets(&self, ids: &IdRanges, max_ids: usize) -> Result<u64> {
        let sets: usize = self.places(ids).await?.groups.values().map(|ids| chunks(ids, max_ids).len()).sum();
        Ok(u64::try_from(sets).expect("a length fits"))
    }

    /// Sets of ids in sets of which each has one path.
    pub async fn regrouped(&self, sets: Vec<IdRanges>, max_ids: usize) -> Result<Vec<IdRanges>> {
        if self.theirs.columns.values.is_empty() {
            return Ok(sets);
        }
        let ids = collapse(sets.iter().flat_map(|set| expand(set)));
        let Places { groups, lost } = self.places(&ids).await?;
        let groups = groups.into_values().chain([collapse(lost)]);
        let mut sets: Vec<IdRanges> = groups.flat_map(|ids| chunks(&ids, max_ids)).collect();
        sets.reverse();
        Ok(sets)
    }

    /// The first of these ids, as many as so many sets take.
    pub async fn within<'i>(&self, ids: &'i [i64], max_ids: usize, requests: u64) -> Result<&'i [i64]> {
        let (mut fits, mut too_many) = (0, ids.len() + 1);
        while fits + 1 < too_many {
            let middle = fits.midpoint(too_many);
            match self.sets(&collapse(ids[..middle].iter().copied()), max_ids).await? <= requests {
                true => fits = middle,
                false => too_many = middle,
            }
        }
        Ok(&ids[..fits])
    }
}
