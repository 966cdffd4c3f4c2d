//! Evidence from earlier scans for later ones: older copies, change dates that documents lack, rejected records already
//! written, and the fields that had values.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::manifest::key::Key;

/// Evidence about the copies and fields of one resource.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Evidence {
    /// Copies that came with lower values than the stored ones and are not accepted yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<OlderCopy>,
    /// Change dates that a search showed and the document does not have yet, by id; microseconds, in the order of the
    /// schema's dates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub awaited: BTreeMap<i64, Vec<Option<i64>>>,
    /// Documents are not compared with their search rows until then, by the source's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_suspended_until: Option<Timestamp>,
    /// Hashes of rejected records that are written already, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<String>,
    /// Of each column that has had values (`table.column`) the share of rows that had one, in thousandths.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filled: BTreeMap<String, u16>,
    /// The kind of the JSON values that came at each place (`order.totalValue.total`), or `mixed`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, String>,
    /// The fields in which the last scans and the schema differed.
    #[serde(skip_serializing_if = "FieldDrift::is_empty")]
    pub drift: FieldDrift,
}

/// A copy of a record that is older than the stored one.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct OlderCopy {
    pub id: Key,
    /// Its values of the schema's `newer` columns.
    pub values: Vec<Option<i64>>,
    /// The source's clock when these values came first.
    pub since: Timestamp,
    /// The run in which they came first.
    pub run: String,
}

/// Fields in which a schema and the answers differ, each with a count.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct FieldDrift {
    /// Fields that the schema does not name: values kept in `_extra`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, u64>,
    /// Of unknown fields by their paths: the line of a column that takes the values, for a schema file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Places with values of another kind than before.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, KindChange>,
    /// Columns that the schema maps and a search's metaData does not list: rows that came without.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, u64>,
    /// Columns (`table.column`) that were filled before and were null in every row: rows that came.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub emptied: BTreeMap<String, u64>,
}

/// Values of another kind than those that came before at the same place.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct KindChange {
    /// The only kind that came before: `boolean`, `number`, `text`, `list` or `map`.
    pub was: String,
    /// The kind that came now.
    pub is: String,
    /// Values of the new kind.
    pub count: u64,
}

impl Evidence {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl FieldDrift {
    /// Whether schema and answers agree.
    pub fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.missing.is_empty() && self.emptied.is_empty() && self.changed.is_empty()
    }
}
