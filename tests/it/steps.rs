//! A run that crashes at each step of bringing rows to the destination, the view of readers then, and the next run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pearlift::failure::{Failure, Kind};
use pearlift::run::run_in;
use pearlift::sandbox::Sandbox;
use pearlift::store::StoreStep;
use pearlift::verify::{Inquiry, verify};
use serde_json::Value;

use crate::support::{Faults, Program, account, copy_folder, fast_folder, look};

/// The resources of the runs: one of five tables read by ids, a list, and a list with some rejected records.
const RESOURCES: [&str; 3] = ["order", "brand", "tax_code"];

/// The account, and the built-in schemas changed so that a few records make many steps.
struct Scene {
    sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = fast_folder();
        let schemas = folder.path().join("schemas");
        std::fs::create_dir(&schemas).unwrap();
        let own = |name: &str, changes: &[(&str, &str)]| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
            let text = changes.iter().fold(std::fs::read_to_string(path).unwrap(), |text, (from, to)| {
                assert!(text.contains(from), "{name} has no {from}");
                text.replace(from, to)
            });
            std::fs::write(schemas.join(name), text).unwrap();
        };
        own("order.toml", &[("max_ids = 200", "max_ids = 10"), ("month(created_on)", "bucket(id, 2)")]);
        own("tax_code.toml", &[(r#"type = "decimal(18,6)""#, r#"type = "decimal(18,6)", required = true"#)]);
        Self { sandbox: account(20).await, folder }
    }

    fn lake(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, lake: &str) -> Program {
        let schemas = self.folder.path().join("schemas");
        Program::new(&self.sandbox, self.lake(lake))
            .with("PEARLIFT_SCHEMAS", schemas.to_str().unwrap())
            .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
            .with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms")
            .with("PEARLIFT_RESOURCE_TAX_CODE_EVERY", "1ms")
    }

    /// The program that commits after every slice.
    fn often(&self, lake: &str) -> Program {
        self.program(lake).with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms")
    }

    fn a_day_goes_by(&self) {
        self.sandbox.age(Duration::from_secs(3 * 3600));
        self.sandbox.insert("order", 4);
        self.sandbox.insert("brand", 1);
        let orders: Vec<i64> = self.sandbox.ids("order").into_iter().step_by(5).collect();
        self.sandbox.edit("order", &orders);
        self.sandbox.age(Duration::from_secs(600));
    }
}

/// A run that crashes when it has done a step so many times before; gives how many times it did each.
async fn run_until(program: &Program, death: Option<(StoreStep, usize)>) -> BTreeMap<StoreStep, usize> {
    let faults = Faults::default();
    let seen: Arc<Mutex<Vec<StoreStep>>> = Arc::default();
    let store = faults.before(&program.store()).watched({
        let (seen, faults) = (Arc::clone(&seen), faults.clone());
        move |step, _| {
            let mut seen = seen.lock().unwrap();
            let done = seen.iter().filter(|known| **known == step).count();
            seen.push(step);
            let crashes = death == Some((step, done));
            if crashes {
                faults.die();
            }
            // Nothing that a crashed process would do is done; later failures are not checked.
            if faults.is_dead() { Err(Failure::new(Kind::StoreUnreachable, "go on")) } else { Ok(()) }
        }
    });
    let outcome = run_in(program.request(&RESOURCES), store).await;
    match death {
        Some(death) => assert!(faults.is_dead(), "{death:?} is never reached"),
        // Three for the records that do not fit.
        None => assert_eq!(outcome.unwrap().exit_code(false), 3),
    }
    let mut counts = BTreeMap::new();
    for step in seen.lock().unwrap().iter() {
        *counts.entry(*step).or_default() += 1;
    }
    counts
}

/// Files that `status` reports as unpublished.
fn unpublished(program: &Program) -> u64 {
    let status: Value = serde_json::from_str(&program.run(&["status", "--json"]).expect(0).stdout).unwrap();
    let resources = status["resources"].as_array().unwrap();
    resources.iter().filter_map(|resource| resource["unpublished_files"].as_u64()).sum()
}

/// A place where a run crashed.
struct Grave {
    name: String,
    step: StoreStep,
    crashed: PathBuf,
    unpublished: u64,
    repaired: PathBuf,
}

impl Scene {
    /// Lets runs crash in copies of a lake, or in none, at each step of such a run: the first time, and in the midst.
    /// Keeps the remains of each, and runs again.
    async fn die_everywhere(&self, from: Option<&str>, often: bool, twice: bool) -> Vec<Grave> {
        let begin = |name: &str| {
            match from {
                Some(from) => copy_folder(&self.lake(from), &self.lake(name)),
                None => std::fs::create_dir(self.lake(name)).unwrap(),
            }
            if often { self.often(name) } else { self.program(name) }
        };
        let prefix = from.unwrap_or("nothing");
        let steps = run_until(&begin(&format!("{prefix}-alive")), None).await;
        let mut graves = Vec::new();
        for (step, count) in steps {
            for before in BTreeSet::from([0, if twice { count / 2 } else { 0 }]) {
                let name = format!("{prefix}-{step:?}-{before}");
                let program = begin(&name);
                run_until(&program, Some((step, before))).await;
                let crashed = self.lake(&format!("{name}-crashed"));
                copy_folder(&self.lake(&name), &crashed);
                let unpublished = unpublished(&program);
                run_until(&program, None).await;
                self.verify(&program).await;
                graves.push(Grave { repaired: self.lake(&name), name, step, crashed, unpublished });
            }
        }
        graves
    }

    /// Every byte agrees with the heads.
    async fn verify(&self, program: &Program) {
        let (request, spool) = (program.request(&[]), tempfile::tempdir().unwrap());
        let store = program.store();
        let inquiry = Inquiry { store: &store, catalog: &request.catalog, names: &[], deep: true, spool: spool.path() };
        let report = verify(inquiry).await.unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }

    /// Checks the view of readers after each crash, and the result of the next run. `heads` are the tables that a
    /// reader of the head may see of each resource; where there are none it may see a part.
    fn judge(&self, graves: &[Grave], heads: &[&Value], end: &Value) {
        let folders: Vec<&Path> =
            graves.iter().flat_map(|grave| [grave.crashed.as_path(), grave.repaired.as_path()]).collect();
        let looks = look(&RESOURCES.join(","), &folders);
        for (grave, looks) in graves.iter().zip(looks.chunks(2)) {
            let (crashed, repaired, name) = (&looks[0], &looks[1], &grave.name);
            assert_eq!(crashed["strays"], repaired["strays"], "{name}");
            let mut waiting = 0;
            for resource in RESOURCES {
                let old_or_new = heads.iter().any(|head| digests(head, resource) == digests(crashed, resource));
                assert!(heads.is_empty() || old_or_new, "{name}: of {resource} the head is neither old nor new");
                for (table, seen) in tables(crashed, resource) {
                    assert_eq!(seen["twice"], 0, "{name}: {table}");
                    assert_eq!(seen["glob_across"], 0, "{name}: {table}");
                    let published = seen["staged"] == 0;
                    assert!(seen["glob_twice"] == 0 || !published, "{name}: {table} {seen}");
                    waiting += seen["staged"].as_u64().unwrap();
                }
                assert_eq!(digests(repaired, resource), digests(end, resource), "{name}: {resource}");
                for (table, seen) in tables(repaired, resource) {
                    assert_eq!(seen["glob_rows"], seen["rows"], "{name}: {table}");
                    assert_eq!((&seen["twice"], &seen["glob_twice"]), (&0.into(), &0.into()), "{name}: {table}");
                }
            }
            assert_eq!(grave.unpublished, waiting, "{name}: what `status` says is unpublished");
            assert_eq!((&repaired["staged"], &repaired["strays"]), (&0.into(), &Value::Array(Vec::new())), "{name}");
        }
    }
}

fn tables<'a>(look: &'a Value, resource: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    look["resources"][resource]["tables"].as_object().into_iter().flatten()
}

fn digests(look: &Value, resource: &str) -> Vec<(String, Value)> {
    tables(look, resource).map(|(name, table)| (name.clone(), table["digest"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_may_die_at_any_step_and_readers_see_the_old_or_the_new_and_the_next_run_mends_it() {
    let scene = Scene::new().await;

    // GIVEN nothing, and a run that commits often WHEN it crashes at any step THEN stored files are whole, and the next
    // resumes
    run_until(&scene.often("first"), None).await;
    let first = look(&RESOURCES.join(","), &[&scene.lake("first")]).remove(0);
    assert!(first["resources"]["order"]["version"].as_u64().unwrap() > 1, "it commits often: {first}");
    let graves = scene.die_everywhere(None, true, true).await;
    let mut crashed_in: BTreeSet<StoreStep> = graves.iter().map(|grave| grave.step).collect();
    scene.judge(&graves, &[], &first);

    // GIVEN a lake, and a day gone by WHEN the next run crashes at any step THEN the head is the old or the new one
    scene.a_day_goes_by();
    copy_folder(&scene.lake("first"), &scene.lake("second"));
    run_until(&scene.program("second"), None).await;
    let second = look(&RESOURCES.join(","), &[&scene.lake("second")]).remove(0);
    assert_ne!(digests(&first, "order"), digests(&second, "order"));
    assert_ne!(digests(&first, "brand"), digests(&second, "brand"));
    let graves = scene.die_everywhere(Some("first"), false, true).await;
    crashed_in.extend(graves.iter().map(|grave| grave.step));
    scene.judge(&graves, &[&first, &second], &second);

    // GIVEN the remains of crashed runs WHEN the run that repairs them crashes too, at any step THEN the same
    for (name, death) in [("staged", (StoreStep::Staged, 2)), ("copied", (StoreStep::CopiedAll, 4))] {
        copy_folder(&scene.lake("first"), &scene.lake(name));
        run_until(&scene.program(name), Some(death)).await;
        let graves = scene.die_everywhere(Some(name), false, false).await;
        crashed_in.extend(graves.iter().map(|grave| grave.step));
        assert!(graves.iter().any(|grave| grave.step == StoreStep::Claimed), "{name}: recovery crashes too");
        scene.judge(&graves, &[&first, &second], &second);
    }

    // AND there is no step without a crash, here or where the local disk is written (`scratch`)
    crashed_in.extend([
        StoreStep::TokensOpened,
        StoreStep::TokensWritten,
        StoreStep::TokensSynced,
        StoreStep::TokensPlaced,
    ]);
    crashed_in.extend([StoreStep::SegmentOpened, StoreStep::SegmentWritten]);
    // or where logs follow (`delta`)
    crashed_in.extend([StoreStep::Logged, StoreStep::LogCheckpointed, StoreStep::LogPointed]);
    crashed_in.extend([StoreStep::LogShortened, StoreStep::Expired]);
    assert_eq!(crashed_in, BTreeSet::from(StoreStep::ALL));
}
