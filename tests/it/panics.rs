//! Panics: wherever one is met, the process ends with exit code 1 and asks for a report, without a secret.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use pearlift::cli::end_on_panic;
use pearlift::secret::{Redactor, Secret};

/// Names, in the process that is to panic, where it does.
const PLACE: &str = "PEARLIFT_TEST_PANICS_IN";
const TOKEN: &str = "planted+secret/token=";

/// Panics there, and does not end by itself.
fn panic_in(place: &str) {
    if place == "the program" {
        // Its arguments are the first thing that it reads after the variables.
        let arguments = std::iter::from_fn(|| -> Option<OsString> { panic!("no header can carry {TOKEN}\u{1b}[2J") });
        pearlift::cli::main(arguments, [("BRIGHTPEARL_STAFF_TOKEN".into(), TOKEN.into())]);
        return;
    }
    let redactor = Redactor::default();
    redactor.learn(&Secret::new(TOKEN));
    end_on_panic(redactor);
    let fail = || panic!("no header can carry {TOKEN}\u{1b}[2J");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    match place {
        "the main thread" => fail(),
        "a thread" => drop(std::thread::spawn(fail)),
        "a task" => drop(runtime.spawn(async move { fail() })),
        "a blocking task" => drop(runtime.spawn_blocking(fail)),
        other => unreachable!("{other}"),
    }
    runtime.block_on(std::future::pending::<()>());
}

#[test]
fn a_panic_in_any_thread_or_task_ends_with_1_and_asks_for_a_report() {
    if let Some(place) = std::env::var_os(PLACE) {
        return panic_in(place.to_str().unwrap());
    }
    for place in ["the program", "the main thread", "a thread", "a task", "a blocking task"] {
        // GIVEN a process that panics somewhere, while it waits for something else
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = "panics::a_panic_in_any_thread_or_task_ends_with_1_and_asks_for_a_report";
        command.args(["--exact", "--nocapture", test]).env(PLACE, place).stdin(Stdio::null());
        // WHEN it has ended
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // THEN it is a bug that is to be reported, and no secret is shown
        assert_eq!(output.status.code(), Some(1), "{place}: {said}");
        for word in ["found a bug", "panics.rs", "no header can carry [secret]", "help: report it", "intact"] {
            assert!(said.contains(word), "{place}: {word}: {said}");
        }
        assert!(!said.contains(TOKEN) && !said.contains('\u{1b}'), "{place}: {said}");
    }
}
