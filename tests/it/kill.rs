//! The program killed at random moments, again and again, while the source changes; and the tables at the end.

use std::path::Path;
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::schema::Catalog;
use pearlift::store::paths::staged;

use crate::support::{Program, Weed, check_truth, fast_folder, files, look, start, this_morning};

/// Kills of each loop; `make soak` sets more.
const KILLS: usize = 15;

/// The resources that are read into a folder: every style of reading, and orders that others reference. A bucket is
/// slower.
const FOLDER: &str = "order,product,product_availability,product_price,customer_payment,brand,goods_out_note";
const BUCKET: &str = "order,product,brand,customer_payment";

/// The tables of these resources.
fn tables(resources: &str) -> String {
    let catalog = Catalog::load(None).unwrap();
    let of = |name: &str| catalog.get(name).unwrap().tables.iter().map(|table| table.name.clone()).collect::<Vec<_>>();
    resources.split(',').flat_map(of).collect::<Vec<_>>().join(",")
}

/// A number from the environment, for `make soak`.
fn wanted(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?.into_string().expect("it is text");
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Randomness with a printed seed: `SOAK_SEED` repeats it, as far as processes do.
fn chance() -> fastrand::Rng {
    let seed = wanted("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    #[expect(clippy::print_stderr, reason = "shown where the test fails")]
    {
        eprintln!("SOAK_SEED={seed}");
    }
    fastrand::Rng::with_seed(seed)
}

/// Kills a run at a random moment: after so many requests, or after so many files have appeared, and a little later.
/// `false` where it was done before; then it was right.
async fn kill_one(sandbox: &Sandbox, program: &Program, lake: Option<&Path>, random: &mut fastrand::Rng) -> bool {
    let count = |lake: Option<&Path>| match lake {
        Some(lake) => files(&lake.join("_pearlift")).len(),
        None => usize::try_from(sandbox.peek_log().total()).unwrap(),
    };
    // Half of the kills in a folder go by its files; a bucket is not looked into.
    let lake = lake.filter(|_| random.bool());
    let at = count(lake) + random.usize(0..if lake.is_some() { 60 } else { 24 });
    let later = Duration::from_micros(random.u64(0..20_000));
    let mut child = program.start(&["run"]);
    let begun = Instant::now();
    while count(lake) < at {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "a run that nobody killed ended with {status}");
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it neither ends nor comes to {at}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(later).await;
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// The shop continues.
fn something_happens(sandbox: &Sandbox, between: Duration, random: &mut fastrand::Rng) {
    sandbox.age(between);
    for kind in ["order", "product", "contact", "goods_out_note", "journal", "customer_payment"] {
        sandbox.insert(kind, random.u64(0..4));
    }
    for kind in ["order", "product", "contact"] {
        let from = random.usize(0..7);
        let some: Vec<i64> = sandbox.ids(kind).into_iter().skip(from).step_by(7).collect();
        sandbox.edit(kind, &some);
    }
    sandbox.age(between);
}

/// The program, set to commit often and to read resources without dates each time.
fn often(program: Program) -> Program {
    program
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms")
        .with("PEARLIFT_LIMITS_CONCURRENCY", "4")
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
}

async fn slow(orders: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, latency: 4, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders, ..Size::default() }).await
}

/// Kills runs, first in the first load and then while the shop continues; `each` is called after some kills.
async fn kill_many(sandbox: &Sandbox, program: &Program, lake: Option<&Path>, mut each: impl FnMut()) {
    let mut random = chance();
    let kills = wanted("SOAK_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    // All of it within a day, for there is a snapshot a day.
    let between = Duration::from_secs((30_000 / u64::try_from(kills).unwrap()).clamp(1, 300));
    let (mut killed, mut done) = (0, 0);
    while killed < kills {
        assert!(done <= 4 * kills + 4, "only {killed} of {} runs were killed", killed + done);
        // A payment that lands in the very first run is a limit of its own (README): the shop waits until it is over.
        if killed < kills / 3 && done == 0 {
            sandbox.age(Duration::from_secs(60));
        } else {
            if done == 0 {
                program.run(&["run"]).expect(0);
                done += 1;
            }
            something_happens(sandbox, between, &mut random);
        }
        if kill_one(sandbox, program, lake, &mut random).await {
            killed += 1;
            if killed % 5 == 0 {
                each();
            }
        } else {
            done += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_killed_at_random_moments_leave_a_folder_that_the_next_run_makes_right() {
    let sandbox = slow(120).await;
    let lake = fast_folder();
    let program = often(Program::new(&sandbox, lake.path())).by_month().with("PEARLIFT_RESOURCES_INCLUDE", FOLDER);

    // WHEN runs are killed THEN readers see no key twice by the head, and by a glob none except during publishing
    kill_many(&sandbox, &program, Some(lake.path()), || {
        let seen = look("order,product,customer_payment", &[lake.path()]).remove(0);
        assert_eq!(seen["strays"], serde_json::json!([]));
        for resource in seen["resources"].as_object().unwrap().values().filter(|resource| !resource.is_null()) {
            for (table, seen) in resource["tables"].as_object().unwrap() {
                assert_eq!(seen["twice"], 0, "{table}: {seen}");
                assert!(seen["glob_twice"] == 0 || seen["staged"] != 0, "{table}: {seen}");
            }
        }
    })
    .await;

    // AND one that is not killed makes all right
    program.run(&["run"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", &tables(FOLDER)]);
    let verified = program.run(&["verify", "--deep"]).expect(0);
    assert!(!verified.stdout.contains("stray"), "{}", verified.stdout);
    program.run(&["clean"]).expect(0);
    assert_eq!(files(&lake.path().join("_pearlift/staging")), Vec::<std::path::PathBuf>::new());
    let data = files(lake.path()).into_iter().filter(|path| !path.starts_with(lake.path().join("_pearlift")));
    assert!(data.into_iter().all(|path| path.extension().is_some_and(|ending| ending == "parquet")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_killed_at_random_moments_leave_a_bucket_that_the_next_run_makes_right() {
    // GIVEN locks of crashed runs that are soon taken over
    let sandbox = slow(30).await;
    let weed = Weed::start();
    let program = weed
        .reach(often(Program::new(&sandbox, "s3://lake/shop")).with("PEARLIFT_RESOURCES_INCLUDE", BUCKET))
        .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "150ms")
        .with("PEARLIFT_DESTINATION_S3_LOCK_EXPIRE", "1s");

    kill_many(&sandbox, &program, None, || {
        let verified = program.run(&["verify"]);
        assert_eq!(verified.code, 0, "{}", verified.said());
    })
    .await;

    // AND a run was killed while it uploaded a file in parts (the account is too small for one that is)
    weed.begin_upload(&format!("shop/{}", staged("order", &"d".repeat(32), 1))).await;
    program.run(&["run"]).expect(0);
    check_truth(&sandbox, "s3://lake/shop", &["--only", &tables(BUCKET), "--s3-endpoint", &weed.endpoint()]);
    let verified = program.run(&["verify", "--deep"]).expect(0);
    assert!(!verified.stdout.contains("stray"), "{}", verified.stdout);
    program.run(&["clean"]).expect(0);
    assert_eq!(weed.objects("lake/shop/_pearlift/staging/"), Vec::<String>::new());
    assert_eq!(weed.uploads().await, Vec::<String>::new());
}
