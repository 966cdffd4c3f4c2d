//! Reading by ids that a table of another resource holds: `owners = { held = "…" }`.
//!
//! A whole read takes the ids from the files of that table, as its newest version lists them. A night takes the pending
//! references: ids that new, changed and removed rows name ([`crate::run::references`]); a night without any reads no file.
//! Such resources have their turn when all others have ended, so that they go by what this run has brought.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, chunks, collapse, expand};
use crate::manifest::{DataFile, ScanKind, Version, head, newest_outline, staged};
use crate::run::context::RunContext;
use crate::run::documents::Documents;
use crate::run::references::{mark, unread};
use crate::run::session::ResourceSession;
use crate::run::slices::SliceScan;
use crate::schema::{Catalog, HeldIds, ReadStyle, Resource};
use crate::store::Store;
use crate::write::{HeldColumns, HeldValues};

/// Attempts to read the files of a version: a run beside this one may replace them meanwhile.
const TRIES: u32 = 3;

/// The table that holds the ids, and what is known of its rows. Cheap to clone; clones share it.
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

    /// The newest version of the source whose first load is complete.
    async fn version(&self) -> Result<Option<Version>> {
        Ok(head(&self.store, &self.source).await?.filter(|head| head.state.completed_at.is_some()))
    }

    /// Its files of the table; those that a dead run committed and did not publish are where it left them.
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

    /// The requests that these ids take, in sets of so many with one path each.
    pub async fn sets(&self, ids: &IdRanges, max_ids: usize) -> Result<u64> {
        let (groups, _) = self.placed("", ids).await?;
        let sets: usize = groups.iter().map(|(_, ids)| chunks(ids, max_ids).len()).sum();
        Ok(u64::try_from(sets).expect("a length fits"))
    }

    /// The ids of a scan in sets of which each has one path.
    async fn regroup(&self, scan: &mut SliceScan, max_ids: usize) -> Result<()> {
        if !self.columns.values.is_empty() {
            let ids = collapse(scan.slices.iter().flat_map(|set| expand(set)));
            let (groups, lost) = self.placed("", &ids).await?;
            let sets = groups.into_iter().map(|(_, ids)| ids).chain([collapse(lost)]);
            scan.slices = sets.flat_map(|ids| chunks(&ids, max_ids)).collect();
            scan.slices.reverse();
        }
        Ok(())
    }
}

/// Why a resource that is read by held ids cannot be read yet, if it cannot.
pub async fn unready(context: &RunContext, resource: &Resource) -> Result<Option<String>> {
    let Some(held) = resource.held_ids() else { return Ok(None) };
    let holder = Holder::new(&context.store, &context.catalog, held)?;
    let is_read = holder.version().await?.is_some();
    Ok((!is_read).then(|| format!("its ids are those of `{}`, which is not loaded yet", holder.source)))
}

/// A whole read by held ids.
pub async fn all(session: &mut ResourceSession<'_>, max_ids: usize) -> Result<SliceScan> {
    let holder = holder(session)?;
    let All { values, mark } = holder.all().await?.ok_or_else(|| unloaded(session, &holder))?;
    let ids = collapse(values.into_keys());
    hear(session, &ids).await?;
    let mut scan = SliceScan::new(session, ScanKind::Full, session.source_now(), &ids, true, max_ids);
    holder.regroup(&mut scan, max_ids).await?;
    session.state.references_read.insert(holder.source, mark);
    Ok(scan)
}

/// What rows name that changed since.
pub async fn changed(session: &mut ResourceSession<'_>, max_ids: usize) -> Result<SliceScan> {
    let holder = holder(session)?;
    let theirs = newest_outline(&session.context.store, &holder.source).await?;
    let theirs = theirs.ok_or_else(|| unloaded(session, &holder))?;
    let source = (holder.source.as_str(), &theirs.state, theirs.nonce.as_str());
    let ids = unread(source, &session.name, Some(&session.state)).map(|ids| collapse(ids.iter().copied()));
    let ids = ids.unwrap_or_default();
    hear(session, &ids).await?;
    let mut scan = SliceScan::new(session, ScanKind::Changes, session.source_now(), &ids, true, max_ids);
    holder.regroup(&mut scan, max_ids).await?;
    let mark = mark(&theirs.state, &theirs.nonce);
    session.state.references_read.insert(holder.source, mark);
    Ok(scan)
}

/// Asks for a record where the run has not heard the source's clock: no search was asked that would tell when the scan begins.
async fn hear(session: &ResourceSession<'_>, ids: &IdRanges) -> Result<()> {
    let ReadStyle::PerOwner { get, .. } = &session.resource.read.style else { return Ok(()) };
    let (Some((id, _)), None) = (ids.first(), session.context.client.clocks().theirs()) else { return Ok(()) };
    let documents = Documents::new(session, format!("{}/{get}", session.resource.read.service), 1);
    let stop = session.context.stop.clone();
    stop.or(documents.bring(&vec![(*id, *id)])).await.map(|_| ())
}

/// All ids that the tables of another resource hold for this one, as ranges.
pub async fn ids(session: &ResourceSession<'_>) -> Result<IdRanges> {
    let holder = holder(session)?;
    let all = holder.all().await?.ok_or_else(|| unloaded(session, &holder))?;
    Ok(collapse(all.values.into_keys()))
}

fn holder(session: &ResourceSession<'_>) -> Result<Holder> {
    session.holder.clone().ok_or_else(|| Failure::new(Kind::Bug, format!("find the ids of {}", session.name)))
}

fn unloaded(session: &ResourceSession<'_>, holder: &Holder) -> Failure {
    Failure::new(Kind::Usage, format!("read {}", session.name))
        .because(format!("its ids are those of `{}`, which is not loaded yet", holder.source))
        .advise(format!("`pearlift run {} {}`", holder.source, session.name))
}
