//! The file of metrics that a run writes for Prometheus, and the example alert rules and dashboard over it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Program, account, files, query, root, tool};

/// The samples of a file as the client library of Prometheus reads them, by name and resource, each with its help and type
/// checked.
fn samples(path: &Path) -> BTreeMap<(String, String), f64> {
    let script = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
found = []
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    assert family.documentation and family.type == "gauge", family
    assert family.samples, family
    for sample in family.samples:
        assert sample.labels.pop("account") == "acme", sample
        resource = sample.labels.pop("resource", "")
        assert not sample.labels, sample
        found.append([sample.name, resource, sample.value])
print(json.dumps(found))
"#;
    let output = Command::new(tool("python")).args(["-c", script]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<(String, String, f64)> = serde_json::from_slice(&output.stdout).unwrap();
    let count = found.len();
    let samples: BTreeMap<_, _> = found.into_iter().map(|(name, resource, value)| ((name, resource), value)).collect();
    assert_eq!(samples.len(), count, "no series is there twice");
    samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_writes_its_metrics_whether_it_succeeds_or_fails() {
    // GIVEN a setting, and a good run
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pearlift.prom");
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_METRICS_TEXTFILE", path.to_str().unwrap())
        .with("PEARLIFT_RESOURCES_INCLUDE", "order,brand");
    program.run(&["run"]).expect(0);

    // THEN the file has the counts of the run and of its resources, and any user may read it
    let first = samples(&path);
    let of = |samples: &BTreeMap<(String, String), f64>, name: &str, resource: &str| {
        samples.get(&(format!("pearlift_{name}"), resource.to_owned())).copied()
    };
    let rows = query(&format!("SELECT count(*) FROM read_parquet('{}/brand/*.parquet')", lake.path().display()));
    assert_eq!(of(&first, "resource_rows", "brand"), rows[0].parse().ok());
    assert_eq!(of(&first, "last_run_exit_code", ""), Some(0.0));
    assert_eq!(of(&first, "resource_failed", "order"), Some(0.0));
    assert!(of(&first, "resource_written_bytes", "order") > Some(0.0));
    assert!(of(&first, "resource_watermark_timestamp_seconds", "order") > Some(0.0));
    assert_eq!(of(&first, "resource_held_rows", "order"), of(&first, "resource_source_rows", "order"));
    let ended = of(&first, "last_run_timestamp_seconds", "").unwrap();
    assert_eq!(of(&first, "last_run_success_timestamp_seconds", ""), Some(ended));
    assert_eq!(of(&first, "resource_success_timestamp_seconds", "brand"), Some(ended));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o444, 0o444);
    assert_eq!(files(folder.path()), std::slice::from_ref(&path), "no draft is left");

    // WHEN a run of one resource fails, and one that reaches nothing THEN the last success stays what it was
    sandbox.age(Duration::from_secs(86_400));
    program.clone().with("BRIGHTPEARL_STAFF_TOKEN", "planted-secret-12345=").run(&["run", "order"]).expect(4);
    let second = samples(&path);
    assert_eq!(of(&second, "last_run_exit_code", ""), Some(4.0));
    assert!(of(&second, "last_run_timestamp_seconds", "") > Some(ended));
    assert_eq!(of(&second, "last_run_success_timestamp_seconds", ""), Some(ended));
    assert_eq!(of(&second, "resource_failed", "order"), Some(1.0));
    for (name, resource) in
        [("resource_success_timestamp_seconds", "order"), ("resource_rows", "brand"), ("resource_rows", "order")]
    {
        assert_eq!(of(&second, name, resource), of(&first, name, resource), "{name} {resource}");
    }
    program.clone().with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme").run(&["run"]).expect(4);
    let third = samples(&path);
    assert_eq!(of(&third, "resource_rows", "order"), of(&first, "resource_rows", "order"));
    assert_eq!(of(&third, "last_run_exit_code", ""), Some(4.0));
    // AND a resource that is not selected any more leaves the file
    program.clone().with("PEARLIFT_RESOURCES_INCLUDE", "brand").run(&["run"]).expect(0);
    let last = samples(&path);
    assert!(of(&last, "resource_rows", "brand").is_some() && of(&last, "resource_rows", "order").is_none());
    // AND the alert rules name metrics that are there
    let absent: Vec<String> = rules()
        .into_iter()
        .flat_map(|rule| rule.metrics)
        .filter(|name| !first.keys().any(|(known, _)| known == name))
        .collect();
    assert_eq!(absent, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_cannot_be_written_is_a_warning_and_a_name_that_is_not_read_is_refused() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let missing = lake.path().join("missing/pearlift.prom");
    let done =
        program.clone().with("PEARLIFT_METRICS_TEXTFILE", missing.to_str().unwrap()).run(&["run", "brand"]).expect(0);
    assert!(
        done.stderr.contains("monitoring does not see this run") && done.stderr.contains("[metrics]"),
        "{}",
        done.stderr
    );
    let done = program.with("PEARLIFT_METRICS_TEXTFILE", "/tmp/pearlift.txt").run(&["run", "brand"]).expect(2);
    assert!(done.stderr.contains("`metrics.textfile`") && done.stderr.contains(".prom"), "{}", done.stderr);
}

/// An alert rule, with the metrics that its expression names.
#[derive(Debug, serde::Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    metrics: Vec<String>,
}

/// The rules of the example, read as YAML.
fn rules() -> Vec<Rule> {
    let script = r#"
import json, re, sys, yaml
rules = [rule for group in yaml.safe_load(open(sys.argv[1]))["groups"] for rule in group["rules"]]
for rule in rules:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
    assert rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"], rule
    assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1h")), rule
    assert rule["expr"].count("(") == rule["expr"].count(")"), rule
print(json.dumps([{"alert": rule["alert"], "expr": rule["expr"], "metrics": re.findall(r"pearlift_\w+", rule["expr"])} for rule in rules]))
"#;
    let path = root().join("examples/monitoring/alerts.yml");
    let output = Command::new(tool("python")).args(["-c", script]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_page_describes_every_metric_and_the_rules_use_only_those() {
    let page = std::fs::read_to_string(root().join("docs/tasks/monitoring.md")).unwrap();
    let section = page.split("\n## Metrics\n").nth(1).expect("there is a section").split("\n## ").next().unwrap();
    let names = names();
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        assert!(section.contains(&format!("`{name}`")), "{name} is missing");
    }
    let rules = rules();
    assert!(rules.len() > 5);
    for rule in rules {
        assert!(
            !rule.metrics.is_empty() && rule.metrics.iter().all(|name| names.contains(name)),
            "{}: {}",
            rule.alert,
            rule.expr
        );
    }
}

/// The names of all metrics, from the source.
fn names() -> Vec<String> {
    let source = std::fs::read_to_string(root().join("src/report/metrics.rs")).unwrap();
    let source = source.split("#[cfg(test)]").next().unwrap();
    source.split('"').filter(|text| text.starts_with("pearlift_")).map(str::to_owned).collect()
}

/// The texts of all members of this name, at any depth.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == name {
                    found.push(value);
                }
                members(value, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, name, found)),
        _ => {}
    }
}

/// The metrics that an expression names.
fn metrics_of(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("pearlift_")).collect()
}

#[test]
fn the_dashboard_shows_only_metrics_that_a_run_writes_of_a_source_that_the_user_chooses() {
    let text = std::fs::read_to_string(root().join("examples/monitoring/dashboard.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let known = names();

    // Its variables are a data source and the accounts.
    let variables = board["templating"]["list"].as_array().unwrap();
    let kinds: Vec<_> =
        variables.iter().map(|one| (one["name"].as_str().unwrap(), one["type"].as_str().unwrap())).collect();
    assert_eq!(kinds, [("datasource", "datasource"), ("account", "query")]);
    let query = variables[1]["query"]["query"].as_str().unwrap();
    assert_eq!((Some(query), metrics_of(query).len()), (variables[1]["definition"].as_str(), 1));
    assert!(metrics_of(query).iter().all(|name| known.iter().any(|known| known == name)), "{query}");

    // Every source of data is the variable, and every reference `$name` is one of the two.
    let mut sources = Vec::new();
    members(&board, "datasource", &mut sources);
    assert!(sources.len() > 20);
    for source in sources {
        assert_eq!(*source, serde_json::json!({"type": "prometheus", "uid": "${datasource}"}));
    }
    for reference in text.split('$').skip(1) {
        let name = reference.trim_start_matches('{');
        let is_known = ["datasource", "account", "__all"].iter().any(|known| name.starts_with(known));
        assert!(is_known, "{}", &reference[..reference.len().min(40)]);
    }

    // Every expression names metrics that exist, each for the chosen accounts.
    let mut expressions = Vec::new();
    members(&board, "expr", &mut expressions);
    let mut shown = std::collections::BTreeSet::new();
    for expression in expressions.iter().map(|expression| expression.as_str().unwrap()) {
        let found = metrics_of(expression);
        assert!(!found.is_empty(), "{expression}");
        assert_eq!(found.len(), expression.matches("{account=~\"$account\"}").count(), "{expression}");
        assert_eq!(expression.matches(['(', '{']).count(), expression.matches([')', '}']).count(), "{expression}");
        for name in found {
            assert!(known.iter().any(|known| known == name), "{name} is no metric: {expression}");
            shown.insert(name);
        }
    }
    assert_eq!(shown.len(), known.len(), "every metric is shown");

    // Every panel has its own number and its own place in the grid.
    let panels = board["panels"].as_array().unwrap();
    let ids: std::collections::BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut cells = std::collections::BTreeSet::new();
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} lies over another panel", panel["title"]);
        }
        assert!(panel["type"] == "row" || !panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
}
