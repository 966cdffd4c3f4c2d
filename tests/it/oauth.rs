//! OAuth: tokens that end, and what is kept of new ones.

use std::os::unix::fs::PermissionsExt;

use pearlift::sandbox::Sandbox;

use crate::support::{Program, account};

fn program(sandbox: &Sandbox, lake: &tempfile::TempDir) -> Program {
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
    // GIVEN tokens that the source no longer takes, though nobody said so
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
    // AND no token is said
    for secret in ["sandbox+access/token=", "sandbox+refresh/token=", "sandbox-client-secret"] {
        assert!(!done.said().contains(secret), "{}", done.said());
    }
    // AND the next run uses them: no further refresh, though the environment still has the old ones
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(sandbox.access_tokens(), good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_about_to_end_is_refreshed_before_it_is_used() {
    // GIVEN a token of which the environment says that it has ended
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
