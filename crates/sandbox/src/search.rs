//! Searches (docs/brightpearl-api.md §4.1, §4.2, §4.3): filters, sorting, pages, and the statements of the answer about
//! itself.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use crate::account::Account;
use crate::fixture::Fixture;
use crate::idset;
use crate::query::{ColumnFilter, SearchRequest};
use crate::record::{Cell, ColumnHead};
use crate::reply::Reply;
use crate::resource::ResourceId;
use crate::settings::SandboxSettings;
use crate::text::string;

/// Parameters that are no filters.
const OWN: [&str; 6] = ["columns", "sort", "pageSize", "firstResult", "lastResult", "countOnly"];

/// Answers a search with these parameters, raw except for percent signs decoded.
pub fn search(
    account: &Account,
    settings: &SandboxSettings,
    name: &str,
    resource: ResourceId,
    parameters: &[(String, String)],
) -> Reply {
    let fixture = account.fixture(resource);
    let (columns, id_place) = fixture.columns().expect("a search has columns");
    let unsorted = settings.unsorted.iter().any(|unsorted| unsorted == name);
    let columns: Vec<ColumnHead<'_>> =
        columns.iter().map(|column| ColumnHead { sortable: column.sortable && !unsorted, ..*column }).collect();
    let columns = columns.as_slice();
    let filters = match filters(settings, name, fixture, columns, parameters) {
        Ok(filters) => filters,
        Err(refused) => return refused,
    };
    let value = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    // Where nothing can be sorted, the newest come first, and a wish to sort is ignored.
    let (sorted, descending) = match sorting(columns, id_place, value("sort")) {
        _ if unsorted => (id_place, true),
        Ok(sorting) => sorting,
        Err(refused) => return refused,
    };
    let chosen: Vec<usize> = match value("columns") {
        None => (0..columns.len()).collect(),
        Some(text) => {
            let places = text.split(',').map(|name| columns.iter().position(|column| column.name == name));
            match places.collect::<Option<Vec<usize>>>() {
                Some(places) => places,
                None => return Reply::error(400, "CMNC-019", &format!("A column of {text} is unknown")),
            }
        }
    };
    let number = |wanted: &str, otherwise: usize| value(wanted).map_or(Some(otherwise), |text| text.parse().ok());
    let (Some(size), Some(first)) = (number("pageSize", 500), number("firstResult", 1)) else {
        return Reply::error(400, "CMNC-020", "pageSize and firstResult are numbers");
    };
    let (size, first) = (size.min(settings.page_cap).max(1), first.max(1));
    let query = SearchRequest {
        account,
        settings,
        resource,
        fixture,
        columns,
        id_place,
        filters: &filters,
        sorted,
        descending,
    };
    let (total, rows) = query.page(first, size);
    if value("countOnly") == Some("true") {
        let mut meta = String::new();
        meta_data(&mut meta, columns, &chosen, (columns[sorted], descending), None, (total, 0, first));
        return Reply::whole(format!("{{\"response\":{{\"results\":[],\"metaData\":{meta}}},\"reference\":{{}}}}"));
    }
    let claimed = fixture.claims(settings).unwrap_or(total);
    let more = first - 1 + rows.len() < total;
    let mut out = String::from("{\"response\":{\"results\":[");
    for (place, row) in rows.iter().enumerate() {
        out.push_str(if place > 0 { ",[" } else { "[" });
        for (place, column) in chosen.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            row[*column].write(&account.world.zone, &mut out);
        }
        out.push(']');
    }
    out.push_str("],\"metaData\":");
    meta_data(&mut out, columns, &chosen, (columns[sorted], descending), Some(more), (claimed, rows.len(), first));
    out.push_str("},\"reference\":");
    reference(&mut out, fixture, columns, &chosen, &rows);
    out.push('}');
    Reply::whole(out)
}

/// Describes a search without running it.
pub fn describe(fixture: &Fixture) -> Reply {
    let (columns, id_place) = fixture.columns().expect("a search has columns");
    let all: Vec<usize> = (0..columns.len()).collect();
    let mut out = String::from("{\"columns\":[");
    write_columns(&mut out, &columns, &all);
    out.push_str("],\"sorting\":[{\"filterable\":");
    write_column(&mut out, &columns[id_place]);
    out.push_str(",\"direction\":\"ASC\"}]}");
    Reply::good(&out)
}

fn filters(
    settings: &SandboxSettings,
    search: &str,
    fixture: &Fixture,
    columns: &[ColumnHead<'_>],
    parameters: &[(String, String)],
) -> Result<Vec<ColumnFilter>, Reply> {
    let mut filters = Vec::new();
    for (name, value) in parameters.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let Some(place) = columns.iter().position(|column| column.name == name && column.filterable) else {
            if settings.refuses_unknown_filter {
                return Err(Reply::error(400, "CMNC-021", &format!("The filter {name} is unknown")));
            }
            continue;
        };
        let kind_of = columns[place].kind;
        let wrong = || {
            let message = format!("The filter {name}={value} cannot be parsed as: {kind_of}");
            Reply::error(settings.bad_filter_status, "CMNC-018", &message)
        };
        let ignored = settings.ignored.iter().any(|ignored| ignored.search == search && ignored.filter == *name);
        let lied = fixture.ignores(settings, name);
        let filter = match kind_of {
            "PERIOD" => {
                let (from, to) = value.split_once('/').ok_or_else(wrong)?;
                let edge = |text: &str| match text {
                    "" => Ok(None),
                    text => text.parse::<Timestamp>().map(|at| Some(at.as_millisecond())).map_err(|_| wrong()),
                };
                ColumnFilter::Period(place, edge(from)?, edge(to)?)
            }
            "IDSET" => ColumnFilter::Ids(place, idset::parse(value).map_err(|_| wrong())?),
            "INTEGER" => ColumnFilter::Int(place, value.parse().map_err(|_| wrong())?),
            "BOOLEAN" => ColumnFilter::Bool(place, value.parse().map_err(|_| wrong())?),
            _ => ColumnFilter::Text(place, value.clone()),
        };
        if !ignored && !lied {
            filters.push(filter);
        }
    }
    Ok(filters)
}

/// The first column to sort by and its direction; `.` and `|` both part them.
fn sorting(columns: &[ColumnHead<'_>], otherwise: usize, text: Option<&str>) -> Result<(usize, bool), Reply> {
    let Some(text) = text else { return Ok((otherwise, false)) };
    let first = text.split(',').next().unwrap_or(text);
    let (name, direction) = first.split_once(['.', '|']).unwrap_or((first, "ASC"));
    let place = columns.iter().position(|column| column.name == name && column.sortable);
    match (place, direction) {
        (Some(place), "ASC") => Ok((place, false)),
        (Some(place), "DESC") => Ok((place, true)),
        _ => Err(Reply::error(400, "CMNC-022", &format!("Cannot sort by {text}"))),
    }
}

fn meta_data(
    out: &mut String,
    columns: &[ColumnHead<'_>],
    chosen: &[usize],
    (sorted, descending): (ColumnHead<'_>, bool),
    more: Option<bool>,
    (available, returned, first): (usize, usize, usize),
) {
    let _ = write!(
        out,
        "{{\"morePagesAvailable\":{},\"resultsAvailable\":{available},\"resultsReturned\":{returned}",
        more.unwrap_or(false)
    );
    if returned > 0 {
        let _ = write!(out, ",\"firstResult\":{first},\"lastResult\":{}", first + returned - 1);
    }
    out.push_str(",\"columns\":[");
    write_columns(out, columns, chosen);
    out.push_str("],\"sorting\":[{\"filterable\":");
    write_column(out, &sorted);
    let _ = write!(out, ",\"direction\":\"{}\"}}]}}", if descending { "DESC" } else { "ASC" });
}

fn write_columns(out: &mut String, columns: &[ColumnHead<'_>], chosen: &[usize]) {
    for (place, column) in chosen.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_column(out, &columns[*column]);
    }
}

fn write_column(out: &mut String, column: &ColumnHead<'_>) {
    let reference = column.reference.map_or_else(|| "[]".to_owned(), |name| format!("[\"{name}\"]"));
    let _ = write!(
        out,
        "{{\"name\":\"{}\",\"sortable\":{},\"filterable\":{},\"reportDataType\":\"{}\",\"referenceData\":{reference},\"isFreeTextSearchable\":{},\"required\":false}}",
        column.name,
        column.sortable,
        column.filterable,
        column.kind,
        column.kind == "SEARCH_STRING",
    );
}

/// The names that this page's rows refer to.
fn reference(out: &mut String, fixture: &Fixture, columns: &[ColumnHead<'_>], chosen: &[usize], rows: &[Vec<Cell>]) {
    let mut names: BTreeMap<&str, BTreeMap<i64, String>> = BTreeMap::new();
    for column in chosen {
        let Some(name) = columns[*column].reference else { continue };
        for row in rows {
            if let Cell::Int(id) = row[*column] {
                names.entry(name).or_default().insert(id, fixture.reference_name(name, id));
            }
        }
    }
    out.push('{');
    for (place, (name, values)) in names.iter().enumerate() {
        let _ = write!(out, "{}\"{name}\":{{", if place > 0 { "," } else { "" });
        for (place, (id, text)) in values.iter().enumerate() {
            let _ = write!(out, "{}\"{id}\":", if place > 0 { "," } else { "" });
            string(out, text);
        }
        out.push('}');
    }
    out.push('}');
}
