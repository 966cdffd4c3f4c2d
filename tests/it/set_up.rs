//! The first hour: `init` by flags and on a terminal, and the causes that `check` distinguishes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::json;

use crate::support::{Done, Program, account, start, this_morning};

/// The program without any setting of an account.
fn program(folder: &Path) -> Program {
    let program = Program::bare(folder.join("lake")).with("PEARLIFT_LIMITS_RETRY_TRIES", "1");
    let names = ["ACCOUNT_CODE", "AUTH_KIND", "AUTH_APP_REF", "DESTINATION_URL"];
    names.iter().fold(program, |program, name| program.without(&format!("PEARLIFT_{name}")))
}

/// The flags of an account that runs on this machine.
fn flags(sandbox: &Sandbox, folder: &Path) -> Vec<String> {
    let file = folder.join("pearlift.toml").display().to_string();
    let lake = folder.join("lake").display().to_string();
    let values = [("--account", "acme".to_owned()), ("--datacentre", sandbox.url()), ("--destination", lake)];
    let values = values.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    let login = ["--login", "staff-token", "--app-ref", "acme_export"].map(str::to_owned);
    ["init".to_owned(), file].into_iter().chain(values).chain(login).collect()
}

fn run(program: &Program, arguments: &[String]) -> Done {
    program.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn read(file: &Path) -> toml::Table {
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn init_with_flags_asks_for_nothing_and_ends_with_the_checks() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let file = folder.path().join("pearlift.toml");

    // GIVEN all values and the token WHEN a file is written THEN its checks follow
    let arguments = flags(&sandbox, folder.path());
    let done = run(&program.clone().with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token"), &arguments).expect(0);
    assert!(done.stdout.contains("ok    credentials") && !done.stdout.contains("FAIL"), "{}", done.said());
    let written = read(&file);
    assert_eq!(written["account"]["base_url"].as_str(), Some(sandbox.url().as_str()));
    assert_eq!(written["auth"]["kind"].as_str(), Some("staff-token"));
    // AND an existing file stays
    let before = std::fs::read_to_string(&file).unwrap();
    run(&program, &arguments).expect(2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);

    // GIVEN no token WHEN it is written THEN the place of the token is stated, and that nothing was checked
    std::fs::remove_file(&file).unwrap();
    let done = run(&program, &arguments).expect(0);
    assert!(
        done.stderr.contains("not checked yet") && done.stderr.contains("BRIGHTPEARL_STAFF_TOKEN_FILE"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("pearlift --config"), "{}", done.stderr);

    // GIVEN a wrong token WHEN it is written THEN the exit code is that of the checks
    std::fs::remove_file(&file).unwrap();
    let done = run(&program.with("BRIGHTPEARL_STAFF_TOKEN", "planted-staff-token"), &arguments).expect(4);
    assert!(done.stdout.contains("FAIL  credentials") && file.exists(), "{}", done.said());
}

#[test]
fn init_corrects_known_forms_and_leaves_missing_values_behind_a_sign() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pearlift.toml");
    let name = file.to_str().unwrap();
    let program = program(folder.path());

    // GIVEN an address in place of a code WHEN a file is written THEN both values in it are taken
    let pasted = "https://use1.brightpearlconnect.com/public-api/acme/";
    let done = program.run(&["init", name, "--account", pasted, "--login", "oauth", "--no-check"]).expect(0);
    assert!(done.stderr.contains("the account code is `acme`"), "{}", done.stderr);
    let written = read(&file);
    assert_eq!(written["account"]["code"].as_str(), Some("acme"));
    assert_eq!(written["account"]["api_domain"].as_str(), Some("use1.brightpearlconnect.com"));
    assert_eq!(written["auth"]["kind"].as_str(), Some("oauth"));
    // AND other keys are there without a value
    assert!(!written.contains_key("destination") || written["destination"].get("url").is_none(), "{written}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("# url = "));

    // GIVEN the name of a data centre in a file WHEN it is read THEN it is corrected too
    let settings = folder.path().join("other.toml");
    for domain in ["use1", "https://use1.brightpearlconnect.com/"] {
        let text = format!("[account]\ncode = \"acme\"\napi_domain = \"{domain}\"\n");
        let text =
            pearlift::config::Settings::from_text(Some(settings.clone()), &text, Default::default(), &[]).unwrap();
        assert_eq!(text.account().unwrap().host(), "use1.brightpearlconnect.com", "{domain}");
    }

    // GIVEN values that cannot be corrected WHEN a file is to be written THEN they are refused with the right form
    std::fs::remove_file(&file).unwrap();
    for (flag, value, right) in [
        ("--datacentre", "europe", "euw1.brightpearlconnect.com"),
        ("--datacentre", "http://127.0.0.1:8080/", "/public-api/acme"),
        ("--account", "my account", "`acme`"),
        ("--app-ref", "cGxhbnRlZC10b2tlbi0xMjM0NQ==", "acme_export"),
        ("--destination", "s3:/bucket/x", "s3://bucket/prefix"),
    ] {
        let done = program.run(&["init", name, flag, value]).expect(2);
        assert!(done.stderr.contains(right) && !done.stderr.contains("cGxhbnRlZC"), "{flag} {value}: {}", done.stderr);
        assert!(!file.exists(), "{flag} {value}");
    }
    assert!(program.run(&["init", name, "--login", "password"]).expect(2).stderr.contains("staff-token"));

    // GIVEN a container of Azure WHEN a file is written THEN the account that is still missing is stated
    let done = program.run(&["init", name, "--destination", "az://lake/shop"]).expect(0);
    assert!(
        done.stderr.contains("storage account") && done.stderr.contains("AZURE_STORAGE_ACCOUNT_NAME"),
        "{}",
        done.stderr
    );
    let written = read(&file);
    assert_eq!(written["destination"]["url"].as_str(), Some("az://lake/shop"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn init_on_a_terminal_asks_and_states_where_each_value_is_found() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path()).with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token");
    let mut command = Command::new("script");
    let whole = program.command(&[]);
    let line = format!("{} init", whole.get_program().to_str().unwrap());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(folder.path());

    // GIVEN a terminal WHEN its user answers, at first wrongly
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script` gives a terminal");
    let answers = format!("my account\nacme\n\n{}\nacme_export\nlake\n", sandbox.url());
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();

    // THEN each question names the place of its value, the wrong answer is asked for again, and the checks follow
    assert_eq!(output.status.code(), Some(0), "{said}");
    for text in
        ["App Store > Private apps", "bottom right", "kind of login [staff-token]:", "BRIGHTPEARL_STAFF_TOKEN_FILE"]
    {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(said.matches("\naccount code: ").count(), 2, "{said}");
    assert!(said.contains("ok    credentials") && !said.contains("sandbox-staff-token"), "{said}");
    let written = read(&folder.path().join("pearlift.toml"));
    assert_eq!(written["destination"]["url"].as_str(), Some("lake"));
    // AND a relative destination begins at the folder of the file
    assert!(folder.path().join("lake").is_dir());
}

/// An account that is served elsewhere, with its own token.
async fn other(token: &str) -> Sandbox {
    let settings = SandboxSettings {
        account: "other".to_owned(),
        staff_token: token.to_owned(),
        limit: 0,
        now: Some(this_morning()),
        ..SandboxSettings::default()
    };
    start(settings, Size { orders: 10, ..Size::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_distinguishes_a_wrong_account_a_wrong_data_centre_and_a_wrong_token() {
    let lake = tempfile::tempdir().unwrap();
    let right = account(10).await;
    for (token, status) in [("sandbox-staff-token", 404), ("sandbox-staff-token", 401), ("another-token", 404)] {
        // GIVEN a host that does not serve the account, in each way in which it may say so, and one that does
        let wrong = other(token).await;
        wrong.change(|settings| settings.unknown_account_status = status);
        let both = format!("{},{}", wrong.root(), right.root());
        let program = Program::new(&right, lake.path().join("lake"))
            .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", wrong.root()))
            .with("PEARLIFT_ACCOUNT_DATA_CENTRES", &both);
        // WHEN it is checked THEN the right host is named
        let done = program.run(&["check"]).expect(4);
        assert!(done.stdout.contains("FAIL  data centre: could not find account acme"), "{}", done.stdout);
        let line = format!("base_url = \"{}\"", right.url());
        assert!(done.stdout.contains(&line), "{}", done.stdout);
        assert_eq!(done.stdout.matches("FAIL").count(), 1, "{}", done.stdout);

        // GIVEN that nobody else may be asked THEN nobody is
        right.take_log();
        let done = program.clone().with("PEARLIFT_ACCOUNT_DATA_CENTRES", "").run(&["check"]).expect(4);
        let cause = if status == 404 && token == "sandbox-staff-token" { "account" } else { "credentials" };
        assert!(done.stdout.contains(&format!("FAIL  {cause}: ")), "{}", done.stdout);
        assert!(done.stdout.contains("account.code"), "{}", done.stdout);
        assert_eq!(right.take_log().total(), 0);

        // GIVEN a code that neither serves, or a token that neither knows THEN that is the cause
        let nowhere = format!("{}/public-api/nobody", wrong.root());
        let nobody =
            program.clone().with("PEARLIFT_ACCOUNT_BASE_URL", &nowhere).with("PEARLIFT_ACCOUNT_CODE", "nobody");
        let done = nobody.run(&["check"]).expect(4);
        assert!(done.stdout.contains(&format!("FAIL  {cause}: ")), "{}", done.stdout);
        let done = program.with("BRIGHTPEARL_STAFF_TOKEN", "planted-staff-token").run(&["check"]).expect(4);
        assert!(
            done.stdout.contains("FAIL  credentials: ") && done.stdout.contains("BRIGHTPEARL_STAFF_TOKEN"),
            "{}",
            done.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_sends_no_token_to_a_host_outside_the_sources_domains_that_the_token_service_names() {
    // GIVEN an account that does not know the token, and a token service that names a host of its own
    let (account, service) = (other("sandbox-staff-token").await, account(10).await);
    service.change(|settings| {
        settings.grant.insert("api_domain".to_owned(), json!(service.root()));
    });
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&account, lake.path().join("lake"))
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("PEARLIFT_AUTH_DEV_REF", "acme-dev")
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/oauth/token", service.root()))
        .with("PEARLIFT_AUTH_TOKEN_FILE", lake.path().join("tokens.json").to_str().unwrap())
        .with("PEARLIFT_ACCOUNT_DATA_CENTRES", &account.root())
        .with("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "sandbox+refresh/token=");
    for _ in 0..2 {
        // WHEN it is checked, also with the tokens of the first check THEN the host gets no request of the account
        let done = program.run(&["check"]).expect(4);
        assert!(done.stdout.contains("FAIL  credentials: could not log in"), "{}", done.stdout);
        let log = service.take_log();
        assert!(log.grants > 0 && log.total() == 0, "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_names_what_the_credentials_may_not_read() {
    let sandbox = account(10).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path().join("lake"));
    let forbids = |path: &str| {
        let body = json!({"errors": [{"code": "CMNC-403", "message": "You may not read this"}]}).to_string();
        json!([{"path": path, "then": {"status": {"status": 403, "body": body}}}])
    };
    let change = |rules: serde_json::Value| {
        sandbox.change(|settings| settings.answers = serde_json::from_value(rules.clone()).unwrap());
    };

    // GIVEN credentials that may not read one search WHEN they are checked THEN it alone is named
    change(forbids("product-search"));
    let done = program.run(&["check"]).expect(4);
    assert!(done.stdout.contains("ok    credentials"), "{}", done.stdout);
    assert!(done.stdout.contains("FAIL  product: product-search: could not read product"), "{}", done.stdout);
    assert!(done.stdout.contains("give the app or staff member permission"), "{}", done.stdout);
    assert!(!done.stdout.contains("FAIL  order"), "{}", done.stdout);

    // GIVEN credentials that may read nothing THEN that is stated once
    change(forbids("meta-data"));
    let done = program.run(&["check"]).expect(4);
    assert!(done.stdout.contains("ok    credentials"), "{}", done.stdout);
    assert_eq!(done.stdout.matches("FAIL").count(), 1, "{}", done.stdout);
    assert!(done.stdout.contains("FAIL  permission: could not read any resource"), "{}", done.stdout);
}
