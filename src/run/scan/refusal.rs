//! The meaning of a refusal of documents, by its status, code and message (docs/brightpearl-api.md §5.5, §8.3).

use crate::failure::{Failure, Kind};
use crate::fetch::{ErrorBody, Request};
use crate::schema::Read;

/// The meaning of a refusal for the set that was requested.
pub enum Refusal {
    /// None of the ids exist.
    NoneExist,
    /// One id spoils the set: the schema names this code.
    Spoilt(String),
    /// The set holds too many ids; the number that the source takes, where it names one.
    TooMany(Option<u64>),
    /// The URL is too long.
    TooLong,
    /// The set is refused: some record in it may be the reason.
    Set(Failure),
    /// No set would be answered.
    All(Failure),
}

/// Beginnings of sentences that state a limit.
const LIMITS: [&str; 5] = ["too many", "at most", "no more than", "maximum", "exceed"];

/// Reads a refusal.
pub fn meaning(read: &Read, name: &str, request: &Request, status: u16, error: ErrorBody) -> Refusal {
    // A wrong address has the same code as ids that are none; only its message differs (docs/brightpearl-api.md §5.5).
    let wrong_address = error.is_wrong_address();
    let code = error.code.unwrap_or_default();
    let none = read.none_found.iter().any(|text| error.message.contains(text.as_str())) || code == "CMNC-404";
    if status == 404 && none && !wrong_address {
        return Refusal::NoneExist;
    }
    if read.split_on.contains(&code) {
        return Refusal::Spoilt(code);
    }
    if status == 414 {
        return Refusal::TooLong;
    }
    let message = error.message.to_lowercase();
    let failure = |kind| {
        Failure::new(kind, format!("read {name}"))
            .at(request.path.clone())
            .because(format!("HTTP {status} {code} {}", error.message))
            .asked_as(error.request_id.clone())
    };
    if message.contains("ascending") {
        return Refusal::All(failure(Kind::Bug).advise("the ids were sent in the wrong order: report this"));
    }
    if LIMITS.iter().any(|limit| message.contains(limit)) {
        return Refusal::TooMany(least_number(&message));
    }
    if status == 404 {
        let advice = "the address is wrong or the service does not exist: check account.code, or the schema's `get`";
        return Refusal::All(failure(Kind::Refused).advise(advice));
    }
    Refusal::Set(failure(Kind::Refused).advise(
        "the source does not take the request; run `pearlift check`, or exclude the resource with `resources.exclude`",
    ))
}

/// The least number in a text.
fn least_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .filter(|number| *number > 0)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Catalog;

    /// The meaning of a refusal in one word.
    fn word(status: u16, code: &str, message: &str) -> String {
        let catalog = Catalog::load(None).unwrap();
        let name = std::sync::Arc::from("x");
        let error = ErrorBody { code: Some(code.to_owned()), message: message.to_owned(), request_id: None };
        let read = &catalog.resources()[0].read;
        match meaning(read, "x", &Request::get(&name, "x".to_owned()), status, error) {
            Refusal::NoneExist => "none".to_owned(),
            Refusal::Spoilt(code) => format!("spoilt {code}"),
            Refusal::TooMany(named) => format!("too many {named:?}"),
            Refusal::TooLong => "too long".to_owned(),
            Refusal::Set(failure) => format!("set {}", failure.kind().name()),
            Refusal::All(failure) => format!("all {}", failure.kind().name()),
        }
    }

    #[test]
    fn a_refusal_is_read_by_its_message_where_its_code_has_two_meanings() {
        for (status, code, message, meant) in [
            (400, "CMNC-008", "The ids are not in ascending order", "all bug"),
            (400, "CMNC-008", "Too many ids: at most 50 of 200", "too many Some(50)"),
            (400, "CMNC-008", "No more than 25 ids", "too many Some(25)"),
            (400, "CMNC-008", "You exceed what may be asked for", "too many None"),
            (400, "CMNC-008", "", "set refused"),
            (414, "", "", "too long"),
            (404, "CMNC-404", "No Resource Found", "none"),
            (404, "CMNC-404", "Cannot find the resource /app/x", "all refused"),
            (500, "ORDC-001", "It cannot be shown", "set refused"),
        ] {
            assert_eq!(word(status, code, message), meant, "{status} {code} {message}");
        }
    }
}
