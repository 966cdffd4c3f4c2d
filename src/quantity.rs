//! Quantities in texts for people: numbers, counts with their nouns, cadences.
//!
//! Every message with a count of things takes its noun from here, so that none has "1 rows" or "every 1day".

use std::time::Duration;

/// `1,234,567`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length as a count.
pub fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits")
}

/// A count with its noun: `1 row`, `1,234 rows`, `2 tries`. The noun is in the singular; its last word takes the
/// plural.
pub fn plural(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {}", number(count), noun_of(count, noun))
}

/// The noun that goes with a count, without the count: for `3 of 1 row`.
pub fn noun_of(count: impl TryInto<u64>, noun: &str) -> String {
    if count.try_into().unwrap_or(u64::MAX) == 1 {
        return noun.to_owned();
    }
    let consonant_y = |stem: &str| !stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match noun.strip_suffix('y') {
        Some(stem) if consonant_y(stem) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x', 'z']) || noun.ends_with("ch") || noun.ends_with("sh") => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// The form of a verb that goes with a count: `is` with one, `are` with any other.
pub fn agree<'a>(count: impl TryInto<u64>, one: &'a str, others: &'a str) -> &'a str {
    if count.try_into().unwrap_or(u64::MAX) == 1 { one } else { others }
}

/// A cadence: `every day`, `every 7 days`, `every 90 minutes`.
pub fn cadence(every: Duration) -> String {
    let seconds = every.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) = units.into_iter().find(|(size, _)| seconds.is_multiple_of(*size)).unwrap_or((1, "second"));
    match seconds / size {
        1 => format!("every {unit}"),
        many => format!("every {}", plural(many, unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_agrees_with_its_count() {
        let shown = [
            plural(0_u64, "row"),
            plural(1_u64, "row"),
            plural(1_234_567_usize, "row"),
            plural(2_u32, "try"),
            plural(2_u64, "day"),
            plural(1_u64, "old version"),
            plural(2_u64, "old version"),
            plural(2_u64, "batch"),
        ];
        let wanted =
            ["0 rows", "1 row", "1,234,567 rows", "2 tries", "2 days", "1 old version", "2 old versions", "2 batches"];
        assert_eq!(shown, wanted);
        assert_eq!([0_u64, 1, 2].map(|count| agree(count, "is", "are")), ["are", "is", "are"]);
    }

    #[test]
    fn a_cadence_names_its_greatest_whole_unit() {
        let shown = [1, 60, 90, 3_600, 5_400, 86_400, 7 * 86_400].map(|seconds| cadence(Duration::from_secs(seconds)));
        let wanted = [
            "every second",
            "every minute",
            "every 90 seconds",
            "every hour",
            "every 90 minutes",
            "every day",
            "every 7 days",
        ];
        assert_eq!(shown, wanted);
    }
}
