//! `auth login`, `auth status` and `auth refresh` against the page and the token endpoint of the simulated account.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pearlift::sandbox::Sandbox;
use reqwest::Url;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::{Leaks, Program, Running, account, client};

/// The program for an OAuth account without any token.
fn program(sandbox: &Sandbox, folder: &tempfile::TempDir) -> Program {
    Program::new(sandbox, folder.path().join("lake"))
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("PEARLIFT_AUTH_DEV_REF", "acme-dev")
        .with("PEARLIFT_AUTH_AUTHORIZE_URL", &format!("{}/authorize/acme", sandbox.root()))
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/oauth/token", sandbox.root()))
        .with("PEARLIFT_AUTH_TOKEN_FILE", tokens(folder).to_str().unwrap())
        .with("BRIGHTPEARL_CLIENT_SECRET", "sandbox-client-secret")
}

fn tokens(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("tokens.json")
}

/// A login that listens, with the address of its page.
async fn begin(program: &Program) -> (Running, String) {
    let mut running = program.start(&["auth", "login", "--port", "0"]);
    let ready = async {
        while !running.said().contains("waiting for the answer") {
            assert_eq!(running.try_wait().unwrap(), None, "{}", running.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.expect("it listens");
    let said = running.said();
    let address = said.lines().find(|line| line.starts_with("http://")).expect("the address has a line of its own");
    (running, address.to_owned())
}

/// The fields of the page's form.
async fn fields(address: &str) -> Vec<(String, String)> {
    let page = client().get(address).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    let inputs = page.split("<input type=\"hidden\" name=\"").skip(1).map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").unwrap();
        (name.to_owned(), rest.split_once('"').unwrap().0.replace("&amp;", "&"))
    });
    let fields: Vec<(String, String)> = inputs.collect();
    assert!(fields.len() >= 4, "{page}");
    fields
}

/// Answers the form, and gives the address to which the page leads.
async fn decide(address: &str, decision: &str) -> String {
    let mut fields = fields(address).await;
    fields.push(("decision".to_owned(), decision.to_owned()));
    let stays = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let answer = stays.post(address.split('?').next().unwrap()).form(&fields).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_is_allowed_on_the_page_keeps_its_tokens_and_the_next_commands_use_them() {
    // GIVEN an account without any token
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &folder);
    let done = program.run(&["run", "brand"]).expect(2);
    assert!(done.stderr.contains("pearlift auth login"), "{}", done.stderr);
    assert!(program.run(&["auth", "status"]).expect(2).stderr.contains("pearlift auth login"));

    // WHEN the login begins, another page sends a code of its own, and the login is allowed
    let (mut running, address) = begin(&program).await;
    let back = decide(&address, "allow").await;
    let state = Url::parse(&address).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    assert!(state.len() >= 16, "{state}");
    let forged = back.replace(&state, "forged");
    assert_eq!(client().get(forged).send().await.unwrap().status(), 400);
    let page = client().get(&back).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("The answer has arrived"), "{page}");

    // THEN the tokens are kept, for us alone, and neither they nor the code are shown
    assert!(running.wait().unwrap().success(), "{}", running.said());
    let said = running.said();
    assert!(said.contains("account     acme") && said.contains("for 6days 23h"), "{said}");
    assert!(!said.contains("sandbox+code") && !said.contains("sandbox%2Bcode"), "{said}");
    let kept = std::fs::read_to_string(tokens(&folder)).unwrap();
    assert!(sandbox.access_tokens().iter().any(|token| kept.contains(token.as_str())), "they are those of the account");
    assert_eq!(std::fs::metadata(tokens(&folder)).unwrap().permissions().mode() & 0o777, 0o600);

    // AND runs use them, and a refresh replaces them
    program.run(&["run", "brand"]).expect(0);
    let done = program.run(&["auth", "status"]).expect(0);
    assert!(done.stdout.contains("refreshed   yes") && done.stdout.contains("tokens.json"), "{}", done.stdout);
    let grants = sandbox.take_log().grants;
    assert_eq!(grants, 1);
    let done = program.run(&["auth", "refresh"]).expect(0);
    assert!(done.stdout.contains("valid until"), "{}", done.stdout);
    assert_ne!(std::fs::read_to_string(tokens(&folder)).unwrap(), kept);
    assert_eq!(sandbox.take_log().grants, 1);
    let status: Value = serde_json::from_str(&program.run(&["auth", "status", "--json"]).expect(0).stdout).unwrap();
    assert_eq!(
        (&status["account"], &status["expired"], &status["refreshable"]),
        (&json!("acme"), &json!(false), &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_is_not_allowed_leaves_no_file() {
    let sandbox = account(20).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &folder);
    let (mut running, address) = begin(&program).await;
    let page = client().get(decide(&address, "deny").await).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("was not allowed"), "{page}");
    assert_eq!(running.wait().unwrap().code(), Some(4), "{}", running.said());
    assert!(running.said().contains("access_denied") && !tokens(&folder).exists(), "{}", running.said());
}

/// A login that reads its answer from stdin, with the address of its page.
fn begin_pasting(program: &Program, more: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut command = program.command(&[&["auth", "login", "--paste"], more].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut address = String::new();
    out.read_line(&mut address).unwrap();
    (child, out, address.trim().to_owned())
}

/// Pastes an answer; gives the exit code and the messages.
fn paste(mut child: Child, mut out: impl Read, text: &str) -> (i32, String) {
    child.stdin.take().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
    let mut said = String::new();
    out.read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    Leaks::of(&[]).refuse("what it said", &said);
    (child.wait().unwrap().code().unwrap_or(-1), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_browser_on_the_machine_the_address_is_pasted() {
    // GIVEN an app whose registered redirect address is on another machine
    const REGISTERED: &str = "https://app.example/oauth?from=brightpearl";
    let sandbox = account(20).await;
    sandbox.change(|settings| settings.redirect_uris = vec![REGISTERED.to_owned()]);
    let folder = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &folder).with("PEARLIFT_AUTH_REDIRECT_URI", REGISTERED);

    // WHEN the address to which the page leads is pasted THEN the tokens are kept
    let (child, out, address) = begin_pasting(&program, &[]);
    let back = decide(&address, "allow").await;
    assert!(back.starts_with(REGISTERED), "{back}");
    let (code, said) = paste(child, out, &back);
    assert_eq!(code, 0, "{said}");
    program.run(&["run", "brand"]).expect(0);

    // WHEN the same answer is pasted into another login THEN it is refused, for it repeats another text
    let kept = std::fs::read_to_string(tokens(&folder)).unwrap();
    let (child, out, _) = begin_pasting(&program, &[]);
    let (code, said) = paste(child, out, &back);
    assert!(code == 2 && said.contains("no answer to this login"), "{code} {said}");
    // AND so is its code alone, for it has been exchanged
    let used = Url::parse(&back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let (child, out, _) = begin_pasting(&program, &[]);
    let (code, said) = paste(child, out, &used);
    assert!(code == 4 && said.contains("invalid_grant") && !said.contains(&used), "{code} {said}");
    assert_eq!(std::fs::read_to_string(tokens(&folder)).unwrap(), kept);

    // WHEN a code alone is pasted in time THEN it is taken
    let (child, out, address) = begin_pasting(&program, &[]);
    let back = decide(&address, "allow").await;
    let fresh = Url::parse(&back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    assert_eq!(paste(child, out, &fresh).0, 0);
    assert_ne!(std::fs::read_to_string(tokens(&folder)).unwrap(), kept);

    // WHEN another redirect address is used than the registered one THEN the page refuses it
    let (mut child, _, address) = begin_pasting(&program, &["--redirect-uri", "https://app.example/other"]);
    assert_eq!(client().get(address).send().await.unwrap().status(), 400);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_the_token_service_refuses_is_explained_and_keeps_nothing() {
    let sandbox = account(20).await;
    let folder = tempfile::tempdir().unwrap();
    for (change, says) in [
        (("BRIGHTPEARL_CLIENT_SECRET", "planted-client-secret".to_owned()), "invalid_client"),
        (("PEARLIFT_AUTH_TOKEN_URL", format!("{}/public-api/acme/", sandbox.root())), "token service refused it"),
        (("PEARLIFT_AUTH_TOKEN_URL", "http://127.0.0.1:9/token".to_owned()), "auth.token_url"),
    ] {
        let program = program(&sandbox, &folder).with(change.0, &change.1);
        let (mut running, address) = begin(&program).await;
        client().get(decide(&address, "allow").await).send().await.unwrap();
        assert_eq!(running.wait().unwrap().code(), Some(4), "{}", running.said());
        assert!(running.said().contains(says), "{says}: {}", running.said());
        assert!(!tokens(&folder).exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_kinds_of_login_and_ports_that_are_taken_are_refused_with_the_remedy() {
    let sandbox = account(20).await;
    let folder = tempfile::tempdir().unwrap();
    let staff = Program::new(&sandbox, folder.path().join("lake"));
    for command in ["login", "refresh"] {
        assert!(staff.run(&["auth", command]).expect(2).stderr.contains("auth.kind"), "{command}");
    }
    assert!(staff.run(&["auth", "status"]).expect(0).stdout.contains("BRIGHTPEARL_STAFF_TOKEN"));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let program = program(&sandbox, &folder);
    assert!(program.run(&["auth", "login", "--port", &port]).expect(2).stderr.contains("--port"));
    let done = program.run(&["auth", "login", "--redirect-uri", "http://app.example/"]).expect(2);
    assert!(done.stderr.contains("redirect_uri"), "{}", done.stderr);
    // AND a token file that cannot be written is refused before the page is opened
    let nowhere = program.clone().with("PEARLIFT_AUTH_TOKEN_FILE", "/proc/pearlift/tokens.json");
    let done = nowhere.run(&["auth", "login", "--port", "0"]).expect(2);
    assert!(done.stderr.contains("token_file") && done.stdout.is_empty(), "{}", done.said());

    // GIVEN a token that has expired, and no refresh token THEN the state is a failure
    let ended = program
        .with("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "sandbox+access/token=")
        .with("BRIGHTPEARL_OAUTH_EXPIRES_AT", "2020-01-01T00:00:00Z");
    let done = ended.run(&["auth", "status"]).expect(4);
    assert!(
        done.stdout.contains("expired at 2020-01-01T00:00:00Z") && done.stderr.contains("auth login"),
        "{}",
        done.said()
    );
    ended.run(&["auth", "refresh"]).expect(2);
}

/// A browser, driven by chromedriver.
struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed, see CONTRIBUTING.md");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let line =
            lines.map(Result::unwrap).find(|line| line.contains("successfully on port ")).expect("it states its port");
        let port = line.rsplit("on port ").next().unwrap().trim_end_matches('.').to_owned();
        let options = json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let root = format!("http://127.0.0.1:{port}/session");
        let begun = post(&root, &wanted).await;
        let session = begun["sessionId"].as_str().unwrap_or_else(|| panic!("{begun}"));
        Self { driver, session: format!("{root}/{session}") }
    }

    async fn open(&self, address: &str) {
        post(&format!("{}/url", self.session), &json!({"url": address})).await;
    }

    async fn click(&self, selector: &str) {
        let found =
            post(&format!("{}/element", self.session), &json!({"using": "css selector", "value": selector})).await;
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        post(&format!("{}/element/{element}/click", self.session), &json!({})).await;
    }

    async fn source(&self) -> String {
        client().get(format!("{}/source", self.session)).send().await.unwrap().text().await.unwrap()
    }

    async fn end(mut self) {
        client().delete(&self.session).send().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
    }
}

/// The value of chromedriver's answer.
async fn post(address: &str, body: &Value) -> Value {
    let request = client().post(address).header("Content-Type", "application/json").body(body.to_string());
    let text = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["value"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Chromium and chromedriver: `make browser`"]
async fn a_person_allows_the_login_in_a_browser() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &folder);
    let browser = Browser::start().await;
    for (button, code, says) in [("#deny", 4, "was not allowed"), ("#allow", 0, "The answer has arrived")] {
        // GIVEN the page of a login WHEN a person presses a button THEN the browser shows the outcome, and so does the program
        let (mut running, address) = begin(&program).await;
        browser.open(&address).await;
        browser.click(button).await;
        assert!(browser.source().await.contains(says));
        assert_eq!(running.wait().unwrap().code(), Some(code), "{}", running.said());
    }
    browser.end().await;
    // AND the tokens are good
    program.run(&["run", "brand"]).expect(0);
    program.run(&["check"]).expect(0);
}
