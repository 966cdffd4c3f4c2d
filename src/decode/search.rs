//! Search answers (docs/brightpearl-api.md §4.2): rows aligned with the columns that the same answer names.

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::builder::{ColumnValue, Token};
use crate::decode::envelope::{field, flag, with_envelope};
use crate::decode::moment::{timestamp, timestamp_micros};
use crate::decode::number::whole;
use crate::fetch::{Body, Broken, ColumnMeta, Filter, SearchPage};
use crate::quantity::plural;

/// Characters of a value that are shown.
const SHOWN: usize = 120;

/// A row of a search for ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRow {
    pub id: i64,
    pub row: i64,
    /// The values of the columns asked for beside the ids, as text; none where null.
    pub stamps: Vec<Option<String>>,
}

/// A page of a search for ids.
#[derive(Clone, Debug)]
pub struct IdRows {
    pub search: SearchPage,
    pub rows: Vec<IdRow>,
}

/// Decodes a page of a search for ids: `id` and `row` are columns, `stamps` more columns wanted.
pub fn ids(body: &Body, id: &str, row: &str, stamps: &[String], filters: &[Filter]) -> Result<IdRows, Broken> {
    let text = body.text()?;
    with_envelope(&text, |envelope| read_ids(&envelope.response, id, row, stamps, filters))
}

fn read_ids(
    response: &LazyValue<'_>,
    id: &str,
    row: &str,
    stamps: &[String],
    filters: &[Filter],
) -> Result<IdRows, Broken> {
    let (search, results) = read_search(response, row, filters)?;
    let place = |name: &str| search.columns.iter().position(|column| column.name == name);
    let missing = |name: &str| Broken::new(format!("the search does not return the column `{name}`"));
    let id_place = place(id).ok_or_else(|| missing(id))?;
    let row_place = place(row).ok_or_else(|| missing(row))?;
    let stamp_places =
        stamps.iter().map(|name| place(name).ok_or_else(|| missing(name))).collect::<Result<Vec<_>, _>>()?;
    let rows = results
        .into_iter()
        .map(|result| {
            let cells: Vec<LazyValue<'_>> = result.into_array_iter().into_iter().flatten().flatten().collect();
            let cell = |place: usize| cells.get(place).filter(|cell| !cell.is_null());
            let number = |place: usize, name: &str| {
                cell(place).and_then(number).ok_or_else(|| Broken::new(format!("a row of the search has no `{name}`")))
            };
            let stamp = |place: &usize| {
                cell(*place).and_then(|cell| Some(Token::of(&ColumnValue::Json(cell))?.text.into_owned()))
            };
            let own = number(id_place, id)?;
            // It would be requested, and spoil the set that it is asked with.
            if own < 1 {
                return Err(Broken::new(format!("a row of the search has the `{id}` {own}")));
            }
            Ok(IdRow { id: own, row: number(row_place, row)?, stamps: stamp_places.iter().map(stamp).collect() })
        })
        .collect::<Result<Vec<_>, Broken>>()?;
    Ok(IdRows { search, rows })
}

/// Decodes the statements of a search page about itself, whether or not its rows have readable ids.
pub fn search_page(body: &Body, row: &str, filters: &[Filter]) -> Result<SearchPage, Broken> {
    let text = body.text()?;
    with_envelope(&text, |envelope| read_search(&envelope.response, row, filters).map(|(search, _)| search))
}

/// Decodes a `/meta-data` answer: the columns of a search.
pub fn meta_data(body: &Body) -> Result<Vec<ColumnMeta>, Broken> {
    let text = body.text()?;
    with_envelope(&text, |envelope| {
        let meta = field(&envelope.response, "metaData").unwrap_or_else(|| envelope.response.clone());
        read_columns(&meta)
    })
}

/// Reads metaData and rows of a search.
pub fn read_search<'a>(
    response: &LazyValue<'a>,
    row: &str,
    filters: &[Filter],
) -> Result<(SearchPage, Vec<LazyValue<'a>>), Broken> {
    let meta = field(response, "metaData").ok_or_else(|| Broken::new("the search holds no `metaData`"))?;
    let results = field(response, "results").ok_or_else(|| Broken::new("the search holds no `results`"))?;
    let columns = read_columns(&meta)?;
    let results: Vec<LazyValue<'a>> =
        results.into_array_iter().ok_or_else(|| Broken::new("`results` is no list"))?.flatten().collect();
    let row_place = columns.iter().position(|column| column.name == row);
    let place = |filter: &Filter| columns.iter().position(|column| column.name == filter.column());
    let filters: Vec<_> = filters.iter().map(|filter| (filter, place(filter))).collect();
    let mut first = None;
    let mut last: Option<i64> = None;
    let mut last_at = 0;
    let (mut ascending, mut descending, mut repeats) = (true, true, false);
    let mut unfiltered = None;
    let mut ids = Vec::with_capacity(results.len());
    for (at, result) in results.iter().enumerate() {
        if result.get_type() != JsonType::Array {
            return Err(Broken::new("a row of the search is not a list"));
        }
        let cells: Vec<LazyValue<'_>> = result.clone().into_array_iter().into_iter().flatten().flatten().collect();
        if cells.len() != columns.len() {
            let counts = format!("{} for {}", plural(cells.len(), "value"), plural(columns.len(), "column"));
            return Err(Broken::new(format!("a row of the search has {counts}")));
        }
        if let Some(value) = row_place.and_then(|place| cells.get(place)).and_then(number) {
            first = first.or(Some(value));
            ascending &= last.is_none_or(|last| last <= value);
            descending &= last.is_none_or(|last| last >= value);
            repeats |= last == Some(value);
            last = Some(value);
            last_at = at;
            ids.push(value);
        }
        if unfiltered.is_none() {
            let cell = |place: &Option<usize>| place.and_then(|place| cells.get(place));
            let broken = filters.iter().find(|(filter, place)| !admits(filter, cell(place)));
            unfiltered = broken.map(|(filter, place)| {
                let shown = |cell: &LazyValue<'_>| cell.as_raw_str().chars().take(SHOWN).collect();
                (filter.column().to_owned(), cell(place).map_or_else(|| "no value".to_owned(), shown))
            });
        }
    }
    let counted = |name: &str| {
        let value = field(&meta, name)?;
        number(&value).and_then(|value| u64::try_from(value).ok())
    };
    let page = SearchPage {
        rows: u64::try_from(results.len()).expect("a length fits"),
        results_available: counted("resultsAvailable"),
        last_result: counted("lastResult"),
        more: flag(&meta, "morePagesAvailable"),
        columns,
        first,
        last,
        last_at: u64::try_from(last_at).expect("a place fits"),
        ascending,
        descending,
        repeats,
        ids,
        unfiltered,
    };
    Ok((page, results))
}

fn read_columns(meta: &LazyValue<'_>) -> Result<Vec<ColumnMeta>, Broken> {
    let columns = field(meta, "columns")
        .and_then(LazyValue::into_array_iter)
        .ok_or_else(|| Broken::new("the search's metaData has no `columns`"))?;
    columns
        .flatten()
        .map(|column| {
            let name = field(&column, "name").and_then(|name| name.as_str().map(str::to_owned));
            Ok(ColumnMeta {
                name: name.ok_or_else(|| Broken::new("a column of the search has no name"))?,
                sortable: flag(&column, "sortable").unwrap_or(false),
                filterable: flag(&column, "filterable").unwrap_or(false),
            })
        })
        .collect()
}

/// A whole number, in a text or not.
fn number(value: &LazyValue<'_>) -> Option<i64> {
    whole(Token::of(&ColumnValue::Json(value))?.text.as_bytes())
}

/// Whether a cell satisfies a filter; no cell, and null, do not.
fn admits(filter: &Filter, cell: Option<&LazyValue<'_>>) -> bool {
    let Some(token) = cell.and_then(|cell| Token::of(&ColumnValue::Json(cell)).map(|token| token.text.into_owned()))
    else {
        return false;
    };
    match filter {
        Filter::Period { window, .. } => {
            timestamp_micros(&token).is_some_and(|micros| window.admits(timestamp(micros)))
        }
        Filter::Bool { value, .. } => token == if *value { "true" } else { "false" },
        Filter::Ids { first, last, .. } => whole(token.as_bytes()).is_some_and(|id| (*first..=*last).contains(&id)),
        Filter::Is(constant) => token == constant.value,
    }
}
