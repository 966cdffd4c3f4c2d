//! Error bodies (API notes §8): `{"errors":[{"code","message"}]}`, or a text in `response` (§2.3, §3).

use serde::Deserialize;

use crate::fetch::Body;

/// What an error body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// `CMNC-404` and the like; none when the body is no error list.
    pub code: Option<String>,
    pub message: String,
    /// The source's id of the request.
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    errors: Vec<WrittenError>,
    response: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct WrittenError {
    code: Option<String>,
    message: Option<String>,
}

/// Reads an error body; one that is no JSON has neither code nor message.
pub fn error_body(body: &Body) -> ErrorBody {
    let Some(written) = body.text().ok().and_then(|text| serde_json::from_slice::<Written>(&text).ok()) else {
        return ErrorBody::default();
    };
    match written.errors.into_iter().next() {
        Some(error) => ErrorBody { code: error.code, message: error.message.unwrap_or_default(), request_id: None },
        None => ErrorBody {
            code: None,
            request_id: None,
            message: written.response.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default(),
        },
    }
}

impl ErrorBody {
    /// Whether the code is of a client's mistake (`…C-…`): asking again would not help (API notes §8).
    pub fn is_final(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.split('-').next().is_some_and(|prefix| prefix.ends_with('C')))
    }
}
