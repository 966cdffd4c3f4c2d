//! A request to the source, and its outcome.

use std::sync::Arc;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::fetch::{Body, ErrorBody, Unread};

/// The two methods that are ever sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Options,
}

/// A request: a path below the account's base, query included, raw.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    /// The resource that it is sent for, in events and failures.
    pub resource: Arc<str>,
    /// At most this many tries; `None` leaves it to the limits.
    pub tries: Option<u32>,
}

impl Request {
    /// A GET.
    pub fn get(resource: &Arc<str>, path: String) -> Self {
        Self { method: Method::Get, path, resource: Arc::clone(resource), tries: None }
    }

    /// An OPTIONS. Tried twice only: where it times out there is another way (docs/reading.md §20).
    pub fn options(resource: &Arc<str>, path: String) -> Self {
        Self { method: Method::Options, path, resource: Arc::clone(resource), tries: Some(2) }
    }
}

/// A good answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub body: Body,
    /// The source's clock when it answered (whole seconds).
    pub date: Timestamp,
    /// When the request began, by the earlier of the source's clock and ours: not later than it was.
    pub asked_at: Timestamp,
    /// The room that it takes until it is read; none where it is kept for long, and small.
    pub room: Option<Arc<Unread>>,
}

impl Answer {
    /// The same, without room: for one that is kept, so that others do not wait for it.
    pub fn kept(self) -> Self {
        Self { room: None, ..self }
    }
}

/// The outcome of a request.
#[derive(Debug)]
pub enum SourceReply {
    Good(Answer),
    /// The source understood and refused; asking again would not help.
    Refused {
        status: u16,
        error: ErrorBody,
        date: Timestamp,
    },
    /// The answer is longer than any that is read. The half of a set may not be.
    TooLong(Failure),
}
