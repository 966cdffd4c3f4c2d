//! Changing the account while it serves: `POST /sandbox/TOKEN/…`, without login or quota; and its truth.
//!
//! `TOKEN` is printed at the start. A request with another `Host` than this server's, or with an `Origin`, is refused: no web
//! page can send it.
//!
//! | path | does |
//! |---|---|
//! | `POST …/insert/{resource}?count=N` | new records, created now; 1,000,000 at most |
//! | `POST …/edit/{resource}?ids=1,2` or `?count=N` | other content, `updatedOn` now (without ids: the newest that it may happen to) |
//! | `POST …/touch/{resource}?…` | other content, no date moves |
//! | `POST …/delete/{resource}?…` | gone without a trace |
//! | `POST …/restore/{resource}?ids=1,2` | deleted ones are back as they were |
//! | `POST …/age?seconds=N` | the account's clock goes on, or back where N is negative; ten years at most |
//! | `POST …/settings` | a JSON object of settings to change, `faults` and `stir` among them; a new plan counts from 1 |
//! | `POST …/expire` | ends every access token |
//! | `POST …/log`, `POST …/log/clear` | what was asked |
//! | `POST …/ids/{resource}` | every id |
//! | `POST …/truth/{resource}` | every record, a JSON object a line |
//! | `POST …/expected/{resource}` | of a fixture: the rows that the tables must have for each record, a JSON object a line |

use std::fmt::Write;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::account::Account;
use crate::fixture::RecordEvent;
use crate::kinds::{self, Kind, Record, With, availability, price, product};
use crate::resource::ResourceId;
use crate::state::{State, parameters};

/// Records that one request makes or changes: more take minutes and memory.
const MOST_RECORDS: u64 = 1_000_000;
/// Seconds by which one request moves the clock: ten years.
const MOST_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// What the truth is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Records(Kind),
    Prices,
    Availability,
    /// Records of the fixture at this place.
    Fixture(usize),
}

impl Truth {
    /// By the name of a resource, or of a view of products.
    pub fn parse(account: &Account, name: &str) -> Option<Self> {
        match name {
            "product_price" => Some(Self::Prices),
            "product_availability" => Some(Self::Availability),
            name => account.resource(name).map(|resource| match resource {
                ResourceId::Kind(kind) => Self::Records(kind),
                ResourceId::Fixture(place) => Self::Fixture(place),
            }),
        }
    }

    /// The resource whose ids it goes by.
    pub fn resource(self) -> ResourceId {
        match self {
            Self::Records(kind) => ResourceId::Kind(kind),
            Self::Prices | Self::Availability => ResourceId::Kind(Kind::Product),
            Self::Fixture(place) => ResourceId::Fixture(place),
        }
    }

    /// The lines of a record, newlines included; nothing for what is not served.
    pub fn line(self, state: &State, record: &Record, out: &mut String) {
        let world = &state.account.world;
        match self {
            Self::Records(kind @ (Kind::GoodsOutNote | Kind::GoodsInNote)) => {
                let _ = write!(out, "{{\"id\":{},\"document\":", record.id);
                kinds::document(kind, world, record, With::ALL, out);
                out.push('}');
            }
            Self::Records(kind) => kinds::document(kind, world, record, With::ALL, out),
            Self::Prices => price::document(world, record, out),
            Self::Fixture(place) => return state.account.fixture(place).truth(world, record, out),
            Self::Availability => {
                if !product::stock_tracked(world, record.id) {
                    return;
                }
                let _ = write!(out, "{{\"id\":{},\"document\":", record.id);
                availability::document(world, record, With::ALL, out);
                out.push('}');
            }
        }
        out.push('\n');
    }
}

impl Truth {
    /// The line of the rows that the tables must have for a record, newline included; nothing for what is no fixture.
    pub fn expected(self, state: &State, record: &Record, out: &mut String) {
        if let Self::Fixture(place) = self {
            let _ = write!(out, "{{\"id\":{},\"tables\":", record.id);
            state.account.fixture(place).expected(&state.account.world, record, out);
            out.push_str("}\n");
        }
    }
}

/// Does what a path says; `None` when there is nothing of that name. The error is the caller's mistake.
pub fn control(state: &mut State, path: &str, query: &str, body: &[u8]) -> Option<Result<Value, String>> {
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
        ["ids", name] => Truth::parse(&state.account, name)
            .ok_or_else(|| format!("{name} is no resource"))
            .map(|truth| json!(state.account.ids(truth.resource()).collect::<Vec<i64>>())),
        [verb @ ("insert" | "edit" | "touch" | "delete" | "restore"), name] => {
            let Some(resource) = Truth::parse(&state.account, name).map(Truth::resource) else {
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
fn change_settings(state: &mut State, body: &[u8]) -> Result<Value, String> {
    let changed: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut settings = state.settings.clone();
    settings.change(changed)?;
    state.set(settings);
    Ok(json!({}))
}
