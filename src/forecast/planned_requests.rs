//! The requests and records of the scans of one resource, by its reading style: the requests of
//! [`make`](crate::run::scan::styles::make), counted and not sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::failure::Result;
use crate::fetch::{Filter, Query, collapse, count};
use crate::forecast::amount::Amount;
use crate::forecast::cost::held_records;
use crate::forecast::id_count::{IdCount, documents, listed};
use crate::forecast::probe::pages;
use crate::forecast::request_counter::{RequestCounter, ScanEstimate, StoredResource};
use crate::manifest::{Cursor, Scan, ScanKind, State, Version, read_plan};
use crate::plan::{Moment, Step, StepKind};
use crate::run::lookups::Lookups;
use crate::run::scan::change_points::Since;
use crate::run::scan::changes::{SearchRow, add_search_rows, leave_out_held, stamps};
use crate::run::scan::planned_scan::{PlanInputs, PlannedIds, PlannedScan, open_due, plan_scan};
use crate::schema::{Changes, IdSearch, Open, Resource, RowSearch};

use crate::window::Window;
use crate::write::held_between;

impl RequestCounter<'_> {
    /// One estimate for each step.
    pub async fn steps(
        &mut self,
        resource: &Resource,
        head: Option<&Version>,
        start: Option<Timestamp>,
        steps: &[&Step],
    ) -> Result<Vec<ScanEstimate>> {
        let blank = State::default();
        let held = StoredResource { resource, head, state: head.map_or(&blank, |head| &head.state), start };
        let mut mark = held.state.changes_since();
        let mut estimates: Vec<ScanEstimate> = Vec::new();
        for step in steps {
            let mut estimate = match step.kind {
                StepKind::Scan(kind) => {
                    let scan = self.scan(held, step, kind, step.since.or(mark)).await?;
                    let counts = self.counts(held, step, kind);
                    ScanEstimate { requests: scan.requests.plus(counts), ..scan }
                }
                StepKind::Reconcile => self.comparison(held).await?,
                StepKind::Reread(requests) => self.reread(held, requests).await?,
                StepKind::Touched => ScanEstimate::NOTHING,
            };
            // Records of the earlier scans are held by then.
            let known = estimates.iter().all(|before| before.fresh == Amount::exact(0));
            estimate.requests.exact &= known || matches!(step.kind, StepKind::Reread(_));
            if let Some(scan) = &step.resume {
                let overlap = SignedDuration::try_from(self.limits.overlap).unwrap_or_default();
                let earliest = held.state.clocks.scan.map_or(scan.started_at, |scan| scan.earliest);
                let moved = held.state.watermark.max(earliest.saturating_sub(overlap).ok());
                // A scan for changes leaves the watermark before it as the point from which they are asked.
                mark = if scan.kind == ScanKind::Changes { held.state.watermark.or(moved) } else { moved };
            }
            estimates.push(estimate);
        }
        Ok(estimates)
    }

    async fn scan(
        &mut self,
        held: StoredResource<'_>,
        step: &Step,
        kind: ScanKind,
        mark: Option<Timestamp>,
    ) -> Result<ScanEstimate> {
        if let Some(estimate) = self.resumed(step.resume.as_ref()).await? {
            return Ok(estimate);
        }
        let StoredResource { resource, state, start, .. } = held;
        let inputs = PlanInputs { catalog: self.catalog, state, limits: self.limits, start };
        match plan_scan(resource, step, kind, mark, inputs)? {
            // A list of which nothing is held yet is requested twice.
            PlannedScan::List { pages: Some(pages), .. } => {
                // One more for the end; a first load of a single page is read twice.
                let known = held.head.and_then(|head| held_records(resource, head)).unwrap_or_default();
                let confirmed = if state.completed_at.is_none() { 2 } else { 0 };
                Ok(unknown(Amount::about(known.div_ceil(pages.most).max(1) + 1 + confirmed)))
            }
            PlannedScan::List { pages: None, gets } => {
                let readings = if state.completed_at.is_none() { 2 } else { 1 };
                Ok(unknown(Amount::exact(readings * gets)))
            }
            PlannedScan::AllRows { search, filter } => self.all_rows(held, search, filter, step.resume.as_ref()).await,
            PlannedScan::ChangedRows { search, since } => self.changed_rows(held, search, since).await,
            PlannedScan::Documents { max_ids, ids, .. } => self.documents(held, &ids, max_ids).await,
        }
    }

    /// The documents of planned ids.
    async fn documents(
        &mut self,
        held: StoredResource<'_>,
        ids: &PlannedIds<'_>,
        max_ids: usize,
    ) -> Result<ScanEstimate> {
        match ids {
            PlannedIds::All(start) => {
                let found = self.all_ids(held, *start).await?;
                Ok(documents(held.state, found, max_ids))
            }
            PlannedIds::Changed { changes, since, open_every } => {
                self.changed(held, held.resource, (changes, *open_every), *since, max_ids).await
            }
            PlannedIds::ChangedOwners { owner, changes, since } => {
                self.changed(held, owner, (changes, None), *since, max_ids).await
            }
            // Beside the records that `dependents::touched` counts.
            PlannedIds::ChangedHeldOwners => {
                Ok(documents(held.state, listed(0, Vec::new(), true, Timestamp::MIN), max_ids))
            }
            PlannedIds::SnapshotHoles(_) => {
                let holes = Amount::about(count_of(held.state.pending.len()));
                Ok(ScanEstimate { requests: holes.sets(max_ids), records: Some(holes), fresh: holes })
            }
            PlannedIds::Owners(owners) => {
                let found = self.owners(held, owners).await?;
                Ok(documents(held.state, found, max_ids))
            }
        }
    }

    /// The rest of an unfinished id scan; none where its plan is gone, or there is no such scan.
    async fn resumed(&self, scan: Option<&Scan>) -> Result<Option<ScanEstimate>> {
        let (Some(Scan { cursor: Cursor::Slices { plan, done }, .. }), Some(store)) = (scan, self.store) else {
            return Ok(None);
        };
        let Some(plan) = read_plan(store, plan).await? else { return Ok(None) };
        let is_done = |slice: u64| done.iter().any(|(first, last)| (*first..=*last).contains(&slice));
        let left: Vec<u64> =
            (0..).zip(&plan.slices).filter(|(slice, _)| !is_done(*slice)).map(|(_, ids)| count(ids)).collect();
        let slices = u64::try_from(left.len()).expect("a length fits");
        let records = Amount::about(left.iter().sum());
        Ok(Some(ScanEstimate { requests: Amount::exact(slices), records: Some(records), fresh: records }))
    }

    async fn all_rows(
        &mut self,
        held: StoredResource<'_>,
        search: &RowSearch,
        filter: Option<Filter>,
        resume: Option<&Scan>,
    ) -> Result<ScanEstimate> {
        let whole = filter.is_none();
        let query = self.rows_query(held.resource, search, filter);
        let Some(mut extent) = self.probe.extent(&query, &search.row, &[]).await? else {
            return Ok(unknown(Amount::about(1)));
        };
        let size = u64::from(query.page_size);
        // How far a page overlaps the one before depends on its rows.
        extent.pages.exact &= !held.resource.read.repeats || extent.pages.value < 2;
        // The count of another answer.
        let counts = u64::from(held.resource.read.repeats && held.state.completed_at.is_none());
        if let (false, true, Some(known)) =
            (extent.rows.exact, whole, held.head.and_then(|head| held_records(held.resource, head)))
        {
            extent.rows.value = extent.rows.value.max(known);
            extent.pages.value = pages(extent.rows.value, 1, size);
        }
        match resume {
            Some(Scan { cursor: Cursor::Rows { next, .. }, .. }) => {
                let requests = Amount { value: pages(extent.rows.value, *next, size), exact: extent.pages.exact };
                let rows = Amount { value: extent.rows.value.saturating_sub(*next), exact: extent.rows.exact };
                Ok(ScanEstimate { requests, records: Some(rows), fresh: Amount::about(rows.value) })
            }
            Some(_) | None => {
                let fresh = Amount::about(0);
                let requests = Amount { value: extent.pages.value + counts, ..extent.pages };
                Ok(ScanEstimate { requests, records: Some(extent.rows), fresh })
            }
        }
    }

    async fn changed_rows(
        &mut self,
        held: StoredResource<'_>,
        search: &RowSearch,
        since: Since,
    ) -> Result<ScanEstimate> {
        let mut requests = Amount::exact(0);
        // A row with both dates is returned twice.
        let mut records = Amount { value: 0, exact: search.since.len() == 1 };
        let mut shown: Vec<i64> = Vec::new();
        let mut known = 0;
        for column in &search.since {
            let query = self.rows_query(held.resource, search, Some(since.filter(held.resource, column)));
            let since = since.at(held.resource, column);
            let Some(extent) = self.probe.extent(&query, &search.row, &[]).await? else {
                requests = requests.plus(Amount::about(1));
                continue;
            };
            requests = requests.plus(extent.pages);
            records = records.plus(extent.rows);
            match self.held_since(held, column, since).await?.filter(|_| !extent.whole) {
                Some(held) => known += held,
                None => shown.extend(extent.page.into_iter().map(|row| row.id)),
            }
        }
        // A row that we hold is most likely the same.
        known += self.known(held, shown).await?;
        let fresh = Amount { value: records.value.saturating_sub(known), exact: records.exact };
        if search.newest {
            // The greatest ids come first, down to one that is held; some fresh rows may have lesser ids.
            let size = u64::from(self.limits.page_size);
            let exact = fresh.exact && fresh.value < size;
            requests = requests.plus(Amount { value: pages(fresh.value + 1, 1, size), exact });
        }
        Ok(ScanEstimate { requests, records: Some(records), fresh })
    }

    /// The query of a search for rows, with no column but those that the count depends on.
    fn rows_query(&self, resource: &Resource, search: &RowSearch, filter: Option<Filter>) -> Query {
        let row = search.row.clone();
        let (filters, count_is_wrong) = (search.filters.clone(), resource.read.count.is_wrong);
        let (search, repeats) = (search.search.clone(), resource.read.repeats);
        let search = IdSearch { search, id: row.clone(), row, repeats, count_is_wrong, filters };
        self.probe.id_source().query(&resource.read.service, &search, &[], filter)
    }

    /// The documents of records that searches by the dates of `dated` show, less those that are held.
    async fn changed(
        &mut self,
        held: StoredResource<'_>,
        dated: &Resource,
        (changes, open_every): (&Changes, Option<Duration>),
        since: Since,
        max_ids: usize,
    ) -> Result<ScanEstimate> {
        let mut shown = self.shown(held, dated, changes, since).await?;
        if dated.name != held.resource.name {
            shown.search_rows.retain(|id, search_row| held.state.record_stamps.get(id) != Some(&search_row.text));
        }
        if let Some(store) = self.store {
            let lookups = Lookups::of(held.state.looked.clone());
            let with = (self.limits, &lookups);
            leave_out_held(store, held.resource, held.head, &changes.same, with, &mut shown.search_rows).await?;
        }
        let now = Moment::new(shown.at, self.probe.id_source().client.clocks().ours());
        let open = open_due(changes, open_every, held.state, now, self.limits);
        let mut still_open = match open {
            Some(open) => self.held_open(held, open).await?,
            None => Vec::new(),
        };
        let listed_open = matches!(open, Some(Open::Listed { .. }));
        let mut requests = shown.requests;
        if listed_open {
            // The list of open records, as many as are held; those that did not change are not counted in advance.
            let open = count_of(still_open.len());
            requests = requests.plus(Amount::about(pages(open, 1, u64::from(self.limits.page_size))));
            still_open.clear();
        }
        if shown.whole {
            let ids = collapse(shown.search_rows.into_keys().chain(still_open));
            let found = IdCount { requests, ..listed(0, ids, !listed_open, shown.at) };
            return Ok(documents(held.state, found, max_ids));
        }
        let number = Amount::about(shown.scaled(&still_open));
        Ok(documents(held.state, IdCount { requests, ids: None, number, at: shown.at }, max_ids))
    }

    /// The first page of each search by a date.
    async fn shown(
        &mut self,
        held: StoredResource<'_>,
        dated: &Resource,
        changes: &Changes,
        since: Since,
    ) -> Result<Shown> {
        let stamps = stamps(changes);
        let mut shown = Shown::new((dated.name == held.resource.name).then_some(0));
        for column in &changes.since {
            let filter = since.filter(held.resource, column);
            let since = since.at(held.resource, column);
            let query = self.probe.id_source().query(&dated.read.service, &changes.search, &stamps, Some(filter));
            let Some(extent) = self.probe.extent(&query, &changes.search.id, &stamps).await? else {
                shown.requests = shown.requests.plus(Amount::about(1));
                shown.whole = false;
                continue;
            };
            shown.requests = shown.requests.plus(extent.pages);
            shown.rows += extent.rows.value;
            let on_page = count_of(extent.page.len());
            shown.on_pages += on_page;
            shown.whole &= extent.whole;
            shown.at = shown.at.max(extent.answered);
            if !extent.whole {
                // A search may have several rows a record.
                let distinct = count_of(extent.page.iter().map(|row| row.id).collect::<BTreeSet<i64>>().len());
                let records = extent.rows.value * distinct / on_page.max(1);
                let known = self.held_since(held, column, since).await?;
                shown.fresh = shown.fresh.zip(known).map(|(fresh, known)| fresh + records.saturating_sub(known));
            } else {
                shown.fresh = shown.fresh.map(|fresh| fresh + on_page);
            }
            add_search_rows(&mut shown.search_rows, changes, extent.answered, extent.page);
        }
        Ok(shown)
    }
}

/// The first pages of searches by dates.
struct Shown {
    requests: Amount,
    search_rows: BTreeMap<i64, SearchRow>,
    /// Rows of the searches, and those of their first pages.
    rows: u64,
    on_pages: u64,
    /// The first pages are all.
    whole: bool,
    /// The source's clock at the last answer.
    at: Timestamp,
    /// Records that the source dates and that are not held, where a column of ours keeps the date.
    fresh: Option<u64>,
}

impl Shown {
    fn new(fresh: Option<u64>) -> Self {
        let (requests, search_rows) = (Amount::exact(0), BTreeMap::new());
        Self { requests, search_rows, rows: 0, on_pages: 0, whole: true, at: Timestamp::MIN, fresh }
    }

    /// The number of records that changed or are open: where our own column keeps the date, records that the source
    /// dates and that are not held have changed; else records that were not shown are taken to be like those that were.
    fn scaled(&self, still_open: &[i64]) -> u64 {
        let scaled = |of: u64, by: u64, to: u64| {
            u64::try_from(u128::from(of) * u128::from(by) / u128::from(to.max(1))).unwrap_or(u64::MAX)
        };
        let shown_changed = count_of(self.search_rows.len());
        let changed_too = count_of(still_open.iter().filter(|id| self.search_rows.contains_key(id)).count());
        let changed = self.fresh.unwrap_or_else(|| scaled(shown_changed, self.rows, self.on_pages));
        changed + count_of(still_open.len()).saturating_sub(scaled(changed, changed_too, shown_changed))
    }
}

impl RequestCounter<'_> {
    /// The number of held records with a date after `since`; none where no column of ours has the date.
    async fn held_since(&self, held: StoredResource<'_>, date: &str, since: Timestamp) -> Result<Option<u64>> {
        let (Some(table), Some(column)) = (held.resource.record_table(), held.resource.date_column(date)) else {
            return Ok(None);
        };
        let files = held.head.and_then(|head| head.tables.get(&table.name)).map(|table| table.files.as_slice());
        let Some((store, files)) = self.store.zip(files) else { return Ok(Some(0)) };
        let key = &table.columns[table.key[0]].name;
        let ids = held_between(store, files, key, &column.name, Window::since(since)).await?;
        Ok(Some(u64::try_from(ids.len()).expect("a length fits")))
    }
}

fn count_of(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits")
}

fn unknown(requests: Amount) -> ScanEstimate {
    ScanEstimate { requests, records: None, fresh: Amount::about(0) }
}
