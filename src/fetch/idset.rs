//! Id sets (API notes §5): `1-3,6-15,20`, ascending, consecutive known ids collapsed to ranges.

/// More ids than any account holds: a set that claims more is a mistake, or is meant to fill the memory.
pub const MOST_IDS: u64 = 100_000_000;

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

/// Every id of the ranges, ascending.
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

/// Reads a set, `,` or `.` between its parts; `None` when it is none, or holds more than [`MOST_IDS`]. Ranges ascend.
pub fn parse_set(text: &str) -> Option<IdRanges> {
    let mut ranges = Vec::new();
    for part in text.split([',', '.']) {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        let (start, end): (i64, i64) = (digits(start)?, digits(end)?);
        if end < start {
            return None;
        }
        ranges.push((start, end));
    }
    ranges.sort_unstable();
    let mut joined: IdRanges = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some((_, last)) if start <= last.saturating_add(1) => *last = end.max(*last),
            _ => joined.push((start, end)),
        }
    }
    Some(joined).filter(|ranges| count(ranges) <= MOST_IDS)
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
