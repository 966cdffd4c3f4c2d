//! New columns of single entries (`fields.own`), filled from the rows that a child table has of the same entries: a record has
//! the value already, in another table.
//!
//! Takes the old rows of both tables in the order of their keys; gives the entries of each record as JSON, from which columns
//! are read as from a fresh record.

use std::collections::{BTreeSet, VecDeque};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};

use crate::decode::Rest;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, Key, Version};
use crate::schema::{Column, Leaf, Origin, PathStep, Resource, Rows, Source, Table, Type};
use crate::write::context::WriteContext;
use crate::write::reader::{FileReader, read};
use crate::write::sorted::record_key;

/// Columns of a main table that the rows of one child table can fill.
pub struct EntryColumns<'a> {
    rest: Rest,
    /// The names of the columns.
    names: Vec<String>,
    child: Child<'a>,
    /// The names of the entries that some column takes.
    wanted: BTreeSet<String>,
}

/// A table with a row for each entry of a map, which holds the entry as JSON.
#[derive(Clone)]
struct Child<'a> {
    /// The place of the map in a record.
    path: Vec<String>,
    /// The columns of the record key, of the entry's name and of its JSON.
    columns: [String; 3],
    files: &'a [DataFile],
}

impl<'a> EntryColumns<'a> {
    /// Of the columns (by name) of the table at `place` of `after` those that a child table in `before` can fill; none where there
    /// are none.
    pub fn of(
        before: &Resource,
        after: &Resource,
        head: &'a Version,
        place: usize,
        unfilled: &[String],
    ) -> Result<Option<Self>> {
        let table = &after.tables[place];
        if table.rows != Rows::Record {
            return Ok(None);
        }
        for child in before.tables.iter().filter_map(|table| Child::of(table, head)) {
            let fits = |column: &&Column| unfilled.contains(&column.name) && child.names(column).is_some();
            let columns: Vec<&Column> = table.columns.iter().filter(fits).collect();
            if columns.is_empty() {
                continue;
            }
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            let wanted = columns.iter().flat_map(|column| child.names(column).unwrap_or_default()).collect();
            let places: Vec<usize> =
                (0..table.columns.len()).filter(|place| names.contains(&table.columns[*place].name)).collect();
            let rest = Rest::of_columns(after, place, places)?;
            return Ok(Some(Self { rest, names, child, wanted }));
        }
        Ok(None)
    }

    /// Whether it fills a column.
    pub fn fills(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The rows of the child table beside those of a file of the main table.
    pub fn beside<'c>(&'c self, file: &DataFile, context: &'c WriteContext<'c>) -> EntryRows<'c> {
        let meets = |other: &&DataFile| {
            other.rows > 0 && other.partition == file.partition && other.first <= file.last && file.first <= other.last
        };
        let mut files: Vec<DataFile> = self.child.files.iter().filter(meets).cloned().collect();
        files.sort_by(|a, b| a.first.cmp(&b.first));
        EntryRows { of: self, context, files: files.into(), reader: None, batch: None, row: 0 }
    }
}

impl<'a> Child<'a> {
    fn of(table: &Table, head: &'a Version) -> Option<Self> {
        let Rows::Each(branches) = &table.rows else { return None };
        let [(steps, _)] = branches.as_slice() else { return None };
        let (last, names) = steps.split_last()?;
        let name = |step: &PathStep| match step {
            PathStep::Field(name) => Some(name.clone()),
            PathStep::Each => None,
        };
        let path: Vec<String> = names.iter().map(name).collect::<Option<_>>()?;
        let takes = |leaf: &Leaf, kind: Type| {
            let from = [Source { origin: Origin::Above(0), leaf: leaf.clone() }];
            table.columns.iter().find(|column| column.from == from && column.kind == kind)
        };
        let (name, value) = (takes(&Leaf::Key, Type::String)?, takes(&Leaf::Fields(Vec::new()), Type::Json)?);
        let columns = [table.columns[table.key[0]].name.clone(), name.name.clone(), value.name.clone()];
        let files = head.tables.get(&table.name)?.files.as_slice();
        (*last == PathStep::Each && !path.is_empty()).then_some(Self { path, columns, files })
    }

    /// The names of the entries that a column takes; none where it takes anything else.
    fn names(&self, column: &Column) -> Option<Vec<String>> {
        let name = |source: &Source| match (&source.origin, &source.leaf) {
            (Origin::Above(0) | Origin::Record, Leaf::Fields(fields)) if fields.starts_with(&self.path) => {
                fields.get(self.path.len()).cloned()
            }
            (_, _) => None,
        };
        column.from.iter().map(name).collect()
    }
}

/// The rows of a child table, taken record by record.
pub struct EntryRows<'c> {
    of: &'c EntryColumns<'c>,
    context: &'c WriteContext<'c>,
    files: VecDeque<DataFile>,
    reader: Option<FileReader>,
    batch: Option<RecordBatch>,
    row: usize,
}

impl EntryRows<'_> {
    /// The new columns (by their places in the table) of the rows of a batch, whose keys are above those of the one before.
    pub fn fill(&mut self, main: &RecordBatch, key: &str) -> Result<Vec<(usize, ArrayRef)>> {
        let place = place(main, key)?;
        let texts = (0..main.num_rows()).map(|row| self.object(&record_key(main, place, row)));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let (columns, _) = self.of.rest.take(&StringArray::from(texts));
        Ok(columns)
    }

    /// The wanted entries of a record as JSON in their place; none where it has none.
    fn object(&mut self, key: &Key) -> Result<Option<String>> {
        let mut entries: Vec<String> = Vec::new();
        while let Some(batch) = self.current()? {
            let [key_column, name_column, value_column] = &self.of.child.columns;
            let (names, values) = (place(&batch, name_column)?, place(&batch, value_column)?);
            let next = record_key(&batch, place(&batch, key_column)?, self.row);
            if next > *key {
                break;
            }
            let (names, values) = (batch.column(names).as_string::<i32>(), batch.column(values).as_string::<i32>());
            let is_there = next == *key && names.is_valid(self.row) && values.is_valid(self.row);
            if is_there && self.of.wanted.contains(names.value(self.row)) {
                entries.push(format!("{}:{}", json(names.value(self.row)), values.value(self.row)));
            }
            self.row += 1;
        }
        let inner = format!("{{{}}}", entries.join(","));
        let outer = self.of.child.path.iter().rev().fold(inner, |inner, name| format!("{{{}:{inner}}}", json(name)));
        Ok((!entries.is_empty()).then_some(outer))
    }

    /// The batch with the next row; none behind the last one.
    fn current(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.row < batch.num_rows()) {
                return Ok(Some(batch.clone()));
            }
            self.row = 0;
            self.batch = match &mut self.reader {
                Some(reader) => reader
                    .next()
                    .transpose()
                    .map_err(|error| Failure::new(Kind::Damage, "read a data file").caused(error))?,
                None => None,
            };
            if self.batch.is_none() {
                let Some(file) = self.files.pop_front() else { return Ok(None) };
                self.reader = Some(read(&self.context.live_copy(&file)?)?);
            }
        }
    }
}

/// A text as JSON.
fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

fn place(batch: &RecordBatch, column: &str) -> Result<usize> {
    batch.schema().index_of(column).map_err(|error| {
        Failure::new(Kind::Damage, "rewrite rows")
            .because(format!("a data file has no column `{column}`"))
            .caused(error)
    })
}
