//! Tests of the pages: each settings file on them can be read, and each setting and variable that they name exists.

use std::path::{Path, PathBuf};

use crate::config::file;
use crate::config::setting::RESOURCE;
use crate::config::settings::{SECTIONS, SETTINGS, find};

/// Variables of the pages that represent all.
const PATTERNS: [&str; 2] = ["PEARLIFT_SECTION_KEY", "PEARLIFT_"];

/// These pages and those below these folders, by their paths, with their texts.
pub(crate) fn pages(names: &[&str], folders: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), found);
            } else if entry.path().extension().is_some_and(|ending| ending == "md") {
                found.push(entry.path());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
    folders.iter().for_each(|folder| walk(&root.join(folder), &mut found));
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("it is text"))).collect()
}

/// The settings files of a page: blocks of TOML with a section of settings.
fn blocks(text: &str) -> Vec<&str> {
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let is_section = |line: &str| {
        let name = line.strip_prefix('[').and_then(|line| line.split(']').next()).unwrap_or_default();
        SECTIONS.iter().any(|(section, ..)| *section == name && !name.is_empty()) || name.starts_with("resource.")
    };
    blocks.filter(|block| block.lines().any(is_section)).collect()
}

#[test]
fn every_settings_file_of_the_pages_is_read() {
    let mut read = 0;
    for (path, text) in pages(&["README.md"], &["docs"]) {
        for block in blocks(&text) {
            assert!(file::read(block).is_ok(), "{}: {:?}\n{block}", path.display(), file::read(block).err());
            read += 1;
        }
    }
    assert!(read > 5, "{read}");
    assert!(file::read("[limits]\nmemori = \"1GiB\"\n").is_err(), "a wrong key is noticed");
}

#[test]
fn every_setting_and_variable_that_the_pages_name_exists() {
    let (mut named, mut wrong) = (0, Vec::new());
    let sections =
        || SECTIONS.iter().map(|(section, ..)| *section).filter(|section| !section.is_empty() && *section != RESOURCE);
    for (path, text) in pages(&["README.md"], &["docs"]) {
        for span in text.split('`').skip(1).step_by(2) {
            let span = span.split(" = ").next().unwrap_or_default();
            let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let setting =
                sections().filter_map(|section| Some((section, span.strip_prefix(section)?.strip_prefix('.')?)));
            for (section, key) in setting
                .filter(|(section, key)| is_key(key) && !sections().any(|other| other == format!("{section}.{key}")))
            {
                named += 1;
                wrong.extend(find(section, key).is_none().then(|| format!("{}: `{span}`", path.display())));
            }
            let is_variable = span.starts_with("PEARLIFT_")
                && span.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
            if is_variable && !PATTERNS.contains(&span) {
                named += 1;
                let exists = SETTINGS.iter().any(|setting| setting.variable() == span);
                wrong.extend((!exists).then(|| format!("{}: `{span}`", path.display())));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(named > 60, "{named}");
}
