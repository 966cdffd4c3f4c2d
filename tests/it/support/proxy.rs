//! A proxy between the program and an S3 server, which answers in its place on demand.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Gate;

/// The treatment of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers this status with this S3 code; the server hears nothing.
    Refuse(u16, &'static str),
    /// Lets the server do it, and answers this status all the same.
    DoneBut(u16, &'static str),
    /// Reports success for any request; the server receives nothing.
    Pretend,
    /// Answers that it is done, with this body; the server hears nothing.
    Say(&'static str),
    /// Answers this status, which leads to this address; the server hears nothing.
    Redirect(u16, String),
    /// Passes it on when the gate opens.
    Waits(Gate),
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    path: String,
    times: usize,
    answer: Answer,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: String,
    /// With its query.
    pub path: String,
    headers: hyper::HeaderMap,
}

impl Heard {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("it is text"))
    }
}

/// A proxy; it ends when dropped.
pub struct Proxy {
    address: std::net::SocketAddr,
    rules: Arc<Mutex<Vec<Rule>>>,
    log: Arc<Mutex<Vec<Heard>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Before the server at this address.
    pub async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let known = Arc::clone(&rules);
        let log: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let heard = Arc::clone(&log);
        let server = tokio::spawn(async move {
            let client = crate::support::client();
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (client, rules, to) = (client.clone(), Arc::clone(&known), to.clone());
                let heard = Arc::clone(&heard);
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let path = request.uri().path_and_query().unwrap().to_string();
                        let (method, headers) = (request.method().to_string(), request.headers().clone());
                        heard.lock().unwrap().push(Heard { method, path, headers });
                        let (client, rules, to) = (client.clone(), Arc::clone(&rules), to.clone());
                        async move { Ok::<_, Infallible>(pass(&client, &rules, &to, request).await) }
                    });
                    // A killed program breaks its connections.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, rules, log, server }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call: method, path and query.
    pub fn take_log(&self) -> Vec<(String, String)> {
        self.take_heard().into_iter().map(|heard| (heard.method, heard.path)).collect()
    }

    /// The same, whole.
    pub fn take_heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// So many requests of this method with this text in their path and query.
    pub fn answer(&self, method: &'static str, path: &str, times: usize, answer: Answer) {
        self.rules.lock().unwrap().push(Rule { method, path: path.to_owned(), times, answer });
    }

    /// Passes everything on from now on; gives how many answers were never wanted.
    pub fn heal(&self) -> usize {
        self.rules.lock().unwrap().drain(..).map(|rule| rule.times).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(
    client: &reqwest::Client,
    rules: &Mutex<Vec<Rule>>,
    to: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let answer = {
        let mut rules = rules.lock().unwrap();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.method == request.method().as_str() && path.contains(&rule.path));
        rule.map(|rule| {
            rule.times -= 1;
            rule.answer.clone()
        })
    };
    let refusal = |status: u16, code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>");
        Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap()
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return refusal(500, "InternalError") };
    match answer.clone() {
        Some(Answer::Refuse(status, code)) => return refusal(status, code),
        Some(Answer::Say(text)) => return Response::new(Full::new(Bytes::from(text))),
        Some(Answer::Pretend) => return Response::builder().header("etag", "\"1\"").body(Full::default()).unwrap(),
        Some(Answer::Redirect(status, to)) => {
            return Response::builder().status(status).header("location", to).body(Full::default()).unwrap();
        }
        Some(Answer::Waits(gate)) => gate.pass().await,
        Some(Answer::DoneBut(..)) | None => {}
    }
    let sent =
        client.request(parts.method, format!("{to}{path}")).headers(parts.headers).body(body.to_bytes()).send().await;
    let found = sent.expect("the server answers");
    let (status, headers) = (found.status(), found.headers().clone());
    let bytes = found.bytes().await.expect("the answer is whole");
    if let Some(Answer::DoneBut(status, code)) = answer {
        return refusal(status, code);
    }
    let mut response = Response::builder().status(status);
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str() != "transfer-encoding") {
        response = response.header(name, value);
    }
    response.body(Full::new(bytes)).unwrap()
}
