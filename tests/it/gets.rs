//! Places that a request states: the label of one of several GETs, and the id that was asked for. And rows within rows.

use std::path::{Path, PathBuf};

use pearlift::decode::{Asked, Shape, answer};
use pearlift::fetch::Body;
use pearlift::sandbox::{Sandbox, SandboxSettings, Size, Verb};
use pearlift::schema::Catalog;
use serde_json::Value;

use crate::reference::cells;
use crate::support::{Program, check_truth, query, this_morning};

const TABLES: &str = "trial_kind,trial_kind_choice,trial_place";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/trial")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

async fn account() -> Sandbox {
    let settings =
        SandboxSettings { limit: 0, now: Some(this_morning()), fixtures: Some(folder()), ..SandboxSettings::default() };
    let size = Size { orders: 60, ..Size::default() };
    crate::support::start(settings, size).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_of_two_gets_with_one_id_are_rows_of_their_labels() {
    // GIVEN two GETs that number their records by themselves, and answers that do not name the id that was asked for
    let sandbox = account().await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_SCHEMAS", text(&folder()));
    let run = || program.run(&["run", "trial_kind", "trial_gauge", "trial_place"]).expect(0);
    let check = || check_truth(&sandbox, text(lake.path()), &["--schemas", text(&folder()), "--only", TABLES]);

    // WHEN they are read THEN each row is there
    run();
    check();
    let kinds = format!("{}/trial_kind/**/*.parquet", text(lake.path()));
    assert_eq!(query(&format!("select count(*), count(distinct id) from '{kinds}'")), ["24|13"]);
    assert_eq!(query(&format!("select direction, count(*) from '{kinds}' group by 1 order by 1")), ["in|12", "out|12"]);

    // WHEN records come and change, and one of a shared id goes
    sandbox.insert("trial_kind", 3);
    sandbox.edit("trial_kind", &sandbox.eligible(Verb::Edit, "trial_kind")[4..9]);
    sandbox.touch("trial_gauge", &sandbox.ids("trial_gauge")[..40]);
    sandbox.edit("trial_gauge", &sandbox.ids("trial_gauge")[..20]);
    sandbox.delete("trial_kind", &sandbox.ids("trial_kind")[6..7]);
    run();
    program.run(&["run", "--full", "trial_place"]).expect(0);

    // THEN the other one stays, and all else is as it should be
    check();
    assert_eq!(query(&format!("select count(*) from '{kinds}'")), ["26"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plan_counts_a_request_for_each_get() {
    // GIVEN nothing at the destination, and then a load
    let sandbox = account().await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_SCHEMAS", text(&folder()));
    for requests in [4, 2] {
        // WHEN a run is planned, and made
        let plan = program.run(&["plan", "--json", "trial_kind"]).expect(0);
        sandbox.take_log();
        program.run(&["run", "trial_kind"]).expect(0);

        // THEN it asks for what was planned
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        assert_eq!(plan["resources"][0]["scans"][0]["requests"], requests, "{plan}");
        assert_eq!(sandbox.take_log().total(), requests);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_id_that_two_gets_have_is_refused_where_keys_are_said_not_to_repeat() {
    // GIVEN a schema by which the ids of both GETs are those of one kind of record
    let sandbox = account().await;
    let (lake, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let written = std::fs::read_to_string(folder().join("trial_kind.toml")).unwrap();
    assert!(written.contains("repeats = true\n"));
    std::fs::write(schemas.path().join("trial_kind.toml"), written.replace("repeats = true\n", "")).unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_SCHEMAS", text(schemas.path()));

    // WHEN it is read THEN nothing is written, and the id is named
    let done = program.run(&["run", "trial_kind"]);
    assert_ne!(done.code, 0);
    assert!(done.said().contains("the record 2 is in another GET too"), "{}", done.said());
    assert!(!lake.path().join("trial_kind").exists());
}

const THINGS: &str = r#"
about = "things"
[read]
style = "id-sets"
service = "thing-service"
get = "thing/{ids}"
key = "id"
inventory = { options = "thing" }
[tables.thing]
key = ["id"]
columns = [{ name = "id", from = "id", type = "int64", required = true }]
"#;

const NOTES: &str = r#"
about = "notes of things, and their parts"
[read]
style = "per-owner"
service = "thing-service"
get = "thing/{ids}/note"
max_ids = 1
key = "@id"
repeats = true
owners = { resource = "thing" }
[tables.note]
key = ["thing_id", "id"]
columns = [
  { name = "thing_id", from = "@id", type = "int64", required = true },
  { name = "id",       from = "id",  type = "int64", required = true },
]
[tables.part]
rows = "parts.*"
again = "within.parts.*"
key = ["thing_id", "note_id", "path"]
columns = [
  { name = "thing_id", from = "$.@id",   type = "int64", required = true },
  { name = "note_id",  from = "$.id",    type = "int64", required = true },
  { name = "path",     from = "@path",   type = "string", required = true },
  { name = "around",   from = "^.@path", type = "string" },
  { name = "level",    from = "@level",  type = "int32" },
  { name = "place",    from = "@index",  type = "int32" },
  { name = "name",     from = "name",    type = "string" },
]
"#;

fn catalog(schema: &str) -> pearlift::failure::Result<Catalog> {
    Catalog::from_texts(&[("note".to_owned(), schema.to_owned()), ("thing".to_owned(), THINGS.to_owned())])
}

#[test]
fn records_without_an_id_are_those_of_the_id_that_was_asked_for_and_parts_have_parts() {
    // GIVEN an answer to a request for one id: records that do not name it, with parts within parts
    let catalog = catalog(NOTES).unwrap();
    let shape = Shape::compile(catalog.get("note").unwrap()).unwrap();
    let body = r#"{"response": [
      {"id": 5, "parts": [
        {"name": "a", "within": {"parts": [{"name": "b", "size": 3}, {"within": {"parts": {"x": {"name": "c"}}}}]}},
        {"name": "d", "within": {"parts": []}}]},
      {"id": 6}
    ]}"#;
    let body = Body { bytes: body.into(), gzip: false };

    // WHEN it is read
    let page = answer(&shape, &body, &Asked::new(Some(17), None), false).unwrap();

    // THEN they are records of that id, and each part is a row that names its place and the part around it
    let shown = |table: usize| -> Vec<String> {
        let rows = cells(&page.tables[table].batch).into_iter();
        rows.map(|row| row.into_iter().map(|cell| cell.unwrap_or("-".to_owned())).collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert!(
        page.rejected_records.is_empty() && page.rejected_rows.is_empty(),
        "{:?} {:?}",
        page.rejected_records,
        page.rejected_rows
    );
    assert_eq!(page.records.len(), 1);
    assert_eq!(shown(0), ["17 5 -", "17 6 -"]);
    assert_eq!(
        shown(1),
        [
            "17 5 0 - 0 0 a -",
            "17 5 0.0 0 1 0 b {\"size\":3}",
            "17 5 0.1 0 1 1 - -",
            "17 5 0.1.0 0.1 2 0 c {\"@key\":\"x\"}",
            "17 5 1 - 0 1 d -"
        ]
    );
}

#[test]
fn places_that_no_request_and_no_entry_states_are_refused_with_their_line() {
    catalog(NOTES).unwrap();
    for (from, to, why) in [
        ("max_ids = 1\n", "max_ids = 2\n", "`@id` needs a GET of one id at a time"),
        ("from = \"name\", ", "from = \"$.@label\",", "`@label` of a record needs a list of several GETs"),
        ("from = \"name\", ", "from = \"^.name\",", "where rows are within rows"),
        ("from = \"^.@path\"", "from = \"^.^.@path\"", "points outside the record"),
        ("again = \"within.parts.*\"\n", "", "`@level` goes with `again`"),
        ("again = \"within.parts.*\"", "again = \"within.parts\"", "it is names and `*`"),
        ("again = \"within.parts.*\"", "again = \"within.*.parts.*\"", "`again` goes with `rows`"),
        ("again = \"within.parts.*\"", "again = \"*\"", "`again` goes with `rows`"),
        (
            "again = \"within.parts.*\"",
            "again = \"within.parts.*\"\nsplit = \",\"",
            "`again` goes with `rows`, without `split`",
        ),
        ("\"note_id\", \"path\"]", "\"note_id\"]", "the key has a column `@path`"),
        ("from = \"id\",  type", "from = \"@path\",  type", "`@path` is the place of an entry of `rows`"),
    ] {
        assert!(NOTES.contains(from), "{from}");
        let refused = catalog(&NOTES.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(refused.contains(why), "{to}: {refused}");
        assert!(refused.contains("note.toml, ") && refused.contains("line "), "{to}: {refused}");
    }
    let below = format!(
        "{NOTES}\n[tables.below]\nrows = \"parts.*.within.parts.*\"\nkey = [\"thing_id\", \"place\"]\ncolumns = [\n\
         {{ name = \"thing_id\", from = \"$.@id\", type = \"int64\", required = true }},\n\
         {{ name = \"place\", from = \"@index\", type = \"int64\", required = true }},\n]\n"
    );
    let refused = catalog(&below).unwrap_err().to_string();
    assert!(refused.contains("below the rows within rows of `part`"), "{refused}");
}

#[test]
fn several_gets_have_a_label_each_and_no_pages_by_number() {
    let written = std::fs::read_to_string(folder().join("trial_kind.toml")).unwrap();
    let check = |text: String| Catalog::from_texts(&[("trial_kind".to_owned(), text)]);
    check(written.clone()).unwrap();
    let get = "get = [{ path = \"trial-in/kind\", label = \"in\" }, { path = \"trial-out/kind\", label = \"out\" }]";
    for (from, to, why) in [
        (get, "get = []", "`get` has several paths, each with a label"),
        ("label = \"out\"", "label = \"in\"", "`get` has several paths, each with a label"),
        ("label = \"out\"", "label = \"\"", "`get` has several paths, each with a label"),
        ("\"trial-out/kind\"", "\"trial-in/kind\"", "`get` has several paths, each with a label"),
        ("\"trial-out/kind\"", "\"trial-out/{ids}\"", "`get` of a list holds no {ids}"),
        ("\"trial-out/kind\"", "\"trial-out/kind?pageNum=1\"", "`get` has a page"),
        (
            "repeats = true\n",
            "pages = { number = \"p\", size = \"s\", most = 9 }\n",
            "`get` with labels goes with a list",
        ),
        (get, "get = \"trial-in/kind\"", "`@label` of a record needs a list of several GETs"),
        ("key = [\"kind_id\", \"direction\", ", "key = [\"kind_id\", ", "has the label of the GET"),
    ] {
        assert!(written.contains(from), "{from}");
        let refused = check(written.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(refused.contains(why), "{to}: {refused}");
        assert!(refused.contains("trial_kind.toml, ") && refused.contains("line "), "{to}: {refused}");
    }
    let unknown = written.replacen("label = \"out\"", "label = \"out\", name = \"x\"", 1);
    assert!(check(unknown).is_err());
}
