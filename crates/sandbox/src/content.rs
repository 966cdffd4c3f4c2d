//! Wrong content in an answer that is well formed: in its first record, or in the last row of a search.

/// Levels of a value that nests too deep.
const DEEP: usize = 10_000;
/// Digits of a number that is too long.
const DIGITS: usize = 400;

/// A wrong value in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    NamedTwice,
    HugeNumber,
    Deep,
    HugeId,
    NegativeId,
    ImpossibleDate,
    OddTime,
}

/// The answer with this in its first record; as it was where there is none, or nothing for it to be wrong with.
pub fn spoil(body: &str, content: Content) -> String {
    let Some(record) = last_row(body).or_else(|| first_record(body)) else { return body.to_owned() };
    let (head, rest) = match record.inside {
        Some(inside) => body.split_at(inside),
        None => ("", ""),
    };
    let replaced = match content {
        Content::NamedTwice => first_field(rest).map(|field| format!("{field},{rest}")),
        Content::HugeNumber => spoil_number(rest),
        Content::Deep if rest.is_empty() => None,
        Content::Deep => Some(format!("\"deep\":{}{},{rest}", "[".repeat(DEEP), "]".repeat(DEEP))),
        Content::HugeId => return replace(body, record.id, "99999999999999999999"),
        Content::NegativeId => {
            let id = body[record.id.0..record.id.1].to_owned();
            return replace(body, record.id, &format!("-{id}"));
        }
        Content::ImpossibleDate => instant(rest).map(|at| replace(rest, (at + 5, at + 10), "13-45")),
        Content::OddTime => instant(rest).and_then(|at| {
            let end = at + rest[at..].find('"')?;
            Some(replace(rest, (at + 10, end), "T23:59:59:999Z"))
        }),
    };
    replaced.map_or_else(|| body.to_owned(), |rest| format!("{head}{rest}"))
}

/// The beginning of a record behind its `{`, and the place of its id. A row of a search has but an id to be wrong.
struct Place {
    inside: Option<usize>,
    id: (usize, usize),
}

/// The last row of a search.
fn last_row(body: &str) -> Option<Place> {
    let rows = body.strip_prefix("{\"response\":{\"results\":[[").and_then(|rows| rows.split_once("]],\"metaData\""));
    let before = "{\"response\":{\"results\":[[".len();
    let at = rows.map(|(rows, _)| before + rows.rfind("],[").map_or(0, |at| at + 3))?;
    let digits = body[at..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then_some(Place { inside: None, id: (at, at + digits) })
}

/// Records begin with their id, or are in a map under it.
fn first_record(body: &str) -> Option<Place> {
    let digits = |at: usize| body[at..].bytes().take_while(u8::is_ascii_digit).count();
    let map = "{\"response\":{\"";
    if body.starts_with(map) && digits(map.len()) > 0 {
        let inside = body[map.len()..].find('{').map(|at| map.len() + at + 1)?;
        return Some(Place { inside: Some(inside), id: (map.len(), map.len() + digits(map.len())) });
    }
    let at = body.find("[{\"")?;
    let colon = at + body[at..].find(':')? + 1;
    (digits(colon) > 0).then_some(Place { inside: Some(at + 2), id: (colon, colon + digits(colon)) })
}

/// `"name":value` of the first field.
fn first_field(rest: &str) -> Option<&str> {
    rest.split_once(',').map(|(field, _)| field).filter(|field| !field.contains(['{', '[']))
}

/// The first amount of money becomes a number of many digits.
fn spoil_number(rest: &str) -> Option<String> {
    let bytes = rest.as_bytes();
    let point = (1..bytes.len().saturating_sub(1)).find(|at| {
        bytes[*at] == b'.' && bytes[at - 1].is_ascii_digit() && bytes[at + 1].is_ascii_digit() && {
            let digits = bytes[..*at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
            bytes[at - digits - 1] == b'"'
        }
    })?;
    Some(replace(rest, (point, point), &"7".repeat(DIGITS)))
}

/// Where the first instant begins: `2026-07-01T…`.
fn instant(rest: &str) -> Option<usize> {
    let at = rest.match_indices('T').map(|(at, _)| at).find(|at| {
        let date = at.checked_sub(10).and_then(|from| rest.get(from..*at));
        date.is_some_and(|date| date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
            && rest[at + 1..].starts_with(|c: char| c.is_ascii_digit())
    })?;
    Some(at - 10)
}

fn replace(text: &str, (from, to): (usize, usize), by: &str) -> String {
    format!("{}{by}{}", &text[..from], &text[to..])
}
