//! The page of `report`: its content, its escapes, and its independence of any network.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pearlift::history::append;
use pearlift::run::nonce;
use serde_json::{Value, json};

use crate::support::{Program, Weed, account, files, query, tool};

/// Texts that would be elements, attributes or references if they were not escaped.
const HOSTILE: &str =
    "</td><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\" onload='&#106;{{ account }}";

/// The page that a program writes.
fn page(program: &Program, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    // The accounts of the tests are long past.
    let all = [&["report", "--max-age", "99999d", "--out", out.to_str().unwrap()], arguments].concat();
    let done = program.run(&all).expect(0);
    assert!(done.stdout.is_empty() && done.stderr.contains("page.html"), "{}", done.said());
    std::fs::read_to_string(out).unwrap()
}

/// The text of a section, between its heading and the next one.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let heading = format!("<h2 id=\"{id}\">");
    page.split(&heading).nth(1).unwrap_or_else(|| panic!("no section {id}")).split("<h2 ").next().unwrap()
}

/// The tags of a page as Python's parser reads it, one a line: nesting is checked, and each `id` is there once.
fn tags(page: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let script = "import html.parser, sys\n\
        VOID = {'meta', 'link', 'img', 'br', 'hr', 'input', 'base', 'source', 'embed'}\n\
        class P(html.parser.HTMLParser):\n\
        \x20   def __init__(self):\n\
        \x20       super().__init__(); self.open = []; self.ids = []\n\
        \x20   def handle_starttag(self, tag, attrs):\n\
        \x20       print(tag + ' ' + ' '.join(f'{k}={v}' for k, v in attrs if k != 'content'))\n\
        \x20       self.ids += [v for k, v in attrs if k == 'id']\n\
        \x20       if tag not in VOID: self.open.append(tag)\n\
        \x20   def handle_startendtag(self, tag, attrs):\n\
        \x20       print(tag + ' ' + ' '.join(f'{k}={v}' for k, v in attrs))\n\
        \x20   def handle_endtag(self, tag):\n\
        \x20       assert self.open and self.open.pop() == tag, (tag, self.getpos())\n\
        p = P(); p.feed(open(sys.argv[1], encoding='utf-8').read()); p.close()\n\
        assert not p.open, p.open\n\
        assert len(p.ids) == len(set(p.ids)), p.ids\n";
    let done =
        std::process::Command::new(tool("python")).args(["-c", script, file.to_str().unwrap()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Refuses everything that would run, or come from elsewhere.
fn is_self_contained(page: &str) {
    let tags = tags(page);
    let allowed = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "nav",
        "footer",
        "h1",
        "h2",
        "h3",
        "p",
        "span",
        "strong",
        "code",
        "a",
        "ul",
        "ol",
        "li",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "svg",
        "desc",
        "text",
        "rect",
        "line",
        "polyline",
        "details",
        "summary",
    ];
    for tag in &tags {
        let (name, attributes) = tag.split_once(' ').unwrap();
        assert!(allowed.contains(&name), "{tag}");
        let is_outside = |attribute: &str| {
            ["src=", "on", "style=", "srcset=", "action=", "xlink"].iter().any(|start| attribute.starts_with(start))
                || (attribute.starts_with("href=") && !attribute.starts_with("href=#"))
        };
        assert!(!attributes.split(' ').any(is_outside), "{tag}");
    }
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("http"), "{style}");
    assert!(
        page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\"")
    );
    // Every plot and table has its text.
    let count = |name: &str| tags.iter().filter(|tag| tag.split(' ').next() == Some(name)).count();
    assert_eq!(count("svg"), tags.iter().filter(|tag| tag.contains("role=img")).count());
    assert_eq!((count("svg"), count("svg")), (count("desc"), count("figcaption")));
    assert_eq!(count("table"), count("caption"));
    assert!(tags.iter().filter(|tag| tag.starts_with("th ")).all(|tag| tag.contains("scope=")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_page_names_the_failure_of_the_last_run_its_reason_and_a_command() {
    // GIVEN a good night, and one whose credentials are refused
    let sandbox = account(80).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "order,brand");
    program.run(&["run"]).expect(0);
    let good = page(&program, &[]);
    is_self_contained(&good);
    assert!(section(&good, "last").contains(">succeeded<"), "{}", section(&good, "last"));
    assert!(!section(&good, "attention").contains(">Failed<"), "{}", section(&good, "attention"));
    sandbox.age(Duration::from_secs(86_400));
    program.clone().with("BRIGHTPEARL_STAFF_TOKEN", "planted-secret-12345=").run(&["run"]).expect(4);

    // WHEN the page is made THEN its first sections say so
    let page = page(&program, &[]);
    is_self_contained(&page);
    assert!(!page.contains("planted-secret"));
    let last = section(&page, "last");
    assert!(last.contains("failed<") && last.contains("exit code 4"), "{last}");
    let attention = section(&page, "attention");
    for text in [">Failed<", "order", "could not log in", "pearlift "] {
        assert!(attention.contains(text), "{text}: {attention}");
    }
    // AND the resources are complete as the source counts them
    let orders = sandbox.ids("order").len();
    let resources = section(&page, "resources");
    assert!(resources.contains(&format!("<td>{orders} of {orders}</td>")), "{resources}");
    assert_eq!(section(&page, "runs").matches("<th scope=\"row\">").count(), 2);
    let rows = query(&format!(
        "SELECT sum(rows) FROM read_parquet('{}/_pearlift/history/run/*.parquet') WHERE exit_code = 0",
        lake.path().display()
    ));
    let rows: u64 = rows[0].parse().unwrap();
    let stored = pearlift::quantity::number(rows);
    assert!(section(&page, "time").contains(&format!("{stored} at the end")), "{stored}");
    assert!(page.len() < 120_000, "{} bytes", page.len());
}

/// A report of a run of `brand` with these members of the resource.
fn report(at: Timestamp, resource: Value) -> Value {
    let mut whole = json!({"resource": "brand", "end": "failed", "failure": "answer", "version": 1, "rows": 3});
    whole.as_object_mut().unwrap().extend(resource.as_object().unwrap().clone());
    json!({
        "format": 1, "run": nonce(), "command": "run", "account": "acme", "pearlift": "0.1.0", "started_at": at, "finished_at": at,
        "exit_code": 4, "resources": [whole],
    })
}

/// Keeps a report and its rows as a run does.
async fn keep(program: &Program, lake: &Path, report: &Value) {
    append(&program.store(), report).await.unwrap();
    let at: Timestamp = report["started_at"].as_str().unwrap().parse().unwrap();
    let name = format!("{}-{}.json", at.strftime("%Y%m%dT%H%M%SZ"), report["run"].as_str().unwrap());
    std::fs::write(lake.join("_pearlift/runs").join(name), report.to_string()).unwrap();
}

/// A report with hostile texts everywhere.
fn hostile(at: Timestamp) -> Value {
    report(
        at,
        json!({
            "reason": format!("could not read {HOSTILE}"), "advice": HOSTILE,
            "rejected_values": [{"path": HOSTILE, "count": 2, "sample": HOSTILE}],
            "rejected_rows": [{"reason": HOSTILE, "count": 1, "sample": HOSTILE}],
            "unknown_fields": [{"path": HOSTILE, "count": 3, "column": HOSTILE}],
            "changed_kinds": [{"path": HOSTILE, "count": 3, "was": HOSTILE, "is": "text"}],
        }),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_texts_are_shown_and_are_no_elements() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "brand");
    program.run(&["run"]).expect(0);
    keep(&program, lake.path(), &hostile(Timestamp::now())).await;
    let plan = lake.path().join("plan.json");
    let steps = json!([{"resource": HOSTILE, "scans": [{"scan": HOSTILE, "requests": 1, "reason": HOSTILE}], "error": HOSTILE}]);
    let plan_text = json!({"now": "2026-11-29T03:00:00Z", "resources": steps, "total": {"requests": 7}});
    std::fs::write(&plan, plan_text.to_string()).unwrap();

    let page = page(&program, &["--plan", plan.to_str().unwrap()]);
    is_self_contained(&page);
    for part in ["attention", "runs", "rejected", "drift", "plan"] {
        let text = section(&page, part);
        assert!(text.contains("script") && text.contains("alert(1)"), "{part}: {text}");
        assert!(!text.contains("<script") && !text.contains("<img"), "{part}: {text}");
    }
    assert!(section(&page, "plan").contains("7 requests in all"));
    // AND a file that is no plan is refused with its remedy
    std::fs::write(&plan, "{}").unwrap();
    let done = program.run(&["report", "--plan", plan.to_str().unwrap()]).expect(2);
    assert!(done.stderr.contains("plan --json"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn samples_are_left_out_where_columns_are_replaced_by_hashes() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "brand,contact");
    program.run(&["run"]).expect(0);
    let sample = json!({"rejected_values": [{"path": "brand.id", "count": 1, "sample": "Ada Lovelace"}]});
    keep(&program, lake.path(), &report(Timestamp::now(), sample)).await;
    let shown = page(&program, &[]);
    assert!(section(&shown, "rejected").contains("Ada Lovelace"), "{}", section(&shown, "rejected"));
    let key = "0123456789abcdef".repeat(4);
    for (name, value) in
        [("PEARLIFT_PRIVACY_PROFILE", "gdpr"), ("PEARLIFT_RESOURCE_CONTACT_HASH_COLUMNS", "contact.last_name")]
    {
        let hashed = program.clone().with("BRIGHTPEARL_HASH_KEY", &key).with(name, value);
        let hidden = page(&hashed, &[]);
        let rejected = section(&hidden, "rejected");
        assert!(rejected.contains("brand.id") && rejected.contains("Samples are left out"), "{rejected}");
        assert!(!hidden.contains("Lovelace"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_empty_destination_and_damaged_files_about_runs_have_a_page_that_says_so() {
    // GIVEN a folder that does not exist THEN the page says so, and the folder is not made
    let sandbox = account(50).await;
    let outer = tempfile::tempdir().unwrap();
    let lake = outer.path().join("lake");
    let program = Program::new(&sandbox, &lake).with("PEARLIFT_RESOURCES_INCLUDE", "brand,tag");
    let empty = page(&program, &[]);
    is_self_contained(&empty);
    assert!(empty.contains("The history has no run of the last 90 days") && empty.contains("never read"), "{empty}");
    assert!(!lake.exists());

    // GIVEN a damaged file of the history, a report that is cut, and a manifest that is no manifest
    program.run(&["run"]).expect(0);
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let damaged = format!("_pearlift/history/run/{now}-{}.parquet", nonce());
    std::fs::write(lake.join(&damaged), "PAR1 damaged PAR1").unwrap();
    let cut = format!("_pearlift/runs/{now}-{}.json", nonce());
    std::fs::write(lake.join(&cut), "{\"format\": 1, ").unwrap();
    let head = files(&lake.join("_pearlift/manifests/tag")).pop().unwrap();
    std::fs::write(head, "{").unwrap();
    let page = page(&program, &[]);
    is_self_contained(&page);
    let attention = section(&page, "attention");
    for text in
        [damaged.as_str(), cut.as_str(), "2 files about runs cannot be read", "pearlift verify tag", ">Damaged<"]
    {
        assert!(attention.contains(text), "{text}: {attention}");
    }
    assert!(section(&page, "resources").contains("damaged") && section(&page, "resources").contains("complete"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_history_has_a_small_page_and_only_the_days_that_are_wanted() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "brand");
    program.run(&["run"]).expect(0);
    let start = Timestamp::now();
    for night in 1..=120 {
        let at = start - SignedDuration::from_hours(24 * night);
        append(&program.store(), &report(at, json!({"end": "complete", "failure": null, "requests": 5})))
            .await
            .unwrap();
    }
    let first = |days: i64| (start - SignedDuration::from_hours(24 * days)).strftime("%Y-%m-%d").to_string();
    for (days, arguments) in [(90, &[][..]), (10, &["--days", "10"])] {
        let page = page(&program, arguments);
        assert!(page.len() < 150_000, "{} bytes", page.len());
        let time = section(&page, "time");
        assert!(time.contains(&first(days - 1)) && !time.contains(&first(days + 1)), "{days}: {time}");
        assert!(section(&page, "runs").matches("<th scope=\"row\">").count() <= 30);
    }
    program.run(&["report", "--days", "0"]).expect(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_page_of_a_bucket_is_that_of_a_folder() {
    let sandbox = account(50).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/page")).with("PEARLIFT_RESOURCES_INCLUDE", "brand");
    let empty = page(&program, &[]);
    assert!(empty.contains("never read"), "{empty}");
    program.run(&["run"]).expect(0);
    let page = page(&program, &[]);
    is_self_contained(&page);
    assert!(
        page.contains("s3://lake/page") && section(&page, "last").contains("succeeded"),
        "{}",
        section(&page, "last")
    );
    assert!(section(&page, "resources").contains("complete"));
}
