//! All ids of a resource: from OPTIONS, from a search for ids, or the span between the least and the greatest id.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::decode::{IdRow, ids, search_page, uris};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{
    Answer, BodyReader, Broken, Client, Filter, IdRanges, MOST_IDS, MOST_RANGES, Query, Request, Walk, WholeReply,
    checked, collapse, count, join, parse_set, read_whole, without,
};
use crate::run::session::ResourceSession;
use crate::run::stop::Stop;
use crate::schema::{Catalog, Changes, IdSearch, Inventory, Owners, ReadStyle, Resource};

/// Where OPTIONS of everything fails, ids are asked by windows of this many numbers, halved where that fails too.
const WINDOW: i64 = 65_536;
/// The narrowest window: a source that cannot list these is in trouble.
const NARROWEST: i64 = 1_024;

/// Rows of a search for ids, which are held until it ends: a search that never ends must not fill the memory.
const MOST_ROWS: usize = 10_000_000;
/// Characters of a path of the source that are shown.
const SHOWN: usize = 200;

/// The ids of a resource at a time.
#[derive(Debug)]
pub struct ListedIds {
    pub ids: IdRanges,
    /// The source's clock at the first answer.
    pub started_at: Timestamp,
    /// Every number of the ranges is an id; else some may be missing.
    pub exact: bool,
}

/// Asks for ids on behalf of a resource.
#[derive(Clone)]
pub struct IdSource<'a> {
    pub client: &'a Client,
    pub stop: &'a Stop,
    /// The resource of the requests, for events and failures.
    pub name: Arc<str>,
}

impl<'a> IdSource<'a> {
    /// The id source of a resource at work.
    pub fn of(session: &ResourceSession<'a>) -> Self {
        Self { client: &session.context.client, stop: &session.context.stop, name: Arc::clone(&session.name) }
    }
}

impl IdSource<'_> {
    /// All ids of a resource read by id sets.
    pub async fn all(&self, resource: &Resource) -> Result<ListedIds> {
        let ReadStyle::IdSets { inventory, changes, .. } = &resource.read.style else {
            return Err(Failure::new(Kind::Schema, format!("list the ids of {}", resource.name))
                .because("only resources of style id-sets have an inventory of ids"));
        };
        let service = &resource.read.service;
        match inventory {
            Inventory::Options(path) => {
                let path = format!("{service}/{path}");
                match self.options(&path).await {
                    Err(failure) if failure.kind() == Kind::Unreachable => {
                        let search = changes.as_ref().map(|changes| &changes.search);
                        let Some(search) = search else { return Err(failure) };
                        let text = "OPTIONS of all ids failed: requesting ids window by window".to_owned();
                        self.client.events().warn(&self.name, text);
                        self.options_by_windows(service, &path, search).await
                    }
                    outcome => outcome,
                }
            }
            Inventory::Search(search) => {
                let by = changes.as_ref().map(|changes| changes.created().to_owned());
                let (started_at, rows) = self.search_by(service, search, (&[], None), by).await?;
                Ok(ListedIds { ids: collapse(rows.into_iter().map(|row| row.id)), started_at, exact: true })
            }
            Inventory::Windows(search) => {
                let (started_at, least) = self.edge(service, search, "ASC").await?;
                let (_, greatest) = self.edge(service, search, "DESC").await?;
                let ids = least.zip(greatest).map(|span| vec![span]).unwrap_or_default();
                Ok(ListedIds { ids: self.believable(ids)?, started_at, exact: false })
            }
        }
    }

    /// The ids of the owners of a per-owner resource: all, less those that the owner's search finds on the other side
    /// of the filter.
    pub async fn owners(&self, catalog: &Catalog, owners: &Owners) -> Result<ListedIds> {
        let Owners::Listed { resource, filter } = owners else {
            return Err(Failure::new(Kind::Bug, format!("list the owners of {}", self.name))
                .because("a table holds them, and no search lists them"));
        };
        let owner = catalog.get(resource)?;
        let mut all = self.all(owner).await?;
        self.complete(owner, &mut all).await?;
        if let Some((column, wanted)) = filter {
            let ReadStyle::IdSets { changes: Some(changes), .. } = &owner.read.style else {
                return Err(Failure::new(Kind::Schema, format!("filter the owners of {}", self.name))
                    .because(format!("{} has no search", owner.name)));
            };
            let filter = Filter::Bool { column: column.clone(), value: !wanted };
            let (_, rows) = self
                .search_by(
                    &owner.read.service,
                    &changes.search,
                    (&[], Some(filter)),
                    Some(changes.created().to_owned()),
                )
                .await?;
            let others: BTreeSet<i64> = rows.into_iter().map(|row| row.id).collect();
            all.ids = without(&all.ids, &others);
        }
        Ok(all)
    }

    /// Completes a listing by OPTIONS that has fewer ids than the resource's search counts: it is requested again, and
    /// united with the search where it is short still. Nothing else would show that an owner is missing.
    async fn complete(&self, resource: &Resource, listed: &mut ListedIds) -> Result<()> {
        let Some(changes) = is_counted(resource).filter(|_| self.client.limits().compare_counts) else { return Ok(()) };
        let (service, search) = (&resource.read.service, &changes.search);
        let row = search.row.clone();
        let read = move |answer: &Answer| search_page(&answer.body, &row, &[]);
        let request = Request::get(&self.name, self.edge_path(service, search, "DESC"));
        let (_, page) = self.whole(&request, Arc::new(read)).await?;
        let Some(counted) = page.results_available else { return Ok(()) };
        if count(&listed.ids) >= counted {
            return Ok(());
        }
        let again = self.all(resource).await?.ids;
        listed.ids.extend(again);
        join(&mut listed.ids);
        if count(&listed.ids) >= counted {
            return Ok(());
        }
        let by = Some(changes.created().to_owned());
        let (_, rows) = self.search_by(service, search, (&[], None), by).await?;
        listed.ids.extend(collapse(rows.into_iter().map(|row| row.id)));
        join(&mut listed.ids);
        Ok(())
    }

    /// Every row of a search for ids, with `stamps` as more columns. Every row satisfies the filter.
    pub async fn search(
        &self,
        service: &str,
        search: &IdSearch,
        stamps: &[String],
        filter: Option<Filter>,
    ) -> Result<(Timestamp, Vec<IdRow>)> {
        self.search_by(service, search, (stamps, filter), None).await
    }

    /// The same, with a date: the search continues by windows of it where pages contradict the search's count.
    pub async fn search_by(
        &self,
        service: &str,
        search: &IdSearch,
        (stamps, filter): (&[String], Option<Filter>),
        by: Option<String>,
    ) -> Result<(Timestamp, Vec<IdRow>)> {
        let query = self.query(service, search, stamps, filter);
        let by = query.by.clone().or(by);
        let mut walk = self.walk_of(search, stamps, Query { by, ..query }, None);
        let mut rows = Vec::new();
        while let Some(page) = self.stop.or(walk.next()).await? {
            rows.extend(page.content);
            if rows.len() > MOST_ROWS {
                return Err(Failure::new(Kind::Answer, format!("list the ids of {}", self.name))
                    .because(format!("its search shows more than {MOST_ROWS} rows"))
                    .advise("exclude the resource with `resources.exclude`"));
            }
        }
        let started_at = walk.started_at.expect("a walk that ended was answered");
        Ok((started_at, rows))
    }

    /// A walk through a search for ids.
    pub fn walk(
        &self,
        service: &str,
        search: &IdSearch,
        stamps: &[String],
        filter: Option<Filter>,
    ) -> Walk<Vec<IdRow>> {
        self.walk_of(search, stamps, self.query(service, search, stamps, filter), None)
    }

    /// A walk through a search for ids, asked like this.
    pub fn walk_of(
        &self,
        search: &IdSearch,
        stamps: &[String],
        query: Query,
        from: Option<(i64, u64)>,
    ) -> Walk<Vec<IdRow>> {
        let filters = query.checked();
        let (id, row, stamps) = (search.id.clone(), search.row.clone(), stamps.to_vec());
        let reader = Arc::new(move |answer: &Answer| {
            let page = ids(&answer.body, &id, &row, &stamps, &filters)?;
            Ok((page.search, page.rows))
        });
        Walk::new(self.client, &self.name, query, reader, from)
    }

    /// A search for ids with more columns, as [`IdSource::search`] asks it.
    pub fn query(&self, service: &str, search: &IdSearch, more: &[String], filter: Option<Filter>) -> Query {
        let mut columns = vec![search.id.clone()];
        let filters = checked(&search.filters, filter.as_ref());
        let filtered = filters.iter().map(Filter::column);
        for column in std::iter::once(search.row.as_str()).chain(more.iter().map(String::as_str)).chain(filtered) {
            if columns.iter().all(|known| known != column) {
                columns.push(column.to_owned());
            }
        }
        Query {
            path: format!("{service}/{}", search.search),
            row: search.row.clone(),
            repeats: search.repeats,
            groups: false,
            descending: false,
            columns,
            by: match &filter {
                Some(Filter::Period { column, .. }) => Some(column.clone()),
                Some(Filter::Bool { .. } | Filter::Ids { .. } | Filter::Is(_)) | None => None,
            },
            filter,
            constants: search.filters.clone(),
            trusted: !search.count_is_wrong,
            singly: false,
            page_size: self.client.limits().page_size,
        }
    }

    /// The least (`ASC`) or greatest (`DESC`) id of a search.
    pub async fn edge(&self, service: &str, search: &IdSearch, direction: &str) -> Result<(Timestamp, Option<i64>)> {
        let path = self.edge_path(service, search, direction);
        let (id, row, filters) = (search.id.clone(), search.row.clone(), checked(&search.filters, None));
        let read = move |answer: &Answer| {
            let page = ids(&answer.body, &id, &row, &[], &filters)?;
            if let Some((column, found)) = &page.search.unfiltered {
                return Err(Broken::new(format!("the source ignores the filter on `{column}`: a row has {found}")));
            }
            Ok(page.rows.first().map(|row| row.id))
        };
        self.whole(&Request::get(&self.name, path), Arc::new(read)).await
    }

    /// The path that asks for the least (`ASC`) or greatest (`DESC`) id.
    pub fn edge_path(&self, service: &str, search: &IdSearch, direction: &str) -> String {
        let columns = self.query(service, search, &[], None).columns.join(",");
        let constants: String = search.filters.iter().map(|filter| format!("{}&", filter.parameter())).collect();
        let path = format!("{service}/{}?{constants}columns={columns}", search.search);
        format!("{path}&sort={}.{direction}&pageSize=1&firstResult=1", search.id)
    }

    /// The ids of one OPTIONS.
    pub async fn options(&self, path: &str) -> Result<ListedIds> {
        let (started_at, ids) = self.whole(&Request::options(&self.name, path.to_owned()), Arc::new(listed)).await?;
        Ok(ListedIds { ids, started_at, exact: true })
    }

    async fn options_by_windows(&self, service: &str, path: &str, search: &IdSearch) -> Result<ListedIds> {
        let (started_at, least) = self.edge(service, search, "ASC").await?;
        let (_, greatest) = self.edge(service, search, "DESC").await?;
        let mut windows: Vec<(i64, i64)> = Vec::new();
        for (least, greatest) in self.believable(least.zip(greatest).into_iter().collect())? {
            let mut from = least;
            while from <= greatest {
                windows.push((from, greatest.min(from.saturating_add(WINDOW - 1))));
                from = from.saturating_add(WINDOW);
            }
        }
        let mut found: Vec<(i64, i64)> = Vec::new();
        while let Some((from, to)) = windows.pop() {
            match self.options(&format!("{path}/{from}-{to}")).await {
                Ok(ids) => found.extend(ids.ids),
                Err(failure) if failure.kind() == Kind::Unreachable && to - from >= NARROWEST => {
                    let middle = from + (to - from) / 2;
                    windows.extend([(from, middle), (middle + 1, to)]);
                }
                Err(failure) => return Err(failure),
            }
        }
        debug_assert!(count(&found) > 0 || least.is_none(), "ids that a search shows are listed");
        join(&mut found);
        Ok(ListedIds { ids: found, started_at, exact: true })
    }

    /// Refuses ids from here to there that no account can have.
    fn believable(&self, span: IdRanges) -> Result<IdRanges> {
        if span.iter().all(|(least, greatest)| greatest.abs_diff(*least) < MOST_IDS) {
            return Ok(span);
        }
        Err(Failure::new(Kind::Answer, format!("list the ids of {}", self.name))
            .because(format!("its search shows ids more than {MOST_IDS} apart"))
            .advise("check the account; exclude the resource with `resources.exclude` meanwhile"))
    }

    /// A good answer, read on a worker; requested again while its body is broken. Gives the source's clock too.
    pub async fn whole<T: Send + 'static>(&self, request: &Request, read: BodyReader<T>) -> Result<(Timestamp, T)> {
        match self.stop.or(read_whole(self.client, request, read)).await? {
            WholeReply::Good { content, date, .. } => Ok((date, content)),
            WholeReply::TooLong(failure) => Err(failure),
            WholeReply::Refused { status, error, .. } => {
                Err(Failure::new(Kind::Refused, format!("list the ids of {}", self.name))
                    .at(request.path.clone())
                    .because(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message))
                    .asked_as(error.request_id)
                    .advise("check account.code; if others work, exclude the resource with `resources.exclude`"))
            }
            WholeReply::Broken(broken) => Err(self.unreadable(&request.path, broken.0)),
        }
    }

    fn unreadable(&self, path: &str, why: String) -> Failure {
        Failure::new(Kind::Answer, format!("list the ids of {}", self.name)).at(path).because(why)
    }
}

/// The search by which a listing by OPTIONS can be counted: one row per record, and a count that is believed.
pub fn is_counted(resource: &Resource) -> Option<&Changes> {
    match &resource.read.style {
        ReadStyle::IdSets { inventory: Inventory::Options(_), changes: Some(changes), .. } => {
            let search = &changes.search;
            Some(changes).filter(|_| !search.count_is_wrong && !search.repeats && search.id == search.row)
        }
        ReadStyle::IdSets { .. } | ReadStyle::Search(_) | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => None,
    }
}

/// The ids that an answer to OPTIONS lists.
pub fn listed(answer: &Answer) -> Result<IdRanges, Broken> {
    let (mut all, mut ids) = (IdRanges::new(), 0_u64);
    for uri in uris(&answer.body)? {
        let shown = || uri.chars().take(SHOWN).collect::<String>();
        let set = uri.rsplit('/').next().and_then(parse_set);
        let set = set.ok_or_else(|| Broken::new(format!("`{}` ends in no id set", shown())))?;
        ids = ids.saturating_add(count(&set));
        all.extend(set);
        if ids > MOST_IDS || all.len() > MOST_RANGES {
            return Err(Broken::new(format!("it lists more than {MOST_IDS} ids, or {MOST_RANGES} ranges of them")));
        }
    }
    // As ranges: a short text may name very many ids.
    join(&mut all);
    Ok(all)
}
