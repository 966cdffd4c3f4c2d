//! Relative paths of the settings file: they begin at the folder of that file, wherever the program is started.
//!
//! Takes the file's table before variables override it, so that a path of a variable or a flag stays relative to the
//! working directory. URLs, paths below a home (`~`) and absolute paths are left alone.

use std::path::{MAIN_SEPARATOR_STR, Path, PathBuf};

use toml::{Table, Value};

use crate::config::setting::Holds;
use crate::config::settings::SETTINGS;
use crate::failure::{Failure, Kind, Result};

/// Anchors every path of the table at a folder; an empty folder is the working directory.
pub fn anchor(table: &mut Table, folder: &Path) -> Result<()> {
    for setting in SETTINGS.iter().filter(|setting| setting.holds == Holds::Path) {
        let key = setting.key;
        let mut sections = setting.section.split('.').filter(|part| !part.is_empty());
        let inner = sections.try_fold(&mut *table, |inner, part| inner.get_mut(part)?.as_table_mut());
        let Some(Value::String(text)) = inner.and_then(|inner| inner.get_mut(key)) else { continue };
        if let Some(path) = anchored(text, folder) {
            *text = path.into_os_string().into_string().map_err(|_| {
                Failure::new(Kind::Settings, format!("read the path of `{key}`"))
                    .because("the name of the settings file's folder is not UTF-8")
                    .advise("write an absolute path")
            })?;
        }
    }
    Ok(())
}

/// A relative path from a folder on; `None` where the text is no relative path, or the folder is the working directory.
pub fn anchored(text: &str, folder: &Path) -> Option<PathBuf> {
    let elsewhere = text.is_empty()
        || text.starts_with('~')
        || text.contains("://")
        || text.starts_with("file:")
        || Path::new(text).is_absolute();
    if elsewhere || folder.as_os_str().is_empty() {
        return None;
    }
    let mut path: PathBuf = folder.join(text).components().collect();
    if text.ends_with(MAIN_SEPARATOR_STR) {
        path.push("");
    }
    Some(path)
}

/// The folder of a settings file, empty for the working directory.
pub fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_paths_move() {
        let folder = Path::new("/etc/pearlift");
        for (text, path) in [
            ("lake", Some("/etc/pearlift/lake")),
            ("./lake", Some("/etc/pearlift/lake")),
            ("../lake", Some("/etc/pearlift/../lake")),
            ("lake/", Some("/etc/pearlift/lake/")),
            ("/srv/lake", None),
            ("s3://lake/shop", None),
            ("file:///srv/lake", None),
            ("file:/srv/lake", None),
            ("~/lake", None),
            ("", None),
        ] {
            let moved = anchored(text, folder).map(|path| path.to_str().unwrap().to_owned());
            assert_eq!(moved.as_deref(), path, "{text}");
        }
        assert_eq!(anchored("lake", super::folder(Path::new("pearlift.toml"))), None);
        assert_eq!(anchored("lake", super::folder(Path::new("below/p.toml"))), Some(PathBuf::from("below/lake")));
    }
}
