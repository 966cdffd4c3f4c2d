//! Bounds on the content of a destination and on numbers in settings: any excess is refused before it costs memory.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use pearlift::failure::Kind;
use pearlift::manifest::{self, parse};
use pearlift::store::{Store, paths};
use serde_json::{Value, json};

use crate::laid::ended;
use crate::oauth;
use crate::support::{Program, account, copy_folder, files, peak_memory};

const RUN: &str = "0123456789abcdef0123456789abcdef";
/// More than any machine of ours has; it takes no space.
const HUGE: u64 = 50 << 30;
/// A command that reads nothing large stays below this.
const LITTLE: u64 = 400 << 20;

/// A file with a stated size of 50 GiB.
fn sparse(path: &Path) {
    let _ = std::fs::remove_file(path);
    File::create(path).unwrap().set_len(HUGE).unwrap();
}

fn manifest_of(lake: &Path, resource: &str) -> PathBuf {
    files(&lake.join("_pearlift/manifests").join(resource)).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_of_50_gib_at_the_destination_is_damage_and_takes_no_memory() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (whole, lake) = (folder.path().join("whole"), folder.path().join("lake"));
    Program::new(&sandbox, &whole).run(&["run", "brand"]).expect(0);
    let program = Program::new(&sandbox, &lake);
    let below = |path: PathBuf| path.strip_prefix(&whole).unwrap().to_owned();
    let (manifest, data) = (below(manifest_of(&whole, "brand")), below(files(&whole.join("brand")).pop().unwrap()));
    let run = &["run", "--full", "brand"][..];
    let rows: [(&Path, &[&[&str]]); 3] = [
        (&manifest, &[run, &["status"], &["verify"], &["clean"]]),
        (&data, &[&["verify"], &["verify", "--deep"], &["run", "--full", "brand"]]),
        (Path::new("_pearlift/destination.json"), &[run]),
    ];
    for (at, commands) in rows {
        let _ = std::fs::remove_dir_all(&lake);
        copy_folder(&whole, &lake);
        sparse(&lake.join(at));
        for command in commands {
            let (done, memory) = peak_memory(&program, command);
            let done = done.expect(7);
            assert!(done.said().contains(at.to_str().unwrap()), "{command:?}: {}", done.said());
            assert!(memory < LITTLE, "{command:?}, {}: {} MiB", at.display(), memory >> 20);
        }
    }
    // AND a report of that size is nobody's
    let _ = std::fs::remove_dir_all(&lake);
    copy_folder(&whole, &lake);
    for number in 0..101 {
        std::fs::write(lake.join(format!("_pearlift/runs/{number:032x}.json")), "{}").unwrap();
    }
    sparse(&lake.join("_pearlift/runs").join(format!("{RUN}.json")));
    let (done, memory) = peak_memory(&program, &["clean"]);
    assert!(done.code == 0 && memory < LITTLE, "{memory}: {}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_of_50_gib_that_settings_name_is_refused_and_takes_no_memory() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (at, schemas) = (folder.path().join("huge"), folder.path().join("schemas"));
    let own = schemas.join("own.toml");
    std::fs::create_dir_all(&schemas).unwrap();
    let plain = Program::new(&sandbox, folder.path().join("lake"));
    let secret =
        plain.clone().without("BRIGHTPEARL_STAFF_TOKEN").with("BRIGHTPEARL_STAFF_TOKEN_FILE", at.to_str().unwrap());
    let lake = tempfile::tempdir().unwrap();
    let tokens = oauth::program(&sandbox, &lake);
    let file = lake.path().join("tokens.json");
    let config = ["--config", at.to_str().unwrap(), "run", "brand"];
    let own_schemas = ["--schemas", schemas.to_str().unwrap(), "run", "brand"];
    let rows: [(&Path, &Program, &[&str]); 4] = [
        (&at, &secret, &["run", "brand"]),
        (&at, &plain, &config),
        (&own, &plain, &own_schemas),
        (&file, &tokens, &["run", "brand"]),
    ];
    for (at, program, command) in rows {
        sparse(at);
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(at, private).unwrap();
        let (done, memory) = peak_memory(program, command);
        let done = done.expect(2);
        assert!(done.said().contains(at.to_str().unwrap()), "{}", done.said());
        assert!(memory < LITTLE, "{}: {} MiB", at.display(), memory >> 20);
        std::fs::remove_file(at).unwrap();
    }
}

/// A store in which one object differs from the store's statement.
#[derive(Debug)]
struct Lying {
    inner: Arc<dyn ObjectStore>,
    path: &'static str,
    stated: u64,
    comes: u64,
}

impl fmt::Display for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lying({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Lying {
    async fn put_opts(&self, location: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Key,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Key, options: GetOptions) -> Result<GetResult> {
        let mut found = self.inner.get_opts(location, options).await?;
        if location.as_ref() == self.path {
            found.meta.size = self.stated;
            found.range = 0..self.stated;
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = (0..self.comes.div_ceil(1 << 20)).map(move |_| Ok(chunk.clone()));
            found.payload = GetResultPayload::Stream(stream::iter(chunks).boxed());
        }
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_object_that_is_huge_or_of_another_size_than_its_store_states_is_read_no_further() {
    let path = "_pearlift/manifests/brand/00000000000000000001.json";
    // GIVEN a manifest that is too large, one of which more comes than is stated, one of which less comes
    let rows = [
        (HUGE, HUGE, Kind::Damage, "at most"),
        (100, HUGE, Kind::StoreUnreachable, "stated as 100 bytes"),
        (4 << 20, 1 << 20, Kind::Damage, "EOF"),
    ];
    for (stated, comes, kind, why) in rows {
        let store = Store::memory();
        store.put_new(path, "{}").await.unwrap();
        let store = store.seen_through(|inner| Arc::new(Lying { inner, path, stated, comes }));
        // WHEN it is read THEN it is refused
        let failure = manifest::outline(&store, "brand", 1).await.unwrap_err();
        assert_eq!(failure.kind(), kind, "{failure}");
        assert!(failure.to_string().contains(why) && failure.to_string().contains(path), "{failure}");
    }
    // AND a lock object, the destination's marker and a plan of that size are refused too
    for (path, kind) in [("_pearlift/locks/brand", Kind::Damage), ("_pearlift/destination.json", Kind::Damage)] {
        let store = Store::memory();
        store.put_new(path, "{}").await.unwrap();
        let store = store.seen_through(|inner| Arc::new(Lying { inner, path, stated: HUGE, comes: HUGE }));
        let failure = match path {
            "_pearlift/destination.json" => manifest::check_destination(&store, "acme").await.unwrap_err(),
            _ => store.lock(&["brand"], RUN, false, std::future::pending()).await.unwrap_err(),
        };
        assert_eq!(failure.kind(), kind, "{failure}");
        assert!(failure.to_string().contains(path), "{failure}");
    }
    let path = "_pearlift/scans/brand/0123456789abcdef0123456789abcdef.json";
    let store = Store::memory();
    store.put_new(path, "{}").await.unwrap();
    let store = store.seen_through(|inner| Arc::new(Lying { inner, path, stated: HUGE, comes: HUGE }));
    assert_eq!(manifest::read_plan(&store, path).await.unwrap(), None);

    // AND of a data file no more is copied than its manifest states, and a byte
    let path = "brand/brand-0123456789abcdef0123456789abcdef-1.parquet";
    let store = Store::memory();
    store.put_new(path, "{}").await.unwrap();
    let store = store.seen_through(|inner| Arc::new(Lying { inner, path, stated: HUGE, comes: HUGE }));
    let spool = tempfile::tempdir().unwrap();
    let copy = store.local_copy(path, 3_000_000, spool.path()).await.unwrap().unwrap();
    assert_eq!(std::fs::metadata(copy.path()).unwrap().len(), 3_000_001);
    assert_eq!(copy.bytes(), HUGE);
}

/// A good manifest's JSON, and the lake that it is of.
async fn good(folder: &Path) -> (Value, PathBuf) {
    let sandbox = account(50).await;
    Program::new(&sandbox, folder).run(&["run", "brand"]).expect(0);
    let path = manifest_of(folder, "brand");
    (serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(), path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manifest_that_lists_more_things_than_any_of_ours_is_refused_before_they_take_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (good, path) = good(folder.path()).await;
    let number = paths::version_of(path.file_name().unwrap().to_str().unwrap()).unwrap();
    parse("brand", number, good.to_string().as_bytes()).unwrap();
    // GIVEN manifests with six million of something, each in a few bytes
    let many = |one: &str| vec![one; 6_000_000].join(",");
    for (what, list) in [
        ("removes", format!("[{}]", many("\"\""))),
        ("rejected", format!("[{}]", many("0"))),
        ("unknown", format!("[{}]", many("[]"))),
    ] {
        let mut version = good.clone();
        version[what] = json!("HERE");
        let text = version.to_string().replace("\"HERE\"", &list);
        // WHEN it is read THEN it is refused by their number
        let failure = parse("brand", number, text.as_bytes()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Damage);
        assert!(failure.to_string().contains("lists 60000"), "{what}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ranges_that_name_more_than_there_is_are_refused_wherever_a_manifest_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let (good, path) = good(folder.path()).await;
    let number = paths::version_of(path.file_name().unwrap().to_str().unwrap()).unwrap();
    let scan = |done: Value| {
        json!({
            "id": RUN, "kind": "full", "started_at": "2026-01-01T00:00:00Z", "schema_hash": "0",
            "cursor": {"slices": {"plan": format!("_pearlift/scans/brand/{RUN}.json"), "done": done}},
        })
    };
    let rows = |next: Value| {
        json!({
            "id": RUN, "kind": "full", "started_at": "2026-01-01T00:00:00Z", "schema_hash": "0",
            "cursor": {"rows": {"last": 1, "next": next}},
        })
    };
    let billion = json!([[1, 1_000_000_000]]);
    // GIVEN numbers in each place that has some
    let hidden = |ids: &Value| json!({"hidden": ids});
    let bad = [
        ("scan", scan(billion.clone())),
        ("scan", scan(json!([[0, u64::MAX]]))),
        ("scan", scan(json!([[2, 1]]))),
        ("scan", scan(json!([[0, 5], [3, 9]]))),
        ("scan", rows(json!(u64::MAX))),
        ("backfill", {
            let mut backfill = rows(json!(u64::MAX));
            backfill["selected"] = json!({"ids": [[1, 2]]});
            backfill
        }),
        ("absence", hidden(&billion)),
        ("absence", hidden(&json!([[i64::MIN, i64::MAX]]))),
        ("absence", json!({"absent": {RUN: [[1, 60_000_000]], "b": [[1, 60_000_000]]}})),
        ("absence", json!({"gaps": [{"day": "2026-01-01", "ids": billion}]})),
        ("count", json!({"vanished": billion})),
        ("count", json!({"vanished": [[i64::MIN, i64::MAX]]})),
        ("count", json!({"vanished": [[9, 5]]})),
        ("count", json!({"locating": {"ids": [1, u64::MAX]}})),
    ];
    for (place, value) in bad {
        let mut version = good.clone();
        version["state"][place] = value.clone();
        // WHEN it is read THEN it is refused
        let read = parse("brand", number, version.to_string().as_bytes());
        assert_eq!(read.map_err(|failure| failure.kind()).unwrap_err(), Kind::Damage, "{place}: {value}");
    }
    let mut version = good.clone();
    let rejected = |name: u64| json!({"path": paths::rejected("brand", RUN, name), "records": u64::MAX});
    version["rejected"] = json!([rejected(1), rejected(2)]);
    assert!(parse("brand", number, version.to_string().as_bytes()).is_err());
    // AND values that no run can have written are not
    for (place, value) in [
        ("scan", scan(json!([[0, 5], [7, 9]]))),
        ("scan", rows(json!(1_000_000_000))),
        ("count", json!({"vanished": [[1, 1_000_000]]})),
        ("absence", hidden(&json!([[5, 5], [9, 90]]))),
    ] {
        let mut version = good.clone();
        version["state"][place] = value.clone();
        parse("brand", number, version.to_string().as_bytes()).unwrap_or_else(|why| panic!("{place}: {value}: {why}"));
    }
}

/// A state with something in every place that can have it.
fn full_state(cursor: &Value) -> Value {
    let at = "2025-11-18T03:00:00Z";
    json!({
        "watermark": at, "completed_at": at, "reloaded_at": at, "reconciled_at": at, "open_reread_at": at,
        "clocks": {
            "completed_at": at, "reloaded_at": at, "reconciled_at": at, "open_reread_at": at,
            "scan": {"ours": at, "earliest": at},
        },
        "pending_references": {"product": [1_000]},
        "scan": {"id": RUN, "kind": "changes", "started_at": at, "schema_hash": "0", "cursor": cursor},
        "backfill": null,
        "pending": [{"id": 5, "reason": "it did not come", "since": at}],
        "skipped_ids": [{"id": 6, "code": "CMNC-404", "until": at}],
        "record_stamps": {"7": at},
        "start": at,
        "reread_to": 8,
        "evidence": {
            "older": [{"id": 9, "values": [1], "since": at, "run": RUN}],
            "awaited": {"10": [1_763_430_000_000_000_i64]},
            "stale_suspended_until": at,
            "filled": {"order.reference": 500},
            "drift": {"unknown": {"x": 1}, "missing": {"y": 1}, "emptied": {"z": 1}},
        },
        "pieces": {"sets": {"ids": 100, "bytes": 1_000, "until": at}, "again": [11], "known": [12]},
        "absence": {
            "tries": {"5": {"runs": 1, "run": RUN, "first": at}},
            "withheld": {"13": {"reason": "it did not come", "since": at}},
            "suspects": {"14": {"since": at, "run": RUN}},
            "hidden": [[15, 16]],
            "absent": {RUN: [[17, 18]]},
            "shrunk": {"at": at, "keys": "0"},
            "gaps": [{"day": "2025-11-18", "ids": [[19, 20]]}],
        },
        "count": {
            "at_source": 50, "held": 50, "counted_at": at, "explained": 0, "open": true, "unmoved": 1,
            "locating": {
                "windows": [[at, at]], "ids": [21, 2], "compared_to": 22, "nights": 1, "differs": true, "found": 0,
            },
            "vanished": [[23, 24]], "compared_at": at,
        },
    })
}

/// The places of all numbers and instants in a JSON, and of names of members that are numbers.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(members) => {
            for (place, member) in members.iter().enumerate() {
                leaves(member, &format!("{at}/{place}"), found);
            }
        }
        Value::Number(_) => found.push(at.to_owned()),
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => found.push(at.to_owned()),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Which of the places are given the other value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    All,
    /// The upper ends of ranges and of windows, so that each is as wide as it can be.
    Ends,
}

/// The same with another value in a place: numbers are numbers still, instants are instants.
fn with(value: &Value, place: &str, number: &Value, instant: &str) -> Value {
    let mut changed = value.clone();
    let leaf = changed.pointer_mut(place).unwrap();
    *leaf = if leaf.is_number() { number.clone() } else { json!(instant) };
    changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_number_and_no_instant_of_a_manifest_makes_a_command_panic_or_run_for_ever() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (whole, lake) = (folder.path().join("whole"), folder.path().join("lake"));
    Program::new(&sandbox, &whole).run(&["run", "order", "customer_payment"]).expect(0);
    let program = Program::new(&sandbox, &lake).with("PEARLIFT_LIMITS_REREAD_REQUESTS", "5");
    let (first, last) = ("-009999-01-02T01:59:59Z", "9999-12-30T22:00:00.999999999Z");
    let extremes = [
        (Which::All, json!(0), "0001-01-01T00:00:00Z"),
        (Which::All, json!(-1), "1969-12-31T23:59:59Z"),
        (Which::All, json!(i64::MIN), first),
        (Which::All, json!(i64::MAX), last),
        (Which::All, json!(u64::MAX), last),
        (Which::Ends, json!(i64::MAX), last),
        (Which::Ends, json!(u64::MAX), last),
    ];
    for resource in ["order", "customer_payment"] {
        let path = manifest_of(&whole, resource);
        let mut good = crate::support::version(&path);
        let number = paths::version_of(path.file_name().unwrap().to_str().unwrap()).unwrap();
        let cursor = match resource {
            "order" => json!({"slices": {"plan": format!("_pearlift/scans/order/{RUN}.json"), "done": [[0, 0]]}}),
            _ => json!({"rows": {"last": 3, "next": 4}}),
        };
        good["state"] = full_state(&cursor);
        let is_read = |version: &Value| parse(resource, number, version.to_string().as_bytes()).is_ok();
        assert!(is_read(&good), "{:?}", parse(resource, number, good.to_string().as_bytes()));
        let mut places = Vec::new();
        leaves(&good["state"], "/state", &mut places);
        assert!(places.len() > 40, "{places:?}");
        let mut taken = 0;
        for (which, number, instant) in &extremes {
            // GIVEN a manifest with this in every place where it is accepted
            let mut version = good.clone();
            for place in places.iter().filter(|place| *which == Which::All || place.ends_with("/1")) {
                let next = with(&version, place, number, instant);
                if is_read(&next) {
                    (version, taken) = (next, taken + 1);
                }
            }
            let _ = std::fs::remove_dir_all(&lake);
            copy_folder(&whole, &lake);
            std::fs::write(lake.join(path.strip_prefix(&whole).unwrap()), version.to_string()).unwrap();
            let plan = json!({
                "format": 1, "scan": RUN, "resource": "order", "schema_hash": "0", "slices": [[[1, 2]], [[3, 4]]],
                "stamps": {}, "candidates": [],
            });
            if resource == "order" {
                std::fs::create_dir_all(lake.join("_pearlift/scans/order")).unwrap();
                std::fs::write(lake.join(format!("_pearlift/scans/order/{RUN}.json")), plan.to_string()).unwrap();
            }
            // WHEN commands go by it THEN each ends, and none of them with a bug
            for command in [
                &["status"][..],
                &["status", "--json"],
                &["plan"],
                &["run", resource],
                &["status", "--json"],
                &["reconcile", "order"],
                &["verify"],
                &["clean"],
            ] {
                let (code, said) = ended(&program, command).await;
                assert!(
                    ![1, 101, -1].contains(&code) && !said.contains("panicked"),
                    "{resource}, {number}: {command:?} ended with {code}: {said}\n{}",
                    version["state"]
                );
            }
        }
        assert!(taken > 60, "{taken} values were accepted");
    }
}
