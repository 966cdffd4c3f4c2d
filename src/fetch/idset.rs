//! Id sets (docs/brightpearl-api.md §5.1): `1-3,6-15,20`, ascending, consecutive known ids collapsed to ranges.

use std::collections::BTreeSet;

/// More ids than any account holds: a set that claims more is a mistake, or is meant to fill the memory.
pub const MOST_IDS: u64 = 100_000_000;

/// Parts of a written set: a set holds 200 ids, and a user's own some more.
const MOST_PARTS: usize = 100_000;
/// Ranges of a listing, 64 MiB of them: ids with as many gaps are more than the longest answer holds.
pub const MOST_RANGES: usize = 4 << 20;

/// Inclusive ranges of ids, ascending, not touching.
pub type IdRanges = Vec<(i64, i64)>;

/// Sorts, dedupes and collapses ids to ranges.
pub fn collapse(ids: impl IntoIterator<Item = i64>) -> IdRanges {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    ids.sort_unstable();
    let mut ranges: IdRanges = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, end)) if *end == id => {}
            Some((_, end)) if end.checked_add(1) == Some(id) => *end = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}

/// The ranges with more ids.
pub fn with(ranges: &[(i64, i64)], ids: impl IntoIterator<Item = i64>) -> IdRanges {
    let mut all = ranges.to_vec();
    all.extend(ids.into_iter().map(|id| (id, id)));
    join(&mut all);
    all
}

/// The ranges without some ids.
pub fn without(ranges: &[(i64, i64)], ids: &BTreeSet<i64>) -> IdRanges {
    let mut left = IdRanges::new();
    for (start, end) in ranges {
        let mut next = Some(*start);
        for id in ids.range(*start..=*end) {
            left.extend(next.filter(|next| next < id).map(|next| (next, id - 1)));
            next = id.checked_add(1);
        }
        left.extend(next.filter(|next| next <= end).map(|next| (next, *end)));
    }
    left
}

/// Whether ranges, ascending, hold an id.
pub fn holds(ranges: &[(i64, i64)], id: i64) -> bool {
    let behind = ranges.partition_point(|(start, _)| *start <= id);
    behind.checked_sub(1).is_some_and(|place| ranges[place].1 >= id)
}

/// Every id of the ranges, ascending. A short answer may list a hundred million, so this is for requested sets and
/// stored ids only.
pub fn expand(ranges: &[(i64, i64)]) -> impl Iterator<Item = i64> {
    ranges.iter().flat_map(|(start, end)| *start..=*end)
}

/// The set as the source takes it.
pub fn render(ranges: &[(i64, i64)]) -> String {
    let mut text = String::new();
    for (start, end) in ranges {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&start.to_string());
        if end > start {
            text.push('-');
            text.push_str(&end.to_string());
        }
    }
    text
}

/// Sorts ranges and joins those that meet.
pub fn join(ranges: &mut IdRanges) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let meets = next.0 <= last.1.saturating_add(1);
        if meets {
            last.1 = last.1.max(next.1);
        }
        meets
    });
}

/// Reads a set, `,` or `.` between its parts; `None` when it is none, or holds more than [`MOST_IDS`], or more parts
/// than any set is written with. Ranges ascend.
pub fn parse_set(text: &str) -> Option<IdRanges> {
    let mut ranges = Vec::new();
    for part in text.split([',', '.']) {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        let (start, end): (i64, i64) = (digits(start)?, digits(end)?);
        if end < start || ranges.len() >= MOST_PARTS {
            return None;
        }
        ranges.push((start, end));
    }
    join(&mut ranges);
    Some(ranges).filter(|ranges| count(ranges) <= MOST_IDS)
}

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The number of ids in ranges.
pub fn count(ranges: &[(i64, i64)]) -> u64 {
    ranges.iter().map(|(start, end)| end.abs_diff(*start) + 1).sum()
}

/// Cuts ranges into sets of at most `most` ids each, in order.
pub fn chunks(ranges: &[(i64, i64)], most: usize) -> Vec<IdRanges> {
    let most = i64::try_from(most).expect("a set's size is small");
    let mut sets: Vec<IdRanges> = Vec::new();
    let mut room = 0;
    for (start, end) in ranges {
        let mut start = *start;
        while start <= *end {
            if room == 0 {
                sets.push(Vec::new());
                room = most;
            }
            let stop = (*end).min(start.saturating_add(room - 1));
            sets.last_mut().expect("a set was just pushed").push((start, stop));
            room -= stop - start + 1;
            match stop.checked_add(1) {
                Some(next) => start = next,
                None => break,
            }
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_gain_and_lose_ids_as_sets_do() {
        let ranges = vec![(1, 3), (6, 9), (12, 12)];
        let all: BTreeSet<i64> = expand(&ranges).collect();
        for some in [vec![], vec![4, 5], vec![1, 3], vec![2, 7, 8, 12, 40], vec![6, 7, 8, 9], (0..20).collect()] {
            let some: BTreeSet<i64> = some.into_iter().collect();
            assert_eq!(with(&ranges, some.iter().copied()), collapse(all.union(&some).copied()), "{some:?}");
            assert_eq!(without(&ranges, &some), collapse(all.difference(&some).copied()), "{some:?}");
        }
        assert!((0..20).all(|id| holds(&ranges, id) == all.contains(&id)) && !holds(&[], 1));
        let whole = [(i64::MIN, i64::MAX)];
        assert_eq!(without(&whole, &BTreeSet::from([i64::MIN, 0, i64::MAX])), [(i64::MIN + 1, -1), (1, i64::MAX - 1)]);
    }

    #[test]
    fn a_set_of_more_parts_than_any_is_none() {
        assert!(parse_set(&"7,".repeat(MOST_PARTS - 1)).is_none(), "it ends in no id");
        assert_eq!(parse_set(&format!("{}7", "7,".repeat(MOST_PARTS - 1))), Some(vec![(7, 7)]));
        assert_eq!(parse_set(&format!("{}7", "7,".repeat(MOST_PARTS))), None);
    }
}
