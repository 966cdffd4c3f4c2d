//! Missed changes: records that a full scan or a rolling re-read finds changed although none of their dates moved.
//! Their number shows how much the nightly rules miss on a real account (docs/reading.md §7).
//!
//! A record counts when we held it, some row of it in some table differs, and each of our columns of the dates by which
//! changes are requested is unchanged: with another date the next night would have found it. Records that are followed
//! without a date (open records; pending references, see `follow`) do not count. Where no table has one row per record
//! there is no date to compare, and every record that differs counts.

use std::collections::{BTreeSet, HashMap};

use crate::failure::Result;
use crate::manifest::Version;
use crate::run::session::ResourceSession;
use crate::schema::{Naming, Open, ReadStyle, Resource, Type};
use crate::write::{StoredValue, Written, held};

/// Records that differ, with the dates that we held; none where no table keeps any.
pub struct Differing {
    ids: Vec<i64>,
    dates: Option<HashMap<i64, Vec<StoredValue>>>,
}

impl ResourceSession<'_> {
    /// The record key of each table, where a commit is to tell which records differ from before.
    pub fn record_keys_watched(&self) -> Vec<Naming> {
        let held =
            self.head.as_ref().is_some_and(|head| head.state.completed_at.is_some()) && !self.commit_context.rebuild;
        if !self.observations.reads_again || !held || self.resource.read.key_type != Type::Int64 {
            return Vec::new();
        }
        let tables = self.resource.tables.iter().enumerate();
        tables.map(|(place, table)| Naming { table: place, column: table.key[0], tests: Vec::new() }).collect()
    }

    /// Of the records that differ those that we held and that are not followed anyway, before their files go.
    pub async fn differing(&self, written: &Written) -> Result<Option<Differing>> {
        // Columns watched for other resources come first.
        let mut differing: BTreeSet<i64> =
            written.met.iter().skip(self.commit_context.followers.len()).flatten().copied().collect();
        // A row that was rejected, before or now, is a difference of ours and no change at the source.
        let before = self.head.as_ref().map(|head| &head.state.pieces);
        let states = before.into_iter().chain([&self.state.pieces]);
        let lacking: Vec<_> = states.filter(|pieces| !pieces.is_empty()).collect();
        differing.retain(|id| !lacking.iter().any(|pieces| pieces.lacks_a_row(*id)));
        let Some(head) = self.head.as_ref().filter(|_| !differing.is_empty()) else { return Ok(None) };
        let ids: Vec<i64> = differing.into_iter().collect();
        let open = self.resource.open();
        let mut columns = date_columns(&self.resource);
        columns.extend(open.map(|open| open.column().to_owned()));
        let Some(mut dates) = self.dates(head, &columns, &ids).await? else {
            return Ok(Some(Differing { ids, dates: None }));
        };
        if let Some(open) = open {
            let is_open = match open {
                Open::Listed { filter, .. } => StoredValue::Bool(filter.1),
                Open::Until { .. } => StoredValue::Null,
            };
            dates.retain(|_, cells| cells.pop().as_ref() != Some(&is_open));
        }
        Ok(Some(Differing { ids, dates: Some(dates) }))
    }

    /// Counts the records with unchanged dates in the new version.
    pub async fn count_missed(&mut self, differing: Option<Differing>) -> Result<()> {
        let Some(Differing { ids, dates }) = differing else { return Ok(()) };
        let Some(before) = dates else {
            self.tally.missed.extend(ids);
            return Ok(());
        };
        let Some(new) = &self.head else { return Ok(()) };
        let after = self.dates(new, &date_columns(&self.resource), &ids).await?.unwrap_or_default();
        self.tally
            .missed
            .extend(before.into_iter().filter(|(id, dates)| after.get(id) == Some(dates)).map(|(id, _)| id));
        Ok(())
    }

    /// The values of these columns in a version, in the table with one row per record; none where there is no such
    /// table.
    async fn dates(
        &self,
        version: &Version,
        columns: &[String],
        ids: &[i64],
    ) -> Result<Option<HashMap<i64, Vec<StoredValue>>>> {
        let Some(table) = self.resource.record_table() else { return Ok(None) };
        let files = version.tables.get(&table.name).map(|table| table.files.as_slice()).unwrap_or_default();
        let key = &table.columns[table.key[0]].name;
        let holdings = held(&self.context.store, files, key, columns, ids).await?;
        Ok(Some(holdings.into_iter().map(|(id, holding)| (id, holding.cells)).collect()))
    }
}

/// Our columns of the dates by which changes are asked.
fn date_columns(resource: &Resource) -> Vec<String> {
    let dates = match &resource.read.style {
        ReadStyle::IdSets { changes: Some(changes), .. } => changes.since.as_slice(),
        ReadStyle::Search(search) => search.since.as_slice(),
        ReadStyle::IdSets { changes: None, .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => &[],
    };
    dates.iter().filter_map(|date| Some(resource.date_column(date)?.name.clone())).collect()
}
