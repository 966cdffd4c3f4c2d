//! The properties of a simulated account: its size, its secrets, and every guess about the real source as a setting.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::AnswerRule;
use crate::churn_settings::Churn;
use crate::fault::Faults;
use crate::pieces::SetPieces;
use crate::throttle::QuotaWindow;

/// The number of records of each resource; absent ones follow from the orders.
///
/// Fewer journals, notes or movements than orders have, and more supplier payments, suspend the rules that need them:
/// `rules` names them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Size {
    pub orders: u64,
    /// Records of a resource, by its name or by the name that its fixture counts them by.
    pub records: BTreeMap<String, u64>,
}

impl Size {
    /// The same with this many records of a resource.
    pub fn with(mut self, resource: &str, records: u64) -> Self {
        self.records.insert(resource.to_owned(), records);
        self
    }
}

impl Default for Size {
    fn default() -> Self {
        Self { orders: 2_000, records: BTreeMap::new() }
    }
}

/// A search that silently ignores one of its filters.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ignored {
    /// `order-search`.
    pub search: String,
    pub filter: String,
}

/// Everything about an account but its size.
/// More than twelve fields: one setting each.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    pub account: String,
    pub seed: u64,
    /// The account's display zone, an IANA name.
    pub zone: String,
    /// The account's clock at the start; none is the machine's.
    pub now: Option<Timestamp>,
    /// A folder with fixtures, added to those built in or in their place; read at the start.
    pub fixtures: Option<PathBuf>,
    /// Days over which the records were created until then.
    pub history: u32,
    pub app_ref: String,
    pub dev_ref: String,
    pub staff_token: String,
    pub account_token: String,
    pub client_id: String,
    pub client_secret: String,
    pub access_token: String,
    pub refresh_token: String,
    /// Redirect addresses that are registered for the app; none of them is any.
    pub redirect_uris: Vec<String>,
    /// Life of a code in seconds.
    pub code_life: i64,
    /// The status of a request for an account that is not served here: 404 or 401.
    pub unknown_account_status: u16,
    /// Whether a refresh gives a new refresh token, and ends the old one.
    pub rotates: bool,
    /// Life of an access token in seconds.
    pub token_life: i64,
    /// Requests that a granted access token is good for; 0 is any number.
    pub token_uses: u64,
    /// Fields laid over each grant of tokens; null takes the field away.
    pub grant: Map<String, Value>,
    /// Access tokens end before the answer of this number, counted in the log; 0 is never.
    pub expire_at: u64,
    /// The part of control paths that only the owner knows; empty is a random one.
    pub control_token: String,
    /// Requests a minute; 0 is no quota.
    pub limit: u32,
    pub quota: QuotaWindow,
    /// Milliseconds of the quota's period; a minute at the source.
    pub period: u64,
    /// Calls a minute of another app of the same account, evenly spread.
    pub foreign: u32,
    /// Rows of a search page at most; larger wishes are cut silently.
    pub page_cap: usize,
    /// Ids of a GET at most.
    pub max_ids: usize,
    /// Whether PERIOD bounds include their instants.
    pub inclusive: bool,
    /// The status of a filter that cannot be parsed: 500 as recorded in 2022, or 400 as a client of 2026 sees it.
    pub bad_filter_status: u16,
    /// Whether an unknown filter is refused; else it is ignored.
    pub refuses_unknown_filter: bool,
    pub ignored: Vec<Ignored>,
    /// Searches that cannot be sorted by their id.
    pub unsorted: Vec<String>,
    pub shuffles: bool,
    pub gzip: bool,
    /// Whether searches claim a number of results and ignore filters where their fixtures declare it.
    pub searches_lie: bool,
    /// Whether a goods movement has `updatedOn` before its first change.
    pub dated_movements: bool,
    /// Whether quantities and values of credits are negative; in the documentation's examples they are positive.
    pub negative_credits: bool,
    /// Bytes that the description of each product is filled up to.
    pub text_bytes: usize,
    /// Milliseconds before each answer.
    pub latency: u64,
    /// The code with which a set with a single bad id is refused; empty is the fixture's.
    pub refusal_code: String,
    /// Resources that refuse every set as they refuse one with a bad id.
    pub refuses_every_set: Vec<String>,
    /// Headers that take the place of an answer's own; an empty one leaves the header out.
    pub headers: BTreeMap<String, String>,
    /// Answers gone wrong.
    pub faults: Faults,
    /// Answers that are well formed and wrong.
    pub answers: Vec<AnswerRule>,
    /// Refusals and pages of documents.
    pub pieces: SetPieces,
    /// Changes between requests.
    pub churn: Churn,
    /// OPTIONS of more ids than this fails with an internal error; 0 never does.
    pub options_fail_above: usize,
    /// Ids of any kind that are listed and never returned by a GET.
    pub never_returned: Vec<i64>,
    /// Ids that neither OPTIONS nor a search shows and a GET returns, as of archived records.
    pub never_listed: Vec<i64>,
    /// OPTIONS leaves out this many ids of a hundred, though they are there.
    pub options_hides: u64,
}

impl SandboxSettings {
    /// Lays values over these settings; an unknown name or a wrong value is refused with its reason.
    pub fn change(&mut self, values: Map<String, Value>) -> Result<(), String> {
        let mut all = serde_json::to_value(&*self).map_err(|error| error.to_string())?;
        let object = all.as_object_mut().expect("settings are an object");
        object.extend(values);
        *self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            account: "acme".to_owned(),
            seed: 1,
            zone: "Europe/London".to_owned(),
            now: None,
            fixtures: None,
            history: 3 * 365,
            app_ref: "acme_export".to_owned(),
            dev_ref: "acme-dev".to_owned(),
            staff_token: "sandbox-staff-token".to_owned(),
            account_token: "sandbox-account-token".to_owned(),
            client_id: "acme_export".to_owned(),
            client_secret: "sandbox-client-secret".to_owned(),
            access_token: "sandbox+access/token=".to_owned(),
            refresh_token: "sandbox+refresh/token=".to_owned(),
            redirect_uris: Vec::new(),
            code_life: 600,
            unknown_account_status: 404,
            rotates: true,
            token_life: 604_800,
            token_uses: 0,
            grant: Map::new(),
            expire_at: 0,
            control_token: String::new(),
            limit: 200,
            quota: QuotaWindow::Fixed,
            period: 60_000,
            foreign: 0,
            page_cap: 500,
            max_ids: 200,
            inclusive: true,
            bad_filter_status: 500,
            refuses_unknown_filter: false,
            ignored: Vec::new(),
            unsorted: Vec::new(),
            shuffles: true,
            gzip: true,
            searches_lie: true,
            dated_movements: true,
            negative_credits: false,
            text_bytes: 0,
            latency: 0,
            refusal_code: String::new(),
            refuses_every_set: Vec::new(),
            headers: BTreeMap::new(),
            faults: Faults::default(),
            answers: Vec::new(),
            pieces: SetPieces::default(),
            churn: Churn::default(),
            options_fail_above: 0,
            never_returned: Vec::new(),
            never_listed: Vec::new(),
            options_hides: 0,
        }
    }
}
