//! A listener on 127.0.0.1 that takes one answer to a login.
//!
//! Requests that are no answer to this login get a page that says so, and change nothing: any page in the browser can
//! send them. The pages repeat no text of the request.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::failure::{Failure, Kind, Result};
use crate::login::answer::LoginAnswer;
use crate::login::redirect::RedirectAddress;

/// Connections at a time: a browser opens a few.
const CONNECTIONS: usize = 16;
/// A request's head must have come within this time, and has at most so many bytes.
const HEAD_FOR: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 16 << 10;
/// The browser's page is given this time to arrive once the answer is here.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A listener that is bound and has not been answered.
#[derive(Debug)]
pub struct AnswerListener {
    listener: TcpListener,
    redirect: RedirectAddress,
}

/// The login that requests may answer.
#[derive(Debug)]
struct Expected {
    path: String,
    state: String,
    answers: mpsc::Sender<LoginAnswer>,
}

impl AnswerListener {
    /// Listens at the port of the redirect address; at a free one where that is 0. Refuses (`Usage`) a port that is
    /// taken.
    pub async fn bind(redirect: RedirectAddress) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Failure::new(Kind::Usage, "listen for the answer to the login")
                .at(format!("127.0.0.1:{}", redirect.port()))
                .caused(error)
                .advise(
                    "choose another port with `--port`, and register that redirect address for the app; or use \
                     `--paste`, which needs no port",
                )
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, redirect.port())).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let redirect = if port == redirect.port() { redirect } else { redirect.with_port(port)? };
        Ok(Self { listener, redirect })
    }

    /// The redirect address, with the port that is listened to.
    pub fn redirect(&self) -> &RedirectAddress {
        &self.redirect
    }

    /// The first answer that repeats `state`. Fails (`Credentials`) when none comes within this time.
    pub async fn answer(self, state: &str, within: Duration) -> Result<LoginAnswer> {
        let (answers, mut answered) = mpsc::channel(1);
        let expected = Arc::new(Expected { path: self.redirect.path().to_owned(), state: state.to_owned(), answers });
        let mut connections = JoinSet::new();
        let time_up = tokio::time::sleep(within);
        tokio::pin!(time_up);
        let answer = loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => {
                    // A connection that broke before it was one is the caller's affair.
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, Arc::clone(&expected)));
                    }
                }
                Some(_) = connections.join_next() => {}
                Some(answer) = answered.recv() => break answer,
                () = &mut time_up => return Err(unanswered(within)),
            }
        };
        drop(self.listener);
        let rest = async { while connections.join_next().await.is_some() {} };
        // A browser that does not take its page does not hold up the login.
        let _ = tokio::time::timeout(LAST_PAGE, rest).await;
        Ok(answer)
    }
}

fn unanswered(within: Duration) -> Failure {
    Failure::new(Kind::Credentials, "log in")
        .because(format!("no answer came within {}", humantime::format_duration(within)))
        .advise(
            "run `pearlift auth login` again and allow the app in a browser on this machine; with a browser elsewhere, \
             use `--paste`",
        )
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, expected: Arc<Expected>) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let response = respond(&request, &expected);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    // One that ends early is the browser's affair.
    let _ = server
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .header_read_timeout(HEAD_FOR)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The page for a request; the first answer to the login is passed on.
fn respond<B>(request: &Request<B>, expected: &Expected) -> Response<Full<Bytes>> {
    if request.uri().path() != expected.path {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    if request.method() != Method::GET {
        return page(StatusCode::METHOD_NOT_ALLOWED, "An answer to a login is a GET.");
    }
    let Some(answer) = LoginAnswer::read(request.uri().query().unwrap_or_default(), &expected.state) else {
        return page(StatusCode::BAD_REQUEST, "This is no answer to the login that pearlift waits for.");
    };
    let was_allowed = matches!(answer, LoginAnswer::Code(_));
    match (expected.answers.try_send(answer), was_allowed) {
        (Ok(()), true) => page(StatusCode::OK, "The answer has arrived. The terminal shows the result of the login."),
        (Ok(()), false) => page(StatusCode::OK, "The login was not allowed. The terminal shows the reason."),
        (Err(_), _) => page(StatusCode::CONFLICT, "The login has been answered already."),
    }
}

fn page(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>pearlift</title></head>\n\
         <body><p>{text}</p></body></html>\n"
    );
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .header(CACHE_CONTROL, "no-store")
        .header(CONTENT_SECURITY_POLICY, "default-src 'none'")
        .header(REFERRER_POLICY, "no-referrer")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .expect("the headers are well formed")
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
