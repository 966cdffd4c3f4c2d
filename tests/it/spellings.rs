//! Secrets that come back in another spelling, in a part, or from a source of credentials. That nothing is shown is looked at in
//! `support::Program`, with spellings of its own.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use pearlift::config::{Environment, learn};
use serde_json::json;

use crate::support::{Done, Echo, Leaks, Program};

/// A token of 44 letters, as the source's are.
const TOKEN: &str = "Planted+Token/0123456789abcdefghijklmnopqrs=";
const JSON: &str = "Content-Type: application/json\r\n";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn program(source: &Echo, lake: &Path, token: &str) -> Program {
    Program::bare(lake)
        .with("BRIGHTPEARL_STAFF_TOKEN", token)
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()))
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "1")
}

fn base64(text: &str) -> String {
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let value = (0..3).fold(0, |value, at| value << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        let letters = (0..4).map(|place| char::from(BASE64[value >> (18 - 6 * place) & 63]));
        out.extend(letters.take(three.len() + 1));
        out.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    out
}

/// Each letter that is neither a letter nor a digit, written so.
fn escaped(text: &str, write: impl Fn(u32) -> String) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { write(u32::from(c)) }).collect()
}

/// A text in many spellings.
fn spellings(text: &str) -> Vec<String> {
    vec![
        text.to_owned(),
        escaped(text, |c| format!("%{c:02X}")),
        escaped(text, |c| format!("%{c:02x}")),
        escaped(text, |c| format!("%25{c:02x}")),
        escaped(text, |c| format!("\\u{c:04X}")),
        escaped(text, |c| format!("\\u{c:04x}")),
        escaped(text, |c| format!("\\\\u{c:04x}")),
        text.replace('/', "\\/"),
        escaped(text, |c| format!("&#{c};")),
        escaped(text, |c| format!("&#x{c:X};")),
        escaped(text, |c| format!("&amp;#{c};")),
        base64(text),
        base64(text).replace('+', "-").replace('/', "_"),
        format!("Basic {}", base64(&format!("acme:{text}"))),
        base64(&format!("{{\"token\":\"{text}\"}}")),
        text.to_uppercase(),
        text.to_lowercase(),
        escaped(text, |c| format!("%{c:02x}")).to_uppercase(),
    ]
}

#[track_caller]
fn is_redacted(done: &Done, token: &str, from: &str) {
    assert!(done.said().contains("[secret]"), "{from}: {}", done.said());
    // Half of a token is enough for guessing the rest.
    let (half, said) = (&token[..token.len() / 2], done.said());
    assert!(!said.contains(half), "{from}: {said}");
}

#[test]
fn a_token_comes_back_in_no_spelling() {
    for (number, spelling) in spellings(TOKEN).into_iter().enumerate() {
        // GIVEN a source that quotes the token in a spelling of its own
        let message =
            json!({"errors": [{"code": "CMNC-001", "message": format!("bad token {spelling}!")}]}).to_string();
        let (status, body) = match number % 3 {
            0 => (400, message),
            1 => (401, json!({"response": format!("Invalid: {spelling}")}).to_string()),
            _ => (503, message),
        };
        let source = Echo::saying(status, JSON, &body);
        let folder = tempfile::tempdir().unwrap();
        // WHEN commands meet it THEN it is in none of their messages and files
        for format in ["text", "json"] {
            let arguments = ["-v", "--log-format", format, "run", "brand"];
            let done = program(&source, &folder.path().join("lake"), TOKEN).run(&arguments);
            is_redacted(&done, TOKEN, &spelling);
        }
    }
}

#[test]
fn a_token_with_quotes_and_backslashes_comes_back_in_no_json() {
    for token in ["pl\"anted\\quotes\"and\\more", "planted'<&>\\u003d%2b", "3dplanted-token", "\"planted\\"] {
        let folder = tempfile::tempdir().unwrap();
        for body in [
            json!({"errors": [{"code": "CMNC-001", "message": format!("={token}\u{1}")}]}),
            json!({"errors": [{"code": token, "message": json!({"token": token}).to_string()}]}),
            json!({"response": format!("\u{3d}{token}{token}")}),
        ] {
            let source = Echo::saying(400, JSON, &body.to_string());
            for format in ["text", "json"] {
                let arguments = ["-v", "--log-format", format, "run", "brand"];
                let done = program(&source, &folder.path().join("lake"), token).run(&arguments);
                is_redacted(&done, token, &body.to_string());
                // AND replacing leaves JSON valid
                if format == "json" {
                    done.stderr.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
                }
            }
        }
    }
}

#[test]
fn a_text_is_redacted_before_it_is_cut() {
    // GIVEN samples that are cut within the token: 43 of its 44 letters would be left
    let before = "x".repeat(60 - 43 - 2);
    let errors = "x".repeat(120 - 43 - 2);
    for body in [
        // A value that does not fit, and one in a spelling that is longer
        format!(r#"{{"response":[{{"id":1,"name":["{before}{TOKEN}"]}}]}}"#),
        format!(r#"{{"response":[{{"id":1,"name":["{}"]}}]}}"#, escaped(TOKEN, |c| format!("\\u{c:04x}"))),
        // Errors beside records
        format!(r#"{{"errors":["{errors}{TOKEN}"],"response":[{{"id":1,"name":"a"}}]}}"#),
        format!(r#"{{"errors":["{errors}{}"],"response":[]}}"#, escaped(TOKEN, |c| format!("\\u{c:04x}"))),
    ] {
        let source = Echo::saying(200, JSON, &body);
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        for arguments in [&["run", "brand"][..], &["-v", "--log-format", "json", "run", "brand"], &["-v", "check"]] {
            // WHEN they are shown, with `-v` or without
            let done = program(&source, &lake, TOKEN).run(arguments);
            // THEN no part of the token is
            assert!(!done.said().contains(&TOKEN[..16]), "{body}: {}", done.said());
        }
        // AND none is in a manifest or a report
        for file in crate::support::files(&lake.join("_pearlift")) {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert!(!text.contains(&TOKEN[..16]), "{}: {text}", file.display());
        }
    }
}

/// Serves credentials at `/role` and below, and a bucket that refuses with a quotation of the request, in a spelling.
fn bucket(credentials: &'static str, spell: fn(&str) -> String) -> Echo {
    Echo::start(move |request, stream| {
        let header = |name: &str| {
            let of = |line: &str| {
                Some(line.split_once(": ")?.1.to_owned()).filter(|_| line.to_ascii_lowercase().starts_with(name))
            };
            request.lines().find_map(of).unwrap_or_default()
        };
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path {
            "/latest/api/token" => (200, "planted-metadata-token".to_owned()),
            "/latest/meta-data/iam/security-credentials/" => (200, "role".to_owned()),
            _ if path.ends_with("/role") => (200, credentials.to_owned()),
            "/refuses" => (403, format!("not you: {}", spell(&header("authorization:")))),
            _ => {
                let heard = spell(&header("x-amz-security-token:"));
                (403, format!("<Error><Code>AccessDenied</Code>\n<Message>no {heard}</Message></Error>"))
            }
        };
        answer(stream, status, &body);
    })
}

fn answer(stream: &mut TcpStream, status: u16, body: &str) {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client that has heard enough is gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

const FETCHED: &str = r#"{"Code":"Success","AccessKeyId":"AKPUBLIC","SecretAccessKey":"planted+fetched/key",
    "Token":"planted+session/token==","Expiration":"2099-01-01T00:00:00Z"}"#;

#[test]
fn credentials_that_are_fetched_come_back_in_no_spelling() {
    let leaks = Leaks::known(
        ["planted+fetched/key", "planted+session/token==", "planted-container-token", "planted-metadata-token"]
            .map(str::to_owned),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("container-token");
    std::fs::write(&file, "Bearer planted-container-token").unwrap();
    let spells: [fn(&str) -> String; 4] = [
        str::to_owned,
        base64,
        |text| escaped(text, |c| format!("%{c:02x}")),
        |text| escaped(text, |c| format!("&#{c};")),
    ];
    for spell in spells {
        // GIVEN a bucket with credentials from a container's address, or from the machine's metadata
        let source = bucket(FETCHED, spell);
        let program = Program::bare("s3://lake/x")
            .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &source.root())
            .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true")
            .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
            .with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme");
        let container = program
            .clone()
            .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/role", source.root()))
            .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap());
        let machine = program.clone().with("AWS_METADATA_ENDPOINT", &source.root());
        for program in [&container, &machine] {
            for arguments in [&["status"][..], &["--log-format", "json", "run", "brand"], &["clean"]] {
                // WHEN it refuses with the session's token THEN that is not shown
                let done = program.run(arguments).expect(5);
                assert_eq!(leaks.in_text(&done.said()), None, "{}", done.said());
                assert!(done.said().contains("AccessDenied") && done.said().contains("[secret]"), "{}", done.said());
                assert!(!done.said().contains("<Message>no [secret]</Message></Error>\n<"), "{}", done.said());
            }
        }
        // AND neither is a text of the request for the credentials
        let refused = container.with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/refuses", source.root()));
        let done = refused.run(&["status"]).expect(5);
        assert_eq!(leaks.in_text(&done.said()), None, "{}", done.said());
        assert!(done.said().contains("not you: "), "{}", done.said());
    }
    // AND an answer that is no credential is not quoted
    for credentials in
        [r#""planted+session/token==""#, r#"["AKPUBLIC","planted+fetched/key",{"planted":1}]"#, r#"{"Token":7}"#]
    {
        let source = bucket(credentials, str::to_owned);
        let program = Program::bare("s3://lake/x")
            .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &source.root())
            .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true")
            .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/role", source.root()))
            .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap());
        let done = program.run(&["status"]).expect(5);
        assert_eq!(leaks.in_text(&done.said()), None, "{}", done.said());
    }
}

#[test]
fn secrets_in_variables_of_any_kind_are_known_from_the_beginning() {
    let vars = [
        ("BRIGHTPEARL_ACCOUNT_TOKEN", "planted-account-token"),
        ("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "planted-refresh-token"),
        ("AWS_SECRET_ACCESS_KEY", "planted-s3-key"),
        ("AWS_SESSION_TOKEN", "planted-session"),
        ("AWS_TOKEN", "planted-other-session"),
        ("HTTPS_PROXY", "http://shop:planted-proxy@proxy.example:3128"),
        ("all_proxy", "socks5://planted-proxy-user:planted%2Bword@proxy.example"),
        ("AWS_ENDPOINT", "https://key:planted-endpoint@h.example/x"),
        ("AMQP_URL", "amqp://shop:order@broker.example"),
    ];
    let environment = Environment::new(vars.map(|(name, value)| (name.into(), value.into())));
    learn(&environment);
    for secret in [
        "planted-account-token",
        "planted-refresh-token",
        "planted-s3-key",
        "planted-session",
        "planted-other-session",
        "planted-proxy",
        "planted%2Bword",
        "planted+word",
        "planted-endpoint",
    ] {
        assert_eq!(environment.redactor().clean(&format!("<{secret}>")), "<[secret]>", "{secret}");
        let basic = environment.redactor().clean(&base64(&format!("shop:{secret}")));
        assert!(basic.contains("[secret]"), "{secret}: {basic}");
    }
    for text in ["https://h.example/x", "order: complete"] {
        assert_eq!(environment.redactor().clean(text), text);
    }
}

#[test]
fn a_secret_of_a_file_is_known_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    for spelling in spellings(TOKEN) {
        let source = Echo::saying(401, JSON, &json!({"response": format!("Invalid: {spelling}")}).to_string());
        let done = program(&source, &folder.path().join("lake"), "")
            .without("BRIGHTPEARL_STAFF_TOKEN")
            .with("BRIGHTPEARL_STAFF_TOKEN_FILE", file.to_str().unwrap())
            .run(&["run", "brand"])
            .expect(4);
        is_redacted(&done, TOKEN, &spelling);
    }
}
