//! The house keeps its order: a module uses only modules above it, and each dependency has one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::{root, rust_files};

/// Every Rust file below `src/`, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let found = sources_of("src");
    assert!(found.len() > 60, "the walk finds the sources");
    found
}

/// Every Rust file below a folder, with its text.
fn sources_of(folder: &str) -> Vec<(PathBuf, String)> {
    rust_files(folder).into_iter().map(|(path, text)| (root().join(path), text)).collect()
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
fn files_are_published_where_their_logs_follow() {
    // A log of the layout `delta` follows only what `delta` publishes; recovery publishes below it.
    for (path, text) in sources() {
        let below = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        let is_owner = below.starts_with("manifest/") || below == "delta/mod.rs";
        assert!(is_owner || !code(&text).contains("publish_files"), "{below} publishes files itself");
    }
}

#[test]
fn each_dependency_has_its_owners() {
    let owners: [(&str, &[&str]); 14] = [
        ("reqwest", &["fetch/", "store/network.rs"]),
        ("parquet::", &["write/"]),
        ("clap", &["cli/"]),
        ("indicatif", &["report/progress.rs"]),
        ("object_store", &["store/", "manifest/", "write/"]),
        ("hyper", &["login/"]),
        ("hyper_util", &["login/"]),
        ("oauth2", &["fetch/"]),
        ("quick_xml", &["store/"]),
        ("rustix", &["disk/", "cli/accounts/children.rs", "report/screen.rs"]),
        ("rustls", &["tls.rs"]),
        ("ring::", &["secret/", "tls.rs"]),
        ("askama", &["page/template.rs"]),
        ("plotters", &["page/plots.rs"]),
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
    let exempt = ["cli/demo.rs"];
    // A section of the settings has the name of a resource.
    let sections = [("config/settings.rs", "webhook")];
    for (path, text) in sources() {
        let below = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        if exempt.iter().any(|path| below.starts_with(path)) {
            continue;
        }
        let code = code(&text);
        for name in names.iter().filter(|name| !sections.contains(&(below.as_str(), name.as_str()))) {
            assert!(!code.contains(&format!("\"{name}\"")), "{below} names `{name}`");
        }
    }
}

#[test]
fn no_code_of_the_sandbox_names_a_resource_but_what_one_record_does_to_another() {
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let names: Vec<String> = catalog.resources().iter().map(|resource| format!("\"{}\"", resource.name)).collect();
    // Code that ties records to each other, and tests of files.
    let exempt = ["rules/", "fixture/tests.rs"];
    let (mut checked, mut naming) = (0, 0);
    for (path, text) in sources_of("crates/sandbox/src") {
        let below = path.strip_prefix(root().join("crates/sandbox/src")).unwrap().to_str().unwrap().to_owned();
        let code = code(&text);
        let named = names.iter().find(|name| code.contains(*name));
        if exempt.iter().any(|path| below.starts_with(path)) {
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

/// The modules of a source folder, each with its file and the modules that its code uses.
struct Modules {
    files: BTreeMap<Vec<String>, PathBuf>,
    /// Names that a folder's `mod.rs` passes on from one of its files.
    passed_on: BTreeMap<(Vec<String>, String), Vec<String>>,
    uses: Vec<(Vec<String>, Vec<String>)>,
}

impl Modules {
    fn of(root: &Path) -> Self {
        let mut found = Self { files: BTreeMap::new(), passed_on: BTreeMap::new(), uses: Vec::new() };
        let mut texts = Vec::new();
        for (path, text) in sources_of(root.strip_prefix(self::root()).unwrap().to_str().unwrap()) {
            let below = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Vec<String> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            module.pop_if(|last| ["mod", "lib"].contains(&last.as_str()));
            // Tests may use everything, and the program uses the library.
            if below.to_str().is_some_and(|name| name == "main" || name.ends_with("tests")) {
                continue;
            }
            let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            texts.push((module.clone(), code(&text[..tests])));
            found.files.insert(module, path);
        }
        for (module, text) in &texts {
            for (path, is_public) in found.paths(module, text) {
                if is_public && found.is_folder(module) {
                    let name = path.last().unwrap().clone();
                    found.passed_on.insert((module.clone(), name), path);
                } else {
                    found.uses.push((module.clone(), path));
                }
            }
        }
        found
    }

    fn is_folder(&self, module: &[String]) -> bool {
        self.files[module].file_stem().is_some_and(|stem| stem == "mod" || stem == "lib")
    }

    /// The paths that a text names, in full; whether each is passed on under a name of the module itself.
    fn paths(&self, module: &[String], text: &str) -> Vec<(Vec<String>, bool)> {
        let (mut paths, mut rest) = (Vec::new(), String::new());
        for statement in text.split_inclusive(';') {
            let start =
                statement.rfind("\nuse ").or(statement.rfind("\npub use ")).or(statement.rfind("\npub(crate) use "));
            let head = |statement: &str| statement.trim_start().trim_start_matches("pub(crate) ").starts_with("use ");
            let is_use = start.is_some() || head(statement) || statement.trim_start().starts_with("pub use ");
            match (is_use, start.unwrap_or(0)) {
                (true, start) => {
                    rest.push_str(&statement[..start]);
                    let (before, tree) = statement[start..].split_once("use ").unwrap();
                    let leaves = leaves(tree.trim_end_matches(';'));
                    paths.extend(leaves.into_iter().map(|leaf| (leaf, before.trim().starts_with("pub"))));
                }
                (false, _) => rest.push_str(statement),
            }
        }
        let names = |start: usize| {
            let path: String = rest[start..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            (path.split("::").map(str::to_owned).collect::<Vec<_>>(), false)
        };
        let is_start = |place: &usize| !rest[..*place].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
        let mut starts: Vec<String> = ["crate::", "super::", "self::"].map(str::to_owned).to_vec();
        if self.is_folder(module) {
            let children =
                self.files.keys().filter(|child| child.len() == module.len() + 1 && child.starts_with(module));
            starts.extend(children.map(|child| format!("{}::", child.last().unwrap())));
        }
        for start in starts {
            paths.extend(rest.match_indices(&start).map(|(place, _)| place).filter(is_start).map(names));
        }
        paths.into_iter().filter_map(|(path, is_public)| Some((self.in_full(module, path)?, is_public))).collect()
    }

    fn in_full(&self, module: &[String], path: Vec<String>) -> Option<Vec<String>> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let (from, path) = match path[0].as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (module, &path[1..]),
            "super" => (&module[..module.len().checked_sub(ups)?], &path[ups..]),
            child => {
                let child = [module, &[child.to_owned()]].concat();
                (self.is_folder(module) && self.files.contains_key(&child)).then_some((module, &path[..]))?
            }
        };
        Some([from, path].concat())
    }

    /// The module that defines the last name of a path, behind all that pass it on.
    fn defining(&self, path: &[String]) -> Option<Vec<String>> {
        let module =
            (0..=path.len()).rev().map(|length| &path[..length]).find(|path| self.files.contains_key(*path))?;
        let Some(name) = path.get(module.len()) else { return Some(module.to_vec()) };
        match self.passed_on.get(&(module.to_vec(), name.clone())) {
            Some(further) if further != path => self.defining(&[further, &path[module.len() + 1..]].concat()),
            Some(_) | None => Some(module.to_vec()),
        }
    }

    /// The edges between the files and folders of one folder, with its own `mod.rs` as `mod`.
    fn edges(&self, folder: &[String]) -> BTreeMap<String, BTreeSet<String>> {
        let node = |module: &[String]| {
            module.starts_with(folder).then(|| module.get(folder.len()).cloned().unwrap_or_else(|| "mod".to_owned()))
        };
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in &self.uses {
            let to = self.defining(to);
            if let (Some(from), Some(to)) = (node(from), to.and_then(|to| node(&to)))
                && from != to
            {
                edges.entry(from).or_default().insert(to);
            }
        }
        edges
    }
}

/// The paths of a `use`, without the names that it gives them.
fn leaves(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let (before, inside) = match tree.split_once('{') {
        Some((before, inside)) => (before, inside.trim_end().strip_suffix('}').unwrap_or(inside)),
        None => {
            let path = tree.split(" as ").next().unwrap_or_default().trim();
            return vec![path.split("::").map(str::to_owned).collect()];
        }
    };
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (place, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[begin..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| leaves(&format!("{before}{}", part.trim()))).collect()
}

/// A circle among edges, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut left: BTreeMap<&String, BTreeSet<&String>> =
        edges.iter().map(|(from, to)| (from, to.iter().filter(|to| edges.contains_key(*to)).collect())).collect();
    loop {
        let ends: Vec<&String> = left.iter().filter(|(_, to)| to.is_empty()).map(|(from, _)| *from).collect();
        if ends.is_empty() {
            return (!left.is_empty()).then(|| left.keys().map(|name| (*name).clone()).collect());
        }
        left.retain(|from, _| !ends.contains(from));
        left.values_mut().for_each(|to| to.retain(|to| !ends.contains(to)));
    }
}

/// Every folder of a source folder that has a circle, with the files on it or behind it.
fn circles(folder: &str) -> Vec<String> {
    let modules = Modules::of(&root().join(folder));
    let folders: Vec<&Vec<String>> = modules.files.keys().filter(|module| modules.is_folder(module)).collect();
    assert!(folders.len() > 3 && modules.uses.len() > 50, "the walk finds the folders");
    let found = folders.into_iter().filter_map(|below| {
        let mut edges = modules.edges(below);
        // The root passes everything on and uses nothing.
        if below.is_empty() {
            edges.remove("mod");
        }
        Some(format!("{folder}/{}: {}", below.join("/"), circle(&edges)?.join(", ")))
    });
    found.collect()
}

#[test]
fn files_of_a_folder_do_not_use_each_other_in_circles() {
    let found: Vec<String> = ["src", "crates/sandbox/src"].into_iter().flat_map(circles).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_is_told_from_a_chain() {
    assert_eq!(leaves("crate::store::{Store, paths::{self, run as name}}").len(), 3);
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "e")])).unwrap(), ["a", "b", "c"]);
}
