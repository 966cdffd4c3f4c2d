//! Looks for secrets where none may be: in the messages of the program and in its files at the destination.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aho_corasick::AhoCorasick;

use super::files;
use super::python::{S3_SECRET, python};
use super::weed::Weed;

/// The secrets of the sandbox, and those of the tests' own S3 server. Tokens that a refresh gives begin as the first
/// one.
const KNOWN: [&str; 7] = [
    "sandbox-staff-token",
    "sandbox-account-token",
    "sandbox-client-secret",
    "sandbox+access/token",
    "sandbox+refresh/token",
    "planted-key-of-the-azure-account",
    S3_SECRET,
];

/// Secrets as they may be written once escapes are resolved: as they are, in base64, in hexadecimal.
#[derive(Clone, Debug)]
pub struct Leaks {
    /// The secret of each written form.
    secrets: Vec<String>,
    forms: AhoCorasick,
}

/// The files that were searched already, each with its size and the time of its last change.
#[derive(Clone, Debug, Default)]
pub struct Searched(Arc<Mutex<HashMap<PathBuf, (u64, SystemTime)>>>);

impl Searched {
    /// Whether a file is new or was changed since this was asked of it last.
    fn is_news(&self, path: &Path) -> bool {
        let Ok(known) = std::fs::metadata(path).and_then(|of| Ok((of.len(), of.modified()?))) else { return false };
        self.0.lock().unwrap().insert(path.to_owned(), known) != Some(known)
    }
}

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
        Self::known(secrets)
    }

    /// These secrets.
    pub fn known(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= 4);
        let (secrets, forms): (Vec<String>, Vec<String>) =
            secrets.flat_map(|secret| written(&secret).into_iter().map(move |form| (secret.clone(), form))).unzip();
        let forms = AhoCorasick::builder().ascii_case_insensitive(true).build(forms).expect("a few forms are searched");
        Self { secrets, forms }
    }

    /// The secret that a text holds, however it is spelt there.
    pub fn in_text(&self, text: &str) -> Option<&str> {
        let mut text = text.to_owned();
        // Escapes within escapes: as often as a program would wrap one answer in another.
        for _ in 0..6 {
            if let Some(found) = self.forms.find(&text) {
                return Some(&self.secrets[found.pattern().as_usize()]);
            }
            if !text.contains(['&', '\\', '%']) {
                break;
            }
            let plain = from_percent(&from_json(&from_html(&text)));
            if plain == text {
                break;
            }
            text = plain;
        }
        None
    }

    /// Panics where a text holds one.
    #[track_caller]
    pub fn refuse(&self, place: &str, text: &str) {
        if let Some(secret) = self.in_text(text) {
            panic!("{place} holds the secret `{secret}`:\n{text}");
        }
    }

    /// Panics if a manifest, a report, a plan, a lock at a local destination contains one. Rows of tables and rejected
    /// records are the account's data as received. Files that have not changed since they were searched are passed over.
    #[track_caller]
    pub fn refuse_below(&self, lake: &Path, searched: &Searched) {
        for path in files(&lake.join("_pearlift")).into_iter().filter(|path| searched.is_news(path)) {
            // Gone by now where another run is at work.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            self.refuse(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

/// Whether a variable holds a secret, or names a file that does.
pub fn is_secret(name: &str) -> bool {
    // Also with the prefix of an account.
    let ours = name.contains("BRIGHTPEARL_") || name.contains("PAN_SEC_BRIGHTPEARL-");
    let name = name.trim_end_matches("_FILE");
    let azure = name.starts_with("AZURE_") && ["_KEY", "_SAS_TOKEN", "_SECRET"].iter().any(|end| name.ends_with(end));
    let amazon = name.starts_with("AWS_") && (name.ends_with("_TOKEN") || name.starts_with("AWS_SECRET"));
    (ours && ["_TOKEN", "_SECRET", "_WEBHOOK_URL"].iter().any(|end| name.ends_with(end))) || amazon || azure
}

/// A secret in each spelling without escapes, in lower case.
fn written(secret: &str) -> Vec<String> {
    let hexadecimal = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.to_ascii_lowercase(), hexadecimal];
    for before in 0..3 {
        let inner = within_base64(secret.as_bytes(), before).to_ascii_lowercase();
        // Less is a word of every day.
        if inner.len() >= 8 {
            forms.extend([inner.replace('+', "-").replace('/', "_"), inner]);
        }
    }
    forms
}

/// The letters of base64 that are these bytes' alone where so many others go before.
fn within_base64(bytes: &[u8], before: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits: Vec<u8> = vec![0; before * 8];
    bits.extend(bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)));
    let sixes = bits.chunks_exact(6).skip((before * 8).div_ceil(6));
    let value = |six: &[u8]| six.iter().fold(0, |value, bit| value * 2 + usize::from(*bit));
    sixes.map(|six| char::from(LETTERS[value(six)])).collect()
}

/// `%2B` and `%2b` resolved.
fn from_percent(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `\u002b`, `\/`, `\"`, `\\` resolved.
fn from_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.strip_prefix('u').and_then(|code| u32::from_str_radix(code.get(..4)?, 16).ok());
        if let Some(c) = code.and_then(char::from_u32) {
            out.push(c);
            rest = &after[5..];
        } else if let Some(c) = after.chars().next().filter(char::is_ascii_punctuation) {
            out.push(c);
            rest = &after[1..];
        } else {
            out.push('\\');
            rest = after;
        }
    }
    out + rest
}

/// `&#43;`, `&#x2B;` and the names of characters that JSON and URLs escape resolved.
fn from_html(text: &str) -> String {
    let names =
        [("plus", '+'), ("sol", '/'), ("equals", '='), ("quot", '"'), ("apos", '\''), ("amp", '&'), ("bsol", '\\')];
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once(';').and_then(|(name, rest)| {
            let number = match name.to_ascii_lowercase().strip_prefix('#')?.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => name[1..].parse().ok(),
            };
            Some((number.and_then(char::from_u32)?, rest))
        });
        let known = || {
            let (name, rest) = part.split_once(';')?;
            Some((names.iter().find(|(known, _)| *known == name)?.1, rest))
        };
        match named.or_else(known) {
            Some((c, rest)) => {
                out.push(c);
                out.push_str(rest);
            }
            None => {
                out.push('&');
                out.push_str(part);
            }
        }
    }
    out
}

/// Panics where an object below `_pearlift/` of the bucket holds a secret that every test knows.
pub fn refuse_in_bucket(weed: &Weed) {
    let script = r#"
import base64, html, sys, pyarrow.fs as fs
from urllib.parse import unquote
endpoint, key, *secrets = sys.argv[1:]
store = fs.S3FileSystem(access_key=key, secret_key=secrets[-1], endpoint_override=endpoint, scheme="http", region="us-east-1")
looked = 0
for found in store.get_file_info(fs.FileSelector("lake", recursive=True)):
    if found.type == fs.FileType.File and "/_pearlift/" in found.path:
        text = store.open_input_file(found.path).read().decode("utf-8", "replace")
        for _ in range(4):
            for secret in secrets:
                inner = base64.b64encode(secret.encode()).decode()[:len(secret) * 4 // 3].lower()
                assert secret.lower() not in text.lower(), found.path
                assert inner not in text.lower(), found.path
            text = html.unescape(unquote(text)).replace("\\/", "/").replace("\\u003d", "=").replace("\\u002b", "+")
        looked += 1
assert looked > 10, looked
"#;
    let endpoint = weed.endpoint().replace("http://", "");
    let arguments: Vec<&str> = [endpoint.as_str(), super::python::S3_KEY].into_iter().chain(KNOWN).collect();
    python(script, &arguments);
}
