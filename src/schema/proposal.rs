//! Columns proposed for the fields that an account defines itself, as lines for a schema file.
//!
//! Takes a catalogue and the fields that the destination's tables define; gives the lines. Fields that have a column are left
//! out.

use std::collections::BTreeMap;

use crate::schema::{
    Catalog, Column, FieldDefinitions, Leaf, Origin, PathStep, References, Resource, Rows, Source, Table, Type,
    column_name,
};

/// Entries of a record by their names, which the records of other tables define.
#[derive(Clone, Debug)]
pub struct NamedEntries<'a> {
    /// The table with one row a record.
    pub main: &'a Table,
    /// The place of the entries in a record, such as `fields.own`.
    pub path: String,
    /// Their values may concern a person.
    pub personal: bool,
    pub definers: Vec<Definer<'a>>,
}

/// A table that defines fields.
#[derive(Clone, Copy, Debug)]
pub struct Definer<'a> {
    pub resource: &'a Resource,
    pub table: &'a Table,
    pub fields: &'a FieldDefinitions,
    /// The column that entries reference by their names.
    pub code: &'a str,
}

/// A field, as a record of a definer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedField {
    pub code: String,
    pub name: String,
    /// The type, and the name of the value where the values are maps; none of a code that the schema does not have.
    pub kind: Option<(Type, Option<String>)>,
}

impl Catalog {
    /// The entries of a resource's records that are defined elsewhere: the rows of a child table whose key in the map
    /// references a table with `fields`.
    pub fn named_entries<'a>(&'a self, resource: &'a Resource) -> Option<NamedEntries<'a>> {
        let main = resource.tables.iter().find(|table| table.rows == Rows::Record)?;
        resource.tables.iter().find_map(|table| {
            let path = entries(table)?;
            let is_key = |column: &&Column| {
                matches!(column.from.as_slice(), [Source { origin: Origin::Above(0), leaf: Leaf::Key }])
            };
            let key = table.columns.iter().find(is_key)?;
            let References::To(targets) = &key.meaning.references else { return None };
            let definers = targets.iter().filter_map(|target| {
                let resource = self.holder(&target.table)?;
                let table = resource.tables.iter().find(|table| table.name == target.table)?;
                Some(Definer { resource, table, fields: table.fields.as_ref()?, code: target.column.as_str() })
            });
            let definers: Vec<Definer<'_>> = definers.collect();
            let personal = table.columns.iter().any(|column| column.meaning.personal);
            (!definers.is_empty()).then_some(NamedEntries { main, path, personal, definers })
        })
    }
}

/// The place of a table's rows, where they are the entries of one map of the record.
fn entries(table: &Table) -> Option<String> {
    let Rows::Each(branches) = &table.rows else { return None };
    let [(steps, _)] = branches.as_slice() else { return None };
    let (last, names) = steps.split_last()?;
    let name = |step: &PathStep| match step {
        PathStep::Field(name) => Some(name.clone()),
        PathStep::Each => None,
    };
    let names: Vec<String> = names.iter().map(name).collect::<Option<_>>()?;
    (*last == PathStep::Each && !names.is_empty()).then(|| names.join("."))
}

impl NamedEntries<'_> {
    /// The lines of a column for each field, for the columns of the main table. Fields that have a column are left out, and
    /// so are those whose code no path can name.
    pub fn lines(&self, fields: &[DefinedField]) -> Vec<String> {
        let mut by_code: BTreeMap<&str, Vec<&DefinedField>> = BTreeMap::new();
        for field in fields {
            by_code.entry(&field.code).or_default().push(field);
        }
        let mut names: Vec<String> = self.main.columns.iter().map(|column| column.name.clone()).collect();
        let mut lines = Vec::new();
        for (code, fields) in by_code.into_iter().filter(|(code, _)| self.is_free(code)) {
            let first = fields[0];
            let name = column_name(&first.name, code, |name| names.iter().any(|known| known == name));
            let path = format!("{}.{code}", self.path);
            // Fields of one code and several types: only JSON takes the values of all.
            let kind = first.kind.as_ref().filter(|_| fields.iter().all(|field| field.kind == first.kind));
            let (kind, from) = match kind {
                Some((kind, Some(part))) => (*kind, format!("[\"{path}.{part}\", \"{path}\"]")),
                Some((kind, None)) => (*kind, format!("\"{path}\"")),
                None => (Type::Json, format!("\"{path}\"")),
            };
            let personal = if self.personal && kind != Type::Bool { ", personal = true" } else { "" };
            let about = description(code, &fields);
            lines.push(format!(
                "{{ name = \"{name}\", from = {from}, type = \"{kind}\"{personal}, description = \"{about}\" }}"
            ));
            names.push(name);
        }
        lines
    }

    /// Whether a path can name the code, and no column of the main table takes it yet.
    fn is_free(&self, code: &str) -> bool {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let path: Vec<&str> = self.path.split('.').chain([code]).collect();
        let takes = |source: &Source| match (&source.origin, &source.leaf) {
            (Origin::Above(0) | Origin::Record, Leaf::Fields(fields)) => {
                fields.len() >= path.len() && fields.iter().zip(&path).all(|(field, name)| field == name)
            }
            (_, _) => false,
        };
        let is_taken = self.main.columns.iter().flat_map(|column| &column.from).any(takes);
        !code.is_empty() && code.chars().all(is_plain) && !is_taken
    }
}

/// One line about a field, without letters that a text of TOML cannot have.
fn description(code: &str, fields: &[&DefinedField]) -> String {
    let mut names: Vec<&str> = fields.iter().map(|field| field.name.trim()).filter(|name| !name.is_empty()).collect();
    names.dedup();
    let plain = |letter: char| if letter.is_control() || matches!(letter, '"' | '\\') { ' ' } else { letter };
    let names: String = names.join(", ").chars().map(plain).collect();
    let names = names.split_whitespace().collect::<Vec<_>>().join(" ");
    if names.is_empty() { format!("The custom field {code}.") } else { format!("The custom field {code}: {names}.") }
}
