//! A writer of manifests or schema files cannot make pearlift touch foreign files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pearlift::config::Destination;
use pearlift::failure::Kind;
use pearlift::manifest::parse;
use pearlift::schema::Catalog;
use pearlift::store::Store;
use pearlift::verify::{Inquiry, verify};
use serde_json::{Value, json};

use crate::support::{Program, account, files};

const OTHER_RUN: &str = "0123456789abcdef0123456789abcdef";

/// Every file below a folder with its bytes, but for locks, reports and the history, which come with each command.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found: BTreeMap<_, _> =
        files(folder).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    let comes = ["_pearlift/locks", "_pearlift/runs", "_pearlift/history"];
    found.retain(|path, _| comes.iter().all(|folder| !path.to_string_lossy().contains(folder)));
    found
}

/// A staged name that the head may have.
fn staged(table: &str) -> String {
    format!("_pearlift/staging/{OTHER_RUN}/{table}-{OTHER_RUN}-1.part")
}

/// A change of a manifest.
type Change = Box<dyn Fn(&mut Value)>;

/// The changes that an attacker makes to a good manifest: a name, and the change.
fn attacks(outside: &str) -> Vec<(&'static str, Change)> {
    let outside = outside.to_owned();
    let mut found: Vec<(&'static str, Change)> = Vec::new();
    let paths = [
        ("an absolute path", outside.clone()),
        ("a path upwards", "brand/../../outside/kept.parquet".to_owned()),
        ("a path upwards in the run", format!("brand/brand-../../{OTHER_RUN}-1.parquet")),
        ("a paper of ours", "_pearlift/destination.json".to_owned()),
        ("a manifest of another resource", "_pearlift/manifests/currency/00000000000000000001.json".to_owned()),
        ("a file of somebody else", "notes/kept.parquet".to_owned()),
        ("a foreign file in a table's folder", "brand/kept.parquet".to_owned()),
        ("a file below a table's folder", format!("brand/a/b/brand-{OTHER_RUN}-1.parquet")),
        ("an empty path", String::new()),
    ];
    for (name, path) in paths {
        let (a, b, c, d, e, f, g) =
            (path.clone(), path.clone(), path.clone(), path.clone(), path.clone(), path.clone(), path);
        found.push((name, Box::new(move |version| version["removes"] = json!([a]))));
        found.push((name, Box::new(move |version| version["tables"]["brand"]["files"][0]["path"] = json!(b))));
        found.push((name, Box::new(move |version| version["tables"]["brand"]["files"][0]["staged"] = json!(c))));
        found.push((name, Box::new(move |version| version["rejected"] = json!([{"path": d, "records": 1}]))));
        found.push((
            name,
            Box::new(move |version| {
                let mut file = version["tables"]["brand"]["files"][0].clone();
                file["path"] = json!(e);
                file["staged"] = json!(staged("brand"));
                version["deleted"] = json!([file]);
            }),
        ));
        found.push((
            name,
            Box::new(move |version| {
                version["state"]["scan"] = json!({
                    "id": OTHER_RUN, "kind": "full", "started_at": "2026-01-01T00:00:00Z", "schema_hash": "0",
                    "cursor": {"slices": {"plan": f, "done": []}},
                });
            }),
        ));
        found.push((
            name,
            Box::new(move |version| {
                version["state"]["backfill"] = json!({
                    "id": OTHER_RUN, "selected": {"ids": [[1, 2]]}, "started_at": "2026-01-01T00:00:00Z",
                    "schema_hash": "0", "cursor": {"slices": {"plan": g, "done": []}},
                });
            }),
        ));
    }
    for (name, ids) in [("more ids than there are", json!([[i64::MIN, i64::MAX]])), ("ids backwards", json!([[2, 1]]))]
    {
        let backfill = move |version: &mut Value| {
            version["state"]["backfill"] = json!({
                "id": OTHER_RUN, "selected": {"ids": ids}, "started_at": "2026-01-01T00:00:00Z", "schema_hash": "0",
                "cursor": {"rows": {"last": 1, "next": 1}},
            });
        };
        found.push((name, Box::new(backfill)));
    }
    found.extend(other_attacks());
    found
}

/// Changes of one version that name no path.
fn other_attacks() -> Vec<(&'static str, Change)> {
    let mut found: Vec<(&'static str, Change)> = Vec::new();
    found.push(("another's name", Box::new(|version| version["resource"] = json!("currency"))));
    found.push(("another number", Box::new(|version| version["version"] = json!(7))));
    found.push((
        "a table that is no word",
        Box::new(|version| version["tables"]["../brand"] = version["tables"]["brand"].clone()),
    ));
    found.push(("a table without a key", Box::new(|version| version["tables"]["brand"]["key"] = json!([]))));
    found.push((
        "a partition that is none",
        Box::new(|version| version["tables"]["brand"]["files"][0]["partition"] = json!("../x=1")),
    ));
    found.push(("rows without keys", Box::new(|version| version["tables"]["brand"]["files"][0]["last"] = Value::Null)));
    found.push((
        "a range of two kinds",
        Box::new(|version| version["tables"]["brand"]["files"][0]["last"] = json!("z")),
    ));
    found.push((
        "a file twice",
        Box::new(|version| {
            let file = version["tables"]["brand"]["files"][0].clone();
            version["tables"]["brand"]["files"].as_array_mut().unwrap().push(file);
        }),
    ));
    found.push((
        "more rows than there are numbers",
        Box::new(|version| {
            let mut file = version["tables"]["brand"]["files"][0].clone();
            file["path"] = json!(format!("brand/brand-{OTHER_RUN}-1.parquet"));
            file["staged"] = json!(staged("brand"));
            file["rows"] = json!(u64::MAX);
            version["tables"]["brand"]["files"].as_array_mut().unwrap().push(file);
        }),
    ));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lake_with_the_keys_of_before_the_first_release_is_refused_and_left_alone() {
    // GIVEN a manifest without the key `state.pending`
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    let head = files(&lake.path().join("_pearlift/manifests/brand")).pop().unwrap();
    let mut version: Value = serde_json::from_slice(&std::fs::read(&head).unwrap()).unwrap();
    assert!(version["state"].as_object_mut().unwrap().remove("pending").is_some());
    std::fs::write(&head, version.to_string()).unwrap();
    let before = contents(lake.path());
    for command in [&["run", "brand"][..], &["status"], &["reconcile", "brand"]] {
        // WHEN a command reads it THEN it is refused as a foreign format is, with the remedy
        let done = program.run(command).expect(2);
        assert!(done.stderr.contains("before the first release"), "{command:?}: {}", done.stderr);
        assert!(done.stderr.contains("destination.url"), "{command:?}: {}", done.stderr);
    }
    // AND nothing is changed
    assert_eq!(contents(lake.path()), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manifest_that_names_what_is_not_ours_is_damage_and_nothing_is_touched() {
    // GIVEN a lake beside other files, and among them
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let outside = folder.path().join("outside/kept.parquet");
    let program = Program::new(&sandbox, &lake);
    program.run(&["run", "brand", "currency"]).expect(0);
    let head = files(&lake.join("_pearlift/manifests/brand")).pop().unwrap();
    let good: Value = serde_json::from_slice(&std::fs::read(&head).unwrap()).unwrap();
    for kept in [&outside, &lake.join("notes/kept.parquet"), &lake.join("brand/kept.parquet")] {
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        std::fs::write(kept, "kept").unwrap();
    }
    // A staged file of a run, as if it had just been committed.
    let waiting = lake.join(staged("brand"));
    std::fs::create_dir_all(waiting.parent().unwrap()).unwrap();
    std::fs::write(&waiting, "staged").unwrap();

    let commands = [&["run", "brand"][..], &["clean"], &["run", "--full", "brand"], &["verify", "--deep"], &["status"]];
    for (number, (name, attack)) in attacks(outside.to_str().unwrap()).iter().enumerate() {
        // GIVEN a manifest that somebody has changed
        let mut version = good.clone();
        attack(&mut version);
        // WHEN it is read THEN it is refused
        let read = parse("brand", 1, version.to_string().as_bytes());
        assert_eq!(read.map_err(|failure| failure.kind()).unwrap_err(), Kind::Damage, "{name}: {version}");
        // WHEN a command goes by it (each path of a kind is refused alike: one of them is enough)
        if name.starts_with("a path upwards in") || name.starts_with("an absolute") || name.starts_with("a foreign") {
            continue;
        }
        std::fs::write(&head, version.to_string()).unwrap();
        let before = contents(folder.path());
        let command = commands[number % commands.len()];
        let done = program.run(command).expect(7);
        // THEN it reports that
        let said = done.said();
        assert!(said.contains("manifest") && !said.contains("panicked"), "{name}: {command:?}: {said}");
        // AND nothing at all is touched
        assert!(contents(folder.path()) == before, "{name}: {command:?} changed something: {version}");
    }

    // AND the good manifest is good again
    std::fs::write(&head, good.to_string()).unwrap();
    program.run(&["run", "brand"]).expect(0);
    assert!(outside.exists() && lake.join("notes/kept.parquet").exists() && lake.join("brand/kept.parquet").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_data_file_that_was_changed_anywhere_is_damage_and_no_panic() {
    // GIVEN a whole lake
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order_status"]).expect(0);
    let path = files(&lake.path().join("order_status")).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let store = Store::open(&Destination::Local(lake.path().to_owned()), false).unwrap();
    let (catalog, spool) = (Catalog::load(None).unwrap(), tempfile::tempdir().unwrap());
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..300 {
        // WHEN bytes of its data file are others: most of all in the footer, which locates everything
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let from = if random.bool() { 0 } else { bytes.len() * 2 / 3 };
            let at = random.usize(from..bytes.len());
            bytes[at] = if random.bool() { random.u8(..) } else { bytes[at] ^ (1 << random.u8(..8)) };
        }
        if random.u8(..10) == 0 {
            bytes.truncate(random.usize(..bytes.len()));
        }
        std::fs::write(&path, &bytes).unwrap();
        // THEN a deep look finds it, and neither look panics
        for deep in [false, true] {
            let inquiry = Inquiry { store: &store, catalog: &catalog, names: &[], deep, spool: spool.path() };
            let report = verify(inquiry).await.unwrap();
            assert!(!deep || bytes == whole || report.damaged() > 0, "round {round}: nothing was found");
        }
    }
    // AND one that is read for a merge stops the resource, with any bytes
    for round in 0..6 {
        let mut bytes = whole.clone();
        let at = bytes.len() - 9 - random.usize(..bytes.len() / 3);
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let done = program.run(&["run", "--full", "order_status"]);
        assert!(!done.said().contains("panicked") && matches!(done.code, 0 | 7), "round {round}: {}", done.said());
        std::fs::write(&path, &whole).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_name_in_a_schema_file_that_could_leave_the_destination_is_refused() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, folder.path().join("lake"));
    let schema = |table: &str, column: &str| {
        let (table, column) = (json!(table), json!(column));
        format!(
            "about = 'x'\n[read]\nstyle = 'list'\nservice = 's'\nget = 'g'\nkey = 'id'\n[tables.{table}]\nkey = [{column}]\n\
             columns = [{{ name = {column}, from = 'id', type = 'int64', required = true }}]\n"
        )
    };
    let long = "a".repeat(64);
    let odd = [
        "",
        ".",
        "..",
        "../up",
        "/abs",
        "a/b",
        "a\\b",
        "a b",
        "a.b",
        "a-b",
        "A",
        "ä",
        "1a",
        "_a",
        "_pearlift",
        "a\n",
        "a%2fb",
        "a=b",
        "*",
        "con",
        "nul",
        "com1",
        &long,
    ];
    let is_refused = |name: &str, text: &str| {
        let read = Catalog::from_texts(&[(name.to_owned(), text.to_owned())]);
        assert_eq!(read.map_err(|failure| failure.kind()).unwrap_err(), Kind::Schema, "{name:?}: {text}");
    };
    for name in odd {
        // GIVEN a table, a column, a resource of that name WHEN the file is read THEN it is refused
        is_refused("fine", &schema(name, "id"));
        is_refused(name, &schema("fine", "id"));
        if !matches!(name, "con" | "nul" | "com1") {
            is_refused("fine", &schema("fine", name));
        }
    }
    Catalog::from_texts(&[("fine".to_owned(), schema("fine", "id"))]).unwrap();

    // WHEN such a file is in the user's folder THEN every command names it
    for (file, text) in
        [("fine.toml", schema("../up", "id")), ("..toml", schema("fine", "id")), ("a b.toml", schema("fine", "id"))]
    {
        let schemas = tempfile::tempdir().unwrap();
        std::fs::write(schemas.path().join(file), text).unwrap();
        let done = program.run(&["--schemas", schemas.path().to_str().unwrap(), "run", "brand"]).expect(2);
        assert!(done.said().contains(file) && !done.said().contains("panicked"), "{}", done.said());
    }
    // AND nothing was written, nor asked
    assert!(!folder.path().join("lake").exists());
    assert_eq!(sandbox.take_log().total(), 0);
}
