//! A real S3 server (SeaweedFS) on loopback, for one test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Program;
use super::python::{S3_KEY, S3_SECRET, tool};

/// How long the server may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a bucket `lake`; it ends with the test.
pub struct Weed {
    child: Child,
    port: u16,
    filer: u16,
    _folder: tempfile::TempDir,
}

impl Weed {
    /// Starts a server and waits until it serves.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let ports = free_ports();
        let [s3, master, volume, filer, admin] = ports;
        let mut command = Command::new(tool("weed"));
        command
            .env("AWS_ACCESS_KEY_ID", S3_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3_SECRET)
            .arg("mini")
            .arg(format!("-dir={}", folder.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=lake", "-webdav=false", "-admin.ui=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"])
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-admin.port={admin}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("the S3 server starts");
        let weed = Self { child, port: s3, filer, _folder: folder };
        weed.wait();
        weed
    }

    /// Ready once the bucket is there; the ports listen a little earlier.
    fn wait(&self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.has_bucket() {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "the server is another process, on the wall clock")]
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the S3 server does not serve");
    }

    /// Asks the file store below, which needs no signature.
    fn has_bucket(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.filer)) else { return false };
        let asked = stream.write_all(b"HEAD /buckets/lake/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ")
    }

    /// Unfinished uploads of parts, as the server keeps them.
    pub fn uploads(&self) -> Vec<String> {
        self.objects("lake/.uploads/")
    }

    /// What lies in a folder of the file store below, without folders; none where it does not exist.
    pub fn objects(&self, folder: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.filer)).expect("the file store listens");
        let asked = format!(
            "GET /buckets/{folder}?limit=10000 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).expect("it can be asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        if answer.starts_with("HTTP/1.1 404") {
            return Vec::new();
        }
        let json = &answer[answer.find('{').unwrap_or_else(|| panic!("no list: {answer}"))..];
        let json = &json[..=json.rfind('}').expect("it ends")];
        let listed: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"));
        let mut found = Vec::new();
        for entry in listed["Entries"].as_array().into_iter().flatten() {
            let path = entry["FullPath"].as_str().expect("an entry has a path");
            // A folder has the bit of folders in its mode.
            if entry["Mode"].as_u64().unwrap_or(0) & (1 << 31) == 0 {
                found.push(path.to_owned());
            } else {
                found.extend(self.objects(&format!("{}/", path.trim_start_matches("/buckets/"))));
            }
        }
        found
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The program with this server's address and credentials.
    pub fn reach(&self, program: Program) -> Program {
        program
            .with("AWS_ACCESS_KEY_ID", S3_KEY)
            .with("AWS_SECRET_ACCESS_KEY", S3_SECRET)
            .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &self.endpoint())
            .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true")
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now; a second set is offset by 10,000 for gRPC, which the server derives.
fn free_ports() -> [u16; 5] {
    let held: Vec<TcpListener> = std::iter::from_fn(|| TcpListener::bind(("127.0.0.1", 0)).ok())
        .filter(|listener| {
            let port = listener.local_addr().expect("a bound socket has an address").port();
            port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok()
        })
        .take(5)
        .collect();
    let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect();
    ports.try_into().expect("five were taken")
}
