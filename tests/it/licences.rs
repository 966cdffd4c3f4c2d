//! A part of `cargo deny check`, for machines that lack it: licences of the linked crates, against `deny.toml`.
//! Advisories need a database from the network and are not checked here.

use std::process::Command;

/// Whether a licence expression can be met with the licences allowed: `AND` needs both, `OR` one.
fn met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let outcome = any(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "`{expression}` can be read to its end");
    outcome
}

fn any(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut outcome = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        outcome |= all(words, at, allowed);
    }
    outcome
}

fn all(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut outcome = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        outcome &= one(words, at, allowed);
    }
    outcome
}

fn one(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let word = words[*at];
    *at += 1;
    if word == "(" {
        let outcome = any(words, at, allowed);
        assert_eq!(words.get(*at), Some(&")"));
        *at += 1;
        return outcome;
    }
    // A licence with an exception is another licence.
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
        return false;
    }
    allowed(word)
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let allowed = |name: &str| matches!(name, "MIT" | "Zlib");
    for (expression, wanted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND (GPL-3.0 OR Zlib)", true),
        ("(GPL-3.0 OR ISC) AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("MIT WITH odd-exception", false),
    ] {
        assert_eq!(met(expression, &allowed), wanted, "{expression}");
    }
}

/// The platform that the compiler compiles for.
fn platform() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn everything_that_is_linked_bears_a_licence_that_deny_toml_allows() {
    let root = env!("CARGO_MANIFEST_DIR");
    let rules: toml::Table = toml::from_str(&std::fs::read_to_string(format!("{root}/deny.toml")).unwrap()).unwrap();
    let allowed: Vec<&str> =
        rules["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    // GIVEN the packages of this platform, which are here because they were compiled
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &platform()])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = found["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        let fits = !licence.is_empty() && met(licence, &|name| allowed.contains(&name));
        assert!(fits, "{} is under `{licence}`, which deny.toml does not allow", package["name"]);
    }
}
