//! A run that is killed, and the next one.

use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};

use crate::support::{Program, check_truth, query, start, this_morning};

/// Manifest versions of a resource.
fn versions(lake: &tempfile::TempDir, resource: &str) -> usize {
    let folder = lake.path().join("_pearlift/manifests").join(resource);
    // A version that is being written has another name.
    let whole = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "json");
    std::fs::read_dir(folder).map_or(0, |entries| entries.flatten().filter(whole).count())
}

async fn slow_account(orders: u64) -> Sandbox {
    let settings = SandboxSettings { limit: 0, latency: 40, now: Some(this_morning()), ..SandboxSettings::default() };
    start(settings, Size { orders, ..Size::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_killed_in_a_full_load_goes_on_from_its_last_commit() {
    // GIVEN a slow source and a program that commits often
    let sandbox = slow_account(6_000).await;
    let lake = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(&sandbox, lake.path())
        .by_month()
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "300ms")
        .with("PEARLIFT_LIMITS_CONCURRENCY", "2");

    // WHEN it is killed after its second commit
    let mut child = program.start(&["run", "order"]);
    let begun = Instant::now();
    while versions(&lake, "order") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no commit was made");
        assert!(child.try_wait().expect("it can be asked").is_none(), "it ended before it could be killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let committed = committed_slices(&lake);
    assert!(committed > 0, "the second version has a cursor");
    sandbox.rest().await;
    sandbox.take_log();

    // AND it runs again
    let done = program.run(&["run", "order"]).expect(0);

    // THEN it resumes: committed records are not requested again
    assert!(done.stderr.contains("resumes the full read"), "{}", done.stderr);
    let asked = sandbox.take_log().requests["GET order-service/order"];
    assert_eq!(asked, 30 - committed, "of 30 slices {committed} were committed: {}", done.stderr);
    // AND with the other resources read too, the tables equal the truth, nothing twice, nothing astray
    program.run(&["run"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().expect("it is text"), &[]);
    let glob = format!("{}/order/**/*", lake.path().display());
    let strays = query(&format!("SELECT file FROM glob('{glob}') WHERE NOT file LIKE '%.parquet'"));
    assert_eq!(strays, Vec::<String>::new());
    let staged = std::fs::read_dir(lake.path().join("_pearlift/staging")).map_or(0, |folders| {
        folders.flatten().filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().count()
    });
    assert_eq!(staged, 0, "staging is empty after a whole run");
}

/// Slices that are done by the newest version of `order`.
fn committed_slices(lake: &tempfile::TempDir) -> u64 {
    let folder = lake.path().join("_pearlift/manifests/order");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).expect("there are versions").flatten().map(|entry| entry.path()).collect();
    names.retain(|name| name.extension().is_some_and(|ending| ending == "json"));
    names.sort();
    let text = std::fs::read_to_string(names.last().expect("there is one")).expect("it can be read");
    let version: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let done = version["state"]["scan"]["cursor"]["slices"]["done"].as_array().cloned().unwrap_or_default();
    done.iter().map(|range| range[1].as_u64().unwrap_or(0) + 1 - range[0].as_u64().unwrap_or(0)).sum()
}
