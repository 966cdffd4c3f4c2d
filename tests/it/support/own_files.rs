//! The files of the repository, for tests of its words, names and order.

use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the repository with one of these endings, sorted.
pub fn own_files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = super::files(&root().join(folder));
    found.retain(|path| endings.iter().any(|ending| path.to_str().unwrap().ends_with(ending)));
    found
}

/// Every Rust file below a folder of the repository, by its path from the root, with its text.
pub fn rust_files(folder: &str) -> Vec<(String, String)> {
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let files = own_files(folder, &[".rs"]);
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}
