//! The webhook: one post of a run's result, which never changes the result.

use std::io::Write;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Echo, Program, account};

/// A part of an address that nobody may see.
const KEY: &str = "planted-key-of-a-webhook";

/// The bodies of the posts so far, each with the headers checked.
fn posts(receiver: &Echo) -> Vec<Value> {
    let post = |text: String| {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("POST /services/{KEY} HTTP/1.1")), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains("content-type: application/json") && head.contains("user-agent: pearlift/"), "{head}");
        serde_json::from_str(body).unwrap()
    };
    receiver.asked().into_iter().map(post).collect()
}

fn to(program: &Program, receiver: &Echo) -> Program {
    program.clone().with("BRIGHTPEARL_WEBHOOK_URL", &format!("{}/services/{KEY}", receiver.root()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_posts_its_result_once_where_it_is_due() {
    // GIVEN receivers of each kind of result
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCES_INCLUDE", "brand,order");
    let failed = program.clone().with("BRIGHTPEARL_STAFF_TOKEN", "planted-secret-12345=");
    let offline = program.clone().with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme");
    for (on, expected) in [("failure", &[4, 4][..]), ("success", &[0]), ("always", &[0, 4, 4])] {
        let receiver = Echo::saying(200, "", "ok");
        // WHEN runs succeed, fail in each resource, and fail as a whole (their messages are searched for the address)
        for (program, code) in [(&program, 0), (&failed, 4), (&offline, 4)] {
            let done = to(program, &receiver).with("PEARLIFT_WEBHOOK_ON", on).run(&["run"]).expect(code);
            assert!(!done.said().contains(KEY) && done.warnings().is_empty(), "{}", done.said());
        }
        // THEN the results that are due are posted, once each
        let posts = posts(&receiver);
        let codes: Vec<i64> = posts.iter().map(|post| post["exit_code"].as_i64().unwrap()).collect();
        assert_eq!(codes, expected, "{on}");
        for post in &posts {
            let text = post["text"].as_str().unwrap();
            assert!(text.starts_with("pearlift run of acme: "), "{text}");
            assert_eq!(
                (&post["account"], &post["command"], &post["format"]),
                (&"acme".into(), &"run".into(), &1.into())
            );
            assert_eq!(post["reasons"].as_array().unwrap().is_empty(), post["exit_code"] == 0, "{post}");
            assert!(!post.to_string().contains("planted"), "{post}");
        }
    }
    // AND other commands post nothing
    let receiver = Echo::saying(200, "", "ok");
    to(&program, &receiver).with("PEARLIFT_WEBHOOK_ON", "always").run(&["reconcile", "order"]).expect(0);
    assert_eq!(posts(&receiver).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receiver_that_fails_is_a_warning_and_is_tried_at_most_twice() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_WEBHOOK_ON", "always");
    let elsewhere = Echo::saying(200, "", "ok");
    let moved = format!("Location: {}/services/{KEY}\r\n", elsewhere.root());
    // GIVEN receivers that refuse, fail, and send the caller elsewhere
    for (status, headers, tries, word) in [
        (404, "", 1, "404"),
        (500, "", 2, "500"),
        (429, "", 2, "429"),
        (302, moved.as_str(), 1, "redirects are not followed"),
    ] {
        let receiver = Echo::saying(status, headers, KEY);
        let done = to(&program, &receiver).run(&["run", "brand"]).expect(0);
        // THEN the exit code stays, and one warning has the host alone
        assert_eq!(posts(&receiver).len(), tries, "{status}");
        let warnings = done.warnings();
        assert_eq!(warnings.len(), 1, "{}", done.stderr);
        assert!(warnings[0].contains(word) && warnings[0].contains(&receiver.root()), "{warnings:?}");
        assert!(!done.said().contains(KEY), "{}", done.said());
    }
    assert_eq!(elsewhere.asked().len(), 0);
    // AND one that nobody reaches
    let done = program
        .clone()
        .with("BRIGHTPEARL_WEBHOOK_URL", &format!("http://127.0.0.1:9/{KEY}"))
        .run(&["run", "brand"])
        .expect(0);
    assert!(done.stderr.contains("the webhook does not see this run") && !done.stderr.contains(KEY), "{}", done.stderr);
    // AND one that recovers
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let receiver = Echo::start(move |_, stream| {
        let first = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let status = if first { 503 } else { 204 };
        let _ = stream
            .write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
    });
    let done = to(&program, &receiver).run(&["run", "brand"]).expect(0);
    assert_eq!((posts(&receiver).len(), done.warnings().len()), (2, 0), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_receiver_delays_the_end_by_a_bounded_time_and_a_signal_ends_it() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    // GIVEN a receiver that takes connections and never answers
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/{KEY}", deaf.local_addr().unwrap());
    let program =
        Program::new(&sandbox, lake.path()).with("BRIGHTPEARL_WEBHOOK_URL", &url).with("PEARLIFT_WEBHOOK_ON", "always");
    let begun = Instant::now();
    let done = program.run(&["run", "brand"]).expect(0);
    assert!(done.stderr.contains("the webhook does not see this run"), "{}", done.stderr);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    drop((deaf.accept().unwrap(), deaf.accept().unwrap()));

    // WHEN a signal comes while it waits THEN it ends at once, with the code of the run
    let mut run = program.start(&["run", "brand"]);
    let held = deaf.accept().unwrap();
    let begun = Instant::now();
    assert!(std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
    assert!(run.said().contains("the webhook may not see this run"), "{}", run.said());
    drop(held);
}

#[test]
fn an_address_in_the_clear_is_refused_before_anything_is_begun() {
    let lake = tempfile::tempdir().unwrap();
    let program = Program::bare(lake.path())
        .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
        .with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme");
    for url in [format!("http://hooks.example/{KEY}"), format!("https://user:{KEY}@hooks.example/"), KEY.to_owned()] {
        for command in ["run", "check"] {
            let done = program.clone().with("BRIGHTPEARL_WEBHOOK_URL", &url).run(&[command]).expect(2);
            assert!(done.stderr.contains("address of the webhook") && !done.stderr.contains(KEY), "{}", done.stderr);
        }
    }
}
