//! The way to the source, the token service and the bucket: proxies, and credentials as variables hold them.

use std::path::Path;

use pearlift::failure::Kind;

use crate::oauth;
use crate::support::{Echo, Program, Weed, account, check_truth, files};

/// The variables that name a proxy.
const PROXIES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// A proxy that answers nothing useful, and remembers its requests.
fn proxy() -> Echo {
    Echo::saying(502, "", "")
}

fn behind(program: Program, proxy: &Echo, variables: &[&str]) -> Program {
    variables.iter().fold(program, |program, name| program.with(name, &proxy.root()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn loopback_is_never_asked_through_a_proxy() {
    let sandbox = account(50).await;
    sandbox.change(|settings| settings.rotates = false);
    let weed = Weed::start();
    for variables in [&PROXIES[..], &["http_proxy"], &["HTTP_PROXY"], &["all_proxy"], &["ALL_PROXY"]] {
        // GIVEN a proxy in the environment, and a source, a token service and a bucket on this machine
        let proxy = proxy();
        let lake = tempfile::tempdir().unwrap();
        let tokens = oauth::program(&sandbox, &lake);
        let tokens = tokens.with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z");
        let by_name = Program::new(&sandbox, lake.path().join("other"))
            .with("PEARLIFT_ACCOUNT_BASE_URL", &sandbox.url().replace("127.0.0.1", "localhost"));
        let bucket = weed.reach(Program::new(&sandbox, "s3://lake/shop")).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
        for program in [tokens, by_name, bucket] {
            // WHEN it runs THEN all goes well, and the proxy has heard nothing
            behind(program, &proxy, variables).run(&["run", "brand"]).expect(0);
            assert_eq!(proxy.asked(), Vec::<String>::new(), "{variables:?}");
        }
    }
}

#[test]
fn a_demo_works_behind_a_proxy() {
    let proxy = proxy();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let program = behind(Program::bare("unused"), &proxy, &PROXIES);
    program.run(&["demo", "--orders", "20", "--out", out.to_str().unwrap()]).expect(0);
    assert!(!files(&out.join("order")).is_empty());
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_hosts_are_asked_through_the_proxy() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let plain = Program::new(&sandbox, lake.path().join("lake"));
    let source = plain.clone().with("PEARLIFT_ACCOUNT_BASE_URL", "https://source.example/public-api/acme");
    let tokens = oauth::program(&sandbox, &lake)
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z")
        .with("PEARLIFT_AUTH_TOKEN_URL", "https://tokens.example/token");
    let bucket = plain
        .with("PEARLIFT_DESTINATION_URL", "s3://lake/shop")
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", "https://store.example")
        .with("AWS_ACCESS_KEY_ID", "key")
        .with("AWS_SECRET_ACCESS_KEY", "planted-s3-secret");
    for (program, host, code) in [
        (source, "CONNECT source.example:443 ", 4),
        (tokens, "CONNECT tokens.example:443 ", 4),
        (bucket, "CONNECT store.example:443 ", 5),
    ] {
        let proxy = proxy();
        behind(program, &proxy, &["https_proxy"]).run(&["run", "brand"]).expect(code);
        assert!(proxy.asked().iter().any(|asked| asked.starts_with(host)), "{host}: {:?}", proxy.asked());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn line_ends_around_the_credentials_of_a_bucket_are_cut() {
    let sandbox = account(50).await;
    let weed = Weed::start();
    let reached = weed.reach(Program::new(&sandbox, "s3://lake/shop"));
    // GIVEN variables that were filled from files with line ends
    let value = |name: &str| {
        let vars = reached.command(&[]);
        let found = vars.get_envs().find(|(known, _)| *known == name).and_then(|(_, value)| value).unwrap();
        found.to_str().unwrap().to_owned()
    };
    let ends = reached
        .clone()
        .with("AWS_ACCESS_KEY_ID", &format!("{}\r\n", value("AWS_ACCESS_KEY_ID")))
        .with("AWS_SECRET_ACCESS_KEY", &format!("\n{}\n", value("AWS_SECRET_ACCESS_KEY")))
        .with("AWS_REGION", "us-east-1\n")
        .without("PEARLIFT_DESTINATION_S3_ENDPOINT")
        .with("AWS_ENDPOINT_URL", &format!("{}\n", weed.endpoint()));
    // WHEN it runs THEN it goes well
    ends.run(&["run", "brand"]).expect(0);

    // WHEN a line end is within one, or letters that no header can carry THEN it is refused by the variable's name
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "a key\nof two lines"),
        ("AWS_SESSION_TOKEN", "a planted token\r\nof two lines"),
        ("AWS_SESSION_TOKEN", "plänted"),
        ("AWS_SECRET_ACCESS_KEY", "planted\nsecret"),
        ("PEARLIFT_DESTINATION_S3_REGION", "eu\nwest"),
    ] {
        let done = reached.clone().with(name, value).run(&["run", "brand"]).expect(2);
        let name = if name.ends_with("REGION") { "destination.s3.region" } else { name };
        assert!(done.said().contains(name), "{name}: {}", done.said());
        assert!(!done.said().contains("planted"), "{name}: {}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_endpoint_of_the_settings_wins_over_that_of_the_environment() {
    // GIVEN two services, one in the settings and one in the variable that the store's client finds by itself
    let sandbox = account(50).await;
    let weed = Weed::start();
    let other = Echo::saying(403, "", "");
    let program = weed
        .reach(Program::new(&sandbox, "s3://lake/shop"))
        .with("AWS_ENDPOINT_URL_S3", &other.root())
        .with("AWS_ENDPOINT_URL", &other.root());
    // WHEN it runs THEN the other one hears nothing
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_keys_of_a_bucket_are_the_prefix_as_written() {
    let sandbox = account(50).await;
    let weed = Weed::start();
    for prefix in ["ünï", "~shop/a~b", "50%25", "100%", "a b+c&d=e", "[x]{y}*'(z)!", "#1"] {
        // GIVEN a prefix with letters that addresses escape WHEN it runs, twice
        let url = format!("s3://lake/{prefix}");
        let program = weed.reach(Program::new(&sandbox, &url)).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
        program.run(&["run", "brand"]).expect(0);
        sandbox.insert("brand", 1);
        program.run(&["run", "brand"]).expect(0);

        // THEN every key begins as written, and all commands find them
        let keys = weed.keys().await;
        let (ours, others): (Vec<&String>, Vec<&String>) =
            keys.iter().partition(|key| key.starts_with(&format!("{prefix}/")));
        assert!(ours.len() > 3 && others.is_empty(), "{prefix}: {keys:?}");
        program.run(&["verify", "--deep"]).expect(0);
        // AND unfinished uploads below it are found and given up
        let run = "0".repeat(32);
        weed.begin_upload(&format!("{prefix}/_pearlift/staging/{run}/brand-{run}-0.part")).await;
        program.run(&["clean"]).expect(0);
        assert_eq!(weed.uploads().await, Vec::<String>::new(), "{prefix}");
        weed.clear().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_below_the_keys_of_an_earlier_version_are_named_and_not_loaded_anew() {
    let sandbox = account(50).await;
    let weed = Weed::start();
    // GIVEN tables where an earlier version escaped the prefix `ünï`
    let former = weed.reach(Program::new(&sandbox, "s3://lake/%C3%BCn%C3%AF"));
    former.run(&["run", "brand"]).expect(0);
    sandbox.take_log();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/ünï"));
    for command in [&["run", "brand"][..], &["check"]] {
        // WHEN the prefix is used as written THEN it is refused with the remedy, and nothing is asked
        let done = program.run(command).expect(i32::from(Kind::Settings.exit_code()));
        assert!(done.said().contains("url = \"s3://lake/%C3%BCn%C3%AF\""), "{}", done.said());
    }
    let only = ["--s3-endpoint", &weed.endpoint(), "--only", "brand"];
    check_truth(&sandbox, "s3://lake/%C3%BCn%C3%AF", &only);
}

/// A settings file with one key below `[destination]`.
fn settings(folder: &Path, url: &str) -> String {
    let file = folder.join("pearlift.toml");
    std::fs::write(&file, format!("[destination]\nurl = \"{url}\"\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tilde_and_a_file_url_are_the_folders_that_they_say() {
    let sandbox = account(50).await;
    let home = tempfile::tempdir().unwrap();
    let root = home.path().to_str().unwrap();
    let program = Program::new(&sandbox, "unused").with("HOME", root);
    let is_there = |folder: &str| !files(&home.path().join(folder).join("brand")).is_empty();
    // WHEN a variable or a settings file names a folder so THEN the tables are there
    for (url, folder) in [
        ("~/one".to_owned(), "one"),
        (format!("file://{root}/two"), "two"),
        (format!("file://localhost{root}/three"), "three"),
        (format!("file://{root}/my%20lake"), "my lake"),
        ("~/four\n".to_owned(), "four"),
    ] {
        program.clone().with("PEARLIFT_DESTINATION_URL", &url).run(&["run", "brand"]).expect(0);
        assert!(is_there(folder), "{url}");
        let file =
            settings(home.path(), &url.trim().replace(folder, &format!("{folder}-file")).replace("lake", "lake-file"));
        let from_file = program.clone().without("PEARLIFT_DESTINATION_URL");
        from_file.run(&["--config", &file, "run", "brand"]).expect(0);
    }
    assert!(is_there("one-file") && is_there("two-file") && is_there("three-file"));
    // WHEN a file URL names a host THEN it is refused with the right form, and nothing is made
    let done = program.with("PEARLIFT_DESTINATION_URL", "file://data/lake").run(&["run", "brand"]).expect(2);
    assert!(done.said().contains("file:///data/lake"), "{}", done.said());
    assert!(!std::env::temp_dir().join("data/lake").exists() && !std::env::temp_dir().join("~").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_file_may_begin_with_a_byte_order_mark() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let file = lake.path().join("token");
    let token = "sandbox-staff-token\r\n";
    let wide =
        |bytes: fn(u16) -> [u8; 2]| format!("\u{feff}{token}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let program = Program::new(&sandbox, lake.path().join("lake"))
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
    let from_file = program.clone().with("BRIGHTPEARL_STAFF_TOKEN_FILE", file.to_str().unwrap());
    for text in [format!("\u{feff}{token}").into_bytes(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        std::fs::write(&file, text).unwrap();
        from_file.run(&["run", "brand"]).expect(0);
    }
    program.clone().with("BRIGHTPEARL_STAFF_TOKEN", &format!("\u{feff}{token}")).run(&["run", "brand"]).expect(0);
    // So may the settings file.
    let config = lake.path().join("pearlift.toml");
    std::fs::write(&config, "\u{feff}[limits]\nconcurrency = 4\n").unwrap();
    let program = program.with("BRIGHTPEARL_STAFF_TOKEN", token);
    program.run(&["--config", config.to_str().unwrap(), "run", "brand"]).expect(0);
    // Half a letter is no text, and is not shown.
    std::fs::write(&file, b"\xff\xfep\0l\0a\0n\0t\0e\0d\0x").unwrap();
    let done = from_file.run(&["run", "brand"]).expect(2);
    assert!(
        done.said().contains("BRIGHTPEARL_STAFF_TOKEN_FILE") && !done.said().contains("planted"),
        "{}",
        done.said()
    );
}

#[test]
fn a_content_type_is_read_whatever_the_case_of_its_letters() {
    // GIVEN a source that writes its types so
    for written in ["Application/JSON", "APPLICATION/JSON; CHARSET=UTF-8", "application/vnd.api+Json"] {
        let headers = format!("Content-Type: {written}\r\n");
        let source = Echo::saying(200, &headers, r#"{"response":[{"id":7,"name":"a brand"}]}"#);
        let lake = tempfile::tempdir().unwrap();
        // WHEN it runs THEN the answer is taken
        let program = Program::bare(lake.path())
            .with("BRIGHTPEARL_STAFF_TOKEN", "planted-secret")
            .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()))
            .with("PEARLIFT_LIMITS_RETRY_TRIES", "1");
        let done = program.run(&["run", "brand"]).expect(0);
        assert!(!files(&lake.path().join("brand")).is_empty(), "{written}: {}", done.said());
    }
}
