//! Figures of the simulated account: bytes of documents, distinct values of columns, bytes of Parquet files. A change of fixtures or
//! rules that moves one by more than a twentieth is noticed; `tests/figures.json` has those that were recorded.
//!
//! Compressed files of less than four kilobytes are not compared: a dictionary more or less decides their size.

use std::collections::BTreeMap;
use std::path::Path;

use pearlift::sandbox::{SandboxSettings, Size};
use pearlift::schema::{Catalog, Resource};
use serde::{Deserialize, Serialize};

use crate::support::{Program, query, start, truth};

/// Orders of the account.
const ORDERS: u64 = 400;
/// Days over which they were created: few months are few files.
const DAYS: u32 = 120;
/// Bytes of Parquet files below which they are not compared.
const SMALL: u64 = 4_096;

/// The figures of a resource.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Figures {
    documents: u64,
    parquet: u64,
    /// By table: the distinct values of its columns, in the order of the schema.
    distinct: BTreeMap<String, Vec<u64>>,
}

/// Whether a figure is within a twentieth of another, or differs by so much.
fn is_near(recorded: u64, found: u64, least: u64) -> bool {
    recorded.abs_diff(found) <= (recorded / 20).max(least)
}

/// Bytes of the files of a folder.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    let size = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().unwrap().len() }
    };
    entries.map(size).sum()
}

/// The distinct values of each column of the tables of resources, by table.
fn distinct(resources: &[&Resource], lake: &Path) -> BTreeMap<String, Vec<u64>> {
    let tables = resources.iter().flat_map(|resource| &resource.tables);
    let select = |table: &pearlift::schema::Table| {
        let columns: Vec<String> =
            table.columns.iter().map(|column| format!("count(DISTINCT \"{}\")", column.name)).collect();
        let files = format!("{}/{}/**/*.parquet", lake.display(), table.name);
        format!("SELECT '{}', [{}] FROM read_parquet('{files}')", table.name, columns.join(", "))
    };
    let rows = query(&tables.map(select).collect::<Vec<_>>().join(" UNION ALL "));
    let row = |row: String| {
        let (table, counts) = row.split_once('|').unwrap();
        (table.to_owned(), serde_json::from_str(counts).unwrap())
    };
    rows.into_iter().map(row).collect()
}

/// The recorded figures that the found ones are far from, as text.
fn far(name: &str, recorded: &Figures, found: &Figures) -> Vec<String> {
    let mut far = Vec::new();
    if !is_near(recorded.documents, found.documents, 0) {
        far.push(format!("{name}: {} bytes of documents, {} were recorded", found.documents, recorded.documents));
    }
    if recorded.parquet >= SMALL && !is_near(recorded.parquet, found.parquet, 0) {
        far.push(format!("{name}: {} bytes of Parquet files, {} were recorded", found.parquet, recorded.parquet));
    }
    for (table, counts) in &recorded.distinct {
        let now = &found.distinct[table];
        let differs = counts.len() != now.len() || counts.iter().zip(now).any(|(one, other)| !is_near(*one, *other, 2));
        far.extend(differs.then(|| format!("{table}: {now:?} distinct values, {counts:?} were recorded")));
    }
    far
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn figures_of_the_account_are_those_that_were_recorded() {
    // GIVEN an account of a day that does not change
    let now = Some("2025-11-19T06:00:00Z".parse().unwrap());
    let settings = SandboxSettings { limit: 0, now, history: DAYS, ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: ORDERS, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();

    // WHEN it is exported
    Program::new(&sandbox, lake.path()).by_month().run(&["run"]).expect(0);

    // THEN the figures of each resource that was recorded are near; a resource that is new may be recorded
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/figures.json")).unwrap();
    let recorded: BTreeMap<String, Figures> = serde_json::from_str(&text).unwrap();
    let catalog = Catalog::load(None).unwrap();
    let resources: Vec<&Resource> = catalog.resources().iter().filter(|resource| resource.is_default).collect();
    let mut counts = distinct(&resources, lake.path());
    let mut all = BTreeMap::new();
    for resource in resources {
        let tables = resource.tables.iter().map(|table| &table.name);
        let parquet = tables.clone().map(|table| bytes(&lake.path().join(table))).sum();
        let distinct = tables.map(|table| (table.clone(), counts.remove(table).unwrap())).collect();
        let documents = truth(&sandbox, &resource.name).await.len();
        all.insert(resource.name.clone(), Figures { documents: documents.try_into().unwrap(), parquet, distinct });
    }
    let far: Vec<String> = recorded.iter().flat_map(|(name, recorded)| far(name, recorded, &all[name])).collect();
    let lines = all.iter().map(|(name, figures)| format!("\"{name}\": {}", serde_json::to_string(figures).unwrap()));
    let lines = lines.collect::<Vec<_>>().join(",\n");
    assert!(far.is_empty() && recorded.len() >= 42, "{}\nfigures now:\n{{\n{lines}\n}}", far.join("\n"));
}
