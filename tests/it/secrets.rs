//! Secrets and their possible leaks. The search of every test run for secrets is in `support::Program`.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use pearlift::config::{Environment, Settings};
use pearlift::failure::Kind;
use pearlift::secret::{Redactor, Secret};

use crate::support::{Echo, Leaks, Program, account};

/// A token with every letter that is spelt in more than one way.
const TOKEN: &str = "planted+secret/token=";

fn program(source: &Echo, lake: &std::path::Path) -> Program {
    Program::bare(lake)
        .with("BRIGHTPEARL_STAFF_TOKEN", TOKEN)
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()))
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "1")
}

#[test]
fn a_source_that_echoes_the_token_anywhere_gets_it_into_no_line_and_no_file() {
    // GIVEN answers that hold the token in every place that we read, some with signs that steer a terminal
    let json = "Content-Type: application/json\r\n";
    let answers = [
        (401, json, r#"{"response":"Invalid instance token: {token}"}"#),
        (403, json, r#"{"errors":[{"code":"{token}","message":"no {token}\u001b[2J"}]}"#),
        (400, json, r#"{"errors":[{"code":"CMNC-001","message":"bad {token}\u001b[2J\n"}]}"#),
        (404, json, r#"{"errors":[{"code":"CMNC-404","message":"none of {token}"}]}"#),
        (500, json, r#"{"errors":[{"code":"CMNU-003","message":"{token}"}]}"#),
        (503, json, r#"{"response":"{token}"}"#),
        (302, "Location: /{token}\r\n", ""),
        (307, "Location: http://127.0.0.2:1/{token}\r\n", ""),
        (200, "Content-Type: text/html\r\n", "<html>{token}</html>"),
        (200, json, r#"{"response":"{token}"}"#),
        (200, json, r#"{"{token}":{token}}"#),
        (
            200,
            json,
            r#"{"response":[{"id":1,"createdOn":"{token}\u001b[2J","updatedOn":{"{token}":1},"name":["{token}"]}]}"#,
        ),
    ];
    let runs = [&["-v", "run", "brand"][..], &["-v", "--log-format", "json", "run", "brand"]];
    let others = [&["-v", "plan", "order"][..], &["check"]];
    for (number, (status, headers, body)) in answers.into_iter().enumerate() {
        let source = Echo::saying(status, headers, body);
        let folder = tempfile::tempdir().unwrap();
        // WHEN commands meet them, with all messages (`run` of the tests looks through it and through the files)
        let mut commands = vec![runs[number % 2], others[number / 2 % 2]];
        if status == 200 {
            // Only an answer that is no refusal is decoded as far as samples of values.
            commands.push(runs[(number + 1) % 2]);
        }
        for arguments in commands {
            let done = program(&source, &folder.path().join("lake")).run(arguments);
            // THEN nothing steers the terminal, and nothing panics
            let steers = |c: char| c.is_control() && c != '\n';
            assert!(!done.said().contains(steers), "{status} {body}: {}", done.said());
            assert!(!done.said().contains("panicked"), "{status} {body}: {}", done.said());
            assert!(!source.asked().is_empty());
        }
    }
}

#[test]
fn a_token_service_that_echoes_tokens_gets_them_into_no_line() {
    let source = Echo::saying(401, "Content-Type: application/json\r\n", "{}");
    for body in [
        r#"{"error":"invalid_grant","error_description":"planted+refresh/token= with planted-client-secret"}"#,
        "planted+refresh/token=",
        r#"{"error":"planted%2Brefresh%2Ftoken%3D","error_description":"planted+refresh\/token\u003d"}"#,
        r#"{"error":"planted%2brefresh%2ftoken%3d","error_description":"Planted&#43;Refresh/token= cGxhbnRlZCtyZWZyZXNoL3Rva2VuPQ=="}"#,
        r#"{"error":"invalid_client","error_description":"Basic YXBwOnBsYW50ZWQtY2xpZW50LXNlY3JldA==\nbrand 12,345 complete"}"#,
    ] {
        let tokens = Echo::saying(400, "Content-Type: application/json\r\n", body);
        let folder = tempfile::tempdir().unwrap();
        let done = program(&source, &folder.path().join("lake"))
            .without("BRIGHTPEARL_STAFF_TOKEN")
            .with("PEARLIFT_AUTH_KIND", "oauth")
            .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/token", tokens.root()))
            .with("PEARLIFT_AUTH_TOKEN_FILE", folder.path().join("tokens.json").to_str().unwrap())
            .with("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "planted+access/token=")
            .with("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "planted+refresh/token=")
            .with("BRIGHTPEARL_CLIENT_SECRET", "planted-client-secret")
            .run(&["-v", "run", "brand"])
            .expect(4);
        assert!(done.said().contains("refresh the OAuth token"), "{}", done.said());
        assert!(tokens.asked().iter().any(|asked| asked.starts_with("POST /token")));
    }
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    // GIVEN a source that sends us elsewhere
    let other = Echo::saying(200, "Content-Type: application/json\r\n", r#"{"response":[]}"#);
    for status in [301, 302, 303, 307, 308] {
        let source = Echo::saying(status, &format!("Location: {}/public-api/acme/x\r\n", other.root()), "");
        let folder = tempfile::tempdir().unwrap();
        // WHEN it is asked THEN we stop
        let done = program(&source, &folder.path().join("lake")).run(&["run", "brand"]).expect(4);
        assert!(done.said().contains("redirects elsewhere"), "{}", done.said());
    }
    // AND the other host has heard nothing, not even without a token
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    // GIVEN a source that states the length of its answer, and one that just sends
    let says = Echo::start(|_, stream| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{");
    });
    let sends = Echo::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n\r\n");
        let piece = vec![b' '; 1 << 20];
        while stream.write_all(&piece).is_ok() {}
    });
    for source in [says, sends] {
        let folder = tempfile::tempdir().unwrap();
        let done = program(&source, &folder.path().join("lake")).run(&["run", "brand"]).expect(4);
        // THEN it is not read to its end
        assert!(done.said().contains("the body is longer than 33554432 bytes"), "{}", done.said());
    }
}

#[test]
fn an_address_in_the_clear_or_with_a_password_is_refused_and_not_shown() {
    let source = Echo::saying(200, "", "");
    let folder = tempfile::tempdir().unwrap();
    let program = program(&source, &folder.path().join("lake"));
    let oauth = program
        .clone()
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "planted+refresh/token=");
    let bucket = program
        .clone()
        .with("PEARLIFT_DESTINATION_URL", "s3://lake/x")
        .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true");
    let cases = [
        (&program, "PEARLIFT_ACCOUNT_BASE_URL", "account.base_url"),
        (&oauth, "PEARLIFT_AUTH_TOKEN_URL", "auth.token_url"),
        (&bucket, "PEARLIFT_DESTINATION_S3_ENDPOINT", "destination.s3.endpoint"),
        (&bucket, "AWS_ENDPOINT_URL", "destination.s3.endpoint"),
        (&bucket, "AWS_ENDPOINT_URL_S3", "destination.s3.endpoint"),
        (&bucket, "AWS_ENDPOINT", "destination.s3.endpoint"),
        // The store's client takes a name in letters of any case.
        (&bucket, "AWS_Endpoint", "AWS_ENDPOINT_URL"),
        (&bucket, "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_STS"),
        (&bucket, "AWS_METADATA_ENDPOINT", "AWS_METADATA_ENDPOINT"),
        (&bucket, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    ];
    for (program, variable, key) in cases {
        for address in [
            "http://source.example/x",
            "ftp://127.0.0.1/x",
            "http://127.0.0.1.source.example/",
            "http://localhost.source.example/",
        ] {
            let done = program.clone().with(variable, address).run(&["run", "brand"]).expect(2);
            assert!(
                done.said().contains(key) && done.said().contains("loopback"),
                "{variable} {address}: {}",
                done.said()
            );
        }
        for address in ["https://user:planted-password@source.example/x", "https://user@source.example/x"] {
            let done = program.clone().with(variable, address).run(&["run", "brand"]).expect(2);
            assert!(done.said().contains(key), "{variable} {address}: {}", done.said());
            assert!(!done.said().contains("planted-password"), "{variable}: {}", done.said());
        }
    }
    // One on this machine is taken by http where the settings allow it, wherever it is written.
    let done = bucket
        .without("PEARLIFT_DESTINATION_S3_ALLOW_HTTP")
        .with("AWS_ENDPOINT", &source.root())
        .with("AWS_ACCESS_KEY_ID", "key")
        .with("AWS_SECRET_ACCESS_KEY", "planted-s3-secret")
        .run(&["status"]);
    assert_ne!(done.code, 0);
    assert_eq!(source.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_file_that_others_may_read_is_refused_before_anything_is_asked() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.json");
    let program = Program::new(&sandbox, folder.path().join("lake"))
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("PEARLIFT_AUTH_DEV_REF", "acme-dev")
        .with("PEARLIFT_AUTH_TOKEN_FILE", file.to_str().unwrap())
        .with("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "sandbox+access/token=");
    std::fs::write(&file, "{}").unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let done = program.run(&["run", "brand"]).expect(2);
        assert!(done.said().contains("others may read it") && done.said().contains("chmod 600"), "{}", done.said());
    }
    assert_eq!(sandbox.take_log().total(), 0);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    program.run(&["run", "brand"]).expect(0);
}

#[test]
fn credentials_show_nothing_of_themselves_not_even_in_a_panic() {
    // GIVEN credentials of each kind
    let vars = [
        ("BRIGHTPEARL_STAFF_TOKEN", "planted-staff"),
        ("BRIGHTPEARL_ACCOUNT_TOKEN", "planted-account"),
        ("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "planted-access"),
        ("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "planted-refresh"),
        ("BRIGHTPEARL_CLIENT_SECRET", "planted-client"),
    ];
    for kind in ["staff-token", "account-token", "oauth"] {
        let environment = Environment::new(vars.map(|(name, value)| (name.into(), value.into())));
        let text = format!("[auth]\nkind = '{kind}'\napp_ref = 'app'\n");
        let settings = Settings::from_text(None, &text, environment, &[]).unwrap();
        let credentials = settings.credentials(Timestamp::UNIX_EPOCH).unwrap();
        let auth = pearlift::fetch::Auth::new(credentials.clone(), "acme", Redactor::default()).unwrap();
        // WHEN a panic contains them
        let message = catch_unwind(AssertUnwindSafe(|| {
            let fails: fn(_) -> Result<(), _> = Err;
            fails((credentials, auth)).expect("this is to fail");
        }));
        // THEN its message does not show the secrets
        let message = *message.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("this is to fail") && !message.contains("planted-"), "{message}");
    }
    let secret = Secret::new(" planted-secret\n");
    assert_eq!(format!("{secret} {secret:?} {secret:#?} {secret:>20}"), "[secret] [secret] [secret] [secret]");
}

#[test]
fn a_redactor_knows_a_secret_however_it_is_spelt() {
    let redactor = Redactor::default();
    redactor.learn(&Secret::new(TOKEN));
    // A longer one that begins alike: nothing of it is left over.
    redactor.learn(&Secret::new(&format!("{TOKEN}17")));
    for text in [
        TOKEN.to_owned(),
        format!("{TOKEN}17"),
        "planted+secret/token\\u003d".to_owned(),
        "planted+secret\\/token\\u003d".to_owned(),
        "planted+secret\\/token=".to_owned(),
        serde_json::json!("planted+secret\\/token\\u003d").as_str().unwrap().to_owned(),
        "planted+secret/token\\\\u003d".to_owned(),
        "planted%2Bsecret%2Ftoken%3D".to_owned(),
    ] {
        assert_eq!(redactor.clean(&format!("<{text}>")), "<[secret]>", "{text}");
    }
    // Short texts are words of every day.
    redactor.learn(&Secret::new("the"));
    assert_eq!(redactor.clean("the end"), "the end");
}

#[test]
fn what_looks_for_leaks_finds_them() {
    let leaks = Leaks::of(&[("BRIGHTPEARL_STAFF_TOKEN".to_owned(), TOKEN.to_owned())]);
    for text in [
        TOKEN,
        "planted+secret/token\\u003d",
        "planted+secret\\/token\\u003d",
        "planted%2Bsecret%2Ftoken%3D",
        "planted%2bsecret%2ftoken%3d",
        "planted%252Bsecret%252Ftoken%253D",
        "Planted+Secret/Token=",
        "planted\\u002Bsecret\\u002Ftoken\\u003D",
        "planted\\\\u002bsecret\\\\/token\\\\u003d",
        "planted&#43;secret&#x2F;token&equals;",
        "planted&amp;#43;secret/token=",
        "cGxhbnRlZCtzZWNyZXQvdG9rZW49",
        "Basic YWNtZTpwbGFudGVkK3NlY3JldC90b2tlbj0=",
        "706c616e7465642b7365637265742f746f6b656e3d",
        "sandbox+access/token=1",
        "lake-secret",
    ] {
        assert!(leaks.in_text(&format!("x{text}y")).is_some(), "{text}");
    }
    for text in ["planted", "100% \\u00 &#; &x; %zz", "planted+secret/tokens"] {
        assert_eq!(leaks.in_text(text), None);
    }
}

#[test]
fn tls_is_rustls_and_nothing_turns_its_checks_off() {
    let root = env!("CARGO_MANIFEST_DIR");
    let lock: toml::Table = toml::from_str(&std::fs::read_to_string(format!("{root}/Cargo.lock")).unwrap()).unwrap();
    let names: Vec<&str> =
        lock["package"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"rustls") && names.len() > 100);
    for other in [
        "openssl",
        "openssl-sys",
        "native-tls",
        "hyper-tls",
        "tokio-native-tls",
        "boring",
        "boring-sys",
        "curl",
        "curl-sys",
    ] {
        assert!(!names.contains(&other), "{other} is in the tree");
    }
    let mut sources = Vec::new();
    for path in crate::support::files(std::path::Path::new(&format!("{root}/src"))) {
        sources.push(std::fs::read_to_string(path).unwrap());
    }
    for dangerous in ["danger_accept_invalid", "dangerous()", "with_allow_invalid_certificates", "tls_danger"] {
        assert!(sources.iter().all(|text| !text.contains(dangerous)), "{dangerous}");
    }
    // Every package comes from the one registry that is allowed, with its checksum.
    for package in lock["package"].as_array().unwrap() {
        let Some(source) = package.get("source") else {
            assert!(package["name"].as_str().unwrap().starts_with("pearlift"), "{package}");
            continue;
        };
        assert_eq!(source.as_str(), Some("registry+https://github.com/rust-lang/crates.io-index"), "{package}");
        assert!(package.get("checksum").is_some(), "{package}");
    }
}

#[test]
fn a_failure_to_read_a_secrets_file_names_the_file_and_not_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    // Bytes that are no text.
    std::fs::write(&file, b"planted-secret\xff").unwrap();
    let environment = Environment::new([("BRIGHTPEARL_STAFF_TOKEN_FILE".into(), file.clone().into_os_string())]);
    let settings = Settings::from_text(None, "", environment, &[]).unwrap();
    let failure = settings.credentials(Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(failure.kind(), Kind::Settings);
    let said = format!("{failure} {failure:?} {:?}", failure.advice());
    assert!(said.contains(file.to_str().unwrap()) && !said.contains("planted-secret"), "{said}");
}
