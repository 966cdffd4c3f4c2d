//! The HTTP side: connections, routes, headers of every answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::authorise::PageAnswer;
use crate::body::{AnswerBody, whole};
use crate::control::control;
use crate::fault::Fault;
use crate::login::Tokens;
use crate::mishap::{Mishap, respond};
use crate::reply::Reply;
use crate::resource::ResourceId;
use crate::state::{Ask, ServerState, form, parameters};

/// Bytes of a request's body at most: settings and grants are far smaller.
const MAX_BODY: usize = 1 << 20;
/// Records of the truth written at once.
const TRUTH_CHUNK: usize = 500;

type Shared = Arc<Mutex<ServerState>>;

/// Held by each connection, and by each answer in the making.
pub type InHand = Arc<()>;

/// Serves until dropped; connections go with it.
pub async fn serve(listener: TcpListener, state: Shared, in_hand: InHand) {
    let address = listener.local_addr().expect("a bound socket has an address");
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A connection that broke before it was one is the caller's affair.
        let Ok((stream, _)) = accepted else { continue };
        let (state, in_hand) = (Arc::clone(&state), InHand::clone(&in_hand));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (state, in_hand) = (Arc::clone(&state), InHand::clone(&in_hand));
                async move { Ok::<_, Infallible>(route(state, address, request, in_hand).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            // So is one that ends early.
            let _ = server
                .auto_date_header(false)
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Another app of the account, calling evenly.
pub async fn call_as_another(state: Shared) {
    loop {
        let rate = state.lock().expect("no holder panics").settings.foreign;
        if rate == 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        }
        tokio::time::sleep(Duration::from_secs(60) / rate).await;
        state.lock().expect("no holder panics").foreign_call();
    }
}

async fn route(
    state: Shared,
    address: SocketAddr,
    request: Request<Incoming>,
    in_hand: InHand,
) -> Response<AnswerBody> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes) else {
        return json(413, format!("{{\"error\":\"the body is longer than {MAX_BODY} bytes, or broke off\"}}"));
    };
    if let Some(path) = path.strip_prefix("/sandbox/") {
        let token = state.lock().expect("no holder panics").settings.control_token.clone();
        return match permit(&parts, address, path, &token) {
            Ok(path) => steer(state, path, &query, &body),
            Err((status, why)) => json(status, serde_json::json!({"error": why}).to_string()),
        };
    }
    if parts.method == Method::POST && (path.ends_with("/oauth/token") || path.starts_with("/token/")) {
        let mut state = state.lock().expect("no holder panics");
        state.log.grants += 1;
        let now = state.now().as_second();
        let ServerState { settings, tokens, .. } = &mut *state;
        let (status, answer) = tokens.grant(settings, now, &form(&body), &address.to_string());
        return json(status, answer);
    }
    if let Some(account) = path.strip_prefix("/authorize/") {
        let mut state = state.lock().expect("no holder panics");
        let now = state.now().as_second();
        let posted = parts.method == Method::POST;
        let parameters = form(if posted { &body } else { query.as_bytes() });
        let ServerState { settings, tokens, .. } = &mut *state;
        return html(tokens.codes.answer(settings, now, account, &parameters, posted));
    }
    let gzip = parts
        .headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("gzip"));
    let latency = state.lock().expect("no holder panics").settings.latency;
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    // It continues even if the caller has disconnected.
    let work = tokio::task::spawn_blocking(move || {
        let answered = answer(&state, &parts, &path, &query, gzip);
        drop(in_hand);
        answered
    });
    match work.await.expect("answering does not panic") {
        Some(response) => response,
        // Until the caller gives up.
        None => std::future::pending().await,
    }
}

/// A request of the public API; `None` is never answered.
fn answer(
    shared: &Shared,
    parts: &hyper::http::request::Parts,
    path: &str,
    query: &str,
    gzip: bool,
) -> Option<Response<AnswerBody>> {
    let mut state = shared.lock().expect("no holder panics");
    state.churn();
    let prefix = format!("/public-api/{}/", state.settings.account);
    let ask = Ask {
        options: parts.method == Method::OPTIONS,
        path: path.strip_prefix(&prefix).unwrap_or_default(),
        parameters: parameters(query),
    };
    let verdict = state.admit(&ask);
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let now = state.now().as_second();
    let ServerState { settings, tokens, .. } = &mut *state;
    let judged = tokens.judge(settings, now, header);
    let (reply, ids, date) = match (verdict.allowed, judged) {
        (false, _) => {
            (Reply::text(503, "You have sent too many requests. Please wait before sending another request"), 0, 0)
        }
        (true, Err(refused)) => (refused, 0, 0),
        (true, Ok(())) if !path.starts_with(&prefix) => (Tokens::unknown_account(settings, path), 0, 0),
        (true, Ok(())) => {
            let whole = if query.is_empty() { ask.path.to_owned() } else { format!("{}?{query}", ask.path) };
            state.answer_wrongly(&ask, &whole)
        }
    };
    state.note(ask.path, reply.status, ids);
    let shifted = state.now().saturating_add(SignedDuration::from_secs(date));
    let (now, gzip) = (shifted.unwrap_or_else(|_| state.now()), gzip && state.settings.gzip);
    let fault = state.fault(path).filter(|_| reply.status == 200);
    state.log.faults += u64::from(fault.is_some());
    let mishap = fault.map(|fault| Mishap {
        fault,
        bomb: if fault == Fault::GzipBomb { state.bomb() } else { Bytes::new() },
        here: parts.uri.to_string(),
        elsewhere: format!("{}{}", state.settings.faults.elsewhere, parts.uri),
    });
    let headers = state.settings.headers.clone();
    drop(state);
    let answer = match mishap {
        Some(mishap) => mishap.answer(reply, verdict, now, gzip),
        None => Some(respond(reply, verdict, now, gzip)),
    };
    answer.map(|answer| with_headers(answer, &headers))
}

/// An answer with headers in place of its own.
fn with_headers(mut answer: Response<AnswerBody>, headers: &BTreeMap<String, String>) -> Response<AnswerBody> {
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
        answer.headers_mut().remove(&name);
        if !value.is_empty() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn json(status: u16, body: String) -> Response<AnswerBody> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json;charset=UTF-8")
        .body(whole(Bytes::from(body)))
        .expect("the headers are well formed")
}

/// A page, or the way to another address.
fn html(answer: PageAnswer) -> Response<AnswerBody> {
    let (status, location, body) = match answer {
        PageAnswer::Page(status, body) => (status, None, body),
        PageAnswer::Redirect(location) => (302, Some(location), String::new()),
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "text/html; charset=utf-8");
    if let Some(location) = location {
        response = response.header(LOCATION, location);
    }
    response.body(whole(Bytes::from(body))).expect("the headers are well formed")
}

/// The path behind the token of a control request, where it is one: a POST, to this host by name, of no web page, with
/// the token that was printed at the start. Else the status and the reason.
fn permit<'a>(
    parts: &hyper::http::request::Parts,
    address: SocketAddr,
    path: &'a str,
    token: &str,
) -> Result<&'a str, (u16, &'static str)> {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = address.port();
    if ![format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")]
        .iter()
        .any(|own| own == host)
    {
        return Err((403, "the Host is not this server's"));
    }
    if parts.headers.contains_key(ORIGIN) {
        return Err((403, "web pages may not change the account"));
    }
    if parts.method != Method::POST {
        return Err((405, "control requests are POST"));
    }
    let (given, path) = path.split_once('/').unwrap_or((path, ""));
    if given != token {
        return Err((403, "the path is /sandbox/TOKEN/…, with the token printed at the start"));
    }
    Ok(path)
}

/// A request of the person who operates the sandbox.
fn steer(state: Shared, path: &str, query: &str, body: &[u8]) -> Response<AnswerBody> {
    let expected = path.strip_prefix("expected/");
    if let Some(name) = path.strip_prefix("truth/").or(expected) {
        let resource = {
            let account = &state.lock().expect("no holder panics").account;
            account.resource(name)
        };
        let Some(resource) = resource else {
            return json(404, "{\"error\":\"no such resource\"}".to_owned());
        };
        return Response::builder()
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(BodyExt::boxed_unsync(StreamBody::new(lines(state, resource, expected.is_some()))))
            .expect("the headers are well formed");
    }
    let outcome = control(&mut state.lock().expect("no holder panics"), path, query, body);
    match outcome {
        Some(Ok(value)) => json(200, value.to_string()),
        Some(Err(why)) => json(400, serde_json::json!({"error": why}).to_string()),
        None => json(404, "{\"error\":\"docs/tasks/sandbox.md describes the control requests\"}".to_owned()),
    }
}

/// The truth, or the expected rows, some records at a time, as it is when they are written.
fn lines(
    state: Shared,
    resource: ResourceId,
    expected: bool,
) -> impl futures_util::Stream<Item = std::io::Result<Frame<Bytes>>> + Send {
    futures_util::stream::unfold((state, Some(-1)), move |(state, after)| async move {
        let after = after?;
        let mut out = String::new();
        let next = {
            let state = state.lock().expect("no holder panics");
            let ids: Vec<i64> = state.account.ids(resource).filter(|id| *id > after).take(TRUTH_CHUNK).collect();
            for id in &ids {
                let record = state.account.record(resource, *id);
                let fixture = state.account.fixture(resource);
                if expected {
                    fixture.expected(&state.account.world, &record, &mut out);
                } else {
                    fixture.truth(&state.account.world, &record, &mut out);
                }
            }
            ids.last().copied().filter(|_| ids.len() == TRUTH_CHUNK)
        };
        Some((Ok(Frame::data(Bytes::from(out))), (state, next)))
    })
}
