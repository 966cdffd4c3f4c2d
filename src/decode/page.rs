//! A page: the answer to one request, as rows.

use std::borrow::Cow;

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::asked::Asked;
use crate::decode::envelope::{field, first_line, flag, with_envelope};
use crate::decode::kinds::KindCounts;
use crate::decode::record::{Walked, Walker};
use crate::decode::rejected::{RejectedCounts, RejectedRecord};
use crate::decode::search::read_search;
use crate::decode::shape::{Shape, Take};
use crate::decode::table_rows::{DecodedRecord, TableRows};
use crate::fetch::{Body, Broken, Filter, SearchPage};
use crate::manifest::Key;
use crate::schema::PathStep;

/// Bytes of rows that are granted to an answer of any length: those of thirty thousand short records.
const FEW_ROWS: usize = 8 << 20;
/// Characters of a text of the source that are shown.
const SHOWN: usize = 120;

/// A decoded page.
#[derive(Clone, Debug)]
pub struct Page {
    pub records: Vec<DecodedRecord>,
    /// In the order of the resource's tables.
    pub tables: Vec<TableRows>,
    pub rejected_records: Vec<RejectedRecord>,
    /// Rows that are left out, their records without them, and older records of a key that came twice.
    pub rejected_rows: Vec<RejectedRecord>,
    pub rejected_values: RejectedCounts,
    /// The kinds of the values at each place.
    pub kinds: KindCounts,
    /// Records that came, those without a key among them.
    pub came: u64,
    /// The source states that the set, or the list, continues (docs/brightpearl-api.md §5.6).
    pub more: bool,
    /// The text of each record of a list that comes in pages.
    pub texts: Vec<(Key, String)>,
    /// Why the answer may lack records, by its own word or by its shape.
    pub partial: Option<String>,
    /// The statements of a search about itself.
    pub search: Option<SearchPage>,
}

/// Bytes that the rows of a text may take: those of documents take 0.6 to 2.2 times as many as their text.
fn most_rows(text: &[u8]) -> usize {
    FEW_ROWS + 3 * text.len()
}

/// Decodes documents of several ids.
pub fn documents(shape: &Shape, body: &Body) -> Result<Page, Broken> {
    answer(shape, body, &Asked::default(), false)
}

/// Decodes documents of a set, or a page of a list with their texts where the list has several pages. An answer of
/// another shape, or one that states errors, gives its documents and the reason why some may be missing.
pub fn answer(shape: &Shape, body: &Body, asked: &Asked, is_list: bool) -> Result<Page, Broken> {
    let text = body.flat_text()?;
    with_envelope(&text, |envelope| {
        let mut walker = Walker::new(shape, text.deep, most_rows(&text));
        walker.asked = asked.clone();
        let mut odd = None;
        if shape.records.is_empty() && envelope.response.is_null() {
            odd = Some("`response` is null".to_owned());
        } else if shape.records.is_empty() || is_document(shape, &envelope.response) {
            walker.document(None, 0, envelope.response.clone());
        } else {
            odd = each_record(&envelope.response, &shape.records, &mut |key, index, value| {
                walker.document(key, index, value);
            });
        }
        let more = envelope.pagination.as_ref().and_then(|pagination| flag(pagination, "morePagesAvailable"));
        let errors = envelope.errors.as_ref().map(|errors| format!("it states errors: {}", short(errors)));
        let texts = if is_list && (more.is_some() || shape.pages) { walker.texts() } else { Vec::new() };
        let mut page = Page::of(walker)?;
        (page.more, page.partial, page.texts) = (more.unwrap_or(false), errors.or(odd), texts);
        Ok(page)
    })
}

impl Page {
    fn of(walker: Walker<'_, '_>) -> Result<Self, Broken> {
        let Walked { records, tables, rejected_records, rejected_rows, rejected_values, kinds, came, full } =
            walker.finish();
        if full {
            return Err(Broken::new("its rows would take more memory than an answer of its length may"));
        }
        let texts = Vec::new();
        Ok(Self {
            records,
            tables,
            rejected_records,
            rejected_rows,
            rejected_values,
            kinds,
            came,
            more: false,
            texts,
            partial: None,
            search: None,
        })
    }
}

/// Whether a response is itself the document: its key is at its top.
fn is_document(shape: &Shape, response: &LazyValue<'_>) -> bool {
    if response.get_type() != JsonType::Object {
        return false;
    }
    shape.key.iter().any(|pick| {
        let Take::Slot { node, .. } = pick.take else { return false };
        let key = shape.path(node).into_iter().try_fold(response.clone(), |value, name| field(&value, name));
        key.is_some_and(|key| matches!(key.get_type(), JsonType::Number | JsonType::String))
    })
}

/// The beginning of a value's text. `…` marks the cut, so that half of a secret is recognised.
fn short(value: &LazyValue<'_>) -> String {
    let text = value.as_raw_str();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Decodes search rows.
pub fn rows(shape: &Shape, body: &Body, row: &str, filters: &[Filter]) -> Result<Page, Broken> {
    let text = body.flat_text()?;
    with_envelope(&text, |envelope| {
        if let Some(errors) = &envelope.errors {
            return Err(Broken::new(format!("the search states errors: {}", short(errors))));
        }
        let (search, results) = read_search(&envelope.response, row, filters)?;
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
        let mut walker = Walker::new(shape, text.deep, most_rows(&text));
        for (index, result) in results.into_iter().enumerate() {
            let cells = result.clone().into_array_iter().into_iter().flatten().flatten();
            let cells = cells.enumerate().filter_map(|(place, value)| {
                let column = columns.get(place)?;
                Some((column.map_err(|_| names[place].as_str()), value))
            });
            walker.row(index, cells, result);
        }
        let mut page = Page::of(walker)?;
        for column in shape.missing(&search) {
            page.rejected_values.count_missing(column, search.rows);
        }
        Ok(Page { search: Some(search), ..page })
    })
}

/// The ready-made GET paths of an OPTIONS answer (docs/brightpearl-api.md §5.8).
pub fn uris(body: &Body) -> Result<Vec<String>, Broken> {
    let text = body.text()?;
    with_envelope(&text, |envelope| {
        let uris = field(&envelope.response, "getUris").ok_or_else(|| Broken::new("the answer holds no `getUris`"))?;
        let items = uris.into_array_iter().ok_or_else(|| Broken::new("`getUris` is no list"))?;
        items
            .map(|item| {
                let item = item.map_err(|error| Broken::new(first_line(&error)))?;
                item.as_str().map(str::to_owned).ok_or_else(|| Broken::new("an entry of `getUris` is not a text"))
            })
            .collect()
    })
}

/// Calls `take` for every record at the end of the steps; gives how the value is of another shape, if it is.
fn each_record<'a>(
    value: &LazyValue<'a>,
    steps: &[PathStep],
    take: &mut impl FnMut(Option<Cow<'a, str>>, usize, LazyValue<'a>),
) -> Option<String> {
    let (step, rest) = steps.split_first().expect("a path of records ends in `*`");
    let mut odd = None;
    match step {
        PathStep::Field(name) => match field(value, name) {
            Some(below) => odd = each_record(&below, rest, take),
            None if value.get_type() == JsonType::Object => {}
            None => odd = Some("`response` is no map".to_owned()),
        },
        PathStep::Each => match value.get_type() {
            JsonType::Object => {
                for (index, (key, entry)) in
                    value.clone().into_object_iter().into_iter().flatten().flatten().enumerate()
                {
                    if rest.is_empty() {
                        take(Some(key), index, entry);
                    } else {
                        odd = odd.or(each_record(&entry, rest, take));
                    }
                }
            }
            JsonType::Array => {
                for (index, entry) in value.clone().into_array_iter().into_iter().flatten().flatten().enumerate() {
                    if rest.is_empty() {
                        take(None, index, entry);
                    } else {
                        odd = odd.or(each_record(&entry, rest, take));
                    }
                }
            }
            JsonType::Null => odd = Some("`response` is null".to_owned()),
            _ => odd = Some("`response` is neither a list nor a map".to_owned()),
        },
    }
    odd
}
