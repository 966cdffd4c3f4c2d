//! Results of lookups in live files, as the state keeps them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Answers by the hash of their question: a file's checksum, ids that lie in its range, and the content that is
/// compared of each. A file never changes, so a question that was answered need not be asked again.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Looked {
    /// Questions answered with yes for every id.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub all: BTreeSet<String>,
    /// Questions answered with yes for no id.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub none: BTreeSet<String>,
    /// Of the other questions the places of the ids with yes, as inclusive ranges; ids ascend.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub some: BTreeMap<String, Vec<(usize, usize)>>,
    /// The hash of the newest rows of a search and of the files that hold them as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// Live rows of the files of a partition, by the hash of these files and of the counted content.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

impl Looked {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The places among `count` ids that the answer to a question names; none where it was not asked.
    pub fn places(&self, question: &str, count: usize) -> Option<BTreeSet<usize>> {
        if self.all.contains(question) {
            return Some((0..count).collect());
        }
        if self.none.contains(question) {
            return Some(BTreeSet::new());
        }
        let end = count.checked_sub(1)?;
        let ranges = self.some.get(question)?;
        Some(ranges.iter().flat_map(|(first, last)| *first..=(*last).min(end)).collect())
    }

    /// Notes an answer.
    pub fn note(&mut self, question: String, count: usize, places: &BTreeSet<usize>) {
        if places.len() == count {
            self.all.insert(question);
        } else if places.is_empty() {
            self.none.insert(question);
        } else {
            let mut ranges: Vec<(usize, usize)> = Vec::new();
            for place in places {
                match ranges.last_mut() {
                    Some((_, last)) if *last + 1 == *place => *last = *place,
                    _ => ranges.push((*place, *place)),
                }
            }
            self.some.insert(question, ranges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_again_by_its_question_alone() {
        let mut looked = Looked::default();
        for places in [vec![], vec![0, 1, 2, 3], vec![1, 2], vec![0, 3]] {
            let places: BTreeSet<usize> = places.into_iter().collect();
            looked.note(format!("{places:?}"), 4, &places);
            assert_eq!(looked.places(&format!("{places:?}"), 4), Some(places));
        }
        assert_eq!(looked.places("another", 4), None);
        // An answer for more ids than exist is not believed.
        looked.some.insert("wide".to_owned(), vec![(2, usize::MAX), (9, 9)]);
        assert_eq!(looked.places("wide", 4), Some(BTreeSet::from([2, 3])));
    }
}
