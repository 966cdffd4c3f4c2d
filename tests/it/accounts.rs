//! Several accounts in one command: each with its own secrets, none held up by another, one end for all.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use serde_json::Value;

use crate::support::{Program, S3_KEY, S3_SECRET, Weed, check_truth, start, this_morning};

/// A token of an account that no other account has.
fn token(account: &str) -> String {
    format!("token+of/{account}=")
}

/// A simulated account with its own code and token.
async fn sandbox(account: &str, latency: u64) -> Sandbox {
    let settings = SandboxSettings {
        account: account.to_owned(),
        staff_token: token(account),
        limit: 0,
        latency,
        now: Some(this_morning()),
        ..SandboxSettings::default()
    };
    start(settings, Size { orders: 60, ..Size::default() }).await
}

/// The program without the variables of an account.
fn program() -> Program {
    let names = ["PEARLIFT_DESTINATION_URL", "PEARLIFT_ACCOUNT_CODE", "PEARLIFT_AUTH_KIND", "PEARLIFT_AUTH_APP_REF"];
    names.iter().fold(Program::bare("unused"), |program, name| program.without(name))
}

/// A folder of settings files, with a lake below it for each account.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes the settings file of an account; `own` are further keys of `[account]`.
    fn write(&self, account: &str, url: &str, own: &str) -> String {
        let text = format!(
            "[account]\ncode = \"{account}\"\nbase_url = \"{url}\"\n{own}\n[auth]\nkind = \"staff-token\"\n\
             app_ref = \"acme_export\"\n[destination]\nurl = \"lake-{account}\"\n[resources]\ninclude = [\"brand\", \"order\"]\n"
        );
        let file = self.path(&format!("{account}.toml"));
        std::fs::write(&file, text).unwrap();
        file
    }

    fn pattern(&self) -> String {
        self.path("*.toml")
    }
}

/// The lines of an account.
fn lines_of<'a>(stderr: &'a str, account: &str) -> Vec<&'a str> {
    let prefix = format!("{account}: ");
    stderr.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
}

const TABLES: [&str; 2] = ["--only", "brand,order,order_row"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_account_has_its_own_secrets_and_one_that_fails_holds_up_no_other() {
    // GIVEN accounts with a prefix, with a folder of secrets, without a token at their place, with a wrong token, and a
    // settings file that is wrong
    let (acme, bolt, crux, dune) =
        (sandbox("acme", 0).await, sandbox("bolt", 0).await, sandbox("crux", 0).await, sandbox("dune", 0).await);
    let folder = Folder::new();
    folder.write("acme", &acme.url(), "secrets_prefix = \"ACME_\"");
    folder.write("bolt", &bolt.url(), "secrets_dir = \"secrets/bolt\"");
    folder.write("crux", &crux.url(), "secrets_prefix = \"CRUX_\"");
    folder.write("dune", &dune.url(), "secrets_prefix = \"DUNE_\"");
    std::fs::write(folder.path("echo.toml"), "[account]\ncoed = \"echo\"\n").unwrap();
    std::fs::create_dir_all(folder.path("secrets/bolt")).unwrap();
    std::fs::write(folder.path("secrets/bolt/BRIGHTPEARL_STAFF_TOKEN"), token("bolt")).unwrap();
    let program = program()
        .with("ACME_BRIGHTPEARL_STAFF_TOKEN", &token("acme"))
        .with("DUNE_BRIGHTPEARL_STAFF_TOKEN", "planted-wrong-token")
        // The token of crux, where it does not look.
        .with("BRIGHTPEARL_STAFF_TOKEN", &token("crux"));

    // WHEN all are run (the messages are searched for secrets)
    let done = program.run(&["--config", &folder.pattern(), "run"]).expect(2);

    // THEN two have their tables, and the others their reasons
    for (sandbox, lake) in [(&acme, "lake-acme"), (&bolt, "lake-bolt")] {
        check_truth(sandbox, &folder.path(lake), &TABLES);
    }
    let said = |account: &str| lines_of(&done.stderr, account).join("\n");
    assert!(said("crux").contains("neither CRUX_BRIGHTPEARL_STAFF_TOKEN nor"), "{}", done.stderr);
    assert!(
        said("dune").contains("credentials") && said("dune").contains("DUNE_BRIGHTPEARL_STAFF_TOKEN"),
        "{}",
        done.stderr
    );
    let echo = folder.path("echo.toml");
    assert!(said(&echo).contains("line 2") && said(&echo).contains("coed"), "{}", done.stderr);
    assert_eq!(crux.peek_log().of(""), 0);
    assert!(!done.said().contains(&token("bolt")), "{}", done.said());
    // AND one summary ends it
    let summary: Vec<&str> = done.stderr.lines().skip_while(|line| !line.starts_with("account ")).collect();
    let exits: Vec<(&str, &str)> = summary[1..]
        .iter()
        .filter(|line| line.ends_with(".toml"))
        .map(|line| (line.split_whitespace().next().unwrap(), line.split_whitespace().nth(1).unwrap()))
        .collect();
    assert_eq!(exits, [("acme", "0"), ("bolt", "0"), ("crux", "2"), ("dune", "4"), (echo.as_str(), "2")]);
    assert_eq!(summary.iter().filter(|line| line.contains("exit code 2")).count(), 1, "{summary:?}");
    assert_eq!(
        done.stderr.lines().filter(|line| line.contains("resource   ")).count(),
        0,
        "one summary: {}",
        done.stderr
    );

    // AND without those that fail the exit code is 0, and nothing is new
    for name in ["crux", "dune", "echo"] {
        std::fs::remove_file(folder.path(&format!("{name}.toml"))).unwrap();
    }
    let done = program.run(&["--config", &folder.pattern(), "run", "-q"]).expect(0);
    let news: Vec<&str> = done.stderr.lines().filter(|line| !line.contains("the source's clock (")).collect();
    assert_eq!((news, done.stdout.as_str()), (Vec::new(), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pattern_of_one_file_is_that_file_and_one_of_none_is_refused() {
    let acme = sandbox("acme", 0).await;
    let folder = Folder::new();
    let file = folder.write("acme", &acme.url(), "");
    let program = program().with("BRIGHTPEARL_STAFF_TOKEN", &token("acme"));
    program.run(&["--config", &folder.pattern(), "run", "brand"]).expect(0);
    let outputs =
        [&file, &folder.pattern()].map(|config| program.run(&["--config", config, "status", "--history"]).expect(0));
    assert_eq!(outputs[0].stdout, outputs[1].stdout);
    assert!(outputs[0].stdout.contains(" run ") && outputs[1].stderr.is_empty(), "{outputs:?}");
    let none = folder.path("*.yaml");
    let done = program.run(&["--config", &none, "run"]).expect(2);
    assert!(done.stderr.contains(&none), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_of_one_account_prints_its_report_as_json_also_if_it_fails_as_a_whole() {
    let acme = sandbox("acme", 0).await;
    let folder = Folder::new();
    let file = folder.write("acme", &acme.url(), "");
    let program = program().with("BRIGHTPEARL_STAFF_TOKEN", &token("acme"));
    let offline = program.clone().with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme");
    for (program, code, resources) in [(&program, 0, 1), (&offline, 4, 0)] {
        let done = program.run(&["--config", &file, "run", "brand", "--json"]).expect(code);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((&report["account"], &report["exit_code"]), (&"acme".into(), &code.into()));
        assert_eq!(report["resources"].as_array().unwrap().len(), resources);
        assert_eq!(report["reason"].is_string(), code != 0, "{report}");
        assert!(!done.stderr.contains("resource  "), "no summary: {}", done.stderr);
    }
    let done = program.run(&["--config", &file, "run", "--json", "--dry-run"]).expect(2);
    assert!(done.stderr.contains("cannot be used with"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accounts_with_one_destination_are_refused_before_any_request() {
    let (acme, bolt) = (sandbox("acme", 0).await, sandbox("bolt", 0).await);
    let folder = Folder::new();
    folder.write("acme", &acme.url(), "");
    let other = folder.write("bolt", &bolt.url(), "");
    // GIVEN a link to the lake of another account in the place of the own one
    std::fs::create_dir(folder.path("lake-acme")).unwrap();
    std::os::unix::fs::symlink(folder.path("lake-acme"), folder.path("lake-bolt")).unwrap();
    let program = program().with("BRIGHTPEARL_STAFF_TOKEN", &token("acme"));
    let done = program.run(&["--config", &folder.pattern(), "run"]).expect(2);
    assert!(done.stderr.contains("`destination.url`") && done.stderr.contains(&other), "{}", done.stderr);
    // AND a variable that gives all the same destination
    let done =
        program.with("PEARLIFT_DESTINATION_URL", "/nowhere").run(&["--config", &folder.pattern(), "run"]).expect(2);
    assert!(done.stderr.contains("PEARLIFT_ variable"), "{}", done.stderr);
    assert_eq!((acme.peek_log().of(""), bolt.peek_log().of("")), (0, 0));
    assert!(std::fs::read_dir(folder.path("lake-acme")).unwrap().next().is_none(), "nothing is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn outputs_of_several_accounts_are_one_object_or_a_block_for_each() {
    let (acme, bolt) = (sandbox("acme", 0).await, sandbox("bolt", 0).await);
    let folder = Folder::new();
    let first = folder.write("acme", &acme.url(), "secrets_prefix = \"ACME_\"");
    let second = folder.write("bolt", &bolt.url(), "secrets_prefix = \"BOLT_\"");
    let program = program()
        .with("ACME_BRIGHTPEARL_STAFF_TOKEN", &token("acme"))
        .with("BOLT_BRIGHTPEARL_STAFF_TOKEN", &token("bolt"));
    let run = |arguments: &[&str]| program.run(&[&["--config", &first, "--config", &second][..], arguments].concat());
    let json =
        |arguments: &[&str], code: i32| -> Value { serde_json::from_str(&run(arguments).expect(code).stdout).unwrap() };

    // WHEN they are run one after the other, with JSON for both outputs
    let done = run(&["--jobs", "1", "--log-format", "json", "run", "--json"]).expect(0);
    // THEN the log has each line's file, the first account's before the second's, and the end of both
    let lines: Vec<Value> = done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let files: Vec<&str> = lines.iter().filter_map(|line| line["settings"].as_str()).collect();
    let begun = files.iter().position(|file| *file == second).unwrap();
    assert!(files[..begun].iter().all(|file| *file == first) && files[begun..].iter().all(|file| *file == second));
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit_code"], &last["accounts"][1]["account"]),
        (&"accounts".into(), &0.into(), &"bolt".into())
    );
    // AND the object has each report
    let object: Value = serde_json::from_str(&done.stdout).unwrap();
    for (place, account) in ["acme", "bolt"].iter().enumerate() {
        let of = &object["accounts"][place];
        assert_eq!(
            (&of["account"], &of["state"], &of["output"]["account"]),
            (&(*account).into(), &"complete".into(), &(*account).into())
        );
        assert_eq!(of["output"]["command"], "run");
    }

    // AND so do the other commands
    for arguments in [
        &["status", "--json"][..],
        &["plan", "--json"],
        &["verify", "--json"],
        &["clean", "--dry-run", "--json"],
        &["reconcile", "order", "--json"],
    ] {
        let object = json(arguments, 0);
        assert!(
            object["accounts"].as_array().unwrap().iter().all(|of| of["output"]["format"] == 1),
            "{arguments:?}: {object}"
        );
    }
    let object = json(&["status", "--json", "--max-age", "1ms"], 3);
    assert_eq!((&object["exit_code"], &object["accounts"][0]["state"]), (&3.into(), &"incomplete".into()));
    // AND as text a block has the name of its account
    for arguments in [&["status"][..], &["check"], &["run", "--dry-run"], &["plan"], &["verify"]] {
        let done = run(arguments).expect(0);
        let heads: Vec<&str> = done.stdout.lines().filter(|line| line.ends_with(".toml):")).collect();
        assert_eq!(heads, [format!("acme ({first}):"), format!("bolt ({second}):")], "{}", done.stdout);
        assert!(done.stderr.ends_with("2 accounts: all complete\n"), "{}", done.stderr);
    }
    // AND commands for one account refuse both
    for arguments in [
        &["report"][..],
        &["backfill", "brand", "--ids", "1"],
        &["sql", "--dialect", "duckdb"],
        &["resources"],
        &["forget", "--contact", "1"],
    ] {
        let done = run(arguments).expect(2);
        assert!(done.stderr.contains("this command is for one account"), "{}", done.stderr);
    }
}

/// A run over several accounts.
struct Several {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Several {
    fn start(program: &Program, arguments: &[&str]) -> Self {
        let mut command = program.command(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// All messages, and the exit code.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let said = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), said)
    }
}

fn kill(signal: &str, id: u32) {
    assert!(std::process::Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
}

/// The process with this settings file that a process has started.
fn child_of(parent: u32, file: &str) -> u32 {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{parent}/task")).unwrap().flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
    }
    let has = |id: &&u32| std::fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.contains(file));
    *found.iter().find(has).expect("the process of the account runs")
}

async fn until_orders_are_read(sandbox: &Sandbox) {
    let begun = Instant::now();
    while sandbox.peek_log().of("GET order-service/order") < 1 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no order was asked for");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_signal_stops_every_account_and_a_killed_process_is_one_account() {
    // GIVEN slow accounts, two of which are processed at a time
    let (acme, bolt, crux) = (sandbox("acme", 2_000).await, sandbox("bolt", 2_000).await, sandbox("crux", 0).await);
    let folder = Folder::new();
    let first = folder.write("acme", &acme.url(), "secrets_prefix = \"ACME_\"");
    folder.write("bolt", &bolt.url(), "secrets_prefix = \"BOLT_\"");
    folder.write("crux", &crux.url(), "secrets_prefix = \"CRUX_\"");
    let program = program()
        .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
        .with("ACME_BRIGHTPEARL_STAFF_TOKEN", &token("acme"))
        .with("BOLT_BRIGHTPEARL_STAFF_TOKEN", &token("bolt"))
        .with("CRUX_BRIGHTPEARL_STAFF_TOKEN", &token("crux"));
    let pattern = folder.pattern();
    let arguments = ["--config", &pattern, "--progress", "never", "run", "brand", "order"];

    // WHEN the command is interrupted
    let run = Several::start(&program, &arguments);
    until_orders_are_read(&acme).await;
    until_orders_are_read(&bolt).await;
    let begun = Instant::now();
    kill("-INT", run.child.id());
    let (code, said) = run.end();
    // THEN both end soon and say so, the third is not begun, and the end of each is 130
    assert_eq!(code, Some(130), "{said:#?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    for account in ["acme", "bolt"] {
        assert!(said.iter().any(|line| line.starts_with(account) && line.contains("stopping, SIGINT")), "{said:#?}");
    }
    assert!(said.iter().any(|line| line.starts_with("crux") && line.contains("not started")), "{said:#?}");
    assert!(said.last().unwrap().contains("acme (130), bolt (130), crux (130)"), "{said:#?}");
    assert_eq!(crux.peek_log().of(""), 0);

    // WHEN the process of one account is killed
    drop((acme.take_log(), bolt.take_log()));
    let run = Several::start(&program, &arguments);
    until_orders_are_read(&acme).await;
    let id = child_of(run.child.id(), &first);
    // (It has the secrets of its own account alone.)
    let variables = String::from_utf8(std::fs::read(format!("/proc/{id}/environ")).unwrap()).unwrap();
    let tokens: Vec<&str> = variables.split('\0').filter(|variable| variable.contains("TOKEN")).collect();
    assert_eq!(tokens, [format!("ACME_BRIGHTPEARL_STAFF_TOKEN={}", token("acme"))]);
    kill("-KILL", id);
    let (code, said) = run.end();
    // THEN the others complete, and the exit code is that of a bug
    assert_eq!(code, Some(1), "{said:#?}");
    assert!(said.iter().any(|line| line == "acme: the process of the account was ended by signal 9"), "{said:#?}");
    assert!(said.last().unwrap().ends_with("3 accounts: 2 complete; exit code 1: acme (1)"), "{said:#?}");
    for (sandbox, account) in [(&bolt, "bolt"), (&crux, "crux")] {
        check_truth(sandbox, &folder.path(&format!("lake-{account}")), &TABLES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_account_has_keys_of_its_own_for_its_bucket() {
    // GIVEN wrong keys in the usual variables, and right ones with the prefix and in a folder
    let acme = sandbox("acme", 0).await;
    let weed = Weed::start();
    let folder = Folder::new();
    let file = folder.write("acme", &acme.url(), "");
    let text = std::fs::read_to_string(&file).unwrap();
    let (prefixed, in_folder) = (folder.path("prefix.toml"), folder.path("folder.toml"));
    let bucket = |own: &str| text.replace("[auth]", &format!("{own}\n[auth]")).replace("lake-acme", "s3://lake/acme");
    std::fs::write(&prefixed, bucket("secrets_prefix = \"ACME_\"")).unwrap();
    std::fs::write(&in_folder, bucket("secrets_dir = \"secrets\"")).unwrap();
    std::fs::create_dir(folder.path("secrets")).unwrap();
    for (name, value) in [
        ("BRIGHTPEARL_STAFF_TOKEN", token("acme")),
        ("AWS_ACCESS_KEY_ID", S3_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", format!("{S3_SECRET}\n")),
    ] {
        std::fs::write(Path::new(&folder.path("secrets")).join(name), value).unwrap();
    }
    let wrong = weed
        .reach(program())
        .with("AWS_ACCESS_KEY_ID", "of-nobody")
        .with("AWS_SECRET_ACCESS_KEY", "planted-wrong-key")
        .with("AWS_SESSION_TOKEN", "planted-wrong-session");
    let right = wrong
        .clone()
        .with("ACME_BRIGHTPEARL_STAFF_TOKEN", &token("acme"))
        .with("ACME_AWS_ACCESS_KEY_ID", S3_KEY)
        .with("ACME_AWS_SECRET_ACCESS_KEY", S3_SECRET);
    // WHEN each is run THEN its keys are used, and the wrong ones where it has none
    right.run(&["--config", &prefixed, "run", "brand"]).expect(0);
    wrong.run(&["--config", &in_folder, "run", "brand"]).expect(0);
    wrong.with("ACME_BRIGHTPEARL_STAFF_TOKEN", &token("acme")).run(&["--config", &prefixed, "run", "brand"]).expect(5);
}

#[test]
fn two_places_of_secrets_and_a_prefix_that_cannot_be_one_are_refused() {
    let folder = Folder::new();
    for (own, why) in [
        ("secrets_prefix = \"ACME_\"\nsecrets_dir = \"secrets\"", "`account.secrets_dir` is set too"),
        ("secrets_prefix = \"ac me\"", "letters, digits and `_`"),
        ("secrets_dir = \"secrets\"", "secrets/BRIGHTPEARL_STAFF_TOKEN"),
    ] {
        let file = folder.write("acme", "http://127.0.0.1:9/public-api/acme", own);
        let done = program().run(&["--config", &file, "run"]).expect(2);
        assert!(done.stderr.contains(why), "{}", done.stderr);
    }
}
