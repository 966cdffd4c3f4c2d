//! The reference of a catalogue, for people: a page per service with every table and column, and a page that leads to
//! them.
//!
//! Takes the catalogue, gives the pages as Markdown and the picture as SVG. The same catalogue gives the same bytes.

use crate::quantity::plural;
use crate::report::picture::{MADE, mermaid, of_service, svg};
use crate::schema::{Catalog, Confidence, Granularity, Meaning, PartitionChoice, References, Table};

/// A file of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencePage {
    pub file: String,
    pub text: String,
}

/// Every page of the reference.
pub fn reference(catalog: &Catalog) -> Vec<ReferencePage> {
    let mut services: Vec<&str> = catalog.resources().iter().map(|one| one.read.service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    let mut pages = vec![
        ReferencePage { file: "README.md".to_owned(), text: index(catalog, &services) },
        ReferencePage { file: "tables.svg".to_owned(), text: svg(catalog, &services) },
    ];
    pages.extend(
        services
            .iter()
            .map(|service| ReferencePage { file: format!("{service}.md"), text: service_page(catalog, service) }),
    );
    pages
}

fn index(catalog: &Catalog, services: &[&str]) -> String {
    let tables = catalog.resources().iter().flat_map(|resource| &resource.tables);
    let columns: usize = tables.clone().map(|table| table.columns.len()).sum();
    let mut text = format!(
        "{MADE}\n# Tables and columns\n\n{}, {}, {}; every table also has `_extra`, `_extracted_at` \
         and `_run_id`. [format.md](../format.md) has their types and the layout of the files.\n\n\
         | service | resource | tables | |\n|---|---|---|---|\n",
        plural(catalog.resources().len(), "resource"),
        plural(tables.count(), "table"),
        plural(columns, "column"),
    );
    for service in services {
        for resource in of_service(catalog, service) {
            let tables = resource.tables.iter().map(|table| format!("[{0}]({service}.md#{0})", table.name));
            let by_default = if resource.is_default { "" } else { " (not by default)" };
            text.push_str(&format!(
                "| {service} | {}{by_default} | {} | {} |\n",
                resource.name,
                tables.collect::<Vec<_>>().join(" "),
                cell(&resource.about),
            ));
        }
    }
    text.push_str("\n## Diagram\n\nThe tables with their references, by service: [tables.svg](tables.svg). ");
    text.push_str("Each service's page has its part as a diagram.\n\n![tables and references](tables.svg)\n");
    text
}

fn service_page(catalog: &Catalog, service: &str) -> String {
    let resources = of_service(catalog, service);
    let mut text = format!("{MADE}\n# {service}\n");
    for resource in &resources {
        let by_default = if resource.is_default { "" } else { " Not read by default." };
        text.push_str(&format!(
            "\n## Resource {}\n\n{}. Read by {}.{by_default}\n",
            resource.name,
            capitalized(&cell(&resource.about)),
            resource.read.style.name(),
        ));
        for table in &resource.tables {
            text.push_str(&table_section(table));
        }
    }
    text.push_str(&format!("\n## Diagram\n\n```mermaid\n{}```\n", mermaid(&resources)));
    text
}

/// The folders of a table, for people; none for a table without partitions.
fn folders(table: &Table) -> Option<String> {
    match table.partition.date() {
        Some((_, PartitionChoice::Auto)) => {
            let all = Granularity::COARSEST_FIRST.iter().rev();
            let all = all.filter_map(|granularity| table.partition.divided(*granularity).segment());
            let all: Vec<String> = all.map(|segment| format!("`{segment}`")).collect();
            Some(format!("{} or none, by the number of rows", all.join(", ")))
        }
        Some((_, PartitionChoice::Fixed(granularity))) => {
            table.partition.divided(granularity).segment().map(|segment| format!("`{segment}`"))
        }
        None => table.partition.segment().map(|segment| format!("`{segment}`")),
    }
}

fn table_section(table: &Table) -> String {
    let mut text = format!("\n### {}\n", table.name);
    if !table.description.is_empty() {
        text.push_str(&format!("\n{}\n", cell(&table.description)));
    }
    let key: Vec<String> = table.key.iter().map(|place| format!("`{}`", table.columns[*place].name)).collect();
    let partition = folders(table).map(|folders| format!(" Folders: {folders}.")).unwrap_or_default();
    text.push_str(&format!("\nKey: {}.{partition}\n\n", key.join(", ")));
    text.push_str("| column | type | from | references | meaning | certainty |\n|---|---|---|---|---|---|\n");
    for (place, column) in table.columns.iter().enumerate() {
        let name = if table.key.contains(&place) { format!("**{}**", column.name) } else { column.name.clone() };
        let from: Vec<String> = column.from.iter().map(|source| format!("`{source}`")).collect();
        text.push_str(&format!(
            "| {name} | {} | {} | {} | {} | {} |\n",
            column.kind,
            from.join(" or "),
            targets(&column.meaning).join(" or "),
            cell(&described(&column.meaning)),
            column.meaning.confidence,
        ));
    }
    text
}

/// The columns that a column references.
fn targets(meaning: &Meaning) -> Vec<String> {
    meaning.references.targets().iter().map(ToString::to_string).collect()
}

/// A text that ends neither a cell nor a line of a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").lines().collect::<Vec<_>>().join(" ")
}

/// A text with its first letter as a capital.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The description of a column with its codes, the reason why it leads nowhere, and whether it is personal.
fn described(meaning: &Meaning) -> String {
    let mut parts = Vec::new();
    if !meaning.description.is_empty() {
        parts.push(meaning.description.clone());
    }
    if !meaning.codes.is_empty() {
        let codes: Vec<String> = meaning.codes.iter().map(|code| format!("{} {}", code.code, code.meaning)).collect();
        parts.push(format!("Codes: {}.", codes.join(", ")));
    }
    if let References::Nowhere(reason) = &meaning.references {
        parts.push(format!("References no table: {reason}."));
    }
    if meaning.personal {
        parts.push("Personal.".to_owned());
    }
    parts.join(" ")
}

/// The meaning of a column in one line: its description, codes and marks, the columns that it references, and its
/// certainty where that is not the documentation.
pub fn meaning_line(meaning: &Meaning) -> String {
    let mut parts: Vec<String> = Some(described(meaning)).filter(|text| !text.is_empty()).into_iter().collect();
    let targets = targets(meaning);
    if !targets.is_empty() {
        parts.push(format!("References {}.", targets.join(" or ")));
    }
    if meaning.confidence != Confidence::Documented {
        parts.push(format!("({})", meaning.confidence));
    }
    parts.join(" ")
}
