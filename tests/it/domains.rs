//! The host that a token answer names: the token is used there from the first request on, and nowhere that is not trusted.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pearlift::config::AccountSettings;
use pearlift::event::Events;
use pearlift::fetch::{Auth, Client, Request, SourceReply};
use pearlift::secret::Redactor;

use crate::oauth;
use crate::support::{Echo, Program, account};

const NEW: &str = "use1.brightpearlconnect.com";

/// A token service that names this host in its answers.
fn service(domain: &str) -> Echo {
    let grant = format!(
        r#"{{"access_token":"planted+new/token=","refresh_token":"planted+next/token=","expires_in":604800,"api_domain":"{domain}"}}"#
    );
    Echo::saying(200, "Content-Type: application/json\r\n", &grant)
}

/// The program with a token that has ended, for an account that lives at an older host as far as is known, behind a proxy.
fn program(lake: &tempfile::TempDir, service: &Echo, proxy: &Echo) -> Program {
    Program::bare(lake.path().join("lake"))
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("PEARLIFT_AUTH_CLIENT_ID", "acme_export")
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/token", service.root()))
        .with("PEARLIFT_AUTH_TOKEN_FILE", lake.path().join("tokens.json").to_str().unwrap())
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_API_DOMAIN", "ws-eu1.brightpearl.com")
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_ACCESS_TOKEN", "planted+old/token=")
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_REFRESH_TOKEN", "planted+refresh/token=")
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z")
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "1")
        .with("https_proxy", &proxy.root())
}

/// The hosts that a proxy was asked for.
fn hosts(proxy: &Echo) -> Vec<String> {
    let asked = proxy.asked();
    asked.iter().filter_map(|asked| Some(asked.strip_prefix("CONNECT ")?.split(':').next()?.to_owned())).collect()
}

#[test]
fn a_refreshed_token_is_first_used_at_the_host_that_its_answer_names() {
    let (service, proxy) = (service(NEW), Echo::saying(502, "", ""));
    let lake = tempfile::tempdir().unwrap();
    // GIVEN an account that has moved WHEN its token is refreshed before the first request
    program(&lake, &service, &proxy).run(&["run", "brand"]).expect(4);
    // THEN not even the first one goes to the former host
    let hosts = hosts(&proxy);
    assert!(!hosts.is_empty() && hosts.iter().all(|host| host == NEW), "{hosts:?}");
}

#[tokio::test]
async fn a_request_that_is_repeated_with_a_refreshed_token_goes_to_that_tokens_host() {
    // GIVEN a source that refuses the former token, and a token service that names another host of it
    let source = Echo::start(|request, stream| {
        let (status, body) = match request.contains("planted+new/token=") {
            true => (200, r#"{"response":[]}"#),
            false => (401, r#"{"response":"Authorization token expired"}"#),
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n");
        let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        std::io::Write::write_all(stream, whole.as_bytes()).unwrap();
    });
    let (service, lake) = (service("localhost"), tempfile::tempdir().unwrap());
    let program = program(&lake, &service, &source)
        .with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2099-01-01T00:00:00Z")
        .with("PEARLIFT_AUTH_API_DOMAINS", "shop.example, localhost");
    let settings = program.request(&[]).settings;
    let auth = Auth::new(settings.credentials(Timestamp::UNIX_EPOCH).unwrap(), "acme", Redactor::default()).unwrap();
    let base_url = format!("{}/public-api/acme", source.root()).parse().unwrap();
    let account = AccountSettings { code: "acme".to_owned(), base_url, fixed: false };
    let limits = settings.limits().unwrap();
    let client = Client::new(&account, auth, &limits, 1, Events::silent()).unwrap();
    // WHEN it is asked
    let request = Request::get(&Arc::from("thing"), "product-service/brand".to_owned());
    let reply = tokio::time::timeout(Duration::from_secs(60), client.ask(&request)).await.unwrap().unwrap();
    assert!(matches!(reply, SourceReply::Good(_)));
    // THEN the former token went to the former host, and the new one to the new host
    let asked: Vec<(bool, bool)> = source
        .asked()
        .iter()
        .map(|asked| (asked.contains("planted+new/token="), asked.to_ascii_lowercase().contains("host: localhost")))
        .collect();
    assert_eq!(asked, [(false, false), (true, true)]);
}

#[test]
fn a_host_outside_the_sources_domains_is_handed_no_token_unless_the_settings_allow_it() {
    for host in ["evil.example", "brightpearl.com.evil.example", "evilbrightpearl.com", "evil.example/.brightpearl.com"]
    {
        let (service, proxy) = (service(host), Echo::saying(502, "", ""));
        let lake = tempfile::tempdir().unwrap();
        let program = program(&lake, &service, &proxy);
        // GIVEN a token answer that names a host of somebody else WHEN it runs THEN nothing is sent there
        let done = program.run(&["run", "brand"]).expect(4);
        assert!(done.said().contains("api_domains"), "{host}: {}", done.said());
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{host}");
        // AND nor by the next run, which finds the host in the token file; the token is not lost
        let done = program.run(&["run", "brand"]).expect(4);
        assert!(done.said().contains("api_domains"), "{host}: {}", done.said());
        assert_eq!((proxy.asked(), service.asked().len()), (Vec::new(), 1), "{host}");
    }
    let (service, proxy) = (service("api.shop.example"), Echo::saying(502, "", ""));
    let lake = tempfile::tempdir().unwrap();
    let allowed = program(&lake, &service, &proxy).with("PEARLIFT_AUTH_API_DOMAINS", "shop.example");
    allowed.run(&["run", "brand"]).expect(4);
    assert!(hosts(&proxy).iter().all(|host| host == "api.shop.example") && !proxy.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_that_the_settings_fix_is_moved_by_no_token_answer() {
    let sandbox = account(20).await;
    let lake = tempfile::tempdir().unwrap();
    sandbox.change(|settings| {
        settings.grant = [("api_domain".to_owned(), "evil.example".into())].into_iter().collect();
    });
    let program = oauth::program(&sandbox, &lake).with("PAN_SEC_BRIGHTPEARL-OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z");
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(sandbox.take_log().grants, 1);
}
