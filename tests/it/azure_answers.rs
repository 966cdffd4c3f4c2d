//! Azure Blob Storage before services that a test plays: copies that are made later, tokens, signatures, refusals.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Echo, Program};

const URL: &str = "az://lake/shop";

/// A service that answers each request by its text.
fn service(answer: impl Fn(&str) -> (u16, String, String) + Send + Sync + 'static) -> Echo {
    Echo::start(move |request, stream| {
        let (status, headers, body) = answer(request);
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        // A client that has heard enough is gone.
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    })
}

/// The program with a container of a played service.
fn played(service: &Echo) -> Program {
    Program::bare(URL)
        .with("PEARLIFT_DESTINATION_AZURE_ACCOUNT", "acmelake")
        .with("PEARLIFT_DESTINATION_AZURE_ENDPOINT", &service.root())
        .with("PEARLIFT_DESTINATION_AZURE_ALLOW_HTTP", "true")
}

const FOUND: &str = "ETag: \"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_azure_makes_later_is_waited_for_and_one_that_it_gives_up_is_no_copy() {
    for (last, is_copied) in [("success", true), ("aborted", false)] {
        // GIVEN a service that answers a copy before it is made
        let looks = AtomicUsize::new(0);
        let azure = service(move |request| {
            let state = match request.starts_with("HEAD") {
                true if looks.fetch_add(1, Ordering::SeqCst) >= 2 => last,
                true | false => "pending",
            };
            let status = if request.starts_with("PUT") { 202 } else { 200 };
            (status, format!("{FOUND}x-ms-copy-status: {state}\r\n"), String::new())
        });
        let store = played(&azure).with("AZURE_STORAGE_ACCOUNT_KEY", "cGxhbnRlZA==").store();
        // WHEN a file is copied THEN the copy is looked at until it is made or given up
        let copied = store.copy("_pearlift/staging/a", "brand/a").await;
        assert_eq!(copied.as_ref().is_ok_and(|done| *done), is_copied, "{copied:?}");
        let asked = azure.asked();
        assert_eq!(asked.iter().filter(|asked| asked.starts_with("HEAD")).count(), 3, "{asked:?}");
        if let Err(failure) = copied {
            assert!(failure.to_string().contains("aborted"), "{failure}");
        }
    }
}

#[test]
fn a_token_of_microsoft_entra_is_used_and_never_printed() {
    // GIVEN a service of tokens, and a container that quotes the token and refuses it
    let tokens = service(|_| {
        let body = r#"{"token_type":"Bearer","expires_in":3599,"expires_on":"4102444800","access_token":"planted-access-token"}"#;
        (200, "Content-Type: application/json\r\n".to_owned(), body.to_owned())
    });
    let azure = service(|request| {
        let quoted = request.lines().find(|line| line.starts_with("authorization:")).unwrap_or_default().to_owned();
        let body = format!("<Error><Code>AuthorizationPermissionMismatch</Code><Message>{quoted}</Message></Error>");
        (403, String::new(), body)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "planted-federated-token").unwrap();
    let entra = played(&azure)
        .with("AZURE_TENANT_ID", "acme.example")
        .with("AZURE_CLIENT_ID", "app")
        .with("AZURE_AUTHORITY_HOST", &tokens.root());
    let by_secret = entra.clone().with("AZURE_CLIENT_SECRET", "planted-client-secret");
    let by_file = entra.with("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap());
    let machine = played(&azure).with("IDENTITY_ENDPOINT", &format!("{}/token", tokens.root()));
    for (program, asked_with) in
        [(by_secret, "client_secret=planted"), (by_file, "client_assertion=planted"), (machine, "metadata: true")]
    {
        let (before, asked) = (tokens.asked().len(), azure.asked().len());
        // WHEN a command uses the container THEN the token is fetched and sent
        let done = program.run(&["status"]).expect(5);
        assert!(tokens.asked()[before..].iter().any(|asked| asked.contains(asked_with)), "{:?}", tokens.asked());
        let sent = azure.asked()[asked..].join("\n");
        assert!(sent.contains("authorization: Bearer planted-access-token"), "{sent}");
        // AND the refusal is a sentence without it
        assert!(done.said().contains("the credentials do not allow it"), "{}", done.said());
        assert!(!done.said().contains("planted"), "{}", done.said());
    }
}

#[test]
fn a_service_of_tokens_that_quotes_its_request_prints_no_secret() {
    let tokens =
        service(|request| (400, String::new(), format!("{{\"error\":\"invalid_client\",\"was\":{request:?}}}")));
    let azure = service(|_| (500, String::new(), String::new()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "planted-federated/token+=").unwrap();
    let entra = played(&azure)
        .with("AZURE_TENANT_ID", "acme.example")
        .with("AZURE_CLIENT_ID", "app")
        .with("AZURE_AUTHORITY_HOST", &tokens.root());
    for program in [
        entra.clone().with("AZURE_CLIENT_SECRET", "planted/client+secret="),
        entra.with("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
    ] {
        let done = program.run(&["status"]).expect(5);
        assert!(done.said().contains("invalid_client"), "{}", done.said());
        assert!(!done.said().contains("planted"), "{}", done.said());
    }
    assert_eq!(azure.asked(), Vec::<String>::new());
}

#[test]
fn signatures_that_a_service_quotes_are_not_printed() {
    // GIVEN services that quote the signature of a request, in its header or its address
    let azure = service(|request| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with("authorization:")).unwrap_or_default();
        let quoted = line.rsplit_once([':', '=']).map_or("", |(_, signature)| signature);
        let address = request.lines().next().unwrap_or_default();
        let signed = match line.rsplit_once("SharedKey acmelake:").or(line.rsplit_once("Signature=")) {
            Some((_, signature)) => signature,
            None => quoted,
        };
        let body = format!(
            "<Error><Code>AuthenticationFailed</Code><Signed>begin({signed})end</Signed><At>{address}</At></Error>"
        );
        (403, String::new(), body)
    });
    let key = played(&azure).with("AZURE_STORAGE_ACCOUNT_KEY", "cGxhbnRlZA==");
    let signature = "sv=2022-11-02&sp=racwdl&sig=pl%2Fanted%2Bsignature%3D";
    let token = played(&azure).with("AZURE_STORAGE_SAS_TOKEN", signature);
    let s3 = Program::bare("s3://lake/shop")
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &azure.root())
        .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true")
        .with("AWS_ACCESS_KEY_ID", "AK")
        .with("AWS_SECRET_ACCESS_KEY", "planted-secret-key");
    // WHEN a command fails THEN its message has neither
    for (program, is_in_header) in [(key, true), (token, false), (s3, true)] {
        let done = program.run(&["status"]).expect(5);
        let said = done.said();
        assert!(said.contains("AuthenticationFailed"), "{said}");
        assert_eq!(said.contains("begin([signature])end"), is_in_header, "{said}");
        assert!(!said.contains("anted"), "{said}");
    }
}

#[test]
fn a_container_leads_nowhere_and_is_bounded_like_a_bucket() {
    let other = service(|_| (200, FOUND.to_owned(), "{}".to_owned()));
    let to = other.root();
    let azure = service(move |_| (307, format!("Location: {to}/lake\r\n"), String::new()));
    let program = played(&azure).with("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=planted-signature");
    let done = program.run(&["status"]).expect(5);
    assert!(done.said().contains("redirects elsewhere (HTTP 307)"), "{}", done.said());
    assert!(done.said().contains("destination.azure.endpoint"), "{}", done.said());
    assert_eq!(other.asked(), Vec::<String>::new());
    // AND lists that do not advance are given up
    let list = "<EnumerationResults><Blobs><Blob><Name>shop/x</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified><Content-Length>7</Content-Length><Content-Type>x</Content-Type><Etag>1</Etag></Properties></Blob></Blobs><NextMarker>same</NextMarker></EnumerationResults>";
    let azure = service(move |_| (200, FOUND.to_owned(), list.to_owned()));
    let done = played(&azure).with("AZURE_STORAGE_ACCOUNT_KEY", "cGxhbnRlZA==").run(&["status"]).expect(5);
    assert!(done.said().contains("states that it continues, but does not"), "{}", done.said());
}

#[test]
fn a_container_that_cannot_be_used_ends_a_command_with_a_sentence() {
    for (url, vars, why) in [
        ("az://lake/shop", &[][..], "`destination.azure.account` is not set"),
        ("az://", &[("AZURE_STORAGE_ACCOUNT", "acmelake")][..], "names no bucket"),
        ("az:/lake", &[][..], "az://container/prefix"),
        ("abfss://lake@acmelake.dfs.core.windows.net/shop", &[][..], "az://container/prefix"),
        (
            "az://lake/shop",
            &[("AZURE_STORAGE_ACCOUNT", "acmelake"), ("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=cGxhbnRlZA==;x")]
                [..],
            "AZURE_STORAGE_CONNECTION_STRING is not read",
        ),
        (
            "az://lake/shop",
            &[("AZURE_STORAGE_ACCOUNT", "acmelake"), ("AZURE_STORAGE_ACCOUNT_KEY", "planted, not base64")][..],
            "could not open the container",
        ),
    ] {
        let program = vars.iter().fold(Program::bare(url), |program, (name, value)| program.with(name, value));
        let done = program.run(&["status"]);
        assert!(matches!(done.code, 2 | 5), "{url}: {}", done.said());
        assert!(done.said().contains(why), "{url}: {}", done.said());
        assert!(!done.said().contains("anted"), "{url}: {}", done.said());
    }
}
