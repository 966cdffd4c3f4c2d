//! The body of an answer, whole or in pieces.

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;

pub type AnswerBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that is all there.
pub fn whole(bytes: Bytes) -> AnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
