//! No message states a count with the wrong noun.

use crate::support::rust_files;

/// Words that a count is followed by in messages.
const NOUNS: [&str; 20] = [
    "rows",
    "records",
    "ids",
    "requests",
    "files",
    "values",
    "documents",
    "days",
    "hours",
    "minutes",
    "sets",
    "versions",
    "resources",
    "tables",
    "columns",
    "pages",
    "tries",
    "nights",
    "reports",
    "plans",
];

/// The places of a line where a format's value is followed by a noun in the plural.
fn counted_by_hand(line: &str) -> bool {
    let code = line.trim_start();
    if code.starts_with("//") {
        return false;
    }
    // A constant, in capitals, is not one.
    let constant = |before: &str| before.ends_with(|c: char| c.is_ascii_uppercase());
    NOUNS.iter().any(|noun| {
        line.match_indices(&format!("}} {noun}")).any(|(at, text)| {
            let next = line[at + text.len()..].chars().next();
            next.is_none_or(|c| !c.is_alphanumeric() && c != '_') && !constant(&line[..at])
        })
    })
}

#[test]
fn every_count_takes_its_noun_from_one_function() {
    let found = rust_files("src");
    assert!(found.len() > 150, "{}", found.len());
    let mut wrong = Vec::new();
    for (path, text) in found.iter().filter(|(path, _)| !path.ends_with("/quantity.rs")) {
        for (place, line) in text.lines().enumerate().filter(|(_, line)| counted_by_hand(line)) {
            wrong.push(format!("{path}:{}: {}", place + 1, line.trim()));
        }
        for (place, line) in text.lines().enumerate().filter(|(_, line)| line.contains("every {}\"")) {
            wrong.push(format!("{path}:{}: {}", place + 1, line.trim()));
        }
    }
    assert!(wrong.is_empty(), "use `quantity::plural` or `quantity::cadence`: {wrong:#?}");
}

#[test]
fn a_count_with_a_noun_in_the_plural_is_noticed() {
    assert!(counted_by_hand(r#"format!("{} rows in {}", number(rows))"#));
    assert!(counted_by_hand(r#"format!("{count} requests")"#));
    assert!(!counted_by_hand(r#"format!("{} rowset")"#));
    assert!(!counted_by_hand("// `{} rows`"));
}
