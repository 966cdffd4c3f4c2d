//! Names and sizes: every public type has a name of its own, and files, functions and structs stay small.

use std::collections::BTreeMap;

use crate::support::rust_files;

/// The longest file, in lines.
const FILE: usize = 500;
/// The length that half of the files have at most, in lines.
const MEDIAN: usize = 200;
/// The longest function, in lines.
const FUNCTION: usize = 80;
/// The most fields of a struct that states no reason for more.
const FIELDS: usize = 12;
/// The beginning of such a reason, in the comment of the struct.
const REASON: &str = "More than twelve fields:";

/// Every Rust file of the program and the sandbox, by its path, with its text.
fn sources() -> Vec<(String, String)> {
    let found: Vec<_> = ["src", "crates/sandbox/src"].into_iter().flat_map(rust_files).collect();
    assert!(found.len() > 200, "{}", found.len());
    found
}

/// A line behind `pub` or `pub(super)`, if it has one.
fn public(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
    rest.strip_prefix(' ')
}

/// The name of the public type that a line declares.
fn declared(line: &str) -> Option<String> {
    let line = public(line)?;
    let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| line.strip_prefix(kind))?;
    Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// Functions of more lines than this, and structs of more fields without a reason; `at` is the first line.
fn large(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let indent = |line: &str| line.len() - line.trim_start().len();
    for (at, line) in lines.iter().enumerate() {
        let bare = public(line).unwrap_or(line.trim_start());
        let bare = ["const ", "async "].iter().fold(bare, |bare, word| bare.strip_prefix(word).unwrap_or(bare));
        let end = || {
            let closing = format!("{}}}", " ".repeat(indent(line)));
            lines[at..].iter().position(|other| *other == closing)
        };
        if bare.starts_with("fn ") && !line.ends_with('}') {
            let length = end().map_or(0, |end| end + 1);
            if length > FUNCTION {
                found.push(format!("{} lines in `{bare}`", length));
            }
        }
        if bare.starts_with("struct ") && line.ends_with('{') {
            let within = indent(line) + 4;
            let fields = lines[at..]
                .iter()
                .take(end().unwrap_or_default())
                .filter(|other| {
                    indent(other) == within && other.contains(": ") && !other.trim_start().starts_with(['/', '#'])
                })
                .count();
            let above = lines[..at].iter().rev().take_while(|other| other.trim_start().starts_with(['/', '#']));
            if fields > FIELDS && !above.into_iter().any(|other| other.contains(REASON)) {
                found.push(format!("{fields} fields in `{bare}`"));
            }
        }
    }
    found
}

#[test]
fn every_public_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        for name in text.lines().filter_map(declared) {
            places.entry(name).or_default().push(path.clone());
        }
    }
    assert!(places.len() > 300, "{}", places.len());
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn half_of_the_files_of_the_program_and_the_sandbox_are_short() {
    let mut lengths: Vec<usize> = sources().iter().map(|(_, text)| text.lines().count()).collect();
    lengths.sort_unstable();
    assert!(lengths[lengths.len() / 2] <= MEDIAN, "{}", lengths[lengths.len() / 2]);
}

#[test]
fn files_functions_and_structs_are_small_or_state_why_not() {
    let mut wrong = Vec::new();
    let tests: Vec<_> = ["tests/it", "fuzz/src", "examples"].into_iter().flat_map(rust_files).collect();
    assert!(tests.len() > 100, "{}", tests.len());
    for (path, text) in sources().into_iter().chain(tests) {
        let length = text.lines().count();
        if length > FILE {
            wrong.push(format!("{path}: {length} lines"));
        }
        wrong.extend(large(&text).iter().map(|why| format!("{path}: {why}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_long_function_and_a_wide_struct_are_found() {
    let long = format!("impl A {{\n    pub fn a(&self) {{\n{}    }}\n}}\n", "        a();\n".repeat(79));
    assert_eq!(large(&long).len(), 1);
    let wide = format!("/// Wide.\npub struct Wide {{\n{}}}\n", "    a: u8,\n".repeat(13));
    assert_eq!(large(&wide).len(), 1);
    assert!(large(&wide.replace("Wide.", REASON)).is_empty());
    assert_eq!(declared("pub(super) struct Wide<'a> {").as_deref(), Some("Wide"));
}
