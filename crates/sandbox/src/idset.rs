//! Id sets as the source takes them (docs/brightpearl-api.md §5.1): `1-3,6-15,20` ascending, `.` for any order.

/// The greatest id that is taken: spans of ids can be added up.
const GREATEST: i64 = 1 << 40;

/// The ranges of a set in the order given; the error is the refusal's code and message.
pub fn parse(text: &str) -> Result<Vec<(i64, i64)>, (&'static str, String)> {
    let wrong = || ("CMNC-006", format!("The id set {text} is not valid"));
    let ordered = text.contains(',');
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for part in text.split([',', '.']) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number =
            |digits: &str| digits.parse::<i64>().ok().filter(|id| (0..=GREATEST).contains(id)).ok_or_else(wrong);
        let (from, to) = (number(from)?, number(to)?);
        if to < from || (ordered && ranges.last().is_some_and(|(_, last)| from <= *last)) {
            return Err(("CMNC-006", format!("The id set {text} is not in ascending order")));
        }
        ranges.push((from, to));
    }
    Ok(ranges)
}

/// Ids, ascending, as ranges that never cover a gap.
pub fn render(ids: &[i64]) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *id => *last = *id,
            _ => ranges.push((*id, *id)),
        }
    }
    let texts = ranges.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    texts.collect::<Vec<_>>().join(",")
}
