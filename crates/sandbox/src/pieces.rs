//! Refusals and pages of documents: records that spoil each set in which they are requested, a limit of the URL, lists
//! in pages, pages that never advance.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digits;
use crate::idset;
use crate::reply::Reply;

/// A record that the account cannot give: each GET of a set with it ends so.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spoiler {
    /// Text that the path holds: `order-service/order/`.
    pub path: String,
    pub id: i64,
    pub status: u16,
    pub code: String,
    pub message: String,
}

/// How documents are refused and paged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SetPieces {
    pub spoilers: Vec<Spoiler>,
    /// Bytes of a path below the account at most, else 414; 0 is any number.
    pub url_cap: usize,
    /// Text of the 400 with which larger sets than `max_ids` are refused; empty is the usual one.
    pub too_many: String,
    /// Records of a page of a list; 0 gives lists whole.
    pub list_page: usize,
    /// Documents at paths that hold this come on the same page for ever; empty is none.
    pub stuck: String,
}

impl SetPieces {
    /// The refusal of a GET, if it is refused.
    pub fn refuse(&self, path: &str, set: Option<&str>) -> Option<Reply> {
        if self.url_cap > 0 && path.len() > self.url_cap {
            return Some(Reply {
                status: 414,
                body: "<html>URI Too Long</html>".to_owned(),
                label: "api-proxy",
                swell: None,
            });
        }
        let ranges = idset::parse(set?).ok()?;
        let asked = |id: i64| ranges.iter().any(|(from, to)| (*from..=*to).contains(&id));
        let spoiler = self.spoilers.iter().find(|spoiler| path.contains(&spoiler.path) && asked(spoiler.id))?;
        Some(Reply::error(spoiler.status, &spoiler.code, &spoiler.message))
    }

    /// Whether this path gives its first page for ever.
    pub fn is_stuck(&self, path: &str) -> bool {
        !self.stuck.is_empty() && path.contains(&self.stuck)
    }

    /// The answer that claims that another page follows.
    pub fn claim_more(reply: Reply) -> Reply {
        let Ok(Value::Object(mut body)) = serde_json::from_str(&digits::hide(&reply.body)) else { return reply };
        if let Some(pagination) = body.entry("pagination").or_insert(json!({})).as_object_mut() {
            pagination.insert("morePagesAvailable".to_owned(), json!(true));
        }
        Reply { body: digits::show(&Value::Object(body).to_string()), ..reply }
    }
}
