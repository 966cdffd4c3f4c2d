//! Keys of `[read]` that do not go with its style, or with each other; and the line of the key that a failure names.

use crate::failure::{Failure, Kind, Result};
use crate::schema::file::{BranchFile, GetFile, ReadFile, StyleName};
use crate::schema::tables::Lines;

/// Parameters by which pages are requested: a path that has its own would be requested for one page only.
const OF_PAGES: [&str; 4] = ["pageSize=", "pageNum=", "firstResult=", "countOnly="];

/// Refuses keys that the style does not have.
pub fn refuse_misplaced(name: &str, file: &ReadFile) -> Result<()> {
    let wrong = |why: String| Err(Failure::new(Kind::Schema, "accept a schema file").at(name).because(why));
    let by_ids = matches!(file.style, StyleName::IdSets | StyleName::PerOwner);
    let changes = |has: &dyn Fn(&crate::schema::file::ChangesFile) -> bool| file.changes.as_ref().is_some_and(has);
    let is_search = file.style == StyleName::Search;
    let misplaced = [
        ("records", is_search && file.records.is_some()),
        ("get", is_search && file.get.is_some()),
        ("max_ids", !by_ids && file.max_ids.is_some()),
        ("split_on", !by_ids && !file.split_on.is_empty()),
        ("not_applicable", !by_ids && !file.not_applicable.is_empty()),
        ("changes.search", is_search && changes(&|changes| changes.search.is_some())),
        ("changes.id", is_search && changes(&|changes| changes.id.is_some())),
        ("changes.repeats", is_search && changes(&|changes| changes.repeats)),
        ("changes.same", is_search && changes(&|changes| !changes.same.is_empty())),
        ("changes.filters", is_search && changes(&|changes| !changes.filters.is_empty())),
        ("changes.open", is_search && changes(&|changes| changes.open.is_some())),
        ("filters", !is_search && !file.filters.is_empty()),
        ("pages", file.style != StyleName::List && file.pages.is_some()),
        ("repeats", file.style == StyleName::IdSets && file.repeats),
    ];
    if let Some((key, _)) = misplaced.iter().find(|(_, is_misplaced)| *is_misplaced) {
        return wrong(format!("`{key}` does not go with this style"));
    }
    let gets: Vec<&str> = file.get.iter().flat_map(GetFile::paths).collect();
    if file.style == StyleName::List && gets.iter().any(|get| get.contains("{ids}")) {
        return wrong("`get` of a list holds no {ids}".to_owned());
    }
    let braces = |get: &&str| get.replace("{ids}", "").contains(['{', '}']);
    if file.style != StyleName::PerOwner && gets.iter().any(braces) {
        return wrong("`get` holds a column in braces, which goes with `owners.held`".to_owned());
    }
    if gets.iter().any(|get| OF_PAGES.iter().any(|parameter| get.contains(parameter))) {
        return wrong("`get` has a page: pearlift adds the page itself".to_owned());
    }
    let inventory = file.inventory.as_ref();
    if inventory.is_some_and(|inventory| inventory.options.is_some() && !inventory.filters.is_empty()) {
        return wrong("`inventory.filters` goes with a search".to_owned());
    }
    let searches = [
        ("search", file.search.as_ref()),
        ("changes.search", file.changes.as_ref().and_then(|changes| changes.search.as_ref())),
        ("inventory.search", inventory.and_then(|inventory| inventory.search.as_ref())),
        ("inventory.windows", inventory.and_then(|inventory| inventory.windows.as_ref())),
        ("inventory.options", inventory.and_then(|inventory| inventory.options.as_ref())),
    ];
    if let Some((key, _)) = searches.iter().find(|(_, path)| path.is_some_and(|path| path.contains('?'))) {
        return wrong(format!("`{key}` is a path without parameters"));
    }
    if let Some(GetFile::Labelled(gets)) = &file.get {
        refuse_labels(gets, file).map_err(|failure| failure.at(name))?;
    }
    if file.pages.is_some() && (file.repeats || file.records.as_deref() == Some(".")) {
        return wrong("`pages` does not go with `repeats`, nor with an answer that is one record".to_owned());
    }
    if file.repeats && (file.changes.is_some() || !file.newer.is_empty()) {
        return wrong("`repeats` is for a resource that is read whole: without `changes` and `newer`".to_owned());
    }
    Ok(())
}

/// Several GETs are those of a list that has no pages by number, each with a path and a label of its own.
fn refuse_labels(gets: &[BranchFile], file: &ReadFile) -> Result<()> {
    let wrong = |why: &str| Err(Failure::new(Kind::Schema, "accept a schema file").because(why));
    if file.style != StyleName::List || file.pages.is_some() || file.records.as_deref() == Some(".") {
        return wrong("`get` with labels goes with a list without `pages`, and not with an answer that is one record");
    }
    let stands_twice = |(place, get): (usize, &BranchFile)| {
        gets[..place].iter().any(|other| other.path == get.path || other.label == get.label)
    };
    if gets.is_empty() || gets.iter().any(|get| get.label.is_empty()) || gets.iter().enumerate().any(stands_twice) {
        return wrong("`get` has several paths, each with a label, and none of them twice");
    }
    Ok(())
}

/// The failure at the line of the key of `[read]` that its reason names first, or of `[read]`.
pub fn at_its_line(failure: Failure, lines: Lines<'_>) -> Failure {
    let named = failure.reason().split('`').nth(1).map(|key| key.split(' ').next().unwrap_or(key).to_owned());
    let line = named.and_then(|key| line_of(&key, lines.text)).or_else(|| line_of("", lines.text));
    match line {
        Some(line) => failure.at(format!("{}.toml, line {line}", lines.name)),
        None => failure.at(format!("{}.toml", lines.name)),
    }
}

/// The line of a key below `[read]`, `changes.open`.
pub fn line_of(key: &str, text: &str) -> Option<usize> {
    let whole = toml::de::DeTable::parse(text).ok()?;
    let (read, value) = whole.get_ref().iter().find(|(name, _)| name.get_ref() == "read")?;
    let mut at = read.span().start;
    let mut here = value;
    for part in key.split('.').filter(|part| !part.is_empty()) {
        let (name, value) = here.get_ref().as_table()?.iter().find(|(name, _)| name.get_ref() == part)?;
        (at, here) = (name.span().start, value);
    }
    Some(text.get(..at)?.matches('\n').count() + 1)
}
