//! A full read that begins at a date (`start`): records created from then on, older records that are open, and records
//! that are held already.
//!
//! Ids ascend with creation, but nothing depends on it: the cut is made at the least id that a search by the date of
//! creation finds, and no record below that id was created from then on.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::decode::{IdRow, timestamp_micros};
use crate::failure::Result;
use crate::fetch::{Filter, IdRanges, collapse, with};
use crate::run::scan::changes::listed_as_open;
use crate::run::scan::id_source::{IdSource, ListedIds};
use crate::run::session::ResourceSession;
use crate::schema::{Changes, Inventory, ReadStyle, Resource};
use crate::window::Window;
use crate::write::held_ids;

/// All ids that a full read asks for.
pub async fn all_ids(session: &ResourceSession<'_>, resource: &Resource) -> Result<ListedIds> {
    let id_source = IdSource::of(session);
    let ReadStyle::IdSets { changes: Some(changes), inventory, .. } = &resource.read.style else {
        return id_source.all(resource).await;
    };
    let Some(start) = session.options.start else { return id_source.all(resource).await };
    let mut found = id_source.all_from(resource, inventory, changes, start).await?;
    let least = found.ids.first().map(|(first, _)| *first);
    let mut older: BTreeSet<i64> = BTreeSet::new();
    if let Some(filter) = changes.open.as_deref().and_then(listed_as_open) {
        let (_, rows) = id_source
            .search_by(&resource.read.service, &changes.search, (&[], Some(filter)), Some(changes.created().to_owned()))
            .await?;
        older.extend(rows.into_iter().map(|row| row.id));
    }
    older.extend(held(session, resource).await?);
    older.retain(|id| least.is_none_or(|least| *id < least));
    if !older.is_empty() {
        found.ids = with(&found.ids, older);
    }
    Ok(found)
}

/// The ids that the tables hold, in any shape of the tables.
async fn held(session: &ResourceSession<'_>, resource: &Resource) -> Result<Vec<i64>> {
    let table = resource.record_table().unwrap_or(&resource.tables[0]);
    let held = session.head.as_ref().and_then(|head| head.tables.get(&table.name));
    match held.and_then(|held| held.key.first().zip(Some(&held.files))) {
        Some((key, files)) => held_ids(&session.context.store, files, key).await,
        None => Ok(Vec::new()),
    }
}

impl IdSource<'_> {
    /// All ids of records created from `start` on; of listed ids and of windows, also older ones with greater ids.
    async fn all_from(
        &self,
        resource: &Resource,
        inventory: &Inventory,
        changes: &Changes,
        start: Timestamp,
    ) -> Result<ListedIds> {
        let service = &resource.read.service;
        match inventory {
            Inventory::Options(_) => {
                let mut all = self.all(resource).await?;
                let (_, least) = self.least_from(service, changes, start).await?;
                all.ids = above(&all.ids, least);
                Ok(all)
            }
            Inventory::Search(_) => {
                let created = [changes.created().to_owned()];
                let (started_at, rows) =
                    self.search(service, &changes.search, &created, Some(since(changes, start))).await?;
                let ids = collapse(rows.iter().filter(|row| is_from(row, start)).map(|row| row.id));
                Ok(ListedIds { ids, started_at, exact: true })
            }
            Inventory::Windows(search) => {
                let (started_at, least) = self.least_from(service, changes, start).await?;
                let (_, greatest) = self.edge(service, search, "DESC").await?;
                let ids = greatest.map(|greatest| above(&[(i64::MIN, greatest)], least)).unwrap_or_default();
                Ok(ListedIds { ids, started_at, exact: false })
            }
        }
    }

    /// The least id of the records created from `start` on, and the source's clock: one request where the search sorts.
    pub async fn least_from(
        &self,
        service: &str,
        changes: &Changes,
        start: Timestamp,
    ) -> Result<(Timestamp, Option<i64>)> {
        let created = [changes.created().to_owned()];
        let mut walk = self.walk(service, &changes.search, &created, Some(since(changes, start)));
        let mut least: Option<i64> = None;
        while let Some(page) = self.stop.or(walk.next()).await? {
            let found = least_of(&page.content, start);
            least = least.into_iter().chain(found).min();
            // Pages that are joined by their ids ascend; windows of time do not.
            if least.is_some() && page.last.is_some() {
                break;
            }
        }
        Ok((walk.started_at.expect("a walk that gave a page or ended was answered"), least))
    }
}

/// The filter for records created from then on, a second wider.
pub fn since(changes: &Changes, start: Timestamp) -> Filter {
    Filter::Period { column: changes.created().to_owned(), window: Window::since(start) }
}

/// The least id among rows that show the date of creation.
pub fn least_of(rows: &[IdRow], start: Timestamp) -> Option<i64> {
    rows.iter().filter(|row| is_from(row, start)).map(|row| row.id).min()
}

/// Whether a row that shows the date of creation was created from then on.
pub fn is_from(row: &IdRow, start: Timestamp) -> bool {
    let micros = row.stamps.first().and_then(|text| timestamp_micros(text.as_deref()?));
    micros.is_some_and(|micros| micros >= start.as_microsecond())
}

/// The part of ranges from an id on; nothing without one.
pub fn above(ids: &[(i64, i64)], least: Option<i64>) -> IdRanges {
    let Some(least) = least else { return Vec::new() };
    ids.iter().filter(|(_, last)| *last >= least).map(|(first, last)| (*first.max(&least), *last)).collect()
}
