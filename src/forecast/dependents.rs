//! The forecast of steps other than scans: comparing ids, reading again, and reading ids that other resources
//! reference.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::failure::Result;
use crate::fetch::{collapse, count, holds};
use crate::forecast::amount::Amount;
use crate::forecast::cost::{ScanForecast, cost, held_records};
use crate::forecast::id_count::{IdCount, documents, max_ids};
use crate::forecast::probe::pages;
use crate::forecast::request_counter::{RequestCounter, ScanEstimate, StoredResource};
use crate::manifest::ScanKind;
use crate::manifest::{DataFile, Version};
use crate::manifest::{Key, head as newest};
use crate::plan::{Step, StepKind};
use crate::run::RunRequest;
use crate::run::held_records::record_key_files;
use crate::run::holder::Holder;
use crate::run::reference_marks::unread;
use crate::run::scan::count_search::CountSearch;
use crate::run::scan::difference::COMPARED_EVERY;
use crate::run::scan::source_count::compared;
use crate::schema::{Inventory, Naming, Open, Owners, ReadStyle, Resource, RowCondition, Type};
use crate::store::Store;
use crate::write::{held, held_after, held_ids, held_open, named};

/// The records that the scans of a resource read and that other resources may have to follow.
#[derive(Clone, Copy, Debug)]
pub struct Brings {
    /// Records that are new or changed.
    pub fresh: Amount,
    /// Everything is read: the number of new records is unknown.
    pub everything: bool,
}

impl Default for Brings {
    fn default() -> Self {
        Self { fresh: Amount::exact(0), everything: false }
    }
}

impl RequestCounter<'_> {
    /// The requests of a run that count the records of the source and locate a difference (see `completeness`).
    pub fn counts(&self, held: StoredResource<'_>, step: &Step, kind: ScanKind) -> Amount {
        let (resource, count) = (held.resource, &held.state.count);
        if CountSearch::of(resource).is_none() || !self.limits.compare_counts {
            return Amount::exact(0);
        }
        let start = if kind == ScanKind::Full { held.start } else { held.state.start };
        let compares = compared(resource, count, start, self.limits).is_some();
        let resumes = step.resume.is_some();
        let asked = match kind {
            ScanKind::Full if resumes => compares && count.open,
            ScanKind::Full => compares,
            // Rows are read from the greatest id down, with their count.
            ScanKind::Changes if matches!(&resource.read.style, ReadStyle::Search(search) if search.newest) => false,
            // A resumed scan has its ids already.
            ScanKind::Changes => !(resumes && matches!(resource.read.style, ReadStyle::IdSets { .. })),
        };
        let asked = Amount::exact(u64::from(asked));
        let now = self.probe.id_source().client.clocks().theirs().unwrap_or(self.now);
        let weekly = count.compared_at.is_some_and(|at| now.duration_since(at) >= COMPARED_EVERY);
        if !compares || kind == ScanKind::Full || !(weekly || count.locating.is_some() || count.open) {
            return asked;
        }
        let located = match (&resource.read.style, held.head.and_then(|head| held_records(resource, head))) {
            (ReadStyle::IdSets { inventory: Inventory::Options(_), .. }, _) => 1,
            (_, Some(records)) => pages(records, 1, u64::from(self.limits.page_size)),
            (_, None) => self.limits.locate_requests,
        };
        asked.plus(Amount::about(located.min(self.limits.locate_requests)))
    }

    /// The comparison of ids: all ids of the source, and the documents of ids that only one side has.
    pub async fn comparison(&mut self, held: StoredResource<'_>) -> Result<ScanEstimate> {
        if let ReadStyle::Search(_) = &held.resource.read.style {
            let records = held.head.map_or(0, |head| head.rows());
            let requests = Amount::about(pages(records, 1, u64::from(self.limits.page_size)));
            return Ok(ScanEstimate { requests, records: Some(Amount::about(0)), fresh: Amount::about(0) });
        }
        if let Some(ids) = held.resource.held_ids() {
            // Every id is requested; those that are not returned are requested once more.
            let found = self.held_owners(held, ids).await?;
            let estimate = documents(held.state, found, max_ids(held.resource));
            return Ok(ScanEstimate { records: Some(Amount::about(0)), fresh: Amount::about(0), ..estimate });
        }
        let ReadStyle::IdSets { inventory, max_ids, .. } = &held.resource.read.style else {
            return Ok(ScanEstimate::NOTHING);
        };
        let mut listed = match inventory {
            Inventory::Options(_) | Inventory::Search(_) => self.inventory(held, held.resource).await?,
            Inventory::Windows(search) => {
                let query = self.probe.id_source().query(&held.resource.read.service, search, &[], None);
                let most = held.head.iter().flat_map(|head| head.tables.values());
                let most = most.map(|table| table.files.iter().map(|file| file.rows).sum::<u64>()).max().unwrap_or(0);
                let requests = match self.probe.extent(&query, &search.id, &[]).await? {
                    Some(extent) => extent.pages,
                    // A row for each line of a record, as the largest table has.
                    None => Amount::about(pages(most, 1, u64::from(self.limits.page_size))),
                };
                IdCount { requests, ids: None, number: Amount::about(most), at: jiff::Timestamp::MIN }
            }
        };
        if held.state.start.is_some() {
            // The start of the first load; older records are not missing.
            listed.requests = listed.requests.plus(Amount::exact(1));
        }
        let pending = held.state.pending.iter().filter(|pending| matches!(pending.id, Key::Int(_))).count();
        let pending = Amount::exact(u64::try_from(pending).expect("a length fits")).sets(*max_ids);
        let (Some(ids), Some(head), Some(store)) = (&listed.ids, held.head, self.store) else {
            // Where ids differ the count is asked again.
            let again = u64::from(held.resource.counted_table().is_some() && self.limits.compare_counts);
            let requests = listed.requests.plus(pending).plus(Amount::about(again));
            return Ok(ScanEstimate { requests, records: Some(Amount::about(0)), fresh: Amount::about(0) });
        };
        let (key, files) = record_key_files(held.resource, head).swap_remove(0);
        let here: HashSet<i64> = held_ids(store, &files, &key).await?.into_iter().collect();
        let both = u64::try_from(here.iter().filter(|id| holds(ids, **id)).count()).expect("a length fits");
        let known = u64::try_from(here.len()).expect("a length fits");
        let gone = Amount { value: known - both, exact: held.state.start.is_none() };
        let missing = match held.state.start {
            Some(_) => Amount::about(0),
            None => Amount::exact(count(ids).saturating_sub(both)),
        };
        let records = gone.plus(missing);
        let requests = listed.requests.plus(pending).plus(gone.sets(*max_ids)).plus(missing.sets(*max_ids));
        Ok(ScanEstimate { requests, records: Some(records), fresh: records })
    }

    /// The rolling re-read: as many requests as it may spend, unless fewer bring everything.
    pub async fn reread(&mut self, held: StoredResource<'_>, requests: u64) -> Result<ScanEstimate> {
        let (ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. }) = &held.resource.read.style
        else {
            return Ok(ScanEstimate::NOTHING);
        };
        let most = usize::try_from(requests).unwrap_or(usize::MAX).saturating_mul(*max_ids);
        let ids = match (held.head, self.store) {
            (Some(head), Some(store)) => {
                held_after(store, &record_key_files(held.resource, head), held.state.reread_to, most).await?
            }
            (Some(_) | None, _) => Vec::new(),
        };
        let exact = ids.len() == most;
        let length = |length: usize| u64::try_from(length).expect("a length fits");
        if let (Some(of), Some(store)) = (held.resource.held_ids(), self.store) {
            let holder = Holder::new(store, self.catalog, held.resource, of)?;
            let within = holder.within(&ids, *max_ids, requests).await?;
            let sets = holder.sets(&collapse(within.iter().copied()), *max_ids).await?;
            let (records, fresh) = (Amount::about(length(within.len())), Amount::about(0));
            return Ok(ScanEstimate { requests: Amount::about(sets), records: Some(records), fresh });
        }
        // The records that this run reads before count too, where fewer are held than the budget allows.
        let records = Amount { value: length(ids.len()), exact };
        Ok(ScanEstimate { requests: records.sets(*max_ids), records: Some(records), fresh: Amount::about(0) })
    }

    /// How many of these records are held.
    pub async fn known(&self, of: StoredResource<'_>, mut ids: Vec<i64>) -> Result<u64> {
        let (Some(store), Some((key, files))) = (self.store, record_files(of)) else { return Ok(0) };
        ids.sort_unstable();
        ids.dedup();
        let known = held(store, files, key, &[], &ids).await?.len();
        Ok(u64::try_from(known).expect("a length fits"))
    }

    /// The records that are held as open.
    pub async fn held_open(&self, of: StoredResource<'_>, open: &Open) -> Result<Vec<i64>> {
        let (Some(store), Some((key, files))) = (self.store, record_files(of)) else { return Ok(Vec::new()) };
        held_open(store, files, key, open).await
    }

    /// The ids held below this one.
    pub async fn held_below(&self, of: StoredResource<'_>, id: i64) -> Result<Vec<i64>> {
        let (Some(store), Some((key, files))) = (self.store, record_files(of)) else { return Ok(Vec::new()) };
        let below = |file: &&DataFile| file.first.as_ref().is_some_and(|first| *first < Key::Int(id));
        let files: Vec<DataFile> = files.iter().filter(below).cloned().collect();
        Ok(held_ids(store, &files, key).await?.into_iter().filter(|held| *held < id).collect())
    }
}

/// The key and the files of the table with one row per record.
fn record_files<'a>(of: StoredResource<'a>) -> Option<(&'a str, &'a [DataFile])> {
    let table = of.resource.record_table()?;
    let files = &of.head?.tables.get(&table.name)?.files;
    Some((&table.columns[table.key[0]].name, files))
}

/// The ids that the newest records of other resources reference, from which those of new records are estimated: a
/// payment, a note and a posting may reference one order, and some reference none.
#[derive(Default)]
struct NewestReferences {
    /// Ids that new records of single resources reference, if they reference as many as earlier ones did.
    each: u64,
    /// Ids that earlier records reference: the sum over the resources, and the ids of all of them.
    separate: usize,
    together: BTreeSet<i64>,
}

impl NewestReferences {
    /// Reads the newest file of each table with references; `fresh` records of the resource are new.
    async fn look(
        &mut self,
        store: &Store,
        source: &Resource,
        theirs: &Version,
        namings: &[Naming],
        fresh: u64,
    ) -> Result<()> {
        let (mut referencing, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for naming in namings {
            let table = &source.tables[naming.table];
            let files = theirs.tables.get(&table.name).map(|table| table.files.as_slice()).unwrap_or_default();
            let Some(file) = files.iter().filter(|file| file.rows > 0).max_by(|a, b| a.last.cmp(&b.last)) else {
                continue;
            };
            let name = |place: usize| table.columns[place].name.as_str();
            let tests = naming
                .tests
                .iter()
                .map(|(place, test)| RowCondition { column: name(*place).to_owned(), test: test.clone() });
            let tests: Vec<RowCondition> = tests.collect();
            let found = named(store, file, name(table.key[0]), name(naming.column), &tests).await?;
            referencing.extend(found.referencing);
            ids.extend(found.ids);
        }
        // Each record is assumed to reference one id while none is held.
        self.each += if referencing.is_empty() { fresh } else { scaled(fresh, ids.len(), referencing.len()) };
        self.separate += ids.len();
        self.together.extend(ids);
        Ok(())
    }

    fn expected(&self) -> u64 {
        if self.separate == 0 { self.each } else { scaled(self.each, self.together.len(), self.separate) }
    }
}

/// A number, times one length by another.
fn scaled(number: u64, by: usize, to: usize) -> u64 {
    let [by, to] = [by, to].map(|length| u128::try_from(length).expect("a length fits"));
    u64::try_from(u128::from(number) * by / to.max(1)).unwrap_or(u64::MAX)
}

/// The records that a run reads again because rows of other resources reference them: the pending references, and for
/// new or changed rows as many as the newest earlier records reference. None where there is certainly nothing to read.
pub async fn touched(
    store: Option<&Store>,
    request: &RunRequest,
    resource: &Resource,
    head: Option<&Version>,
    brought: &BTreeMap<String, Brings>,
) -> Result<Option<ScanForecast>> {
    let max_ids = match &resource.read.style {
        ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, owners: Owners::Held(_), .. } => max_ids,
        ReadStyle::PerOwner { .. } | ReadStyle::Search(_) | ReadStyle::List { .. } => return Ok(None),
    };
    let mut pending_references: BTreeSet<i64> = BTreeSet::new();
    let mut fresh = Amount::exact(0);
    let mut newest_references = NewestReferences::default();
    for source in request.catalog.resources() {
        let followers = request.catalog.followers(source);
        let namings: Vec<Naming> = followers
            .iter()
            .filter(|(follower, _)| follower.name == resource.name)
            .map(|(_, naming)| naming.clone())
            .collect();
        if namings.is_empty() {
            continue;
        }
        let theirs = match store {
            Some(store) => newest(store, &source.name).await?,
            None => None,
        };
        let own = head.map(|head| &head.state);
        let known = theirs.as_ref().map(|theirs| (source.name.as_str(), &theirs.state, theirs.nonce.as_str()));
        pending_references.extend(known.and_then(|known| unread(known, &resource.name, own)).into_iter().flatten());
        if let Some(brings) = brought.get(&source.name) {
            let is_countable = brings.fresh.value > 0 && source.read.key_type == Type::Int64;
            if let (Some(store), Some(theirs), true) = (store, &theirs, is_countable) {
                newest_references.look(store, source, theirs, &namings, brings.fresh.value).await?;
                // The newest rows need not meet the condition that some of the changed ones meet.
                fresh.exact &= resource.held_ids().is_none();
            } else {
                fresh = fresh.plus(brings.fresh);
            }
            fresh.exact &= brings.fresh.exact;
            if brings.everything {
                // The number of rows newer than our copies is unknown; a first load adds the references of its newest
                // rows.
                fresh = fresh.plus(Amount::about(1));
            }
        }
    }
    fresh.value += newest_references.expected();
    let number =
        Amount { value: u64::try_from(pending_references.len()).expect("a length fits"), exact: true }.plus(fresh);
    if number == Amount::exact(0) {
        return Ok(None);
    }
    // Several rows may reference one record.
    let records = Amount { exact: fresh == Amount::exact(0), ..number };
    let mut requests = records.sets(*max_ids);
    if let (Some(ids), Some(store)) = (resource.held_ids().filter(|ids| !ids.in_path.is_empty()), store) {
        let holder = Holder::new(store, &request.catalog, resource, ids)?;
        let sets = holder.sets(&collapse(pending_references), *max_ids).await?;
        requests = Amount::about(sets).plus(fresh.sets(*max_ids));
    }
    let estimate = ScanEstimate { requests, records: Some(records), fresh: records };
    let reason = "references in rows of other resources".to_owned();
    Ok(Some(ScanForecast { kind: StepKind::Touched, reason, cost: cost(resource, head, StepKind::Touched, estimate) }))
}
