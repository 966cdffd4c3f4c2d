//! The packages: those of the workspace can be made and contain all files of their build; those of a binary install and run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::files;
#[cfg(target_os = "linux")]
use crate::support::tool;

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

/// The program without any variable.
fn pearlift(arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_pearlift")).args(arguments).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

/// The binary of the tests without its symbols, which are most of it; as it is, where no tool removes them.
#[cfg(target_os = "linux")]
fn stripped(folder: &Path) -> std::path::PathBuf {
    let (whole, small) = (std::path::PathBuf::from(env!("CARGO_BIN_EXE_pearlift")), folder.join("pearlift"));
    let done = Command::new("objcopy").arg("--strip-all").args([&whole, &small]).status();
    if done.is_ok_and(|status| status.success()) { small } else { whole }
}

#[test]
#[cfg(target_os = "linux")]
fn the_packages_of_a_binary_are_installed_and_export_a_demo() {
    let (packages, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let binary = stripped(folder.path());
    let script = |name: &str, arguments: &[&str]| {
        let done =
            Command::new(tool("python")).arg(root().join("packaging").join(name)).args(arguments).output().unwrap();
        (
            done.status.success(),
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)),
        )
    };
    // GIVEN the archive, the wheel and the checksums of this binary
    let out = packages.path().to_str().unwrap();
    let (is_packed, said) = script("bundle.py", &["--binary", binary.to_str().unwrap(), "--out", out]);
    assert!(is_packed, "{said}");
    // WHEN each is installed as users install it THEN it runs
    let (is_good, said) = script("check.py", &[out]);
    assert!(is_good && said.contains("installed and run"), "{said}");
    // AND a binary that needs more than is promised is refused, and so is a package that was changed
    let (is_good, said) = script("check.py", &[out, "--glibc", "5"]);
    assert!(!is_good && said.contains("the binary needs glibc 2."), "{said}");
    let wheel =
        files(packages.path()).into_iter().find(|path| path.extension().is_some_and(|end| end == "whl")).unwrap();
    std::fs::write(&wheel, b"no wheel").unwrap();
    let (is_good, said) = script("check.py", &[out]);
    assert!(!is_good && said.contains("the checksum of pearlift-"), "{said}");
}

#[test]
fn the_version_is_the_first_line_and_the_resources_are_counted() {
    for flag in ["--version", "-V"] {
        let (code, said, errors) = pearlift(&[flag]);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((code, errors.as_str(), lines.len()), (0, "", 4), "{said}");
        assert_eq!(lines[0], format!("pearlift {}", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].strip_prefix("commit ").is_some_and(|commit| !commit.is_empty()), "{said}");
        assert!(lines[2].starts_with(&format!("target {}-{}", std::env::consts::ARCH, std::env::consts::OS)), "{said}");
        let resources = pearlift::schema::Catalog::load(None).unwrap().resources().len();
        assert_eq!(lines[3], format!("resources {resources} built in"));
    }
}

#[test]
fn completions_offer_a_resource_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("schemas/brand.toml"), folder.path().join("zebra.toml")).unwrap();
    let text = std::fs::read_to_string(folder.path().join("zebra.toml")).unwrap();
    std::fs::write(folder.path().join("zebra.toml"), text.replace("[tables.brand]", "[tables.zebra]")).unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, said, errors) = pearlift(&["--schemas", folder.path().to_str().unwrap(), "completions", shell]);
        assert_eq!((code, errors.as_str()), (0, ""));
        let offers = said.contains("zebra") && said.contains("goods_movement");
        // The generators of the others complete no arguments without a name.
        assert_eq!(offers, matches!(shell, "bash" | "zsh"), "{shell}: {said}");
    }
}

#[test]
fn manual_pages_are_written_again_but_not_over_a_file_of_another_origin() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("man1");
    let write = || pearlift(&["man", to.to_str().unwrap()]);
    for _ in 0..2 {
        let (code, said, errors) = write();
        assert_eq!((code, errors.as_str(), said.lines().count()), (0, "", files(&to).len()));
    }
    std::fs::write(to.join("pearlift-run.1"), "of another origin").unwrap();
    let (code, _, errors) = write();
    assert!(
        code == 2 && errors.contains("pearlift-run.1") && errors.contains("was not made by this command"),
        "{errors}"
    );
}

#[test]
fn make_runs_what_cargo_built_wherever_that_is() {
    for (variable, place) in
        [(None, "./target/demo/pearlift demo"), (Some("/elsewhere"), "/elsewhere/demo/pearlift demo")]
    {
        let mut make = Command::new("make");
        make.args(["--dry-run", "--no-print-directory", "demo"])
            .current_dir(root())
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("MAKEFLAGS");
        if let Some(folder) = variable {
            make.env("CARGO_TARGET_DIR", folder);
        }
        let said = String::from_utf8(make.output().unwrap().stdout).unwrap();
        assert_eq!(said.lines().last(), Some(place), "{said}");
    }
}
