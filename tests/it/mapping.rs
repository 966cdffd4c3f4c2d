//! Documented example answers (`tests/fixtures/`) and the rows that they must become (`tests/expected/`), written and reviewed by hand against the API's documentation. No command writes the expected rows.
//!
//! A file of expected rows has, for each table, its `key`, its `partition`, the columns of each type (`types`) and its `rows` in
//! the order of the answer; a column that a row does not name is null. Decimals and JSON are texts, instants are in UTC. The row
//! of a record also names its partition, where a date of it decides. A file without `rows` takes those that the fixture of the
//! simulated account states for each record, by hand too (`crates/sandbox/fixtures/`), and the answer that it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::Date;
use pearlift::decode::Page;
use pearlift::manifest::Key;
use pearlift::sandbox::Sandbox;
use pearlift::schema::{Catalog, EXTRA, Partition, ReadStyle, Resource, Type};
use serde_json::{Map, Value};

use crate::reference::cells;
use crate::schemas::decode;

/// Exchanges of two columns that change no row, for the reason that is given: table, one column, the other.
const SAME: [(&str, &str, &str, &str); 4] = [
    ("contact_postal_address", "contact_id", "address_contact_id", "an address repeats the id of its contact"),
    ("contact_search", "company_name", "exact_company_name", "both are the name of the company"),
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
    /// The table of a file; where this has no rows, those that are served.
    fn of(table: &Value, served: Option<&[Value]>) -> Self {
        let words = |text: &Value| text.as_str().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
        let known = ["key", "partition", "types", "rows"];
        assert!(table.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())));
        let types = table["types"].as_object().unwrap().iter();
        let types: Vec<_> = types
            .flat_map(|(kind, columns)| words(columns).into_iter().map(|column| (column, Type::parse(kind).unwrap())))
            .collect();
        let columns: BTreeMap<String, Type> = types.iter().cloned().collect();
        assert_eq!(columns.len(), types.len(), "a column has two types");
        let stated = table["rows"].as_array().map(Vec::as_slice);
        assert!(stated.is_some() != served.is_some(), "rows are in the file, or served");
        let rows = stated.or(served).unwrap().iter().map(|row| row.as_object().unwrap().clone());
        let rows: Vec<Map<String, Value>> = rows.collect();
        let cells = rows.iter().map(|row| {
            let named = row.iter().filter(|(_, value)| !value.is_null());
            let named = named.filter_map(|(name, value)| Some((name, value, columns.get(name)?)));
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
            // Keys of JSON are in order, as in files.
            Type::Json if value.is_object() || value.is_array() => sorted(value).to_string(),
            Type::String | Type::Json | Type::Hash { .. } => text(),
            Type::Date => days(&text()).to_string(),
            Type::Timestamp => text().parse::<Timestamp>().unwrap().as_microsecond().to_string(),
        }
    }
}

/// A JSON value with the keys of its objects in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries: BTreeMap<_, _> = object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(entries) => Value::Array(entries.iter().map(sorted).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other.clone(),
    }
}

/// Days since 1970.
fn days(date: &str) -> i64 {
    date.parse::<Date>().unwrap().duration_since(Date::constant(1970, 1, 1)).as_hours() / 24
}

/// All expected rows of a resource, by table.
struct Expected(BTreeMap<String, ExpectedTable>);

impl Expected {
    fn read(resource: &str, served: Option<&Served>) -> Self {
        let file: Map<String, Value> = serde_json::from_str(&read("expected", resource)).unwrap();
        let rows = |table: &str| served.map(|served| served.rows.get(table).map_or(&[][..], Vec::as_slice));
        if let Some(served) = served {
            let stated: BTreeSet<&String> = file.keys().collect();
            assert_eq!(served.rows.keys().collect::<BTreeSet<_>>(), stated, "{resource}");
        }
        Self(file.iter().map(|(name, table)| (name.clone(), ExpectedTable::of(table, rows(name)))).collect())
    }

    /// The difference of a resource's page from the expected one, if there is one.
    fn difference(&self, resource: &Resource, page: &Page) -> Option<String> {
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<_>>();
        let tables = names(resource.tables.iter().map(|table| &table.name).collect());
        if tables != names(self.0.keys().collect()) {
            return Some(format!("its tables are {tables:?}"));
        }
        if page.records.iter().any(|record| !record.fits)
            || !page.rejected_records.is_empty()
            || !page.rejected_rows.is_empty()
        {
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
                let record = &page.records[usize::try_from(page.tables[place].record_places[row]).unwrap()];
                let month = expected.rows[row].get(name).map_or(0, |month| days(month.as_str().unwrap()));
                if i64::from(record.partition) != month {
                    return Some(format!("{}, row {row}: {name} is day {}", table.name, record.partition));
                }
            }
        }
        let first = resource.partition().segment();
        let expected = self.0.values().find_map(|table| table.partition.as_deref());
        (first.as_deref() != expected).then(|| format!("its partition is {first:?}"))
    }
}

/// The answer of the simulated account for a resource that its fixture serves, and the rows that this states.
struct Served {
    answer: String,
    /// By table, in the order of the answer.
    rows: BTreeMap<String, Vec<Value>>,
}

/// The answers of the account for these resources; the same for every test.
fn served(resources: &[&Resource]) -> &'static BTreeMap<String, Served> {
    static SERVED: OnceLock<BTreeMap<String, Served>> = OnceLock::new();
    let ask_all = || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let sandbox = crate::support::account(60).await;
            let mut found = BTreeMap::new();
            for resource in resources {
                found.insert(resource.name.clone(), ask(&sandbox, resource).await);
            }
            found
        })
    };
    // A test runs in a runtime of its own, or in none: this one has a thread to itself.
    SERVED.get_or_init(|| std::thread::scope(|scope| scope.spawn(ask_all).join().unwrap()))
}

/// Asks for all of a resource in one request.
async fn ask(sandbox: &Sandbox, resource: &Resource) -> Served {
    let client = crate::support::client();
    let path = match &resource.read.style {
        ReadStyle::Search(search) => format!("{}?pageSize=500&firstResult=1", search.search),
        ReadStyle::List { gets, .. } => gets[0].path.clone(),
        ReadStyle::IdSets { .. } | ReadStyle::PerOwner { .. } => panic!("the rows of {} are in no file", resource.name),
    };
    let get = client.get(format!("{}/{}/{path}", sandbox.url(), resource.read.service));
    let get = get.header("brightpearl-app-ref", "acme_export").header("brightpearl-staff-token", "sandbox-staff-token");
    let answer = get.send().await.unwrap();
    assert!(answer.status().is_success(), "{}: {}", resource.name, answer.status());
    let answer = answer.text().await.unwrap();
    let expected = client.post(format!("{}/expected/{}", sandbox.control(), resource.name)).send().await.unwrap();
    let expected = expected.text().await.unwrap();

    // The rows are stated record by record: they are put into the order of the answer.
    let key = resource.main_table().columns[resource.main_table().key[0]].name.as_str();
    let mut records: BTreeMap<String, Value> = BTreeMap::new();
    for line in expected.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let first = record["tables"][&resource.main_table().name][0][key].clone();
        assert!(records.insert(name_of(&first), record).is_none(), "{}: {first} is there twice", resource.name);
    }
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in decode(resource, &answer).records {
        let name = match &record.key {
            Key::Int(id) => id.to_string(),
            Key::Text(text) => text.clone(),
        };
        let record = records.remove(&name).unwrap_or_else(|| panic!("{}: no rows of {name}", resource.name));
        for (table, of_table) in record["tables"].as_object().unwrap() {
            rows.entry(table.clone()).or_default().extend(of_table.as_array().unwrap().iter().cloned());
        }
    }
    assert!(records.is_empty(), "{}: the answer lacks {:?}", resource.name, records.keys());
    Served { answer, rows }
}

/// A key as a text.
fn name_of(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

/// Every built-in resource of which `tests/expected/` has the keys and types, with an answer and the rows that it must become. The
/// rows that fixtures state are compared for all in `stated`.
fn all() -> Vec<(Resource, String, Expected)> {
    let catalog = Catalog::load(None).unwrap();
    let expected = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let is_there = |resource: &&Resource| expected.join(format!("{}.json", resource.name)).exists();
    let has_rows = |resource: &&Resource| read("expected", &resource.name).contains("\"rows\"");
    let (own, others): (Vec<&Resource>, Vec<&Resource>) =
        catalog.resources().iter().filter(is_there).partition(has_rows);
    assert!(own.len() >= 20 && others.len() >= 22, "{} {}", own.len(), others.len());
    let served = served(&others);
    let by_file = own
        .into_iter()
        .map(|resource| (resource.clone(), read("fixtures", &resource.name), Expected::read(&resource.name, None)));
    let by_account = others.into_iter().map(|resource| {
        let served = &served[&resource.name];
        (resource.clone(), served.answer.clone(), Expected::read(&resource.name, Some(served)))
    });
    by_file.chain(by_account).collect()
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
        if let (Partition::By { table, .. }, Some(segment)) = (resource.partition(), resource.partition().segment()) {
            let hand = &expected.0[&resource.tables[*table].name];
            assert!(hand.rows.iter().all(|row| row.contains_key(&segment)), "{}", resource.name);
        }
    }
    let used = ["bool", "date", "decimal(18,10)", "decimal(18,6)", "int32", "int64", "json", "string", "timestamp"];
    assert_eq!(types, used.map(str::to_owned).into());
}

/// The same, each checked to equal the expectation as long as nothing is changed.
fn unchanged() -> Vec<(Resource, String, Expected)> {
    let all = all();
    for (resource, text, expected) in &all {
        assert_eq!(expected.difference(resource, &decode(resource, text)), None, "{}", resource.name);
    }
    all
}

/// Demands that the expected rows differ from those of a changed resource for its fixture.
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
    assert!(mutants.tried > 5_500, "{}", mutants.tried);
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
    assert!(mutants.tried > 8_000, "{}", mutants.tried);
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
    assert!(mutants.tried > 700, "{}", mutants.tried);
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
    assert!(mutants.tried > 15, "{}", mutants.tried);
}

#[test]
fn the_keys_of_expected_records_are_those_of_the_answer() {
    for (resource, text, expected) in all() {
        let Some(table) = resource.record_table() else { continue };
        let hand = &expected.0[&table.name];
        let ids = hand.rows.iter().map(|row| match &row[&hand.key[0]] {
            Value::String(code) => Key::Text(code.clone()),
            id => Key::Int(id.as_i64().unwrap()),
        });
        let keys: BTreeSet<_> = decode(&resource, &text).records.into_iter().map(|record| record.key).collect();
        assert_eq!(ids.collect::<BTreeSet<_>>(), keys, "{}", resource.name);
    }
}
