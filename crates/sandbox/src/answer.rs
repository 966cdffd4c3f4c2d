//! Wrong answers that are well formed: a plan of rules, each with the requests that it concerns and the way in which
//! their answers are wrong.
//!
//! Takes a good reply, gives the reply as the rules bend it. Faults on the way to the reader are in `fault`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::digits;
use crate::idset;
use crate::reply::Reply;
use crate::swell::Swell;

/// A rule: of the requests that match, these are answered wrongly.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRule {
    /// `GET` or `OPTIONS`; empty is both.
    #[serde(default)]
    pub method: String,
    /// Text that the path below the account, with its query, holds; empty is every path.
    #[serde(default)]
    pub path: String,
    /// Numbers of the matching requests, from 1 and from when the plan was set; empty is all.
    #[serde(default)]
    pub at: Vec<u64>,
    pub then: Wrong,
}

/// The ways in which an answer is wrong.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// No rows, documents or ids; the statements of a search about itself stay.
    Empty,
    /// As if nothing existed: counts of 0, an empty listing, a 404 for documents by id.
    None,
    /// The first rows, documents or ids alone; the statements of a search about itself stay.
    Keep(usize),
    /// The first half of the rows, documents or ids.
    Half,
    /// A search states this of itself.
    Claim(Claim),
    /// A refusal with this body.
    Status(Status),
    /// The first documents, beside an entry of `errors` for the rest.
    Partial(Partial),
    /// The `Date` header is off by this many seconds.
    Date(i64),
    /// The last row or document occurs twice.
    Twice,
    /// The last row or document has a twin of the same key with other texts.
    Twin,
    /// Documents and rows as they were before their last change, as of a replica that lags.
    Stale,
    /// A column of a search has another name.
    Rename(Replacement),
    /// A text of the body is replaced everywhere.
    Replace(Replacement),
    /// Another body, of any length.
    Swell(Swell),
    /// `response` is null.
    Null,
    /// `response` is a text.
    Shape,
}

/// Statements of a search; absent ones stay.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claim {
    pub available: Option<u64>,
    pub more: Option<bool>,
    pub last: Option<u64>,
}

/// A status and a whole body.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub status: u16,
    pub body: String,
}

/// A partial answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    pub keep: usize,
    pub status: u16,
}

/// A text and the one that takes its place.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    pub from: String,
    pub to: String,
}

impl AnswerRule {
    /// Whether a request is one that the rule counts.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        (self.method.is_empty() || self.method == method) && path.contains(&self.path)
    }

    /// Whether the matching request of this number is answered wrongly.
    pub fn concerns(&self, number: u64) -> bool {
        self.at.is_empty() || self.at.contains(&number)
    }
}

impl Wrong {
    /// Seconds by which the `Date` header is off.
    pub fn date(&self) -> i64 {
        if let Self::Date(seconds) = self { *seconds } else { 0 }
    }

    /// The answer, bent.
    pub fn bend(&self, reply: Reply) -> Reply {
        match self {
            Self::Date(_) | Self::Stale => reply,
            Self::Status(wrong) => Reply { status: wrong.status, body: wrong.body.clone(), ..reply },
            Self::Swell(swell) => Reply { status: swell.status, swell: Some(Box::new(swell.clone())), ..reply },
            Self::Replace(Replacement { from, to }) => Reply { body: reply.body.replace(from, to), ..reply },
            Self::Empty
            | Self::None
            | Self::Keep(_)
            | Self::Half
            | Self::Claim(_)
            | Self::Partial(_)
            | Self::Twice
            | Self::Twin
            | Self::Rename(_)
            | Self::Null
            | Self::Shape => match serde_json::from_str(&digits::hide(&reply.body)) {
                Ok(Value::Object(body)) if reply.status == 200 => self.bend_body(reply, body),
                Ok(_) | Err(_) => reply,
            },
        }
    }

    fn bend_body(&self, mut reply: Reply, mut body: Map<String, Value>) -> Reply {
        let response = body.entry("response").or_insert(Value::Null);
        let is_search = response.get("metaData").is_some();
        match self {
            Self::Empty => keep(response, 0),
            Self::None if is_search => {
                keep(response, 0);
                deny(response);
            }
            Self::None if response.get("getUris").is_some() => keep(response, 0),
            Self::None => return Reply::error(404, "CMNC-404", "No Resource Found"),
            Self::Keep(count) => keep(response, *count),
            Self::Half => {
                let half = count(response) / 2;
                keep(response, half);
            }
            Self::Claim(claim) => claim.lay_over(response),
            Self::Partial(partial) => {
                keep(response, partial.keep);
                reply.status = partial.status;
                let error = json!([{"code": "CMNU-003", "message": "Some resources could not be read"}]);
                body.insert("errors".to_owned(), error);
            }
            Self::Twice => double(response, |_| {}),
            Self::Twin => double(response, vary),
            Self::Rename(Replacement { from, to }) => rename(response, from, to),
            Self::Null => *response = Value::Null,
            Self::Shape => *response = json!("as no reader expects it"),
            Self::Date(_) | Self::Stale | Self::Status(_) | Self::Replace(_) | Self::Swell(_) => {}
        }
        reply.body = digits::show(&Value::Object(body).to_string());
        reply
    }
}

impl Claim {
    fn lay_over(&self, response: &mut Value) {
        let Some(Value::Object(meta)) = response.get_mut("metaData") else { return };
        let stated = [
            ("resultsAvailable", self.available.map(Value::from)),
            ("morePagesAvailable", self.more.map(Value::from)),
            ("lastResult", self.last.map(Value::from)),
        ];
        meta.extend(stated.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
}

/// The list of rows, documents or paths of a response; none where they are a map.
fn items(response: &mut Value) -> Option<&mut Vec<Value>> {
    let known = ["results", "getUris"].into_iter().find(|name| response.get(name).is_some());
    match known.map(str::to_owned).or_else(|| envelope(response)) {
        Some(name) => response.get_mut(&name)?.as_array_mut(),
        None => response.as_array_mut(),
    }
}

/// The one field of a response that holds a list, where that is not under an id.
fn envelope(response: &Value) -> Option<String> {
    let fields = response.as_object().filter(|fields| fields.len() == 1)?;
    let (name, _) = fields.iter().find(|(name, value)| value.is_array() && name.parse::<i64>().is_err())?;
    Some(name.clone())
}

/// Rows, documents or ids of a response.
fn count(response: &mut Value) -> usize {
    if let Some(uris) = response.get("getUris").and_then(Value::as_array) {
        return uris.iter().flat_map(listed).count();
    }
    match items(response) {
        Some(items) => items.len(),
        None => response.as_object().map_or(0, Map::len),
    }
}

/// Leaves the first rows, documents or ids.
fn keep(response: &mut Value, count: usize) {
    if response.get("getUris").is_some() {
        let Some(uris) = items(response) else { return };
        let Some(service) = uris.first().and_then(Value::as_str).and_then(|uri| uri.rsplit_once('/')) else { return };
        let service = service.0.to_owned();
        let ids: Vec<i64> = uris.iter().flat_map(listed).take(count).collect();
        *uris = ids.chunks(200).map(|ids| json!(format!("{service}/{}", idset::render(ids)))).collect();
        return;
    }
    match items(response) {
        Some(items) => items.truncate(count),
        None => {
            if let Some(map) = response.as_object_mut() {
                *map = std::mem::take(map).into_iter().take(count).collect();
            }
        }
    }
}

/// The ids that an entry of a listing names.
fn listed(uri: &Value) -> Vec<i64> {
    let set = uri.as_str().and_then(|uri| uri.rsplit('/').next()).unwrap_or_default();
    idset::parse(set).unwrap_or_default().into_iter().flat_map(|(from, to)| from..=to).collect()
}

/// Makes a search without rows state an empty result (docs/brightpearl-api.md §4.2).
fn deny(response: &mut Value) {
    let Some(Value::Object(meta)) = response.get_mut("metaData") else { return };
    meta.insert("resultsAvailable".to_owned(), json!(0));
    meta.insert("resultsReturned".to_owned(), json!(0));
    meta.insert("morePagesAvailable".to_owned(), json!(false));
    meta.retain(|name, _| name != "firstResult" && name != "lastResult");
}

/// Repeats the last row or document, changed.
fn double(response: &mut Value, change: impl Fn(&mut Value)) {
    let Some(items) = items(response) else { return };
    let Some(mut twin) = items.last().cloned() else { return };
    change(&mut twin);
    items.push(twin);
}

/// Changes the texts of a row or document: of an object those of its own fields, of a row those that are no dates.
fn vary(value: &mut Value) {
    let texts: Vec<&mut Value> = match value {
        Value::Object(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
        Value::Array(cells) => cells.iter_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for text in texts {
        if let Value::String(text) = text
            && text.chars().any(char::is_alphabetic)
            && !text.contains('T')
        {
            text.push_str(" (twin)");
        }
    }
}

/// Gives a column of a search another name.
fn rename(response: &mut Value, from: &str, to: &str) {
    let columns = response.get_mut("metaData").and_then(|meta| meta.get_mut("columns")).and_then(Value::as_array_mut);
    for column in columns.into_iter().flatten() {
        if column.get("name").and_then(Value::as_str) == Some(from)
            && let Some(column) = column.as_object_mut()
        {
            column.insert("name".to_owned(), json!(to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bent(wrong: Wrong, body: &str) -> Value {
        serde_json::from_str(&wrong.bend(Reply::whole(body.to_owned())).body).unwrap()
    }

    #[test]
    fn each_shape_of_answer_is_cut_where_its_records_are() {
        for (body, cut) in [
            (r#"{"response":[{"id":1},{"id":2}]}"#, r#"{"response":[{"id":1}]}"#),
            (r#"{"response":{"7":{},"8":{}}}"#, r#"{"response":{"7":{}}}"#),
            (r#"{"response":{"journals":[{"id":1},{"id":2}]}}"#, r#"{"response":{"journals":[{"id":1}]}}"#),
            (r#"{"response":{"getUris":["/order/1-3,7"]}}"#, r#"{"response":{"getUris":["/order/1"]}}"#),
        ] {
            assert_eq!(bent(Wrong::Keep(1), body), serde_json::from_str::<Value>(cut).unwrap(), "{body}");
        }
    }

    #[test]
    fn a_search_without_rows_states_what_it_stated_or_that_there_is_nothing() {
        let body = r#"{"response":{"results":[[1],[2]],"metaData":{"resultsAvailable":900,"resultsReturned":2,"morePagesAvailable":true,"lastResult":2}}}"#;
        let empty = bent(Wrong::Empty, body);
        assert_eq!(
            (empty["response"]["results"].clone(), &empty["response"]["metaData"]["resultsAvailable"]),
            (json!([]), &json!(900))
        );
        let none = bent(Wrong::None, body);
        assert_eq!(
            none["response"]["metaData"],
            json!({"resultsAvailable": 0, "resultsReturned": 0, "morePagesAvailable": false})
        );
    }

    #[test]
    fn a_twin_has_the_key_of_the_last_record_and_other_texts() {
        let twin = bent(Wrong::Twin, r#"{"response":[{"id":1,"name":"Acme"}]}"#);
        assert_eq!(twin, json!({"response": [{"id": 1, "name": "Acme"}, {"id": 1, "name": "Acme (twin)"}]}));
    }

    #[test]
    fn a_rule_counts_what_matches_and_concerns_the_numbers_given() {
        let rule: AnswerRule =
            serde_json::from_value(json!({"method": "GET", "path": "order/", "at": [2], "then": {"keep": 3}})).unwrap();
        assert!(rule.matches("GET", "order-service/order/1-7") && !rule.matches("OPTIONS", "order-service/order/"));
        assert!(rule.concerns(2) && !rule.concerns(1));
        assert_eq!(rule.then, Wrong::Keep(3));
    }
}
