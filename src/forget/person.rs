//! The columns by which rows are recognised as a person's, and those that are emptied then.
//!
//! Takes a resource and the tables of people, gives the rows of a batch that are a forgotten person's and the batch without
//! the person's values. A record of people is a person's by its own key; any other record by the columns that lead to people,
//! but for those of members of staff who acted on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, Scalar, new_null_array};
use arrow_schema::{DataType, Field};
use arrow_select::zip::zip;

use crate::failure::{Failure, Kind, Result};
use crate::forget::list::ForgottenList;
use crate::schema::{Catalog, Column, DELETED_AT, EXTRA, EXTRACTED_AT, RUN_ID, ReferenceTarget, Resource, Table, Type};

/// Columns that pearlift writes by itself.
const OWN: [&str; 3] = [EXTRACTED_AT, RUN_ID, DELETED_AT];

/// The columns of a resource that concern people.
#[derive(Clone, Debug, Default)]
pub struct PersonColumns {
    tables: BTreeMap<String, PersonTable>,
    /// Fields of the source by which a document is recognised.
    pub fields: Vec<String>,
}

/// The columns of a table.
#[derive(Clone, Debug)]
struct PersonTable {
    /// Columns that hold the ids of people.
    references: Vec<String>,
    /// Every known column, and whether it is emptied.
    columns: BTreeMap<String, bool>,
}

/// The key columns of the main tables of people. Refuses (`Schema`) a catalogue without people.
pub fn people(catalog: &Catalog) -> Result<Vec<ReferenceTarget>> {
    let of = |resource: &Resource| {
        let table = resource.main_table();
        ReferenceTarget { table: table.name.clone(), column: table.columns[table.key[0]].name.clone() }
    };
    let people: Vec<ReferenceTarget> =
        catalog.resources().iter().filter(|resource| resource.holds_people).map(of).collect();
    if people.is_empty() {
        return Err(Failure::new(Kind::Schema, "find people")
            .because("no schema file states `people = true`")
            .advise("add `people = true` to the schema file of your --schemas folder that has the people"));
    }
    Ok(people)
}

impl PersonColumns {
    /// Those of a resource.
    pub fn of(resource: &Resource, people: &[ReferenceTarget]) -> Self {
        let tables = || resource.tables.iter().chain(&resource.excluded_tables);
        let fields = tables().flat_map(|table| {
            let columns = references(resource, table, people);
            columns.into_iter().flat_map(|column| &column.from).map(|source| last_name(&source.to_string()))
        });
        let mut fields: Vec<String> = fields.collect();
        fields.sort_unstable();
        fields.dedup();
        let tables = tables().map(|table| {
            let references = references(resource, table, people).iter().map(|column| column.name.clone()).collect();
            let columns = table.columns.iter().chain(&table.excluded_columns);
            let columns = columns.map(|column| (column.name.clone(), is_emptied(column))).collect();
            (table.name.clone(), PersonTable { references, columns })
        });
        Self { tables: tables.collect(), fields }
    }

    /// The columns of a table that hold ids of people.
    pub fn references(&self, table: &str) -> &[String] {
        self.tables.get(table).map(|table| table.references.as_slice()).unwrap_or_default()
    }

    /// Whether any row can be a person's.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(|table| table.references.is_empty())
    }

    /// For each row of a batch whether it has the id of a forgotten person.
    pub fn recognise(&self, table: &str, batch: &RecordBatch, list: &ForgottenList) -> Vec<bool> {
        let mut found = vec![false; batch.num_rows()];
        for column in self.references(table).iter().filter_map(|name| batch.column_by_name(name)) {
            for (row, found) in found.iter_mut().enumerate().filter(|(row, found)| !**found && column.is_valid(*row)) {
                *found = match column.data_type() {
                    DataType::Int64 => list.includes(column.as_primitive::<Int64Type>().value(row)),
                    DataType::Utf8 => list.includes_text(column.as_string::<i32>().value(row)),
                    _ => false,
                };
            }
        }
        found
    }

    /// The batch without the values of the rows that are a person's, and the number of rows that had some; none where no row
    /// had any.
    pub fn empty(&self, table: &str, batch: &RecordBatch, theirs: &[bool]) -> Result<Option<(RecordBatch, u64)>> {
        let mut columns = batch.columns().to_vec();
        let mut had = vec![false; batch.num_rows()];
        let mask = BooleanArray::from(theirs.to_vec());
        for (field, column) in batch.schema_ref().fields().iter().zip(&mut columns) {
            if !self.empties(table, field) {
                continue;
            }
            let rows = (0..batch.num_rows()).filter(|row| theirs[*row] && column.is_valid(*row));
            let rows: Vec<usize> = rows.collect();
            if rows.is_empty() {
                continue;
            }
            rows.into_iter().for_each(|row| had[row] = true);
            *column = without(column, &mask)?;
        }
        let rows = u64::try_from(had.iter().filter(|had| **had).count()).expect("a length fits");
        if rows == 0 {
            return Ok(None);
        }
        let emptied = RecordBatch::try_new(Arc::clone(batch.schema_ref()), columns)
            .map_err(|error| Failure::new(Kind::Bug, "empty rows").caused(error))?;
        Ok(Some((emptied, rows)))
    }

    /// The texts that are emptied in the rows that are a person's.
    pub fn texts(&self, table: &str, batch: &RecordBatch, theirs: &[bool]) -> Vec<String> {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let emptied = fields.filter(|(field, _)| self.empties(table, field) && *field.data_type() == DataType::Utf8);
        let texts = emptied.flat_map(|(_, column)| {
            let column = column.as_string::<i32>();
            let rows = (0..batch.num_rows()).filter(|row| theirs[*row] && column.is_valid(*row));
            rows.map(|row| column.value(row).to_owned())
        });
        texts.collect()
    }

    /// Whether a column of a file is emptied: one that is marked, `_extra`, and any text that the schema does not know.
    fn empties(&self, table: &str, field: &Field) -> bool {
        let name = field.name();
        if !field.is_nullable() || OWN.contains(&name.as_str()) {
            return false;
        }
        let known = self.tables.get(table).and_then(|table| table.columns.get(name));
        name == EXTRA || known.copied().unwrap_or(*field.data_type() == DataType::Utf8)
    }
}

/// A column of nulls where the mask is true.
fn without(column: &ArrayRef, mask: &BooleanArray) -> Result<ArrayRef> {
    let null = Scalar::new(new_null_array(column.data_type(), 1));
    zip(mask, &null, column).map_err(|error| Failure::new(Kind::Bug, "empty a column").caused(error))
}

/// The columns of a table that hold ids of people: of people themselves the record key alone.
fn references<'a>(resource: &Resource, table: &'a Table, people: &[ReferenceTarget]) -> Vec<&'a Column> {
    if resource.holds_people {
        return vec![&table.columns[table.key[0]]];
    }
    let leads = |column: &&Column| {
        !column.meaning.acting && column.meaning.references.targets().iter().any(|target| people.contains(target))
    };
    table.columns.iter().filter(leads).collect()
}

fn is_emptied(column: &Column) -> bool {
    column.meaning.personal || matches!(column.kind, Type::Hash { .. })
}

/// The last name of a path; empty where the value is an entry itself, or a key.
fn last_name(path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or_default();
    if last.contains(['^', '$', '@', '*']) { String::new() } else { last.to_owned() }
}
