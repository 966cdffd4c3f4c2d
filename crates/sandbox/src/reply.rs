//! An answer before it becomes HTTP.

use std::fmt::Write;

use crate::swell::Swell;
use crate::text::string;

/// Status and JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    /// `message-type`, as the source labels its answers.
    pub label: &'static str,
    /// Sent in place of the body.
    pub swell: Option<Box<Swell>>,
}

impl Reply {
    /// A good answer with this JSON as its `response`.
    pub fn good(response: &str) -> Self {
        Self { status: 200, body: format!("{{\"response\":{response}}}"), label: "get", swell: None }
    }

    /// A good answer with this whole body.
    pub fn whole(body: String) -> Self {
        Self { status: 200, body, label: "bulk-data-search", swell: None }
    }

    /// A refusal with a text in `response` (docs/brightpearl-api.md §2.3, §3.4).
    pub fn text(status: u16, text: &str) -> Self {
        let mut body = String::from("{\"response\":");
        string(&mut body, text);
        body.push('}');
        Self { status, body, label: "api-proxy", swell: None }
    }

    /// A refusal with a code (docs/brightpearl-api.md §8.1).
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let mut body = String::new();
        let _ = write!(body, "{{\"errors\":[{{\"code\":\"{code}\",\"message\":");
        string(&mut body, message);
        body.push_str("}]}");
        Self { status, body, label: "error", swell: None }
    }

    /// A path that leads nowhere.
    pub fn wrong_address(path: &str) -> Self {
        Self::error(404, "CMNC-404", &format!("Cannot find the resource /app/{path}"))
    }
}
