//! File lists and the changes between them.

use proptest::prelude::*;

use super::*;

fn file(name: u8, records: u64) -> RejectedFile {
    RejectedFile { path: format!("file-{name}"), records }
}

fn list() -> impl Strategy<Value = Vec<RejectedFile>> {
    // Each file at most once, in any order.
    let some = proptest::sample::subsequence((0..20_u8).collect::<Vec<_>>(), 0..20);
    (some.prop_shuffle(), 0..3_u64).prop_map(|(names, odd)| {
        names.into_iter().map(|name| file(name, if name % 5 == 0 { odd } else { 0 })).collect()
    })
}

proptest! {
    #[test]
    fn changes_give_the_new_list_again_or_there_are_none(old in list(), new in list()) {
        if let Some(changes) = Changes::between(&old, &new) {
            prop_assert_eq!(changes.applied(old).unwrap(), new);
        } else {
            // A mere exchange of places among files that stay cannot be expressed.
            let stay = |list: &[RejectedFile], of: &[RejectedFile]| -> Vec<RejectedFile> {
                list.iter().filter(|file| of.contains(file)).cloned().collect()
            };
            prop_assert_ne!(stay(&old, &new), stay(&new, &old));
        }
    }

    #[test]
    fn any_changes_of_any_list_are_applied_or_refused(
        old in list(), added in list(), places in proptest::collection::vec(0..30_usize, 0..20), dropped in list(),
    ) {
        let dropped = dropped.into_iter().map(|file| file.path).collect();
        let _ = Changes { added, places, dropped }.applied(old);
    }
}

#[test]
fn a_list_is_given_again_from_its_changes() {
    let old: Vec<RejectedFile> = (0..8).map(|name| file(name, 1)).collect();
    let new = vec![file(9, 1), file(0, 1), file(2, 1), file(3, 2), file(4, 1), file(7, 1), file(8, 1)];
    let changes = Changes::between(&old, &new).unwrap();
    assert_eq!((changes.places.as_slice(), changes.dropped.len()), ([0, 3, 6].as_slice(), 4));
    assert_eq!(changes.applied(old).unwrap(), new);
}

#[test]
fn changes_of_another_list_are_refused() {
    let old: Vec<RejectedFile> = (0..4).map(|name| file(name, 1)).collect();
    let refused = [
        Changes { added: vec![], places: vec![], dropped: vec!["file-9".to_owned()] },
        Changes { added: vec![file(5, 1)], places: vec![], dropped: vec![] },
        Changes { added: vec![file(5, 1)], places: vec![9], dropped: vec![] },
        Changes { added: vec![file(5, 1), file(6, 1)], places: vec![2, 1], dropped: vec![] },
        Changes { added: vec![file(5, 1), file(6, 1)], places: vec![1, 1], dropped: vec![] },
    ];
    for changes in refused {
        assert!(changes.applied(old.clone()).is_err(), "{changes:?}");
    }
}
