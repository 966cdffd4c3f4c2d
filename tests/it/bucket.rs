//! A bucket, and the services that give its credentials, that do not answer as they should: they redirect, they never
//! end, they name the same page again.

use std::io::Write;
use std::net::TcpStream;

use object_store::aws::AmazonS3Builder;
use pearlift::config::Destination;
use pearlift::store::Store;

use crate::support::{Answer, Echo, Program, Proxy, S3_KEY, S3_SECRET, Weed, account, check_truth, peak_memory};

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// The peak of a run, for any answer of a service.
const MOST: u64 = 512 << 20;

/// A host that credentials must not reach. It answers as a bucket with every requested object.
fn elsewhere() -> Echo {
    Echo::saying(200, "ETag: \"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "{\"format\":1}")
}

/// A service that leads all that it is asked to another one.
fn leading_to(other: &Echo, status: u16) -> Echo {
    Echo::saying(status, &format!("Location: {}/lake/shop/other\r\n", other.root()), "")
}

/// The program with a bucket at this endpoint.
fn program(endpoint: &str) -> Program {
    Program::bare("s3://lake/shop")
        .with("BRIGHTPEARL_STAFF_TOKEN", "planted-staff-token")
        .with("PEARLIFT_ACCOUNT_BASE_URL", "https://source.example/public-api/acme")
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", endpoint)
        .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true")
        .with("AWS_ACCESS_KEY_ID", S3_KEY)
        .with("AWS_SECRET_ACCESS_KEY", "planted-s3-secret")
        .with("AWS_SESSION_TOKEN", "planted-session-token")
}

/// The same without credentials: services give them.
fn without_credentials(endpoint: &str) -> Program {
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    names.into_iter().fold(program(endpoint), Program::without)
}

/// The destination of a program, opened in this process.
fn store(program: &Program) -> Store {
    let credentials = AmazonS3Builder::new().with_access_key_id(S3_KEY).with_secret_access_key(S3_SECRET);
    match program.request(&[]).settings.destination().unwrap() {
        Destination::S3(s3) => Store::bucket(&s3, credentials).unwrap(),
        Destination::Local(_) | Destination::Azure(_) | Destination::Cloud(_) => panic!("it is a bucket"),
    }
}

#[test]
fn credentials_of_a_bucket_follow_no_redirect_and_no_other_host_is_believed() {
    let other = elsewhere();
    for status in REDIRECTS {
        // GIVEN a bucket that leads elsewhere
        let bucket = leading_to(&other, status);
        for command in [&["run", "brand"][..], &["status"], &["check"]] {
            // WHEN it is used THEN it is refused for its behaviour
            let done = program(&bucket.root()).run(command);
            assert_ne!(done.code, 0, "{status} {command:?}");
            let why = format!("redirects elsewhere (HTTP {status})");
            assert!(done.said().contains(&why), "{status} {command:?}: {}", done.said());
        }
        assert!(bucket.asked().iter().any(|asked| asked.contains("planted-session-token")));
    }
    // AND the other host hears nothing
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_signed_list_of_uploads_that_is_redirected_reaches_nobody() {
    // GIVEN a bucket that leads the list of uploads elsewhere
    let (weed, other) = (Weed::start(), elsewhere());
    let proxy = Proxy::start(weed.endpoint()).await;
    let sandbox = account(50).await;
    let program = weed
        .reach(Program::new(&sandbox, "s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
    program.run(&["run", "brand"]).expect(0);
    proxy.answer("GET", "uploads", 9, Answer::Redirect(307, format!("{}/lake", other.root())));
    // WHEN they are looked for THEN the other host hears neither the request nor, as a referer, its address
    let done = program.run(&["clean"]);
    assert!(done.said().contains("redirects elsewhere (HTTP 307)"), "{}", done.said());
    assert_eq!(other.asked(), Vec::<String>::new());
    assert!(proxy.heal() < 9, "the list was asked for");
}

/// The services that give the credentials of a bucket, by the variables that lead to one at this address.
fn givers(program: &Program, root: &str, token: &str) -> Vec<(&'static str, Program)> {
    let instance = program.clone().with("AWS_METADATA_ENDPOINT", root);
    let pod = program
        .clone()
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{root}/v1/credentials"))
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
    let role = program
        .clone()
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .with("AWS_ROLE_ARN", "arn:aws:iam::1:role/lake")
        .with("AWS_ENDPOINT_URL_STS", root);
    // The role again, by a profile.
    let config = std::path::Path::new(token).with_file_name("config");
    let profile = format!("[profile pod]\nrole_arn = arn:aws:iam::1:role/lake\nweb_identity_token_file = {token}\n");
    std::fs::write(&config, profile).unwrap();
    let profile = program
        .clone()
        .with("AWS_CONFIG_FILE", config.to_str().unwrap())
        .with("PEARLIFT_DESTINATION_S3_PROFILE", "pod")
        .with("AWS_ENDPOINT_URL_STS", root);
    vec![("instance", instance), ("pod", pod), ("role", role), ("profile", profile)]
}

#[test]
fn a_service_of_credentials_that_redirects_leads_nowhere() {
    let other = elsewhere();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "planted-identity-token").unwrap();
    let bucket = elsewhere();
    for status in REDIRECTS {
        let service = leading_to(&other, status);
        let program = without_credentials(&bucket.root());
        for (name, program) in givers(&program, &service.root(), token.to_str().unwrap()) {
            let before = service.asked().len();
            let done = program.run(&["status"]);
            assert_ne!(done.code, 0, "{name} {status}");
            assert!(service.asked().len() > before, "{name} {status}: {}", done.said());
            assert!(done.said().contains("redirects elsewhere"), "{name} {status}: {}", done.said());
        }
    }
    assert_eq!((other.asked(), bucket.asked()), (Vec::new(), Vec::new()));
}

#[test]
fn names_that_would_lead_credentials_to_another_host_are_refused() {
    let other = elsewhere();
    let host = other.root().replacen("http://", "", 1);
    let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    let bad = [
        ("AWS_REGION", format!("eu-west-1.{host}/")),
        ("AWS_DEFAULT_REGION", format!("x@{host}#")),
        ("PEARLIFT_DESTINATION_S3_REGION", "eu-west-1\\evil.example".to_owned()),
        ("PEARLIFT_DESTINATION_URL", format!("s3://x@{host}/shop")),
        ("PEARLIFT_DESTINATION_URL", "s3://lake.evil.example#x/shop".to_owned()),
        ("PEARLIFT_DESTINATION_URL", "s3://lake%2f%40evil.example/shop".to_owned()),
        (relative, format!("@{host}/v1/credentials")),
        (relative, format!(":80@{host}/v1/credentials")),
        (relative, ".evil.example/v1".to_owned()),
        (relative, "v1/credentials".to_owned()),
    ];
    for (variable, value) in bad {
        let done = without_credentials(&other.root()).with(variable, &value).run(&["status"]);
        assert_eq!(done.code, 2, "{variable}={value}: {}", done.said());
    }
    assert_eq!(other.asked(), Vec::<String>::new());
}

/// Answers as the services of AWS do, with the credentials of the tests' bucket.
fn giver() -> Echo {
    Echo::start(|request, stream| {
        let expires = "2099-01-01T00:00:00Z";
        let json = format!(
            r#"{{"AccessKeyId":"{S3_KEY}","SecretAccessKey":"{S3_SECRET}","Token":"","Expiration":"{expires}"}}"#
        );
        let body = if request.starts_with("POST") {
            let parts = [
                ("SessionToken", ""),
                ("SecretAccessKey", S3_SECRET),
                ("AccessKeyId", S3_KEY),
                ("Expiration", expires),
            ];
            let parts: String = parts.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
            let result = "AssumeRoleWithWebIdentityResult";
            format!("<R><{result}><Credentials>{parts}</Credentials></{result}></R>")
        } else if request.starts_with("PUT /latest/api/token") {
            "a-token".to_owned()
        } else if request.starts_with("GET /latest/meta-data/iam/security-credentials/ ") {
            "lake".to_owned()
        } else {
            json
        };
        answer(stream, 200, "", &body);
    })
}

fn answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client that has heard enough is gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credentials_that_services_of_this_machine_give_pass_no_proxy() {
    let sandbox = account(50).await;
    let (weed, service) = (Weed::start(), giver());
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "planted-identity-token").unwrap();
    let reached = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    let bare = reached.without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY");
    for (name, program) in givers(&bare, &service.root(), token.to_str().unwrap()) {
        let proxy = Echo::saying(502, "", "");
        let proxied = ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"]
            .into_iter()
            .fold(program, |program, variable| program.with(variable, &proxy.root()));
        proxied.run(&["run", "brand"]).expect(0);
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{name}");
    }
    assert!(service.asked().len() >= 5);
}

/// An entry of a list.
fn entry(key: &str) -> String {
    format!("<Contents><Key>{key}</Key><LastModified>2025-01-01T00:00:00Z</LastModified><Size>7</Size></Contents>")
}

fn page(entries: &str, next: Option<&str>) -> String {
    let next = next.map(|next| format!("<NextContinuationToken>{next}</NextContinuationToken>")).unwrap_or_default();
    format!("<ListBucketResult><IsTruncated>true</IsTruncated>{entries}{next}</ListBucketResult>")
}

/// A bucket with these answers to lists, by their number from 1.
fn listing(pages: impl Fn(usize) -> String + Send + Sync + 'static) -> Echo {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Echo::start(move |_, stream| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        answer(stream, 200, "Content-Type: application/xml\r\n", &pages(number));
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_names_a_page_again_or_brings_nothing_is_given_up() {
    let same: fn(usize) -> String = |number| page(&entry(&format!("shop/{number}")), Some("same"));
    let turns: fn(usize) -> String = |number| page(&entry("shop/x"), Some(["a", "b", "c"][number % 3]));
    let empty: fn(usize) -> String = |number| page("", Some(&number.to_string()));
    for (name, pages, most) in [("same", same, 3), ("turns", turns, 5), ("empty", empty, 101)] {
        let bucket = listing(pages);
        let store = store(&program(&bucket.root()));
        for folder in [false, true] {
            let before = bucket.asked().len();
            let listed = if folder { store.list_folder("x").await.map(drop) } else { store.list("").await.map(drop) };
            let failure = listed.unwrap_err();
            assert!(failure.to_string().contains("states that it continues, but does not"), "{name}: {failure}");
            assert!(bucket.asked().len() - before <= most, "{name}: {} requests", bucket.asked().len() - before);
        }
    }
    // AND one that ends is a list, with any first page
    let ends = listing(|number| if number == 1 { page("", Some("next")) } else { page(&entry("shop/7"), None) });
    assert_eq!(store(&program(&ends.root())).list("").await.unwrap(), [("7".to_owned(), 7)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_of_uploads_that_turns_in_circles_is_not_followed() {
    let bucket = listing(|number| {
        let key = format!("shop/_pearlift/staging/{number}");
        let next = ["a", "b", "c"][number % 3];
        format!(
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>{next}</NextKeyMarker>\
             <Upload><Key>{key}</Key><UploadId>{number}</UploadId></Upload></ListMultipartUploadsResult>"
        )
    });
    let store = store(&program(&bucket.root()));
    assert_eq!(store.uploads("_pearlift/staging").await.unwrap().len(), 4);
    assert_eq!(bucket.asked().len(), 4);
}

/// A bucket that answers lists with a head and then with this text, again and again; it holds nothing else.
fn swelling(status: u16, head: &str, unit: &str, times: usize) -> Echo {
    let (head, piece) = (head.to_owned(), unit.repeat((1 << 20) / unit.len()));
    let pieces = times * unit.len() / piece.len();
    Echo::start(move |request, stream| {
        if !["GET /lake?", "GET /lake/?"].iter().any(|list| request.starts_with(list)) {
            return answer(stream, 404, "", "<Error><Code>NoSuchKey</Code></Error>");
        }
        let begun = format!("HTTP/1.1 {status} X\r\nETag: \"1\"\r\nConnection: close\r\n\r\n{head}");
        let mut sent = stream.write_all(begun.as_bytes());
        for _ in 0..pieces {
            sent = sent.and_then(|()| stream.write_all(piece.as_bytes()));
        }
    })
}

#[test]
fn answers_of_a_bucket_that_swell_take_no_more_memory_than_any() {
    let list = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>";
    let long = "<ListBucketResult><Contents><Key>";
    let entry = entry("shop/_pearlift/x");
    let swelling_lists =
        [(200, list, entry.as_str()), (200, list, "<CommonPrefixes/>"), (200, list, "<a>"), (200, long, "k")];
    let errors = [400, 403, 404, 412, 500, 501, 503].map(|status| (status, "<Error><Code>No</Code><Message>", "m"));
    for (status, head, unit) in swelling_lists.into_iter().chain(errors) {
        // GIVEN a bucket that answers 600 MiB with neither a length nor an end
        let bucket = swelling(status, head, unit, (600 << 20) / unit.len());
        // WHEN its lists are asked for THEN memory stays bounded
        let (done, peak) = peak_memory(&program(&bucket.root()), &["status"]);
        assert_ne!(done.code, 0, "{status} {unit}: {}", done.said());
        assert!(bucket.asked().iter().any(|asked| asked.contains("list-type=2")), "{status} {unit}: {}", done.said());
        assert!(peak < MOST, "{status} {unit}: {} MiB", peak >> 20);
        assert!(done.said().len() < 200_000, "{status} {unit} says {} bytes", done.said().len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_of_uploads_that_swells_is_not_read_to_its_end() {
    let head = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>";
    let upload = "<Upload><Key>shop/_pearlift/staging/x</Key><UploadId>1</UploadId></Upload>";
    for unit in [upload, "<Upload/>", "<a>"] {
        let bucket = swelling(200, head, unit, (600 << 20) / unit.len());
        let failure = store(&program(&bucket.root())).uploads("_pearlift/staging").await.unwrap_err();
        assert!(failure.to_string().contains("the answer "), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_reached_over_the_checks_of_its_answers_holds_the_truth() {
    // GIVEN an S3 server WHEN an account is exported to it, twice THEN lists, contents and parts are as they were
    let (weed, sandbox) = (Weed::start(), account(50).await);
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    program.run(&["run", "order"]).expect(0);
    program.run(&["run", "--full", "order"]).expect(0);
    program.run(&["verify", "--deep"]).expect(0);
    check_truth(&sandbox, "s3://lake/shop", &["--s3-endpoint", &weed.endpoint(), "--only", "order,order_row"]);
}
