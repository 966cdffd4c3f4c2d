//! The versions that loaded tables have: as the user states them, and as a file keeps them.
//!
//! Takes the text of `--since`, gives a version for each resource. Refuses (`Usage`) texts that state none, and a number alone
//! for several resources.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::disk;
use crate::failure::{Failure, Kind, Result};

/// The most bytes of a file of versions; one of all resources has some two thousand.
const MOST_BYTES: u64 = 1 << 20;
/// The format of a file of versions.
const FORMAT: u64 = 1;

/// The versions that the loaded tables have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadedVersions {
    /// All resources have this one; 0 states that nothing is loaded.
    Same(u64),
    /// The named resources have these; nothing of the others is loaded.
    Each(BTreeMap<String, u64>),
}

impl LoadedVersions {
    /// Reads a number, a list `name=number,…`, or the name of a file of versions.
    pub fn parse(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Same(number));
        }
        if text.contains('=') && !Path::new(text).exists() {
            let pairs = text.split(',').map(|pair| {
                let (name, number) = pair.split_once('=').ok_or_else(|| refused(text))?;
                Ok((name.trim().to_owned(), number.trim().parse().map_err(|_| refused(text))?))
            });
            return Ok(Self::Each(pairs.collect::<Result<_>>()?));
        }
        let unread = || {
            Failure::new(Kind::Usage, "read the versions that are loaded")
                .at(text)
                .advise("`--since` takes 0 (load everything), a version with the name of one resource, `order=12,product=4`, or a file that `--state` wrote")
        };
        let bytes = disk::read_text(Path::new(text), MOST_BYTES).map_err(|error| unread().caused(error))?;
        let value: Value = serde_json::from_str(&bytes).map_err(|error| unread().caused(error))?;
        if value["format"] != FORMAT {
            return Err(unread().because("it is no file of versions, or of a newer format"));
        }
        let versions = value["versions"].as_object().ok_or_else(|| unread().because("it has no `versions`"))?;
        let pairs = versions.iter().map(|(name, version)| {
            let version = version.as_u64().ok_or_else(|| unread().because("a version is no number"))?;
            Ok((name.clone(), version))
        });
        Ok(Self::Each(pairs.collect::<Result<_>>()?))
    }

    /// The version of a resource; 0 where nothing of it is loaded.
    pub fn of(&self, resource: &str) -> u64 {
        match self {
            Self::Same(version) => *version,
            Self::Each(versions) => versions.get(resource).copied().unwrap_or(0),
        }
    }

    /// The resources that have a version of their own.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Same(_) => Vec::new(),
            Self::Each(versions) => versions.keys().cloned().collect(),
        }
    }
}

/// The text of a file of versions.
pub fn state_text(versions: &BTreeMap<String, u64>) -> String {
    let value = json!({"format": FORMAT, "versions": versions});
    format!("{}\n", serde_json::to_string_pretty(&value).expect("values are plain JSON"))
}

fn refused(text: &str) -> Failure {
    Failure::new(Kind::Usage, "read --since").at(text).because("a list has the form `order=12,product=4`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_a_number_a_list_and_a_file() {
        assert_eq!(LoadedVersions::parse("0").expect("a number"), LoadedVersions::Same(0));
        let list = LoadedVersions::parse("a=12,b=4").expect("a list");
        assert_eq!([list.of("a"), list.of("b"), list.of("c")], [12, 4, 0]);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let versions = BTreeMap::from([("a".to_owned(), 7)]);
        std::fs::write(file.path(), state_text(&versions)).expect("it is written");
        let read = LoadedVersions::parse(file.path().to_str().expect("text")).expect("a file");
        assert_eq!(read, LoadedVersions::Each(versions));
        for wrong in ["a=", "a=b", "a=1,b", "-1", "no such file"] {
            assert_eq!(LoadedVersions::parse(wrong).expect_err(wrong).kind(), Kind::Usage, "{wrong}");
        }
    }
}
