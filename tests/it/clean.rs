//! The objects that `clean` removes, and those that it leaves alone.

use std::path::Path;
use std::time::{Duration, Instant};

use pearlift::sandbox::{SandboxSettings, Size};

use crate::support::{Program, account, files, start, this_morning};

const DEAD_RUN: &str = "0123456789abcdef0123456789abcdef";

/// Writes a file and the folders above it.
fn plant(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "planted").unwrap();
}

/// Runs `clean`, and returns the removed paths with the reason, and the unknown ones.
fn cleaned(program: &Program, arguments: &[&str], code: i32) -> (Vec<String>, Vec<String>) {
    let done = program.run(&[&["clean", "--json"], arguments].concat()).expect(code);
    let said: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let gone = said["removed"].as_array().unwrap().iter();
    let gone = gone.map(|waste| format!("{} ({})", text(&waste["path"]), text(&waste["why"])));
    (gone.collect(), said["unknown"].as_array().unwrap().iter().map(text).collect())
}

/// Everything but locks, which come and stay.
fn everything(lake: &Path) -> Vec<std::path::PathBuf> {
    let mut found = files(lake);
    found.retain(|path| !path.starts_with(lake.join("_pearlift/locks")));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fresh_lake_has_nothing_to_clean() {
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);
    let before = everything(lake.path());
    for arguments in [&["--dry-run"][..], &[]] {
        assert_eq!(cleaned(&program, arguments, 0), (Vec::new(), Vec::new()));
        assert_eq!(everything(lake.path()), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_superseded_or_of_a_dead_run_goes_and_what_is_foreign_stays() {
    // GIVEN a lake with leavings of ours
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand", "currency"]).expect(0);
    let head = files(&lake.path().join("_pearlift/manifests/brand")).pop().unwrap();
    let superseded = format!("brand/brand-{DEAD_RUN}-1.parquet");
    let mut version: serde_json::Value = serde_json::from_slice(&std::fs::read(&head).unwrap()).unwrap();
    version["removes"] = serde_json::json!([superseded]);
    std::fs::write(&head, version.to_string()).unwrap();
    let ours = [
        format!("_pearlift/misfits/brand/{DEAD_RUN}-1.jsonl"),
        format!("_pearlift/scans/brand/{DEAD_RUN}.json"),
        format!("_pearlift/staging/{DEAD_RUN}/brand-{DEAD_RUN}-7.part"),
        superseded.clone(),
    ];
    // AND files that are like ours, and are not
    let foreign = [
        "_pearlift/misfits/brand/notes.jsonl".to_owned(),
        "_pearlift/scans/brand/mine.json".to_owned(),
        format!("_pearlift/staging/{DEAD_RUN}/other-{DEAD_RUN}-1.part"),
        format!("brand/brand-{DEAD_RUN}-2.parquet"),
        "brand/notes.txt".to_owned(),
    ];
    let unseen = ["brand-notes.parquet", "mine/brand.parquet"];
    let clean = everything(lake.path());
    ours.iter().chain(&foreign).for_each(|path| plant(&lake.path().join(path)));
    unseen.iter().for_each(|path| plant(&lake.path().join(path)));
    let planted = everything(lake.path());
    // AND `verify` sends us here
    let done = program.run(&["verify", "brand"]).expect(7);
    let line = done.stdout.lines().find(|line| line.contains(&superseded)).unwrap();
    assert!(line.contains("`pearlift clean` removes it"), "{line}");

    // WHEN the removals are only listed THEN nothing is removed
    let (mut would, unknown) = cleaned(&program, &["--dry-run"], 0);
    would.sort();
    let named = |would: &[String]| -> Vec<String> {
        would.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&would), ours);
    assert_eq!(unknown, foreign);
    assert_eq!(everything(lake.path()), planted);

    // WHEN it cleans THEN ours go and the others stay
    let (mut gone, unknown) = cleaned(&program, &[], 0);
    gone.sort();
    assert_eq!(gone, would);
    assert_eq!(unknown, foreign);
    for path in ours {
        assert!(!lake.path().join(&path).exists(), "{path}");
    }
    for path in foreign.iter().map(String::as_str).chain(unseen) {
        assert!(lake.path().join(path).exists(), "{path}");
    }
    // AND all earlier files are still there
    assert!(clean.iter().all(|path| path.exists()));
    // AND a second time there is nothing
    assert_eq!(cleaned(&program, &[], 0).0, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_go_that_take_more_room_than_they_may_and_reports_that_are_old() {
    // GIVEN 150 versions, of which the first 45 are long ago
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    let folder = lake.path().join("_pearlift/manifests/brand");
    let first: serde_json::Value =
        serde_json::from_slice(&std::fs::read(files(&folder).pop().unwrap()).unwrap()).unwrap();
    let long_ago = this_morning() - jiff::SignedDuration::from_hours(24 * 30);
    for number in 1..=150 {
        let mut version = first.clone();
        version["version"] = number.into();
        if number <= 45 {
            version["written_at"] = long_ago.to_string().into();
        }
        std::fs::write(folder.join(format!("{number:020}.json")), version.to_string()).unwrap();
    }
    // AND 120 reports, half of them of last year
    let last_year = this_morning() - jiff::SignedDuration::from_hours(24 * 300);
    for number in 0..120 {
        let at = if number < 60 { last_year } else { this_morning() };
        let report = lake.path().join(format!("_pearlift/runs/{number:032x}.json"));
        std::fs::write(report, format!(r#"{{"started_at": "{at}"}}"#)).unwrap();
    }

    // WHEN it is cleaned
    let (gone, _) = cleaned(&program, &[], 0);

    // THEN as many go as take more than 32 KiB, young ones among them, and of the reports all old ones beyond the last hundred
    let left = files(&folder);
    let bytes: u64 = left.iter().map(|path| path.metadata().unwrap().len()).sum();
    let one = bytes / u64::try_from(left.len()).unwrap();
    assert!(left.len() >= 10 && bytes <= 32 << 10 && bytes + 2 * one > 32 << 10, "{} versions of {bytes}", left.len());
    assert_eq!(gone.iter().filter(|line| line.ends_with("(old version)")).count(), 150 - left.len());
    assert_eq!(gone.iter().filter(|line| line.ends_with("(old report)")).count(), 21, "one more is the run's own");
    program.run(&["verify", "--deep"]).expect(0);
    program.run(&["run", "brand"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_run_holds_is_left_alone() {
    // GIVEN a slow run at work on orders, and leavings of orders and of brands
    let settings = SandboxSettings { limit: 0, latency: 300, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 20_000, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    program.run(&["run", "brand"]).expect(0);
    sandbox.take_log();
    let mut child = program.start(&["run", "order"]);
    let begun = Instant::now();
    // It sends requests after it removed old objects.
    while sandbox.take_log().total() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let of_order = lake.path().join(format!("_pearlift/staging/{DEAD_RUN}/order-{DEAD_RUN}-1.part"));
    let of_brand = lake.path().join(format!("_pearlift/staging/{DEAD_RUN}/brand-{DEAD_RUN}-1.part"));
    plant(&of_order);
    plant(&of_brand);

    // WHEN it is cleaned meanwhile THEN objects under a lock stay, the others are removed
    let (gone, _) = cleaned(&program, &[], 6);
    assert!(child.try_wait().unwrap().is_none(), "the run continues");
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(of_order.exists() && !of_brand.exists());

    // WHEN the run has crashed THEN it is removed too
    child.kill().unwrap();
    child.wait().unwrap();
    cleaned(&program, &[], 0);
    assert!(!of_order.exists());
    program.run(&["verify", "--deep"]).expect(0);
}
