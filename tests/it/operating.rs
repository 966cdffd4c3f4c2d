//! Mistakes of operators: reported at once, in one message; nothing is lost or bound by them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pearlift::sandbox::Sandbox;

use crate::support::{Done, Program, account, check_truth, files};

/// A port that was just free.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Lays settings over those of the simulated account.
fn set(sandbox: &Sandbox, values: serde_json::Value) {
    let serde_json::Value::Object(values) = values else { panic!("settings are an object") };
    sandbox.change(|settings| settings.change(values).unwrap());
}

/// Writes a settings file in a folder of its own; its destination is not set by a variable.
fn configured(sandbox: &Sandbox, folder: &Path, text: &str) -> Program {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("pearlift.toml"), text).unwrap();
    Program::new(sandbox, "unused").without("PEARLIFT_DESTINATION_URL")
}

/// Runs the program in this working directory.
#[track_caller]
fn run_in_folder(program: &Program, folder: &Path, arguments: &[&str]) -> Done {
    let output = program.command(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_relative_destination_of_the_settings_file_is_the_same_from_every_directory() {
    // GIVEN a settings file with a relative destination, read from its own folder once
    let sandbox = account(50).await;
    let root = tempfile::tempdir().unwrap();
    let (home, elsewhere) = (root.path().join("etc"), root.path().join("elsewhere"));
    std::fs::create_dir_all(&elsewhere).unwrap();
    let program = configured(&sandbox, &home, "[destination]\nurl = \"./lake\"\n");
    run_in_folder(&program, &home, &["run", "brand"]).expect(0);
    let config = home.join("pearlift.toml");
    let config = config.to_str().unwrap();

    // WHEN it is named from other directories, as schedulers do THEN the run resumes there, and begins nothing anew
    for (folder, config) in [(elsewhere.as_path(), config), (root.path(), "etc/pearlift.toml")] {
        let done = run_in_folder(&program, folder, &["--config", config, "run", "brand"]).expect(0);
        assert!(!done.stderr.contains("first load") && done.stderr.contains("0 changed"), "{}", done.stderr);
        let done = run_in_folder(&program, folder, &["--config", config, "status"]).expect(0);
        assert!(
            done.stdout.lines().any(|line| line.starts_with("brand") && line.contains("complete")),
            "{}",
            done.stdout
        );
    }
    assert_eq!(files(&elsewhere), Vec::<std::path::PathBuf>::new());
    check_truth(&sandbox, home.join("lake").to_str().unwrap(), &["--only", "brand"]);

    // AND a relative path of a variable is one of the working directory
    let program = program.with("PEARLIFT_DESTINATION_URL", "lake");
    run_in_folder(&program, &elsewhere, &["--config", config, "run", "brand"]).expect(0);
    check_truth(&sandbox, elsewhere.join("lake").to_str().unwrap(), &["--only", "brand"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_relative_path_of_the_settings_file_begins_at_its_folder() {
    // GIVEN a settings file with relative paths for schemas, spool and the token file
    let sandbox = account(50).await;
    let root = tempfile::tempdir().unwrap();
    let (home, elsewhere) = (root.path().join("etc"), root.path().join("elsewhere"));
    std::fs::create_dir_all(&elsewhere).unwrap();
    let text = "schemas = \"own\"\n[auth]\ntoken_file = \"state/tokens.json\"\n[destination]\nurl = \"lake\"\n[limits]\nspool = \"scratch\"\n";
    let program = configured(&sandbox, &home, text)
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("PEARLIFT_AUTH_DEV_REF", "acme-dev")
        .with("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "sandbox+refresh/token=")
        .with("BRIGHTPEARL_CLIENT_SECRET", "sandbox-client-secret")
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("{}/oauth/token", sandbox.root()));
    std::fs::create_dir_all(home.join("own")).unwrap();
    let brand = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/brand.toml")).unwrap();
    std::fs::write(home.join("own/marque.toml"), brand.replace("tables.brand", "tables.marque")).unwrap();
    std::fs::create_dir_all(home.join("scratch")).unwrap();
    let config = home.join("pearlift.toml");
    let config = config.to_str().unwrap();

    // WHEN it is named from another directory
    let shown = run_in_folder(&program, &elsewhere, &["--config", config, "resources"]).expect(0);
    run_in_folder(&program, &elsewhere, &["--config", config, "run", "currency"]).expect(0);

    // THEN all of them are below its folder, and nothing is in the working directory
    assert!(shown.stdout.contains("marque"), "{}", shown.stdout);
    assert!(home.join("state/tokens.json").exists());
    assert!(home.join("lake/currency").is_dir());
    assert_eq!(files(&elsewhere), Vec::<std::path::PathBuf>::new());
    // AND a spool that is no folder there is reported with its path
    std::fs::remove_dir_all(home.join("scratch")).unwrap();
    std::fs::write(home.join("scratch"), "no folder").unwrap();
    let done = run_in_folder(&program, &elsewhere, &["--config", config, "run", "brand"]);
    assert!(done.code != 0 && done.stderr.contains(home.join("scratch").to_str().unwrap()), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_below_the_working_directory_are_not_left_for_a_new_folder_without_a_word() {
    // GIVEN tables in the working directory, where a relative destination of a file elsewhere led before
    let sandbox = account(50).await;
    let root = tempfile::tempdir().unwrap();
    let (home, work) = (root.path().join("etc"), root.path().join("work"));
    std::fs::create_dir_all(&work).unwrap();
    let program = configured(&sandbox, &home, "[destination]\nurl = \"lake\"\n");
    run_in_folder(&program.clone().with("PEARLIFT_DESTINATION_URL", "lake"), &work, &["run", "brand"]).expect(0);
    sandbox.take_log();

    // WHEN the file is named there THEN it is refused before any request, with both places and the remedy
    let config = home.join("pearlift.toml");
    let done = run_in_folder(&program, &work, &["--config", config.to_str().unwrap(), "run", "brand"]).expect(2);
    for named in [home.join("lake").to_str().unwrap(), "`lake`", "help: ", "destination"] {
        assert!(done.stderr.contains(named), "{named}: {}", done.stderr);
    }
    assert_eq!(sandbox.take_log().total(), 0);
    assert!(!home.join("lake").exists());
    // AND a first load into a new folder is announced
    let done = run_in_folder(&program, root.path(), &["--config", "etc/pearlift.toml", "run", "brand"]).expect(0);
    assert!(done.stderr.contains("etc/lake holds no tables yet: everything is read"), "{}", done.stderr);
    let done = run_in_folder(&program, root.path(), &["--config", "etc/pearlift.toml", "run", "brand"]).expect(0);
    assert!(!done.stderr.contains("holds no tables yet"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mistyped_account_code_binds_nothing_and_the_right_one_takes_the_folder() {
    // GIVEN an empty folder WHEN a run names an account that the source does not have, or a host that is none
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let marker = lake.path().join("_pearlift/destination.json");
    let mistyped = program
        .clone()
        .with("PEARLIFT_ACCOUNT_CODE", "acmee")
        .with("PEARLIFT_ACCOUNT_BASE_URL", &sandbox.url().replace("/acme", "/acmee"));
    mistyped.run(&["run"]).expect(4);
    let unreachable = format!("http://127.0.0.1:{}/public-api/acmee", free_port());
    mistyped.with("PEARLIFT_ACCOUNT_BASE_URL", &unreachable).run(&["run"]).expect(4);
    // THEN the folder is nobody's
    assert!(!marker.exists());

    // WHEN the right one comes THEN the folder is its own, and refuses others before any request
    program.run(&["run", "brand", "order"]).expect(0);
    let text = std::fs::read_to_string(&marker).unwrap();
    assert!(text.contains("\"acme\""), "{text}");
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "brand,order,order_row"]);
    sandbox.take_log();
    program.with("PEARLIFT_ACCOUNT_CODE", "acmee").run(&["run", "brand"]).expect(2);
    assert_eq!(sandbox.take_log().total(), 0);
}

/// Runs it, and states how long it took to find that the source is out of reach.
#[track_caller]
fn out_of_reach(program: &Program, arguments: &[&str]) -> (Done, Duration) {
    let begun = Instant::now();
    let done = program.run(arguments).expect(4);
    (done, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_out_of_reach_is_reported_once_and_in_seconds() {
    // GIVEN a port where nobody listens, a name that no server knows, a port that speaks no TLS, one that hangs up
    let sandbox = account(50).await;
    let plain = sandbox.url().replace("http://", "https://");
    let refused = format!("http://127.0.0.1:{}/public-api/acme", free_port());
    let hangs_up = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/public-api/acme", hangs_up.local_addr().unwrap());
    std::thread::spawn(move || hangs_up.incoming().for_each(drop));
    for address in [refused.as_str(), "https://nobody.invalid/public-api/acme", plain.as_str(), closed.as_str()] {
        let lake = tempfile::tempdir().unwrap();
        let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_ACCOUNT_BASE_URL", address);

        // WHEN everything is to be read THEN one message names the address and the remedy, with 4, in seconds
        let (done, took) = out_of_reach(&program, &["run"]);
        assert!(took < Duration::from_secs(15), "{address}: {took:?}");
        assert_eq!(done.stderr.matches("could not").count(), 1, "{address}: {}", done.stderr);
        assert_eq!(done.stderr.matches("help: ").count(), 1, "{address}: {}", done.stderr);
        assert!(done.stderr.contains("account.api_domain"), "{address}: {}", done.stderr);
        assert!(done.stderr.lines().count() <= 8, "{address}: {}", done.stderr);
        // AND nothing is left, no lock is held
        assert!(!lake.path().join("_pearlift/runs").exists());
        assert!(!lake.path().join("_pearlift/destination.json").exists());

        // AND other commands report it once, too
        for command in [&["plan"][..], &["check"]] {
            let (done, took) = out_of_reach(&program, command);
            assert!(took < Duration::from_secs(15), "{address}: {took:?}");
            assert_eq!(done.said().matches("could not").count(), 1, "{address}: {}", done.said());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_service_out_of_reach_is_reported_once() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path())
        .without("BRIGHTPEARL_STAFF_TOKEN")
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "sandbox+refresh/token=")
        .with("PEARLIFT_AUTH_TOKEN_FILE", lake.path().join("tokens.json").to_str().unwrap())
        .with("PEARLIFT_AUTH_TOKEN_URL", &format!("http://127.0.0.1:{}/token/acme", free_port()));
    // GIVEN no access token, or one that the source refuses WHEN it runs THEN one message names it
    for program in [program.clone(), program.with("BRIGHTPEARL_OAUTH_ACCESS_TOKEN", "planted-access")] {
        let (done, took) = out_of_reach(&program, &["run"]);
        assert!(took < Duration::from_secs(15), "{took:?}");
        assert_eq!(done.stderr.matches("could not").count(), 1, "{}", done.stderr);
        assert!(done.stderr.contains("refresh the OAuth token"), "{}", done.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_success_a_connection_that_breaks_is_tried_with_patience() {
    // GIVEN a source that breaks the connection six times in a row once it has answered
    let sandbox = account(300).await;
    let faults =
        serde_json::json!({"at": [1, 2, 3, 4, 5, 6], "kinds": ["reset-before"], "path": "order-service/order/"});
    set(&sandbox, serde_json::json!({"faults": faults}));
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    // WHEN it is read THEN the run gets over it
    program.run(&["run", "brand", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "brand,order"]);
}

/// The lines of a JSON log; each has a time and a level, and those of a run its id and its account.
#[track_caller]
fn log_of(stderr: &str) -> Vec<serde_json::Value> {
    let lines: Vec<serde_json::Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        assert!(line["time"].is_string(), "{line}");
        assert!(["debug", "info", "warn", "error"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert_eq!(line["account"], "acme", "{line}");
        assert_eq!(line["run"].as_str().unwrap().len(), 32, "{line}");
        assert_eq!(line["run"], lines[0]["run"], "{line}");
        let of_a_run = ["begun", "new-destination", "stopping", "quota", "waiting", "failed", "warning", "note"];
        let event = line["event"].as_str();
        assert!(event.is_none_or(|event| of_a_run.contains(&event)) || line["resource"].is_string(), "{line}");
    }
    lines
}

fn events<'a>(log: &'a [serde_json::Value], event: &str) -> Vec<&'a serde_json::Value> {
    log.iter().filter(|line| line["event"] == event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_line_of_a_json_log_has_level_run_account_resource_and_request() {
    // GIVEN a source that forbids one resource, fails once at another, and does the rest
    let sandbox = account(50).await;
    let forbidden =
        serde_json::json!({"status": 403, "body": "{\"errors\":[{\"code\":\"CMNC-403\",\"message\":\"no\"}]}"});
    let rules = serde_json::json!([{"path": "brand", "then": {"status": forbidden}}]);
    let faults = serde_json::json!({"at": [1], "kinds": ["internal"], "path": "nominal-code"});
    set(&sandbox, serde_json::json!({"answers": rules, "faults": faults}));
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());

    // WHEN it is run with a JSON log
    let run = ["-v", "--log-format", "json", "run", "brand", "nominal_code", "currency", "order"];
    let done = program.run(&run).expect(3);
    let log = log_of(&done.stderr);

    // THEN each answer and each retry has the source's id of the request
    let asked = events(&log, "asked");
    assert!(asked.len() > 4 && asked.iter().all(|line| line["request_id"].is_string()), "{asked:?}");
    let retrying = events(&log, "retrying");
    assert!(retrying.len() == 1 && retrying[0]["request_id"].is_string(), "{retrying:?}");
    assert_eq!((&retrying[0]["level"], &retrying[0]["resource"]), (&"warn".into(), &"nominal_code".into()));
    // AND each resource ends once, with the word, and the failed one with its request
    let ends: Vec<(&str, &str, &str)> = events(&log, "finished")
        .into_iter()
        .map(|line| ["resource", "end", "level"].map(|key| line[key].as_str().unwrap()).into())
        .collect();
    assert_eq!(ends.len(), 4, "{ends:?}");
    for end in [("brand", "failed", "error"), ("order", "complete", "info"), ("currency", "complete", "info")] {
        assert!(ends.contains(&end), "{end:?}: {ends:?}");
    }
    let brand = events(&log, "finished").into_iter().find(|line| line["resource"] == "brand").unwrap();
    let id = brand["request_id"].as_str().unwrap();
    assert!(brand["failure"].as_str().unwrap().contains(id), "{brand}");
    // AND the report, which is the last line, has them too
    let report = log.last().unwrap();
    assert_eq!((&report["exit_code"], &report["level"]), (&3.into(), &"error".into()));
    let brand = report["resources"].as_array().unwrap().iter().find(|found| found["resource"] == "brand").unwrap();
    assert_eq!(brand["request_id"], id);

    // WHEN there is nothing to do for a resource, or the command fails before its run THEN it is logged so
    let log = log_of(&program.run(&["--log-format", "json", "reconcile"]).expect(0).stderr);
    let currency = events(&log, "finished").into_iter().find(|line| line["resource"] == "currency").unwrap();
    assert_eq!((&currency["end"], &currency["level"]), (&"idle".into(), &"info".into()));
    assert!(!currency["reason"].as_str().unwrap().is_empty(), "{currency}");
    let other = program.with("PEARLIFT_DESTINATION_URL", "s3://").run(&["--log-format", "json", "run"]).expect(2);
    let log = log_of(&other.stderr);
    let line = log.last().unwrap();
    assert_eq!((&line["event"], &line["level"], &line["exit_code"]), (&"failed".into(), &"error".into(), &2.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_json_log_of_a_source_out_of_reach_has_one_error() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("http://127.0.0.1:{}/public-api/acme", free_port()));
    let log = log_of(&program.run(&["--log-format", "json", "run"]).expect(4).stderr);
    let errors: Vec<_> = log.iter().filter(|line| line["level"] == "error").collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((&errors[0]["kind"], &errors[0]["exit_code"]), (&"offline".into(), &4.into()));
    assert_eq!(events(&log, "finished"), Vec::<&serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resource_that_is_stopped_or_held_is_logged_as_that() {
    // GIVEN a run that reads orders slowly
    let sandbox = account(2_400).await;
    set(&sandbox, serde_json::json!({"latency": 60}));
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let command = || program.command(&["--log-format", "json", "run", "order"]);
    let first = command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while sandbox.peek_log().of("GET order-service/order") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no order was asked for");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // WHEN another comes THEN its log has the resource as held, and the holder
    let log = log_of(&program.run(&["--log-format", "json", "run", "order"]).expect(6).stderr);
    let held = events(&log, "finished")[0];
    assert_eq!((&held["end"], &held["failure"]), (&"held".into(), &serde_json::Value::Null));
    assert!(held["reason"].as_str().unwrap().contains("another run"), "{held}");

    // WHEN the first is stopped THEN its log has the resource as stopped
    assert!(Command::new("kill").args(["-TERM", &first.id().to_string()]).status().unwrap().success());
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let log = log_of(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(events(&log, "stopping").len(), 1);
    assert_eq!(events(&log, "finished")[0]["end"], "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resource_that_fails_after_its_own_scans_ends_once_and_as_failed() {
    // GIVEN payments since the last run, so that their orders are read again once both have had their changes
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "1000d");
    let run = ["--log-format", "json", "run", "order", "customer_payment"];
    program.run(&run).expect(0);
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.insert("customer_payment", 3);
    sandbox.age(Duration::from_secs(600));
    let forbidden =
        serde_json::json!({"status": 403, "body": "{\"errors\":[{\"code\":\"CMNC-403\",\"message\":\"no\"}]}"});
    let rule = serde_json::json!({"method": "GET", "path": "order-service/order/", "then": {"status": forbidden}});
    set(&sandbox, serde_json::json!({"answers": [rule]}));

    // WHEN the source refuses these THEN the log has one end of each resource, as the report has it
    let log = log_of(&program.run(&run).expect(3).stderr);
    let touched = events(&log, "started").into_iter().any(|line| line["scan"] == "touched");
    assert!(touched, "{log:?}");
    let ends = |resource: &str| {
        let of_it = |line: &&&serde_json::Value| line["resource"] == resource;
        events(&log, "finished").iter().filter(of_it).map(|line| line["end"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ends("order"), ends("customer_payment")), (vec!["failed".into()], vec!["complete".into()]));
    let report = log.last().unwrap()["resources"].as_array().unwrap();
    assert_eq!(report.iter().find(|found| found["resource"] == "order").unwrap()["end"], "failed");
}
