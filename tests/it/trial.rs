//! Trial resources, one of each shape: invented, with a schema and a fixture in `tests/it/trial/` and no code of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pearlift::sandbox::{AnswerRule, Churn, Sandbox, SandboxSettings, Size, Verb, Wrong};
use pearlift::schema::{Catalog, ReadStyle};
use serde_json::Value;

use crate::support::{Program, query, this_morning, truth};

/// The resources, each with its main table.
const ALL: [&str; 7] =
    ["trial_unit", "trial_reading", "trial_gauge", "trial_batch", "trial_level", "trial_kind", "trial_place"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("tests/it/trial")
}

fn settings() -> SandboxSettings {
    SandboxSettings { limit: 0, now: Some(this_morning()), fixtures: Some(folder()), ..SandboxSettings::default() }
}

async fn account() -> Sandbox {
    crate::support::start(settings(), Size { orders: 60, ..Size::default() }).await
}

fn program(sandbox: &Sandbox, lake: &Path) -> Program {
    Program::new(sandbox, lake).with("PEARLIFT_SCHEMAS", folder().to_str().unwrap())
}

fn run(program: &Program, arguments: &[&str]) -> crate::support::Done {
    program.run(&[arguments, &ALL].concat()).expect(0)
}

/// Compares the tables with the rows that the fixtures state.
#[track_caller]
fn check(sandbox: &Sandbox, lake: &Path, resources: &[&str]) {
    if let Err(differences) = compare(sandbox, lake, resources) {
        panic!("the tables differ from the fixtures:\n{differences}");
    }
}

fn compare(sandbox: &Sandbox, lake: &Path, resources: &[&str]) -> Result<(), String> {
    let output = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("tests/expected/check.py"))
        .args(["--truth", &sandbox.control(), "--tables", lake.to_str().unwrap()])
        .args(resources)
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ok ") || said.contains("DIFFERENT"), "the check says nothing:\n{said}\n{errors}");
    if output.status.success() { Ok(()) } else { Err(format!("{said}\n{errors}")) }
}

fn count(lake: &Path, table: &str) -> String {
    query(&format!("select count(*) from '{}/{table}/**/*.parquet'", lake.display())).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_of_each_shape_is_exported_from_its_schema_and_its_fixture_alone() {
    // GIVEN an account with the trial resources
    let sandbox = account().await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());

    // WHEN they are exported
    run(&program, &["run"]);

    // THEN each table equals the truth of the account
    check(&sandbox, lake.path(), &ALL);
    for (table, rows) in
        [("trial_unit", "25"), ("trial_reading", "1200"), ("trial_gauge", "400"), ("trial_batch", "90")]
    {
        assert_eq!(count(lake.path(), table), rows, "{table}");
    }
    let metered = sandbox.ids("trial_level");
    assert!(!metered.is_empty() && metered.len() < 400, "levels are those of metered gauges");
    assert_eq!(count(lake.path(), "trial_level"), metered.len().to_string());

    // WHEN records come and change by date
    for name in ["trial_unit", "trial_reading", "trial_gauge", "trial_batch"] {
        sandbox.insert(name, 7);
        let ids = sandbox.eligible(Verb::Edit, name);
        sandbox.edit(name, &ids.iter().copied().step_by(9).collect::<Vec<_>>());
    }
    assert!(compare(&sandbox, lake.path(), &ALL).is_err(), "the events change tables");
    run(&program, &["run"]);

    // THEN a nightly run finds all of it
    check(&sandbox, lake.path(), &ALL);

    // WHEN records change without a date, and go
    for name in ["trial_unit", "trial_reading", "trial_gauge", "trial_batch"] {
        let ids = sandbox.eligible(Verb::Touch, name);
        sandbox.touch(name, &ids.iter().copied().step_by(7).collect::<Vec<_>>());
        let ids = sandbox.eligible(Verb::Delete, name);
        sandbox.delete(name, &ids.iter().copied().step_by(11).take(2).collect::<Vec<_>>());
    }
    assert!(compare(&sandbox, lake.path(), &ALL).is_err(), "the events change tables");
    // A row that one listing of a search lacks is suspected, and goes when a second one lacks it.
    for _ in 0..2 {
        program.run(&["reconcile", "--force", "trial_reading", "trial_gauge", "trial_batch"]).expect(0);
    }
    run(&program, &["run", "--full"]);

    // THEN comparisons of ids and a whole read find all of it
    check(&sandbox, lake.path(), &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_that_is_wrong_in_a_table_of_a_fixture_is_found() {
    // GIVEN an exported resource
    let sandbox = account().await;
    let lake = tempfile::tempdir().unwrap();
    run(&program(&sandbox, lake.path()), &["run"]);
    check(&sandbox, lake.path(), &["trial_gauge"]);

    // WHEN a single value of a single record differs THEN the comparison shows it
    let id = sandbox.ids("trial_gauge")[0];
    sandbox.edit("trial_gauge", &[id]);
    let differences = compare(&sandbox, lake.path(), &["trial_gauge"]).unwrap_err();
    assert!(differences.contains("DIFFERENT trial_gauge:") && differences.contains(&id.to_string()), "{differences}");

    // WHEN a record is gone THEN the comparison shows it
    sandbox.delete("trial_batch", &sandbox.ids("trial_batch")[..1]);
    assert!(compare(&sandbox, lake.path(), &["trial_batch"]).unwrap_err().contains("found"));
}

/// GET or OPTIONS of a path below the account.
async fn ask(sandbox: &Sandbox, method: &str, path: &str) -> (u16, String) {
    let client = crate::support::client();
    let asked = client.request(method.parse().unwrap(), format!("{}/{path}", sandbox.url()));
    let asked = asked.header("brightpearl-app-ref", "acme_export");
    let answer = asked.header("brightpearl-staff-token", "sandbox-staff-token").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn json(sandbox: &Sandbox, path: &str) -> Value {
    let (status, body) = ask(sandbox, "GET", path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixture_answers_as_the_source_does() {
    let sandbox = account().await;
    let ids = sandbox.ids("trial_gauge");
    let (first, last) = (ids[0], ids[ids.len() - 1]);
    let gauges = format!("warehouse-service/trial-gauge/{first}-{last}");

    // Sets: the limit comes as pages, the documents below their envelope, sections when asked for.
    let page = json(&sandbox, &format!("{gauges}?firstResult=51&includeOptional=customFields")).await;
    assert_eq!(page["response"]["gauges"].as_array().unwrap().len(), 50);
    assert_eq!(page["pagination"]["morePagesAvailable"], true);
    assert_eq!((&page["pagination"]["firstResult"], &page["pagination"]["lastResult"]), (&51.into(), &100.into()));
    assert_eq!(page["sorting"][0]["field"], "gaugeId");
    assert!(page.to_string().contains("PCF_TEXT"));
    assert!(!json(&sandbox, &gauges).await.to_string().contains("PCF_TEXT"));

    // Nothing found has the resource's own text, or is an empty answer.
    let (status, body) = ask(&sandbox, "GET", "warehouse-service/trial-gauge/900000").await;
    assert_eq!((status, body.contains("No Gauge Found")), (404, true), "{body}");
    let (status, body) = ask(&sandbox, "GET", "warehouse-service/trial/*/batch/900000-900009").await;
    assert_eq!((status, body.contains("No Batch Found")), (404, true), "{body}");

    // One bad id refuses the set.
    let metered = sandbox.ids("trial_level");
    let other = ids.iter().find(|id| !metered.contains(id)).unwrap();
    assert_eq!(ask(&sandbox, "GET", &format!("warehouse-service/trial-level/{}", metered[0])).await.0, 200);
    for bad in [*other, 900_000] {
        let mut set = [metered[0], bad];
        set.sort_unstable();
        let (status, body) =
            ask(&sandbox, "GET", &format!("warehouse-service/trial-level/{},{}", set[0], set[1])).await;
        assert_eq!((status, body.contains("TRLC-097")), (400, true), "{body}");
    }

    // OPTIONS where the file declares it: only ids that were used.
    let (status, body) = ask(&sandbox, "OPTIONS", "warehouse-service/trial-gauge/").await;
    assert_eq!((status, body.contains("/trial-gauge/10")), (200, true), "{body}");
    assert!(last - first + 1 > 400 && ids.len() == 400, "there are gaps");
    assert_eq!(ask(&sandbox, "OPTIONS", "warehouse-service/trial-unit").await.0, 405);

    // Searches: filters, sorting, pages, names of references, several rows a record.
    let search = "warehouse-service/trial-gauge-search";
    let found =
        json(&sandbox, &format!("{search}?gaugeId={first}-{last}&sort=updatedOn.DESC&pageSize=7&firstResult=3")).await;
    let meta = &found["response"]["metaData"];
    assert_eq!((&meta["resultsAvailable"], &meta["resultsReturned"]), (&400.into(), &7.into()));
    assert_eq!(meta["sorting"][0]["direction"], "DESC");
    assert!(found["reference"]["gaugeTypeNames"].as_object().unwrap().values().any(|name| name == "DIGITAL"));
    assert_eq!(
        ask(&sandbox, "GET", &format!("{search}?sort=label.ASC")).await.0,
        400,
        "a column that cannot be sorted by"
    );
    let lines = json(&sandbox, "warehouse-service/trial-batch-search?columns=batchId").await;
    assert!(lines["response"]["metaData"]["resultsAvailable"].as_u64().unwrap() > 100, "90 batches have more lines");
    let described = json(&sandbox, &format!("{search}/meta-data")).await;
    assert_eq!(described["response"]["columns"][3]["reportDataType"], "BOOLEAN");

    // A list in pages.
    let units = json(&sandbox, "warehouse-service/trial-unit?firstResult=21").await;
    assert_eq!(
        (units["response"].as_array().unwrap().len(), &units["pagination"]["morePagesAvailable"]),
        (5, &false.into())
    );
    assert!(
        ask(&sandbox, "GET", "warehouse-service/trial-unit").await.1.contains("12345678.1234567890"),
        "every digit stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_happen_to_eligible_records_only_by_method_and_by_request() {
    let sandbox = account().await;
    let client = crate::support::client();
    let post = async |path: &str| {
        let answer = client.post(format!("{}/{path}", sandbox.control())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };

    // GIVEN a resource of which only some records are deleted
    let (all, eligible) = (sandbox.ids("trial_reading"), sandbox.eligible(Verb::Delete, "trial_reading"));
    assert!(!eligible.is_empty() && eligible.len() < all.len());
    let other = all.iter().find(|id| !eligible.contains(id)).unwrap();

    // WHEN another is to be deleted THEN it is refused; without ids the newest eligible one goes
    let (status, body) = post(&format!("delete/trial_reading?ids={other}")).await;
    assert_eq!((status, body.contains("delete does not happen to trial_reading")), (400, true), "{body}");
    assert_eq!(post("delete/trial_reading?count=2").await.0, 200);
    let gone: Vec<i64> = all.into_iter().filter(|id| !sandbox.ids("trial_reading").contains(id)).collect();
    assert_eq!(gone, eligible[eligible.len() - 2..]);

    // The other events, and the truth, go by the same names.
    for path in
        ["insert/trial_unit?count=3", "edit/trial_gauge", "touch/trial_batch?count=4", "restore/trial_reading?ids=1"]
    {
        assert_eq!(post(path).await.0, 200, "{path}");
    }
    assert_eq!(sandbox.ids("trial_unit").len(), 28);
    assert_eq!(truth(&sandbox, "trial_unit").await.lines().count(), 28);
    let batch: Value = serde_json::from_str(truth(&sandbox, "trial_batch").await.lines().next().unwrap()).unwrap();
    assert!(batch["id"].is_number() && batch["document"]["lines"].is_array(), "{batch}");
    let reading: Value = serde_json::from_str(truth(&sandbox, "trial_reading").await.lines().next().unwrap()).unwrap();
    assert!(reading["readingId"].is_number(), "{reading}");
    assert_eq!(post("edit/no_such_thing").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_and_changes_between_requests_concern_fixtures_too() {
    // GIVEN an account with fixtures that change while they are read, and one stale and one cut answer
    let resources = ALL[..4].iter().map(|name| (*name).to_owned()).collect();
    let churn = Churn { seed: 4, percent: 30, verbs: vec![Verb::Insert, Verb::Edit, Verb::Age], resources };
    let rule =
        |path: &str, then: Wrong| AnswerRule { method: "GET".to_owned(), path: path.to_owned(), at: vec![1], then };
    let answers = vec![rule("trial-gauge/", Wrong::Keep(3)), rule("trial-unit", Wrong::Stale)];
    let lake = tempfile::tempdir().unwrap();
    let sandbox =
        crate::support::start(SandboxSettings { churn, answers, ..settings() }, Size { orders: 60, ..Size::default() })
            .await;
    let program = program(&sandbox, lake.path());

    // WHEN it is read, and once more when it rests
    run(&program, &["run"]);
    let log = sandbox.take_log();
    assert!(log.churned.iter().any(|line| line.contains("Edit trial_")), "{:?}", log.churned);
    assert_eq!(log.wrong.len(), 2, "{:?}", log.wrong);
    sandbox.change(|settings| settings.churn = Churn::default());
    run(&program, &["run"]);

    // THEN nothing is lost
    check(&sandbox, lake.path(), &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_records_start_in_three_seconds_and_half_a_gibibyte() {
    // GIVEN an account with a million records of a fixture, in a process of its own
    let trial = folder();
    let arguments = ["--records", "trial_gauge=1000000", "--fixtures", trial.to_str().unwrap()];

    // WHEN it has begun to serve
    let (child, url, spent) = serve_apart(&trial, &arguments);

    // THEN it took at most three seconds of a processor, and with an answer from the far end at most 512 MiB
    assert!(spent <= 300, "{spent} hundredths of a second");
    let gauges = get(&format!("{url}/warehouse-service/trial-gauge/1000000-1000030")).await;
    assert!(gauges["response"]["gauges"].as_array().unwrap().len() > 20, "{gauges}");
    assert!(child.peak() <= 512 << 10, "{} KiB", child.peak());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_orders_start_in_half_a_gibibyte_and_with_bounded_work() {
    // GIVEN an account of a million orders, in a process of its own
    let folder = tempfile::tempdir().unwrap();

    // WHEN it has begun to serve
    let (child, url, spent) = serve_apart(folder.path(), &["--orders", "1000000"]);

    // THEN its stock took bounded work to sum, also in a build that is not optimized, and 512 MiB with pages from both ends
    assert!(spent <= 12_000, "{spent} hundredths of a second");
    for (order, page) in [("ASC", 1), ("DESC", 1), ("ASC", 2_500_000)] {
        let sort = format!("sort=goodsMovementId.{order}&pageSize=500&firstResult={page}");
        let rows = get(&format!("{url}/warehouse-service/goods-movement-search?{sort}")).await;
        assert_eq!(rows["response"]["results"].as_array().unwrap().len(), 500, "{sort}");
    }
    let orders = get(&format!("{url}/order-service/order/1000000-1000199")).await;
    assert!(orders["response"].as_array().unwrap().len() > 190);
    assert!(child.peak() <= 512 << 10, "{} KiB", child.peak());
}

/// Starts the program's account in a process of its own: it, its address, and hundredths of a second of a processor until then.
fn serve_apart(folder: &Path, arguments: &[&str]) -> (Killed, String, u64) {
    let all = [&["sandbox", "--port", "0", "--limit", "0"][..], arguments].concat();
    let mut command = Program::bare(folder).command(&all);
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts"));
    let mut url = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let stat = child.process("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // User and system time.
    let spent = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    (child, url.trim().to_owned(), spent)
}

/// The answer to a GET.
async fn get(url: &str) -> Value {
    let client = crate::support::client();
    let asked = client.get(url).header("brightpearl-app-ref", "acme_export");
    let answer = asked.header("brightpearl-staff-token", "sandbox-staff-token").send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// A process that ends with the test.
struct Killed(Child);

impl Killed {
    /// A file of the system about it.
    fn process(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    /// The most memory that it held at a time, in KiB.
    fn peak(&self) -> u64 {
        let status = self.process("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended already is no fault.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_fixture_with_an_unknown_key_ends_the_command_with_file_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("tests/it/trial/trial_unit.json")).unwrap();
    std::fs::write(folder.path().join("trial_unit.json"), text.replace("\"page\"", "\"pages\"")).unwrap();
    let program = Program::bare(folder.path());
    let done = program.run(&["sandbox", "--port", "0", "--fixtures", folder.path().to_str().unwrap()]).expect(2);
    assert!(done.stderr.contains("trial_unit.json: get.pages: unknown key"), "{}", done.stderr);
    let done = program.run(&["sandbox", "--port", "0", "--records", "no_such_thing=5"]).expect(2);
    assert!(done.stderr.contains("there is no fixture `no_such_thing`"), "{}", done.stderr);
}

/// The resource of a fixture, by its file.
fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_built_in_fixture_is_exported_and_its_changes_are_followed() {
    // GIVEN all fixtures: those of records that follow from others, and independent ones
    let files = std::fs::read_dir(root().join("crates/sandbox/fixtures")).unwrap().map(|file| file.unwrap().path());
    let fixtures: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    // Nothing is reserved in an account of years without an open sale: `held` has the test of it.
    let has_records = |name: &&str| *name != "reservation";
    let all: Vec<&str> = fixtures.iter().map(|path| name(path)).filter(has_records).collect();
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap().replace("\"rule\": \"product\"", "");
    let stands_alone = |path: &&PathBuf| !text(path).contains("\"rule\":");
    let names: Vec<&str> = fixtures.iter().filter(stands_alone).map(|path| name(path)).collect();
    assert!(names.len() >= 34 && all.len() >= names.len() + 8, "{names:?}");
    let sandbox = crate::support::account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let run = || program.run(&[&["run"][..], &names].concat()).expect(0);

    // WHEN they are exported THEN each table is as its fixture states, and no field is left over
    program.run(&[&["run"][..], &all].concat()).expect(0);
    check(&sandbox, lake.path(), &all);

    // WHEN records of independent ones are added (`business` changes the others), and change with a date, and without
    // one where each run reads all, THEN the run of the next week finds it
    let catalog = Catalog::load(None).unwrap();
    let is_read_whole = |name: &&&str| match &catalog.find(name).unwrap().read.style {
        ReadStyle::List { .. } => true,
        ReadStyle::Search(search) => search.since.is_empty(),
        ReadStyle::IdSets { .. } | ReadStyle::PerOwner { .. } => false,
    };
    let (whole, dated): (Vec<&str>, Vec<&str>) = names.iter().partition(is_read_whole);
    assert!(whole.len() > 20 && dated.contains(&"product") && dated.contains(&"order_note"), "{dated:?}");
    for name in &names {
        if !sandbox.eligible(Verb::Insert, *name).is_empty() {
            sandbox.insert(*name, 2);
        }
        sandbox.edit(*name, first(&sandbox.eligible(Verb::Edit, *name), 0));
    }
    for name in &whole {
        touch(&sandbox, name);
    }
    for name in &names {
        assert!(compare(&sandbox, lake.path(), &[name]).is_err(), "{name} does not change");
    }
    sandbox.age(Duration::from_secs(8 * 24 * 3600));
    run();
    check(&sandbox, lake.path(), &names);

    // WHEN the others change without a date THEN a whole read finds it
    for name in &dated {
        if touch(&sandbox, name) {
            assert!(compare(&sandbox, lake.path(), &[name]).is_err(), "{name} does not change");
        }
    }
    program.run(&[&["run", "--full"][..], &dated].concat()).expect(0);
    check(&sandbox, lake.path(), &names);

    // WHEN a record goes THEN the runs of the next weeks find it
    for name in &names {
        sandbox.delete(*name, first(&sandbox.eligible(Verb::Delete, *name), 2));
    }
    for _ in 0..2 {
        sandbox.age(Duration::from_secs(8 * 24 * 3600));
        run();
    }
    check(&sandbox, lake.path(), &names);

    // WHEN nothing happens THEN a run changes nothing
    run();
    check(&sandbox, lake.path(), &names);
}

/// The id at this place, if there is one.
fn first(ids: &[i64], place: usize) -> &[i64] {
    ids.get(place..=place).unwrap_or_default()
}

/// Changes all records but the first without a date, where that happens; whether it does.
fn touch(sandbox: &Sandbox, name: &str) -> bool {
    let ids = sandbox.eligible(Verb::Touch, name);
    // A record that is alone is changed itself.
    let most = ids.get(1..).filter(|most| !most.is_empty()).unwrap_or(&ids);
    sandbox.touch(name, most);
    !ids.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixture_of_a_folder_takes_the_place_of_the_built_in_one() {
    // GIVEN a folder with another fixture of lead sources
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("crates/sandbox/fixtures/lead_source.json")).unwrap();
    let fewer = text.replace("{\"records\": 24}", "{\"records\": 3}");
    assert_ne!(text, fewer);
    std::fs::write(folder.path().join("lead_source.json"), fewer).unwrap();
    let settings = SandboxSettings { fixtures: Some(folder.path().to_owned()), ..settings() };

    // WHEN the account is served
    let sandbox = crate::support::start(settings, Size { orders: 30, ..Size::default() }).await;

    // THEN that one counts, the other built-in ones stay, and those that code makes answer to their names
    assert_eq!(sandbox.ids("lead_source"), [1, 2, 3]);
    assert_eq!(sandbox.ids("season").len(), 7);
    let new = sandbox.insert("order", 2);
    sandbox.edit("order", &new);
    assert_eq!(sandbox.eligible(Verb::Delete, "order").len(), 32);
}
