//! A real S3 server (SeaweedFS) on loopback, for one test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use pearlift::config::Destination;
use pearlift::store::Store;

use super::Program;
use super::python::{S3_KEY, S3_SECRET, tool};

/// How long the server may take to listen.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
        Self::configured(None)
    }

    /// Starts one that encrypts with keys of its own management service, which makes each key that is named.
    pub fn with_keys() -> Self {
        let identity = serde_json::json!({
            "name": "lake",
            "credentials": [{"accessKey": S3_KEY, "secretKey": S3_SECRET}],
            "actions": ["Admin"],
        });
        let local = serde_json::json!({"type": "local", "enableOnDemandCreate": true});
        let keys = serde_json::json!({"default_provider": "local", "providers": {"local": local}});
        Self::configured(Some(serde_json::json!({"identities": [identity], "kms": keys})))
    }

    fn configured(settings: Option<serde_json::Value>) -> Self {
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
        if let Some(settings) = settings {
            let path = folder.path().join("s3.json");
            std::fs::write(&path, settings.to_string()).expect("it can be written");
            command.arg(format!("-s3.config={}", path.display()));
        }
        let child = command.spawn().expect("the S3 server starts");
        let weed = Self { child, port: s3, filer, _folder: folder };
        weed.wait();
        weed
    }

    /// Ready once the bucket is there; the ports listen a little earlier.
    fn wait(&self) {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_WAIT {
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

    /// The bucket by a client of S3 that is not the program's.
    pub fn bucket(&self) -> AmazonS3 {
        let builder = credentials().with_bucket_name("lake").with_endpoint(self.endpoint()).with_allow_http(true);
        builder.build().expect("it is well described")
    }

    /// The program's destination, opened in this process, which has no credentials in its environment.
    pub fn store(&self, program: &Program) -> Store {
        match program.request(&[]).settings.destination().expect("it is set") {
            Destination::S3(s3) => Store::bucket(&s3, credentials()).expect("it opens"),
            Destination::Local(_) | Destination::Azure(_) | Destination::Cloud(_) => program.store(),
        }
    }

    /// Begins an upload of parts of this key, and does not finish it.
    pub async fn begin_upload(&self, key: &str) {
        let (bucket, path) = (self.bucket(), Path::parse(key).expect("it is a key"));
        let id = bucket.create_multipart(&path).await.expect("an upload can be begun");
        bucket.put_part(&path, &id, 0, PutPayload::from(vec![7; 5 << 20])).await.expect("a part can be put");
    }

    /// The keys of all objects, letter by letter.
    pub async fn keys(&self) -> Vec<String> {
        let listed: Vec<_> = self.bucket().list(None).try_collect().await.expect("it can be listed");
        listed.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    /// The value of a header of an object, as the server states it.
    pub async fn header(&self, key: &str, name: &str) -> Option<String> {
        let path = Path::parse(key).expect("it is a key");
        let address = self.bucket().signed_url(reqwest::Method::HEAD, &path, Duration::from_secs(60)).await;
        let answer = crate::support::client().head(address.expect("it can be signed")).send().await;
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status(), 200, "{key}");
        answer.headers().get(name).map(|value| value.to_str().expect("it is text").to_owned())
    }

    /// Deletes all objects.
    pub async fn clear(&self) {
        let bucket = self.bucket();
        for key in self.keys().await {
            bucket.delete(&Path::parse(key).expect("it is a key")).await.expect("it can be deleted");
        }
    }

    /// The keys of unfinished uploads, as the server lists them; other remains in its file store would be paid for too.
    pub async fn uploads(&self) -> Vec<String> {
        let query = SignedUrlOptions::new().with_query([("uploads", ""), ("max-uploads", "1000")]);
        let (bucket, top) = (self.bucket(), Path::default());
        let address = bucket.signed_url_opts(reqwest::Method::GET, &top, Duration::from_secs(60), &query);
        let client = crate::support::client();
        let answer = client.get(address.await.expect("it can be signed")).send().await.expect("the server answers");
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("the answer is text");
        assert!(text.contains("<ListMultipartUploadsResult"), "{text}");
        let keys = text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap_or_default().to_owned());
        let mut keys: Vec<String> = keys.collect();
        keys.sort();
        assert!(!keys.is_empty() || self.objects("lake/.uploads/").is_empty(), "parts are left that no list shows");
        keys
    }

    /// The objects in a folder of the file store below, without folders; none where it does not exist.
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

fn credentials() -> AmazonS3Builder {
    AmazonS3Builder::new().with_access_key_id(S3_KEY).with_secret_access_key(S3_SECRET)
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
