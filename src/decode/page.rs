//! A page: what came back for one request, as rows.

use std::borrow::Cow;

use arrow_array::RecordBatch;
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::misfit::{MisfitRecord, Misfits};
use crate::decode::record::Walker;
use crate::decode::search::read_search;
use crate::decode::shape::Shape;
use crate::fetch::{Body, Broken, Filter, SearchPage};
use crate::manifest::Key;
use crate::schema::Step;

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub key: Key,
    /// By these, in turn, the newer of two copies is told.
    pub newer: Vec<Option<i64>>,
    /// Days since 1970 of the month's first, or the bucket; 0 where there is no partition, or no date.
    pub partition: i32,
    /// Some row of it lacks a required value: it is kept whole as a misfit.
    pub fits: bool,
}

/// A table's rows in a page: its columns and `_extra`, and for each row its owner's place in [`Page::owners`].
#[derive(Clone, Debug)]
pub struct TableRows {
    pub batch: RecordBatch,
    pub owners: Vec<u32>,
}

/// A decoded page.
#[derive(Clone, Debug)]
pub struct Page {
    pub owners: Vec<Owner>,
    /// In the order of the resource's tables.
    pub tables: Vec<TableRows>,
    pub records: Vec<MisfitRecord>,
    pub misfits: Misfits,
    /// The source says that the set goes on (API notes §5, contact).
    pub more: bool,
    /// What a search says of itself.
    pub search: Option<SearchPage>,
}

/// The parts of an answer.
pub struct Envelope<'a> {
    pub response: LazyValue<'a>,
    pub pagination: Option<LazyValue<'a>>,
}

/// Takes an answer apart; the text must be whole JSON from end to end.
pub fn envelope(text: &[u8]) -> Result<Envelope<'_>, Broken> {
    let mut response = None;
    let mut pagination = None;
    let text = std::str::from_utf8(text).map_err(|error| Broken::new(format!("the body is no UTF-8: {error}")))?;
    // This reads to the end: it refuses a cut off answer, and two answers in one body.
    let whole: LazyValue<'_> = sonic_rs::from_str(text)
        .map_err(|error| Broken::new(format!("the body is no whole JSON: {}", first_line(&error))))?;
    let entries = whole.into_object_iter().ok_or_else(|| Broken::new("the body is no JSON object"))?;
    for entry in entries {
        let (key, value) = entry.map_err(|error| Broken::new(first_line(&error)))?;
        match key.as_ref() {
            "response" => response = Some(value),
            "pagination" => pagination = Some(value),
            _ => {}
        }
    }
    let response = response.ok_or_else(|| Broken::new("the body holds no `response`"))?;
    Ok(Envelope { response, pagination })
}

/// Errors of the reader quote the text over several lines; one is enough.
fn first_line(error: &sonic_rs::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Decodes documents.
pub fn documents(shape: &Shape, body: &Body) -> Result<Page, Broken> {
    let text = body.flat_text()?;
    let envelope = envelope(&text)?;
    let mut walker = Walker::new(shape, text.deep);
    each_record(&envelope.response, &shape.records, &mut |key, index, value| walker.document(key, index, value))?;
    let more =
        envelope.pagination.as_ref().and_then(|pagination| flag(pagination, "morePagesAvailable")).unwrap_or(false);
    let (owners, tables, records, misfits) = walker.finish();
    Ok(Page { owners, tables, records, misfits, more, search: None })
}

/// Decodes search rows.
pub fn rows(shape: &Shape, body: &Body, row: &str, filter: Option<&Filter>) -> Result<Page, Broken> {
    let text = body.flat_text()?;
    let envelope = envelope(&text)?;
    let (search, results) = read_search(&envelope.response, row, filter)?;
    let columns: Vec<Result<usize, &str>> = search
        .columns
        .iter()
        .map(|column| {
            let fields = &shape.nodes[0].fields;
            fields.iter().copied().find(|node| shape.nodes[*node].name == column.name).ok_or(column.name.as_str())
        })
        .collect();
    // Column names outlive the walk: they are copied once a page.
    let names: Vec<String> = search.columns.iter().map(|column| column.name.clone()).collect();
    let mut walker = Walker::new(shape, text.deep);
    for (index, result) in results.into_iter().enumerate() {
        let raw = result.as_raw_str().to_owned();
        let cells = result.into_array_iter().into_iter().flatten().flatten();
        let cells = cells.enumerate().filter_map(|(place, value)| {
            let column = columns.get(place)?;
            Some((column.map_err(|_| names[place].as_str()), value))
        });
        walker.row(index, cells, &raw);
    }
    let (owners, tables, records, mut misfits) = walker.finish();
    for column in shape.missing(&search) {
        misfits.count_missing(column, search.rows);
    }
    Ok(Page { owners, tables, records, misfits, more: false, search: Some(search) })
}

/// The ready-made GET paths of an OPTIONS answer (API notes §5).
pub fn uris(body: &Body) -> Result<Vec<String>, Broken> {
    let text = body.text()?;
    let envelope = envelope(&text)?;
    let uris = field(&envelope.response, "getUris").ok_or_else(|| Broken::new("the answer holds no `getUris`"))?;
    let items = uris.into_array_iter().ok_or_else(|| Broken::new("`getUris` is no list"))?;
    items
        .map(|item| {
            let item = item.map_err(|error| Broken::new(first_line(&error)))?;
            item.as_str().map(str::to_owned).ok_or_else(|| Broken::new("an entry of `getUris` is no text"))
        })
        .collect()
}

/// Calls `take` for every record at the end of the steps.
fn each_record<'a>(
    value: &LazyValue<'a>,
    steps: &[Step],
    take: &mut impl FnMut(Option<Cow<'a, str>>, usize, LazyValue<'a>),
) -> Result<(), Broken> {
    let (step, rest) = steps.split_first().expect("a path of records ends in `*`");
    match step {
        Step::Field(name) => match field(value, name) {
            Some(below) => each_record(&below, rest, take),
            None => Ok(()),
        },
        Step::Each => match value.get_type() {
            JsonType::Object => {
                for (index, (key, entry)) in
                    value.clone().into_object_iter().into_iter().flatten().flatten().enumerate()
                {
                    if rest.is_empty() { take(Some(key), index, entry) } else { each_record(&entry, rest, take)? }
                }
                Ok(())
            }
            JsonType::Array => {
                for (index, entry) in value.clone().into_array_iter().into_iter().flatten().flatten().enumerate() {
                    if rest.is_empty() { take(None, index, entry) } else { each_record(&entry, rest, take)? }
                }
                Ok(())
            }
            JsonType::Null => Ok(()),
            _ => Err(Broken::new("`response` holds neither a list nor a map")),
        },
    }
}

/// A field of an object.
pub fn field<'a>(value: &LazyValue<'a>, name: &str) -> Option<LazyValue<'a>> {
    value.clone().into_object_iter()?.flatten().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A boolean field of an object.
pub fn flag(value: &LazyValue<'_>, name: &str) -> Option<bool> {
    field(value, name)?.as_bool()
}
