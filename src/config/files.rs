//! The settings files that `--config` names: paths, and patterns with `*` in the name of a file.
//!
//! Takes the values of the option, gives paths: in the order of the values, those of a pattern sorted by name. Hidden
//! files match no pattern, so that the links of a mounted volume (`..data`) are no settings. Refuses (`Settings`) a
//! pattern that no file matches, and `*` in the name of a folder.

use std::path::{Path, PathBuf};

use crate::config::resource::glob;
use crate::failure::{Failure, Kind, Result};

/// The files of all values, each once.
pub fn settings_files(values: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for value in values {
        for file in matching(value)? {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The files that one value names: itself, unless it is a pattern.
fn matching(value: &Path) -> Result<Vec<PathBuf>> {
    let Some(text) = value.to_str().filter(|text| text.contains('*') && !value.exists()) else {
        return Ok(vec![value.to_owned()]);
    };
    let refuse = || Failure::new(Kind::Settings, "find the settings files").at(text);
    let (folder, pattern) = match text.rsplit_once('/') {
        Some(("", pattern)) => ("/", pattern),
        Some((folder, pattern)) => (folder, pattern),
        None => ("", text),
    };
    if folder.contains('*') {
        return Err(refuse()
            .because("`*` stands for characters in the name of a file only, and not in that of a folder")
            .advise("give `--config` several times, once for each folder"));
    }
    let place = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
    let entries = std::fs::read_dir(place).map_err(|error| refuse().caused(error))?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| refuse().caused(error))?.file_name();
        let path = Path::new(folder).join(&name);
        let matches = name.to_str().is_some_and(|name| !name.starts_with('.') && glob(pattern, name));
        if matches && path.is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(refuse().because("no file has a name of this pattern"));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_the_files_of_one_folder_sorted_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["bolt.toml", "acme.toml", ".acme.toml", "notes.md", "[x]*.toml"] {
            std::fs::write(at(name), "").unwrap();
        }
        std::fs::create_dir(at("folder.toml")).unwrap();
        let named = |values: &[&str]| {
            let values: Vec<PathBuf> = values.iter().map(|value| at(value)).collect();
            settings_files(&values).map(|files| {
                files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(named(&["*.toml"]).unwrap(), ["[x]*.toml", "acme.toml", "bolt.toml"]);
        assert_eq!(named(&["b*", "*.toml"]).unwrap(), ["bolt.toml", "[x]*.toml", "acme.toml"]);
        // A file that has the name, and a path that does not exist, are themselves.
        assert_eq!(named(&["[x]*.toml"]).unwrap(), ["[x]*.toml"]);
        assert_eq!(named(&["none.toml"]).unwrap(), ["none.toml"]);
        for (value, why) in [("*.yaml", "no file has"), ("*/a.toml", "not in that of a folder"), ("no/*.toml", "no/")] {
            let refused = named(&[value]).unwrap_err();
            assert_eq!(refused.kind(), Kind::Settings);
            assert!(refused.to_string().contains(why) && refused.to_string().contains(value), "{refused}");
        }
    }
}
