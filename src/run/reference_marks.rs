//! The marks of pending references: a resource notes up to which mark it has read them.

use std::collections::BTreeSet;

use crate::manifest::{State, nonce};

/// The mark of the pending references in the state of a version: before there were marks, the nonce of the version.
pub fn mark(state: &State, version_nonce: &str) -> String {
    state.references_mark.clone().unwrap_or_else(|| version_nonce.to_owned())
}

/// The references of `source` that `follower` has not read: none where it has read up to this mark.
pub fn unread<'a>(source: (&str, &'a State, &str), follower: &str, state: Option<&State>) -> Option<&'a BTreeSet<i64>> {
    let (name, theirs, version_nonce) = source;
    let read = state.and_then(|state| state.references_read.get(name));
    theirs.pending_references.get(follower).filter(|ids| !ids.is_empty() && read != Some(&mark(theirs, version_nonce)))
}

/// Adds references to those of a resource, under a new mark.
pub fn add(state: &mut State, follower: &str, ids: BTreeSet<i64>) {
    if ids.is_empty() {
        return;
    }
    state.pending_references.entry(follower.to_owned()).or_default().extend(ids);
    // Also where they are known already: they may have been read since they were added.
    state.references_mark = Some(nonce());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_to_read(state: &State, named: &State) -> Vec<i64> {
        unread(("naming", state, "nonce of a version"), "named", Some(named)).into_iter().flatten().copied().collect()
    }

    #[test]
    fn references_that_were_read_are_not_read_again_until_some_are_added_known_ones_too() {
        let (mut naming, mut named) = (State::default(), State::default());
        add(&mut naming, "named", BTreeSet::from([7, 9]));
        assert_eq!(left_to_read(&naming, &named), [7, 9]);

        named.references_read.insert("naming".to_owned(), mark(&naming, "nonce of a version"));
        assert_eq!(left_to_read(&naming, &named), [0; 0]);
        assert_eq!(unread(("naming", &naming, ""), "other", Some(&named)), None);

        add(&mut naming, "named", BTreeSet::from([7]));
        assert_eq!(left_to_read(&naming, &named), [7, 9]);
    }

    #[test]
    fn references_of_a_version_without_a_mark_are_read_once() {
        let (mut naming, mut named) = (State::default(), State::default());
        naming.pending_references.insert("named".to_owned(), BTreeSet::from([3]));
        assert_eq!(left_to_read(&naming, &named), [3]);
        named.references_read.insert("naming".to_owned(), mark(&naming, "nonce of a version"));
        assert_eq!(left_to_read(&naming, &named), [0; 0]);
    }
}
