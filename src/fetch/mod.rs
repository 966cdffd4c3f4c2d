//! Requests to the source: one client, one governor of its quota, and the order in which pages are requested and
//! joined.
//!
//! Takes paths and filters, gives bodies as they came, with the source's clock. Only GET and OPTIONS are ever sent to it; the
//! token service gets forms by POST.
//! Does hardly any CPU work: callers inflate and decode on worker threads. Fails (`Credentials`, `Refused`,
//! `Unreachable`, `Answer`) with the URL, never with a secret.

mod broken;
mod body;
mod inflate;
mod refusal;
mod idset;
mod throttle;
mod ledger;
mod retry;
mod http;
mod grant;
mod domain;
mod reach;
mod memory_budget;
mod received;
mod token_file;
mod auth;
mod login_grant;
mod authorisation;
mod clock;
mod request;
mod client;
mod search;
mod whole;
mod page_request;
mod walk;
mod groups;
mod windows;
mod notify;

pub use auth::{AfterRefusal, Auth, Identified, TokenState};
pub use authorisation::Authorisation;
pub use body::{Body, DEEP};
pub use broken::Broken;
pub use client::Client;
pub use clock::SourceClock;
pub use domain::check_domain;
pub use http::Http;
pub use idset::{
    IdRanges, MOST_IDS, MOST_RANGES, chunks, collapse, count, expand, holds, join, parse_set, render, with, without,
};
pub use ledger::RequestLedger;
pub use memory_budget::{MemoryBudget, MemoryReservation, Unread};
pub use notify::notify;
pub use page_request::PageReader;
pub use refusal::{ErrorBody, error_body};
pub use request::{Answer, Method, Request, SourceReply};
pub use retry::RetryBudget;
pub use search::{ColumnMeta, Filter, Query, SearchPage, checked};
pub use throttle::{Governor, Permit, Quota};
pub use walk::{JoinedPage, Walk};
pub use whole::{BodyReader, WholeReply, read_whole};
pub use windows::split;
