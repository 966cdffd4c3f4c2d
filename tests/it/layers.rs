//! The house keeps its order: a module uses only modules above it, and each dependency has one owner.

use std::path::{Path, PathBuf};

/// Every Rust file below `src/`, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let found = sources_of("src");
    assert!(found.len() > 60, "the walk finds the sources");
    found
}

/// Every Rust file below a folder, with its text.
fn sources_of(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The modules in the order of `lib.rs`.
fn order() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    text.lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned())).collect()
}

/// The module that a file belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    below.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The code of a file without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules that a text names behind `crate::`.
fn named(text: &str) -> Vec<String> {
    let parts = text.split("crate::").skip(1);
    parts.map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()).collect()
}

#[test]
fn a_module_uses_only_modules_listed_above_it() {
    let order = order();
    assert!(order.len() > 10, "{order:?}");
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = module(&path);
        let Some(place) = order.iter().position(|module| *module == own) else { continue };
        for used in named(&code(&text)) {
            match order.iter().position(|module| *module == used) {
                Some(other) if other <= place => {}
                _ => wrong.push(format!("{} uses `{used}`", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_sandbox_knows_nothing_of_what_it_measures() {
    let manifest = std::fs::read_to_string(root().join("crates/sandbox/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    assert!(!manifest["dependencies"].as_table().unwrap().contains_key("pearlift"));
    let found = sources_of("crates/sandbox/src");
    assert!(found.len() > 30, "the walk finds the sources");
    for (path, text) in found {
        let code = code(&text);
        assert!(!code.contains("pearlift::") && !code.contains("schemas/"), "{}", path.display());
    }
}

#[test]
fn each_dependency_has_its_owners() {
    let owners: [(&str, &[&str]); 10] = [
        ("reqwest", &["fetch/", "store/network.rs"]),
        ("parquet::", &["write/"]),
        ("clap", &["cli/"]),
        ("indicatif", &["report/progress.rs"]),
        ("object_store", &["store/", "manifest/", "write/"]),
        ("hyper", &[]),
        ("quick_xml", &["store/"]),
        ("rustix", &["disk/"]),
        ("rustls", &["tls.rs"]),
        ("ring::", &["secret/", "tls.rs"]),
    ];
    for (path, text) in sources() {
        let below = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        let code = code(&text);
        for (dependency, allowed) in owners {
            let name = dependency.trim_end_matches(':');
            let uses = code.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with(&format!("use {name}::"))
                    || line.contains(&format!(" {name}::"))
                    || line.contains(&format!("({name}::"))
            });
            assert!(!uses || allowed.iter().any(|owner| below.starts_with(owner)), "{below} uses {dependency}");
        }
    }
}

#[test]
fn no_code_outside_the_sandbox_names_a_resource_a_table_or_a_column() {
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let mut names: Vec<String> = Vec::new();
    for resource in catalog.resources() {
        names.push(resource.name.clone());
        for table in &resource.tables {
            names.push(table.name.clone());
            // Short words are words of any program.
            names.extend(
                table
                    .columns
                    .iter()
                    .map(|column| column.name.clone())
                    .filter(|name| name.contains('_') && name.len() > 10),
            );
        }
    }
    // The demo prints a query to try.
    let spared = ["cli/demo.rs"];
    for (path, text) in sources() {
        let below = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        if spared.iter().any(|spared| below.starts_with(spared)) {
            continue;
        }
        let code = code(&text);
        for name in &names {
            assert!(!code.contains(&format!("\"{name}\"")), "{below} names `{name}`");
        }
    }
}

#[test]
fn no_code_of_the_sandbox_names_a_resource_but_what_one_record_does_to_another() {
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let names: Vec<String> = catalog.resources().iter().map(|resource| format!("\"{}\"", resource.name)).collect();
    // Code that ties records to each other, and tests of files.
    let spared = ["rules/", "fixture/tests.rs"];
    let (mut checked, mut naming) = (0, 0);
    for (path, text) in sources_of("crates/sandbox/src") {
        let below = path.strip_prefix(root().join("crates/sandbox/src")).unwrap().to_str().unwrap().to_owned();
        let code = code(&text);
        let named = names.iter().find(|name| code.contains(*name));
        if spared.iter().any(|spared| below.starts_with(spared)) {
            naming += usize::from(named.is_some());
        } else {
            checked += 1;
            assert_eq!(named, None, "{below}");
        }
    }
    assert!(checked > 30 && naming > 0, "{checked} files, {naming} that name one");
}

#[test]
fn files_are_no_longer_than_five_hundred_lines() {
    for (path, text) in sources().into_iter().chain(sources_of("crates")).chain(sources_of("fuzz/src")) {
        assert!(text.lines().count() <= 500, "{} is too long", path.display());
        assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
    }
}
