//! HTTP to a bucket and to the services that give its credentials: no redirect, no referer, no proxy for unencrypted
//! addresses, and a bound for every body.
//!
//! Takes requests of the store's client, gives their answers. A body is read whole and within [`TEXT`] bytes and
//! [`ELEMENTS`] elements, unless the request is marked as that of an object's content ([`ObjectContent`]): that one is
//! passed on as it arrives, up to its stated length. Refuses redirects and http that leaves the machine ([`Untaken`]).

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::{BodyExt, Limited};
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error as StoreError, RetryConfig};
use url::Url;

use crate::config::{is_credential_service, is_loopback};
use crate::tls::install_provider;

/// Bytes of an answer that is no object. A list has at most 1,000 entries, each with a key of at most 1,024 bytes,
/// which escapes may make three times as long: 4 MiB.
const TEXT: usize = 8 << 20;
/// Elements of such an answer, counted by the signs that begin or divide them. A list has at most 1,000 entries of
/// about 12 elements, with a beginning and an end each. The reader keeps up to 100 bytes for one: 10 MiB.
const ELEMENTS: usize = 100_000;
/// Bytes of an answer that reports an error; the rest is cut off, for the status is enough.
const REPORT: usize = 64 << 10;
/// The time in which a connection is made, or counts as failed, unless the options set less.
const CONNECT: Duration = Duration::from_secs(5);
/// The text in place of a signature.
const SIGNATURE: &str = "[signature]";
/// Statuses and codes by which a service refuses a request that it does not know.
const UNKNOWN_REQUEST: ([u16; 2], [&str; 3]) =
    ([405, 501], ["NotImplemented", "MethodNotAllowed", "MalformedPOSTRequest"]);
/// A connection without a request is closed after this time: some services close theirs after five seconds, and a
/// conditional put that meets such an end is not sent again.
const IDLE: Duration = Duration::from_secs(4);
/// A request with its answer takes no longer: data goes in parts of 8 MiB, and is read in ranges.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A request to the store is tried this often, and for this long: an unreachable store is reported within a minute.
const TRIES: usize = 6;
const TRY_FOR: Duration = Duration::from_secs(60);

/// How requests to a store are tried again.
pub(super) fn retry() -> RetryConfig {
    RetryConfig { max_retries: TRIES, retry_timeout: TRY_FOR, ..RetryConfig::default() }
}

/// Marks the request of an object's content, with the length of the object.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObjectContent;

/// The reason why a request was not sent, or its answer not taken.
#[derive(Debug)]
pub(super) enum Untaken {
    /// A status that leads elsewhere.
    Redirect(u16),
    /// More bytes than any honest answer has.
    TooLong(usize),
    /// More elements than any honest answer has.
    TooMany(usize),
    /// Plain http to another machine, at this host.
    InTheClear(String),
    /// A list with a next page that was read already, or that is empty.
    NoProgress,
    /// A list of more than this many bytes.
    Endless(usize),
    /// The request to delete several objects at once, refused with this status as unknown.
    NoBulkDelete(u16),
    /// An object that is being copied, in this state.
    Copying(String),
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect(status) => {
                write!(f, "the service redirects elsewhere (HTTP {status}), and credentials do not follow")
            }
            Self::TooLong(bytes) => write!(f, "the answer is longer than {bytes} bytes"),
            Self::TooMany(elements) => write!(f, "the answer has more than {elements} elements"),
            Self::InTheClear(host) => write!(f, "{host} is addressed by http, which is accepted for loopback only"),
            Self::NoProgress => write!(f, "the list states that it continues, but does not"),
            Self::Endless(bytes) => write!(f, "the list is longer than {bytes} bytes"),
            Self::Copying(state) => write!(f, "the copy that is to become this object is `{state}`"),
            Self::NoBulkDelete(status) => {
                write!(f, "the service does not delete several objects at once (HTTP {status})")
            }
        }
    }
}

impl Error for Untaken {}

impl Untaken {
    /// The one among the causes of an error, if any.
    pub fn among<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(untaken) = error.downcast_ref() {
                return Some(untaken);
            }
            next = error.source();
        }
        None
    }

    /// As an error of the transport, which is not worth a second try.
    fn transport(self) -> HttpError {
        HttpError::new(HttpErrorKind::Decode, self)
    }
}

impl From<Untaken> for StoreError {
    fn from(untaken: Untaken) -> Self {
        Self::Generic { store: "bucket", source: Box::new(untaken) }
    }
}

/// Makes the clients.
#[derive(Debug, Default)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        install_provider();
        // The services of credentials are given up sooner.
        let stated = options.get_config_value(&ClientConfigKey::ConnectTimeout);
        let connect = stated.and_then(|text| humantime::parse_duration(&text).ok()).unwrap_or(CONNECT).min(CONNECT);
        let client = |builder: reqwest::ClientBuilder| {
            let built =
                builder.build().map_err(|error| StoreError::Generic { store: "bucket", source: Box::new(error) });
            Ok::<_, StoreError>(HttpClient::new(built?))
        };
        let proxied = client(builder(connect))?;
        Ok(HttpClient::new(Way { proxied, direct: client(builder(connect).no_proxy())? }))
    }
}

fn builder(connect: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("pearlift/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .http1_only()
        .pool_idle_timeout(IDLE)
        .connect_timeout(connect)
        .timeout(TIMEOUT)
}

#[derive(Debug)]
struct Way {
    proxied: HttpClient,
    direct: HttpClient,
}

impl Way {
    /// The client for an address. One in the clear is never asked through a proxy, which would read the credentials;
    /// nor is loopback, for the proxy has another one.
    fn to(&self, address: &str) -> Result<&HttpClient, Untaken> {
        let url = Url::parse(address).ok();
        let host = url.as_ref().and_then(Url::host);
        let local = host.as_ref().is_some_and(is_loopback);
        let is_open = url.as_ref().is_none_or(|url| url.scheme() != "https");
        if is_open && !local && !host.as_ref().is_some_and(is_credential_service) {
            return Err(Untaken::InTheClear(host.map_or_else(String::new, |host| host.to_string())));
        }
        Ok(if is_open || local { &self.direct } else { &self.proxied })
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = self.to(&request.uri().to_string()).map_err(Untaken::transport)?;
        let content = request.extensions().get::<ObjectContent>().is_some();
        let range = request.headers().get("range").and_then(|value| ranged(value.to_str().ok()?));
        let signature = signature(&request);
        let deletes = request.method().as_str() == "POST" && request.uri().query() == Some("delete");
        let answer = client.execute(request).await?;
        let status = answer.status();
        // 304 answers a condition.
        if status.is_redirection() && status.as_u16() != 304 {
            return Err(Untaken::Redirect(status.as_u16()).transport());
        }
        let (parts, body) = answer.into_parts();
        // Of Azure, whose copies may be made after the answer.
        let copied = parts.headers.get("x-ms-copy-status").and_then(|state| state.to_str().ok());
        if let Some(state) = copied.filter(|state| status.is_success() && *state != "success") {
            return Err(Untaken::Copying(state.to_owned()).transport());
        }
        let body = if !status.is_success() {
            let text = report(body).await;
            // Some services quote it, and it is valid for a while.
            let text = signature.iter().fold(text, |text, signature| text.replace(signature, SIGNATURE));
            let (statuses, codes) = UNKNOWN_REQUEST;
            if deletes && (statuses.contains(&status.as_u16()) || codes.iter().any(|code| text.contains(code))) {
                // Without the tries that an error of the server is worth.
                return Err(Untaken::NoBulkDelete(status.as_u16()).transport());
            }
            text.into()
        } else if content {
            let stated = parts.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
            cut(body, range.into_iter().chain(stated).min())
        } else {
            whole(body).await?.into()
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

impl HttpService for Way {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.ask(request))
    }
}

/// The signature of a request in its header.
fn signature(request: &HttpRequest) -> Option<String> {
    let text = request.headers().get("authorization")?.to_str().ok()?;
    let azure = || text.strip_prefix("SharedKey ")?.rsplit_once(':');
    let (_, signature) = text.rsplit_once("Signature=").or_else(azure)?;
    (!signature.is_empty()).then(|| signature.to_owned())
}

/// Bytes that a `Range` asks for: `bytes=5-9` is five.
fn ranged(value: &str) -> Option<usize> {
    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
    let to: usize = to.parse().ok()?;
    if from.is_empty() { Some(to) } else { to.checked_sub(from.parse().ok()?)?.checked_add(1) }
}

/// The content of an object: it breaks off where more comes than was requested or stated.
fn cut(body: HttpResponseBody, most: Option<usize>) -> HttpResponseBody {
    let Some(most) = most else { return body };
    let limited = Limited::new(body, most);
    HttpResponseBody::new(limited.map_err(|error| HttpError::new_boxed(HttpErrorKind::Decode, error)))
}

/// The body of an error report as text, cut off where it is long. One that breaks off is as good as its beginning.
async fn report(body: HttpResponseBody) -> String {
    let mut chunks = body.bytes_stream();
    let mut text = Vec::new();
    while let Some(Ok(chunk)) = chunks.next().await {
        text.extend_from_slice(&chunk[..chunk.len().min(REPORT - text.len())]);
        if text.len() >= REPORT {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The body of any other answer.
async fn whole(body: HttpResponseBody) -> Result<Vec<u8>, HttpError> {
    let mut chunks = body.bytes_stream();
    let (mut text, mut elements) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if text.len() + chunk.len() > TEXT {
            return Err(Untaken::TooLong(TEXT).transport());
        }
        elements += chunk.iter().filter(|byte| matches!(byte, b'<' | b'{' | b'[' | b',')).count();
        if elements > ELEMENTS {
            return Err(Untaken::TooMany(ELEMENTS).transport());
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_goes_through_a_proxy_and_http_stays_on_the_machine() {
        let way = Connector.connect(&ClientOptions::new()).map(|_| ()).and_then(|()| {
            let client = || Ok::<_, StoreError>(HttpClient::new(builder(CONNECT).build().unwrap()));
            Ok(Way { proxied: client()?, direct: client()? })
        });
        let way = way.unwrap();
        let taken = |address: &str| way.to(address).map(|client| std::ptr::eq(client, &way.proxied)).ok();
        for (address, proxied) in [
            ("https://bucket.example/lake", Some(true)),
            ("https://localhost:8333/lake", Some(false)),
            ("http://127.0.0.1:8333/lake", Some(false)),
            ("http://[::1]:8333/lake", Some(false)),
            ("http://169.254.169.254/latest", Some(false)),
            ("http://169.254.170.23/v1/credentials", Some(false)),
            ("http://169.254.170.2.example/v2", None),
            ("http://bucket.example/lake", None),
            ("ftp://bucket.example/lake", None),
        ] {
            assert_eq!(taken(address), proxied, "{address}");
        }
    }

    #[test]
    fn a_range_has_the_bytes_that_it_names() {
        assert_eq!(ranged("bytes=5-9"), Some(5));
        assert_eq!(ranged("bytes=-8"), Some(8));
        assert_eq!(ranged("bytes=9-5"), None);
        assert_eq!(ranged("bytes=5-"), None);
    }
}
