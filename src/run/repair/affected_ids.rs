//! The records of the rows that a damaged file may hold: from the file itself where it can be read, else from its key range,
//! the other files of its partition, and the ids that the source lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::Offset;

use crate::failure::Result;
use crate::fetch::{Filter, IdRanges, collapse, expand};
use crate::manifest::{DataFile, Key};
use crate::run::repair::damage::DamagedFile;
use crate::run::scan::held_ids;
use crate::run::scan::id_source::IdSource;
use crate::run::session::ResourceSession;
use crate::schema::{Inventory, Owners, Partition, ReadStyle, Resource, Rows, Table};
use crate::window::Window;
use crate::write::held_ids;

/// Records to be read again.
#[derive(Debug, Default)]
pub struct RecordsToReread {
    pub wanted: IdRanges,
    /// Of these, the ones that files which are whole hold: where the source has them no more, their rows are to go.
    pub held: BTreeSet<i64>,
}

/// Finds the records of damaged files; the ids of the source are requested once.
#[derive(Debug, Default)]
pub struct AffectedIds {
    listed: Option<IdRanges>,
}

/// A partition's period of a date of the source's search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// The folder, `created_month=2026-03-01`.
    pub partition: String,
    pub by: String,
    pub window: Window,
}

impl AffectedIds {
    /// The records of damaged files of one partition.
    pub async fn of(
        &mut self,
        session: &ResourceSession<'_>,
        partition: Option<&str>,
        bad: &[&DamagedFile],
    ) -> Result<RecordsToReread> {
        let store = &session.context.store;
        let resource = Arc::clone(&session.resource);
        let record_table = resource.tables.iter().find(|table| table.rows == Rows::Record);
        let mut wanted = BTreeSet::new();
        let mut spans: Vec<(i64, i64)> = bad.iter().filter_map(|bad| span(&bad.file)).collect();
        for bad in bad.iter().filter(|bad| bad.is_readable()) {
            let own = held_ids(store, std::slice::from_ref(&bad.file), key(&resource, &bad.table)).await?;
            spans.extend(own.first().copied().zip(own.last().copied()));
            wanted.extend(own);
        }
        let mut held = BTreeSet::new();
        let within = |spans: &[(i64, i64)], id: i64| spans.iter().any(|(first, last)| (*first..=*last).contains(&id));
        for table in &resource.tables {
            let files = whole_files(session, table, partition, &spans);
            held.extend(held_ids(store, &files, key(&resource, &table.name)).await?);
        }
        for bad in bad.iter().filter(|bad| bad.is_short()) {
            let Some(span) = span(&bad.file) else { continue };
            wanted.extend(held.iter().copied().filter(|id| within(&[span], *id)));
            // Each record has a row in the table of records: a file of another table holds none that are not there.
            if record_table.is_none_or(|table| table.name == bad.table) {
                let elsewhere: BTreeSet<i64> = match record_table {
                    Some(table) => {
                        let files = files_within(session, table, &[span]);
                        held_ids(store, &files, key(&resource, &table.name)).await?.into_iter().collect()
                    }
                    None => BTreeSet::new(),
                };
                let listed = self.listed(session, partition, span).await?;
                wanted.extend(expand(&listed).filter(|id| within(&[span], *id)).filter(|id| !elsewhere.contains(id)));
            }
        }
        held.retain(|id| wanted.contains(id));
        Ok(RecordsToReread { wanted: collapse(wanted), held })
    }

    /// The ids of the source in a span of ids, or in a partition's period where that is cheaper. The result may hold more.
    async fn listed(
        &mut self,
        session: &ResourceSession<'_>,
        partition: Option<&str>,
        span: (i64, i64),
    ) -> Result<IdRanges> {
        let resource = &session.resource;
        let id_source = IdSource::of(session);
        match &resource.read.style {
            // Ids that are nearly dense: to ask for all numbers is to list them.
            ReadStyle::IdSets { inventory: Inventory::Windows(_), .. } => return Ok(vec![span]),
            ReadStyle::IdSets { inventory: Inventory::Search(search), changes: Some(changes), .. } => {
                if let Some(period) = period_of(resource, &changes.since, partition) {
                    let filter = Filter::Period { column: period.by, window: period.window };
                    let (_, rows) = id_source.search(&resource.read.service, search, &[], Some(filter)).await?;
                    return Ok(collapse(rows.into_iter().map(|row| row.id)));
                }
            }
            ReadStyle::IdSets { .. } | ReadStyle::PerOwner { .. } | ReadStyle::List { .. } | ReadStyle::Search(_) => {}
        }
        if self.listed.is_none() {
            self.listed = Some(match &resource.read.style {
                ReadStyle::PerOwner { owners, .. } => match owners {
                    Owners::Listed { .. } => id_source.owners(&session.context.catalog, owners).await?.ids,
                    Owners::Held(_) => held_ids::ids(session).await?,
                },
                ReadStyle::IdSets { .. } | ReadStyle::List { .. } | ReadStyle::Search(_) => {
                    id_source.all(resource).await?.ids
                }
            });
        }
        Ok(self.listed.clone().unwrap_or_default())
    }
}

/// The record key of a table of this name.
fn key<'a>(resource: &'a Resource, table: &str) -> &'a str {
    let table = resource.tables.iter().find(|known| known.name == table).expect("its files are of the schema's tables");
    &table.columns[table.key[0]].name
}

/// The key range of a file, where it has rows and record keys are numbers.
fn span(file: &DataFile) -> Option<(i64, i64)> {
    match (&file.first, &file.last) {
        (Some(Key::Int(first)), Some(Key::Int(last))) => Some((*first, *last)),
        _ => None,
    }
}

/// Files of a table that are whole and may hold records of these spans, in any partition.
fn files_within(session: &ResourceSession<'_>, table: &Table, spans: &[(i64, i64)]) -> Vec<DataFile> {
    let files = session.head.as_ref().and_then(|head| head.tables.get(&table.name)).map(|table| table.files.iter());
    let meets = |file: &&DataFile| {
        span(file).is_some_and(|(first, last)| spans.iter().any(|(from, to)| first <= *to && *from <= last))
    };
    files.into_iter().flatten().filter(meets).cloned().collect()
}

fn whole_files(
    session: &ResourceSession<'_>,
    table: &Table,
    partition: Option<&str>,
    spans: &[(i64, i64)],
) -> Vec<DataFile> {
    let files = files_within(session, table, spans).into_iter();
    files.filter(|file| file.partition.as_deref() == partition).collect()
}

/// The period of a partition as a window of one of these dates of a search, where the partition is by that date. None for
/// records without the date: their partition is 1970-01-01.
pub fn period_of(resource: &Resource, since: &[String], partition: Option<&str>) -> Option<Period> {
    let (granularity, _) = resource.partition().date()?;
    let Partition::By { table, column, .. } = resource.partition() else { return None };
    let table = &resource.tables[*table];
    let ours = &table.columns[*column].name;
    let by = since.iter().find(|date| resource.date_column(date).is_some_and(|column| column.name == *ours))?;
    let (_, first) = partition?.split_once('=')?;
    let first: Date = first.parse().ok().filter(|first: &Date| first.year() > 1970)?;
    let instant = |day: Date| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
    let (first, after) = granularity.span(first)?;
    let window = Window::between(instant(first)?, instant(after)?);
    Some(Period { partition: partition?.to_owned(), by: by.clone(), window })
}
