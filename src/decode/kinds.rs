//! The kinds of the JSON values at each place of a record, counted: a place whose values change their kind is reported.

use std::collections::BTreeMap;

use sonic_rs::{JsonType, LazyValue};

use crate::decode::shape::Shape;

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JsonKind {
    Boolean,
    Number,
    Text,
    List,
    Map,
}

/// All kinds, in the order of their counts.
const KINDS: [JsonKind; 5] = [JsonKind::Boolean, JsonKind::Number, JsonKind::Text, JsonKind::List, JsonKind::Map];

impl JsonKind {
    /// The kind in a word, for people and for the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Text => "text",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    /// The place of a value's kind among the counts; none of null, and of empty texts, lists and maps: a source may write
    /// an empty map as `[]` and a number that is not set as `""`.
    fn place(kind: JsonType, value: &LazyValue<'_>) -> Option<usize> {
        match kind {
            JsonType::Null => None,
            JsonType::Boolean => Some(0),
            JsonType::Number => Some(1),
            JsonType::String => (!is_empty(value)).then_some(2),
            JsonType::Array => (!is_empty(value)).then_some(3),
            JsonType::Object => (!is_empty(value)).then_some(4),
        }
    }
}

/// Whether nothing is between the quotes of a text or the brackets of a list or map.
fn is_empty(value: &LazyValue<'_>) -> bool {
    let text = value.as_raw_str();
    text.get(1..text.len() - 1).is_none_or(|inner| inner.trim_start().is_empty())
}

/// Counts of kinds, by the node of a shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindCounts(Vec<[u32; KINDS.len()]>);

impl KindCounts {
    /// None yet, of so many nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self(vec![[0; KINDS.len()]; nodes])
    }

    /// Counts a value of a node.
    pub(super) fn count(&mut self, node: usize, kind: JsonType, value: &LazyValue<'_>) {
        if let Some(place) = JsonKind::place(kind, value) {
            let count = &mut self.0[node][place];
            *count = count.saturating_add(1);
        }
    }

    /// Adds the counts of another page of the same shape.
    pub fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), [0; KINDS.len()]);
        for (counts, more) in self.0.iter_mut().zip(&other.0) {
            for (count, more) in counts.iter_mut().zip(more) {
                *count = count.saturating_add(*more);
            }
        }
    }

    /// The kinds that were found, with their counts, by path (`order.totalValue.total`; `.` for an entry itself). Places of
    /// excluded tables are left out.
    pub fn by_path(&self, shape: &Shape) -> BTreeMap<String, BTreeMap<JsonKind, u64>> {
        let mut paths: BTreeMap<String, BTreeMap<JsonKind, u64>> = BTreeMap::new();
        for (node, counts) in self.0.iter().enumerate().filter(|(_, counts)| counts.iter().any(|count| *count > 0)) {
            let Some(path) = shape.place_of(node) else { continue };
            let kinds = paths.entry(path).or_default();
            for (kind, count) in KINDS.iter().zip(counts).filter(|(_, count)| **count > 0) {
                *kinds.entry(*kind).or_default() += u64::from(*count);
            }
        }
        paths
    }
}
