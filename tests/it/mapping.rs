//! Documented example answers (`tests/fixtures/`) and the rows that they must become (`tests/expected/`), written and reviewed by hand against the API's documentation. No command writes the expected rows.
//!
//! A file of expected rows has, for each table, its `key`, its `partition`, the columns of each type (`types`) and its `rows` in
//! the order of the answer; a column that a row does not name is null. Decimals and JSON are texts, instants are in UTC. The row
//! of a record also names its partition, where a date of it decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use pearlift::decode::Page;
use pearlift::manifest::Key;
use pearlift::schema::{Catalog, EXTRA, Partition, Resource, Type};
use serde_json::{Map, Value};

use crate::reference::cells;
use crate::schemas::decode;

/// Exchanges of two columns that change no row, for the reason that is given: table, one column, the other.
const SAME: [(&str, &str, &str, &str); 3] = [
    ("contact_postal_address", "contact_id", "address_contact_id", "an address repeats the id of its contact"),
    ("goods_in_note", "id", "goods_note_id", "a note repeats the id that it has in the map"),
    ("goods_in_note_movement", "goods_in_note_id", "goods_note_id", "a movement repeats the id of its note"),
];

fn read(folder: &str, resource: &str) -> String {
    let path = format!("{}/tests/{folder}/{resource}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The expected rows of one table.
struct ExpectedTable {
    key: Vec<String>,
    partition: Option<String>,
    types: BTreeMap<String, Type>,
    rows: Vec<Map<String, Value>>,
    /// The rows as `cells` has them; null is absent.
    cells: Vec<BTreeMap<String, String>>,
}

impl ExpectedTable {
    fn of(table: &Value) -> Self {
        let words = |text: &Value| text.as_str().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
        let known = ["key", "partition", "types", "rows"];
        assert!(table.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())));
        let types = table["types"].as_object().unwrap().iter();
        let types: Vec<_> = types
            .flat_map(|(kind, columns)| words(columns).into_iter().map(|column| (column, Type::parse(kind).unwrap())))
            .collect();
        let columns: BTreeMap<String, Type> = types.iter().cloned().collect();
        assert_eq!(columns.len(), types.len(), "a column has two types");
        let rows: Vec<Map<String, Value>> = serde_json::from_value(table["rows"].clone()).unwrap();
        let cells = rows.iter().map(|row| {
            let named = row.iter().filter_map(|(name, value)| Some((name, value, columns.get(name)?)));
            named.map(|(name, value, kind)| (name.clone(), Self::cell(value, *kind))).collect()
        });
        Self {
            key: words(&table["key"]),
            partition: table.get("partition").map(|name| name.as_str().unwrap().to_owned()),
            cells: cells.collect(),
            types: columns,
            rows,
        }
    }

    /// The text of a value as `cells` has it.
    fn cell(value: &Value, kind: Type) -> String {
        let text = || value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned();
        match kind {
            Type::Bool => value.as_bool().unwrap().to_string(),
            Type::Int32 | Type::Int64 => value.as_i64().unwrap().to_string(),
            Type::Float64 => format!("{:016x}", value.as_f64().unwrap().to_bits()),
            Type::Decimal { scale, .. } => {
                let text = text();
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole}.{fraction:0<width$}", width = usize::from(scale))
            }
            Type::String | Type::Json => text(),
            Type::Date => days(&text()).to_string(),
            Type::Timestamp => text().parse::<Timestamp>().unwrap().as_microsecond().to_string(),
        }
    }
}

/// Days since 1970.
fn days(date: &str) -> i64 {
    date.parse::<Date>().unwrap().duration_since(Date::constant(1970, 1, 1)).as_hours() / 24
}

/// All expected rows of a resource, by table.
struct Expected(BTreeMap<String, ExpectedTable>);

impl Expected {
    fn read(resource: &str) -> Self {
        let file: Map<String, Value> = serde_json::from_str(&read("expected", resource)).unwrap();
        Self(file.iter().map(|(name, table)| (name.clone(), ExpectedTable::of(table))).collect())
    }

    /// How a resource's page differs from what is expected, if it does.
    fn difference(&self, resource: &Resource, page: &Page) -> Option<String> {
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<_>>();
        let tables = names(resource.tables.iter().map(|table| &table.name).collect());
        if tables != names(self.0.keys().collect()) {
            return Some(format!("its tables are {tables:?}"));
        }
        if page.owners.iter().any(|owner| !owner.fits) || !page.records.is_empty() || !page.rejected.is_empty() {
            return Some("a record or a row is rejected".to_owned());
        }
        for (place, table) in resource.tables.iter().enumerate() {
            let expected = &self.0[&table.name];
            let key: Vec<&str> = table.key.iter().map(|column| table.columns[*column].name.as_str()).collect();
            if key != expected.key {
                return Some(format!("{}: its key is {key:?}", table.name));
            }
            let batch = &page.tables[place].batch;
            let schema = batch.schema();
            let fields = schema.fields().iter().filter(|field| field.name() != EXTRA);
            let found: BTreeMap<_, _> = fields.map(|field| (field.name().clone(), field.data_type().clone())).collect();
            let wanted: BTreeMap<_, _> =
                expected.types.iter().map(|(name, kind)| (name.clone(), kind.arrow())).collect();
            if found != wanted {
                return Some(format!("{}: its columns are {found:?}", table.name));
            }
            if batch.num_rows() != expected.rows.len() {
                return Some(format!("{}: it has {} rows", table.name, batch.num_rows()));
            }
            for (row, cells) in cells(batch).iter().enumerate() {
                for (field, cell) in schema.fields().iter().zip(cells) {
                    let wanted = expected.cells[row].get(field.name());
                    if cell.as_ref() != wanted {
                        return Some(format!(
                            "{}, row {row}: {} is {cell:?}, not {wanted:?}",
                            table.name,
                            field.name()
                        ));
                    }
                }
                let Some(name) = &expected.partition else { continue };
                let owner = &page.owners[usize::try_from(page.tables[place].owners[row]).unwrap()];
                let month = expected.rows[row].get(name).map_or(0, |month| days(month.as_str().unwrap()));
                if i64::from(owner.partition) != month {
                    return Some(format!("{}, row {row}: {name} is day {}", table.name, owner.partition));
                }
            }
        }
        let first = resource.partition().segment();
        let expected = self.0.values().find_map(|table| table.partition.as_deref());
        (first != expected).then(|| format!("its partition is {first:?}"))
    }
}

/// Every built-in resource with rows in `tests/expected/`, with the text of its fixture and these rows. The others state their
/// rows in the sandbox's fixtures.
fn all() -> Vec<(Resource, String, Expected)> {
    let catalog = Catalog::load(None).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for resource in catalog.resources() {
        let file = format!("{}.json", resource.name);
        if root.join("tests/expected").join(&file).exists() {
            found.push((resource.clone(), read("fixtures", &resource.name), Expected::read(&resource.name)));
        } else {
            assert!(
                root.join("crates/sandbox/fixtures").join(&file).exists(),
                "{} has no expected rows",
                resource.name
            );
        }
    }
    assert!(found.len() >= 20, "{}", found.len());
    found
}

#[test]
fn every_fixture_becomes_the_rows_that_were_written_by_hand() {
    for (resource, text, expected) in all() {
        let difference = expected.difference(&resource, &decode(&resource, &text));
        assert_eq!(difference, None, "{}", resource.name);
    }
}

#[test]
fn every_column_and_every_type_of_every_schema_is_in_an_expected_row() {
    let mut types = BTreeSet::new();
    for (resource, _, expected) in all() {
        assert_eq!(expected.0.len(), resource.tables.len(), "{}", resource.name);
        for table in &resource.tables {
            let hand = &expected.0[&table.name];
            for column in &table.columns {
                let filled = hand.rows.iter().filter(|row| row.get(&column.name).is_some_and(|value| !value.is_null()));
                assert!(filled.count() > 0, "{}.{} is in no expected row", table.name, column.name);
                assert_eq!(hand.types.get(&column.name), Some(&column.kind), "{}.{}", table.name, column.name);
                types.insert(column.kind.to_string());
            }
            // A row names nothing that is neither a column nor the partition.
            let named = hand.rows.iter().flat_map(|row| row.keys());
            let mut unknown =
                named.filter(|name| !hand.types.contains_key(*name) && hand.partition.as_ref() != Some(*name));
            assert_eq!(unknown.next(), None, "{}", table.name);
        }
        // The row of a record has its month.
        if let Partition::By { segment, table, .. } = resource.partition() {
            let hand = &expected.0[&resource.tables[*table].name];
            assert!(hand.rows.iter().all(|row| row.contains_key(segment)), "{}", resource.name);
        }
    }
    let used = ["bool", "date", "decimal(18,10)", "decimal(18,6)", "int32", "int64", "json", "string", "timestamp"];
    assert_eq!(types, used.map(str::to_owned).into());
}

/// The same, each checked to be what is expected as long as nothing is changed.
fn unchanged() -> Vec<(Resource, String, Expected)> {
    let all = all();
    for (resource, text, expected) in &all {
        assert_eq!(expected.difference(resource, &decode(resource, text)), None, "{}", resource.name);
    }
    all
}

/// Demands that the expected rows differ from what a changed resource makes of its fixture.
struct Mutants {
    tried: usize,
    alive: BTreeSet<(String, String, String)>,
}

impl Mutants {
    fn new() -> Self {
        Self { tried: 0, alive: BTreeSet::new() }
    }

    /// Changes a copy of the resource, and notes table and columns where the expected rows are still equal.
    fn try_one(
        &mut self,
        (resource, text, expected): &(Resource, String, Expected),
        (table, one, other): (usize, usize, usize),
        change: impl FnOnce(&mut Resource),
    ) {
        let mut changed = resource.clone();
        change(&mut changed);
        self.tried += 1;
        if expected.difference(&changed, &decode(&changed, text)).is_none() {
            let table = &resource.tables[table];
            let name = |column: usize| table.columns[column].name.clone();
            self.alive.insert((table.name.clone(), name(one), name(other)));
        }
    }
}

/// The pairs of columns of each table of a resource: table, one column, a later one.
fn pairs(resource: &Resource) -> impl Iterator<Item = (usize, usize, usize)> {
    resource.tables.iter().enumerate().flat_map(|(table, found)| {
        let count = found.columns.len();
        (0..count).flat_map(move |one| (one + 1..count).map(move |other| (table, one, other)))
    })
}

#[test]
fn a_column_that_takes_the_path_of_a_sibling_is_noticed() {
    let mut mutants = Mutants::new();
    for one in unchanged() {
        for place @ (table, a, b) in pairs(&one.0) {
            let columns = &one.0.tables[table].columns;
            if columns[a].from == columns[b].from {
                continue;
            }
            mutants.try_one(&one, place, |resource| {
                let columns = &mut resource.tables[table].columns;
                let path = columns[b].from.clone();
                columns[b].from = std::mem::replace(&mut columns[a].from, path);
            });
        }
    }
    let same: BTreeSet<_> =
        SAME.iter().map(|(table, one, other, _)| ((*table).into(), (*one).into(), (*other).into())).collect();
    assert_eq!(mutants.alive, same, "exchanges of paths that change no row, of {}", mutants.tried);
    assert!(mutants.tried > 3_000, "{}", mutants.tried);
}

#[test]
fn a_column_that_takes_the_type_of_a_sibling_is_noticed() {
    let mut mutants = Mutants::new();
    for one in unchanged() {
        for place @ (table, a, b) in pairs(&one.0) {
            let columns = &one.0.tables[table].columns;
            if columns[a].kind == columns[b].kind {
                continue;
            }
            let (kind_a, kind_b) = (columns[a].kind, columns[b].kind);
            // Each by itself: one that is noticed must not hide the other.
            mutants.try_one(&one, place, |resource| resource.tables[table].columns[a].kind = kind_b);
            mutants.try_one(&one, place, |resource| resource.tables[table].columns[b].kind = kind_a);
        }
    }
    assert_eq!(mutants.alive, BTreeSet::new(), "types that change no row, of {}", mutants.tried);
    assert!(mutants.tried > 3_000, "{}", mutants.tried);
}

#[test]
fn a_column_that_takes_the_place_of_a_sibling_in_the_key_is_noticed() {
    let mut mutants = Mutants::new();
    for one in unchanged() {
        for place @ (table, a, b) in pairs(&one.0) {
            let key = &one.0.tables[table].key;
            let (member, other) = match (key.contains(&a), key.contains(&b)) {
                (true, false) => (a, b),
                (false, true) => (b, a),
                (true, true) | (false, false) => continue,
            };
            mutants.try_one(&one, place, |resource| {
                let table = &mut resource.tables[table];
                let at = table.key.iter().position(|column| *column == member).unwrap();
                table.key[at] = other;
                (table.columns[member].required, table.columns[other].required) = (false, true);
            });
        }
    }
    assert_eq!(mutants.alive, BTreeSet::new(), "members of keys that change nothing, of {}", mutants.tried);
    assert!(mutants.tried > 300, "{}", mutants.tried);
}

#[test]
fn each_of_several_paths_of_a_column_is_in_a_fixture() {
    let mut mutants = Mutants::new();
    for one in unchanged() {
        for (table, found) in one.0.tables.iter().enumerate() {
            for (column, paths) in found.columns.iter().enumerate().filter(|(_, column)| column.from.len() > 1) {
                for place in 0..paths.from.len() {
                    mutants.try_one(&one, (table, column, column), |resource| {
                        resource.tables[table].columns[column].from.remove(place);
                    });
                }
            }
        }
    }
    assert_eq!(mutants.alive, BTreeSet::new(), "paths that no fixture has, of {}", mutants.tried);
    assert!(mutants.tried > 10, "{}", mutants.tried);
}

#[test]
fn the_keys_of_expected_records_are_those_of_the_answer() {
    for (resource, text, expected) in all() {
        let Some(table) = resource.record_table() else { continue };
        let hand = &expected.0[&table.name];
        let ids = hand.rows.iter().map(|row| Key::Int(row[&hand.key[0]].as_i64().unwrap()));
        let owners: BTreeSet<_> = decode(&resource, &text).owners.into_iter().map(|owner| owner.key).collect();
        assert_eq!(ids.collect::<BTreeSet<_>>(), owners, "{}", resource.name);
    }
}
