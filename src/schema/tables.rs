//! From the tables of a schema file as written to checked ones; a column that is wrong is refused with its line.

use toml::Spanned;

use crate::failure::{Failure, Kind, Result};
use crate::schema::describe::{CodeLists, meaning, text};
use crate::schema::file::{BranchFile, ColumnFile, RowsFile, TableFile};
use crate::schema::path::parse_rows;
use crate::schema::{
    Column, Confidence, EXTRA, EXTRACTED_AT, FieldDefinitions, Origin, Partition, PathStep, RUN_ID, Rows, Source,
    Split, Table, Type,
};

/// A schema file's name and text, by which a failure names its line.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

impl Lines<'_> {
    /// The line of a place in the text, from 1.
    fn of(self, place: usize) -> usize {
        self.text.get(..place).unwrap_or(self.text).matches('\n').count() + 1
    }

    pub(super) fn place(self, table: &str, line: usize) -> String {
        format!("{}.toml, {table}, line {line}", self.name)
    }
}

/// Checks a table; `confidence` is that of its file.
pub fn check_table(
    name: &Spanned<String>,
    file: TableFile,
    confidence: Confidence,
    codes: CodeLists<'_>,
    lines: Lines<'_>,
) -> Result<Table> {
    let (line, name) = (lines.of(name.span().start), name.as_ref());
    let place = |failure: Failure| failure.at(lines.place(name, line));
    if !is_name(name) || is_device(name) {
        let rule = "a table's name has at most 63 small letters, digits and `_`, begins with a letter, and is not a Windows device name";
        return Err(place(wrong(rule)));
    }
    let rows = check_rows(file.rows).map_err(place)?;
    let confidence = file.confidence.map_or(confidence, Confidence::from);
    let mut columns: Vec<Column> = Vec::new();
    for column in file.columns {
        let line = lines.of(column.span().start);
        let column = check_column(column.into_inner(), &columns, rows.depth(), (confidence, line), codes);
        columns.push(column.map_err(|failure| failure.at(lines.place(name, line)))?);
    }
    let key = check_key(&file.key, &columns).map_err(place)?;
    let again = check_again(file.again, &rows, file.split.is_some()).map_err(place)?;
    let split = check_split(file.split, file.skip, &rows).map_err(place)?;
    check_tried(&columns).map_err(place)?;
    let fields = file.fields.map(|fields| FieldDefinitions::check(fields, &columns)).transpose();
    let fields = fields.map_err(|why| place(wrong(why)))?;
    debug_assert!(
        ![EXTRA, EXTRACTED_AT, RUN_ID].iter().any(|name| is_name(name)),
        "a schema cannot use pearlift's own names"
    );
    Ok(Table {
        name: name.clone(),
        description: text("description", file.description).map_err(place)?,
        rows,
        again,
        split,
        columns,
        excluded_columns: Vec::new(),
        key,
        partition: Partition::None,
        fields,
    })
}

fn wrong(why: impl Into<String>) -> Failure {
    Failure::new(Kind::Schema, "accept a table").because(why)
}

fn check_rows(file: Option<RowsFile>) -> Result<Rows> {
    let branches = match file {
        None => return Ok(Rows::Record),
        Some(RowsFile::One(path)) => vec![(parse_rows(&path)?, None)],
        Some(RowsFile::Labelled(branches)) => branches
            .into_iter()
            .map(|BranchFile { path, label }| Ok((parse_rows(&path)?, Some(label))))
            .collect::<Result<_>>()?,
    };
    let depth = |steps: &[PathStep]| steps.iter().filter(|step| **step == PathStep::Each).count();
    match branches.first().map(|(steps, _)| depth(steps)) {
        Some(first) if branches.iter().all(|(steps, _)| depth(steps) == first) => Ok(Rows::Each(branches)),
        _ => Err(wrong("the paths of `rows` must be equally deep")),
    }
}

fn check_column(
    file: ColumnFile,
    others: &[Column],
    depth: usize,
    (confidence, line): (Confidence, usize),
    codes: CodeLists<'_>,
) -> Result<Column> {
    if !is_name(&file.name) || others.iter().any(|other| other.name == file.name) {
        return Err(wrong(format!("column `{}` is not a name in small letters, or occurs twice", file.name)));
    }
    let from = file.from.paths().iter().map(|path| Source::parse(path)).collect::<Result<Vec<_>>>()?;
    for source in &from {
        let too_high = matches!(source.origin, Origin::Above(above) if above > depth);
        if too_high {
            return Err(wrong(format!("`from` of column `{}` points outside the record", file.name)));
        }
    }
    if from.is_empty() {
        return Err(wrong(format!("column `{}` has no `from`", file.name)));
    }
    let kind = Type::parse(&file.kind)?;
    if matches!(kind, Type::Hash { .. }) {
        return Err(Failure::new(Kind::Schema, "read a column type")
            .at(&file.kind)
            .because("hashes are chosen by the settings, not by a schema file")
            .advise("write the type of the value, and the column under `hash_columns` in the settings"));
    }
    let meaning = meaning(&file, kind, confidence, line, codes)?;
    if file.tried && (file.required || matches!(kind, Type::String | Type::Json)) {
        return Err(wrong(format!("column `{}` is required or takes any text, and `tried`", file.name)));
    }
    Ok(Column { name: file.name, from, kind, required: file.required, tried: file.tried, meaning })
}

/// The steps from an entry to those further down: names, and one `*` at the end.
fn check_again(path: Option<String>, rows: &Rows, is_split: bool) -> Result<Vec<PathStep>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let steps = parse_rows(&path)?;
    let entries = steps.iter().filter(|step| **step == PathStep::Each).count();
    if *rows == Rows::Record || is_split || entries > 1 || steps.len() < 2 {
        return Err(wrong("`again` goes with `rows`, without `split`, and has one `*`, behind a name"));
    }
    Ok(steps)
}

/// A table that is split out of a text declares it with a path.
fn check_split(by: Option<String>, skip: Vec<String>, rows: &Rows) -> Result<Option<Split>> {
    match by {
        None if skip.is_empty() => Ok(None),
        None => Err(wrong("`skip` goes with `split`")),
        Some(by) if by.is_empty() || *rows == Rows::Record => Err(wrong("`split` is a text, and goes with `rows`")),
        Some(by) => Ok(Some(Split { by, skip })),
    }
}

/// A value that a tried column does not take is in another column: nothing is lost.
fn check_tried(columns: &[Column]) -> Result<()> {
    let takes_all = |column: &Column| !column.tried && matches!(column.kind, Type::String | Type::Json);
    for column in columns.iter().filter(|column| column.tried) {
        let has_another = |source: &Source| columns.iter().any(|other| takes_all(other) && other.from.contains(source));
        if !column.from.iter().all(has_another) {
            let why = "needs a column of type string or json that takes the same path";
            return Err(wrong(format!("column `{}` is `tried`, and {why}", column.name)));
        }
    }
    Ok(())
}

/// The places of the columns of a key.
fn check_key(key: &[String], columns: &[Column]) -> Result<Vec<usize>> {
    let find = |name: &String| {
        let index = columns.iter().position(|column| column.name == *name);
        let index = index.ok_or_else(|| wrong(format!("key column `{name}` is not a column")))?;
        if !columns[index].required || matches!(columns[index].kind, Type::Float64 | Type::Json) {
            return Err(wrong(format!("key column `{name}` must be required, and neither float64 nor json")));
        }
        Ok(index)
    };
    let places = key.iter().map(find).collect::<Result<Vec<_>>>()?;
    if places.is_empty() { Err(wrong("it has no key")) } else { Ok(places) }
}

/// snake_case: accepted by every engine without quotes, except for its reserved words.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 63
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Names that no folder can have where a destination is copied to Windows.
pub fn is_device(name: &str) -> bool {
    let numbered = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
    matches!(name, "con" | "prn" | "aux" | "nul")
        || numbered.is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
}
