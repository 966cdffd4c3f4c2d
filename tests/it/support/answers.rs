//! An answer of each resource: the documented one of `tests/fixtures/`, or one of the sandbox where there is none.

use std::path::{Path, PathBuf};

use pearlift::sandbox::{Settings, Size};
use pearlift::schema::{Resource, Style};

use super::this_morning;

/// Records of an answer of the sandbox at most.
const MOST: usize = 40;

/// The text of an answer of a resource.
pub fn answer(resource: &Resource) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{}.json", resource.name));
    if path.exists() { std::fs::read_to_string(path).unwrap() } else { served(resource, None) }
}

/// An answer of the sandbox, with the fixtures of a folder beside the built-in ones.
pub fn served(resource: &Resource, fixtures: Option<PathBuf>) -> String {
    let settings = Settings { limit: 0, now: Some(this_morning()), fixtures, ..Settings::default() };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let sandbox = super::start(settings, Size { orders: 60, ..Size::default() }).await;
        let path = match &resource.read.style {
            Style::Search(search) => format!("{}?pageSize={MOST}", search.search),
            Style::List { get } => get.clone(),
            Style::IdSets { get, .. } | Style::PerOwner { get, .. } => {
                let ids = sandbox.ids(&resource.name).into_iter().take(MOST);
                get.replace("{ids}", &ids.map(|id| id.to_string()).collect::<Vec<_>>().join(","))
            }
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.get(format!("{}/{}/{path}", sandbox.url(), resource.read.service));
        let asked = asked.header("brightpearl-app-ref", "acme_export");
        let answer = asked.header("brightpearl-staff-token", "sandbox-staff-token").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", resource.name);
        answer.text().await.unwrap()
    })
}
