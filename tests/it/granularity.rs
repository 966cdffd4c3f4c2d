//! The granularity of partitions as an operator sees it, and the folders that a change of it leaves empty.

use std::path::PathBuf;

use serde_json::Value;

use crate::partitions::{empty_folders, program};
use crate::support::account;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn folders_that_a_division_leaves_empty_are_removed_and_others_stay() {
    // GIVEN a first load that is divided at its end, from months to one folder a table
    let sandbox = account(80).await;
    let lake = tempfile::tempdir().unwrap();
    let none = program(&sandbox, lake.path(), "none");
    none.run(&["run", "order", "journal"]).expect(0);
    // THEN no folder of a month is left
    assert_eq!(empty_folders(lake.path()), Vec::<PathBuf>::new());
    assert!(std::fs::read_dir(lake.path().join("order")).unwrap().flatten().all(|entry| entry.path().is_file()));

    // GIVEN empty folders as a crash leaves them, others with files, and some with names of no partition of the table
    let gone =
        ["order/created_month=2026-01-01", "order_row/created_year=2025-01-01", "journal/created_quarter=2026-04-01"];
    let kept = [
        "order/created_week=2026-01-01",
        "order/notes",
        "order/created_month=first",
        "product/created_month=2026-01-01",
    ];
    gone.iter().chain(&kept).for_each(|folder| std::fs::create_dir_all(lake.path().join(folder)).unwrap());
    let held = lake.path().join("order/created_month=2026-02-01");
    std::fs::create_dir_all(&held).unwrap();
    std::fs::write(held.join("notes.txt"), "mine").unwrap();

    // WHEN they are only listed THEN they stay, and then they go, and those that are not ours stay
    let listed = |arguments: &[&str]| {
        let done = none.run(&[&["clean", "--json"], arguments].concat()).expect(0);
        let said: Value = serde_json::from_str(&done.stdout).unwrap();
        let mut folders: Vec<String> = serde_json::from_value(said["empty_folders"].clone()).unwrap();
        folders.sort();
        folders
    };
    let mut expected = gone.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(listed(&["--dry-run"]), expected);
    assert!(gone.iter().all(|folder| lake.path().join(folder).exists()));
    assert_eq!(listed(&[]), expected);
    assert!(gone.iter().all(|folder| !lake.path().join(folder).exists()));
    assert!(kept.iter().all(|folder| lake.path().join(folder).exists()) && held.join("notes.txt").exists());
    assert_eq!(listed(&[]), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_granularity_is_shown_by_status_plan_and_the_report() {
    // GIVEN an account of which nothing is loaded THEN the plan states that `auto` is not decided
    let sandbox = account(60).await;
    let lake = tempfile::tempdir().unwrap();
    let auto = program(&sandbox, lake.path(), "auto").with("PEARLIFT_RESOURCE_JOURNAL_PARTITION", "year");
    let names = ["order", "journal", "brand"];
    let plan = auto.run(&[&["plan"][..], &names].concat()).expect(0);
    for line in
        ["partition auto, decided by the number of rows when the load has ended: order", "partition year: journal"]
    {
        assert!(plan.stdout.lines().any(|shown| shown == line), "{}", plan.stdout);
    }
    let json = |arguments: &[&str]| -> Value {
        let done = auto.run(arguments).expect(0);
        serde_json::from_str(&done.stdout).unwrap()
    };
    let of = |all: &Value, name: &str| {
        let found = all["resources"].as_array().unwrap().iter().find(|one| one["resource"] == name).unwrap();
        ["partition", "partition_setting", "partition_open"].map(|key| found[key].to_string()).join(" ")
    };
    let planned = json(&[&["plan", "--json"][..], &names].concat());
    assert_eq!([of(&planned, "order"), of(&planned, "journal")], ["null \"auto\" true", "null \"year\" true"]);
    assert_eq!(of(&json(&["status", "--json"]), "order"), "null \"auto\" true");

    // WHEN it is loaded THEN status and the report state the one that was taken
    let done = auto.run(&[&["run", "--log-format", "json"][..], &names].concat()).expect(0);
    let report: Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
    let status = json(&["status", "--json"]);
    for all in [&report, &status] {
        assert_eq!(of(all, "order"), "\"none\" \"auto\" false");
        assert_eq!(of(all, "journal"), "\"year\" \"year\" false");
        assert_eq!(of(all, "brand"), "null null false");
    }
    let shown = auto.run(&["status"]).expect(0).stdout;
    let line = |name: &str| shown.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    assert!(line("order").contains("  none  ") && line("journal").contains("  year  "), "{shown}");
    // AND the plan of the next run names no first load
    let plan = auto.run(&[&["plan"][..], &names].concat()).expect(0);
    assert!(!plan.stdout.contains("partition"), "{}", plan.stdout);
}
