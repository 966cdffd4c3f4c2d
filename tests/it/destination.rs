//! Destinations that refuse, fill up, or answer strangely: the right code, nothing lost, completed by the next run.

use std::path::Path;
use std::process::Command;

use jiff::SignedDuration;
use pearlift::failure::Kind;
use pearlift::run::run_in;
use pearlift::sandbox::Sandbox;

use crate::support::{
    Answer, Done, Fault, Faults, Program, Proxy, Sorry, Verb, Weed, account, check_truth, files, this_morning,
};

const TABLES: [&str; 2] = ["--only", "order,order_row,order_party,brand"];

fn a_day_goes_by(sandbox: &Sandbox) {
    sandbox.age(std::time::Duration::from_secs(3 * 3600));
    sandbox.insert("brand", 1);
    let orders: Vec<i64> = sandbox.ids("order").into_iter().step_by(3).collect();
    sandbox.edit("order", &orders);
    sandbox.age(std::time::Duration::from_secs(600));
}

/// The program that reads brands each time.
fn program(sandbox: &Sandbox, lake: impl AsRef<Path>) -> Program {
    Program::new(sandbox, lake).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms")
}

fn is_right(sandbox: &Sandbox, program: &Program, lake: &Path) {
    program.run(&["run", "order", "brand"]).expect(0);
    check_truth(sandbox, lake.to_str().unwrap(), &TABLES);
    program.run(&["verify", "--deep"]).expect(0);
    assert_eq!(files(&lake.join("_pearlift/staging")), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_that_is_full_or_read_only_is_told_and_what_was_committed_stays() {
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());
    program.run(&["run", "order", "brand"]).expect(0);
    for (why, kind) in [
        (Sorry::Full, Kind::StoreUnreachable),
        (Sorry::ReadOnly, Kind::StoreRefused),
        (Sorry::Denied, Kind::StoreRefused),
    ] {
        for (verb, place) in [(Verb::Put, "locks/probe"), (Verb::Put, "manifests/"), (Verb::Copy, "order_row/")] {
            // GIVEN a lake, and a day gone by WHEN the disk fails from some point on
            a_day_goes_by(&sandbox);
            let faults = Faults::default();
            faults.always(verb, place, Fault::Before(why));
            let outcome = run_in(program.request(&["order", "brand"]), faults.before(&program.store())).await;
            // THEN it is reported by its kind, with 5
            let failures = match &outcome {
                Ok(outcome) => {
                    assert_eq!(outcome.exit_code(false), 5, "{why:?} {place}");
                    outcome.resources.iter().filter_map(|resource| resource.failure()).collect()
                }
                Err(failure) => vec![failure],
            };
            assert!(
                failures.iter().any(|failure| failure.kind() == kind && failure.advice().is_some()),
                "{failures:?}"
            );
            assert!(faults.met() > 0, "{why:?} {place}");
            // AND nothing is damaged
            let verified = program.run(&["verify", "--deep"]);
            assert_eq!(verified.code, 0, "{why:?} {place}: {}", verified.said());
        }
    }
    // AND the next run completes it
    is_right(&sandbox, &program, lake.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_that_cannot_grow_are_a_full_disk() {
    // GIVEN a lake, a day gone by, and a system that lets no file grow beyond 4 KiB
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());
    program.run(&["run", "order", "brand"]).expect(0);
    a_day_goes_by(&sandbox);
    let limited = |arguments: &[&str]| {
        let plain = program.command(arguments);
        let mut command = Command::new("sh");
        // The shell counts blocks of 512 or 1,024 bytes. A process that ignores the signal gets an error instead.
        command.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""]).arg(plain.get_program());
        command.args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.current_dir(std::env::temp_dir()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    };

    // WHEN it runs THEN it reports that, with 5
    let done = limited(&["run", "order", "brand"]).expect(5);
    assert!(done.stderr.contains("too large"), "{}", done.stderr);
    assert!(done.stderr.contains("free space"), "{}", done.stderr);
    // AND the committed part is whole, and the next run reads the rest
    program.run(&["verify", "--deep"]).expect(0);
    is_right(&sandbox, &program, lake.path());
}

/// The program with no more rights than a folder's owner: the superuser may write anywhere.
fn humble(program: &Program, arguments: &[&str]) -> Done {
    let superuser = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !superuser {
        return program.run(arguments);
    }
    let plain = program.command(arguments);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override,-dac_read_search", "--"]).arg(plain.get_program());
    command.args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(std::env::temp_dir()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_that_may_no_longer_be_written_is_told_before_the_quota_is_spent() {
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, lake.path());
    program.run(&["run", "order", "brand"]).expect(0);
    a_day_goes_by(&sandbox);
    let mode = |path: &Path, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // GIVEN folders that lost their permission WHEN it runs THEN it is refused, and nothing was asked
    let locks = lake.path().join("_pearlift/locks");
    mode(&locks, 0o555);
    sandbox.take_log();
    let done = humble(&program, &["run", "order", "brand"]).expect(5);
    assert!(done.stderr.contains("ermission"), "{}", done.stderr);
    assert_eq!(sandbox.take_log().total(), 0);
    mode(&locks, 0o755);
    // AND where a table's folder lost it, the commit is valid, is reported as unpublished, and the next run publishes it
    let table = lake.path().join("brand");
    mode(&table, 0o555);
    humble(&program, &["run", "brand"]).expect(5);
    let status = program.run(&["status"]).expect(0);
    assert!(status.stdout.contains("unpublished"), "{}", status.stdout);
    mode(&table, 0o755);
    is_right(&sandbox, &program, lake.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_bucket_refuses_is_told_and_what_it_lies_about_is_seen_through() {
    let sandbox = account(40).await;
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let program = weed
        .reach(program(&sandbox, "s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint())
        .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "150ms")
        .with("PEARLIFT_DESTINATION_S3_LOCK_EXPIRE", "1s");
    let run = ["run", "brand"];
    program.run(&run).expect(0);

    // GIVEN a service that refuses at some point WHEN it runs THEN it gives the reason, with 5, and damages nothing
    let always = usize::MAX;
    for (method, path, answer, words, advice) in [
        ("PUT", "/staging/", Answer::Refuse(403, "AccessDenied"), "AccessDenied", "AWS_ACCESS_KEY_ID"),
        ("PUT", "/manifests/", Answer::Refuse(403, "AccessDenied"), "AccessDenied", "AWS_ACCESS_KEY_ID"),
        ("GET", "list-type", Answer::Refuse(404, "NoSuchBucket"), "NoSuchBucket", "destination.url"),
        ("PUT", "/locks/", Answer::Refuse(400, "ExpiredToken"), "ExpiredToken", "AWS_SESSION_TOKEN"),
        ("PUT", "/manifests/", Answer::Refuse(400, "ExpiredToken"), "ExpiredToken", "AWS_SESSION_TOKEN"),
        ("GET", "/manifests/", Answer::Refuse(403, "RequestTimeTooSkewed"), "RequestTimeTooSkewed", "clock (NTP)"),
    ] {
        sandbox.insert("brand", 1);
        proxy.answer(method, path, always, answer);
        let done = program.run(&run).expect(5);
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
        assert!(done.stderr.contains(advice), "{words}: {}", done.stderr);
        proxy.heal();
        program.run(&["verify", "--deep"]).expect(0);
    }

    // GIVEN a service in haste, in trouble, or one that does after it denied WHEN it runs THEN it ends well
    for (method, path, times, answer) in [
        ("PUT", "/", 2, Answer::Refuse(503, "SlowDown")),
        ("GET", "/", 2, Answer::Refuse(503, "SlowDown")),
        ("PUT", "/staging/", 1, Answer::DoneBut(500, "InternalError")),
        // The client tries again and gets 412 by the server.
        ("PUT", "/manifests/", 1, Answer::DoneBut(500, "InternalError")),
        ("PUT", "/manifests/", 2, Answer::Refuse(409, "ConditionalRequestConflict")),
        ("PUT", "/manifests/", 1, Answer::DoneBut(409, "ConditionalRequestConflict")),
        ("PUT", "/locks/brand", 1, Answer::DoneBut(500, "InternalError")),
        ("PUT", "/brand/", 1, Answer::DoneBut(500, "InternalError")),
    ] {
        sandbox.insert("brand", 1);
        let what = format!("{method} {path} {answer:?}");
        proxy.answer(method, path, times, answer);
        let done = program.run(&run);
        assert_eq!(done.code, 0, "{what}: {}", done.said());
        assert_eq!(proxy.heal(), 0, "{what} was met");
    }
    check_truth(&sandbox, "s3://lake/shop", &["--only", "brand", "--s3-endpoint", &weed.endpoint()]);
    program.run(&["verify", "--deep"]).expect(0);
    assert_eq!(weed.objects("lake/shop/_pearlift/staging/"), Vec::<String>::new());

    // GIVEN a service that overwrites an object against the condition WHEN it runs or is checked THEN it is refused
    sandbox.take_log();
    for command in [&["run", "brand"][..], &["check"]] {
        proxy.answer("PUT", "/locks/probe", always, Answer::Pretend);
        let done = program.run(command);
        proxy.heal();
        assert_eq!(done.code, 5, "{}", done.said());
        assert!(done.said().contains("put-if-absent"), "{}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_that_is_wrong_by_days_loses_nothing() {
    for days in [-3, 3] {
        // GIVEN a machine with a wrong clock
        let sandbox = account(60).await;
        let lake = tempfile::tempdir().unwrap();
        let program = program(&sandbox, lake.path());
        for round in 0..3 {
            let mut request = program.request(&["order", "brand"]);
            request.now = this_morning() + SignedDuration::from_hours(24 * days + round);
            // WHEN it runs, and again after a day
            let outcome = run_in(request, program.store()).await.unwrap();
            assert_eq!(outcome.exit_code(false), 0);
            // THEN the tables equal the truth, for the source's clock counts
            check_truth(&sandbox, lake.path().to_str().unwrap(), &TABLES);
            a_day_goes_by(&sandbox);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_refusal_of_a_bucket_is_told_as_what_it_is() {
    let sandbox = account(40).await;
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let program = weed
        .reach(program(&sandbox, "s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint())
        .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "150ms")
        .with("PEARLIFT_DESTINATION_S3_LOCK_EXPIRE", "1s");
    program.run(&["run", "brand"]).expect(0);
    let kept = || {
        let objects = weed.objects("lake/shop/").into_iter();
        objects.filter(|path| !path.contains("/locks/") && !path.contains("/runs/")).collect::<Vec<String>>()
    };
    let before = kept();
    let (always, trouble) = (usize::MAX, "check that the destination is reachable");
    // GIVEN a bucket that refuses to write or to list, once and for all, each for a reason of its own
    for (method, path, status, code, advice) in [
        ("PUT", "/locks/", 403, "AccessDenied", "the credentials do not allow it"),
        ("PUT", "/locks/", 403, "InvalidAccessKeyId", "does not know the access key"),
        ("PUT", "/locks/", 403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("PUT", "/locks/", 403, "RequestTimeTooSkewed", "clock (NTP)"),
        ("PUT", "/locks/", 400, "ExpiredToken", "the session token has expired"),
        ("PUT", "/locks/", 400, "InvalidToken", "AWS_SESSION_TOKEN belongs to the keys"),
        ("PUT", "/locks/", 404, "NoSuchBucket", "the bucket does not exist"),
        ("PUT", "/locks/", 400, "KMS.DisabledException", "destination.s3.kms_key"),
        ("PUT", "/locks/", 400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        ("PUT", "/locks/", 503, "SlowDown", trouble),
        ("GET", "list-type", 403, "AccessDenied", "the credentials do not allow it"),
        ("GET", "list-type", 403, "InvalidAccessKeyId", "does not know the access key"),
        ("GET", "list-type", 403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("GET", "list-type", 403, "RequestTimeTooSkewed", "clock (NTP)"),
        ("GET", "list-type", 400, "ExpiredToken", "the session token has expired"),
        ("GET", "list-type", 400, "InvalidToken", "AWS_SESSION_TOKEN belongs to the keys"),
        ("GET", "list-type", 404, "NoSuchBucket", "the bucket does not exist"),
    ] {
        proxy.answer(method, path, always, Answer::Refuse(status, code));
        sandbox.take_log();
        // WHEN it runs THEN it ends with 5, with the bucket's message and the remedy, and reads nothing
        let done = program.run(&["run", "brand"]).expect(5);
        proxy.heal();
        assert!(
            done.stderr.contains(code) && done.stderr.contains(advice),
            "{method} {status} {code}: {}",
            done.stderr
        );
        assert!(method == "GET" || sandbox.take_log().total() == 0, "{method} {status} {code}");
    }
    // AND nothing came or went
    assert_eq!(kept(), before);
    program.run(&["verify", "--deep"]).expect(0);
}
