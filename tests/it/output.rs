//! Output: with any texts from outside, a line is a line, JSON is JSON, and a printed command works as printed.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Done, Echo, Program, account, query};

const JSON: &str = "Content-Type: application/json\r\n";
/// A line that a text would like to be.
const FORGED: &str = "brand        12,345  complete";
/// Signs that end a line or steer a terminal, one of each kind.
const SIGNS: &str = "\u{1b}[2J\u{7f}\u{80}\u{85}\u{9b}2J\u{ad}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0001}";

fn program(source: &Echo, lake: &Path) -> Program {
    Program::bare(lake)
        .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()))
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "1")
}

fn is_sign(c: char) -> bool {
    (c.is_control() && c != '\n') || SIGNS.chars().any(|sign| sign == c && !c.is_ascii_graphic())
}

#[track_caller]
fn is_one_line(done: &Done, from: &str) {
    let said = done.said();
    assert!(!said.contains(is_sign), "{from}: {said:?}");
    let forged =
        said.lines().find(|line| line.trim_start().starts_with(FORGED) || line.trim_start().starts_with("forged"));
    assert_eq!(forged, None, "{from}: {said}");
    assert!(said.contains(FORGED), "{from}: {said}");
}

/// Every line is a JSON value with these signs escaped.
#[track_caller]
fn is_json(lines: &str, from: &str) -> Vec<Value> {
    assert!(!lines.contains(is_sign), "{from}: {lines:?}");
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{from}: {error}: {line}"));
    lines.lines().map(read).collect()
}

/// Answers with forged lines in each text that is shown.
fn answers() -> Vec<(u16, String)> {
    let text = format!("no\n{FORGED}\r{FORGED}\r\n{FORGED}{SIGNS}{FORGED}\u{2028}{FORGED}");
    let error = json!({"errors": [{"code": format!("CMNC-001\n{FORGED}"), "message": text}]}).to_string();
    vec![
        (400, error.clone()),
        (401, json!({"response": text}).to_string()),
        (403, error.clone()),
        (404, error.clone()),
        (500, error.clone()),
        (503, error),
        (200, json!({"errors": [text], "response": []}).to_string()),
        (200, json!({"response": [{"id": 1, "name": [text], (text.clone()): 1, "createdOn": text}]}).to_string()),
        (200, json!({"response": [{"id": 1, "name": {(text.clone()): 1}}]}).to_string()),
    ]
}

#[test]
fn a_message_of_the_source_prints_no_line_of_its_own() {
    for (status, body) in answers() {
        let source = Echo::saying(status, JSON, &body);
        let folder = tempfile::tempdir().unwrap();
        for arguments in [&["-v", "run", "brand"][..], &["check"], &["plan", "order"]] {
            let done = program(&source, &folder.path().join("lake")).run(arguments);
            assert!(!done.said().contains(is_sign), "{body}: {:?}", done.said());
            if arguments[0] == "-v" {
                is_one_line(&done, &body);
            }
            assert!(done.said().lines().all(|line| !line.trim_start().starts_with(FORGED)), "{body}: {}", done.said());
        }
    }
}

#[test]
fn every_line_of_a_json_log_is_json_whatever_a_text_holds() {
    for (status, body) in answers() {
        let source = Echo::saying(status, JSON, &body);
        let folder = tempfile::tempdir().unwrap();
        for arguments in [&["run", "brand"][..], &["-v", "run", "brand"], &["check"], &["plan", "--json", "order"]] {
            let arguments = [&["--log-format", "json"], arguments].concat();
            let done = program(&source, &folder.path().join("lake")).run(&arguments);
            let values = is_json(&done.stderr, &body);
            // Nothing is lost by it: the text is there as the source sent it.
            let held = values.iter().any(|value| value.to_string().contains("\u{9b}2J"));
            assert!(held || status == 200 || !arguments.contains(&"run"), "{status} {body}: {}", done.stderr);
            if !done.stdout.is_empty() && arguments.contains(&"--json") {
                serde_json::from_str::<Value>(&done.stdout).unwrap();
            }
        }
    }
    // AND so is the last line of a command that does not come to a run
    let source = Echo::saying(200, JSON, "{}");
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("PEARLIFT_ACCOUNT_CODE", "a\u{9b}\"\n\u{85}b"),
        ("PEARLIFT_LIMITS_MEMORY", "\u{9b}2J\u{202e}"),
        ("PEARLIFT_DESTINATION_URL", "ftp://a\u{9b}\u{2028}b"),
    ] {
        let program = program(&source, &folder.path().join("lake")).with(name, value);
        for arguments in [&["run", "brand"][..], &["status"], &["clean", "--json"]] {
            let done = program.run(&[&["--log-format", "json"], arguments].concat());
            let values = is_json(&done.stderr, name);
            let code = values.last().map_or(0, |value| value["exit_code"].as_i64().unwrap());
            assert_eq!(i64::from(done.code), code, "{name}: {}", done.stderr);
        }
    }
}

#[test]
fn an_error_of_a_bucket_prints_no_line_of_its_own() {
    let body = format!("<Error>\n<Code>AccessDenied</Code>\n{FORGED}\n<Message>{SIGNS}</Message>\n{FORGED}\n</Error>");
    let source = Echo::saying(403, "Content-Type: application/xml\r\n", &body);
    let program = program(&source, Path::new("s3://lake/x"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &source.root())
        .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true")
        .with("AWS_ACCESS_KEY_ID", "key")
        .with("AWS_SECRET_ACCESS_KEY", "planted-s3-secret");
    for arguments in [&["run", "brand"][..], &["status"], &["verify"], &["clean"], &["check"]] {
        let done = program.run(arguments);
        assert_ne!(done.code, 0);
        is_one_line(&done, "a bucket");
        let done = program.run(&[&["--log-format", "json"], arguments].concat());
        is_json(&done.stderr, "a bucket");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_name_of_a_file_prints_no_line_of_its_own() {
    let sandbox = account(20).await;
    // GIVEN a destination with two lines in its own name, and files in it with names of several
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join(format!("lake\n{FORGED}"));
    let program = Program::new(&sandbox, &lake);
    is_one_line(&program.run(&["-v", "run", "brand"]).expect(0), "the destination");
    std::fs::write(lake.join(format!("brand/x\u{2028}{FORGED}\u{9b}\u{202e}.parquet")), "x").unwrap();
    std::fs::write(lake.join(format!("_pearlift/x\u{2029}{FORGED}\u{85}y")), "x").unwrap();
    // WHEN they are named THEN each is in one line
    for arguments in [&["clean"][..], &["clean", "--dry-run"]] {
        is_one_line(&program.run(arguments).expect(0), "files");
    }
    for arguments in [&["status"][..], &["verify", "--deep"], &["run", "brand"]] {
        let done = program.run(arguments);
        assert!(matches!(done.code, 0 | 7) && !done.said().contains(is_sign), "{:?}", done.said());
        assert!(done.said().lines().all(|line| !line.starts_with(FORGED)), "{}", done.said());
    }
    // AND in JSON they are as they are
    let done = program.run(&["clean", "--json", "--dry-run"]).expect(0);
    assert!(!done.stdout.contains(is_sign), "{:?}", done.stdout);
    let object: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(object["unknown"].to_string().contains('\u{9b}'), "{object}");
    // AND so it is with a name that cannot be listed
    std::fs::write(lake.join(format!("brand/x\n{FORGED}.parquet")), "x").unwrap();
    is_one_line(&program.run(&["clean"]).expect(5), "a name of two lines");
    // AND with names that the user gives
    for name in [format!("x\n{FORGED}"), format!("x\u{2028}{FORGED}\u{9b}")] {
        is_one_line(
            &program.clone().with("PEARLIFT_LIMITS_SPOOL", &format!("/dev/null/{name}")).run(&["run", "brand"]),
            "spool",
        );
        is_one_line(&program.run(&["--config", &name, "run"]).expect(2), "settings");
        is_one_line(&program.run(&["--schemas", &name, "run"]).expect(2), "schemas");
        is_one_line(&program.run(&["run", &name]).expect(2), "a resource");
    }
}

#[test]
fn the_command_that_the_demo_prints_runs_nothing_else() {
    for name in ["a$(touch hacked)`touch hacked`", "it's \"b\" $HOME !! c*[d]?", "\\$HOME';touch hacked;'"] {
        // GIVEN a demo in a folder with a name that a shell would expand
        let folder = tempfile::tempdir().unwrap();
        let command = Program::bare("unused")
            .command(&["demo", "--orders", "20", "--out", name])
            .current_dir(folder.path())
            .output();
        let output = command.unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && stdout.contains("duckdb -c "), "{name}: {stdout}");
        // WHEN the printed command is pasted, `duckdb` being a program that prints its last argument
        let paste = &stdout[stdout.find("duckdb -c ").unwrap()..];
        let script = format!("duckdb() {{ shift; printf %s \"$1\"; }}\n{paste}");
        let pasted = Command::new("sh").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
        // THEN that is one argument, a query of the demo's tables, and nothing else happens
        assert!(pasted.status.success() && pasted.stderr.is_empty(), "{name}: {pasted:?}");
        assert!(!folder.path().join("hacked").exists(), "{name}");
        let sql = String::from_utf8(pasted.stdout).unwrap();
        if name.contains('\\') {
            // DuckDB reads no folder of such a name.
            continue;
        }
        let from = folder.path().join("").to_str().unwrap().to_owned();
        let rows = query(&sql.replace("read_parquet('", &format!("read_parquet('{from}")));
        assert!(!rows.is_empty(), "{name}: {sql}");
    }
}
