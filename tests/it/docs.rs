//! Statements of the pages about names that must exist.

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
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/glossary.md",
        "docs/reading.md",
        "docs/guarantees.md",
        "docs/format.md",
        "docs/running.md",
        "docs/security.md",
        "schemas/README.md",
    ] {
        let text = read(page);
        let is_source = |name: &&str| {
            name.ends_with(".rs") && ["src/", "crates/", "tests/", "fuzz/"].iter().any(|top| name.starts_with(top))
        };
        for name in quoted(&text).filter(is_source) {
            assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "{page} names {name}");
        }
    }
}

#[test]
fn every_resource_stands_in_the_readme() {
    let readme = read("README.md");
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let tables: Vec<_> = catalog.resources().iter().flat_map(|resource| &resource.tables).collect();
    let columns: usize = tables.iter().map(|table| table.columns.len()).sum();
    let counts = format!("has all {} tables and {columns} columns", tables.len());
    assert!(readme.contains(&counts), "the README states other counts: {counts}");
    for resource in catalog.resources() {
        assert!(readme.contains(&format!("`{}`", resource.name)), "{} is missing", resource.name);
        for table in &resource.tables {
            assert!(readme.contains(&format!("`{}`", table.name)), "{} is missing", table.name);
        }
    }
}
