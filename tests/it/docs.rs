//! Statements of the pages about names that must exist: tests, source files, resources, messages, kinds of failures, pages.

use pearlift::failure::{Kind, Recovery};

use crate::support::{own_files, root, rust_files};

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let page = read("docs/guarantees.md");
    let security = read("docs/security.md");
    let mut named = 0;
    for name in quoted(&page).chain(quoted(&security)).filter(|name| name.contains("::") && !name.contains(' ')) {
        let (module, test) = name.split_once("::").unwrap();
        let text = read(&format!("tests/it/{module}.rs"));
        assert!(text.contains(&format!("fn {test}(")), "{name} does not exist");
        named += 1;
    }
    assert!(named > 8, "{named}");
    for promise in 1..=7 {
        let section = page.split(&format!("## {promise}.")).nth(1).unwrap().split("\n## ").next().unwrap();
        assert!(section.contains("**Shown by**"), "promise {promise} names no test");
    }
}

#[test]
fn every_source_file_that_the_pages_name_exists() {
    let mut pages = own_files("docs", &[".md"]);
    pages.extend(["README.md", "CONTRIBUTING.md", "schemas/README.md"].map(|page| root().join(page)));
    let is_source = |name: &&str| {
        name.ends_with(".rs") && ["src/", "crates/", "tests/", "fuzz/"].iter().any(|top| name.starts_with(top))
    };
    let mut named = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for name in quoted(&text).filter(is_source) {
            assert!(root().join(name).exists(), "{} names {name}", page.display());
            named += 1;
        }
    }
    assert!(named > 50, "{named}");
}

#[test]
fn the_table_of_contents_lists_every_page_of_the_book() {
    let contents = read("docs/README.md");
    let linked: Vec<&str> = contents.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let folder = root().join("docs");
    for page in own_files("docs", &[".md"]) {
        let name = page.strip_prefix(&folder).unwrap().to_str().unwrap();
        // These have a page of their own that lists them, or are a folder of the same kind.
        let is_listed_elsewhere = ["engines/", "reference/", "decisions/"].iter().any(|top| name.starts_with(top));
        assert!(
            is_listed_elsewhere || name == "README.md" || linked.contains(&name),
            "docs/README.md does not list {name}"
        );
    }
    assert!(linked.len() > 30, "{}", linked.len());
}

/// The source of the program in one line, without the marks that continue a text on the next line.
fn source() -> String {
    let texts = rust_files("src").into_iter().map(|(_, text)| {
        let mut parts = text.split("\\\n");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |whole, part| whole + part.trim_start())
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The parts of a quoted message between places for any text.
fn parts(message: &str) -> impl Iterator<Item = &str> {
    message.split('…').map(str::trim).filter(|part| part.chars().filter(|c| c.is_alphabetic()).count() > 3)
}

#[test]
fn every_message_that_troubleshooting_quotes_is_one_of_the_program() {
    let page = read("docs/troubleshooting.md");
    let (_, messages) = page.split_once("\n## Messages\n").unwrap();
    let source = source();
    let mut found = 0;
    for row in messages.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.split(" | ").next().unwrap();
        for part in quoted(cell).flat_map(parts) {
            assert!(source.contains(part), "no message of the program has `{part}`: {row}");
            found += 1;
        }
    }
    assert!(found > 60, "{found}");
    assert!(!source.contains("a message that no program prints"), "a wrong message is noticed");
}

#[test]
fn the_kinds_of_failures_have_the_codes_and_consequences_of_the_page() {
    let page = read("docs/troubleshooting.md");
    let kinds = [
        Kind::Bug,
        Kind::Usage,
        Kind::Settings,
        Kind::Schema,
        Kind::Credentials,
        Kind::Refused,
        Kind::Offline,
        Kind::Unreachable,
        Kind::Answer,
        Kind::Doubtful,
        Kind::StoreRefused,
        Kind::StoreUnreachable,
        Kind::Held,
        Kind::Lost,
        Kind::Damage,
        Kind::Interrupted,
    ];
    for kind in kinds {
        let ends = match kind.recovery() {
            Recovery::StopRun => "the run",
            Recovery::StopResource => "the resource",
        };
        let row = format!("\n| `{}` | {} | {ends} | ", kind.name(), kind.exit_code());
        assert!(page.contains(&row), "{row}");
    }
    let listed = page
        .lines()
        .filter(|line| line.ends_with(" |") && (line.contains(" | the run | ") || line.contains(" | the resource | ")));
    assert_eq!(listed.count(), kinds.len(), "the page lists other kinds");
}

#[test]
fn every_resource_is_in_the_table_of_resources() {
    let page = read("docs/tables.md");
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let tables: Vec<_> = catalog.resources().iter().flat_map(|resource| &resource.tables).collect();
    let columns: usize = tables.iter().map(|table| table.columns.len()).sum();
    let counts = format!("has all {} tables and {columns} columns", tables.len());
    assert!(page.contains(&counts), "the page states other counts: {counts}");
    for resource in catalog.resources() {
        assert!(page.contains(&format!("`{}`", resource.name)), "{} is missing", resource.name);
        for table in &resource.tables {
            assert!(page.contains(&format!("`{}`", table.name)), "{} is missing", table.name);
        }
    }
}
