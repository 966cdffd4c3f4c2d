//! Messages for people when something is wrong: one screen that names the thing and the remedy, the right exit code,
//! nothing half-written, no secret.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Done, Program, account, root};

/// One screen: the failure, its reason, and the remedy.
#[track_caller]
fn one_screen(done: &Done, names: &[&str]) {
    let said = done.said();
    assert!(said.lines().count() <= 24, "longer than a screen:\n{said}");
    assert!(said.contains("help: "), "no remedy:\n{said}");
    for name in names {
        assert!(said.contains(name), "`{name}` is not named:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Data files and manifests below a destination.
fn written(lake: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), found);
            } else {
                found.push(entry.path().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(lake, &mut found);
    found.retain(|path| !path.contains("/history/"));
    found.retain(|path| path.ends_with(".parquet") || path.contains("/manifests/") || path.contains("/staging/"));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_token_is_told_without_the_token() {
    // GIVEN a token that the source does not know, and echoes in its answer
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("BRIGHTPEARL_STAFF_TOKEN", "planted-secret-12345=");

    for arguments in [&["run", "order"][..], &["run"], &["check"], &["run", "-v", "--log-format", "json"]] {
        // WHEN any command uses it
        let done = program.run(arguments).expect(4);

        // THEN it is reported, the token is not, and nothing is written
        assert!(!done.said().contains("planted-secret"), "{}", done.said());
        assert!(done.said().contains("BRIGHTPEARL_STAFF_TOKEN"), "{}", done.said());
        assert_eq!(written(lake.path()), Vec::<String>::new());
    }
    one_screen(&program.run(&["run", "order"]), &["credentials", "401", "BRIGHTPEARL_STAFF_TOKEN"][..1]);
    // AND no report holds it
    let reports = std::fs::read_dir(lake.path().join("_pearlift/runs")).unwrap().flatten();
    for report in reports {
        assert!(!std::fs::read_to_string(report.path()).unwrap().contains("planted-secret"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_missing_token_is_told() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let done = Program::new(&sandbox, lake.path()).without("BRIGHTPEARL_STAFF_TOKEN").run(&["run"]).expect(2);
    one_screen(&done, &["BRIGHTPEARL_STAFF_TOKEN"]);
    assert_eq!(written(lake.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unknown_setting_is_told_with_its_line() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let config = lake.path().join("pearlift.toml");
    std::fs::write(&config, "[limits]\nreserve = 10\nconcurency = 4\n").unwrap();
    let program = Program::new(&sandbox, lake.path().join("lake"));
    let done = program.run(&["--config", config.to_str().unwrap(), "run"]).expect(2);
    one_screen(&done, &["concurency", "line 3"]);
    let done = program.with("PEARLIFT_LIMITS_CONCURENCY", "4").run(&["run"]).expect(2);
    one_screen(&done, &["PEARLIFT_LIMITS_CONCURENCY"]);
    assert!(!lake.path().join("lake").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unknown_resource_is_told_with_the_nearest() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let done = Program::new(&sandbox, lake.path().join("lake")).run(&["run", "orders"]).expect(2);
    one_screen(&done, &["orders", "pearlift resources"]);
    assert!(!lake.path().join("lake").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_destination_that_cannot_be_written_is_told_before_anything_is_asked() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    // A file where a folder must be: refused to every user, the superuser too.
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let done = Program::new(&sandbox, file.join("lake")).run(&["run"]).expect(5);
    one_screen(&done, &["file/lake"]);
    assert_eq!(sandbox.take_log().total(), 0, "the quota is not spent on what cannot be kept");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_that_does_not_answer_is_told_in_seconds() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    // A port that was just free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let begun = std::time::Instant::now();
    let done = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("http://127.0.0.1:{port}/public-api/acme"))
        .run(&["run", "order"])
        .expect(4);
    one_screen(&done, &["order", "account.api_domain"]);
    assert!(begun.elapsed().as_secs() < 30);
    assert_eq!(written(lake.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_account_is_no_empty_table() {
    // GIVEN an account code that the source does not serve: every path is wrong there
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let done = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_ACCOUNT_BASE_URL", &sandbox.url().replace("/acme", "/other"))
        .run(&["run", "contact"])
        .expect(4);
    one_screen(&done, &["Cannot find the resource"]);
    assert_eq!(written(lake.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_accounts_destination_is_refused() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    let before = written(lake.path());
    let done = program.with("PEARLIFT_ACCOUNT_CODE", "other").run(&["run", "brand"]).expect(2);
    one_screen(&done, &["acme", "other"]);
    assert_eq!(written(lake.path()), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_http_is_for_loopback_only() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let done = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_ACCOUNT_BASE_URL", "http://source.example/public-api/acme")
        .run(&["run"])
        .expect(2);
    one_screen(&done, &["account.base_url", "loopback"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_secret_is_found_under_every_name_and_never_said() {
    // GIVEN a staff token, an account token, an OAuth token; each under the names of the contract
    let sandbox = account(50).await;
    let oauth = [("PEARLIFT_AUTH_KIND", "oauth"), ("PEARLIFT_AUTH_DEV_REF", "acme-dev")];
    #[expect(clippy::type_complexity, reason = "name, token, settings")]
    let cases: [(&str, &str, &[(&str, &str)]); 5] = [
        ("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token", &[]),
        ("PAN_SEC_BRIGHTPEARL-STAFF_TOKEN", "sandbox-staff-token", &[]),
        ("BRIGHTPEARL_ACCOUNT_TOKEN", "sandbox-account-token", &[("PEARLIFT_AUTH_KIND", "account-token")]),
        ("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "sandbox+access/token=", &oauth),
        ("PAN_SEC_BRIGHTPEARL-OAUTH_ACCESS_TOKEN", "sandbox+access/token=", &oauth),
    ];
    for (name, token, settings) in cases {
        let lake = tempfile::tempdir().unwrap();
        let mut program = Program::new(&sandbox, lake.path())
            .without("BRIGHTPEARL_STAFF_TOKEN")
            .with(name, token)
            .with("PEARLIFT_AUTH_TOKEN_FILE", lake.path().join("tokens.json").to_str().unwrap());
        for (key, value) in settings {
            program = program.with(key, value);
        }
        // WHEN it runs with all messages
        let done = program.run(&["-v", "run", "brand"]).expect(0);
        // THEN the secret is not
        assert!(!done.said().contains(token), "{name}: {}", done.said());
    }
}

#[test]
fn the_page_about_settings_is_the_one_that_the_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("configuration.md");
    let done =
        Command::new(env!("CARGO_BIN_EXE_pearlift")).args(["resources", "--settings"]).arg(&file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let made = std::fs::read_to_string(&file).unwrap();
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    assert!(page == made, "it is not current: cargo run -- resources --settings docs/configuration.md");
    for setting in pearlift::config::SETTINGS {
        assert!(made.contains(&format!("\n| `{}` | ", setting.key)), "{}", setting.key);
    }
}

#[test]
fn each_setting_has_a_line_in_the_file_that_init_writes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pearlift.toml");
    Program::bare(folder.path()).run(&["init", file.to_str().unwrap()]).expect(0);
    let template = std::fs::read_to_string(file).unwrap();
    for setting in pearlift::config::SETTINGS {
        let lines =
            template.lines().filter(|line| line.trim_start_matches("# ").starts_with(&format!("{} =", setting.key)));
        let alike = pearlift::config::SETTINGS.iter().filter(|other| other.key == setting.key).count();
        assert_eq!(lines.count(), alike, "{}.{}", setting.section, setting.key);
    }
}
