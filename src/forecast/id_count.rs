//! The ids that a scan by id sets would ask for, as far as a plan can learn them, and the requests that they take.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Filter, IdRanges, collapse, count, with, without};
use crate::forecast::amount::Amount;
use crate::forecast::cost::held_records;
use crate::forecast::probe::{Extent, pages};
use crate::forecast::request_counter::{RequestCounter, ScanEstimate, StoredResource};
use crate::manifest::State;
use crate::run::held_records::held_record_ids;
use crate::run::holder::Holder;
use crate::run::scan::first_day::{above, is_from, least_of, since};
use crate::run::scan::id_source::is_counted;
use crate::run::scan::requested_ids::RequestedIds;
use crate::schema::{Changes, HeldIds, IdSearch, Inventory, Open, Owners, ReadStyle, Resource};

/// The ids that a scan would request, and the requests that find them.
pub struct IdCount {
    pub requests: Amount,
    /// None where only their number is known.
    pub ids: Option<IdRanges>,
    pub number: Amount,
    /// The source's clock when it returned them.
    pub at: Timestamp,
}

impl RequestCounter<'_> {
    /// The ids of a full read, from a day on or all.
    pub async fn all_ids(&mut self, held: StoredResource<'_>, start: Option<Timestamp>) -> Result<IdCount> {
        let ReadStyle::IdSets { changes, .. } = &held.resource.read.style else {
            return Err(no_changes(held.resource));
        };
        match start.zip(changes.as_ref()) {
            Some((start, changes)) => self.id_count_from(held, changes, start).await,
            None => self.inventory(held, held.resource).await,
        }
    }

    /// All ids of a resource that is read by id sets.
    pub async fn inventory(&mut self, held: StoredResource<'_>, resource: &Resource) -> Result<IdCount> {
        let ReadStyle::IdSets { inventory, changes, .. } = &resource.read.style else {
            return Err(no_changes(resource));
        };
        let service = &resource.read.service;
        let held = Amount::about(held.head.and_then(|head| held_records(held.resource, head)).unwrap_or(0));
        let unknown =
            |requests| IdCount { requests: Amount::about(requests), ids: None, number: held, at: Timestamp::MIN };
        match inventory {
            Inventory::Options(path) => match self.probe.options(&format!("{service}/{path}")).await {
                Ok(Some(found)) => Ok(listed(1, found.ids, true, found.started_at)),
                Ok(None) => Ok(unknown(1)),
                Err(failure) if failure.kind() == Kind::Unreachable => {
                    // A run tries twice, then requests the least and greatest id and the windows between them.
                    let Some(changes) = changes else { return Err(failure) };
                    let query = self.probe.id_source().query(service, &changes.search, &[], None);
                    let Some(extent) = self.probe.extent(&query, &changes.search.id, &[]).await? else {
                        return Err(failure);
                    };
                    let number = Amount::about(extent.rows.value);
                    Ok(IdCount { requests: Amount::about(5), ids: None, number, at: extent.answered })
                }
                Err(failure) => Err(failure),
            },
            Inventory::Search(search) => {
                let query = self.probe.id_source().query(service, search, &[], None);
                let Some(extent) = self.probe.extent(&query, &search.id, &[]).await? else {
                    return Ok(unknown(pages(held.value, 1, u64::from(self.limits.page_size))));
                };
                let ids = extent.whole.then(|| collapse(extent.page.iter().map(|row| row.id)));
                let number = records(&extent, search);
                Ok(IdCount { requests: extent.pages, ids, number, at: extent.answered })
            }
            Inventory::Windows(search) => {
                let Some((at, least)) = self.probe.edge(service, search, "ASC").await? else { return Ok(unknown(2)) };
                let Some((_, greatest)) = self.probe.edge(service, search, "DESC").await? else {
                    return Ok(unknown(2));
                };
                let span = least.zip(greatest).map(|span| vec![span]).unwrap_or_default();
                Ok(listed(2, span, false, at))
            }
        }
    }

    /// The ids that a full read from a date on requests: those created since, open records, and held ones.
    pub async fn id_count_from(
        &mut self,
        held: StoredResource<'_>,
        changes: &Changes,
        start: Timestamp,
    ) -> Result<IdCount> {
        let ReadStyle::IdSets { inventory, .. } = &held.resource.read.style else {
            return Err(no_changes(held.resource));
        };
        let service = &held.resource.read.service;
        let created = [changes.created().to_owned()];
        let query = self.probe.id_source().query(service, &changes.search, &created, Some(since(changes, start)));
        let known = Amount::about(held.head.and_then(|head| held_records(held.resource, head)).unwrap_or(0));
        let unknown = |at| IdCount { requests: Amount::about(2), ids: None, number: known, at };
        let Some(extent) = self.probe.extent(&query, &changes.search.id, &created).await? else {
            return Ok(unknown(Timestamp::MIN));
        };
        let least = least_of(&extent.page, start);
        let mut found = match inventory {
            Inventory::Search(_) => {
                let rows = extent.page.iter().filter(|row| is_from(row, start));
                let ids = extent.whole.then(|| collapse(rows.map(|row| row.id)));
                let number = records(&extent, &changes.search);
                IdCount { requests: extent.pages, ids, number, at: extent.answered }
            }
            Inventory::Options(path) => match self.probe.options(&format!("{service}/{path}")).await {
                Ok(Some(all)) => listed(2, above(&all.ids, least), true, all.started_at),
                Ok(None) => unknown(extent.answered),
                // A run requests windows of ids: they hold as many records as the search counts.
                Err(failure) if failure.kind() == Kind::Unreachable => {
                    IdCount { number: Amount::about(extent.rows.value), ..unknown(extent.answered) }
                }
                Err(failure) => return Err(failure),
            },
            Inventory::Windows(search) => match self.probe.edge(service, search, "DESC").await? {
                Some((_, Some(greatest))) => listed(2, above(&[(i64::MIN, greatest)], least), false, extent.answered),
                Some((_, None)) => listed(2, Vec::new(), true, extent.answered),
                None => unknown(extent.answered),
            },
        };
        // Older ones that are held are requested too.
        if let (Some(ids), Some(least)) = (&mut found.ids, least) {
            let older = self.held_below(held, least).await?;
            if !older.is_empty() {
                *ids = with(ids, older);
                found.number.value = count(ids);
            }
        }
        if let Some(open @ Open::Listed { .. }) = changes.open.as_deref() {
            let open = u64::try_from(self.held_open(held, open).await?.len()).expect("a length fits");
            found.requests = found.requests.plus(Amount::about(pages(open, 1, u64::from(self.limits.page_size))));
            found.number.exact = false;
        }
        Ok(found)
    }

    /// The ids of the owners of a per-owner resource.
    pub async fn owners(&mut self, held: StoredResource<'_>, owners: &Owners) -> Result<IdCount> {
        let (owner, filter) = match owners {
            Owners::Listed { resource, filter } => (self.catalog.get(resource)?, filter),
            Owners::Held(ids) => {
                return self.held_owners(held, ids).await;
            }
        };
        let mut all = self.inventory(held, owner).await?;
        if is_counted(owner).is_some() && self.limits.compare_counts {
            all.requests = all.requests.plus(Amount::exact(1));
        }
        let Some((column, wanted)) = filter else { return Ok(all) };
        let ReadStyle::IdSets { changes: Some(Changes { search, .. }), .. } = &owner.read.style else {
            return Err(no_changes(owner));
        };
        let filter = Filter::Bool { column: column.clone(), value: !wanted };
        let query = self.probe.id_source().query(&owner.read.service, search, &[], Some(filter));
        match self.probe.extent(&query, &search.id, &[]).await? {
            None => {
                all.requests = all.requests.plus(Amount::about(1));
                all.number.exact = false;
            }
            Some(Extent { whole: true, page, pages, .. }) if all.ids.is_some() => {
                let others: BTreeSet<i64> = page.into_iter().map(|row| row.id).collect();
                let ids = all.ids.iter().flatten().copied().collect::<Vec<_>>();
                let left = without(&ids, &others);
                let exact = all.number.exact;
                all.number = Amount { value: count(&left), exact };
                all.ids = Some(left);
                all.requests = all.requests.plus(pages);
            }
            Some(extent) => {
                let exact = all.number.exact && extent.rows.exact && search.id == search.row;
                all.number = Amount { value: all.number.value.saturating_sub(extent.rows.value), exact };
                all.ids = None;
                all.requests = all.requests.plus(extent.pages);
            }
        }
        Ok(all)
    }
}

impl RequestCounter<'_> {
    /// The ids that the table of another resource holds now, without those that the run itself adds to it first, and the ids of
    /// our own records.
    pub async fn held_owners(&self, held: StoredResource<'_>, ids: &HeldIds) -> Result<IdCount> {
        let max_ids = max_ids(held.resource);
        let known = held.head.and_then(|head| held_records(held.resource, head)).unwrap_or(0);
        let unknown =
            IdCount { requests: Amount::about(0), ids: None, number: Amount::about(known.max(1)), at: Timestamp::MIN };
        let Some(store) = self.store else { return Ok(unknown) };
        let holder = Holder::new(store, self.catalog, held.resource, ids)?;
        let Some(all) = holder.all().await? else { return Ok(unknown) };
        let own = match held.head.filter(|_| held.resource.follows_held_ids()) {
            Some(head) => held_record_ids(store, held.resource, head).await?,
            None => BTreeSet::new(),
        };
        let absent = without(&collapse(all.values.keys().copied()), &own);
        let ids = collapse(all.values.into_keys().chain(own));
        let sets = holder.sets(&ids, max_ids).await?;
        // As many as those of one path, and more where they have several.
        let more = sets.saturating_sub(Amount::about(count(&ids)).sets(max_ids).value);
        // Ids without a record so far are most likely requested once more, beside a witness.
        let again = match held.head.filter(|_| held.resource.follows_held_ids()) {
            Some(_) => holder.sets(&absent, max_ids.saturating_sub(1).max(1)).await?,
            None => 0,
        };
        Ok(IdCount { requests: Amount::about(more + again), ..listed(0, ids, false, Timestamp::MIN) })
    }
}

/// Ids of a request at most.
pub fn max_ids(resource: &Resource) -> usize {
    match &resource.read.style {
        ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. } => *max_ids,
        ReadStyle::Search(_) | ReadStyle::List { .. } => 1,
    }
}

/// Ids that are known, or all numbers between two of them.
pub fn listed(requests: u64, ids: IdRanges, exact: bool, at: Timestamp) -> IdCount {
    let number = Amount { value: count(&ids), exact };
    IdCount { requests: Amount::exact(requests), ids: Some(ids), number, at }
}

/// The documents of these ids and of pending ones, less the skipped ids: a request for each set.
pub fn documents(state: &State, found: IdCount, max_ids: usize) -> ScanEstimate {
    let requested = RequestedIds::of(state, found.at);
    let (asked, exact) = match &found.ids {
        Some(ids) => (count(&requested.among(ids)), true),
        None => {
            let length = |length: usize| u64::try_from(length).expect("a length fits");
            let more = found.number.value.saturating_add(length(requested.pending.len()));
            let asked = more.saturating_sub(length(requested.skipped.len()));
            (asked, requested.is_plain() && found.number.exact)
        }
    };
    let sets = Amount { value: asked, exact }.sets(max_ids);
    let records = Amount { value: asked, exact: exact && found.number.exact };
    // Withheld ids are requested in one set.
    let withheld = Amount::exact(u64::from(!state.absence.withheld.is_empty()));
    ScanEstimate { requests: found.requests.plus(sets).plus(withheld), records: Some(records), fresh: records }
}

/// How many records the rows of a search are; where one may have several, as many as on the first page.
fn records(extent: &Extent, search: &IdSearch) -> Amount {
    if search.id == search.row && !search.repeats {
        return extent.rows;
    }
    let distinct = extent.page.iter().map(|row| row.id).collect::<BTreeSet<i64>>().len();
    if extent.whole {
        return Amount { value: u64::try_from(distinct).expect("a length fits"), exact: extent.rows.exact };
    }
    let count = |length: usize| u64::try_from(length).expect("a length fits");
    // A page has at most some hundreds of rows.
    Amount::about(extent.rows.value.saturating_mul(count(distinct)) / count(extent.page.len().max(1)))
}

/// A failure: the schema lacks a setting that a scan of this kind needs.
pub fn no_changes(resource: &Resource) -> Failure {
    Failure::new(Kind::Schema, format!("plan {}", resource.name))
        .because("its schema says no `changes`, or no inventory of ids")
}
