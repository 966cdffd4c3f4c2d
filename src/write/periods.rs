//! The periods to which rows of files belong when the files are divided anew.
//!
//! A coarser period follows from the present one. A finer one is that of the record's date: in the main table the row has
//! it, in a child table the record is looked for in the files of the main table, which are read along.

use std::collections::VecDeque;

use arrow_array::{Int32Array, RecordBatch};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, Key};
use crate::schema::{Granularity, Partition, Resource, Table};
use crate::store::LocalCopy;
use crate::write::context::WriteContext;
use crate::write::reader::{FileReader, read_columns};
use crate::write::sorted::record_key;
use crate::write::stream::belongs;

/// The periods of the rows of one table in one partition of its present files, asked for in the order of their keys.
pub struct Periods<'a> {
    /// The column with the record's key.
    key: String,
    found: Found<'a>,
}

enum Found<'a> {
    /// All rows are in this one.
    Same(i32),
    /// By the row's own date.
    Own { partition: Partition, column: String },
    /// By the date of the row's record.
    OfRecord(Box<Records<'a>>),
}

impl<'a> Periods<'a> {
    /// The periods of a granularity of the rows in a partition; `records` gives the files of the main table in it, in the
    /// order of their keys.
    pub fn new(
        context: WriteContext<'a>,
        resource: &Resource,
        table: &Table,
        (partition, wanted): (i32, Granularity),
        records: impl FnOnce(&Table) -> Result<Vec<DataFile>>,
    ) -> Result<Self> {
        let key = |table: &Table| table.columns[table.key[0]].name.clone();
        let divided = table.partition.divided(wanted);
        let present = table.partition.date().map(|(granularity, _)| granularity);
        let coarser = present.is_none_or(|present| wanted >= present);
        let found = match (coarser, resource.dividing_date()) {
            (true, _) | (false, None) => Found::Same(wanted.period(partition).unwrap_or(0)),
            (false, Some((dated, column))) if table.name == dated.name => {
                Found::Own { partition: divided, column: column.to_owned() }
            }
            (false, Some((dated, column))) => Found::OfRecord(Box::new(Records {
                context,
                files: records(dated)?.into(),
                key: key(dated),
                column: column.to_owned(),
                partition: divided,
                open: None,
                rows: None,
            })),
        };
        Ok(Self { key: key(table), found })
    }

    /// The periods of these rows, which follow those before in key order.
    pub fn of(&mut self, rows: &RecordBatch) -> Result<Int32Array> {
        match &mut self.found {
            Found::Same(period) => Ok(Int32Array::from_iter_values(std::iter::repeat_n(*period, rows.num_rows()))),
            Found::Own { partition, column } => {
                Ok((0..rows.num_rows()).map(|row| Some(belongs(partition, rows, column, row))).collect())
            }
            Found::OfRecord(records) => {
                let place = key_place(rows, &self.key)?;
                let mut last: Option<(Key, i32)> = None;
                let mut periods = Vec::with_capacity(rows.num_rows());
                for row in 0..rows.num_rows() {
                    let key = record_key(rows, place, row);
                    let period = match last.take().filter(|(known, _)| *known == key) {
                        Some((_, period)) => period,
                        None => records.period(&key)?,
                    };
                    periods.push(period);
                    last = Some((key, period));
                }
                Ok(periods.into())
            }
        }
    }
}

/// The records of one partition, read in the order of their keys.
struct Records<'a> {
    context: WriteContext<'a>,
    files: VecDeque<DataFile>,
    key: String,
    column: String,
    partition: Partition,
    /// The file being read, with its local copy.
    open: Option<(FileReader, LocalCopy)>,
    /// The rows in hand, and the next of them.
    rows: Option<(RecordBatch, usize)>,
}

impl Records<'_> {
    /// The period of a record; records are asked for in the order of their keys.
    fn period(&mut self, key: &Key) -> Result<i32> {
        loop {
            match &mut self.rows {
                Some((rows, at)) if *at < rows.num_rows() => {
                    let here = record_key(rows, key_place(rows, &self.key)?, *at);
                    if here == *key {
                        return Ok(belongs(&self.partition, rows, &self.column, *at));
                    }
                    if here > *key {
                        return Err(self.missing(key));
                    }
                    *at += 1;
                }
                _ => match self.next_rows()? {
                    Some(rows) => self.rows = Some((rows, 0)),
                    None => return Err(self.missing(key)),
                },
            }
        }
    }

    fn next_rows(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((reader, copy)) = &mut self.open
                && let Some(rows) = reader.next()
            {
                let path = copy.path().display().to_string();
                return rows.map(Some).map_err(|error| Failure::damaged("read a data file", path).caused(error));
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            let copy = self.context.live_copy(&file)?;
            self.open = Some((read_columns(&copy, &[&self.key, &self.column])?, copy));
        }
    }

    fn missing(&self, key: &Key) -> Failure {
        Failure::new(Kind::Damage, "divide the files of a resource")
            .because(format!("rows reference record {key}, which is not in the partition of its rows"))
            .advise("`pearlift verify --deep` lists the damage, `pearlift backfill --damaged` repairs it")
    }
}

fn key_place(rows: &RecordBatch, key: &str) -> Result<usize> {
    rows.schema_ref()
        .index_of(key)
        .map_err(|error| Failure::new(Kind::Damage, "find the key of a table").at(key).caused(error))
}
