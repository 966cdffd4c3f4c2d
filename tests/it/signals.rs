//! Signals: all whole records are committed in a bounded time, and a second signal ends the program at once.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};

use crate::support::{Program, account, check_truth, start, this_morning};

/// Longer than ending takes on a busy machine, shorter than anything that is waited for.
const SOON: Duration = Duration::from_secs(15);

fn signal(name: &str, child: &Child) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The code with which it ends, soon.
fn ends_soon(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    let code = child.wait().unwrap().code();
    assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    code
}

/// A program with messages that can be waited for.
struct Speaker {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Speaker {
    fn start(program: &Program, arguments: &[&str]) -> Self {
        let mut command = program.command(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    fn wait_for(&mut self, word: &str) {
        let said = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(word));
        assert!(said.is_some(), "it ended and did not say {word}");
    }
}

async fn slow_account(orders: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, latency: 60, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders, ..Size::default() }).await
}

async fn until_orders_are_read(sandbox: &Sandbox, times: u64) {
    let begun = Instant::now();
    while sandbox.peek_log().of("GET order-service/order") < times {
        assert!(begun.elapsed() < Duration::from_secs(60), "no order was asked for");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_terminated_run_commits_what_is_whole_and_the_next_goes_on() {
    let sandbox = slow_account(2_400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut run = program.start(&["run", "order"]);
    until_orders_are_read(&sandbox, 4).await;
    signal("-TERM", &run);
    assert_eq!(ends_soon(&mut run), Some(130));
    assert_eq!(std::fs::read_dir(lake.path().join("_pearlift/manifests/order")).unwrap().count(), 1);
    let done = program.with("PEARLIFT_LIMITS_CONCURRENCY", "16").run(&["run", "order"]).expect(0);
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_signal_ends_at_once_whatever_is_in_hand() {
    // GIVEN a bucket that takes connections and never answers
    let sandbox = account(50).await;
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::new(&sandbox, "s3://lake/shop")
        .with("AWS_ACCESS_KEY_ID", "key")
        .with("AWS_SECRET_ACCESS_KEY", "secret")
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &format!("http://{}", deaf.local_addr().unwrap()))
        .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true");
    for name in ["-INT", "-TERM"] {
        let mut run = Speaker::start(&program, &["run", "brand"]);
        let (stream, _) = deaf.accept().unwrap();
        // WHEN it is asked to stop THEN it finishes the requests under way
        signal(name, &run.child);
        run.wait_for("stopping");
        assert!(run.child.try_wait().unwrap().is_none(), "it waits for the answer");
        // WHEN it is asked again THEN it ends
        signal("-INT", &run.child);
        assert_eq!(ends_soon(&mut run.child), Some(130));
        drop(stream);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_waits_for_another_ends_when_it_is_told_to() {
    // GIVEN a run that works on orders, and one that waits for it
    let sandbox = slow_account(20_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut first = program.start(&["run", "order"]);
    until_orders_are_read(&sandbox, 1).await;
    let mut second = program.start(&["run", "order", "brand", "--wait"]);
    let brand = lake.path().join("_pearlift/locks/brand");
    let begun = Instant::now();
    while !brand.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // WHEN it is interrupted THEN it ends, and the first continues
    signal("-INT", &second);
    assert_eq!(ends_soon(&mut second), Some(130));
    assert!(first.try_wait().unwrap().is_none(), "the first continues");
    assert!(!lake.path().join("_pearlift/manifests/brand").exists(), "it began nothing");
    signal("-INT", &first);
    assert_eq!(ends_soon(&mut first), Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_signal_that_comes_before_the_first_request_is_heard() {
    // GIVEN a run that has just begun: another one holds the lock of its resource, and it waits
    let sandbox = slow_account(2_400).await;
    let lake = tempfile::tempdir().unwrap();
    let locks = lake.path().join("lake/_pearlift/locks");
    std::fs::create_dir_all(&locks).unwrap();
    let held = std::fs::File::options().create_new(true).write(true).mode(0o600).open(locks.join("order")).unwrap();
    held.lock().unwrap();
    let program = Program::new(&sandbox, lake.path().join("lake"));
    let mut run = Speaker::start(&program, &["-v", "run", "--wait", "order"]);
    run.wait_for("waiting for locks");

    // WHEN it is asked to stop THEN it ends soon as a stopped run does, and has requested no order
    signal("-TERM", &run.child);
    run.wait_for("stopping");
    assert_eq!(ends_soon(&mut run.child), Some(130));
    assert_eq!(sandbox.take_log().of("GET order-service/order"), 0);
    assert!(!lake.path().join("lake/_pearlift/manifests/order").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_sigterm_at_once_costs_neither_the_commit_nor_the_report() {
    // GIVEN a run that reads orders, and commits all whole records at a signal
    let sandbox = slow_account(2_400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    let mut run = Speaker::start(&program, &["--log-format", "json", "run", "order"]);
    until_orders_are_read(&sandbox, 4).await;

    // WHEN it is terminated twice, as `timeout` does it: the second comes once the first was heard
    signal("-TERM", &run.child);
    run.wait_for("stopping");
    signal("-TERM", &run.child);

    // THEN it commits, reports and ends as one that was terminated once
    let said: Vec<String> = run.lines.by_ref().map(Result::unwrap).collect();
    assert_eq!(ends_soon(&mut run.child), Some(130));
    let report: serde_json::Value = serde_json::from_str(said.last().expect("it says something")).unwrap();
    assert_eq!((&report["exit_code"], &report["resources"][0]["end"]), (&130.into(), &"stopped".into()), "{said:?}");
    assert_eq!(std::fs::read_dir(lake.path().join("_pearlift/manifests/order")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(lake.path().join("_pearlift/runs")).unwrap().count(), 1);
}
