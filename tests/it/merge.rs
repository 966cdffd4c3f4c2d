//! Commits of pages, compared with a map: for any pages in any order, the tables equal the map.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use jiff::Timestamp;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pearlift::config::{Destination, Encodings};
use pearlift::decode::{Shape, documents};
use pearlift::fetch::Body;
use pearlift::manifest::{DataFile, FORMAT, Key, State, Version, parse, publish_files};
use pearlift::schema::{Catalog, Resource};
use pearlift::store::Store;
use pearlift::write::{RecordSet, Replace, Sizes, Spool, WriteRequest, Written, day_number, write_tables};
use proptest::prelude::*;
use serde_json::json;

const THINGS: &str = r#"
about = "things with parts"
[read]
style = "list"
service = "test-service"
get = "thing"
key = "id"
newer = ["version"]

[tables.thing]
key = ["id"]
PARTITION
columns = [
  { name = "id",         from = "id",        type = "int64", required = true },
  { name = "version",    from = "version",   type = "int64" },
  { name = "created_on", from = "createdOn", type = "timestamp" },
  { name = "amount",     from = "amount",    type = "decimal(18,6)" },
]

[tables.part]
rows = "parts.*"
key = ["thing_id", "id"]
columns = [
  { name = "thing_id", from = "^.id", type = "int64", required = true },
  { name = "id",       from = "@key", type = "int64", required = true },
  { name = "name",     from = "name", type = "string" },
]
"#;

/// Dates as the source may write them, and their month: of UTC, for any offset of their own.
const DATES: [(Option<&str>, &str); 9] = [
    (None, "created_month=1970-01-01"),
    (Some("2026-01-31T23:59:59.999Z"), "created_month=2026-01-01"),
    (Some("2026-02-01T00:00:00.000+00:30"), "created_month=2026-01-01"),
    (Some("2026-03-29T02:30:00.000+01:00"), "created_month=2026-03-01"),
    (Some("2026-10-31T23:30:00-02:00"), "created_month=2026-11-01"),
    (Some("1969-12-31T23:59:59.999Z"), "created_month=1969-12-01"),
    (Some("1970-01-01T00:00:00+01:00"), "created_month=1969-12-01"),
    (Some("0001-01-01T00:00:00Z"), "created_month=0001-01-01"),
    (Some("9999-12-30T21:59:59.999Z"), "created_month=9999-12-01"),
];

/// The days of the snapshots.
const DAYS: [&str; 3] = ["2026-11-22", "2026-11-23", "2026-11-24"];

#[derive(Clone, Debug)]
struct Thing {
    id: i64,
    version: i64,
    date: usize,
    amount: i64,
    parts: BTreeMap<i64, u8>,
    odd: Option<u8>,
}

/// The pages between two commits, and the way they are committed.
#[derive(Clone, Debug)]
struct Round {
    /// Seconds at which a page was requested, and its records.
    pages: Vec<(i64, Vec<Thing>)>,
    /// Owners without rows, found at this time.
    gone: (i64, Vec<i64>),
    whole: bool,
    preserved: Vec<i64>,
    day: usize,
    last: bool,
    file_bytes: u64,
    row_group_rows: usize,
    memory: u64,
}

fn thing() -> impl Strategy<Value = Thing> {
    let parts = prop::collection::btree_map(1_i64..6, 0_u8..3, 0..5);
    // Few ids, versions and values: most records existed before, and many of them are equal.
    (1_i64..24, 1_i64..4, 0..DATES.len(), 0_i64..3, parts, prop::option::weighted(0.2, 0_u8..2))
        .prop_map(|(id, version, date, amount, parts, odd)| Thing { id, version, date, amount, parts, odd })
}

fn round() -> impl Strategy<Value = Round> {
    let pages = prop::collection::vec((0_i64..4, prop::collection::vec(thing(), 0..12)), 0..4);
    let gone = (0_i64..4, prop::collection::vec(1_i64..24, 0..4));
    let preserved = prop::collection::vec(1_i64..24, 0..6);
    let sizes =
        (prop_oneof![Just(1_u64), Just(1_500), Just(1 << 20)], prop_oneof![Just(1_usize), Just(7), Just(1_000)]);
    let memory = prop_oneof![Just(0_u64), Just(1 << 30)];
    (pages, gone, prop::bool::weighted(0.3), preserved, 0..DAYS.len(), any::<bool>(), sizes, memory).prop_map(
        |(pages, gone, whole, preserved, day, last, (file_bytes, row_group_rows), memory)| Round {
            pages,
            gone,
            whole,
            preserved,
            day,
            last,
            file_bytes,
            row_group_rows,
            memory,
        },
    )
}

/// A row as the model has it: its content, and when and by which run it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    content: Vec<String>,
    seen: i64,
    run: String,
}

/// A table: by partition and key.
type Rows = BTreeMap<(Option<String>, Vec<i64>), Row>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    added: u64,
    changed: u64,
    removed: u64,
}

fn body(things: &[Thing]) -> Body {
    let records: Vec<serde_json::Value> = things
        .iter()
        .map(|thing| {
            let parts: serde_json::Map<String, serde_json::Value> =
                thing.parts.iter().map(|(id, name)| (id.to_string(), json!({"name": format!("part {name}")}))).collect();
            let mut record = json!({"id": thing.id, "version": thing.version, "amount": format!("{}.50", thing.amount), "parts": parts});
            if let Some(date) = DATES[thing.date].0 {
                record["createdOn"] = json!(date);
            }
            if let Some(odd) = thing.odd {
                record["odd"] = json!(odd);
            }
            record
        })
        .collect();
    Body { bytes: json!({"response": records}).to_string().into(), gzip: false }
}

fn micros(date: usize) -> String {
    DATES[date]
        .0
        .map_or_else(|| "null".to_owned(), |text| text.parse::<Timestamp>().unwrap().as_microsecond().to_string())
}

/// The rows of a record in the two tables.
fn rows_of(thing: &Thing, partition: &Option<String>, seen: i64, run: &str) -> [Rows; 2] {
    let row = |content: Vec<String>| Row { content, seen, run: run.to_owned() };
    let extra = thing.odd.map_or_else(|| "null".to_owned(), |odd| format!("{{\"odd\":{odd}}}"));
    let amount = (thing.amount * 1_000_000 + 500_000).to_string();
    let own = row(vec![thing.version.to_string(), micros(thing.date), amount, extra]);
    let parts = thing.parts.iter().map(|(id, name)| {
        ((partition.clone(), vec![thing.id, *id]), row(vec![format!("part {name}"), "null".to_owned()]))
    });
    [BTreeMap::from([((partition.clone(), vec![thing.id]), own)]), parts.collect()]
}

/// Applies a round to the model. `snapshot` is the partition of a snapshot.
fn apply(tables: &mut [Rows; 2], round: &Round, snapshot: Option<&str>, run: &str) -> (Counts, BTreeSet<i64>) {
    // Of the same record twice the higher version counts, else the later request, else, where the source's clock cannot
    // order them, the one that came later.
    let mut winners: HashMap<i64, (Option<i64>, i64, Option<&Thing>)> = HashMap::new();
    let sent = round.pages.iter().flat_map(|(at, things)| things.iter().map(|thing| (thing.id, *at, Some(thing))));
    for (id, at, thing) in sent.chain(round.gone.1.iter().map(|id| (*id, round.gone.0, None))) {
        let version = thing.map(|thing| thing.version);
        let wins = winners.get(&id).is_none_or(|(known, known_at, _)| match (version, known) {
            (Some(mine), Some(known)) if mine != *known => mine > *known,
            _ => at + 2 >= *known_at,
        });
        if wins {
            winners.insert(id, (version, at, thing));
        }
    }
    let came: BTreeSet<i64> = winners.keys().copied().collect();
    let mut incoming: [Rows; 2] = Default::default();
    for (_, at, thing) in winners.values() {
        let Some(thing) = thing else { continue };
        let partition = snapshot.unwrap_or(DATES[thing.date].1).to_owned();
        for (into, rows) in incoming.iter_mut().zip(rows_of(thing, &Some(partition), at * 1_000_000, run)) {
            into.extend(rows);
        }
    }
    let replaced = |partition: &Option<String>, record: i64| match (round.whole, snapshot) {
        (false, None) => came.contains(&record),
        (true, None) => came.contains(&record) || !round.preserved.contains(&record),
        (_, Some(day)) => {
            partition.as_deref() == Some(day) && (came.contains(&record) || !round.preserved.contains(&record))
        }
    };
    let mut counts = Counts::default();
    for (table, incoming) in tables.iter_mut().zip(incoming) {
        let before = table.len();
        table.retain(|(partition, key), _| {
            !replaced(partition, key[0]) || incoming.contains_key(&(partition.clone(), key.clone()))
        });
        counts.removed += u64::try_from(before - table.len()).unwrap();
        for (key, row) in incoming {
            match table.get_mut(&key) {
                None => {
                    counts.added += 1;
                    table.insert(key, row);
                }
                Some(known) if known.content == row.content => {}
                Some(known) => {
                    counts.changed += 1;
                    *known = row;
                }
            }
        }
    }
    (counts, came)
}

/// A cell as the model writes it.
fn cell(batch: &RecordBatch, column: usize, row: usize) -> String {
    let values = batch.column(column);
    if values.is_null(row) {
        return "null".to_owned();
    }
    if let Some(values) = values.as_primitive_opt::<Int64Type>() {
        return values.value(row).to_string();
    }
    if let Some(values) = values.as_primitive_opt::<Decimal128Type>() {
        return values.value(row).to_string();
    }
    if let Some(values) = values.as_primitive_opt::<TimestampMicrosecondType>() {
        return values.value(row).to_string();
    }
    values.as_string::<i32>().value(row).to_owned()
}

/// Reads a file with a Parquet reader, and checks that it agrees with its manifest.
fn read(runtime: &tokio::runtime::Runtime, store: &Store, file: &DataFile, keys: usize) -> Rows {
    let bytes = runtime.block_on(store.get(&file.path)).unwrap().expect("a live file is there");
    assert_eq!(u64::try_from(bytes.len()).unwrap(), file.bytes);
    let mut rows = Rows::new();
    let mut last: Option<Vec<i64>> = None;
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let width = batch.num_columns();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = (0..width).map(|column| cell(&batch, column, row)).collect();
            let key: Vec<i64> = cells[..keys].iter().map(|text| text.parse().unwrap()).collect();
            assert!(last.as_ref().is_none_or(|last| *last < key), "{}: {last:?} before {key:?}", file.path);
            assert!(last.is_some() || file.first == Some(Key::Int(key[0])), "{}: its first key", file.path);
            let content = cells[keys..width - 2].to_vec();
            let seen = cells[width - 2].parse().unwrap();
            rows.insert((file.partition.clone(), key.clone()), Row { content, seen, run: cells[width - 1].clone() });
            last = Some(key);
        }
    }
    assert_eq!(last.map(|key| Key::Int(key[0])), file.last, "{}: its last key", file.path);
    assert_eq!(u64::try_from(rows.len()).unwrap(), file.rows, "{}", file.path);
    rows
}

/// The files of a partition are disjoint: no two have rows of one record.
fn lie_apart(files: &[DataFile]) {
    for pair in files.windows(2).filter(|pair| pair[0].partition == pair[1].partition) {
        assert!(pair[0].last < pair[1].first, "{} and {} overlap", pair[0].path, pair[1].path);
    }
}

fn resource(partition: &str) -> Resource {
    let text = THINGS.replace("PARTITION", &format!("partition = \"{partition}\""));
    Catalog::from_texts(&[("thing".to_owned(), text)]).unwrap().resources()[0].clone()
}

/// The version that a commit writes after `head`.
fn next_version(resource: &Resource, head: Option<&Version>, (count, run): (u64, &str), written: &Written) -> Version {
    Version {
        format: FORMAT,
        pearlift: "0".to_owned(),
        account: "acme".to_owned(),
        resource: "thing".to_owned(),
        version: count,
        nonce: run.to_owned(),
        parent: head.map(|head| head.nonce.clone()),
        run: run.to_owned(),
        written_at: Timestamp::UNIX_EPOCH,
        schema_hash: resource.hash.clone(),
        tables: written.tables.clone(),
        removes: written.removes.clone(),
        rejected: Vec::new(),
        deleted: Vec::new(),
        state: State::default(),
        checkpoint: None,
    }
    .settled()
}

/// The rows that a round replaces; `day` is that of a snapshot.
fn replaced_by(round: &Round, day: Option<i32>) -> Replace {
    match (day, round.whole) {
        (Some(day), _) => Replace::Partition(day),
        (None, true) => Replace::Everything,
        (None, false) => Replace::Records,
    }
}

/// Whether a round has no reason to rewrite a file.
fn round_leaves(round: &Round, came: &BTreeSet<i64>, snapshot: Option<&String>, file: &DataFile) -> bool {
    let met = came.iter().any(|id| file.first <= Some(Key::Int(*id)) && Some(Key::Int(*id)) <= file.last);
    let elsewhere = snapshot.is_some() && file.partition.as_ref() != snapshot;
    elsewhere || (!met && !round.whole && !round.last && snapshot.is_none())
}

/// Commits each round and compares the tables with the model.
fn commits_equal_the_model(rounds: &[Round], partition: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let resource = resource(partition);
    let shape = Shape::compile(&resource).unwrap();
    let store = Store::memory();
    let folder = tempfile::tempdir().unwrap();
    let mut model: [Rows; 2] = Default::default();
    let mut head: Option<Version> = None;
    let mut number = 0;
    for (count, round) in (1_u64..).zip(rounds) {
        let run = format!("{count:032x}");
        // WHEN pages are spooled
        let mut spool = Spool::new(&resource, &folder.path().join("spool"), round.memory).unwrap();
        let snapshot = resource.is_snapshot().then(|| format!("{partition}={}", DAYS[round.day]));
        let day = resource.is_snapshot().then(|| day_number(DAYS[round.day].parse().unwrap()).unwrap());
        for (at, things) in &round.pages {
            let page = documents(&shape, &body(things)).unwrap();
            assert!(page.rejected_records.is_empty() && page.rejected_values.is_empty(), "{page:?}");
            spool.add(&page, Timestamp::from_second(*at).unwrap(), day).unwrap();
        }
        for id in &round.gone.1 {
            spool.add_empty(Key::Int(*id), Timestamp::from_second(round.gone.0).unwrap());
        }
        let before = model.clone();
        let (counts, came) = apply(&mut model, round, snapshot.as_deref(), &run);
        // AND written
        let preserved = round.preserved.iter().filter(|id| !came.contains(id)).map(|id| Key::Int(*id)).collect();
        let write_request = WriteRequest {
            store: &store,
            resource: &resource,
            head: head.as_ref(),
            spool: folder.path(),
            run: &run,
            replace: replaced_by(round, day),
            preserved: &RecordSet::new(preserved),
            sizes: sizes(round.file_bytes, round.row_group_rows, count),
            keep_from: None,
            last: round.last,
            marks: None,
            watch: &[],
            met_from: i32::MIN,
        };
        let numbered = number;
        let written = write_tables(&write_request, &spool.take().unwrap(), runtime.handle(), &mut number).unwrap();
        assert_eq!(number - numbered, written.files, "a file was written and thrown away in commit {count}");
        let next = next_version(&resource, head.as_ref(), (count, &run), &written);
        // THEN the manifest is one that is believed, and comes back as it was
        assert_eq!(parse("thing", count, &serde_json::to_vec(&next).unwrap()).unwrap(), next);
        let staged = runtime.block_on(store.list("_pearlift/staging")).unwrap();
        runtime.block_on(publish_files(&store, &next, &staged.into_iter().map(|(path, _)| path).collect())).unwrap();
        // AND the tables equal the model, each row with the time and run that first stored it
        for (place, (name, keys)) in [("thing", 1), ("part", 2)].into_iter().enumerate() {
            let files = &next.tables[name].files;
            lie_apart(files);
            let mut rows = Rows::new();
            for file in files {
                rows.extend(read(&runtime, &store, file, keys));
            }
            assert_eq!(rows, model[place], "{name} after commit {count}");
            assert_eq!(rows.len(), files.iter().map(|file| usize::try_from(file.rows).unwrap()).sum::<usize>());
            // AND nothing else is in the table's folder
            let listed: BTreeSet<String> =
                runtime.block_on(store.list(name)).unwrap().into_iter().map(|(path, _)| path).collect();
            assert_eq!(listed, files.iter().map(|file| file.path.clone()).collect());
            // AND a file in which nothing changed is the one that was there
            let Some(old) = head.as_ref().map(|head| &head.tables[name].files) else { continue };
            if before[place] == model[place] {
                assert_eq!(files, old, "{name} was rewritten in commit {count}, and nothing changed");
            }
            let kept = |file: &DataFile| round_leaves(round, &came, snapshot.as_ref(), file);
            for file in old.iter().filter(|file| file.rows > 0 && kept(file)) {
                assert!(files.contains(file), "{} was rewritten for nothing", file.path);
            }
        }
        let changes = written.changes;
        assert_eq!(Counts { added: changes.added, changed: changes.changed, removed: changes.removed }, counts);
        head = Some(next);
    }
}

#[test]
fn a_link_that_lies_where_a_file_is_to_be_staged_is_not_written_through() {
    // GIVEN a folder in which somebody has laid links that lead elsewhere, under the names that a run is about to use
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    std::fs::write(&kept, "kept").unwrap();
    let run = "1".repeat(32);
    let staging = folder.path().join("lake/_pearlift/staging").join(&run);
    std::fs::create_dir_all(&staging).unwrap();
    std::os::unix::fs::symlink(&kept, staging.join(format!("thing-{run}-1.part"))).unwrap();
    let store = Store::open(&Destination::Local(folder.path().join("lake")), false).unwrap();
    let resource = resource("month(created_on)");
    let mut spool = Spool::new(&resource, &folder.path().join("spool"), 1 << 20).unwrap();
    let write_request = WriteRequest {
        store: &store,
        resource: &resource,
        head: None,
        spool: folder.path(),
        run: &run,
        replace: Replace::Records,
        preserved: &RecordSet::default(),
        sizes: sizes(1, 1, 0),
        keep_from: None,
        last: false,
        marks: None,
        watch: &[],
        met_from: i32::MIN,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // WHEN the run writes there
    let failure = write_tables(&write_request, &spool.take().unwrap(), runtime.handle(), &mut 0).unwrap_err();
    // THEN it stops, and the target of the link is as it was
    assert!(failure.to_string().contains("thing-"), "{failure}");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
}

/// Sizes of a commit; the encodings are others in each, for files of all kinds are together.
fn sizes(file_bytes: u64, row_group_rows: usize, commit: u64) -> Sizes {
    let encodings = if commit.is_multiple_of(2) { Encodings::Compact } else { Encodings::Common };
    Sizes { file_bytes, row_group_rows, row_group_bytes: row_group_rows * 50, encodings }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn records_are_replaced_as_in_a_map(rounds in prop::collection::vec(round(), 1..6)) {
        commits_equal_the_model(&rounds, "month(created_on)");
    }

    #[test]
    fn a_snapshot_replaces_its_day_as_in_a_map(rounds in prop::collection::vec(round(), 1..5)) {
        commits_equal_the_model(&rounds, "snapshot_date");
    }
}
