//! `pearlift resources`: the catalogue.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::arguments::Resources;
use crate::cli::custom_fields::custom_fields;
use crate::cli::made::{MadeFiles, write_made};
use crate::cli::start::Start;
use crate::config::configuration;
use crate::failure::{Failure, Kind, Result};
use crate::quantity::cadence;
use crate::report::{MADE, MADE_YAML, TableForm, dbt_sources, hanging, meaning_line, reference};
use crate::schema::{Catalog, Meaning, PartitionChoice, References, Resource, Table};

/// Lists the resources, or shows one.
pub async fn resources(start: Start, resources: Resources) -> Result<u8> {
    let catalog = start.catalog()?;
    if let Some(folder) = &resources.reference {
        return write_reference(&start, &catalog, folder);
    }
    if let Some(file) = &resources.settings {
        let files = MadeFiles {
            files: vec![(file.clone(), format!("{MADE}\n{}", configuration(&catalog)))],
            mark: MADE,
            action: "write the page about settings",
            advice: "move it away, or name another file after --settings",
        };
        return write_made(&start, &files);
    }
    if let Some(file) = &resources.dbt {
        let files = MadeFiles {
            files: vec![(file.clone(), dbt_sources(&catalog))],
            mark: MADE_YAML,
            action: "write the sources",
            advice: "move it away, or name another file after --dbt",
        };
        return write_made(&start, &files);
    }
    if let (Some(name), true) = (&resources.name, resources.custom_fields) {
        return custom_fields(&start, &catalog, name).await;
    }
    let shown = match &resources.name {
        Some(name) => vec![catalog.get(name)?],
        None => catalog.resources().iter().collect(),
    };
    let width = start.terminal().width_of_stdout();
    let lines = match (&resources.name, resources.json) {
        (_, true) => {
            let list: Vec<Value> = shown.iter().map(|resource| object(resource)).collect();
            let value =
                if resources.name.is_some() { list.into_iter().next().unwrap_or_default() } else { json!(list) };
            start.terminal().print_json(value)?;
            return Ok(0);
        }
        (Some(_), false) => shown.iter().flat_map(|resource| page(resource, width)).collect(),
        (None, false) => {
            let rows: Vec<Vec<String>> = shown
                .iter()
                .map(|resource| {
                    let tables: Vec<&str> = resource.tables.iter().map(|table| table.name.as_str()).collect();
                    vec![resource.name.clone(), resource.read.style.name().to_owned(), tables.join(", ")]
                })
                .collect();
            let form = TableForm { text: Some(2), ..TableForm::new(&["resource", "style", "tables"]) };
            form.lines(&rows, width)
        }
    };
    start.terminal().print(&lines)?;
    Ok(0)
}

/// Writes the pages of the reference.
fn write_reference(start: &Start, catalog: &Catalog, folder: &Path) -> Result<u8> {
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Settings, "write the reference").at(folder.display().to_string()).caused(error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let files = MadeFiles {
        files: reference(catalog).into_iter().map(|page| (folder.join(page.file), page.text)).collect(),
        mark: MADE,
        action: "write the reference",
        advice: "move it away, or name another folder after --reference",
    };
    write_made(start, &files)
}

fn page(resource: &Resource, width: Option<usize>) -> Vec<String> {
    let shown = |word: &str, every: Option<std::time::Duration>| {
        every.map(|every| format!(", {word} {}", cadence(every))).unwrap_or_default()
    };
    let (every, again) = (shown("whole", resource.read.every), shown("whole again", resource.read.reload_every));
    let (style, service) = (resource.read.style.name(), &resource.read.service);
    let about = format!("{}: {}", resource.name, resource.about);
    let fit = |text: &str| hanging(text, width.unwrap_or(usize::MAX));
    let mut lines: Vec<String> = about.lines().flat_map(fit).collect();
    let by_default = if resource.is_default { "" } else { ", not by default" };
    lines.extend(fit(&format!("read by {style} from {service}{every}{again}{by_default}")));
    lines.extend(fit(&format!("partition: {}", resource.partition())));
    for table in &resource.tables {
        let rows: Vec<Vec<String>> = table
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let key = if table.key.contains(&place) { "key" } else { "" };
                vec![
                    format!("  {}", column.name),
                    column.kind.to_string(),
                    key.to_owned(),
                    from(table, place),
                    meaning_line(&column.meaning),
                ]
            })
            .collect();
        let described = Some(&table.description).filter(|text| !text.is_empty());
        lines.extend([String::new(), table.name.clone()]);
        lines.extend(described.into_iter().flat_map(|text| fit(&format!("  {text}"))));
        let form =
            TableForm { text: Some(4), spare: &[3, 1], ..TableForm::new(&["  column", "type", "", "from", "meaning"]) };
        lines.extend(form.lines(&rows, width));
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
                    let mut object = Map::new();
                    object.insert("name".to_owned(), json!(column.name));
                    object.insert("type".to_owned(), json!(column.kind.to_string()));
                    object.insert("from".to_owned(), json!(from(table, place)));
                    add_meaning(&column.meaning, &mut object);
                    Value::Object(object)
                })
                .collect();
            let key: Vec<&str> = table.key.iter().map(|place| table.columns[*place].name.as_str()).collect();
            json!({
                "table": table.name,
                "description": table.description,
                "key": key,
                "partition": segment(table),
                "granularity": table.partition.date().map(|(_, wanted)| wanted.word()),
                "columns": columns,
            })
        })
        .collect();
    json!({
        "resource": resource.name,
        "about": resource.about,
        "style": resource.read.style.name(),
        "service": resource.read.service,
        "priority": resource.priority,
        "default": resource.is_default,
        "people": resource.holds_people,
        "every_seconds": resource.read.every.map(|every| every.as_secs()),
        "reload_every_seconds": resource.read.reload_every.map(|every| every.as_secs()),
        "tables": tables,
    })
}

/// The name of the partition in paths; none where the number of rows decides.
fn segment(table: &Table) -> Option<String> {
    match table.partition.date() {
        Some((_, PartitionChoice::Fixed(granularity))) => table.partition.divided(granularity).segment(),
        Some((_, PartitionChoice::Auto)) => None,
        None => table.partition.segment(),
    }
}

/// The keys of a column's object that state its meaning.
fn add_meaning(meaning: &Meaning, object: &mut Map<String, Value>) {
    let targets: Vec<String> = meaning.references.targets().iter().map(ToString::to_string).collect();
    let nowhere = match &meaning.references {
        References::Nowhere(reason) => Some(reason),
        References::To(_) | References::Unsaid => None,
    };
    let codes: Map<String, Value> = meaning.codes.iter().map(|code| (code.code.clone(), json!(code.meaning))).collect();
    object.insert("description".to_owned(), json!(meaning.description));
    object.insert("references".to_owned(), json!(targets));
    object.insert("references_nothing_because".to_owned(), json!(nowhere));
    object.insert("codes".to_owned(), Value::Object(codes));
    object.insert("personal".to_owned(), json!(meaning.personal));
    object.insert("acting".to_owned(), json!(meaning.acting));
    object.insert("confidence".to_owned(), json!(meaning.confidence.to_string()));
}
