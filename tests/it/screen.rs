//! Terminals of several widths: no line of a run, of its summary or of a table is wider, nothing has a colour, and nothing of
//! the progress is left at the end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::Value;

use crate::support::{Program, account, root, start, this_morning, tool};

/// The view of a user: a command on a terminal of these columns, which has others after a second.
#[track_caller]
fn on_terminal(program: &Program, [columns, then]: [u16; 2], arguments: &[&str]) -> Value {
    let command = program.command(arguments);
    let mut python = Command::new(tool("python"));
    python.arg(root().join("tests/readers/terminal.py")).args([columns.to_string(), then.to_string()]);
    python.arg(command.get_program()).args(command.get_args()).env_clear().env("TERM", "xterm-256color");
    python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = python.current_dir(std::env::temp_dir()).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lines(seen: &Value, name: &str) -> Vec<String> {
    seen[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// An account whose quota makes a run take some seconds.
async fn slow() -> Sandbox {
    let settings =
        SandboxSettings { limit: 50, period: 2_000, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders: 60, ..Size::default() }).await
}

fn program(sandbox: &Sandbox, lake: &Path) -> Program {
    Program::new(sandbox, lake)
        .with("PEARLIFT_LIMITS_REQUESTS_PER_PERIOD", "50")
        .with("PEARLIFT_LIMITS_RESERVE", "10")
        .with("PEARLIFT_LIMITS_PERIOD", "2s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_line_of_a_run_is_wider_than_the_terminal_and_progress_leaves_nothing() {
    for columns in [60, 80] {
        // GIVEN a terminal of so many columns WHEN a run takes some seconds
        let (sandbox, lake) = (slow().await, tempfile::tempdir().unwrap());
        let seen = on_terminal(&program(&sandbox, lake.path()).with("NO_COLOR", "1"), [columns, columns], &["run"]);
        // THEN no line is wider, and none has a colour
        assert_eq!((&seen["code"], &seen["colours"]), (&0.into(), &0.into()), "{seen:#}");
        assert_eq!(seen["broken"], Value::Array(Vec::new()), "{columns}: {seen:#}");
        // AND it shows resources at work, the whole run and the quota in a sentence, of which nothing is left at the end
        let (drawn, left) = (lines(&seen, "seen"), lines(&seen, "left"));
        let is_total = |line: &&String| line.contains(" resources, ") && line.contains(" requests");
        let is_quota = |line: &&String| line.starts_with("quota: ");
        assert!(drawn.iter().any(|line| line.starts_with("order, full") && line.contains("request")), "{drawn:#?}");
        assert!(drawn.iter().find(is_total).is_some() && drawn.iter().find(is_quota).is_some(), "{drawn:#?}");
        assert_eq!((left.iter().find(is_total), left.iter().find(is_quota)), (None, None), "{left:#?}");
        assert!(left.iter().any(|line| line.contains(" changed, ")), "{left:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_table_is_wider_than_the_terminal() {
    let (sandbox, lake) = (account(60).await, tempfile::tempdir().unwrap());
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    for columns in [60, 80, 120, 200] {
        for command in [
            &["run"][..],
            &["run", "--dry-run"],
            &["status"],
            &["status", "--history"],
            &["resources"],
            &["resources", "order"],
            &["plan"],
        ] {
            let seen = on_terminal(&program, [columns, columns], command);
            assert_eq!((&seen["code"], &seen["colours"]), (&0.into(), &0.into()), "{seen:#}");
            assert_eq!(seen["broken"], Value::Array(Vec::new()), "{columns}: {command:?}: {seen:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lines_follow_a_terminal_that_becomes_narrower() {
    let (sandbox, lake) = (slow().await, tempfile::tempdir().unwrap());
    let seen = on_terminal(&program(&sandbox, lake.path()), [120, 60], &["run"]);
    assert_eq!(seen["code"], 0, "{seen:#}");
    assert_eq!(seen["broken"], Value::Array(Vec::new()), "{seen:#}");
    let is_total = |line: &&String| line.contains(" resources, ") && line.contains(" requests");
    assert!(lines(&seen, "seen").iter().any(|line| line.chars().count() > 60), "{seen:#}");
    assert!(lines(&seen, "seen_then").iter().find(is_total).is_some(), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_has_a_line_for_each_resource_that_changed_and_one_for_the_run() {
    // GIVEN a lake, and a night in which two resources change
    let (sandbox, lake) = (slow().await, tempfile::tempdir().unwrap());
    sandbox.change(|settings| settings.limit = 0);
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    sandbox.age(Duration::from_secs(6 * 3600));
    sandbox.insert("brand", 1);
    sandbox.insert("tag", 1);
    sandbox.age(Duration::from_secs(600));
    // WHEN a run has no terminal
    let done = program.run(&["run", "brand", "tag", "warehouse", "season"]).expect(0);
    // THEN it says no more than that
    let said: Vec<&str> = done.stderr.lines().filter(|line| !line.contains("warning: ")).collect();
    assert_eq!(said.len(), 3, "{}", done.stderr);
    for name in ["brand", "tag"] {
        assert_eq!(said.iter().filter(|line| line.contains(&format!(" {name}: "))).count(), 1, "{}", done.stderr);
    }
    assert!(said[2].ends_with('s') && said[2].contains(" 2 changed, "), "{}", done.stderr);
    assert_eq!(done.stdout, "");
}
