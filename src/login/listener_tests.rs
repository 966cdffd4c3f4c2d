//! The listener: which requests answer a login, and where it listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::AnswerListener;
use crate::failure::Kind;
use crate::login::{LoginAnswer, RedirectAddress};
use crate::secret::Secret;

const LONG: Duration = Duration::from_secs(600);

async fn listener() -> AnswerListener {
    AnswerListener::bind(RedirectAddress::new("http://127.0.0.1:0/callback").unwrap()).await.unwrap()
}

/// Sends a request, gives the answer whole.
async fn send(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_first_answer_with_the_text_of_the_login_is_taken_and_no_other_request_ends_it() {
    // GIVEN a listener at a free port
    let listener = listener().await;
    let port = listener.redirect().port();
    assert_eq!(listener.redirect().text(), format!("http://127.0.0.1:{port}/callback"));
    assert_eq!(listener.listener.local_addr().unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let answer = tokio::spawn(listener.answer("right", LONG));

    // WHEN other requests come THEN they are refused, and their text is not repeated
    for (head, status) in [
        ("GET /favicon.ico", "404"),
        ("GET /callback", "400"),
        ("GET /callback?code=planted&state=wrong", "400"),
        ("GET /callback?code=planted", "400"),
        ("POST /callback?code=planted&state=right", "405"),
        ("GET /callback/?code=planted&state=right", "404"),
    ] {
        let text = send(port, head).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && !text.contains("planted"), "{head}: {text}");
    }
    assert!(!answer.is_finished());

    // WHEN the answer comes THEN it is taken, with its page, and nobody listens any more
    let text = send(port, "GET /callback?code=a%2Bcode&state=right").await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("no-store"), "{text}");
    assert_eq!(answer.await.unwrap().unwrap(), LoginAnswer::Code(Secret::new("a+code")));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
}

#[tokio::test]
async fn a_login_that_was_not_allowed_ends_with_its_reason() {
    let listener = listener().await;
    let port = listener.redirect().port();
    let answer = tokio::spawn(listener.answer("right", LONG));
    send(port, "GET /callback?error=access_denied&state=right").await;
    let refused = answer.await.unwrap().unwrap().code().unwrap_err();
    assert!(refused.kind() == Kind::Credentials && refused.to_string().contains("access_denied"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_login_without_an_answer_ends_in_time_also_while_a_connection_is_open() {
    let listener = listener().await;
    let _open = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.redirect().port())).await.unwrap();
    let late = listener.answer("right", LONG).await.unwrap_err();
    assert!(late.kind() == Kind::Credentials && late.to_string().contains("within 10m"), "{late}");
    assert!(late.advice().is_some_and(|advice| advice.contains("--paste")));
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_with_the_remedy() {
    let first = listener().await;
    let refused = AnswerListener::bind(first.redirect().clone()).await.unwrap_err();
    assert!(
        refused.kind() == Kind::Usage && refused.advice().is_some_and(|advice| advice.contains("--port")),
        "{refused}"
    );
}
