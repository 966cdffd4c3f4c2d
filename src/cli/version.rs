//! The answer to `--version`: the release, its commit, its target, the number of built-in resources.
//!
//! Takes what the compiler knew: `make dist` states the commit as `BUILD_COMMIT`; a build without it says so.

use std::env::consts::{ARCH, OS};

use crate::failure::Result;
use crate::schema::Catalog;

/// The commit that was built, as the variable `BUILD_COMMIT` stated it to the compiler.
const COMMIT: Option<&str> = option_env!("BUILD_COMMIT");

/// The lines of `--version`; the first is the name and the release alone.
pub fn version() -> Result<Vec<String>> {
    let library = match (cfg!(target_env = "gnu"), cfg!(target_env = "musl")) {
        (true, _) => "-gnu",
        (_, true) => "-musl",
        (false, false) => "",
    };
    Ok(vec![
        format!("pearlift {}", env!("CARGO_PKG_VERSION")),
        format!("commit {}", COMMIT.filter(|commit| !commit.is_empty()).unwrap_or("not recorded by this build")),
        format!("target {ARCH}-{OS}{library}"),
        format!("resources {} built in", Catalog::load(None)?.resources().len()),
    ])
}
