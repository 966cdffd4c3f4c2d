//! The key of a record.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A record key. Numbers sort as numbers, texts by their bytes.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(untagged)]
pub enum Key {
    Int(i64),
    Text(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => write!(f, "{id}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
