//! Answers that swell: memory stays bounded for any answer of the source or its token service, with any status.

use std::io::Write;

use pearlift::sandbox::{AnswerRule, Sandbox, Swell, Wrong};

use crate::oauth;
use crate::support::{Done, Echo, Program, account, check_truth, peak_memory};

/// The peak of a run at default settings.
const MOST: u64 = 512 << 20;
/// Just below the longest body that is read.
const LONG: usize = 30 << 20;
/// Several times the longest body that is read.
const LONGER: usize = 300 << 20;
/// A resource of each style.
const STYLES: [&str; 3] = ["order", "brand", "customer_payment"];

/// An answer of about so many bytes.
fn swell(status: u16, before: &str, unit: &str, after: &str, bytes: usize) -> Swell {
    let times = bytes / unit.len();
    Swell { status, before: before.to_owned(), unit: unit.to_owned(), times, after: after.to_owned(), gzip: true }
}

/// The plan that answers every request with this text in its path so.
fn plan(path: &str, swell: Swell) -> Vec<AnswerRule> {
    vec![AnswerRule { method: String::new(), path: path.to_owned(), at: Vec::new(), then: Wrong::Swell(swell) }]
}

/// Reads resources of an account of which all such paths are answered so; gives how it ended and the most memory it took.
fn read(sandbox: &Sandbox, path: &str, swell: Swell, resources: &[&str]) -> (Done, u64) {
    sandbox.change(|settings| settings.answers = plan(path, swell));
    sandbox.take_log();
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(sandbox, lake.path())
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "2")
        .with("PEARLIFT_LIMITS_RETRY_FOR", "2s");
    let (done, peak) = peak_memory(&program, &[&["run"], resources].concat());
    assert!(!sandbox.take_log().wrong.is_empty(), "nothing was asked: {}", done.said());
    assert!(!done.said().contains("panicked"), "{}", done.said());
    assert!(done.said().len() < 200_000, "it says {} bytes", done.said().len());
    (done, peak)
}

/// The most memory of a run that gets only such answers, of 30 MiB: a beginning, a unit again and again, an end.
async fn try_each(answers: &[(&str, &str, &str)]) {
    let sandbox = account(20).await;
    for (before, unit, after) in answers {
        let (done, peak) = read(&sandbox, "", swell(200, before, unit, after, LONG), &STYLES);
        assert!(peak < MOST, "{before}{unit}: {} MiB: {}", peak >> 20, done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn documents_and_their_parts_in_any_number_take_no_more_memory_than_any_run_may() {
    try_each(&[
        (r#"{"response":["#, "0,", "0]}"),
        (r#"{"response":["#, r#"{"a":0},"#, "{}]}"),
        (r#"{"response":[["#, "0],[", "0]]}"),
        (r#"{"response":["#, r#"{"id":7},"#, "{}]}"),
        (r#"{"response":{"#, r#""a":0,"#, r#""b":0}}"#),
        (r#"{"response":{"#, r#""a":{"id":7},"#, r#""b":0}}"#),
        (r#"{"response":[{"id":7,"a":{"#, r#""b":{"c":[]},"#, r#""d":0}}]}"#),
        (r#"{"response":[{"id":7,"orderRows":["#, "{},", "{}]}]}"),
        (r#"{"errors":["#, r#"{"code":"a"},"#, "{}]}"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts_and_depths_of_any_length_take_no_more_memory_than_any_run_may() {
    try_each(&[
        (r#"{"response":[{"id":7,"name":""#, "x", r#""}]}"#),
        (r#"{"response":[{"id":7,"name":""#, "\u{1}", r#""}]}"#),
        (r#"{"response":[{"id":7,"name":""#, "\\ud800", r#""}]}"#),
        (r#"{"response":[{"id":7,""#, "\\ud800", r#"":0}]}"#),
        (r#"{"response":[{"id":7,""#, "x", r#"":0}]}"#),
        (r#"{"response":[{"id":7,""#, r#"\""#, r#"":0}]}"#),
        (r#"{"response":"#, "[", ""),
        (r#"{"response":"#, r#"{"a":"#, ""),
        ("", " ", ""),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_columns_and_ids_in_any_number_take_no_more_memory_than_any_run_may() {
    let search = r#"{"response":{"metaData":{"resultsAvailable":9,"columns":["#;
    let one_column = r#"{"response":{"metaData":{"resultsAvailable":9,"columns":[{"name":"a"}]},"results":["#;
    try_each(&[
        (search, r#"{"name":"a"},"#, r#"{}]},"results":[]}}"#),
        (one_column, "[],", "[]]}}"),
        (one_column, "[7],", "[7]]}}"),
        (r#"{"response":{"getUris":["#, r#""/order/1","#, r#""/order/1"]}}"#),
        (r#"{"response":{"getUris":["/order/"#, "1,", r#"1"]}}"#),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_swells_is_bounded_whatever_its_status() {
    let sandbox = account(20).await;
    let zeros = (r#"{"response":["#, "0,", "0]}");
    let errors = (r#"{"errors":["#, r#"{"code":"CMNC-001","message":"no"},"#, "{}]}");
    let forms = [(zeros, true), (zeros, false), (errors, true)];
    // Each status has one form of the answer; a success, a refusal and a failure have all three.
    for (place, status) in [200, 207, 301, 400, 401, 403, 404, 414, 429, 500, 503].into_iter().enumerate() {
        let every = [200, 400, 503].contains(&status);
        for (form, ((before, unit, after), gzip)) in forms.into_iter().enumerate() {
            if !every && form != place % forms.len() {
                continue;
            }
            let swell = Swell { gzip, ..swell(status, before, unit, after, LONGER) };
            let (done, peak) = read(&sandbox, "", swell, &["brand"]);
            assert_ne!(done.code, 0, "{status} {unit} {gzip}: {}", done.said());
            assert!(peak < MOST / 4, "{status} {unit} {gzip}: {} MiB: {}", peak >> 20, done.said());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_answers_that_swell_at_once_share_the_bound_of_one() {
    // GIVEN an account of which every answer is of 25 MiB, compressed or not
    let sandbox = account(20).await;
    for (unit, gzip) in [("x", true), (r#"[[],[]],"#, false)] {
        let (before, after) = if unit == "x" { (r#"{"response":[""#, r#""]}"#) } else { (r#"{"response":["#, "0]}") };
        let swell = Swell { gzip, ..swell(200, before, unit, after, 25 << 20) };
        // WHEN all resources are read, sixteen answers at a time
        let (done, peak) = read(&sandbox, "-service/", swell, &[]);
        assert!(peak < MOST, "{unit} {gzip}: {} MiB: {}", peak >> 20, done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_listing_that_names_a_hundred_million_ids_is_not_held_one_by_one() {
    // GIVEN a short list of very many ids, of which none is returned
    let sandbox = account(20).await;
    let listing = Swell { times: 1, ..swell(200, r#"{"response":{"getUris":["/order/1-99999"#, "999", r#""]}}"#, 3) };
    sandbox.change(|settings| {
        settings.answers = plan("order-service/order/", Swell { status: 500, ..listing.clone() });
        settings.answers[0].method = "GET".to_owned();
        settings.answers.extend(plan("order-service/order/", listing));
        settings.answers[1].method = "OPTIONS".to_owned();
    });
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_TRIES", "1");
    let (done, peak) = peak_memory(&program, &["run", "order"]);
    assert_ne!(done.code, 0);
    assert!(peak < MOST, "{} MiB: {}", peak >> 20, done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_set_whose_answer_is_longer_than_any_is_read_in_smaller_ones() {
    // GIVEN products of which 200 have more text than an answer may
    let settings = pearlift::sandbox::SandboxSettings {
        limit: 0,
        now: Some(crate::support::this_morning()),
        text_bytes: 600_000,
        ..pearlift::sandbox::SandboxSettings::default()
    };
    let size = pearlift::sandbox::Size { orders: 20, ..pearlift::sandbox::Size::default() }.with("product", 450);
    let sandbox = crate::support::start(settings, size).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_FOR", "1ms");
    // WHEN they are read THEN all are there
    program.run(&["run", "product"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "product,product_sales_channel"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_of_the_token_service_that_swells_is_bounded_whatever_its_status() {
    let sandbox = account(20).await;
    let forms = [(r#"{"access_token":"a","x":["#, "0,"), (r#"{"error":""#, "x"), ("", r#"{"a":"#)];
    for (place, status) in [200, 400, 401, 429, 500, 503].into_iter().enumerate() {
        let (before, unit) = forms[place % forms.len()];
        // GIVEN a token service that answers 300 MiB with neither a length nor an end
        let piece = unit.repeat((1 << 20) / unit.len());
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
        let service = Echo::start(move |_, stream| {
            let mut sent = stream.write_all(format!("{head}{before}").as_bytes());
            for _ in 0..300 {
                sent = sent.and_then(|()| stream.write_all(piece.as_bytes()));
            }
        });
        let lake = tempfile::tempdir().unwrap();
        let program = oauth::program(&sandbox, &lake)
            .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/token", service.root()))
            .with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z");
        // WHEN a token is needed THEN it is not read to its end
        let (done, peak) = peak_memory(&program, &["run", "brand"]);
        assert_eq!(done.code, 4, "{status} {unit}: {}", done.said());
        assert!(done.said().contains("longer than 65536 bytes"), "{status} {unit}: {}", done.said());
        assert!(peak < MOST / 4, "{status} {unit}: {} MiB", peak >> 20);
    }
}
