//! Control requests: `POST /sandbox/TOKEN/…` changes the account while it serves, without login or quota, and shows its
//! records.
//!
//! `TOKEN` is printed at the start. A request with another `Host` than this server's, or with an `Origin`, is refused:
//! no web page can send it.
//! | path | does |
//! |---|---|
//! | `POST …/insert/{resource}?count=N` | new records, created now; 1,000,000 at most |
//! | `POST …/edit/{resource}?ids=1,2` or `?count=N` | other content, `updatedOn` now (without ids: the newest that can be edited) |
//! | `POST …/touch/{resource}?…` | other content, no date moves |
//! | `POST …/delete/{resource}?…` | removed without a trace |
//! | `POST …/restore/{resource}?ids=1,2` | deleted ones are back as they were |
//! | `POST …/age?seconds=N` | moves the account's clock forward, or back by a negative N; ten years at most |
//! | `POST …/settings` | a JSON object of settings to change, `faults` and `churn` among them; a new plan counts from 1 |
//! | `POST …/expire` | ends every access token |
//! | `POST …/log`, `POST …/log/clear` | the requests so far |
//! | `POST …/ids/{resource}` | every id |
//! | `POST …/truth/{resource}` | every record, a JSON object a line |
//! | `POST …/expected/{resource}` | of a fixture: the rows that the tables must have for each record, a JSON object a line |

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::state::{ServerState, parameters};
use crate::verb::RecordEvent;

/// Records that one request makes or changes: more take minutes and memory.
const MOST_RECORDS: u64 = 1_000_000;
/// Seconds by which one request moves the clock: ten years.
const MOST_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// Executes the action of a path; `None` for an unknown name. The error is the caller's mistake.
pub fn control(state: &mut ServerState, path: &str, query: &str, body: &[u8]) -> Option<Result<Value, String>> {
    let parameters = parameters(query);
    let value = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let now = state.now().as_second();
    Some(match path.split('/').collect::<Vec<_>>().as_slice() {
        ["log"] => Ok(json!(state.log)),
        ["log", "clear"] => {
            state.log = Default::default();
            Ok(json!({}))
        }
        ["expire"] => {
            state.tokens.expire();
            Ok(json!({}))
        }
        ["age"] => value("seconds")
            .and_then(|text| text.parse().ok())
            .filter(|seconds: &i64| seconds.unsigned_abs() <= MOST_SECONDS)
            .ok_or_else(|| format!("seconds=N is needed, {MOST_SECONDS} at most"))
            .map(|seconds| {
                state.age(SignedDuration::from_secs(seconds));
                json!({"now": state.now()})
            }),
        ["settings"] => change_settings(state, body),
        ["ids", name] => (state.account.resource(name))
            .ok_or_else(|| format!("{name} is no resource"))
            .map(|resource| json!(state.account.ids(resource).collect::<Vec<i64>>())),
        [verb @ ("insert" | "edit" | "touch" | "delete" | "restore"), name] => {
            let Some(resource) = state.account.resource(name) else {
                return Some(Err(format!("{name} is no resource")));
            };
            let event = RecordEvent::parse(verb);
            let account = &state.account;
            let allows = |id: &i64| event.is_none_or(|event| account.allows(event, resource, *id));
            let count = match value("count").map(str::parse::<u64>).transpose() {
                Ok(count) if count.unwrap_or(1) <= MOST_RECORDS => count.unwrap_or(1),
                Ok(_) | Err(_) => return Some(Err(format!("count=N is a number, {MOST_RECORDS} at most"))),
            };
            let ids = match value("ids") {
                Some(text) => match text.split(',').map(str::parse).collect::<Result<Vec<i64>, _>>() {
                    Ok(ids) => ids,
                    Err(error) => return Some(Err(error.to_string())),
                },
                None => {
                    let most = usize::try_from(count).unwrap_or(usize::MAX);
                    let known = account.ids(resource).rev().filter(|_| *verb != "insert");
                    known.filter(allows).take(most).collect()
                }
            };
            if *verb == "insert" && !account.grows(resource) {
                return Some(Err(format!("no record is added to {name}")));
            }
            if let Some(id) = ids.iter().find(|id| !allows(id)) {
                return Some(Err(format!("{verb} does not happen to {name} {id}")));
            }
            let ids = match *verb {
                "insert" => state.account.insert(resource, count, now),
                "edit" => {
                    state.account.edit(resource, &ids, now);
                    ids
                }
                "touch" => {
                    state.account.touch(resource, &ids);
                    ids
                }
                "delete" => {
                    state.account.delete(resource, &ids);
                    ids
                }
                _ => {
                    state.account.restore(resource, &ids);
                    ids
                }
            };
            Ok(json!({"ids": ids}))
        }
        _ => return None,
    })
}

/// Lays a JSON object over the settings.
fn change_settings(state: &mut ServerState, body: &[u8]) -> Result<Value, String> {
    let changed: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut settings = state.settings.clone();
    settings.change(changed)?;
    state.set(settings);
    Ok(json!({}))
}
