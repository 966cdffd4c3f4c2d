//! A source with any answers: raw HTTP on loopback, one answer a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Makes an answer of a request's text and writes it.
type Answer = dyn Fn(&str, &mut TcpStream) + Send + Sync;

/// A server; it ends when dropped.
pub struct Echo {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Echo {
    /// Serves on a free port.
    pub fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (noted, ended) = (Arc::clone(&asked), Arc::clone(&over));
        let answer: Arc<Answer> = Arc::new(answer);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let text = request(&mut stream);
                noted.lock().expect("nobody panics").push(text.clone());
                answer(&text, &mut stream);
            }
        });
        Self { address, asked, over, server: Some(server) }
    }

    /// A server with one answer for all: status, headers beside the length, body. `{token}` in it is replaced by the
    /// staff token of the request.
    pub fn saying(status: u16, headers: &str, body: &str) -> Self {
        let (headers, body) = (headers.to_owned(), body.to_owned());
        Self::start(move |request, stream| {
            let token =
                request.lines().find_map(|line| line.strip_prefix("brightpearl-staff-token: ")).unwrap_or_default();
            let body = body.replace("{token}", token);
            let headers = headers.replace("{token}", token);
            let head =
                format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that has heard enough is gone.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            server.join().expect("the server does not panic");
        }
    }
}

/// Head and body of a request.
fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return text,
            Ok(more) => bytes.extend_from_slice(&piece[..more]),
        }
    }
}
