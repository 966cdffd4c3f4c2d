//! Azurite, the emulator of Azure Blob Storage, on loopback, for one test. `make azure` installs it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use ring::hmac::{HMAC_SHA256, Key, sign};

use super::{Program, root};

/// The account of the emulator, and the bytes of its key.
const ACCOUNT: &str = "acmelake";
const SECRET: &str = "planted-key-of-the-azure-account";
/// The key as it is configured: [`SECRET`] in base64.
const KEY: &str = "cGxhbnRlZC1rZXktb2YtdGhlLWF6dXJlLWFjY291bnQ=";
/// The version of the protocol of [`Azurite::signature`].
const VERSION: &str = "2022-11-02";
/// How long the emulator may take to listen: Node.js loads some hundred modules, slowly on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_secs(180);

/// An emulator with a container `lake`; it ends with the test.
pub struct Azurite {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Azurite {
    /// Starts an emulator and waits until it serves.
    pub async fn start() -> Self {
        let tool = root().join(".npm-azurite/node_modules/.bin/azurite-blob");
        assert!(tool.exists(), "{} is missing: `make azure` installs it", tool.display());
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = {
            let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
            free.local_addr().expect("it is bound").port()
        };
        let child = Command::new(tool)
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .args(["--location", folder.path().to_str().expect("the path is text")])
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            // The client may be of a newer version of the protocol than the emulator.
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--silent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        let azurite = Self { child, port, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < LONGEST_WAIT, "the emulator does not serve");
            #[expect(clippy::disallowed_methods, reason = "the emulator is another process, on the wall clock")]
            std::thread::sleep(Duration::from_millis(100));
        }
        azurite.make_container().await;
        azurite
    }

    async fn make_container(&self) {
        let address = format!("{}/lake?restype=container", self.endpoint());
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = reqwest::Method::PUT;
        *request.uri_mut() = address.parse().expect("it is an address");
        let zero = reqwest::header::HeaderValue::from_static("0");
        request.headers_mut().insert(reqwest::header::CONTENT_LENGTH, zero);
        let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).expect("it is a key"));
        AzureAuthorizer::new(&credential, ACCOUNT).try_authorize(&mut request).expect("it can be signed");
        let sent = crate::support::client().put(&address).headers(request.headers().clone()).send().await;
        let answer = sent.expect("the emulator answers");
        let status = answer.status();
        assert_eq!(status, 201, "{:?}", answer.text().await);
    }

    /// The address of the account.
    pub fn endpoint(&self) -> String {
        format!("{}/{ACCOUNT}", self.root())
    }

    /// The address of the emulator.
    pub fn root(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The program with this emulator's address and key.
    pub fn reach(&self, program: Program) -> Program {
        self.at(program, &self.root()).with("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    }

    /// The program with the address of a proxy before the emulator, and its key.
    pub fn reach_through(&self, program: Program, root: &str) -> Program {
        self.at(program, root).with("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    }

    /// The program with an address of the emulator and no credentials.
    pub fn at(&self, program: Program, root: &str) -> Program {
        program
            .with("PEARLIFT_DESTINATION_AZURE_ACCOUNT", ACCOUNT)
            .with("PEARLIFT_DESTINATION_AZURE_ENDPOINT", &format!("{root}/{ACCOUNT}"))
            .with("PEARLIFT_DESTINATION_AZURE_ALLOW_HTTP", "true")
    }

    /// A shared access signature of the container with these permissions, until an instant such as
    /// `2099-01-01T00:00:00Z`. One of the account would do at Azure; Azurite takes none for requests that delete several
    /// objects.
    pub fn signature(permissions: &str, until: &str) -> String {
        let container = format!("/blob/{ACCOUNT}/lake");
        // Start, identifier, addresses, protocol; then snapshot, encryption and five headers of answers: all empty.
        let named = [permissions, "", until, &container, "", "", "", VERSION, "c"];
        let lines = named.into_iter().chain([""; 7]).collect::<Vec<_>>().join("\n");
        let signed = sign(&Key::new(HMAC_SHA256, SECRET.as_bytes()), lines.as_bytes());
        let sig = base64(signed.as_ref());
        let pairs = [("sv", VERSION), ("sr", "c"), ("sp", permissions), ("se", until), ("sig", &sig)];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The options of the library deltalake for this account.
    pub fn delta_options(&self) -> serde_json::Value {
        serde_json::json!({
            "azure_storage_account_name": ACCOUNT,
            "azure_storage_account_key": KEY,
            "azure_storage_endpoint": self.endpoint(),
            "azure_allow_http": "true",
        })
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes in base64, with its padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |number, at| number << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter = LETTERS[number >> (18 - 6 * place) & 63];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
