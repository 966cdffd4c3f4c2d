//! Repartition: the files of a resource divided by another period of the same date, from their own rows.
//!
//! Takes a head, gives staged files of all tables and the names of the files that they replace. Rows go through a spool, so
//! that memory is bounded; their content, time and run stay. The rows of a child table follow their record: both are read
//! side by side, in the order of their keys. Refuses (`Damage`) a file that differs from the manifest, and a row without its
//! record.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, TableFiles, Version};
use crate::plan::coarsest;
use crate::quantity::plural;
use crate::schema::{Granularity, PartitionChoice, Resource, Table};
use crate::store::StoreStep;
use crate::write::columns::Layout;
use crate::write::context::WriteContext;
use crate::write::form::Form;
use crate::write::open::OpenRows;
use crate::write::output::{Output, empty};
use crate::write::partition::{number, segment};
use crate::write::periods::Periods;
use crate::write::reader::{read, read_columns};
use crate::write::segment::Segment;
use crate::write::sorted::Sorted;
use crate::write::spool::Spool;
use crate::write::table::Written;

/// The context of a repartition.
#[derive(Clone, Copy, Debug)]
pub struct Repartitioning<'a> {
    /// With its files divided as those of the head are.
    pub resource: &'a Resource,
    pub head: &'a Version,
    pub context: WriteContext<'a>,
    /// Rows in memory above this many bytes go to disk.
    pub memory: u64,
}

impl<'a> Repartitioning<'a> {
    /// The largest table of the head, by rows.
    fn largest(&self) -> Option<&'a Table> {
        self.resource.tables.iter().max_by_key(|table| self.head.tables.get(&table.name).map_or(0, TableFiles::rows))
    }

    /// The files of a table that have rows, by the number of their partition, in the order of their keys.
    fn live(&self, table: &Table) -> Result<BTreeMap<i32, Vec<DataFile>>> {
        let mut live: BTreeMap<i32, Vec<DataFile>> = BTreeMap::new();
        let files = self.head.tables.get(&table.name).into_iter().flat_map(|table| &table.files);
        for file in files.filter(|file| file.rows > 0) {
            live.entry(number(&table.partition, file.partition.as_deref())?).or_default().push(file.clone());
        }
        live.values_mut().for_each(|files| files.sort_by(|a, b| a.first.cmp(&b.first)));
        Ok(live)
    }

    /// The periods of the rows of a table in one partition of its present files.
    fn periods(&self, table: &Table, partition: i32, wanted: Granularity) -> Result<Periods<'a>> {
        let records = |dated: &Table| Ok(self.live(dated)?.remove(&partition).unwrap_or_default());
        Periods::new(self.context, self.resource, table, (partition, wanted), records)
    }
}

/// The granularity that the settings want; `auto` is the coarsest in which no partition has more than `most` rows of the
/// largest table. Blocks: call it from a blocking thread.
pub fn granularity(work: &Repartitioning<'_>, most: u64) -> Result<Granularity> {
    let Some((_, wanted)) = work.resource.partition().date() else { return Ok(Granularity::Undivided) };
    match (wanted, work.largest()) {
        (PartitionChoice::Fixed(granularity), _) => Ok(granularity),
        (PartitionChoice::Auto, None) => Ok(Granularity::Undivided),
        (PartitionChoice::Auto, Some(table)) => {
            let rows = work.head.tables.get(&table.name).map_or(0, TableFiles::rows);
            // Then no month needs to be looked up in the files.
            if rows <= most { Ok(Granularity::Undivided) } else { Ok(coarsest(&rows_by_month(work, table)?, most)) }
        }
    }
}

/// The rows of a table by month, in days since 1970: by the manifest where its files are divided by month, else by its files.
fn rows_by_month(work: &Repartitioning<'_>, table: &Table) -> Result<BTreeMap<i32, u64>> {
    let mut months: BTreeMap<i32, u64> = BTreeMap::new();
    let date = work.resource.dividing_date().filter(|(dated, _)| dated.name == table.name);
    let key = table.columns[table.key[0]].name.as_str();
    let by_month = table.partition.date().is_none_or(|(granularity, _)| granularity == Granularity::Month);
    for (partition, files) in work.live(table)? {
        if by_month {
            *months.entry(partition).or_default() += files.iter().map(|file| file.rows).sum::<u64>();
            continue;
        }
        let names: Vec<&str> = [key].into_iter().chain(date.map(|(_, column)| column)).collect();
        let mut periods = work.periods(table, partition, Granularity::Month)?;
        for file in files {
            let copy = work.context.live_copy(&file)?;
            for batch in read_columns(&copy, &names)? {
                let batch = batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                for month in periods.of(&batch)?.values() {
                    *months.entry(*month).or_default() += 1;
                }
            }
        }
    }
    Ok(months)
}

/// Writes and stages the files of all tables by another period. Blocks: call it from a blocking thread.
pub fn repartition_tables(work: &Repartitioning<'_>, wanted: Granularity, next_number: &mut u64) -> Result<Written> {
    let _entered = work.context.runtime.enter();
    let folder = work.context.spool.join("repartition");
    let mut spool = Spool::of_files(work.resource, &folder, work.memory)?.watched(work.context.store.watcher());
    let mut written = Written { tables: work.head.tables.clone(), ..Written::default() };
    for (place, table) in work.resource.tables.iter().enumerate() {
        let Some(old) = work.head.tables.get(&table.name) else { continue };
        for (partition, files) in work.live(table)? {
            let mut periods = work.periods(table, partition, wanted)?;
            for file in files {
                let copy = work.context.live_copy(&file)?;
                for batch in read(&copy)? {
                    let batch =
                        batch.map_err(|error| Failure::damaged("read a data file", &file.path).caused(error))?;
                    let periods = periods.of(&batch)?;
                    spool.add_stored(place, &batch, periods)?;
                }
            }
        }
        let spooled = spool.take()?;
        let (layout, segments) = &spooled.tables[place];
        let files = write_out(work, (table, wanted), (layout, segments), &mut written, next_number)?;
        work.context.store.reach(StoreStep::TableStaged, &table.name)?;
        let (before, after) = (old.rows(), files.iter().map(|file| file.rows).sum::<u64>());
        if before != after {
            return Err(Failure::new(Kind::Damage, format!("divide the files of `{}`", table.name))
                .because(format!(
                    "the manifest lists {}, and its files have {}",
                    plural(before, "row"),
                    plural(after, "row")
                ))
                .advise(format!("`pearlift verify --deep {}` lists the damage", work.resource.name)));
        }
        written.removes.extend(old.files.iter().map(|file| file.path.clone()));
        let partition = table.partition.divided(wanted).segment();
        written.tables.insert(table.name.clone(), TableFiles { files, partition, ..old.clone() });
    }
    Ok(written)
}

/// Writes the sorted rows of a table, partition by partition; staged as soon as they are finished, so that they take no room
/// twice.
fn write_out(
    work: &Repartitioning<'_>,
    (table, wanted): (&Table, Granularity),
    (layout, segments): (&Arc<Layout>, &[Segment]),
    written: &mut Written,
    next_number: &mut u64,
) -> Result<Vec<DataFile>> {
    let context = work.context;
    let partition = table.partition.divided(wanted);
    let form = Form {
        schema: Arc::clone(&layout.file),
        key: layout.key.clone(),
        schema_hash: work.head.schema_hash.clone(),
        sizes: work.context.sizes,
    };
    let mut target = context.target(&table.name, &form, OpenRows::of(work.resource, table), next_number);
    let mut sorted = Sorted::all(Arc::clone(layout), segments)?;
    let mut files = Vec::new();
    while let Some((number, _)) = sorted.peek() {
        let mut output = Output::new(segment(&partition, number));
        while let Some(rows) = sorted.take(number, |_| true)? {
            let rows = layout.moved(&rows).map_err(|error| {
                Failure::new(Kind::Damage, format!("divide the files of `{}`", table.name)).caused(error)
            })?;
            output.write(&rows, &mut target)?;
        }
        let drafts = output.finish(&target)?;
        files.extend(written.stage(&context, drafts)?);
    }
    if files.is_empty() {
        let draft = empty(segment(&partition, 0), &mut target)?;
        files.extend(written.stage(&context, vec![draft])?);
    }
    Ok(files)
}
