//! `pearlift resources`: the catalogue.

use serde_json::{Value, json};

use crate::cli::arguments::Resources;
use crate::cli::start::Start;
use crate::failure::Result;
use crate::report::table;
use crate::schema::{Resource, Table};

/// Lists the resources, or shows one.
pub fn resources(start: Start, resources: Resources) -> Result<u8> {
    let catalog = start.catalog()?;
    let shown = match &resources.name {
        Some(name) => vec![catalog.get(name)?],
        None => catalog.resources().iter().collect(),
    };
    let lines = match (&resources.name, resources.json) {
        (_, true) => {
            let list: Vec<Value> = shown.iter().map(|resource| object(resource)).collect();
            let value =
                if resources.name.is_some() { list.into_iter().next().unwrap_or_default() } else { json!(list) };
            start.terminal().print_json(value)?;
            return Ok(0);
        }
        (Some(_), false) => shown.iter().flat_map(|resource| page(resource)).collect(),
        (None, false) => {
            let rows: Vec<Vec<String>> = shown
                .iter()
                .map(|resource| {
                    let tables: Vec<&str> = resource.tables.iter().map(|table| table.name.as_str()).collect();
                    vec![resource.name.clone(), resource.read.style.name().to_owned(), tables.join(", ")]
                })
                .collect();
            table(&["resource", "style", "tables"], &[], &rows)
        }
    };
    start.terminal().print(&lines)?;
    Ok(0)
}

fn page(resource: &Resource) -> Vec<String> {
    let shown = |word: &str, every: Option<std::time::Duration>| {
        every.map(|every| format!(", {word} every {}", humantime::format_duration(every))).unwrap_or_default()
    };
    let (every, again) = (shown("whole", resource.read.every), shown("whole again", resource.read.reload_every));
    let (style, service) = (resource.read.style.name(), &resource.read.service);
    let about = format!("{}: {}", resource.name, resource.about);
    let mut lines: Vec<String> = about.lines().map(str::to_owned).collect();
    lines.push(format!("read by {style} from {service}{every}{again}"));
    lines.push(format!("partition: {}", resource.partition()));
    for table in &resource.tables {
        let rows: Vec<Vec<String>> = table
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let key = if table.key.contains(&place) { "key" } else { "" };
                vec![format!("  {}", column.name), column.kind.to_string(), key.to_owned(), from(table, place)]
            })
            .collect();
        lines.extend([String::new(), table.name.clone()]);
        lines.extend(self::table(&["  column", "type", "", "from"], &[], &rows));
    }
    lines
}

fn from(table: &Table, place: usize) -> String {
    table.columns[place].from.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

fn object(resource: &Resource) -> Value {
    let tables: Vec<Value> = resource
        .tables
        .iter()
        .map(|table| {
            let columns: Vec<Value> = (0..table.columns.len())
                .map(|place| {
                    let column = &table.columns[place];
                    json!({"name": column.name, "type": column.kind.to_string(), "from": from(table, place)})
                })
                .collect();
            let key: Vec<&str> = table.key.iter().map(|place| table.columns[*place].name.as_str()).collect();
            json!({"table": table.name, "key": key, "partition": table.partition.segment(), "columns": columns})
        })
        .collect();
    json!({
        "resource": resource.name,
        "about": resource.about,
        "style": resource.read.style.name(),
        "service": resource.read.service,
        "priority": resource.priority,
        "every_seconds": resource.read.every.map(|every| every.as_secs()),
        "reload_every_seconds": resource.read.reload_every.map(|every| every.as_secs()),
        "tables": tables,
    })
}
