//! Manifests that share their file lists: how small they are, and that a wrong one is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Program, account, check_truth, fast_folder, files, findings};

fn bytes(folder: &Path) -> u64 {
    files(folder).iter().map(|path| path.metadata().unwrap().len()).sum()
}

/// How many files the tables have, without those of availability: it has its own each day.
fn data_files(lake: &Path) -> usize {
    let is_data = |path: &PathBuf| {
        let below = path.strip_prefix(lake).unwrap().to_str().unwrap();
        below.ends_with(".parquet") && !below.starts_with("_pearlift") && !below.starts_with("product_availability")
    };
    files(lake).iter().filter(|path| is_data(path)).count()
}

/// The resources, and how many versions each has.
fn versions(lake: &Path) -> Vec<(String, usize)> {
    let folders = std::fs::read_dir(lake.join("_pearlift/manifests")).unwrap().flatten();
    let mut found: Vec<_> =
        folders.map(|folder| (folder.file_name().into_string().unwrap(), files(&folder.path()).len())).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_27_nights_on_1_500_orders_pearlift_stays_smaller_than_the_data_and_at_most_40_files_come() {
    // GIVEN 1,500 orders with their payments and notes
    let sandbox = account(1_500).await;
    let lake = fast_folder();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run"]).expect(0);
    let ours = lake.path().join("_pearlift");
    let first = data_files(lake.path());

    for night in 1..=27 {
        // WHEN records of every kind come and change, and the night runs
        sandbox.age(Duration::from_secs(86_400));
        for (kind, new, changed) in [
            ("order", 8, 12),
            ("goods_out_note", 8, 12),
            ("goods_movement", 8, 8),
            ("contact", 2, 4),
            ("product", 1, 3),
            ("customer_payment", 8, 0),
            ("supplier_payment", 1, 0),
            ("goods_in_note", 1, 0),
            ("journal", 12, 0),
        ] {
            sandbox.insert(kind, new);
            let ids: Vec<i64> = sandbox.ids(kind).into_iter().rev().step_by(7).take(changed).collect();
            sandbox.edit(kind, &ids);
        }
        sandbox.age(Duration::from_secs(600));
        let before = versions(lake.path());
        program.run(&["run"]).expect(0);

        // THEN all that is not data takes less room than the data
        let (kept, all) = (bytes(&ours), bytes(lake.path()));
        assert!(kept < all - kept, "night {night}: {kept} beside {} of data", all - kept);
        // AND each resource has one version more, or two if referenced records of it were read; the first nights, when
        // nothing is pruned and no sets of ids are compared
        for ((resource, before), (_, after)) in
            before.iter().zip(versions(lake.path())).take(if night < 6 { 99 } else { 0 })
        {
            let most = if ["order", "goods_in_note"].contains(&resource.as_str()) { 2 } else { 1 };
            assert!(after - before <= most, "night {night}: {resource} has {} versions more", after - before);
        }
    }
    // AND a new month has a file of each table, and that is all
    let last = data_files(lake.path());
    assert!(last <= first + 40, "{first} files became {last}");
    // AND the tables are right
    assert_eq!(findings(&program, &[], 0), Vec::<String>::new());
    let tables = "order,order_row,goods_out_note,goods_in_note,goods_movement,journal,customer_payment,contact,product";
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", tables]);
}

type Attack = (&'static str, Box<dyn Fn(&mut Value)>);

fn attacks() -> Vec<Attack> {
    let since = |name: &'static str, change: fn(&mut Value)| -> Attack {
        (name, Box::new(move |version| change(&mut version["changed_since"])))
    };
    vec![
        since("another nonce", |since| since["nonce"] = json!("0".repeat(32))),
        since("a version that is not there", |since| since["version"] = json!(1_000_000)),
        since("itself", |since| since["version"] = json!(3)),
        since("a version that refers to another", |since| since["version"] = json!(2)),
        since("a file that its checkpoint has not", |since| {
            since["tables"]["order"]["dropped"].as_array_mut().unwrap().push(json!("order/x.parquet"));
        }),
        since("a table that its checkpoint has not", |since| since["tables"]["x"] = json!({"dropped": ["x"]})),
        since("a place beyond the list", |since| {
            let places = since["tables"]["order"]["places"].as_array_mut().unwrap();
            *places.last_mut().unwrap() = json!(u64::MAX);
        }),
        since("a path upwards", |since| since["tables"]["order"]["added"][0]["path"] = json!("order/../../x.parquet")),
        since("a file twice", |since| {
            let order = &mut since["tables"]["order"];
            let again = order["added"][0].clone();
            order["added"].as_array_mut().unwrap().insert(1, again);
            let place = order["places"][0].as_u64().unwrap() + 1;
            order["places"].as_array_mut().unwrap().insert(1, json!(place));
        }),
        since("a foreign file of rejected records", |since| {
            since["rejected"] = json!({"added": [{"path": "../x.jsonl", "records": 1}], "places": [0]});
        }),
        ("lists beside a checkpoint", Box::new(|version| version["tables"] = json!({}))),
        ("neither lists nor a checkpoint", Box::new(|version| version["changed_since"] = Value::Null)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_version_that_does_not_go_with_its_checkpoint_is_damage_and_nothing_is_touched() {
    // GIVEN three nights of orders: the last two versions refer to the first
    let sandbox = account(100).await;
    let lake = fast_folder();
    let program = Program::new(&sandbox, lake.path()).by_month();
    for _ in 0..3 {
        program.run(&["run", "order"]).expect(0);
        sandbox.age(Duration::from_secs(5 * 3600));
        sandbox.edit("order", &sandbox.ids("order")[95..]);
        sandbox.age(Duration::from_secs(600));
    }
    let newest = files(&lake.path().join("_pearlift/manifests/order")).pop().unwrap();
    let good: Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    assert_eq!((&good["version"], &good["changed_since"]["version"]), (&json!(3), &json!(1)));
    let everything = || -> Vec<_> {
        let aside = ["runs", "locks", "history"].map(|folder| lake.path().join("_pearlift").join(folder));
        let kept = files(lake.path()).into_iter().filter(|path| !aside.iter().any(|aside| path.starts_with(aside)));
        kept.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    };

    for (name, attack) in attacks() {
        // WHEN it is changed
        let mut version = good.clone();
        attack(&mut version);
        assert_ne!(version, good, "{name}");
        std::fs::write(&newest, version.to_string()).unwrap();
        let before = everything();

        // THEN each command that goes by it refuses it as damaged
        for command in [&["run", "order"][..], &["verify"], &["status"], &["clean"]] {
            let done = program.run(command).expect(7);
            assert!(done.said().contains("could not read a manifest"), "{name}: {}", done.said());
        }
        let (after, is_new) = (everything(), |file: &&(_, _)| !before.contains(file));
        let touched: Vec<_> = after.iter().filter(is_new).map(|(path, _): &(PathBuf, Vec<u8>)| path).collect();
        assert!(touched.is_empty() && after.len() == before.len(), "{name}: {touched:?}");
    }

    // WHEN the checkpoint is away THEN it is named; and with it back all is well
    std::fs::write(&newest, good.to_string()).unwrap();
    let first = newest.with_file_name(format!("{:020}.json", 1));
    let kept = std::fs::read(&first).unwrap();
    std::fs::remove_file(&first).unwrap();
    let done = program.run(&["verify"]).expect(7);
    assert!(done.stdout.contains("00000000000000000001.json"), "{}", done.stdout);
    std::fs::write(&first, kept).unwrap();
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    program.run(&["run", "order"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_night_without_changes_adds_a_few_bytes_and_no_list() {
    let sandbox = account(300).await;
    let lake = fast_folder();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run"]).expect(0);
    program.run(&["run"]).expect(0);
    for (resource, _) in versions(lake.path()) {
        let of = files(&lake.path().join("_pearlift/manifests").join(&resource));
        let [.., newest] = of.as_slice() else { panic!("{resource} has versions") };
        let newest: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
        // A snapshot of the same day is not taken again, and prices are read each week.
        if newest["version"] == 1 {
            continue;
        }
        assert!(newest.get("tables").is_none(), "{resource}: {newest}");
        assert_eq!(newest["changed_since"].as_object().unwrap().len(), 2, "{resource}: {newest}");
    }
}
