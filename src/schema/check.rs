//! From a schema file as written to a checked [`Resource`]; every rule of the grammar is enforced here.

use std::time::Duration;

use crate::failure::{Failure, Kind, Result};
use crate::schema::describe::CodeLists;
use crate::schema::file::{
    AlsoFromFile, ChangesFile, GetFile, InventoryFile, OpenFile, OwnersFile, PagesFile, ReadFile, SchemaFile,
    StyleName, TextsFile,
};
use crate::schema::filters::check_filters;
use crate::schema::hash::hash;
use crate::schema::held::in_path;
use crate::schema::path::parse_rows;
use crate::schema::placed::{at_its_line, line_of, refuse_misplaced};
use crate::schema::special::check_special;
use crate::schema::tables::{Lines, check_table, is_device, is_name};
use crate::schema::{
    AlsoFrom, Changes, Confidence, Count, Counted, Granularity, HeldIds, IdSearch, Inventory, Leaf, ListGet, Newer,
    Open, Origin, Owners, Pages, Partition, PartitionBy, PartitionChoice, PathStep, Read, ReadStyle, Resource,
    RowSearch, Rows, Source, Table, Type,
};

/// The most ids of a GET, if the file does not state it (docs/brightpearl-api.md §5.3).
const MAX_IDS: u16 = 200;

/// Reads one schema file. `name` is the resource's name, the file's name without its ending.
pub fn check(name: &str, text: &str) -> Result<Resource> {
    let file: SchemaFile = toml::from_str(text).map_err(|error| {
        Failure::new(Kind::Schema, "read a schema file").at(format!("{name}.toml")).unread(text, &error)
    })?;
    if !is_name(name) || is_device(name) {
        let rule = "a resource's name has at most 63 small letters, digits and `_`, begins with a letter, and is not a Windows device name";
        return Err(wrong(name, rule));
    }
    let mut tables = Vec::new();
    let mut partitions = Vec::new();
    let codes = CodeLists::of(&file.codes).map_err(|failure| failure.at(format!("{name}.toml")))?;
    let confidence = file.confidence.map(Confidence::from).unwrap_or_default();
    let lines = Lines { name, text };
    for (table_name, table) in file.tables.0 {
        partitions.push(table.partition.clone());
        tables.push(check_table(&table_name, table, confidence, codes, lines)?);
    }
    if tables.is_empty() {
        return Err(wrong(name, "it has no table"));
    }
    let key = file.read.key.paths().iter().map(|path| Source::parse(path)).collect::<Result<Vec<_>>>();
    let key = key.map_err(|failure| failure.at(format!("schema {name}")))?;
    let key_type = check_record_keys(name, &key, &tables)?;
    let partition = check_partition(name, &tables, &partitions)?;
    for table in &mut tables {
        table.partition = partition.clone();
    }
    let read = refuse_misplaced(name, &file.read)
        .and_then(|()| check_read(lines, file.read, key, key_type, &tables))
        .map_err(|failure| at_its_line(failure, lines))?;
    check_repeats(&read, &tables).map_err(|failure| at_its_line(failure, lines))?;
    check_special(&read, &tables, lines)?;
    let hash = hash(text)?;
    let resource = Resource {
        hash_key: None,
        name: name.to_owned(),
        about: file.about,
        priority: file.priority,
        is_default: file.is_default,
        holds_people: file.people,
        read,
        tables,
        excluded_tables: Vec::new(),
        hash,
    };
    match (resource.has_dates(), resource.read.every, resource.read.reload_every) {
        (true, Some(_), _) => {
            Err(wrong(name, "`every` is for resources without dates; one with dates is read whole by `reload_every`"))
        }
        (false, _, Some(_)) => {
            Err(wrong(name, "`reload_every` is for resources with dates; one without is read whole by `every`"))
        }
        (true, None, _) | (false, _, None) => Ok(resource),
    }
}

fn wrong(place: &str, why: impl Into<String>) -> Failure {
    Failure::new(Kind::Schema, "accept a schema file").at(format!("{place}.toml")).because(why)
}

/// The first key column of every table is the record key, and of one type.
fn check_record_keys(name: &str, key: &[Source], tables: &[Table]) -> Result<Type> {
    let in_record = |key: &Source| {
        matches!(key.origin, Origin::Above(0)) && matches!(key.leaf, Leaf::Fields(_) | Leaf::Key | Leaf::Asked)
    };
    if key.is_empty() || !key.iter().all(in_record) {
        return Err(wrong(name, "`key` is a path in the record, @key or @id"));
    }
    let mut kinds = Vec::new();
    for table in tables {
        let depth = table.depth();
        let column = &table.columns[table.key[0]];
        let leads_there = |(source, key): (&Source, &Source)| {
            let at_record = match source.origin {
                Origin::Record => true,
                Origin::Above(above) => above == depth,
            };
            at_record && source.leaf == key.leaf
        };
        if column.from.len() != key.len() || !column.from.iter().zip(key).all(leads_there) {
            return Err(wrong(
                name,
                format!("the first key column of table `{}` must be the record's `key`", table.name),
            ));
        }
        kinds.push(column.kind);
    }
    let kind = kinds[0];
    if kinds.iter().any(|other| *other != kind) || !matches!(kind, Type::Int64 | Type::String) {
        return Err(wrong(name, "the record key must be int64 or string, the same in every table"));
    }
    Ok(kind)
}

/// The GETs of a list.
fn list_gets(file: Option<GetFile>) -> Option<Vec<ListGet>> {
    Some(match file? {
        GetFile::One(path) => vec![ListGet { path, label: None }],
        GetFile::Labelled(gets) => {
            gets.into_iter().map(|get| ListGet { path: get.path, label: Some(get.label) }).collect()
        }
    })
}

fn check_pages(name: &str, file: PagesFile) -> Result<Pages> {
    let is_parameter = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_parameter(&file.number) || !is_parameter(&file.size) || file.number == file.size || file.most < 2 {
        return Err(wrong(name, "`pages` has two parameters, `number` and `size`, and `most`, which is at least 2"));
    }
    Ok(Pages { number: file.number, size: file.size, most: u64::from(file.most) })
}

/// Where the records lie; `.` is the answer itself, which is one record.
fn parse_records(text: &str) -> Result<Vec<PathStep>> {
    if text == "." { Ok(Vec::new()) } else { parse_rows(text) }
}

/// Where keys repeat, rows are counted by the table with one row per record that the source shows, and lie together.
fn check_repeats(read: &Read, tables: &[Table]) -> Result<()> {
    if !read.repeats {
        return Ok(());
    }
    if read.key_type != Type::Int64 || tables.iter().all(|table| table.rows != Rows::Record) {
        return Err(wrong("", "`repeats` needs a `key` of type int64, and a table with one row per record"));
    }
    match &tables[0].partition {
        Partition::By { .. } => Err(wrong("", "`repeats` keeps the rows of a key together: no partition by a column")),
        Partition::None | Partition::Snapshot { .. } => Ok(()),
    }
}

/// At most one table, with one row per record, decides the partition of files; all tables follow it.
fn check_partition(name: &str, tables: &[Table], written: &[Option<String>]) -> Result<Partition> {
    let mut found = Partition::None;
    for (index, text) in written.iter().enumerate() {
        let Some(text) = text else { continue };
        if found != Partition::None {
            return Err(wrong(name, "only one table may have `partition`; the others follow it"));
        }
        if text == "snapshot_date" {
            found = Partition::Snapshot { segment: text.clone() };
            continue;
        }
        let explain = || wrong(name, "`partition` is month(column), bucket(column, n) or snapshot_date");
        let (function, rest) = text.split_once('(').ok_or_else(explain)?;
        let inner = rest.strip_suffix(')').ok_or_else(explain)?;
        let (column_name, count) = match inner.split_once(',') {
            Some((column, count)) => (column.trim(), Some(count.trim().parse::<u32>().map_err(|_| explain())?)),
            None => (inner.trim(), None),
        };
        let table = &tables[index];
        let column = table.columns.iter().position(|column| column.name == column_name).ok_or_else(explain)?;
        let kind = table.columns[column].kind;
        let by = match (function, count) {
            ("month", None) if kind == Type::Timestamp => {
                let granularity = Granularity::Month;
                PartitionBy::Date { granularity, wanted: PartitionChoice::Fixed(granularity) }
            }
            ("bucket", Some(count)) if kind == Type::Int64 && count > 0 => PartitionBy::Bucket(count),
            _ => return Err(explain()),
        };
        if table.rows != Rows::Record {
            return Err(wrong(name, "`partition` belongs to the table with one row per record"));
        }
        let stem = match by {
            PartitionBy::Date { .. } => column_name.strip_suffix("_on").unwrap_or(column_name),
            PartitionBy::Bucket(_) => column_name,
        };
        found = Partition::By { stem: stem.to_owned(), by, table: index, column };
    }
    Ok(found)
}

fn check_read(
    lines: Lines<'_>,
    mut file: ReadFile,
    key: Vec<Source>,
    key_type: Type,
    tables: &[Table],
) -> Result<Read> {
    let name = lines.name;
    let mut style = check_style(lines, &mut file, &key, key_type, tables)?;
    if file.repeats && file.count.is_some() {
        return Err(wrong(name, "`count` does not go with `repeats`: a search of such records is read twice instead"));
    }
    let count = check_count(name, file.count.as_deref(), file.count_is_wrong, &style, tables, file.repeats)?;
    if let ReadStyle::IdSets { inventory, changes, .. } = &mut style {
        if let Inventory::Search(search) | Inventory::Windows(search) = inventory {
            search.count_is_wrong = count.is_wrong;
        }
        if let Some(changes) = changes {
            changes.search.count_is_wrong = count.is_wrong;
        }
    }
    Ok(Read {
        service: file.service,
        style,
        count,
        key,
        key_type,
        repeats: file.repeats,
        records: parse_records(file.records.as_deref().unwrap_or("*"))?,
        newer: file.newer.iter().map(|column| find_newer(name, column, tables)).collect::<Result<_>>()?,
        also_from: check_also_from(name, file.style, file.also_from)?,
        every: file.every.as_deref().map(|text| cadence(name, "every", text)).transpose()?,
        reload_every: file.reload_every.as_deref().map(|text| cadence(name, "reload_every", text)).transpose()?,
        empty_ok: file.empty_ok,
        none_found: file.none_found,
        split_on: file.split_on,
        not_applicable: file.not_applicable,
    })
}

/// The style, with the keys that only it has; they are taken from the file.
fn check_style(
    lines: Lines<'_>,
    file: &mut ReadFile,
    key: &[Source],
    key_type: Type,
    tables: &[Table],
) -> Result<ReadStyle> {
    let name = lines.name;
    let need = |value: Option<String>, key: &str| {
        value.ok_or_else(|| wrong(name, format!("`{key}` is missing for this style")))
    };
    let refuse = |present: bool, key: &str| {
        if present { Err(wrong(name, format!("`{key}` does not go with this style"))) } else { Ok(()) }
    };
    let with_ids = |get: Option<GetFile>| match get {
        Some(GetFile::One(get)) if get.matches("{ids}").count() == 1 => Ok(get),
        Some(GetFile::One(_) | GetFile::Labelled(_)) => Err(wrong(name, "`get` must hold {ids} once")),
        None => Err(wrong(name, "`get` is missing for this style")),
    };
    let max_ids = usize::from(file.max_ids.unwrap_or(MAX_IDS));
    if max_ids == 0 {
        return Err(wrong(name, "`max_ids` must be at least 1"));
    }
    refuse(file.style != StyleName::IdSets && file.inventory.is_some(), "inventory")?;
    refuse(file.style != StyleName::Search && file.search.is_some(), "search")?;
    refuse(file.style != StyleName::PerOwner && file.owners.is_some(), "owners")?;
    refuse(matches!(file.style, StyleName::List | StyleName::PerOwner) && file.changes.is_some(), "changes")?;
    Ok(match file.style {
        StyleName::IdSets => {
            if key_type != Type::Int64 {
                return Err(wrong(name, "ids of id-sets are int64"));
            }
            let inventory = file.inventory.take().ok_or_else(|| wrong(name, "`inventory` is missing"))?;
            ReadStyle::IdSets {
                get: with_ids(file.get.take())?,
                max_ids,
                inventory: check_inventory(name, inventory)?,
                changes: file.changes.take().map(|changes| check_changes(name, changes, tables)).transpose()?,
            }
        }
        StyleName::Search => {
            let [Source { leaf: Leaf::Fields(fields), .. }] = key else {
                return Err(wrong(name, "`key` is a column of the search"));
            };
            let (since, row, newest) = match file.changes.take() {
                Some(changes) => (changes.since, changes.row, changes.newest),
                None => (Vec::new(), None, false),
            };
            let row = row.unwrap_or_else(|| fields.join("."));
            let filtered: Vec<&str> = since.iter().map(String::as_str).collect();
            let filters = check_filters("filters", std::mem::take(&mut file.filters), &filtered)?;
            ReadStyle::Search(RowSearch { search: need(file.search.take(), "search")?, row, since, newest, filters })
        }
        StyleName::List => ReadStyle::List {
            gets: list_gets(file.get.take()).ok_or_else(|| wrong(name, "`get` is missing for this style"))?,
            pages: file.pages.take().map(|pages| check_pages(name, pages)).transpose()?,
        },
        StyleName::PerOwner => {
            let get = with_ids(file.get.take())?;
            let owners = file.owners.take().ok_or_else(|| wrong(name, "`owners` is missing"))?;
            ReadStyle::PerOwner { owners: check_owners(lines, owners, &get)?, get, max_ids }
        }
    })
}

/// The unit of a search's count: by default records, where each has one row; lists and reads by others' ids have none.
fn check_count(
    name: &str,
    text: Option<&str>,
    is_wrong: bool,
    style: &ReadStyle,
    tables: &[Table],
    repeats: bool,
) -> Result<Count> {
    let unique = match style {
        ReadStyle::IdSets { changes: Some(changes), .. } => {
            Some(!changes.search.repeats && changes.search.id == changes.search.row)
        }
        ReadStyle::Search(_) => Some(!repeats),
        ReadStyle::IdSets { changes: None, .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => None,
    };
    let explain = || wrong(name, "`count` is records, rows of TABLE or none");
    let of = match (text, unique) {
        (Some(_), None) => {
            return Err(wrong(name, "`count` goes with a resource that is read by a search or has `changes`"));
        }
        (None, Some(true)) | (Some("records"), Some(_)) => Counted::Records,
        (None, Some(false) | None) | (Some("none"), Some(_)) => Counted::Nothing,
        (Some(text), Some(_)) => {
            let table = text.strip_prefix("rows of ").ok_or_else(explain)?.trim();
            let known = tables.iter().any(|known| known.name == table);
            known.then(|| Counted::RowsOf(table.to_owned())).ok_or_else(explain)?
        }
    };
    if is_wrong && unique.is_none() {
        return Err(wrong(name, "`count_is_wrong` goes with a resource that is read by a search or has `changes`"));
    }
    Ok(Count { of, is_wrong })
}

fn cadence(name: &str, key: &str, text: &str) -> Result<Duration> {
    humantime::parse_duration(text).map_err(|error| wrong(name, format!("`{key} = \"{text}\"`: {error}")))
}

fn check_inventory(name: &str, file: InventoryFile) -> Result<Inventory> {
    let filters = check_filters("inventory.filters", file.filters, &[])?;
    let found_by = |search: String| {
        let id = file.id.clone().ok_or_else(|| wrong(name, "`inventory.id` is missing"))?;
        id_search(name, "inventory", search, id, file.row.clone(), file.repeats)
            .map(|found| IdSearch { filters: filters.clone(), ..found })
    };
    match (file.options, file.search, file.windows) {
        (Some(path), None, None) => Ok(Inventory::Options(path)),
        (None, Some(search), None) => Ok(Inventory::Search(found_by(search)?)),
        (None, None, Some(search)) => Ok(Inventory::Windows(found_by(search)?)),
        _ => Err(wrong(name, "`inventory` has exactly one of options, search, windows")),
    }
}

fn id_search(
    name: &str,
    key: &str,
    search: String,
    id: String,
    row: Option<String>,
    repeats: bool,
) -> Result<IdSearch> {
    if repeats && row.is_some() {
        return Err(wrong(name, format!("`{key}.repeats` means that no column is unique, and `{key}.row` names one")));
    }
    let row = row.unwrap_or_else(|| id.clone());
    Ok(IdSearch { search, row, id, repeats, count_is_wrong: false, filters: Vec::new() })
}

fn check_changes(name: &str, file: ChangesFile, tables: &[Table]) -> Result<Changes> {
    let search = file.search.ok_or_else(|| wrong(name, "`changes.search` is missing"))?;
    let id = file.id.ok_or_else(|| wrong(name, "`changes.id` is missing"))?;
    if file.since.is_empty() {
        return Err(wrong(name, "`changes.since` is empty"));
    }
    if file.newest {
        return Err(wrong(name, "`changes.newest` goes with style search"));
    }
    let main_table = tables.iter().find(|table| table.rows == Rows::Record);
    let same = file
        .same
        .iter()
        .map(|(search_column, ours)| {
            let held = ours
                .as_str()
                .and_then(|ours| main_table.and_then(|table| table.columns.iter().find(|column| column.name == ours)));
            let held = held.ok_or_else(|| wrong(name, "`changes.same` names a column of the main table"))?;
            Ok((search_column.clone(), held.name.clone()))
        })
        .collect::<Result<_>>()?;
    let open = file.open.map(|open| check_open(name, open, main_table)).transpose()?.map(Box::new);
    let mut filtered: Vec<&str> = file.since.iter().map(String::as_str).collect();
    if let Some(Open::Listed { filter: (column, _), .. }) = open.as_deref() {
        filtered.push(column);
    }
    let filters = check_filters("changes.filters", file.filters, &filtered)?;
    let search = id_search(name, "changes", search, id, file.row, file.repeats)?;
    Ok(Changes { search: IdSearch { filters, ..search }, open, since: file.since, same })
}

/// Only a resource of id sets can be read again by the ids of references; the existence of the columns is checked
/// together.
fn check_also_from(name: &str, style: StyleName, file: Vec<AlsoFromFile>) -> Result<Vec<AlsoFrom>> {
    if style != StyleName::IdSets && !file.is_empty() {
        return Err(wrong(name, "`also_from` goes with style id-sets"));
    }
    Ok(file.into_iter().map(|AlsoFromFile { table, column, with }| AlsoFrom { table, column, with }).collect())
}

fn check_open(name: &str, file: OpenFile, main_table: Option<&Table>) -> Result<Open> {
    let ours = |wanted: &str| main_table.and_then(|table| table.columns.iter().find(|column| column.name == wanted));
    match file {
        OpenFile { filter: Some(filter), column: Some(column), until: None, every: None } => {
            let filter = boolean_filter(name, "changes.open.where", &filter)?;
            match ours(&column).map(|column| column.kind) {
                Some(Type::Bool) => Ok(Open::Listed { filter, column }),
                _ => Err(wrong(name, "`changes.open.column` names a bool column of the main table")),
            }
        }
        OpenFile { filter: None, column: None, until: Some(column), every: Some(every) } => {
            let every = cadence(name, "changes.open.every", &every)?;
            match ours(&column).map(|column| (column.kind, column.required)) {
                Some((Type::Timestamp, false)) => Ok(Open::Until { column, every }),
                _ => Err(wrong(name, "`changes.open.until` names a timestamp of the main table that may be null")),
            }
        }
        _ => Err(wrong(name, "`changes.open` has `where` and `column`, or `until` and `every`")),
    }
}

/// `name = true`, `name = false`.
fn boolean_filter(name: &str, key: &str, text: &str) -> Result<(String, bool)> {
    let explain = || wrong(name, format!("`{key}` is `name = true` or `name = false`"));
    let (column, value) = text.split_once('=').ok_or_else(explain)?;
    Ok((column.trim().to_owned(), value.trim().parse().map_err(|_| explain())?))
}

fn check_owners(lines: Lines<'_>, file: OwnersFile, get: &str) -> Result<Owners> {
    let name = lines.name;
    let (resource, filter) = match (file.resource, file.held.is_some()) {
        (Some(resource), false) => (resource, file.filter),
        (None, true) => {
            let line = line_of("owners", lines.text).unwrap_or(1);
            return HeldIds::check(OwnersFile { resource: None, ..file }, get, line).map(Owners::Held);
        }
        (Some(_), true) | (None, false) => {
            return Err(wrong(name, "`owners` has `resource` or `held`"));
        }
    };
    if let Some(column) = in_path(get)?.first() {
        return Err(wrong(name, format!("`get` holds {{{column}}}, which goes with `owners.held`")));
    }
    let filter = match filter.as_ref().map(TextsFile::texts) {
        None => None,
        Some([text]) => Some(boolean_filter(name, "owners.where", text)?),
        Some(_) => return Err(wrong(name, "`owners.where` of a search is one filter")),
    };
    Ok(Owners::Listed { resource, filter })
}

fn find_newer(name: &str, wanted: &str, tables: &[Table]) -> Result<Newer> {
    tables
        .iter()
        .enumerate()
        .filter(|(_, table)| table.rows == Rows::Record)
        .find_map(|(table, owner)| {
            let column = owner.columns.iter().position(|column| column.name == wanted)?;
            matches!(owner.columns[column].kind, Type::Int64 | Type::Timestamp).then_some(Newer { table, column })
        })
        .ok_or_else(|| {
            wrong(name, format!("`newer`: `{wanted}` is not an int64 or timestamp column of the main table"))
        })
}
