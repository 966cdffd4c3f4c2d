//! From an answer to HTTP: as intended, or with a fault.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, LOCATION};
use jiff::{SignedDuration, Timestamp};

use crate::body::{AnswerBody, whole};
use crate::content::spoil;
use crate::fault::{Fault, http_date};
use crate::reply::Reply;
use crate::throttle::Verdict;

/// Headers of a flood, each of a kilobyte.
const FLOOD: usize = 500;

/// A good answer, or a refusal, as it is meant.
pub fn respond(reply: Reply, verdict: Verdict, now: Timestamp, gzip: bool) -> Response<AnswerBody> {
    let builder = Response::builder()
        .status(reply.status)
        .header(CONTENT_TYPE, "application/json;charset=UTF-8")
        .header(DATE, http_date(now))
        .header("brightpearl-requests-remaining", verdict.remaining)
        .header("brightpearl-next-throttle-period", verdict.returns_in.as_millis().to_string())
        .header("message-type", reply.label)
        .header("ruid", format!("{:032x}", now.as_nanosecond()))
        .header("cache-control", "no-cache, must-revalidate");
    if let Some(swell) = reply.swell {
        let builder = if swell.gzip { builder.header(CONTENT_ENCODING, "gzip") } else { builder };
        return builder.body(swell.body()).expect("the headers are well formed");
    }
    let (builder, body) = if gzip {
        (builder.header(CONTENT_ENCODING, "gzip"), compress(reply.body.as_bytes()))
    } else {
        (builder, Bytes::from(reply.body))
    };
    builder.body(whole(body)).expect("the headers are well formed")
}

/// An answer gone wrong.
pub struct Mishap {
    pub fault: Fault,
    /// The body of [`Fault::GzipBomb`].
    pub bomb: Bytes,
    /// Where redirects lead.
    pub here: String,
    pub elsewhere: String,
}

impl Mishap {
    /// The answer that replaces this one; `None` means that none is ever sent.
    pub fn answer(self, reply: Reply, verdict: Verdict, now: Timestamp, gzip: bool) -> Option<Response<AnswerBody>> {
        if let Some(content) = self.fault.content() {
            let body = spoil(&reply.body, content);
            return Some(respond(Reply { body, ..reply }, verdict, now, gzip));
        }
        let good = || respond(reply.clone(), verdict, now, false);
        let with = |body: AnswerBody| {
            let mut answer = good();
            *answer.body_mut() = body;
            answer
        };
        let zipped = |body: Bytes| {
            let mut answer = with(whole(body));
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        };
        let claiming = |length: usize| {
            let bytes = Bytes::from(reply.body.clone());
            let mut answer = with(BodyExt::boxed_unsync(StreamBody::new(stream::iter([Ok(Frame::data(bytes))]))));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            answer
        };
        let half = Bytes::from(reply.body.as_bytes()[..reply.body.len() / 2].to_vec());
        let busy = "{\"response\":\"Service Temporarily Unavailable\"}";
        Some(match self.fault {
            Fault::Internal => respond(Reply::error(500, "CMNU-003", "Internal Server Error"), verdict, now, false),
            Fault::Html500 => html(500),
            Fault::Html520 => html(520),
            Fault::LoginPage => html(200),
            Fault::Unavailable => respond(Reply::text(503, "Service Temporarily Unavailable"), verdict, now, false),
            Fault::UnavailableBare => bare(503, "x-cache", "none", busy),
            Fault::TooManySeconds => bare(429, "retry-after", "1", busy),
            Fault::TooManyDate => bare(429, "retry-after", &http_date(now + SignedDuration::from_secs(1)), busy),
            Fault::ResetBefore => Response::new(broken(Bytes::new())),
            Fault::ResetInside => with(broken(half)),
            Fault::Truncated => with(whole(half)),
            Fault::TooLong => claiming(reply.body.len() + 100),
            Fault::TooShort => claiming(reply.body.len() / 2),
            Fault::InvalidJson => with(whole(Bytes::from(reply.body.replacen(':', ";", 1)))),
            Fault::InvalidUtf8 => with(whole(Bytes::from([reply.body.as_bytes(), b"\xff\xfe"].concat()))),
            Fault::GzipGarbage => zipped(Bytes::from_static(b"this is no gzip, however long one looks at it")),
            Fault::GzipBomb => zipped(self.bomb.clone()),
            Fault::GzipLie => zipped(understated(reply.body.as_bytes())),
            Fault::HeaderFlood => {
                let mut answer = good();
                for number in 0..FLOOD {
                    let name = hyper::header::HeaderName::try_from(format!("x-flood-{number}"));
                    let value = HeaderValue::from_static("on and on");
                    answer.headers_mut().append(name.expect("letters and digits are a name"), value);
                }
                answer
            }
            Fault::RedirectHere => bare(307, LOCATION.as_str(), &self.here, ""),
            Fault::RedirectElsewhere => bare(307, LOCATION.as_str(), &self.elsewhere, ""),
            Fault::Trickle => with(endless(Bytes::from_static(b" "), Duration::from_millis(50))),
            Fault::Endless => with(endless(Bytes::from(vec![b' '; 1 << 20]), Duration::ZERO)),
            Fault::Hang => return None,
            Fault::NamedTwice
            | Fault::HugeNumber
            | Fault::Deep
            | Fault::HugeId
            | Fault::NegativeId
            | Fault::ImpossibleDate
            | Fault::OddTime => good(),
        })
    }
}

fn html(status: u16) -> Response<AnswerBody> {
    bare(status, CONTENT_TYPE.as_str(), "text/html", "<html><body><h1>Something went wrong</h1></body></html>")
}

/// An answer without a date and the quota's headers.
fn bare(status: u16, name: &str, value: &str, body: &str) -> Response<AnswerBody> {
    let builder = Response::builder().status(status).header(name, value);
    let builder =
        if name == CONTENT_TYPE.as_str() { builder } else { builder.header(CONTENT_TYPE, "application/json") };
    builder.body(whole(Bytes::from(body.to_owned()))).expect("the headers are well formed")
}

/// A body that never ends.
fn endless(bytes: Bytes, apart: Duration) -> AnswerBody {
    BodyExt::boxed_unsync(StreamBody::new(stream::unfold((), move |()| {
        let bytes = bytes.clone();
        async move {
            tokio::time::sleep(apart).await;
            Some((Ok(Frame::data(bytes)), ()))
        }
    })))
}

/// Gzip with last four bytes, the length of its content, that state ten.
fn understated(bytes: &[u8]) -> Bytes {
    let mut zipped = squeeze(bytes).to_vec();
    let tail = zipped.len() - 4;
    zipped[tail..].copy_from_slice(&10_u32.to_le_bytes());
    Bytes::from(zipped)
}

/// A body that breaks off behind these bytes, and the connection with it.
fn broken(bytes: Bytes) -> AnswerBody {
    let begun = Ok(Frame::data(bytes));
    let end = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    BodyExt::boxed_unsync(StreamBody::new(stream::iter([begun, end])))
}

/// Gzip of a good answer: stored as it is, for the fastest level does not compress.
pub fn compress(bytes: &[u8]) -> Bytes {
    gzip(bytes, libdeflater::CompressionLvl::fastest())
}

/// Gzip that is as small as it is soon made.
pub fn squeeze(bytes: &[u8]) -> Bytes {
    gzip(bytes, libdeflater::CompressionLvl::default())
}

fn gzip(bytes: &[u8], level: libdeflater::CompressionLvl) -> Bytes {
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut out).expect("the bound is enough");
    out.truncate(length);
    Bytes::from(out)
}
