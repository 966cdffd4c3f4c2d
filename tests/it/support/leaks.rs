//! Looks for secrets where none may be: in what the program says and in what it leaves at the destination.

use std::path::Path;

use super::files;
use super::python::{S3_SECRET, python};
use super::weed::Weed;

/// What the sandbox gives out, and what the tests' own S3 server takes. Tokens that a refresh gives begin as the first one.
const KNOWN: [&str; 6] = [
    "sandbox-staff-token",
    "sandbox-account-token",
    "sandbox-client-secret",
    "sandbox+access/token",
    "sandbox+refresh/token",
    S3_SECRET,
];

/// Secrets, each in every way that it may be spelt.
#[derive(Clone, Debug)]
pub struct Leaks(Vec<String>);

impl Leaks {
    /// Those that every test knows, and those that a program's variables hold: values, and files that they name.
    pub fn of(vars: &[(String, String)]) -> Self {
        let mut secrets: Vec<String> = KNOWN.map(str::to_owned).to_vec();
        for (name, value) in vars.iter().filter(|(name, _)| is_secret(name)) {
            match name.ends_with("_FILE") {
                true => secrets.extend(std::fs::read_to_string(value).ok().map(|text| text.trim().to_owned())),
                false => secrets.push(value.trim().to_owned()),
            }
        }
        secrets.retain(|secret| secret.len() >= 4);
        let spelt = secrets.iter().flat_map(|secret| {
            let percent: String = secret.bytes().map(percent).collect();
            let json = secret.replace('=', "\\u003d");
            [
                secret.clone(),
                secret.replace('/', "\\/"),
                json.replace('/', "\\/"),
                json.replace('\\', "\\\\"),
                json,
                percent,
            ]
        });
        Self(spelt.collect())
    }

    /// The secret that a text holds.
    pub fn in_text(&self, text: &str) -> Option<&str> {
        self.0.iter().find(|secret| text.contains(secret.as_str())).map(String::as_str)
    }

    /// Panics where a text holds one.
    #[track_caller]
    pub fn refuse(&self, place: &str, text: &str) {
        if let Some(secret) = self.in_text(text) {
            panic!("{place} holds the secret `{secret}`:\n{text}");
        }
    }

    /// Panics where a manifest, a report, a plan, a lock at a local destination holds one. Rows of tables and misfit records are
    /// the account's data as it came.
    #[track_caller]
    pub fn refuse_below(&self, lake: &Path) {
        for path in files(&lake.join("_pearlift")) {
            // Gone by now where another run is at work.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            self.refuse(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

/// Whether a variable holds a secret, or names a file that does.
fn is_secret(name: &str) -> bool {
    let ours = name.starts_with("BRIGHTPEARL_") || name.starts_with("PAN_SEC_BRIGHTPEARL-");
    let name = name.trim_end_matches("_FILE");
    (ours && (name.ends_with("_TOKEN") || name.ends_with("_SECRET"))) || name.starts_with("AWS_SECRET")
}

fn percent(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// Panics where an object below `_pearlift/` of the bucket holds a secret that every test knows.
pub fn refuse_in_bucket(weed: &Weed) {
    let script = r#"
import sys, pyarrow.fs as fs
endpoint, key, *secrets = sys.argv[1:]
store = fs.S3FileSystem(access_key=key, secret_key=secrets[-1], endpoint_override=endpoint, scheme="http", region="us-east-1")
looked = 0
for found in store.get_file_info(fs.FileSelector("lake", recursive=True)):
    if found.type == fs.FileType.File and "/_pearlift/" in found.path:
        text = store.open_input_file(found.path).read()
        assert not any(secret.encode() in text for secret in secrets), found.path
        looked += 1
assert looked > 10, looked
"#;
    let endpoint = weed.endpoint().replace("http://", "");
    let arguments: Vec<&str> = [endpoint.as_str(), super::python::S3_KEY].into_iter().chain(KNOWN).collect();
    python(script, &arguments);
}
