//! Fields of answers that differ from the schema or from earlier scans: unknown ones, columns that a search no longer has,
//! columns that vanish, and values of another kind than before. Nothing of it fails a scan; all of it is reported, and the
//! state keeps it for `check`.
//!
//! Takes decoded pages, gives counts by path.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::{JsonKind, Page, RejectedCounts, UnknownField};
use crate::manifest::{Evidence, FieldDrift, KindChange};
use crate::quantity::plural;
use crate::run::filled_columns::{Emptied, LEAST_ROWS};
use crate::run::session::ResourceSession;
use crate::schema::{Leaf, Origin, Resource, Source, column_line, column_name};
use crate::write::Replace;

/// Paths of one kind that the state keeps.
const KEPT: usize = 200;
/// The kind of a place with values of several kinds: no further one is a change.
const MIXED: &str = "mixed";

impl ResourceSession<'_> {
    /// Counts the fields of pages, and warns of columns that a search no longer has.
    pub fn count_fields(&mut self, page: &Page) {
        self.observations.filled.count(page);
        self.observations.kinds.add(&page.kinds);
        for column in page
            .rejected_values
            .missing()
            .keys()
            .filter(|column| !self.tally.rejected_values.missing().contains_key(*column))
        {
            let text = format!(
                "the search no longer has the column `{column}`, which the schema maps: it is null in the rows that \
                 come, and a column that takes its place is kept in `_extra`"
            );
            self.context.events.warn(&self.name, text);
        }
    }

    /// Ends a scan's count of fields: writes the result into the state that the same commit puts.
    pub fn settle_fields(&mut self, replace: Replace) {
        let filled = std::mem::take(&mut self.observations.filled);
        let kinds = std::mem::take(&mut self.observations.kinds).by_path(&self.shape);
        let whole = match replace {
            Replace::Everything | Replace::Partition(_) => true,
            Replace::Within(_) | Replace::Records => false,
        };
        let columns = column_lines(&self.resource, self.tally.rejected_values.unknown());
        let evidence = &mut self.state.evidence;
        let rejected = rejected_columns(&self.resource, &self.tally.rejected_values);
        let found = filled.compare(&self.resource, &mut evidence.filled, whole, &rejected);
        let changed = changed_kinds(evidence, &kinds, whole);
        for (path, rows) in &found.emptied {
            let text = match path.strip_suffix(".*") {
                Some(table) => {
                    format!("`{table}` has no row of {} that came, and had rows before", plural(*rows, "record"))
                }
                None => format!("`{path}` is null in all of {} that came, but had values before", plural(*rows, "row")),
            };
            self.context.events.warn(&self.name, text);
        }
        for (path, KindChange { was, is, count }) in &changed {
            let text = format!("`{path}` was {was} before, and is {is} in {} that came", plural(*count, "value"));
            self.context.events.warn(&self.name, text);
        }
        let read = self.tally.records;
        let drift = &mut evidence.drift;
        lay_over(drift, &self.tally.rejected_values, &found, whole, read);
        let comes =
            |path: &str, kind: &str| kinds.get(path).is_none_or(|kinds| kinds.keys().any(|is| is.name() == kind));
        drift.changed.retain(|path, change| comes(path, &change.is));
        drift.changed.extend(changed.clone());
        drift.columns.extend(columns.clone());
        drift.columns.retain(|path, _| drift.unknown.contains_key(path));
        let noticed = &mut self.tally.noticed;
        noticed.emptied.extend(found.emptied);
        noticed.changed.extend(changed);
        noticed.columns.extend(columns);
    }
}

/// Lays the fields of a scan that has read this many records over those of earlier ones.
fn lay_over(drift: &mut FieldDrift, rejected_values: &RejectedCounts, found: &Emptied, whole: bool, read: u64) {
    if whole || read >= LEAST_ROWS {
        drift.unknown.clear();
    }
    drift.unknown.extend(rejected_values.unknown().iter().map(|(path, field)| (path.clone(), field.count)));
    if read > 0 {
        drift.missing.clone_from(rejected_values.missing());
    }
    drift.emptied.retain(|path, _| !found.filled.contains(path));
    drift.emptied.extend(found.emptied.clone());
    for paths in [&mut drift.unknown, &mut drift.missing, &mut drift.emptied] {
        while paths.len() > KEPT {
            paths.pop_last();
        }
    }
}

/// The columns (`table.column`) with values that did not fit: their values came, and are in `_extra`.
fn rejected_columns(resource: &Resource, rejected_values: &RejectedCounts) -> BTreeSet<String> {
    let place = |path: &str| path.split_once('.').map(|(_, path)| path.split(" (").next().unwrap_or(path).to_owned());
    let rejected: BTreeSet<String> = rejected_values.counts().filter_map(|(path, _)| place(path)).collect();
    let is_rejected = |source: &Source| match (&source.origin, &source.leaf) {
        (Origin::Above(0), Leaf::Fields(fields)) => {
            (1..=fields.len()).any(|length| rejected.contains(&fields[..length].join(".")))
        }
        (_, _) => false,
    };
    let columns = resource.tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    columns
        .filter(|(_, column)| column.from.iter().any(is_rejected))
        .map(|(table, column)| format!("{}.{}", table.name, column.name))
        .collect()
}

/// The places of a scan with values of another kind than all before; the kinds that are known are adjusted.
fn changed_kinds(
    evidence: &mut Evidence,
    kinds: &BTreeMap<String, BTreeMap<JsonKind, u64>>,
    whole: bool,
) -> BTreeMap<String, KindChange> {
    let mut changed = BTreeMap::new();
    for (path, kinds) in kinds {
        let names: Vec<&str> = kinds.keys().map(|kind| kind.name()).collect();
        let is = if let [only] = names.as_slice() { *only } else { MIXED };
        let Some(was) = evidence.kinds.get(path).cloned() else {
            evidence.kinds.insert(path.clone(), is.to_owned());
            continue;
        };
        let others = kinds.iter().filter(|(kind, _)| kind.name() != was);
        if let Some((kind, _)) = others.clone().max_by_key(|(_, count)| **count).filter(|_| was != MIXED) {
            let count = others.map(|(_, count)| *count).sum();
            changed.insert(path.clone(), KindChange { was: was.clone(), is: kind.name().to_owned(), count });
        }
        if whole || was != is {
            evidence.kinds.insert(path.clone(), if whole { is } else { MIXED }.to_owned());
        }
    }
    changed
}

/// For each unknown field that a column can take the line of the column, for the schema file.
fn column_lines(resource: &Resource, unknown: &BTreeMap<String, UnknownField>) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut given: BTreeSet<(String, String)> = BTreeSet::new();
    for (path, field) in unknown {
        let Some((guess, (table, from))) = field.guess.zip(path.split_once('.')) else { continue };
        let Some(columns) = resource.tables.iter().find(|known| known.name == table).map(|known| &known.columns) else {
            continue;
        };
        let name = column_name(from, "field", |name| {
            columns.iter().any(|column| column.name == name) || given.contains(&(table.to_owned(), name.to_owned()))
        });
        lines.insert(path.clone(), column_line(&name, from, &guess.to_string()));
        given.insert((table.to_owned(), name));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Evidence, JsonKind, KindChange, changed_kinds};

    fn came(kinds: &[(JsonKind, u64)]) -> BTreeMap<String, BTreeMap<JsonKind, u64>> {
        BTreeMap::from([("order.total".to_owned(), kinds.iter().copied().collect())])
    }

    #[test]
    fn another_kind_is_told_once_and_places_of_several_kinds_are_left_alone() {
        let mut evidence = Evidence::default();
        assert!(changed_kinds(&mut evidence, &came(&[(JsonKind::Number, 40)]), true).is_empty());
        assert!(changed_kinds(&mut evidence, &came(&[(JsonKind::Number, 2)]), false).is_empty());
        let changed = changed_kinds(&mut evidence, &came(&[(JsonKind::Number, 2), (JsonKind::Text, 3)]), false);
        let expected = KindChange { was: "number".to_owned(), is: "text".to_owned(), count: 3 };
        assert_eq!(changed, BTreeMap::from([("order.total".to_owned(), expected)]));
        assert!(changed_kinds(&mut evidence, &came(&[(JsonKind::Map, 9)]), false).is_empty());
        // A whole read states anew which kinds there are.
        assert!(changed_kinds(&mut evidence, &came(&[(JsonKind::Text, 9)]), true).is_empty());
        assert_eq!(changed_kinds(&mut evidence, &came(&[(JsonKind::Number, 1)]), false).len(), 1);
    }
}
