//! OAuth: tokens that end, and the storage of new ones.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use jiff::Timestamp;
use pearlift::fetch::{AfterRefusal, Auth, Http};
use pearlift::sandbox::Sandbox;
use pearlift::secret::Redactor;

use crate::support::{Done, Program, account, files};

pub fn program(sandbox: &Sandbox, lake: &tempfile::TempDir) -> Program {
    Program::new(sandbox, lake.path().join("lake"))
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("PEARLIFT_AUTH_DEV_REF", "acme-dev")
        .with("PEARLIFT_AUTH_CLIENT_ID", "acme_export")
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/oauth/token", sandbox.root()))
        .with("PEARLIFT_AUTH_TOKEN_FILE", lake.path().join("tokens.json").to_str().unwrap())
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_ACCESS_TOKEN", "sandbox+access/token=")
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "sandbox+refresh/token=")
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_TOKEN_TYPE", "Bearer")
        .with("BRIGHTPEARL_CLIENT_SECRET", "sandbox-client-secret")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_has_ended_is_refreshed_once_kept_and_used_by_the_next_run() {
    // GIVEN tokens that the source no longer takes, without any notice
    let sandbox = account(900).await;
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let program = program(&sandbox, &lake);

    // WHEN it runs
    let done = program.run(&["-v", "run", "order", "product", "brand"]).expect(0);

    // THEN there was one refresh for all requests in flight
    let good = sandbox.access_tokens();
    assert_eq!(good.len(), 1, "{good:?}");
    // AND the new tokens are kept, for us alone
    let file = lake.path().join("tokens.json");
    assert!(std::fs::read_to_string(&file).unwrap().contains(&good[0]));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // AND no token is shown
    for secret in ["sandbox+access/token=", "sandbox+refresh/token=", "sandbox-client-secret"] {
        assert!(!done.said().contains(secret), "{}", done.said());
    }
    // AND the next run uses them: no further refresh, though the environment still has the old ones
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(sandbox.access_tokens(), good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_about_to_end_is_refreshed_before_it_is_used() {
    // GIVEN a token that has ended by the environment
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake).with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z");

    // WHEN it runs
    program.run(&["run", "brand"]).expect(0);

    // THEN it was refreshed first: no request was refused
    assert_eq!(sandbox.take_log().statuses.keys().copied().collect::<Vec<u16>>(), [200]);
    assert_eq!(sandbox.access_tokens().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_that_is_denied_is_told_without_a_secret() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let done = program(&sandbox, &lake)
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "planted-refresh")
        .run(&["run", "brand"])
        .expect(4);
    assert!(done.said().contains("invalid_grant") || done.said().contains("does not exist"), "{}", done.said());
    assert!(!done.said().contains("planted-refresh"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_that_was_denied_is_not_tried_again() {
    // GIVEN tokens that have ended, and a refresh token that is good for nothing
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let planted = program(&sandbox, &lake).with("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "planted-refresh");
    let credentials = planted.request(&[]).settings.credentials(Timestamp::UNIX_EPOCH).unwrap();
    let auth = Auth::new(credentials, "acme", Redactor::default()).unwrap();
    let http = Http::new(Duration::from_secs(60)).unwrap();

    // WHEN eight requests that bore the token are refused
    let now = Timestamp::now();
    let generation = auth.headers(&http, now).await.unwrap().generation;
    let answers =
        futures_util::future::join_all((0..8).map(|_| auth.refresh_after_refusal(&http, generation, true, now))).await;

    // THEN each gets the reason, and the token service was asked once
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(|why| why.reason().contains("invalid_grant"))),
        "{answers:?}"
    );
    assert_eq!(sandbox.take_log().grants, 1);
}

/// Ends the access token and lets a run refresh it; gives the token file's text.
pub fn refreshed(sandbox: &Sandbox, program: &Program, lake: &tempfile::TempDir) -> String {
    sandbox.expire_tokens();
    program.run(&["run", "brand"]).expect(0);
    std::fs::read_to_string(lake.path().join("tokens.json")).unwrap()
}

/// Files beside the token file but its lock.
pub fn drafts(lake: &tempfile::TempDir) -> Vec<std::ffi::OsString> {
    let names = std::fs::read_dir(lake.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().is_some_and(|name| name.ends_with(".new"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_of_a_process_that_died_while_it_wrote_them_are_used_when_they_are_whole() {
    // GIVEN a source where each refresh ends the former refresh token
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
    let (file, draft) = (lake.path().join("tokens.json"), lake.path().join("tokens.4194304.new"));
    let former = refreshed(&sandbox, &program, &lake);
    let newest = refreshed(&sandbox, &program, &lake);
    assert_ne!(former, newest);

    // WHEN a process crashed after it wrote the new ones, before they were in their place THEN the next run uses them
    std::fs::rename(&file, &draft).unwrap();
    std::fs::copy(&draft, &file).unwrap();
    std::fs::write(&file, &former).unwrap();
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newest);
    assert_eq!(drafts(&lake), Vec::<std::ffi::OsString>::new());

    // WHEN it crashed while it wrote them THEN a half-written file is ignored, and the file stays
    for torn in [&newest[..newest.len() / 2], "", "{}"] {
        std::fs::write(&draft, torn).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).unwrap();
        let next = refreshed(&sandbox, &program, &lake);
        assert!(next.contains(&sandbox.access_tokens()[0]));
        assert_eq!(drafts(&lake), Vec::<std::ffi::OsString>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_a_token_file_is_no_token_file() {
    // GIVEN a source that keeps refresh tokens valid, and half a file
    let sandbox = account(50).await;
    sandbox.change(|settings| settings.rotates = false);
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
    let whole = refreshed(&sandbox, &program, &lake);
    std::fs::write(lake.path().join("tokens.json"), &whole[..whole.len() / 2]).unwrap();
    // WHEN it runs THEN the configured tokens count, and the file is whole again
    let next = refreshed(&sandbox, &program, &lake);
    assert!(next.contains(&sandbox.access_tokens()[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_that_need_a_new_token_refresh_once() {
    // GIVEN tokens that have ended, at a source where each refresh ends the former refresh token
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    // AND another process that refreshes them just now
    let other = std::fs::File::create(lake.path().join("tokens.lock")).unwrap();
    other.lock().unwrap();
    let first = program(&sandbox, &lake);
    let second = first.clone().with("PEARLIFT_DESTINATION_URL", lake.path().join("other").to_str().unwrap());
    // WHEN two runs need one at the same time THEN both go well, with the same one
    let mut runs = [first.start(&["run", "brand"]), second.start(&["run", "brand"])];
    let until = async |so: &dyn Fn() -> bool| {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let both_refused = || sandbox.peek_log().statuses.get(&401) == Some(&2);
    tokio::time::timeout(Duration::from_secs(60), until(&both_refused)).await.expect("both are refused");
    let refreshed = || !sandbox.access_tokens().is_empty();
    let early = tokio::time::timeout(Duration::from_millis(500), until(&refreshed)).await;
    assert!(early.is_err(), "it waits for who refreshes already");
    drop(other);
    assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()));
    assert_eq!(sandbox.access_tokens().len(), 1, "{:?}", sandbox.access_tokens());
}

/// No secret is in the messages, nor in any file but the token file.
#[track_caller]
fn nothing_is_told(sandbox: &Sandbox, lake: &tempfile::TempDir, done: &Done) {
    let mut secrets: Vec<String> =
        ["sandbox+access/token=", "sandbox+refresh/token=", "sandbox-client-secret"].map(str::to_owned).into();
    secrets.extend(sandbox.access_tokens());
    let encoded = secrets.iter().map(|secret| secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    let mut spelt: Vec<String> = encoded.collect();
    spelt.extend(secrets.iter().map(|secret| secret.replace('=', "\\u003d")));
    spelt.extend(secrets);
    let mut texts = vec![("what was said".to_owned(), done.said())];
    for file in files(lake.path()).into_iter().filter(|file| !file.ends_with("tokens.json")) {
        texts.push((file.display().to_string(), String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned()));
    }
    assert!(texts.len() > 10, "{}", texts.len());
    for (place, text) in texts {
        for secret in &spelt {
            assert!(!text.contains(secret), "{place} shows {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_ends_with_eight_requests_in_flight_is_refreshed_once() {
    // GIVEN a slow source with tokens that end before its eighteenth answer, when eight requests are under way
    let sandbox = account(5_000).await;
    sandbox.change(|settings| (settings.latency, settings.expire_at) = (1_000, 18));
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake).with("PEARLIFT_LIMITS_CONCURRENCY", "8");

    // WHEN it runs
    let done = program.run(&["-v", "run", "order"]).expect(0);

    // THEN several were refused, one refresh served them all, and each was asked again once
    let log = sandbox.take_log();
    assert!(log.statuses[&401] > 1, "{log:?}");
    assert_eq!(log.grants, 1, "{log:?}");
    assert_eq!(log.total(), 27 + log.statuses[&401], "{log:?}");
    nothing_is_told(&sandbox, &lake, &done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_token_that_rotates_is_followed_from_run_to_run() {
    // GIVEN a source that ends a refresh token when it is used, and access tokens after every run
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake);
    for _ in 0..3 {
        sandbox.expire_tokens();

        // WHEN it runs THEN the token of the last refresh is good for the next
        let done = program.run(&["-v", "run", "brand", "order", "journal"]).expect(0);
        assert_eq!(sandbox.take_log().grants, 1);
        nothing_is_told(&sandbox, &lake, &done);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_that_is_denied_in_the_middle_of_a_run_is_asked_once_and_what_was_whole_stays() {
    // GIVEN tokens that end in the middle of a run, and a refresh token that is good for nothing
    let sandbox = account(3_000).await;
    sandbox.change(|settings| (settings.latency, settings.expire_at) = (300, 12));
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake)
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "planted-refresh")
        .with("PEARLIFT_LIMITS_CONCURRENCY", "8");

    // WHEN it runs
    let done = program.run(&["-v", "run", "order"]).expect(4);

    // THEN the token service was called once, the reason is reported, and earlier records are committed
    assert_eq!(sandbox.take_log().grants, 1);
    assert!(done.said().contains("invalid_grant"), "{}", done.said());
    assert!(!done.said().contains("planted-refresh"), "{}", done.said());
    nothing_is_told(&sandbox, &lake, &done);

    // WHEN a good one is given THEN the next run resumes from there
    let program = program.with("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "sandbox+refresh/token=");
    let done = program.run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_with_less_than_five_minutes_to_live_is_used_for_most_of_them() {
    // GIVEN a source with tokens of four minutes, where each refresh ends the former refresh token
    let sandbox = account(900).await;
    sandbox.change(|settings| settings.token_life = 240);
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let program = program(&sandbox, &lake).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");

    // WHEN it runs, and again THEN one refresh serves the requests of both
    program.run(&["run", "order", "product", "brand"]).expect(0);
    program.run(&["run", "brand"]).expect(0);
    let log = sandbox.take_log();
    assert!(log.total() > 10, "{log:?}");
    assert_eq!(log.grants, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_whose_life_is_told_as_text_as_a_fraction_or_not_at_all_is_taken() {
    use serde_json::json;
    for life in [json!("3600"), json!("3600.0"), json!(3600.0), json!(null), json!("soon"), json!(0), json!(-1)] {
        // GIVEN a source that states the lifetime of a token so, and nothing else that is optional
        let sandbox = account(50).await;
        sandbox.change(|settings| {
            for (name, value) in [("expires_in", &life), ("token_type", &json!("bearer")), ("api_domain", &json!(7))] {
                settings.grant.insert(name.to_owned(), value.clone());
            }
        });
        let lake = tempfile::tempdir().unwrap();
        sandbox.expire_tokens();

        // WHEN it runs THEN the grant is taken and kept; so is the value of a variable
        let life = if life.is_string() { "3600" } else { "3600.0" };
        let program = program(&sandbox, &lake).with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_IN", life);
        program.run(&["run", "brand", "order"]).expect(0);
        assert_eq!(sandbox.take_log().grants, 1, "{life}");
        let kept = std::fs::read_to_string(lake.path().join("tokens.json")).unwrap();
        assert!(kept.contains(&sandbox.access_tokens()[0]), "{life}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_was_refused_with_an_older_token_is_repeated_with_the_current_one() {
    // GIVEN a token that has ended, and requests that were sent with it
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let credentials = program(&sandbox, &lake).request(&[]).settings.credentials(Timestamp::UNIX_EPOCH).unwrap();
    let auth = Auth::new(credentials, "acme", Redactor::default()).unwrap();
    let http = Http::new(Duration::from_secs(60)).unwrap();
    let now = Timestamp::now();
    let older = auth.headers(&http, now).await.unwrap().generation;

    // WHEN one of them has it refreshed THEN the others are repeated with the new one, though they may not refresh any more
    assert_eq!(auth.refresh_after_refusal(&http, older, true, now).await.unwrap(), AfterRefusal::Refreshed);
    assert_eq!(auth.refresh_after_refusal(&http, older, false, now).await.unwrap(), AfterRefusal::Older);
    let current = auth.headers(&http, now).await.unwrap().generation;
    assert_ne!(current, older);
    // AND a request that was refused with the new one and may not refresh ends
    assert_eq!(auth.refresh_after_refusal(&http, current, false, now).await.unwrap(), AfterRefusal::Final);
    assert_eq!(sandbox.take_log().grants, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_that_end_again_and_again_while_requests_are_in_flight_end_no_run() {
    // GIVEN a source that ends a token after five requests, without any notice
    let sandbox = account(3_000).await;
    sandbox.change(|settings| {
        (settings.latency, settings.token_uses) = (20, 5);
        settings.grant.insert("expires_in".to_owned(), serde_json::Value::Null);
    });
    let lake = tempfile::tempdir().unwrap();
    sandbox.expire_tokens();
    let program = program(&sandbox, &lake).with("PEARLIFT_LIMITS_CONCURRENCY", "4");

    // WHEN it runs with several requests in flight THEN each is repeated with the token of the time
    let done = program.run(&["-v", "run", "order", "product", "contact"]).expect(0);
    let log = sandbox.take_log();
    assert!(log.grants > 5 && log.statuses[&401] >= log.grants, "{log:?}");
    nothing_is_told(&sandbox, &lake, &done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_lives_is_used_while_the_token_service_is_in_trouble() {
    use crate::support::Echo;
    // GIVEN a token that has four minutes left of an unknown life, and a token service in trouble
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let tokens = Echo::saying(503, "Content-Type: application/json\r\n", "{}");
    let soon = (Timestamp::now().as_second() + 240).to_string();
    let program = program(&sandbox, &lake)
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/token", tokens.root()))
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", &soon);

    // WHEN it runs THEN the token is used, and the service is not asked for each request
    program.run(&["run", "brand", "order", "product"]).expect(0);
    assert_eq!(tokens.asked().iter().filter(|asked| asked.starts_with("POST")).count(), 3, "three tries, once");

    // WHEN the token has ended too THEN that is no denial: the refresh token stays valid, and it is reported
    sandbox.expire_tokens();
    let done = program.run(&["run", "order"]).expect(4);
    assert!(done.said().contains("the refresh token stays valid") && done.said().contains("503"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn advice_names_the_secret_of_the_configured_kind() {
    let sandbox = account(50).await;
    let others = ["STAFF_TOKEN", "ACCOUNT_TOKEN", "OAUTH_ACCESS_TOKEN", "OAUTH_REFRESH_TOKEN", "CLIENT_SECRET"];
    // kind, variable, settings beside it, exit code; the variables of the advice
    #[expect(clippy::type_complexity, reason = "variables and settings, the advice")]
    let cases: [(&str, &[(&str, &str)], i32, &[&str]); 10] = [
        ("staff-token", &[("BRIGHTPEARL_STAFF_TOKEN", "wrong-token")], 4, &["BRIGHTPEARL_STAFF_TOKEN"]),
        (
            "staff-token",
            &[("PAN_SEC_BRIGHTPEARL-STAFF_TOKEN", "wrong-token"), ("BRIGHTPEARL_ACCOUNT_TOKEN", "another-token")],
            4,
            &["PAN_SEC_BRIGHTPEARL-STAFF_TOKEN"],
        ),
        ("staff-token", &[("BRIGHTPEARL_ACCOUNT_TOKEN", "another-token")], 2, &["BRIGHTPEARL_STAFF_TOKEN"]),
        ("staff-token", &[("BRIGHTPEARL_STAFF_TOKEN", "wrong\u{1}token")], 2, &["BRIGHTPEARL_STAFF_TOKEN"]),
        ("account-token", &[("BRIGHTPEARL_ACCOUNT_TOKEN", "wrong-token")], 4, &["BRIGHTPEARL_ACCOUNT_TOKEN"]),
        ("account-token", &[("BRIGHTPEARL_STAFF_TOKEN", "another-staff-token")], 2, &["BRIGHTPEARL_ACCOUNT_TOKEN"]),
        (
            "oauth",
            &[("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "wrong-token")],
            4,
            &["BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "BRIGHTPEARL_OAUTH_REFRESH_TOKEN"],
        ),
        ("oauth", &[("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "wrong-token")], 4, &["BRIGHTPEARL_OAUTH_REFRESH_TOKEN"]),
        (
            "oauth",
            &[
                ("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "sandbox+refresh/token="),
                ("BRIGHTPEARL_CLIENT_SECRET", "wrong-secret"),
            ],
            4,
            &["BRIGHTPEARL_CLIENT_SECRET", "BRIGHTPEARL_OAUTH_REFRESH_TOKEN"],
        ),
        ("oauth", &[("BRIGHTPEARL_STAFF_TOKEN", "another-staff-token")], 2, &["BRIGHTPEARL_OAUTH_REFRESH_TOKEN"]),
    ];
    for (kind, variables, code, named) in cases {
        // GIVEN a secret that is wrong or missing
        let lake = tempfile::tempdir().unwrap();
        let mut program = Program::new(&sandbox, lake.path().join("lake"))
            .without("BRIGHTPEARL_STAFF_TOKEN")
            .with("PEARLIFT_AUTH_KIND", kind)
            .with("XDG_STATE_HOME", lake.path().join("state").to_str().unwrap())
            .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/oauth/token", sandbox.root()));
        for (name, value) in variables {
            program = program.with(name, value);
        }
        // WHEN it runs THEN the advice names it, and no secret of another kind
        let done = program.run(&["run", "brand"]).expect(code);
        let help = done.said().split("help: ").nth(1).unwrap_or_else(|| panic!("{kind}: {}", done.said())).to_owned();
        assert!(named.iter().all(|name| help.contains(name)), "{kind} {variables:?}: {}", done.said());
        let own = |other: &str| named.iter().any(|name| name.ends_with(other));
        assert!(
            others.iter().all(|other| own(other) || !help.contains(other)),
            "{kind} {variables:?}: {}",
            done.said()
        );
    }
}
