//! The packages of the workspace: each can be made, and contains all files of its build.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The files below a folder of a member, by their paths in its package.
fn below(member: &Path, folder: &str) -> BTreeSet<String> {
    let relative = |path: &Path| path.strip_prefix(member).unwrap().to_str().unwrap().to_owned();
    files(&member.join(folder)).iter().map(|path| relative(path)).collect()
}

#[test]
fn both_packages_can_be_made_and_contain_what_they_are_built_from() {
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let members = ["--workspace", "--exclude", "pearlift-fuzz"];
    let how = ["--offline", "--allow-dirty", "--no-verify", "--target-dir", to];
    cargo(&[&["package"], &members[..], &how].concat());
    for (package, member, folders) in [
        ("pearlift", root().to_owned(), &["src", "schemas", "templates"][..]),
        ("pearlift-sandbox", root().join("crates/sandbox"), &["src"]),
    ] {
        assert!(target.path().join(format!("package/{package}-{}.crate", env!("CARGO_PKG_VERSION"))).is_file());
        let listed = cargo(&["package", "--list", "--offline", "--allow-dirty", "--package", package]);
        let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
        for folder in folders {
            let needed = below(&member, folder);
            let least = if *folder == "templates" { 1 } else { 16 };
            let is_whole = needed.len() >= least && needed.is_subset(&listed);
            assert!(is_whole, "{package}: {:?}", needed.difference(&listed));
        }
        assert!(!listed.iter().any(|path| path.starts_with("tests/") || path.starts_with("crates/")), "{listed:?}");
    }
}

#[test]
fn every_member_of_the_workspace_is_covered_by_the_checks() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for line in [
        "fmt --all --check",
        "clippy --workspace --all-targets",
        "test $(SUITE) --workspace --lib --bins",
        "doc --workspace",
    ] {
        assert!(makefile.contains(line), "{line}");
    }
    for member in ["crates/sandbox", "fuzz"] {
        assert!(!root().join(member).join("Cargo.lock").exists(), "{member} has a lock file of its own");
    }
}
