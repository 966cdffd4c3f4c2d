//! An answer of each resource: the documented one of `tests/fixtures/`, or one of the sandbox where there is none.

use std::path::{Path, PathBuf};

use pearlift::sandbox::{Sandbox, Settings, Size};
use pearlift::schema::{Resource, Style};
use serde_json::Value;

use super::this_morning;

/// Documents of an answer of the sandbox at most.
const MOST: usize = 40;

/// An answer of the sandbox, and the rows that its records must become.
pub struct Served {
    pub text: String,
    /// `{"id": 1, "tables": {…}}` of each record; none where the fixture states no rows.
    pub rows: Vec<Value>,
}

/// The text of an answer of a resource.
pub fn answer(resource: &Resource) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{}.json", resource.name));
    if path.exists() { std::fs::read_to_string(path).unwrap() } else { serve(resource, None).text }
}

/// An answer of the sandbox, with the fixtures of a folder beside the built-in ones.
pub fn serve(resource: &Resource, fixtures: Option<PathBuf>) -> Served {
    // Of weeks and not of years: much is open, and some waits.
    let settings = Settings { limit: 0, history: 40, now: Some(this_morning()), fixtures, ..Settings::default() };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let sandbox = super::start(settings, Size { orders: 60, ..Size::default() }).await;
        let all = sandbox.ids(&resource.name);
        let (paths, ids) = match &resource.read.style {
            Style::Search(search) => (vec![search.search.clone()], &all[..]),
            Style::List { gets, .. } => (vec![gets[0].path.clone()], &all[..]),
            Style::IdSets { get, max_ids, .. } | Style::PerOwner { get, max_ids, .. } => {
                let ids = &all[..all.len().min(MOST)];
                (ids.chunks((*max_ids).max(1)).flat_map(|ids| paths(get, ids)).collect(), ids)
            }
        };
        let mut texts = Vec::new();
        for path in paths {
            texts.push(ask(&sandbox, &format!("{}/{path}", resource.read.service)).await);
        }
        let text = joined(texts);
        let client = crate::support::client();
        let stated = client.post(format!("{}/expected/{}", sandbox.control(), resource.name)).send().await.unwrap();
        let stated = if stated.status() == 200 { stated.text().await.unwrap() } else { String::new() };
        let rows = stated.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        Served { text, rows: rows.filter(|row| ids.contains(&row["id"].as_i64().unwrap())).collect() }
    })
}

/// The paths of a set; where a warehouse stands in it too, one for each.
fn paths(get: &str, ids: &[i64]) -> Vec<String> {
    let set = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let path = get.replace("{ids}", &set);
    let warehouse = "{warehouse_id}";
    if !path.contains(warehouse) {
        return vec![path];
    }
    (1..=6).map(|id: i64| path.replace(warehouse, &id.to_string())).collect()
}

/// Answers that are arrays, as one.
fn joined(mut texts: Vec<String>) -> String {
    if texts.len() == 1 {
        return texts.remove(0);
    }
    let inner = |text: &String| {
        let inner = text.strip_prefix("{\"response\":[").and_then(|text| text.strip_suffix("]}"));
        inner.expect("it is an array").to_owned()
    };
    let inner: Vec<String> = texts.iter().map(inner).filter(|text| !text.is_empty()).collect();
    format!("{{\"response\":[{}]}}", inner.join(","))
}

async fn ask(sandbox: &Sandbox, path: &str) -> String {
    let client = crate::support::client();
    let asked = client.get(format!("{}/{path}", sandbox.url())).header("brightpearl-app-ref", "acme_export");
    let answer = asked.header("brightpearl-staff-token", "sandbox-staff-token").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}
