//! Pictures of the tables of a catalogue and of their references: Mermaid, and SVG drawn here.
//!
//! The SVG has a column of boxes a service, a box a table with its key and the columns that lead elsewhere. A line is
//! drawn where a column leads to a table of its own service; of others the box names the table.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::schema::{Catalog, Column, Resource, Table};

/// The first line of a page, and a line of a picture, by which it is known as made and not written.
pub const MADE: &str = "<!-- Made by `pearlift resources`; do not edit. -->";

/// Pixels.
const BOX_WIDTH: usize = 420;
/// Room between columns of boxes, for lines.
const GAP: usize = 110;
const MARGIN: usize = 20;
const HEAD: usize = 22;
const LINE: usize = 16;
const BETWEEN: usize = 18;
/// Colours of a service: of its boxes, and of lines and borders. Not every reader of SVG takes other notations.
const COLOURS: [(&str, &str); 6] = [
    ("#eef4fb", "#2f6db3"),
    ("#fdf1e7", "#b5651d"),
    ("#eaf6ee", "#2e8b57"),
    ("#f6eefa", "#7d3c98"),
    ("#fbeeee", "#b03a3a"),
    ("#f4f4ea", "#6b6b1f"),
];
/// The top of the first box, below the service's name.
const TOP: usize = 56;

/// The resources of a service, by name.
pub fn of_service<'a>(catalog: &'a Catalog, service: &str) -> Vec<&'a Resource> {
    let mut found: Vec<&Resource> = catalog.resources().iter().filter(|one| one.read.service == service).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// An entity-relationship diagram of these resources: their tables with keys, and each reference.
pub fn mermaid(resources: &[&Resource]) -> String {
    let mut text = "erDiagram\n".to_owned();
    let tables = || resources.iter().flat_map(|resource| &resource.tables);
    for table in tables() {
        let _ = writeln!(text, "  \"{}\" {{", table.name);
        for place in &table.key {
            let column = &table.columns[*place];
            // A type of Mermaid is one word.
            let kind: String = column.kind.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
            let _ = writeln!(text, "    {kind} {} PK", column.name);
        }
        text.push_str("  }\n");
    }
    for table in tables() {
        for column in &table.columns {
            for target in column.meaning.references.targets() {
                let _ = writeln!(text, "  \"{}\" }}o--o| \"{}\" : {}", table.name, target.table, column.name);
            }
        }
    }
    text
}

/// A box and its place.
struct Placed<'a> {
    table: &'a Table,
    shown: Vec<&'a Column>,
    left: usize,
    top: usize,
}

impl<'a> Placed<'a> {
    fn new(table: &'a Table, left: usize, top: usize) -> Self {
        let is_shown = |(place, column): &(usize, &Column)| {
            table.key.contains(place) || !column.meaning.references.targets().is_empty()
        };
        let shown = table.columns.iter().enumerate().filter(is_shown).map(|(_, column)| column).collect();
        Self { table, shown, left, top }
    }

    fn height(&self) -> usize {
        HEAD + LINE * self.shown.len() + 6
    }

    fn draw(&self, (fill, stroke): (&str, &str), out: &mut String) {
        let (left, top) = (self.left, self.top);
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect x=\"{left}\" y=\"{top}\" width=\"{BOX_WIDTH}\" height=\"{}\" rx=\"4\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>",
            escaped(&self.table.description),
            self.height(),
        );
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\" class=\"t\">{}</text>", left + 8, top + 16, self.table.name);
        for (place, column) in self.shown.iter().enumerate() {
            let is_key = self.table.key.iter().any(|key| self.table.columns[*key].name == column.name);
            let mut targets: Vec<&str> =
                column.meaning.references.targets().iter().map(|target| target.table.as_str()).collect();
            targets.dedup();
            let leads = if targets.is_empty() { String::new() } else { format!(" → {}", targets.join(", ")) };
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\"><tspan{}>{}</tspan>{leads}</text>",
                left + 8,
                self.middle(place) + 4,
                if is_key { " class=\"k\"" } else { "" },
                column.name,
            );
        }
        out.push_str("</g>\n");
    }

    /// The middle of a line of the box.
    fn middle(&self, line: usize) -> usize {
        self.top + HEAD + LINE * line + LINE / 2
    }
}

/// The tables of all services in one picture.
pub fn svg(catalog: &Catalog, services: &[&str]) -> String {
    let mut boxes: Vec<(usize, Placed<'_>)> = Vec::new();
    let mut height = 0;
    for (number, service) in services.iter().enumerate() {
        let left = MARGIN + number * (BOX_WIDTH + GAP);
        let mut top = TOP;
        for table in of_service(catalog, service).into_iter().flat_map(|resource| &resource.tables) {
            let placed = Placed::new(table, left, top);
            top += placed.height() + BETWEEN;
            boxes.push((number, placed));
        }
        height = height.max(top);
    }
    let width = 2 * MARGIN + services.len() * BOX_WIDTH + services.len() * GAP;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         {MADE}\n\
         <style>.t{{font-weight:bold;font-size:13px}}.k{{font-weight:bold}}.s{{font-size:18px;font-weight:bold}}\
         .l{{fill:none;stroke-width:1;opacity:.6}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, service) in services.iter().enumerate() {
        let left = MARGIN + number * (BOX_WIDTH + GAP);
        let _ = writeln!(out, "<text x=\"{left}\" y=\"36\" class=\"s\">{service}</text>");
    }
    lines(&boxes, &mut out);
    for (number, placed) in &boxes {
        placed.draw(COLOURS[number % COLOURS.len()], &mut out);
    }
    out.push_str("</svg>\n");
    out
}

/// The lines of the references within each service: from a column's line to the head of the table that it leads to,
/// around the right of the boxes.
fn lines(boxes: &[(usize, Placed<'_>)], out: &mut String) {
    let places: BTreeMap<&str, (usize, usize)> =
        boxes.iter().map(|(number, placed)| (placed.table.name.as_str(), (*number, placed.top + HEAD / 2))).collect();
    for (number, placed) in boxes {
        let edge = placed.left + BOX_WIDTH;
        for (place, column) in placed.shown.iter().enumerate() {
            for target in column.meaning.references.targets() {
                let Some((other, to)) = places.get(target.table.as_str()) else { continue };
                if other != number || target.table == placed.table.name {
                    continue;
                }
                let from = placed.middle(place);
                // The further, the wider the bow, within the gap.
                let bow = edge + (12 + from.abs_diff(*to) / 12).min(GAP);
                let _ = writeln!(
                    out,
                    "<path class=\"l\" stroke=\"{}\" d=\"M{edge} {from}C{bow} {from} {bow} {to} {edge} {to}\"/>",
                    COLOURS[number % COLOURS.len()].1,
                );
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
